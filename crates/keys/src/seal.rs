//! AES-256-GCM (SP 800-38D) with nonces that the module makes, and HKDF-SHA-256 (RFC 5869).
//!
//! Invariant: no caller ever chooses a nonce for sealing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

use crate::{KeysError, Random, digest::fixed, random_bytes};

/// Bytes of nonce before, and of tag after, what [`SealingKey::seal`] returns.
pub const NONCE_BYTES: usize = 12;
pub const TAG_BYTES: usize = 16;

/// Longest plaintext of one message. SP 800-38D allows near 64 GiB; this is far below it and
/// keeps every length in 32 bits.
pub const PLAIN_BYTES_MAX: usize = 1 << 30;

/// A 256-bit AES key. Wiped when dropped; printed as nothing.
///
/// With random 96-bit nonces one key seals at most 2^32 messages (SP 800-38D §8.3).
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl SealingKey {
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    pub fn generate(random: &dyn Random) -> Result<Self, KeysError> {
        Ok(Self::from_bytes(random_bytes(random)?))
    }

    /// The key itself: for wrapping it under another, never for storing it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals `plain`, bound to `aad`: nonce (12) ‖ ciphertext ‖ tag (16).
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, KeysError> {
        let mut body = Vec::with_capacity(plain.len() + TAG_BYTES);
        body.extend_from_slice(plain);
        let (nonce, tag) = self.seal_in_place(aad, &mut body)?;
        let mut out = Vec::with_capacity(NONCE_BYTES + body.len() + TAG_BYTES);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`Self::seal`] made with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, KeysError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(KeysError::Sealed)?;
        let mut body = body.to_vec();
        let length = self.open_in_place(aad, nonce, &mut body)?;
        body.truncate(length);
        Ok(body)
    }

    /// Encrypts `data` where it is; the module's nonce and the tag come back.
    pub fn seal_in_place(
        &self,
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<([u8; NONCE_BYTES], [u8; TAG_BYTES]), KeysError> {
        if data.len() > PLAIN_BYTES_MAX {
            return Err(KeysError::Length { length: data.len(), expected: "at most 2^30" });
        }
        let (nonce, tag) = self
            .key()?
            .seal_in_place_separate_tag(Aad::from(aad), data)
            .map_err(|_| KeysError::Module { doing: "seal" })?;
        Ok((*nonce.as_ref(), fixed(tag.as_ref())))
    }

    /// Decrypts `data` (ciphertext ‖ tag) where it is and gives the length of the plaintext at
    /// its beginning. On failure `data` holds nothing of use.
    pub fn open_in_place(
        &self,
        aad: &[u8],
        nonce: &[u8; NONCE_BYTES],
        data: &mut [u8],
    ) -> Result<usize, KeysError> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key()?.open_in_place(nonce, Aad::from(aad), data);
        opened.map(|plain| plain.len()).map_err(|_| KeysError::Sealed)
    }

    fn key(&self) -> Result<RandomizedNonceKey, KeysError> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice())
            .map_err(|_| KeysError::Module { doing: "prepare a sealing key" })
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

/// What subkeys are derived from: a [`SealingKey`], or 32 secret bytes.
pub trait Root {
    fn root(&self) -> &[u8; 32];
}

impl Root for SealingKey {
    fn root(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Root for [u8; 32] {
    fn root(&self) -> &[u8; 32] {
        self
    }
}

/// A subkey for one purpose: HKDF-SHA-256 of `key`, salt of 32 zero bytes, info = `label`.
///
/// The salt is written out because the module's approved service wants one; RFC 5869 gives the
/// same output for "no salt".
pub fn derive(key: &impl Root, label: &str) -> [u8; 32] {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[0; 32]);
    let mut out = [0; 32];
    expand(&salt.extract(key.root()), label.as_bytes(), &mut out);
    out
}

/// 32 bytes is far below HKDF's limit of 255 blocks, the only way in which this can fail; were
/// it to fail all the same, a zero key must not be handed out, so the process stops here.
pub(crate) fn expand(prk: &hkdf::Prk, info: &[u8], out: &mut [u8; 32]) {
    let info = [info];
    let done = prk.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(out));
    assert!(done.is_ok(), "HKDF-SHA-256 gives 32 bytes");
}
