//! Public keys from the numbers that they are made of, as JSON Web Keys give them (RFC 7518, 6.2 and 6.3).
//!
//! Nothing is decided here but the encoding: whether a key is strong and a point is on its curve, the module
//! says when the key is used.

use der::asn1::{BitString, Null, UintRef};
use der::{Any, Decode, Encode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::KeysError;
use crate::sign::{EC_PUBLIC_KEY, P256, RSA};

/// Largest RSA modulus that is taken: 8192 bits. Smallest: 2048.
const MODULUS_BYTES_MAX: usize = 1024;
const MODULUS_BYTES_MIN: usize = 256;

/// Largest public exponent, in bytes.
const EXPONENT_BYTES_MAX: usize = 8;

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// SubjectPublicKeyInfo of an RSA key of 2048 to 8192 bits, from big-endian modulus and exponent.
///
/// # Errors
/// [`KeysError::PublicKey`] for another size, or an exponent longer than eight bytes.
pub fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Result<Vec<u8>, KeysError> {
    let wrong = KeysError::PublicKey { expected: "RSA of 2048 to 8192 bits" };
    let modulus = without_zeros(modulus);
    let exponent = without_zeros(exponent);
    let small = modulus.len() == MODULUS_BYTES_MIN && modulus.first().is_none_or(|b| b & 0x80 == 0);
    if modulus.len() < MODULUS_BYTES_MIN || modulus.len() > MODULUS_BYTES_MAX || small {
        return Err(wrong);
    }
    if exponent.is_empty() || exponent.len() > EXPONENT_BYTES_MAX {
        return Err(wrong);
    }
    let encode = || {
        let (modulus, exponent) = (UintRef::new(modulus)?, UintRef::new(exponent)?);
        let key = RsaPublicKey { modulus, exponent }.to_der()?;
        let parameters = Some(Any::encode_from(&Null)?);
        encoded(AlgorithmIdentifier { oid: RSA, parameters }, &key)
    };
    encode().map_err(|_: der::Error| wrong)
}

/// SubjectPublicKeyInfo of a P-256 key, from its coordinates of 32 bytes each.
///
/// # Errors
/// [`KeysError::PublicKey`] for coordinates of another length.
pub fn p256_spki(x: &[u8], y: &[u8]) -> Result<Vec<u8>, KeysError> {
    let wrong = KeysError::PublicKey { expected: "P-256" };
    if x.len() != 32 || y.len() != 32 {
        return Err(wrong);
    }
    let encode = || {
        let parameters = Some(Any::encode_from(&P256)?);
        let point = [&[4], x, y].concat();
        encoded(AlgorithmIdentifier { oid: EC_PUBLIC_KEY, parameters }, &point)
    };
    encode().map_err(|_: der::Error| wrong)
}

/// Modulus and exponent of an RSA key's SubjectPublicKeyInfo, big-endian without leading zeros.
///
/// # Errors
/// [`KeysError::PublicKey`] when it is not that of an RSA key.
pub fn rsa_numbers(spki: &[u8]) -> Result<(Vec<u8>, Vec<u8>), KeysError> {
    let wrong = || KeysError::PublicKey { expected: "RSA" };
    let info = spki::SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| wrong())?;
    if info.algorithm.oid != RSA {
        return Err(wrong());
    }
    let key = info.subject_public_key.as_bytes().ok_or_else(wrong)?;
    let key = RsaPublicKey::from_der(key).map_err(|_| wrong())?;
    Ok((key.modulus.as_bytes().to_vec(), key.exponent.as_bytes().to_vec()))
}

fn encoded(algorithm: AlgorithmIdentifier<Any>, key: &[u8]) -> Result<Vec<u8>, der::Error> {
    let subject_public_key = BitString::from_bytes(key)?;
    SubjectPublicKeyInfo { algorithm, subject_public_key }.to_der()
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::{RsaBits, RsaKey, Scheme, verify};

    #[test]
    fn an_rsa_key_comes_back_from_its_numbers_and_verifies_both_paddings() {
        let key = RsaKey::generate(RsaBits::Rsa2048).unwrap();
        let spki = key.public_spki().unwrap();
        let (modulus, exponent) = rsa_numbers(&spki).unwrap();
        let again = rsa_spki(&[&[0], modulus.as_slice()].concat(), &exponent).unwrap();
        assert_eq!(again, spki);
        let (old, new) = (key.sign_sha256(b"x").unwrap(), key.sign_pss_sha256(b"x").unwrap());
        verify(Scheme::RsaPkcs1Sha256, &again, b"x", &old).unwrap();
        verify(Scheme::RsaPssSha256, &again, b"x", &new).unwrap();
        // One padding does not pass for the other.
        verify(Scheme::RsaPkcs1Sha256, &again, b"x", &new).unwrap_err();
        verify(Scheme::RsaPssSha256, &again, b"x", &old).unwrap_err();
        verify(Scheme::RsaPssSha256, &again, b"y", &new).unwrap_err();
    }

    #[test]
    fn keys_that_are_too_small_or_too_large_are_refused() {
        let strong = [&[0x80], [1; 255].as_slice()].concat();
        rsa_spki(&strong, &[1, 0, 1]).unwrap();
        let weak = [&[0x7f], [1; 255].as_slice()].concat();
        for (modulus, exponent) in [
            (&weak[..], &[1, 0, 1][..]),
            (&strong[1..], &[1, 0, 1]),
            (&[0xff; 1025], &[1, 0, 1]),
            (&strong, &[]),
            (&strong, &[0, 0]),
            (&strong, &[1; 9]),
            (&[], &[1, 0, 1]),
        ] {
            rsa_spki(modulus, exponent).unwrap_err();
        }
        p256_spki(&[1; 31], &[1; 32]).unwrap_err();
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_verifies_nothing() {
        let spki = p256_spki(&[1; 32], &[1; 32]).unwrap();
        verify(Scheme::EcdsaP256Sha256, &spki, b"x", &[0; 70]).unwrap_err();
    }
}
