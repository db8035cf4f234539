//! One recipient of a part: KeyAgreeRecipientInfo with ECDH P-384 (RFC 5753), or KEMRecipientInfo with
//! ML-KEM (RFC 9629, 9936), the content key under AES-256 key wrap either way; or, where the sender allowed it,
//! KeyTransRecipientInfo with RSA-OAEP (RFC 3560), which is no approved service of the module.
//!
//! Invariant: [`Wrapped::write`] is the one way to write what [`Wrapped::read`] accepts; the envelope compares.

use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::kem::{self, Kem};
use keys::seal::SealingKey;
use keys::sign::P384Key;
use keys::transport::{self, Oaep};
use keys::{KeysError, agree};
use zeroize::Zeroizing;

use super::{algorithm, issuer_and_serial, object, oid, small_integer};
use crate::RecipientKey;
use crate::asn1::{
    BIT_STRING, CONTEXT_0, CONTEXT_1, CONTEXT_2, CONTEXT_4, Der, INTEGER, OCTET_STRING, OID,
    SEQUENCE, element,
};

/// An uncompressed P-384 point.
const POINT_BYTES: usize = 97;
/// User keying material that is read. We write none.
const UKM_BYTES_MAX: usize = 64;
/// Bytes of the key-encryption key.
const KEK_BYTES: u8 = 32;
/// What RSA-OAEP gives, with keys of 2048 to 8192 bits.
const TRANSPORTED_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Someone a part can be sealed to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    issuer_and_serial: Vec<u8>,
    to: To,
}

#[derive(Debug, Clone)]
enum To {
    /// An uncompressed point.
    Agree(Vec<u8>),
    /// A SubjectPublicKeyInfo.
    Kem(Kem, Vec<u8>),
    /// The same, of an RSA key.
    Transport(Vec<u8>),
}

impl Address {
    /// The address of a certificate, or why it can't be one.
    pub(crate) fn of(certificate: &Certificate, rsa_oaep: bool) -> Result<Self, &'static str> {
        let bad = |_: KeysError| "its key can't be read";
        let spki = certificate.spki_der().map_err(bad)?;
        let kem = |kem| {
            if !certificate.allows_key_encipherment() {
                return Err("its key usage does not allow key encipherment");
            }
            kem::encapsulate(&spki).map_err(bad)?;
            Ok(To::Kem(kem, spki.clone()))
        };
        let to = match certificate.public_key_algorithm() {
            PublicKeyAlgorithm::P384 if certificate.allows_key_agreement() => {
                To::Agree(agree::p384_point(&spki).map_err(bad)?)
            }
            PublicKeyAlgorithm::P384 => {
                return Err("its key usage does not allow key agreement");
            }
            PublicKeyAlgorithm::MlKem768 => kem(Kem::MlKem768)?,
            PublicKeyAlgorithm::MlKem1024 => kem(Kem::MlKem1024)?,
            PublicKeyAlgorithm::Rsa if !rsa_oaep => {
                return Err(
                    "its key is RSA, which is no approved way to send a key: ask for a P-384 or ML-KEM certificate, or allow RSA-OAEP",
                );
            }
            PublicKeyAlgorithm::Rsa if certificate.allows_key_encipherment() => {
                let tried = transport::wrap(Oaep::Sha256, &spki, &[0; 32]);
                tried.map_err(|_| "its key is RSA of less than 2048 bits or more than 8192")?;
                To::Transport(spki)
            }
            PublicKeyAlgorithm::Rsa => {
                return Err("its key usage does not allow key encipherment");
            }
            PublicKeyAlgorithm::P256 | PublicKeyAlgorithm::Unknown => {
                return Err("its key is neither P-384 nor ML-KEM");
            }
        };
        Ok(Self { issuer_and_serial: issuer_and_serial(certificate).map_err(bad)?, to })
    }

    /// Whether the key goes by RSA-OAEP.
    pub(crate) fn by_rsa(&self) -> bool {
        matches!(self.to, To::Transport(_))
    }

    /// The content key for this recipient: a RecipientInfo, DER.
    pub(crate) fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, KeysError> {
        let (how, key) = match &self.to {
            To::Agree(point) => {
                let ephemeral = P384Key::generate()?;
                let kek = agreed_kek(&ephemeral, point)?;
                let point = ephemeral.public_point().to_vec();
                (How::Agree(point), agree::wrap(&kek, key)?.to_vec())
            }
            To::Kem(kem, spki) => {
                let (ciphertext, secret) = kem::encapsulate(spki)?;
                let kek = kem_kek(secret.as_slice(), None);
                (How::Kem { kem: *kem, ciphertext, ukm: None }, agree::wrap(&kek, key)?.to_vec())
            }
            To::Transport(spki) => (How::Transport, transport::wrap(Oaep::Sha256, spki, key)?),
        };
        Ok(Wrapped { issuer_and_serial: self.issuer_and_serial.clone(), how, key }.write())
    }
}

/// A RecipientInfo, understood.
#[derive(Debug)]
pub(crate) struct Wrapped {
    pub(crate) issuer_and_serial: Vec<u8>,
    pub(crate) how: How,
    pub(crate) key: Vec<u8>,
}

#[derive(Debug)]
pub(crate) enum How {
    /// The sender's ephemeral point.
    Agree(Vec<u8>),
    Kem {
        kem: Kem,
        ciphertext: Vec<u8>,
        ukm: Option<Vec<u8>>,
    },
    /// RSA-OAEP with SHA-256, also for its mask.
    Transport,
}

impl Wrapped {
    /// Reads the next RecipientInfo.
    pub(crate) fn read(infos: &mut Der<'_>) -> Option<Self> {
        let found = if let Some(info) = infos.enter(CONTEXT_1) {
            Self::read_agree(info)?
        } else if let Some(info) = infos.enter(SEQUENCE) {
            Self::read_transport(info)?
        } else {
            Self::read_kem(infos.enter(CONTEXT_4)?)?
        };
        let sound = match found.how {
            How::Transport => TRANSPORTED_BYTES.contains(&found.key.len()),
            How::Agree(_) | How::Kem { .. } => found.key.len() == agree::WRAPPED_KEY_BYTES,
        };
        sound.then_some(found)
    }

    /// Whether the key goes by RSA-OAEP.
    pub(crate) fn by_rsa(&self) -> bool {
        matches!(self.how, How::Transport)
    }

    fn read_transport(mut info: Der<'_>) -> Option<Self> {
        info.take(INTEGER)?;
        let issuer_and_serial = info.take_whole(SEQUENCE)?.to_vec();
        info.take(SEQUENCE)?;
        let key = info.take(OCTET_STRING)?.to_vec();
        Some(Self { issuer_and_serial, how: How::Transport, key })
    }

    fn read_agree(mut info: Der<'_>) -> Option<Self> {
        info.take(INTEGER)?;
        let mut public = info.enter(CONTEXT_0)?.enter(CONTEXT_1)?;
        public.take(SEQUENCE)?;
        let (unused, ephemeral) = public.take(BIT_STRING)?.split_first()?;
        if *unused != 0 || ephemeral.len() != POINT_BYTES {
            return None;
        }
        info.take(SEQUENCE)?;
        let mut encrypted = info.enter(SEQUENCE)?.enter(SEQUENCE)?;
        let issuer_and_serial = encrypted.take_whole(SEQUENCE)?.to_vec();
        let key = encrypted.take(OCTET_STRING)?.to_vec();
        Some(Self { issuer_and_serial, how: How::Agree(ephemeral.to_vec()), key })
    }

    fn read_kem(mut other: Der<'_>) -> Option<Self> {
        other.take(OID).filter(|id| *id == oid::KEM_RECIPIENT)?;
        let mut info = other.enter(SEQUENCE)?;
        info.take(INTEGER)?;
        let issuer_and_serial = info.take_whole(SEQUENCE)?.to_vec();
        let kem = Kem::from_oid(info.enter(SEQUENCE)?.take(OID)?)?;
        let ciphertext = info.take(OCTET_STRING)?.to_vec();
        info.take(SEQUENCE)?;
        info.take(INTEGER)?;
        let ukm = match info.enter(CONTEXT_0) {
            Some(mut ukm) => Some(ukm.take(OCTET_STRING)?.to_vec()),
            None => None,
        };
        info.take(SEQUENCE)?;
        let key = info.take(OCTET_STRING)?.to_vec();
        let short = ukm.as_ref().is_none_or(|ukm| ukm.len() <= UKM_BYTES_MAX);
        let sound = short && ciphertext.len() == kem.ciphertext_bytes();
        sound.then_some(Self { issuer_and_serial, how: How::Kem { kem, ciphertext, ukm }, key })
    }

    /// The RecipientInfo, DER.
    pub(crate) fn write(&self) -> Vec<u8> {
        let wrap = algorithm(oid::AES256_WRAP, &[]);
        let key = element(OCTET_STRING, &[&self.key]);
        match &self.how {
            How::Agree(ephemeral) => {
                let point = element(BIT_STRING, &[&[0], ephemeral]);
                let public = element(CONTEXT_1, &[&algorithm(oid::EC_PUBLIC_KEY, &[]), &point]);
                let originator = element(CONTEXT_0, &[&public]);
                let scheme = algorithm(oid::ECDH_SHA384, &wrap);
                let encrypted = element(SEQUENCE, &[&self.issuer_and_serial, &key]);
                let keys = element(SEQUENCE, &[&encrypted]);
                element(CONTEXT_1, &[&small_integer(3), &originator, &scheme, &keys])
            }
            How::Kem { kem, ciphertext, ukm } => {
                let info = element(
                    SEQUENCE,
                    &[
                        &small_integer(0),
                        &self.issuer_and_serial,
                        &algorithm(kem.oid(), &[]),
                        &element(OCTET_STRING, &[ciphertext]),
                        &algorithm(oid::HKDF_SHA256, &[]),
                        &small_integer(KEK_BYTES),
                        &material(ukm.as_deref()),
                        &wrap,
                        &key,
                    ],
                );
                element(CONTEXT_4, &[&object(oid::KEM_RECIPIENT), &info])
            }
            How::Transport => element(
                SEQUENCE,
                &[&small_integer(0), &self.issuer_and_serial, &rsaes_oaep(), &key],
            ),
        }
    }

    /// The content key.
    pub(crate) fn unwrap(&self, key: &RecipientKey) -> Result<SealingKey, KeysError> {
        let kek = match (&self.how, key) {
            (How::Agree(ephemeral), RecipientKey::P384(key)) => agreed_kek(key, ephemeral)?,
            (How::Kem { kem, ciphertext, ukm }, RecipientKey::MlKem(key)) if key.kem() == *kem => {
                kem_kek(key.decapsulate(ciphertext)?.as_slice(), ukm.as_deref())
            }
            (How::Transport, RecipientKey::Rsa(key)) => {
                return Ok(SealingKey::from_bytes(*key.unwrap(Oaep::Sha256, &self.key)?));
            }
            (How::Agree(_) | How::Kem { .. } | How::Transport, _) => {
                return Err(KeysError::Unwrap);
            }
        };
        Ok(SealingKey::from_bytes(*agree::unwrap(&kek, &self.key)?))
    }
}

/// RSAES-OAEP-params with SHA-256 for hash and mask, without NULLs (RFC 4055 §2.1 lets both be read); an empty label.
fn rsaes_oaep() -> Vec<u8> {
    let sha256 = algorithm(oid::SHA256, &[]);
    let hash = element(CONTEXT_0, &[&sha256]);
    let mask = element(CONTEXT_1, &[&algorithm(oid::MGF1, &sha256)]);
    algorithm(oid::RSAES_OAEP, &element(SEQUENCE, &[&hash, &mask]))
}

fn agreed_kek(ours: &P384Key, theirs: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let secret = agree::ecdh_p384(ours, theirs)?;
    Ok(agree::x963_sha384(secret.as_slice(), &shared_info()))
}

/// ECC-CMS-SharedInfo (RFC 5753 §7.2): AES-256 wrap, no user keying material, 256 bits.
fn shared_info() -> Vec<u8> {
    let bits = element(OCTET_STRING, &[&256_u32.to_be_bytes()]);
    element(SEQUENCE, &[&algorithm(oid::AES256_WRAP, &[]), &element(CONTEXT_2, &[&bits])])
}

/// CMSORIforKEMOtherInfo (RFC 9629 §5) goes into HKDF as its info.
fn kem_kek(secret: &[u8], ukm: Option<&[u8]>) -> Zeroizing<[u8; 32]> {
    let wrap = algorithm(oid::AES256_WRAP, &[]);
    let info = element(SEQUENCE, &[&wrap, &small_integer(KEK_BYTES), &material(ukm)]);
    kem::hkdf_sha256(secret, &info)
}

/// User keying material as both structures hold it, or nothing.
fn material(ukm: Option<&[u8]>) -> Vec<u8> {
    ukm.map(|ukm| element(CONTEXT_0, &[&element(OCTET_STRING, &[ukm])])).unwrap_or_default()
}
