//! Any document that an agency signs beside its parcels: a detached CMS signature over its bytes.

use jiff::Timestamp;
use keys::cert::Certificate;

use crate::cms::signature;
use crate::{Refused, SealError, Signer, Trust};

/// Signs a document. Gives the signature, DER.
///
/// # Errors
/// [`SealError`] where the signer's certificate does not serve.
pub fn sign(document: &[u8], signer: &Signer, now: Timestamp) -> Result<Vec<u8>, SealError> {
    signature::sign(document, signer, now)
}

/// Checks the signature over a document; `name` is what a refusal calls it. Gives who signed, and when.
///
/// # Errors
/// [`Refused`] names the fault.
pub fn verify(
    name: &str,
    document: &[u8],
    found: &[u8],
    trust: &Trust,
) -> Result<(Certificate, Timestamp), Refused> {
    let signature_name = format!("{name}.p7s");
    let signed = signature::verify((name, document), (&signature_name, found), trust)?;
    Ok((signed.certificate, signed.at))
}
