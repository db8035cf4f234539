//! What is in the archive for one segment, in lines of text that the ledger's key signs.
//!
//! The first line has a space, which no log's name has: a manifest can't be taken for a checkpoint.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use keys::sign::Ed25519Key;

use crate::envelope::LedgerId;
use crate::journal::Segment;
use crate::merkle::Hash;
use crate::note::{NoteError, VerifierKey, open_within};

/// Longest manifest: some hundred thousand objects.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;
const FIRST_LINE: &str = "bailiwick-ledger-archive 1";

/// What is in the archive for one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    pub origin: String,
    pub ledger: LedgerId,
    pub segment: Segment,
    /// The first entry, and the one after the last.
    pub first: u64,
    pub end: u64,
    /// Entries in the segment. Of a log segment these are all from first to end.
    pub count: u64,
    /// Of a log segment.
    pub chain: Option<Chain>,
    pub objects: Vec<Object>,
}

/// How a log segment joins the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Digest of the last frame before the segment; zeros before the first.
    pub follows: Hash,
    /// Digest of the segment's last frame.
    pub ends: Hash,
    pub root_before: Hash,
    pub root: Hash,
}

/// One object of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub path: String,
    pub bytes: u64,
    pub sha256: Hash,
    /// Until when it was locked when it was put.
    pub until: Option<Timestamp>,
    /// The store's name for this version of it, where it gives one: what is put over it or deleted
    /// later does not hide it.
    pub version: Option<String>,
}

impl Manifest {
    /// Path of a segment's manifest: beside the segment.
    pub fn path(segment: Segment) -> String {
        let path = segment.path();
        format!("{}.manifest", path.strip_suffix(".seg").unwrap_or(&path))
    }

    /// The segment that [`Self::path`] is about; `None` for any other path.
    pub fn of_path(path: &str) -> Option<Segment> {
        Segment::parse(&format!("{}.seg", path.strip_suffix(".manifest")?))
    }

    /// What is signed.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\norigin {}\nid {}\nsegment {}\nentries {} {} {}\n",
            self.origin,
            hex::encode(self.ledger),
            self.segment.path(),
            self.first,
            self.end,
            self.count,
        );
        let mut line = |line: String| {
            // Writing into a String has no way to fail.
            if writeln!(text, "{line}").is_err() {
                text.clear();
            }
        };
        if let Some(chain) = &self.chain {
            line(format!("follows {}", hex::encode(chain.follows)));
            line(format!("ends {}", hex::encode(chain.ends)));
            line(format!("root-before {}", BASE64.encode(chain.root_before)));
            line(format!("root {}", BASE64.encode(chain.root)));
        }
        for object in &self.objects {
            let until = object.until.map_or_else(|| "-".to_owned(), |until| until.to_string());
            let version = object.version.as_deref().unwrap_or("-");
            let digest = hex::encode(object.sha256);
            line(format!("object {} {digest} {until} {version} {}", object.bytes, object.path));
        }
        text
    }

    /// The signed note.
    pub fn sign(&self, key: &VerifierKey, signer: &Ed25519Key) -> String {
        let text = self.text();
        let line = key.signature_line(&signer.sign(text.as_bytes()));
        format!("{text}\n{line}")
    }

    /// Reads a note that `key` signed.
    ///
    /// # Errors
    /// As of a note; [`NoteError::NotAManifest`] where it is another text.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let text = open_within(note, key, MANIFEST_BYTES_MAX)?;
        let manifest = Self::parse(text).ok_or(NoteError::NotAManifest)?;
        if manifest.origin == key.name { Ok(manifest) } else { Err(NoteError::Origin) }
    }

    /// Reads what [`Self::text`] wrote, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().peekable();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let origin = field("origin")?.to_owned();
        let ledger = hex::decode(field("id")?).ok()?.try_into().ok()?;
        let segment = Segment::parse(field("segment")?)?;
        let numbers: Option<Vec<u64>> =
            field("entries")?.split(' ').map(|number| number.parse().ok()).collect();
        let [first, end, count] = *numbers?.as_slice() else { return None };
        let chain = match segment {
            Segment::Log(_) => Some(Chain {
                follows: hex::decode(field("follows")?).ok()?.try_into().ok()?,
                ends: hex::decode(field("ends")?).ok()?.try_into().ok()?,
                root_before: BASE64.decode(field("root-before")?).ok()?.try_into().ok()?,
                root: BASE64.decode(field("root")?).ok()?.try_into().ok()?,
            }),
            Segment::Body(..) => None,
        };
        let objects: Option<Vec<Object>> = lines.map(parse_object).collect();
        let objects = objects?;
        let manifest = Self { origin, ledger, segment, first, end, count, chain, objects };
        // One way to write it: else two manifests could say the same, or one two things.
        (first <= end && manifest.text() == text).then_some(manifest)
    }
}

fn parse_object(line: &str) -> Option<Object> {
    let mut words = line.split(' ');
    if words.next()? != "object" {
        return None;
    }
    let bytes = words.next()?.parse().ok()?;
    let sha256 = hex::decode(words.next()?).ok()?.try_into().ok()?;
    let until = match words.next()? {
        "-" => None,
        until => Some(until.parse().ok()?),
    };
    let version = Some(words.next()?).filter(|version| *version != "-").map(str::to_owned);
    let path = words.next()?.to_owned();
    (words.next().is_none() && is_path(&path)).then_some(Object {
        path,
        bytes,
        sha256,
        until,
        version,
    })
}

/// Whether it is a path of ours: parts of lower-case letters, digits, `.` and `-`, none of which leads
/// upwards.
pub(crate) fn is_path(path: &str) -> bool {
    let sound = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let object = |path: &str, version: Option<&str>| Object {
            path: path.to_owned(),
            bytes: 4096,
            sha256: [7; 32],
            until: version.map(|_| "2029-11-01T00:00:00Z".parse().unwrap()),
            version: version.map(str::to_owned),
        };
        Manifest {
            origin: "riverton.example/ledger".to_owned(),
            ledger: [9; 16],
            segment: Segment::Log(3),
            first: 10,
            end: 20,
            count: 10,
            chain: Some(Chain {
                follows: [1; 32],
                ends: [2; 32],
                root_before: [3; 32],
                root: [4; 32],
            }),
            objects: vec![object("log/00000003.seg", None), object("tile/0/x001/234", Some("v1"))],
        }
    }

    #[test]
    fn a_manifest_reads_back_and_no_changed_byte_of_it_does() {
        let signer = Ed25519Key::from_seed([1; 32]).unwrap();
        let name = "riverton.example/ledger".to_owned();
        let key = VerifierKey { name, public: signer.public() };
        let note = manifest().sign(&key, &signer);
        assert_eq!(Manifest::open(&note, &key).unwrap(), manifest());
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(Manifest::open(&changed, &key).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_path_that_leads_out_of_the_archive_is_no_manifest() {
        for path in
            ["../log/00000003.seg", "/etc/passwd", "log//00000003.seg", "log/A", "log/a b", ""]
        {
            let mut manifest = manifest();
            manifest.objects[0].path = path.to_owned();
            assert_eq!(Manifest::parse(&manifest.text()), None, "{path}");
        }
    }

    #[test]
    fn a_manifest_is_no_checkpoint() {
        let signer = Ed25519Key::from_seed([1; 32]).unwrap();
        let name = "riverton.example/ledger".to_owned();
        let key = VerifierKey { name, public: signer.public() };
        let note = manifest().sign(&key, &signer);
        assert!(crate::note::Checkpoint::open(&note, &key).is_err());
    }
}
