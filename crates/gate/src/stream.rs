//! A whole document that is too large for memory, on its way to somewhere that takes it piece by piece.
//!
//! Invariant: the record has the digest of all of it before one byte leaves, and what is read after that is those very
//! bytes, or reading fails before its end. Who takes the bytes throws away what it has when reading fails.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use ledger::{Hasher, Subject};

use crate::data::{Fingerprint, Print};

/// Bytes that a document is measured by.
const PIECE_BYTES: usize = 1 << 20;

/// Opens the document once more, as often as it is asked.
pub type Again = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// A whole document, of which only the print is known until it is released. Its `Debug` shows nothing of it.
pub struct Stream {
    /// A file name that is safe to offer for saving.
    pub name: String,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// The document's key in its store.
    pub key: String,
    length: u64,
    digest: [u8; 32],
    again: Again,
}

impl fmt::Debug for Stream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Stream").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Stream {
    /// A document that was read once, with its length and SHA-256, and how it is read again.
    pub fn new(
        key: &str,
        name: String,
        media_type: &str,
        (length, digest): (u64, [u8; 32]),
        again: Again,
    ) -> Self {
        let (key, media_type) = (key.to_owned(), media_type.to_owned());
        Self { name, media_type, key, length, digest, again }
    }

    /// Length and SHA-256 of what there is to read, piece by piece, as long as `go_on` says so of the length so far;
    /// else none.
    ///
    /// # Errors
    /// Of reading.
    pub fn measure(
        bytes: &mut dyn Read,
        go_on: &dyn Fn(u64) -> bool,
    ) -> io::Result<Option<(u64, [u8; 32])>> {
        let (mut hasher, mut length) = (Hasher::new(), 0_u64);
        let mut piece = vec![0; PIECE_BYTES];
        while go_on(length) {
            let count = match bytes.read(&mut piece) {
                Ok(0) => return Ok(Some((length, hasher.finish()))),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(piece.get(..count).unwrap_or_default());
            length = length.saturating_add(count as u64);
        }
        Ok(None)
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// SHA-256 of it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Its bytes. Reading fails where they are not those that were recorded: at the latest instead of the last of them.
    pub fn read(self) -> Again {
        let Self { length, digest, again, .. } = self;
        Arc::new(move || {
            let same = Same { bytes: again()?, hasher: Hasher::new(), left: length, digest };
            Ok(Box::new(same) as Box<dyn Read + Send>)
        })
    }
}

/// Does what takes long on a thread that may wait. It is told whether anybody still waits for it; none where it did not
/// come to its end.
pub async fn apart<R: Send + 'static>(
    work: impl FnOnce(&dyn Fn() -> bool) -> R + Send + 'static,
) -> Option<R> {
    // Dropped with this future, which tells the thread that nobody waits.
    let waited_for = Arc::new(());
    let watched = Arc::downgrade(&waited_for);
    let done = tokio::task::spawn_blocking(move || work(&|| watched.strong_count() > 0)).await;
    drop(waited_for);
    done.ok()
}

impl Fingerprint for Stream {
    fn fingerprint(&self) -> Print {
        Print {
            what: "document",
            count: 1,
            bytes: self.length,
            digest: self.digest,
            subjects: vec![Subject { kind: "document".to_owned(), id: self.key.clone() }],
            caveats: BTreeSet::new(),
        }
    }
}

/// Bytes that have to come out at a digest.
struct Same {
    bytes: Box<dyn Read + Send>,
    hasher: Hasher,
    left: u64,
    digest: [u8; 32],
}

impl Read for Same {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let changed = || io::Error::other("the document is not the one that was recorded");
        let count = self.bytes.read(into)?;
        if count == 0 {
            return if self.left == 0 || into.is_empty() { Ok(0) } else { Err(changed()) };
        }
        let read = into.get(..count).ok_or_else(changed)?;
        self.hasher.update(read);
        self.left = self.left.checked_sub(count as u64).ok_or_else(changed)?;
        if self.left == 0 && std::mem::take(&mut self.hasher).finish() != self.digest {
            return Err(changed());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(recorded: &[u8], now: &'static [u8]) -> Stream {
        let print = (recorded.len() as u64, ledger::digest(recorded));
        let again: Again = Arc::new(move || Ok(Box::new(now)));
        Stream::new("a/b.mp4", "b.mp4".to_owned(), "video/mp4", print, again)
    }

    fn read(recorded: &[u8], now: &'static [u8]) -> (Vec<u8>, bool) {
        let (mut out, mut piece) = (Vec::new(), [0; 3]);
        let mut bytes = stream(recorded, now).read()().unwrap();
        loop {
            match bytes.read(&mut piece) {
                Ok(0) => return (out, true),
                Ok(count) => out.extend_from_slice(&piece[..count]),
                Err(_) => return (out, false),
            }
        }
    }

    #[test]
    fn what_is_read_is_what_was_recorded_or_an_error_before_its_end() {
        assert_eq!(read(b"0123456789", b"0123456789"), (b"0123456789".to_vec(), true));
        assert_eq!(read(b"", b""), (Vec::new(), true));
        let others: [&[u8]; 5] = [b"", b"012345678", b"01234567890", b"0123456780", b"x123456789"];
        for other in others {
            let (out, whole) = read(b"0123456789", other);
            assert!(!whole && out.len() < 10, "{out:?}");
        }
        let (_, whole) = read(b"", b"x");
        assert!(!whole);
    }

    #[test]
    fn its_print_is_that_of_the_same_document_in_memory() {
        let bytes = b"0123456789".to_vec();
        let document =
            crate::Document::new("a/b.mp4", "b.mp4".to_owned(), "video/mp4", 10, 0, bytes);
        assert_eq!(stream(b"0123456789", b"").fingerprint(), document.fingerprint());
    }
}
