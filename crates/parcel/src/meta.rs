//! `transfer.json` and `index.json`: what the parcel is for, and where each file lies in it.

use std::fmt;

use jiff::Timestamp;
use keys::cert::Certificate;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{ENTRIES_MAX, PARTS_MAX, SealError};

/// Longest value of one field of a [`Transfer`].
const FIELD_BYTES_MAX: usize = 4_096;

/// An agency at one end of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Nine-character Originating Agency Identifier.
    pub ori: String,
    pub name: String,
}

/// Why and for whom the parcel is made. Sealed inside; nothing of it is outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The exchange that both ledgers name.
    pub exchange_id: String,
    /// Its number in the sender's sequence for this recipient, from 1 without gaps; none where the sender keeps none.
    #[serde(default, deserialize_with = "numbered", skip_serializing_if = "Option::is_none")]
    pub exchange_number: Option<u64>,
    pub purpose: String,
    /// The agreement, statute or warrant that allows it.
    pub authority: String,
    pub case_number: Option<String>,
    /// Caveats that the receiver is held to.
    pub handling: Vec<String>,
    /// The classes of the records, in the sender's words; empty where it names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub record_classes: Vec<String>,
    pub retention: Option<String>,
    pub sender: Party,
    pub recipient: Party,
}

impl Transfer {
    pub(crate) fn check(&self) -> Result<(), SealError> {
        let given = [
            ("exchange_id", &self.exchange_id, true),
            ("purpose", &self.purpose, true),
            ("authority", &self.authority, true),
            ("sender.ori", &self.sender.ori, true),
            ("sender.name", &self.sender.name, true),
            ("recipient.ori", &self.recipient.ori, true),
            ("recipient.name", &self.recipient.name, true),
        ];
        let given = given.into_iter().map(|(field, text, needed)| (field, text.as_str(), needed));
        let case_number = self.case_number.iter().map(|text| ("case_number", text.as_str(), false));
        let retention = self.retention.iter().map(|text| ("retention", text.as_str(), false));
        let handling = self.handling.iter().map(|text| ("handling", text.as_str(), false));
        let classes = self.record_classes.iter();
        let classes = classes.map(|text| ("record_classes", text.as_str(), true));
        let all = given.chain(case_number).chain(retention).chain(handling).chain(classes);
        for (field, text, needed) in all {
            if needed && text.trim().is_empty() {
                return Err(SealError::Transfer { field, why: "empty" });
            }
            if text.len() > FIELD_BYTES_MAX {
                return Err(SealError::Transfer { field, why: "longer than 4096 bytes" });
            }
            if text.chars().any(char::is_control) {
                return Err(SealError::Transfer { field, why: "with control characters" });
            }
        }
        if self.exchange_number == Some(0) {
            return Err(SealError::Transfer {
                field: "exchange_number",
                why: "numbers begin at 1",
            });
        }
        crate::error::limit("record classes", self.record_classes.len() as u64, 256)?;
        crate::error::limit("handling caveats", self.handling.len() as u64, 256)
    }
}

/// `metadata/transfer.json`: the transfer, bound to the parcel and to the certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRecord {
    pub profile: String,
    pub parcel: Uuid,
    pub sealed_at: Timestamp,
    /// SHA-256 of the signer's certificate, hex.
    pub sender_certificate: String,
    /// SHA-256 of the certificates that the parcel was first sealed to, hex, ascending.
    pub recipient_certificates: Vec<String>,
    /// [`RSA_OAEP`], where a recipient's key goes by that: no approved service of the module. Else none.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub key_transport: Option<String>,
    pub transfer: Transfer,
}

/// What is there is a number from 1 on, and not `null`.
fn numbered<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    std::num::NonZeroU64::deserialize(from).map(|number| Some(number.get()))
}

/// What is there is a text: `null` is another form than the field's absence.
fn said<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    String::deserialize(from).map(Some)
}

/// One file of a parcel, as `metadata/index.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedFile {
    /// The path below the inner bag's `data/`.
    pub path: String,
    pub media_type: String,
    /// Where the file's first byte lies in the archive.
    pub offset: u64,
    pub length: u64,
    /// Whole seconds.
    pub modified: Timestamp,
    /// Hex.
    pub sha256: String,
}

/// `metadata/index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    pub(crate) profile: String,
    pub(crate) parcel: Uuid,
    pub(crate) part_size: u64,
    /// Where the archive's data section ends and its metadata section begins.
    pub(crate) metadata_offset: u64,
    /// Every file, in the archive's order.
    #[serde(deserialize_with = "listed_files")]
    pub(crate) files: Vec<IndexedFile>,
    /// SHA-256, hex, of what each part carries of the data section.
    #[serde(deserialize_with = "listed_leaves")]
    pub(crate) leaves: Vec<String>,
}

/// As many files as a parcel may have, and not one more is looked at.
fn listed_files<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IndexedFile>, D::Error> {
    from.deserialize_seq(Listed { most: ENTRIES_MAX, sound: |_: &IndexedFile| true })
}

/// As many as there may be parts.
fn listed_leaves<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let most = usize::try_from(PARTS_MAX).unwrap_or(usize::MAX);
    let is_digest =
        |leaf: &String| leaf.len() == 64 && leaf.bytes().all(|byte| byte.is_ascii_hexdigit());
    from.deserialize_seq(Listed { most, sound: is_digest })
}

/// A list that is refused at the first item too many, and at one that is not sound.
struct Listed<T> {
    most: usize,
    sound: fn(&T) -> bool,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Listed<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {}", self.most)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = seq.next_element()? {
            if out.len() >= self.most || !(self.sound)(&item) {
                return Err(A::Error::custom("too long a list, or an item of another form"));
            }
            out.push(item);
        }
        Ok(out)
    }
}

/// How a parcel is marked whose content key goes to a recipient by RSA.
pub const RSA_OAEP: &str = "RSA-OAEP";
/// What that means, for people.
pub const RSA_OAEP_WORDS: &str =
    "RSA-OAEP, which is no approved service of the cryptographic module";

pub(crate) const CUSTODY_FILE: &str = "metadata/custody.jsonld";
/// The same for people; there if the sender wanted it.
pub(crate) const CUSTODY_DOCUMENT: &str = "metadata/custody.pdf";
pub(crate) const INDEX_FILE: &str = "metadata/index.json";
pub(crate) const TRANSFER_FILE: &str = "metadata/transfer.json";

/// JSON for people too, with a line's end at its end.
pub(crate) fn write_json(
    value: &impl Serialize,
    out: &mut dyn std::io::Write,
) -> Result<(), serde_json::Error> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n").map_err(serde_json::Error::io)
}

/// As [`write_json`], in memory.
pub(crate) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    write_json(value, &mut out)?;
    Ok(out)
}

/// Stands for a SHA-256 that is still to come: as long as one.
pub(crate) fn unknown_hash() -> String {
    "0".repeat(64)
}

/// Fingerprints in hex, ascending.
pub(crate) fn fingerprints(certificates: &[Certificate]) -> Vec<String> {
    let mut out: Vec<_> = certificates.iter().map(Certificate::fingerprint_text).collect();
    out.sort();
    out
}
