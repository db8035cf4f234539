//! A parcel's files as they lie, to be kept elsewhere: its outside, which was checked, and its parts one after another.

use std::io::Read;

use crate::bag::{STAMP_FILE, TAG_FILES, part_path};
use crate::{PARTS_MAX, Parcel, Refused};

/// The longest of them: a manifest of the most parts.
const OUTSIDE_BYTES_MAX: u64 = PARTS_MAX * 92;

impl Parcel {
    /// The files that are no parts, with the authority's time stamp where there is one.
    ///
    /// # Errors
    /// [`Refused`] names the file that can't be read.
    pub fn outside(&self) -> Result<Vec<(&'static str, Vec<u8>)>, Refused> {
        let stamp = self.store().has(STAMP_FILE).then_some(STAMP_FILE);
        let paths = TAG_FILES.into_iter().chain(stamp);
        paths.map(|path| Ok((path, self.store().read(path, OUTSIDE_BYTES_MAX)?))).collect()
    }

    /// One part's bytes, which nobody has held against their hash yet.
    ///
    /// # Errors
    /// [`Refused`] names the part.
    pub fn part_reader(&self, number: u64) -> Result<Box<dyn Read + '_>, Refused> {
        self.store().reader(&part_path(number))
    }
}
