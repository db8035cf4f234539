//! Laying parcels down on a medium that somebody carries: a disk or stick that is mounted in a declared folder.
//!
//! Invariants: nothing is written where the medium is not in, nor through what lies on it already; a parcel has its name on it only after it was read
//! back and was what was written. Beside it lie the page that opens it and how to open it without that page.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keys::digest::Sha256;
use tokio::sync::mpsc;

use super::{Depot, DepotError, Laying, Left, Load, LoadFile, Way};

const PIECE_BYTES: usize = 256 * 1024;
const HOW_TO_OPEN: &str = "HOW-TO-OPEN.txt";
const OPENER: &str = "open.html";

/// As what a parcel lies on a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its files, none larger than FAT32 takes.
    Folder,
    /// One ZIP64 file without compression.
    Zip,
}

/// A medium that is carried.
#[derive(Debug, Clone)]
pub struct Medium {
    /// Where it is mounted.
    pub folder: PathBuf,
    pub form: Form,
    /// Whether the folder has to be another file system than the one it lies in.
    pub mounted: bool,
    /// Who writes the page that opens parcels, with version.
    pub product: String,
}

impl Medium {
    /// The medium that is in.
    fn find(&self) -> Result<Found, DepotError> {
        let here = fs::metadata(&self.folder).map_err(|_| missing())?;
        let above = self.folder.parent().and_then(|parent| fs::metadata(parent).ok());
        let mounted = above.is_some_and(|above| above.dev() != here.dev());
        if here.is_dir() && (mounted || !self.mounted) {
            return Ok(Found { root: self.folder.clone(), dev: here.dev(), ino: here.ino() });
        }
        Err(missing())
    }

    fn write(&self, load: &Load, told: &Told) -> Result<(), DepotError> {
        let found = self.find()?;
        match self.form {
            Form::Folder => write_folder(&found, load, told)?,
            Form::Zip => write_zip(&found, load, told)?,
        }
        let how = fs::read(load.folder.join(HOW_TO_OPEN)).map_err(read("read a parcel"))?;
        for (name, bytes) in
            [(HOW_TO_OPEN, how), (OPENER, parcel::opener::page(&self.product).into_bytes())]
        {
            let sha256 = keys::digest::sha256(&bytes);
            let file = LoadFile { path: name.to_owned(), bytes: bytes.len() as u64, sha256 };
            let place = found.root.join(name);
            if is_there(&place, &file, told)? {
                continue;
            }
            let mut new = found.create(&place)?;
            let written = new.write_all(&bytes).and_then(|()| new.sync_all());
            written.map_err(read("write to the medium"))?;
        }
        sync_folder(&found.root)
    }

    /// Removes a parcel from the medium that is in, if it is the one that has it: its own files and no other.
    fn remove(&self, left: &Left) -> Result<(), DepotError> {
        let found = self.find()?;
        let top = left.top();
        let mut removed = false;
        for name in [format!("{top}.zip"), format!("{top}.zip.unfinished")] {
            removed |= found.remove_file(&found.root.join(name))?;
        }
        for folder in [found.root.join(&top), found.root.join(format!("{top}.unfinished"))] {
            if fs::symlink_metadata(&folder).is_err() || !is_folder(&folder)? {
                continue;
            }
            removed = true;
            let mut folders = BTreeSet::from([folder.clone()]);
            for path in left.paths() {
                let place = folder.join(&path);
                let above = place.ancestors().skip(1).take_while(|at| at.starts_with(&folder));
                let above: Vec<PathBuf> = above.map(Path::to_owned).collect();
                // Through a link that lies there nothing is removed.
                if above.iter().all(|at| is_folder(at).unwrap_or(false)) {
                    found.remove_file(&place)?;
                }
                folders.extend(above);
            }
            for at in folders.iter().rev() {
                match fs::remove_dir(at) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                        return Err(DepotError::StillThere { file: at.display().to_string() });
                    }
                    Err(error) => return Err(read("remove a parcel from the medium")(error)),
                }
            }
        }
        if !removed {
            let place = "a medium that has the parcel".to_owned();
            return Err(DepotError::NotThere { place });
        }
        sync_folder(&found.root)
    }
}

fn missing() -> DepotError {
    DepotError::NotThere { place: "the medium".to_owned() }
}

/// A medium that is in. What lies on it already may be anything: it was in other hands.
struct Found {
    root: PathBuf,
    dev: u64,
    ino: u64,
}

impl Found {
    /// That it is still the same: it may be pulled out, or another put in, between any two files.
    fn still(&self) -> Result<(), DepotError> {
        let here = fs::metadata(&self.root).map_err(|_| missing())?;
        if (here.dev(), here.ino()) == (self.dev, self.ino) { Ok(()) } else { Err(missing()) }
    }

    /// A new file. A link, a pipe or whatever else has its name goes; nothing is ever written through it.
    fn create(&self, place: &Path) -> Result<File, DepotError> {
        self.still()?;
        match fs::symlink_metadata(place) {
            Ok(_) => fs::remove_file(place).map_err(read("clear a place on the medium"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(read("look at the medium")(error)),
        }
        File::create_new(place).map_err(read("write to the medium"))
    }

    /// Removes a file, or a link and not what it leads to. `false`: nothing is there.
    fn remove_file(&self, place: &Path) -> Result<bool, DepotError> {
        self.still()?;
        match fs::remove_file(place) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(read("remove a parcel from the medium")(error)),
        }
    }

    /// A folder below the root and those above it, none of them a link to elsewhere.
    fn make_folder(&self, place: &Path) -> Result<(), DepotError> {
        self.still()?;
        let below = place.strip_prefix(&self.root).unwrap_or(place);
        let mut at = self.root.clone();
        for part in below.components() {
            at.push(part);
            if is_folder(&at)? {
                continue;
            }
            fs::create_dir(&at).map_err(read("make a folder on the medium"))?;
        }
        Ok(())
    }

    /// Gives what is whole its name, once it lies on the medium and not in memory alone.
    fn name(&self, unfinished: &Path, place: &Path) -> Result<(), DepotError> {
        self.still()?;
        fs::rename(unfinished, place).map_err(read("name the parcel on the medium"))?;
        sync_folder(&self.root)
    }
}

/// Whether a folder is there. Anything else of that name is refused.
fn is_folder(place: &Path) -> Result<bool, DepotError> {
    match fs::symlink_metadata(place) {
        Ok(facts) if facts.is_dir() => Ok(true),
        Ok(_) => {
            let what = format!("`{}` is not a folder", place.display());
            Err(read("use what lies on the medium")(io::Error::other(what)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(read("look at the medium")(error)),
    }
}

fn write_folder(found: &Found, load: &Load, told: &Told) -> Result<(), DepotError> {
    let place = found.root.join(load.top());
    let unfinished = found.root.join(format!("{}.unfinished", load.top()));
    if is_folder(&place)? {
        if all_there(&place, load, told)? {
            told.there(load.bytes());
            return Ok(());
        }
        // What differs is not called whole while it is written again.
        if is_folder(&unfinished)? {
            fs::remove_dir_all(&unfinished).map_err(read("clear a place on the medium"))?;
        }
        fs::rename(&place, &unfinished).map_err(read("name the parcel on the medium"))?;
    }
    let mut folders = BTreeSet::from([unfinished.clone()]);
    for file in &load.files {
        let to = unfinished.join(&file.path);
        let parent = to.parent().unwrap_or(&unfinished).to_owned();
        found.make_folder(&parent)?;
        if is_there(&to, file, told)? {
            told.there(file.bytes);
        } else {
            copy(&load.folder.join(&file.path), found.create(&to)?, told)?;
            if !is_there(&to, file, told)? {
                return Err(DepotError::Differs { file: file.path.clone() });
            }
            told.moved(file.bytes);
        }
        folders.extend(
            parent.ancestors().take_while(|at| at.starts_with(&unfinished)).map(Path::to_owned),
        );
    }
    folders.iter().rev().try_for_each(|folder| sync_folder(folder))?;
    // Half of it may lie on a medium that was taken out in the middle.
    let absent = load.files.iter().find(|file| {
        let facts = fs::symlink_metadata(unfinished.join(&file.path));
        !facts.is_ok_and(|facts| facts.is_file() && facts.len() == file.bytes)
    });
    if let Some(file) = absent {
        return Err(DepotError::Differs { file: file.path.clone() });
    }
    found.name(&unfinished, &place)
}

fn all_there(at: &Path, load: &Load, told: &Told) -> Result<bool, DepotError> {
    for file in &load.files {
        if !is_there(&at.join(&file.path), file, told)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write_zip(found: &Found, load: &Load, told: &Told) -> Result<(), DepotError> {
    let place = found.root.join(format!("{}.zip", load.top()));
    let unfinished = found.root.join(format!("{}.zip.unfinished", load.top()));
    for file in &load.files {
        told.go_on().map_err(read("read a parcel"))?;
        file.check(&load.folder)?;
    }
    let pack = |out: &mut dyn Write| parcel::pack(&load.folder, load.parcel, load.parts, out);
    let mut expected = Counted::new(io::sink(), None, told);
    pack(&mut expected).map_err(read("read a parcel"))?;
    let expected = expected.hash.finish();
    let holds = |path: &Path| hash_of(path, told).map(|found| found == expected);
    let plain = fs::symlink_metadata(&place).is_ok_and(|facts| facts.is_file());
    if plain && holds(&place)? {
        return Ok(());
    }
    let failed = || read("write to the medium");
    let file = found.create(&unfinished)?;
    let mut out = Counted::new(BufWriter::with_capacity(PIECE_BYTES, file), Some(told), told);
    pack(&mut out).and_then(|()| out.flush()).map_err(failed())?;
    let file = out.inner.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.sync_all().map_err(failed())?;
    drop(file);
    found.still()?;
    if !holds(&unfinished)? {
        return Err(DepotError::Differs { file: format!("{}.zip", load.top()) });
    }
    found.name(&unfinished, &place)
}

impl Depot for Medium {
    fn words(&self) -> String {
        let form = match self.form {
            Form::Folder => "as a folder",
            Form::Zip => "as one ZIP file",
        };
        format!("a medium in {}, {form}", self.folder.display())
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(async move {
            let (send, mut moved) = mpsc::unbounded_channel();
            let stop = Arc::new(AtomicBool::new(false));
            // Where this is dropped, the writing ends at the next piece.
            let _stops = Stops(Arc::clone(&stop));
            let (medium, load) = (self.clone(), load.clone());
            let told = Told { send, stop };
            let written = tokio::task::spawn_blocking(move || medium.write(&load, &told));
            while let Some(bytes) = moved.recv().await {
                match bytes {
                    Bytes::New(bytes) => way.moved(bytes),
                    Bytes::There(bytes) => way.there(bytes),
                }
            }
            written.await.map_err(|_| DepotError::Stopped)?
        })
    }

    fn clear<'a>(&'a self, left: &'a Left) -> Laying<'a> {
        let (medium, left) = (self.clone(), left.clone());
        Box::pin(async move {
            let removed = tokio::task::spawn_blocking(move || medium.remove(&left));
            removed.await.map_err(|_| DepotError::Stopped)?
        })
    }
}

struct Stops(Arc<AtomicBool>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How far it is.
enum Bytes {
    /// So many were written, and stay.
    New(u64),
    /// So many need not be written, or are written anew by the next attempt.
    There(u64),
}

/// Who is told how far it is, and says whether it goes on.
struct Told {
    send: mpsc::UnboundedSender<Bytes>,
    stop: Arc<AtomicBool>,
}

impl Told {
    fn moved(&self, bytes: u64) {
        self.tell(Bytes::New(bytes));
    }

    fn there(&self, bytes: u64) {
        self.tell(Bytes::There(bytes));
    }

    fn tell(&self, bytes: Bytes) {
        if self.send.send(bytes).is_err() {
            // Nobody listens any more: it was stopped, which is noticed at the next piece.
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn go_on(&self) -> io::Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(io::Error::other("it was stopped")),
            false => Ok(()),
        }
    }
}

/// Hashes what goes through, and tells how much it was.
struct Counted<'a, W> {
    inner: W,
    hash: Sha256,
    tells: Option<&'a Told>,
    stops: &'a Told,
}

impl<'a, W: Write> Counted<'a, W> {
    fn new(inner: W, tells: Option<&'a Told>, stops: &'a Told) -> Self {
        Self { inner, hash: Sha256::new(), tells, stops }
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stops.go_on()?;
        let count = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        if let Some(told) = self.tells {
            // A file that is cut off is begun anew.
            told.there(count as u64);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn read(doing: &'static str) -> impl FnOnce(io::Error) -> DepotError {
    DepotError::failed(doing)
}

/// Whether a file is there and is the one: read back, whole.
fn is_there(path: &Path, file: &LoadFile, told: &Told) -> Result<bool, DepotError> {
    match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_file() && facts.len() == file.bytes => {
            Ok(hash_of(path, told)? == file.sha256)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(read("look at the medium")(error)),
    }
}

fn hash_of(path: &Path, told: &Told) -> Result<[u8; 32], DepotError> {
    let failed = || read("read back from the medium");
    let mut file = File::open(path).map_err(failed())?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        told.go_on().map_err(failed())?;
        match file.read(&mut piece).map_err(failed())? {
            0 => return Ok(hash.finish()),
            count => hash.update(piece.get(..count).unwrap_or_default()),
        }
    }
}

fn copy(from: &Path, mut file: File, told: &Told) -> Result<(), DepotError> {
    let mut from = File::open(from).map_err(read("read a parcel"))?;
    let failed = || read("write to the medium");
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        told.go_on().map_err(failed())?;
        let count = from.read(&mut piece).map_err(read("read a parcel"))?;
        let Some(some) = piece.get(..count).filter(|some| !some.is_empty()) else { break };
        file.write_all(some).map_err(failed())?;
    }
    file.sync_all().map_err(failed())
}

fn sync_folder(folder: &Path) -> Result<(), DepotError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(read("write to the medium"))
}
