//! One account: what is known of it, its live sessions, its history, and what can be changed.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use gate::Print;
use identity::SessionSummary;
use jiff::Timestamp;
use ledger::{Entry, Event, Search};
use maud::{Markup, html};
use policy::Action;
use state::accounts::{Account, AccountId, AccountKind, Of, Standing};
use state::qualifications::{self, Qualification};

use super::act::reason_field;
use super::act::{Act, Acted, Outcome, act_on, function_boxes, permit_to_manage, reason};
use super::{PATH, badge, by_hand, may_act, permit, qualified, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::{moment, pair, print_of};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};
use crate::tending::lapses_at;

/// Entries about accounts that are looked through for the history of one.
const HISTORY_LOOKED_MAX: u32 = 200;

/// An account on its way through the gate, with its history.
struct Known {
    account: Account,
    sessions: Vec<SessionSummary>,
    held: Vec<Qualification>,
    history: Vec<Entry>,
}

impl gate::Fingerprint for Known {
    fn fingerprint(&self) -> Print {
        print_of("an account", 1, format!("{} {}", self.account.id, self.account.version))
    }
}

pub(super) async fn found(agency: &Shared, id: &str) -> Result<Account, Problem> {
    let id = AccountId::parse(id).ok_or_else(Problem::not_found)?;
    agency.account(id).await?.ok_or_else(Problem::not_found)
}

/// `GET /people/{account}`.
///
/// # Errors
/// A [`Problem`] when there is no such account, or the policy, the state or the ledger says no.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let permit = permit(Action::ViewPeople, &agency, &signed_in, "account").await?;
    let account = found(&agency, &id).await?;
    let now = agency.now();
    let key = account.key();
    let actor = key.parse().map_err(|error: policy::Malformed| Problem::internal(&error))?;
    let sessions = agency.identity.sessions_of(&actor, Some(&signed_in.session), now).await;
    let sessions = sessions.map_err(|error| Problem::internal(&error))?;
    let history = history(&agency, key).await?;
    let held = qualifications::of(&agency.state, account.id).await;
    let held = held.map_err(|error| Problem::internal(&error))?;
    let known = Known { account, sessions, held, history };
    let released = agency.gate.release(permit.hold(known)).await?;
    let (known, receipt) = released.open();
    let path = format!("{PATH}/{}", known.account.id);
    let own = known.account.key() == signed_in.actor.id.as_str();
    let acts = may_act(&signed_in) && !own && known.account.removed_at.is_none();
    let content = html! {
        p { a href=(PATH) { "Back to people" } }
        (facts(&known.account, now))
        (sessions_card(known, acts, &signed_in))
        (qualified::card(&agency.judge(&known.account, &known.held), &known.held))
        @if acts {
            (forms(&known.account, &signed_in, now))
            @if known.account.kind != AccountKind::Emergency {
                (by_hand::edit_form(&known.account, &signed_in, &path))
            }
            (qualified::forms(&path, &agency.identity.requirements().all, &known.held, &signed_in))
        }
        (history_card(&known.history))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, &known.account.profile.name, PATH, &content))
}

/// What the ledger says was done to this account.
async fn history(agency: &Shared, key: String) -> Result<Vec<Entry>, Problem> {
    let ledger = agency.ledger.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let kinds = [
            "account-created",
            "account-changed",
            "sessions-ended",
            "qualification-recorded",
            "emergency-access",
        ];
        let kinds = kinds.map(str::to_owned).to_vec();
        let search = Search { kinds, ..Search::newest(HISTORY_LOOKED_MAX) };
        ledger.search(&search).map(|page| (page, key))
    });
    let looked = looked.await.map_err(|error| Problem::internal(&error))?;
    let (page, key) = looked.map_err(|error| Problem::internal(&error))?;
    Ok(page.entries.into_iter().filter(|entry| about(&entry.record.event) == Some(&key)).collect())
}

/// The key of the account that an event is about, if it is about one.
fn about(event: &Event) -> Option<&String> {
    if let Event::AccountCreated { account, .. }
    | Event::AccountChanged { account, .. }
    | Event::QualificationRecorded { account, .. }
    | Event::EmergencyAccess { account, .. } = event
    {
        return Some(account);
    }
    if let Event::SessionsEnded { of, .. } = event { Some(of) } else { None }
}

fn facts(account: &Account, now: Timestamp) -> Markup {
    let profile = &account.profile;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".to_owned());
    let when = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), moment);
    html! {
        dl class="kv card" {
            div { dt { "State" } dd { (badge(account, now)) } }
            @if let Some(why) = &profile.disabled_because { (pair("Disabled because", why)) }
            (pair("Account", &account.key()))
            (pair("Kind", account.kind.as_str()))
            (pair("Job functions", &profile.functions.join(", ")))
            (pair("Sign-in name", &text(&profile.user_name)))
            (pair("E-mail", &text(&profile.email)))
            (pair("Department", &text(&profile.department)))
            (pair("Manager", &text(&profile.manager)))
            @if let Some(owner) = &profile.owner { (pair("Answered for by", owner)) }
            (pair("Made", &moment(account.created_at)))
            (pair("Last sign-in", &when(account.last_sign_in_at)))
            @if account.standing(now) == Standing::Good && account.kind != AccountKind::Emergency {
                (pair("Disabled if it is not used until", &moment(lapses_at(account))))
            }
            @if let Some(ends) = account.ends_at { (pair("Ends", &moment(ends))) }
            (pair("Version", &account.version.to_string()))
        }
    }
}

fn sessions_card(known: &Known, acts: bool, signed_in: &SignedIn) -> Markup {
    let path = format!("{PATH}/{}", known.account.id);
    html! {
        section class="card" aria-labelledby="sessions" {
            h2 id="sessions" { (known.sessions.len()) @if known.sessions.len() == 1 { " live session" } @else { " live sessions" } }
            @if !known.sessions.is_empty() {
                ul { @for SessionSummary { session, .. } in &known.sessions {
                    li {
                        span class="mono" { (session.prefix()) } " since " (moment(session.created_at))
                        ", last active " (moment(session.last_seen_at))
                        ", from " (session.address.as_deref().unwrap_or("an unknown address"))
                    }
                } }
                @if acts {
                    form method="post" action=(path) class="cluster" {
                        input type="hidden" name="csrf" value=(signed_in.csrf);
                        input type="hidden" name="act" value="end";
                        input type="hidden" name="reason" value="ended on the account's page";
                        button class="usa-button usa-button--secondary" type="submit" { "End all sessions now" }
                    }
                }
            }
        }
    }
}

fn forms(account: &Account, signed_in: &SignedIn, now: Timestamp) -> Markup {
    let path = format!("{PATH}/{}", account.id);
    html! {
        section class="card" aria-labelledby="change" {
            h2 id="change" { "Change the account" }
            (step_up(signed_in, now, &path))
            form method="post" action=(path) class="rows" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                fieldset class="usa-fieldset" {
                    legend class="usa-legend" { "What is to be done" }
                    div class="cluster" {
                        @if account.active {
                            label { input type="radio" name="act" value="disable" required; " Disable" }
                        } @else {
                            label { input type="radio" name="act" value="enable" required; " Enable" }
                        }
                        label { input type="radio" name="act" value="functions"; " Give these functions" }
                    }
                }
                (function_boxes(&account.profile.functions))
                (reason_field())
                p class="muted small" {
                    "Whatever the person has open ends at once when the account is disabled or has other functions."
                }
                button class="usa-button" type="submit" { "Change it" }
            }
        }
    }
}

fn history_card(history: &[Entry]) -> Markup {
    html! {
        section class="card" aria-labelledby="history" {
            h2 id="history" { "History" }
            @if history.is_empty() { p { "Nothing was done to this account lately." } }
            ol class="timeline" { @for entry in history {
                li class="entry entry--permit" data-entry=(entry.number) {
                    span class="entry__time" { time datetime=(entry.at) { (moment(entry.at)) } }
                    div class="entry__body" {
                        p class="entry__what" {
                            span class="entry__no" { (entry.number) }
                            " " span {
                                @if let Some(who) = &entry.record.who { strong { (who.name) } " " }
                                (entry.record.event.sentence())
                            }
                        }
                        @if let Event::AccountChanged { changes, .. } = &entry.record.event {
                            @for one in changes {
                                p class="entry__meta" { (one.field) ": " (one.before) " → " (one.after) }
                            }
                        }
                    }
                }
            } }
        }
    }
}

/// `POST /people/{account}`.
///
/// # Errors
/// As [`super::bulk`].
pub async fn change(
    State(agency): State<Shared>,
    Path(id): Path<String>,
    posted: Posted,
) -> Answer {
    let (act, reason) = (Act::read(&agency, &posted)?, reason(&posted)?);
    let signed_in = &posted.signed_in;
    let permit = permit_to_manage(&agency, signed_in, "account").await?;
    let account = found(&agency, &id).await?;
    let outcome = act_on(&agency, signed_in, &account, &act, &reason).await?;
    match outcome {
        Outcome::Done => {
            agency.gate.release(permit.hold(Acted(account.id.to_string()))).await?;
            Ok(Redirect::to(&format!("{PATH}/{}", account.id)).into_response())
        }
        Outcome::Not(why) => {
            agency.gate.withhold(permit.ticket(), "it was not possible").await?;
            Err(Problem::bad_input(format!("The account was not changed: {why}.")))
        }
    }
}

/// Ends one session of the person who asks; for the page of one's own sessions.
pub(crate) async fn end_own(
    agency: &Shared,
    signed_in: &SignedIn,
    session: [u8; 32],
    prefix: &str,
) -> Result<(), Problem> {
    let record = |event| signed_in.record(event);
    agency.end_sessions(&record, Of::Session(session), prefix, "revoked by its owner").await?;
    Ok(())
}
