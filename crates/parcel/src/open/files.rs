//! Opening into a folder: the sender's own bag, whole or one file of it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use keys::digest::Sha256;

use super::{Unlocked, parts};
use crate::error::At;
use crate::meta::{IndexedFile, TransferRecord};
use crate::{Fault, Folder, Parcel, Recipient, Refused, Target as _, Trust, Verified, Watch, pax};

/// Bytes of a tag file that are written at a time.
const TAG_PIECE_BYTES: usize = 64 << 10;

/// Up to so many files are brought to the disk one by one. Of more, all are together: alone, each of many small files
/// waits for the disk.
const FILES_SYNCED_ALONE_MAX: usize = 64;

/// What was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    pub verified: Verified,
    pub record: TransferRecord,
    /// The files that were written, below `inner/data/`.
    pub files: Vec<IndexedFile>,
}

/// Opens into a new folder `out`: `out/inner` is the sender's bag. With `only`, that file alone
/// and the metadata. On failure there is no `out`.
///
/// Each part is checked against the outer signature before it is decrypted; each file against
/// the inner one before `out` appears. The files are plaintext: where they go is the caller's
/// decision, and they can be read by the owner only.
pub fn open(
    parcel: &Path,
    recipient: &Recipient,
    trust: &Trust,
    out: &Path,
    only: Option<&str>,
    watch: Watch<'_>,
) -> Result<Opened, Refused> {
    open_with(parcel, recipient, trust, out, Opening { only, resume: false }, watch)
}

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening<'a> {
    /// That file alone.
    pub only: Option<&'a str>,
    /// Go on with what an interrupted opening left, and leave it for the next one if this fails. Files that lie there
    /// whole, by their hash, are kept; all else there is removed first.
    pub resume: bool,
}

/// As [`open`], in the way that `how` says.
pub fn open_with(
    parcel: &Path,
    recipient: &Recipient,
    trust: &Trust,
    out: &Path,
    how: Opening<'_>,
    watch: Watch<'_>,
) -> Result<Opened, Refused> {
    let parcel = Parcel::enter(parcel, trust)?;
    let unlocked = parcel.unlock(recipient)?;
    let only = how.only.map(|path| unlocked.file(path).cloned()).transpose()?;
    let wanted = only.as_ref().map_or(unlocked.files(), std::slice::from_ref);
    let name = out.display().to_string();
    let id = parcel.id().to_string();
    let folder = if how.resume { Folder::resumable(out, &id) } else { Folder::new(out, &id) };
    let folder = folder.map_err(Fault::Write).at(&name)?;
    if how.resume {
        sweep(folder.draft(), wanted).map_err(Fault::Write).at(&name)?;
    }
    let outcome = write_all(&unlocked, wanted, (&folder, how.resume), watch)
        .and_then(|()| folder.publish().map_err(Fault::Write).at(&name));
    if let Err(refused) = outcome {
        if !how.resume {
            folder.discard();
        }
        return Err(refused);
    }
    let record = unlocked.record().clone();
    let files = only.map_or_else(|| unlocked.into_files(), |only| vec![only]);
    Ok(Opened { verified: parcel.verified(), record, files })
}

/// As [`crate::verify`], and with the key all that is inside: every part is decrypted, every file hashed, nothing
/// written. A refusal names the piece of the sealed file. Parts are read twice: ciphertext comes first.
pub fn verify_inside(
    parcel: &Path,
    recipient: &Recipient,
    trust: &Trust,
    watch: Watch<'_>,
) -> Result<Opened, Refused> {
    let parcel = Parcel::enter(parcel, trust)?;
    let unlocked = parcel.unlock(recipient)?;
    let files = unlocked.files();
    let total = files.iter().map(|file| file.length).sum();
    let mut done = 0;
    for file in files {
        check_header(&unlocked, file)?;
        let mut hash = Sha256::new();
        unlocked.copy(file.offset, file.offset + file.length, &mut |piece| {
            hash.update(piece);
            done += piece.len() as u64;
            (watch.progress)(done, total);
            if watch.cancelled() { Err(Fault::Cancelled).at(&file.path) } else { Ok(()) }
        })?;
        if hex::encode(hash.finish()) != file.sha256 {
            return Err(Refused::new(&file.path, Fault::Altered));
        }
    }
    parcel.check_parts(crate::WORKERS_DEFAULT, Watch { progress: &|_, _| {}, ..watch })?;
    let record = unlocked.record().clone();
    Ok(Opened { verified: parcel.verified(), record, files: unlocked.into_files() })
}

fn write_all(
    unlocked: &Unlocked<'_>,
    wanted: &[IndexedFile],
    (folder, resume): (&Folder, bool),
    watch: Watch<'_>,
) -> Result<(), Refused> {
    let total = wanted.iter().map(|file| file.length).sum();
    let at_once = wanted.len() > FILES_SYNCED_ALONE_MAX;
    // Opened before the first write: it is told of all that could not be written since then.
    let draft = File::open(folder.draft()).map_err(Fault::Write).at("inner")?;
    let mut done = 0;
    for file in wanted {
        let left = resume && lies_whole(folder.draft(), file, at_once).at(&file.path)?;
        if left {
            done += file.length;
            continue;
        }
        check_header(unlocked, file)?;
        write_file(unlocked, file, (folder, at_once), &mut |more| {
            done += more;
            (watch.progress)(done, total);
            if watch.cancelled() { Err(Fault::Cancelled) } else { Ok(()) }
        })?;
    }
    unlocked.tags().try_for_each(|(path, content)| write_tag(&path, content, folder))?;
    if at_once {
        // It fails too where any of them could not be written (Linux 5.8 and later).
        let brought = rustix::fs::syncfs(&draft).map_err(|error| Fault::Write(error.into()));
        if brought.is_err() {
            sync_each(folder.draft(), wanted)?;
        }
        brought.at("inner")?;
    }
    Ok(())
}

/// Brings files to the disk one by one, after all at once failed: it names the one that can't be.
fn sync_each(draft: &Path, wanted: &[IndexedFile]) -> Result<(), Refused> {
    let data = draft.join("inner/data");
    wanted.iter().try_for_each(|file| {
        let brought = File::open(data.join(&file.path)).and_then(|file| file.sync_all());
        brought.map_err(Fault::Write).at(&file.path)
    })
}

fn write_tag(path: &str, mut content: impl Read, folder: &Folder) -> Result<(), Refused> {
    let mut written = create(&folder.draft().join(path)).map_err(Fault::Write).at(path)?;
    let mut piece = vec![0; TAG_PIECE_BYTES];
    loop {
        let count = content.read(&mut piece).map_err(|error| parts::refused(error, path))?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        written.write_all(read).map_err(Fault::Write).at(path)?;
    }
    written.sync_all().map_err(Fault::Write).at(path)
}

/// Removes from a draft all that is not a file of this parcel of its right length: what an interruption cut, and what
/// was never ours. Links go too, and are not followed.
fn sweep(draft: &Path, wanted: &[IndexedFile]) -> std::io::Result<()> {
    let data = draft.join("inner/data");
    let lengths: BTreeMap<_, _> =
        wanted.iter().map(|file| (data.join(&file.path), file.length)).collect();
    let mut waiting = vec![draft.to_owned()];
    while let Some(here) = waiting.pop() {
        for entry in fs::read_dir(here)? {
            let path = entry?.path();
            let facts = path.symlink_metadata()?;
            if facts.is_dir() {
                waiting.push(path);
            } else if !facts.is_file() || lengths.get(&path) != Some(&facts.len()) {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}

/// Whether a file lies in the draft as the sender sealed it; then it is brought to the disk, unless all are `at_once`:
/// what was interrupted may not have done so. One of the right length that is not is removed.
fn lies_whole(draft: &Path, file: &IndexedFile, at_once: bool) -> Result<bool, Fault> {
    let whole = hash_left(draft, file).and_then(|left| match left {
        Some(left) if !at_once => left.sync_all().map(|()| true),
        left => Ok(left.is_some()),
    });
    whole.map_err(Fault::Write)
}

/// The file of the draft, if it has the hash that it should.
fn hash_left(draft: &Path, file: &IndexedFile) -> std::io::Result<Option<File>> {
    let path = draft.join("inner/data").join(&file.path);
    let mut found = match File::open(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    let mut piece = vec![0; 256 << 10];
    loop {
        let count = found.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
    }
    if hex::encode(hash.finish()) == file.sha256 {
        return Ok(Some(found));
    }
    fs::remove_file(path)?;
    Ok(None)
}

/// The archive's header must be what the index says, or `tar` would see another file than we do.
fn check_header(unlocked: &Unlocked<'_>, file: &IndexedFile) -> Result<(), Refused> {
    let seconds = u64::try_from(file.modified.as_second()).unwrap_or(0);
    let expected = pax::header(&format!("inner/data/{}", file.path), file.length, seconds);
    let mut found = Vec::with_capacity(expected.len());
    let from = file.offset.saturating_sub(expected.len() as u64);
    unlocked.copy(from, file.offset, &mut |piece| {
        found.extend_from_slice(piece);
        Ok(())
    })?;
    if found == expected {
        return Ok(());
    }
    Err(Refused::new(&file.path, Fault::Malformed("an archive header that the index doesn't give")))
}

fn write_file(
    unlocked: &Unlocked<'_>,
    file: &IndexedFile,
    (folder, at_once): (&Folder, bool),
    step: &mut dyn FnMut(u64) -> Result<(), Fault>,
) -> Result<(), Refused> {
    // `name::objection` has passed this path when the index was checked.
    let path = folder.draft().join("inner/data").join(&file.path);
    let mut written = create(&path).map_err(Fault::Write).at(&file.path)?;
    let mut hash = Sha256::new();
    unlocked.copy(file.offset, file.offset + file.length, &mut |piece| {
        hash.update(piece);
        written.write_all(piece).map_err(Fault::Write).at(&file.path)?;
        step(piece.len() as u64).at(&file.path)
    })?;
    if hex::encode(hash.finish()) != file.sha256 {
        return Err(Refused::new(&file.path, Fault::Altered));
    }
    let stamped = written.set_modified(file.modified.into());
    let synced = stamped.and_then(|()| if at_once { Ok(()) } else { written.sync_all() });
    synced.map_err(Fault::Write).at(&file.path)
}

fn create(path: &Path) -> std::io::Result<File> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    debug_assert!(fs::symlink_metadata(path).is_err(), "paths of an index differ");
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
