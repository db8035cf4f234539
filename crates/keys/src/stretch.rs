//! PBKDF2 with HMAC-SHA-512 (SP 800-132): secrets that people type, kept so that they can't be read back.
//!
//! The limits are those within which the module's service is an approved one; they are asked for here, so that
//! a caller can't fall below them.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA512};
use zeroize::Zeroizing;

use crate::{KeysError, Random, mac, random_bytes};

/// What OWASP's Password Storage Cheat Sheet asks for PBKDF2-HMAC-SHA-512; SP 800-132 asks for 1,000 at least.
pub const ITERATIONS: u32 = 210_000;

/// No stored figure makes a sign-in slower than this.
pub const ITERATIONS_MAX: u32 = 10_000_000;

const ITERATIONS_MIN: u32 = 1_000;
const SECRET_BYTES_MIN: usize = 14;

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Stretched {
    pub salt: [u8; 32],
    pub iterations: u32,
    pub hash: [u8; 64],
}

impl std::fmt::Debug for Stretched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stretched({} iterations)", self.iterations)
    }
}

impl Stretched {
    /// Of a new secret, with a new salt and [`ITERATIONS`]. Takes a tenth of a second or more, by design.
    ///
    /// # Errors
    /// [`KeysError::Random`]; [`KeysError::Length`] for a secret of fewer than 14 bytes.
    pub fn of(secret: &[u8], random: &dyn Random) -> Result<Self, KeysError> {
        let salt = random_bytes(random)?;
        let hash = *derive(secret, &salt, ITERATIONS)?;
        Ok(Self { salt, iterations: ITERATIONS, hash })
    }

    /// Whether it is of this secret. The comparison takes the same time wherever they differ.
    ///
    /// # Errors
    /// [`KeysError::Length`] for a secret or iterations outside the limits.
    pub fn is_of(&self, secret: &[u8]) -> Result<bool, KeysError> {
        let hash = derive(secret, &self.salt, self.iterations)?;
        Ok(mac::equal(hash.as_slice(), &self.hash))
    }
}

fn derive(
    secret: &[u8],
    salt: &[u8; 32],
    iterations: u32,
) -> Result<Zeroizing<[u8; 64]>, KeysError> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeysError::Length { length: secret.len(), expected: "14 bytes or more" });
    }
    let sound = (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations);
    let iterations = NonZeroU32::new(iterations).filter(|_| sound);
    let Some(iterations) = iterations else {
        return Err(KeysError::Length { length: 0, expected: "1,000 to 10,000,000 iterations" });
    };
    let mut hash = Zeroizing::new([0; 64]);
    pbkdf2::derive(PBKDF2_HMAC_SHA512, iterations, salt, secret, hash.as_mut_slice());
    Ok(hash)
}
