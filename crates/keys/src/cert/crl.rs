//! Lists of revoked certificates (RFC 5280, 5): told apart in a file, and when each is in force.
//!
//! Absent: whether a list is signed, by whom, and what it says of a certificate. That belongs to the
//! validation of a path, in `wire`.

use der::Decode;
use jiff::Timestamp;
use x509_cert::crl::CertificateList;

use super::{instant, pem_blocks};
use crate::KeysError;

/// The largest list that is read, in bytes. Lists of large issuers have tens of megabytes.
pub const CRL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The most lists in one file.
pub const CRLS_MAX: usize = 16;

/// A list, and when it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    pub der: Vec<u8>,
    /// Who it is of, for people.
    pub issuer: String,
    pub this_update: Timestamp,
    /// When the next one is due; a list without is refused.
    pub next_update: Timestamp,
}

/// Reads the lists of a file: one in DER, or any number in PEM.
///
/// # Errors
/// [`KeysError::Crl`] says what is wrong with the first that can't be used.
pub fn read(bytes: &[u8]) -> Result<Vec<Crl>, KeysError> {
    let wrong = |what| KeysError::Crl { what, source: None };
    if bytes.len() > CRL_BYTES_MAX {
        return Err(wrong("longer than 32 MiB"));
    }
    if bytes.first() == Some(&0x30) {
        return Ok(vec![one(bytes.to_vec())?]);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("neither DER nor PEM"))?;
    let blocks = pem_blocks(text, "X509 CRL")?;
    if blocks.is_empty() || blocks.len() > CRLS_MAX {
        return Err(wrong("not 1 to 16 blocks of PEM"));
    }
    blocks.into_iter().map(one).collect()
}

fn one(der: Vec<u8>) -> Result<Crl, KeysError> {
    let list = CertificateList::from_der(&der)
        .map_err(|source| KeysError::Crl { what: "not DER of X.509", source: Some(source) })?;
    let list = list.tbs_cert_list;
    let next = list
        .next_update
        .ok_or(KeysError::Crl { what: "it does not say when the next is due", source: None })?;
    Ok(Crl {
        issuer: list.issuer.to_string(),
        this_update: instant(list.this_update),
        next_update: instant(next),
        der,
    })
}
