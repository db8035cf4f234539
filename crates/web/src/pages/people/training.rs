//! Training and screening of everybody: what is demanded, who lacks it, and a list that is taken in as CSV.
//!
//! Invariants: a list counts whole or not at all, and only after a preview that names what each line will do;
//! what is taken in is read and judged again, for the preview is only a page.

use std::collections::BTreeMap;

use axum::extract::State;
use identity::qualified::csv::{self, BadLine, Line};
use identity::qualified::{Judged, Requirement, today};
use maud::{Markup, html};
use policy::Action;
use state::accounts::{self, Account, Standing};
use state::qualifications::Qualification;

use super::act::{Acted, permit_to_manage};
use super::qualified::mark;
use super::{PATH, may_act, permit, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::print_of;
use crate::problem::Problem;
use crate::qualifications::{Everybodys, kind_words};
use crate::session::{Posted, SignedIn};

pub(super) const TRAINING: &str = "/people/training";

/// People that the page lists; behind them it says how many more there are.
const PEOPLE_MAX: usize = 200;

/// Somebody who has something to do.
struct Person {
    account: Account,
    judged: Vec<Judged>,
}

struct Listed(Vec<Person>);

impl gate::Fingerprint for Listed {
    fn fingerprint(&self) -> gate::Print {
        let ids: Vec<String> = self.0.iter().map(|one| one.account.id.to_string()).collect();
        print_of("people with something to do", self.0.len(), ids.join("\n"))
    }
}

/// `GET /people/training`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn overview(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, &html! {}, "").await
}

async fn show(agency: &Shared, signed_in: &SignedIn, said: &Markup, list: &str) -> Answer {
    let permit = permit(Action::ViewPeople, agency, signed_in, "training").await?;
    let (all, held) = (everybody(agency).await?, agency.everybodys().await?);
    let now = agency.now();
    let mut found: Vec<Person> = all
        .into_iter()
        .filter(|account| account.standing(now) == Standing::Good)
        .map(|account| Person { judged: agency.judge(&account, held.of(account.id)), account })
        .filter(|one| one.judged.iter().any(|one| one.standing.needs_doing()))
        .collect();
    let barred = |one: &Person| one.judged.iter().any(|one| one.standing.bars());
    found.sort_by_cached_key(|one| (!barred(one), one.account.profile.name.clone()));
    let (total, without) = (found.len(), found.iter().filter(|one| barred(one)).count());
    found.truncate(PEOPLE_MAX);
    let released = agency.gate.release(permit.hold(Listed(found))).await?;
    let (Listed(people), receipt) = released.open();
    let requirements = &agency.identity.requirements().all;
    let content = html! {
        (said)
        (demanded(requirements))
        @if !requirements.is_empty() { (to_do(people, total, without)) }
        @if may_act(signed_in) { (import_form(signed_in, agency.now(), list)) }
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(signed_in, "Training and screening", TRAINING, &content))
}

async fn everybody(agency: &Shared) -> Result<Vec<Account>, Problem> {
    accounts::list(&agency.state).await.map_err(|error| Problem::internal(&error))
}

fn demanded(requirements: &[Requirement]) -> Markup {
    html! {
        section class="card card--flush" aria-labelledby="demanded" {
            div class="toolbar" { h2 id="demanded" { "What is demanded before criminal justice information" } }
            @if requirements.is_empty() {
                div class="empty" { p {
                    strong { "Nothing is demanded." } " The configuration says what is, under " code { "[qualifications]" } "."
                } }
            } @else {
                div class="tablebox" role="region" aria-label="What is demanded" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "What is demanded" }
                        thead { tr {
                            th scope="col" { "Title" } th scope="col" { "Kind" } th scope="col" { "Id" }
                            th scope="col" { "Of whom" } th scope="col" { "Counts for" } th scope="col" { "Grace" }
                        } }
                        tbody { @for one in requirements { tr {
                            th scope="row" { (one.title) @if let Some(version) = &one.version { ", version " (version) } }
                            td { (kind_words(one.kind)) }
                            td class="mono" { (one.id) }
                            td { (whom(one)) }
                            td { (one.valid_days.map_or("as its certificate says".to_owned(), |days| format!("{days} days"))) }
                            td { (one.grace_days) " days" }
                        } } }
                    }
                }
            }
        }
    }
}

fn whom(one: &Requirement) -> String {
    let Some(functions) = &one.functions else { return "everybody".to_owned() };
    functions.iter().map(|one| one.as_str().replace('-', " ")).collect::<Vec<_>>().join(", ")
}

fn to_do(people: &[Person], total: usize, without: usize) -> Markup {
    html! {
        section class="card card--flush" aria-labelledby="to-do" {
            div class="toolbar" {
                h2 id="to-do" { (total) @if total == 1 { " person has" } @else { " people have" } " something to do" }
                span class="badge badge--deny" { (without) " without access to records" }
            }
            @if !people.is_empty() {
                div class="tablebox" role="region" aria-label="Who has something to do" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Who has something to do; without access first" }
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Department" } th scope="col" { "What" } } }
                        tbody { @for one in people { tr {
                            th scope="row" { a href={ (PATH) "/" (one.account.id) } { (one.account.profile.name) } }
                            td { (one.account.profile.department.as_deref().unwrap_or("—")) }
                            td { ul { @for judged in one.judged.iter().filter(|one| one.standing.needs_doing()) {
                                li { (mark(judged.standing)) " " (judged.requirement.title) " " (judged.state()) }
                            } } }
                        } } }
                    }
                }
            }
            @if total > people.len() {
                p class="muted" { "And " (total - people.len()) " more: filter the list of people." }
            }
        }
    }
}

fn import_form(signed_in: &SignedIn, now: jiff::Timestamp, list: &str) -> Markup {
    html! {
        section class="card" aria-labelledby="import" {
            h2 id="import" { "Take in a list" }
            (step_up(signed_in, now, TRAINING))
            p id="import-help" {
                "Paste it as CSV, at most about 60 kB at a time, with a header line that names "
                code { (csv::COLUMNS.join(",")) } ". The last four may be left out. An account is its key, or the name or sign-in "
                "name of one; days are written as 2026-11-30. Nothing counts before you have seen what each line does."
            }
            form method="post" action=(TRAINING) class="rows" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                div class="field" {
                    label class="usa-label" for="list" { "The list" }
                    textarea class="usa-textarea mono" id="list" name="list" rows="8" required spellcheck="false"
                        autocomplete="off" aria-describedby="import-help" { (list) }
                }
                button class="usa-button" type="submit" name="do" value="preview" { "Show what it does" }
            }
        }
    }
}

/// What a line does.
struct Planned {
    line: Line,
    account: Account,
    /// What demands it, if something does.
    title: Option<String>,
    /// It is written down already, just so.
    known: bool,
}

/// What a list would do, on its way to the page.
struct Previewed(Vec<Planned>);

impl gate::Fingerprint for Previewed {
    fn fingerprint(&self) -> gate::Print {
        let ids: Vec<String> = self.0.iter().map(|one| one.account.id.to_string()).collect();
        print_of("a preview of a list", self.0.len(), ids.join("\n"))
    }
}

/// `POST /people/training`: shows what a list does, or takes it in.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn take_in(State(agency): State<Shared>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let list = posted.text("list");
    let counts = posted.text("do") == "take-in";
    let permit = permit_to_manage(&agency, signed_in, "training").await?;
    let planned = match plan(&agency, signed_in, list).await {
        Ok(planned) => planned,
        Err(Wrong::Lines(bad)) => {
            agency.gate.withhold(permit.ticket(), "the list can't be read").await?;
            return show(&agency, signed_in, &wrong_lines(&bad), list).await;
        }
        Err(Wrong::Problem(problem)) => {
            agency.gate.withhold(permit.ticket(), "it was not possible").await?;
            return Err(*problem);
        }
    };
    if !counts {
        let released = agency.gate.release(permit.hold(Previewed(planned))).await?;
        let content = preview(signed_in, &released.open().0.0, list);
        return Ok(agency.page(signed_in, "What the list does", TRAINING, &content));
    }
    let new: Vec<(Account, Qualification)> = planned
        .into_iter()
        .filter(|one| !one.known)
        .map(|one| (one.account, qualification(one.line, &agency, signed_in)))
        .collect();
    let record = |event| signed_in.record(event);
    if let Err(problem) = agency.qualify(&record, &new).await {
        agency.gate.withhold(permit.ticket(), "it was not possible").await?;
        return Err(problem);
    }
    let keys: Vec<String> = new.iter().map(|(account, _)| account.id.to_string()).collect();
    agency.gate.release(permit.hold(Acted(keys.join("\n")))).await?;
    let said = html! {
        div class="usa-alert usa-alert--success" role="status" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" {
                    (new.len()) @if new.len() == 1 { " line was taken in" } @else { " lines were taken in" }
                }
                p class="usa-alert__text" { "They count from now on." }
            }
        }
    };
    show(&agency, signed_in, &said, "").await
}

/// Why a list does nothing.
enum Wrong {
    Lines(Vec<BadLine>),
    Problem(Box<Problem>),
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

async fn plan(agency: &Shared, signed_in: &SignedIn, list: &str) -> Result<Vec<Planned>, Wrong> {
    let lines = csv::read(list, today(agency.now())).map_err(Wrong::Lines)?;
    let (all, held) = (everybody(agency).await?, agency.everybodys().await?);
    let named = Named::new(&all);
    let demanded = &agency.identity.requirements().all;
    let (mut planned, mut bad) = (Vec::new(), Vec::new());
    for line in lines {
        let number = line.number;
        let mut wrong = |problem: &str| bad.push(BadLine { number, problem: problem.to_owned() });
        let account = match named.find(&line.account) {
            Ok(account) => account,
            Err(problem) => {
                wrong(problem);
                continue;
            }
        };
        if account.key() == signed_in.actor.id.as_str() {
            wrong("is about yourself: another administrator writes that down");
            continue;
        }
        let demands = |one: &&Requirement| one.kind == line.kind && one.id == line.course;
        let title = demanded.iter().find(demands).map(|one| one.title.clone());
        let known = is_known(&line, account, &held);
        planned.push(Planned { account: account.clone(), title, known, line });
    }
    if bad.is_empty() { Ok(planned) } else { Err(Wrong::Lines(bad)) }
}

fn is_known(line: &Line, account: &Account, held: &Everybodys) -> bool {
    held.of(account.id).iter().any(|one| {
        let same = (one.kind, &one.course, one.on) == (line.kind, &line.course, line.on);
        let rest = (one.until, one.finding, &one.version);
        same && rest == (line.until, line.finding, &line.version) && one.withdrawn.is_none()
    })
}

fn qualification(line: Line, agency: &Shared, signed_in: &SignedIn) -> Qualification {
    Qualification {
        kind: line.kind,
        course: line.course,
        on: line.on,
        until: line.until,
        finding: line.finding,
        version: line.version,
        evidence: line.evidence,
        written_at: agency.now(),
        written_by: signed_in.actor.id.to_string(),
        withdrawn: None,
    }
}

/// Accounts by everything that a list may call them.
struct Named<'a>(BTreeMap<String, Vec<&'a Account>>);

impl<'a> Named<'a> {
    fn new(all: &'a [Account]) -> Self {
        let mut named: BTreeMap<String, Vec<&Account>> = BTreeMap::new();
        for account in all {
            let profile = &account.profile;
            let mut names = vec![account.key(), profile.name_id.clone()];
            names.extend(profile.user_name.as_ref().map(|name| name.to_lowercase()));
            names.sort();
            names.dedup();
            for name in names {
                named.entry(name).or_default().push(account);
            }
        }
        Self(named)
    }

    fn find(&self, name: &str) -> Result<&'a Account, &'static str> {
        let found = self.0.get(name).or_else(|| self.0.get(&name.to_lowercase()));
        match found.map(Vec::as_slice) {
            Some([one]) => Ok(one),
            Some(_) => Err("names more than one account: give its key"),
            None => Err("names no account"),
        }
    }
}

fn wrong_lines(bad: &[BadLine]) -> Markup {
    html! {
        div class="usa-alert usa-alert--error" role="alert" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { "Nothing was taken in" }
                ul { @for one in bad { li { "Line " (one.number) " " (one.problem) "." } } }
            }
        }
    }
}

fn preview(signed_in: &SignedIn, planned: &[Planned], list: &str) -> Markup {
    let new = planned.iter().filter(|one| !one.known).count();
    html! {
        p { a href=(TRAINING) { "Back without taking it in" } }
        section class="card card--flush" aria-labelledby="preview" {
            div class="toolbar" {
                h2 id="preview" { (new) " of " (planned.len()) @if planned.len() == 1 { " line is new" } @else { " lines are new" } }
            }
            div class="tablebox" role="region" aria-label="What each line does" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "What each line does" }
                    thead { tr {
                        th scope="col" { "Line" } th scope="col" { "Person" } th scope="col" { "Account" } th scope="col" { "What" }
                        th scope="col" { "Done on" } th scope="col" { "Until" } th scope="col" { "It is" }
                    } }
                    tbody { @for one in planned { tr {
                        th scope="row" class="num" { (one.line.number) }
                        td { (one.account.profile.name) }
                        td class="mono" { (one.account.key()) }
                        td {
                            (kind_words(one.line.kind)) ": " (one.title.as_deref().unwrap_or(&one.line.course))
                            @if let Some(version) = &one.line.version { ", version " (version) }
                            @if let Some(finding) = one.line.finding { ", " (finding.as_str()) }
                        }
                        td class="nowrap" { (one.line.on) }
                        td class="nowrap" { (one.line.until.map_or("—".to_owned(), |until| until.to_string())) }
                        td {
                            @if one.known { span class="badge" { "written down already" } }
                            @else { span class="badge badge--permit" { "new" } }
                            @if one.title.is_none() { " " span class="badge badge--warn" { "demanded of nobody" } }
                        }
                    } } }
                }
            }
        }
        form method="post" action=(TRAINING) class="cluster" {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="list" value=(list);
            @if new > 0 {
                button class="usa-button" type="submit" name="do" value="take-in" { "Take in the new lines" }
            }
        }
    }
}
