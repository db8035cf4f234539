//! Where a seal writes: a draft that becomes the parcel in one step, or nothing.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::PARTS_MAX;

/// The longest notes: some lines a part.
const NOTES_BYTES_MAX: u64 = PARTS_MAX * 512;

/// The steps of writing a parcel. A trait so that a test can make each of them fail.
pub trait Target: Sync {
    /// Creates the file `path` (relative, `/`), which isn't there, with the pieces one after
    /// another, durably. Called from several threads.
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()>;
    /// Makes all that was created durable and gives it its final name.
    fn publish(&self) -> io::Result<()>;
    /// What an interrupted seal left of the file `path`, if this target keeps that.
    fn left(&self, _path: &str) -> io::Result<Option<Box<dyn io::Read + '_>>> {
        Ok(None)
    }
    /// Adds a line to the notes for who goes on after an interruption.
    fn note(&self, _line: &str) -> io::Result<()> {
        Ok(())
    }
    /// All notes so far.
    fn notes(&self) -> io::Result<String> {
        Ok(String::new())
    }
    /// Removes all that was created. Best effort: what can't be removed has no signature.
    fn discard(&self);
}

/// A folder that appears whole: drafts go to a hidden neighbour, which is renamed.
#[derive(Debug)]
pub struct Folder {
    draft: PathBuf,
    out: PathBuf,
    /// Of one that can go on after an interruption: where its notes are.
    journal: Option<Notes>,
    /// Of such a one: the files that this run has made or looked at. All others are of an earlier run.
    mine: Mutex<BTreeSet<PathBuf>>,
}

/// The notes of a seal that can go on after an interruption: lines in a hidden neighbour.
#[derive(Debug)]
pub(crate) struct Notes(PathBuf);

impl Notes {
    /// Goes on with those that are there.
    pub(crate) fn begin(path: PathBuf) -> io::Result<Self> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        Ok(Self(path))
    }

    /// One write of a short line: lines of several threads don't mix.
    pub(crate) fn add(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.0)?;
        file.write_all(line.as_bytes())
    }

    pub(crate) fn read(&self) -> io::Result<String> {
        let mut text = String::new();
        let file = File::open(&self.0)?;
        if file.metadata()?.len() > NOTES_BYTES_MAX {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        io::Read::read_to_string(&mut io::Read::take(file, NOTES_BYTES_MAX), &mut text)?;
        Ok(text)
    }

    /// Removes them: without their draft they say nothing to anybody.
    pub(crate) fn forget(&self) {
        match fs::remove_file(&self.0) {
            Ok(()) | Err(_) => {}
        }
    }
}

impl Folder {
    /// `out` must not exist; its parent must. `name` keeps apart two seals at a time.
    pub fn new(out: &Path, name: &str) -> io::Result<Self> {
        let draft = beside(out, name, "draft")?;
        DirBuilder::new().mode(0o700).create(&draft)?;
        Ok(Self { draft, out: out.to_owned(), journal: None, mine: Mutex::default() })
    }

    /// As [`Folder::new`], and what an interrupted run of this name left is gone on with.
    pub fn resumable(out: &Path, name: &str) -> io::Result<Self> {
        let draft = beside(out, name, "draft")?;
        match DirBuilder::new().mode(0o700).create(&draft) {
            // A link, or a file, is nobody's draft.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !draft.symlink_metadata()?.is_dir() {
                    return Err(error);
                }
            }
            made => made?,
        }
        let journal = Notes::begin(beside(out, name, "journal")?)?;
        Ok(Self { draft, out: out.to_owned(), journal: Some(journal), mine: Mutex::default() })
    }

    pub(crate) fn draft(&self) -> &Path {
        &self.draft
    }

    fn note_mine(&self, path: &Path) {
        if self.journal.is_some() {
            let mut mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
            mine.insert(path.to_owned());
        }
    }

    /// Removes the parts that an earlier run left and this one has not: what became shorter has no part too many.
    fn remove_strays(&self) -> io::Result<()> {
        let first = self.draft.join(crate::bag::part_path(0));
        let parts = match fs::read_dir(parent(&first)) {
            // What is opened has no parts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            parts => parts?,
        };
        let mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            let part = part?.path();
            if !mine.contains(&part) {
                fs::remove_file(&part)?;
            }
        }
        Ok(())
    }
}

/// `.OUT.NAME.KIND` beside `out`, which must not exist.
pub(crate) fn beside(out: &Path, name: &str, kind: &str) -> io::Result<PathBuf> {
    if out.symlink_metadata().is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists));
    }
    let last = out.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    Ok(parent(out).join(format!(".{last}.{name}.{kind}")))
}

/// The parcel whose sealing into `out` was interrupted and can go on; the first by name.
pub fn unfinished(out: &Path) -> io::Result<Option<Uuid>> {
    let last = out.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let head = format!(".{last}.");
    let mut found = Vec::new();
    for entry in fs::read_dir(parent(out))? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(&head)?.strip_suffix(".journal"));
        found.extend(id.and_then(|id| id.parse::<Uuid>().ok()));
    }
    found.sort_unstable();
    Ok(found.first().copied())
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Writes a small file into a folder that lies in its place, whole or not at all: hidden beside that folder first, where
/// a crash leaves it, then in the place of what has its name.
pub(crate) fn put_in_place(folder: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    let name = folder.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
    let draft = parent(&folder).join(format!(".{name}.late.draft"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let place = folder.join(path);
    // The folder of the place is there, or it is the parcel of somebody who took it away.
    let placed = written.and_then(|()| fs::rename(&draft, &place));
    if let Err(error) = placed {
        fs::remove_file(&draft)?;
        return Err(error);
    }
    File::open(parent(&place))?.sync_all()
}

impl Target for Folder {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let path = self.draft.join(path);
        self.note_mine(&path);
        DirBuilder::new().recursive(true).mode(0o700).create(parent(&path))?;
        if self.journal.is_some() && path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        for piece in pieces {
            file.write_all(piece)?;
        }
        file.sync_all()
    }

    fn left(&self, path: &str) -> io::Result<Option<Box<dyn io::Read + '_>>> {
        let path = self.draft.join(path);
        if !path.symlink_metadata().is_ok_and(|facts| facts.is_file()) {
            return Ok(None);
        }
        self.note_mine(&path);
        Ok(Some(Box::new(File::open(path)?)))
    }

    fn note(&self, line: &str) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), |notes| notes.add(line))
    }

    fn notes(&self) -> io::Result<String> {
        self.journal.as_ref().map_or_else(|| Ok(String::new()), Notes::read)
    }

    fn publish(&self) -> io::Result<()> {
        if self.journal.is_some() {
            self.remove_strays()?;
        }
        sync_folders(&self.draft)?;
        fs::rename(&self.draft, &self.out)?;
        self.journal.iter().for_each(Notes::forget);
        File::open(parent(&self.out))?.sync_all()
    }

    fn discard(&self) {
        match fs::remove_dir_all(&self.draft) {
            Ok(()) | Err(_) => {}
        }
        self.journal.iter().for_each(Notes::forget);
    }
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}
