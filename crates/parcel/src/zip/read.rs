//! Reading: the directory is parsed, written again and compared, and so is every local header.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{
    CENTRAL_BYTES, END_64_BYTES, END_BYTES, Entry, LOCAL_BYTES, LOCATOR_BYTES, U16_FULL, U32_FULL,
    end,
};
use crate::{Fault, PARTS_MAX, TAG_FILES};

/// Those of every parcel, and a time stamp.
const TAG_FILES_MAX: u64 = TAG_FILES.len() as u64 + 1;

/// The longest name of an entry: the top folder, and the longest path of an outer file.
const NAME_BYTES_MAX: u64 = 128;
/// The longest directory: an entry a part, one a tag file, each with its ZIP64 field.
const DIRECTORY_BYTES_MAX: u64 =
    (PARTS_MAX + TAG_FILES_MAX) * (CENTRAL_BYTES + NAME_BYTES_MAX + 12);

/// Bytes that can be read at any place, by several threads.
pub(crate) trait ReadAt: Send + Sync {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
}

impl ReadAt for File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let from = usize::try_from(offset).map_err(|_| end())?;
        let to = from.checked_add(out.len()).ok_or_else(end)?;
        out.copy_from_slice(self.get(from..to).ok_or_else(end)?);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

/// A ZIP file whose structure is the one that this profile writes.
pub(crate) struct Zip {
    bytes: Box<dyn ReadAt>,
    /// By path in the parcel, without the folder at the top.
    entries: BTreeMap<String, Entry>,
}

impl fmt::Debug for Zip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zip({} entries)", self.entries.len())
    }
}

impl Zip {
    /// Reads the directory and every local header; no file's bytes.
    pub(crate) fn enter(bytes: Box<dyn ReadAt>) -> Result<Self, Fault> {
        let form = || Fault::Malformed("the one form of ZIP that holds a parcel");
        let length = bytes.length().map_err(Fault::Read)?;
        let (count, size, offset) = find_directory(bytes.as_ref(), length)?.ok_or_else(form)?;
        if count > PARTS_MAX + TAG_FILES_MAX || size > DIRECTORY_BYTES_MAX {
            return Err(form());
        }
        let directory = read(bytes.as_ref(), offset, size)?;
        let list = list(&directory, count).ok_or_else(form)?;
        let again: Vec<u8> = list.iter().flat_map(Entry::central).collect();
        let tail = end(count, size, offset);
        let last = offset.checked_add(size).ok_or_else(form)?;
        if again != directory
            || last.checked_add(tail.len() as u64) != Some(length)
            || read(bytes.as_ref(), last, tail.len() as u64)? != tail
        {
            return Err(form());
        }
        let top = list.first().and_then(|entry| entry.name.split_once('/'));
        let top = format!("{}/", top.ok_or_else(form)?.0);
        let (mut position, mut entries) = (0, BTreeMap::new());
        for entry in list {
            let local = entry.local();
            if entry.offset != position
                || entry.end() > offset
                || read(bytes.as_ref(), position, local.len() as u64)? != local
            {
                return Err(form());
            }
            position = entry.end();
            let path = entry.name.strip_prefix(&top).ok_or_else(form)?.to_owned();
            if entries.insert(path, entry).is_some() {
                return Err(form());
            }
        }
        if position != offset { Err(form()) } else { Ok(Self { bytes, entries }) }
    }

    /// The paths of all files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(crate) fn length_of(&self, path: &str) -> Result<u64, Fault> {
        self.entries.get(path).map(|entry| entry.length).ok_or(Fault::Missing)
    }

    /// A file's bytes, in order; the last read fails if the ZIP's own checksum is not theirs.
    pub(crate) fn reader(&self, path: &str) -> Result<ZipReader<'_>, Fault> {
        let entry = self.entries.get(path).ok_or(Fault::Missing)?;
        let crc = crc32fast::Hasher::new();
        Ok(ZipReader { bytes: self.bytes.as_ref(), entry, done: 0, crc: Some(crc) })
    }
}

fn read(bytes: &dyn ReadAt, offset: u64, length: u64) -> Result<Vec<u8>, Fault> {
    let short = || Fault::Malformed("a ZIP of its own length");
    let all = bytes.length().map_err(Fault::Read)?;
    if offset.checked_add(length).is_none_or(|end| end > all) {
        return Err(short());
    }
    let mut out = vec![0; usize::try_from(length).map_err(|_| short())?];
    bytes.read_exact_at(&mut out, offset).map_err(Fault::Read)?;
    Ok(out)
}

/// Number of entries, bytes and place of the directory, as the end says; the caller compares.
fn find_directory(bytes: &dyn ReadAt, length: u64) -> Result<Option<(u64, u64, u64)>, Fault> {
    let Some(start) = length.checked_sub(END_BYTES) else { return Ok(None) };
    let tail = read(bytes, start, END_BYTES)?;
    let mut tail = Fields(&tail);
    let plain = (|| {
        tail.skip(10)?;
        Some((tail.u16()?, tail.u32()?, tail.u32()?))
    })();
    let Some((count, size, offset)) = plain else { return Ok(None) };
    if count < U16_FULL && size < U32_FULL && offset < U32_FULL {
        return Ok(Some((count, size, offset)));
    }
    let far = END_64_BYTES + LOCATOR_BYTES;
    let Some(start) = start.checked_sub(far) else { return Ok(None) };
    let record = read(bytes, start, END_64_BYTES)?;
    let mut record = Fields(&record);
    Ok((|| {
        record.skip(32)?;
        Some((record.u64()?, record.u64()?, record.u64()?))
    })())
}

/// The directory's entries.
fn list(mut directory: &[u8], count: u64) -> Option<Vec<Entry>> {
    let mut out = Vec::new();
    for _ in 0..count {
        let (head, rest) = directory.split_at_checked(usize::try_from(CENTRAL_BYTES).ok()?)?;
        let mut fields = Fields(head);
        fields.skip(16)?;
        let (crc, length) = (u32::try_from(fields.u32()?).ok()?, fields.u32()?);
        fields.skip(4)?;
        let (name, extra) = (fields.u16()?, fields.u16()?);
        fields.skip(10)?;
        let near = fields.u32()?;
        if name > NAME_BYTES_MAX {
            return None;
        }
        let (name, rest) = rest.split_at_checked(usize::try_from(name).ok()?)?;
        let (extra, rest) = rest.split_at_checked(usize::try_from(extra).ok()?)?;
        let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii())?.to_owned();
        let offset = if near < U32_FULL {
            near
        } else {
            let mut extra = Fields(extra);
            extra.skip(4)?;
            extra.u64()?
        };
        offset.checked_add(LOCAL_BYTES + NAME_BYTES_MAX + U32_FULL)?;
        out.push(Entry { name, crc, length, offset });
        directory = rest;
    }
    directory.is_empty().then_some(out)
}

/// Little-endian numbers, one after another.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    fn u16(&mut self) -> Option<u64> {
        self.take().map(u16::from_le_bytes).map(u64::from)
    }

    fn u32(&mut self) -> Option<u64> {
        self.take().map(u32::from_le_bytes).map(u64::from)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// The bytes of one entry.
pub(crate) struct ZipReader<'a> {
    bytes: &'a dyn ReadAt,
    entry: &'a Entry,
    done: u64,
    crc: Option<crc32fast::Hasher>,
}

impl Read for ZipReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.entry.length - self.done).unwrap_or(usize::MAX);
        let count = left.min(out.len());
        let Some(piece) = out.get_mut(..count).filter(|piece| !piece.is_empty()) else {
            let whole = self.done == self.entry.length && !out.is_empty();
            let crc = if whole { self.crc.take() } else { None };
            return match crc {
                Some(crc) if crc.clone().finalize() != self.entry.crc => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the checksum in the ZIP is not the file's",
                )),
                Some(_) | None => Ok(0),
            };
        };
        self.bytes.read_exact_at(piece, self.entry.data() + self.done)?;
        if let Some(crc) = &mut self.crc {
            crc.update(piece);
        }
        self.done += count as u64;
        Ok(count)
    }
}
