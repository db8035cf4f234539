//! The text files of a bag: declaration, manifests, what is to be fetched, and the one entry of bag-info that can be checked.

use std::collections::BTreeMap;
use std::fmt;

use keys::checksum::Kind;

use crate::{Fault, name};

/// 0.93 to 0.97, or 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u16, u16);

impl Version {
    /// RFC 8493 §2.2.1, 2.1.3 against the drafts before it.
    pub(super) fn each_manifest_lists_all(self) -> bool {
        self.is_final()
    }

    fn is_final(self) -> bool {
        self >= Self(1, 0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// How tag files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
    Latin1,
}

impl Encoding {
    pub(super) fn decode(self, bytes: &[u8]) -> Result<String, Fault> {
        match self {
            Self::Utf8 => {
                let text =
                    std::str::from_utf8(bytes).ok().filter(|text| !text.starts_with('\u{feff}'));
                text.map(str::to_owned).ok_or(Fault::Malformed("UTF-8 without a byte order mark"))
            }
            Self::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Self::Utf16 => {
                let (body, little) = match bytes {
                    [0xff, 0xfe, body @ ..] => (body, true),
                    [0xfe, 0xff, body @ ..] => (body, false),
                    body => (body, false),
                };
                let (pairs, rest) = body.as_chunks::<2>();
                let read = if little { u16::from_le_bytes } else { u16::from_be_bytes };
                let text = char::decode_utf16(pairs.iter().map(|pair| read(*pair)));
                let text: Result<String, _> = text.collect();
                text.ok().filter(|_| rest.is_empty()).ok_or(Fault::Malformed("UTF-16"))
            }
        }
    }
}

/// Lines, whatever ends them. A last line need not end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// `bagit.txt`: version and encoding, and nothing else.
pub(super) fn declaration(bytes: &[u8]) -> Result<(Version, Encoding), Fault> {
    let bad = || Fault::Malformed("the two lines of a bag's declaration");
    let text = Encoding::Utf8.decode(bytes)?;
    let given: Vec<&str> = lines(&text).collect();
    let (version, encoding) = match given.as_slice() {
        [version, encoding] | [version, encoding, ""] => (*version, *encoding),
        _ => return Err(bad()),
    };
    let number = version.strip_prefix("BagIt-Version").ok_or_else(bad)?;
    let (major, minor) = value(number).and_then(|number| number.split_once('.')).ok_or_else(bad)?;
    let digits = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| plain)
    };
    let version = digits(major).zip(digits(minor)).ok_or_else(bad)?;
    let version = match version {
        (0, 93..=97) | (1, 0) => Version(version.0, version.1),
        _ => return Err(Fault::Malformed("a version of BagIt that we know")),
    };
    let name = encoding.strip_prefix("Tag-File-Character-Encoding").ok_or_else(bad)?;
    if version.is_final() && !(number.starts_with(": ") && name.starts_with(": ")) {
        return Err(bad());
    }
    let name = value(name).ok_or_else(bad)?;
    if version.is_final()
        && (number != format!(": {version}") || name.len() + 2 != encoding.len() - 27)
    {
        return Err(bad());
    }
    let encoding = match name.to_ascii_uppercase().as_str() {
        "UTF-8" => Encoding::Utf8,
        "UTF-16" => Encoding::Utf16,
        "ISO-8859-1" => Encoding::Latin1,
        _ => return Err(Fault::Malformed("an encoding that we know")),
    };
    Ok((version, encoding))
}

/// What stands after a label: a colon, with white space around it.
fn value(rest: &str) -> Option<&str> {
    rest.trim_start().strip_prefix(':').map(str::trim)
}

/// One manifest: a checksum for each path.
#[derive(Debug)]
pub(super) struct List {
    pub(super) kind: Kind,
    entries: BTreeMap<String, String>,
}

impl List {
    pub(super) fn read(
        file: &str,
        kind: Kind,
        payload: bool,
        text: &str,
        version: Version,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Fault> {
        let bad = || Fault::Malformed("a manifest: a checksum and a path on each line");
        let (mut entries, mut keys) = (BTreeMap::<String, String>::new(), BTreeMap::new());
        for line in lines(text).filter(|line| !line.is_empty()) {
            let (sum, rest) = line.split_once([' ', '\t']).ok_or_else(bad)?;
            let digits =
                sum.len() == digits(kind) && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
            let mut path = rest.trim_start_matches([' ', '\t']);
            if let Some(bare) = path.strip_prefix('*') {
                warnings.push(format!("{file}: `{path}` was written by md5sum or its like"));
                path = bare;
            }
            if let Some(bare) = path.strip_prefix("./") {
                warnings.push(format!("{file}: `{path}` begins with `./`"));
                path = bare;
            }
            let path = decoded(path, version);
            if !digits || !is_inside(&path) || path.starts_with("data/") != payload {
                return Err(if digits { OUTSIDE } else { bad() });
            }
            let sum = sum.to_ascii_lowercase();
            if let Some(other) = keys.insert(name::collision_key(&path), path.clone())
                && other != path
            {
                warnings
                    .push(format!("{file}: `{other}` and `{path}` are one file on some systems"));
            }
            match entries.insert(path.clone(), sum.clone()) {
                Some(before) if before != sum => {
                    return Err(Fault::Malformed("a manifest that tells one checksum of a file"));
                }
                Some(_) => warnings.push(format!("{file}: `{path}` is listed twice")),
                None => {}
            }
        }
        Ok(Self { kind, entries })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.entries.keys()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &String)> {
        self.entries.iter()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }
}

const OUTSIDE: Fault = Fault::Malformed("paths inside of the bag, where they belong");

fn digits(kind: Kind) -> usize {
    match kind {
        Kind::Md5 => 32,
        Kind::Sha1 => 40,
        Kind::Sha224 => 56,
        Kind::Sha256 => 64,
        Kind::Sha384 => 96,
        Kind::Sha512 => 128,
    }
}

/// Line ends in names are written as `%0A` and `%0D`; as of 1.0, `%` as `%25`.
fn decoded(path: &str, version: Version) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let letter = match after.get(..2).map(str::to_ascii_uppercase).as_deref() {
            Some("0A") => Some('\n'),
            Some("0D") => Some('\r'),
            Some("25") if version.is_final() => Some('%'),
            _ => None,
        };
        out.push(letter.unwrap_or('%'));
        rest = if letter.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out.push_str(rest);
    out
}

/// Whether a path stays in the bag on every system: no way up, no root, no home, no drive, no device.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.len() <= 4 * crate::COMPONENT_BYTES_MAX
    };
    let drive = path.as_bytes().get(1) == Some(&b':');
    !path.contains(['\\', '\0'])
        && !path.starts_with(['~', '%'])
        && !drive
        && path.split('/').all(plain)
}

/// The paths of `fetch.txt`.
pub(super) fn fetch(text: &str) -> Result<Vec<String>, Fault> {
    let mut out = Vec::new();
    for line in lines(text).filter(|line| !line.trim().is_empty()) {
        let bad = || Fault::Malformed("an address, a length and a path on each line");
        let (_, rest) = line.split_once([' ', '\t']).ok_or_else(bad)?;
        let (length, path) = rest.trim_start().split_once([' ', '\t']).ok_or_else(bad)?;
        if length != "-" && length.parse::<u64>().is_err() {
            return Err(bad());
        }
        let path = decoded(path.trim_start(), Version(0, 97));
        let path = path.strip_prefix("./").unwrap_or(&path);
        if !is_inside(path) || !path.starts_with("data/") {
            return Err(OUTSIDE);
        }
        out.push(path.to_owned());
    }
    Ok(out)
}

/// Bytes and files of the payload, if `bag-info.txt` tells them. As of 1.0 its form is checked too.
pub(super) fn oxum(text: &str, version: Version) -> Result<Option<(u64, u64)>, Fault> {
    let bad = || Fault::Malformed("labels, colons and values");
    let mut found = None;
    for line in lines(text).filter(|line| !line.trim().is_empty()) {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let (label, rest) = line.split_once(':').ok_or_else(bad)?;
        if version.is_final() && (label.trim() != label || !rest.starts_with([' ', '\t'])) {
            return Err(bad());
        }
        if label.trim().eq_ignore_ascii_case("payload-oxum") {
            let (bytes, files) = rest.trim().split_once('.').ok_or_else(bad)?;
            found = Some(bytes.parse().ok().zip(files.parse().ok()).ok_or_else(bad)?);
        }
    }
    Ok(found)
}

/// Any bytes as each of these files.
pub(crate) fn fuzz(data: &[u8]) {
    drop(declaration(data));
    for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Latin1] {
        let Ok(text) = encoding.decode(data) else { continue };
        for version in [Version(0, 97), Version(1, 0)] {
            let mut warnings = Vec::new();
            drop(List::read("m", Kind::Md5, true, &text, version, &mut warnings));
            drop((oxum(&text, version), fetch(&text)));
        }
    }
}
