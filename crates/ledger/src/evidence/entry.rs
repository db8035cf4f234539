//! An entry as evidence carries it: its envelope, and as much of what it says as is disclosed.
//!
//! Invariant: what is disclosed is bound to the envelope by salted commitments, half by half, so that one
//! half can be shown without the other.

use super::EvidenceError;
use crate::bytes::Reader;
use crate::envelope::{ENVELOPE_BYTES, Envelope, Half, commit};

/// One half of what an entry says, and the salt that ties it to its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosed {
    /// Which half.
    pub half: Half,
    /// The salt of the commitment.
    pub salt: [u8; 32],
    /// JSON, or nothing.
    pub content: Vec<u8>,
}

/// What evidence says of an entry beside its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing was asked for.
    Sealed,
    /// One half or both, the shared one first.
    Disclosed(Vec<Disclosed>),
    /// It was asked for, and was disposed of before at the end of its schedule. This is what the one who
    /// took the evidence says; the proof is the entry of the disposition.
    Disposed,
}

/// An entry in evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// The entry as the tree knows it.
    pub envelope: Envelope,
    /// What is disclosed of it.
    pub content: Content,
}

const DISPOSED: u8 = b'd';

const fn mark(half: Half) -> u8 {
    match half {
        Half::Shared => b's',
        Half::Private => b'p',
    }
}

impl EvidenceEntry {
    /// The envelope, then for each disclosed half its mark, salt, length and bytes; or one `d`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.envelope.encode().to_vec();
        match &self.content {
            Content::Sealed => {}
            Content::Disposed => out.push(DISPOSED),
            Content::Disclosed(halves) => {
                for Disclosed { half, salt, content } in halves {
                    out.push(mark(*half));
                    out.extend_from_slice(salt);
                    out.extend_from_slice(&(content.len() as u64).to_be_bytes());
                    out.extend_from_slice(content);
                }
            }
        }
        out
    }

    /// Reads what [`Self::encode`] wrote, in its one spelling; anything else is `None`. Proves nothing.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (envelope, rest) = bytes.split_at_checked(ENVELOPE_BYTES)?;
        let envelope = Envelope::parse(envelope)?;
        let content = match rest {
            [] => Content::Sealed,
            [DISPOSED] => Content::Disposed,
            rest => Content::Disclosed(halves(rest)?),
        };
        Some(Self { envelope, content })
    }

    /// Whether what is disclosed is what was recorded.
    ///
    /// # Errors
    /// [`EvidenceError::Disclosure`] names the entry.
    pub fn check(&self) -> Result<(), EvidenceError> {
        let Content::Disclosed(halves) = &self.content else { return Ok(()) };
        let recorded = halves.iter().all(|Disclosed { half, salt, content }| {
            let commitment = match half {
                Half::Shared => self.envelope.shared,
                Half::Private => self.envelope.private,
            };
            commit(salt, *half, self.envelope.kind, content) == commitment
        });
        let entry = self.envelope.entry;
        if recorded { Ok(()) } else { Err(EvidenceError::Disclosure { entry }) }
    }

    /// What a half says, if it is disclosed.
    pub fn said(&self, wanted: Half) -> Option<&[u8]> {
        let Content::Disclosed(halves) = &self.content else { return None };
        halves.iter().find(|one| one.half == wanted).map(|one| one.content.as_slice())
    }
}

/// One half, or both with the shared one first.
fn halves(bytes: &[u8]) -> Option<Vec<Disclosed>> {
    let mut reader = Reader::new(bytes);
    let mut found: Vec<Disclosed> = Vec::new();
    while !reader.is_done() {
        let half = match (reader.u8()?, found.last().map(|one| one.half)) {
            (b's', None) => Half::Shared,
            (b'p', None | Some(Half::Shared)) => Half::Private,
            _ => return None,
        };
        let salt = reader.array()?;
        let length = usize::try_from(reader.u64()?).ok()?;
        found.push(Disclosed { half, salt, content: reader.slice(length)?.to_vec() });
    }
    Some(found)
}
