//! `disposed/BUCKET`: opens the shared half of the entry that announced a disposal, and lists what
//! holds kept. It needs no secret to be read, and it is believed only as far as the log commits to
//! it.

use std::fmt::Write as _;

use keys::digest::sha256;

use crate::envelope::{Bucket, Envelope, Half, commit};
use crate::kinds::DISPOSITION_STARTED;
use crate::retention::{Ranges, Statement};

/// Longest document.
pub const DISPOSED_BYTES_MAX: u64 = 16 << 20;
/// What is wrong with a document that can't be read.
pub(crate) const NO_STATEMENT: &str = "this is no statement of the bucket's disposal";
const FIRST_LINE: &str = "bailiwick-disposed 1";

/// An opened statement of disposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposed {
    /// The entry that announced it.
    pub entry: u64,
    /// The salt of its shared half.
    pub salt: [u8; 32],
    pub statement: Statement,
    /// The entries of the bucket that a hold kept.
    pub kept: Ranges,
}

impl Disposed {
    /// The document's text.
    ///
    /// # Errors
    /// As [`Statement::encode`].
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        let mut text = format!(
            "{FIRST_LINE}\nentry {}\nsalt {}\nstatement {}\nkept {}\n",
            self.entry,
            hex::encode(self.salt),
            String::from_utf8_lossy(&self.statement.encode()?),
            self.kept,
        );
        let digest = hex::encode(sha256(text.as_bytes()));
        // Writing into a String has no way to fail.
        if writeln!(text, "sha256 {digest}").is_err() {
            text.clear();
        }
        Ok(text)
    }

    /// Reads the document of a bucket.
    pub(crate) fn parse_of(bucket: Bucket, text: &str) -> Option<Self> {
        let short = text.len() as u64 <= DISPOSED_BYTES_MAX;
        let disposed = short.then(|| Self::parse(text)).flatten();
        disposed.filter(|it| it.statement.bucket == bucket)
    }

    /// Reads what [`Self::encode`] wrote; statement, list and digests must agree.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("sha256 ")?;
        let (content, digest) = text.split_at_checked(at)?;
        if digest != format!("sha256 {}\n", hex::encode(sha256(content.as_bytes()))) {
            return None;
        }
        let mut lines = content.split_terminator('\n');
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let disposed = Self {
            entry: field("entry")?.parse().ok()?,
            salt: hex::decode(field("salt")?).ok()?.try_into().ok()?,
            statement: Statement::parse(field("statement")?.as_bytes())?,
            kept: Ranges::parse(field("kept")?)?,
        };
        let statement = &disposed.statement;
        let sound = statement.kept == disposed.kept.count()
            && statement.kept_digest == Statement::digest_of(&disposed.kept)
            && disposed.encode().is_ok_and(|whole| whole == text);
        sound.then_some(disposed)
    }

    /// Whether the log commits to it: `envelope` is the entry's, of this kind, never disposed of
    /// itself, with this shared half, and not from before the bucket was due.
    pub fn is_committed_by(&self, envelope: &Envelope) -> bool {
        let Ok(content) = self.statement.encode() else { return false };
        let due = self.statement.bucket.due();
        envelope.entry == self.entry
            && envelope.kind == DISPOSITION_STARTED.code
            && envelope.bucket == Bucket::PERMANENT
            && due.is_some_and(|due| envelope.at_ms >= due.as_millisecond())
            && envelope.shared == commit(&self.salt, Half::Shared, envelope.kind, &content)
    }
}
