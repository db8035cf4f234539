//! ZIP files of others (APPNOTE 6.3.3): what any desktop writes, and nothing that two readers would read differently.
//!
//! Refused: encryption, methods other than stored and deflate, links, names that are not the same at both places, files that share
//! bytes, and lengths that no compression can give.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::DeflateDecoder;
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::Tree;
use crate::error::At;
use crate::zip::ReadAt;
use crate::{ENTRIES_MAX, Fault, Refused};

const END_BYTES: u64 = 22;
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: usize = 46;
const COMMENT_BYTES_MAX: u64 = 0xffff;
const NAME_BYTES_MAX: usize = crate::PATH_BYTES_MAX + 1;
/// Bytes of a directory: entries, folders too, each with fields that we skip.
const DIRECTORY_BYTES_MAX: u64 = 256 << 20;
/// Deflate gives at most 1,032 bytes for one.
const DEFLATE_RATIO_MAX: u64 = 1_032;
/// What unpacks to more than this must not be so many times its size as a whole.
const SMALL_BYTES: u64 = 256 << 20;
const RATIO_MAX: u64 = 200;

/// One file in it.
#[derive(Debug, Clone)]
struct Packed {
    deflated: bool,
    crc: u32,
    packed: u64,
    length: u64,
    /// Where its bytes begin.
    data: u64,
    modified: Timestamp,
}

/// A ZIP file whose directory makes sense.
pub(super) struct ForeignZip {
    bytes: Box<dyn ReadAt>,
    lengths: BTreeMap<String, u64>,
    entries: BTreeMap<String, Packed>,
}

/// An entry of the directory, before its place was looked at.
struct Listed {
    name: String,
    packed: Packed,
    header: u64,
    is_folder: bool,
}

impl ForeignZip {
    pub(super) fn read(bytes: Box<dyn ReadAt>) -> Result<Self, Refused> {
        let length = bytes.length().map_err(Fault::Read).at("the ZIP file")?;
        let (count, size, offset) = end(bytes.as_ref(), length).at("the ZIP file")?;
        let within = offset.checked_add(size).is_some_and(|end| end <= length);
        if !within || size > DIRECTORY_BYTES_MAX || count > 4 * ENTRIES_MAX as u64 {
            return Err(Refused::new(
                "the ZIP file",
                Fault::Malformed("a ZIP file with a directory of reasonable size"),
            ));
        }
        let directory = piece(bytes.as_ref(), offset, size).at("the ZIP file")?;
        let mut rest = directory.as_slice();
        let (mut lengths, mut entries, mut places) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for _ in 0..count {
            let mut listed = entry(&mut rest).at("the ZIP file")?;
            let name = listed.name.clone();
            let data = place(bytes.as_ref(), &listed).at(&name)?;
            listed.packed.data = data;
            let end = data.checked_add(listed.packed.packed).filter(|end| *end <= offset);
            let end = end.ok_or(Fault::Malformed("a file that lies within the ZIP")).at(&name)?;
            places.push((listed.header, end, name.clone()));
            if listed.is_folder {
                continue;
            }
            if entries.insert(name.clone(), listed.packed.clone()).is_some() {
                return Err(Refused::new(name, Fault::Name("it is there twice")));
            }
            lengths.insert(name, listed.packed.length);
        }
        if !rest.is_empty() {
            return Err(Refused::new(
                "the ZIP file",
                Fault::Malformed("a directory of its own length"),
            ));
        }
        places.sort();
        for pair in places.windows(2) {
            if let [(_, end, _), (start, _, name)] = pair
                && start < end
            {
                return Err(Refused::new(name, Fault::Malformed("a file whose bytes are its own")));
            }
        }
        let unpacked = lengths.values().fold(0_u64, |sum, length| sum.saturating_add(*length));
        if unpacked > SMALL_BYTES && unpacked / RATIO_MAX > length {
            let limit = length.saturating_mul(RATIO_MAX);
            return Err(Refused::new("the ZIP file", Fault::Large { found: unpacked, limit }));
        }
        Ok(Self { bytes, lengths, entries })
    }
}

impl Tree for ForeignZip {
    fn files(&self) -> &BTreeMap<String, u64> {
        &self.lengths
    }

    fn open(self: Arc<Self>, path: &str) -> Result<Box<dyn Read + Send>, Fault> {
        let packed = self.entries.get(path).ok_or(Fault::Missing)?.clone();
        let raw = Raw { at: packed.data, left: packed.packed, zip: self };
        let inner: Box<dyn Read + Send> =
            if packed.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) };
        let crc = crc32fast::Hasher::new();
        Ok(Box::new(Checked { inner, left: packed.length, crc, expected: packed.crc }))
    }

    fn modified(&self, path: &str) -> Timestamp {
        self.entries.get(path).map_or(Timestamp::UNIX_EPOCH, |packed| packed.modified)
    }
}

/// Bytes of an entry as they lie there.
struct Raw {
    zip: Arc<ForeignZip>,
    at: u64,
    left: u64,
}

impl Read for Raw {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(out) = out.get_mut(..count).filter(|out| !out.is_empty()) else { return Ok(0) };
        self.zip.bytes.read_exact_at(out, self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// Bytes of an entry unpacked: as many as promised, with the checksum that was promised.
struct Checked {
    inner: Box<dyn Read + Send>,
    left: u64,
    crc: crc32fast::Hasher,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let bad = || {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "its bytes are not those that the ZIP announces",
            )
        };
        let count = self.inner.read(out).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => bad(),
            _ => error,
        })?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(bad)?;
        self.crc.update(out.get(..count).unwrap_or_default());
        if count == 0 && (self.left > 0 || self.crc.clone().finalize() != self.expected) {
            return Err(bad());
        }
        Ok(count)
    }
}

fn piece(bytes: &dyn ReadAt, offset: u64, count: u64) -> Result<Vec<u8>, Fault> {
    let short = || Fault::Malformed("a ZIP file that is not cut short");
    let all = bytes.length().map_err(Fault::Read)?;
    if offset.checked_add(count).is_none_or(|end| end > all) {
        return Err(short());
    }
    let mut out = vec![0; usize::try_from(count).map_err(|_| short())?];
    bytes.read_exact_at(&mut out, offset).map_err(Fault::Read)?;
    Ok(out)
}

/// Entries, bytes and place of the directory, as the end tells, or its ZIP64 twin.
fn end(bytes: &dyn ReadAt, length: u64) -> Result<(u64, u64, u64), Fault> {
    let form = || Fault::Malformed("a ZIP file");
    let searched = length.min(END_BYTES + COMMENT_BYTES_MAX);
    let tail = piece(bytes, length - searched, searched)?;
    // The last end whose comment reaches to the end of the file.
    let at = (0..tail.len().checked_sub(21).ok_or_else(form)?).rev().find(|at| {
        let rest = tail.get(*at..).unwrap_or_default();
        let comment = rest.get(20..22).and_then(|two| two.try_into().ok()).map(u16::from_le_bytes);
        rest.starts_with(b"PK\x05\x06")
            && comment.is_some_and(|comment| rest.len() == 22 + usize::from(comment))
    });
    let at = at.ok_or_else(form)?;
    let mut fields = Fields(tail.get(at + 4..).unwrap_or_default());
    let parts = (|| {
        Some((
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
            fields.u16()?,
            fields.u32()?,
            fields.u32()?,
        ))
    })();
    let (disk, first, here, count, size, offset) = parts.ok_or_else(form)?;
    if size < 0xffff_ffff && offset < 0xffff_ffff && count < 0xffff {
        let single = disk == 0 && first == 0 && here == count;
        return single
            .then_some((count, size, offset))
            .ok_or(Fault::Malformed("a ZIP file in one piece"));
    }
    let at = (length - searched + at as u64).checked_sub(20).ok_or_else(form)?;
    let locator = piece(bytes, at, 20)?;
    let mut fields = Fields(locator.strip_prefix(b"PK\x06\x07").ok_or_else(form)?);
    let record = (|| {
        fields.u32()?;
        fields.u64()
    })()
    .ok_or_else(form)?;
    let record = piece(bytes, record, 56)?;
    let mut fields = Fields(record.strip_prefix(b"PK\x06\x06").ok_or_else(form)?);
    (|| {
        fields.skip(20)?;
        let (here, count) = (fields.u64()?, fields.u64()?);
        (here == count).then_some((count, fields.u64()?, fields.u64()?))
    })()
    .ok_or_else(form)
}

/// The next entry of the directory.
fn entry(rest: &mut &[u8]) -> Result<Listed, Fault> {
    let form = || Fault::Malformed("a directory of ZIP");
    let (head, after) = rest.split_at_checked(CENTRAL_BYTES).ok_or_else(form)?;
    let mut fields = Fields(head.strip_prefix(b"PK\x01\x02").ok_or_else(form)?);
    let parts = (|| {
        let made_by = fields.u16()?;
        fields.skip(2)?;
        let (flags, method, time, date) =
            (fields.u16()?, fields.u16()?, fields.u16()?, fields.u16()?);
        let (crc, packed, length) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.skip(4)?;
        Some((
            (made_by, flags, method),
            (time, date),
            (crc, packed, length),
            (name, extra, comment),
            fields.u32()?,
            fields.u32()?,
        ))
    })();
    let ((made_by, flags, method), (time, date), (crc, packed, length), sizes, attributes, header) =
        parts.ok_or_else(form)?;
    let mut take = after;
    let mut next = |count: u64| {
        let (taken, left) = take.split_at_checked(usize::try_from(count).ok()?)?;
        take = left;
        Some(taken)
    };
    let (name, extra) = (next(sizes.0).ok_or_else(form)?, next(sizes.1).ok_or_else(form)?);
    next(sizes.2).ok_or_else(form)?;
    *rest = take;
    let name = text(name, flags)?;
    let (mut packed, mut length, mut header) = (packed, length, header);
    far(extra, [&mut length, &mut packed, &mut header]).ok_or_else(form)?;
    if flags & 1 != 0 {
        return Err(Fault::Malformed("a ZIP file that is not encrypted"));
    }
    let deflated = match method {
        0 if packed == length => false,
        8 => true,
        _ => return Err(Fault::Malformed("stored or deflated files")),
    };
    if deflated && length > packed.saturating_mul(DEFLATE_RATIO_MAX) {
        return Err(Fault::Large {
            found: length,
            limit: packed.saturating_mul(DEFLATE_RATIO_MAX),
        });
    }
    // Made on Unix: the upper half has the kind of the file.
    let kind = (attributes >> 16) & 0o170_000;
    if made_by >> 8 == 3 && kind != 0 && kind != 0o100_000 && kind != 0o040_000 {
        return Err(Fault::Unexpected);
    }
    let is_folder = name.ends_with('/');
    if is_folder && length != 0 {
        return Err(form());
    }
    let modified = moment(date, time);
    let crc = u32::try_from(crc).map_err(|_| form())?;
    let packed = Packed { deflated, crc, packed, length, data: 0, modified };
    Ok(Listed { name, packed, header, is_folder })
}

/// A name: UTF-8 where the flag says so, else ASCII, for of other letters nobody knows which they are.
fn text(name: &[u8], flags: u64) -> Result<String, Fault> {
    let bad = Fault::Malformed("names in UTF-8, not too long");
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME_BYTES_MAX && (flags & 0x800 != 0 || text.is_ascii()) => {
            Ok(text.to_owned())
        }
        _ => Err(bad),
    }
}

/// Fields that are all ones stand in the ZIP64 extra field, in this order.
fn far(mut extra: &[u8], fields: [&mut u64; 3]) -> Option<()> {
    let mut found = Fields(&[]);
    while extra.len() >= 4 {
        let mut head = Fields(extra);
        let (kind, size) = (head.u16()?, usize::try_from(head.u16()?).ok()?);
        let (content, rest) = head.0.split_at_checked(size)?;
        if kind == 1 {
            found = Fields(content);
        }
        extra = rest;
    }
    for field in fields {
        if *field == 0xffff_ffff {
            *field = found.u64()?;
        }
    }
    Some(())
}

/// Where an entry's bytes begin. Its local header must be there, with the same name.
fn place(bytes: &dyn ReadAt, listed: &Listed) -> Result<u64, Fault> {
    let form = || Fault::Malformed("a file whose two headers agree");
    let head = piece(bytes, listed.header, LOCAL_BYTES)?;
    let mut fields = Fields(head.strip_prefix(b"PK\x03\x04").ok_or_else(form)?);
    let parts = (|| {
        fields.skip(2)?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.skip(16)?;
        Some((flags, method, fields.u16()?, fields.u16()?))
    })();
    let (flags, method, name, extra) = parts.ok_or_else(form)?;
    let here = piece(bytes, listed.header + LOCAL_BYTES, name)?;
    let same = text(&here, flags).is_ok_and(|here| here == listed.name)
        && (method == 8) == listed.packed.deflated;
    if same { Ok(listed.header + LOCAL_BYTES + name + extra) } else { Err(form()) }
}

/// MS-DOS's date and time, in no zone: read as UTC.
fn moment(date: u64, time: u64) -> Timestamp {
    let small = |value: u64, mask: u64| i8::try_from(value & mask).ok();
    let read = || {
        let year = i16::try_from(1980 + (date >> 9)).ok()?;
        let day = civil::Date::new(year, small(date >> 5, 15)?, small(date, 31)?).ok()?;
        let time = civil::Time::new(
            small(time >> 11, 31)?,
            small(time >> 5, 63)?,
            small(time, 31)? * 2,
            0,
        )
        .ok()?;
        Some(day.to_datetime(time).to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    read().unwrap_or(Timestamp::UNIX_EPOCH)
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
