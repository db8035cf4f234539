//! Entries that prove themselves: one, or a range, with a signed checkpoint and nothing else of the
//! ledger. For a court, a partner, or an auditor's own copy.
//!
//! Reading is pure: bytes in, an answer out. `docs/formats/ledger.md` has both files to the byte.

mod copy;
mod entry;
mod live;
mod proof;
mod range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Damage;
use crate::merkle::{Hash, ProofError};
use crate::note::{Checkpoint, NoteError, VerifierKey};

pub use copy::{Disclose, LogCopy};
pub use entry::{Content, Disclosed, EvidenceEntry};
pub use proof::{EntryProof, PATH_HASHES_MAX};
pub use range::{RANGE_ENTRIES_MAX, RangeProof};

/// Longest evidence that is written or read, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 256 << 20;

/// Evidence of either form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Of one entry.
    Entry(EntryProof),
    /// Of consecutive entries.
    Range(RangeProof),
}

impl Evidence {
    /// Reads a file of either form, which its first line tells. It proves nothing before [`Self::check`].
    ///
    /// # Errors
    /// [`EvidenceError::Line`] names the line.
    pub fn parse(text: &str) -> Result<Self, EvidenceError> {
        match text.split('\n').next() {
            Some(proof::MAGIC) => EntryProof::parse(text).map(Self::Entry),
            Some(range::MAGIC) => RangeProof::parse(text).map(Self::Range),
            _ => {
                let expected = "`c2sp.org/tlog-proof@v1` or `bailiwick-ledger-range@v1`";
                Err(EvidenceError::Line { line: 1, expected })
            }
        }
    }

    /// The file.
    pub fn text(&self) -> String {
        match self {
            Self::Entry(proof) => proof.text(),
            Self::Range(range) => range.text(),
        }
    }

    /// Checks it against the log's key, which comes from elsewhere.
    ///
    /// # Errors
    /// [`EvidenceError`] says what does not hold.
    pub fn check(&self, key: &VerifierKey) -> Result<Checkpoint, EvidenceError> {
        match self {
            Self::Entry(proof) => proof.check(key),
            Self::Range(range) => range.check(key),
        }
    }

    /// What it is about, in order.
    pub fn entries(&self) -> &[EvidenceEntry] {
        match self {
            Self::Entry(proof) => std::slice::from_ref(&proof.entry),
            Self::Range(range) => &range.entries,
        }
    }
}

/// Why evidence could not be taken from a folder, or does not prove what it says.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The folder is not as it was written.
    #[error("the ledger does not hold")]
    Damaged(#[from] Damage),
    /// The entries that were asked for are not there.
    #[error("the ledger has {have} entries; {asked}")]
    NoEntry {
        /// Entries in the ledger.
        have: u64,
        /// What was asked for and can't be had.
        asked: String,
    },
    /// The master key is another ledger's.
    #[error("the records of `{bucket}` do not open with this agency's master key")]
    WrongKey {
        /// The bucket.
        bucket: String,
    },
    /// It is too long: for fewer entries, take several files.
    #[error("the evidence has {bytes} bytes or more; one file has at most {max}")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A line is not what has to stand there.
    #[error("line {line}: expected {expected}")]
    Line {
        /// From 1.
        line: usize,
        /// What has to stand there.
        expected: &'static str,
    },
    /// An envelope is of another ledger, or out of its place.
    #[error("the envelope of entry {entry} is not the one of its place")]
    Envelope {
        /// The place.
        entry: u64,
    },
    /// What is disclosed of an entry is not what was recorded.
    #[error("what is disclosed of entry {entry} is not what was recorded")]
    Disclosure {
        /// The entry.
        entry: u64,
    },
    /// The checkpoint is not signed by the expected key, or is none.
    #[error("the checkpoint does not hold")]
    Checkpoint(#[from] NoteError),
    /// The hashes do not lead to the checkpoint's root.
    #[error("the entries are not those that the checkpoint signs for")]
    Proof(#[from] ProofError),
}

/// The lines of a text, counted, with what is expected of each.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    /// The lines after the first, which must be `magic`.
    fn after(magic: &'static str, text: &'a str) -> Result<Self, EvidenceError> {
        if text.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLarge { bytes: text.len(), max: EVIDENCE_BYTES_MAX });
        }
        let mut lines = Self { rest: text, line: 0 };
        if lines.next(magic)? == magic { Ok(lines) } else { Err(lines.wrong(magic)) }
    }

    fn wrong(&self, expected: &'static str) -> EvidenceError {
        EvidenceError::Line { line: self.line, expected }
    }

    /// The next line, without its newline.
    fn next(&mut self, expected: &'static str) -> Result<&'a str, EvidenceError> {
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or_else(|| self.wrong(expected))?;
        self.rest = rest;
        Ok(line)
    }

    /// The hash of the next line, which begins with this word and a space.
    fn hash_after(&mut self, word: &'static str) -> Result<Hash, EvidenceError> {
        let text = self.next(word)?.strip_prefix(word).ok_or_else(|| self.wrong(word))?;
        self.hash(text)
    }

    fn bytes(&self, text: &str, expected: &'static str) -> Result<Vec<u8>, EvidenceError> {
        BASE64.decode(text).map_err(|_| self.wrong(expected))
    }

    fn hash(&self, text: &str) -> Result<Hash, EvidenceError> {
        let expected = "a SHA-256 hash in Base64";
        self.bytes(text, expected)?.try_into().map_err(|_| self.wrong(expected))
    }
}

/// A decimal number in its one spelling.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}
