//! Where a parcel's files are read from: a folder, or one ZIP file. Which of them makes no difference to what is checked.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::At;
use crate::zip::Zip;
use crate::{Fault, Refused, bag};

#[derive(Debug)]
pub(crate) enum Store {
    Folder(PathBuf),
    Zip(Zip),
}

impl Store {
    /// A file is taken for a ZIP, all else for a folder.
    pub(crate) fn enter(path: &Path) -> Result<Self, Refused> {
        if !path.is_file() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = File::open(path).map_err(Fault::Read).at(name.clone())?;
        Ok(Self::Zip(Zip::enter(Box::new(file)).at(name)?))
    }

    /// A plain file's bytes, at most `limit`.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Refused> {
        let length = self.length(path)?;
        if length > limit {
            return Err(Refused::new(path, Fault::Large { found: length, limit }));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        let reader = self.reader(path)?;
        reader.take(limit + 1).read_to_end(&mut bytes).map_err(fault).at(path)?;
        if bytes.len() as u64 > limit {
            return Err(Refused::new(path, Fault::Large { found: bytes.len() as u64, limit }));
        }
        Ok(bytes)
    }

    /// Whether there is something of this name.
    pub(crate) fn has(&self, path: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(path).symlink_metadata().is_ok(),
            Self::Zip(zip) => zip.length_of(path).is_ok(),
        }
    }

    /// Bytes of a plain file.
    pub(crate) fn length(&self, path: &str) -> Result<u64, Refused> {
        match self {
            Self::Folder(folder) => {
                let facts = fs::symlink_metadata(folder.join(path)).map_err(fault).at(path)?;
                if !facts.is_file() {
                    return Err(Refused::new(path, Fault::Unexpected));
                }
                Ok(facts.len())
            }
            Self::Zip(zip) => zip.length_of(path).at(path),
        }
    }

    /// A plain file's bytes, one after another.
    pub(crate) fn reader(&self, path: &str) -> Result<Box<dyn Read + '_>, Refused> {
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(path)).map_err(fault).at(path)?;
                Ok(Box::new(file))
            }
            Self::Zip(zip) => Ok(Box::new(zip.reader(path).at(path)?)),
        }
    }

    /// Every file that should be there is, and no other.
    pub(crate) fn check_complete(&self, parts: u64) -> Result<(), Refused> {
        let mut expected: BTreeSet<String> = (0..parts).map(bag::part_path).collect();
        let tags = bag::TAG_FILES.into_iter().chain([bag::STAMP_FILE]);
        expected.extend(tags.map(str::to_owned));
        match self {
            Self::Folder(folder) => walk(folder, &mut expected)?,
            Self::Zip(zip) => {
                for path in zip.paths() {
                    if !expected.remove(path) {
                        return Err(Refused::new(path, Fault::Unexpected));
                    }
                }
            }
        }
        expected.remove(bag::STAMP_FILE);
        let mut missing = expected.into_iter();
        let Some(first) = missing.next() else { return Ok(()) };
        let mut refused = Refused::new(first, Fault::Missing);
        refused.others = missing.take(Refused::OTHERS_MAX).collect();
        Err(refused)
    }
}

/// A file that is not there, or not whole, is no failure to read.
pub(crate) fn fault(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::InvalidData => Fault::Altered,
        std::io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Read(error),
    }
}

/// Strikes out what is in the folder; what is there and not expected is refused.
fn walk(folder: &Path, expected: &mut BTreeSet<String>) -> Result<(), Refused> {
    let folders: BTreeSet<String> =
        expected.iter().filter_map(|p| p.rsplit_once('/')).map(|(f, _)| f.to_owned()).collect();
    let is_folder = |path: &str| path == "data" || folders.contains(path);
    let mut waiting = vec![String::new()];
    while let Some(inside) = waiting.pop() {
        let here = folder.join(&inside);
        let name = if inside.is_empty() { "." } else { &inside };
        for entry in fs::read_dir(here).map_err(Fault::Read).at(name)? {
            let entry = entry.map_err(Fault::Read).at(name)?;
            let last = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() { last } else { format!("{inside}/{last}") };
            let kind = entry.file_type().map_err(Fault::Read).at(&path)?;
            if kind.is_dir() && is_folder(&path) {
                waiting.push(path);
            } else if !kind.is_file() || !expected.remove(&path) {
                return Err(Refused::new(path, Fault::Unexpected));
            }
        }
    }
    Ok(())
}
