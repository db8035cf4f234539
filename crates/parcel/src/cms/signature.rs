//! Detached SignedData: ECDSA P-384 with SHA-384, one signer, ESS signingCertificateV2.
//!
//! As with parts, what is accepted has one way to be written: the reader writes it again and
//! compares. Signed attributes beyond ours are left as they are (the signature covers them), so
//! that a receipt signed with `openssl cms -cades` passes too.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::digest;
use keys::sign::{Scheme, verify as verify_signature};

use super::{algorithm, issuer_and_serial, object, oid, small_integer};
use crate::asn1::{
    CONTEXT_0, Der, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, UTC_TIME, element, set_of,
};
use crate::error::At;
use crate::{CHAIN_MAX, Fault, Refused, SKEW_SECONDS_MAX, SealError, Signer, Trust};

/// The longest signature file: [`CHAIN_MAX`] certificates.
pub(crate) const SIGNATURE_BYTES_MAX: u64 = 300 << 10;

/// Who signed, and when they say they did.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) certificate: Certificate,
    pub(crate) at: Timestamp,
}

/// Signs `content`, which is not included.
pub(crate) fn sign(content: &[u8], signer: &Signer, now: Timestamp) -> Result<Vec<u8>, SealError> {
    let failed = |source| SealError::Keys { doing: "signing", source };
    let leaf = check_signer(signer, now)?;
    let time = now.strftime("%y%m%d%H%M%SZ").to_string();
    if !(Timestamp::UNIX_EPOCH..instant("491231235959Z").unwrap_or(Timestamp::MAX)).contains(&now) {
        return Err(SealError::Signer { subject: leaf.subject(), why: "the time is after 2049" });
    }
    let attributes = attributes(leaf, time.as_bytes(), &digest::sha384(content));
    let signature = signer.key.sign(&set_of(SET, attributes.clone())).map_err(failed)?;
    let certificates = signer.chain.iter().map(|c| c.der().to_vec()).collect();
    assemble(certificates, leaf, attributes, &signature).map_err(failed)
}

fn check_signer(signer: &Signer, now: Timestamp) -> Result<&Certificate, SealError> {
    let leaf = signer.chain.first().ok_or(SealError::None { what: "signing certificate" })?;
    crate::error::limit("certificates", signer.chain.len() as u64, CHAIN_MAX as u64)?;
    let refuse = |why| Err(SealError::Signer { subject: leaf.subject(), why });
    if leaf.spki_der().ok() != Some(signer.key.public_spki()) {
        return refuse("the key is not the certificate's");
    }
    if !leaf.allows_signing() {
        return refuse("its key usage does not allow signing");
    }
    if leaf.check_validity(now).is_err() {
        return refuse("it is not valid at the time of signing");
    }
    Ok(leaf)
}

/// Checks `signature`, found in file `signature_name`, over `content`, of file `content_name`.
pub(crate) fn verify(
    (content_name, content): (&str, &[u8]),
    (signature_name, signature): (&str, &[u8]),
    trust: &Trust,
) -> Result<Signed, Refused> {
    let malformed = || Fault::Malformed("a CMS SignedData of one signer");
    let found = Found::read(signature).ok_or_else(malformed).at(signature_name)?;
    let certificates: Result<Vec<_>, _> =
        found.certificates.iter().map(|der| Certificate::from_der(der)).collect();
    let certificates = certificates.map_err(Fault::Certificate).at(signature_name)?;
    let named = |c: &&Certificate| issuer_and_serial(c).is_ok_and(|id| id == found.signer);
    let leaf = certificates.iter().find(named);
    let leaf = leaf.ok_or(Fault::Malformed("the signer's certificate is not included"));
    let leaf = leaf.at(signature_name)?;

    let attributes: Vec<_> = found.attributes.iter().map(|a| a.to_vec()).collect();
    let again = certificates.iter().map(|c| c.der().to_vec()).collect();
    let again = assemble(again, leaf, attributes.clone(), found.signature);
    if again.map_err(Fault::Certificate).at(signature_name)? != signature {
        return Err(Refused::new(signature_name, malformed()));
    }
    if !found.names(leaf) {
        let fault = Fault::Malformed("its signed attributes name another certificate");
        return Err(Refused::new(signature_name, fault));
    }
    if leaf.public_key_algorithm() != PublicKeyAlgorithm::P384 || !leaf.allows_signing() {
        let fault = Fault::Malformed("signed with a key that may not sign parcels");
        return Err(Refused::new(signature_name, fault));
    }
    let spki = leaf.spki_der().map_err(Fault::Certificate).at(signature_name)?;
    let signed = set_of(SET, attributes);
    verify_signature(Scheme::EcdsaP384Sha384, &spki, &signed, found.signature)
        .map_err(|error| Fault::Signature(Some(error)))
        .at(signature_name)?;
    let at = std::str::from_utf8(found.time).ok().and_then(instant);
    let at = at.ok_or(Fault::Malformed("a signing time that is none")).at(signature_name)?;
    check_trust(leaf, &certificates, at, trust).at(signature_name)?;
    if digest::sha384(content) != found.digest {
        return Err(Refused::new(content_name, Fault::Altered));
    }
    Ok(Signed { certificate: leaf.clone(), at })
}

/// The signer, or one of its issuers that came along, must be trusted or issued by who is; every
/// certificate that came along must have a part in that; and both "then" and "now" must lie in
/// the signer's period.
fn check_trust(
    leaf: &Certificate,
    certificates: &[Certificate],
    signed: Timestamp,
    trust: &Trust,
) -> Result<(), Fault> {
    let latest = trust.now.saturating_add(SignedDuration::from_secs(SKEW_SECONDS_MAX));
    if latest.is_ok_and(|latest| signed > latest) {
        return Err(Fault::Future { signed, now: trust.now });
    }
    leaf.check_validity(signed).map_err(Fault::Certificate)?;
    leaf.check_validity(trust.now).map_err(Fault::Certificate)?;
    let mut last = leaf;
    let mut trusted = trust.senders.contains(leaf);
    let mut rest: Vec<_> = certificates.iter().filter(|c| *c != leaf).collect();
    while !rest.is_empty() {
        let next = rest.iter().position(|c| last.verify_issued_by(c, trust.now).is_ok());
        let next = next.ok_or(Fault::Malformed("a certificate has no part in the signature"))?;
        last = rest.swap_remove(next);
        trusted |= trust.senders.contains(last);
    }
    let issued = trust.senders.iter().any(|c| last.verify_issued_by(c, trust.now).is_ok());
    let anchored =
        issued || trust.senders.contains(last) || last.verify_issued_by(last, trust.now).is_ok();
    if anchored && (trusted || issued) {
        return Ok(());
    }
    Err(Fault::Sender { subject: leaf.subject(), fingerprint: leaf.fingerprint_text() })
}

/// UTCTime of this century's first half.
fn instant(text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z').filter(|d| d.len() == 12)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| digits.get(at..at + 2);
    let (year, month, day) = (pair(0)?, pair(2)?, pair(4)?);
    let (hour, minute, second) = (pair(6)?, pair(8)?, pair(10)?);
    let text = format!("20{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    text.parse().ok().filter(|_| year < "50")
}

fn attribute(id: &[u8], value: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&object(id), &element(SET, &[value])])
}

/// The signed attributes, each an Attribute in DER.
fn attributes(leaf: &Certificate, time: &[u8], digest: &[u8]) -> Vec<Vec<u8>> {
    // ESSCertIDv2: SHA-256 is the default and so is not written (RFC 5035).
    let hash = element(OCTET_STRING, &[&leaf.fingerprint()]);
    let certificates = element(SEQUENCE, &[&element(SEQUENCE, &[&hash])]);
    vec![
        attribute(oid::CONTENT_TYPE, &object(oid::DATA)),
        attribute(oid::SIGNING_TIME, &element(UTC_TIME, &[time])),
        attribute(oid::MESSAGE_DIGEST, &element(OCTET_STRING, &[digest])),
        attribute(oid::SIGNING_CERTIFICATE, &element(SEQUENCE, &[&certificates])),
    ]
}

fn assemble(
    certificates: Vec<Vec<u8>>,
    leaf: &Certificate,
    attributes: Vec<Vec<u8>>,
    signature: &[u8],
) -> Result<Vec<u8>, keys::KeysError> {
    let hash = algorithm(oid::SHA384, &[]);
    let info = element(
        SEQUENCE,
        &[
            &small_integer(1),
            &issuer_and_serial(leaf)?,
            &hash,
            &set_of(CONTEXT_0, attributes),
            &algorithm(oid::ECDSA_SHA384, &[]),
            &element(OCTET_STRING, &[signature]),
        ],
    );
    // A set: the same certificate twice would be two elements where there is one.
    let certificates: BTreeSet<_> = certificates.into_iter().collect();
    let data = element(
        SEQUENCE,
        &[
            &small_integer(1),
            &element(SET, &[&hash]),
            &element(SEQUENCE, &[&object(oid::DATA)]),
            &set_of(CONTEXT_0, certificates.into_iter().collect()),
            &element(SET, &[&info]),
        ],
    );
    Ok(element(SEQUENCE, &[&object(oid::SIGNED_DATA), &element(CONTEXT_0, &[&data])]))
}

/// Signed attributes that are read; all of them go into the comparison.
const ATTRIBUTES_MAX: usize = 16;

/// What is taken from a signature file; all else is compared.
struct Found<'a> {
    certificates: Vec<&'a [u8]>,
    signer: &'a [u8],
    attributes: Vec<&'a [u8]>,
    time: &'a [u8],
    digest: &'a [u8],
    /// The ESSCertIDv2 of the signer: its hash algorithm, if written, and the hash.
    certificate_hash: (Option<&'a [u8]>, &'a [u8]),
    signature: &'a [u8],
}

impl<'a> Found<'a> {
    fn read(file: &'a [u8]) -> Option<Self> {
        let mut message = Der(file).enter(SEQUENCE)?;
        message.take(OID).filter(|id| *id == oid::SIGNED_DATA)?;
        let mut data = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        data.take(INTEGER)?;
        data.take(SET)?;
        data.take(SEQUENCE)?;
        let certificates = elements(data.enter(CONTEXT_0)?, CHAIN_MAX)?;
        let mut info = data.enter(SET)?.enter(SEQUENCE)?;
        info.take(INTEGER)?;
        let signer = info.take_whole(SEQUENCE)?;
        info.take(SEQUENCE)?;
        let attributes = elements(info.enter(CONTEXT_0)?, ATTRIBUTES_MAX)?;
        let value = |wanted: &[u8]| {
            let mut found = attributes.iter().filter_map(|whole| {
                let mut attribute = Der(whole).enter(SEQUENCE)?;
                let id = attribute.take(OID)?;
                (id == wanted).then_some(attribute.enter(SET)?)
            });
            let first = found.next()?;
            found.next().is_none().then_some(first)
        };
        let time = value(oid::SIGNING_TIME)?.take(UTC_TIME)?;
        let digest = value(oid::MESSAGE_DIGEST)?.take(OCTET_STRING)?;
        let mut list = value(oid::SIGNING_CERTIFICATE)?.enter(SEQUENCE)?.enter(SEQUENCE)?;
        let mut named = list.enter(SEQUENCE)?;
        let certificate_hash = (named.take_whole(SEQUENCE), named.take(OCTET_STRING)?);
        info.take(SEQUENCE)?;
        let signature = info.take(OCTET_STRING)?;
        Some(Self { certificates, signer, attributes, time, digest, certificate_hash, signature })
    }

    /// Whether the signed attributes say "data" and name this certificate as the signer's.
    fn names(&self, leaf: &Certificate) -> bool {
        let data = attribute(oid::CONTENT_TYPE, &object(oid::DATA));
        let named = match self.certificate_hash {
            (None, hash) => hash == leaf.fingerprint(),
            (Some(id), hash) => {
                id == algorithm(oid::SHA384, &[]) && hash == digest::sha384(leaf.der())
            }
        };
        named && self.attributes.contains(&data.as_slice())
    }
}

/// Up to `most` sequences, and nothing else.
fn elements(mut reader: Der<'_>, most: usize) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    while !reader.is_empty() && out.len() < most {
        out.push(reader.take_whole(SEQUENCE)?);
    }
    reader.end().map(|()| out)
}

/// The certificates that came with a signature, unverified.
pub(crate) fn certificates(file: &[u8]) -> Result<Vec<Certificate>, Fault> {
    let found = Found::read(file).ok_or(Fault::Malformed("a CMS SignedData of one signer"))?;
    let read: Result<Vec<_>, _> =
        found.certificates.iter().map(|der| Certificate::from_der(der)).collect();
    read.map_err(Fault::Certificate)
}
