//! What is written down of partners, and the rules of jurisdictions: what waits for its review, and what was accepted.

use axum::extract::{Path, State};
use exchange::{HeldText, Written};
use maud::{Markup, html};

use super::clauses::differences;
use super::reviewing::{Line, Waiting, card, decision, versions};
use crate::app::{Answer, Shared};
use crate::pages::parts::{go, pair, sharing};
use crate::session::{Posted, SignedIn};

/// The page of the rules.
const RULES: &str = "/partners/rules";

/// Where something that is written down is shown.
pub(crate) fn path(about: &Written) -> String {
    match about {
        Written::Partner(ori) => format!("/partners/{ori}"),
        Written::Rules => RULES.to_owned(),
    }
}

/// What a reviewer has to do.
pub(crate) fn waits(held: &HeldText) -> Markup {
    let (what, until) = match &held.about {
        Written::Partner(_) => ("partner", "nothing goes to it and nothing comes from it"),
        Written::Rules => ("the rules", "nothing leaves"),
    };
    let named = match &held.about {
        Written::Partner(ori) => ori.as_str(),
        Written::Rules => "of jurisdictions",
    };
    html! {
        section class="usa-alert usa-alert--warning" aria-label={ "Review of " (held.about.id()) } {
            div class="usa-alert__body" {
                p class="usa-alert__text" {
                    "What is written down of " a href=(path(&held.about)) { (what) " " (named) }
                    " waits for a security officer’s review. Until then " (until) "."
                }
            }
        }
    }
}

/// The form of the review, if something waits; and all versions.
pub(super) fn reviewed(agency: &Shared, signed_in: &SignedIn, held: &HeldText) -> (Markup, Markup) {
    let path = path(&held.about);
    let form = held.waiting().map(|waits| {
        let before = held.accepted().map(|version| version.details.lines.as_slice());
        let differs = differences(before.unwrap_or_default(), &waits.details.lines);
        let until = match (&held.about, before.is_some()) {
            (Written::Partner(_), false) => "Nobody has accepted this partner yet: nothing goes to it and nothing comes from it. Its file says:",
            (Written::Partner(_), true) => "Until then nothing goes to this partner and nothing comes from it; what is on its way waits. Its file says otherwise than it did:",
            (Written::Rules, _) => "Until then nothing leaves. The rules say otherwise than they did:",
        };
        let compare = match &held.about {
            Written::Partner(_) => "Have somebody you know there read the words of the certificates aloud, over a number that did not come with them.",
            Written::Rules => "Compare it with the statutes and orders.",
        };
        let waiting = Waiting {
            version: waits.version,
            digest: &waits.digest,
            path: &path,
            until: until.to_owned(),
            differs: Some(differs),
            compare,
        };
        card(agency, signed_in, &waiting)
    });
    let lines = held.versions.iter().map(|version| Line {
        version: version.version,
        seen_at: version.seen_at,
        standing: version.standing,
        entry: version.details.entry,
        review: version.details.review.as_ref(),
    });
    (form.unwrap_or_default(), versions("what is written down", lines))
}

/// `GET /partners/rules`: the rules of jurisdictions.
///
/// # Errors
/// A [`Problem`] when sharing is not configured or the state cannot be read.
pub async fn rules(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let held = exchange.held_text(Written::Rules).await?;
    let (form, versions) = reviewed(&agency, &signed_in, &held);
    let lines = exchange.book().jurisdictions().lines();
    let content = html! {
        p { a href="/partners" { "All partners and agreements" } }
        (form)
        section class="card" aria-labelledby="says" {
            h2 id="says" { "What the file says" }
            @if lines.is_empty() {
                p { "There are no rules: agreements alone say what may cross." }
            } @else {
                p { "Rules only ever narrow what an agreement allows; of two the stricter one counts." }
                dl class="kv" { @for (name, said) in &lines { (pair(name, said)) } }
            }
        }
        @if !held.versions.is_empty() { (versions) }
    };
    Ok(agency.page(&signed_in, "Rules of jurisdictions", "/partners", &content))
}

/// `POST /partners/{ori}`: the review of what is written down of a partner.
///
/// # Errors
/// A [`Problem`] with an entry number when the policy says no, or another text waits by now.
pub async fn review_partner(
    State(agency): State<Shared>,
    Path(ori): Path<String>,
    posted: Posted,
) -> Answer {
    review(&agency, &posted, Written::Partner(ori)).await
}

/// `POST /partners/rules`: the review of the rules.
///
/// # Errors
/// As [`review_partner`].
pub async fn review_rules(State(agency): State<Shared>, posted: Posted) -> Answer {
    review(&agency, &posted, Written::Rules).await
}

async fn review(agency: &Shared, posted: &Posted, about: Written) -> Answer {
    let (accepts, digest, reason) = decision(posted)?;
    let caller = posted.signed_in.caller();
    let exchange = &sharing(agency)?.exchange;
    exchange.review_written(&caller, &about, digest, accepts, reason).await?;
    Ok(go(posted, &path(&about)))
}
