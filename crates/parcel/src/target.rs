//! Where a seal writes: a draft that becomes the parcel in one step, or nothing.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The steps of writing a parcel. A trait so that a test can make each of them fail.
pub trait Target: Sync {
    /// Creates the file `path` (relative, `/`), which isn't there, with the pieces one after
    /// another, durably. Called from several threads.
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()>;
    /// Makes all that was created durable and gives it its final name.
    fn publish(&self) -> io::Result<()>;
    /// Removes all that was created. Best effort: what can't be removed has no signature.
    fn discard(&self);
}

/// A folder that appears whole: drafts go to a hidden neighbour, which is renamed.
#[derive(Debug)]
pub struct Folder {
    draft: PathBuf,
    out: PathBuf,
}

impl Folder {
    /// `out` must not exist; its parent must. `name` keeps apart two seals at a time.
    pub fn new(out: &Path, name: &str) -> io::Result<Self> {
        if out.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let last = out.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let parent = parent(out);
        let draft = parent.join(format!(".{last}.{name}.draft"));
        DirBuilder::new().mode(0o700).create(&draft)?;
        Ok(Self { draft, out: out.to_owned() })
    }

    pub(crate) fn draft(&self) -> &Path {
        &self.draft
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

impl Target for Folder {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let path = self.draft.join(path);
        DirBuilder::new().recursive(true).mode(0o700).create(parent(&path))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        for piece in pieces {
            file.write_all(piece)?;
        }
        file.sync_all()
    }

    fn publish(&self) -> io::Result<()> {
        sync_folders(&self.draft)?;
        fs::rename(&self.draft, &self.out)?;
        File::open(parent(&self.out))?.sync_all()
    }

    fn discard(&self) {
        match fs::remove_dir_all(&self.draft) {
            Ok(()) | Err(_) => {}
        }
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
