//! The custody record of an export or of a received parcel, taken away as a file at any time after the sealing.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use exchange::{Download, Export, Incoming, RecordForm};
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::documents::flowing;
use crate::pages::incoming::why;
use crate::pages::parts::{id, sharing};
use crate::problem::Problem;
use crate::session::Posted;

/// The card on the page of an export that was sealed.
pub(super) fn of_export(csrf: &str, export: &Export) -> Markup {
    html! {
        @if export.details.sealed.is_some() {
            form class="card" id="custody" method="post" action={ "/exports/" (export.id) "/custody" } {
                h2 { "Custody record" }
                p { "What was sealed with the parcel, and what became of it since: offers, transfers, receipts, and what the partner told. Each entry of the ledger comes with its proof. It names files and people, and that it was taken is recorded." }
                input type="hidden" name="csrf" value=(csrf);
                (buttons())
            }
        }
    }
}

/// The card on the page of a received parcel; `open` says whether it can be opened.
pub(super) fn of_incoming(csrf: &str, parcel: &Incoming, open: bool) -> Markup {
    html! {
        form class="card" id="custody" method="post" action={ "/incoming/" (parcel.exchange) "/custody" } {
            h2 { "Custody record" }
            p { "What happened to the parcel here, each entry of the ledger with its proof. That it was taken is recorded." }
            input type="hidden" name="csrf" value=(csrf);
            @if open {
                p { "With a purpose code you get what its sender sealed with it too, and the names of its files, as if you opened it. Without one, no name of a file." }
                div class="fields" {
                    div class="field" {
                        label class="usa-label" for="custody-purpose" { "Purpose code, or nothing" }
                        input class="usa-input" id="custody-purpose" name="purpose" maxlength="1" autocomplete="off";
                    }
                    div class="field" {
                        label class="usa-label" for="custody-case" { "Your case number, or nothing" }
                        input class="usa-input" id="custody-case" name="case_number" autocomplete="off";
                    }
                }
            } @else {
                p { "Nothing in it can be opened now, so no file is named." }
            }
            (buttons())
        }
    }
}

fn buttons() -> Markup {
    html! {
        div class="field__actions" {
            button class="usa-button usa-button--outline" type="submit" name="form" value="pdf" { "Custody record as a document (PDF)" }
            " "
            button class="usa-button usa-button--outline" type="submit" name="form" value="jsonld" { "Custody record for programs (JSON-LD)" }
        }
    }
}

/// `POST /exports/{export}/custody`.
///
/// # Errors
/// A [`Problem`] when the policy refuses, before it was sealed, or when it can't be recorded.
pub async fn export(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, form) = (posted.signed_in.caller(), form(&posted)?);
    let exchange = &sharing(&agency)?.exchange;
    Ok(given(exchange.custody_of_export(&caller, id(&export)?, form).await?))
}

/// `POST /incoming/{exchange}/custody`: with a purpose all of it, without one what happened here.
///
/// # Errors
/// As [`export`].
pub async fn incoming(
    State(agency): State<Shared>,
    Path(exchange_id): Path<String>,
    posted: Posted,
) -> Answer {
    let (caller, form) = (posted.signed_in.caller(), form(&posted)?);
    let stated = !posted.text("purpose").trim().is_empty();
    let why = if stated { Some(why(&posted)?) } else { None };
    let (exchange, parcel) = (&sharing(&agency)?.exchange, id(&exchange_id)?);
    Ok(given(exchange.custody_of_incoming(&caller, parcel, why.as_ref(), form).await?))
}

fn form(posted: &Posted) -> Result<RecordForm, Problem> {
    match posted.text("form") {
        "pdf" => Ok(RecordForm::Pdf),
        "jsonld" => Ok(RecordForm::JsonLd),
        _ => Err(Problem::bad_input("`form` is `pdf` or `jsonld`.")),
    }
}

fn given(record: Download) -> Response {
    let name = format!("attachment; filename=\"{}\"", record.name);
    let headers =
        [(header::CONTENT_TYPE, record.media_type.to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, flowing(record.pieces)).into_response()
}
