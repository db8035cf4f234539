//! One part: AuthEnvelopedData with AES-256-GCM, a fresh key, and its recipients.
//!
//! Invariant: what [`Envelope::parse`] accepts is, byte for byte, what [`seal`] could have
//! written. So tag and IV lengths, ciphers, attributes, set order and trailing data need no
//! checks of their own.

use std::ops::Range;

use keys::seal::{NONCE_BYTES, SealingKey, TAG_BYTES};
use keys::{KeysError, Random};

use super::recipient::{Address, Wrapped};
use super::{algorithm, issuer_and_serial, object, oid, small_integer};
use crate::asn1::{
    CONTEXT_0, CONTEXT_0_PRIMITIVE, Der, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, announce,
    element, head, set_of,
};
use crate::{Fault, RECIPIENTS_MAX, Recipient};

/// The longest header: [`RECIPIENTS_MAX`] recipients with long issuer names.
pub(crate) const HEAD_BYTES_MAX: u64 = 64 << 10;
/// The mac element after the ciphertext.
const MAC_BYTES: usize = 2 + TAG_BYTES;

/// Encrypts `data` where it is. The part is: the first vector, `data`, the second vector.
pub(crate) fn seal(
    addresses: &[Address],
    data: &mut [u8],
    random: &dyn Random,
) -> Result<(Vec<u8>, Vec<u8>), KeysError> {
    let key = SealingKey::generate(random)?;
    let (nonce, tag) = key.seal_in_place(&[], data)?;
    let recipients: Result<_, _> = addresses.iter().map(|to| to.wrap(key.expose())).collect();
    let recipients = recipients?;
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

impl Envelope {
    /// Reads a whole part, strictly.
    pub(crate) fn parse(part: &[u8]) -> Result<Self, Fault> {
        let found = Self::read(part).ok_or(Fault::Malformed("a CMS AuthEnvelopedData part"))?;
        let infos = found.recipients.iter().map(Wrapped::write);
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
            recipients.push(Wrapped::read(&mut infos)?);
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

    /// Whether any recipient's key goes by RSA-OAEP.
    pub(crate) fn by_rsa(&self) -> bool {
        self.recipients.iter().any(Wrapped::by_rsa)
    }

    /// Plaintext bytes of this part.
    pub(crate) fn content_length(&self) -> usize {
        self.content.len()
    }

    /// Decrypts the part that was parsed, where it is, and gives the range of the plaintext.
    pub(crate) fn open(
        &self,
        recipient: &Recipient,
        part: &mut [u8],
    ) -> Result<Range<usize>, Fault> {
        let Recipient { certificate, key } = recipient;
        let ours = issuer_and_serial(certificate).map_err(Fault::Decrypt)?;
        let wrapped = self.recipients.iter().find(|r| r.issuer_and_serial == ours);
        let fingerprint = || certificate.fingerprint_text();
        let wrapped = wrapped.ok_or_else(|| Fault::Recipient { fingerprint: fingerprint() })?;
        let content_key = wrapped.unwrap(key).map_err(Fault::Decrypt)?;
        // The module wants the tag next to the ciphertext; two bytes of DER stand between.
        let tag_from = self.content.end + (MAC_BYTES - TAG_BYTES)..self.content.end + MAC_BYTES;
        part.copy_within(tag_from, self.content.end);
        let sealed = part.get_mut(self.content.start..self.content.end + TAG_BYTES);
        let sealed = sealed.ok_or(Fault::Malformed("a part of another length"))?;
        content_key.open_in_place(&[], &self.nonce, sealed).map_err(Fault::Decrypt)?;
        Ok(self.content.clone())
    }
}

/// Whether the recipients at the begin of a part get their key by RSA-OAEP; none where they can't be read, which
/// [`Envelope::parse`] will say.
pub(crate) fn sent_by_rsa(start: &[u8]) -> Option<bool> {
    let mut rest = start;
    // Into ContentInfo, AuthEnvelopedData; past their first fields; up to the recipients.
    for (tag, enters) in
        [(SEQUENCE, true), (OID, false), (CONTEXT_0, true), (SEQUENCE, true), (INTEGER, false)]
    {
        let (found, head, length) = announce(rest)?;
        let skipped = if enters { head } else { head.checked_add(length)? };
        rest = (found == tag).then(|| rest.get(skipped..)).flatten()?;
    }
    let (tag, head, length) = announce(rest)?;
    let whole = rest.get(..head.checked_add(length)?).filter(|_| tag == SET)?;
    let mut infos = Der(whole).enter(SET)?;
    let mut by_rsa = false;
    for _ in 0..RECIPIENTS_MAX {
        if infos.is_empty() {
            return Some(by_rsa);
        }
        by_rsa |= Wrapped::read(&mut infos)?.by_rsa();
    }
    infos.is_empty().then_some(by_rsa)
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
mod kem_tests;
#[cfg(test)]
mod openssl_tests;
#[cfg(test)]
pub(crate) mod rsa_tests;
#[cfg(test)]
pub(crate) mod tests;
