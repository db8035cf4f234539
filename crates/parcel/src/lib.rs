//! The sealed parcel: evidence in, one signed and encrypted folder, or ZIP file, out; and back.
//!
//! A parcel is a BagIt bag of CMS messages that stock `openssl`, `sha256sum` and `tar` open;
//! `docs/formats/parcel.md` has the format to the byte. Works on files and folders only: no server, no
//! database, no clock, no network.
//!
//! Invariants: nothing of a parcel is decrypted before the signed hash of its ciphertext was
//! checked; nothing is handed out before the sender's inner signature was; a seal that fails
//! leaves nothing at its destination (and beside it only what was asked for: ciphertext to go on with); plaintext never touches a disk while sealing.

mod asn1;
mod bag;
pub mod bagit;
mod carry;
mod cms;
mod custody;
pub mod document;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod intake;
pub mod media;
mod meta;
mod name;
pub mod notice;
mod open;
pub mod opener;
mod pax;
pub mod receipt;
pub mod scan;
mod seal;
pub mod signed;
mod store;
mod target;
pub mod timestamp;
mod verify;
mod zip;

#[cfg(test)]
mod hostile;

use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use keys::cert::Certificate;
use keys::kem::KemKey;
use keys::sign::P384Key;
use keys::transport::TransportKey;
use keys::{KeysError, Random};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use crate::bag::{HOW_TO_OPEN, STAMP_FILE, TAG_FILES, every_path, part_path, tag_files};
pub use crate::custody::{
    Circumstances, Closing, CustodyEvent, CustodyRecord, HandOver, LedgerReference, Made, Person,
    events as custody_events,
};
pub use crate::error::{Fault, Piece, Refused, SealError};
pub use crate::meta::{IndexedFile, Party, RSA_OAEP, RSA_OAEP_WORDS, Transfer, TransferRecord};
pub use crate::open::{
    Opened, Opening, SealedFile, Unlocked, open, open_file, open_with, verify_inside,
};
pub use crate::seal::{seal, seal_file, seal_file_resumable, seal_into, seal_resumable};
pub use crate::target::{Folder, Target, unfinished};
pub use crate::verify::{Inspection, Parcel, Verified, inspect, verify};
pub use crate::zip::{ZipFile, pack};

/// The version of the format that this crate writes and reads.
pub const SEAL_PROFILE: &str = "1.0";

/// Plaintext bytes of a part: default, least and most.
pub const PART_BYTES_DEFAULT: u64 = 64 << 20;
pub const PART_BYTES_MIN: u64 = 1 << 10;
pub const PART_BYTES_MAX: u64 = 256 << 20;
/// A thousand folders of a thousand parts.
pub const PARTS_MAX: u64 = 1_000_000;
/// Recipients of one parcel.
pub const RECIPIENTS_MAX: usize = 16;
/// Certificates that go with a signature: the signer's, and its issuers.
pub const CHAIN_MAX: usize = 4;
/// Files in one parcel.
pub const ENTRIES_MAX: usize = 100_000;
/// Custody events in one parcel.
pub const CUSTODY_EVENTS_MAX: usize = 10_000;
/// Bytes of a path in a parcel, and of one of its components.
pub const PATH_BYTES_MAX: usize = 1_024;
pub const COMPONENT_BYTES_MAX: usize = 255;
/// Bytes of all that a parcel holds besides evidence: manifests, index, custody.
pub const METADATA_BYTES_MAX: u64 = 256 << 20;
/// Threads that seal or check parts. Memory is this number, plus one, times the part size.
pub const WORKERS_DEFAULT: usize = 2;
pub const WORKERS_MAX: usize = 32;
/// Bytes that one call of [`open_file`] or [`Unlocked::read`] gives.
pub const RANGE_BYTES_MAX: u64 = 64 << 20;
/// How far a signing time may lie after the reader's `now`.
pub const SKEW_SECONDS_MAX: i64 = 300;

/// Opens an entry's bytes, once, when its turn comes.
pub type Source = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

/// One file to be sealed.
pub struct Entry {
    /// Relative, `/` between components. What is allowed is in `docs/formats/parcel.md`.
    pub path: String,
    /// For example `video/mp4`.
    pub media_type: String,
    /// From 1970 on; whole seconds are kept.
    pub modified: Timestamp,
    /// Exactly as many bytes as `open`'s reader gives; another number is an error.
    pub length: u64,
    pub open: Source,
}

impl Entry {
    /// An entry whose bytes are in memory.
    pub fn from_bytes(path: &str, media_type: &str, modified: Timestamp, bytes: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            media_type: media_type.to_owned(),
            modified,
            length: bytes.len() as u64,
            open: Box::new(move || Ok(Box::new(io::Cursor::new(bytes)))),
        }
    }

    /// An entry whose bytes are in a file, which is opened when its turn comes.
    pub fn from_file(path: &str, media_type: &str, file: &Path) -> io::Result<Self> {
        let facts = std::fs::metadata(file)?;
        let modified = facts.modified()?.try_into().map_err(io::Error::other)?;
        let file = file.to_owned();
        Ok(Self {
            path: path.to_owned(),
            media_type: media_type.to_owned(),
            modified,
            length: facts.len(),
            open: Box::new(move || Ok(Box::new(std::fs::File::open(file)?))),
        })
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({}, {} bytes)", self.path, self.length)
    }
}

/// Who signs: the certificate, then its issuers if receivers may lack them; and the key.
#[derive(Debug)]
pub struct Signer {
    pub chain: Vec<Certificate>,
    pub key: P384Key,
}

/// Who opens: a certificate that parcels are sealed to, and its key.
#[derive(Debug)]
pub struct Recipient {
    pub certificate: Certificate,
    pub key: RecipientKey,
}

/// The kinds of keys that parcels are sealed to; RSA only where the sender allowed it.
#[derive(Debug)]
pub enum RecipientKey {
    P384(P384Key),
    MlKem(KemKey),
    Rsa(TransportKey),
}

impl RecipientKey {
    /// From PKCS#8, of any of the kinds.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let kem = KemKey::from_pkcs8(pkcs8).map(Self::MlKem);
        let known = kem
            .or_else(|_| P384Key::from_pkcs8(pkcs8).map(Self::P384))
            .or_else(|_| TransportKey::from_pkcs8(pkcs8).map(Self::Rsa));
        known.map_err(|_| KeysError::PrivateKey {
            expected: "P-384, ML-KEM (with the expanded key) or RSA PKCS#8",
        })
    }

    /// PKCS#8.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        match self {
            Self::P384(key) => Ok(key.to_pkcs8()),
            Self::MlKem(key) => key.to_pkcs8(),
            Self::Rsa(key) => Ok(key.to_pkcs8()),
        }
    }
}

impl From<P384Key> for RecipientKey {
    fn from(key: P384Key) -> Self {
        Self::P384(key)
    }
}

impl From<KemKey> for RecipientKey {
    fn from(key: KemKey) -> Self {
        Self::MlKem(key)
    }
}

/// Whose signatures are believed, and when "now" is.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Signers' certificates, or certificates of CAs that issue them.
    pub senders: Vec<Certificate>,
    /// The reader's time. For a parcel of long ago: the time at which it was received.
    pub now: Timestamp,
}

/// Told of progress, and asked whether to stop.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called with bytes done and bytes in all, from any of the threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
    /// Set to make the operation stop at the next piece, with an error and nothing left behind.
    pub cancel: &'a AtomicBool,
}

impl Watch<'static> {
    /// Watches nothing and never stops.
    pub fn none() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self { progress: &|_, _| {}, cancel: &NEVER }
    }
}

impl Watch<'_> {
    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// All that a parcel is made of.
pub struct Seal<'a> {
    /// The parcel's name for ever, on both sides.
    pub id: Uuid,
    pub sender: &'a Signer,
    /// P-384 certificates that allow key agreement, or ML-KEM certificates that allow key encipherment; each opens the whole parcel alone.
    pub recipients: Vec<Certificate>,
    /// Whether RSA certificates may be among them. RSA-OAEP is no approved service of the module; the parcel is marked with it.
    pub allow_rsa_oaep: bool,
    /// Plaintext bytes of a part; [`PART_BYTES_DEFAULT`] unless there is a reason.
    pub part_size: u64,
    /// [`WORKERS_DEFAULT`] unless there is a reason.
    pub workers: usize,
    pub entries: Vec<Entry>,
    pub transfer: Transfer,
    pub custody: Vec<CustodyEvent>,
    /// Whether the custody record goes along as PDF/A too. It makes the smallest parcel some 30 KB larger.
    pub custody_document: bool,
    /// Signing time and bagging date.
    pub now: Timestamp,
    pub random: &'a dyn Random,
    pub watch: Watch<'a>,
}

/// What sealing made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub id: Uuid,
    /// SHA-256 of the outer `tagmanifest-sha256.txt`: the parcel's digest in ledgers and receipts.
    pub digest: [u8; 32],
    pub parts: u64,
    /// Bytes of all encrypted parts.
    pub bytes: u64,
    /// What was sealed: path, length and SHA-256 of every file.
    pub files: Vec<IndexedFile>,
    /// What it says of itself inside.
    pub record: TransferRecord,
}
