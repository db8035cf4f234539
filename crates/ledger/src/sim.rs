//! A disk in memory: for tests, of this room and of others.
//!
//! It knows what was synced and what was not. A power cut keeps the synced bytes, and of each
//! other write all, nothing or some sectors. An operation can be made to fail, with or without
//! its effect.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};

use crate::capacity::Space;
use crate::disk::{Disk, DiskFile, DiskLock, Mode};
use file::SimFile;

const SECTOR: usize = 512;

/// How the chosen operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and reports an error.
    Lost,
    /// It does its work and reports an error all the same.
    Kept,
    /// Of a write, only the first half arrives; an error is reported.
    Torn,
}

#[derive(Debug, Default, Clone)]
struct Content {
    /// What programs see.
    now: Vec<u8>,
    /// What a power cut leaves for certain.
    synced: Vec<u8>,
    /// Writes since the last sync: offset and bytes.
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Whether the folder was synced with this file in it.
    named: bool,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    /// What names were before unsynced renames.
    renamed: Vec<(PathBuf, Option<u64>, PathBuf, u64)>,
    /// Names whose removal was not synced.
    removed: Vec<(PathBuf, u64)>,
    contents: BTreeMap<u64, Content>,
    folders: BTreeSet<PathBuf>,
    locked: bool,
    next: u64,
    operations: u64,
    fail_at: Option<(u64, Fault)>,
    fail_after: Option<(String, usize)>,
    fail_sync: Option<String>,
    fail_reads: Option<(String, usize)>,
    room: Option<usize>,
    writes: BTreeMap<String, u64>,
    syncs: BTreeMap<String, u64>,
}

/// The disk. Clones of the `Arc` share it.
#[derive(Debug, Default)]
pub struct SimDisk(Arc<Mutex<State>>, Arc<RwLock<()>>);

/// While this is held, writes and syncs hang.
pub struct Blocked<'a>(#[expect(dead_code, reason = "held, not read")] RwLockWriteGuard<'a, ()>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn made_to_fail() -> io::Error {
    io::Error::other("the disk was made to fail")
}

impl SimDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// Operations that change the disk, counted from its making.
    pub fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    /// Makes the operation with this number fail, once.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        lock(&self.0).fail_at = Some((operation, fault));
    }

    /// Makes every further write to files of this name fail after `count` more of them.
    pub fn fail_writes_after(&self, name: &str, count: usize) {
        lock(&self.0).fail_after = Some((name.to_owned(), count));
    }

    /// Makes the next so many reads of files of this name fail.
    pub fn fail_reads(&self, name: &str, count: usize) {
        lock(&self.0).fail_reads = Some((name.to_owned(), count));
    }

    /// Makes the next sync of a file of this name fail; its writes are lost, though programs go
    /// on seeing them.
    pub fn fail_next_sync(&self, name: &str) {
        lock(&self.0).fail_sync = Some(name.to_owned());
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        let mut state = lock(&self.0);
        (state.fail_at, state.fail_after, state.room) = (None, None, None);
        (state.fail_sync, state.fail_reads) = (None, None);
    }

    /// Lets all files together grow by no more than so many bytes.
    pub fn leave_room(&self, bytes: usize) {
        let mut state = lock(&self.0);
        let used: usize = state.contents.values().map(|content| content.now.len()).sum();
        state.room = Some(used + bytes);
    }

    /// Makes writes and syncs hang until the answer is dropped.
    pub fn block(&self) -> Blocked<'_> {
        Blocked(self.1.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often files of this name were synced.
    pub fn syncs(&self, name: &str) -> u64 {
        lock(&self.0).syncs.get(name).copied().unwrap_or(0)
    }

    /// How often any file was synced.
    pub fn all_syncs(&self) -> u64 {
        lock(&self.0).syncs.values().sum()
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        lock(&self.0).names.keys().cloned().collect()
    }

    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = lock(&self.0);
        state.contents.get(state.names.get(path)?).map(|content| content.now.clone())
    }

    /// Changes a file behind everybody's back, durably.
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = lock(&self.0);
        let Some(id) = state.names.get(path).copied() else { return };
        if let Some(content) = state.contents.get_mut(&id) {
            change(&mut content.now);
            content.synced = content.now.clone();
            content.unsynced.clear();
        }
    }

    /// Removes a file; whoever has it open keeps it.
    pub fn remove(&self, path: &Path) {
        lock(&self.0).names.remove(path);
    }

    /// Renames a file behind everybody's back.
    pub fn move_file(&self, from: &Path, to: &Path) {
        let mut state = lock(&self.0);
        if let Some(id) = state.names.remove(from) {
            state.names.insert(to.to_owned(), id);
        }
    }

    /// Puts a copy of a file elsewhere.
    pub fn copy_file(&self, from: &Path, to: &Path) {
        let mut state = lock(&self.0);
        let content = state.names.get(from).and_then(|id| state.contents.get(id)).cloned();
        if let Some(content) = content {
            let id = state.next;
            state.next += 1;
            state.contents.insert(id, content);
            state.names.insert(to.to_owned(), id);
        }
    }

    /// A copy of the disk as it is, unsynced bytes included, with nobody on it.
    pub fn copy(&self) -> Self {
        let state = lock(&self.0);
        let copy = State {
            names: state.names.clone(),
            renamed: Vec::new(),
            contents: state.contents.clone(),
            folders: state.folders.clone(),
            next: state.next,
            ..State::default()
        };
        Self(Arc::new(Mutex::new(copy)), Arc::default())
    }

    /// The disk after a power cut at this moment. `choose` is asked for each unsynced write and
    /// each of its sectors whether it arrived, and for each unsynced name.
    pub fn after_power_cut(&self, choose: &mut dyn FnMut() -> bool) -> Self {
        let copy = self.copy();
        {
            let (before, mut state) = (lock(&self.0), lock(&copy.0));
            // A rename that arrived brought the file's name along, and took away what it replaced.
            let mut arrived = BTreeSet::new();
            for (to, old, from, id) in before.renamed.iter().rev() {
                if choose() {
                    arrived.insert(*id);
                    continue;
                }
                match old {
                    Some(old) => state.names.insert(to.clone(), *old),
                    None => state.names.remove(to),
                };
                state.names.insert(from.clone(), *id);
            }
            for (path, id) in before.removed.iter().rev() {
                if !choose() {
                    state.names.entry(path.clone()).or_insert(*id);
                }
            }
            let unnamed = |id: &u64| before.contents.get(id).is_some_and(|it| !it.named);
            let mut names = std::mem::take(&mut state.names);
            names.retain(|_, id| arrived.contains(id) || !unnamed(id) || choose());
            state.names = names;
            for content in state.contents.values_mut() {
                let mut kept = content.synced.clone();
                for (offset, bytes) in &content.unsynced {
                    if !choose() {
                        continue;
                    }
                    for (nth, sector) in bytes.chunks(SECTOR).enumerate() {
                        if choose() {
                            put(&mut kept, offset + nth * SECTOR, sector);
                        }
                    }
                }
                content.now.clone_from(&kept);
                (content.synced, content.unsynced) = (kept, Vec::new());
            }
        }
        copy
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.extend_from_slice(&vec![0; end - content.len()]);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl State {
    /// Counts an operation and tells how it fails, if it does.
    fn operation(&mut self) -> Option<Fault> {
        let number = self.operations;
        self.operations += 1;
        self.fail_at.filter(|(at, _)| *at == number).map(|(_, fault)| fault)
    }

    fn read_fails(&mut self, path: &Path) -> bool {
        let counted = self.fail_reads.as_mut().filter(|(name, _)| *name == name_of(path));
        let Some((_, count)) = counted.filter(|(_, count)| *count > 0) else { return false };
        *count -= 1;
        true
    }

    fn fails_by_name(&mut self, path: &Path) -> bool {
        match &mut self.fail_after {
            Some((name, count)) if *name == name_of(path) => {
                let fails = *count == 0;
                *count = count.saturating_sub(1);
                fails
            }
            _ => false,
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.0);
        let id = match (state.names.get(path).copied(), mode) {
            (Some(id), _) => id,
            (None, Mode::Read | Mode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, Mode::Create) => {
                let fault = state.operation();
                if matches!(fault, Some(Fault::Lost | Fault::Torn)) {
                    return Err(made_to_fail());
                }
                let id = state.next;
                state.next += 1;
                state.contents.insert(id, Content::default());
                state.names.insert(path.to_owned(), id);
                if fault.is_some() {
                    return Err(made_to_fail());
                }
                id
            }
        };
        let (state, gate) = (Arc::clone(&self.0), Arc::clone(&self.1));
        Ok(Arc::new(SimFile { state, gate, path: path.to_owned(), id }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        lock(&self.0).folders.insert(path.to_owned());
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let fault = state.operation();
        if matches!(fault, Some(Fault::Lost | Fault::Torn)) {
            return Err(made_to_fail());
        }
        state.renamed.retain(|(to, _, _, _)| to.parent() != Some(path));
        state.removed.retain(|(name, _)| name.parent() != Some(path));
        let inside = |name: &&PathBuf| name.parent() == Some(path);
        let names: Vec<PathBuf> = state.names.keys().filter(inside).cloned().collect();
        for name in names {
            let id = state.names.get(&name).copied();
            if let Some(content) = id.and_then(|id| state.contents.get_mut(&id)) {
                content.named = true;
            }
        }
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let fault = state.operation();
        if matches!(fault, Some(Fault::Lost | Fault::Torn)) {
            return Err(made_to_fail());
        }
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let old = state.names.insert(to.to_owned(), id);
        state.renamed.push((to.to_owned(), old, from.to_owned(), id));
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let fault = state.operation();
        if matches!(fault, Some(Fault::Lost | Fault::Torn)) {
            return Err(made_to_fail());
        }
        let id = state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.removed.push((path.to_owned(), id));
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        let fault = state.operation();
        if matches!(fault, Some(Fault::Lost | Fault::Torn)) {
            return Err(made_to_fail());
        }
        if state.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if !state.folders.remove(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.0);
        let files = state.names.keys();
        let inside = files.chain(&state.folders).filter(|name| name.parent() == Some(path));
        let names: BTreeSet<String> = inside.map(|name| name_of(name)).collect();
        Ok(names.into_iter().collect())
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = lock(&self.0);
        let used: usize = state.contents.values().map(|content| content.now.len()).sum();
        let room = state.room.ok_or(io::ErrorKind::Unsupported)?;
        let (bytes, free_bytes) = (room as u64, room.saturating_sub(used) as u64);
        Ok(Space { bytes, free_bytes, files: None })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskLock>>> {
        let mut state = lock(&self.0);
        if state.locked {
            return Ok(None);
        }
        state.locked = true;
        state.folders.insert(path.parent().unwrap_or(path).to_owned());
        Ok(Some(Arc::new(SimLock(Arc::clone(&self.0)))))
    }
}

struct SimLock(Arc<Mutex<State>>);

impl DiskLock for SimLock {
    fn in_place(&self) -> io::Result<bool> {
        // The lock is no file here, so it can't go away.
        Ok(true)
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        lock(&self.0).locked = false;
    }
}
