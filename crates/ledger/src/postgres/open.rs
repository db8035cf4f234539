//! Opening: which ledger the database has, where its log ends, and whether that can be so.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use keys::{Clock, Random, random_bytes};

use super::append::{Pen, Writing};
use super::link::{Address, Database, Hands};
use super::objects::Objects;
use super::read::column;
use super::reader::Ask;
use super::{DatabaseError, Postgres, damaged, schema};
use crate::body::{unwrap_key, wrapped_key};
use crate::envelope::Bucket;
use crate::error::{Damage, OpenError, ReadError};
use crate::identity::Identity;
use crate::local::Place;
use crate::note::VerifierKey;
use crate::settings::{LedgerKeys, Settings};
use crate::store::{Head, Opened, Store as _};
use crate::tiling::Tiled;

/// A ledger that was found in a database, or made there.
pub(crate) struct Found {
    pub(crate) identity: Identity,
    pub(crate) store: Postgres,
}

impl Found {
    /// Reaches the database; where there is no ledger, it is created if `create`.
    pub(crate) fn new(
        database: Database,
        place: &Place,
        settings: &Settings,
        keys: &LedgerKeys,
        (clock, random): (&dyn Clock, &Arc<dyn Random>),
        create: bool,
    ) -> Result<Self, OpenError> {
        let origin = settings.origin.clone();
        let id = random_bytes(random.as_ref());
        let id = id.map_err(|source| OpenError::Keys { doing: "draw an identity", source })?;
        let key = VerifierKey { name: origin.clone(), public: keys.signer.public() };
        let (ori, created) = (settings.ori.clone(), clock.now());
        let new = Identity { origin: origin.clone(), ori, id, key, created };
        Self::of(database, place, keys, random, &new, create)
    }

    /// As [`Self::new`], where it is known which ledger would be created. What is found has its key.
    pub(super) fn of(
        database: Database,
        place: &Place,
        keys: &LedgerKeys,
        random: &Arc<dyn Random>,
        new: &Identity,
        create: bool,
    ) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database { source: Arc::new(source) };
        let Database { dial, waits, bytes_max, objects } = database;
        let (hands, address) = (Hands::new().map_err(failed)?, Address { dial, waits });
        let (at, made) = (address.clone(), create.then(|| new.clone()));
        let work = async move { schema::identity(&at.connect().await?, made.as_ref()).await };
        let text = hands.run("tell its ledger", address.wait_max(), work).map_err(failed)?;
        let what = "this is no ledger's identity";
        let identity = Identity::parse(&text);
        let identity = identity.ok_or_else(|| damaged("ledger", 0, None, what))?;
        if identity.key != new.key {
            let (found, expected) = (identity.key.to_string(), new.key.to_string());
            return Err(OpenError::Foreign { folder: place.folder.clone(), found, expected });
        }
        let objects = objects.map(|it| Objects::new(it, &identity.id).map(Arc::new));
        let store = Postgres {
            bytes_max,
            objects: objects.transpose().map_err(failed)?,
            address,
            hands,
            place: place.clone(),
            identity: identity.clone(),
            master: keys.body.clone(),
            random: Arc::clone(random),
            reader: Mutex::default(),
            buckets: RwLock::default(),
            moved: RwLock::default(),
            edges: RwLock::default(),
        };
        Ok(Self { identity, store })
    }
}

/// Opens it for writing. The head is read under its lock: whatever an earlier connection of this
/// process had on its way is decided by then.
pub(super) fn open(store: &Arc<Postgres>) -> Result<Opened, OpenError> {
    let opened = open_half(store)?;
    store.check_last_body(&opened.head)?;
    Ok(opened)
}

/// As [`open`], of a log that is being taken in: the documents that say which bodies are gone come last.
pub(super) fn open_half(store: &Arc<Postgres>) -> Result<Opened, OpenError> {
    let failed = |source| OpenError::Database { source: Arc::new(source) };
    let address = store.address.clone();
    let work = async move {
        let pen = Pen::connect(&address).await?;
        let row = pen.lock().await?;
        let stray = pen.strays(row.as_ref().map_or(0, |row| row.head.size())).await?;
        pen.release().await?;
        Ok((Arc::new(pen), row, stray))
    };
    let wait_max = store.address.wait_max();
    let (pen, row, stray) = store.hands.run("open the log", wait_max, work).map_err(failed)?;
    let head = store.known(row)?;
    if stray {
        let what = "there are frames or bodies beyond the log's head";
        return Err(damaged("head", head.size(), Some(head.size()), what).into());
    }
    store.check_signed(&head)?;
    store.check_storage()?;
    store.read_documents()?;
    store.check_last(&head)?;
    store.read_edge(&head)?;
    let published = store.check_published(head.size())?;
    store.check_seen(head.size())?;
    store.check_keys()?;
    let appender = Box::new(Writing::new(Arc::clone(store), pen, head.clone()));
    Ok(Opened { head, published, appender })
}

impl Postgres {
    /// The head in a row, if it can be one of this ledger.
    pub(super) fn known(&self, row: Option<schema::HeadRow>) -> Result<Head, ReadError> {
        let row = row.ok_or_else(|| damaged("head", 0, None, "the head is not as written"))?;
        if row.ledger != self.identity.id {
            return Err(damaged("head", 0, None, "the head is of another ledger"));
        }
        Ok(row.head)
    }

    /// The head as it is now, without its lock.
    pub(super) fn head_now(&self) -> Result<Head, ReadError> {
        let rows = self.ask(Ask::Head, "tell the log's head", Vec::new)?;
        let row = rows.first().ok_or(DatabaseError::NoRow { table: "head" })?;
        self.known(schema::head_of(row)?)
    }

    /// The last frame is the one that the head speaks of.
    fn check_last(&self, head: &Head) -> Result<(), ReadError> {
        let Some(last) = head.size().checked_sub(1) else { return Ok(()) };
        let frames = self.frames(last)?;
        let fits = frames.first().is_some_and(|frame| {
            let is_last = frame.head.size() == head.size();
            let signed = Some(frame.head.signature) == head.signature;
            is_last && signed && frame.digest == head.digest && frame.head.root == head.root
        });
        if !fits {
            let what = "the last frame is not the one that the head speaks of";
            return Err(damaged("frames", last, Some(last), what));
        }
        Ok(())
    }

    fn check_last_body(&self, head: &Head) -> Result<(), ReadError> {
        let Some(last) = head.size().checked_sub(1) else { return Ok(()) };
        self.body(&self.find_envelope(last)?.0).map(|_| ())
    }

    /// The master key is the one that the buckets' keys are wrapped under.
    fn check_keys(&self) -> Result<(), OpenError> {
        let rows = self.ask(Ask::Keys, "tell its buckets", Vec::new).map_err(ReadError::from)?;
        let moved = self.moved_now();
        for row in &rows {
            let name: &str = column(row, 0).map_err(ReadError::from)?;
            let file: &[u8] = column(row, 1).map_err(ReadError::from)?;
            let at = format!("bucket_keys/{name}");
            let wrong = |what| OpenError::Damaged(Damage::new(&at, 0, None, what));
            let bucket = Bucket::parse(name).ok_or_else(|| wrong("not the name of a bucket"))?;
            if moved.is_leftover(bucket) {
                continue;
            }
            let wrapped = wrapped_key(file, &self.identity.id);
            let wrapped = wrapped.ok_or_else(|| wrong("the key file is not as written"))?;
            let key = unwrap_key(&self.master, &self.identity.id, bucket, wrapped);
            let key = key.ok_or_else(|| OpenError::WrongKey { path: PathBuf::from(&at) })?;
            self.keep_key(bucket, &key);
        }
        Ok(())
    }

    /// Holds the newest published checkpoint against the log, and gives its size.
    fn check_published(&self, have: u64) -> Result<u64, OpenError> {
        let rows = self.ask(Ask::Checkpoint, "tell what was published", Vec::new);
        let rows = rows.map_err(ReadError::from)?;
        let Some(row) = rows.first() else { return Ok(0) };
        let size: i64 = column(row, 0).map_err(ReadError::from)?;
        let note: &str = column(row, 1).map_err(ReadError::from)?;
        self.hold(&format!("checkpoints/{size}"), note, have)?;
        Ok(u64::try_from(size).unwrap_or(0))
    }
}
