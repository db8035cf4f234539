//! The disk, as a trait, so that tests own every write and every failure.
//!
//! Invariant: nothing else in this room touches a file, but for the search index, which can be
//! lost at any time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capacity::Space;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made if it is not there.
    Create,
}

/// What a ledger needs of a file system.
pub trait Disk: Send + Sync {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a folder and those above it; there may be one.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; durable once its folder is synced.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Takes the lock file, or `None` if another process holds it. Held until dropped.
    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskLock>>>;
    /// Room on the volume of a path.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Whether paths on this disk are paths to other programs and libraries too.
    fn is_real(&self) -> bool {
        false
    }
}

/// A lock that is held.
pub trait DiskLock: Send + Sync {
    /// Whether its path still leads to the file that is locked. Else it keeps nobody out.
    fn in_place(&self) -> io::Result<bool>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    fn length(&self) -> io::Result<u64>;
    /// Fills `out` as far as the file goes and tells how far.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// fdatasync.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `length`.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Whether its path still leads to this very file.
    fn in_place(&self) -> io::Result<bool>;
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

struct SystemFile {
    file: File,
    path: PathBuf,
}

fn nonblocking() -> i32 {
    i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0)
}

impl Disk for SystemDisk {
    fn space(&self, path: &Path) -> io::Result<Space> {
        let volume = rustix::fs::statvfs(path)?;
        // What only root may use is neither free nor used, as `df` has it.
        let free = volume.f_bavail;
        let all = volume.f_blocks.saturating_sub(volume.f_bfree).saturating_add(free);
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        let files = (volume.f_files > 0).then_some((volume.f_files, volume.f_ffree));
        Ok(Space { bytes: bytes(all), free_bytes: bytes(free), files })
    }

    fn is_real(&self) -> bool {
        true
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read).create(mode == Mode::Create).mode(0o600);
        // Else a pipe in the place of a file would be waited for without end.
        options.custom_flags(nonblocking());
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Arc::new(SystemFile { file, path: path.to_owned() }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskLock>>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Arc::new(SystemFile { file, path: path.to_owned() }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for SystemFile {
    fn length(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn in_place(&self) -> io::Result<bool> {
        self.is_in_place()
    }
}

impl DiskLock for SystemFile {
    fn in_place(&self) -> io::Result<bool> {
        self.is_in_place()
    }
}

impl SystemFile {
    fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => {
                Ok(ours.nlink() > 0 && (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The whole of a file, which must not be longer than `max`.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Mode::Read)?;
    let length = file.length()?;
    if length > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than it may be"));
    }
    let mut out = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let read = file.read_at(&mut out, 0)?;
    out.truncate(read);
    Ok(out)
}

/// Puts a whole small file in place, so that a crash leaves the old one or the new one.
pub(crate) fn replace(disk: &dyn Disk, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let file = disk.open(&new, Mode::Create)?;
    file.truncate(0)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&new, &path)?;
    disk.sync_folder(folder)
}
