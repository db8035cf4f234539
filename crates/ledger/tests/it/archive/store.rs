//! Stores that fail, garble and lock when told to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::stream::BoxStream;
use jiff::Timestamp;
use ledger::archive::Shelf;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Fails every put after so many; or changes what is put at one path.
#[derive(Debug)]
pub(super) struct Broken {
    store: Arc<dyn ObjectStore>,
    left: AtomicUsize,
    /// The put that fails is done, and only its answer lost.
    lost_answer: bool,
    garbles: Option<&'static str>,
    noted: Option<(Timestamp, Arc<Mutex<Noted>>)>,
}

type Noted = BTreeMap<String, Option<Timestamp>>;

impl Broken {
    pub(super) fn new(store: Arc<dyn ObjectStore>, puts: usize, lost_answer: bool) -> Self {
        Self { store, left: AtomicUsize::new(puts), lost_answer, garbles: None, noted: None }
    }

    pub(super) fn garbling(store: Arc<dyn ObjectStore>, path: &'static str) -> Self {
        Self { garbles: Some(path), ..Self::new(store, usize::MAX, false) }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Broken")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Broken {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let take = |left: usize| left.checked_sub(1);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        if left.is_err() {
            if self.lost_answer {
                self.store.put_opts(path, payload, options).await?;
            }
            return Err(Error::Generic { store: "broken", source: "the line was cut".into() });
        }
        let payload = match self.garbles {
            Some(garbled) if garbled == path.as_ref() => {
                let mut bytes: Vec<u8> = payload.iter().flatten().copied().collect();
                bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
                bytes.into()
            }
            _ => payload,
        };
        let put = self.store.put_opts(path, payload, options).await?;
        if let Some((until, noted)) = &self.noted {
            noted.lock().unwrap().insert(path.to_string(), Some(*until));
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// Remembers until when each object would be locked.
#[derive(Debug, Default)]
pub(super) struct Locking {
    store: Arc<InMemory>,
    noted: Arc<Mutex<Noted>>,
}

impl Locking {
    /// Every object, with its lock.
    pub(super) async fn until(&self) -> Noted {
        let all = super::paths(&*self.store).await;
        let mut noted: Noted = all.iter().map(|path| (path.to_string(), None)).collect();
        noted.extend(self.noted.lock().unwrap().clone());
        noted
    }
}

impl Shelf for Locking {
    fn open(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as _
    }

    fn locked(&self, until: Timestamp) -> Result<Option<Arc<dyn ObjectStore>>> {
        let noted = Some((until, Arc::clone(&self.noted)));
        let store = Broken { noted, ..Broken::new(self.open(), usize::MAX, false) };
        Ok(Some(Arc::new(store)))
    }
}
