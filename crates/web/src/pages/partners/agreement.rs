//! One agreement: what it says, its versions, who reviewed each, and the form of the review.
//!
//! Invariant: what is accepted is the text that the page showed, by its digest.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use exchange::{AgreementVersion, Held};
use maud::{Markup, html};
use state::agreements::Standing;

use super::clauses::{clauses, differences};
use super::{partner_name, state};
use crate::app::{Answer, Shared};
use crate::pages::parts::{go, moment, pair, sharing};
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
    let said = &shown.details.agreement;
    let content = html! {
        p { a href="/partners" { "All partners and agreements" } }
        @if let Some(waiting) = held.waiting() { (review_card(&agency, &signed_in, &held, waiting)) }
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
        (versions(&held))
    };
    Ok(agency.page(&signed_in, &said.title, "/partners", &content))
}

/// What waits, what differs from what counts, and the decision.
fn review_card(
    agency: &Shared,
    signed_in: &SignedIn,
    held: &Held,
    waiting: &AgreementVersion,
) -> Markup {
    let path = format!("/agreements/{}", held.id);
    let reviews = signed_in.actor.functions.iter().any(|one| one.as_str() == "security-officer");
    html! {
        section class="card card--warn" aria-labelledby="waits" {
            h2 id="waits" { "Version " (waiting.version) " waits for its review" }
            @match &held.in_force {
                None => p { "No version counts yet: nothing crosses under this agreement. Below is what the new text says." },
                Some(counts) => {
                    p { "Until then version " (counts.version) " counts. The new text differs in this:" }
                    div class="tablebox" role="region" aria-label="Differences" tabindex="0" { table class="table" {
                        caption class="usa-sr-only" { "What the new text says otherwise" }
                        thead { tr { th scope="col" { "Clause" } th scope="col" { "Now" } th scope="col" { "New" } } }
                        tbody { @for (name, before, after) in differences(&counts.details.agreement, &waiting.details.agreement) {
                            tr { th scope="row" { (name) } td { (before) } td { (after) } }
                        } }
                    } }
                }
            }
            p { "Digest of the text: " span class="hash" { (waiting.digest) } }
            @if reviews {
                @if signed_in.session.is_stepped_up(agency.now()) {
                    form method="post" action=(path) data-once {
                        input type="hidden" name="csrf" value=(signed_in.csrf);
                        input type="hidden" name="digest" value=(waiting.digest);
                        label class="usa-label" for="reason" { "What you compared it with, or why not " span class="must" { "*" } }
                        input class="usa-input" id="reason" name="reason" required maxlength="1000" autocomplete="off";
                        div class="cluster" {
                            button class="usa-button" type="submit" name="decision" value="accept" { "Accept this text" }
                            button class="usa-button usa-button--outline" type="submit" name="decision" value="refuse" { "Refuse it" }
                        }
                    }
                } @else {
                    p { "Compare it with the signed document. To decide, prove again who you are." }
                    p { a class="usa-button" href={ "/step-up?next=" (path) } { "Confirm my identity" } }
                }
            } @else {
                p { "A security officer reviews it." }
            }
        }
    }
}

fn versions(held: &Held) -> Markup {
    let standing = |version: &AgreementVersion| match version.standing {
        Standing::Waiting => html! { span class="badge badge--warn" { "waits" } },
        Standing::Accepted => html! { span class="badge badge--permit" { "accepted" } },
        Standing::Refused => html! { span class="badge badge--deny" { "refused" } },
    };
    html! {
        section class="card card--flush" aria-labelledby="versions" {
            div class="toolbar" { h2 id="versions" { "Versions" } }
            div class="tablebox" role="region" aria-label="Table of versions" tabindex="0" { table class="table" {
                caption class="usa-sr-only" { "Versions of the agreement, newest first" }
                thead { tr {
                    th scope="col" { "Version" } th scope="col" { "Came" } th scope="col" { "State" }
                    th scope="col" { "Reviewed by" } th scope="col" { "Because" } th scope="col" { "Ledger entries" }
                } }
                tbody { @for version in &held.versions {
                    @let review = version.details.review.as_ref();
                    tr data-version=(version.version) {
                        th scope="row" { (version.version) }
                        td class="nowrap" { (moment(version.seen_at)) }
                        td { (standing(version)) }
                        td { @if let Some(voice) = review { (voice.actor.name) ", " (moment(voice.at)) } }
                        td { @if let Some(voice) = review { (voice.reason.as_deref().unwrap_or_default()) } }
                        td { (version.details.entry) @if let Some(voice) = review { ", " (voice.entry) } }
                    }
                } }
            } }
        }
    }
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
    let accepts = match posted.text("decision") {
        "accept" => true,
        "refuse" => false,
        _ => return Err(Problem::bad_input("Choose whether to accept or to refuse.")),
    };
    let exchange = &sharing(&agency)?.exchange;
    let (digest, reason) = (posted.text("digest"), posted.text("reason"));
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
