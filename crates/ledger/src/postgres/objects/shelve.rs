//! Moving what is closed: a full range of frames, of a bucket's bodies, the tiles above them.
//!
//! Order: read from the tables; put, and read back; then, in one transaction, the row of the object and the
//! removal. Cut anywhere, the next try makes the same object again, finds it there, and goes on.

use std::io;

use jiff::Timestamp;

use super::super::export::encoded;
use super::super::read::column;
use super::super::reader::{Ask, Bound};
use super::super::schema::number;
use super::super::{Postgres, damaged};
use super::Objects;
use super::error::ObjectError;
use super::part::Part;
use crate::archive::grows_until;
use crate::body::BodyRecord;
use crate::envelope::Bucket;
use crate::error::ReadError;
use crate::shelf::ShelfError;
use crate::source::Pace;

/// Any number that others do not lock by: "BWSHELVE".
const SHELVING: i64 = 0x4257_5348_454C_5645;
const MOVING: &str = "move a closed range to the object store";

/// What was moved to the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shelved {
    /// Ranges of the log, of bodies, and tiles.
    pub logs: u64,
    pub bodies: u64,
    pub tiles: u64,
    /// Objects that were deleted because what is in them was disposed of.
    pub deleted: u64,
}

/// A range that is to move.
struct Closed {
    part: Part,
    first: u64,
    ends: u64,
    bytes: Vec<u8>,
    until: Option<Timestamp>,
}

impl Postgres {
    /// Moves what is closed, as long as the pace says; nothing while another process does.
    pub(in super::super) fn shelve_all(
        &self,
        now: Timestamp,
        pace: &Pace<'_>,
    ) -> Result<Shelved, ReadError> {
        let mut done = Shelved::default();
        let Some(objects) = &self.objects else { return Ok(done) };
        let apart = self.apart()?;
        if !apart.try_lock(SHELVING)? {
            return Ok(done);
        }
        done.deleted = apart.sweep_daily(now);
        let keep = objects.storage.keep_entries.max(1);
        let most = apart.head_now()?.size().saturating_sub(keep);
        let (mut until, mut differs) = (None, None);
        while pace().is_ok()
            && let Some(range) = apart.closed_log(objects, most, now)?
        {
            until = range.until.max(until);
            if !apart.shelve_or_note(objects, range, now, &mut differs)? {
                break;
            }
            done.logs += 1;
        }
        // What holds and disposals are told by stays at hand: the writer reads it, and waits for no store.
        let moves = |it: &Bucket| it.held == 0 && *it != Bucket::PERMANENT;
        for bucket in apart.all_buckets()?.into_iter().filter(moves) {
            while pace().is_ok()
                && let Some(range) = apart.closed_bodies(objects, bucket, most, now)?
                && apart.shelve_or_note(objects, range, now, &mut differs)?
            {
                done.bodies += 1;
            }
        }
        apart.shelve_tiles(objects, (until, now), pace, &mut done)?;
        differs.map_or(Ok(done), Err)
    }

    /// As [`Self::shelve`]. Where another object lies in the place, that is noted, the rows stay, and so does
    /// what follows them; other parts go on.
    fn shelve_or_note(
        &self,
        objects: &Objects,
        range: Closed,
        now: Timestamp,
        differs: &mut Option<ReadError>,
    ) -> Result<bool, ReadError> {
        match self.shelve(objects, range, now) {
            Err(ReadError::Object(ObjectError::Shelf(error @ ShelfError::Differs { .. }))) => {
                let told = &error as &dyn std::error::Error;
                tracing::warn!(error = told, "what follows it stays in the database");
                differs.get_or_insert(ObjectError::Shelf(error).into());
                Ok(false)
            }
            shelved => shelved,
        }
    }

    /// The next full range of frames that is old enough.
    fn closed_log(
        &self,
        objects: &Objects,
        most: u64,
        now: Timestamp,
    ) -> Result<Option<Closed>, ReadError> {
        let first = self.shelved_to()?;
        let (mut ends, mut bytes, mut until) = (first, Vec::new(), None);
        while ends < most {
            let before = ends;
            for frame in self.frames(before)?.into_iter().filter(|it| it.head.first >= before) {
                let size = frame.head.size();
                if frame.head.first != ends || size > most || !objects.is_old(frame.head.at_ms, now)
                {
                    return Ok(None);
                }
                let what = "the frame is not as written";
                let encoded = encoded(&frame);
                let encoded = encoded.ok_or_else(|| damaged("frames", ends, Some(ends), what))?;
                bytes.extend_from_slice(&encoded);
                for envelope in &frame.envelopes {
                    until = envelope.bucket.due().max(until);
                }
                ends = size;
                if bytes.len() >= objects.storage.range_bytes {
                    return Ok(Some(Closed { part: Part::Log, first, ends, bytes, until }));
                }
            }
            if ends == before {
                let what = "the entry is in no frame";
                return Err(damaged("frames", ends, Some(ends), what));
            }
        }
        Ok(None)
    }

    /// The next range of a bucket's bodies that is old enough and full, or the rest of a bucket that no
    /// longer grows.
    fn closed_bodies(
        &self,
        objects: &Objects,
        bucket: Bucket,
        most: u64,
        now: Timestamp,
    ) -> Result<Option<Closed>, ReadError> {
        let (mut first, mut ends, mut bytes) = (None, 0_u64, Vec::new());
        let part = Part::Bodies(bucket);
        let closed = |first: Option<u64>, ends, bytes| {
            first.map(|first| Closed { part, first, ends, bytes, until: bucket.due() })
        };
        loop {
            let values = || -> Vec<Bound> { vec![Box::new(bucket.name()), Box::new(number(ends))] };
            let rows = self.ask(Ask::BodiesOf, MOVING, values)?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let (at, record) = (column::<i64>(row, 0)?, column::<&[u8]>(row, 1)?);
                let entry = u64::try_from(at).unwrap_or(0);
                if entry >= most {
                    return Ok(None);
                }
                let sound = BodyRecord::parse(record)
                    .is_some_and(|(it, taken)| it.entry == entry && taken == record.len());
                if !sound {
                    let what = "the body's digest is wrong";
                    return Err(damaged("bodies", entry, Some(entry), what));
                }
                bytes.extend_from_slice(record);
                first.get_or_insert(entry);
                ends = entry.saturating_add(1);
                if bytes.len() >= objects.storage.range_bytes {
                    let is_old = objects.is_old(self.find_envelope(entry)?.0.at_ms, now);
                    return Ok(is_old.then(|| closed(first, ends, bytes)).flatten());
                }
            }
        }
        let Some(last) = ends.checked_sub(1) else { return Ok(None) };
        let at_ms = self.find_envelope(last)?.0.at_ms;
        let settled = grows_until(at_ms).is_some_and(|until| until <= now);
        Ok((settled && objects.is_old(at_ms, now)).then(|| closed(first, ends, bytes)).flatten())
    }

    /// Puts a range, and lets the tables go of it. `false` where the tables say otherwise by now.
    fn shelve(&self, objects: &Objects, range: Closed, now: Timestamp) -> Result<bool, ReadError> {
        let Closed { part, first, ends, bytes, until } = range;
        let path = part.path(&objects.folder, first, ends);
        let kept = objects.put(&path, bytes, until, now)?;
        let values = || -> Vec<Bound> {
            vec![
                Box::new(part.name()),
                Box::new(number(first)),
                Box::new(number(ends)),
                Box::new(path.clone()),
                Box::new(number(kept.bytes)),
                Box::new(kept.sha256.to_vec()),
                Box::new(kept.version.clone()),
            ]
        };
        let rows = self.ask(Ask::Shelve, MOVING, values)?;
        let moved = rows.first().map(|row| column::<bool>(row, 0)).transpose()? == Some(true);
        if !moved {
            // Disposed of meanwhile, say: then what was just put goes by the next sweep.
            tracing::info!(path, "the tables say otherwise by now; the range stays there");
            objects.sweep_soon();
            let what = "the rows of a closed range are not those that were read";
            return match part {
                Part::Log => Err(damaged("frames", first, Some(first), what)),
                Part::Bodies(_) => Ok(false),
            };
        }
        Ok(true)
    }

    /// Moves full tiles above what was moved of the log.
    fn shelve_tiles(
        &self,
        objects: &Objects,
        (mut until, now): (Option<Timestamp>, Timestamp),
        pace: &Pace<'_>,
        done: &mut Shelved,
    ) -> Result<(), ReadError> {
        loop {
            let to = self.shelved_to()?;
            let rows = self.ask(Ask::FullTiles, MOVING, || vec![Box::new(number(to)) as _])?;
            let before = done.tiles;
            if until.is_none()
                && let Some(last) = to.checked_sub(1).filter(|_| !rows.is_empty())
            {
                until = self.find_envelope(last)?.0.bucket.due();
            }
            for row in &rows {
                let going: io::Result<()> = pace();
                if going.is_err() {
                    return Ok(());
                }
                let (level, tile) = (column::<i32>(row, 0)?, column::<i64>(row, 1)?);
                let hashes: Vec<u8> = column(row, 2)?;
                let name = |number: i64| u64::try_from(number).unwrap_or(0);
                let path = objects.tile_path(level.unsigned_abs(), name(tile));
                match objects.put(&path, hashes, until, now) {
                    // Derived: the row stays, and is read before the object.
                    Err(ObjectError::Shelf(error @ ShelfError::Differs { .. })) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "a tile in the object store is wrong");
                        continue;
                    }
                    put => put?,
                };
                let values = || -> Vec<Bound> { vec![Box::new(level), Box::new(tile)] };
                self.ask(Ask::DropTile, MOVING, values)?;
                done.tiles += 1;
            }
            if done.tiles == before {
                return Ok(());
            }
        }
    }
}

impl Objects {
    /// Whether what was recorded then has been in the database long enough.
    fn is_old(&self, at_ms: i64, now: Timestamp) -> bool {
        let after = i64::try_from(self.storage.after.as_millis()).unwrap_or(i64::MAX);
        at_ms.saturating_add(after) <= now.as_millisecond()
    }
}
