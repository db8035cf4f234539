//! A range of entries, whole, and as much of what they say as is disclosed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Evidence, EvidenceEntry, EvidenceError, Lines, number};
use crate::merkle::{CompactRange, Hash, ProofError, perfect_subtrees};
use crate::note::{Checkpoint, VerifierKey};

pub(super) const MAGIC: &str = "bailiwick-ledger-range@v1";

/// Most entries in one file.
pub const RANGE_ENTRIES_MAX: u64 = 100_000;

/// Consecutive entries of the log of a signed checkpoint: none is missing and none is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeProof {
    /// The entries, and as much of what they say as is disclosed.
    pub entries: Vec<EvidenceEntry>,
    /// The perfect subtrees of all entries before, largest first.
    pub before: Vec<Hash>,
    /// Those of all entries after, in their order.
    pub after: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

impl RangeProof {
    /// The number of the first entry, and of the one after the last.
    pub fn bounds(&self) -> (u64, u64) {
        let first = self.entries.first().map_or(0, |entry| entry.envelope.entry);
        (first, first.saturating_add(self.entries.len() as u64))
    }

    /// The file.
    pub fn text(&self) -> String {
        let (from, to) = self.bounds();
        let mut text = format!("{MAGIC}\nrange {from} {to}\n");
        let mut line = |word: &str, bytes: &[u8]| {
            text.push_str(word);
            text.push(' ');
            BASE64.encode_string(bytes, &mut text);
            text.push('\n');
        };
        self.before.iter().for_each(|hash| line("before", hash));
        self.entries.iter().for_each(|entry| line("entry", &entry.encode()));
        self.after.iter().for_each(|hash| line("after", hash));
        text.push('\n');
        text + &self.checkpoint
    }

    /// Reads a file. It proves nothing before [`Self::check`].
    ///
    /// # Errors
    /// [`EvidenceError::Line`] names the line.
    pub fn parse(text: &str) -> Result<Self, EvidenceError> {
        let mut lines = Lines::after(MAGIC, text)?;
        let expected = "`range`, the first entry, and the one after the last";
        let bounds = lines.next(expected)?.strip_prefix("range ");
        let bounds = bounds.and_then(|text| text.split_once(' '));
        let bounds = bounds.and_then(|(from, to)| Some((number(from)?, number(to)?)));
        let (from, to) = bounds.ok_or_else(|| lines.wrong(expected))?;
        if from >= to || to - from > RANGE_ENTRIES_MAX {
            return Err(lines.wrong("a range of 1 to 100,000 entries"));
        }
        let (mut before, mut entries, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for _ in perfect_subtrees(0, from) {
            before.push(lines.hash_after("before ")?);
        }
        for place in from..to {
            let expected = "`entry` and the next entry in Base64";
            let bytes = lines.next(expected)?.strip_prefix("entry ");
            let bytes = bytes.ok_or_else(|| lines.wrong(expected))?;
            let entry = EvidenceEntry::parse(&lines.bytes(bytes, expected)?);
            let entry = entry.ok_or_else(|| lines.wrong(expected))?;
            if entry.envelope.entry != place {
                return Err(EvidenceError::Envelope { entry: place });
            }
            entries.push(entry);
        }
        while lines.rest.starts_with("after ") {
            if after.len() == 2 * super::PATH_HASHES_MAX {
                return Err(lines.wrong("no more than 126 hashes after"));
            }
            after.push(lines.hash_after("after ")?);
        }
        let expected = "an empty line and the checkpoint";
        if !lines.next(expected)?.is_empty() {
            return Err(lines.wrong(expected));
        }
        Ok(Self { entries, before, after, checkpoint: lines.rest.to_owned() })
    }

    /// Checks it against the log's key, which comes from elsewhere: that these are the entries of their
    /// places, none missing and none added, and that what is disclosed is what was recorded. Gives the
    /// checkpoint that signs for it.
    ///
    /// # Errors
    /// [`EvidenceError`] says what does not hold.
    pub fn check(&self, key: &VerifierKey) -> Result<Checkpoint, EvidenceError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        let (from, to) = self.bounds();
        if from >= to || to > checkpoint.size {
            return Err(ProofError::Sizes.into());
        }
        let mut tree = CompactRange::of(from, &self.before).ok_or(ProofError::Length)?;
        let ledger = self.entries.first().map(|entry| entry.envelope.ledger);
        for (place, entry) in (from..to).zip(&self.entries) {
            if entry.envelope.entry != place || Some(entry.envelope.ledger) != ledger {
                return Err(EvidenceError::Envelope { entry: place });
            }
            entry.check()?;
            tree.push(entry.envelope.leaf(), &mut |_, _, _| {});
        }
        let rest = perfect_subtrees(to, checkpoint.size);
        if rest.len() != self.after.len() {
            return Err(ProofError::Length.into());
        }
        for ((level, _), hash) in rest.into_iter().zip(&self.after) {
            tree.push_subtree(level, *hash).ok_or(ProofError::Length)?;
        }
        if tree.root() == checkpoint.root { Ok(checkpoint) } else { Err(ProofError::Root.into()) }
    }
}

impl From<RangeProof> for Evidence {
    fn from(range: RangeProof) -> Self {
        Self::Range(range)
    }
}
