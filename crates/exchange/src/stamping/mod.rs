//! Trusted time for what leaves: a token of the agency's time-stamp authority (RFC 3161), asked for once a parcel is sealed.
//!
//! Invariants: a token is recorded before it lies beside the signature; where one is required nothing of the parcel
//! leaves without it, and where it is not, going without is recorded with its reason before anything leaves.

mod authority;
mod line;

use std::path::PathBuf;

use jiff::Timestamp;
use keys::cert::Certificate;
use ledger::{Event, ParcelStamped, ParcelUnstamped};
use parcel::Parcel;
use parcel::timestamp::{self, PolicyId, Stamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use authority::TIME_STAMPS;
pub use authority::TimeStampAuthority;
pub use line::{AuthorityLine, AuthorityPlace, NotAnAuthority};

use crate::delivery::short;
use crate::model::{Export, ExportDetails, ExportRow, ExportStatus};
use crate::{Exchange, ExchangeError, Partner};

/// The authority that the agency asks, and what is expected of it.
#[derive(Clone)]
pub struct TimeStamps {
    pub line: AuthorityLine,
    /// Its certificates, or those of CAs that issue them.
    pub authorities: Vec<Certificate>,
    /// The policy that tokens are to be under; any where it is `None`.
    pub policy: Option<PolicyId>,
    /// Whether nothing leaves without a token.
    pub required: bool,
}

/// Why no token was had.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    #[error("the time-stamp authority {place} could not be asked")]
    Wire {
        place: String,
        #[source]
        source: wire::WireError,
    },
    #[error("the time-stamp authority {place} did not answer within {seconds} seconds")]
    Silent { place: String, seconds: u64 },
    #[error("the time-stamp authority {place} answered {status}")]
    Status { place: String, status: u16 },
    #[error(
        "the time-stamp authority {place} answered with something else than `application/timestamp-reply`"
    )]
    Kind { place: String },
    #[error("the answer of the time-stamp authority {place} is not taken")]
    Answer {
        place: String,
        #[source]
        source: parcel::Refused,
    },
}

/// A time stamp as a page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StampFacts {
    pub at: Timestamp,
    /// The authority's subject, and the SHA-256 of its certificate.
    pub authority: String,
    pub fingerprint: String,
    /// SHA-256 of the authority's answer, hex.
    pub token: String,
    /// Whether the authority is one that we were told to believe.
    pub known: bool,
    /// The ledger entry that says so.
    #[serde(default)]
    pub entry: Option<u64>,
}

/// That an export goes without a time stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnstampedFacts {
    pub at: Timestamp,
    pub entry: u64,
    pub reason: String,
}

/// What came along with a partner's parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CameStamp {
    Held(StampFacts),
    /// A token that does not hold, and why. It takes nothing from the parcel, which its sender's signature holds.
    Broken(String),
}

impl StampFacts {
    fn of(stamp: &Stamp, known: bool) -> Self {
        Self {
            at: stamp.at,
            // Whoever has the parcel can lay another token beside it: it may be called anything.
            authority: short(&stamp.authority.subject()),
            fingerprint: stamp.authority.fingerprint_text(),
            token: hex::encode(stamp.digest),
            known,
            entry: None,
        }
    }

    /// In words for people.
    pub fn words(&self) -> String {
        let Self { at, authority, .. } = self;
        match self.known {
            true => format!("{at} by {authority}"),
            false => format!("{at} by {authority}, an authority that nobody here said to believe"),
        }
    }

    fn event(&self, exchange: Uuid, parcel: Uuid, partner: &str) -> Event {
        Event::ParcelStamped(ParcelStamped {
            exchange: exchange.to_string(),
            parcel: parcel.to_string(),
            partner: partner.to_owned(),
            at: self.at,
            authority: self.authority.clone(),
            fingerprint: self.fingerprint.clone(),
            token: self.token.clone(),
            known: self.known,
        })
    }
}

impl CameStamp {
    /// In words for people.
    pub fn words(&self) -> String {
        match self {
            Self::Held(facts) => facts.words(),
            Self::Broken(why) => format!("one came along that does not hold: {why}"),
        }
    }
}

/// The token of a received parcel, if one came along. None of this refuses the parcel. What an authority said whose
/// certificate its partner has revoked is as if nobody had said to believe it.
pub(crate) fn came(
    parcel: &Parcel,
    authorities: &[Certificate],
    (partner, now): (Option<&Partner>, Timestamp),
) -> Option<CameStamp> {
    match parcel.stamp_by(authorities) {
        Ok(None) => None,
        Ok(Some((stamp, known))) => {
            let revoked = partner.and_then(|partner| partner.revoked(&stamp.authority, now));
            Some(CameStamp::Held(StampFacts::of(&stamp, known && revoked.is_none())))
        }
        Err(refused) => Some(CameStamp::Broken(short(&wire::causes(&refused)))),
    }
}

/// Exports of which nothing leaves any more.
const ENDED: [ExportStatus; 3] =
    [ExportStatus::Recalled, ExportStatus::Expired, ExportStatus::Rejected];

/// Whether an export has its token, or goes without.
fn is_settled(stamps: &TimeStamps, details: &ExportDetails) -> bool {
    details.stamp.is_some()
        || (details.unstamped.is_some() && !stamps.required)
        // What has begun to leave goes on as it began.
        || details.delivery.sent_entry.is_some()
}

/// A token that was judged, and how it came.
struct Had {
    facts: StampFacts,
    /// The answer that is still to be laid beside the signature.
    answer: Option<Vec<u8>>,
}

impl Exchange {
    /// The authorities whose word counts for a partner's parcels: its own, and ours.
    pub(crate) fn stamp_authorities(&self, partner: &Partner) -> Vec<Certificate> {
        let ours = self.0.setup.time_stamps.iter().flat_map(|ours| ours.authorities.iter());
        let now = self.now();
        let theirs = partner.time_stamps.iter().filter(|one| partner.revoked(one, now).is_none());
        ours.chain(theirs).cloned().collect()
    }

    /// Records the token that came along with a partner's parcel.
    pub(crate) async fn record_came(
        &self,
        (exchange, parcel, partner): (Uuid, Uuid, &str),
        came: Option<&mut CameStamp>,
    ) -> Result<(), ExchangeError> {
        let Some(CameStamp::Held(facts)) = came else { return Ok(()) };
        let event = facts.event(exchange, parcel, partner);
        facts.entry = Some(self.record_peer(None, event).await?.entry.0);
        Ok(())
    }

    /// Whether the authority is to be asked before an export can go.
    pub(crate) fn waits_for_stamp(&self, export: &Export) -> bool {
        let stamps = self.0.setup.time_stamps.as_ref();
        let is_sealed = export.exchange.is_some() && export.parcel.is_some();
        is_sealed
            && export.status == ExportStatus::Sealed
            && stamps.is_some_and(|stamps| !is_settled(stamps, &export.details))
            && !self.is_over(export.details.sealed.as_ref())
    }

    /// Sees to it that a sealed parcel has its token, or may go without, before anything of it leaves.
    pub(crate) async fn stamp_before_leaving(
        &self,
        row: &mut ExportRow,
    ) -> Result<(), ExchangeError> {
        let Some(stamps) = &self.0.setup.time_stamps else { return Ok(()) };
        let (false, Some(exchange), Some(parcel)) =
            (is_settled(stamps, &row.details), row.exchange, row.parcel)
        else {
            return Ok(());
        };
        // A download and a delivery at once ask once: the second finds what the first got.
        let _alone = loop {
            match self.claim(parcel) {
                Some(claim) => break claim,
                None => self.until_free(parcel).await,
            }
        };
        *row = self.export_row(row.id).await?;
        if is_settled(stamps, &row.details) {
            return Ok(());
        }
        if ENDED.iter().any(|status| status.as_str() == row.status) {
            let (is, needs) = (row.status.clone(), "sealed");
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        }
        match self.have_stamped(stamps, parcel).await {
            Ok(had) => self.keep_stamp(row, (exchange, parcel), had).await,
            Err(error) if stamps.required => Err(error),
            Err(error) => self.go_without(row, (exchange, parcel), &error).await,
        }
    }

    /// Asks the authority, unless a token lies there since an attempt that did not come to its end.
    async fn have_stamped(&self, stamps: &TimeStamps, parcel: Uuid) -> Result<Had, ExchangeError> {
        let folder = self.0.store.sent(parcel);
        if let Some(facts) = self.left_there(stamps, folder.clone()).await? {
            return Ok(Had { facts, answer: None });
        }
        let nonce = keys::random_bytes::<16>(self.0.setup.random.as_ref())?;
        let (at, policy) = (folder.clone(), stamps.policy.clone());
        let request = blocking(move || timestamp::request(&at, policy.as_ref(), nonce)).await?;
        let since = self.now();
        let answer = stamps.line.ask(&request).await?;
        let (authorities, times) = (stamps.authorities.clone(), (since, self.now()));
        let place = stamps.line.place().to_string();
        let judged = tokio::task::spawn_blocking(move || {
            let stamp = timestamp::judge(&folder, &request, &answer, &authorities, times);
            stamp.map(|stamp| (stamp, answer))
        });
        let judged = judged.await.map_err(|_| ExchangeError::Stopped)?;
        let (stamp, answer) = judged.map_err(|source| StampError::Answer { place, source })?;
        Ok(Had { facts: StampFacts::of(&stamp, true), answer: Some(answer) })
    }

    /// A token that an earlier attempt laid there, if it is one that would be taken.
    async fn left_there(
        &self,
        stamps: &TimeStamps,
        folder: PathBuf,
    ) -> Result<Option<StampFacts>, ExchangeError> {
        let (trust, authorities) = (self.own_trust(), stamps.authorities.clone());
        let policy = stamps.policy.clone();
        blocking(move || {
            let parcel = Parcel::announced(&folder, &trust)?;
            Ok(match parcel.stamp_by(&authorities) {
                Ok(Some((stamp, true))) if stamp.is_under(policy.as_ref()) => {
                    Some(StampFacts::of(&stamp, true))
                }
                Ok(Some(_) | None) | Err(_) => None,
            })
        })
        .await
    }

    /// The record, then the file, then the state.
    async fn keep_stamp(
        &self,
        row: &mut ExportRow,
        (exchange, parcel): (Uuid, Uuid),
        had: Had,
    ) -> Result<(), ExchangeError> {
        let mut facts = had.facts;
        let event = facts.event(exchange, parcel, &row.partner);
        let receipt = self.record(None, &row.details.why, event).await?;
        if let Some(answer) = had.answer {
            let folder = self.0.store.sent(parcel);
            blocking(move || timestamp::keep(&folder, &answer)).await?;
        }
        facts.entry = Some(receipt.entry.0);
        let stamped = |row: &mut ExportRow| {
            row.details.stamp = Some(facts.clone());
            row.details.unstamped = None;
        };
        *row = self.change_export(row.id, receipt.at, stamped).await?;
        Ok(())
    }

    async fn go_without(
        &self,
        row: &mut ExportRow,
        (exchange, parcel): (Uuid, Uuid),
        error: &ExchangeError,
    ) -> Result<(), ExchangeError> {
        let reason = short(&error.chain());
        let event = Event::ParcelUnstamped(ParcelUnstamped {
            exchange: exchange.to_string(),
            parcel: parcel.to_string(),
            partner: row.partner.clone(),
            reason: reason.clone(),
        });
        let receipt = self.record(None, &row.details.why, event).await?;
        let facts = UnstampedFacts { at: receipt.at, entry: receipt.entry.0, reason };
        let unstamped = |row: &mut ExportRow| row.details.unstamped = Some(facts.clone());
        *row = self.change_export(row.id, receipt.at, unstamped).await?;
        Ok(())
    }
}

/// Work on the parcel store, on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, parcel::Refused> + Send + 'static,
) -> Result<T, ExchangeError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
    done.map_err(ExchangeError::Refused)
}
