//! The ways to partners beside the push, as their files and the configuration declare them: object storage, SFTP,
//! media, the portal for guests.
//!
//! What must stay true: an object counts as laid down only after it was read back and was what was sent.

use std::sync::Arc;

use exchange::{
    Book, Depot, DepotError, Laying, Left, Load, LoadFile, Medium, MediumForm, Portal, Route, Sftp,
    SftpTarget, Way,
};
use futures::TryStreamExt as _;
use keys::Clock;
use keys::digest::Sha256;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use serde::Deserialize;

use crate::agency::StartError;
use crate::config::{ExchangeConfig, StorageConfig};
use crate::problem::chain;
use crate::storage;

/// Parts on their way at a time.
const PARTS_AT_A_TIME: usize = 2;
/// A part's longest length: 256 MiB of plaintext and what sealing adds.
const PART_BYTES_MAX: u64 = 257 << 20;

/// An SFTP server, as a partner's file declares it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SftpConfig {
    host: String,
    #[serde(default = "ssh_port")]
    port: u16,
    user: String,
    folder: String,
    key_file: std::path::PathBuf,
    known_hosts_file: std::path::PathBuf,
}

fn ssh_port() -> u16 {
    22
}

/// Opens all ways that are declared. Nothing is connected to yet.
///
/// # Errors
/// [`StartError::Sharing`] names the file and the way.
pub fn open(
    settings: &ExchangeConfig,
    book: &Book,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Route>, StartError> {
    let mut routes: Vec<Route> = Vec::new();
    for partner in book.partners() {
        for declared in &partner.deliveries {
            let name = &declared.name;
            let wrong = |what: String| {
                let text = format!("partner {}: delivery `{name}`: {what}", partner.ori);
                StartError::Sharing(text.into())
            };
            let depot = depot(declared, clock).map_err(wrong)?;
            routes.push(Route { partner: Some(partner.ori.clone()), name: name.clone(), depot });
        }
    }
    for medium in &settings.medium {
        let depot = Medium {
            folder: whole(&medium.folder).map_err(|what| StartError::Sharing(what.into()))?,
            form: if medium.zip { MediumForm::Zip } else { MediumForm::Folder },
            mounted: medium.mounted,
            product: concat!("Bailiwick ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let taken = routes.iter().any(|route| route.name == medium.name);
        if taken || !exchange::is_delivery_name(&medium.name) {
            let text = format!(
                "exchange.medium `{}`: expected a name of 1 to 40 lower-case letters, digits and dashes that no other delivery has",
                medium.name
            );
            return Err(StartError::Sharing(text.into()));
        }
        routes.push(Route { partner: None, name: medium.name.clone(), depot: Arc::new(depot) });
    }
    Ok(routes)
}

/// A path from the root: programs are started in other folders than ours.
fn whole(path: &std::path::Path) -> Result<std::path::PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn depot(declared: &exchange::Delivery, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Depot>, String> {
    let mut table = declared.settings.clone();
    let kind = table.get("kind").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "sftp" => {
            table.remove("kind");
            let read: SftpConfig = table.try_into().map_err(|error| error.to_string())?;
            let target = SftpTarget {
                host: read.host,
                port: read.port,
                user: read.user,
                folder: read.folder,
                key_file: whole(&declared.base.join(read.key_file))?,
                known_hosts_file: whole(&declared.base.join(read.known_hosts_file))?,
            };
            let sftp = Sftp::new(target);
            Ok(Arc::new(sftp.map_err(|(key, what)| format!("`{key}`: expected {what}"))?))
        }
        "s3" | "folder" => {
            if kind == "s3" {
                // What a partner fetches is not locked unless somebody says so.
                table.entry("lock").or_insert_with(|| "none".into());
            }
            let mut read: StorageConfig = table.try_into().map_err(|error| error.to_string())?;
            read.resolve(&declared.base);
            let words = match &read {
                StorageConfig::Folder { folder } => format!("the folder {}", folder.display()),
                StorageConfig::S3 { endpoint, bucket, prefix, .. } => {
                    format!("the bucket {bucket} at {endpoint}, under {prefix}/")
                }
            };
            let shelf = storage::open(&read, clock.clone()).map_err(|error| chain(&error))?;
            Ok(Arc::new(Bucket { words, store: shelf.open() }))
        }
        "portal" => match table.len() {
            1 => Ok(Arc::new(Portal)),
            _ => Err("a portal has a `name` and a `kind`, and no other key".to_owned()),
        },
        _ => Err("`kind`: expected `s3`, `folder`, `sftp` or `portal`".to_owned()),
    }
}

/// Object storage that a partner fetches from with credentials of its own.
pub struct Bucket {
    words: String,
    store: Arc<dyn ObjectStore>,
}

impl Bucket {
    /// Of a store that is open.
    pub fn new(words: String, store: Arc<dyn ObjectStore>) -> Self {
        Self { words, store }
    }

    async fn put(&self, load: &Load, file: &LoadFile, way: &Way) -> Result<(), DepotError> {
        let path = object_store::path::Path::from(format!("{}/{}", load.top(), file.path));
        if self.holds(&path, file).await? {
            way.there(file.bytes);
        } else {
            way.pace(file.bytes).await;
            let from = load.folder.join(&file.path);
            let read = move || {
                keys::file::read(&from, usize::try_from(PART_BYTES_MAX)?)
                    .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
            };
            let bytes = tokio::task::spawn_blocking(read).await.map_err(|_| DepotError::Stopped)?;
            let bytes = bytes.map_err(DepotError::failed("read a parcel"))?;
            let put = self.store.put(&path, PutPayload::from(bytes)).await;
            put.map_err(DepotError::failed("put an object"))?;
            if !self.holds(&path, file).await? {
                return Err(DepotError::Differs { file: file.path.clone() });
            }
            way.moved(file.bytes);
        }
        Ok(())
    }

    /// Whether the object is there and is the file: read back, whole.
    async fn holds(
        &self,
        path: &object_store::path::Path,
        file: &LoadFile,
    ) -> Result<bool, DepotError> {
        let failed = || DepotError::failed::<object_store::Error>("read an object back");
        let found = match self.store.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            found => found.map_err(failed())?,
        };
        if found.meta.size != file.bytes {
            return Ok(false);
        }
        let (mut hash, mut pieces) = (Sha256::new(), found.into_stream());
        while let Some(piece) = pieces.try_next().await.map_err(failed())? {
            hash.update(&piece);
        }
        Ok(hash.finish() == file.sha256)
    }
}

impl Depot for Bucket {
    fn words(&self) -> String {
        self.words.clone()
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(async move {
            let parts = usize::try_from(load.parts).unwrap_or(usize::MAX);
            let (parts, rest) = load.files.split_at(parts.min(load.files.len()));
            for some in parts.chunks(PARTS_AT_A_TIME) {
                let puts: Vec<_> = some.iter().map(|file| self.put(load, file, way)).collect();
                futures::future::try_join_all(puts).await?;
            }
            for file in rest {
                self.put(load, file, way).await?;
            }
            Ok(())
        })
    }

    fn clear<'a>(&'a self, left: &'a Left) -> Laying<'a> {
        Box::pin(async move {
            let top = object_store::path::Path::from(left.top());
            let failed = || DepotError::failed::<object_store::Error>("remove an object");
            for path in left.paths() {
                let path = object_store::path::Path::from(format!("{}/{path}", left.top()));
                match self.store.delete(&path).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(failed()(error)),
                }
            }
            match self.store.list(Some(&top)).try_next().await.map_err(failed())? {
                None => Ok(()),
                Some(found) => Err(DepotError::StillThere { file: found.location.to_string() }),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_bucket_is_left_without_the_parcel_and_with_what_else_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let left = Left { parcel: Uuid::from_u128(7), parts: 3 };
        let files = left.paths().filter(|path| !path.ends_with(".tsr")).map(|path| {
            let (place, bytes) = (folder.path().join(&path), path.clone().into_bytes());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(&place, &bytes).unwrap();
            let sha256 = keys::digest::sha256(&bytes);
            LoadFile { path, bytes: bytes.len() as u64, sha256 }
        });
        let files = files.collect();
        let load = Load { parcel: left.parcel, folder: folder.path().to_owned(), files, parts: 0 };
        let store = Arc::new(InMemory::new());
        let bucket = Bucket::new("a bucket".to_owned(), store.clone());
        bucket.lay(&load, &Way::unwatched()).await.unwrap();
        let other = object_store::path::Path::from("parcel-of-another/bagit.txt");
        store.put(&other, PutPayload::from_static(b"theirs")).await.unwrap();
        let theirs = object_store::path::Path::from(format!("{}/note.txt", left.top()));
        store.put(&theirs, PutPayload::from_static(b"theirs")).await.unwrap();

        let error = bucket.clear(&left).await.unwrap_err().to_string();
        assert!(error.contains("note.txt` of it is still there"), "{error}");
        store.delete(&theirs).await.unwrap();
        bucket.clear(&left).await.unwrap();
        let all: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(all.into_iter().map(|one| one.location).collect::<Vec<_>>(), [other]);
    }
}
