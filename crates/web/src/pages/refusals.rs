//! "Why was I refused?": what an administrator reads by the entry number that a person quotes.
//!
//! Administrators don't read the ledger, which watches them too; here they see one refusal at a time, its code and
//! what to do about it, and nothing of who or from where. That they looked is on record first.

mod certificates;
mod emergency;
mod signals;

use std::collections::BTreeSet;

use axum::extract::{Query, State};
use gate::{Plan, Print};
use ledger::{EntryNumber, Event};
use maud::{Markup, html};
use policy::{Action, Resource, ResourceKind, Why};
use serde::Deserialize;

use crate::app::{Answer, Shared};
use crate::pages::parts::{moment, print_of};
use crate::problem::Problem;
use crate::session::SignedIn;

/// What was quoted.
#[derive(Deserialize)]
pub struct Quoted {
    /// The entry's number.
    entry: Option<u64>,
}

/// A refusal as it is shown; `None`: the entry is none.
struct Found(Option<Refused>);

struct Refused {
    at: jiff::Timestamp,
    through: String,
    code: String,
    leaf: [u8; 32],
}

impl gate::Fingerprint for Found {
    fn fingerprint(&self) -> Print {
        let leaf = self.0.as_ref().map(|found| found.leaf.to_vec()).unwrap_or_default();
        print_of("refusals", usize::from(self.0.is_some()), leaf)
    }
}

/// `GET /refusals`: one refusal explained, by its entry.
///
/// # Errors
/// A [`Problem`] when the policy or the ledger says no.
pub async fn ask(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Query(Quoted { entry }): Query<Quoted>,
) -> Answer {
    let question = agency.question(
        &signed_in,
        Action::ViewPosture,
        Resource {
            kind: ResourceKind::Platform,
            id: "refusals".to_owned(),
            tool: None,
            source: None,
            record_class: agency.audit_class.clone(),
            caveats: BTreeSet::new(),
            agency: agency.ori.clone(),
            requested_by: None,
            agreement: None,
        },
        Why::default(),
    );
    let what = entry.map_or("the form".to_owned(), |entry| format!("why entry {entry} refused"));
    let permit = agency.authorise(&signed_in, question, Plan::Audit(what)).await?;
    let ledger = agency.ledger.clone();
    let found = tokio::task::spawn_blocking(move || find(&ledger, entry)).await;
    let found = found.map_err(|error| Problem::internal(&error))?;
    let released = agency.gate.release(permit.hold(found)).await?;
    let (Found(found), _) = released.open();
    let content = html! {
        form class="card" method="get" action="/refusals" {
            label class="usa-label" for="entry" { "Ledger entry that the person quotes" }
            input class="usa-input" id="entry" name="entry" inputmode="numeric" required
                value=[entry];
            button class="usa-button" type="submit" { "Explain" }
        }
        @if let Some(found) = found {
            (explained(found))
        } @else if entry.is_some() {
            p { "This entry is no refusal of a sign-in or a request." }
        }
    };
    Ok(agency.page(&signed_in, "Why was I refused?", "/refusals", &content))
}

fn find(ledger: &ledger::Ledger, entry: Option<u64>) -> Found {
    let entry = entry.and_then(|number| ledger.read(EntryNumber(number)).ok());
    Found(entry.and_then(|entry| {
        let (through, code) = match entry.record.event {
            Event::SignInRefused { idp, reason } => (idp, reason),
            Event::RequestRefused { route, reason } => (route, reason),
            _ => return None,
        };
        Some(Refused { at: entry.at, through, code, leaf: entry.leaf })
    }))
}

fn explained(found: &Refused) -> Markup {
    let (why, then) = meaning(&found.code);
    html! {
        section class="card" aria-labelledby="refusal-title" {
            h2 id="refusal-title" { code { (found.code) } }
            dl {
                dt { "When" } dd { (moment(found.at)) }
                dt { "Through" } dd { (found.through) }
                dt { "Why" } dd { (why) }
                dt { "What to do" } dd { (then) }
            }
        }
    }
}

/// What a code means and what to do, by its longest beginning that is listed.
pub(super) fn meaning(code: &str) -> (&'static str, &'static str) {
    let all = MEANINGS.iter().chain(signals::MEANINGS).chain(certificates::MEANINGS);
    let all = all.chain(emergency::MEANINGS);
    let found = all.filter(|(begin, ..)| code.starts_with(begin));
    let found = found.max_by_key(|(begin, ..)| begin.len());
    found.map_or(("It was refused.", "Look the code up in docs/identity.md."), |(_, why, then)| {
        (why, then)
    })
}

/// Codes, or how they begin.
const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "saml.mfa",
        "The provider does not state more than one factor.",
        "Have the person use a second factor; or the provider has changed its context names: compare `mfa_contexts`.",
    ),
    (
        "saml.signature",
        "The message was not signed by a key in the provider's metadata, or was changed.",
        "Did the provider change its key? Renew its metadata. If it did not, treat it as an attack.",
    ),
    (
        "saml.alg",
        "The provider used an algorithm that is not accepted, such as SHA-1 or AES-CBC.",
        "Set the provider to RSA or ECDSA with SHA-256, and AES-256-GCM.",
    ),
    (
        "saml.decrypt",
        "The assertion was encrypted to a key that is not ours, or broken on its way.",
        "Have the provider read our metadata again.",
    ),
    (
        "saml.time",
        "A message is more than five minutes from our time, or states its time in another way than UTC.",
        "Compare the clocks of both servers.",
    ),
    (
        "saml.conditions",
        "The assertion was for somebody else, or for another time.",
        "Compare our entity ID at the provider, and the clocks of both servers.",
    ),
    (
        "saml.request",
        "The answer does not belong to a sign-in that this browser has under way.",
        "Begin again in one tab, within ten minutes, with cookies allowed.",
    ),
    ("saml.replay", "The message was used before.", "If it happens again, treat it as an attack."),
    (
        "saml.inresponseto",
        "The answer is to another request. Sign-ins that begin at the provider are not accepted.",
        "Begin at the sign-in page of this system.",
    ),
    (
        "saml.destination",
        "The message was meant for another address.",
        "Compare the assertion consumer's URL at the provider with `public_url`.",
    ),
    (
        "saml.subjectconfirmation",
        "The assertion was confirmed for another address, request or time.",
        "Compare the assertion consumer's URL at the provider with `public_url`, and the clocks.",
    ),
    (
        "saml.issuer",
        "The message is of another provider.",
        "Compare the entity ID in its metadata.",
    ),
    (
        "saml.nameid",
        "The person's name at the provider is missing, transient or of the wrong format.",
        "Have the provider send a persistent NameID; compare `name_id_format`.",
    ),
    (
        "saml.authn",
        "The authentication is too old, not new where that was asked for, or not stated.",
        "Sign in anew. If it stays, the provider does not honour ForceAuthn.",
    ),
    (
        "saml.status",
        "The provider itself did not sign the person in.",
        "Look in the provider's log.",
    ),
    ("saml.stepup", "The step-up was of another person or came too late.", "Sign in again."),
    (
        "saml.attribute",
        "An attribute is doubled or too large.",
        "Look at the provider's attribute rules.",
    ),
    (
        "saml.shape",
        "The message is not built as a sign-in's must be.",
        "Treat it as an attack unless the provider is new.",
    ),
    (
        "saml.malformed",
        "What arrived is no SAML message.",
        "Try again; then look in the provider's log.",
    ),
    (
        "saml.redirect",
        "The log-out message was not signed, or not by the provider.",
        "Renew the provider's metadata.",
    ),
    (
        "slo.",
        "The log-out message was not acceptable.",
        "Compare our metadata at the provider, and the clocks.",
    ),
    (
        "idp.held",
        "Nobody is let in through the provider: an administrator holds it.",
        "See the page of identity providers for since when; the ledger says why.",
    ),
    (
        "idp.metadata",
        "The provider's metadata has run out or has not been fetched.",
        "Renew it, or see why its address does not answer.",
    ),
    (
        "authz.",
        "The provider signs the person in, but gives no job function that counts here.",
        "Compare the person's groups with `functions_map` and `functions`.",
    ),
    (
        "ldap.unreachable",
        "The directory could not be asked who is in which group.",
        "See the server's log for why. `admits_unasked` says what happens meanwhile.",
    ),
    (
        "ldap.",
        "By the directory's word the person is unknown, disabled, or more than one.",
        "Look the person up there; compare `person_filter`.",
    ),
    ("stale-session", "The session had ended.", "Sign in again."),
    (
        "door.other",
        "A guest came to the agency's own pages, or somebody of the agency to the guests' page.",
        "Guests come to `public_url` under `[exchange.guests]`, everybody else to the one under `[listen]`.",
    ),
    (
        "misdirected",
        "The connection was made for one name, and another was asked for over it.",
        "Compare the name that was opened with `[exchange.guests]`. No browser does this by itself.",
    ),
    ("csrf", "A form came from another site or from an old page.", "Open the page again."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_of_a_code_explains_it() {
        assert!(meaning("saml.signature.invalid").1.contains("Renew its metadata"));
        assert!(meaning("saml.stepup.person").0.contains("another person"));
        assert!(meaning("slo.replay").0.contains("log-out"));
        assert!(meaning("oidc.auth_time.old").1.contains("max_age"));
        assert!(meaning("oidc.sub").0.contains("not built"));
        assert!(meaning("bcl.replay").0.contains("log-out"));
        assert!(meaning("cert.ocsp.malformed").0.contains("responder"));
        assert!(meaning("cert.name").1.contains("`name`"));
        assert!(meaning("cert.name_constraint").1.contains("attack"));
        assert!(meaning("ssf.aud").1.contains("audience"));
        assert!(meaning("emergency.key.count").1.contains("another key"));
        assert!(meaning("emergency.key.challenge").1.contains("one window"));
        assert!(meaning("else").1.contains("docs/identity.md"));
    }
}
