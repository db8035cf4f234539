//! What an interrupted seal had done: a line for each part that is whole, so that the next run takes it over.
//!
//! Invariant: a part is taken over only if it carries exactly the bytes that this run read anew, for the same parcel, part
//! size and recipients, and lies there as it was written. A line's tag says so under a key that only the signer can derive: it
//! covers the hash of the content without telling it, and nobody else can write one.

use std::collections::BTreeMap;
use std::io::Read;

use keys::digest::{Sha256, sha256};
use keys::mac::MacKey;
use keys::seal::derive;

use super::workers::Done;
use crate::{Seal, SealError, Target, bag, meta};

/// Bytes of a part hashed at a time.
const PIECE_BYTES: usize = 256 << 10;

pub(super) struct Journal {
    key: MacKey,
    /// What all parts have in common.
    context: [u8; 32],
    lines: BTreeMap<u64, Line>,
}

struct Line {
    digest: [u8; 32],
    bytes: u64,
    tag: Vec<u8>,
}

impl Journal {
    /// Reads what was noted. Lines that are not whole are passed over.
    pub(super) fn begin(seal: &Seal<'_>, target: &dyn Target) -> Result<Self, SealError> {
        let failed = |source| SealError::Write { path: "the journal".to_owned(), source };
        let root = sha256(&seal.sender.key.to_pkcs8());
        let recipients = meta::fingerprints(&seal.recipients).join("\n");
        let context = format!("{}\n{}\n{recipients}\n", seal.id, seal.part_size);
        let text = target.notes().map_err(failed)?;
        let lines = text.split_inclusive('\n').filter_map(Line::read).collect();
        let key = MacKey::from_bytes(derive(&root, "bailiwick parcel journal"));
        Ok(Self { key, context: sha256(context.as_bytes()), lines })
    }

    fn tag(&self, done: &Done) -> [u8; 32] {
        let (number, bytes) = (done.number.to_be_bytes(), done.bytes.to_be_bytes());
        self.key.tag(&[&self.context, &number, &done.digest, &bytes, &done.leaf])
    }

    /// The part with this content, if an earlier run left it whole.
    pub(super) fn found(
        &self,
        number: u64,
        leaf: [u8; 32],
        target: &dyn Target,
    ) -> Result<Option<Done>, SealError> {
        let Some(line) = self.lines.get(&number) else { return Ok(None) };
        let done = Done { number, digest: line.digest, leaf, bytes: line.bytes };
        if self.tag(&done) != *line.tag {
            return Ok(None);
        }
        let path = bag::part_path(number);
        let failed = |source| SealError::Write { path: path.clone(), source };
        let Some(mut part) = target.left(&path).map_err(failed)? else { return Ok(None) };
        let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE_BYTES], 0);
        loop {
            let count = part.read(&mut piece).map_err(failed)?;
            let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
            hash.update(read);
            bytes += count as u64;
        }
        Ok((bytes == line.bytes && hash.finish() == line.digest).then_some(done))
    }

    /// Notes that a part is whole. That it can't be noted is no failure of the seal: it would be sealed again.
    pub(super) fn note(&self, done: &Done, target: &dyn Target) {
        let (digest, tag) = (hex::encode(done.digest), hex::encode(self.tag(done)));
        match target.note(&format!("{} {digest} {} {tag}\n", done.number, done.bytes)) {
            Ok(()) | Err(_) => {}
        }
    }
}

impl Line {
    fn read(line: &str) -> Option<(u64, Self)> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let number = words.next()?.parse().ok()?;
        let mut digest = [0; 32];
        hex::decode_to_slice(words.next()?, &mut digest).ok()?;
        let bytes = words.next()?.parse().ok()?;
        let tag = hex::decode(words.next()?).ok()?;
        Some((number, Self { digest, bytes, tag }))
    }
}
