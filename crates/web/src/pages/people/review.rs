//! The yearly review of accounts: who still needs what they have (AC-2 j, AC-6(7)).
//!
//! Invariants: nobody reviews their own account; to keep functions is on record like taking them; an account is
//! due again a year after its last review, or after it was made.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use ledger::Event;
use maud::{Markup, html};
use policy::Action;
use state::accounts::{self, Account, AccountId, Standing, Updated};
use state::reviews::{self, Review};

use super::act::{Acted, permit_to_manage, reason};
use super::{Listed, PATH, may_act, permit, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

pub(super) const REVIEW: &str = "/people/review";

/// An account is reviewed at least so often.
const REVIEW_DAYS_MAX: i64 = 365;

/// Accounts on the page; behind them it says how many more are due.
const ROWS_MAX: usize = 100;

/// Since when an account has not been reviewed.
fn since(account: &Account, reviewed: &BTreeMap<AccountId, Review>) -> Timestamp {
    reviewed.get(&account.id).map_or(account.created_at, |last| last.at)
}

/// Whether an account is to be reviewed now: it is active, has functions, and the year is over.
fn is_due(account: &Account, reviewed: &BTreeMap<AccountId, Review>, now: Timestamp) -> bool {
    let year = SignedDuration::from_hours(24 * REVIEW_DAYS_MAX);
    account.standing(now) == Standing::Good
        && !account.profile.functions.is_empty()
        && now.duration_since(since(account, reviewed)) >= year
}

async fn reviewed(agency: &Shared) -> Result<BTreeMap<AccountId, Review>, Problem> {
    reviews::list(&agency.state).await.map_err(|error| Problem::internal(&error))
}

/// `GET /people/review`: what is due.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn due(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, false, None).await
}

/// `POST /people/review`: shows all that are active, or reviews the chosen ones.
///
/// # Errors
/// As [`due`]; a [`Problem`] when nothing was chosen or no reason given.
pub async fn review(State(agency): State<Shared>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let keeps = match posted.text("do") {
        "all" => return show(&agency, signed_in, true, None).await,
        "keep" => true,
        "remove" => false,
        _ => return Err(Problem::bad_input("Choose whether they keep what they have.")),
    };
    let reason = reason(&posted)?;
    let rows = posted.fields.iter().filter(|(name, _)| name == "row");
    let chosen: Option<Vec<AccountId>> = rows.map(|(_, id)| AccountId::parse(id)).collect();
    let chosen = chosen.filter(|chosen| !chosen.is_empty());
    let chosen = chosen.ok_or_else(|| Problem::bad_input("Choose at least one account."))?;
    let permit = permit_to_manage(&agency, signed_in, "accounts").await?;
    let (mut done, mut not) = (Vec::new(), Vec::new());
    for id in chosen {
        if signed_in.leash.is_cut() {
            not.push("the rest: your session ended".to_owned());
            break;
        }
        let Some(account) = agency.account(id).await? else {
            not.push("an account that is no longer there".to_owned());
            continue;
        };
        let name = account.profile.name.clone();
        match review_one(&agency, signed_in, &account, keeps, &reason).await? {
            None => done.push(name),
            Some(why) => not.push(format!("{name}: {why}")),
        }
    }
    let acted = Acted(format!("{}\n{}", done.join("\n"), not.join("\n")));
    agency.gate.release(permit.hold(acted)).await?;
    let said = html! {
        div class="usa-alert usa-alert--info" role="status" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" {
                    (done.len()) @if done.len() == 1 { " account was reviewed" } @else { " accounts were reviewed" }
                }
                @if !done.is_empty() { p class="usa-alert__text" { (done.join("; ")) } }
                @if !not.is_empty() { p class="usa-alert__text" { "Not reviewed: " (not.join("; ")) } }
            }
        }
    };
    show(&agency, signed_in, false, Some(said)).await
}

/// Reviews an account; gives why not, if not.
async fn review_one(
    agency: &Shared,
    signed_in: &SignedIn,
    account: &Account,
    keeps: bool,
    reason: &str,
) -> Result<Option<&'static str>, Problem> {
    if account.key() == signed_in.actor.id.as_str() {
        return Ok(Some("one's own account is reviewed by another administrator"));
    }
    if account.removed_at.is_some() {
        return Ok(Some("it was removed"));
    }
    let record = |event| signed_in.record(event);
    if keeps {
        let event = Event::AccountChanged {
            account: account.key(),
            version: account.version.unsigned_abs(),
            what: "reviewed and kept".to_owned(),
            changes: Vec::new(),
            reason: reason.to_owned(),
        };
        agency.ledger.append(record(event)).await?;
    } else {
        let mut edited = account.clone();
        edited.profile.functions.clear();
        let why = format!("taken by review: {reason}");
        match agency.change_account(&record, (account, &edited), &why).await? {
            Updated::Done { .. } => {}
            Updated::Stale(_) => return Ok(Some("somebody else changed it just now")),
            Updated::Missing => return Ok(Some("it was removed")),
        }
    }
    let by = signed_in.actor.id.to_string();
    let review = Review { at: agency.now(), by, kept: keeps, reason: reason.to_owned() };
    let noted = reviews::note(&agency.state, account.id, &review).await;
    noted.map_err(|error| Problem::internal(&error))?;
    Ok(None)
}

async fn show(agency: &Shared, signed_in: &SignedIn, all: bool, said: Option<Markup>) -> Answer {
    let permit = permit(Action::ViewPeople, agency, signed_in, "reviews").await?;
    let (now, reviewed) = (agency.now(), reviewed(agency).await?);
    let found = accounts::list(&agency.state).await.map_err(|error| Problem::internal(&error))?;
    let wanted = |account: &Account| match all {
        true => account.standing(now) == Standing::Good && !account.profile.functions.is_empty(),
        false => is_due(account, &reviewed, now),
    };
    let mut found: Vec<Account> = found.into_iter().filter(wanted).collect();
    found.sort_by_cached_key(|account| (since(account, &reviewed), account.profile.name.clone()));
    let total = found.len();
    found.truncate(ROWS_MAX);
    let released = agency.gate.release(permit.hold(Listed(found))).await?;
    let (Listed(rows), receipt) = released.open();
    let acts = may_act(signed_in);
    let content = html! {
        @if let Some(said) = said { (said) }
        section class="card card--flush" aria-labelledby="reviews" {
            form method="post" action=(REVIEW) {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                div class="toolbar" {
                    h2 id="reviews" {
                        (total) @if total == 1 { " account" } @else { " accounts" }
                        @if all { ", due or not" } @else { " due for review" }
                    }
                    span class="badge" { "this reading is entry " (receipt.entry) }
                }
                @if rows.is_empty() {
                    div class="empty" { p { strong { "Nothing is due." } } }
                } @else {
                    (table(rows, &reviewed, acts))
                    @if total > rows.len() { p class="muted" { "And " (total - rows.len()) " more after these." } }
                    @if acts { (controls(signed_in, now)) }
                }
            }
        }
        @if !all {
            form method="post" action=(REVIEW) {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                button class="usa-button usa-button--outline" type="submit" name="do" value="all" {
                    "Show every active account, due or not"
                }
            }
        }
    };
    Ok(agency.page(signed_in, "Review of access", REVIEW, &content))
}

fn table(rows: &[Account], reviewed: &BTreeMap<AccountId, Review>, acts: bool) -> Markup {
    let last = |account: &Account| match reviewed.get(&account.id) {
        Some(last) => format!("{} by {}: {}", moment(last.at), last.by, last.reason),
        None => format!("never; made {}", moment(account.created_at)),
    };
    html! {
        div class="tablebox" role="region" aria-label="Accounts to review" tabindex="0" {
            table class="table" {
                caption class="usa-sr-only" { "Accounts to review, the longest due first" }
                thead { tr {
                    @if acts { th scope="col" { input type="checkbox" data-all="row" aria-label="All on this page"; } }
                    th scope="col" { "Name" } th scope="col" { "Department" } th scope="col" { "Kind" }
                    th scope="col" { "Job functions" } th scope="col" { "Last sign-in" } th scope="col" { "Last review" }
                } }
                tbody { @for account in rows { tr {
                    @if acts {
                        td { input type="checkbox" name="row" value=(account.id) aria-label={ "Choose " (account.profile.name) }; }
                    }
                    th scope="row" { a href={ (PATH) "/" (account.id) } { (account.profile.name) } }
                    td { (account.profile.department.as_deref().unwrap_or("—")) }
                    td { (account.kind.as_str()) }
                    td { (account.profile.functions.join(", ")) }
                    td class="nowrap" { (account.last_sign_in_at.map_or("never".to_owned(), moment)) }
                    td { (last(account)) }
                } } }
            }
        }
    }
}

fn controls(signed_in: &SignedIn, now: Timestamp) -> Markup {
    html! {
        div class="toolbar" {
            div class="rows" {
                (step_up(signed_in, now, REVIEW))
                p { "With the chosen accounts. To give other functions, open the account." }
                (super::act::reason_field())
                div class="cluster" {
                    button class="usa-button" type="submit" name="do" value="keep" { "They keep what they have" }
                    button class="usa-button usa-button--secondary" type="submit" name="do" value="remove" {
                        "Take their functions away"
                    }
                }
            }
        }
    }
}
