//! Small files that survive a crash: whole and old, or whole and new, never in between.
//!
//! Order: write a neighbour, fsync it, rename it over, fsync the folder. A failure at any step
//! leaves what was there before, and is reported.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::KeysError;

/// A file of secrets is readable by its owner only.
pub const MODE_SECRET: u32 = 0o600;
pub const MODE_PUBLIC: u32 = 0o644;

/// The steps of a durable write. A trait only so that a test can make each of them fail.
pub trait Disk: Send + Sync {
    /// Creates `path`, which must not exist, writes `bytes` and syncs them.
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes `to` a second name of `from`; fails if there is a `to`.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's file system.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Puts `bytes` at `path`, over what may be there, so that a crash leaves the one or the other.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeysError> {
    put(disk, path, bytes, mode, |from, to| disk.rename(from, to))
}

/// Puts `bytes` at `path` where nothing is yet; fails with `AlreadyExists` if something is.
pub fn create(disk: &dyn Disk, path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeysError> {
    put(disk, path, bytes, mode, |from, to| {
        disk.link(from, to)?;
        disk.remove(from)
    })
}

fn put(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    mode: u32,
    publish: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), KeysError> {
    let error = |doing, source| KeysError::File { doing, path: path.to_owned(), source };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(error("write", io::Error::from(io::ErrorKind::InvalidFilename)));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let draft = folder.join(format!(".{}.{}.draft", name.to_string_lossy(), std::process::id()));
    let outcome = disk.create(&draft, bytes, mode).and_then(|()| publish(&draft, path));
    if let Err(source) = outcome {
        // The draft is worthless and secret; that it may stay behind is told by the error above.
        return match disk.remove(&draft) {
            Ok(()) | Err(_) => Err(error("write", source)),
        };
    }
    disk.sync_folder(folder).map_err(|source| error("make durable", source))
}

/// Reads at most `bytes_max` bytes; a longer file is an error.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, KeysError> {
    let error = |source| KeysError::File { doing: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    io::Read::read_to_end(&mut io::Read::take(file, limit), &mut bytes).map_err(error)?;
    if bytes.len() > bytes_max {
        return Err(error(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    Ok(bytes)
}

/// As [`read`], for a file of secrets: its mode must give nothing to group and others. A pipe in its place
/// would be waited for without end, and is refused.
pub fn read_secret(path: &Path, bytes_max: usize) -> Result<Vec<u8>, KeysError> {
    let error = |source| KeysError::File { doing: "read", path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(error)?;
    if !found.is_file() {
        return Err(error(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Mode { path: path.to_owned(), mode });
    }
    read(path, bytes_max)
}
