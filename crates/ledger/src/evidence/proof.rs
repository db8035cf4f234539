//! One entry in a C2SP tlog-proof (`c2sp.org/tlog-proof@v1`), whose extra data is the entry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Evidence, EvidenceEntry, EvidenceError, Lines, number};
use crate::merkle::{Hash, verify_inclusion};
use crate::note::{Checkpoint, VerifierKey};

pub(super) const MAGIC: &str = "c2sp.org/tlog-proof@v1";
/// A tree of 2^63 entries needs no more.
pub const PATH_HASHES_MAX: usize = 63;

/// That an entry is in the log of a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    /// The entry, and as much of what it says as is disclosed.
    pub entry: EvidenceEntry,
    /// The inclusion proof (RFC 9162 §2.1.3), from the leaf's sibling up.
    pub path: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

impl EntryProof {
    /// The file.
    pub fn text(&self) -> String {
        let extra = BASE64.encode(self.entry.encode());
        let mut text = format!("{MAGIC}\nextra {extra}\nindex {}\n", self.entry.envelope.entry);
        for hash in &self.path {
            text.push_str(&BASE64.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text + &self.checkpoint
    }

    /// Reads a file. It proves nothing before [`Self::check`].
    ///
    /// # Errors
    /// [`EvidenceError::Line`] names the line.
    pub fn parse(text: &str) -> Result<Self, EvidenceError> {
        let mut lines = Lines::after(MAGIC, text)?;
        let expected = "`extra` and the entry's envelope in Base64";
        let extra = lines.next(expected)?.strip_prefix("extra ");
        let extra = extra.ok_or_else(|| lines.wrong(expected))?;
        let entry = EvidenceEntry::parse(&lines.bytes(extra, expected)?);
        let entry = entry.ok_or_else(|| lines.wrong(expected))?;
        let expected = "`index` and the number of the entry";
        let index = lines.next(expected)?.strip_prefix("index ").and_then(number);
        let index = index.ok_or_else(|| lines.wrong(expected))?;
        if index != entry.envelope.entry {
            return Err(EvidenceError::Envelope { entry: index });
        }
        let mut path = Vec::new();
        loop {
            let line = lines.next("a hash, or an empty line")?;
            if line.is_empty() {
                break;
            }
            if path.len() == PATH_HASHES_MAX {
                return Err(lines.wrong("an empty line after 63 hashes"));
            }
            path.push(lines.hash(line)?);
        }
        Ok(Self { entry, path, checkpoint: lines.rest.to_owned() })
    }

    /// Checks it against the log's key, which comes from elsewhere: that the entry is in the log, and that
    /// what is disclosed of it is what was recorded. Gives the checkpoint that signs for it.
    ///
    /// # Errors
    /// [`EvidenceError`] says what does not hold.
    pub fn check(&self, key: &VerifierKey) -> Result<Checkpoint, EvidenceError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        let (entry, leaf) = (self.entry.envelope.entry, self.entry.envelope.leaf());
        verify_inclusion(entry, checkpoint.size, &leaf, &self.path, &checkpoint.root)?;
        self.entry.check()?;
        Ok(checkpoint)
    }
}

impl From<EntryProof> for Evidence {
    fn from(proof: EntryProof) -> Self {
        Self::Entry(proof)
    }
}
