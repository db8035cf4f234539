//! Emergency accounts, their state, and the uses into which somebody is to look.
//!
//! Administrators see them; that a use was looked into is for security officers and auditors to say, for it is
//! administrators whom it is about.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use gate::Print;
use identity::emergency::{self, Overview, key_of};
use jiff::Timestamp;
use ledger::Event;
use maud::{Markup, html};
use policy::Action;

use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::pages::parts::print_of;
use crate::pages::people::permit;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

pub(super) const PATH: &str = "/emergency/uses";

/// Longest note of what was found, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// Emergency accounts on their way through the gate.
struct Listed(Vec<Overview>);

impl gate::Fingerprint for Listed {
    fn fingerprint(&self) -> Print {
        let names: Vec<&str> = self.0.iter().map(|account| account.name.as_str()).collect();
        print_of("emergency accounts", self.0.len(), names.join("\n"))
    }
}

/// That uses were looked into, which closes its permit.
struct Reviewed(String);

impl gate::Fingerprint for Reviewed {
    fn fingerprint(&self) -> Print {
        print_of("uses of an emergency account", 1, &self.0)
    }

    fn written(&self) -> Option<u64> {
        Some(1)
    }
}

async fn all(agency: &Shared) -> Result<Vec<Overview>, Problem> {
    let found = emergency::overview(&agency.state).await;
    found.map_err(|error| Problem::internal(&error))
}

/// `GET /emergency/uses`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let permit = permit(Action::ViewPeople, &agency, &signed_in, "emergency accounts").await?;
    let found = all(&agency).await?;
    let released = agency.gate.release(permit.hold(Listed(found))).await?;
    let (Listed(found), receipt) = released.open();
    let reviews = signed_in
        .actor
        .functions
        .iter()
        .any(|function| ["security-officer", "auditor"].contains(&function.as_str()));
    let content = html! {
        @if agency.emergency.accounts().is_none() {
            p { "Emergency sign-in is switched off: the configuration has no " code { "[emergency]" } "." }
        }
        @for account in found { (card(account, reviews, &signed_in)) }
        @if found.is_empty() {
            div class="card empty" {
                p { strong { "There is no emergency account." } }
                p { "Two people make one at the server: " code { "bailiwick user emergency make" } "." }
            }
        }
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, "Emergency access", PATH, &content))
}

fn card(account: &Overview, reviews: bool, signed_in: &SignedIn) -> Markup {
    let Overview { name, made_by: [one, other], .. } = account;
    let keys = match account.keys {
        0 => "none".to_owned(),
        count => count.to_string(),
    };
    html! {
        section class="card" aria-labelledby={ "account-" (name) } data-emergency=(name) {
            h2 id={ "account-" (name) } { (name) " " (state(account)) }
            dl class="kv" {
                div { dt { "Secret made" } dd { (moment(account.made_at)) ", by " (one) " and " (other) } }
                div { dt { "Security key" } dd { (keys) } }
                @if let Some(at) = account.spent_at { div { dt { "Secret used up" } dd { (moment(at)) } } }
                @if let Some(at) = account.locked_at { div { dt { "Locked" } dd { (moment(at)) } } }
            }
            @if account.locked_at.is_some() {
                p { "Two people release it at the server: " code { "bailiwick user emergency release " (name) } "." }
            }
            @if account.spent_at.is_some() {
                p { "Until two people make a new secret, nobody can open it." }
            }
            @if let Some(last) = account.uses.last() { (uses(account, last.at, reviews, signed_in)) }
        }
    }
}

fn state(account: &Overview) -> Markup {
    if account.locked_at.is_some() {
        html! { span class="badge badge--deny" { "locked" } }
    } else if account.spent_at.is_some() {
        html! { span class="badge badge--warn" { "used up" } }
    } else {
        html! { span class="badge badge--permit" { "sealed" } }
    }
}

fn uses(account: &Overview, until: Timestamp, reviews: bool, signed_in: &SignedIn) -> Markup {
    let note = format!("note-{}", account.name);
    html! {
        h3 { "Not looked into yet" }
        ul { @for one in &account.uses {
            li {
                (moment(one.at)) ", from " (one.address.as_deref().unwrap_or("an unknown address")) ": " (one.reason)
            }
        } }
        @if reviews {
            form method="post" action=(PATH) class="rows" data-once {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="account" value=(account.name);
                input type="hidden" name="until" value=(until);
                label class="usa-label" for=(note) { "What you found" }
                textarea class="usa-textarea" id=(note) name="note" required rows="2" maxlength=(NOTE_CHARS_MAX) {}
                button class="usa-button" type="submit" { "I have looked into it" }
            }
        } @else {
            p { "A security officer or an auditor looks into it and says so here." }
        }
    }
}

/// `POST /emergency/uses`: somebody looked into the uses that they were shown.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn review(State(agency): State<Shared>, posted: Posted) -> Answer {
    let (name, note) = (posted.text("account").to_owned(), posted.text("note").trim().to_owned());
    if note.is_empty() || note.chars().count() > NOTE_CHARS_MAX {
        return Err(Problem::bad_input("Say what you found, in at most 500 characters."));
    }
    let until: Timestamp =
        posted.text("until").parse().map_err(|_| Problem::bad_input("No time."))?;
    let signed_in = &posted.signed_in;
    let permit = permit(Action::ReadAudit, &agency, signed_in, "emergency accounts").await?;
    if !all(&agency).await?.iter().any(|account| account.name == name && !account.uses.is_empty()) {
        agency.gate.withhold(permit.ticket(), "there was nothing to look into").await?;
        return Err(Problem::bad_input("There is nothing to look into."));
    }
    let event = Event::EmergencyAccess {
        account: key_of(&name),
        what: format!("its uses until {until} were looked into"),
        reason: note,
    };
    agency.ledger.append(signed_in.record(event)).await?;
    let reviewed = emergency::review(&agency.state, &name, until, agency.now()).await;
    reviewed.map_err(|error| Problem::internal(&error))?;
    agency.look_at_emergencies().await;
    agency.gate.release(permit.hold(Reviewed(name))).await?;
    Ok(Redirect::to(PATH).into_response())
}
