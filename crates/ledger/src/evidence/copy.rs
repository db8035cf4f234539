//! Takes evidence from a ledger's folder: a copy, or the live one, which is only read.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Range;
use std::path::Path;

use keys::seal::SealingKey;

use super::{
    Content, Disclosed, EVIDENCE_BYTES_MAX, EntryProof, EvidenceEntry, EvidenceError,
    RANGE_ENTRIES_MAX, RangeProof,
};
use crate::body::{Body, body_aad, unwrap_key, wrapped_key};
use crate::disk::{Disk, SystemDisk};
use crate::envelope::{Bucket, Envelope, Half};
use crate::error::Damage;
use crate::identity::{BODY, Identity, JOURNAL, SMALL_FILE_BYTES_MAX};
use crate::journal::{JournalFrame, JournalScan};
use crate::local::key_name;
use crate::merkle::{Hash, inclusion_proof, perfect_subtrees};
use crate::note::Checkpoint;
use crate::retention::Disposals;
use crate::scan::{Source, scan_bodies, scan_log};
use crate::verify::{Folder, JOURNAL_BYTES_MAX, patiently};

type Node = (u32, u64);

/// What of an entry is disclosed beside its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclose {
    /// The half that a partner may be shown.
    Shared,
    /// Everything.
    All,
}

/// A ledger's folder, read once from end to end: its newest signed state.
pub struct LogCopy<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    identity: Identity,
    journal: Vec<JournalFrame>,
    size: u64,
    checkpoint: Option<String>,
    disposals: Disposals,
    progress: &'a dyn Fn(u64, u64),
}

impl<'a> LogCopy<'a> {
    /// Reads the log. Nothing is written, and no secret is needed. `progress` is told how many entries were
    /// read, and of how many once that is known (else 0); a proof reads the log once more.
    ///
    /// # Errors
    /// [`EvidenceError::Damaged`]: evidence is taken only from a log that holds.
    pub fn read(folder: &'a Path, progress: &'a dyn Fn(u64, u64)) -> Result<Self, EvidenceError> {
        let disk = &SystemDisk;
        Ok(patiently(disk, folder, || Self::once(disk, folder, progress))?)
    }

    /// As [`Self::read`], on a disk that a test owns.
    #[doc(hidden)]
    pub fn read_on(disk: &'a dyn Disk, folder: &'a Path) -> Result<Self, EvidenceError> {
        Ok(patiently(disk, folder, || Self::once(disk, folder, &|_, _| {}))?)
    }

    fn once(
        disk: &'a dyn Disk,
        folder: &'a Path,
        progress: &'a dyn Fn(u64, u64),
    ) -> Result<Self, Damage> {
        let place = Folder { disk, folder };
        let identity = place.identity(None)?;
        let journal = place.read(JOURNAL, JOURNAL_BYTES_MAX)?;
        let journal = JournalScan::read(&journal, &identity.id).frames;
        let (size, checkpoint, mut disposals) = (0, None, place.disposals()?);
        let none = Disposals::default();
        let mut copy =
            Self { disk, folder, identity, journal, size, checkpoint, disposals: none, progress };
        let see = &mut |envelope: &Envelope| {
            disposals.place(envelope);
        };
        let end = copy.walk(see, &mut |_, _, _| {})?;
        disposals.check()?;
        copy.disposals = disposals;
        let origin = copy.identity.origin.clone();
        let checkpoint = Checkpoint { origin, size: end.head.tree.size(), root: end.head.root };
        copy.size = checkpoint.size;
        copy.checkpoint = end.head.signature.map(|it| checkpoint.note(&copy.identity.key, &it));
        Ok(copy)
    }

    /// Tells each envelope and each perfect subtree.
    fn walk(
        &self,
        envelope: &mut dyn FnMut(&Envelope),
        node: &mut dyn FnMut(u32, u64, &Hash),
    ) -> Result<crate::scan::LogEnd, Damage> {
        let source = Source::new(self.disk, self.folder, &self.journal);
        let end =
            scan_log(&source, &self.identity.id, &self.identity.key, &mut |frame, _, _, tree| {
                for one in &frame.envelopes {
                    envelope(one);
                    tree.push(one.leaf(), node);
                }
                (self.progress)(tree.size(), self.size);
                Ok(())
            });
        end.map_err(|fault| Folder { disk: self.disk, folder: self.folder }.damage(fault))
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The key (C2SP vkey) that the folder names as its own.
    pub fn verifier_key(&self) -> String {
        self.identity.key.to_string()
    }

    /// The newest signed checkpoint (C2SP note).
    ///
    /// # Errors
    /// [`EvidenceError::NoEntry`] while the log is empty: nothing is signed then.
    pub fn checkpoint(&self) -> Result<&str, EvidenceError> {
        self.checkpoint.as_deref().ok_or_else(|| self.none("nothing is signed yet".to_owned()))
    }

    fn none(&self, asked: String) -> EvidenceError {
        EvidenceError::NoEntry { have: self.size, asked }
    }

    /// The proof of one entry. With the key that bodies are sealed under, it discloses what the entry says.
    ///
    /// # Errors
    /// [`EvidenceError::NoEntry`], [`EvidenceError::Damaged`], [`EvidenceError::WrongKey`].
    pub fn prove(
        &self,
        entry: u64,
        disclose: Option<(Disclose, &SealingKey)>,
    ) -> Result<EntryProof, EvidenceError> {
        let mut wanted = BTreeSet::new();
        let asked = inclusion_proof(entry, self.size, &mut |level, at| {
            wanted.insert((level, at));
            Ok::<_, Infallible>([0; 32])
        });
        let absent = || self.none(format!("there is no entry {entry}"));
        let (Ok(Some(_)), Some(after)) = (asked, entry.checked_add(1)) else {
            return Err(absent());
        };
        let (nodes, envelopes) = self.collect(&wanted, entry..after)?;
        let found = self.entries(envelopes, disclose)?.pop().ok_or_else(absent)?;
        let hash = |level, at| nodes.get(&(level, at)).copied().ok_or_else(absent);
        let path = inclusion_proof(entry, self.size, &mut |level, at| hash(level, at))?;
        let checkpoint = self.checkpoint()?.to_owned();
        Ok(EntryProof { entry: found, path: path.ok_or_else(absent)?, checkpoint })
    }

    /// The proof of the entries of a range. With the key that bodies are sealed under, it discloses what the
    /// entries say.
    ///
    /// # Errors
    /// [`EvidenceError::NoEntry`], [`EvidenceError::Damaged`], [`EvidenceError::WrongKey`],
    /// [`EvidenceError::TooLarge`].
    pub fn range(
        &self,
        range: Range<u64>,
        disclose: Option<(Disclose, &SealingKey)>,
    ) -> Result<RangeProof, EvidenceError> {
        let Range { start, end } = range;
        if start >= end || end > self.size || end - start > RANGE_ENTRIES_MAX {
            let asked = format!(
                "a range begins before it ends, ends with the ledger, and has at most \
                 {RANGE_ENTRIES_MAX} entries"
            );
            return Err(self.none(asked));
        }
        let (before, after) = (perfect_subtrees(0, start), perfect_subtrees(end, self.size));
        let wanted: BTreeSet<Node> = before.iter().chain(&after).copied().collect();
        let (nodes, envelopes) = self.collect(&wanted, start..end)?;
        let hashes = |wanted: &[Node]| -> Vec<Hash> {
            wanted.iter().filter_map(|it| nodes.get(it).copied()).collect()
        };
        let (before, after) = (hashes(&before), hashes(&after));
        let entries = self.entries(envelopes, disclose)?;
        let checkpoint = self.checkpoint()?.to_owned();
        Ok(RangeProof { entries, before, after, checkpoint })
    }

    fn entries(
        &self,
        envelopes: Vec<Envelope>,
        disclose: Option<(Disclose, &SealingKey)>,
    ) -> Result<Vec<EvidenceEntry>, EvidenceError> {
        let sealed = |envelope| EvidenceEntry { envelope, content: Content::Sealed };
        let Some((what, key)) = disclose else {
            return Ok(envelopes.into_iter().map(sealed).collect());
        };
        let mut said = self.bodies(&envelopes, what, key)?;
        let entries = envelopes.into_iter().map(|envelope| {
            let content = said.remove(&envelope.entry);
            let missing = "the body of an entry is missing";
            let content =
                content.ok_or_else(|| Damage::new(BODY, 0, Some(envelope.entry), missing))?;
            Ok(EvidenceEntry { envelope, content })
        });
        entries.collect()
    }

    /// The hashes of some perfect subtrees and the envelopes of a range, in one reading.
    fn collect(
        &self,
        wanted: &BTreeSet<Node>,
        range: Range<u64>,
    ) -> Result<(BTreeMap<Node, Hash>, Vec<Envelope>), Damage> {
        patiently(self.disk, self.folder, || {
            let (mut nodes, mut envelopes) = (BTreeMap::new(), Vec::new());
            self.walk(
                &mut |envelope| {
                    if range.contains(&envelope.entry) {
                        envelopes.push(envelope.clone());
                    }
                },
                &mut |level, at, hash| {
                    if wanted.contains(&(level, at)) {
                        nodes.insert((level, at), *hash);
                    }
                },
            )?;
            Ok((nodes, envelopes))
        })
    }

    /// What entries say, by entry; each is held against its envelope first.
    fn bodies(
        &self,
        envelopes: &[Envelope],
        what: Disclose,
        master: &SealingKey,
    ) -> Result<BTreeMap<u64, Content>, EvidenceError> {
        let mut in_buckets: BTreeMap<Bucket, BTreeMap<u64, &Envelope>> = BTreeMap::new();
        let mut said = BTreeMap::new();
        for envelope in envelopes {
            match self.disposals.locate(envelope) {
                Some(bucket) => {
                    in_buckets.entry(bucket).or_default().insert(envelope.entry, envelope);
                }
                None => {
                    said.insert(envelope.entry, Content::Disposed);
                }
            }
        }
        let source = Source::new(self.disk, self.folder, &self.journal);
        let place = Folder { disk: self.disk, folder: self.folder };
        let mut bytes = 0;
        for (bucket, wanted) in in_buckets {
            let file = place.read(&key_name(bucket), SMALL_FILE_BYTES_MAX)?;
            let key = wrapped_key(&file, &self.identity.id)
                .and_then(|wrapped| unwrap_key(master, &self.identity.id, bucket, wrapped));
            let key = key.ok_or_else(|| EvidenceError::WrongKey { bucket: bucket.name() })?;
            let scanned = scan_bodies(&source, bucket, &mut |found| {
                let Some(envelope) = wanted.get(&found.record.entry) else { return Ok(()) };
                // Nothing more is kept than fits into one file.
                bytes += found.record.sealed.len();
                if bytes > EVIDENCE_BYTES_MAX {
                    return Ok(());
                }
                let aad = body_aad(&self.identity.id, envelope.entry, bucket);
                let body = key.open(&aad, found.record.sealed).ok();
                let body = body.and_then(|plain| Body::parse(&plain));
                let body = body.filter(|body| body.matches(envelope));
                let body = body.ok_or_else(|| found.damage("the body is not the envelope's"))?;
                said.insert(envelope.entry, halves(body, what));
                Ok(())
            });
            scanned.map_err(|fault| place.damage(fault))?;
        }
        // In Base64, four bytes for three.
        let (bytes, max) = (bytes / 3 * 4, EVIDENCE_BYTES_MAX);
        if bytes > max { Err(EvidenceError::TooLarge { bytes, max }) } else { Ok(said) }
    }
}

pub(super) fn halves(body: Body, what: Disclose) -> Content {
    let Body { shared_salt, private_salt, shared, private } = body;
    let shared = Disclosed { half: Half::Shared, salt: shared_salt, content: shared };
    let private = Disclosed { half: Half::Private, salt: private_salt, content: private };
    Content::Disclosed(match what {
        Disclose::Shared => vec![shared],
        Disclose::All => vec![shared, private],
    })
}
