//! A custody record that is made after the parcel was sealed: what the sealed one tells, and what happened since.
//!
//! Invariant: its nodes are named as in the sealed record, so that the two can be laid together; it is no part of the
//! parcel, and says who made it, and when.

use std::io::Write;

use jiff::Timestamp;
use keys::digest::Sha256;

use super::{CustodyEvent, Record, Words, paper};
use crate::SealError;
use crate::meta::{self, IndexedFile, TransferRecord};

/// What such a record is made of.
#[derive(Debug, Clone, Copy)]
pub struct CustodyRecord<'a> {
    pub of: &'a TransferRecord,
    /// In the order of their paths.
    pub files: &'a [IndexedFile],
    pub events: &'a [CustodyEvent],
    pub made: &'a Made,
}

/// Who made it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub at: Timestamp,
    /// The custodian whose ledger tells what happened since, as `NAME (ORI)`.
    pub by: String,
    /// What of the parcel is not told, in a sentence for people; none where all of it is.
    pub left_out: Option<String>,
}

impl CustodyRecord<'_> {
    /// Writes it as CASE/UCO JSON-LD.
    ///
    /// # Errors
    /// [`SealError::Json`] where it can't be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), SealError> {
        let Self { of, files, events, .. } = *self;
        let file = meta::CUSTODY_FILE;
        let written = Record { of, files, events }.write(Words::Whole, out);
        written.map_err(|source| SealError::Json { file, source })
    }

    /// How many bytes that is, and their SHA-256.
    ///
    /// # Errors
    /// As [`CustodyRecord::write`].
    pub fn measure(&self) -> Result<(u64, [u8; 32]), SealError> {
        let mut counted = Counted { bytes: 0, digest: Sha256::new() };
        self.write(&mut counted)?;
        Ok((counted.bytes, counted.digest.finish()))
    }

    /// The same for people: PDF/A-3b, with the JSON-LD inside where it is not too long for that.
    ///
    /// # Errors
    /// As [`CustodyRecord::write`]; [`SealError::Document`] where it would be too long.
    pub fn paper(&self) -> Result<Vec<u8>, SealError> {
        let (bytes, sha256) = self.measure()?;
        let mut attached = None;
        if bytes <= paper::RECORD_BYTES_MAX {
            let mut record = Vec::new();
            self.write(&mut record)?;
            attached = Some(record);
        }
        let inside = paper::Inside { sha256, attached };
        Ok(paper::write(self.of, self.files, self.events, inside, Some(self.made))?)
    }
}

struct Counted {
    bytes: u64,
    digest: Sha256,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
