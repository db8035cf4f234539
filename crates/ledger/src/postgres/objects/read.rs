//! Reading what lies in the object store. It is asked for only after the tables were, which is why a range
//! that moves meanwhile is found in one place or the other.

use std::sync::Arc;

use super::super::read::column;
use super::super::reader::{Ask, Bound};
use super::super::schema::number;
use super::super::{Postgres, damaged};
use super::error::ObjectError;
use super::part::{Part, Range, Whole};
use crate::body::BodyRecord;
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, ReadError};
use crate::frame::Frame;
use crate::merkle::Hash;
use crate::record::Position;
use crate::shelf::ShelfError;
use crate::store::{EachBody, Sealed};
use crate::tiling::{TILE_WIDTH, tile_name, whole_tile};

const FINDING: &str = "tell what lies in the object store";
/// Frames that are given at once.
const FRAMES_MAX: usize = 16;
/// Bytes of a full tile.
const TILE_BYTES: u64 = 8192;

impl Postgres {
    /// The range that has this entry.
    fn find_range(&self, part: Part, entry: u64) -> Result<Option<Range>, ReadError> {
        let values = || -> Vec<Bound> { vec![Box::new(part.name()), Box::new(number(entry))] };
        let rows = self.ask(Ask::Object, FINDING, values)?;
        let range = rows.first().map(Range::of).transpose()?;
        Ok(range.filter(|range| range.has(entry)))
    }

    /// The first range that ends after this entry.
    pub(super) fn next_range(&self, part: Part, after: u64) -> Result<Option<Range>, ReadError> {
        let values = || -> Vec<Bound> { vec![Box::new(part.name()), Box::new(number(after))] };
        let rows = self.ask(Ask::NextObject, FINDING, values)?;
        rows.first().map(Range::of).transpose()
    }

    /// Reads a range's object, and holds it against its row.
    pub(super) fn read_range(&self, range: Range) -> Result<Arc<Whole>, ReadError> {
        let Some(objects) = &self.objects else {
            return Err(ObjectError::NotDeclared { object: range.path }.into());
        };
        let got = objects.get(&range.path, range.version.as_deref(), range.bytes);
        let bytes = match got {
            Err(ObjectError::Shelf(ShelfError::TooLarge { .. })) => Vec::new(),
            got => {
                let missing = || range.damage("the object is missing in the object store");
                got?.ok_or_else(missing)?
            }
        };
        let whole = Arc::new(Whole::new(range, bytes)?);
        objects.keep(&whole);
        Ok(whole)
    }

    /// The range of the log that has this entry, if it left the tables.
    fn find_log(&self, entry: u64) -> Result<Option<Arc<Whole>>, ReadError> {
        if let Some(whole) = self.cached(Part::Log, entry) {
            return Ok(Some(whole));
        }
        self.find_range(Part::Log, entry)?.map(|range| self.read_range(range)).transpose()
    }

    fn cached(&self, part: Part, entry: u64) -> Option<Arc<Whole>> {
        self.objects.as_ref()?.find_cached(part, entry)
    }

    /// An envelope that left the tables.
    pub(in super::super) fn find_shelved_envelope(
        &self,
        entry: u64,
    ) -> Result<Option<(Envelope, Position)>, ReadError> {
        // What tells of holds and disposals stays at hand, so that opening and writing need no store.
        let values = || -> Vec<Bound> { vec![Box::new(number(entry))] };
        let rows = self.ask(Ask::KeptEnvelope, FINDING, values)?;
        if let Some(row) = rows.first() {
            let envelope = Envelope::parse(column(row, 0)?);
            let wrong = || {
                damaged("envelopes", entry, Some(entry), "the envelope is not as it was written")
            };
            let is_kept = |it: &Envelope| self.is_own(it, entry) && it.bucket == Bucket::PERMANENT;
            let envelope = envelope.filter(is_kept).ok_or_else(wrong)?;
            let place = Position { file: format!("envelopes/{entry}"), offset: 0 };
            return Ok(Some((envelope, place)));
        }
        let Some(whole) = self.find_log(entry)? else { return Ok(None) };
        let found = whole.envelope(entry).filter(|(it, _)| self.is_own(it, entry));
        let what = "an envelope in it is not as it was written";
        let (envelope, offset) = found.ok_or_else(|| whole.range.damage(what))?;
        Ok(Some((envelope, Position { file: whole.range.path.clone(), offset })))
    }

    fn is_own(&self, envelope: &Envelope, entry: u64) -> bool {
        envelope.entry == entry && envelope.ledger == self.identity.id
    }

    /// The frame that has this entry and some that follow, if they left the tables.
    pub(in super::super) fn shelved_frames(
        &self,
        entry: u64,
        only_cached: bool,
    ) -> Result<Option<Vec<Frame>>, ReadError> {
        let whole = match self.cached(Part::Log, entry) {
            None if only_cached => None,
            None => self.find_log(entry)?,
            whole => whole,
        };
        let Some(whole) = whole else { return Ok(None) };
        let frames = whole.frames(entry, FRAMES_MAX)?;
        if frames.iter().any(|it| it.head.ledger != self.identity.id) {
            return Err(whole.range.damage("a frame in it is of another ledger"));
        }
        Ok(Some(frames))
    }

    /// An entry's body, if it left the tables. Its row is looked for first: another process may have
    /// disposed of what was read a moment ago.
    pub(in super::super) fn shelved_body(
        &self,
        envelope: &Envelope,
        bucket: Bucket,
    ) -> Result<Option<Sealed>, ReadError> {
        let (part, entry) = (Part::Bodies(bucket), envelope.entry);
        let Some(range) = self.find_range(part, entry)? else { return Ok(None) };
        let cached = self.cached(part, entry).filter(|it| it.range == range);
        let whole = cached.map_or_else(|| self.read_range(range), Ok)?;
        let Some((bytes, offset)) = whole.body(entry) else { return Ok(None) };
        let file = whole.range.path.clone();
        let wrong = || {
            let what = "the body's digest is wrong";
            ReadError::Damaged(Damage::new(&file, offset, Some(entry), what))
        };
        let (record, _) = BodyRecord::parse(bytes).ok_or_else(wrong)?;
        let place = Position { file: file.clone(), offset };
        Ok(Some(Sealed { bytes: record.sealed.to_vec(), bucket, place }))
    }

    /// Gives the bodies of a bucket's next range from this entry on, and the entry after its last; unless
    /// a row of the table comes before it.
    pub(in super::super) fn each_shelved(
        &self,
        bucket: Bucket,
        (from, row): (u64, Option<u64>),
        each: &mut EachBody<'_>,
    ) -> Result<Option<u64>, ReadError> {
        let range = self.next_range(Part::Bodies(bucket), from)?;
        let is_next = |range: &Range| row.is_none_or(|row| range.first < row);
        let Some(range) = range.filter(is_next) else { return Ok(None) };
        let cached = self.cached(range.part, range.first).filter(|it| it.range == range);
        let whole = cached.map_or_else(|| self.read_range(range), Ok)?;
        for (entry, record, offset) in whole.bodies(from) {
            let place = Position { file: whole.range.path.clone(), offset };
            let what = "the body's digest is wrong";
            let (record, _) = BodyRecord::parse(record).ok_or_else(|| whole.range.damage(what))?;
            each(entry, record.sealed, place)?;
        }
        Ok(Some(whole.range.ends))
    }

    /// A full tile that left its table. It is derived: one that is missing in the store, or wrong, is made
    /// again from the log.
    pub(in super::super) fn shelved_tile(
        &self,
        level: u32,
        tile: u64,
    ) -> Result<Option<Vec<Hash>>, ReadError> {
        let Some(objects) = &self.objects else { return Ok(None) };
        let ends = tile.saturating_add(1).saturating_mul(TILE_WIDTH);
        if level > 0 || ends > self.shelved_to()? {
            return Ok(None);
        }
        let path = objects.tile_path(level, tile);
        match objects.get(&path, None, TILE_BYTES) {
            Err(ObjectError::Shelf(ShelfError::TooLarge { .. })) => Ok(None),
            got => Ok(got?.and_then(|bytes| whole_tile(&bytes))),
        }
    }

    /// The first entry that is in the table of frames.
    pub(super) fn shelved_to(&self) -> Result<u64, ReadError> {
        let rows = self.ask(Ask::Shelved, FINDING, Vec::new)?;
        let ends = rows.first().map(|row| column::<i64>(row, 0)).transpose()?;
        Ok(ends.and_then(|ends| u64::try_from(ends).ok()).unwrap_or(0))
    }

    /// At the opening: what lies in a store needs one.
    pub(in super::super) fn check_storage(&self) -> Result<(), ReadError> {
        if self.objects.is_some() {
            return Ok(());
        }
        let rows = self.ask(Ask::AnyObject, FINDING, Vec::new)?;
        match rows.first().map(Range::of).transpose()? {
            None => Ok(()),
            Some(range) => Err(ObjectError::NotDeclared { object: range.path }.into()),
        }
    }
}

impl super::Objects {
    /// Where a tile lies, as tlog-tiles has it below the ledger's folder.
    pub(super) fn tile_path(&self, level: u32, tile: u64) -> String {
        format!("{}/tile/{level}/{}", self.folder, tile_name(tile))
    }
}
