//! Writing: each file of the parcel is appended as it comes, the directory at the end.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::left::{Left, close_gaps, whole_parts};
use super::{Entry, U32_FULL, end};
use crate::target::{Notes, beside, parent};
use crate::{Target, part_path, tag_files};

/// Bytes copied at a time.
const PIECE_BYTES: usize = 256 << 10;

/// A ZIP file that appears whole: a hidden neighbour is written, and renamed.
#[derive(Debug)]
pub struct ZipFile {
    draft: PathBuf,
    out: PathBuf,
    /// The one folder at the top, with its `/`.
    top: String,
    state: Mutex<State>,
    /// The same file, to read from.
    reader: File,
    /// Of one that can go on after an interruption.
    notes: Option<Notes>,
}

#[derive(Debug)]
struct State {
    file: File,
    position: u64,
    entries: Vec<Entry>,
    /// Entries of an interrupted run, until they are replaced; and those that nobody asked for yet.
    earlier: BTreeSet<String>,
    unasked: BTreeSet<String>,
    /// A write failed: what lies in the file is not known any more.
    broken: bool,
}

impl ZipFile {
    /// `out` must not exist; its parent must.
    pub fn new(out: &Path, id: Uuid) -> io::Result<Self> {
        let draft = beside(out, &id.to_string(), "draft")?;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft)?;
        Self::over(file, draft, (out, id), None)
    }

    /// As [`ZipFile::new`], and what an interrupted run with this id left is gone on with.
    pub fn resumable(out: &Path, id: Uuid) -> io::Result<Self> {
        let draft = beside(out, &id.to_string(), "draft")?;
        if draft.symlink_metadata().is_ok_and(|facts| !facts.is_file()) {
            // A link, or a folder, is nobody's draft.
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let mut how = OpenOptions::new();
        let file =
            how.read(true).write(true).create(true).truncate(false).mode(0o600).open(&draft)?;
        let notes = Notes::begin(beside(out, &id.to_string(), "journal")?)?;
        Self::over(file, draft, (out, id), Some(notes))
    }

    fn over(
        mut file: File,
        draft: PathBuf,
        (out, id): (&Path, Uuid),
        notes: Option<Notes>,
    ) -> io::Result<Self> {
        let top = format!("parcel-{id}/");
        let entries = whole_parts(&file, &top)?;
        let position = entries.last().map_or(0, Entry::end);
        file.set_len(position)?;
        file.seek(SeekFrom::Start(position))?;
        let reader = file.try_clone()?;
        let earlier: BTreeSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
        let unasked = earlier.clone();
        let state = State { file, position, entries, earlier, unasked, broken: false };
        let state = Mutex::new(state);
        Ok(Self { draft, out: out.to_owned(), top, state, reader, notes })
    }
}

impl State {
    fn append(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        self.broken = true;
        for piece in pieces {
            self.file.write_all(piece)?;
            self.position += piece.len() as u64;
        }
        self.broken = false;
        Ok(())
    }
}

impl Target for ZipFile {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let mut crc = crc32fast::Hasher::new();
        for piece in pieces {
            crc.update(piece);
        }
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let name = format!("{}{path}", self.top);
        if length >= U32_FULL || name.len() > usize::from(u16::MAX) {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // What an earlier run left under this name is not what was wanted.
        if state.earlier.remove(&name) {
            state.unasked.remove(&name);
            state.entries.retain(|known| known.name != name);
        }
        let entry = Entry { name, crc: crc.finalize(), length, offset: state.position };
        state.append(&[&entry.local()])?;
        state.append(pieces)?;
        state.entries.push(entry);
        Ok(())
    }

    fn left(&self, path: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{}{path}", self.top);
        if !state.unasked.remove(&name) {
            return Ok(None);
        }
        let entry = state.entries.iter().find(|entry| entry.name == name);
        Ok(entry.map(|entry| {
            let left = Left { file: &self.reader, at: entry.data(), left: entry.length };
            Box::new(left) as Box<dyn Read + '_>
        }))
    }

    fn note(&self, line: &str) -> io::Result<()> {
        self.notes.as_ref().map_or(Ok(()), |notes| notes.add(line))
    }

    fn notes(&self) -> io::Result<String> {
        self.notes.as_ref().map_or_else(|| Ok(String::new()), Notes::read)
    }

    fn publish(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody asked for these: the parcel has become shorter.
        let State { entries, unasked, .. } = &mut *state;
        entries.retain(|entry| !unasked.contains(&entry.name));
        state.position = close_gaps(&self.reader, &mut state.entries)?;
        let position = state.position;
        state.file.seek(SeekFrom::Start(position))?;
        let directory: Vec<u8> = state.entries.iter().flat_map(Entry::central).collect();
        let tail = end(state.entries.len() as u64, directory.len() as u64, state.position);
        state.append(&[&directory, &tail])?;
        state.file.sync_all()?;
        if self.out.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        fs::rename(&self.draft, &self.out)?;
        self.notes.iter().for_each(Notes::forget);
        File::open(parent(&self.out))?.sync_all()
    }

    fn discard(&self) {
        match fs::remove_file(&self.draft) {
            Ok(()) | Err(_) => {}
        }
        self.notes.iter().for_each(Notes::forget);
    }
}

/// Writes a sealed folder of so many parts as the one ZIP that this crate reads. Each file is read twice, for its checksum
/// goes first; one that changes in between is an error, and `out` then holds nothing that is a ZIP.
pub fn pack(folder: &Path, id: Uuid, parts: u64, out: &mut dyn Write) -> io::Result<()> {
    let tags = tag_files(folder).into_iter().map(ToOwned::to_owned);
    let paths = tags.chain((0..parts).map(part_path));
    let (mut position, mut entries) = (0, Vec::new());
    for path in paths {
        let (crc, length) = checksum(&mut File::open(folder.join(&path))?, &mut io::sink())?;
        if length >= U32_FULL {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let entry = Entry { name: format!("parcel-{id}/{path}"), crc, length, offset: position };
        out.write_all(&entry.local())?;
        let mut again = File::open(folder.join(&path))?.take(length + 1);
        if checksum(&mut again, out)? != (crc, length) {
            return Err(io::Error::from(io::ErrorKind::InvalidData));
        }
        position = entry.end();
        entries.push(entry);
    }
    let directory: Vec<u8> = entries.iter().flat_map(Entry::central).collect();
    out.write_all(&directory)?;
    out.write_all(&end(entries.len() as u64, directory.len() as u64, position))
}

/// Copies, and gives checksum and length of what was copied.
fn checksum(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u32, u64)> {
    let (mut crc, mut piece, mut length) = (crc32fast::Hasher::new(), vec![0; PIECE_BYTES], 0);
    loop {
        let count = from.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        crc.update(read);
        to.write_all(read)?;
        length += count as u64;
    }
    Ok((crc.finalize(), length))
}
