//! A parcel as one file: an uncompressed ZIP (APPNOTE 6.3.3; ZIP64 where it must be) that any desktop opens.
//!
//! As with all else here there is one way to write it, and the reader compares: entries lie one after another from
//! the first byte, each local header says what the directory says, nothing stands between, before or after.
//! `docs/formats/parcel.md` §1.1 has it to the byte.

mod left;
mod read;
mod write;

pub(crate) use self::read::{ReadAt, Zip};
pub use self::write::{ZipFile, pack};

/// Fields that hold this many defer to their ZIP64 twin.
const U32_FULL: u64 = 0xffff_ffff;
const U16_FULL: u64 = 0xffff;
/// 20 for a plain entry, 45 for one with ZIP64 fields.
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// 1 January 1980, in MS-DOS's form: the seal's time is in the parcel.
const DATE: u16 = 0x0021;
/// Made on Unix.
const UNIX: u16 = 3 << 8;
/// A regular file, -rw-r--r--.
const MODE: u32 = 0o100_644 << 16;
/// Bytes of the headers before their name, and of the two ends.
const LOCAL_BYTES: u64 = 30;
const CENTRAL_BYTES: u64 = 46;
const END_BYTES: u64 = 22;
const LOCATOR_BYTES: u64 = 20;
const END_64_BYTES: u64 = 56;

/// One file in the ZIP.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    crc: u32,
    /// Below 2^32 − 1.
    length: u64,
    /// Where its local header begins.
    offset: u64,
}

impl Entry {
    /// Where its first byte lies.
    fn data(&self) -> u64 {
        self.offset + LOCAL_BYTES + self.name.len() as u64
    }

    /// Where the next entry begins.
    fn end(&self) -> u64 {
        self.data() + self.length
    }

    fn common(&self) -> Vec<u8> {
        let length = low(self.length);
        let mut out = Vec::with_capacity(24);
        // No flags, not compressed, midnight.
        for field in [0, 0, 0, DATE] {
            out.extend_from_slice(&u16::to_le_bytes(field));
        }
        for field in [self.crc, length, length] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let name = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&name.to_le_bytes());
        out
    }

    fn local(&self) -> Vec<u8> {
        let version = VERSION.to_le_bytes();
        [b"PK\x03\x04", version.as_slice(), &self.common(), &[0, 0], self.name.as_bytes()].concat()
    }

    fn central(&self) -> Vec<u8> {
        let far = self.offset >= U32_FULL;
        let version = if far { VERSION_64 } else { VERSION };
        let extra = if far {
            [[1, 0, 8, 0].as_slice(), &self.offset.to_le_bytes()].concat()
        } else {
            Vec::new()
        };
        let extra_bytes = if far { [12, 0] } else { [0, 0] };
        [
            b"PK\x01\x02",
            (UNIX | version).to_le_bytes().as_slice(),
            &version.to_le_bytes(),
            &self.common(),
            &extra_bytes,
            // No comment, first disk, binary.
            &[0; 6],
            &MODE.to_le_bytes(),
            &low(self.offset).to_le_bytes(),
            self.name.as_bytes(),
            &extra,
        ]
        .concat()
    }
}

/// The value, or the mark that its ZIP64 twin has it.
fn low(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// All that stands after the directory: ZIP64's two records if a number needs them, and the end.
fn end(entries: u64, directory_bytes: u64, directory_offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let far = entries >= U16_FULL || directory_bytes >= U32_FULL || directory_offset >= U32_FULL;
    if far {
        out.extend_from_slice(b"PK\x06\x06");
        out.extend_from_slice(&(END_64_BYTES - 12).to_le_bytes());
        out.extend_from_slice(&(UNIX | VERSION_64).to_le_bytes());
        out.extend_from_slice(&VERSION_64.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for field in [entries, entries, directory_bytes, directory_offset] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        out.extend_from_slice(&(directory_offset + directory_bytes).to_le_bytes());
        out.extend_from_slice(&1_u32.to_le_bytes());
    }
    let count = u16::try_from(entries).unwrap_or(u16::MAX).to_le_bytes();
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for field in [count, count] {
        out.extend_from_slice(&field);
    }
    out.extend_from_slice(&low(directory_bytes).to_le_bytes());
    out.extend_from_slice(&low(directory_offset).to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

/// Any bytes as a ZIP; all of its files are read.
pub(crate) fn fuzz(data: &[u8]) {
    let Ok(zip) = Zip::enter(Box::new(data.to_vec())) else { return };
    for path in zip.paths() {
        let Ok(mut reader) = zip.reader(path) else { continue };
        drop(std::io::copy(&mut reader, &mut std::io::sink()));
    }
}

#[cfg(test)]
mod tests;
