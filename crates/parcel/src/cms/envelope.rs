//! One part: AuthEnvelopedData with AES-256-GCM, a fresh key, and P-384 recipients.
//!
//! Invariant: what [`Envelope::parse`] accepts is, byte for byte, what [`seal`] could have
//! written. So tag and IV lengths, ciphers, attributes, set order and trailing data need no
//! checks of their own.

use std::ops::Range;

use keys::agree;
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::seal::{NONCE_BYTES, SealingKey, TAG_BYTES};
use keys::sign::P384Key;
use keys::{KeysError, Random};
use zeroize::Zeroizing;

use super::{algorithm, issuer_and_serial, object, oid, small_integer};
use crate::asn1::{
    BIT_STRING, CONTEXT_0, CONTEXT_0_PRIMITIVE, CONTEXT_1, CONTEXT_2, Der, INTEGER, OCTET_STRING,
    OID, SEQUENCE, SET, element, head, set_of,
};
use crate::{Fault, RECIPIENTS_MAX};

/// An uncompressed P-384 point.
const POINT_BYTES: usize = 97;
/// The longest header: [`RECIPIENTS_MAX`] recipients with long issuer names.
pub(crate) const HEAD_BYTES_MAX: u64 = 64 << 10;
/// The mac element after the ciphertext.
const MAC_BYTES: usize = 2 + TAG_BYTES;

/// Someone a part can be sealed to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    issuer_and_serial: Vec<u8>,
    point: Vec<u8>,
}

impl Address {
    /// The address of a certificate, or why it can't be one.
    pub(crate) fn of(certificate: &Certificate) -> Result<Self, &'static str> {
        if certificate.public_key_algorithm() != PublicKeyAlgorithm::P384 {
            return Err("its key is not P-384");
        }
        if !certificate.allows_key_agreement() {
            return Err("its key usage does not allow key agreement");
        }
        let bad = |_: KeysError| "its key can't be read";
        let point = agree::p384_point(&certificate.spki_der().map_err(bad)?).map_err(bad)?;
        Ok(Self { issuer_and_serial: issuer_and_serial(certificate).map_err(bad)?, point })
    }
}

/// Encrypts `data` where it is. The part is: the first vector, `data`, the second vector.
pub(crate) fn seal(
    addresses: &[Address],
    data: &mut [u8],
    random: &dyn Random,
) -> Result<(Vec<u8>, Vec<u8>), KeysError> {
    let key = SealingKey::generate(random)?;
    let (nonce, tag) = key.seal_in_place(&[], data)?;
    let mut recipients = Vec::with_capacity(addresses.len());
    for address in addresses {
        let ephemeral = P384Key::generate()?;
        let secret = agree::ecdh_p384(&ephemeral, &address.point)?;
        let kek = agree::x963_sha384(secret.as_slice(), &shared_info());
        let wrapped = agree::wrap(&kek, key.expose())?;
        let point = ephemeral.public_point();
        recipients.push(recipient_info(&point, &address.issuer_and_serial, &wrapped));
    }
    Ok((part_head(recipients, &nonce, data.len()), element(OCTET_STRING, &[&tag])))
}

/// A part's header, understood; the ciphertext stays where it is.
#[derive(Debug)]
pub(crate) struct Envelope {
    recipients: Vec<Wrapped>,
    nonce: [u8; NONCE_BYTES],
    /// Where the ciphertext lies in the part.
    content: Range<usize>,
}

#[derive(Debug)]
struct Wrapped {
    ephemeral: Vec<u8>,
    issuer_and_serial: Vec<u8>,
    key: Vec<u8>,
}

impl Envelope {
    /// Reads a whole part, strictly.
    pub(crate) fn parse(part: &[u8]) -> Result<Self, Fault> {
        let found = Self::read(part).ok_or(Fault::Malformed("a CMS AuthEnvelopedData part"))?;
        let infos = found.recipients.iter();
        let infos = infos.map(|r| recipient_info(&r.ephemeral, &r.issuer_and_serial, &r.key));
        let head = part_head(infos.collect(), &found.nonce, found.content.len());
        let same = part.get(..found.content.start) == Some(head.as_slice())
            && found.content.end.checked_add(MAC_BYTES) == Some(part.len());
        if same { Ok(found) } else { Err(Fault::Malformed("DER with a second way to write it")) }
    }

    fn read(part: &[u8]) -> Option<Self> {
        let mut message = Der(part).enter(SEQUENCE)?;
        message.take(OID).filter(|id| *id == oid::AUTH_ENVELOPED)?;
        let mut data = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        data.take(INTEGER)?;
        let mut infos = data.enter(SET)?;
        let mut recipients = Vec::new();
        while !infos.is_empty() && recipients.len() < RECIPIENTS_MAX {
            recipients.push(Self::read_recipient(infos.enter(CONTEXT_1)?)?);
        }
        infos.end()?;
        let mut encrypted = data.enter(SEQUENCE)?;
        encrypted.take(OID)?;
        let mut cipher = encrypted.enter(SEQUENCE)?;
        cipher.take(OID).filter(|id| *id == oid::AES256_GCM)?;
        let nonce = cipher.enter(SEQUENCE)?.take(OCTET_STRING)?.try_into().ok()?;
        let content = encrypted.take(CONTEXT_0_PRIMITIVE)?.len();
        data.take(OCTET_STRING).filter(|tag| tag.len() == TAG_BYTES)?;
        data.end()?;
        // The ciphertext is all that lies before the mac; `parse` confirms that it starts here.
        let end = part.len().checked_sub(MAC_BYTES)?;
        Some(Self { recipients, nonce, content: end.checked_sub(content)?..end })
    }

    fn read_recipient(mut info: Der<'_>) -> Option<Wrapped> {
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
        let key = encrypted.take(OCTET_STRING)?;
        if key.len() != agree::WRAPPED_KEY_BYTES {
            return None;
        }
        Some(Wrapped { ephemeral: ephemeral.to_vec(), issuer_and_serial, key: key.to_vec() })
    }

    /// Plaintext bytes of this part.
    pub(crate) fn content_length(&self) -> usize {
        self.content.len()
    }

    /// Decrypts the part that was parsed, where it is, and gives the range of the plaintext.
    pub(crate) fn open(
        &self,
        certificate: &Certificate,
        key: &P384Key,
        part: &mut [u8],
    ) -> Result<Range<usize>, Fault> {
        let ours = issuer_and_serial(certificate).map_err(Fault::Decrypt)?;
        let wrapped = self.recipients.iter().find(|r| r.issuer_and_serial == ours);
        let fingerprint = || certificate.fingerprint_text();
        let wrapped = wrapped.ok_or_else(|| Fault::Recipient { fingerprint: fingerprint() })?;
        let content_key = unwrap(wrapped, key).map_err(Fault::Decrypt)?;
        // The module wants the tag next to the ciphertext; two bytes of DER stand between.
        let tag_from = self.content.end + (MAC_BYTES - TAG_BYTES)..self.content.end + MAC_BYTES;
        part.copy_within(tag_from, self.content.end);
        let sealed = part.get_mut(self.content.start..self.content.end + TAG_BYTES);
        let sealed = sealed.ok_or(Fault::Malformed("a part of another length"))?;
        content_key.open_in_place(&[], &self.nonce, sealed).map_err(Fault::Decrypt)?;
        Ok(self.content.clone())
    }
}

fn unwrap(wrapped: &Wrapped, key: &P384Key) -> Result<SealingKey, KeysError> {
    let secret = agree::ecdh_p384(key, &wrapped.ephemeral)?;
    let kek = agree::x963_sha384(secret.as_slice(), &shared_info());
    let key: Zeroizing<[u8; 32]> = agree::unwrap(&kek, &wrapped.key)?;
    Ok(SealingKey::from_bytes(*key))
}

/// ECC-CMS-SharedInfo (RFC 5753 §7.2): AES-256 wrap, no user keying material, 256 bits.
fn shared_info() -> Vec<u8> {
    let bits = element(OCTET_STRING, &[&256_u32.to_be_bytes()]);
    element(SEQUENCE, &[&algorithm(oid::AES256_WRAP, &[]), &element(CONTEXT_2, &[&bits])])
}

/// KeyAgreeRecipientInfo, with its IMPLICIT tag 1 as a choice of RecipientInfo.
fn recipient_info(ephemeral: &[u8], issuer_and_serial: &[u8], wrapped: &[u8]) -> Vec<u8> {
    let point = element(BIT_STRING, &[&[0], ephemeral]);
    let public = element(CONTEXT_1, &[&algorithm(oid::EC_PUBLIC_KEY, &[]), &point]);
    let originator = element(CONTEXT_0, &[&public]);
    let scheme = algorithm(oid::ECDH_SHA384, &algorithm(oid::AES256_WRAP, &[]));
    let key = element(OCTET_STRING, &[wrapped]);
    let encrypted = element(SEQUENCE, &[issuer_and_serial, &key]);
    let keys = element(SEQUENCE, &[&encrypted]);
    element(CONTEXT_1, &[&small_integer(3), &originator, &scheme, &keys])
}

/// All of a part that stands before its ciphertext.
fn part_head(recipients: Vec<Vec<u8>>, nonce: &[u8; NONCE_BYTES], content: usize) -> Vec<u8> {
    let tag_length = u8::try_from(TAG_BYTES).unwrap_or(u8::MAX);
    let iv = element(OCTET_STRING, &[nonce]);
    let gcm = element(SEQUENCE, &[&iv, &small_integer(tag_length)]);
    let content_head = head(CONTEXT_0_PRIMITIVE, content);
    let what = [object(oid::DATA), algorithm(oid::AES256_GCM, &gcm), content_head].concat();
    let encrypted_head = head(SEQUENCE, what.len() + content);
    let data = [small_integer(0), set_of(SET, recipients), encrypted_head, what].concat();
    let data_head = head(SEQUENCE, data.len() + content + MAC_BYTES);
    let explicit_head = head(CONTEXT_0, data_head.len() + data.len() + content + MAC_BYTES);
    let message = [object(oid::AUTH_ENVELOPED), explicit_head, data_head, data].concat();
    [head(SEQUENCE, message.len() + content + MAC_BYTES), message].concat()
}

#[cfg(test)]
pub(crate) mod tests;
