//! Drafting a batch: sealed, numbered, framed, in the tree and signed. Pure: what it needs of the
//! store are the head that it builds on and the buckets' keys.

use std::sync::Arc;

use keys::random_bytes;
use keys::seal::SealingKey;

use crate::body::{Body, BodyRecord, body_aad};
use crate::envelope::{Bucket, Envelope};
use crate::error::AppendError;
use crate::event::Retention;
use crate::frame::NewFrame;
use crate::merkle::Hash;
use crate::note::Checkpoint;
use crate::queue::Job;
use crate::record::{EntryNumber, Receipt};
use crate::shared::Fixed;
use crate::store::{Failure, Head};

/// A batch that is ready to be written.
pub(crate) struct Batch {
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) leaves: Vec<Hash>,
    /// The body record of each entry, as it goes into its bucket.
    pub(crate) bodies: Vec<Vec<u8>>,
    /// The frame, without padding.
    pub(crate) frame: Vec<u8>,
    /// The log's head with this batch.
    pub(crate) head: Head,
}

impl Batch {
    /// A receipt for each of its records.
    pub(crate) fn receipts(&self, jobs: &[Job]) -> Vec<Receipt> {
        let each = self.envelopes.iter().zip(&self.leaves).zip(jobs);
        let receipt = |((envelope, leaf), job): ((&Envelope, &Hash), &Job)| Receipt {
            entry: EntryNumber(envelope.entry),
            at: envelope.at().unwrap_or(job.at),
            leaf: *leaf,
        };
        each.map(receipt).collect()
    }
}

/// Gives the key of a bucket, new or not.
pub(crate) type KeyOf<'a> = dyn FnMut(Bucket) -> Result<SealingKey, Failure> + 'a;

/// Drafts a batch that follows `head`.
pub(crate) fn draft(
    fixed: &Fixed,
    head: &Head,
    jobs: &[Job],
    key_of: &mut KeyOf<'_>,
) -> Result<Batch, Failure> {
    let mut latest = head.latest_ms;
    let mut envelopes = Vec::with_capacity(jobs.len());
    let mut bodies = Vec::with_capacity(jobs.len());
    let mut last_key: Option<(Bucket, SealingKey)> = None;
    for (entry, job) in (head.size()..).zip(jobs) {
        let bucket = bucket_of(fixed, job)?;
        let key = match last_key.take().filter(|(of, _)| *of == bucket) {
            Some((_, key)) => key,
            None => key_of(bucket)?,
        };
        let (mut envelope, record) = seal(fixed, entry, job, bucket, &key)?;
        last_key = Some((bucket, key));
        envelope.stepped_back = latest.is_some_and(|latest| envelope.at_ms < latest);
        latest = latest.max(Some(envelope.at_ms));
        envelopes.push(envelope);
        bodies.push(record);
    }
    frame(fixed, head, envelopes, bodies, latest)
}

fn frame(
    fixed: &Fixed,
    head: &Head,
    envelopes: Vec<Envelope>,
    bodies: Vec<Vec<u8>>,
    latest_ms: Option<i64>,
) -> Result<Batch, Failure> {
    let mut tree = head.tree.clone();
    let leaves: Vec<Hash> = envelopes.iter().map(Envelope::leaf).collect();
    for leaf in &leaves {
        tree.push(*leaf, &mut |_, _, _| {});
    }
    let origin = fixed.settings.origin.clone();
    let checkpoint = Checkpoint { origin, size: tree.size(), root: tree.root() };
    let (root, signature) = (checkpoint.root, checkpoint.sign(&fixed.keys.signer));
    let frame = NewFrame {
        ledger: fixed.identity.id,
        first: head.size(),
        at_ms: fixed.clock.now().as_millisecond(),
        previous: head.digest,
        root_before: head.root,
        root,
        signature,
        envelopes: &envelopes,
    };
    let (frame, digest) = frame.encode().ok_or_else(|| too_large(fixed, envelopes.len()))?;
    let head = Head { tree, root, digest, signature: Some(signature), latest_ms };
    Ok(Batch { envelopes, leaves, bodies, frame, head })
}

/// Where the body of a record goes; refused if it was disposed of.
pub(crate) fn bucket_of(fixed: &Fixed, job: &Job) -> Result<Bucket, Failure> {
    let class = job.record.event.retention();
    let months = match class {
        Retention::Standard => fixed.settings.standard_months,
        Retention::Dissemination => fixed.settings.dissemination_months,
        Retention::Permanent => 0,
    };
    let milliseconds = job.at.as_millisecond();
    let bucket = Bucket::of(class, job.at, months);
    let bucket = bucket.ok_or(Failure::Refused(AppendError::ClockBehind { milliseconds }))?;
    // Its key is gone, and what came into it anew would count as something that came back.
    match fixed.store.moved().get(bucket) {
        None => Ok(bucket),
        Some(_) => Err(Failure::Refused(AppendError::BucketGone { bucket: bucket.name() })),
    }
}

/// Seals one record: its envelope, and its body as it goes into the segment.
fn seal(
    fixed: &Fixed,
    entry: u64,
    job: &Job,
    bucket: Bucket,
    key: &SealingKey,
) -> Result<(Envelope, Vec<u8>), Failure> {
    let salt = || random_bytes(fixed.random.as_ref()).map_err(|it| keys_failed("draw a salt", it));
    let body = Body {
        shared_salt: salt()?,
        private_salt: salt()?,
        shared: job.shared.clone(),
        private: job.private.clone(),
    };
    let (ledger, kind) = (fixed.identity.id, job.record.event.code());
    let (shared, private) = body.commitments(kind);
    let plain = body.encode().ok_or_else(|| too_large(fixed, job.bytes()))?;
    let sealed = key.seal(&body_aad(&ledger, entry, bucket), &plain);
    let sealed = sealed.map_err(|source| keys_failed("seal a record", source))?;
    let record = BodyRecord { entry, sealed: &sealed }.encode();
    let record = record.ok_or_else(|| too_large(fixed, job.bytes()))?;
    let at_ms = job.at.as_millisecond();
    let stepped_back = false;
    Ok((Envelope { ledger, entry, at_ms, stepped_back, kind, bucket, shared, private }, record))
}

pub(crate) fn keys_failed(doing: &'static str, source: keys::KeysError) -> Failure {
    Failure::Refused(AppendError::Keys { doing, source: Arc::new(source) })
}

fn too_large(fixed: &Fixed, bytes: usize) -> Failure {
    let max = fixed.settings.record_bytes_max();
    Failure::Refused(AppendError::TooLarge { bytes, max })
}
