//! Holds an archive against itself, against the ledger's key, and against a checkpoint and a size from
//! elsewhere. Needs no secret and nothing of the ledger's folder.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use keys::digest::sha256;
use object_store::ObjectStore;

use super::error::ArchiveError;
use super::manifest::{MANIFEST_BYTES_MAX, Manifest, Object};
use super::segment::{read_bodies, read_log};
use crate::envelope::Bucket;
use crate::identity::{IDENTITY, Identity, SMALL_FILE_BYTES_MAX};
use crate::journal::Segment;
use crate::merkle::Hash;
use crate::note::{Checkpoint, VerifierKey};
use crate::shelf::{digest, whole};
use crate::store::Head;
use crate::tiling::Edges;
use crate::verify::Numbers;

/// The longest segment, and so the longest object that is read whole.
const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// What to hold an archive against.
pub struct CheckArchive<'a> {
    /// The verifier key (C2SP) that must have signed. Without it the archive's own is taken, which
    /// shows that the archive agrees with itself.
    pub key: Option<&'a str>,
    /// The least number of entries.
    pub expect_size: Option<u64>,
    /// A checkpoint (signed note) from elsewhere.
    pub checkpoint: Option<&'a str>,
    /// Told how many segments were checked, and of how many.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// An archive that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveChecked {
    pub origin: String,
    /// Entries in the archived log, from 0.
    pub size: u64,
    pub root: Hash,
    /// Bodies in the archive.
    pub bodies: u64,
    pub objects: u64,
    /// Whether the checkpoint was within what is archived, and so was compared.
    pub checkpoint_held: bool,
}

/// Verifies an archive.
///
/// # Errors
/// [`ArchiveError`], which names the object that does not hold or is missing.
pub async fn verify_archive(
    store: &dyn ObjectStore,
    with: CheckArchive<'_>,
) -> Result<ArchiveChecked, ArchiveError> {
    let identity = identity(store, with.key).await?;
    let checkpoint = with.checkpoint.map(|note| Checkpoint::open(note, &identity.key)).transpose();
    let checkpoint = checkpoint
        .map_err(|_| ArchiveError::broken("the checkpoint", "is not of this log's key"))?;
    let (logs, bodies) = segments(store).await?;
    let total = (logs.len() + bodies.len()) as u64;
    let mut state = State {
        store,
        identity: &identity,
        tiling: Edges::default(),
        head: Head::default(),
        in_buckets: BTreeMap::new(),
        checkpoint: checkpoint.as_ref(),
        held: false,
        objects: 0,
    };
    state.hold_checkpoint_at_start()?;
    for (expected, number) in (0..).zip(logs) {
        if number != expected {
            let missing = Manifest::path(Segment::Log(expected));
            return Err(ArchiveError::broken(&missing, "is missing"));
        }
        state.log(number).await?;
        (with.progress)(u64::from(number) + 1, total);
    }
    let mut count = 0;
    let mut done = total - bodies.len() as u64;
    for (bucket, number) in bodies {
        count += state.body(bucket, number).await?;
        done += 1;
        (with.progress)(done, total);
    }
    let size = state.tiling.tree().size();
    if let Some(expected) = with.expect_size.filter(|expected| *expected > size) {
        return Err(ArchiveError::Short { size, expected });
    }
    Ok(ArchiveChecked {
        origin: identity.origin.clone(),
        size,
        root: state.head.root,
        bodies: count,
        objects: state.objects,
        checkpoint_held: state.held,
    })
}

async fn identity(store: &dyn ObjectStore, key: Option<&str>) -> Result<Identity, ArchiveError> {
    let bytes = whole(store, IDENTITY, None, SMALL_FILE_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| ArchiveError::broken(IDENTITY, "is missing"))?;
    let identity = String::from_utf8(bytes).ok().and_then(|text| Identity::parse(&text));
    let identity =
        identity.ok_or_else(|| ArchiveError::broken(IDENTITY, "is no ledger's identity"))?;
    match key.map(|key| VerifierKey::parse(key.trim())) {
        None => Ok(identity),
        Some(Ok(key)) if key == identity.key => Ok(identity),
        Some(Ok(_)) => {
            Err(ArchiveError::broken(IDENTITY, "is of another key than the expected one"))
        }
        Some(Err(_)) => Err(ArchiveError::broken("the expected key", "is no verifier key")),
    }
}

/// The segments that have manifests: of the log, and of bodies.
async fn segments(store: &dyn ObjectStore) -> Result<(Vec<u32>, Vec<(Bucket, u32)>), ArchiveError> {
    let (mut logs, mut bodies) = (Vec::new(), Vec::new());
    for folder in [crate::identity::LOG, crate::identity::BODY] {
        let path = object_store::path::Path::from(folder);
        let mut list = store.list(Some(&path));
        while let Some(found) =
            list.try_next().await.map_err(ArchiveError::store("list", folder))?
        {
            match Manifest::of_path(found.location.as_ref()) {
                Some(Segment::Log(number)) => logs.push(number),
                Some(Segment::Body(bucket, number)) => bodies.push((bucket, number)),
                None => {}
            }
        }
    }
    logs.sort_unstable();
    bodies.sort_unstable();
    Ok((logs, bodies))
}

struct State<'a> {
    store: &'a dyn ObjectStore,
    identity: &'a Identity,
    tiling: Edges,
    /// The log's head as far as it was read.
    head: Head,
    /// Entries of each bucket, as the archived log has them.
    in_buckets: BTreeMap<Bucket, Numbers>,
    checkpoint: Option<&'a Checkpoint>,
    held: bool,
    objects: u64,
}

impl State<'_> {
    fn hold_checkpoint_at_start(&mut self) -> Result<(), ArchiveError> {
        if let Some(checkpoint) = self.checkpoint.filter(|it| it.size == 0) {
            self.held = checkpoint.root == self.head.root;
            if !self.held {
                return Err(ArchiveError::Checkpoint { size: 0 });
            }
        }
        Ok(())
    }

    async fn manifest(&self, segment: Segment) -> Result<(String, Manifest), ArchiveError> {
        let path = Manifest::path(segment);
        let manifest = manifest(self.store, &path, &self.identity.key).await?;
        let manifest = manifest.ok_or_else(|| ArchiveError::broken(&path, "is missing"))?;
        if manifest.ledger != self.identity.id || manifest.segment != segment {
            return Err(ArchiveError::broken(&path, "is of another ledger or segment"));
        }
        Ok((path, manifest))
    }

    /// Checks the objects of a manifest; gives the segment itself.
    async fn objects(&mut self, manifest: &Manifest) -> Result<Vec<u8>, ArchiveError> {
        let mut segment = None;
        for object in &manifest.objects {
            let broken = |what| Err(ArchiveError::broken(&object.path, what));
            if object.path == manifest.segment.path() {
                let max = object.bytes.min(OBJECT_BYTES_MAX);
                let version = object.version.as_deref();
                let Some(bytes) = whole(self.store, &object.path, version, max).await? else {
                    return broken("is missing");
                };
                if bytes.len() as u64 != object.bytes || sha256(&bytes) != object.sha256 {
                    return broken("is not what was archived");
                }
                segment = Some(bytes);
            } else {
                let version = object.version.as_deref();
                match digest(self.store, &object.path, version, object.bytes).await? {
                    None => return broken("is missing"),
                    Some((found, _)) if found == object.sha256 => {}
                    Some(_) => return broken("is not what was archived"),
                }
            }
            self.objects += 1;
        }
        let path = Manifest::path(manifest.segment);
        segment.ok_or_else(|| ArchiveError::broken(&path, "does not list its segment"))
    }

    async fn log(&mut self, number: u32) -> Result<(), ArchiveError> {
        let (path, manifest) = self.manifest(Segment::Log(number)).await?;
        let broken = |what: &str| ArchiveError::broken(&path, what);
        let chain = manifest.chain.clone().ok_or_else(|| broken("has no chain"))?;
        let follows = manifest.first == self.head.size()
            && chain.follows == self.head.digest
            && chain.root_before == self.head.root;
        if !follows {
            return Err(broken("does not follow the segment before"));
        }
        let bytes = self.objects(&manifest).await?;
        let Self { tiling, head, checkpoint, held, .. } = self;
        let mut differs = false;
        let at = (&self.identity.id, number);
        let read = read_log(&bytes, at, head, tiling, &mut |tree| {
            if let Some(checkpoint) = checkpoint.filter(|it| it.size == tree.size()) {
                *held = checkpoint.root == tree.root();
                differs = !*held;
            }
        });
        let read = read.map_err(|what| ArchiveError::broken(&Segment::Log(number).path(), what))?;
        if differs {
            let size = checkpoint.map_or(0, |checkpoint| checkpoint.size);
            return Err(ArchiveError::Checkpoint { size });
        }
        let (size, root) = (read.head.size(), read.head.root);
        if read.head.digest != chain.ends || root != chain.root || size != manifest.end {
            return Err(broken("is not of the segment that it lists"));
        }
        for tile in &read.tiles {
            listed(&manifest, &tile.path(), &tile.bytes)?;
        }
        if let Some(signature) = read.head.signature {
            let origin = self.identity.origin.clone();
            let checkpoint = Checkpoint { origin, size, root };
            let name = format!("log/{number:08}.checkpoint");
            if checkpoint.verify(&self.identity.key.public, &signature).is_err() {
                return Err(broken("is of a log that another key signed"));
            }
            listed(&manifest, &name, checkpoint.note(&self.identity.key, &signature).as_bytes())?;
        }
        for envelope in &read.envelopes {
            self.in_buckets.entry(envelope.bucket).or_default().insert(envelope.entry);
        }
        self.head = read.head;
        Ok(())
    }

    /// Bodies are whole and, as far as the archived log goes, exactly those of its entries.
    async fn body(&mut self, bucket: Bucket, number: u32) -> Result<u64, ArchiveError> {
        let segment = Segment::Body(bucket, number);
        let (path, manifest) = self.manifest(segment).await?;
        let bytes = self.objects(&manifest).await?;
        let records =
            read_bodies(&bytes).map_err(|what| ArchiveError::broken(&segment.path(), what))?;
        let entries: Vec<u64> = records.iter().map(|record| record.entry).collect();
        let first = entries.first().copied().unwrap_or_default();
        let end = entries.last().map_or(0, |last| last.saturating_add(1));
        let counted = (manifest.first, manifest.end, manifest.count);
        if counted != (first, end, entries.len() as u64) {
            return Err(ArchiveError::broken(&path, "is not of the segment that it lists"));
        }
        let size = self.tiling.tree().size();
        let known = self.in_buckets.get(&bucket).into_iter().flat_map(|it| it.between(first, end));
        let here = entries.iter().copied().filter(|entry| *entry < size);
        if !known.eq(here) {
            let what = "does not hold the bodies of the entries that the log has";
            return Err(ArchiveError::broken(&segment.path(), what));
        }
        Ok(manifest.count)
    }
}

/// Whether a manifest lists an object with just these bytes.
fn listed(manifest: &Manifest, path: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let is_it = |object: &Object| object.path == path && object.sha256 == sha256(bytes);
    if manifest.objects.iter().any(is_it) {
        return Ok(());
    }
    Err(ArchiveError::broken(path, "is not that of the archived log"))
}

/// The manifest at a path; `None` if there is none.
pub(super) async fn manifest(
    store: &dyn ObjectStore,
    path: &str,
    key: &VerifierKey,
) -> Result<Option<Manifest>, ArchiveError> {
    let Some(bytes) = whole(store, path, None, MANIFEST_BYTES_MAX as u64).await? else {
        return Ok(None);
    };
    let broken = |what: &str| ArchiveError::broken(path, what);
    let note = String::from_utf8(bytes).map_err(|_| broken("is no text"))?;
    let manifest = Manifest::open(&note, key);
    manifest.map(Some).map_err(|error| broken(&format!("does not hold: {error}")))
}
