//! A ledger from a folder, taken into a database: the same frames, bodies and keys byte by byte, so that it
//! goes on there as the log that it was.
//!
//! Invariants: the folder is locked, mended as at any opening, and not changed. What was cut short is gone on
//! with; a database that has another log, or has gone on, is refused. Documents of disposals come last, when
//! the log that commits to them and the copies that they lead to are there.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use keys::{Clock, Random};

use super::export::{carry_held, encoded, unwritten};
use super::link::Database;
use super::open::{Found, open_half};
use super::reader::{Ask, Bound};
use super::schema::number;
use super::{DatabaseError, Postgres, damaged};
use crate::body::BodyRecord;
use crate::disk::{SystemDisk, read_whole};
use crate::draft::Batch;
use crate::envelope::{Bucket, Envelope};
use crate::error::{Damage, OpenError, ReadError};
use crate::frame::Frame;
use crate::identity::{
    CHECKPOINT, CHECKPOINTS, IDENTITY, Identity, KEYS, LOCK, LOG, SMALL_FILE_BYTES_MAX,
};
use crate::local::{Local, Place, identity, notes_of};
use crate::note::Checkpoint;
use crate::scan::{Fault, scan_log};
use crate::settings::{LedgerKeys, Settings};
use crate::store::{Appender, Head, Reserve, Store};

const CHECKPOINTS_BYTES_MAX: u64 = 1 << 30;

/// Takes the ledger in `settings.folder`, whose server is stopped, into a database that has none, and
/// gives the number of its entries; `progress` is told entries done and all. A try that was cut short
/// is gone on with by another. Afterwards the folder must not be used as a ledger any more: the log
/// goes on in the database.
///
/// # Errors
/// No ledger in the folder, or one that another process has; [`DatabaseError::OtherLedger`]; damage, with its
/// place.
pub fn import_folder(
    database: Database,
    settings: &Settings,
    keys: &LedgerKeys,
    (clock, random): (&dyn Clock, &Arc<dyn Random>),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, OpenError> {
    settings.check()?;
    let place = Place { disk: Arc::new(SystemDisk), folder: settings.folder.clone() };
    // Nothing is made where there is no ledger.
    read(&place, IDENTITY, SMALL_FILE_BYTES_MAX)?;
    let path = place.path(LOCK);
    let lock = place.disk.lock(&path);
    let lock = lock.map_err(|source| OpenError::Disk { doing: "lock", path, source })?;
    let lock = lock.ok_or_else(|| OpenError::InUse { folder: place.folder.clone() })?;
    let known = identity(&place, settings, keys, clock, random.as_ref())?;
    let local = Arc::new(Local::new(&place, settings, &known, keys, Arc::clone(random), &lock));
    let mut from = Arc::clone(&local).open()?;
    let found = Found::of(database, &place, keys, random, &known, true)?;
    if found.identity != known {
        return Err(refused(DatabaseError::OtherLedger));
    }
    let store = Arc::new(found.store);
    let moved = local.moved();
    let buckets = local.buckets().into_iter().filter(|it| !moved.is_leftover(*it));
    store.import_keys(&place, &buckets.collect::<Vec<_>>())?;
    let opened = open_half(&store)?;
    let end = from.head.clone();
    let mut copying =
        Copying { local: &local, store: &store, into: opened.appender, have: opened.head };
    let head = copying.all(&known, &mut |head| progress(head.size(), end.size()))?;
    if head != end {
        return Err(damaged("head", end.size(), None, "the folder's log ends elsewhere").into());
    }
    store.import_disposed(&local, &place)?;
    store.import_checkpoints(&place, &known)?;
    copying.into.close().map_err(unwritten)?;
    from.appender.close().map_err(unwritten)?;
    Ok(end.size())
}

fn refused(error: DatabaseError) -> OpenError {
    OpenError::Database { source: Arc::new(error) }
}

fn read(place: &Place, name: &str, max: u64) -> Result<Vec<u8>, OpenError> {
    let path = place.path(name);
    let read = read_whole(place.disk.as_ref(), &path, max);
    read.map_err(|source| OpenError::Disk { doing: "read", path, source })
}

struct Copying<'a> {
    local: &'a Local,
    store: &'a Postgres,
    into: Box<dyn Appender>,
    /// What the database had when this began.
    have: Head,
}

impl Copying<'_> {
    /// Copies all frames that the database does not have, and gives the head after the last.
    fn all(&mut self, known: &Identity, each: &mut dyn FnMut(&Head)) -> Result<Head, OpenError> {
        let (mut head, mut objection) = (Head::default(), None);
        let source = self.local.source();
        let scanned = scan_log(&source, &known.id, &known.key, &mut |frame, _, _, tree| {
            for envelope in &frame.envelopes {
                tree.push(envelope.leaf(), &mut |_, _, _| {});
            }
            match self.take(&head, frame) {
                Ok(next) => {
                    head = next;
                    each(&head);
                    Ok(())
                }
                Err(error) => {
                    objection = Some(error);
                    Err(Fault::Damaged(Damage::new(LOG, 0, None, "it was not read further")))
                }
            }
        });
        match (objection, scanned) {
            (Some(error), _) => Err(error),
            (None, Err(fault)) => Err(ReadError::from(fault).into()),
            (None, Ok(_)) if head.size() < self.have.size() => {
                Err(refused(DatabaseError::OtherLedger))
            }
            (None, Ok(_)) => Ok(head),
        }
    }

    /// Copies a frame, unless it is there already.
    fn take(&mut self, before: &Head, frame: &Frame) -> Result<Head, OpenError> {
        let next = self.store.next(before, frame)?;
        let (have, size) = (self.have.size(), next.size());
        if size <= have {
            let differs = size == have && next != self.have;
            return if differs { Err(refused(DatabaseError::OtherLedger)) } else { Ok(next) };
        }
        if before.size() < have {
            return Err(refused(DatabaseError::OtherLedger));
        }
        let wrong = |what| damaged(LOG, frame.head.first, Some(frame.head.first), what);
        let bytes = encoded(frame).ok_or_else(|| wrong("the frame is not as written"))?;
        let bodies = frame.envelopes.iter().map(|it| self.body(it)).collect::<Result<_, _>>()?;
        let batch = Batch {
            envelopes: frame.envelopes.clone(),
            leaves: frame.envelopes.iter().map(Envelope::leaf).collect(),
            bodies,
            frame: bytes,
            head: next.clone(),
        };
        self.into.append(before, &batch, Reserve::Use).map_err(unwritten)?;
        self.into.derive();
        Ok(next)
    }

    /// An entry's body; nothing where it was disposed of, or where a hold keeps it in a copy.
    fn body(&self, envelope: &Envelope) -> Result<Vec<u8>, ReadError> {
        let long = || {
            let what = "the body is longer than any";
            damaged("body", envelope.entry, Some(envelope.entry), what)
        };
        let Some(sealed) = self.local.body(envelope)?.filter(|it| it.bucket.held == 0) else {
            return Ok(Vec::new());
        };
        let record = BodyRecord { entry: envelope.entry, sealed: &sealed.bytes };
        record.encode().ok_or_else(long)
    }
}

impl Postgres {
    fn import_keys(&self, place: &Place, buckets: &[Bucket]) -> Result<(), OpenError> {
        for bucket in buckets {
            let file = read(place, &format!("{KEYS}/{}.key", bucket.name()), SMALL_FILE_BYTES_MAX)?;
            let values = || -> Vec<Bound> { vec![Box::new(bucket.name()), Box::new(file.clone())] };
            self.ask(Ask::PutKey, "keep a bucket's key", values).map_err(ReadError::from)?;
        }
        Ok(())
    }

    /// Takes in what holds keep, and then the documents that lead there. A whole copy to which none leads
    /// comes too: the disposal that it was made for may be announced, and is finished at the next opening.
    fn import_disposed(&self, local: &Local, place: &Place) -> Result<(), OpenError> {
        let (moved, path) = (local.moved(), place.path(KEYS));
        let names = place.disk.list(&path);
        let names = names.map_err(|source| OpenError::Disk { doing: "list", path, source })?;
        let keys = names.iter().filter_map(|name| Bucket::parse(name.strip_suffix(".key")?));
        let led = moved.all().filter(|it| !it.kept.is_empty());
        let led = led.filter_map(|it| it.statement.bucket.next_held());
        let held: BTreeSet<Bucket> = keys.filter(|it| it.held > 0).chain(led).collect();
        for held in held.into_iter().filter(|it| moved.get(*it).is_none()) {
            self.import_held(local, place, held)?;
        }
        for disposed in moved.all() {
            self.put_document(disposed).map_err(unwritten)?;
        }
        Ok(())
    }

    fn import_held(&self, local: &Local, place: &Place, held: Bucket) -> Result<(), OpenError> {
        let name = format!("{KEYS}/{}.key", held.name());
        let file = read(place, &name, SMALL_FILE_BYTES_MAX).map_err(|error| match error {
            OpenError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let what = "the key of the body's bucket is missing";
                OpenError::Damaged(Damage::new(&name, 0, None, what))
            }
            error => error,
        })?;
        let key = self.open_key(held, &file)?;
        let copy = Box::new(self.begin_copy_under(held, key));
        carry_held(copy, |each| local.bodies(held, each))
    }

    fn import_checkpoints(&self, place: &Place, known: &Identity) -> Result<(), OpenError> {
        let none_yet = |error: OpenError| match error {
            OpenError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            error => Err(error),
        };
        let listed = read(place, CHECKPOINTS, CHECKPOINTS_BYTES_MAX).or_else(none_yet)?;
        let mut notes = notes_of(&listed, &known.key).map_err(OpenError::Damaged)?;
        let newest = read(place, CHECKPOINT, SMALL_FILE_BYTES_MAX).or_else(none_yet)?;
        let newest = String::from_utf8_lossy(&newest).into_owned();
        if let Ok(checkpoint) = Checkpoint::open(&newest, &known.key) {
            notes.push((checkpoint.size, newest));
        }
        for (size, note) in notes.iter().filter(|(size, _)| *size > 0) {
            let values = || -> Vec<Bound> { vec![Box::new(number(*size)), Box::new(note.clone())] };
            let put = self.ask(Ask::PutCheckpoint, "publish a checkpoint", values);
            put.map_err(ReadError::from)?;
        }
        Ok(())
    }
}
