//! A record on its way in, and an entry as it is read back.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// The place of an entry in the ledger, from 0 and without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryNumber(pub u64);

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A durable entry: its number, its time (UTC, whole milliseconds) and its Merkle leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub entry: EntryNumber,
    pub at: Timestamp,
    pub leaf: [u8; 32],
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The person, or none where the platform itself acts or nobody is known yet.
    pub who: Option<Who>,
    pub origin: Origin,
    pub why: Reason,
    /// Whom and what it is about. Only their blinded marks are stored.
    pub subjects: Vec<Subject>,
    pub event: Event,
}

impl Record {
    /// A record of something that the platform did by itself.
    pub fn platform(event: Event) -> Self {
        Self {
            who: None,
            origin: Origin::default(),
            why: Reason::default(),
            subjects: Vec::new(),
            event,
        }
    }
}

/// The person who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The stable account key.
    pub actor: String,
    pub name: String,
    /// ORI of the person's agency.
    pub agency: String,
    pub functions: Vec<String>,
    /// First digits of the session's hash: tells sessions apart, opens none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// From where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reason {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whom or what a record is about: never stored, only its [`Blind`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// `person`, `vehicle`, `case`, `document`, `exchange` or `export`.
    pub kind: String,
    pub id: String,
}

/// A subject's mark: HMAC-SHA-256 of kind and identifier under the index key. Whoever knows the
/// identifier and holds the key can find it; nobody can turn it back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blind {
    pub kind: String,
    pub mark: [u8; 32],
}

/// A record as it is kept: the subjects blinded, all else as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    #[serde(default)]
    pub origin: Origin,
    #[serde(default)]
    pub why: Reason,
    #[serde(default, with = "marks", skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Blind>,
    /// The epoch of the index key under which the marks were made, from 1.
    #[serde(default = "first_epoch", skip_serializing_if = "is_first_epoch")]
    pub epoch: u32,
    pub event: Event,
}

/// Before keys were rotated there was one.
fn first_epoch() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first_epoch(epoch: &u32) -> bool {
    *epoch == 1
}

/// One entry, read back and held against its commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: EntryNumber,
    /// UTC, whole milliseconds.
    pub at: Timestamp,
    /// The clock stood earlier than at an entry before; order is by number, not by time.
    pub clock_stepped_back: bool,
    pub record: StoredRecord,
    pub leaf: [u8; 32],
    pub position: Position,
}

/// Where an entry's envelope lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Path inside the ledger's folder.
    pub file: String,
    pub offset: u64,
}

/// Marks grouped by kind, 32 bytes each one after another, in Base64: a release of many rows
/// stays small.
mod marks {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use super::Blind;

    pub(super) fn serialize<S: Serializer>(
        subjects: &[Blind],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut grouped: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for subject in subjects {
            grouped.entry(&subject.kind).or_default().extend_from_slice(&subject.mark);
        }
        let encoded: BTreeMap<&str, String> =
            grouped.into_iter().map(|(kind, marks)| (kind, BASE64.encode(marks))).collect();
        encoded.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Blind>, D::Error> {
        let encoded: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
        let mut subjects = Vec::new();
        for (kind, text) in encoded {
            let bytes =
                BASE64.decode(&text).map_err(|_| D::Error::custom("marks are no Base64"))?;
            let (marks, rest) = bytes.as_chunks::<32>();
            if !rest.is_empty() {
                return Err(D::Error::custom("marks are not 32 bytes each"));
            }
            subjects.extend(marks.iter().map(|mark| Blind { kind: kind.clone(), mark: *mark }));
        }
        Ok(subjects)
    }
}
