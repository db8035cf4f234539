//! Holds: what they are on, and whether a record is under one.
//!
//! Invariant: in doubt, a record is kept.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::envelope::Bucket;
use crate::record::{EntryNumber, StoredRecord};

/// A hold's name: 1 to 64 lower-case letters, digits or dashes, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldName(String);

/// Not the name of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hold's name is 1 to 64 lower-case letters, digits or dashes")]
pub struct NotAHoldName;

impl HoldName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HoldName {
    type Err = NotAHoldName;

    fn from_str(text: &str) -> Result<Self, NotAHoldName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let sound = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| plain(byte) || byte == b'-')
            && text.bytes().next().is_some_and(plain);
        sound.then(|| Self(text.to_owned())).ok_or(NotAHoldName)
    }
}

/// A subject's mark under one index key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochMark {
    /// The epoch of the index key, from 1.
    pub epoch: u32,
    /// In hexadecimal.
    pub mark: String,
}

/// What a hold is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum HoldScope {
    /// Records with this case number.
    Case { number: String },
    /// Records about a person, vehicle, case or document: its mark under each index key that was
    /// there when the hold was placed. Of records whose marks were made under another key nobody
    /// can tell: they are kept if they are about anybody or anything of this kind.
    Subject { kind: String, marks: Vec<EpochMark> },
    /// Records of what this account did.
    Actor { actor: String },
    /// Records of what went to or came from this partner.
    Partner { partner: String },
    /// The entries from `first` to `last`.
    Entries { first: u64, last: u64 },
    /// A whole bucket.
    Bucket { bucket: Bucket },
}

impl fmt::Display for HoldScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case { number } => write!(f, "case {number}"),
            Self::Subject { kind, .. } => write!(f, "one {kind}"),
            Self::Actor { actor } => write!(f, "what {actor} did"),
            Self::Partner { partner } => write!(f, "partner {partner}"),
            Self::Entries { first, last } => write!(f, "entries {first} to {last}"),
            Self::Bucket { bucket } => write!(f, "bucket {}", bucket.name()),
        }
    }
}

impl HoldScope {
    /// Whether an entry that expires in `bucket` is under this.
    pub fn covers(&self, entry: u64, bucket: Bucket, record: &StoredRecord) -> bool {
        match self {
            Self::Case { number } => {
                record.why.case_number.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(number))
            }
            Self::Subject { kind, marks } => {
                let known = marks.iter().find(|it| it.epoch == record.epoch);
                let is_it = |mark: &[u8; 32]| known.is_none_or(|it| it.mark == hex::encode(mark));
                record.subjects.iter().any(|it| it.kind == *kind && is_it(&it.mark))
            }
            Self::Actor { actor } => record.who.as_ref().is_some_and(|who| who.actor == *actor),
            Self::Partner { partner } => record.event.facts().partner == Some(partner.as_str()),
            Self::Entries { first, last } => (*first..=*last).contains(&entry),
            Self::Bucket { bucket: held } => held.home() == bucket.home(),
        }
    }
}

/// A hold as the ledger tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub name: String,
    pub what: HoldScope,
    pub authority: String,
    /// From this moment on it holds no longer.
    pub until: Option<Timestamp>,
    /// The entry that placed it, and when.
    pub placed: EntryNumber,
    pub placed_at: Timestamp,
    /// Who placed it, by name.
    pub by: Option<String>,
    /// The entry that released it.
    pub released: Option<EntryNumber>,
}

impl Hold {
    /// Whether it holds.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.released.is_none() && self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Blind, Origin, Reason, Who};
    use crate::{Event, Retention};

    fn record() -> StoredRecord {
        let who = Who {
            actor: "idp|ruiz".to_owned(),
            name: "Elena Ruiz".to_owned(),
            agency: "NB0010100".to_owned(),
            functions: Vec::new(),
            session: None,
        };
        let why = Reason { case_number: Some("24-000113a".to_owned()), ..Reason::default() };
        StoredRecord {
            who: Some(who),
            origin: Origin::default(),
            why,
            epoch: 1,
            subjects: vec![Blind { kind: "person".to_owned(), mark: [5; 32] }],
            event: Event::ExportRequested {
                export: "e".to_owned(),
                agreement: "a".to_owned(),
                partner: "NB0020000".to_owned(),
            },
        }
    }

    #[test]
    fn a_hold_covers_what_it_names_and_nothing_else() {
        let text = str::to_owned;
        let bucket = Bucket { class: Retention::Standard, month: 202_911, held: 0 };
        let other = Bucket { month: 202_912, ..bucket };
        let under = |epoch, mark: [u8; 32]| EpochMark { epoch, mark: hex::encode(mark) };
        let subject = |kind, mark: [u8; 32]| HoldScope::Subject {
            kind: text(kind),
            marks: vec![under(2, [1; 32]), under(1, mark)],
        };
        let of_other_keys = |kind, mark| HoldScope::Subject {
            kind: text(kind),
            marks: vec![under(2, mark), under(3, mark)],
        };
        let cases = [
            (HoldScope::Case { number: text("24-000113A") }, true),
            (HoldScope::Case { number: text("24-000113") }, false),
            (subject("person", [5; 32]), true),
            (subject("person", [6; 32]), false),
            (subject("vehicle", [5; 32]), false),
            (subject("person", [1; 32]), false),
            // The record's marks are of epoch 1: whether this is the person nobody can tell.
            (of_other_keys("person", [6; 32]), true),
            (of_other_keys("vehicle", [5; 32]), false),
            (HoldScope::Actor { actor: text("idp|ruiz") }, true),
            (HoldScope::Actor { actor: text("idp|rui") }, false),
            (HoldScope::Partner { partner: text("NB0020000") }, true),
            (HoldScope::Partner { partner: text("NB0030000") }, false),
            (HoldScope::Entries { first: 7, last: 7 }, true),
            (HoldScope::Entries { first: 8, last: 9 }, false),
            (HoldScope::Entries { first: 9, last: 6 }, false),
            (HoldScope::Bucket { bucket }, true),
            (HoldScope::Bucket { bucket: bucket.next_held().unwrap() }, true),
            (HoldScope::Bucket { bucket: other }, false),
        ];
        for (scope, covered) in cases {
            assert_eq!(scope.covers(7, bucket, &record()), covered, "{scope}");
            // Wherever holds have moved it meanwhile.
            let moved = bucket.next_held().unwrap();
            assert_eq!(scope.covers(7, moved, &record()), covered, "{scope}");
            let json = serde_json::to_string(&scope).unwrap();
            assert_eq!(serde_json::from_str::<HoldScope>(&json).unwrap(), scope);
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "0", "lit-2026-4", &"x".repeat(64)] {
            assert_eq!(name.parse::<HoldName>().unwrap().as_str(), name);
        }
        for name in ["", "-a", "A", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(name.parse::<HoldName>(), Err(NotAHoldName), "{name}");
        }
    }

    #[test]
    fn a_hold_ends_with_its_day_or_its_release() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let hold = Hold {
            name: "lit".to_owned(),
            what: HoldScope::Case { number: "1".to_owned() },
            authority: "court".to_owned(),
            until: Some(at("2027-01-01T00:00:00Z")),
            placed: EntryNumber(3),
            placed_at: at("2026-01-01T00:00:00Z"),
            by: None,
            released: None,
        };
        assert!(hold.is_active(at("2026-12-31T23:59:59.999Z")));
        assert!(!hold.is_active(at("2027-01-01T00:00:00Z")));
        assert!(Hold { until: None, ..hold.clone() }.is_active(at("9000-01-01T00:00:00Z")));
        let released = Hold { released: Some(EntryNumber(4)), until: None, ..hold };
        assert!(!released.is_active(at("2026-01-02T00:00:00Z")));
    }
}
