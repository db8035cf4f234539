//! Whether a certificate is revoked, asked of its issuer's responder (RFC 6960).
//!
//! Invariant: an answer counts only if the issuer signed it, or somebody whom the issuer made a responder by a
//! certificate of its own; over the bytes as they came; about the certificate that was asked about; with the
//! nonce that was sent; and in its time. Absent: the connection, which is `wire`'s.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{ID_SHA_1, ID_SHA_256};
use const_oid::db::rfc6960::ID_PKIX_OCSP_NONCE;
use der::asn1::{Any, BitString, OctetString};
use der::{Decode, Encode};
use jiff::{SignedDuration, Timestamp};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::ext::Nonce;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request,
    TbsRequest,
};

use crate::cert::{Certificate, first_element, key_bits, scheme_of};
use crate::{KeysError, Random, checksum, digest, random_bytes, sign};

/// The largest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Most certificates in an answer that are looked at.
const CERTIFICATES_MAX: usize = 4;
/// How far the responder's clock may differ from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How old an answer may be that does not say until when it is good.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(10);

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// How the issuer is named in the question. It proves nothing: the answer's signature does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameHash {
    Sha256,
    /// For responders that know no other (RFC 5019).
    Sha1,
}

/// What the responder says of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Good,
    Revoked,
    Unknown,
}

/// Why an answer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the answer is not one of OCSP, or too large")]
    Malformed,
    #[error("the responder did not answer the question")]
    Unanswered,
    #[error("the answer is about another certificate")]
    OtherCertificate,
    #[error("the answer is to another question, or does not say to which")]
    Nonce,
    #[error("the answer is not signed by the issuer, nor by a responder of its own")]
    Signature,
    #[error("the answer's time is over, or has not come")]
    Time,
}

/// A question about one certificate.
pub struct Question {
    der: Vec<u8>,
    about: CertId,
    nonce: Vec<u8>,
}

impl Question {
    /// Whether `subject`, which `issuer` issued, is revoked.
    ///
    /// # Errors
    /// [`KeysError`] if there are no random bytes or a name can't be written.
    pub fn new(
        subject: &Certificate,
        issuer: &Certificate,
        by: NameHash,
        random: &dyn Random,
    ) -> Result<Self, KeysError> {
        let failed =
            |source| KeysError::Certificate { what: "names for OCSP", source: Some(source) };
        let nonce = random_bytes::<32>(random)?.to_vec();
        let about = id(subject, issuer, by)?;
        let extension = Extension {
            extn_id: ID_PKIX_OCSP_NONCE,
            critical: false,
            extn_value: OctetString::new(
                OctetString::new(nonce.clone()).and_then(|nonce| nonce.to_der()).map_err(failed)?,
            )
            .map_err(failed)?,
        };
        let request = OcspRequest {
            tbs_request: TbsRequest {
                request_list: vec![Request {
                    req_cert: about.clone(),
                    single_request_extensions: None,
                }],
                request_extensions: Some(vec![extension]),
                ..TbsRequest::default()
            },
            optional_signature: None,
        };
        Ok(Self { der: request.to_der().map_err(failed)?, about, nonce })
    }

    /// The question as it is sent: `application/ocsp-request`.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What an answer says. `nonce_needed`: whether an answer without a nonce is none.
    ///
    /// # Errors
    /// [`Unfit`]: it says nothing.
    pub fn read(
        &self,
        answer: &[u8],
        issuer: &Certificate,
        nonce_needed: bool,
        at: Timestamp,
    ) -> Result<Status, Unfit> {
        let basic = basic(answer)?;
        let signed = first_element(&basic).map_err(|_| Unfit::Malformed)?;
        let basic = BasicOcspResponse::from_der(&basic).map_err(|_| Unfit::Malformed)?;
        if !is_signed(&basic, &signed, issuer, at) {
            return Err(Unfit::Signature);
        }
        let said = &basic.tbs_response_data;
        match nonces(&basic)?.as_slice() {
            [] if !nonce_needed => {}
            [nonce] if *nonce == self.nonce => {}
            _ => return Err(Unfit::Nonce),
        }
        let mut about = said.responses.iter().filter(|one| is_about(&one.cert_id, &self.about));
        let (Some(one), None) = (about.next(), about.next()) else {
            return Err(Unfit::OtherCertificate);
        };
        // Extensions that change what an answer means are none that this program knows.
        let extensions = said.response_extensions.iter().chain(&one.single_extensions).flatten();
        if extensions
            .into_iter()
            .any(|extension| extension.critical && extension.extn_id != ID_PKIX_OCSP_NONCE)
        {
            return Err(Unfit::Malformed);
        }
        let time = |time: &x509_ocsp::OcspGeneralizedTime| instant(time.0);
        let from = time(&one.this_update);
        let until = one.next_update.as_ref().map(time);
        let until = until.unwrap_or_else(|| from.saturating_add(AGE_MAX).unwrap_or(from));
        let early = at.saturating_add(SKEW).unwrap_or(at) < from;
        let late = at.saturating_sub(SKEW).unwrap_or(at) > until;
        if early || late || until < from {
            return Err(Unfit::Time);
        }
        Ok(match &one.cert_status {
            CertStatus::Good(_) => Status::Good,
            CertStatus::Revoked(_) => Status::Revoked,
            CertStatus::Unknown(_) => Status::Unknown,
        })
    }
}

fn instant(time: der::asn1::GeneralizedTime) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn id(subject: &Certificate, issuer: &Certificate, by: NameHash) -> Result<CertId, KeysError> {
    let failed = |source| KeysError::Certificate { what: "names for OCSP", source: Some(source) };
    let key = key_bits(&issuer.spki_der()?)
        .ok_or(KeysError::Certificate { what: "public key", source: None })?;
    let hash = |bytes: &[u8]| match by {
        NameHash::Sha256 => digest::sha256(bytes).to_vec(),
        NameHash::Sha1 => checksum::sha1(bytes),
    };
    let oid = match by {
        NameHash::Sha256 => ID_SHA_256,
        NameHash::Sha1 => ID_SHA_1,
    };
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) },
        issuer_name_hash: OctetString::new(hash(&issuer.subject_der()?)).map_err(failed)?,
        issuer_key_hash: OctetString::new(hash(&key)).map_err(failed)?,
        serial_number: SerialNumber::new(subject.serial()).map_err(failed)?,
    })
}

/// Whether both are of one certificate. Responders write the hash's parameters, which are none, in either way.
fn is_about(said: &CertId, asked: &CertId) -> bool {
    said.hash_algorithm.oid == asked.hash_algorithm.oid
        && said.issuer_name_hash == asked.issuer_name_hash
        && said.issuer_key_hash == asked.issuer_key_hash
        && said.serial_number == asked.serial_number
}

/// The inner answer, of the one type that there is.
fn basic(answer: &[u8]) -> Result<Vec<u8>, Unfit> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(Unfit::Malformed);
    }
    let answer = OcspResponse::from_der(answer).map_err(|_| Unfit::Malformed)?;
    match (answer.response_status, answer.response_bytes) {
        (OcspResponseStatus::Successful, Some(inner)) if inner.response_type == BASIC => {
            Ok(inner.response.into_bytes())
        }
        (OcspResponseStatus::Successful, _) => Err(Unfit::Malformed),
        _ => Err(Unfit::Unanswered),
    }
}

/// Every nonce in it; one that can't be read makes it malformed.
fn nonces(basic: &BasicOcspResponse) -> Result<Vec<Vec<u8>>, Unfit> {
    let extensions = basic.tbs_response_data.response_extensions.iter().flatten();
    let nonces = extensions.filter(|one| one.extn_id == ID_PKIX_OCSP_NONCE);
    nonces
        .map(|one| {
            let nonce = Nonce::from_der(one.extn_value.as_bytes()).map_err(|_| Unfit::Malformed)?;
            Ok(nonce.0.as_bytes().to_vec())
        })
        .collect()
}

fn is_signed(
    basic: &BasicOcspResponse,
    signed: &[u8],
    issuer: &Certificate,
    at: Timestamp,
) -> bool {
    let Some(scheme) = scheme_of(basic.signature_algorithm.oid) else { return false };
    let Some(signature) = BitString::as_bytes(&basic.signature) else { return false };
    let verifies = |by: &Certificate| {
        by.spki_der().is_ok_and(|spki| sign::verify(scheme, &spki, signed, signature).is_ok())
    };
    if verifies(issuer) {
        return true;
    }
    let shown = basic.certs.iter().flatten().take(CERTIFICATES_MAX);
    let mut shown = shown
        .filter_map(|one| one.to_der().ok())
        .filter_map(|der| Certificate::from_der(&der).ok());
    shown
        .any(|one| one.answers_ocsp() && one.verify_issued_by(issuer, at).is_ok() && verifies(&one))
}
