//! What comes back from a partner by hand: its signed receipt, and its answer to a recall.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use exchange::{Answered, AnsweredBy, ExchangeError, Export, RecallAnswer, Returned};
use maud::{Markup, html};

use super::partner_name;
use crate::app::{Answer, Shared};
use crate::pages::incoming::deciding::csrf;
use crate::pages::parts::{id, moment, sharing};
use crate::problem::{Problem, sentence};
use crate::session::{SignedIn, field};
use crate::upload::{LargeUpload, Uploaded};

/// The form for a receipt that came back by hand; nothing where none is waited for.
pub(super) fn receipt_form(agency: &Shared, signed_in: &SignedIn, export: &Export) -> Markup {
    let partner = partner_name(agency, &export.partner);
    html! {
        @if export.takes_receipt() {
            form class="card" id="add-receipt" method="post" action={ "/exports/" (export.id) "/receipt" } enctype="multipart/form-data" data-once {
                h2 { "Add the partner’s receipt" }
                p { "For a parcel that went by hand. " code { "HOW-TO-OPEN.txt" } " in the parcel says how the receipt is made; "
                    (partner) " signs it with the certificate that is on file here. Both files come back with it. A receipt for something else,
                    or signed by somebody else, is refused." }
                (csrf(signed_in))
                (file("receipt", "receipt.json", ".json,application/json"))
                (file("receipt-signature", "receipt.json.p7s", ".p7s"))
                button class="usa-button usa-button--outline" type="submit" { "Add the receipt" }
            }
        }
    }
}

fn file(name: &str, label: &str, accept: &str) -> Markup {
    html! {
        label class="usa-label" for=(name) { (label) " " span class="must" { "*" } }
        input class="usa-input" id=(name) type="file" name=(name) required accept=(accept);
    }
}

/// The form for an answer to a recall that did not come from the partner's server.
pub(super) fn answer_form(agency: &Shared, signed_in: &SignedIn, export: &Export) -> Markup {
    let partner = partner_name(agency, &export.partner);
    html! {
        @if export.awaits_answer() {
            form class="card" id="recall-answer" method="post" action={ "/exports/" (export.id) "/recall-answer" } enctype="multipart/form-data" data-once {
                h2 { "Write down the partner’s answer" }
                p { "Where " (partner) " answered otherwise than by its server. It is recorded in your name, and no reminder is sent any more." }
                (csrf(signed_in))
                (choice("answer", "What became of the parcel there", RecallAnswer::ALL.iter().map(|one| one.as_str())))
                (choice("how", "How the answer came", AnsweredBy::ALL.iter().map(|one| one.as_str())))
                label class="usa-label" for="who" { "Who at the partner said so " span class="must" { "*" } }
                input class="usa-input" id="who" name="who" required maxlength="200" autocomplete="off";
                label class="usa-label" for="on" { "On which day " span class="must" { "*" } }
                input class="usa-input" id="on" type="date" name="on" required;
                label class="usa-label" for="answer-reason" { "What was said " span class="must" { "*" } }
                input class="usa-input" id="answer-reason" name="reason" required maxlength="1000" autocomplete="off";
                label class="usa-label" for="document" { "The letter or certificate" }
                span class="usa-hint" id="document-hint" { "Not required. Its SHA-256 is recorded; the paper itself stays in your files" }
                input class="usa-input" id="document" type="file" name="document" aria-describedby="document-hint";
                button class="usa-button usa-button--outline" type="submit" { "Write it down" }
            }
        }
    }
}

fn choice<'a>(name: &str, label: &str, all: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        label class="usa-label" for=(name) { (label) " " span class="must" { "*" } }
        select class="usa-select" id=(name) name=(name) required {
            @for one in all { option value=(one) { (one) } }
        }
    }
}

/// An answer that somebody wrote down, in the recall's notice on top of the page.
pub(super) fn answered(agency: &Shared, export: &Export) -> Option<Markup> {
    let facts = export.details.recall.as_ref()?.answered.as_ref()?;
    let partner = partner_name(agency, &export.partner);
    Some(html! {
        p class="usa-alert__text" {
            (partner) " answered by " (facts.how.as_str()) " on " (facts.on) ", " (facts.who) ": " strong { (facts.answer.as_str()) } "; "
            (facts.act.reason.as_deref().unwrap_or_default()) ". Written down by " (facts.act.by.name) " on " (moment(facts.act.at))
            ", entry " (facts.act.entry) "."
            @if let Some(digest) = &facts.document { " The paper's SHA-256 is " span class="hash" { (digest) } "." }
        }
    })
}

/// `POST /exports/{export}/receipt`.
///
/// # Errors
/// A [`Problem`] that says what of the receipt does not hold, or that there is nothing to acknowledge.
pub async fn add_receipt(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    uploaded: Uploaded,
) -> Answer {
    let Uploaded { signed_in, file: json, others, .. } = uploaded;
    let signature = others.into_iter().next().unwrap_or_default();
    if json.is_empty() || signature.is_empty() {
        let words = "Two files are needed: `receipt.json` and `receipt.json.p7s`.";
        return Err(Problem::bad_input(words));
    }
    let (exchange, export) = (&sharing(&agency)?.exchange, id(&export)?);
    let returned = Returned { json, signature };
    let added = exchange.add_receipt(&signed_in.caller(), export, returned).await;
    let export = added.map_err(plainly)?;
    Ok(Redirect::to(&format!("/exports/{}", export.id)).into_response())
}

/// What does not hold is the file that somebody chose.
fn plainly(error: ExchangeError) -> Problem {
    match error {
        ExchangeError::Refused(refused) => Problem::bad_input(format!(
            "`{}` does not hold: {}. Nothing was changed.",
            refused.file, refused.fault
        )),
        revoked @ ExchangeError::Revoked { .. } => {
            Problem::bad_input(format!("{}. Nothing was changed.", sentence(&revoked)))
        }
        error => error.into(),
    }
}

/// `POST /exports/{export}/recall-answer`.
///
/// # Errors
/// A [`Problem`] for a field, or where no answer is waited for.
pub async fn answer_recall(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    LargeUpload(uploaded, _alone): LargeUpload,
) -> Answer {
    let text = |name: &str| field(&uploaded.fields, name).trim().to_owned();
    let bad = |what: &str| Problem::bad_input(format!("`{what}` is not one that the form offers."));
    let document = (!uploaded.file.is_empty()).then(|| ledger::digest(&uploaded.file));
    let answered = Answered {
        answer: RecallAnswer::parse(&text("answer")).ok_or_else(|| bad("What became of it"))?,
        how: AnsweredBy::parse(&text("how")).ok_or_else(|| bad("How the answer came"))?,
        who: text("who"),
        on: text("on")
            .parse()
            .map_err(|_| Problem::bad_input("`On which day` is a date such as 2026-11-25."))?,
        reason: text("reason"),
        document,
    };
    let (exchange, export) = (&sharing(&agency)?.exchange, id(&export)?);
    let export = exchange.answer_recall(&uploaded.signed_in.caller(), export, answered).await?;
    Ok(Redirect::to(&format!("/exports/{}", export.id)).into_response())
}
