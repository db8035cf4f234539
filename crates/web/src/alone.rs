//! One server for one data folder: two would undo each other's sealings and deliveries.
//!
//! Invariants: the lock is taken before anything in the folder is opened, and held until all of it is closed; the system lets
//! go of it when the process ends, however it ends, so that nothing has to be cleared away. It keeps nobody from reading.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::agency::StartError;

/// The lock file, in the data folder.
const LOCK: &str = "server.lock";
/// Digits of a process number.
const NUMBER_BYTES_MAX: u64 = 20;

/// That this process alone serves a data folder.
#[derive(Debug)]
pub(crate) struct Alone {
    _held: File,
}

impl Alone {
    /// # Errors
    /// [`StartError::File`], also where another server has the folder in use.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, StartError> {
        let path = folder.join(LOCK);
        take(folder, &path).map_err(|source| StartError::File { path, source })
    }
}

fn take(folder: &Path, path: &Path) -> io::Result<Alone> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(&mut file)),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // For whoever looks who has it.
    file.set_len(0)?;
    write!(file, "{}", std::process::id())?;
    Ok(Alone { _held: file })
}

fn in_use(file: &mut File) -> io::Error {
    let mut number = String::new();
    let read = file.take(NUMBER_BYTES_MAX).read_to_string(&mut number);
    let number = number.trim();
    let known = read.is_ok() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let process = if known { format!(" (process {number})") } else { String::new() };
    let words = format!(
        "another server{process} has this data folder in use: stop it first, or give this one a folder of its own"
    );
    io::Error::new(ErrorKind::ResourceBusy, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_who_has_the_folder_and_a_third_gets_it_once_it_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let first = Alone::in_folder(&data).unwrap();
        let StartError::File { path, source } = Alone::in_folder(&data).unwrap_err() else {
            panic!("it is a file's error")
        };
        assert_eq!((path, source.kind()), (data.join(LOCK), ErrorKind::ResourceBusy));
        let process = format!("(process {}) has this data folder in use", std::process::id());
        assert!(source.to_string().contains(&process), "{source}");
        drop(first);
        drop(Alone::in_folder(&data).unwrap());

        // A folder that can't be written is told as such.
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = Alone::in_folder(&folder.path().join("file")).unwrap_err();
        assert!(!std::error::Error::source(&error).unwrap().to_string().contains("in use"));
    }
}
