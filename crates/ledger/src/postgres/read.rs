//! Reading single things: an envelope, a body, a bucket's key, a few frames.

use tokio_postgres::Row;

use super::reader::Ask;
use super::schema::number;
use super::{Postgres, damaged};
use crate::body::{BodyRecord, unwrap_key, wrapped_key};
use crate::bytes::padded;
use crate::envelope::{Bucket, Envelope};
use crate::error::ReadError;
use crate::frame::{Frame, UNIT, envelope_offset};
use crate::record::Position;
use crate::store::Sealed;

use super::DatabaseError;
use keys::seal::SealingKey;

const READING: &str = "read from the ledger";

/// A column of a row that was asked for by a statement of ours.
pub(super) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
) -> Result<T, DatabaseError> {
    row.try_get(at).map_err(|error| DatabaseError::of(READING, error))
}

/// The table that has a bucket's bodies: what a hold keeps lies apart.
pub(super) fn table_of(bucket: Bucket) -> &'static str {
    if bucket.held == 0 { "bodies" } else { "held_bodies" }
}

impl Postgres {
    pub(super) fn find_envelope(&self, entry: u64) -> Result<(Envelope, Position), ReadError> {
        let at = number(entry);
        let rows = self.ask(Ask::Envelope, READING, || vec![Box::new(at)])?;
        if rows.is_empty()
            && let Some(found) = self.find_shelved_envelope(entry)?
        {
            return Ok(found);
        }
        let missing = || damaged("frames", entry, Some(entry), "the entry is in no frame");
        let row = rows.first().ok_or_else(missing)?;
        let first = u64::try_from(column::<i64>(row, 0)?).map_err(|_| missing())?;
        let count = u64::try_from(column::<i32>(row, 1)?).map_err(|_| missing())?;
        if !(first..first.saturating_add(count)).contains(&entry) {
            return Err(missing());
        }
        let envelope = Envelope::parse(column(row, 2)?);
        let envelope =
            envelope.filter(|it| it.entry == entry && it.ledger == self.identity.id).ok_or_else(
                || damaged("frames", first, Some(entry), "the envelope is not as it was written"),
            )?;
        let offset = envelope_offset(entry - first);
        Ok((envelope, Position { file: format!("frames/{first}"), offset }))
    }

    /// An entry's body, which lies in this bucket.
    pub(super) fn find_body(
        &self,
        envelope: &Envelope,
        bucket: Bucket,
    ) -> Result<Sealed, ReadError> {
        let at = number(envelope.entry);
        let rows = match bucket.held {
            0 => self.ask(Ask::Body, READING, || vec![Box::new(at)])?,
            _ => self.ask(Ask::Held, READING, || vec![Box::new(bucket.name()), Box::new(at)])?,
        };
        let missing = || {
            let (entry, what) = (envelope.entry, "the body of an entry is missing");
            damaged(table_of(bucket), entry, Some(entry), what)
        };
        match rows.first() {
            Some(row) => self.sealed(envelope, bucket, column(row, 0)?, column(row, 1)?),
            None if bucket.held > 0 => Err(missing()),
            None => self.shelved_body(envelope, bucket)?.ok_or_else(missing),
        }
    }

    /// A body as a row has it, if it is this entry's.
    pub(super) fn sealed(
        &self,
        envelope: &Envelope,
        bucket: Bucket,
        found: &str,
        bytes: &[u8],
    ) -> Result<Sealed, ReadError> {
        let (entry, table) = (envelope.entry, table_of(bucket));
        let wrong = |what| damaged(table, entry, Some(entry), what);
        if Bucket::parse(found) != Some(bucket) {
            return Err(wrong("the body is in another bucket than its envelope says"));
        }
        let record = BodyRecord::parse(bytes);
        let record = record.filter(|(it, taken)| it.entry == entry && *taken == bytes.len());
        let (record, _) = record.ok_or_else(|| wrong("the body's digest is wrong"))?;
        let place = Position { file: format!("{table}/{entry}"), offset: 0 };
        Ok(Sealed { bytes: record.sealed.to_vec(), bucket, place })
    }

    /// Bytes that the database takes up, with its indexes and what is not vacuumed yet.
    pub(super) fn database_bytes(&self) -> Result<u64, DatabaseError> {
        let rows = self.ask(Ask::Room, "tell its size", Vec::new)?;
        let row = rows.first().ok_or(DatabaseError::NoRow { table: "pg_database_size" })?;
        Ok(u64::try_from(column::<i64>(row, 0)?).unwrap_or(0))
    }

    pub(super) fn find_key(&self, bucket: Bucket) -> Result<Option<SealingKey>, ReadError> {
        if let Some(key) = self.known_key(bucket) {
            return Ok(Some(key));
        }
        let rows = self.ask(Ask::Key, READING, || vec![Box::new(bucket.name())])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let key = self.open_key(bucket, column(row, 0)?)?;
        self.keep_key(bucket, &key);
        Ok(Some(key))
    }

    pub(super) fn open_key(&self, bucket: Bucket, file: &[u8]) -> Result<SealingKey, ReadError> {
        let wrong = |what: &str| {
            let file = format!("bucket_keys/{}", bucket.name());
            ReadError::Damaged(crate::Damage::new(&file, 0, None, what))
        };
        let wrapped = wrapped_key(file, &self.identity.id);
        let wrapped = wrapped.ok_or_else(|| wrong("the key file is not as written"))?;
        let key = unwrap_key(&self.master, &self.identity.id, bucket, wrapped);
        key.ok_or_else(|| wrong("the key does not open with the ledger's master key"))
    }

    /// The frame that has this entry, and a few of those that follow it.
    pub(super) fn frames(&self, entry: u64) -> Result<Vec<Frame>, ReadError> {
        let at = number(entry);
        if let Some(frames) = self.shelved_frames(entry, true)? {
            return Ok(frames);
        }
        let rows = self.ask(Ask::Frames, READING, || vec![Box::new(at)])?;
        if rows.is_empty() {
            return Ok(self.shelved_frames(entry, false)?.unwrap_or_default());
        }
        let mut frames = Vec::with_capacity(rows.len());
        for row in &rows {
            let first: i64 = column(row, 0)?;
            let bytes: &[u8] = column(row, 1)?;
            let mut bytes = bytes.to_vec();
            bytes.resize(padded(bytes.len(), UNIT), 0);
            let frame = Frame::parse(&bytes).filter(|it| {
                number(it.head.first) == first
                    && it.head.taken() == bytes.len()
                    && it.head.ledger == self.identity.id
            });
            let (first, what) = (u64::try_from(first).unwrap_or(0), "the frame is not as written");
            frames.push(frame.ok_or_else(|| damaged("frames", first, Some(first), what))?);
        }
        Ok(frames)
    }
}
