//! Parts that were decrypted, and what they carry as a stream.
//!
//! Invariant: a part is decrypted only when it had the hash that the outside signs, each time anew: so what a second
//! reading gives is what the first one gave.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::bag::part_path;
use crate::cms::envelope::Envelope;
use crate::error::At;
use crate::{Fault, Parcel, Recipient, Refused};

/// Decrypted parts kept in memory, so that reading on doesn't decrypt again.
const PARTS_KEPT: usize = 2;
/// Bytes that a stream takes out of a part at a time.
const PIECE_BYTES_MAX: u64 = 256 << 10;

pub(super) struct Parts<'a> {
    pub(super) parcel: &'a Parcel,
    recipient: &'a Recipient,
    kept: Mutex<VecDeque<KeptPart>>,
}

/// A part's content in memory.
struct KeptPart {
    number: u64,
    plain: Zeroizing<Vec<u8>>,
    /// Whether it has the hash that the inside signs. It is looked at once, for memory does not change.
    holds: bool,
}

/// What is to hold of a part's content before it is used.
type Check<'c> = &'c dyn Fn(u64, &[u8]) -> Result<(), Refused>;

impl<'a> Parts<'a> {
    pub(super) fn new(parcel: &'a Parcel, recipient: &'a Recipient) -> Self {
        Self { parcel, recipient, kept: Mutex::default() }
    }

    /// Runs `use_it` on a part's content, which is decrypted, or was before; and checked, or was before, if a check is
    /// given.
    pub(super) fn with(
        &self,
        number: u64,
        check: Option<Check<'_>>,
        use_it: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.iter().any(|part| part.number == number) {
            if kept.len() >= PARTS_KEPT {
                kept.pop_front();
            }
            let plain = self.decrypt(number)?;
            kept.push_back(KeptPart { number, plain, holds: false });
        }
        let part = kept.iter_mut().find(|part| part.number == number);
        let part = part.ok_or(Fault::Missing).at(part_path(number))?;
        if let Some(check) = check
            && !part.holds
        {
            check(number, &part.plain)?;
            part.holds = true;
        }
        use_it(&part.plain)
    }

    /// Hands bytes `from` up to `to` of the archive to `sink`, piece by piece.
    pub(super) fn copy(
        &self,
        (from, to): (u64, u64),
        check: Option<Check<'_>>,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut position = from;
        while position < to {
            let number = position / self.parcel.info.part_size;
            let (start, end) = self.parcel.info.range(number);
            let until = end.min(to);
            self.with(number, check, &mut |plain| {
                let bounds = usize::try_from(position - start).ok();
                let bounds = bounds.zip(usize::try_from(until.saturating_sub(start)).ok());
                let piece = bounds.and_then(|(from, to)| plain.get(from..to));
                let short = || Fault::Malformed("a part of the right length");
                sink(
                    piece
                        .filter(|piece| !piece.is_empty())
                        .ok_or_else(short)
                        .at(part_path(number))?,
                )
            })?;
            position = until;
        }
        Ok(())
    }

    /// Bytes `from` up to `to` of the metadata section, which the tag files' hashes cover.
    pub(super) fn metadata(&'a self, from: u64, to: u64) -> Section<'a> {
        Section { parts: self, at: from, to, piece: Zeroizing::new(Vec::new()), done: 0 }
    }

    /// One part's content.
    fn decrypt(&self, number: u64) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let (parcel, path) = (self.parcel, part_path(number));
        let (from, to) = parcel.info.range(number);
        let mut part = Zeroizing::new(parcel.part(number)?);
        let located = |mut refused: Refused| {
            refused.range = Some((from, to));
            refused
        };
        let refuse = |fault| located(Refused::new(&path, fault));
        let envelope = Envelope::parse(&part).map_err(refuse)?;
        if envelope.content_length() as u64 != to - from {
            return Err(refuse(Fault::Malformed("a part of the length that bag-info.txt gives")));
        }
        if envelope.by_rsa() != parcel.info.rsa_oaep {
            return Err(located(crate::verify::unmarked(&path)));
        }
        let plain = envelope.open(self.recipient, &mut part).map_err(refuse)?;
        let length = plain.len();
        part.copy_within(plain, 0);
        part.truncate(length);
        Ok(part)
    }
}

/// A piece of the metadata section as a stream.
pub(super) struct Section<'a> {
    parts: &'a Parts<'a>,
    at: u64,
    to: u64,
    piece: Zeroizing<Vec<u8>>,
    /// Bytes of the piece that were handed on.
    done: usize,
}

impl Section<'_> {
    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        (self.to - self.at).saturating_add((self.piece.len() - self.done) as u64)
    }

    /// Where in the archive the next byte lies.
    pub(super) fn position(&self) -> u64 {
        self.at.saturating_sub((self.piece.len() - self.done) as u64)
    }

    fn refill(&mut self) -> Result<(), Refused> {
        let until = self.to.min(self.at.saturating_add(PIECE_BYTES_MAX));
        self.piece.clear();
        self.done = 0;
        let piece = &mut self.piece;
        self.parts.copy((self.at, until), None, &mut |bytes| {
            piece.extend_from_slice(bytes);
            Ok(())
        })?;
        self.at = until;
        Ok(())
    }
}

impl Read for Section<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done == self.piece.len() {
            self.refill().map_err(|refused| io::Error::other(Box::new(refused)))?;
        }
        let rest = self.piece.get(self.done..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.done += count;
        Ok(count)
    }
}

/// What a [`Section`] could not be read for.
pub(super) fn refused(error: io::Error, path: &str) -> Refused {
    match error.downcast::<Box<Refused>>() {
        Ok(refused) => *refused,
        Err(error) => Refused::new(path, Fault::Read(error)),
    }
}
