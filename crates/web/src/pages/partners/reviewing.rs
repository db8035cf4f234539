//! A text that waits for its review: what it says otherwise, the form of the decision, and what was decided before.
//!
//! Invariant: what is accepted is the text that the page showed, by its digest.

use jiff::Timestamp;
use maud::{Markup, html};
use state::agreements::Standing;

use crate::app::Shared;
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// What waits.
pub(super) struct Waiting<'a> {
    pub(super) version: u64,
    pub(super) digest: &'a str,
    /// Where the decision goes.
    pub(super) path: &'a str,
    /// What holds until then, in a sentence.
    pub(super) until: String,
    /// What it says otherwise than what counts: name, before, now. Nothing to compare it with where it is `None`.
    pub(super) differs: Option<Vec<(String, String, String)>>,
    /// What a reviewer compares it with, in a sentence.
    pub(super) compare: &'static str,
}

/// One version, as its line shows it.
pub(super) struct Line<'a> {
    pub(super) version: u64,
    pub(super) seen_at: Timestamp,
    pub(super) standing: Standing,
    pub(super) entry: u64,
    pub(super) review: Option<&'a exchange::Voice>,
}

/// What waits, what differs from what counts, and the decision.
pub(super) fn card(agency: &Shared, signed_in: &SignedIn, waiting: &Waiting<'_>) -> Markup {
    let reviews = signed_in.actor.functions.iter().any(|one| one.as_str() == "security-officer");
    html! {
        section class="card card--warn" aria-labelledby="waits" {
            h2 id="waits" { "Version " (waiting.version) " waits for its review" }
            p { (waiting.until) }
            @if let Some(differs) = &waiting.differs {
                div class="tablebox" role="region" aria-label="Differences" tabindex="0" { table class="table" {
                    caption class="usa-sr-only" { "What the new text says otherwise" }
                    thead { tr { th scope="col" { "Clause" } th scope="col" { "Now" } th scope="col" { "New" } } }
                    tbody { @for (name, before, after) in differs {
                        tr { th scope="row" { (name) } td { (before) } td { (after) } }
                    } }
                } }
            }
            p { "Digest of the text: " span class="hash" { (waiting.digest) } }
            @if reviews {
                @if signed_in.session.is_stepped_up(agency.now()) {
                    form method="post" action=(waiting.path) data-once {
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
                    p { (waiting.compare) " To decide, prove again who you are." }
                    p { a class="usa-button" href={ "/step-up?next=" (waiting.path) } { "Confirm my identity" } }
                }
            } @else {
                p { "A security officer reviews it." }
            }
        }
    }
}

/// All versions, the newest first. `of` says what of.
pub(super) fn versions<'a>(of: &str, lines: impl Iterator<Item = Line<'a>>) -> Markup {
    let standing = |standing: Standing| match standing {
        Standing::Waiting => html! { span class="badge badge--warn" { "waits" } },
        Standing::Accepted => html! { span class="badge badge--permit" { "accepted" } },
        Standing::Refused => html! { span class="badge badge--deny" { "refused" } },
    };
    html! {
        section class="card card--flush" aria-labelledby="versions" {
            div class="toolbar" { h2 id="versions" { "Versions" } }
            div class="tablebox" role="region" aria-label="Table of versions" tabindex="0" { table class="table" {
                caption class="usa-sr-only" { "Versions of " (of) ", newest first" }
                thead { tr {
                    th scope="col" { "Version" } th scope="col" { "Came" } th scope="col" { "State" }
                    th scope="col" { "Reviewed by" } th scope="col" { "Because" } th scope="col" { "Ledger entries" }
                } }
                tbody { @for line in lines {
                    tr data-version=(line.version) {
                        th scope="row" { (line.version) }
                        td class="nowrap" { (moment(line.seen_at)) }
                        td { (standing(line.standing)) }
                        td { @if let Some(voice) = line.review { (voice.actor.name) ", " (moment(voice.at)) } }
                        td { @if let Some(voice) = line.review { (voice.reason.as_deref().unwrap_or_default()) } }
                        td { (line.entry) @if let Some(voice) = line.review { ", " (voice.entry) } }
                    }
                } }
            } }
        }
    }
}

/// What was posted: whether it is accepted, the digest of what was read, and why.
///
/// # Errors
/// A [`Problem`] where neither was chosen.
pub(super) fn decision(posted: &Posted) -> Result<(bool, &str, &str), Problem> {
    let accepts = match posted.text("decision") {
        "accept" => true,
        "refuse" => false,
        _ => return Err(Problem::bad_input("Choose whether to accept or to refuse.")),
    };
    Ok((accepts, posted.text("digest"), posted.text("reason")))
}
