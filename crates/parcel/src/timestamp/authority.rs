//! An agency as a time-stamp authority: a request in, a token out (RFC 3161).
//!
//! Nothing here keeps a record: who calls [`issue`] records the token before it leaves, and sees to it that no serial
//! number is given twice.

use jiff::Timestamp;
use keys::cert::PublicKeyAlgorithm;
use keys::digest::{sha256, sha384};

use super::query::{Declined, PolicyId, Query};
use super::token::TST_INFO;
use crate::asn1::{
    BIT_STRING, CONTEXT_0, GENERALIZED_TIME, INTEGER, OCTET_STRING, SEQUENCE, SET, element, set_of,
};
use crate::cms::{algorithm, issuer_and_serial, object, oid, small_integer};
use crate::{CHAIN_MAX, SealError, Signer};

/// How far our clock may be off the true time, as each token says.
pub const ACCURACY_SECONDS: u8 = 1;

/// A token that may leave once it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The TimeStampResp, DER.
    pub answer: Vec<u8>,
    /// Of the answer, SHA-256.
    pub digest: [u8; 32],
    pub serial: [u8; 16],
    /// The time that it says: whole seconds.
    pub at: Timestamp,
}

/// Whether a certificate and its key may stamp: P-384, a critical extendedKeyUsage of timeStamping alone, in its period.
///
/// # Errors
/// [`SealError::Signer`] says why not.
pub fn check_signer(signer: &Signer, now: Timestamp) -> Result<(), SealError> {
    let leaf = signer.chain.first().ok_or(SealError::None { what: "signing certificate" })?;
    crate::error::limit("certificates", signer.chain.len() as u64, CHAIN_MAX as u64)?;
    let refuse = |why| Err(SealError::Signer { subject: leaf.subject(), why });
    if leaf.spki_der().ok() != Some(signer.key.public_spki()) {
        return refuse("the key is not the certificate's");
    }
    if leaf.public_key_algorithm() != PublicKeyAlgorithm::P384 || !leaf.allows_signing() {
        return refuse("it is not a P-384 certificate that may sign");
    }
    if !leaf.is_for_time_stamps_only() {
        return refuse("its extended key usage is not timeStamping alone, marked critical");
    }
    if leaf.check_validity(now).is_err() {
        return refuse("it is not valid at the time of the stamp");
    }
    Ok(())
}

/// Answers a request with a token. `serial` must be new: 16 bytes, of which the first two bits are overwritten.
///
/// # Errors
/// [`Stampless`].
pub fn issue(
    query: &Query<'_>,
    signer: &Signer,
    policy: &PolicyId,
    mut serial: [u8; 16],
    now: Timestamp,
) -> Result<Issued, Stampless> {
    if query.policy.is_some_and(|asked| asked != policy.content()) {
        return Err(Declined::Policy.into());
    }
    check_signer(signer, now)?;
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    let whole = Timestamp::from_second(now.as_second());
    let at = whole.map_err(|_| Stampless::Declined(Declined::Failure))?;
    let info = tst_info(query, policy, &serial, at);
    let token = sign(&info, signer, query.wants_certificate)?;
    let status = element(SEQUENCE, &[&small_integer(0)]);
    let answer = element(SEQUENCE, &[&status, &token]);
    Ok(Issued { digest: sha256(&answer), answer, serial, at })
}

/// Why no token is given.
#[derive(Debug, thiserror::Error)]
pub enum Stampless {
    #[error(transparent)]
    Declined(#[from] Declined),
    #[error("the authority could not sign")]
    Signer(#[from] SealError),
}

/// The answer to a request that gets no token: status rejection, and why.
pub fn decline(why: Declined) -> Vec<u8> {
    let bit = why as usize;
    let mut bits = vec![0_u8; bit / 8 + 1];
    if let Some(last) = bits.last_mut() {
        *last = 0x80 >> (bit % 8);
    }
    // DER: the bits after the last that is set are left out.
    let unused = u8::try_from(7 - bit % 8).unwrap_or(0);
    let why = element(BIT_STRING, &[&[unused], &bits]);
    element(SEQUENCE, &[&element(SEQUENCE, &[&small_integer(2), &why])])
}

fn tst_info(query: &Query<'_>, policy: &PolicyId, serial: &[u8], now: Timestamp) -> Vec<u8> {
    let at = now.strftime("%Y%m%d%H%M%SZ").to_string();
    let accuracy = element(SEQUENCE, &[&small_integer(ACCURACY_SECONDS)]);
    let nonce = query.nonce.map(|nonce| element(INTEGER, &[nonce])).unwrap_or_default();
    element(
        SEQUENCE,
        &[
            &small_integer(1),
            &object(policy.content()),
            query.imprint,
            &element(INTEGER, &[serial]),
            &element(GENERALIZED_TIME, &[at.as_bytes()]),
            &accuracy,
            &nonce,
        ],
    )
}

/// SignedData over a TSTInfo, which is included; so is our chain where the request asks for it.
fn sign(info: &[u8], signer: &Signer, with_chain: bool) -> Result<Vec<u8>, SealError> {
    let failed = |source| SealError::Keys { doing: "stamping", source };
    let leaf = signer.chain.first().ok_or(SealError::None { what: "signing certificate" })?;
    let attribute =
        |id: &[u8], value: &[u8]| element(SEQUENCE, &[&object(id), &element(SET, &[value])]);
    // ESSCertIDv2: SHA-256 is the default and so is not written (RFC 5035).
    let named = element(SEQUENCE, &[&element(OCTET_STRING, &[&leaf.fingerprint()])]);
    let named = element(SEQUENCE, &[&element(SEQUENCE, &[&named])]);
    let attributes = vec![
        attribute(oid::CONTENT_TYPE, &object(TST_INFO)),
        attribute(oid::MESSAGE_DIGEST, &element(OCTET_STRING, &[&sha384(info)])),
        attribute(oid::SIGNING_CERTIFICATE, &named),
    ];
    let signature = signer.key.sign(&set_of(SET, attributes.clone())).map_err(failed)?;
    let hash = algorithm(oid::SHA384, &[]);
    let about = element(
        SEQUENCE,
        &[
            &small_integer(1),
            &issuer_and_serial(leaf).map_err(failed)?,
            &hash,
            &set_of(CONTEXT_0, attributes),
            &algorithm(oid::ECDSA_SHA384, &[]),
            &element(OCTET_STRING, &[&signature]),
        ],
    );
    let chain = || set_of(CONTEXT_0, signer.chain.iter().map(|one| one.der().to_vec()).collect());
    let certificates = if with_chain { chain() } else { Vec::new() };
    let content = element(CONTEXT_0, &[&element(OCTET_STRING, &[info])]);
    let data = element(
        SEQUENCE,
        &[
            &small_integer(3),
            &element(SET, &[&hash]),
            &element(SEQUENCE, &[&object(TST_INFO), &content]),
            &certificates,
            &element(SET, &[&about]),
        ],
    );
    Ok(element(SEQUENCE, &[&object(oid::SIGNED_DATA), &element(CONTEXT_0, &[&data])]))
}
