//! Puts the closed segments of a ledger into an archive.
//!
//! Order: a segment's objects, each read back; then its manifest. What was cut off goes on at the next
//! run: a segment with a manifest is left alone, an object that is there already is compared.

use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use keys::seal::SealingKey;
use keys::sign::Ed25519Key;

use super::check;
use super::columns::{self, ContentRow};
use super::error::ArchiveError;
use super::manifest::{Chain, Manifest, Object};
use super::plan::{ClosedBody, ClosedLog, LedgerCopy};
use super::segment::{read_bodies, read_log};
use crate::body::{Body, body_aad, unwrap_key, wrapped_key};
use crate::disk::{Disk, SystemDisk};
use crate::envelope::Bucket;
use crate::identity::IDENTITY;
use crate::journal::Segment;
use crate::local::key_name;
use crate::note::Checkpoint;
use crate::segment::SegmentHead;
use crate::shelf::{self, Kept, Shelf};
use crate::store::Head;

/// Objects on their way at a time.
const PUTS_MAX: usize = 8;

/// What an archive is made with.
pub struct Archive<'a> {
    /// Signs manifests: the ledger's own key.
    pub signer: &'a Ed25519Key,
    /// With the master key of the ledger's bodies, what records say is written in the clear beside
    /// them. It is as sensitive as the ledger's pages.
    pub content: Option<&'a SealingKey>,
    pub now: Timestamp,
    /// Told how many closed segments are done, and of how many.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Archived {
    /// Segments that were archived now.
    pub segments: u64,
    /// Segments that had been archived before.
    pub before: u64,
    /// Entries in archived log segments, from 0.
    pub size: u64,
    /// Objects that the new manifests list, and their bytes.
    pub objects: u64,
    pub bytes: u64,
}

/// Archives the closed segments of the ledger in a folder: a copy, or the live one, which is only read.
///
/// # Errors
/// [`ArchiveError`]; what was put before stays, and the next run goes on from there.
pub async fn archive(
    folder: &Path,
    shelf: &dyn Shelf,
    with: Archive<'_>,
) -> Result<Archived, ArchiveError> {
    archive_on(&SystemDisk, folder, shelf, with).await
}

async fn archive_on(
    disk: &dyn Disk,
    folder: &Path,
    shelf: &dyn Shelf,
    mut with: Archive<'_>,
) -> Result<Archived, ArchiveError> {
    let copy = LedgerCopy::read(disk, folder, with.now)?;
    if with.signer.public() != copy.identity.key.public {
        return Err(ArchiveError::broken(IDENTITY, "is of a ledger with another key"));
    }
    let mut done = Archived::default();
    let putter = Putter { shelf, now: with.now };
    putter.put(IDENTITY.to_owned(), copy.small(IDENTITY)?.into(), None).await?;
    let total = (copy.logs.len() + copy.bodies.len()) as u64;
    (with.progress)(0, total);
    for log in &copy.logs {
        put_log(&putter, &copy, log, &with, &mut done).await?;
        done.size = log.end;
        (with.progress)(done.segments + done.before, total);
    }
    for body in &copy.bodies {
        put_body(&putter, &copy, body, &mut with, &mut done).await?;
        (with.progress)(done.segments + done.before, total);
    }
    Ok(done)
}

async fn put_log(
    putter: &Putter<'_>,
    copy: &LedgerCopy<'_>,
    log: &ClosedLog,
    with: &Archive<'_>,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    let (identity, segment) = (&copy.identity, Segment::Log(log.number));
    let manifest = Manifest {
        origin: identity.origin.clone(),
        ledger: identity.id,
        segment,
        first: log.first,
        end: log.end,
        count: log.end - log.first,
        chain: Some(log.chain.clone()),
        objects: Vec::new(),
    };
    if putter.is_there(copy, &manifest).await? {
        done.before += 1;
        return Ok(());
    }
    let bytes = copy.segment(segment)?;
    let mut tiling = log.before.clone();
    let broken = |what: String| ArchiveError::broken(&segment.path(), what);
    let before = SegmentHead::parse(&bytes).map(|it| it.head());
    let before = before.ok_or_else(|| broken("has no sound header".to_owned()))?;
    let at = (&identity.id, log.number);
    let read = read_log(&bytes, at, &before, &mut tiling, &mut |_| {}).map_err(broken)?;
    if chain(&before, &read.head) != log.chain {
        return Err(broken("changed while it was read".to_owned()));
    }
    // Nothing in these objects is ever disposed of; they are locked until the last of their bodies may be.
    let until = read.envelopes.iter().filter_map(|it| it.bucket.due()).max();
    let about = about(copy, &manifest);
    let path = format!("parquet/{:08}.parquet", log.number);
    let columns = columns::entries(&read.envelopes, &about);
    let columns =
        columns.map_err(|source| ArchiveError::Parquet { object: path.clone(), source })?;
    let mut puts = vec![(segment.path(), bytes), (path, columns)];
    if let Some(signature) = read.head.signature {
        let (origin, size, root) = (identity.origin.clone(), log.end, log.chain.root);
        let note = Checkpoint { origin, size, root }.note(&identity.key, &signature);
        puts.push((format!("log/{:08}.checkpoint", log.number), note.into_bytes()));
    }
    puts.extend(read.tiles.into_iter().map(|tile| (tile.path(), tile.bytes)));
    finish(putter, copy, manifest, puts, until, with.signer, done).await
}

async fn put_body(
    putter: &Putter<'_>,
    copy: &LedgerCopy<'_>,
    body: &ClosedBody,
    with: &mut Archive<'_>,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    let segment = Segment::Body(body.bucket, body.number);
    let manifest = Manifest {
        origin: copy.identity.origin.clone(),
        ledger: copy.identity.id,
        segment,
        first: body.first,
        end: body.end,
        count: body.count,
        chain: None,
        objects: Vec::new(),
    };
    if putter.is_there(copy, &manifest).await? {
        done.before += 1;
        return Ok(());
    }
    let bytes = copy.segment(segment)?;
    let content = match with.content {
        None => None,
        Some(master) => {
            let rows = content_rows(copy, body.bucket, &bytes, master)?;
            let object = format!("content/{}/{:08}.parquet", body.bucket.name(), body.number);
            let columns = columns::content(&rows, &about(copy, &manifest));
            let failed = |source| ArchiveError::Parquet { object: object.clone(), source };
            Some((object.clone(), columns.map_err(failed)?))
        }
    };
    let puts = [(segment.path(), bytes)].into_iter().chain(content).collect();
    finish(putter, copy, manifest, puts, body.bucket.due(), with.signer, done).await
}

/// Puts the objects, then the manifest that lists them.
async fn finish(
    putter: &Putter<'_>,
    copy: &LedgerCopy<'_>,
    mut manifest: Manifest,
    puts: Vec<(String, Vec<u8>)>,
    until: Option<Timestamp>,
    signer: &Ed25519Key,
    done: &mut Archived,
) -> Result<(), ArchiveError> {
    let puts = puts.into_iter().map(|(path, bytes)| putter.put(path, bytes.into(), until));
    let puts = futures::stream::iter(puts).buffered(PUTS_MAX);
    manifest.objects = puts.try_collect().await?;
    let path = Manifest::path(manifest.segment);
    let note = manifest.sign(&copy.identity.key, signer);
    if note.len() > super::MANIFEST_BYTES_MAX {
        let max = super::MANIFEST_BYTES_MAX as u64;
        return Err(ArchiveError::TooLarge { object: path, max });
    }
    putter.put(path, note.into(), until).await?;
    done.segments += 1;
    done.objects += manifest.objects.len() as u64;
    done.bytes += manifest.objects.iter().map(|object| object.bytes).sum::<u64>();
    Ok(())
}

/// How a segment joins the log before it.
fn chain(before: &Head, after: &Head) -> Chain {
    Chain { follows: before.digest, ends: after.digest, root_before: before.root, root: after.root }
}

/// Which part of which ledger a Parquet file is of.
fn about(copy: &LedgerCopy<'_>, manifest: &Manifest) -> Vec<(&'static str, String)> {
    vec![
        ("format", "1".to_owned()),
        ("origin", manifest.origin.clone()),
        ("ledger", hex::encode(copy.identity.id)),
        ("segment", manifest.segment.path()),
        ("first", manifest.first.to_string()),
        ("end", manifest.end.to_string()),
    ]
}

/// What the records of a body segment say, each held against what its leaf commits to by its seal.
fn content_rows(
    copy: &LedgerCopy<'_>,
    bucket: Bucket,
    bytes: &[u8],
    master: &SealingKey,
) -> Result<Vec<ContentRow>, ArchiveError> {
    let (id, name) = (&copy.identity.id, key_name(bucket));
    let file = copy.small(&name)?;
    let wrapped = wrapped_key(&file, id);
    let key = wrapped.and_then(|wrapped| unwrap_key(master, id, bucket, wrapped));
    let key = key.ok_or_else(|| ArchiveError::broken(&name, "does not open under this key"))?;
    let object = Segment::Body(bucket, 0).path();
    let records = read_bodies(bytes).map_err(|what| ArchiveError::broken(&object, what))?;
    let times = copy.envelopes(records.iter().map(|record| record.entry))?;
    let row = |record: &crate::body::BodyRecord<'_>| {
        let plain = key.open(&body_aad(id, record.entry, bucket), record.sealed).ok()?;
        let body = Body::parse(&plain)?;
        let envelope = times.get(&record.entry)?;
        if !body.matches(envelope) {
            return None;
        }
        let json = String::from_utf8(body.private).ok()?;
        let at_ms = envelope.at_ms;
        Some(ContentRow {
            entry: record.entry,
            at_ms,
            record: serde_json::from_str(&json).ok()?,
            json,
        })
    };
    let rows = records.iter().map(|it| row(it).ok_or(ArchiveError::Content { entry: it.entry }));
    rows.collect()
}

struct Putter<'a> {
    shelf: &'a dyn Shelf,
    now: Timestamp,
}

impl Putter<'_> {
    /// Whether the segment has its manifest already; it must be of this very segment.
    async fn is_there(
        &self,
        copy: &LedgerCopy<'_>,
        expected: &Manifest,
    ) -> Result<bool, ArchiveError> {
        let path = Manifest::path(expected.segment);
        let store = self.shelf.open();
        let Some(found) = check::manifest(&*store, &path, &copy.identity.key).await? else {
            return Ok(false);
        };
        let same = Manifest { objects: Vec::new(), ..found } == *expected;
        if same { Ok(true) } else { Err(ArchiveError::Differs { object: path }) }
    }

    /// Puts an object where none is, reads it back, and says what it is. One that is there already must
    /// be the same.
    async fn put(
        &self,
        object: String,
        bytes: Bytes,
        until: Option<Timestamp>,
    ) -> Result<Object, ArchiveError> {
        let kept = shelf::put(self.shelf, &object, bytes, until, self.now).await?;
        let Kept { bytes, sha256, until, version } = kept;
        Ok(Object { path: object, bytes, sha256, until, version })
    }
}
