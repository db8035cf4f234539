//! Faults for tests of this room and of those above it. Not for use outside tests.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{Disk, DiskFile, SystemDisk};

/// A disk with room for so many bytes, until it is given more.
#[derive(Clone)]
pub struct SmallDisk(Arc<AtomicU64>);

impl SmallDisk {
    /// A disk with room for so many bytes.
    pub fn new(room: u64) -> Self {
        Self(Arc::new(AtomicU64::new(room)))
    }

    /// From now on there is room for so many.
    pub fn set_room(&self, room: u64) {
        self.0.store(room, Ordering::SeqCst);
    }
}

impl Disk for SmallDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = SystemDisk.create(path)?;
        Ok(Box::new(SmallFile { inner, room: Arc::clone(&self.0) }))
    }
}

struct SmallFile {
    inner: Box<dyn DiskFile>,
    room: Arc<AtomicU64>,
}

impl Write for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = bytes.len() as u64;
        let take = |room: u64| room.checked_sub(needed);
        if self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_err() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl DiskFile for SmallFile {
    fn sync(&mut self) -> io::Result<()> {
        self.inner.sync()
    }
}
