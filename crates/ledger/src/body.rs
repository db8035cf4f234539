//! What an envelope commits to: the record itself, sealed under its bucket's key, and the key
//! files of the buckets.
//!
//! A body record in a body segment: magic, length, entry, SHA-256 of the sealed part, the sealed
//! part, zeros up to 16 bytes. The digest lets damage be found without any secret.

use keys::digest::sha256;
use keys::seal::SealingKey;

use crate::bytes::{Reader, is_zero, padded};
use crate::envelope::{Bucket, Envelope, Half, LedgerId, commit};

/// Longest record, as JSON.
pub const BODY_BYTES_MAX: usize = 512 << 10;

pub(crate) const HEADER_BYTES: usize = 48;
pub(crate) const MAGIC: &[u8; 4] = b"BWB1";
const UNIT: usize = 16;
const AAD_BODY: &[u8] = b"bailiwick/ledger/body/1";
/// Salts, length of the shared half, AES-GCM's nonce and tag.
pub(crate) const SEALED_EXTRA: usize = 32 + 32 + 4 + 12 + 16;

/// A body in the clear: both halves and their salts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub shared_salt: [u8; 32],
    pub private_salt: [u8; 32],
    pub shared: Vec<u8>,
    pub private: Vec<u8>,
}

impl Body {
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(68 + self.shared.len() + self.private.len());
        out.extend_from_slice(&self.shared_salt);
        out.extend_from_slice(&self.private_salt);
        out.extend_from_slice(&u32::try_from(self.shared.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&self.shared);
        out.extend_from_slice(&self.private);
        Some(out)
    }

    pub fn parse(plain: &[u8]) -> Option<Self> {
        let (fixed, rest) = plain.split_at_checked(68)?;
        let mut reader = Reader::new(fixed);
        let (shared_salt, private_salt) = (reader.array()?, reader.array()?);
        let (shared, private) = rest.split_at_checked(reader.length()?)?;
        let (shared, private) = (shared.to_vec(), private.to_vec());
        Some(Self { shared_salt, private_salt, shared, private })
    }

    /// The two commitments for an envelope of this kind.
    pub fn commitments(&self, kind: u8) -> ([u8; 32], [u8; 32]) {
        (
            commit(&self.shared_salt, Half::Shared, kind, &self.shared),
            commit(&self.private_salt, Half::Private, kind, &self.private),
        )
    }

    /// Whether this is what the envelope commits to.
    pub fn matches(&self, envelope: &Envelope) -> bool {
        self.commitments(envelope.kind) == (envelope.shared, envelope.private)
    }
}

/// What a body is bound to when it is sealed.
pub(crate) fn body_aad(ledger: &LedgerId, entry: u64, bucket: Bucket) -> Vec<u8> {
    [AAD_BODY, ledger, &entry.to_be_bytes(), bucket.name().as_bytes()].concat()
}

/// A body record as it lies in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRecord<'a> {
    pub entry: u64,
    pub sealed: &'a [u8],
}

impl<'a> BodyRecord<'a> {
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(padded(HEADER_BYTES + self.sealed.len(), UNIT));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&u32::try_from(self.sealed.len()).ok()?.to_be_bytes());
        out.extend_from_slice(&self.entry.to_be_bytes());
        out.extend_from_slice(&sha256(self.sealed));
        out.extend_from_slice(self.sealed);
        out.resize(padded(out.len(), UNIT), 0);
        Some(out)
    }

    /// The record at the beginning of `bytes`, and the bytes that it takes up.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        let head = BodyHead::read(&mut reader)?;
        let sealed = reader.slice(head.length)?;
        let pad = reader.slice(head.taken() - HEADER_BYTES - head.length)?;
        let sound = is_zero(pad) && sha256(sealed) == head.digest;
        sound.then_some((Self { entry: head.entry, sealed }, head.taken()))
    }
}

/// The first 48 bytes of a body record.
pub(crate) struct BodyHead {
    length: usize,
    pub(crate) entry: u64,
    digest: [u8; 32],
}

impl BodyHead {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Reader::new(bytes))
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if &reader.array::<4>()? != MAGIC {
            return None;
        }
        let head = Self { length: reader.length()?, entry: reader.u64()?, digest: reader.array()? };
        (head.length <= 2 * BODY_BYTES_MAX).then_some(head)
    }

    /// Bytes of the whole record, padding included.
    pub(crate) fn taken(&self) -> usize {
        padded(HEADER_BYTES + self.length, UNIT)
    }
}

const KEY_MAGIC: &[u8; 8] = b"BWKEY001";
const KEY_LABEL: &[u8] = b"bailiwick/ledger/bucket-key/1";
/// Magic, ledger, wrapped key (12 + 32 + 16), SHA-256.
pub(crate) const KEY_FILE_BYTES: usize = 8 + 16 + 60 + 32;

/// The key file of a bucket: the bucket's key wrapped under the master.
pub(crate) fn key_file(
    master: &SealingKey,
    ledger: &LedgerId,
    bucket: Bucket,
    key: &SealingKey,
) -> Result<Vec<u8>, keys::KeysError> {
    let wrapped = master.seal(&key_aad(ledger, bucket), key.expose())?;
    let mut out = [KEY_MAGIC.as_slice(), ledger, &wrapped].concat();
    out.extend_from_slice(&sha256(&out));
    Ok(out)
}

/// The wrapped key in a key file, if the file is whole and of this ledger.
pub fn wrapped_key<'a>(file: &'a [u8], ledger: &LedgerId) -> Option<&'a [u8]> {
    if file.len() != KEY_FILE_BYTES {
        return None;
    }
    let (content, digest) = file.split_at_checked(KEY_FILE_BYTES - 32)?;
    let mut reader = Reader::new(content);
    let sound = &reader.array::<8>()? == KEY_MAGIC
        && &reader.array::<16>()? == ledger
        && sha256(content) == digest;
    sound.then(|| reader.slice(60)).flatten()
}

/// The bucket's key, or `None` under a wrong master.
pub(crate) fn unwrap_key(
    master: &SealingKey,
    ledger: &LedgerId,
    bucket: Bucket,
    wrapped: &[u8],
) -> Option<SealingKey> {
    let key = master.open(&key_aad(ledger, bucket), wrapped).ok()?;
    Some(SealingKey::from_bytes(key.try_into().ok()?))
}

fn key_aad(ledger: &LedgerId, bucket: Bucket) -> Vec<u8> {
    [KEY_LABEL, ledger, bucket.name().as_bytes()].concat()
}
