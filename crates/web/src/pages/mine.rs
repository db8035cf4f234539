//! What is a person's own: their sessions, which they can end, and what the ledger says that they did.
//!
//! Reading one's own accesses is a question to the policy and on record, like any reading of the ledger; the
//! search is bound to the account that asks.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use gate::{Plan, Print};
use identity::SessionSummary;
use ledger::{Entry, EntryNumber, Search};
use maud::{Markup, html};
use policy::Action;

use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::pages::{audit, people};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

const SESSIONS: &str = "/me/sessions";
const ACCESSES: &str = "/me/accesses";

/// Entries on one page.
const ENTRIES_MAX: u32 = 100;

async fn own(agency: &Shared, signed_in: &SignedIn) -> Result<Vec<SessionSummary>, Problem> {
    let (actor, current) = (&signed_in.actor.id, Some(&signed_in.session));
    let found = agency.identity.sessions_of(actor, current, agency.now()).await;
    found.map_err(|error| Problem::internal(&error))
}

/// `GET /me/sessions`.
///
/// # Errors
/// A [`Problem`] when the state can't be read.
pub async fn sessions(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let own = own(&agency, &signed_in).await?;
    let content = html! {
        p { a href="/me" { "Back to how I am signed in" } }
        section class="card card--flush" aria-labelledby="own-sessions" {
            div class="toolbar" { h2 id="own-sessions" { (own.len()) @if own.len() == 1 { " live session" } @else { " live sessions" } } }
            div class="tablebox" role="region" aria-label="List of sessions" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Your live sessions, newest first" }
                    thead { tr {
                        th scope="col" { "Session" } th scope="col" { "Since" } th scope="col" { "Last active" }
                        th scope="col" { "Ends" } th scope="col" { "Device" } th scope="col" { "Address" } th scope="col" { "Browser" } th scope="col" { "End it" }
                    } }
                    tbody { @for one in &own { (line(one, &signed_in)) } }
                }
            }
        }
        p class="muted" { "A session that you do not know is not yours: end it, and tell your security officer." }
    };
    Ok(agency.page(&signed_in, "My sessions", SESSIONS, &content))
}

fn line(SessionSummary { session, current }: &SessionSummary, signed_in: &SignedIn) -> Markup {
    let prefix = session.prefix();
    html! {
        tr data-session=(prefix) {
            th scope="row" class="mono" { (prefix) @if *current { " " span class="badge badge--info" { "this one" } } }
            td { (moment(session.created_at)) }
            td { (moment(session.last_seen_at)) }
            td { (moment(session.deadline())) }
            td {
                (session.device_class.as_deref().unwrap_or("usual"))
                @if session.certificate.is_some() { " " span class="badge" { "bound to a certificate" } }
            }
            td { (session.address.as_deref().unwrap_or("unknown")) }
            td class="small" { (session.agent.as_deref().unwrap_or("unknown")) }
            td {
                form method="post" action=(SESSIONS) {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    input type="hidden" name="session" value=(prefix);
                    button class="usa-button usa-button--outline" type="submit" {
                        "End " span class="usa-sr-only" { "session " (prefix) }
                    }
                }
            }
        }
    }
}

/// `POST /me/sessions`: ends one of one's own.
///
/// # Errors
/// A [`Problem`] when there is no such session, or it can't be recorded or ended.
pub async fn end(State(agency): State<Shared>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let own = own(&agency, signed_in).await?;
    let prefix = posted.text("session");
    let mut found = own.iter().filter(|one| one.session.prefix() == prefix);
    let one = found.next().ok_or_else(Problem::not_found)?;
    if one.current {
        // This answer is to arrive all the same.
        signed_in.leash.let_go();
    }
    people::end_own(&agency, signed_in, one.session.id(), prefix).await?;
    let next = if one.current { "/sign-in" } else { SESSIONS };
    Ok(Redirect::to(next).into_response())
}

/// Entries on their way through the gate.
struct Own {
    entries: Vec<Entry>,
    more: bool,
}

impl gate::Fingerprint for Own {
    fn fingerprint(&self) -> Print {
        let leaves: Vec<u8> = self.entries.iter().flat_map(|entry| entry.leaf).collect();
        Print {
            what: "own ledger entries",
            count: self.entries.len() as u64,
            bytes: leaves.len() as u64,
            digest: ledger::digest(&leaves),
            subjects: Vec::new(),
            caveats: std::collections::BTreeSet::new(),
        }
    }
}

/// `GET /me/accesses`: the newest.
///
/// # Errors
/// A [`Problem`] when the policy or the ledger says no.
pub async fn accesses(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, None).await
}

/// `POST /me/accesses`: older ones.
///
/// # Errors
/// As [`accesses`].
pub async fn older(State(agency): State<Shared>, posted: Posted) -> Answer {
    let before = posted.text("before").parse().ok().map(EntryNumber);
    show(&agency, &posted.signed_in, before).await
}

async fn show(agency: &Shared, signed_in: &SignedIn, before: Option<EntryNumber>) -> Answer {
    let action = Action::ReadOwnAccesses;
    let resource = audit::resource(agency);
    let question = agency.question(signed_in, action, resource, policy::Why::default());
    let plan = Plan::Audit("one's own entries".to_owned());
    let permit = agency.authorise(signed_in, question, plan).await?;
    let actor = Some(signed_in.actor.id.to_string());
    let search = Search { actor, before, ..Search::newest(ENTRIES_MAX) };
    let ledger = agency.ledger.clone();
    let found = tokio::task::spawn_blocking(move || ledger.search(&search)).await;
    let page = found.map_err(|error| Problem::internal(&error))?;
    let page = page.map_err(|error| Problem::internal(&error))?;
    let own = Own { entries: page.entries, more: page.more };
    let released = agency.gate.release(permit.hold(own)).await?;
    let (own, receipt) = released.open();
    let content = html! {
        p { a href="/me" { "Back to how I am signed in" } }
        section class="card" aria-labelledby="own" {
            div class="card__head" {
                h2 id="own" { (own.entries.len()) " entries" }
                span class="badge" { "this reading is entry " (receipt.entry) }
            }
            ol class="timeline" { @for entry in &own.entries {
                li class="entry entry--permit" data-entry=(entry.number) {
                    span class="entry__time" { time datetime=(entry.at) { (moment(entry.at)) } }
                    div class="entry__body" {
                        p class="entry__what" {
                            span class="entry__no" { (entry.number) }
                            " " span { "You " (of_you(&entry.record.event.sentence())) }
                        }
                    }
                }
            } }
            @if let (true, Some(last)) = (own.more, own.entries.last()) {
                form method="post" action=(ACCESSES) {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    input type="hidden" name="before" value=(last.number);
                    button class="usa-button usa-button--outline" type="submit" { "Older entries" }
                }
            }
        }
    };
    Ok(agency.page(signed_in, "My accesses", ACCESSES, &content))
}

/// A sentence about somebody, for that very person.
fn of_you(sentence: &str) -> String {
    sentence.strip_prefix("was ").map_or_else(|| sentence.to_owned(), |rest| format!("were {rest}"))
}
