//! Cosignatures (C2SP tlog-cosignature, Ed25519, `cosignature/v1`, type 0x04): a witness's word that, at
//! a time, a checkpoint was the largest that it knew of a log, and continued all before.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use keys::sign::{Ed25519Key, ed25519_verify};

use crate::note::{
    Checkpoint, NOTE_SIGNATURES_MAX, NoteError, key_id, parse_key, show_key, signature, split,
};

const COSIGNATURE: u8 = 0x04;
/// Key id, time and signature.
const BLOB_BYTES: usize = 4 + 8 + 64;

/// Why there is no cosignature to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CosignatureError {
    #[error("not a list of signature lines")]
    Malformed,
    #[error("no cosignature by the expected key")]
    Absent,
    #[error("the cosignature by the expected key does not verify")]
    Signature,
    #[error("the note would have more than {NOTE_SIGNATURES_MAX} signatures")]
    TooMany,
}

impl From<NoteError> for CosignatureError {
    fn from(_: NoteError) -> Self {
        Self::Malformed
    }
}

/// A witness's public key by name: `name+hash+key`, of type 0x04.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    pub name: String,
    pub public: [u8; 32],
}

impl WitnessKey {
    /// Parses `witness.example/w1+5f0c1d2a+BHh…`; the hash must be the key's.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, public) = parse_key(text, COSIGNATURE)?;
        Ok(Self { name, public })
    }

    /// The first four bytes of SHA-256 of name, newline, 0x04 and key.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, COSIGNATURE, &self.public)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_key(&self.name, COSIGNATURE, &self.public))
    }
}

/// One witness's cosignature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made, by the witness's clock, to the second.
    pub at: Timestamp,
    pub signature: [u8; 64],
}

impl Cosignature {
    /// Cosigns a checkpoint's text at a time that is not before 1970.
    pub fn sign(text: &str, at: Timestamp, signer: &Ed25519Key) -> Self {
        let seconds = at.as_second().max(0);
        let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { at, signature: signer.sign(message(text, seconds).as_bytes()) }
    }

    /// The note's line for it.
    pub fn line(&self, key: &WitnessKey) -> String {
        let seconds = self.at.as_second().to_be_bytes();
        let blob = [key.id().as_slice(), &seconds, &self.signature].concat();
        format!("\u{2014} {} {}\n", key.name, BASE64.encode(blob))
    }

    /// The cosignature by `key` among signature lines, verified over the checkpoint's text. Lines of
    /// other keys are passed over; of several by this key the newest counts.
    pub fn find(text: &str, lines: &str, key: &WitnessKey) -> Result<Self, CosignatureError> {
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err(CosignatureError::Malformed);
        }
        if lines.lines().count() > NOTE_SIGNATURES_MAX {
            return Err(CosignatureError::TooMany);
        }
        let mut found: Option<Self> = None;
        for line in lines.lines() {
            let (name, blob) = signature(line)?;
            let Some((id, rest)) = blob.split_first_chunk::<4>() else {
                return Err(CosignatureError::Malformed);
            };
            if name != key.name || *id != key.id() {
                continue;
            }
            let one = Self::parse(rest).ok_or(CosignatureError::Malformed)?;
            let signed = message(text, one.at.as_second());
            ed25519_verify(&key.public, signed.as_bytes(), &one.signature)
                .map_err(|_| CosignatureError::Signature)?;
            if found.is_none_or(|other| other.at < one.at) {
                found = Some(one);
            }
        }
        found.ok_or(CosignatureError::Absent)
    }

    /// The cosignature by `key` on a note.
    pub fn on(note: &str, key: &WitnessKey) -> Result<Self, CosignatureError> {
        let (text, lines) = split(note)?;
        Self::find(text, lines, key)
    }

    fn parse(blob: &[u8]) -> Option<Self> {
        if blob.len() + 4 != BLOB_BYTES {
            return None;
        }
        let (seconds, sig) = blob.split_first_chunk::<8>()?;
        // At most 2^63 - 1, says the format; and a time that there is.
        let seconds = i64::try_from(u64::from_be_bytes(*seconds)).ok()?;
        let at = Timestamp::from_second(seconds).ok()?;
        Some(Self { at, signature: sig.try_into().ok()? })
    }
}

/// What is signed: two lines, then the checkpoint's text.
fn message(text: &str, seconds: i64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// The note with this cosignature on it, in place of an earlier one by the same key.
pub fn cosigned(
    note: &str,
    key: &WitnessKey,
    cosignature: &Cosignature,
) -> Result<String, CosignatureError> {
    let (text, lines) = split(note)?;
    let mut out = format!("{text}\n");
    let mut count = 1;
    for line in lines.lines() {
        let (name, blob) = signature(line)?;
        if name == key.name && blob.starts_with(&key.id()) {
            continue;
        }
        count += 1;
        out.push_str(line);
        out.push('\n');
    }
    if count > NOTE_SIGNATURES_MAX {
        return Err(CosignatureError::TooMany);
    }
    out.push_str(&cosignature.line(key));
    Ok(out)
}

/// The text of a note, which is what is signed.
pub(crate) fn text_of(note: &str) -> Result<&str, NoteError> {
    Checkpoint::parse(note)?;
    split(note).map(|(text, _)| text)
}
