//! The directories that keep accounts by SCIM, and the tokens that let them in.
//!
//! Invariant: a token is in the answer to the form that made it, and nowhere else: whoever did not take it down
//! makes another one.

use axum::extract::State;
use gate::Print;
use jiff::Timestamp;
use maud::{Markup, html};
use policy::Action;
use state::directory::tokens::{self as stored, Token};

use super::act::{Acted, permit_to_manage};
use super::{may_act, permit, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::{moment, print_of};
use crate::problem::Problem;
use crate::scim::tokens::{self, DAYS_MAX, TokenError};
use crate::session::{Posted, SignedIn};

pub(super) const PATH: &str = "/people/directories";

/// From so many days before its end on, a token's end is marked.
const DAYS_MARKED: i64 = 30;

/// Tokens on their way through the gate.
struct Listed(Vec<Token>);

impl gate::Fingerprint for Listed {
    fn fingerprint(&self) -> Print {
        let ids: Vec<&str> = self.0.iter().map(|token| token.id.as_str()).collect();
        print_of("directory tokens", self.0.len(), ids.join("\n"))
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Append(error) => error.into(),
            TokenError::Days | TokenError::NoDirectory | TokenError::NoToken => {
                Self::bad_input(format!("Nothing was done: {error}."))
            }
            other => Self::internal(&other),
        }
    }
}

/// `GET /people/directories`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn directories(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, None).await
}

async fn show(agency: &Shared, signed_in: &SignedIn, said: Option<Markup>) -> Answer {
    let permit = permit(Action::ViewPeople, agency, signed_in, "directory tokens").await?;
    let found = stored::list(&agency.state).await.map_err(|error| Problem::internal(&error))?;
    let released = agency.gate.release(permit.hold(Listed(found))).await?;
    let (Listed(found), receipt) = released.open();
    let now = agency.now();
    let content = html! {
        @if let Some(said) = said { (said) }
        @if agency.config.directories.is_empty() {
            div class="card" { p { "No directory is declared in the configuration (" code { "[[directory]]" } ")." } }
        } @else if may_act(signed_in) {
            (making(agency, signed_in, now))
        }
        (table(found, signed_in, now))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(signed_in, "Directories", PATH, &content))
}

fn making(agency: &Shared, signed_in: &SignedIn, now: Timestamp) -> Markup {
    html! {
        section class="card" aria-labelledby="make" {
            h2 id="make" { "Make a token" }
            p {
                "A directory shows it at " span class="mono" { (agency.config.listen.public_url) "/scim/v2" }
                " with each request. It is shown once."
            }
            (step_up(signed_in, now, PATH))
            form method="post" action=(PATH) {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="act" value="make";
                div class="fields" {
                    div class="field" {
                        label class="usa-label" for="directory" { "Directory" }
                        select class="usa-select" id="directory" name="directory" {
                            @for one in &agency.config.directories { option value=(one.id) { (one.id) } }
                        }
                    }
                    div class="field" {
                        label class="usa-label" for="days" { "Days for which it counts, " (DAYS_MAX) " at most" }
                        input class="usa-input" id="days" name="days" type="number" min="1" max=(DAYS_MAX) value="180" required;
                    }
                    div class="field__actions field--wide" {
                        button class="usa-button" type="submit" { "Make the token" }
                    }
                }
            }
        }
    }
}

fn table(found: &[Token], signed_in: &SignedIn, now: Timestamp) -> Markup {
    let acts = may_act(signed_in);
    html! {
        section class="card card--flush" aria-labelledby="tokens" {
            div class="toolbar" { h2 id="tokens" { (found.len()) @if found.len() == 1 { " token" } @else { " tokens" } } }
            @if found.is_empty() {
                div class="empty" { p { strong { "No token was made." } } }
            } @else {
                div class="tablebox" role="region" aria-label="List of tokens" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Tokens of directories, newest first" }
                        thead { tr {
                            th scope="col" { "Token" } th scope="col" { "Directory" } th scope="col" { "Made" }
                            th scope="col" { "Until" } th scope="col" { "State" }
                            @if acts { th scope="col" { "Revoke" } }
                        } }
                        tbody { @for token in found { (row(token, acts, signed_in, now)) } }
                    }
                }
            }
        }
    }
}

fn row(token: &Token, acts: bool, signed_in: &SignedIn, now: Timestamp) -> Markup {
    let name = tokens::name(token);
    html! {
        tr data-token=(name) {
            th scope="row" class="mono" { (name) }
            td { (token.client) }
            td class="nowrap" { (moment(token.made_at)) }
            td class="nowrap" { (moment(token.expires_at)) }
            td { (state_of(token, now)) }
            @if acts {
                td {
                    @if token.counts(now) {
                        form method="post" action=(PATH) {
                            input type="hidden" name="csrf" value=(signed_in.csrf);
                            input type="hidden" name="act" value="revoke";
                            input type="hidden" name="token" value=(name);
                            button class="usa-button usa-button--secondary" type="submit" { "Revoke " (name) }
                        }
                    }
                }
            }
        }
    }
}

fn state_of(token: &Token, now: Timestamp) -> Markup {
    let days = token.expires_at.duration_since(now).as_hours() / 24;
    html! {
        @if let Some(at) = token.revoked_at {
            span class="badge" { "revoked " (moment(at)) }
        } @else if !token.counts(now) {
            span class="badge" { "over" }
        } @else if days <= DAYS_MARKED {
            span class="badge badge--warn" { "ends in " (days) @if days == 1 { " day" } @else { " days" } }
        } @else {
            span class="badge badge--permit" { "counts" }
        }
    }
}

/// `POST /people/directories`: a token is made, or revoked.
///
/// # Errors
/// A [`Problem`] when it is not one that can be made or revoked, or the policy, the state or the ledger says no.
pub async fn act(State(agency): State<Shared>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let record = |event| signed_in.record(event);
    let by = (&record as crate::accounts::Recorded<'_>, signed_in.actor.name.as_str());
    let rooms = (&agency.ledger, &agency.state);
    let said = match posted.text("act") {
        "make" => {
            let directory = posted.text("directory");
            if !agency.config.directories.iter().any(|known| known.id == directory) {
                return Err(TokenError::NoDirectory.into());
            }
            let days = posted.text("days").trim().parse().map_err(|_| TokenError::Days)?;
            let permit = permit_to_manage(&agency, signed_in, "directory tokens").await?;
            let term = (agency.now(), days);
            let token = tokens::make(rooms, directory, term, by, &*agency.random).await?;
            // What leaves is the token; of the record, only that it did.
            let acted = Acted(format!("a token for {directory}"));
            agency.gate.release(permit.hold(acted)).await?;
            made(directory, &token)
        }
        "revoke" => {
            let named = posted.text("token");
            let permit = permit_to_manage(&agency, signed_in, "directory tokens").await?;
            tokens::revoke(rooms, named, agency.now(), by).await?;
            agency.gate.release(permit.hold(Acted(format!("revoked {named}")))).await?;
            html! {
                div class="usa-alert usa-alert--info" role="status" {
                    div class="usa-alert__body" {
                        p class="usa-alert__text" { "Token " (named) " no longer counts." }
                    }
                }
            }
        }
        _ => return Err(Problem::bad_input("Choose what is to be done.")),
    };
    show(&agency, signed_in, Some(said)).await
}

fn made(directory: &str, token: &str) -> Markup {
    html! {
        div class="usa-alert usa-alert--success" role="status" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { "The token for " (directory) }
                p class="usa-alert__text" { "Give it to the directory now: it can't be shown again." }
                label class="usa-label" for="token" { "Token" }
                input class="usa-input mono" id="token" readonly value=(token) autocomplete="off" spellcheck="false";
            }
        }
    }
}
