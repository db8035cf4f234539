//! JPEG (ITU-T T.81): whether it ends, and what its APP11 segments carry.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Bytes, Findings, Standing, read_at};

/// Segments before the picture.
const SEGMENTS_MAX: usize = 10_000;
const END: [u8; 2] = [0xff, 0xd9];

/// Gives the JUMBF boxes of its Content Credentials, put together, if there are any.
pub(super) fn walk(
    file: &mut (impl Read + Seek),
    length: u64,
    findings: &mut Findings,
) -> io::Result<Option<Vec<u8>>> {
    let mut at = 2;
    let mut manifest = Vec::new();
    for _ in 0..SEGMENTS_MAX {
        let head = read_at(file, at, 4)?;
        let mut bytes = Bytes(&head);
        let (Some(0xff), Some(kind), Some(size)) = (bytes.u8(), bytes.u8(), bytes.u16()) else {
            findings.add(Standing::CutShort, "It ends before its picture begins.");
            return Ok(None);
        };
        if size < 2 {
            findings.add(Standing::Broken, "One of its segments has no length.");
            return Ok(None);
        }
        if kind == 0xeb {
            piece(&read_at(file, at + 4, usize::from(size) - 2)?, &mut manifest);
        }
        if kind == 0xda {
            break;
        }
        at += 2 + u64::from(size);
    }
    // What stands after the end of the picture (a film, a map) is common.
    file.seek(SeekFrom::Start(at))?;
    if has_end(file)? {
        findings.add(Standing::Sound, "The picture has its end.");
    } else {
        let words = format!("The picture is cut short: after {length} bytes its end is not there.");
        findings.add(Standing::CutShort, words);
    }
    Ok((!manifest.is_empty()).then_some(manifest))
}

/// A piece of a JUMBF box (ISO 19566-5, annex D): after `JP`, number and order; each repeats the box's head.
fn piece(segment: &[u8], manifest: &mut Vec<u8>) {
    let mut bytes = Bytes(segment);
    let (Some(b"JP"), Some(_), Some(order)) = (bytes.take(2), bytes.u16(), bytes.u32()) else {
        return;
    };
    if order > 1 {
        let _head = bytes.take(8);
    }
    if manifest.len() + bytes.0.len() <= super::c2pa::STORE_BYTES_MAX {
        manifest.extend_from_slice(bytes.0);
    }
}

fn has_end(file: &mut impl Read) -> io::Result<bool> {
    let (mut piece, mut last) = (vec![0; 256 << 10], 0);
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(false);
        };
        if last == 0xff && read.first() == Some(&0xd9) || read.windows(2).any(|two| two == END) {
            return Ok(true);
        }
        last = read.last().copied().unwrap_or(0);
    }
}
