//! `bailiwick parcel receipt …`: a receipt made and checked offline, by hand for parcels that went by hand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use keys::{Clock as _, SystemClock};
use parcel::receipt::{
    Outcome, RECEIPT_BYTES_MAX, RECEIPT_FILE, RECEIPT_SIGNATURE_FILE, Receipt, SignedReceipt,
};
use parcel::{Parcel, Refused, Trust, Watch};
use serde_json::json;

use super::{Signing, outcome, trust, us, watched};
use crate::progress;

#[derive(Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Check a parcel whole, inside too, and sign a receipt for it: receipt.json and receipt.json.p7s, to be sent back.
    /// Exit 1 names what does not hold, and no receipt is written.
    #[command(
        after_help = "Example:\n  bailiwick parcel receipt sign parcel --sender riverton.pem --recipient lakeside.pem \\\n      \
                            --recipient-key lakeside.key.pem --signer lakeside-signing.pem --key lakeside-signing.key.pem --out receipt"
    )]
    Sign {
        /// The parcel's folder or file.
        parcel: PathBuf,
        /// The sender's certificate, or that of its CA (PEM).
        #[arg(long)]
        sender: PathBuf,
        /// Our certificate, to which it is sealed (PEM).
        #[arg(long)]
        recipient: PathBuf,
        /// The key of that certificate (PKCS#8 PEM).
        #[arg(long)]
        recipient_key: PathBuf,
        #[command(flatten)]
        signing: Signing,
        /// Who received it.
        #[arg(long)]
        person: Option<String>,
        /// The folder to write the two files into. It is made if it is missing.
        #[arg(long)]
        out: PathBuf,
    },
    /// Check a partner's receipt. Exit 1 says what does not hold.
    #[command(
        after_help = "Example:\n  bailiwick parcel receipt verify receipt.json receipt.json.p7s --receiver lakeside-signing.pem --parcel parcel.zip"
    )]
    Verify {
        /// receipt.json
        receipt: PathBuf,
        /// receipt.json.p7s
        signature: PathBuf,
        /// The partner's signing certificate, or that of its CA (PEM).
        #[arg(long)]
        receiver: PathBuf,
        /// The parcel that it has to be for: a folder or a file.
        #[arg(long)]
        parcel: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: ReceiptCommand) -> anyhow::Result<ExitCode> {
    match command {
        ReceiptCommand::Sign { parcel, sender, recipient, recipient_key, signing, person, out } => {
            let trust = trust(&sender)?;
            let us = us(&recipient, &recipient_key)?;
            let made = watched(|watch| accepted(&parcel, &trust, &us, watch));
            let receipt = match made {
                Ok(receipt) => Receipt { person, ..receipt },
                Err(refused) => return Ok(outcome(Err(refused))),
            };
            let signed = parcel::receipt::sign(&receipt, &signing.signer()?)?;
            std::fs::create_dir_all(&out)
                .with_context(|| format!("could not make `{}`", out.display()))?;
            progress::write_new(&out.join(RECEIPT_FILE), &signed.json)?;
            progress::write_new(&out.join(RECEIPT_SIGNATURE_FILE), &signed.signature)?;
            let words = format!(
                "signed: parcel {} of exchange {} was received by {}; both files in {} go back to its sender",
                receipt.parcel,
                receipt.exchange_id,
                receipt.receiver.name,
                out.display()
            );
            Ok(outcome(Ok(words)))
        }
        ReceiptCommand::Verify { receipt, signature, receiver, parcel, json } => {
            let signed = SignedReceipt {
                json: keys::file::read(&receipt, RECEIPT_BYTES_MAX)?,
                signature: keys::file::read(&signature, RECEIPT_BYTES_MAX)?,
            };
            let found = check(&signed, &trust(&receiver)?, parcel.as_deref());
            Ok(outcome(found.map(|found| words(&found, json))))
        }
    }
}

/// The receipt for a parcel that holds, outside and inside.
fn accepted(
    place: &Path,
    trust: &Trust,
    us: &parcel::Recipient,
    watch: Watch<'_>,
) -> Result<Receipt, Refused> {
    let parcel = Parcel::enter(place, trust)?;
    parcel.check_parts(parcel::WORKERS_DEFAULT, watch)?;
    let unlocked = parcel.unlock(us)?;
    let transfer = &unlocked.record().transfer;
    let (exchange, receiver) = (transfer.exchange_id.clone(), transfer.recipient.clone());
    Ok(Receipt::accepted(&parcel.verified(), &exchange, receiver, SystemClock.now()))
}

/// The signature, and that it is for the parcel in question.
fn check(signed: &SignedReceipt, trust: &Trust, place: Option<&Path>) -> Result<Receipt, Refused> {
    match place {
        Some(place) => parcel::receipt::verify_for(signed, trust, place),
        None => parcel::receipt::verify(signed, trust).map(|(receipt, _)| receipt),
    }
}

fn words(receipt: &Receipt, json: bool) -> String {
    let accepted = receipt.outcome == Outcome::Accepted;
    if json {
        let value = json!({
            "holds": true,
            "parcel": receipt.parcel.to_string(),
            "digest": receipt.digest,
            "exchange": receipt.exchange_id,
            "accepted": accepted,
            "receiver": receipt.receiver,
            "person": receipt.person,
            "at": receipt.at.to_string(),
            "ledger_entry": receipt.ledger_entry,
        });
        return value.to_string();
    }
    let said = if accepted { "received" } else { "refused" };
    let person = receipt.person.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
    format!(
        "holds: {} ({}) says that it {said} parcel {} of exchange {}{person} at {}",
        receipt.receiver.name,
        receipt.receiver.ori,
        receipt.parcel,
        receipt.exchange_id,
        receipt.at
    )
}
