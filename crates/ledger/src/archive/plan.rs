//! Which segments of a ledger's folder are closed, and what joins each to the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use super::manifest::Chain;
use crate::disk::Disk;
use crate::envelope::{Bucket, Envelope};
use crate::error::Damage;
use crate::identity::{Identity, JOURNAL};
use crate::journal::{JournalFrame, JournalScan, Segment};
use crate::scan::{BodyEnd, Fault, Source, scan_body_segment, scan_closed_log, scan_log};
use crate::tiling::Edges;
use crate::verify::{Folder, JOURNAL_BYTES_MAX, Numbers, patiently};

/// How long after the end of its month a bucket may still grow: clocks differ, and batches wait.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The closed part of a ledger's folder, verified.
pub(super) struct LedgerCopy<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    pub(super) identity: Identity,
    journal: Vec<JournalFrame>,
    /// Log segments behind which there is another one with something in it, in order.
    pub(super) logs: Vec<ClosedLog>,
    /// Body segments that no longer grow.
    pub(super) bodies: Vec<ClosedBody>,
}

pub(super) struct ClosedLog {
    pub(super) number: u32,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) chain: Chain,
    /// The tree before this segment.
    pub(super) before: Edges,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ClosedBody {
    pub(super) bucket: Bucket,
    pub(super) number: u32,
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) count: u64,
}

/// What the closed log says of a bucket.
struct InLog {
    newest_ms: i64,
    entries: Numbers,
}

impl Default for InLog {
    fn default() -> Self {
        Self { newest_ms: i64::MIN, entries: Numbers::default() }
    }
}

impl<'a> LedgerCopy<'a> {
    /// Reads the closed segments. The ledger may be written to meanwhile.
    pub(super) fn read(
        disk: &'a dyn Disk,
        folder: &'a Path,
        now: Timestamp,
    ) -> Result<Self, Damage> {
        patiently(disk, folder, || Self::plan(disk, folder, now))
    }

    fn plan(disk: &'a dyn Disk, folder: &'a Path, now: Timestamp) -> Result<Self, Damage> {
        let place = Folder { disk, folder };
        let identity = place.identity(None)?;
        let journal = place.read(JOURNAL, JOURNAL_BYTES_MAX)?;
        let journal = JournalScan::read(&journal, &identity.id).frames;
        let (logs, bodies) = (Vec::new(), Vec::new());
        let mut copy = Self { disk, folder, identity, journal, logs, bodies };
        let buckets = copy.plan_logs()?;
        copy.plan_bodies(&buckets, now)?;
        Ok(copy)
    }

    fn source(&self) -> Source<'_> {
        Source::new(self.disk, self.folder, &self.journal)
    }

    /// The whole of a segment.
    pub(super) fn segment(&self, segment: Segment) -> Result<Vec<u8>, Damage> {
        let bytes = self.source().whole(segment);
        bytes.map_err(|fault| Folder { disk: self.disk, folder: self.folder }.damage(fault))
    }

    pub(super) fn small(&self, name: &str) -> Result<Vec<u8>, Damage> {
        let place = Folder { disk: self.disk, folder: self.folder };
        place.read(name, crate::identity::SMALL_FILE_BYTES_MAX)
    }

    /// The envelopes of these entries.
    pub(super) fn envelopes(
        &self,
        entries: impl Iterator<Item = u64>,
    ) -> Result<BTreeMap<u64, Envelope>, Damage> {
        let wanted: BTreeSet<u64> = entries.collect();
        let (id, key) = (&self.identity.id, &self.identity.key);
        let place = Folder { disk: self.disk, folder: self.folder };
        patiently(self.disk, self.folder, || {
            let mut found = BTreeMap::new();
            let end = scan_log(&self.source(), id, key, &mut |frame, _, _, tree| {
                for envelope in &frame.envelopes {
                    tree.push(envelope.leaf(), &mut |_, _, _| {});
                    if wanted.contains(&envelope.entry) {
                        found.insert(envelope.entry, envelope.clone());
                    }
                }
                Ok(())
            });
            end.map_err(|fault| place.damage(fault)).map(|_| found)
        })
    }

    /// Finds the closed log segments; gives what they say of each bucket.
    fn plan_logs(&mut self) -> Result<BTreeMap<Bucket, InLog>, Damage> {
        let mut logs: Vec<ClosedLog> = Vec::new();
        let mut buckets: BTreeMap<Bucket, InLog> = BTreeMap::new();
        let mut tiling = Edges::default();
        let end = scan_closed_log(
            &self.source(),
            &self.identity.id,
            &self.identity.key,
            &mut |frame, number, _, tree| {
                let head = &frame.head;
                if logs.last().is_none_or(|last| last.number != number) {
                    let (follows, root_before) = (head.previous, head.root_before);
                    let (ends, root) = (frame.digest, head.root);
                    let chain = Chain { follows, ends, root_before, root };
                    let (first, before) = (head.first, tiling.clone());
                    logs.push(ClosedLog { number, first, end: first, chain, before });
                }
                if let Some(last) = logs.last_mut() {
                    (last.end, last.chain.ends) = (head.size(), frame.digest);
                    last.chain.root = head.root;
                }
                for envelope in &frame.envelopes {
                    tiling.push(envelope.leaf(), &mut |_, _, _| {});
                    let bucket = buckets.entry(envelope.bucket).or_default();
                    bucket.newest_ms = envelope.at_ms.max(bucket.newest_ms);
                    bucket.entries.insert(envelope.entry);
                }
                tree.clone_from(tiling.tree());
                Ok(())
            },
        );
        let place = Folder { disk: self.disk, folder: self.folder };
        end.map_err(|fault| place.damage(fault))?;
        self.logs = logs;
        Ok(buckets)
    }

    fn plan_bodies(
        &mut self,
        buckets: &BTreeMap<Bucket, InLog>,
        now: Timestamp,
    ) -> Result<(), Damage> {
        let place = Folder { disk: self.disk, folder: self.folder };
        let disposals = place.disposals()?;
        let there = self.source().buckets().map_err(|fault| place.damage(fault))?;
        let mut bodies = Vec::new();
        for bucket in there {
            // What was disposed of is of no meaning where it still lies. What a hold kept of it lies in
            // the archive already if the bucket was closed in time, and is not archived again.
            let in_log = buckets.get(&bucket).filter(|_| !disposals.contains(bucket));
            let Some(in_log) = in_log else { continue };
            let settled = bucket.due().is_some()
                && grows_until(in_log.newest_ms).is_some_and(|until| until <= now);
            let found = self.closed_bodies(bucket, in_log, settled);
            bodies.extend(found.map_err(|fault| place.damage(fault))?);
        }
        self.bodies = bodies;
        Ok(())
    }

    /// The closed body segments of a bucket, all of them if it has settled. As far as the closed log goes
    /// they hold the bodies of just its entries.
    fn closed_bodies(
        &self,
        bucket: Bucket,
        in_log: &InLog,
        settled: bool,
    ) -> Result<Vec<ClosedBody>, Fault> {
        let source = self.source();
        let there = source.body_segments(bucket)?;
        let segment = |number| Segment::Body(bucket, number);
        let closed = if settled { there } else { source.closed(segment, there)? };
        let size = self.logs.last().map_or(0, |log| log.end);
        let mut expected = in_log.entries.iter();
        let mut bodies = Vec::new();
        let mut end = BodyEnd { segment: 0, offset: 0, last: None };
        for number in 0..closed {
            let (mut first, mut count) = (None, 0);
            scan_body_segment(&source, bucket, number, &mut end, &mut |found| {
                let entry = found.record.entry;
                if entry < size && expected.next() != Some(entry) {
                    return Err(found.damage("this is not the next body that the log has"));
                }
                first.get_or_insert(entry);
                count += 1;
                Ok(())
            })?;
            if let (Some(first), Some(last)) = (first, end.last) {
                bodies.push(ClosedBody { bucket, number, first, end: last + 1, count });
            }
        }
        match expected.next().filter(|_| settled) {
            Some(entry) => {
                let file = segment(end.segment).path();
                let what = "an entry of the log has no body";
                Err(Damage::new(&file, end.offset, Some(entry), what).into())
            }
            None => Ok(bodies),
        }
    }
}

/// When a bucket whose newest entry is of this time has settled: some time after its month is over.
pub(crate) fn grows_until(newest_ms: i64) -> Option<Timestamp> {
    let at = Timestamp::from_millisecond(newest_ms).ok()?.to_zoned(TimeZone::UTC);
    let next = at.first_of_month().ok()?.start_of_day().ok()?.checked_add(1.month()).ok()?;
    next.timestamp().checked_add(SETTLED_AFTER).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_settles_a_day_after_its_month() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = grows_until(at("2026-12-31T23:59:59.999Z").as_millisecond()).unwrap();
        assert_eq!(until, at("2027-01-02T00:00:00Z"));
        assert_eq!(grows_until(i64::MAX), None, "and never where time ends");
    }
}
