//! What the log commits to, for everybody to read, when a bucket is disposed of.
//!
//! Invariant: a statement has one text. It is the shared half of its entry, so it names neither a
//! person nor a case; who ordered it and by what authority is in the private half.

use keys::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::envelope::Bucket;
use crate::merkle::{CompactRange, Hash};
use crate::retention::Ranges;

/// The content of the shared half of an entry `disposition-started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Statement {
    pub bucket: Bucket,
    /// The first and the last entry that go, and how many.
    pub first: u64,
    pub last: u64,
    pub count: u64,
    /// Root of the RFC 9162 tree over the leaf hashes of the entries that go, in their order.
    #[serde(with = "hex_text")]
    pub root: Hash,
    /// How many entries a hold keeps; they move to [`Bucket::next_held`].
    pub kept: u64,
    /// SHA-256 of the text of their numbers ([`Ranges`]).
    #[serde(with = "hex_text")]
    pub kept_digest: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Shared {
    DispositionStarted(Statement),
}

impl Statement {
    /// The statement's text: one line of JSON.
    ///
    /// # Errors
    /// None that is known; JSON writers may have some.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Shared::DispositionStarted(self.clone()))
    }

    /// Reads what [`Self::encode`] wrote, to the byte.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let Shared::DispositionStarted(statement) = serde_json::from_slice(text).ok()?;
        (statement.encode().ok()? == text).then_some(statement)
    }

    pub(crate) fn digest_of(kept: &Ranges) -> Hash {
        sha256(kept.to_string().as_bytes())
    }
}

/// Adds up the entries of a bucket that go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    first: Option<u64>,
    last: u64,
    tree: CompactRange,
}

impl Tally {
    /// Takes the next entry. One that was taken already changes nothing: whoever could not read on begins
    /// again where a frame begins.
    pub(crate) fn add(&mut self, entry: u64, leaf: Hash) {
        if self.first.is_some() && entry <= self.last {
            return;
        }
        self.first.get_or_insert(entry);
        self.last = entry;
        self.tree.push(leaf, &mut |_, _, _| {});
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.first
    }

    /// The statement of this bucket, or `None` when nothing goes.
    pub(crate) fn statement(&self, bucket: Bucket, kept: &Ranges) -> Option<Statement> {
        Some(Statement {
            bucket,
            first: self.first?,
            last: self.last,
            count: self.tree.size(),
            root: self.tree.root(),
            kept: kept.count(),
            kept_digest: Statement::digest_of(kept),
        })
    }
}

mod hex_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::merkle::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Hash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        hash.ok_or_else(|| D::Error::custom("not 32 bytes in hexadecimal"))
    }
}
