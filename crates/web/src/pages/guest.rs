//! The guests' page: what a named person at a partner may fetch, its outside, and the parcel itself.
//!
//! Invariant: this page shows nothing that the exchange did not give to this very person; whoever is no guest is
//! refused by the policy, on record.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use exchange::{CertificateUse, Download, Exchange, Export, Form, Manifest};
use jiff::Timestamp;
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::documents::flowing;
use crate::pages::partners::{partner_name, words_of};
use crate::pages::parts::{bytes_words, id, moment, pair, sharing};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// `GET /guest`.
///
/// # Errors
/// A [`Problem`] with an entry number for whoever is no guest.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let all = sharing(&agency)?.exchange.invitations(&signed_in.caller()).await?;
    let content = html! {
        p {
            "You are " strong { (signed_in.actor.name) } " of " strong { (whose(&agency, &signed_in)) } ", a guest of "
            (agency.config.agency.name) "."
        }
        section class="card card--flush" aria-labelledby="parcels" {
            div class="toolbar" { h2 id="parcels" {
                @match all.len() { 1 => { "1 parcel for you" } many => { (many) " parcels for you" } }
            } }
            @if all.is_empty() {
                div class="empty" {
                    p { strong { "Nothing is here for you now." } }
                    p { "An invitation ends on its day, or before. Ask whoever told you of it." }
                }
            } @else {
                div class="tablebox" role="region" aria-label="Parcels" tabindex="0" { table class="table" {
                    caption class="usa-sr-only" { "Parcels for you, newest first" }
                    thead { tr {
                        th scope="col" { "Parcel" } th scope="col" { "Sealed" } th scope="col" { "Size" } th scope="col" { "Yours until" }
                    } }
                    tbody { @for export in &all { (row(export, &signed_in, agency.now())) } }
                } }
            }
        }
    };
    Ok(agency.page(&signed_in, "Parcels for you", "/guest", &content))
}

/// The guest's agency, by name where it is a partner's.
fn whose(agency: &Shared, signed_in: &SignedIn) -> String {
    partner_name(agency, signed_in.actor.agency.as_str())
}

fn row(export: &Export, signed_in: &SignedIn, now: Timestamp) -> Markup {
    html! {
        tr data-export=(export.id) {
            th scope="row" class="mono" { a href={ "/guest/" (export.id) } { (export.parcel.unwrap_or_default()) } }
            @if let Some(sealed) = &export.details.sealed {
                td class="nowrap" { (moment(sealed.at)) }
                td class="nowrap" { (bytes_words(sealed.bytes)) }
            } @else { td {} td {} }
            td { (until(export, signed_in, now)) }
        }
    }
}

/// Until when the parcel is there for this guest, and how long that is.
fn until(export: &Export, signed_in: &SignedIn, now: Timestamp) -> Markup {
    let own = export.details.guests.iter().rev();
    let mut own = own.filter(|guest| guest.account == signed_in.actor.id.as_str());
    html! { @if let Some(guest) = own.next() {
        (moment(guest.until)) " "
        span class="muted nowrap" { (left(guest.until.duration_since(now).as_hours())) }
    } }
}

fn left(hours: i64) -> String {
    match hours {
        ..1 => "(less than an hour)".to_owned(),
        1 => "(1 hour)".to_owned(),
        2..48 => format!("({hours} hours)"),
        _ => format!("({} days)", hours / 24),
    }
}

/// `GET /guest/{export}`: what the outside of the parcel says, and what to do with it.
///
/// # Errors
/// A [`Problem`]; not found for everything that does not name the guest.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(export): Path<String>,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let (export, manifest) = exchange.guest_manifest(&signed_in.caller(), id(&export)?).await?;
    let content = html! {
        p { a href="/guest" { "All parcels for you" } }
        (facts(&agency, &signed_in, &export, &manifest))
        form class="card" method="post" action={ "/guest/" (export.id) "/parcel" } {
            h2 { "1. Fetch it" }
            p { "You get one ZIP file. It is encrypted: only the key of " (whose(&agency, &signed_in)) " opens it. Fetching it is on record, with your name." }
            input type="hidden" name="csrf" value=(signed_in.csrf);
            button class="usa-button" type="submit" { "Fetch the parcel" }
        }
        (opening(exchange))
        section class="card card--flush" aria-labelledby="files" {
            div class="toolbar" { h2 id="files" { (manifest.files.len()) " files are in the ZIP file, as they are sealed" } }
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

fn facts(agency: &Shared, signed_in: &SignedIn, export: &Export, manifest: &Manifest) -> Markup {
    let words = hex::decode(&manifest.digest).ok().and_then(|bytes| bytes.try_into().ok());
    let words = words.map(|digest: [u8; 32]| exchange::aloud(&digest)).unwrap_or_default();
    html! {
        section class="card" aria-labelledby="parcel" {
            h2 id="parcel" { "The parcel" }
            dl class="kv" {
                (pair("From", &agency.config.agency.name))
                (pair("For", &format!("{}, {}", signed_in.actor.name, whose(agency, signed_in))))
                div { dt { "Yours until" } dd { (until(export, signed_in, agency.now())) } }
                @if let Some(parcel) = export.parcel { div { dt { "Parcel" } dd class="mono" { (parcel) } } }
                @if let Some(sealed) = &export.details.sealed {
                    div { dt { "Sealed" } dd { (moment(sealed.at)) ", " (bytes_words(sealed.bytes)) } }
                }
                div { dt { "Hash (SHA-256)" } dd class="hash" { (manifest.digest) } }
                div { dt { "The hash, to read aloud" } dd { ol class="aloud" { @for group in &words { li { (group) } } } } }
            }
        }
    }
}

/// What to do with the file, and what it takes.
fn opening(exchange: &Exchange) -> Markup {
    html! {
        section class="card" aria-labelledby="open" {
            h2 id="open" { "2. Check it and open it" }
            p { "On a machine of your agency; it needs no network. You need the ZIP file, your agency’s certificate with its key, and the sender’s certificate." }
            ol {
                li {
                    "In a browser: save " a href="/guest/open.html" { "open.html" } ", open it from your disk, and choose the files."
                }
                li {
                    "Or with OpenSSL and no program of ours: "
                    a href="/guest/how-to-open.txt" { "HOW-TO-OPEN.txt" } ", which is in the ZIP file too."
                }
            }
            @if let Some(signer) = signer(exchange) {
                h3 { "The sender’s certificate" }
                p {
                    "Save " a href="/guest/sender.pem" { "sender.pem" } ", and have these words read to you by somebody there, over a telephone number \
                     that you knew before. A certificate that came with the parcel alone proves nothing."
                }
                (words_of(signer))
            }
        }
    }
}

/// What our parcels are signed with.
fn signer(exchange: &Exchange) -> Option<&keys::cert::Certificate> {
    let mut all = exchange.own_certificates().into_iter();
    all.find(|(usage, _)| *usage == CertificateUse::Signing).map(|(_, signer)| signer)
}

/// `GET /guest/sender.pem`: the certificate that parcels are checked with. It is told to every partner.
///
/// # Errors
/// Not found, where nothing is shared.
pub async fn sender(State(agency): State<Shared>, _signed_in: SignedIn) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let pem = signer(exchange).ok_or_else(Problem::not_found)?.pem();
    let headers = [
        (header::CONTENT_TYPE, "application/x-pem-file"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"sender.pem\""),
    ];
    Ok((headers, pem).into_response())
}

/// `GET /guest/how-to-open.txt`: the instructions that are in every parcel.
pub async fn how_to_open(_signed_in: SignedIn) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], parcel::HOW_TO_OPEN).into_response()
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
    (headers, flowing(download.pieces)).into_response()
}
