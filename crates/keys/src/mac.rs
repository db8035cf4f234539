//! HMAC-SHA-256 (FIPS 198-1).

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

use crate::KeysError;
use crate::digest::fixed;

/// A key for tagging. Made from 32 bytes of a [`crate::keyring`] or of [`crate::seal::derive`].
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl MacKey {
    pub fn from_bytes(key: [u8; 32]) -> Self {
        let key = Zeroizing::new(key);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()))
    }

    /// A key of any length, where another's protocol says which (SigV4). At least 14 bytes: SP 800-131A
    /// wants 112 bits.
    ///
    /// # Errors
    /// [`KeysError::Length`] for a shorter one.
    pub fn from_slice(key: &[u8]) -> Result<Self, KeysError> {
        if key.len() < 14 {
            return Err(KeysError::Length { length: key.len(), expected: "14 bytes or more" });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The tag of the parts, one after another. Callers that need to tell where a part ends put
    /// its length in.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        fixed(context.sign().as_ref())
    }

    /// Whether `tag` is the parts' tag, in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        equal(&self.tag(parts), tag)
    }
}

impl From<[u8; 32]> for MacKey {
    fn from(key: [u8; 32]) -> Self {
        Self::from_bytes(key)
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// Whether two secrets are equal, in time that depends on their lengths only.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
