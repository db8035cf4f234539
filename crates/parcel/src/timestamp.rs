//! Trusted time (RFC 3161, 5816): an authority's word that a parcel's signature was there at a time.
//!
//! The token lies beside the signature that it is over, and is added after sealing: whoever has it can add it, and who takes
//! it away takes away no more than that word. The request goes to the authority by whatever way the agency has; nothing
//! here opens a connection.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::digest::{sha256, sha384, sha512};
use keys::sign::{Scheme, verify as verify_signature};

use crate::asn1::{
    BOOLEAN, CONTEXT_0, CONTEXT_1, Der, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE,
    SET, element,
};
use crate::cms::{algorithm, issuer_and_serial, oid, small_integer};
use crate::error::At;
use crate::store::Store;
use crate::target::{Folder, Target as _};
use crate::{Fault, Parcel, Refused, SKEW_SECONDS_MAX, bag};

/// The longest request and answer.
pub const STAMP_BYTES_MAX: u64 = 64 << 10;
/// Certificates in an answer, and attributes of its signature.
const ELEMENTS_MAX: usize = 16;

const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// rsaEncryption, then sha256-, sha384- and sha512WithRSAEncryption.
const RSA: [&[u8]; 4] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
];

/// What an authority says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// At this time the parcel's signature was there.
    pub at: Timestamp,
    pub authority: Certificate,
}

/// A request for a token over a parcel's signature, with a fresh random nonce: DER, to be sent as `application/timestamp-query`.
pub fn request(parcel: &Path, mut nonce: [u8; 16]) -> Result<Vec<u8>, Refused> {
    let signature = signature_of(&Store::enter(parcel)?)?;
    // A positive number of 16 bytes.
    if let Some(first) = nonce.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    Ok(element(
        SEQUENCE,
        &[
            &small_integer(1),
            &imprint(&signature),
            &element(INTEGER, &[&nonce]),
            &element(BOOLEAN, &[&[0xff]]),
        ],
    ))
}

/// Adds an authority's answer to a sealed folder, once all about it was checked: that it answers `request`, and is over this
/// parcel's signature, by one of `authorities` (their certificates, or those of CAs that issue them).
pub fn add(
    parcel: &Path,
    request: &[u8],
    answer: &[u8],
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<Stamp, Refused> {
    let store = Store::enter(parcel)?;
    if !matches!(store, Store::Folder(_)) {
        let fault = Fault::Malformed("a folder: a token can't be added to a ZIP file");
        return Err(Refused::new(bag::STAMP_FILE, fault));
    }
    let signature = signature_of(&store)?;
    let mut asked = Der(request).enter(SEQUENCE).unwrap_or(Der(&[]));
    let form = || Fault::Malformed("a request for this parcel's signature");
    asked.take(INTEGER);
    let same = asked.take_whole(SEQUENCE) == Some(imprint(&signature).as_slice());
    let nonce = asked.take(INTEGER).filter(|_| same).ok_or_else(form).at("the request")?;
    let stamp = check(answer, &signature, Some(nonce), authorities, now).at(bag::STAMP_FILE)?;
    Folder::existing(parcel)
        .create(bag::STAMP_FILE, &[answer])
        .map_err(Fault::Write)
        .at(bag::STAMP_FILE)?;
    Ok(stamp)
}

impl Parcel {
    /// The time that an authority gave the parcel; `None` if no token came along. One that does not hold, or is by nobody of
    /// `authorities`, is refused.
    pub fn stamp(&self, authorities: &[Certificate]) -> Result<Option<Stamp>, Refused> {
        let store = self.store();
        if !store.has(bag::STAMP_FILE) {
            return Ok(None);
        }
        let answer = store.read(bag::STAMP_FILE, STAMP_BYTES_MAX)?;
        let signature = signature_of(store)?;
        let stamp = check(&answer, &signature, None, authorities, self.trust.now);
        let stamp = stamp.at(bag::STAMP_FILE)?;
        let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
        if stamp.at.saturating_add(skew).is_ok_and(|latest| latest < self.verified().signed_at) {
            let fault = Fault::Malformed("a time that is not before the signature's own");
            return Err(Refused::new(bag::STAMP_FILE, fault));
        }
        Ok(Some(stamp))
    }
}

impl Parcel {
    /// As [`Parcel::stamp`], and a missing token is refused too.
    pub fn required_stamp(&self, authorities: &[Certificate]) -> Result<Stamp, Refused> {
        self.stamp(authorities)?.ok_or(Fault::Missing).at(bag::STAMP_FILE)
    }
}

fn signature_of(store: &Store) -> Result<Vec<u8>, Refused> {
    store.read(bag::SIGNATURE_FILE, crate::cms::signature::SIGNATURE_BYTES_MAX)
}

/// MessageImprint of a signature file: SHA-384.
fn imprint(signature: &[u8]) -> Vec<u8> {
    let hash = element(OCTET_STRING, &[&sha384(signature)]);
    element(SEQUENCE, &[&algorithm(oid::SHA384, &[]), &hash])
}

/// Checks an authority's answer: granted, over this signature, with this nonce, signed by who may and is known.
fn check(
    answer: &[u8],
    signature: &[u8],
    nonce: Option<&[u8]>,
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<Stamp, Fault> {
    let refused = Fault::Malformed("a granted answer of a time-stamp authority");
    let token = Token::read(answer).ok_or(refused)?;
    let info = Info::read(token.info).ok_or(Fault::Malformed("an RFC 3161 TSTInfo"))?;
    let same = info.hash == sha384(signature) && info.algorithm == oid::SHA384;
    if !same || nonce.is_some_and(|nonce| info.nonce != Some(nonce)) {
        return Err(Fault::Malformed("a time stamp over this parcel's signature, as asked for"));
    }
    let certificates: Vec<_> =
        token.certificates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let named = |c: &&Certificate| issuer_and_serial(c).is_ok_and(|id| id == token.signer);
    let leaf = certificates.iter().find(named);
    let leaf = leaf.ok_or(Fault::Malformed("the authority's certificate is not included"))?;
    if !leaf.is_for_time_stamps_only() || !leaf.allows_signing() {
        return Err(Fault::Malformed("signed by a certificate that may not stamp"));
    }
    token.check_signature(leaf)?;
    let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
    if now.saturating_add(skew).is_ok_and(|latest| info.at > latest) {
        return Err(Fault::Future { signed: info.at, now });
    }
    leaf.check_validity(info.at).map_err(Fault::Certificate)?;
    let issued = |c: &Certificate| {
        authorities.iter().any(|authority| c.verify_issued_by(authority, info.at).is_ok())
    };
    let between = || {
        let mut came = certificates.iter();
        came.any(|c| leaf.verify_issued_by(c, info.at).is_ok() && issued(c))
    };
    if !(authorities.contains(leaf) || issued(leaf) || between()) {
        let (subject, fingerprint) = (leaf.subject(), leaf.fingerprint_text());
        return Err(Fault::Sender { subject, fingerprint });
    }
    Ok(Stamp { at: info.at, authority: leaf.clone() })
}

/// The parts of an answer that are looked at.
struct Token<'a> {
    info: &'a [u8],
    certificates: Vec<&'a [u8]>,
    signer: &'a [u8],
    digest: &'a [u8],
    /// The signed attributes, with their tag.
    attributes: &'a [u8],
    scheme: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Token<'a> {
    fn read(answer: &'a [u8]) -> Option<Self> {
        let mut whole = Der(answer);
        let mut response = whole.enter(SEQUENCE)?;
        whole.end()?;
        let status = response.enter(SEQUENCE)?.take(INTEGER)?;
        // Granted, or granted with modifications.
        if !matches!(status, [0 | 1]) {
            return None;
        }
        let mut message = response.enter(SEQUENCE)?;
        response.end()?;
        message.take(OID).filter(|id| *id == oid::SIGNED_DATA)?;
        let mut data = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        data.take(INTEGER)?;
        data.take(SET)?;
        let mut content = data.enter(SEQUENCE)?;
        content.take(OID).filter(|id| *id == TST_INFO)?;
        let info = content.enter(CONTEXT_0)?.take(OCTET_STRING)?;
        let certificates = elements(data.enter(CONTEXT_0)?)?;
        data.take(CONTEXT_1);
        let mut signers = data.enter(SET)?;
        data.end()?;
        let mut one = signers.enter(SEQUENCE)?;
        signers.end()?;
        one.take(INTEGER)?;
        let signer = one.take_whole(SEQUENCE)?;
        let digest = one.enter(SEQUENCE)?.take(OID)?;
        let attributes = one.take_whole(CONTEXT_0)?;
        let scheme = one.enter(SEQUENCE)?.take(OID)?;
        let signature = one.take(OCTET_STRING)?;
        Some(Self { info, certificates, signer, digest, attributes, scheme, signature })
    }

    /// The signature over the attributes; the attributes over the content, its type, and the certificate.
    fn check_signature(&self, leaf: &Certificate) -> Result<(), Fault> {
        let form = || Fault::Malformed("a signature of a time-stamp authority");
        let hash = hash(self.digest, self.info).ok_or_else(form)?;
        let content = self.attribute(oid::CONTENT_TYPE, OID).filter(|kind| *kind == TST_INFO);
        let digest = self.attribute(oid::MESSAGE_DIGEST, OCTET_STRING).filter(|d| *d == hash);
        let named = self.attribute(oid::SIGNING_CERTIFICATE, SEQUENCE);
        let named = named.is_some_and(|ids| names(ids, leaf).is_some());
        if content.is_none() || digest.is_none() || !named {
            return Err(form());
        }
        let scheme = self.scheme(leaf.public_key_algorithm()).ok_or_else(form)?;
        // What is signed has the tag of a set in the place of the implicit one.
        let mut signed = self.attributes.to_vec();
        if let Some(tag) = signed.first_mut() {
            *tag = SET;
        }
        let spki = leaf.spki_der().map_err(Fault::Certificate)?;
        verify_signature(scheme, &spki, &signed, self.signature)
            .map_err(|error| Fault::Signature(Some(error)))
    }

    fn scheme(&self, key: PublicKeyAlgorithm) -> Option<Scheme> {
        let [bare, rsa256, rsa384, rsa512] = RSA;
        let rsa = |digest: &[u8], full: &[u8]| {
            key == PublicKeyAlgorithm::Rsa
                && self.digest == digest
                && (self.scheme == bare || self.scheme == full)
        };
        match key {
            PublicKeyAlgorithm::P384
                if self.scheme == oid::ECDSA_SHA384 && self.digest == oid::SHA384 =>
            {
                Some(Scheme::EcdsaP384Sha384)
            }
            PublicKeyAlgorithm::P256 if self.scheme == ECDSA_SHA256 && self.digest == SHA256 => {
                Some(Scheme::EcdsaP256Sha256)
            }
            _ if rsa(SHA256, rsa256) => Some(Scheme::RsaPkcs1Sha256),
            _ if rsa(oid::SHA384, rsa384) => Some(Scheme::RsaPkcs1Sha384),
            _ if rsa(SHA512, rsa512) => Some(Scheme::RsaPkcs1Sha512),
            _ => None,
        }
    }

    /// The one value, of this type, of an attribute that is there once.
    fn attribute(&self, id: &[u8], tag: u8) -> Option<&'a [u8]> {
        let list = elements(Der(self.attributes).enter(CONTEXT_0)?)?;
        let mut found = None;
        for one in list {
            let mut one = Der(one).enter(SEQUENCE)?;
            if one.take(OID)? == id {
                let mut values = one.enter(SET)?;
                let value = values.take(tag)?;
                values.end()?;
                if found.replace(value).is_some() {
                    return None;
                }
            }
        }
        found
    }
}

/// Whether the first of ESSCertIDv2 (RFC 5816) is the certificate's.
fn names(ids: &[u8], leaf: &Certificate) -> Option<()> {
    let mut first = Der(ids).enter(SEQUENCE)?.enter(SEQUENCE)?;
    let algorithm = match first.enter(SEQUENCE) {
        Some(mut algorithm) => algorithm.take(OID)?,
        None => SHA256,
    };
    (hash(algorithm, leaf.der())? == first.take(OCTET_STRING)?).then_some(())
}

fn hash(algorithm: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    if algorithm == SHA256 {
        Some(sha256(bytes).to_vec())
    } else if algorithm == oid::SHA384 {
        Some(sha384(bytes).to_vec())
    } else {
        (algorithm == SHA512).then(|| sha512(bytes).to_vec())
    }
}

fn elements(mut run: Der<'_>) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    while !run.is_empty() && out.len() < ELEMENTS_MAX {
        out.push(run.take_any()?);
    }
    run.end()?;
    Some(out)
}

/// TSTInfo, as far as it is looked at.
struct Info<'a> {
    algorithm: &'a [u8],
    hash: &'a [u8],
    at: Timestamp,
    nonce: Option<&'a [u8]>,
}

impl<'a> Info<'a> {
    fn read(info: &'a [u8]) -> Option<Self> {
        let mut info = Der(info).enter(SEQUENCE)?;
        info.take(INTEGER).filter(|version| *version == [1])?;
        info.take(OID)?;
        let mut imprint = info.enter(SEQUENCE)?;
        let algorithm = imprint.enter(SEQUENCE)?.take(OID)?;
        let hash = imprint.take(OCTET_STRING)?;
        info.take(INTEGER)?;
        let at = instant(std::str::from_utf8(info.take(GENERALIZED_TIME)?).ok()?)?;
        // Accuracy and ordering.
        info.take(SEQUENCE);
        info.take(BOOLEAN);
        Some(Self { algorithm, hash, at, nonce: info.take(INTEGER) })
    }
}

/// GeneralizedTime in UTC, whole seconds or with a fraction.
fn instant(text: &str) -> Option<Timestamp> {
    let body = text.strip_suffix('Z')?;
    let (digits, fraction) = body.split_once('.').map_or((body, None), |(d, f)| (d, Some(f)));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.len() != 14 || !plain(digits) || !fraction.is_none_or(|f| plain(f) && f.len() <= 9) {
        return None;
    }
    let (date, time) = digits.split_at_checked(8)?;
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    format!("{date}T{time}{fraction}Z").parse().ok()
}

/// Any bytes as an answer.
pub(crate) fn fuzz(data: &[u8]) {
    drop(check(data, b"signature", None, &[], Timestamp::UNIX_EPOCH));
    if let Some(info) = Info::read(data) {
        std::hint::black_box(info.at);
    }
}
