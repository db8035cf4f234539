//! RSA-OAEP key transport (RFC 8017 §7.1; SP 800-56B), as XML Encryption and CMS use it.
//!
//! Not an approved service: the module's security policy lists encryption by RSA among what is not allowed in approved
//! mode (table 8), though its indicator does not say so. Who calls this has been told to by a switch.
//! A transport key opens wrapped content keys and does nothing else: a signing key is never used here.
//! Failures can't be told apart, so that nobody learns from one what was wrong with what was sent.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use crate::KeysError;
use crate::sign::{RsaBits, RsaKey};

/// Smallest and largest modulus, in bits.
const BITS_MIN: usize = 2048;
const BITS_MAX: usize = 8192;

/// The hash of OAEP, which is also that of its mask generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oaep {
    Sha256,
    /// What some senders know only (XML Encryption 1.0). OAEP needs no collision resistance; all the same
    /// a caller asks for it by name.
    Sha1,
}

impl Oaep {
    fn algorithm(self) -> &'static OaepAlgorithm {
        match self {
            Self::Sha256 => &OAEP_SHA256_MGF1SHA256,
            Self::Sha1 => &OAEP_SHA1_MGF1SHA1,
        }
    }
}

/// An RSA private key that opens wrapped keys.
pub struct TransportKey {
    key: OaepPrivateDecryptingKey,
    public: Vec<u8>,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl TransportKey {
    /// From PKCS#8, 2048 to 8192 bits.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let wrong = || KeysError::PrivateKey { expected: "RSA PKCS#8 of 2048 to 8192 bits" };
        let public = RsaKey::from_pkcs8(pkcs8)?.public_spki()?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| wrong())?;
        if !(BITS_MIN..=BITS_MAX).contains(&key.key_size_bits()) {
            return Err(wrong());
        }
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| wrong())?;
        Ok(Self { key, public, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    /// From the bytes of a file: PKCS#8, in PEM or DER.
    pub fn read(bytes: &[u8]) -> Result<Self, KeysError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN") => {
                Self::from_pkcs8(&crate::cert::private_key_from_pem(text)?)
            }
            Ok(_) | Err(_) => Self::from_pkcs8(bytes),
        }
    }

    /// A new key; its PKCS#8 form is the caller's to keep.
    pub fn generate(bits: RsaBits) -> Result<(Self, Zeroizing<Vec<u8>>), KeysError> {
        let pkcs8 = RsaKey::generate(bits)?.to_pkcs8()?;
        Ok((Self::from_pkcs8(&pkcs8)?, pkcs8))
    }

    /// PKCS#8, as it was read.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_spki(&self) -> &[u8] {
        &self.public
    }

    /// Opens a 32-byte key that was wrapped for this one. A key of another length is no key.
    pub fn unwrap(&self, oaep: Oaep, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeysError> {
        let mut out = Zeroizing::new(vec![0; self.key.min_output_size()]);
        let opened = self
            .key
            .decrypt(oaep.algorithm(), wrapped, &mut out, None)
            .map_err(|_| KeysError::Unwrap)?;
        let key: &[u8; 32] = (&*opened).try_into().map_err(|_| KeysError::Unwrap)?;
        Ok(Zeroizing::new(*key))
    }
}

impl std::fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TransportKey(public {})", hex::encode(crate::digest::sha256(&self.public)))
    }
}

/// Wraps a key for the owner of an RSA SubjectPublicKeyInfo.
pub fn wrap(oaep: Oaep, spki: &[u8], key: &[u8]) -> Result<Vec<u8>, KeysError> {
    let wrong = || KeysError::PublicKey { expected: "RSA" };
    let public = PublicEncryptingKey::from_der(spki).map_err(|_| wrong())?;
    let public = OaepPublicEncryptingKey::new(public).map_err(|_| wrong())?;
    let mut out = vec![0; public.ciphertext_size()];
    let written = public
        .encrypt(oaep.algorithm(), key, &mut out, None)
        .map_err(|_| KeysError::Module { doing: "wrap a key with RSA" })?
        .len();
    out.truncate(written);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_opened_by_its_own_transport_key_and_hash_only() {
        let (ours, pkcs8) = TransportKey::generate(RsaBits::Rsa2048).unwrap();
        let (other, _) = TransportKey::generate(RsaBits::Rsa2048).unwrap();
        for oaep in [Oaep::Sha256, Oaep::Sha1] {
            let wrapped = wrap(oaep, ours.public_spki(), &[7; 32]).unwrap();
            assert_eq!(*ours.unwrap(oaep, &wrapped).unwrap(), [7; 32]);
            let pem = crate::cert::private_key_pem(&pkcs8);
            let read = TransportKey::read(pem.as_bytes()).unwrap();
            assert_eq!(*read.unwrap(oaep, &wrapped).unwrap(), [7; 32]);
            assert_eq!(
                *TransportKey::read(&pkcs8).unwrap().unwrap(oaep, &wrapped).unwrap(),
                [7; 32]
            );
            let refused = |key: &TransportKey, oaep, wrapped: &[u8]| {
                assert!(matches!(key.unwrap(oaep, wrapped), Err(KeysError::Unwrap)));
            };
            refused(&other, oaep, &wrapped);
            refused(&ours, if oaep == Oaep::Sha1 { Oaep::Sha256 } else { Oaep::Sha1 }, &wrapped);
            refused(&ours, oaep, &[]);
            refused(&ours, oaep, &wrapped[1..]);
            let mut bent = wrapped;
            bent[9] ^= 1;
            refused(&ours, oaep, &bent);
            let short = wrap(oaep, ours.public_spki(), &[7; 16]).unwrap();
            refused(&ours, oaep, &short);
        }
        assert!(wrap(Oaep::Sha256, b"no key", &[7; 32]).is_err());
        assert!(TransportKey::from_pkcs8(b"no key").is_err());
    }
}
