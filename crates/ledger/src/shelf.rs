//! Object storage as this room uses it: what is put is never written over, and is read back before it counts.
//!
//! Invariant: an object that [`put`] returned has just these bytes. One that was there already is the same,
//! or is refused.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use keys::digest::Sha256;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use crate::merkle::Hash;

/// From this size on, whether an object is there is asked before it is sent.
const ASK_FIRST_BYTES: usize = 1 << 20;

/// Where objects lie: a folder, or a bucket and prefix of an S3-compatible store.
pub trait Shelf: Send + Sync {
    /// Reads, and puts without a lock.
    fn open(&self) -> Arc<dyn ObjectStore>;

    /// Puts with a lock until then: what is put through it can be neither changed nor deleted before.
    /// `None` where the store has no locks or none are asked for.
    ///
    /// # Errors
    /// Where the store can't be set up.
    fn locked(&self, until: Timestamp)
    -> Result<Option<Arc<dyn ObjectStore>>, object_store::Error>;
}

/// A store without locks.
#[derive(Debug, Clone)]
pub struct Unlocked(pub Arc<dyn ObjectStore>);

impl Shelf for Unlocked {
    fn open(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.0)
    }

    fn locked(&self, _: Timestamp) -> Result<Option<Arc<dyn ObjectStore>>, object_store::Error> {
        Ok(None)
    }
}

/// Why an object was not put, read or deleted. Names objects, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error("could not {doing} `{object}`")]
    Store {
        doing: &'static str,
        object: String,
        #[source]
        source: object_store::Error,
    },
    /// Another thing lies where this was to go. It is not written over.
    #[error("`{object}` is there already, and is not what was to be put there")]
    Differs { object: String },
    #[error("`{object}` was put and reads back otherwise")]
    ReadBack { object: String },
    #[error("`{object}` has more than {max} bytes")]
    TooLarge { object: String, max: u64 },
}

impl ShelfError {
    fn store(doing: &'static str, object: &str) -> impl FnOnce(object_store::Error) -> Self {
        let object = object.to_owned();
        move |source| Self::Store { doing, object, source }
    }
}

/// What was put, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) bytes: u64,
    pub(crate) sha256: Hash,
    /// Until when it is locked.
    pub(crate) until: Option<Timestamp>,
    /// The store's name for this version of it, where it gives one.
    pub(crate) version: Option<String>,
}

/// Puts an object where none is, locked until then where the store locks, reads it back, and says what it
/// is. One that is there already must be the same.
pub(crate) async fn put(
    shelf: &dyn Shelf,
    object: &str,
    bytes: Bytes,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Kept, ShelfError> {
    let sha256 = keys::digest::sha256(&bytes);
    let length = bytes.len() as u64;
    let failed = |source| ShelfError::store("put", object)(source);
    let until = until.filter(|until| *until > now);
    let locked = until.map(|until| shelf.locked(until)).transpose().map_err(failed)?.flatten();
    let until = until.filter(|_| locked.is_some());
    let plain = shelf.open();
    let store = locked.unwrap_or_else(|| Arc::clone(&plain));
    let mut there = bytes.len() >= ASK_FIRST_BYTES && is_there(&*plain, object).await?;
    let mut version = None;
    if !there {
        let payload = PutPayload::from(bytes);
        match store.put_opts(&Path::from(object), payload, PutMode::Create.into()).await {
            Ok(put) => version = put.version,
            Err(object_store::Error::AlreadyExists { .. }) => there = true,
            Err(source) => return Err(failed(source)),
        }
    }
    let object = object.to_owned();
    let Some((found, found_version)) = digest(&*plain, &object, version.as_deref(), length).await?
    else {
        return Err(ShelfError::ReadBack { object });
    };
    match (found == sha256, there) {
        (false, true) => Err(ShelfError::Differs { object }),
        (false, false) => Err(ShelfError::ReadBack { object }),
        (true, _) => {
            let version = version.or(found_version).filter(|it| is_version(it));
            Ok(Kept { bytes: length, sha256, until, version })
        }
    }
}

/// Whether a store's version can stand in a line of text; else it is left out.
fn is_version(version: &str) -> bool {
    version != "-" && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether there is an object.
async fn is_there(store: &dyn ObjectStore, object: &str) -> Result<bool, ShelfError> {
    let options = GetOptions { head: true, ..GetOptions::default() };
    match store.get_opts(&Path::from(object), options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(source) => Err(ShelfError::store("look at", object)(source)),
    }
}

/// An object of at most `max` bytes; `None` if there is none.
pub(crate) async fn whole(
    store: &dyn ObjectStore,
    object: &str,
    version: Option<&str>,
    max: u64,
) -> Result<Option<Vec<u8>>, ShelfError> {
    let mut bytes = Vec::new();
    let mut keep = |piece: &[u8]| bytes.extend_from_slice(piece);
    let found = read(store, object, version, max, &mut keep).await?;
    Ok(found.map(|_| bytes))
}

/// The SHA-256 of an object, and its version; `None` if there is none. One that is longer than `length`
/// is read no further, and has another digest.
pub(crate) async fn digest(
    store: &dyn ObjectStore,
    object: &str,
    version: Option<&str>,
    length: u64,
) -> Result<Option<(Hash, Option<String>)>, ShelfError> {
    let mut hash = Sha256::new();
    match read(store, object, version, length, &mut |piece| hash.update(piece)).await {
        Err(ShelfError::TooLarge { .. }) => Ok(Some(([0; 32], None))),
        read => Ok(read?.map(|version| (hash.finish(), version))),
    }
}

async fn read(
    store: &dyn ObjectStore,
    object: &str,
    version: Option<&str>,
    max: u64,
    piece: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Option<Option<String>>, ShelfError> {
    let options = GetOptions { version: version.map(str::to_owned), ..GetOptions::default() };
    let got = match store.get_opts(&Path::from(object), options).await {
        Ok(got) => got,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(ShelfError::store("read", object)(source)),
    };
    let version = got.meta.version.clone();
    let (mut stream, mut length) = (got.into_stream(), 0);
    while let Some(bytes) = stream.try_next().await.map_err(ShelfError::store("read", object))? {
        length += bytes.len() as u64;
        if length > max {
            return Err(ShelfError::TooLarge { object: object.to_owned(), max });
        }
        piece(&bytes);
    }
    Ok(Some(version))
}

/// Deletes everything under a folder, and says how much that was. What is gone already is no error.
pub(crate) async fn clear(store: &dyn ObjectStore, folder: &str) -> Result<u64, ShelfError> {
    let (path, mut deleted) = (Path::from(folder), 0);
    let found: Vec<_> = store
        .list(Some(&path))
        .map_ok(|it| it.location)
        .try_collect()
        .await
        .map_err(ShelfError::store("list", folder))?;
    for object in found {
        match store.delete(&object).await {
            Ok(()) => deleted += 1,
            Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(ShelfError::store("delete", object.as_ref())(source)),
        }
    }
    Ok(deleted)
}

/// The folders that lie in a folder, by their names.
pub(crate) async fn folders(
    store: &dyn ObjectStore,
    folder: &str,
) -> Result<Vec<String>, ShelfError> {
    let listed = store.list_with_delimiter(Some(&Path::from(folder))).await;
    let listed = listed.map_err(ShelfError::store("list", folder))?;
    let names = listed.common_prefixes.iter().filter_map(|it| it.filename().map(str::to_owned));
    Ok(names.collect())
}
