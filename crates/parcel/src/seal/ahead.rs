//! Files are read ahead: small ones are opened, read and hashed on a thread of their own, some at a time, while the archive
//! is written.
//!
//! Invariants: in the entries' order; at most a few batches are held; a large file is only announced, and opened and read in
//! its turn.

use std::io::{self, Read};
use std::sync::mpsc::SyncSender;

use keys::digest::sha256;

use crate::Source;

/// A file with at most so many bytes, and no more than a part, is read ahead.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Bytes and files that are handed over at once.
const BATCH_BYTES: usize = 512 << 10;
const BATCH_FILES: usize = 256;
/// Batches that may wait.
pub(super) const BATCHES: usize = 2;

/// Some files, one after another.
#[derive(Default)]
pub(super) struct Batch {
    /// What the small ones hold.
    pub(super) bytes: Vec<u8>,
    pub(super) files: Vec<Ahead>,
}

pub(super) enum Ahead {
    /// The next so many bytes of the batch.
    Small {
        length: usize,
        sha256: [u8; 32],
    },
    Large(Source),
    Unread(io::Error),
    /// It gave another number of bytes than was announced: so many, or more.
    Other {
        given: u64,
    },
}

/// Reads the files with these lengths, until the end, the first that fails, until it is to stop, or nobody listens.
pub(super) fn read(
    sources: Vec<(u64, Source)>,
    part_size: u64,
    to: &SyncSender<Batch>,
    stop: &dyn Fn() -> bool,
) {
    let small_max = SMALL_BYTES_MAX.min(part_size);
    let mut batch = Batch::default();
    for (length, source) in sources {
        // Whoever takes the batches looks for it too, and fails with the reason.
        if stop() {
            break;
        }
        let next = if length > small_max {
            Ahead::Large(source)
        } else {
            match small(length, source, &mut batch.bytes) {
                Ok(next) => next,
                Err(error) => Ahead::Unread(error),
            }
        };
        let over = matches!(next, Ahead::Unread(_) | Ahead::Other { .. });
        let alone = matches!(next, Ahead::Large(_));
        batch.files.push(next);
        let full = batch.bytes.len() >= BATCH_BYTES || batch.files.len() >= BATCH_FILES;
        if (over || alone || full) && to.send(std::mem::take(&mut batch)).is_err() || over {
            return;
        }
    }
    // Nobody listens any more, or this was the last.
    match to.send(batch) {
        Ok(()) | Err(_) => {}
    }
}

/// Reads one file behind those that were read before.
fn small(length: u64, source: Source, into: &mut Vec<u8>) -> io::Result<Ahead> {
    let before = into.len();
    if into.capacity() == 0 {
        into.reserve(BATCH_BYTES + usize::try_from(SMALL_BYTES_MAX).unwrap_or(0));
    }
    // One byte more tells a file that is longer.
    source()?.take(length + 1).read_to_end(into)?;
    let read = into.get(before..).unwrap_or_default();
    let given = read.len() as u64;
    if given != length {
        return Ok(Ahead::Other { given });
    }
    Ok(Ahead::Small { length: read.len(), sha256: sha256(read) })
}
