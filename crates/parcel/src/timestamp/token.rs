//! An authority's answer (RFC 3161 TimeStampResp): read, and held against what was asked.

use jiff::{SignedDuration, Timestamp};
use keys::cert::{Certificate, PublicKeyAlgorithm};
use keys::digest::{sha256, sha384, sha512};
use keys::sign::{Scheme, verify as verify_signature};

use super::Stamp;
use super::query::{Query, SHA256, SHA512};
use crate::asn1::{
    BIT_STRING, BOOLEAN, CONTEXT_0, CONTEXT_1, Der, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID,
    SEQUENCE, SET,
};
use crate::cms::{issuer_and_serial, oid};
use crate::{Fault, SKEW_SECONDS_MAX};

/// Certificates in an answer, and attributes of its signature.
const ELEMENTS_MAX: usize = 16;

/// id-ct-TSTInfo
pub(super) const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// rsaEncryption, then sha256-, sha384- and sha512WithRSAEncryption.
const RSA: [&[u8]; 4] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
];

/// Checks an authority's answer: granted, over this signature, with this nonce, signed by who may and is known.
///
/// Gives what it says, and whether by one of `authorities`.
pub(super) fn check(
    answer: &[u8],
    signature: &[u8],
    asked: Option<&Query<'_>>,
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<(Stamp, bool), Fault> {
    let token = Token::read(answer)?;
    let info = Info::read(token.info).ok_or(Fault::Stamp("it is no RFC 3161 TSTInfo"))?;
    if info.hash != sha384(signature) || info.algorithm != oid::SHA384 {
        return Err(Fault::Stamp("it is over something else than this parcel's signature"));
    }
    if let Some(asked) = asked {
        if asked.nonce.is_some() && info.nonce != asked.nonce {
            return Err(Fault::Stamp(
                "it has another nonce than the request: an answer to somebody else, or an old one",
            ));
        }
        if asked.policy.is_some_and(|policy| policy != info.policy) {
            return Err(Fault::Stamp("it is under another policy than the one that was asked for"));
        }
    }
    let certificates: Vec<_> =
        token.certificates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let named = |c: &&Certificate| issuer_and_serial(c).is_ok_and(|id| id == token.signer);
    let leaf = certificates.iter().find(named);
    let leaf = leaf.ok_or(Fault::Stamp("the authority's certificate is not included"))?;
    if !leaf.is_for_time_stamps_only() || !leaf.allows_signing() {
        return Err(Fault::Stamp("it is signed with a certificate that may not stamp"));
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
    let known = authorities.contains(leaf) || issued(leaf) || between();
    let stamp = Stamp {
        at: info.at,
        authority: leaf.clone(),
        digest: sha256(answer),
        policy: info.policy.to_vec(),
    };
    Ok((stamp, known))
}

/// The time in an answer of which nothing is verified.
pub(super) fn time_of(answer: &[u8]) -> Result<Timestamp, Fault> {
    let info = Info::read(Token::read(answer)?.info);
    Ok(info.ok_or(Fault::Stamp("it is no RFC 3161 TSTInfo"))?.at)
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
    fn read(answer: &'a [u8]) -> Result<Self, Fault> {
        let form = || Fault::Stamp("it is no RFC 3161 TimeStampResp");
        let mut whole = Der(answer);
        let mut response = whole.enter(SEQUENCE).ok_or_else(form)?;
        whole.end().ok_or_else(form)?;
        let status = response.enter(SEQUENCE).ok_or_else(form)?;
        granted(status)?;
        Self::read_message(response).ok_or_else(form)
    }

    fn read_message(mut response: Der<'a>) -> Option<Self> {
        let mut message = response.enter(SEQUENCE)?;
        response.end()?;
        message.take(OID).filter(|id| *id == oid::SIGNED_DATA)?;
        let mut data = message.enter(CONTEXT_0)?.enter(SEQUENCE)?;
        message.end()?;
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
        // Unsigned attributes.
        one.take(CONTEXT_1);
        one.end()?;
        Some(Self { info, certificates, signer, digest, attributes, scheme, signature })
    }

    /// The signature over the attributes; the attributes over the content, its type, and the certificate.
    fn check_signature(&self, leaf: &Certificate) -> Result<(), Fault> {
        let form = || Fault::Stamp("its signature is not in a form that is taken");
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

/// Reads what lies behind the imprint of an answer.
pub(super) fn fuzz(answer: &[u8]) {
    let Ok(token) = Token::read(answer) else { return };
    for der in &token.certificates {
        if let Ok(leaf) = Certificate::from_der(der) {
            drop(token.check_signature(&leaf));
            std::hint::black_box(leaf.is_for_time_stamps_only());
        }
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

/// A PKIStatusInfo must say granted, or granted with modifications; else it says why not.
fn granted(mut status: Der<'_>) -> Result<(), Fault> {
    let form = || Fault::Stamp("it is no RFC 3161 TimeStampResp");
    let number = status.take(INTEGER).ok_or_else(form)?;
    if matches!(number, [0 | 1]) {
        return Ok(());
    }
    // The text is the authority's, and is passed over: why stands in the bits.
    status.take(SEQUENCE);
    let bits = status.take(BIT_STRING).and_then(<[u8]>::split_first);
    let bits = bits.map_or(&[][..], |(_, bits)| bits);
    let is_set = |bit: usize| bits.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
    let why = WHY.iter().find(|(bit, _)| is_set(*bit)).map(|(_, why)| *why);
    Err(Fault::Stamp(why.unwrap_or("the authority refused, and gave no reason that is known")))
}

/// PKIFailureInfo (RFC 3161, 2.4.2).
const WHY: [(usize, &str); 8] = [
    (0, "the authority refused: it does not take SHA-384"),
    (2, "the authority refused: it does not take such a request"),
    (5, "the authority refused: it could not read the request"),
    (14, "the authority refused: its source of time is not available"),
    (15, "the authority refused: it does not stamp under the policy that was asked for"),
    (16, "the authority refused: it does not know an extension of the request"),
    (17, "the authority refused: it has no such information"),
    (25, "the authority refused: it has a failure of its own"),
];

/// TSTInfo, as far as it is looked at.
pub(super) struct Info<'a> {
    policy: &'a [u8],
    algorithm: &'a [u8],
    hash: &'a [u8],
    pub(super) at: Timestamp,
    nonce: Option<&'a [u8]>,
}

impl<'a> Info<'a> {
    pub(super) fn read(info: &'a [u8]) -> Option<Self> {
        let mut info = Der(info).enter(SEQUENCE)?;
        info.take(INTEGER).filter(|version| *version == [1])?;
        let policy = info.take(OID)?;
        let mut imprint = info.enter(SEQUENCE)?;
        let algorithm = imprint.enter(SEQUENCE)?.take(OID)?;
        let hash = imprint.take(OCTET_STRING)?;
        info.take(INTEGER)?;
        let at = instant(std::str::from_utf8(info.take(GENERALIZED_TIME)?).ok()?)?;
        // Accuracy and ordering.
        info.take(SEQUENCE);
        info.take(BOOLEAN);
        let nonce = info.take(INTEGER);
        // The authority's name, as it likes to be called. An extension may mean something else than we take it for.
        info.take(CONTEXT_0);
        info.end()?;
        Some(Self { policy, algorithm, hash, at, nonce })
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
