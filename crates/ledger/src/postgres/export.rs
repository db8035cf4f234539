//! A ledger in PostgreSQL, written out as a folder: the same frames and bodies byte by byte, so that whoever
//! verifies folders verifies it.
//!
//! Invariant: nothing is written that did not lead to the root and signature that it came with.

use std::path::Path;
use std::sync::Arc;

use keys::{Clock, Random};

use super::link::Database;
use super::open::Found;
use super::read::column;
use super::reader::{Ask, Bound};
use super::schema::number;
use super::whole::next_of;
use super::{Postgres, damaged};
use crate::body::BodyRecord;
use crate::disk::{SystemDisk, replace};
use crate::draft::Batch;
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, OpenError, ReadError};
use crate::frame::{Frame, NewFrame};
use crate::identity::{CHECKPOINTS, KEYS, LOCK};
use crate::local::{Local, Place, create};
use crate::record::EntryNumber;
use crate::retention::Disposals;
use crate::settings::{LedgerKeys, Settings};
use crate::store::{Appender, EachBody, Failure, Head, Holding, Reserve, Store};

const EXPORTING: &str = "read what is exported";

/// Writes the ledger that a database has, as it is now, into a folder of its own, in the format of
/// ledgers on disk; `progress` is told entries done and all. Gives the number of entries. May run
/// beside those that append. `settings.folder` is where it goes.
///
/// # Errors
/// A ledger in the folder already; no ledger in the database; damage, with the row; the disk.
pub fn export_folder(
    database: Database,
    settings: &Settings,
    keys: &LedgerKeys,
    with: (&dyn Clock, &Arc<dyn Random>),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, OpenError> {
    settings.check()?;
    // Every checkpoint goes into the list, however soon after the one before it is written here.
    let settings = &Settings { list_wait: std::time::Duration::ZERO, ..settings.clone() };
    let place = Place { disk: Arc::new(SystemDisk), folder: settings.folder.clone() };
    let found = Found::new(database, &place, settings, keys, with, false)?;
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Disk { doing, path, source }
    };
    place.disk.create_folder(&place.folder).map_err(failed("create", &place.folder))?;
    let path = place.path(LOCK);
    let lock = place.disk.lock(&path).map_err(failed("lock", &path))?;
    let lock = lock.ok_or_else(|| OpenError::InUse { folder: place.folder.clone() })?;
    if place.disk.list(&place.folder).map_err(failed("list", &place.folder))?.len() > 1 {
        return Err(OpenError::NotEmpty { folder: place.folder.clone() });
    }
    let store = &found.store;
    let end = store.head_now()?;
    store.check_signed(&end)?;
    create(&place, settings, &found.identity)?;
    store.read_documents()?;
    let mut disposals = Postgres::disposals(&store.documents()?)?;
    store.export_keys(&place)?;
    let (_, random) = with;
    let local = Local::new(&place, settings, &found.identity, keys, Arc::clone(random), &lock);
    let local = Arc::new(local);
    let mut opened = Arc::clone(&local).open()?;
    let mut head = Head::default();
    while head.size() < end.size() {
        let before = head.size();
        let frames = store.frames(before)?;
        for frame in frames.into_iter().filter(|it| it.head.first >= before) {
            if head.size() >= end.size() {
                break;
            }
            let batch = store.batch(&head, frame, &mut disposals)?;
            let appender = opened.appender.as_mut();
            let written = appender.append(&head, &batch, Reserve::Use);
            written.map_err(unwritten)?;
            appender.derive();
            store.export_checkpoints(appender, head.size(), batch.head.size())?;
            head = batch.head;
            progress(head.size(), end.size());
        }
        if head.size() == before {
            let what = "the head has entries that are in no frame";
            return Err(damaged("head", end.size(), Some(before), what).into());
        }
    }
    if head != end {
        return Err(damaged("head", end.size(), None, "the head is not that of the frames").into());
    }
    disposals.check()?;
    opened.appender.close().map_err(unwritten)?;
    store.export_disposed(&local)?;
    Ok(end.size())
}

/// A frame as it was written, without its padding.
pub(super) fn encoded(frame: &Frame) -> Option<Vec<u8>> {
    let new = NewFrame {
        ledger: frame.head.ledger,
        first: frame.head.first,
        at_ms: frame.head.at_ms,
        previous: frame.head.previous,
        root_before: frame.head.root_before,
        root: frame.head.root,
        signature: frame.head.signature,
        envelopes: &frame.envelopes,
    };
    let (bytes, digest) = new.encode()?;
    (digest == frame.digest).then_some(bytes)
}

pub(super) fn unwritten(failure: Failure) -> OpenError {
    OpenError::Write { source: failure.into_error() }
}

/// Carries what a hold keeps of a bucket over into its copy, as `read` gives it.
pub(super) fn carry_held(
    mut copy: Box<dyn Holding + '_>,
    read: impl FnOnce(&mut EachBody<'_>) -> Result<(), ReadError>,
) -> Result<(), OpenError> {
    let mut failure = None;
    let outcome = read(&mut |entry, sealed, _| {
        copy.put(entry, sealed).map_err(|error| {
            failure = Some(error);
            ReadError::NoEntry { entry: EntryNumber(entry), size: 0 }
        })
    });
    match failure {
        Some(failure) => return Err(unwritten(failure)),
        None => outcome?,
    }
    copy.finish().map_err(unwritten)
}

impl Postgres {
    fn export_keys(&self, place: &Place) -> Result<(), OpenError> {
        let moved = self.moved_now();
        for row in &self.ask(Ask::Keys, EXPORTING, Vec::new).map_err(ReadError::from)? {
            let name: &str = column(row, 0).map_err(ReadError::from)?;
            let file: &[u8] = column(row, 1).map_err(ReadError::from)?;
            let Some(bucket) = Bucket::parse(name) else {
                return Err(damaged("bucket_keys", 0, None, "not the name of a bucket").into());
            };
            if moved.is_leftover(bucket) {
                continue;
            }
            let (folder, name) = (place.path(KEYS), format!("{}.key", bucket.name()));
            let written = replace(place.disk.as_ref(), &folder, &name, file);
            let path = folder.join(name);
            written.map_err(|source| OpenError::Disk { doing: "write", path, source })?;
        }
        Ok(())
    }

    /// A frame, and the bodies of its entries as they were appended; nothing in the place of one that was
    /// disposed of, or that a hold keeps elsewhere, which is looked at there.
    pub(super) fn batch(
        &self,
        before: &Head,
        frame: Frame,
        disposals: &mut Disposals,
    ) -> Result<Batch, ReadError> {
        let head = self.next(before, &frame)?;
        let first = frame.head.first;
        let wrong = |what| damaged("frames", first, Some(first), what);
        let bytes = encoded(&frame).ok_or_else(|| wrong("the frame is not as written"))?;
        let bodies = self.bodies(&frame.envelopes, (first, head.size()), disposals)?;
        let leaves = frame.envelopes.iter().map(Envelope::leaf).collect();
        Ok(Batch { envelopes: frame.envelopes, leaves, bodies, frame: bytes, head })
    }

    fn bodies(
        &self,
        envelopes: &[Envelope],
        (first, end): (u64, u64),
        disposals: &mut Disposals,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let rows = self.bodies_between(first, end, EXPORTING)?;
        let mut rows = rows.iter().peekable();
        let mut bodies = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            let row = next_of(&mut rows, envelope);
            let body = match disposals.place(envelope) {
                None => Vec::new(),
                Some(bucket) if bucket.held > 0 => {
                    self.find_body(envelope, bucket)?;
                    Vec::new()
                }
                Some(bucket) => {
                    let sealed = match row {
                        Some(row) => {
                            self.sealed(envelope, bucket, column(row, 1)?, column(row, 0)?)?
                        }
                        None => self.find_body(envelope, bucket)?,
                    };
                    let what = "the body is longer than any";
                    let long = || damaged("bodies", envelope.entry, Some(envelope.entry), what);
                    let record = BodyRecord { entry: envelope.entry, sealed: &sealed.bytes };
                    record.encode().ok_or_else(long)?
                }
            };
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// Writes out what holds keep, and then the documents that lead there.
    fn export_disposed(&self, local: &Local) -> Result<(), OpenError> {
        let moved = self.moved_now();
        for disposed in moved.all() {
            let held = disposed.statement.bucket.next_held();
            let held = held.filter(|it| !disposed.kept.is_empty() && moved.get(*it).is_none());
            if let Some(held) = held {
                self.export_held(local, held)?;
            }
        }
        moved.all().try_for_each(|disposed| local.write_document(disposed)).map_err(unwritten)
    }

    fn export_held(&self, local: &Local, held: Bucket) -> Result<(), OpenError> {
        let missing = || {
            let file = format!("bucket_keys/{}", held.name());
            Damage::new(&file, 0, None, "the key of the body's bucket is missing")
        };
        let key = self.find_key(held)?.ok_or_else(missing)?;
        let copy = local.begin_copy_under(held, key).map_err(unwritten)?;
        carry_held(copy, |each| self.all_bodies(held, each))
    }

    fn export_checkpoints(
        &self,
        appender: &mut dyn Appender,
        over: u64,
        up_to: u64,
    ) -> Result<(), OpenError> {
        let range = || -> Vec<Bound> { vec![Box::new(number(over)), Box::new(number(up_to))] };
        let rows = self.ask(Ask::Checkpoints, EXPORTING, range).map_err(ReadError::from)?;
        for row in &rows {
            let size: i64 = column(row, 0).map_err(ReadError::from)?;
            let note: &str = column(row, 1).map_err(ReadError::from)?;
            let published = appender.publish(note, u64::try_from(size).unwrap_or(0));
            let (doing, path) = ("write", CHECKPOINTS.into());
            published.map_err(|source| OpenError::Disk { doing, path, source })?;
        }
        Ok(())
    }
}
