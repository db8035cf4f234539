//! What an export and an incoming parcel are: their states, and what the sealed columns hold.

use std::collections::BTreeSet;

use jiff::Timestamp;
use policy::{Actor, Caveat, RecordClass, Why};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::afterwards::{Afterwards, RecallFacts, ToldFacts};
use crate::copies::CopyGone;
use crate::custody::ReceivedFrom;
use crate::depots::{Clearing, LaidFacts};
use crate::error::ExchangeError;
use crate::guests::GuestFacts;
use crate::listed::{ChangedFacts, Listed};
use crate::proofs::Proved;
use crate::redacted::{DerivedFrom, Redaction};
use crate::scanning::{ScanFacts, ScanSummary, ScanTrouble};
use crate::seen::{Seen, is_unseen};
use crate::settling::Settled;
use crate::stamping::{CameStamp, StampFacts, UnstampedFacts};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item_doc])* $item,)+ }

        impl $name {
            /// Every one, in the order of an export's life.
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// As it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)+ }
            }

            pub(crate) fn parse(text: &str) -> Result<Self, ExchangeError> {
                let found = Self::ALL.iter().find(|state| state.as_str() == text);
                found.copied().ok_or(ExchangeError::NoSuch { what: "state" })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

states! {
    /// How far an export has come.
    ExportStatus {
        /// Waits for other people's approval.
        Requested = "requested";
        /// Waits to be sealed.
        Approved = "approved";
        /// Is being sealed; after a restart that goes on.
        Sealing = "sealing";
        /// Waits to be sent.
        Sealed = "sealed";
        /// Is on its way, or waits for its next attempt.
        Sending = "sending";
        /// Laid down where the partner fetches it; nobody there has acknowledged it.
        Delivered = "delivered";
        /// The partner's receipt is anchored.
        Acknowledged = "acknowledged";
        /// Somebody took it back, before or after the partner had it.
        Recalled = "recalled";
        /// The partner did not take it before its time was over.
        Expired = "expired";
        /// Somebody said no.
        Rejected = "rejected";
        /// The partner said no, for a reason that another attempt won't change.
        Refused = "refused";
        /// Too many attempts, or its agreement came to an end, or what would leave was not what was asked for.
        Failed = "failed";
    }
}

states! {
    /// How far a partner's parcel has come.
    IncomingStatus {
        /// Announced; its parts are coming.
        Receiving = "receiving";
        /// Verified, recorded, acknowledged: it waits for a person to accept it.
        Received = "received";
        /// A person accepted it: it can be opened.
        Accepted = "accepted";
        /// Its destruction is recorded; its files are being removed.
        Destroying = "destroying";
        /// Its files are gone, and the sender has, or gets, a certificate of that.
        Destroyed = "destroyed";
        /// Its sender took it back before it was whole here. Nothing of it was kept.
        Recalled = "recalled";
        /// It was not whole before its offer's time was over. Nothing of it was kept.
        Expired = "expired";
        /// It did not hold. Its bytes are gone.
        Refused = "refused";
    }
}

/// One thing to be sent: a query's result, a document, a video.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its path in the parcel.
    pub path: String,
    /// What it is, for the person who approves.
    pub label: String,
    pub media_type: String,
    pub record_class: RecordClass,
    pub caveats: BTreeSet<Caveat>,
    /// The digest of the rows that it is made of, or of its own row: what is sealed has to have the same.
    #[serde(default)]
    pub listed: Option<String>,
    /// How it is fetched again when the time has come. Its shape belongs to the caller.
    pub fetch: serde_json::Value,
    /// Where it lies, if it came from somebody else: its terms and its custody go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<ReceivedFrom>,
    /// What it was by its content when it was asked for; none where nobody could look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl Item {
    /// What it may be: its class, or all those of the parcel that it came in.
    pub fn classes(&self) -> impl Iterator<Item = &RecordClass> {
        let more = self.received.iter().flat_map(|from| &from.record_classes);
        std::iter::once(&self.record_class).chain(more.filter(|class| **class != self.record_class))
    }

    /// Whether somebody else than its sender gets what a partner sent to us.
    pub fn is_passed_on(&self, partner: &str) -> bool {
        let from = self.received.as_ref().and_then(|received| received.from.as_deref());
        from.is_some_and(|from| from != partner)
    }
}

/// Somebody's yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    pub actor: Actor,
    pub at: Timestamp,
    /// The ledger entry that records it.
    pub entry: u64,
    /// Why not, where it is a no.
    pub reason: Option<String>,
}

/// What sealing made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFacts {
    /// SHA-256 of the outer tag manifest, hex.
    pub digest: String,
    pub parts: u64,
    pub bytes: u64,
    pub at: Timestamp,
    /// The ledger entry of the sealing.
    pub entry: u64,
    /// SHA-256 of each certificate that it is sealed to, hex.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The certificate that signed what is kept of its custody record, Base64 of DER; none in what was sealed before that
    /// was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody_signer: Option<String>,
    /// That our copy was removed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<CopyGone>,
}

/// The attempts to deliver it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFacts {
    /// The ledger entry that was made before the first byte left.
    pub sent_entry: Option<u64>,
    /// That entry's leaf, hex.
    pub sent_leaf: Option<String>,
    /// How many attempts have failed since the last one that moved something.
    pub failures: u32,
    pub next_attempt_at: Option<Timestamp>,
    /// What stood in the way of the last attempt, in words for people.
    pub last_problem: Option<String>,
    /// The way that it takes; none is the push to the partner's server.
    #[serde(default)]
    pub route: Option<String>,
    /// Where that way led when it was asked for, or when somebody said "again": the name may lead elsewhere by now.
    #[serde(default)]
    pub place: Option<String>,
    /// That it was laid down.
    #[serde(default)]
    pub laid: Option<LaidFacts>,
    /// How far it is with removing it there, once it was taken back or its offer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearing: Option<Clearing>,
}

/// A receipt as it came, and what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFacts {
    pub at: Timestamp,
    pub accepted: bool,
    /// SHA-256 of `receipt.json`, hex.
    pub digest: String,
    /// The entry in the receiver's ledger that the receipt names.
    pub receiver_entry: Option<u64>,
    /// The receiver's checkpoint that covers it (a C2SP note).
    pub receiver_checkpoint: Option<String>,
    /// Our own entry: of the anchoring where we sent, of the issuing where we received.
    pub entry: u64,
    /// `receipt.json` as it was signed.
    pub json: String,
    /// Its detached CMS signature, Base64 of DER.
    pub signature: String,
}

/// Why a parcel did not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalFacts {
    pub at: Timestamp,
    /// The part or file, and the place in it.
    pub place: String,
    pub reason: String,
    /// Our own ledger entry.
    pub entry: u64,
    /// The partner's, where the partner refused.
    pub partner_entry: Option<u64>,
}

/// What the sealed column of an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportDetails {
    pub title: String,
    pub requester: Actor,
    pub request_entry: u64,
    pub why: Why,
    pub items: Vec<Item>,
    /// Who at the partner asked for it.
    #[serde(default)]
    pub requestor: Option<String>,
    /// The exhibit's number, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhibit: Option<String>,
    /// How the sender of what is passed on consented to that, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// What of the records stayed here, in words.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// The rows of each query as they were shown and asked for.
    #[serde(default)]
    pub listed: Vec<Listed>,
    /// That they were others when it was to be sealed.
    #[serde(default)]
    pub changed: Option<ChangedFacts>,
    /// Conflicts of jurisdictions' rules, and what somebody decided.
    #[serde(default)]
    pub settled: Vec<Settled>,
    pub approvals: Vec<Voice>,
    pub rejection: Option<Voice>,
    pub sealed: Option<SealedFacts>,
    /// An authority's word on when it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<StampFacts>,
    /// That it goes without, where it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstamped: Option<UnstampedFacts>,
    pub delivery: DeliveryFacts,
    pub receipt: Option<ReceiptFacts>,
    pub refusal: Option<RefusalFacts>,
    #[serde(default)]
    pub recall: Option<RecallFacts>,
    /// What the partner told us of it since.
    #[serde(default)]
    pub told: Vec<ToldFacts>,
    /// Persons at the partner who may fetch it.
    #[serde(default)]
    pub guests: Vec<GuestFacts>,
}

/// An export, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    pub id: Uuid,
    pub status: ExportStatus,
    /// The partner's ORI.
    pub partner: String,
    /// The agreement's id.
    pub agreement: String,
    pub requested_at: Timestamp,
    pub updated_at: Timestamp,
    /// The exchange's name in both ledgers.
    pub exchange: Option<Uuid>,
    pub parcel: Option<Uuid>,
    /// Its number among all that was ever sent to this partner, from 1 without gaps.
    pub number: Option<u64>,
    pub details: ExportDetails,
}

pub(crate) type ExportRow = state::exports::Export<ExportDetails>;

impl Export {
    pub(crate) fn of(row: ExportRow) -> Result<Self, ExchangeError> {
        Ok(Self {
            id: row.id,
            status: ExportStatus::parse(&row.status)?,
            partner: row.partner,
            agreement: row.agreement,
            requested_at: row.requested_at,
            updated_at: row.updated_at,
            exchange: row.exchange,
            parcel: row.parcel,
            number: row.number,
            details: row.details,
        })
    }
}

/// One file of a received parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceivedFile {
    pub path: String,
    pub media_type: String,
    pub length: u64,
    /// Hex.
    pub sha256: String,
    /// What it was made of, where the custody record says that it is no original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derived: Option<DerivedFrom>,
    /// What it is by its content; none before somebody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// What a received parcel says of itself inside, now that it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    pub purpose: String,
    pub authority: String,
    pub case_number: Option<String>,
    /// Caveats that we are held to.
    pub handling: Vec<String>,
    /// The classes of the records; empty where the sender names none.
    #[serde(default)]
    pub record_classes: Vec<String>,
    pub retention: Option<String>,
    pub files: Vec<ReceivedFile>,
    /// How much of the custody record ledgers bear out; none where it is in another form.
    #[serde(default)]
    pub proved: Option<Proved>,
    /// How its key was sent, where that was by no approved service of the module: the mark of the parcel.
    #[serde(default)]
    pub key_transport: Option<String>,
    /// The time stamp that came along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<CameStamp>,
    /// What a person should see before it is accepted, where others brought it.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// What the sealed column of an incoming parcel holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncomingDetails {
    pub sender_name: String,
    pub agreement: String,
    pub parts: u64,
    pub offer_entry: u64,
    /// The sender's entry, leaf and checkpoint, as the offer brought them.
    pub sender_entry: u64,
    pub sender_leaf: String,
    pub sender_checkpoint: String,
    pub received_at: Option<Timestamp>,
    pub received_entry: Option<u64>,
    pub inside: Option<Inside>,
    /// What it is a redacted copy of, where somebody here made it.
    #[serde(default)]
    pub redaction: Option<Redaction>,
    pub receipt: Option<ReceiptFacts>,
    pub refusal: Option<RefusalFacts>,
    /// When the sender's offer ends, where it does.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// What the malware scanner said; none before it did.
    #[serde(default)]
    pub scan: Option<ScanFacts>,
    /// Why it has not, where it was asked.
    #[serde(default)]
    pub scan_trouble: Option<ScanTrouble>,
    /// The certificate that its signature was verified with when it came, Base64 of DER: it is that one's for good,
    /// whatever certificate its sender has by now. None in what came before this was kept.
    #[serde(default)]
    pub signer: Option<String>,
    #[serde(default)]
    pub afterwards: Afterwards,
}

/// A partner's parcel, for pages. What is in it needs [`crate::Exchange::contents`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// The exchange's name in both ledgers.
    pub exchange: Uuid,
    pub parcel: Uuid,
    /// The sender's ORI.
    pub partner: String,
    pub sender_name: String,
    /// Whether a person took it in here from somebody who signed nothing; then `partner` is ourselves.
    pub brought: bool,
    /// Its number among all that this partner ever sent to us.
    pub number: u64,
    /// SHA-256 of the outer tag manifest, hex.
    pub digest: String,
    pub parts: u64,
    pub bytes: u64,
    pub status: IncomingStatus,
    pub offered_at: Timestamp,
    pub updated_at: Timestamp,
    pub received_entry: Option<u64>,
    pub sender_entry: u64,
    /// How many files are in it, once it was verified.
    pub files: Option<usize>,
    /// What it says of itself inside, once it was verified. What is in it is CJI: it is shown through the gate.
    pub inside: Option<Inside>,
    /// The agreement that its offer names; empty where it was taken in here.
    pub agreement: String,
    /// How many of them a person should look at twice; none before all were looked at.
    pub odd: Option<usize>,
    /// What it is a redacted copy of, where somebody here made it.
    pub redaction: Option<Redaction>,
    pub receipt: Option<ReceiptFacts>,
    pub refusal: Option<RefusalFacts>,
    pub scan: Option<ScanSummary>,
    pub scan_trouble: Option<ScanTrouble>,
    /// What people here, and its sender, did about it since.
    pub afterwards: Afterwards,
}

pub(crate) type IncomingRow = state::parcels::Parcel<IncomingDetails>;

impl Incoming {
    pub(crate) fn of(row: IncomingRow) -> Result<Self, ExchangeError> {
        let details = row.details;
        let odd = details.inside.as_ref().filter(|inside| !is_unseen(inside)).map(|inside| {
            let odd = |file: &&ReceivedFile| file.seen.as_ref().is_some_and(|seen| seen.odd);
            inside.files.iter().filter(odd).count()
        });
        Ok(Self {
            exchange: row.exchange,
            parcel: row.parcel,
            partner: row.partner,
            odd,
            sender_name: details.sender_name,
            // A partner's offer always names one.
            brought: details.agreement.is_empty(),
            number: row.number,
            digest: hex::encode(row.digest),
            parts: details.parts,
            bytes: row.bytes,
            status: IncomingStatus::parse(&row.status)?,
            offered_at: row.offered_at,
            updated_at: row.updated_at,
            received_entry: details.received_entry,
            sender_entry: details.sender_entry,
            files: details.inside.as_ref().map(|inside| inside.files.len()),
            inside: details.inside,
            agreement: details.agreement,
            redaction: details.redaction,
            receipt: details.receipt,
            refusal: details.refusal,
            scan: details.scan.as_ref().map(ScanSummary::of),
            scan_trouble: details.scan_trouble,
            afterwards: details.afterwards,
        })
    }
}
