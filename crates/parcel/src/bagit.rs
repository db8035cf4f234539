//! Plain BagIt bags of others (RFC 8493, and drafts 0.93 to 0.97): whether one is complete and whole, before anything of it is used.
//!
//! Invariants: nothing outside of the bag's folder is opened, whatever a manifest names; nothing is fetched; links are refused.
//! A plain bag is signed by nobody: it shows damage, and not who made it.

mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use keys::checksum::{Checksum, Kind};

use self::lists::{Encoding, List, Version};
use crate::error::At;
use crate::intake::{OnDisk, Tree};
use crate::{Fault, Refused, Watch, name};

pub(crate) use self::lists::fuzz;

/// Files of one bag.
pub const BAG_FILES_MAX: usize = 1_000_000;
/// Bytes of one tag file: a manifest's lines.
pub const TAG_FILE_BYTES_MAX: u64 = 256 << 20;
/// Warnings that are given word for word.
pub const WARNINGS_MAX: usize = 100;
const PIECE_BYTES: usize = 256 << 10;
/// Files that systems put into folders by themselves, and lose on the way.
const SYSTEM_FILES: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// A bag that is complete and whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bag {
    /// Such as `1.0`.
    pub version: String,
    /// The payload: path from `data/` on, and length.
    pub files: BTreeMap<String, u64>,
    pub bytes: u64,
    /// The algorithms of its manifests. With MD5 or SHA-1 alone, whole means no more than undamaged by accident.
    pub checksums: Vec<Kind>,
    /// What is unusual and not wrong, at most [`WARNINGS_MAX`].
    pub warnings: Vec<String>,
}

/// Checks a bag in a folder. Every file is read once.
pub fn check(folder: &Path, watch: Watch<'_>) -> Result<Bag, Refused> {
    let tree: Arc<dyn Tree> = Arc::new(OnDisk::walk(folder)?);
    check_tree(&tree, watch)
}

/// Checks a bag wherever its files lie.
pub(crate) fn check_tree(tree: &Arc<dyn Tree>, watch: Watch<'_>) -> Result<Bag, Refused> {
    let mut bag = Reading { tree: tree.clone(), found: tree.files(), warnings: Vec::new() };
    let (version, encoding) = bag.declaration()?;
    let payload = bag.manifests("manifest-", version, encoding)?;
    if payload.is_empty() {
        return Err(Refused::new("manifest-sha256.txt", Fault::Missing));
    }
    let tags = bag.manifests("tagmanifest-", version, encoding)?;
    let listed: BTreeSet<String> = payload.iter().flat_map(List::paths).cloned().collect();
    bag.check_fetch(encoding, &listed)?;
    let absent = bag.check_complete(&payload, version)?;
    bag.check_info(version, encoding, absent)?;
    bag.check_bytes(payload.iter().chain(&tags), watch)?;
    let in_data = bag.found.iter().filter(|(path, _)| path.starts_with("data/"));
    let files: BTreeMap<_, _> = in_data.map(|(path, length)| (path.clone(), *length)).collect();
    let bytes = files.values().sum();
    let checksums = payload.iter().map(|list| list.kind).collect();
    bag.warnings.truncate(WARNINGS_MAX);
    let (version, warnings) = (version.to_string(), bag.warnings);
    Ok(Bag { version, files, bytes, checksums, warnings })
}

/// Every plain file below, with its length; anything else but folders is refused.
pub(crate) fn walk(folder: &Path) -> Result<BTreeMap<String, u64>, Refused> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![String::new()]);
    while let Some(inside) = waiting.pop() {
        let here = if inside.is_empty() { "." } else { &inside };
        for entry in fs::read_dir(folder.join(&inside)).map_err(Fault::Read).at(here)? {
            let entry = entry.map_err(Fault::Read).at(here)?;
            let last = entry.file_name();
            let shown = last.to_string_lossy();
            let path =
                if inside.is_empty() { shown.to_string() } else { format!("{inside}/{shown}") };
            if last.to_str().is_none() || path.len() > 4 * crate::PATH_BYTES_MAX {
                return Err(Refused::new(path, Fault::Malformed("a name in UTF-8, not too long")));
            }
            let facts = entry.path().symlink_metadata().map_err(Fault::Read).at(&path)?;
            if facts.is_dir() {
                waiting.push(path);
            } else if facts.is_file() {
                found.insert(path, facts.len());
            } else {
                return Err(Refused::new(path, Fault::Unexpected));
            }
            if found.len() + waiting.len() > BAG_FILES_MAX {
                let (found, limit) = (BAG_FILES_MAX as u64 + 1, BAG_FILES_MAX as u64);
                return Err(Refused::new(".", Fault::Large { found, limit }));
            }
        }
    }
    Ok(found)
}

/// Why a read failed: what a packed file is checked by, or the disk.
pub(crate) fn unread(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::InvalidData { Fault::Damaged } else { Fault::Read(error) }
}

struct Reading<'a> {
    tree: Arc<dyn Tree>,
    found: &'a BTreeMap<String, u64>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// A tag file's bytes; `None` if it is not there.
    fn tag(&self, path: &str) -> Result<Option<Vec<u8>>, Refused> {
        let Some(length) = self.found.get(path) else { return Ok(None) };
        if *length > TAG_FILE_BYTES_MAX {
            let (found, limit) = (*length, TAG_FILE_BYTES_MAX);
            return Err(Refused::new(path, Fault::Large { found, limit }));
        }
        let file = self.tree.clone().open(path).at(path)?;
        let mut bytes = Vec::new();
        file.take(TAG_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unread).at(path)?;
        Ok(Some(bytes))
    }

    fn declaration(&self) -> Result<(Version, Encoding), Refused> {
        let bytes = self.tag("bagit.txt")?.ok_or(Fault::Missing).at("bagit.txt")?;
        lists::declaration(&bytes).at("bagit.txt")
    }

    /// All manifests whose name begins so.
    fn manifests(
        &mut self,
        head: &str,
        version: Version,
        encoding: Encoding,
    ) -> Result<Vec<List>, Refused> {
        let names: Vec<String> =
            self.found.keys().filter(|path| path.starts_with(head)).cloned().collect();
        let mut out = Vec::new();
        for file in names {
            let kind = file.strip_prefix(head).and_then(|rest| rest.strip_suffix(".txt"));
            let kind = Kind::ALL.into_iter().find(|known| Some(known.name()) == kind);
            let kind = kind.ok_or(Fault::Malformed("a checksum that we know")).at(&file)?;
            let bytes = self.tag(&file)?.unwrap_or_default();
            let payload = head == "manifest-";
            let text = encoding.decode(&bytes).at(&file)?;
            let list = List::read(&file, kind, payload, &text, version, &mut self.warnings);
            out.push(list.at(&file)?);
        }
        Ok(out)
    }

    /// What is still to be fetched is missing: we fetch nothing. What a line names must be a file of the payload.
    fn check_fetch(&self, encoding: Encoding, listed: &BTreeSet<String>) -> Result<(), Refused> {
        let Some(bytes) = self.tag("fetch.txt")? else { return Ok(()) };
        for path in lists::fetch(&encoding.decode(&bytes).at("fetch.txt")?).at("fetch.txt")? {
            if !listed.contains(&path) {
                return Err(Refused::new(
                    "fetch.txt",
                    Fault::Malformed("files that a manifest lists"),
                ));
            }
            if !self.found.contains_key(&path) {
                return Err(Refused::new(path, Fault::Missing));
            }
        }
        Ok(())
    }

    /// Every listed file is there, and every file of the payload is listed: by one manifest, or, as of 1.0, by each.
    /// Gives how many of a system's own files are not there.
    fn check_complete(&mut self, payload: &[List], version: Version) -> Result<u64, Refused> {
        let mut absent = BTreeSet::new();
        let twins: BTreeSet<String> =
            self.found.keys().map(|path| name::collision_key(path)).collect();
        for path in payload.iter().flat_map(List::paths) {
            let last = path.rsplit('/').next().unwrap_or(path);
            if self.found.contains_key(path) {
                continue;
            }
            if twins.contains(&name::collision_key(path)) {
                self.warnings.push(format!("`{path}` is there under another spelling of its name"));
            } else if SYSTEM_FILES.contains(&last) {
                self.warnings.push(format!("`{path}`, a system's own file, is not there"));
                absent.insert(path);
            } else {
                return Err(Refused::new(path, Fault::Missing));
            }
        }
        for path in self.found.keys().filter(|path| path.starts_with("data/")) {
            let lists = payload.iter().filter(|list| list.has(path)).count();
            let enough = if version.each_manifest_lists_all() { payload.len() } else { 1 };
            if lists < enough {
                return Err(Refused::new(path, Fault::Unexpected));
            }
            let last = path.rsplit('/').next().unwrap_or(path);
            if SYSTEM_FILES.contains(&last) {
                self.warnings.push(format!("`{path}` is a system's own file"));
            }
        }
        Ok(absent.len() as u64)
    }

    /// `Payload-Oxum`, where it is given, must be true: of the files that are there, or of those and the
    /// `absent` ones of a system, whose lengths nobody knows.
    fn check_info(&self, version: Version, encoding: Encoding, absent: u64) -> Result<(), Refused> {
        let file = "bag-info.txt";
        let Some(bytes) = self.tag(file)? else { return Ok(()) };
        let oxum = lists::oxum(&encoding.decode(&bytes).at(file)?, version).at(file)?;
        let payload = || self.found.iter().filter(|(path, _)| path.starts_with("data/"));
        let bytes: u64 = payload().map(|(_, length)| *length).sum();
        let count = payload().count() as u64;
        let same = oxum.is_none_or(|(told, files)| {
            (told, files) == (bytes, count)
                || absent > 0 && told >= bytes && files == count + absent
        });
        let fault = Fault::Malformed("a Payload-Oxum that is the payload's");
        if same { Ok(()) } else { Err(Refused::new(file, fault)) }
    }

    /// Reads each listed file once, for all of its checksums.
    fn check_bytes<'l>(
        &self,
        lists: impl Iterator<Item = &'l List>,
        watch: Watch<'_>,
    ) -> Result<(), Refused> {
        let mut wanted: BTreeMap<&String, Vec<(Kind, &String)>> = BTreeMap::new();
        for list in lists {
            for (path, checksum) in list.entries() {
                if self.found.contains_key(path) {
                    wanted.entry(path).or_default().push((list.kind, checksum));
                } else if !path.starts_with("data/") {
                    return Err(Refused::new(path, Fault::Missing));
                }
            }
        }
        let total = self.found.values().sum();
        let (mut done, mut piece) = (0, vec![0; PIECE_BYTES]);
        for (path, checksums) in wanted {
            let mut file = self.tree.clone().open(path).at(path)?;
            let mut sums: Vec<_> = checksums.iter().map(|(kind, _)| Checksum::new(*kind)).collect();
            loop {
                let count = file.read(&mut piece).map_err(unread).at(path)?;
                let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
                sums.iter_mut().for_each(|sum| sum.update(read));
                done += count as u64;
                (watch.progress)(done.min(total), total);
                if watch.cancelled() {
                    return Err(Refused::new(path, Fault::Cancelled));
                }
            }
            let same =
                sums.into_iter().zip(&checksums).all(|(sum, (_, told))| sum.finish() == **told);
            if !same {
                return Err(Refused::new(path, Fault::Damaged));
            }
        }
        Ok(())
    }
}
