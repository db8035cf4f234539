//! A witness: what it knows of each log, and whether it cosigns.
//!
//! Invariants: the check against what was cosigned last, and the writing down of what is cosigned now,
//! are one step that no other request comes between; a cosignature exists only after the checkpoint is on
//! disk. So no crash, no failed write and no race makes it cosign a tree that does not continue the last.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keys::Clock;
use keys::digest::sha256;
use keys::sign::Ed25519Key;

use crate::disk::{Disk, DiskLock};
use crate::merkle::{Hash, empty_root, verify_consistency};
use crate::note::{Checkpoint, NoteError, VerifierKey, is_key_name};
use crate::witness::documents::Documents;
use crate::witness::evidence::{self, Evidence, Wrong};
use crate::witness::{AddCheckpoint, Answer, Cosignature, WitnessKey, cosigned};

/// Most logs that a witness keeps.
pub const LOGS_MAX: usize = 1_000;

/// Why a witness could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    #[error("could not {doing} `{path}`")]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the witness in `{folder}` runs in another process")]
    InUse { folder: PathBuf },
    #[error("what is known of log `{origin}` can't be read: `{path}`")]
    Damaged {
        origin: String,
        path: PathBuf,
        #[source]
        source: NoteError,
    },
    #[error("`{name}` is not a name for a witness: no spaces, no plus signs")]
    Name { name: String },
    #[error("{count} logs are more than the {LOGS_MAX} that a witness keeps")]
    TooMany { count: usize },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub answer: Answer,
    /// What the keeper of the witness may want to put on record.
    pub noted: Option<Noted>,
}

/// Something about a log that is worth a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// A checkpoint that continues the last one was cosigned; `note` is signed by log and witness.
    Cosigned { origin: String, size: u64, first: bool, note: String },
    /// The log signs a smaller tree than it had: its folder may be a restored copy.
    WentBack { origin: String, size: u64, seen: u64 },
    /// Two signed trees that can't both be the log's. `evidence_kept`: not where there was too much.
    Forked { origin: String, size: u64, evidence: Evidence, evidence_kept: bool },
}

/// What is known of a log.
#[derive(Debug, Clone)]
struct Seen {
    checkpoint: Checkpoint,
    /// Signed by the log and, since it was written down, by us.
    note: String,
}

struct Log {
    keys: Vec<VerifierKey>,
    document: String,
    seen: Option<Seen>,
}

/// A witness. Requests may come from any thread.
pub struct Witness {
    key: WitnessKey,
    signer: Ed25519Key,
    clock: Arc<dyn Clock>,
    documents: Documents,
    logs: Mutex<BTreeMap<String, Log>>,
    /// Only one process keeps a folder.
    lock: Arc<dyn DiskLock>,
}

/// SHA-256 of an origin, hex: how a log is named in paths.
pub fn origin_id(origin: &str) -> String {
    hex::encode(sha256(origin.as_bytes()))
}

impl Witness {
    /// Opens a witness's folder, which is made if it is not there. `logs` are the keys of the logs that it
    /// cosigns for; several keys of one name are one log's.
    ///
    /// # Errors
    /// [`WitnessError`]. What is known of a log and can't be read is not passed over: a witness that
    /// forgot could be led back.
    pub fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        name: &str,
        signer: Ed25519Key,
        logs: Vec<VerifierKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WitnessError> {
        if !is_key_name(name) {
            return Err(WitnessError::Name { name: name.to_owned() });
        }
        if logs.len() > LOGS_MAX {
            return Err(WitnessError::TooMany { count: logs.len() });
        }
        let failed = |doing, path: &Path| WitnessError::from_disk(doing, path.to_owned());
        let documents = Documents::open(Arc::clone(disk), folder.to_owned())
            .map_err(failed("create", folder))?;
        let lock = folder.join("lock");
        let locked = disk.lock(&lock).map_err(failed("lock", &lock))?;
        let in_use = || WitnessError::InUse { folder: folder.to_owned() };
        let lock = locked.ok_or_else(in_use)?;
        let mut known: BTreeMap<String, Log> = BTreeMap::new();
        for key in logs {
            let origin = key.name.clone();
            if let Some(log) = known.get_mut(&origin) {
                log.keys.push(key);
                continue;
            }
            let document = format!("log-{}", origin_id(&origin));
            let seen = read(&documents, &document, &origin)?;
            known.insert(origin, Log { keys: vec![key], document, seen });
        }
        let key = WitnessKey { name: name.to_owned(), public: signer.public() };
        Ok(Self { key, signer, clock, documents, logs: Mutex::new(known), lock })
    }

    /// The key under which it cosigns.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Judges the body of an `add-checkpoint` request. Waits for the disk.
    pub fn add(&self, body: &[u8]) -> Judged {
        let plain = |answer| Judged { answer, noted: None };
        let Ok((request, checkpoint)) = AddCheckpoint::parse(body) else {
            return plain(Answer::Malformed);
        };
        let mut logs = self.logs();
        let Some(log) = logs.get_mut(&checkpoint.origin) else {
            return plain(Answer::UnknownOrigin);
        };
        if !log.keys.iter().any(|key| Checkpoint::open(&request.note, key).is_ok()) {
            return plain(Answer::BadSignature);
        }
        if request.old > checkpoint.size {
            return plain(Answer::Malformed);
        }
        let (seen, root) = match &log.seen {
            Some(seen) => (seen.checkpoint.size, seen.checkpoint.root),
            None => (0, empty_root()),
        };
        if seen == checkpoint.size && log.seen.is_some() && root != checkpoint.root {
            let noted = self.forked(log, &request, &checkpoint, Wrong::TwoRoots);
            return Judged { answer: Answer::Conflict(seen), noted: Some(noted) };
        }
        if request.old != seen {
            let (origin, size) = (checkpoint.origin, checkpoint.size);
            let back = (size < seen).then_some(Noted::WentBack { origin, size, seen });
            return Judged { answer: Answer::Conflict(seen), noted: back };
        }
        if continues(&request, &root, &checkpoint) {
            return self.cosign(log, &request, checkpoint);
        }
        let noted = self.forked(log, &request, &checkpoint, Wrong::Proof);
        Judged { answer: Answer::BadProof, noted: Some(noted) }
    }

    /// Writes the checkpoint down, then gives the cosignature. The same checkpoint again is not written.
    fn cosign(&self, log: &mut Log, request: &AddCheckpoint, checkpoint: Checkpoint) -> Judged {
        let text = checkpoint_text(&request.note);
        let cosignature = Cosignature::sign(text, self.clock.now(), &self.signer);
        let answer = Answer::Cosigned(cosignature.line(&self.key));
        let again = log.seen.as_ref().is_some_and(|seen| seen.checkpoint.size == checkpoint.size);
        if again {
            return Judged { answer, noted: None };
        }
        // A note that is full of signatures is kept without ours.
        let note = cosigned(&request.note, &self.key, &cosignature);
        let note = note.unwrap_or_else(|_| request.note.clone());
        // Without the lock another process may be cosigning from the same folder.
        let locked = match self.lock.in_place() {
            Ok(true) => Ok(()),
            Ok(false) => Err(io::Error::other("the witness's lock file was removed or replaced")),
            Err(error) => Err(error),
        };
        let written = locked.and_then(|()| self.documents.replace(&log.document, &note));
        if let Err(error) = written {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a checkpoint could not be written down, and was not cosigned");
            return Judged { answer: Answer::Trouble(503), noted: None };
        }
        let first = log.seen.is_none();
        let (origin, size) = (checkpoint.origin.clone(), checkpoint.size);
        log.seen = Some(Seen { checkpoint, note: note.clone() });
        Judged { answer, noted: Some(Noted::Cosigned { origin, size, first, note }) }
    }

    fn forked(
        &self,
        log: &Log,
        request: &AddCheckpoint,
        checkpoint: &Checkpoint,
        wrong: Wrong,
    ) -> Noted {
        let known = log.seen.as_ref().map(|seen| seen.note.clone()).unwrap_or_default();
        let evidence = Evidence { wrong, known, refused: request.encode() };
        let evidence_kept = self.keep(&evidence);
        let (origin, size) = (checkpoint.origin.clone(), checkpoint.size);
        Noted::Forked { origin, size, evidence, evidence_kept }
    }

    fn keep(&self, evidence: &Evidence) -> bool {
        match evidence::keep(&self.documents, evidence) {
            Ok(kept) => kept,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "evidence against a log could not be kept");
                false
            }
        }
    }

    /// Holds a checkpoint that came another way (with a delivery, for one) against what is known of the
    /// log. Only two roots of one size are proof of a fork; other sizes say nothing without a proof.
    pub fn compare(&self, note: &str) -> Option<Noted> {
        let checkpoint = Checkpoint::parse(note).ok()?;
        let logs = self.logs();
        let log = logs.get(&checkpoint.origin)?;
        let seen = log.seen.as_ref()?;
        let signed = log.keys.iter().any(|key| Checkpoint::open(note, key).is_ok());
        let same = checkpoint.size == seen.checkpoint.size;
        if !signed || !same || checkpoint.root == seen.checkpoint.root {
            return None;
        }
        let known = seen.note.clone();
        let evidence = Evidence { wrong: Wrong::TwoRoots, known, refused: note.to_owned() };
        let evidence_kept = self.keep(&evidence);
        let (origin, size) = (checkpoint.origin, checkpoint.size);
        Some(Noted::Forked { origin, size, evidence, evidence_kept })
    }

    /// The newest cosigned checkpoint of the log with this [`origin_id`].
    pub fn newest(&self, id: &str) -> Option<String> {
        let logs = self.logs();
        let log = logs.iter().find(|(origin, _)| origin_id(origin) == id);
        log.and_then(|(_, log)| log.seen.as_ref()).map(|seen| seen.note.clone())
    }

    /// The logs and how large they were last: origin and size.
    pub fn sizes(&self) -> Vec<(String, Option<u64>)> {
        let size = |log: &Log| log.seen.as_ref().map(|seen| seen.checkpoint.size);
        self.logs().iter().map(|(origin, log)| (origin.clone(), size(log))).collect()
    }

    /// The evidence that is kept.
    ///
    /// # Errors
    /// [`WitnessError::Disk`].
    pub fn evidence(&self) -> Result<Vec<Evidence>, WitnessError> {
        let folder = self.documents.folder.clone();
        evidence::all(&self.documents).map_err(WitnessError::from_disk("read", folder))
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<String, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WitnessError {
    fn from_disk(doing: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, path, source }
    }
}

fn read(documents: &Documents, document: &str, origin: &str) -> Result<Option<Seen>, WitnessError> {
    let path = documents.folder.join(document);
    let note = documents.read(document);
    let Some(note) = note.map_err(WitnessError::from_disk("read", path.clone()))? else {
        return Ok(None);
    };
    let damaged =
        |source| WitnessError::Damaged { origin: origin.to_owned(), path: path.clone(), source };
    let checkpoint = Checkpoint::parse(&note).map_err(damaged)?;
    if checkpoint.origin != origin {
        return Err(damaged(NoteError::Origin));
    }
    Ok(Some(Seen { checkpoint, note }))
}

/// Whether the request's proof leads from the tree that was cosigned last to the new one. From nothing,
/// the empty proof leads anywhere; `verify_consistency` keeps refusing size 0.
fn continues(request: &AddCheckpoint, root: &Hash, new: &Checkpoint) -> bool {
    if new.size == 0 && new.root != empty_root() {
        return false;
    }
    if request.old == 0 {
        return request.proof.is_empty();
    }
    verify_consistency(request.old, new.size, root, &new.root, &request.proof).is_ok()
}

/// What is signed of a note: all up to the empty line, extension lines too.
fn checkpoint_text(note: &str) -> &str {
    crate::witness::cosignature::text_of(note).unwrap_or_default()
}
