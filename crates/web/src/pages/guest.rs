//! The guests' page: what a named person at a partner may fetch, its outside, and the parcel itself.
//!
//! Invariant: this page shows nothing that the exchange did not give to this very person; whoever is no guest is
//! refused by the policy, on record.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use exchange::{Download, Export, Form};
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::parts::{bytes_words, id, moment, pair, sharing};
use crate::session::{Posted, SignedIn};

/// `GET /guest`.
///
/// # Errors
/// A [`crate::problem::Problem`] with an entry number for whoever is no guest.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let all = sharing(&agency)?.exchange.invitations(&signed_in.caller()).await?;
    let content = html! {
        section class="card card--flush" aria-labelledby="parcels" {
            div class="toolbar" { h2 id="parcels" { (all.len()) " parcels for you" } }
            @if all.is_empty() {
                div class="empty" {
                    p { strong { "Nothing is here for you now." } }
                    p { "An invitation ends on its day. Ask whoever told you of it." }
                }
            } @else {
                div class="tablebox" role="region" aria-label="Parcels" tabindex="0" { table class="table" {
                    caption class="usa-sr-only" { "Parcels for you, newest first" }
                    thead { tr {
                        th scope="col" { "Parcel" } th scope="col" { "Sealed" } th scope="col" { "Size" } th scope="col" { "Until" }
                    } }
                    tbody { @for export in &all { (row(export, &signed_in)) } }
                } }
            }
        }
    };
    Ok(agency.page(&signed_in, "Parcels for you", "/guest", &content))
}

fn row(export: &Export, signed_in: &SignedIn) -> Markup {
    html! {
        tr data-export=(export.id) {
            th scope="row" { a href={ "/guest/" (export.id) } { (export.parcel.unwrap_or_default()) } }
            @if let Some(sealed) = &export.details.sealed {
                td { (moment(sealed.at)) }
                td { (bytes_words(sealed.bytes)) }
            } @else { td {} td {} }
            td { (until(export, signed_in)) }
        }
    }
}

fn until(export: &Export, signed_in: &SignedIn) -> Markup {
    let own = export.details.guests.iter().rev();
    let mut own = own.filter(|guest| guest.account == signed_in.actor.id.as_str());
    html! { @if let Some(guest) = own.next() { (moment(guest.until)) } }
}

/// `GET /guest/{export}`: what the outside of the parcel says.
///
/// # Errors
/// A [`crate::problem::Problem`]; not found for everything that does not name the guest.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(export): Path<String>,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let (export, manifest) = exchange.guest_manifest(&signed_in.caller(), id(&export)?).await?;
    let words = hex::decode(&manifest.digest).ok().and_then(|bytes| bytes.try_into().ok());
    let words = words.map(|digest: [u8; 32]| exchange::aloud(&digest)).unwrap_or_default();
    let content = html! {
        p { a href="/guest" { "All parcels for you" } }
        div class="card" {
            h2 { "The parcel" }
            dl class="kv" {
                @if let Some(parcel) = export.parcel { (pair("Parcel", &parcel.to_string())) }
                @if let Some(sealed) = &export.details.sealed {
                    div { dt { "Sealed" } dd { (moment(sealed.at)) ", " (bytes_words(sealed.bytes)) } }
                }
                (pair("Hash (SHA-256)", &manifest.digest))
                div { dt { "The hash, to read aloud" } dd { ol class="rows" { @for group in &words { li { (group) } } } } }
                div { dt { "Yours until" } dd { (until(&export, &signed_in)) } }
            }
        }
        form class="card" method="post" action={ "/guest/" (export.id) "/parcel" } {
            h2 { "Fetch it" }
            p {
                "One ZIP file. Only your agency's key opens it, with the instructions in HOW-TO-OPEN.txt or offline with "
                a href="/exports/opener" { "open.html" } ". Fetching it is on record, with your name."
            }
            input type="hidden" name="csrf" value=(signed_in.csrf);
            button class="usa-button" type="submit" { "Fetch the parcel" }
        }
        section class="card card--flush" aria-labelledby="files" {
            div class="toolbar" { h2 id="files" { (manifest.files.len()) " files of it, as it is sealed" } }
            div class="tablebox" role="region" aria-label="Files" tabindex="0" { table class="table" {
                caption class="usa-sr-only" { "Files of the parcel and their hashes" }
                thead { tr { th scope="col" { "File" } th scope="col" { "SHA-256" } } }
                tbody { @for (path, hash) in &manifest.files { tr {
                    th scope="row" { (path) }
                    td class="mono" { (hash) }
                } } }
            } }
        }
    };
    Ok(agency.page(&signed_in, "A parcel for you", "/guest", &content))
}

/// `POST /guest/{export}/parcel`: the parcel as one ZIP file, recorded before its first byte.
///
/// # Errors
/// As [`one`].
pub async fn fetch(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let export = id(&export)?;
    Ok(stream(sharing(&agency)?.exchange.guest_fetch(&caller, export, Form::Zip).await?))
}

fn stream(download: Download) -> Response {
    let name = format!("attachment; filename=\"{}\"", download.name);
    let headers = [
        (header::CONTENT_TYPE, download.media_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    let pieces = futures::stream::unfold(download.pieces, |mut pieces| async move {
        pieces.recv().await.map(|piece| (piece, pieces))
    });
    (headers, Body::from_stream(pieces)).into_response()
}
