//! What CMS needs to hand a content key to a recipient (RFC 5753): ephemeral-static ECDH P-384,
//! the ANSI X9.63 key derivation with SHA-384, and AES-256 key wrap (RFC 3394).
//!
//! The module does the agreement, the hash and the wrap. The X9.63 construction around the hash
//! is written here: the module has no such service, and stock CMS tools understand no other.

use aws_lc_rs::agreement::{self, ECDH_P384, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use zeroize::Zeroizing;

use crate::sign::{P384, P384Key, ec_point};
use crate::{KeysError, digest};

/// Bytes of a wrapped 32-byte key (RFC 3394: eight more).
pub const WRAPPED_KEY_BYTES: usize = 40;

/// The shared secret (the x coordinate) of our private key and another's uncompressed point.
/// The module checks that the point lies on the curve.
pub fn ecdh_p384(ours: &P384Key, theirs: &[u8]) -> Result<Zeroizing<[u8; 48]>, KeysError> {
    let expected = "P-384 point";
    if theirs.len() != 97 || theirs.first() != Some(&4) {
        return Err(KeysError::PublicKey { expected });
    }
    let private = PrivateKey::from_private_key_der(&ECDH_P384, &ours.to_pkcs8())
        .map_err(|_| KeysError::PrivateKey { expected: "P-384 PKCS#8" })?;
    let theirs = UnparsedPublicKey::new(&ECDH_P384, theirs);
    agreement::agree(&private, theirs, KeysError::PublicKey { expected }, |secret| {
        Ok(Zeroizing::new(digest::fixed(secret)))
    })
}

/// The uncompressed point of a P-384 SubjectPublicKeyInfo (97 bytes).
pub fn p384_point(spki: &[u8]) -> Result<Vec<u8>, KeysError> {
    ec_point(spki, P384, 97, "P-384")
}

/// X9.63 KDF with SHA-384 for a 32-byte key: the first 32 bytes of
/// `SHA-384(secret ‖ 00000001 ‖ shared_info)`. One block is enough.
pub fn x963_sha384(secret: &[u8], shared_info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut input = Zeroizing::new(Vec::with_capacity(secret.len() + 4 + shared_info.len()));
    input.extend_from_slice(secret);
    input.extend_from_slice(&1_u32.to_be_bytes());
    input.extend_from_slice(shared_info);
    let block = Zeroizing::new(digest::sha384(&input));
    let mut out = Zeroizing::new([0; 32]);
    for (to, from) in out.iter_mut().zip(block.iter()) {
        *to = *from;
    }
    out
}

/// AES-256 key wrap of a 32-byte key.
pub fn wrap(kek: &[u8; 32], key: &[u8; 32]) -> Result<[u8; WRAPPED_KEY_BYTES], KeysError> {
    let failed = || KeysError::Module { doing: "wrap a key" };
    let mut out = [0; WRAPPED_KEY_BYTES];
    let written = AesKek::new(&AES_256, kek)
        .and_then(|cipher| cipher.wrap(key, &mut out).map(|wrapped| wrapped.len()))
        .map_err(|_| failed())?;
    if written == WRAPPED_KEY_BYTES { Ok(out) } else { Err(failed()) }
}

/// Undoes [`wrap`]; a wrong key-encryption key is noticed.
pub fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    if wrapped.len() != WRAPPED_KEY_BYTES {
        return Err(KeysError::Unwrap);
    }
    let mut out = Zeroizing::new([0; 32]);
    let written = AesKek::new(&AES_256, kek)
        .and_then(|cipher| cipher.unwrap(wrapped, out.as_mut_slice()).map(|key| key.len()))
        .map_err(|_| KeysError::Unwrap)?;
    if written == out.len() { Ok(out) } else { Err(KeysError::Unwrap) }
}
