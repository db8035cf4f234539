//! Reading all of the log, and all bodies of a bucket.

use super::Postgres;
use super::damaged;
use super::read::column;
use super::reader::{Ask, Bound};
use super::schema::number;
use crate::body::BodyRecord;
use crate::envelope::{Bucket, Envelope};
use crate::error::ReadError;
use crate::record::Position;
use crate::store::{EachBody, Head};

const READING: &str = "read all of the ledger";

impl Postgres {
    /// The buckets that have a key.
    pub(super) fn all_buckets(&self) -> Result<Vec<Bucket>, ReadError> {
        let rows = self.ask(Ask::Keys, READING, Vec::new)?;
        let mut buckets = Vec::with_capacity(rows.len());
        for row in &rows {
            let bucket = Bucket::parse(column(row, 0)?);
            let what = "not the name of a bucket";
            buckets.push(bucket.ok_or_else(|| damaged("bucket_keys", 0, None, what))?);
        }
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
            let rows = self.ask(Ask::BodiesOf, READING, values)?;
            for row in &rows {
                let at: i64 = column(row, 0)?;
                let bytes: &[u8] = column(row, 1)?;
                let entry = u64::try_from(at).unwrap_or(0);
                let record = BodyRecord::parse(bytes);
                let record =
                    record.filter(|(it, taken)| number(it.entry) == at && *taken == bytes.len());
                let what = "the body's digest is wrong";
                let (record, _) =
                    record.ok_or_else(|| damaged("bodies", entry, Some(entry), what))?;
                let place = Position { file: format!("bodies/{entry}"), offset: 0 };
                each(entry, record.sealed, place)?;
                from = at.saturating_add(1);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }
}
