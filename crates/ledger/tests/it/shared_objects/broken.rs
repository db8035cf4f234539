//! A store that fails when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What a store does wrong at the moment.
#[derive(Debug, Default)]
pub(super) struct Breaks {
    puts: AtomicBool,
    answers: AtomicBool,
    reads: AtomicBool,
    garbled: AtomicBool,
    undeletable: AtomicBool,
    hangs: AtomicBool,
    lists: AtomicBool,
    /// A read of a path that has this in it fails, once.
    once: Mutex<Option<&'static str>>,
    asked: AtomicU64,
    deleted: AtomicU64,
}

impl Breaks {
    pub(super) fn refuse_puts(&self, so: bool) {
        self.puts.store(so, Ordering::SeqCst);
    }

    /// What is put is there, and the answer is lost.
    pub(super) fn lose_answers(&self, so: bool) {
        self.answers.store(so, Ordering::SeqCst);
    }

    pub(super) fn refuse_reads(&self, so: bool) {
        self.reads.store(so, Ordering::SeqCst);
    }

    /// The first byte of what is read is another.
    pub(super) fn garble_reads(&self, so: bool) {
        self.garbled.store(so, Ordering::SeqCst);
    }

    pub(super) fn refuse_deletes(&self, so: bool) {
        self.undeletable.store(so, Ordering::SeqCst);
    }

    /// Nothing is answered.
    pub(super) fn hang(&self, so: bool) {
        self.hangs.store(so, Ordering::SeqCst);
    }

    /// No listing is answered.
    pub(super) fn hang_listing(&self, so: bool) {
        self.lists.store(so, Ordering::SeqCst);
    }

    pub(super) fn fail_once(&self, below: &'static str) {
        *self.once.lock().unwrap() = Some(below);
    }

    /// Whether what was to fail once has.
    pub(super) fn failed(&self) -> bool {
        self.once.lock().unwrap().is_none()
    }

    /// How often something was to be deleted.
    pub(super) fn deletes(&self) -> u64 {
        self.deleted.load(Ordering::SeqCst)
    }

    /// How often something was to be read or listed.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn ask(&self, also: &AtomicBool) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        while self.hangs.load(Ordering::SeqCst) || also.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Passes everything on to another store, but for its breaks.
#[derive(Debug)]
pub(super) struct Broken {
    store: Arc<dyn ObjectStore>,
    breaks: Arc<Breaks>,
}

impl Broken {
    pub(super) fn over(store: Arc<dyn ObjectStore>, breaks: &Arc<Breaks>) -> Arc<dyn ObjectStore> {
        Arc::new(Self { store, breaks: Arc::clone(breaks) })
    }

    fn check(what: &AtomicBool) -> Result<()> {
        match what.load(Ordering::SeqCst) {
            true => Err(cut()),
            false => Ok(()),
        }
    }
}

fn cut() -> Error {
    Error::Generic { store: "broken", source: "the line was cut".into() }
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
        Self::check(&self.breaks.puts)?;
        let put = self.store.put_opts(path, payload, options).await?;
        Self::check(&self.breaks.answers)?;
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
        self.breaks.ask(&AtomicBool::new(false)).await;
        Self::check(&self.breaks.reads)?;
        let once = |it: &mut &str| path.as_ref().contains(*it);
        if self.breaks.once.lock().unwrap().take_if(once).is_some() {
            return Err(cut());
        }
        let got = self.store.get_opts(path, options).await?;
        if !self.breaks.garbled.load(Ordering::SeqCst) {
            return Ok(got);
        }
        let (meta, range) = (got.meta.clone(), got.range.clone());
        let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
        let mut bytes = got.bytes().await?.to_vec();
        bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1);
        let stream = futures::stream::once(async move { Ok(bytes.into()) }).boxed();
        let payload = GetResultPayload::Stream(stream);
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.breaks.deleted.fetch_add(1, Ordering::SeqCst);
        match Self::check(&self.breaks.undeletable) {
            Ok(()) => self.store.delete_stream(paths),
            Err(error) => futures::stream::once(async move { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.breaks.ask(&self.breaks.lists).await;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
