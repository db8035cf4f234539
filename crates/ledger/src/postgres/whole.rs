//! Reading all of the log, and all bodies of a bucket.

use std::iter::Peekable;
use std::slice::Iter;

use tokio_postgres::Row;

use super::Postgres;
use super::damaged;
use super::fault::DatabaseError;
use super::read::{column, table_of};
use super::reader::{Ask, Bound};
use super::schema::number;
use crate::body::BodyRecord;
use crate::envelope::{Bucket, Envelope};
use crate::error::ReadError;
use crate::record::Position;
use crate::store::{EachBody, EachEntry, Head, Store as _};

const READING: &str = "read all of the ledger";

/// The row of an entry's body, if it is the next one.
pub(super) fn next_of<'r>(rows: &mut Peekable<Iter<'r, Row>>, of: &Envelope) -> Option<&'r Row> {
    rows.next_if(|row| row.try_get::<_, i64>(2).is_ok_and(|entry| entry == number(of.entry)))
}

impl Postgres {
    /// The bodies that are there of the entries `first..end`, in order.
    pub(super) fn bodies_between(
        &self,
        first: u64,
        end: u64,
        doing: &'static str,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.ask(Ask::Bodies, doing, || vec![Box::new(number(first)), Box::new(number(end))])
    }

    /// Gives the entries `from..end` in order, each with its sealed body: some frames at a time, and with
    /// each the bodies of its entries.
    pub(super) fn read_run(
        &self,
        from: u64,
        end: u64,
        each: &mut EachEntry<'_>,
    ) -> Result<(), ReadError> {
        let mut next = from;
        while next < end {
            let before = next;
            for frame in self.frames(next)? {
                let (first, last) = (next.max(frame.head.first), end.min(frame.head.size()));
                if first != next || first >= last {
                    continue;
                }
                let rows = self.bodies_between(first, last, READING)?;
                let mut rows = rows.iter().peekable();
                for envelope in frame.envelopes.into_iter().filter(|it| it.entry >= first) {
                    if envelope.entry >= last {
                        break;
                    }
                    let there = next_of(&mut rows, &envelope).map(|row| {
                        let (record, bucket) = (column(row, 0)?, column(row, 1)?);
                        self.sealed(&envelope, envelope.bucket, bucket, record)
                    });
                    let sealed = match (there, self.moved_now().locate(&envelope)) {
                        (Some(Ok(sealed)), Ok(bucket)) if bucket.held == 0 => Ok(Some(sealed)),
                        _ => self.body(&envelope),
                    };
                    each(envelope, sealed)?;
                    next += 1;
                }
            }
            if next == before {
                return Err(damaged("frames", next, Some(next), "the entry is in no frame"));
            }
        }
        Ok(())
    }

    /// The buckets that have a key, and may have one.
    pub(super) fn all_buckets(&self) -> Result<Vec<Bucket>, ReadError> {
        let (rows, moved) = (self.ask(Ask::Keys, READING, Vec::new)?, self.moved_now());
        let mut buckets = Vec::with_capacity(rows.len());
        for row in &rows {
            let bucket = Bucket::parse(column(row, 0)?);
            let what = "not the name of a bucket";
            buckets.push(bucket.ok_or_else(|| damaged("bucket_keys", 0, None, what))?);
        }
        buckets.retain(|bucket| !moved.is_leftover(*bucket));
        Ok(buckets)
    }

    /// All envelopes in order, each frame chained to the one before.
    pub(super) fn all_envelopes(&self, each: &mut dyn FnMut(&Envelope)) -> Result<(), ReadError> {
        let (mut head, end) = (Head::default(), self.head_now()?);
        while head.size() < end.size() {
            let before = head.size();
            for frame in self.frames(before)?.into_iter().filter(|it| it.head.first >= before) {
                head = self.next(&head, &frame)?;
                frame.envelopes.iter().for_each(&mut *each);
            }
            if head.size() == before {
                let what = "the head has entries that are in no frame";
                return Err(damaged("head", end.size(), Some(before), what));
            }
        }
        Ok(())
    }

    /// All bodies of a bucket in order.
    pub(super) fn all_bodies(
        &self,
        bucket: Bucket,
        each: &mut EachBody<'_>,
    ) -> Result<(), ReadError> {
        let mut from = 0_i64;
        loop {
            let values = || -> Vec<Bound> { vec![Box::new(bucket.name()), Box::new(from)] };
            let ask = if bucket.held == 0 { Ask::BodiesOf } else { Ask::HeldOf };
            let rows = self.ask(ask, READING, values)?;
            let next = rows.first().map(|row| column::<i64>(row, 0)).transpose()?;
            let next = next.and_then(|next| u64::try_from(next).ok());
            let at = u64::try_from(from).unwrap_or(0);
            // Asked for after the rows: what moves meanwhile is in one of both.
            if let Some(ends) = self.each_shelved(bucket, (at, next), each)? {
                from = number(ends);
                continue;
            }
            for row in &rows {
                let at: i64 = column(row, 0)?;
                let bytes: &[u8] = column(row, 1)?;
                let entry = u64::try_from(at).unwrap_or(0);
                let record = BodyRecord::parse(bytes);
                let record =
                    record.filter(|(it, taken)| number(it.entry) == at && *taken == bytes.len());
                let what = "the body's digest is wrong";
                let (record, _) =
                    record.ok_or_else(|| damaged(table_of(bucket), entry, Some(entry), what))?;
                let place = Position { file: format!("{}/{entry}", table_of(bucket)), offset: 0 };
                each(entry, record.sealed, place)?;
                from = at.saturating_add(1);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }
}
