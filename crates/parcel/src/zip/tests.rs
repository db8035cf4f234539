//! Places beyond 4 GiB, and forms that others write.

use std::io::{self, Read as _};

use super::read::{ReadAt, Zip};
use super::{Entry, end};

/// A file that is zeros but for a few pieces.
struct Sparse {
    pieces: Vec<(u64, Vec<u8>)>,
    length: u64,
}

impl ReadAt for Sparse {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        out.fill(0);
        let end = offset + out.len() as u64;
        // Pieces are in their order and don't overlap.
        let first = self.pieces.partition_point(|(at, bytes)| at + bytes.len() as u64 <= offset);
        for (at, bytes) in self.pieces[first..].iter().take_while(|(at, _)| *at < end) {
            for (place, byte) in (*at..).zip(bytes).filter(|(p, _)| (offset..end).contains(p)) {
                out[usize::try_from(place - offset).unwrap()] = *byte;
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }
}

/// A ZIP with files of these names and lengths; the last is `last`, the others zeros.
fn sparse(lengths: &[u64], last: &[u8]) -> Sparse {
    let mut entries = Vec::new();
    let mut pieces = Vec::new();
    let mut offset = 0;
    for (n, length) in lengths.iter().copied().chain([last.len() as u64]).enumerate() {
        let crc = crc32fast::hash(if n == lengths.len() { last } else { &[] });
        let entry = Entry { name: format!("top/f{n}"), crc, length, offset };
        pieces.push((offset, entry.local()));
        offset = entry.end();
        entries.push(entry);
    }
    pieces.push((offset - last.len() as u64, last.to_vec()));
    let directory: Vec<u8> = entries.iter().flat_map(Entry::central).collect();
    let tail = end(entries.len() as u64, directory.len() as u64, offset);
    let length = offset + (directory.len() + tail.len()) as u64;
    pieces.push((offset, [directory, tail].concat()));
    Sparse { pieces, length }
}

fn read(zip: &Zip, path: &str) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    zip.reader(path).unwrap().read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn files_beyond_four_gibibytes_are_found() {
    for lengths in [vec![], vec![5], vec![3 << 30, 3 << 30], vec![0xffff_fffe - 35 - 35, 1]] {
        let zip = Zip::enter(Box::new(sparse(&lengths, b"last"))).unwrap();
        assert_eq!(read(&zip, &format!("f{}", lengths.len())).unwrap(), b"last", "{lengths:?}");
        assert_eq!(zip.paths().count(), lengths.len() + 1);
    }
}

#[test]
fn more_than_65534_files_are_found() {
    let zip = Zip::enter(Box::new(sparse(&vec![0; 65_535], b"x"))).unwrap();
    assert_eq!(zip.paths().count(), 65_536);
    assert_eq!(read(&zip, "f65535").unwrap(), b"x");
}

#[test]
fn wrong_checksum_is_noticed_at_the_end() {
    let mut bad = sparse(&[], b"last");
    bad.pieces[1].1[0] ^= 1; // after its header
    let zip = Zip::enter(Box::new(bad)).unwrap();
    assert_eq!(read(&zip, "f0").unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn any_touched_byte_of_the_structure_is_refused() {
    let good = sparse(&[3 << 30, 3 << 30], b"last");
    for piece in 0..good.pieces.len() {
        for at in 0..good.pieces[piece].1.len() {
            let mut bad = Sparse { pieces: good.pieces.clone(), length: good.length };
            bad.pieces[piece].1[at] ^= 1 << (at % 8);
            // What a file holds is checked when it is read.
            let contents = piece == 3;
            let entered = Zip::enter(Box::new(bad));
            assert!(entered.is_err() || contents, "byte {at} of piece {piece}");
        }
    }
    for change in [-1_i64, 1] {
        let length = good.length.checked_add_signed(change).unwrap();
        assert!(Zip::enter(Box::new(Sparse { pieces: good.pieces.clone(), length })).is_err());
    }
    for length in 0..30 {
        assert!(Zip::enter(Box::new(Sparse { pieces: vec![], length })).is_err());
    }
}
