//! Taking in a sealed parcel that came any way but the push: on a medium, from a bucket, by a courier.
//!
//! Invariants: its sender is the partner whose certificate signed it, and no other way says who it is; each part is kept
//! only with the hash that was signed; nothing of it has a place in the store before the offer is in the ledger, and from
//! then on it is verified, recorded, acknowledged and quarantined as if it had been pushed. What is refused is on record.

mod laying;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gate::Plan;
use jiff::Timestamp;
use ledger::{EntryNumber, Event};
use parcel::{Parcel, Refused, Transfer};
use policy::{Action, ResourceKind, Why};
use serde::{Deserialize, Serialize};
use state::parcels::Offered;
use tokio::sync::mpsc;
use uuid::Uuid;

use self::laying::place_of;
use crate::delivery::short;
use crate::error::store;
use crate::model::{Incoming, IncomingRow, IncomingStatus};
use crate::record::{About, cji};
use crate::{Caller, Exchange, ExchangeError, Partner, Revoked};

/// How often a verification that somebody else has begun is asked for.
const VERIFY_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// A parcel that somebody brought.
#[derive(Debug)]
pub enum Carried {
    /// Its folder, or its one file.
    Place(PathBuf),
    /// Its one file while it comes in; the last piece is none. Without that it broke off.
    Pieces(mpsc::Receiver<Option<Bytes>>),
}

/// At the receiver: that a parcel did not come by the push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedFacts {
    /// Who took it in; none where it lay in the folder for what arrives.
    pub by: Option<String>,
    pub at: Timestamp,
    /// Attempts to hand the receipt to its sender's server, and when the next one is due.
    #[serde(default)]
    pub attempts: u32,
    #[serde(default)]
    pub next_at: Option<Timestamp>,
    /// That its sender's server has the receipt.
    #[serde(default)]
    pub told: bool,
}

/// A carried parcel whose outside holds, and what it says inside.
struct Known {
    parcel: Parcel,
    partner: Partner,
    transfer: Transfer,
    exchange: Uuid,
    /// The last entry of its sender's ledger that its custody names.
    place: (u64, String, String),
}

/// Why a parcel is not taken in: where, and what. None of it is our own trouble.
struct Unfit {
    parcel: Option<Uuid>,
    partner: Option<String>,
    place: String,
    why: String,
}

enum Trouble {
    Unfit(Box<Unfit>),
    Ours(ExchangeError),
}

impl From<ExchangeError> for Trouble {
    fn from(error: ExchangeError) -> Self {
        Self::Ours(error)
    }
}

impl Unfit {
    fn because(why: impl Into<String>) -> Trouble {
        let (parcel, partner, place) = (None, None, "the parcel".to_owned());
        Trouble::Unfit(Box::new(Self { parcel, partner, place, why: why.into() }))
    }

    fn refused(refused: &Refused) -> Trouble {
        let place = refused.file.clone();
        let why = refused.fault.to_string();
        Trouble::Unfit(Box::new(Self { parcel: None, partner: None, place, why }))
    }
}

impl Exchange {
    /// Takes in a sealed parcel that somebody brought. From then on it is as one that was pushed. `caller` is none for
    /// what lay in the folder for what arrives.
    ///
    /// # Errors
    /// [`ExchangeError::NotTaken`] says why not, on record, and nothing of it is kept; [`ExchangeError::Denied`],
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::Store`], [`ExchangeError::State`], and then it can be brought again.
    pub async fn take_in_parcel(
        &self,
        caller: Option<&Caller>,
        carried: Carried,
    ) -> Result<Incoming, ExchangeError> {
        let permit = match caller {
            None => None,
            Some(caller) => Some(self.may_take_in(caller).await?),
        };
        let taken = self.take_in_carried(caller, carried).await;
        let error = match taken {
            Ok(row) => {
                self.close(permit.into_iter().collect()).await?;
                return Incoming::of(row);
            }
            Err(Trouble::Ours(error)) => error,
            Err(Trouble::Unfit(unfit)) => {
                let entry = self.record_unfit(caller, &unfit).await?;
                let Unfit { place, why, .. } = *unfit;
                ExchangeError::NotTaken { entry, why: format!("{place}: {why}") }
            }
        };
        if let Some(permit) = permit {
            self.0.setup.gate.withhold(permit.ticket(), &short(&error.chain())).await?;
        }
        Err(error)
    }

    async fn may_take_in(&self, caller: &Caller) -> Result<gate::Permit, ExchangeError> {
        let about = About {
            kind: ResourceKind::Parcel,
            id: "a parcel that was carried here".to_owned(),
            record_class: cji()?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: None,
            agreement: None,
        };
        let plan = Plan::Parcel("take in a sealed parcel that was carried here".to_owned());
        self.ask(caller, Action::ReceiveParcel, about, &Why::default(), plan).await
    }

    async fn record_unfit(
        &self,
        caller: Option<&Caller>,
        unfit: &Unfit,
    ) -> Result<EntryNumber, ExchangeError> {
        let (place, reason) = (short(&unfit.place), short(&unfit.why));
        let event = match unfit.parcel {
            Some(parcel) => Event::ParcelRefused {
                exchange: None,
                parcel: parcel.to_string(),
                partner: unfit.partner.clone().unwrap_or_else(|| "nobody known".to_owned()),
                where_: place,
                reason,
            },
            None => Event::RequestRefused {
                route: "taking in a sealed parcel".to_owned(),
                reason: format!("{place}: {reason}"),
            },
        };
        Ok(self.record(caller, &Why::default(), event).await?.entry)
    }

    async fn take_in_carried(
        &self,
        caller: Option<&Caller>,
        carried: Carried,
    ) -> Result<IncomingRow, Trouble> {
        let (place, draft) = match carried {
            Carried::Place(place) => (place, None),
            Carried::Pieces(pieces) => {
                let draft = self.lay_pieces(pieces).await?;
                (draft.clone(), Some(draft))
            }
        };
        let taken = self.take_in_from(caller, &place).await;
        if let Some(draft) = draft {
            self.0.store.discard(&draft);
        }
        taken
    }

    async fn take_in_from(
        &self,
        caller: Option<&Caller>,
        place: &Path,
    ) -> Result<IncomingRow, Trouble> {
        let known = self.know(place).await?;
        let named = |trouble| match trouble {
            Trouble::Unfit(unfit) => {
                let parcel = Some(known.parcel.id());
                let partner = Some(known.partner.ori.to_string());
                Trouble::Unfit(Box::new(Unfit { parcel, partner, ..*unfit }))
            }
            ours @ Trouble::Ours(_) => ours,
        };
        if let Some(clause) = self.unread_partner(known.partner.ori.as_str()).await? {
            // Nothing is wrong with it: it can be brought again, and what lies in the folder stays there.
            return Err(ExchangeError::Unread(clause).into());
        }
        let row = self.receive_known(caller, &known).await.map_err(named)?;
        let row = self.verified(row).await.map_err(named)?;
        if let (IncomingStatus::Refused, Some(refusal)) =
            (IncomingStatus::parse(&row.status)?, &row.details.refusal)
        {
            // It is on record as refused, with the place.
            let (entry, why) =
                (EntryNumber(refusal.entry), format!("{}: {}", refusal.place, refusal.reason));
            return Err(ExchangeError::NotTaken { entry, why }.into());
        }
        Ok(row)
    }

    /// Who signed it, for whom it is, and which exchange it is; every file that should be there is.
    async fn know(&self, place: &Path) -> Result<Arc<Known>, Trouble> {
        let (this, place) = (self.clone(), place.to_owned());
        let know = move || {
            let (parcel, partner) = this.signed_by(&place)?;
            let id = parcel.id();
            let unfit = |place: &str, why: &str| {
                Trouble::Unfit(Box::new(Unfit {
                    parcel: Some(id),
                    partner: Some(partner.ori.to_string()),
                    place: place.to_owned(),
                    why: why.to_owned(),
                }))
            };
            let opener = this.opener(&parcel);
            let ours = opener.certificate.fingerprint_text();
            if !parcel.verified().recipients.contains(&ours) {
                return Err(unfit(
                    "bag-info.txt",
                    "it is sealed for somebody else, not for a certificate of ours",
                ));
            }
            let refused = |refused: Refused| unfit(&refused.file, &refused.fault.to_string());
            let unlocked = parcel.unlock(opener).map_err(&refused)?;
            let transfer = unlocked.record().transfer.clone();
            let custody = unlocked.custody_events().map_err(refused)?.unwrap_or_default();
            drop(unlocked);
            let inner = "inner/metadata/transfer.json";
            if transfer.sender.ori != partner.ori.as_str() {
                return Err(unfit(inner, "it names another sender than the one who signed it"));
            }
            if transfer.recipient.ori != this.0.setup.agency.ori {
                return Err(unfit(inner, "it is for another agency"));
            }
            if transfer.exchange_number.is_some_and(|number| i64::try_from(number).is_err()) {
                return Err(unfit(inner, "its number is none that a sender counts to"));
            }
            let Ok(exchange) = Uuid::parse_str(&transfer.exchange_id) else {
                return Err(unfit(
                    inner,
                    "its exchange is no UUID, so it can't be told from others",
                ));
            };
            let place = place_of(&custody, &partner);
            Ok(Known { parcel, partner, transfer, exchange, place })
        };
        let known = tokio::task::spawn_blocking(know).await.map_err(|_| ExchangeError::Stopped)?;
        known.map(Arc::new)
    }

    /// The parcel, and the partner whose signing certificate signed it.
    fn signed_by(&self, place: &Path) -> Result<(Parcel, Partner), Trouble> {
        let found = parcel::inspect(place).map_err(|refused| Unfit::refused(&refused))?;
        let named = |place: String, why: String| {
            let (parcel, partner) = (Some(found.id), None);
            Trouble::Unfit(Box::new(Unfit { parcel, partner, place, why }))
        };
        let ours = self.0.setup.signer.chain.first();
        if ours.is_some_and(|ours| found.certificates.contains(ours)) {
            let why = "it is one of our own: it goes to its recipient, not to us".to_owned();
            return Err(named("the parcel".to_owned(), why));
        }
        let mut stranger = None;
        let now = self.now();
        for partner in self.book().partners() {
            let revoked = found.certificates.iter().find_map(|one| partner.revoked(one, now));
            if let Some(Revoked { since, reason, .. }) = revoked {
                let why = format!(
                    "it is signed by a certificate of {} that is revoked since {since}: {reason}",
                    partner.name
                );
                return Err(named("the parcel".to_owned(), why));
            }
            match Parcel::enter(place, &partner.trust(now)) {
                Ok(parcel) => return Ok((parcel, partner.clone())),
                Err(refused) if matches!(*refused.fault, parcel::Fault::Sender { .. }) => {
                    stranger = Some(refused);
                }
                Err(refused) => return Err(named(refused.file, refused.fault.to_string())),
            }
        }
        let place = stranger.map_or_else(|| "the parcel".to_owned(), |refused| refused.file);
        let signer = found.certificates.first();
        let signer = signer.map(|it| format!("{} ({})", it.subject(), it.fingerprint_text()));
        let signer = signer.unwrap_or_else(|| "nobody".to_owned());
        Err(named(place, format!("it is signed by {signer}, whose certificate is no partner’s")))
    }

    /// Gives it its place and its row, or goes on with what the push has begun.
    async fn receive_known(
        &self,
        caller: Option<&Caller>,
        known: &Arc<Known>,
    ) -> Result<IncomingRow, Trouble> {
        if let Some(row) = self.known_already(known).await? {
            self.fill_up(&row, known).await?;
            return Ok(row);
        }
        let quota = known.partner.quota_bytes;
        let state = &self.0.setup.state;
        let taken = state::parcels::room_of(state, known.partner.ori.as_str()).await;
        let bytes = known.parcel.verified().bytes;
        if taken.map_err(ExchangeError::State)?.saturating_add(bytes) > quota {
            return Err(Unfit::because(no_room(quota)));
        }
        let draft = self.0.store.draft();
        let received = self.lay_down_known(caller, known, &draft).await;
        self.0.store.discard(&draft);
        received
    }

    async fn lay_down_known(
        &self,
        caller: Option<&Caller>,
        known: &Arc<Known>,
        draft: &Path,
    ) -> Result<IncomingRow, Trouble> {
        let tags = self.copy_outside(known, draft).await?;
        self.copy_parts(known, draft).await?;
        let event = Event::ParcelOffered {
            exchange: known.exchange.to_string(),
            number: known.transfer.exchange_number.unwrap_or_default(),
            parcel: known.parcel.id().to_string(),
            partner: known.partner.ori.to_string(),
        };
        let recorded = self.record(caller, &Why::default(), event).await?;
        let mut row = self.carried_row(caller, known, &recorded, tags);
        let quota = known.partner.quota_bytes;
        let offered = state::parcels::offer(&self.0.setup.state, &mut row, quota).await;
        match offered.map_err(ExchangeError::State)? {
            Offered::New => {
                let place = self.0.store.install(draft, row.exchange);
                place.map_err(store("give a parcel that was brought its place"))?;
                Ok(row)
            }
            // Somebody was quicker with the same.
            Offered::Known(row) => {
                let row = self.same_or_why(*row, known)?;
                self.fill_up(&row, known).await?;
                Ok(row)
            }
            Offered::Taken(other) => {
                let words = format!(
                    "its number or its name belongs to another exchange, {}, which came before",
                    other.exchange
                );
                Err(Unfit::because(words))
            }
            Offered::NoRoom { .. } => Err(Unfit::because(no_room(quota))),
        }
    }

    /// A row of the same parcel that can be gone on with. None: it is new here.
    async fn known_already(&self, known: &Known) -> Result<Option<IncomingRow>, Trouble> {
        match self.incoming_row(known.exchange).await {
            Ok(row) => self.same_or_why(row, known).map(Some),
            Err(ExchangeError::NoSuch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The row, where it is of the same parcel and waits for its parts; otherwise why nothing can be done, in words.
    fn same_or_why(&self, row: IncomingRow, known: &Known) -> Result<IncomingRow, Trouble> {
        let same = row.partner == known.partner.ori.as_str()
            && row.parcel == known.parcel.id()
            && (row.digest == known.parcel.digest() || row.digest == [0; 32]);
        if !same {
            let words = "another parcel was offered in the same exchange before";
            return Err(Unfit::because(words));
        }
        let after = &row.details.afterwards;
        let on = |at: Option<Timestamp>| {
            at.unwrap_or(row.updated_at).strftime("%Y-%m-%d %H:%M UTC").to_string()
        };
        let why = match IncomingStatus::parse(&row.status)? {
            IncomingStatus::Receiving => return Ok(row),
            IncomingStatus::Received | IncomingStatus::Accepted => format!(
                "it is here already: it was received on {}, see exchange {}",
                on(row.details.received_at),
                row.exchange
            ),
            IncomingStatus::Destroying | IncomingStatus::Destroyed => {
                let at = after.destroyed.as_ref().map(|act| act.at);
                format!("it was here and was destroyed on {}", on(at))
            }
            IncomingStatus::Recalled => {
                format!(
                    "its sender took it back on {}",
                    on(after.recalled.as_ref().map(|it| it.at))
                )
            }
            IncomingStatus::Expired => {
                format!("the time of its sender’s offer was over on {}; ask for it anew", on(None))
            }
            IncomingStatus::Refused => match (&after.rejected, &row.details.refusal) {
                (Some(act), _) => {
                    format!("{} turned it away here on {}", act.by.name, on(Some(act.at)))
                }
                (None, Some(refusal)) => {
                    format!("it was refused on {}: {}", on(Some(refusal.at)), refusal.reason)
                }
                (None, None) => "it was refused here before".to_owned(),
            },
        };
        Err(Unfit::because(why))
    }

    /// Brings what the push has not brought yet.
    async fn fill_up(&self, row: &IncomingRow, known: &Arc<Known>) -> Result<(), Trouble> {
        let place = self.0.store.incoming(row.exchange);
        if !place.exists() {
            let draft = self.0.store.draft();
            let copied = self.copy_outside(known, &draft).await;
            let installed = copied.and_then(|_| {
                let installed = self.0.store.install(&draft, row.exchange);
                installed.map_err(|error| store("give a parcel its place")(error).into())
            });
            self.0.store.discard(&draft);
            installed?;
        }
        self.copy_parts(known, &place).await
    }

    /// Verifies it as a pushed one, however long that takes.
    async fn verified(&self, row: IncomingRow) -> Result<IncomingRow, Trouble> {
        loop {
            if let Some(row) = self.verify_soon(row.exchange, None).await? {
                return Ok(row);
            }
            tokio::time::sleep(VERIFY_PAUSE).await;
        }
    }

    /// Verifies carried parcels whose taking in was cut off, where all of them is here.
    pub(crate) async fn verify_carried(&self) -> Result<(), ExchangeError> {
        let carried = |parcel: &Incoming| parcel.afterwards.carried.is_some();
        for parcel in self.every_incoming(&[IncomingStatus::Receiving], carried).await? {
            if self.unread_partner(&parcel.partner).await?.is_some() {
                continue;
            }
            let row = self.incoming_row(parcel.exchange).await?;
            if self.0.store.incoming(row.exchange).exists() && self.missing(&row).await?.is_empty()
            {
                drop(self.verify_soon(row.exchange, None).await?);
            }
        }
        Ok(())
    }
}

fn no_room(quota: u64) -> String {
    format!("its sender’s parcels would take more than their quota of {quota} bytes")
}
