//! What becomes of a parcel after it left: facts for the sealed columns and for pages, on both sides.

use jiff::Timestamp;
use parcel::notice::Matter;
use policy::Actor;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::carried::CarriedFacts;
use crate::protocol::{NoticeAnswer, SignedText};
use crate::returned::AnsweredFacts;

/// At the sender: the export was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecallFacts {
    /// Who took it back; none where its offer expired.
    pub by: Option<Actor>,
    pub at: Timestamp,
    /// Our ledger entry.
    pub entry: u64,
    pub reason: String,
    /// How far it had come at the partner when the recall arrived: a word of [`crate::IncomingStatus`], or
    /// `unknown`. None: the partner has not heard of it yet, or there was nothing to tell it.
    pub stood: Option<String>,
    /// The partner's entry of the recall.
    pub partner_entry: Option<u64>,
    /// Reminders that were sent since.
    pub reminders: u32,
    pub remind_at: Option<Timestamp>,
    /// An answer that did not come from the partner's server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<AnsweredFacts>,
}

/// At the sender: one notice of the partner about an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldFacts {
    /// The partner's number of it.
    pub number: u64,
    pub matter: Matter,
    /// Who did it there.
    pub person: Option<String>,
    /// When it was done, by the partner's clock.
    pub at: Timestamp,
    /// Our entry of the anchoring, and the partner's of the act.
    pub entry: u64,
    pub partner_entry: u64,
    /// SHA-256 of `notice.json`, hex.
    pub digest: String,
}

/// Somebody here did something with a partner's parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActFacts {
    pub by: Actor,
    pub at: Timestamp,
    /// Our ledger entry, and its leaf (hex).
    pub entry: u64,
    pub leaf: String,
    /// Why, where that was asked for.
    pub reason: Option<String>,
}

/// At the receiver: the sender wants it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecalledFacts {
    pub at: Timestamp,
    /// Our entry of the anchoring.
    pub entry: u64,
    pub reason: String,
    pub reminders: u32,
}

/// At the receiver: what happened since it was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Afterwards {
    /// How it came, where it did not come by the push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<CarriedFacts>,
    pub accepted: Option<ActFacts>,
    pub rejected: Option<ActFacts>,
    /// The first opening.
    pub opened: Option<ActFacts>,
    pub recalled: Option<RecalledFacts>,
    pub kept: Option<ActFacts>,
    pub destroyed: Option<ActFacts>,
    /// When the sender's terms say that it is to be destroyed.
    pub destroy_by: Option<Timestamp>,
    /// How many days that is, and which agreement or rule says so.
    #[serde(default)]
    pub destroy_rule: Option<String>,
    /// The least number of days before it of which somebody was told.
    #[serde(default)]
    pub destroy_told: Option<i64>,
}

impl Afterwards {
    /// Whether its sender took it back and waits for an answer.
    pub fn awaits_answer(&self) -> bool {
        self.recalled.is_some() && self.kept.is_none() && self.destroyed.is_none()
    }
}

/// What the sealed column of a notice holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticeDetails {
    pub(crate) matter: Matter,
    pub(crate) parcel: Uuid,
    /// Of the parcel; empty where it was never sealed to its end.
    pub(crate) digest: String,
    pub(crate) exchange_number: u64,
    pub(crate) person: Option<String>,
    pub(crate) at: Timestamp,
    /// The signer's entry that it rests on, and its leaf (hex).
    pub(crate) entry: u64,
    pub(crate) leaf: String,
    /// As it was signed; none while it is a draft.
    pub(crate) text: Option<SignedText>,
    /// What the one who was told said to it.
    pub(crate) answer: Option<NoticeAnswer>,
    pub(crate) failures: u32,
    pub(crate) last_problem: Option<String>,
}

pub(crate) type NoticeRow = state::notices::Notice<NoticeDetails>;

/// A notice, for pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whether we told the partner; otherwise it told us.
    pub ours: bool,
    pub number: u64,
    pub matter: Matter,
    pub person: Option<String>,
    pub at: Timestamp,
    /// The signer's entry.
    pub entry: u64,
    /// The entry of the one who was told, once there is one.
    pub anchored: Option<u64>,
    pub last_problem: Option<String>,
}

impl Told {
    pub(crate) fn of(row: NoticeRow) -> Self {
        let details = row.details;
        Self {
            ours: row.way == state::notices::Way::Out,
            number: row.number,
            matter: details.matter,
            person: details.person,
            at: details.at,
            entry: details.entry,
            anchored: details.answer.map(|answer| answer.ledger.entry),
            last_problem: details.last_problem,
        }
    }
}
