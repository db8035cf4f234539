//! A file of the disk in memory.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Content, Fault, State, lock, made_to_fail, name_of, put};
use crate::disk::DiskFile;

pub(super) struct SimFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) gate: Arc<RwLock<()>>,
    pub(super) path: PathBuf,
    pub(super) id: u64,
}

impl SimFile {
    fn content<T>(&self, act: impl FnOnce(&mut Content) -> T) -> io::Result<T> {
        let mut state = lock(&self.state);
        state.contents.get_mut(&self.id).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.content(|content| content.now.len() as u64)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        if lock(&self.state).read_fails(&self.path) {
            return Err(made_to_fail());
        }
        self.content(|content| {
            let there = content.now.get(offset..).unwrap_or_default();
            let count = out.len().min(there.len());
            if let (Some(to), Some(from)) = (out.get_mut(..count), there.get(..count)) {
                to.copy_from_slice(from);
            }
            count
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        drop(self.gate.read().unwrap_or_else(PoisonError::into_inner));
        let mut state = lock(&self.state);
        let fault = state.operation();
        if fault == Some(Fault::Lost) || state.fails_by_name(&self.path) {
            return Err(made_to_fail());
        }
        let bytes = match fault {
            Some(Fault::Torn) => bytes.get(..bytes.len() / 2).unwrap_or_default(),
            _ => bytes,
        };
        let used: usize = state.contents.values().map(|content| content.now.len()).sum();
        let room = state.room;
        *state.writes.entry(name_of(&self.path)).or_default() += 1;
        let content = state.contents.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let grown = (offset + bytes.len()).saturating_sub(content.now.len());
        if room.is_some_and(|room| grown > 0 && used + grown > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut content.now, offset, bytes);
        content.unsynced.push((offset, bytes.to_vec()));
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.gate.read().unwrap_or_else(PoisonError::into_inner));
        let mut state = lock(&self.state);
        let mut fault = state.operation();
        if state.fail_sync.take_if(|name| *name == name_of(&self.path)).is_some() {
            fault = Some(Fault::Lost);
        }
        let content = state.contents.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        match fault {
            // As on Linux: the pages count as clean afterwards, and are not on the disk.
            Some(Fault::Lost | Fault::Torn) => {
                content.unsynced.clear();
                return Err(made_to_fail());
            }
            Some(Fault::Kept) | None => {
                for (offset, bytes) in std::mem::take(&mut content.unsynced) {
                    put(&mut content.synced, offset, &bytes);
                }
                content.synced.truncate(content.now.len());
            }
        }
        *state.syncs.entry(name_of(&self.path)).or_default() += 1;
        if fault.is_some() { Err(made_to_fail()) } else { Ok(()) }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.content(|content| {
            content.now.resize(length, 0);
            content.unsynced.retain(|(offset, _)| *offset < length);
            content.unsynced.iter_mut().for_each(|(at, bytes)| bytes.truncate(length - *at));
        })
    }

    fn in_place(&self) -> io::Result<bool> {
        Ok(lock(&self.state).names.get(&self.path) == Some(&self.id))
    }
}
