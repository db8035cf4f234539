//! ML-KEM (FIPS 203), as CMS hands content keys to a recipient with it (RFC 9629, 9936): a fresh secret for
//! the owner of a public key, and the key-encryption key that HKDF-SHA-256 makes of it.
//!
//! Keys are read in the forms of RFC 9935 that hold the expanded key; the module takes no seed.

use aws_lc_rs::kem::{
    Algorithm, AlgorithmId, Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768, ML_KEM_1024,
};
use aws_lc_rs::{digest as module_digest, hkdf};
use const_oid::ObjectIdentifier;
use der::asn1::{OctetString, OctetStringRef};
use der::{Decode, Encode, Reader, SliceReader};
use spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use crate::KeysError;
use crate::digest::fixed;

/// Bytes of the secret that both sides get.
pub const SECRET_BYTES: usize = 32;

/// id-alg-ml-kem-768 and id-alg-ml-kem-1024 (RFC 9935).
pub(crate) const OID_768: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.2");
pub(crate) const OID_1024: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.3");

/// The two sizes that are used (NIST categories 3 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kem {
    MlKem768,
    MlKem1024,
}

impl Kem {
    /// Content octets of the algorithm's object identifier.
    pub fn oid(self) -> &'static [u8] {
        match self {
            Self::MlKem768 => OID_768.as_bytes(),
            Self::MlKem1024 => OID_1024.as_bytes(),
        }
    }

    /// The algorithm with these content octets.
    pub fn from_oid(content: &[u8]) -> Option<Self> {
        [Self::MlKem768, Self::MlKem1024].into_iter().find(|kem| kem.oid() == content)
    }

    /// Bytes of a ciphertext: 1088 or 1568.
    pub fn ciphertext_bytes(self) -> usize {
        match self {
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
        }
    }

    fn module(self) -> &'static Algorithm<AlgorithmId> {
        match self {
            Self::MlKem768 => &ML_KEM_768,
            Self::MlKem1024 => &ML_KEM_1024,
        }
    }

    fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::MlKem768 => OID_768,
            Self::MlKem1024 => OID_1024,
        }
    }

    /// Where in an expanded key the secret vector ends and the public key ends (FIPS 203 §7.1).
    fn bounds(self) -> (usize, usize) {
        match self {
            Self::MlKem768 => (1152, 2336),
            Self::MlKem1024 => (1536, 3104),
        }
    }
}

/// An ML-KEM key pair. Its certificate's keyUsage is keyEncipherment, and it does nothing else.
pub struct KemKey {
    kem: Kem,
    key: DecapsulationKey,
    expanded: Zeroizing<Vec<u8>>,
}

impl KemKey {
    /// A new key, from the module's own generator.
    pub fn generate(kem: Kem) -> Result<Self, KeysError> {
        let failed = |_| KeysError::Module { doing: "generate an ML-KEM key" };
        let key = DecapsulationKey::generate(kem.module()).map_err(failed)?;
        let expanded = key.key_bytes().map_err(failed)?;
        Self::from_expanded(kem, expanded.as_ref())
    }

    /// From PKCS#8 (RFC 9935 §6) that holds the expanded key, alone or beside its seed.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeysError> {
        let wrong = |_| Self::wrong();
        let mut outer = SliceReader::new(pkcs8).map_err(wrong)?;
        let (kem, inner) = outer
            .sequence(|info| {
                info.decode::<u8>()?;
                let algorithm: AlgorithmIdentifierRef<'_> = info.decode()?;
                let inner: OctetStringRef<'_> = info.decode()?;
                info.read_slice(info.remaining_len())?;
                Ok((Kem::from_oid(algorithm.oid.as_bytes()), inner.as_bytes()))
            })
            .map_err(wrong)?;
        let kem = kem.ok_or_else(Self::wrong)?;
        if let Ok(expanded) = OctetStringRef::from_der(inner) {
            return Self::from_expanded(kem, expanded.as_bytes());
        }
        let mut both = SliceReader::new(inner).map_err(wrong)?;
        let expanded = both.sequence(|both| {
            both.decode::<OctetStringRef<'_>>()?;
            both.decode::<OctetStringRef<'_>>()
        });
        Self::from_expanded(kem, expanded.map_err(wrong)?.as_bytes())
    }

    /// Checks the key as FIPS 203 §7.3 wants it: length, the hash of the public half, and that
    /// the halves belong together.
    fn from_expanded(kem: Kem, expanded: &[u8]) -> Result<Self, KeysError> {
        let key = DecapsulationKey::new(kem.module(), expanded).map_err(|_| Self::wrong())?;
        let made = Self { kem, key, expanded: Zeroizing::new(expanded.to_vec()) };
        let (_, end) = kem.bounds();
        let hash = module_digest::digest(&module_digest::SHA3_256, made.public());
        if expanded.get(end..end + 32) != Some(hash.as_ref()) {
            return Err(Self::wrong());
        }
        let (ciphertext, secret) = encapsulate_raw(kem, made.public())?;
        if *made.decapsulate(&ciphertext)? != *secret {
            return Err(Self::wrong());
        }
        Ok(made)
    }

    fn wrong() -> KeysError {
        KeysError::PrivateKey { expected: "ML-KEM-768 or ML-KEM-1024 PKCS#8 with the expanded key" }
    }

    /// PKCS#8 with the expanded key.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeysError> {
        let build = || -> der::Result<Vec<u8>> {
            let inner = OctetString::new(self.expanded.as_slice())?.to_der()?;
            let algorithm =
                AlgorithmIdentifierRef { oid: self.kem.identifier(), parameters: None }.to_der()?;
            let key = OctetString::new(inner)?.to_der()?;
            let body = [&[2, 1, 0], algorithm.as_slice(), &key].concat();
            der::asn1::Any::new(der::Tag::Sequence, body)?.to_der()
        };
        let failed = |_| KeysError::Module { doing: "write an ML-KEM key" };
        Ok(Zeroizing::new(build().map_err(failed)?))
    }

    pub fn kem(&self) -> Kem {
        self.kem
    }

    /// The public key's bytes (FIPS 203): 1184 or 1568.
    fn public(&self) -> &[u8] {
        let (start, end) = self.kem.bounds();
        self.expanded.get(start..end).unwrap_or_default()
    }

    /// SubjectPublicKeyInfo, DER (RFC 9935 §4).
    pub fn public_spki(&self) -> Result<Vec<u8>, KeysError> {
        let algorithm = AlgorithmIdentifierRef { oid: self.kem.identifier(), parameters: None };
        let info = der::asn1::BitStringRef::from_bytes(self.public())
            .and_then(|key| {
                spki::SubjectPublicKeyInfoRef { algorithm, subject_public_key: key }.to_der()
            })
            .map_err(|_| KeysError::Module { doing: "write an ML-KEM public key" })?;
        Ok(info)
    }

    /// The secret in a ciphertext. One that was made for another key, or altered, gives a secret
    /// of no use: what it wraps does not open.
    pub fn decapsulate(
        &self,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<[u8; SECRET_BYTES]>, KeysError> {
        if ciphertext.len() != self.kem.ciphertext_bytes() {
            let length = ciphertext.len();
            return Err(KeysError::Length { length, expected: "an ML-KEM ciphertext" });
        }
        let secret = self.key.decapsulate(Ciphertext::from(ciphertext));
        let secret = secret.map_err(|_| KeysError::Module { doing: "decapsulate" })?;
        Ok(Zeroizing::new(fixed(secret.as_ref())))
    }
}

impl std::fmt::Debug for KemKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KemKey({:?}, {})", self.kem, hex::encode(crate::digest::sha256(self.public())))
    }
}

/// A fresh secret for the owner of a SubjectPublicKeyInfo, and the ciphertext that carries it. The
/// module refuses a public key whose numbers are out of range.
pub fn encapsulate(spki: &[u8]) -> Result<(Vec<u8>, Zeroizing<[u8; SECRET_BYTES]>), KeysError> {
    let wrong = || KeysError::PublicKey { expected: "ML-KEM-768 or ML-KEM-1024" };
    let info = spki::SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| wrong())?;
    let kem = Kem::from_oid(info.algorithm.oid.as_bytes()).ok_or_else(wrong)?;
    if info.algorithm.parameters.is_some() {
        return Err(wrong());
    }
    encapsulate_raw(kem, info.subject_public_key.as_bytes().ok_or_else(wrong)?)
}

fn encapsulate_raw(
    kem: Kem,
    public: &[u8],
) -> Result<(Vec<u8>, Zeroizing<[u8; SECRET_BYTES]>), KeysError> {
    let wrong = |_| KeysError::PublicKey { expected: "ML-KEM-768 or ML-KEM-1024" };
    let key = EncapsulationKey::new(kem.module(), public).map_err(wrong)?;
    let (ciphertext, secret) =
        key.encapsulate().map_err(|_| KeysError::PublicKey { expected: "ML-KEM" })?;
    Ok((ciphertext.as_ref().to_vec(), Zeroizing::new(fixed(secret.as_ref()))))
}

/// HKDF-SHA-256 (RFC 5869) for a 32-byte key-encryption key, without salt. The module's approved
/// service wants the salt of zeros, to which "none" is equal, written out.
pub fn hkdf_sha256(secret: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, &[0; 32]).extract(secret);
    let mut out = Zeroizing::new([0; 32]);
    crate::seal::expand(&prk, info, &mut out);
    out
}
