//! Checkpoints on disk: the newest in one file, all of them in another. They are what a
//! shortened log is measured against.

use std::io;

use crate::disk::{Mode, read_whole, replace};
use crate::error::{Damage, OpenError, ReadError};
use crate::identity::{CHECKPOINT, CHECKPOINTS, Identity, SMALL_FILE_BYTES_MAX};
use crate::memory::Memory;
use crate::merkle::root_at;
use crate::note::{Checkpoint, VerifierKey};
use crate::place::Place;
use crate::reading::Hashes;

/// All published checkpoints take up no more than this; 1 GiB is some five million.
const CHECKPOINTS_BYTES_MAX: u64 = 1 << 30;

/// What has been published so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Published {
    /// Size of the newest checkpoint.
    pub(crate) size: u64,
    /// Where the next note goes among all of them.
    pub(crate) end: u64,
}

impl Published {
    /// Publishes a note: adds it to all others, then makes it the newest. What a try that failed
    /// left behind is cut off first.
    pub(crate) fn publish(&mut self, place: &Place, note: &str, size: u64) -> io::Result<()> {
        let disk = place.disk.as_ref();
        let all = disk.open(&place.path(CHECKPOINTS), Mode::Create)?;
        if all.length()? > self.end {
            all.truncate(self.end)?;
        }
        let text = format!("{note}\n");
        all.write_at(text.as_bytes(), self.end)?;
        // Else a later note could reach the disk before an earlier one and leave a hole.
        all.sync()?;
        replace(disk, &place.folder, CHECKPOINT, note.as_bytes())?;
        (self.size, self.end) = (size, self.end + text.len() as u64);
        Ok(())
    }
}

/// Reads all published checkpoints with their offsets, and where they end. The last may be torn,
/// for a crash came between: it is left out then. Any other must hold.
pub(crate) fn parse_all(
    bytes: &[u8],
    key: &VerifierKey,
) -> Result<(Vec<(u64, Checkpoint)>, u64), Damage> {
    let mut notes = Vec::new();
    let mut offset = 0;
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some(note) = first_note(rest) else { return Ok((notes, offset as u64)) };
        match Checkpoint::open(&String::from_utf8_lossy(note), key) {
            Ok(checkpoint) => notes.push((offset as u64, checkpoint)),
            Err(_) if rest.len() == note.len() + 1 => return Ok((notes, offset as u64)),
            Err(error) => {
                let what = error.to_string();
                return Err(Damage::new(CHECKPOINTS, offset as u64, None, &what));
            }
        }
        offset += note.len() + 1;
    }
}

/// A note ends where, after its text and an empty line, a second empty line follows.
fn first_note(bytes: &[u8]) -> Option<&[u8]> {
    let gap = |from: usize| {
        let rest = bytes.get(from..)?;
        rest.windows(2).position(|pair| pair == b"\n\n").map(|at| from + at)
    };
    let end = gap(gap(0)? + 2)?;
    bytes.get(..=end).filter(|_| bytes.len() > end + 1)
}

/// Holds what was published against the log, and cuts off a torn note. Gives what stands.
pub(crate) fn check(
    place: &Place,
    identity: &Identity,
    memory: &Memory,
) -> Result<Published, OpenError> {
    let newest = read_or_empty(place, CHECKPOINT, SMALL_FILE_BYTES_MAX)?;
    let all = read_or_empty(place, CHECKPOINTS, CHECKPOINTS_BYTES_MAX)?;
    let (notes, end) = parse_all(&all, &identity.key)?;
    if end != all.len() as u64 {
        let cut = place.disk.open(&place.path(CHECKPOINTS), Mode::Write);
        let cut = cut.and_then(|file| file.truncate(end));
        let path = place.path(CHECKPOINTS);
        cut.map_err(|source| OpenError::Disk { doing: "mend", path, source })?;
    }
    let mut size = 0;
    if let Some((offset, checkpoint)) = notes.last() {
        size = size.max(hold(place, identity, memory, CHECKPOINTS, *offset, checkpoint)?);
    }
    if !newest.is_empty() {
        let note = Checkpoint::open(&String::from_utf8_lossy(&newest), &identity.key);
        let note = note.map_err(|it| Damage::new(CHECKPOINT, 0, None, &it.to_string()))?;
        size = size.max(hold(place, identity, memory, CHECKPOINT, 0, &note)?);
    }
    Ok(Published { size, end })
}

fn read_or_empty(place: &Place, name: &str, max: u64) -> Result<Vec<u8>, OpenError> {
    let path = place.path(name);
    match read_whole(place.disk.as_ref(), &path, max) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|source| OpenError::Disk { doing: "read", path, source }),
    }
}

fn hold(
    place: &Place,
    identity: &Identity,
    memory: &Memory,
    file: &str,
    offset: u64,
    checkpoint: &Checkpoint,
) -> Result<u64, OpenError> {
    let damage = |entry, what: &str| OpenError::Damaged(Damage::new(file, offset, entry, what));
    let (size, have) = (checkpoint.size, memory.size());
    if size > have {
        let what = format!("{size} entries were published, yet the log has only {have}");
        return Err(damage(Some(have), &what));
    }
    let mut hashes = Hashes::new(place, &identity.id, memory);
    let root = root_at(size, &mut |level, index| hashes.read(level, index));
    let root = root.map_err(|error| match error {
        ReadError::Damaged(damage) => OpenError::Damaged(damage),
        ReadError::Disk { path, source } => OpenError::Disk { doing: "read", path, source },
        ReadError::NoEntry { .. } | ReadError::NoSize { .. } => {
            damage(None, "the log does not have the checkpoint's tree")
        }
    })?;
    if root == checkpoint.root {
        Ok(size)
    } else {
        Err(damage(None, "the published root is not that of the log's entries"))
    }
}
