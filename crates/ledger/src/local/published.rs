//! Checkpoints on disk: the newest in one file, all of them in another. They are what a
//! shortened log is measured against.

use std::io;
use std::time::{Duration, Instant};

use super::{Local, Place};
use crate::disk::{Mode, read_whole, replace};
use crate::error::{Damage, OpenError};
use crate::identity::{CHECKPOINT, CHECKPOINTS, SMALL_FILE_BYTES_MAX};
use crate::note::{Checkpoint, VerifierKey};
use crate::store::root_is;

/// So much of all published checkpoints is read when a ledger is opened: the last some hundred.
const TAIL_BYTES: u64 = 64 << 10;

/// What has been published so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Published {
    /// Size of the newest checkpoint.
    pub(crate) size: u64,
    /// When one was last added to the list of all.
    listed_at: Option<Instant>,
    /// Where the next note goes among all of them.
    pub(crate) end: u64,
    /// The note that an earlier opening listed last. Its sync may have failed, and then it is read
    /// from memory and is not on the disk: it is written once more with the next.
    doubtful: Vec<u8>,
}

impl Published {
    /// Publishes a note: adds it to the list of all, where the last one there is old enough, and
    /// makes it the newest. A list of every second would outgrow the log.
    pub(crate) fn publish(
        &mut self,
        place: &Place,
        note: &str,
        size: u64,
        wait: Duration,
    ) -> io::Result<()> {
        if self.listed_at.is_none_or(|at| at.elapsed() >= wait) {
            self.list(place, note)?;
            self.listed_at = Some(Instant::now());
        }
        replace(place.disk.as_ref(), &place.folder, CHECKPOINT, note.as_bytes())?;
        self.size = size;
        Ok(())
    }

    /// What a try that failed left behind is cut off first.
    fn list(&mut self, place: &Place, note: &str) -> io::Result<()> {
        let disk = place.disk.as_ref();
        let all = disk.open(&place.path(CHECKPOINTS), Mode::Create)?;
        if all.length()? > self.end {
            all.truncate(self.end)?;
        }
        let from = self.end.saturating_sub(self.doubtful.len() as u64);
        let text = [self.doubtful.as_slice(), note.as_bytes(), b"\n"].concat();
        all.write_at(&text, from)?;
        // Else a later note could reach the disk before an earlier one and leave a hole.
        all.sync()?;
        self.end = from + text.len() as u64;
        self.doubtful.clear();
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

/// All published checkpoints as they are written, with their sizes.
pub(crate) fn notes_of(bytes: &[u8], key: &VerifierKey) -> Result<Vec<(u64, String)>, Damage> {
    let (notes, end) = parse_all(bytes, key)?;
    let ends = notes.iter().skip(1).map(|(offset, _)| *offset).chain([end]);
    let text = |(from, to): (u64, u64)| {
        let range = usize::try_from(from).ok()?..usize::try_from(to).ok()?.checked_sub(1)?;
        Some(String::from_utf8_lossy(bytes.get(range)?).into_owned())
    };
    let each = notes.iter().zip(ends);
    Ok(each.filter_map(|((from, it), to)| Some((it.size, text((*from, to))?))).collect())
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

/// Holds what was published last against the log of `have` entries, and cuts off a torn note.
/// Gives what stands.
pub(super) fn check(local: &Local, have: u64) -> Result<Published, OpenError> {
    let (place, key) = (&local.place, &local.identity.key);
    let newest = read_or_empty(place, CHECKPOINT, SMALL_FILE_BYTES_MAX)?;
    let (from, all) = read_tail(place, &key.name)?;
    let (notes, end) =
        parse_all(&all, key).map_err(|damage| Damage { offset: damage.offset + from, ..damage })?;
    if end != all.len() as u64 {
        let cut = place.disk.open(&place.path(CHECKPOINTS), Mode::Write);
        let cut = cut.and_then(|file| file.truncate(from + end));
        let path = place.path(CHECKPOINTS);
        cut.map_err(|source| OpenError::Disk { doing: "mend", path, source })?;
    }
    let (mut size, mut doubtful) = (0, Vec::new());
    if let Some((offset, checkpoint)) = notes.last() {
        size = size.max(hold(local, have, CHECKPOINTS, from + *offset, checkpoint)?);
        let start = usize::try_from(*offset).unwrap_or(usize::MAX);
        let last = all.get(start..).unwrap_or_default();
        let length = usize::try_from(end - *offset).unwrap_or(0);
        doubtful = last.get(..length).unwrap_or_default().to_vec();
    }
    if !newest.is_empty() {
        let note = Checkpoint::open(&String::from_utf8_lossy(&newest), key);
        let note = note.map_err(|it| Damage::new(CHECKPOINT, 0, None, &it.to_string()))?;
        size = size.max(hold(local, have, CHECKPOINT, 0, &note)?);
    }
    Ok(Published { size, listed_at: None, end: from + end, doubtful })
}

/// The last notes of all, and the offset at which they begin.
fn read_tail(place: &Place, origin: &str) -> Result<(u64, Vec<u8>), OpenError> {
    let path = place.path(CHECKPOINTS);
    let failed = |source| OpenError::Disk { doing: "read", path: path.clone(), source };
    let file = match place.disk.open(&path, Mode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        opened => opened.map_err(failed)?,
    };
    let length = file.length().map_err(failed)?;
    let from = length.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or(0)];
    let read = file.read_at(&mut bytes, from).map_err(failed)?;
    bytes.truncate(read);
    if from == 0 {
        return Ok((0, bytes));
    }
    // A note begins with the origin; a line of a signature never does.
    let start = format!("\n\n{origin}\n");
    let at = bytes.windows(start.len()).position(|it| it == start.as_bytes());
    let skip = at.map_or(bytes.len(), |at| at + 2);
    Ok((from + skip as u64, bytes.split_off(skip)))
}

fn read_or_empty(place: &Place, name: &str, max: u64) -> Result<Vec<u8>, OpenError> {
    let path = place.path(name);
    match read_whole(place.disk.as_ref(), &path, max) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|source| OpenError::Disk { doing: "read", path, source }),
    }
}

fn hold(
    local: &Local,
    have: u64,
    file: &str,
    offset: u64,
    checkpoint: &Checkpoint,
) -> Result<u64, OpenError> {
    let damage = |entry, what: &str| OpenError::Damaged(Damage::new(file, offset, entry, what));
    let size = checkpoint.size;
    if size > have {
        let what = format!("{size} entries were published, yet the log has only {have}");
        return Err(damage(Some(have), &what));
    }
    match root_is(local, size, &checkpoint.root)? {
        true => Ok(size),
        false => Err(damage(None, "the published root is not that of the log's entries")),
    }
}
