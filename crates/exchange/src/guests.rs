//! Guests: named persons at a partner who fetch a parcel that is addressed to them, for partners without Bailiwick.
//!
//! Invariants: a guest sees and fetches only what names them, is addressed to their agency, and was sealed; nothing
//! of it once the invitation is ended or its day has come; and each look and each fetch is decided, recorded and
//! released before it is shown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ledger::{Event, GuestTerms};
use policy::{Action, Actor, Ori, ResourceKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use gate::{Permit, Plan, Shown};

use crate::book::{Agreement, Clause};
use crate::download::{Download, Form};
use crate::model::{Export, ExportRow, ExportStatus, SealedFacts, Voice};
use crate::recall::reason_of;
use crate::record::{About, cji};
use crate::{Caller, Exchange, ExchangeError};

/// Guests of one export, those whose time is over too.
const GUESTS_MAX: usize = 50;
/// The kind of a partner's way that a guest fetches by.
const PORTAL: &str = "portal";
/// The longest time that one invitation holds.
const LIFE_MAX: SignedDuration = SignedDuration::from_hours(24 * 90);
/// Parcels on a guest's page.
const SHOWN: [ExportStatus; 4] = [
    ExportStatus::Sealed,
    ExportStatus::Sending,
    ExportStatus::Delivered,
    ExportStatus::Acknowledged,
];

/// An invitation to fetch one parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestFacts {
    /// Whom: the account's key, `<provider>|<name>`.
    pub account: String,
    pub name: String,
    pub until: Timestamp,
    pub invited: Voice,
    /// Who ended it before its day, and why.
    pub ended: Option<Voice>,
}

impl GuestFacts {
    /// Whether it still lets its guest in.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.until
    }
}

/// Whom to invite, and until when.
#[derive(Debug, Clone)]
pub struct NewGuest {
    /// The account's key.
    pub account: String,
    pub name: String,
    /// The agency whose people the account's provider vouches for.
    pub agency: Ori,
    pub until: Timestamp,
}

/// The outside of a parcel, as its guest may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Path, and SHA-256 in hex, of each file of it.
    pub files: Vec<(String, String)>,
    pub digest: String,
}

impl Exchange {
    /// Invites a person at the partner to fetch the parcel of an export.
    ///
    /// # Errors
    /// [`ExchangeError::Input`] for somebody of another agency, or a day that is past or too far;
    /// [`ExchangeError::WrongState`] for what has ended; [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`].
    pub async fn invite(
        &self,
        caller: &Caller,
        export: Uuid,
        new: NewGuest,
    ) -> Result<Export, ExchangeError> {
        let mut row = self.export_row(export).await?;
        let permit = self.ask_about_guest(caller, &row).await?;
        let refuse = |field, expected| ExchangeError::Input { field, expected };
        let now = self.now();
        let latest = now.saturating_add(LIFE_MAX).unwrap_or(now);
        let held = &row.details.guests;
        let lets = match self.agreement(&row.agreement).await {
            Ok(agreement) => self.lets_guests(&agreement),
            // It is missed when they fetch.
            Err(_) => Ok(()),
        };
        let wrong = if new.agency.as_str() != row.partner {
            Some(refuse("guest", "a person of the agency that the export is addressed to"))
        } else if new.until <= now || new.until > latest {
            Some(refuse("until", "a day from tomorrow on, within 90 days"))
        } else if held.iter().any(|one| one.account == new.account && one.holds(now)) {
            Some(refuse("guest", "somebody who has no invitation to it yet"))
        } else if held.len() >= GUESTS_MAX {
            Some(refuse("guest", "at most 50 invitations to one export"))
        } else if let Err(clause) = lets {
            let receipt = self.0.setup.gate.withhold(permit.ticket(), &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry: receipt.entry, clause });
        } else if ended(&row) {
            let (is, needs) = (row.status.clone(), "on its way or delivered");
            Some(ExchangeError::WrongState { what: "export", is, needs })
        } else {
            None
        };
        if let Some(error) = wrong {
            self.0.setup.gate.withhold(permit.ticket(), &error.chain()).await?;
            return Err(error);
        }
        let event = Event::GuestInvited(GuestTerms {
            export: export.to_string(),
            partner: row.partner.clone(),
            account: new.account.clone(),
            name: new.name.clone(),
            until: Some(new.until),
            reason: None,
        });
        let receipt = self.record(Some(caller), &row.details.why, event).await?;
        let actor = caller.actor.clone();
        let invited = Voice { actor, at: receipt.at, entry: receipt.entry.0, reason: None };
        let NewGuest { account, name, until, .. } = new;
        row.details.guests.push(GuestFacts { account, name, until, invited, ended: None });
        self.store_export(&mut row, receipt.at).await?;
        self.close(vec![permit]).await?;
        Export::of(row)
    }

    /// Ends an invitation before its day. What is being fetched at that moment comes to its end.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`] where there is none that holds; otherwise as [`Exchange::invite`].
    pub async fn end_invitation(
        &self,
        caller: &Caller,
        export: Uuid,
        account: &str,
        reason: &str,
    ) -> Result<Export, ExchangeError> {
        let reason = reason_of(reason)?;
        let mut row = self.export_row(export).await?;
        let permit = self.ask_about_guest(caller, &row).await?;
        let now = self.now();
        let found = row.details.guests.iter();
        let mut found = found.enumerate().filter(|(_, one)| one.account == account);
        let Some(at) = found.find(|(_, one)| one.holds(now)).map(|(at, _)| at) else {
            self.0.setup.gate.withhold(permit.ticket(), "there is no such invitation").await?;
            return Err(ExchangeError::NoSuch { what: "invitation" });
        };
        let name = row.details.guests.get(at).map(|one| one.name.clone()).unwrap_or_default();
        let event = Event::GuestEnded(GuestTerms {
            export: export.to_string(),
            partner: row.partner.clone(),
            account: account.to_owned(),
            name,
            until: None,
            reason: Some(reason.clone()),
        });
        let receipt = self.record(Some(caller), &row.details.why, event).await?;
        if let Some(guest) = row.details.guests.get_mut(at) {
            let actor = caller.actor.clone();
            let (at, entry) = (receipt.at, receipt.entry.0);
            guest.ended = Some(Voice { actor, at, entry, reason: Some(reason) });
        }
        self.store_export(&mut row, receipt.at).await?;
        self.close(vec![permit]).await?;
        Export::of(row)
    }

    /// The exports whose parcels guests may fetch, or could, newest first. For whoever sees accounts.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`], [`ExchangeError::State`].
    pub async fn guest_book(&self, caller: &Caller) -> Result<Vec<Export>, ExchangeError> {
        let about = About {
            kind: ResourceKind::Export,
            id: "guests".to_owned(),
            record_class: "PLATFORM".parse().map_err(|_| bad_class())?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: None,
            agreement: None,
        };
        let plan = Plan::Export("see guests and what they may fetch".to_owned());
        let why = policy::Why::default();
        let permit = self.ask(caller, Action::ViewPeople, about, &why, plan).await?;
        let live = [ExportStatus::Requested, ExportStatus::Approved, ExportStatus::Sealing];
        let statuses: Vec<ExportStatus> = live.into_iter().chain(SHOWN).collect();
        let all = self.every_export(&statuses, None, |_| true).await?;
        let lines = all.iter().map(|export| export.id.to_string()).collect();
        let held = permit.hold(Shown { what: "guests", lines, data: all });
        Ok(self.0.setup.gate.release(held).await?.into_parts().0.data)
    }

    /// What a guest may fetch now, newest first. Asked of the policy, and on record, before it is given.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Unrecorded`], [`ExchangeError::State`].
    pub async fn invitations(&self, caller: &Caller) -> Result<Vec<Export>, ExchangeError> {
        let permit = self.ask_as_guest(caller, "invitations", "see what one may fetch").await?;
        let now = self.now();
        let named = |export: &Export| {
            let (status, sealed) = (export.status.as_str(), export.details.sealed.as_ref());
            is_for(&export.partner, &export.details.guests, &caller.actor, now)
                && sealed.is_some()
                && !self.is_offer_over(status, sealed)
        };
        let agency = caller.actor.agency.as_str();
        let found = match self.unread(agency).await? {
            None => self.every_export(&SHOWN, Some(agency), named).await?,
            // They see it again once somebody has read what is written of their agency.
            Some(_) => Vec::new(),
        };
        let lines = found.iter().map(|export| export.id.to_string()).collect();
        let held = permit.hold(Shown { what: "parcels", lines, data: found });
        Ok(self.0.setup.gate.release(held).await?.into_parts().0.data)
    }

    /// The outside of a parcel that names its guest.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`] for what does not name them, without saying whether there is such a thing;
    /// otherwise as [`Exchange::invitations`].
    pub async fn guest_manifest(
        &self,
        caller: &Caller,
        export: Uuid,
    ) -> Result<(Export, Manifest), ExchangeError> {
        let (row, parcel, sealed, permit) = self.as_guest(caller, export, "see").await?;
        let read = self.outside(parcel, &sealed).await;
        let manifest = match read {
            Ok(manifest) => manifest,
            Err(error) => {
                self.0.setup.gate.withhold(permit.ticket(), &error.chain()).await?;
                return Err(error);
            }
        };
        let lines = manifest.files.iter().map(|(path, hash)| format!("{hash} {path}")).collect();
        let data = (Export::of(row)?, manifest);
        let held = permit.hold(Shown { what: "parcel manifest", lines, data });
        Ok(self.0.setup.gate.release(held).await?.into_parts().0.data)
    }

    /// Streams a parcel to a guest whom it names.
    ///
    /// # Errors
    /// As [`Exchange::guest_manifest`].
    pub async fn guest_fetch(
        &self,
        caller: &Caller,
        export: Uuid,
        form: Form,
    ) -> Result<Download, ExchangeError> {
        // Before anything is asked: whoever waits holds nothing that grows old.
        let room = Arc::clone(&self.0.guests).acquire_owned().await;
        let room = room.map_err(|_| ExchangeError::Stopped)?;
        let (row, parcel, sealed, permit) = self.as_guest(caller, export, "fetch").await?;
        let agreement = self.agreement(&row.agreement).await;
        let stands = match &agreement {
            Ok(agreement) => {
                let lets = self.lets_guests(agreement).err();
                self.stands_against(agreement).await?.or(lets)
            }
            Err(_) => None,
        };
        if let (Err(_), _) | (_, Some(_)) = (&agreement, &stands) {
            let words = stands
                .as_ref()
                .map_or("it has no agreement any more".to_owned(), |clause| clause.recorded());
            let receipt = self.0.setup.gate.withhold(permit.ticket(), &words).await?;
            return match (agreement, stands) {
                (_, Some(clause)) => Err(ExchangeError::Clause { entry: receipt.entry, clause }),
                (Err(error), None) => Err(error),
                (Ok(_), None) => Err(ExchangeError::NoSuch { what: "agreement" }),
            };
        }
        self.hand_out(caller, &row, (parcel, &sealed), vec![permit], (form, Some(room))).await
    }

    /// Whether an agreement lets a parcel leave by a guest's browser: one that names its ways has to name a portal.
    ///
    /// # Errors
    /// [`Clause::Delivery`].
    fn lets_guests(&self, agreement: &Agreement) -> Result<(), Clause> {
        let Some(open) = &agreement.terms.deliveries else { return Ok(()) };
        let partner = self.book().partner(agreement.facts.partner.as_str());
        let mut portals = partner
            .iter()
            .flat_map(|partner| &partner.deliveries)
            .filter(|one| one.settings.get("kind").and_then(|kind| kind.as_str()) == Some(PORTAL));
        match portals.any(|portal| open.contains(&portal.name)) {
            true => Ok(()),
            false => Err(Clause::Delivery {
                agreement: agreement.facts.id.clone(),
                route: "a portal for guests".to_owned(),
            }),
        }
    }

    /// The question whether somebody may fetch as a guest, about a parcel that names them.
    async fn as_guest(
        &self,
        caller: &Caller,
        export: Uuid,
        verb: &str,
    ) -> Result<(ExportRow, Uuid, SealedFacts, Permit), ExchangeError> {
        let plan = format!("{verb} the parcel of export {export} as a guest");
        let permit = self.ask_as_guest(caller, &export.to_string(), &plan).await?;
        let row = state::exports::find::<crate::ExportDetails>(&self.0.setup.state, export).await?;
        let row = row.filter(|row| {
            let shown = SHOWN.iter().any(|status| status.as_str() == row.status);
            shown
                && !self.is_offer_over(&row.status, row.details.sealed.as_ref())
                && is_for(&row.partner, &row.details.guests, &caller.actor, self.now())
        });
        let found = row.and_then(|row| {
            let (parcel, sealed) = (row.parcel?, row.details.sealed.clone()?);
            Some((row, parcel, sealed))
        });
        let Some((row, parcel, sealed)) = found else {
            let reason = "no invitation that holds names them for it";
            self.0.setup.gate.withhold(permit.ticket(), reason).await?;
            return Err(ExchangeError::NoSuch { what: "parcel" });
        };
        if let Some(clause) = self.unread(&row.partner).await? {
            let receipt = self.0.setup.gate.withhold(permit.ticket(), &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry: receipt.entry, clause });
        }
        Ok((row, parcel, sealed, permit))
    }

    /// Whether a parcel is still to be delivered and its offer is over: it ends at its next attempt. What is delivered is
    /// the partner's, for as long as its guests are invited.
    fn is_offer_over(&self, status: &str, sealed: Option<&SealedFacts>) -> bool {
        let waits = [ExportStatus::Sealed, ExportStatus::Sending];
        waits.iter().any(|one| one.as_str() == status) && self.is_over(sealed)
    }

    async fn ask_as_guest(
        &self,
        caller: &Caller,
        id: &str,
        plan: &str,
    ) -> Result<Permit, ExchangeError> {
        let about = About {
            kind: ResourceKind::Parcel,
            id: id.to_owned(),
            record_class: cji()?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: None,
            agreement: None,
        };
        // It is the guest's own agency's: nothing else of ours is open to people of another one.
        let agency = caller.actor.agency.clone();
        let plan = Plan::Parcel(plan.to_owned());
        self.ask_of(caller, Action::FetchParcel, about, &policy::Why::default(), plan, agency).await
    }

    async fn ask_about_guest(
        &self,
        caller: &Caller,
        row: &ExportRow,
    ) -> Result<Permit, ExchangeError> {
        let about = About {
            kind: ResourceKind::Export,
            id: row.id.to_string(),
            record_class: cji()?,
            caveats: std::collections::BTreeSet::new(),
            requested_by: Some(row.details.requester.id.clone()),
            agreement: None,
        };
        let plan = Plan::Export(format!("invitations to export {}", row.id));
        self.ask(caller, Action::InviteGuest, about, &row.details.why, plan).await
    }

    async fn outside(&self, parcel: Uuid, sealed: &SealedFacts) -> Result<Manifest, ExchangeError> {
        let load = self.load(parcel, sealed).await?;
        let files = load.files.into_iter().map(|file| (file.path, hex::encode(file.sha256)));
        Ok(Manifest { files: files.collect(), digest: sealed.digest.clone() })
    }
}

fn bad_class() -> ExchangeError {
    ExchangeError::Input { field: "record_class", expected: "a class in the policy's form" }
}

/// Whether a parcel to `partner` names somebody now.
fn is_for(partner: &str, guests: &[GuestFacts], actor: &Actor, now: Timestamp) -> bool {
    partner == actor.agency.as_str()
        && guests.iter().any(|one| one.account == actor.id.as_str() && one.holds(now))
}

fn ended(row: &ExportRow) -> bool {
    let over = [
        ExportStatus::Recalled,
        ExportStatus::Expired,
        ExportStatus::Rejected,
        ExportStatus::Refused,
    ];
    over.iter().any(|status| status.as_str() == row.status)
}
