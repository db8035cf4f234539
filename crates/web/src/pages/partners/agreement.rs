//! One agreement: what it says, its versions, who reviewed each, and the form of the review.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use exchange::{AgreementVersion, Held};
use maud::html;

use super::clauses::{clauses, differences};
use super::reviewing::{Line, Waiting, card, decision, versions};
use super::{partner_name, state};
use crate::app::{Answer, Shared};
use crate::pages::parts::{go, pair, sharing};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// `GET /agreements/{id}`.
///
/// # Errors
/// A [`Problem`] when there is no such agreement.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let held = exchange.held_agreement(&id).await?;
    let shown = held.shown().ok_or_else(Problem::not_found)?;
    let (said, path) = (&shown.details.agreement, format!("/agreements/{id}"));
    let content = html! {
        p { a href="/partners" { "All partners and agreements" } }
        @if let Some(waits) = held.waiting() { (card(&agency, &signed_in, &waiting(&held, waits, &path))) }
        section class="card" aria-labelledby="says" {
            div class="card__head" {
                h2 id="says" {
                    @if held.in_force.is_some() { "What counts: version " (shown.version) } @else { "Version " (shown.version) ", which does not count" }
                }
                (state(&held, agency.now()))
            }
            p { "With " a href={ "/partners/" (said.facts.partner) } { (partner_name(&agency, said.facts.partner.as_str())) } "." }
            dl class="kv" { @for (name, what) in clauses(said) { (pair(name, &what)) } }
            @if said.terms.document.is_some() {
                p { a href={ "/agreements/" (id) "/document" } { "The signed document" } }
            }
        }
        (versions("the agreement", lines(&held)))
    };
    Ok(agency.page(&signed_in, &said.title, "/partners", &content))
}

fn waiting<'a>(held: &Held, waits: &'a AgreementVersion, path: &'a str) -> Waiting<'a> {
    let (until, differs) = match &held.in_force {
        None => (
            "No version counts yet: nothing crosses under this agreement. Below is what the new text says.".to_owned(),
            None,
        ),
        Some(counts) => {
            let (before, after) =
                (clauses(&counts.details.agreement), clauses(&waits.details.agreement));
            let rows = differences(&before, &after).into_iter();
            let rows = rows.map(|(name, before, after)| (name.to_owned(), before, after));
            let until =
                format!("Until then version {} counts. The new text differs in this:", counts.version);
            (until, Some(rows.collect()))
        }
    };
    let compare = "Compare it with the signed document.";
    Waiting { version: waits.version, digest: &waits.digest, path, until, differs, compare }
}

fn lines(held: &Held) -> impl Iterator<Item = Line<'_>> {
    held.versions.iter().map(|version| Line {
        version: version.version,
        seen_at: version.seen_at,
        standing: version.standing,
        entry: version.details.entry,
        review: version.details.review.as_ref(),
    })
}

/// `POST /agreements/{id}`: the review.
///
/// # Errors
/// A [`Problem`] with an entry number when the policy says no, or another text waits by now.
pub async fn review(
    State(agency): State<Shared>,
    Path(id): Path<String>,
    posted: Posted,
) -> Answer {
    let (accepts, digest, reason) = decision(&posted)?;
    let exchange = &sharing(&agency)?.exchange;
    let caller = posted.signed_in.caller();
    exchange.review_agreement(&caller, &id, digest, accepts, reason).await?;
    Ok(go(&posted, &format!("/agreements/{id}")))
}

/// `GET /agreements/{id}/document`: the signed document of the version that counts, or of the newest.
///
/// # Errors
/// A [`Problem`] when there is none, or the file is not what was signed.
pub async fn document(
    State(agency): State<Shared>,
    _signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let held = exchange.held_agreement(&id).await?;
    let terms = held.shown().map(|shown| &shown.details.agreement.terms);
    let document = terms.and_then(|terms| terms.document.as_ref());
    let bytes = document.and_then(|document| exchange.book().document(document));
    let bytes = bytes.ok_or_else(Problem::not_found)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.pdf\"")),
    ];
    Ok((headers, bytes).into_response())
}
