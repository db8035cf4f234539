//! A folder on a disk, and the two kinds of file that grow in it: segments and the journal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, Mode};
use crate::error::AppendError;
use crate::journal::Segment;
use crate::store::Failure;

/// Zeros are written ahead in steps of this size.
pub(crate) const STEP_BYTES: u64 = 256 << 10;

/// The ledger's folder.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
}

impl Place {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Sorts an error of the disk. Only a lack of room leaves the files trusted.
pub(crate) fn failed(doing: &'static str, path: &Path, source: io::Error) -> Failure {
    use io::ErrorKind::{QuotaExceeded, StorageFull};

    let path = path.to_owned();
    let full = matches!(source.kind(), StorageFull | QuotaExceeded);
    let source = Arc::new(source);
    if full {
        Failure::Refused(AppendError::NoRoom { path, source })
    } else {
        Failure::Broken(AppendError::Disk { doing, path, source })
    }
}

/// As [`failed`], where even a lack of room leaves nothing trusted: after writes in place.
pub(crate) fn broken(doing: &'static str, path: &Path, source: io::Error) -> Failure {
    let path = path.to_owned();
    Failure::Broken(AppendError::Disk { doing, path, source: Arc::new(source) })
}

/// An open segment: used up to `end`, zeros from there up to `room`.
#[derive(Clone)]
pub(crate) struct Extent {
    pub(crate) segment: Segment,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) end: u64,
    pub(crate) room: u64,
    /// Zeros are not written ahead beyond this.
    limit: u64,
}

impl Extent {
    /// Opens a segment that is used up to `end`.
    pub(crate) fn open(
        place: &Place,
        segment: Segment,
        end: u64,
        limit: u64,
    ) -> Result<Self, Failure> {
        let path = place.path(&segment.path());
        let file = place.disk.open(&path, Mode::Write);
        let file = file.map_err(|source| broken("open", &path, source))?;
        let room = file.length().map_err(|source| broken("read", &path, source))?;
        Ok(Self { segment, path, file, end, room, limit })
    }

    /// Makes a new segment with room for `need` bytes. A leftover of a try that failed is used.
    pub(crate) fn create(
        place: &Place,
        segment: Segment,
        need: u64,
        limit: u64,
    ) -> Result<Self, Failure> {
        let path = place.path(&segment.path());
        let file = place.disk.open(&path, Mode::Create);
        let file = file.map_err(|source| failed("create", &path, source))?;
        let mut extent = Self { segment, path, file, end: 0, room: 0, limit };
        extent.ensure(need)?;
        let folder = extent.path.parent().unwrap_or(&place.folder);
        place.disk.sync_folder(folder).map_err(|source| failed("sync", folder, source))?;
        Ok(extent)
    }

    /// Makes sure that `need` bytes from the end on are there, as zeros and on disk.
    pub(crate) fn ensure(&mut self, need: u64) -> Result<(), Failure> {
        let want = self.end + need;
        if want <= self.room {
            return Ok(());
        }
        let target = want.next_multiple_of(STEP_BYTES).min(self.limit.max(want));
        self.write_zeros(target).map_err(|source| failed("extend", &self.path, source))?;
        self.room = target;
        Ok(())
    }

    fn write_zeros(&self, target: u64) -> io::Result<()> {
        write_zeros(self.file.as_ref(), self.room, target)?;
        self.file.sync()
    }
}

pub(crate) fn write_zeros(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while from < to {
        let length = usize::try_from(to - from).unwrap_or(ZEROS.len()).min(ZEROS.len());
        file.write_at(ZEROS.get(..length).unwrap_or_default(), from)?;
        from += length as u64;
    }
    Ok(())
}
