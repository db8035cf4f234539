//! People: every account, with filters and acts on many at once.
//!
//! Looking and changing are questions of their own to the policy; changing wants a step-up. Filters are
//! POST: nobody's name comes into an address bar.

mod account;
mod act;
mod by_hand;
mod directories;
mod filter;
mod qualified;
mod review;
mod training;

use std::collections::BTreeSet;

use axum::extract::State;
use gate::{Plan, Print, Released};
use jiff::Timestamp;
use maud::{Markup, html};
use policy::{Action, Resource, ResourceKind, Why};
use state::accounts::{self, Account, Standing};

pub(crate) use self::account::end_own;
pub use self::account::{change, one};
pub use self::act::bulk;
pub(super) use self::act::{Acted, permit_to_manage, reason, reason_field};
pub use self::by_hand::{edit, form as new, make};
pub use self::directories::{act as change_tokens, directories};
use self::filter::Filter;
pub use self::qualified::change as qualify;
pub use self::review::{due, review};
pub use self::training::{overview, take_in};
use crate::app::{Answer, Shared};
use crate::pages::parts::{moment, print_of};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

pub(super) const PATH: &str = "/people";

/// Accounts on one page.
const ROWS_MAX: usize = 100;

/// Accounts on their way through the gate.
pub(super) struct Listed(Vec<Account>);

impl gate::Fingerprint for Listed {
    fn fingerprint(&self) -> Print {
        let ids: Vec<String> = self.0.iter().map(|account| account.id.to_string()).collect();
        print_of("accounts", self.0.len(), ids.join("\n"))
    }
}

/// Asks whether this person may do this with accounts.
pub(super) async fn permit(
    action: Action,
    agency: &Shared,
    signed_in: &SignedIn,
    what: &str,
) -> Result<gate::Permit, Problem> {
    let class = "PLATFORM".parse().map_err(|error: policy::Malformed| Problem::internal(&error))?;
    let resource = Resource {
        kind: ResourceKind::Platform,
        id: what.to_owned(),
        tool: None,
        source: None,
        record_class: class,
        caveats: BTreeSet::new(),
        agency: agency.ori.clone(),
        requested_by: None,
        agreement: None,
    };
    let question = agency.question(signed_in, action, resource, Why::default());
    Ok(agency.authorise(signed_in, question, Plan::None).await?)
}

pub(super) fn badge(account: &Account, now: Timestamp) -> Markup {
    match account.standing(now) {
        Standing::Good => html! { span class="badge badge--permit" { "active" } },
        Standing::Disabled => html! { span class="badge badge--deny" { "disabled" } },
        Standing::Over => html! { span class="badge badge--warn" { "time over" } },
        Standing::Removed => html! { span class="badge badge--deny" { "removed" } },
    }
}

/// `GET /people`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, &Filter::default(), None).await
}

/// `POST /people`: with filters.
///
/// # Errors
/// As [`list`].
pub async fn search(State(agency): State<Shared>, posted: Posted) -> Answer {
    show(&agency, &posted.signed_in, &Filter::read(&posted), None).await
}

async fn show(
    agency: &Shared,
    signed_in: &SignedIn,
    filter: &Filter,
    said: Option<Markup>,
) -> Answer {
    let permit = permit(Action::ViewPeople, agency, signed_in, "accounts").await?;
    let now = agency.now();
    let all = accounts::list(&agency.state).await.map_err(|error| Problem::internal(&error))?;
    let held = agency.everybodys().await?;
    let takes =
        |account: &Account| filter.takes(account, &agency.judge(account, held.of(account.id)), now);
    let mut found: Vec<Account> = all.into_iter().filter(takes).collect();
    found.sort_by(|a, b| a.profile.name.cmp(&b.profile.name).then(a.id.cmp(&b.id)));
    let total = found.len();
    let first = filter.page.saturating_mul(ROWS_MAX);
    let rows: Vec<Account> = found.into_iter().skip(first).take(ROWS_MAX).collect();
    let released = agency.gate.release(permit.hold(Listed(rows))).await?;
    let content = html! {
        @if let Some(said) = said { (said) }
        @if may_act(signed_in) {
            p { a class="usa-button usa-button--outline" href="/people/new" { "Make an account" } }
        }
        (filter::form(filter, signed_in))
        (table(&released, filter, (first, total), agency, signed_in))
    };
    Ok(agency.page(signed_in, "People", PATH, &content))
}

fn table(
    released: &Released<Listed>,
    filter: &Filter,
    (first, total): (usize, usize),
    agency: &Shared,
    signed_in: &SignedIn,
) -> Markup {
    let (Listed(rows), receipt) = released.open();
    let (acts, now) = (may_act(signed_in), agency.now());
    html! {
        section class="card card--flush" aria-labelledby="accounts" {
            form method="post" action={ (PATH) "/bulk" } {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                div class="toolbar" {
                    h2 id="accounts" { (total) @if total == 1 { " account" } @else { " accounts" } }
                    span class="badge" { "this reading is entry " (receipt.entry) }
                }
                @if rows.is_empty() {
                    div class="empty" { p { strong { "No account matches." } } }
                } @else {
                    div class="tablebox" role="region" aria-label="List of accounts" tabindex="0" {
                        table class="table" {
                            caption class="usa-sr-only" { "Accounts, by name" }
                            thead { tr {
                                @if acts { th scope="col" { input type="checkbox" data-all="row" aria-label="All on this page"; } }
                                th scope="col" { "Name" } th scope="col" { "Account" } th scope="col" { "Kind" }
                                th scope="col" { "Job functions" } th scope="col" { "State" } th scope="col" { "Last sign-in" }
                            } }
                            tbody { @for account in rows { (row(account, acts, now)) } }
                        }
                    }
                    @if acts { (act::controls(agency, signed_in)) }
                }
            }
            (pager(filter, (first, rows.len(), total), signed_in))
        }
    }
}

fn row(account: &Account, acts: bool, now: Timestamp) -> Markup {
    let profile = &account.profile;
    html! {
        tr data-account=(profile.name_id) {
            @if acts {
                td { input type="checkbox" name="row" value=(account.id) aria-label={ "Choose " (profile.name) }; }
            }
            th scope="row" { a href={ (PATH) "/" (account.id) } { (profile.name) } }
            td class="mono" { (account.key()) }
            td { (account.kind.as_str()) }
            td { (profile.functions.join(", ")) }
            td { (badge(account, now)) }
            td class="nowrap" { (account.last_sign_in_at.map_or("never".to_owned(), moment)) }
        }
    }
}

fn pager(
    filter: &Filter,
    (first, shown, total): (usize, usize, usize),
    signed_in: &SignedIn,
) -> Markup {
    let until = first.saturating_add(shown);
    html! {
        @if total > until {
            form method="post" action=(PATH) class="toolbar" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="page" value=(filter.page.saturating_add(1));
                @for (name, value) in filter.again() { input type="hidden" name=(name) value=(value); }
                span { (first.saturating_add(1)) " to " (until) " of " (total) }
                button class="usa-button usa-button--outline" type="submit" { "Next accounts" }
            }
        }
    }
}

/// Whether there is a use in showing this person what changes accounts; the policy decides.
pub(in crate::pages) fn may_act(signed_in: &SignedIn) -> bool {
    signed_in.actor.functions.iter().any(|function| function.as_str() == "administrator")
}

/// What a change needs first.
pub(super) fn step_up(signed_in: &SignedIn, now: Timestamp, next: &str) -> Markup {
    html! {
        @if !signed_in.session.is_stepped_up(now) {
            div class="usa-alert usa-alert--warning" {
                div class="usa-alert__body" {
                    h3 class="usa-alert__heading" { "First confirm that it is you" }
                    p class="usa-alert__text" {
                        "What you do here needs a sign-in of the last five minutes. Nothing is done by confirming: you come back here."
                    }
                    p { a class="usa-button" href={ "/step-up?next=" (next) } { "Confirm my identity" } }
                }
            }
        }
    }
}
