//! Hashes, signs, seals and keeps keys. The only room that names the AWS-LC FIPS module.
//!
//! Everything cryptographic in Bailiwick goes through here, so that one answer to "which module,
//! in which mode" ([`module::require_fips`]) holds for the whole program. Randomness and time come
//! in as arguments ([`Random`], [`Clock`]); private keys are generated inside the module.
//!
//! What is absent: TLS (that is `wire`), CMS (that is `parcel`), XML signatures (`identity`).

pub mod agree;
pub mod cert;
pub mod checksum;
pub mod digest;
pub mod file;
pub mod kem;
pub mod keyring;
pub mod mac;
pub mod module;
pub mod numbers;
pub mod ocsp;
pub mod seal;
pub mod sign;
pub mod stretch;
pub mod transport;

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use jiff::Timestamp;

/// What went wrong in this room. Never carries key material.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The module refused an operation that has no reason to fail (memory, a failed self-test).
    #[error("the cryptographic module could not {doing}")]
    Module { doing: &'static str },
    #[error("the cryptographic module is not in FIPS mode: {why}")]
    NotFips { why: &'static str },
    #[error("random bytes could not be drawn")]
    Random,
    #[error("not a private key of the kind {expected}")]
    PrivateKey { expected: &'static str },
    #[error("not a public key of the kind {expected}")]
    PublicKey { expected: &'static str },
    #[error("the signature does not verify")]
    Signature,
    /// Wrong key, wrong associated data, or altered bytes: these can't be told apart.
    #[error("sealed data does not open: the key is not the one, or the data was altered")]
    Sealed,
    #[error("the wrapped key does not unwrap: the key is not the one, or the data was altered")]
    Unwrap,
    #[error("input of {length} bytes where {expected} were expected")]
    Length { length: usize, expected: &'static str },
    #[error("certificate is malformed: {what}")]
    Certificate {
        what: &'static str,
        #[source]
        source: Option<der::Error>,
    },
    #[error("list of revoked certificates is unfit: {what}")]
    Crl {
        what: &'static str,
        #[source]
        source: Option<der::Error>,
    },
    #[error("certificate `{subject}` could not be written")]
    Issue {
        subject: String,
        #[source]
        source: der::Error,
    },
    #[error("certificate `{subject}` is not valid at {at}: it runs from {from} to {until}")]
    Validity { subject: String, at: Timestamp, from: Timestamp, until: Timestamp },
    #[error("certificate `{subject}` was not issued by `{issuer}`: {why}")]
    NotIssuedBy { subject: String, issuer: String, why: &'static str },
    #[error("PEM text does not hold {expected}")]
    Pem { expected: &'static str },
    #[error("could not {doing} `{path}`")]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` must be readable by its owner only (mode 600), and is mode {mode:03o}")]
    Mode { path: PathBuf, mode: u32 },
    #[error(
        "`{name}` is not a key name: 1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit"
    )]
    Name { name: String },
    #[error("`{path}` does not hold {expected}")]
    Content { path: PathBuf, expected: &'static str },
}

/// A source of random bytes. An argument everywhere, so that a test can make it fail.
pub trait Random: Send + Sync {
    /// Fills `out`, or fails and leaves it unspecified.
    fn fill(&self, out: &mut [u8]) -> Result<(), KeysError>;
}

/// The module's own generator (SP 800-90A CTR_DRBG).
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<(), KeysError> {
        aws_lc_rs::rand::fill(out).map_err(|_| KeysError::Random)
    }
}

/// `N` random bytes.
pub fn random_bytes<const N: usize>(random: &dyn Random) -> Result<[u8; N], KeysError> {
    let mut out = [0; N];
    random.fill(&mut out)?;
    Ok(out)
}

/// What time it is. An argument everywhere, so that a test owns it.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the program asks the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct FixedClock(Mutex<Timestamp>);

impl FixedClock {
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new(at))
    }

    pub fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = at;
    }

    /// Moves the clock by `by`; saturates at the ends of time.
    pub fn advance(&self, by: jiff::SignedDuration) {
        let mut at = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *at = at.saturating_add(by).unwrap_or(*at);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
