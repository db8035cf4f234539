//! The machine's disk, with its syncs and written bytes counted. What the search index writes beside the log
//! goes past it: it is not waited for, and is not synced for an append.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::SystemDisk;
use ledger::testing::{Disk, DiskFile, DiskLock, Mode, Space};

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) syncs: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Counts {
    /// Syncs and bytes so far.
    pub(crate) fn now(&self) -> (u64, u64) {
        (self.syncs.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

pub(crate) struct CountedDisk {
    pub(crate) counts: Arc<Counts>,
}

struct CountedFile {
    file: Arc<dyn DiskFile>,
    counts: Arc<Counts>,
}

impl Disk for CountedDisk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let file = SystemDisk.open(path, mode)?;
        Ok(Arc::new(CountedFile { file, counts: Arc::clone(&self.counts) }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        SystemDisk.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        SystemDisk.list(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskLock>>> {
        SystemDisk.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        SystemDisk.space(path)
    }

    fn is_real(&self) -> bool {
        true
    }
}

impl DiskFile for CountedFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(out, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }

    fn in_place(&self) -> io::Result<bool> {
        self.file.in_place()
    }
}
