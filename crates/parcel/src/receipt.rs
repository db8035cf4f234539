//! The receiver's signed acknowledgement: `receipt.json` and a detached CMS signature over it.
//!
//! Closes the chain of custody: the sender verifies it and anchors it in its own ledger.

use std::path::Path;

use jiff::Timestamp;
use keys::cert::Certificate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cms::signature;
use crate::error::At;
use crate::meta::Party;
use crate::{Fault, Refused, SealError, Signer, Trust, Verified};

/// The version of the receipt's form.
pub const RECEIPT_PROFILE: &str = "bailiwick-receipt/1.0";
/// The names of the two files.
pub const RECEIPT_FILE: &str = "receipt.json";
pub const RECEIPT_SIGNATURE_FILE: &str = "receipt.json.p7s";
/// The longest receipt, and the longest signature of one.
pub const RECEIPT_BYTES_MAX: usize = 256 << 10;
/// Checks in one receipt.
pub const CHECKS_MAX: usize = 100;

/// What the receiver did with the parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Accepted,
    Refused,
}

/// One check that the receiver made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: String,
    pub passed: bool,
    /// What was found, in words; empty where there is nothing to say.
    pub detail: String,
}

/// What the receiver signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_PROFILE`].
    pub profile: String,
    pub parcel: Uuid,
    /// SHA-256 of the parcel's outer tag manifest, hex.
    pub digest: String,
    pub exchange_id: String,
    pub outcome: Outcome,
    pub checks: Vec<Check>,
    pub at: Timestamp,
    pub receiver: Party,
    /// Who received, where a person did.
    pub person: Option<String>,
    /// The receiver's ledger entry that records the arrival.
    pub ledger_entry: Option<u64>,
    /// The receiver's signed checkpoint (C2SP note) that covers that entry.
    pub ledger_checkpoint: Option<String>,
}

impl Receipt {
    /// A receipt for a parcel that verified.
    pub fn accepted(
        verified: &Verified,
        exchange_id: &str,
        receiver: Party,
        at: Timestamp,
    ) -> Self {
        let names = ["outer-signature", "tag-files", "parts", "completeness"];
        let checks =
            names.map(|name| Check { name: name.to_owned(), passed: true, detail: String::new() });
        Self {
            profile: RECEIPT_PROFILE.to_owned(),
            parcel: verified.id,
            digest: hex::encode(verified.digest),
            exchange_id: exchange_id.to_owned(),
            outcome: Outcome::Accepted,
            checks: checks.into(),
            at,
            receiver,
            person: None,
            ledger_entry: None,
            ledger_checkpoint: None,
        }
    }

    fn sound(&self) -> bool {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        self.profile == RECEIPT_PROFILE
            && self.digest.len() == 64
            && self.digest.bytes().all(hex)
            && self.checks.len() <= CHECKS_MAX
            && (self.outcome == Outcome::Refused || self.checks.iter().all(|check| check.passed))
    }
}

/// A receipt as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    /// `receipt.json`.
    pub json: Vec<u8>,
    /// `receipt.json.p7s`, DER.
    pub signature: Vec<u8>,
}

/// Writes and signs a receipt. An accepted one with a failed check is refused as a contradiction.
pub fn sign(receipt: &Receipt, signer: &Signer) -> Result<SignedReceipt, SealError> {
    let failed = |source| SealError::Json { file: RECEIPT_FILE, source };
    if !receipt.sound() {
        let field = "receipt";
        return Err(SealError::Transfer { field, why: "at odds with itself or the profile" });
    }
    let mut json = serde_json::to_vec_pretty(receipt).map_err(failed)?;
    json.push(b'\n');
    crate::error::limit("bytes of receipt", json.len() as u64, RECEIPT_BYTES_MAX as u64)?;
    let signature = signature::sign(&json, signer, receipt.at)?;
    Ok(SignedReceipt { json, signature })
}

/// Checks a receipt's signature and form. That it is about the parcel in question, the caller
/// checks: `parcel`, `digest` and `exchange_id`.
pub fn verify(receipt: &SignedReceipt, trust: &Trust) -> Result<(Receipt, Certificate), Refused> {
    let limit = RECEIPT_BYTES_MAX as u64;
    for (file, bytes) in
        [(RECEIPT_FILE, &receipt.json), (RECEIPT_SIGNATURE_FILE, &receipt.signature)]
    {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(Refused::new(file, Fault::Large { found: bytes.len() as u64, limit }));
        }
    }
    let signed = signature::verify(
        (RECEIPT_FILE, &receipt.json),
        (RECEIPT_SIGNATURE_FILE, &receipt.signature),
        trust,
    )?;
    let form = Fault::Malformed("a receipt");
    let read: Option<Receipt> = serde_json::from_slice(&receipt.json).ok();
    let read = read.filter(Receipt::sound).ok_or(form).at(RECEIPT_FILE)?;
    Ok((read, signed.certificate))
}

/// As [`verify`], for a parcel that lies here. Who sealed it does not matter: its digest is what the receipt names.
pub fn verify_for(
    receipt: &SignedReceipt,
    trust: &Trust,
    parcel: &Path,
) -> Result<Receipt, Refused> {
    let (read, _) = verify(receipt, trust)?;
    let parcel = crate::inspect(parcel)?;
    if read.parcel == parcel.id && read.digest == hex::encode(parcel.digest) {
        return Ok(read);
    }
    Err(Refused::new(RECEIPT_FILE, Fault::Malformed("a receipt for this parcel")))
}
