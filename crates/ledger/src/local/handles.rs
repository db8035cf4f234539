//! Segments that are open for reading, a few at a time.
//!
//! Invariant: a file that was removed or replaced is not read on: each use, which is one read or a run of
//! entries, asks whether the path still leads to it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::Place;
use crate::disk::{DiskFile, Mode};
use crate::envelope::Bucket;
use crate::error::ReadError;
use crate::journal::Segment;

const OPEN_MAX: usize = 16;

pub(crate) struct Handles {
    place: Place,
    /// The one used last comes last.
    files: Mutex<Vec<(Segment, Arc<dyn DiskFile>)>>,
}

impl Handles {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, files: Mutex::default() }
    }

    /// Up to `length` bytes of a segment; fewer at its end.
    pub(crate) fn read(
        &self,
        segment: Segment,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; length];
        let read = self.file(segment).and_then(|file| file.read_at(&mut bytes, offset));
        let path = || self.place.path(&segment.path());
        let read = read.map_err(|source| ReadError::Disk { path: path(), source })?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// A segment's file, whose path was just seen to lead to it.
    pub(crate) fn open(&self, segment: Segment) -> io::Result<Arc<dyn DiskFile>> {
        self.file(segment)
    }

    /// Lets go of a bucket's segments, whose bytes would else stay on the disk.
    pub(crate) fn forget(&self, bucket: Bucket) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(of, _)| !matches!(of, Segment::Body(body, _) if *body == bucket));
    }

    fn file(&self, segment: Segment) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = files.iter().position(|(of, _)| *of == segment) {
            let (_, file) = files.remove(at);
            if file.in_place()? {
                files.push((segment, Arc::clone(&file)));
                return Ok(file);
            }
        }
        let file = self.place.disk.open(&self.place.path(&segment.path()), Mode::Read)?;
        if files.len() >= OPEN_MAX {
            files.remove(0);
        }
        files.push((segment, Arc::clone(&file)));
        Ok(file)
    }
}
