//! Opening a ledger, in a folder or in a database.
//!
//! Invariant: the lock on the folder is held before anything in it, or in the database, is looked
//! at, and goes to the writer, which lets go of it last.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use keys::{Clock, Random};

use crate::disk::{Disk, DiskLock};
use crate::error::OpenError;
use crate::identity::{Identity, LOCK};
use crate::ledger::Ledger;
use crate::local::{Local, Place, identity};
use crate::postgres::{Database, Found};
use crate::recent::Recent;
use crate::settings::{LedgerKeys, Settings};
use crate::shared::{Fixed, Health, Shared};
use crate::store::{Derived, Store, root};
use crate::watched::Watched;

/// A folder that is locked, and everything that a ledger is opened with.
pub(crate) struct Opening {
    place: Place,
    lock: Arc<dyn DiskLock>,
    settings: Settings,
    keys: LedgerKeys,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Most entries in a batch.
    batch: usize,
}

impl Opening {
    /// Makes the folder if there is none, and locks it.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        settings: Settings,
        keys: LedgerKeys,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        batch: usize,
    ) -> Result<Self, OpenError> {
        settings.check()?;
        let place = Place { disk, folder: settings.folder.clone() };
        let failed = |doing, path| move |source| OpenError::Disk { doing, path, source };
        let created = place.disk.create_folder(&place.folder);
        created.map_err(failed("create", place.folder.clone()))?;
        let lock = place.path(LOCK);
        let locked = place.disk.lock(&lock).map_err(failed("lock", lock))?;
        let in_use = || OpenError::InUse { folder: place.folder.clone() };
        let lock = locked.ok_or_else(in_use)?;
        Ok(Self { place, lock, settings, keys, clock, random, batch })
    }

    /// The ledger in the folder.
    pub(crate) fn local(self) -> Result<Ledger, OpenError> {
        let Self { place, lock, settings, keys, clock, random, .. } = &self;
        let identity = identity(place, settings, keys, clock.as_ref(), random.as_ref())?;
        let store = Local::new(place, settings, &identity, keys, Arc::clone(random), lock);
        self.open(identity, Arc::new(store))
    }

    /// The ledger in a database.
    pub(crate) fn shared(self, database: Database) -> Result<Ledger, OpenError> {
        let Self { place, settings, keys, clock, random, .. } = &self;
        let with = (clock.as_ref(), random);
        let found = Found::new(database, place, settings, keys, with, true)?;
        self.open(found.identity, Arc::new(found.store))
    }

    fn open(self, identity: Identity, store: Arc<dyn Store>) -> Result<Ledger, OpenError> {
        let Self { place, lock, settings, keys, clock, random, batch } = self;
        let opened = Arc::clone(&store).open()?;
        let now = clock.now();
        let watched = Watched::open(&place, &settings.witnessing, &identity.key, now)?;
        watched.hold(opened.head.size(), &mut |size| {
            root(store.as_ref(), size, Derived::Use).map_err(OpenError::from)
        })?;
        let head = opened.head.clone().into();
        let shared = Shared {
            head,
            health: Mutex::new(Health::Recording),
            writing: Mutex::default(),
            stopped: Mutex::default(),
        };
        let (copying, destroying) = (AtomicBool::new(false), AtomicU64::new(0));
        let fixed = Fixed {
            place,
            store,
            settings,
            keys,
            identity,
            clock,
            random,
            shared,
            watched,
            recent: Recent::default(),
            copying,
            destroying,
        };
        Ledger::start(Arc::new(fixed), opened, lock, batch)
    }
}
