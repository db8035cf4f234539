//! The archive inside: POSIX pax (IEEE Std 1003.1), regular files only.
//!
//! A header is a function of path, length and time. So the reader never interprets one: it
//! writes the header that must stand there and compares bytes.

/// Archives are made of blocks.
pub(crate) const BLOCK_BYTES: usize = 512;
pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;
/// Two blocks of zeros end an archive.
pub(crate) const END_BYTES: usize = 1024;
/// Eleven octal digits.
pub(crate) const OCTAL_MAX: u64 = (1 << 33) - 1;
const NAME_BYTES: usize = 100;

/// Header blocks of a regular file: ustar, after a pax header where ustar can't say it.
/// `seconds` since 1970, at most [`OCTAL_MAX`].
pub(crate) fn header(path: &str, length: u64, seconds: u64) -> Vec<u8> {
    let long_name = path.len() > NAME_BYTES || !path.is_ascii();
    let long_file = length > OCTAL_MAX;
    let mut out = Vec::new();
    if long_name || long_file {
        let mut records = Vec::new();
        if long_name {
            records.extend_from_slice(&record("path", path));
        }
        if long_file {
            records.extend_from_slice(&record("size", &length.to_string()));
        }
        out.extend_from_slice(&ustar("inner/PaxHeaders", records.len() as u64, seconds, b'x'));
        let fill = padding(records.len() as u64);
        out.append(&mut records);
        out.resize(out.len() + fill, 0);
    }
    // Where a pax header tells name or size, these fields are for tools that don't read it.
    let name = if long_name { "inner/long-name" } else { path };
    let size = if long_file { 0 } else { length };
    out.extend_from_slice(&ustar(name, size, seconds, b'0'));
    out
}

/// Bytes of the [`header`] of a path that has `before` plain bytes before `path`.
pub(crate) fn header_bytes(before: usize, path: &str, length: u64) -> u64 {
    let name = before + path.len();
    let mut records = 0;
    if name > NAME_BYTES || !path.is_ascii() {
        records += record_bytes("path".len() + name);
    }
    if length > OCTAL_MAX {
        records += record_bytes("size".len() + length.to_string().len());
    }
    match records as u64 {
        0 => BLOCK,
        records => 2 * BLOCK + records + padding(records) as u64,
    }
}

/// Zero bytes after `length` bytes of a file, to the next block.
pub(crate) fn padding(length: u64) -> usize {
    // Below 512.
    usize::try_from((BLOCK - length % BLOCK) % BLOCK).unwrap_or(0)
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn record(key: &str, value: &str) -> Vec<u8> {
    let length = record_bytes(key.len() + value.len());
    format!("{length} {key}={value}\n").into_bytes()
}

/// How long the record of a key and value of so many bytes is.
fn record_bytes(both: usize) -> usize {
    let bare = both + 3;
    let mut length = bare + 1;
    while length != bare + length.to_string().len() {
        length = bare + length.to_string().len();
    }
    length
}

fn ustar(name: &str, size: u64, seconds: u64, kind: u8) -> [u8; 512] {
    let mut block = [0; 512];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, format!("{seconds:011o}\0").as_bytes());
    put(&mut block, 148, b"        ");
    put(&mut block, 156, &[kind]);
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 329, b"0000000\0");
    put(&mut block, 337, b"0000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; 512], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// Whether a plain ustar header of this name begins here. What else it says is compared later.
pub(crate) fn is_of(archive: &[u8], path: &str) -> bool {
    archive.strip_prefix(path.as_bytes()).is_some_and(|rest| rest.starts_with(&[0]))
}

/// The length field of a plain ustar header: all that the reader takes from one, before it
/// compares the whole.
pub(crate) fn length_of(block: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(block.get(124..135)?).ok()?;
    u64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{END_BYTES, OCTAL_MAX, header, header_bytes, padding, record};

    #[test]
    fn record_counts_its_own_length() {
        assert_eq!(record("path", "a"), b"9 path=a\n");
        for (letters, length) in [(90, 99), (91, 101), (989, 999), (990, 1001)] {
            let written = record("path", &"x".repeat(letters));
            assert_eq!(written.len(), length);
            assert!(written.starts_with(format!("{length} path=").as_bytes()));
        }
    }

    #[test]
    fn another_reader_reads_the_archive() {
        let names = ["inner/a", "inner/Jörg.txt", &format!("inner/{}", "d/".repeat(60) + "end")];
        let mut archive = Vec::new();
        for name in names {
            archive.extend_from_slice(&header(name, 3, 1_700_000_000));
            archive.extend_from_slice(b"abc");
            archive.resize(archive.len() + padding(3), 0);
        }
        archive.resize(archive.len() + END_BYTES, 0);
        let mut reader = tar::Archive::new(archive.as_slice());
        let mut found = Vec::new();
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, "abc");
            found.push(path);
        }
        assert_eq!(found, names);
    }

    #[test]
    fn headers_have_the_length_that_is_planned_for_them() {
        for letters in (1..1_024).chain([5_000]) {
            for path in ["x".repeat(letters), "é".repeat(letters)] {
                for length in [0, 1, OCTAL_MAX, OCTAL_MAX + 1, u64::MAX] {
                    let header = header(&format!("inner/data/{path}"), length, 0);
                    assert_eq!(header.len() as u64, header_bytes(11, &path, length), "{path}");
                }
            }
        }
    }

    #[test]
    fn sizes_beyond_ustar_go_into_a_pax_record() {
        let blocks = header("inner/big", 10_000_000_000, 0);
        assert_eq!(blocks.len(), 1536);
        assert!(blocks.windows(16).any(|w| w == b"size=10000000000"));
    }
}
