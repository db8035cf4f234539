//! Where each entry's envelope and body lie: two derived files of eight bytes an entry.
//!
//! Invariant: a position is a hint. Whoever uses one checks what it leads to, and looks for the
//! entry in its segment if that is something else. So a position may be missing, torn or wrong,
//! and a failed write here is of no consequence but time.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Place;
use crate::disk::{DiskFile, Mode};
use crate::identity::POSITIONS;

const BYTES: u64 = 8;

/// A segment's number and an offset in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Envelopes,
    Bodies,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Self::Envelopes => "envelopes",
            Self::Bodies => "bodies",
        }
    }
}

/// The place in these bytes. Zeros are what a hole in the file reads as.
fn place(&[a, b, c, d, e, f, g, h]: &[u8; 8]) -> Option<At> {
    let segment = u32::from_be_bytes([a, b, c, d]).checked_sub(1)?;
    Some(At { segment, offset: u32::from_be_bytes([e, f, g, h]) })
}

type Handle = Mutex<Option<Arc<dyn DiskFile>>>;

pub(crate) struct Positions {
    place: Place,
    envelopes: Handle,
    bodies: Handle,
}

impl Positions {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, envelopes: Mutex::default(), bodies: Mutex::default() }
    }

    /// Where an entry should lie.
    pub(crate) fn get(&self, of: Of, entry: u64) -> Option<At> {
        let file = self.file(of).ok()?;
        let mut bytes = [0; 8];
        let read = file.read_at(&mut bytes, entry.checked_mul(BYTES)?).ok()?;
        place(&bytes).filter(|_| read == bytes.len())
    }

    /// Where `count` entries from `first` on should lie; `None` where that was not noted.
    pub(crate) fn get_many(&self, of: Of, first: u64, count: u64) -> Vec<Option<At>> {
        let count = usize::try_from(count).unwrap_or(0);
        let mut bytes = vec![0; count * 8];
        let read = first.checked_mul(BYTES).and_then(|offset| {
            self.file(of).and_then(|file| file.read_at(&mut bytes, offset)).ok()
        });
        bytes.truncate(read.unwrap_or(0));
        let mut places: Vec<Option<At>> = bytes.as_chunks().0.iter().map(place).collect();
        places.resize(count, None);
        places
    }

    /// Notes where the entries from `first` on lie.
    pub(crate) fn put(&self, of: Of, first: u64, places: &[At]) {
        let mut bytes = Vec::with_capacity(places.len() * 8);
        for at in places {
            bytes.extend_from_slice(&at.segment.saturating_add(1).to_be_bytes());
            bytes.extend_from_slice(&at.offset.to_be_bytes());
        }
        let Some(offset) = first.checked_mul(BYTES) else { return };
        if let Err(error) = self.file(of).and_then(|file| file.write_at(&bytes, offset)) {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "positions in the ledger could not be noted");
        }
    }

    fn file(&self, of: Of) -> io::Result<Arc<dyn DiskFile>> {
        let handle = match of {
            Of::Envelopes => &self.envelopes,
            Of::Bodies => &self.bodies,
        };
        let mut handle = handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = handle.as_ref() {
            return Ok(Arc::clone(file));
        }
        let (disk, folder) = (self.place.disk.as_ref(), self.place.path(POSITIONS));
        disk.create_folder(&folder)?;
        let file = disk.open(&folder.join(of.name()), Mode::Create)?;
        *handle = Some(Arc::clone(&file));
        Ok(file)
    }
}
