//! Signatures: Ed25519, ECDSA P-384 (FIPS 186-5), and RSA PKCS#1 v1.5 as SAML needs it.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom as ModuleRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, UnparsedPublicKey,
    VerificationAlgorithm,
};
use const_oid::ObjectIdentifier;
use der::Decode;
use zeroize::Zeroizing;

use crate::{KeysError, Random, digest::fixed, random_bytes};

/// id-ecPublicKey and its two curves (RFC 5480), rsaEncryption (RFC 8017).
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// SubjectPublicKeyInfo of a P-384 key up to its 97-byte uncompressed point (RFC 5480).
const P384_SPKI_HEAD: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

/// An Ed25519 key pair (RFC 8032): signs ledger checkpoints.
pub struct Ed25519Key {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl Ed25519Key {
    pub fn generate(random: &dyn Random) -> Result<Self, KeysError> {
        Self::from_seed(random_bytes(random)?)
    }

    /// From the 32-byte seed that RFC 8032 calls the private key.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeysError> {
        let seed = Zeroizing::new(seed);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|_| KeysError::PrivateKey { expected: "Ed25519 seed" })?;
        Ok(Self { pair, seed })
    }

    /// From PKCS#8 (RFC 8410), version 1 or 2.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let wrong = || KeysError::PrivateKey { expected: "Ed25519 PKCS#8" };
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| wrong())?;
        let seed = pair.seed().map_err(|_| wrong())?;
        let seed = aws_lc_rs::encoding::AsBigEndian::as_be_bytes(&seed).map_err(|_| wrong())?;
        Self::from_seed(fixed(seed.as_ref()))
    }

    /// PKCS#8 version 1: the form that OpenSSL reads too.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        const HEAD: [u8; 16] = [
            0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22,
            0x04, 0x20,
        ];
        let mut out = Zeroizing::new(Vec::with_capacity(48));
        out.extend_from_slice(&HEAD);
        out.extend_from_slice(self.seed.as_slice());
        out
    }

    pub fn public(&self) -> [u8; 32] {
        fixed(self.pair.public_key().as_ref())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        fixed(self.pair.sign(message).as_ref())
    }
}

impl std::fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ed25519Key({})", hex::encode(self.public()))
    }
}

pub fn ed25519_verify(public: &[u8; 32], message: &[u8], sig: &[u8]) -> Result<(), KeysError> {
    UnparsedPublicKey::new(&signature::ED25519, public)
        .verify(message, sig)
        .map_err(|_| KeysError::Signature)
}

/// A P-384 key pair: signs parcels, receipts and certificates, and agrees on keys
/// ([`crate::agree`]). One key is used for one of these only, as its certificate says.
pub struct P384Key {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

impl P384Key {
    /// A new key, from the module's own generator.
    pub fn generate() -> Result<Self, KeysError> {
        let made = EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, &rng())
            .map_err(|_| KeysError::Module { doing: "generate a P-384 key" })?;
        Self::from_pkcs8(made.as_ref())
    }

    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let pair = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8)
            .map_err(|_| KeysError::PrivateKey { expected: "P-384 PKCS#8" })?;
        Ok(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The public point, uncompressed: `04 ‖ x ‖ y`, 97 bytes.
    pub fn public_point(&self) -> [u8; 97] {
        fixed(self.pair.public_key().as_ref())
    }

    /// SubjectPublicKeyInfo, DER, 120 bytes.
    pub fn public_spki(&self) -> Vec<u8> {
        [P384_SPKI_HEAD.as_slice(), &self.public_point()].concat()
    }

    /// ECDSA over SHA-384 of `message`, as the ASN.1 `SEQUENCE { r, s }`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.pair
            .sign(&rng(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeysError::Module { doing: "sign with P-384" })
    }
}

impl std::fmt::Debug for P384Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P384Key(public {})", hex::encode(crate::digest::sha256(&self.public_spki())))
    }
}

/// SubjectPublicKeyInfo of a P-256 key up to its 65-byte uncompressed point (RFC 5480).
const P256_SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// SubjectPublicKeyInfo, DER, of a P-256 point `x`, `y`: the form in which [`verify`] takes it. Whether the
/// point is on the curve is found there.
#[must_use]
pub fn p256_spki(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    [P256_SPKI_HEAD.as_slice(), &[4], x, y].concat()
}

/// A P-256 key pair, for security keys that sign so (tests').
pub struct P256Key {
    pair: EcdsaKeyPair,
}

impl P256Key {
    /// A new key, from the module's own generator.
    pub fn generate() -> Result<Self, KeysError> {
        let algorithm = &signature::ECDSA_P256_SHA256_ASN1_SIGNING;
        let failed = || KeysError::Module { doing: "generate a P-256 key" };
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &rng()).map_err(|_| failed())?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref()).map_err(|_| failed())?;
        Ok(Self { pair })
    }

    /// The public point, uncompressed: `04 ‖ x ‖ y`, 65 bytes.
    pub fn public_point(&self) -> [u8; 65] {
        fixed(self.pair.public_key().as_ref())
    }

    /// ECDSA over SHA-256 of `message`, as the ASN.1 `SEQUENCE { r, s }`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.pair
            .sign(&rng(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| KeysError::Module { doing: "sign with P-256" })
    }
}

impl std::fmt::Debug for P256Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P256Key(public {})", hex::encode(self.public_point()))
    }
}

/// Size of a new RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaBits {
    Rsa2048,
    Rsa3072,
}

/// An RSA key pair, for identity providers that sign so (the demo's, and tests').
pub struct RsaKey {
    pair: RsaKeyPair,
}

impl RsaKey {
    pub fn generate(bits: RsaBits) -> Result<Self, KeysError> {
        let size = match bits {
            RsaBits::Rsa2048 => KeySize::Rsa2048,
            RsaBits::Rsa3072 => KeySize::Rsa3072,
        };
        let pair = RsaKeyPair::generate(size)
            .map_err(|_| KeysError::Module { doing: "generate an RSA key" })?;
        Ok(Self { pair })
    }

    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8)
            .map_err(|_| KeysError::PrivateKey { expected: "RSA PKCS#8" })?;
        Ok(Self { pair })
    }

    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let written: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
            self.pair.as_der().map_err(|_| KeysError::Module { doing: "write an RSA key" })?;
        Ok(Zeroizing::new(written.as_ref().to_vec()))
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_spki(&self) -> Result<Vec<u8>, KeysError> {
        let written: aws_lc_rs::encoding::PublicKeyX509Der<'_> = self
            .pair
            .public_key()
            .as_der()
            .map_err(|_| KeysError::Module { doing: "write an RSA public key" })?;
        Ok(written.as_ref().to_vec())
    }

    /// PKCS#1 v1.5 over SHA-256 of `message`.
    pub fn sign_sha256(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.sign_with(&signature::RSA_PKCS1_SHA256, message)
    }

    /// PSS over SHA-256 of `message`, with a salt of 32 bytes.
    pub fn sign_pss_sha256(&self, message: &[u8]) -> Result<Vec<u8>, KeysError> {
        self.sign_with(&signature::RSA_PSS_SHA256, message)
    }

    fn sign_with(
        &self,
        encoding: &'static dyn RsaEncoding,
        message: &[u8],
    ) -> Result<Vec<u8>, KeysError> {
        let mut out = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(encoding, &rng(), message, &mut out)
            .map_err(|_| KeysError::Module { doing: "sign with RSA" })?;
        Ok(out)
    }
}

impl std::fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RsaKey({} bits)", self.pair.public_modulus_len() * 8)
    }
}

/// A signature algorithm that Bailiwick accepts from others. RSA keys are 2048 to 8192 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    /// With MGF1 over the same hash and a salt of its length (RFC 7518, 3.5).
    RsaPssSha256,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
}

/// Verifies a signature under a SubjectPublicKeyInfo. ECDSA signatures are ASN.1.
pub fn verify(scheme: Scheme, spki: &[u8], message: &[u8], sig: &[u8]) -> Result<(), KeysError> {
    let algorithm: &'static dyn VerificationAlgorithm = match scheme {
        Scheme::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Scheme::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Scheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
        Scheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
    };
    verify_with(algorithm, scheme, spki, message, sig)
}

/// As [`verify`], but an ECDSA signature is `r ‖ s`, the form of XML signatures (RFC 4050, W3C).
pub fn verify_fixed(
    scheme: Scheme,
    spki: &[u8],
    message: &[u8],
    sig: &[u8],
) -> Result<(), KeysError> {
    let algorithm: &'static dyn VerificationAlgorithm = match scheme {
        Scheme::RsaPkcs1Sha256
        | Scheme::RsaPkcs1Sha384
        | Scheme::RsaPkcs1Sha512
        | Scheme::RsaPssSha256 => {
            return verify(scheme, spki, message, sig);
        }
        Scheme::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
        Scheme::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
    };
    verify_with(algorithm, scheme, spki, message, sig)
}

fn verify_with(
    algorithm: &'static dyn VerificationAlgorithm,
    scheme: Scheme,
    spki: &[u8],
    message: &[u8],
    sig: &[u8],
) -> Result<(), KeysError> {
    let public = match scheme {
        Scheme::RsaPkcs1Sha256
        | Scheme::RsaPkcs1Sha384
        | Scheme::RsaPkcs1Sha512
        | Scheme::RsaPssSha256 => rsa_key(spki)?,
        Scheme::EcdsaP256Sha256 => ec_point(spki, P256, 65, "P-256")?,
        Scheme::EcdsaP384Sha384 => ec_point(spki, P384, 97, "P-384")?,
    };
    UnparsedPublicKey::new(algorithm, public).verify(message, sig).map_err(|_| KeysError::Signature)
}

/// The RSAPublicKey inside an rsaEncryption SubjectPublicKeyInfo.
fn rsa_key(spki: &[u8]) -> Result<Vec<u8>, KeysError> {
    let wrong = || KeysError::PublicKey { expected: "RSA" };
    let info = spki::SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| wrong())?;
    if info.algorithm.oid != RSA {
        return Err(wrong());
    }
    info.subject_public_key.as_bytes().map(<[u8]>::to_vec).ok_or_else(wrong)
}

/// The uncompressed point inside an id-ecPublicKey SubjectPublicKeyInfo with this named curve.
pub(crate) fn ec_point(
    spki: &[u8],
    curve: ObjectIdentifier,
    length: usize,
    expected: &'static str,
) -> Result<Vec<u8>, KeysError> {
    let wrong = || KeysError::PublicKey { expected };
    let info = spki::SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| wrong())?;
    let (algorithm, parameters) = info.algorithm.oids().map_err(|_| wrong())?;
    if algorithm != EC_PUBLIC_KEY || parameters != Some(curve) {
        return Err(wrong());
    }
    let point = info.subject_public_key.as_bytes().ok_or_else(wrong)?;
    if point.len() != length || point.first() != Some(&4) {
        return Err(wrong());
    }
    Ok(point.to_vec())
}

fn rng() -> ModuleRandom {
    ModuleRandom::new()
}
