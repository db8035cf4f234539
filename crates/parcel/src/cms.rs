//! The two CMS messages of this profile (RFC 5652, 5083, 5084, 5753, 3560, 9629, 9936, 5035), and no other form.

pub(crate) mod envelope;
pub(crate) mod recipient;
pub(crate) mod signature;

use keys::KeysError;
use keys::cert::Certificate;

use crate::asn1::{INTEGER, OID, SEQUENCE, element};

/// Object identifiers, content octets only.
pub(crate) mod oid {
    pub(crate) const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    pub(crate) const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    /// id-ct-authEnvelopedData
    pub(crate) const AUTH_ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 23];
    pub(crate) const AES256_GCM: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 46];
    pub(crate) const AES256_WRAP: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 45];
    /// dhSinglePass-stdDH-sha384kdf-scheme
    pub(crate) const ECDH_SHA384: &[u8] = &[0x2b, 0x81, 4, 1, 11, 2];
    /// id-ori-kem (RFC 9629)
    pub(crate) const KEM_RECIPIENT: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 13, 3];
    /// id-alg-hkdf-with-sha256 (RFC 8619)
    pub(crate) const HKDF_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 3, 28];
    /// id-RSAES-OAEP (RFC 8017, A.2.1)
    pub(crate) const RSAES_OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 7];
    pub(crate) const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
    pub(crate) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    pub(crate) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    pub(crate) const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    pub(crate) const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    pub(crate) const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
    pub(crate) const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
    pub(crate) const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 5];
    /// id-aa-signingCertificateV2
    pub(crate) const SIGNING_CERTIFICATE: &[u8] =
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
}

pub(crate) fn object(content: &[u8]) -> Vec<u8> {
    element(OID, &[content])
}

pub(crate) fn small_integer(value: u8) -> Vec<u8> {
    element(INTEGER, &[&[value]])
}

/// An AlgorithmIdentifier with these parameters, or with none.
pub(crate) fn algorithm(content: &[u8], parameters: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&object(content), parameters])
}

/// CMS IssuerAndSerialNumber.
pub(crate) fn issuer_and_serial(certificate: &Certificate) -> Result<Vec<u8>, KeysError> {
    let serial = element(INTEGER, &[certificate.serial()]);
    Ok(element(SEQUENCE, &[&certificate.issuer_der()?, &serial]))
}
