//! What an interrupted seal left of a ZIP file: the entries that are whole, and how the gaps between those that stay are closed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::{Entry, LOCAL_BYTES};

const PIECE_BYTES: usize = 1 << 20;
/// The longest name of a part, with the folder at the top.
const NAME_BYTES_MAX: usize = 128;

/// The parts that lie whole at the beginning, by their own headers. What they carry is for the journal to judge.
pub(super) fn whole_parts(file: &File, top: &str) -> io::Result<Vec<Entry>> {
    let length = file.metadata()?.len();
    let (mut position, mut out) = (0, Vec::new());
    while let Some(entry) = entry_at(file, position, length)? {
        let part = entry.name.strip_prefix(top).is_some_and(|path| path.starts_with("data/"));
        if !part || entry.end() > length {
            break;
        }
        position = entry.end();
        out.push(entry);
    }
    Ok(out)
}

/// The entry whose local header begins here, if it is one of ours.
fn entry_at(file: &File, offset: u64, length: u64) -> io::Result<Option<Entry>> {
    let mut head = [0; 30];
    if offset.checked_add(LOCAL_BYTES).is_none_or(|end| end > length) {
        return Ok(None);
    }
    file.read_exact_at(&mut head, offset)?;
    let number = |from: usize| {
        let bytes = head.get(from..from + 4).and_then(|four| four.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    // Two bytes of the name's length, two of the extra field's.
    let size = usize::try_from(number(26)).unwrap_or(usize::MAX);
    if size > NAME_BYTES_MAX || offset + LOCAL_BYTES + size as u64 > length {
        return Ok(None);
    }
    let mut name = vec![0; size];
    file.read_exact_at(&mut name, offset + LOCAL_BYTES)?;
    let Ok(name) = String::from_utf8(name) else { return Ok(None) };
    let entry = Entry { name, crc: number(14), length: u64::from(number(18)), offset };
    let whole = [head.as_slice(), entry.name.as_bytes()].concat();
    Ok((entry.local() == whole).then_some(entry))
}

/// Moves entries towards the beginning until nothing lies between them, and cuts off what follows. Gives where they end.
pub(super) fn close_gaps(file: &File, entries: &mut [Entry]) -> io::Result<u64> {
    entries.sort_by_key(|entry| entry.offset);
    let (mut position, mut piece) = (0, vec![0; PIECE_BYTES]);
    for entry in entries.iter_mut() {
        let (from, bytes) = (entry.offset, entry.end() - entry.offset);
        entry.offset = position;
        if from > position {
            let mut done = 0;
            while done < bytes {
                let count = usize::try_from(bytes - done).unwrap_or(usize::MAX).min(PIECE_BYTES);
                let Some(some) = piece.get_mut(..count) else { break };
                file.read_exact_at(some, from + done)?;
                file.write_all_at(some, position + done)?;
                done += count as u64;
            }
        }
        position += bytes;
    }
    file.set_len(position)?;
    Ok(position)
}

/// The bytes of one entry.
pub(super) struct Left<'a> {
    pub(super) file: &'a File,
    pub(super) at: u64,
    pub(super) left: u64,
}

impl Read for Left<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let Some(out) = out.get_mut(..count).filter(|out| !out.is_empty()) else { return Ok(0) };
        self.file.read_exact_at(out, self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
