//! The folder in which parcels lie, all of them sealed: `sent/<parcel>`, `incoming/<exchange>`, `custody/<parcel>`, and
//! `drafts/` for what is not whole yet. What is being sealed lies hidden in `sent/`, for it goes on after a crash.
//!
//! Invariant: a part appears under its name only when its bytes are on disk and have the hash that the
//! sender signed. Drafts are thrown away when the store is opened.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use keys::digest::Sha256;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::error::{ExchangeError, store};

/// Where incoming bytes are written. A trait so that a test can let the disk be full.
pub trait Disk: Send + Sync {
    /// Creates a file that isn't there, readable by its owner only.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
}

/// A file that is being written.
pub trait DiskFile: Write + Send {
    /// Returns when the bytes are on the disk.
    ///
    /// # Errors
    /// What the operating system says; then nothing is certain about the file.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's own disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What comes in over a channel, as pieces to be written: none once the other end has said that this was all, and
/// `Some(None)` where it went away without saying so. For a thread that may wait.
pub(crate) fn pieces_of(
    mut coming: mpsc::Receiver<Option<Bytes>>,
) -> impl FnMut() -> Option<Option<Bytes>> {
    let mut whole = false;
    move || match coming.blocking_recv() {
        Some(Some(piece)) => Some(Some(piece)),
        Some(None) => {
            whole = true;
            None
        }
        None if whole => None,
        None => Some(None),
    }
}

/// Why a part was not kept.
#[derive(Debug)]
pub(crate) enum Unkept {
    /// Its hash is not the signed one.
    Altered { found: [u8; 32] },
    /// The disk is full, or fails.
    Disk(io::Error),
    /// It is larger than a part can be.
    TooLarge,
    /// The sender broke off.
    Broken,
    /// The parcel was refused meanwhile.
    Gone,
}

pub(crate) struct Store {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    drafts: AtomicU64,
}

impl Store {
    pub(crate) fn open(root: &Path, disk: Arc<dyn Disk>) -> Result<Self, ExchangeError> {
        let make = |folder: &Path| DirBuilder::new().recursive(true).mode(0o700).create(folder);
        for folder in ["sent", "incoming", "arrivals", "custody"] {
            make(&root.join(folder)).map_err(store("make a folder"))?;
        }
        let drafts = root.join("drafts");
        match fs::remove_dir_all(&drafts) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(store("clear old drafts")(error)),
        }
        make(&drafts).map_err(store("make a folder"))?;
        Ok(Self { root: root.to_owned(), disk, drafts: AtomicU64::new(0) })
    }

    /// Where one of our own parcels lies.
    pub(crate) fn sent(&self, parcel: Uuid) -> PathBuf {
        self.root.join("sent").join(parcel.to_string())
    }

    /// Where what was sealed into one of them is kept for ourselves.
    pub(crate) fn custody(&self, parcel: Uuid) -> PathBuf {
        self.root.join("custody").join(parcel.to_string())
    }

    /// Throws that away, with what an attempt to keep it has left.
    pub(crate) fn clear_custody(&self, parcel: Uuid) -> io::Result<()> {
        remove(&self.custody(parcel))
    }

    /// Where a partner's parcel lies.
    pub(crate) fn incoming(&self, exchange: Uuid) -> PathBuf {
        self.root.join("incoming").join(exchange.to_string())
    }

    /// The exchanges whose parcels lie here.
    pub(crate) fn all_incoming(&self) -> io::Result<Vec<Uuid>> {
        let names = fs::read_dir(self.root.join("incoming"))?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// A place that nobody looks at, and that is cleared at the next start.
    pub(crate) fn draft(&self) -> PathBuf {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        self.root.join("drafts").join(number.to_string())
    }

    /// Throws away what a seal has left, whole or not.
    pub(crate) fn clear_sent(&self, parcel: Uuid) -> io::Result<()> {
        self.clear_whole(parcel)?;
        self.clear_drafts(parcel)
    }

    /// Throws away a parcel whose sealing is not recorded, with what was kept of it.
    pub(crate) fn clear_unrecorded(&self, parcel: Uuid) -> io::Result<()> {
        self.clear_custody(parcel)?;
        self.clear_sent(parcel)
    }

    /// Throws away a parcel of ours that is whole.
    pub(crate) fn clear_whole(&self, parcel: Uuid) -> io::Result<()> {
        remove(&self.sent(parcel))
    }

    /// Throws away what a seal that did not come to its end has left.
    pub(crate) fn clear_drafts(&self, parcel: Uuid) -> io::Result<()> {
        let wanted = format!(".{parcel}.");
        for entry in fs::read_dir(self.root.join("sent"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&wanted) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The parcels of our own that lie here whole.
    pub(crate) fn sent_parcels(&self) -> io::Result<BTreeSet<Uuid>> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(self.root.join("sent"))? {
            found.extend(entry?.file_name().to_str().and_then(|name| name.parse::<Uuid>().ok()));
        }
        Ok(found)
    }

    /// The parcels of which there is something that is not whole.
    pub(crate) fn drafts_of_seals(&self) -> io::Result<BTreeSet<Uuid>> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(self.root.join("sent"))? {
            let name = entry?.file_name();
            let parcel = name.to_str().and_then(|name| name.strip_prefix('.')?.split('.').next());
            found.extend(parcel.and_then(|parcel| parcel.parse::<Uuid>().ok()));
        }
        Ok(found)
    }

    /// Gives a refused parcel's room back. It loses its place in one step, so that a part that is
    /// still coming in finds none, and does not make it anew.
    pub(crate) fn remove_incoming(&self, exchange: Uuid) -> io::Result<()> {
        let draft = self.draft();
        match fs::rename(self.incoming(exchange), &draft) {
            Ok(()) => remove(&draft),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lays the files that announce a parcel into a draft folder, for them to be checked.
    pub(crate) fn announce(&self, files: &[(&str, &[u8])]) -> io::Result<PathBuf> {
        let draft = self.draft();
        self.announce_at(&draft, files)?;
        Ok(draft)
    }

    /// As [`Store::announce`], into this folder.
    pub(crate) fn announce_at(&self, draft: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(draft.join("seal"))?;
        DirBuilder::new().mode(0o700).create(draft.join("data"))?;
        for (path, bytes) in files {
            let mut file = self.disk.create(&draft.join(path))?;
            file.write_all(bytes)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Makes a checked draft the place of a parcel, or throws it away where there is one.
    pub(crate) fn install(&self, draft: &Path, exchange: Uuid) -> io::Result<()> {
        let place = self.incoming(exchange);
        if place.exists() {
            return remove(draft);
        }
        fs::rename(draft, &place)?;
        File::open(self.root.join("incoming"))?.sync_all()
    }

    pub(crate) fn discard(&self, draft: &Path) {
        if let Err(error) = remove(draft) {
            tracing::warn!(%error, "a draft could not be removed; it goes at the next start");
        }
    }

    /// Writes a file of which nothing is known yet from its pieces.
    pub(crate) fn lay(
        &self,
        place: &Path,
        pieces: &mut dyn FnMut() -> Option<Option<Bytes>>,
        bytes_max: u64,
    ) -> Result<(), Unkept> {
        let mut file = self.disk.create(place).map_err(Unkept::Disk)?;
        let mut count = 0_u64;
        while let Some(piece) = pieces() {
            let piece = piece.ok_or(Unkept::Broken)?;
            count = count.saturating_add(piece.len() as u64);
            if count > bytes_max {
                return Err(Unkept::TooLarge);
            }
            file.write_all(&piece).map_err(Unkept::Disk)?;
        }
        file.sync().map_err(Unkept::Disk)
    }

    /// Writes a part from its pieces, and gives it its name if it is the signed one.
    pub(crate) fn keep_part(
        &self,
        place: &Path,
        pieces: &mut dyn FnMut() -> Option<Option<Bytes>>,
        expected: &[u8; 32],
        bytes_max: u64,
    ) -> Result<u64, Unkept> {
        let draft = self.draft();
        let kept = self.write_part(&draft, pieces, expected, bytes_max).and_then(|count| {
            // `data` is there since the parcel was announced, unless the parcel is over.
            let parent = place.parent().unwrap_or(place);
            let made = match DirBuilder::new().mode(0o700).create(parent) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            };
            let gone = |error: io::Error| match error.kind() {
                io::ErrorKind::NotFound => Unkept::Gone,
                _ => Unkept::Disk(error),
            };
            made.and_then(|()| fs::rename(&draft, place)).map_err(gone)?;
            Ok(count)
        });
        if kept.is_err() {
            self.discard(&draft);
        }
        kept
    }

    fn write_part(
        &self,
        draft: &Path,
        pieces: &mut dyn FnMut() -> Option<Option<Bytes>>,
        expected: &[u8; 32],
        bytes_max: u64,
    ) -> Result<u64, Unkept> {
        let mut file = self.disk.create(draft).map_err(Unkept::Disk)?;
        let mut hash = Sha256::new();
        let mut count = 0_u64;
        // `None`: the sender is done. `Some(None)`: it broke off.
        while let Some(piece) = pieces() {
            let piece = piece.ok_or(Unkept::Broken)?;
            count = count.saturating_add(piece.len() as u64);
            if count > bytes_max {
                return Err(Unkept::TooLarge);
            }
            hash.update(&piece);
            file.write_all(&piece).map_err(Unkept::Disk)?;
        }
        let found = hash.finish();
        if found != *expected {
            return Err(Unkept::Altered { found });
        }
        file.sync().map_err(Unkept::Disk)?;
        Ok(count)
    }
}

/// Removes a file or a folder; what is not there is removed already.
fn remove(path: &Path) -> io::Result<()> {
    let facts = match fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if facts.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}
