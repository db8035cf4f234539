//! Laying parcels down on a medium that somebody carries: a disk or stick that is mounted in a declared folder.
//!
//! Invariants: nothing is written where the medium is not in; a parcel has its name on it only after it was read
//! back and was what was written. Beside it lie the page that opens it and how to open it without that page.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keys::digest::Sha256;
use tokio::sync::mpsc;

use super::{Depot, DepotError, Laying, Load, LoadFile, Way};

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
    fn check(&self) -> Result<(), DepotError> {
        let missing = || DepotError::NotThere { place: "the medium".to_owned() };
        let here = fs::metadata(&self.folder).map_err(|_| missing())?;
        let above = self.folder.parent().and_then(|parent| fs::metadata(parent).ok());
        let mounted = above.is_none_or(|above| above.dev() != here.dev());
        if here.is_dir() && (mounted || !self.mounted) { Ok(()) } else { Err(missing()) }
    }

    fn write(&self, load: &Load, told: &Told) -> Result<(), DepotError> {
        self.check()?;
        match self.form {
            Form::Folder => self.write_folder(load, told)?,
            Form::Zip => self.write_zip(load, told)?,
        }
        let how = fs::read(load.folder.join(HOW_TO_OPEN)).map_err(read("read a parcel"))?;
        for (name, bytes) in
            [(HOW_TO_OPEN, how), (OPENER, parcel::opener::page(&self.product).into_bytes())]
        {
            let place = self.folder.join(name);
            if fs::read(&place).is_ok_and(|there| there == bytes) {
                continue;
            }
            let mut file = File::create(&place).map_err(read("write to the medium"))?;
            file.write_all(&bytes)
                .and_then(|()| file.sync_all())
                .map_err(read("write to the medium"))?;
        }
        sync_folder(&self.folder)
    }

    fn write_folder(&self, load: &Load, told: &Told) -> Result<(), DepotError> {
        let place = self.folder.join(load.top());
        let unfinished = self.folder.join(format!("{}.unfinished", load.top()));
        let at = if place.is_dir() { &place } else { &unfinished };
        for file in &load.files {
            let to = at.join(&file.path);
            if !is_there(&to, file, told)? {
                let parent = to.parent().unwrap_or(at);
                fs::create_dir_all(parent).map_err(read("make a folder on the medium"))?;
                copy(&load.folder.join(&file.path), &to, told)?;
                if !is_there(&to, file, told)? {
                    return Err(DepotError::Differs { file: file.path.clone() });
                }
            }
            told.moved(file.bytes);
        }
        if at == &unfinished {
            fs::rename(&unfinished, &place).map_err(read("name the parcel on the medium"))?;
        }
        Ok(())
    }

    fn write_zip(&self, load: &Load, told: &Told) -> Result<(), DepotError> {
        let place = self.folder.join(format!("{}.zip", load.top()));
        let unfinished = self.folder.join(format!("{}.zip.unfinished", load.top()));
        let pack = |out: &mut dyn Write| parcel::pack(&load.folder, load.parcel, load.parts, out);
        let mut expected = Counted::new(io::sink(), None, told);
        pack(&mut expected).map_err(read("read a parcel"))?;
        let expected = expected.hash.finish();
        let holds = |path: &Path| hash_of(path, told).map(|found| found == expected);
        if place.is_file() && holds(&place)? {
            return Ok(());
        }
        let failed = || read("write to the medium");
        let file = File::create(&unfinished).map_err(failed())?;
        let mut out = Counted::new(BufWriter::with_capacity(PIECE_BYTES, file), Some(told), told);
        pack(&mut out).and_then(|()| out.flush()).map_err(failed())?;
        let file = out.inner.into_inner().map_err(|error| failed()(error.into_error()))?;
        file.sync_all().map_err(failed())?;
        drop(file);
        if !holds(&unfinished)? {
            return Err(DepotError::Differs { file: format!("{}.zip", load.top()) });
        }
        fs::rename(&unfinished, &place).map_err(read("name the parcel on the medium"))
    }
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
                way.moved(bytes);
            }
            written.await.map_err(|_| DepotError::Stopped)?
        })
    }
}

struct Stops(Arc<AtomicBool>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who is told how far it is, and says whether it goes on.
struct Told {
    send: mpsc::UnboundedSender<u64>,
    stop: Arc<AtomicBool>,
}

impl Told {
    fn moved(&self, bytes: u64) {
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
            told.moved(count as u64);
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

fn copy(from: &Path, to: &Path, told: &Told) -> Result<(), DepotError> {
    let mut from = File::open(from).map_err(read("read a parcel"))?;
    let failed = || read("write to the medium");
    let mut file = File::create(to).map_err(failed())?;
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
