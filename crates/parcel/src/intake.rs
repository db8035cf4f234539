//! Taking in what others made: a folder, a plain BagIt bag, or a ZIP file, none of which is signed by anybody.
//!
//! Invariants: nothing is written here. What was found sound is handed on as entries, to be sealed for ourselves: into quarantine
//! goes a parcel, and no plaintext. Names are held to the rules of a parcel before a byte is read; an archive inside is one file.

mod foreign;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use keys::digest::Sha256;

use self::foreign::ForeignZip;
use crate::bag::SIGNATURE_FILE;
use crate::bagit::{self, Bag};
use crate::error::At;
use crate::media::{self, Examined, Kind};
use crate::name::{self, Conflict};
use crate::{ENTRIES_MAX, Entry, Fault, Refused, Watch};

/// Bytes of all that is taken in at once, as it is unpacked.
pub const INTAKE_BYTES_MAX: u64 = 2 << 40;
/// A file in a ZIP of at most this many bytes is looked through in memory; of a larger one only the beginning is seen.
const LOOKED_BYTES_MAX: u64 = 64 << 20;
const PIECE_BYTES: usize = 256 << 10;

/// Files by path, wherever they lie.
pub(crate) trait Tree: Send + Sync {
    /// Length by path.
    fn files(&self) -> &BTreeMap<String, u64>;
    /// The file's bytes; the last read fails where they are not what was promised.
    fn open(self: Arc<Self>, path: &str) -> Result<Box<dyn Read + Send>, Fault>;
    fn modified(&self, path: &str) -> Timestamp;
}

/// Something of others, its names found good. Nothing in it was read yet.
pub struct Found {
    tree: Arc<dyn Tree>,
    /// Where the bag begins, if it is one: empty, or its folder with `/`.
    bag: Option<String>,
    /// On disk, where a file can be looked through in place.
    folder: Option<PathBuf>,
}

/// What was read to its end.
#[derive(Debug, Clone)]
pub struct Taken {
    /// In path order.
    pub files: Vec<TakenFile>,
    /// What the bag's own manifests say, if it is a bag.
    pub bag: Option<Bag>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct TakenFile {
    pub path: String,
    pub length: u64,
    /// Hex.
    pub sha256: String,
    pub examined: Examined,
}

impl Taken {
    /// What a person should see before it is accepted: programs, and files that are not what their name says or do not hold.
    pub fn remarks(&self) -> impl Iterator<Item = (&str, &str)> {
        let odd = |file: &&TakenFile| {
            let Examined { kind, standing, .. } = &file.examined;
            kind.runs()
                || media::of_name(&file.path).is_some_and(|promised| promised != *kind)
                || matches!(standing, media::Standing::CutShort | media::Standing::Broken)
        };
        self.files.iter().filter(odd).flat_map(|file| {
            file.examined.words.iter().map(move |words| (file.path.as_str(), words.as_str()))
        })
    }
}

impl Found {
    /// A folder, or a ZIP file.
    ///
    /// # Errors
    /// [`Refused`] names the file: what climbs out, is absolute, a link or twice there; what is too large or compressed beyond reason.
    pub fn enter(path: &Path) -> Result<Self, Refused> {
        let shown = path.display().to_string();
        let facts = path.symlink_metadata().map_err(Fault::Read).at(&shown)?;
        let (tree, folder): (Arc<dyn Tree>, _) = if facts.is_dir() {
            (Arc::new(OnDisk::walk(path)?), Some(path.to_owned()))
        } else {
            let file = File::open(path).map_err(Fault::Read).at(&shown)?;
            (Arc::new(ForeignZip::read(Box::new(file))?), None)
        };
        Self::of(tree, folder)
    }

    /// A ZIP file in memory, as [`Self::enter`].
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn in_memory(zip: Vec<u8>) -> Result<Self, Refused> {
        Self::of(Arc::new(ForeignZip::read(Box::new(zip))?), None)
    }

    /// What its files say that they hold, together. Reading holds each to it.
    pub fn bytes(&self) -> u64 {
        self.tree.files().values().fold(0, |sum, length| sum.saturating_add(*length))
    }

    /// Whether it is a parcel that somebody sealed, which is taken in otherwise.
    pub fn is_sealed_parcel(&self) -> bool {
        let sealed = |path: &String| {
            *path == SIGNATURE_FILE || path.ends_with(&format!("/{SIGNATURE_FILE}"))
        };
        self.tree.files().keys().any(sealed)
    }

    fn of(tree: Arc<dyn Tree>, folder: Option<PathBuf>) -> Result<Self, Refused> {
        let files = tree.files();
        if files.is_empty() {
            return Err(Refused::new(".", Fault::Malformed("at least one file")));
        }
        if files.len() > ENTRIES_MAX {
            let (found, limit) = (files.len() as u64, ENTRIES_MAX as u64);
            return Err(Refused::new(".", Fault::Large { found, limit }));
        }
        for path in files.keys() {
            if let Some(why) = name::objection(path) {
                return Err(Refused::new(path, Fault::Name(why)));
            }
        }
        let bytes = files.values().fold(0_u64, |sum, length| sum.saturating_add(*length));
        if bytes > INTAKE_BYTES_MAX {
            return Err(Refused::new(".", Fault::Large { found: bytes, limit: INTAKE_BYTES_MAX }));
        }
        match name::conflict(files.keys().map(String::as_str)) {
            Some(Conflict::Twice(path)) => {
                return Err(Refused::new(path, Fault::Name("it is there twice, to some systems")));
            }
            Some(Conflict::Folder(path)) => {
                return Err(Refused::new(path, Fault::Name("it is a file and a folder")));
            }
            None => {}
        }
        let declaration = |path: &&String| *path == "bagit.txt" || path.ends_with("/bagit.txt");
        let bag = files.keys().filter(declaration).min_by_key(|path| path.matches('/').count());
        let bag = bag.filter(|path| path.matches('/').count() <= 1);
        let bag = bag.map(|path| path.strip_suffix("bagit.txt").unwrap_or_default().to_owned());
        Ok(Self { tree, bag, folder })
    }

    /// Reads all of it: each file's digest and kind, and the bag's manifests where there is a bag.
    ///
    /// # Errors
    /// [`Refused`] names the file that is not what its archive or its manifest says.
    pub fn read(&self, watch: Watch<'_>) -> Result<Taken, Refused> {
        let bag = match &self.bag {
            Some(root) => {
                let below: Arc<dyn Tree> = Below::new(self.tree.clone(), root);
                Some(bagit::check_tree(&below, watch)?)
            }
            None => None,
        };
        let total = self.tree.files().values().sum();
        let (mut done, mut files) = (0, Vec::new());
        for (path, length) in self.tree.files() {
            let mut reader = self.tree.clone().open(path).at(path)?;
            let (mut hash, mut kept, mut piece) = (Sha256::new(), Vec::new(), vec![0; PIECE_BYTES]);
            let keep = if self.folder.is_none() && *length <= LOOKED_BYTES_MAX {
                LOOKED_BYTES_MAX
            } else {
                8 << 10
            };
            let mut given = 0_u64;
            loop {
                let count = reader.read(&mut piece).map_err(bagit::unread).at(path)?;
                let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
                hash.update(read);
                given += count as u64;
                if (kept.len() as u64) < keep {
                    kept.extend_from_slice(read);
                }
                (watch.progress)((done + given).min(total), total);
                if watch.cancelled() {
                    return Err(Refused::new(path, Fault::Cancelled));
                }
            }
            if given != *length {
                return Err(Refused::new(path, Fault::Short { found: given, announced: *length }));
            }
            done += given;
            let examined = self.examine(path, *length, kept).map_err(Fault::Read).at(path)?;
            let sha256 = hex::encode(hash.finish());
            files.push(TakenFile { path: path.clone(), length: *length, sha256, examined });
        }
        Ok(Taken { files, bag })
    }

    fn examine(&self, path: &str, length: u64, kept: Vec<u8>) -> io::Result<Examined> {
        match &self.folder {
            Some(folder) => media::examine(&mut File::open(folder.join(path))?, path),
            None if length == kept.len() as u64 => media::examine(&mut Cursor::new(kept), path),
            None => Ok(Examined {
                kind: Kind::of(&kept),
                standing: media::Standing::NotExamined,
                words: vec![
                    "It is packed, and too large to be looked through as it is.".to_owned(),
                ],
                pdf_a: None,
                c2pa: None,
                tracks: Vec::new(),
            }),
        }
    }

    /// The same files, to be sealed. What they give now must be what was read, by the digests of `taken`: sealing gives them again.
    pub fn entries(&self, taken: &Taken) -> Vec<Entry> {
        let entry = |file: &TakenFile| {
            let (tree, path) = (self.tree.clone(), file.path.clone());
            Entry {
                path: file.path.clone(),
                media_type: file.examined.kind.media_type().to_owned(),
                modified: self.tree.modified(&file.path),
                length: file.length,
                open: Box::new(move || {
                    tree.open(&path).map_err(|fault| io::Error::other(fault.to_string()))
                }),
            }
        };
        taken.files.iter().map(entry).collect()
    }
}

/// Files of a folder.
pub(crate) struct OnDisk {
    folder: PathBuf,
    found: BTreeMap<String, u64>,
}

impl OnDisk {
    /// Every plain file below; anything else but folders is refused.
    pub(crate) fn walk(folder: &Path) -> Result<Self, Refused> {
        Ok(Self { folder: folder.to_owned(), found: bagit::walk(folder)? })
    }
}

impl Tree for OnDisk {
    fn files(&self) -> &BTreeMap<String, u64> {
        &self.found
    }

    fn open(self: Arc<Self>, path: &str) -> Result<Box<dyn Read + Send>, Fault> {
        let length = self.found.get(path).ok_or(Fault::Missing)?;
        let file = File::open(self.folder.join(path)).map_err(Fault::Read)?;
        // One that grows meanwhile is another file.
        Ok(Box::new(file.take(*length)))
    }

    fn modified(&self, path: &str) -> Timestamp {
        let facts = self.folder.join(path).metadata().and_then(|facts| facts.modified());
        let at = facts.ok().and_then(|at| Timestamp::try_from(at).ok());
        at.filter(|at| at.as_second() >= 0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The files below a folder of a tree, without its name.
struct Below {
    tree: Arc<dyn Tree>,
    root: String,
    found: BTreeMap<String, u64>,
}

impl Below {
    fn new(tree: Arc<dyn Tree>, root: &str) -> Arc<Self> {
        let inside = tree
            .files()
            .iter()
            .filter_map(|(path, length)| Some((path.strip_prefix(root)?.to_owned(), *length)));
        let found = inside.collect();
        Arc::new(Self { tree, root: root.to_owned(), found })
    }
}

impl Tree for Below {
    fn files(&self) -> &BTreeMap<String, u64> {
        &self.found
    }

    fn open(self: Arc<Self>, path: &str) -> Result<Box<dyn Read + Send>, Fault> {
        self.tree.clone().open(&format!("{}{path}", self.root))
    }

    fn modified(&self, path: &str) -> Timestamp {
        self.tree.modified(&format!("{}{path}", self.root))
    }
}

/// Any bytes as a ZIP of others; all of its files are read.
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(zip) = ForeignZip::read(Box::new(data.to_vec())) else { return };
    if let Ok(found) = Found::of(Arc::new(zip), None) {
        drop(found.read(Watch::none()));
    }
}

#[cfg(test)]
mod tests;
