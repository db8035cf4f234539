//! Taking in a sealed parcel that came any way but the push: its one file, of any size, as the partner's medium or bucket had it.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use exchange::{Carried, ExchangeError, Incoming};
use maud::{Markup, html};
use tokio::sync::mpsc;

use super::deciding::csrf;
use crate::app::{Answer, Shared};
use crate::flowing::Flowing;
use crate::pages::parts::sharing;
use crate::problem::Problem;
use crate::session::SignedIn;

/// Where the form is sent. Its body may be of any length.
pub const PATH: &str = "/take-in/parcel";
/// Pieces that wait for the disk.
const PIECES_AHEAD: usize = 8;
/// How long a person waits for the verification; it goes on without them.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// The form.
pub(super) fn form(signed_in: &SignedIn) -> Markup {
    html! {
        form class="card" id="take-in-parcel" method="post" action=(PATH) enctype="multipart/form-data" data-once {
            h2 { "Take in a sealed parcel" }
            p { "A partner’s parcel that came on a medium, from a bucket or by a courier, as one ZIP file of any size. Who sent it is told by its
                signature; it is verified, acknowledged and kept in quarantine as if it had come over the line. A parcel that lies in a folder is taken
                in at the command line, " code { "bailiwick parcel receive" } "." }
            (csrf(signed_in))
            label class="usa-label" for="parcel" { "The parcel’s ZIP file " span class="must" { "*" } }
            input class="usa-input" id="parcel" type="file" name="parcel" required accept=".zip,application/zip";
            button class="usa-button" type="submit" { "Take in the parcel" }
        }
    }
}

/// `POST /take-in/parcel`.
///
/// # Errors
/// A [`Problem`] with an entry number that says why it was not taken in.
pub async fn take_in(State(agency): State<Shared>, mut flowing: Flowing) -> Answer {
    let exchange = sharing(&agency)?.exchange.clone();
    let Some(place) = agency.large.parcel() else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Other parcels are being taken in",
            "Two are taken in at once. Nothing was done; send it again when one of them is here.",
        ));
    };
    let caller = flowing.signed_in.caller();
    let (send, receive) = mpsc::channel(PIECES_AHEAD);
    // In a task of its own: whoever goes away after the last byte cuts nothing off.
    let mut taking = tokio::spawn(async move {
        let taken = exchange.take_in_parcel(Some(&caller), Carried::Pieces(receive)).await;
        drop(place);
        taken
    });
    let mut broken = None;
    loop {
        match flowing.next().await {
            // The other end gave up, and says why.
            Ok(piece) => {
                let last = piece.is_none();
                if send.send(piece).await.is_err() || last {
                    break;
                }
            }
            Err(problem) => {
                broken = Some(problem);
                break;
            }
        }
    }
    drop(send);
    let Ok(taken) = tokio::time::timeout(ANSWER_WITHIN, &mut taking).await else {
        return Ok(Redirect::to("/incoming").into_response());
    };
    let taken = taken.map_err(|_| Problem::not_found())?;
    match (taken, broken) {
        (Ok(parcel), _) => {
            Ok(Redirect::to(&format!("/incoming/{}", parcel.exchange)).into_response())
        }
        (Err(ExchangeError::NotTaken { entry, .. }), Some(problem)) => {
            Err(problem.with_entry(entry))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// What a list calls a parcel: its number, where its sender gave it one.
pub(super) fn named(parcel: &Incoming) -> String {
    match parcel.number {
        0 => "Without a number".to_owned(),
        number => format!("No. {number}"),
    }
}

/// How it came, where that was not over the line.
pub(super) fn came(parcel: &Incoming) -> Option<String> {
    let carried = parcel.afterwards.carried.as_ref()?;
    let by = match &carried.by {
        Some(name) => format!("brought here and taken in by {name}"),
        None => "out of the folder for what arrives".to_owned(),
    };
    let receipt = match carried.told {
        true => "its sender’s server has our receipt",
        false => "its sender’s server has not got our receipt yet; it can be carried back",
    };
    Some(format!("{by}; {receipt}"))
}
