//! One range in the object store: what its row says, and its bytes with the places of what is in them.

use tokio_postgres::Row;

use super::super::damaged;
use super::super::read::column;
use crate::body::{BodyHead, BodyRecord};
use crate::bytes::padded;
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, ReadError};
use crate::frame::{Frame, FrameHead, UNIT, envelope_offset};
use crate::merkle::Hash;

/// What a range is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Frames, without their padding.
    Log,
    /// Body records of a bucket.
    Bodies(Bucket),
}

impl Part {
    /// As the table has it.
    pub(super) fn name(self) -> String {
        match self {
            Self::Log => "log".to_owned(),
            Self::Bodies(bucket) => bucket.name(),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if name == "log" { Some(Self::Log) } else { Bucket::parse(name).map(Self::Bodies) }
    }

    /// Where a range of it lies, below the ledger's folder.
    pub(super) fn path(self, folder: &str, first: u64, ends: u64) -> String {
        match self {
            Self::Log => format!("{folder}/log/{first:016}-{ends:016}"),
            Self::Bodies(bucket) => {
                format!("{folder}/body/{}/{first:016}-{ends:016}", bucket.name())
            }
        }
    }
}

/// A row of the table `objects`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) part: Part,
    pub(super) first: u64,
    /// The entry after the last.
    pub(super) ends: u64,
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: Hash,
    pub(super) version: Option<String>,
}

impl Range {
    /// Reads a row of part, first, ends, path, bytes, sha256, version.
    pub(super) fn of(row: &Row) -> Result<Self, ReadError> {
        let number = |at| column::<i64>(row, at).map(|it| u64::try_from(it).unwrap_or(0));
        let (first, ends, bytes) = (number(1)?, number(2)?, number(4)?);
        let wrong = || damaged("objects", first, Some(first), "the row is not as written");
        let part = Part::parse(column(row, 0)?).ok_or_else(wrong)?;
        let sha256: &[u8] = column(row, 5)?;
        let sha256 = sha256.try_into().map_err(|_| wrong())?;
        let (path, version) = (column(row, 3)?, column(row, 6)?);
        Ok(Self { part, first, ends, path, bytes, sha256, version })
    }

    pub(super) fn has(&self, entry: u64) -> bool {
        (self.first..self.ends).contains(&entry)
    }

    pub(super) fn damage(&self, what: &str) -> ReadError {
        ReadError::Damaged(Damage::new(&self.path, 0, Some(self.first), what))
    }
}

/// A range that was read.
pub(super) struct Whole {
    pub(super) range: Range,
    pub(super) bytes: Vec<u8>,
    /// Where each frame or body begins, by its first entry, in order.
    places: Vec<(u64, usize)>,
}

impl Whole {
    /// Holds the bytes against what the row says of them.
    pub(super) fn new(range: Range, bytes: Vec<u8>) -> Result<Self, ReadError> {
        let is_it =
            bytes.len() as u64 == range.bytes && keys::digest::sha256(&bytes) == range.sha256;
        if !is_it {
            return Err(range.damage("the object is not the one that was put there"));
        }
        let places = match range.part {
            Part::Log => frames(&bytes),
            Part::Bodies(_) => bodies(&bytes),
        };
        let is_it = |(places, ends): &(Vec<(u64, usize)>, u64)| {
            *ends == range.ends && places.first().is_some_and(|(first, _)| *first == range.first)
        };
        let what = "the object does not hold what its row says";
        let (places, _) = places.filter(is_it).ok_or_else(|| range.damage(what))?;
        Ok(Self { range, bytes, places })
    }

    /// The place that has this entry or lies before it, and what follows it.
    fn from(&self, entry: u64) -> &[(u64, usize)] {
        let after = self.places.partition_point(|(first, _)| *first <= entry);
        self.places.get(after.saturating_sub(1)..).unwrap_or_default()
    }

    /// The frame that has this entry, and some that follow.
    pub(super) fn frames(&self, entry: u64, max: usize) -> Result<Vec<Frame>, ReadError> {
        let mut found = Vec::new();
        for (first, at) in self.from(entry).iter().take(max) {
            let what = "the frame is not as written";
            let wrong = || {
                let (file, at) = (&self.range.path, *at as u64);
                ReadError::Damaged(Damage::new(file, at, Some(*first), what))
            };
            let rest = self.bytes.get(*at..).unwrap_or_default();
            let length = FrameHead::parse(rest).ok_or_else(wrong)?.length();
            let mut bytes = rest.get(..length).ok_or_else(wrong)?.to_vec();
            bytes.resize(padded(length, UNIT), 0);
            found.push(Frame::parse(&bytes).ok_or_else(wrong)?);
        }
        Ok(found)
    }

    /// An envelope and its offset in the object.
    pub(super) fn envelope(&self, entry: u64) -> Option<(Envelope, u64)> {
        let (first, at) = self.from(entry).first()?;
        let offset = u64::try_from(*at).ok()? + envelope_offset(entry.checked_sub(*first)?);
        let bytes = self.bytes.get(usize::try_from(offset).ok()?..)?;
        let bytes = bytes.get(..crate::envelope::ENVELOPE_BYTES)?;
        let envelope = Envelope::parse(bytes).filter(|it| it.entry == entry)?;
        Some((envelope, offset))
    }

    /// The body record of an entry and its offset in the object.
    pub(super) fn body(&self, entry: u64) -> Option<(&[u8], u64)> {
        let at = self.places.binary_search_by_key(&entry, |(first, _)| *first).ok()?;
        let (_, at) = self.places.get(at)?;
        let rest = self.bytes.get(*at..)?;
        let taken = BodyHead::parse(rest)?.taken();
        Some((rest.get(..taken)?, u64::try_from(*at).ok()?))
    }

    /// The body records from this entry on.
    pub(super) fn bodies(&self, entry: u64) -> impl Iterator<Item = (u64, &[u8], u64)> {
        let after = self.places.partition_point(|(first, _)| *first < entry);
        let rest = self.places.get(after..).unwrap_or_default();
        rest.iter().filter_map(|(entry, _)| {
            let (record, at) = self.body(*entry)?;
            Some((*entry, record, at))
        })
    }
}

/// The places of frames that follow each other, and the entry after the last.
fn frames(bytes: &[u8]) -> Option<(Vec<(u64, usize)>, u64)> {
    let (mut places, mut at, mut next) = (Vec::new(), 0, None);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let head = FrameHead::parse(rest)?;
        if next.is_some_and(|next| next != head.first) {
            return None;
        }
        places.push((head.first, at));
        (at, next) = (at.checked_add(head.length())?, Some(head.size()));
    }
    (at == bytes.len()).then_some((places, next?))
}

/// The places of bodies in order, and the entry after the last.
fn bodies(bytes: &[u8]) -> Option<(Vec<(u64, usize)>, u64)> {
    let (mut places, mut at): (Vec<(u64, usize)>, usize) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (record, taken) = BodyRecord::parse(rest)?;
        if places.last().is_some_and(|(before, _)| *before >= record.entry) {
            return None;
        }
        places.push((record.entry, at));
        at = at.checked_add(taken)?;
    }
    let ends = places.last()?.0.checked_add(1)?;
    Some((places, ends))
}

impl From<super::ObjectError> for ReadError {
    fn from(error: super::ObjectError) -> Self {
        Self::Object(error)
    }
}

/// For fuzzing: how many frames and bodies these bytes are as objects of the store.
pub(crate) fn places_of(bytes: &[u8]) -> (usize, usize) {
    let count = |places: Option<(Vec<(u64, usize)>, u64)>| places.map_or(0, |(it, _)| it.len());
    (count(frames(bytes)), count(bodies(bytes)))
}
