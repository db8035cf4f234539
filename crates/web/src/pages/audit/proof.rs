//! The proof of one entry as a file: what an auditor gives to somebody who does not have the ledger.
//!
//! It goes through the gate as a reading does, and is on record before a byte of it leaves.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use gate::Print;
use ledger::EntryNumber;
use ledger::evidence::Disclose;

use super::read;
use crate::app::{Answer, Shared};
use crate::pages::parts::print_of;
use crate::problem::Problem;
use crate::session::SignedIn;

/// A proof on its way through the gate.
struct Proof(String);

impl gate::Fingerprint for Proof {
    fn fingerprint(&self) -> Print {
        print_of("proof of a ledger entry", 1, &self.0)
    }
}

/// `GET /audit/entries/{entry}/proof`: that the entry is in the ledger, and nothing of what it says.
///
/// # Errors
/// A [`Problem`] when there is no such entry, or the policy or the ledger says no.
pub async fn sealed(state: State<Shared>, signed_in: SignedIn, Path(number): Path<u64>) -> Answer {
    prove(state, signed_in, number, None).await
}

/// `GET /audit/entries/{entry}/proof/disclosed`: the same, with all that the entry says.
///
/// # Errors
/// As [`sealed`].
pub async fn disclosed(
    state: State<Shared>,
    signed_in: SignedIn,
    Path(number): Path<u64>,
) -> Answer {
    prove(state, signed_in, number, Some(Disclose::All)).await
}

async fn prove(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    number: u64,
    disclose: Option<Disclose>,
) -> Answer {
    let with = if disclose.is_some() { ", with all that it says" } else { "" };
    let ledger = agency.ledger.clone();
    let released = read(&agency, &signed_in, format!("proof of entry {number}{with}"), move || {
        let proof = ledger.evidence(EntryNumber(number), disclose);
        proof.map(|proof| Proof(proof.text())).map_err(|_| Problem::not_found())
    })
    .await?;
    let (Proof(text), _) = released.into_parts();
    let name = format!("attachment; filename=\"entry-{number}.tlog-proof\"");
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, text).into_response())
}
