//! The audit pages: timeline, filters, one entry explained, and "who looked at this?".
//!
//! Reading the ledger is itself a question to the gate and on record, like any other read. Searches
//! are POST: neither a name nor a case number comes into an address bar.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use gate::{Plan, Print, Released};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{Entry, EntryNumber, KINDS, Outcome, Page, Search, Subject};
use maud::{Markup, html};
use policy::{Action, Resource, ResourceKind, Why};

use crate::app::{Answer, Shared};
use crate::pages::parts::pair;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// Entries on one page.
const PAGE_ENTRIES: u32 = 50;
/// The kinds of subject that can be asked for, with their labels.
const SUBJECT_KINDS: [(&str, &str); 4] =
    [("person", "Person"), ("vehicle", "Vehicle"), ("case", "Case"), ("document", "Document")];

/// Entries that were found, on their way through the gate.
pub struct Findings(Page);

impl gate::Fingerprint for Findings {
    fn fingerprint(&self) -> Print {
        let leaves: Vec<u8> = self.0.entries.iter().flat_map(|entry| entry.leaf).collect();
        Print {
            what: "ledger entries",
            count: self.0.entries.len() as u64,
            bytes: leaves.len() as u64,
            digest: ledger::digest(&leaves),
            subjects: Vec::new(),
            caveats: BTreeSet::new(),
        }
    }
}

/// `GET /audit`: the newest entries.
///
/// # Errors
/// A [`Problem`] when the policy or the ledger says no.
pub async fn timeline(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, &Filter::default()).await
}

/// `POST /audit`: a search.
///
/// # Errors
/// A [`Problem`] when a field cannot be read, or the policy or the ledger says no.
pub async fn search(State(agency): State<Shared>, posted: Posted) -> Answer {
    let filter = Filter::read(&posted)?;
    show(&agency, &posted.signed_in, &filter).await
}

/// `GET /audit/entries/{entry}`: one entry explained.
///
/// # Errors
/// A [`Problem`] when there is no such entry, or the policy or the ledger says no.
pub async fn entry(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(number): Path<u64>,
) -> Answer {
    let agency_ = agency.clone();
    let released = read(&agency, &signed_in, format!("entry {number}"), move || {
        let entry = agency_.ledger.read(EntryNumber(number)).map_err(|_| Problem::not_found())?;
        Ok(Page { entries: vec![entry], more: false, incomplete: Vec::new() })
    })
    .await?;
    let (Findings(page), receipt) = released.open();
    let Some(entry) = page.entries.first() else { return Err(Problem::not_found()) };
    let proof = agency.ledger.prove(entry.number, agency.ledger.size()).map(|hashes| hashes.len());
    let content = html! {
        p { a href="/audit" { "Back to the timeline" } }
        (explained(entry, proof.ok()))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, &format!("Ledger entry {}", entry.number), "/audit", &content))
}

async fn show(agency: &Shared, signed_in: &SignedIn, filter: &Filter) -> Answer {
    let search = filter.search();
    let agency_ = agency.clone();
    let released = read(agency, signed_in, filter.words(), move || {
        agency_.ledger.search(&search).map_err(|error| Problem::internal(&error))
    })
    .await?;
    let csrf = &signed_in.csrf;
    let content = html! {
        (form(filter, csrf))
        (results(&released, filter, csrf))
    };
    Ok(agency.page(signed_in, "Audit", "/audit", &content))
}

/// Puts the reading to the gate, runs it, and has it recorded.
async fn read(
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
    fetch: impl FnOnce() -> Result<Page, Problem> + Send + 'static,
) -> Result<Released<Findings>, Problem> {
    let permit = permit(agency, signed_in, what).await?;
    let page =
        tokio::task::spawn_blocking(fetch).await.map_err(|error| Problem::internal(&error))??;
    Ok(agency.gate.release(permit.hold(Findings(page))).await?)
}

/// Asks whether this person may read the ledger.
pub(super) async fn permit(
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
) -> Result<gate::Permit, Problem> {
    let resource = Resource {
        kind: ResourceKind::Ledger,
        id: "ledger".to_owned(),
        tool: None,
        source: None,
        record_class: agency.audit_class.clone(),
        caveats: BTreeSet::new(),
        agency: agency.ori.clone(),
        requested_by: None,
        agreement: None,
    };
    let question = agency.question(signed_in, Action::ReadAudit, resource, Why::default());
    Ok(agency.authorise(signed_in, question, Plan::Audit(what)).await?)
}

/// What the form holds.
#[derive(Default)]
struct Filter {
    actor: String,
    kind: String,
    outcome: String,
    case_number: String,
    from: Option<Timestamp>,
    from_text: String,
    subject_kind: String,
    subject: String,
    before: Option<EntryNumber>,
}

impl Filter {
    fn read(posted: &Posted) -> Result<Self, Problem> {
        let text = |name: &str| posted.text(name).trim().to_owned();
        let from_text = text("from");
        let from =
            match from_text.as_str() {
                "" => None,
                day => Some(start_of_day(day).ok_or_else(|| {
                    Problem::bad_input("`From` is not a date such as 2026-11-22.")
                })?),
            };
        let kind = text("kind");
        if !kind.is_empty() && !KINDS.iter().any(|known| known.name == kind) {
            return Err(Problem::bad_input("`Event` is not one of the list."));
        }
        let subject_kind = text("subject_kind");
        if !subject_kind.is_empty() && !SUBJECT_KINDS.iter().any(|(id, _)| *id == subject_kind) {
            return Err(Problem::bad_input("`About` is not one of the list."));
        }
        Ok(Self {
            actor: text("actor"),
            kind,
            outcome: text("outcome"),
            case_number: text("case_number"),
            from,
            from_text,
            subject_kind,
            subject: text("subject"),
            before: posted.text("before").parse().ok().map(EntryNumber),
        })
    }

    fn search(&self) -> Search {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Search {
            actor: some(&self.actor),
            kinds: some(&self.kind).into_iter().collect(),
            outcome: Outcome::parse(&self.outcome),
            case_number: some(&self.case_number),
            from: self.from,
            subject: self.subject(),
            before: self.before,
            ..Search::newest(PAGE_ENTRIES)
        }
    }

    fn subject(&self) -> Option<Subject> {
        let given = !self.subject.is_empty() && !self.subject_kind.is_empty();
        given.then(|| Subject { kind: self.subject_kind.clone(), id: self.subject.to_uppercase() })
    }

    /// What was looked for, without whom: the record of a search names no subject in the clear.
    fn words(&self) -> String {
        let parts = [
            ("actor", !self.actor.is_empty()),
            ("event", !self.kind.is_empty()),
            ("outcome", !self.outcome.is_empty()),
            ("case number", !self.case_number.is_empty()),
            ("from", self.from.is_some()),
            ("subject", self.subject().is_some()),
        ];
        let given: Vec<&str> = parts.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        if given.is_empty() { "timeline".to_owned() } else { format!("by {}", given.join(", ")) }
    }
}

fn start_of_day(day: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = day.parse().ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn form(filter: &Filter, csrf: &str) -> Markup {
    html! {
        form class="card" id="search" method="post" action="/audit" data-frag="#entries" {
            input type="hidden" name="csrf" value=(csrf);
            div class="fields" {
                (text_field("actor", "Who (account key)", &filter.actor))
                div class="field" {
                    label class="usa-label" for="kind" { "Event" }
                    select class="usa-select" id="kind" name="kind" {
                        option value="" { "Any" }
                        @for kind in KINDS {
                            option value=(kind.name) selected[kind.name == filter.kind] { (kind.name) }
                        }
                    }
                }
                div class="field" {
                    label class="usa-label" for="outcome" { "Outcome" }
                    select class="usa-select" id="outcome" name="outcome" {
                        option value="" { "Any" }
                        @for outcome in Outcome::ALL {
                            option value=(outcome.as_str()) selected[outcome.as_str() == filter.outcome] {
                                (outcome.as_str())
                            }
                        }
                    }
                }
                (text_field("case_number", "Case number", &filter.case_number))
                div class="field" {
                    label class="usa-label" for="from" { "From (UTC)" }
                    input class="usa-input" type="date" id="from" name="from" value=(filter.from_text);
                }
            }
            fieldset class="usa-fieldset" {
                legend class="usa-legend" { "Who looked at this person, vehicle, case or document?" }
                div class="fields" {
                    div class="field" {
                        label class="usa-label" for="subject_kind" { "About a" }
                        select class="usa-select" id="subject_kind" name="subject_kind" {
                            @for (id, label) in SUBJECT_KINDS {
                                option value=(id) selected[id == filter.subject_kind] { (label) }
                            }
                        }
                    }
                    div class="field" {
                        label class="usa-label" for="subject" { "Its identifier" }
                        span class="usa-hint" id="subject-hint" {
                            "The record's id, or a case number: P-000113, V-000113, 24-000113"
                        }
                        input class="usa-input" id="subject" name="subject" value=(filter.subject)
                            autocomplete="off" spellcheck="false" translate="no"
                            aria-describedby="subject-hint";
                    }
                    div class="field__actions field--wide" {
                        button class="usa-button" type="submit" { "Search" }
                    }
                }
            }
        }
    }
}

fn text_field(name: &str, label: &str, value: &str) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) }
            input class="usa-input" id=(name) name=(name) value=(value)
                autocomplete="off" spellcheck="false" translate="no";
        }
    }
}

fn results(released: &Released<Findings>, filter: &Filter, csrf: &str) -> Markup {
    let (Findings(page), receipt) = released.open();
    let count = page.entries.len();
    html! {
        section class="card" id="entries" aria-labelledby="entries-title" data-live={ (count) " entries" } {
            div class="card__head" {
                h2 id="entries-title" { (count) @if page.more { " newest" } " entries" }
                span class="badge" { "this reading is entry " (receipt.entry) }
            }
            @if page.entries.is_empty() {
                div class="empty" { p { strong { "No entry matches." } } }
            } @else {
                ol class="timeline" { @for entry in &page.entries { (line(entry)) } }
            }
            @if let (true, Some(last)) = (page.more, page.entries.last()) {
                form method="post" action="/audit" data-frag="#entries" {
                    input type="hidden" name="csrf" value=(csrf);
                    input type="hidden" name="before" value=(last.number);
                    @for (name, value) in [
                        ("actor", &filter.actor), ("kind", &filter.kind),
                        ("outcome", &filter.outcome), ("case_number", &filter.case_number),
                        ("from", &filter.from_text), ("subject_kind", &filter.subject_kind),
                        ("subject", &filter.subject),
                    ] {
                        input type="hidden" name=(name) value=(value);
                    }
                    button class="usa-button usa-button--outline" type="submit" { "Older entries" }
                }
            }
        }
    }
}

fn line(entry: &Entry) -> Markup {
    let record = &entry.record;
    let number = entry.number;
    html! {
        li class={ "entry entry--" (tone(record.event.outcome())) } data-entry=(number) {
            span class="entry__time" { time datetime=(entry.at) { (clock_time(entry.at)) } }
            div class="entry__body" {
                p class="entry__what" {
                    a class="entry__no" href={ "/audit/entries/" (number) }
                        aria-label={ "Entry " (number) } { (number) }
                    " " span {
                        @if let Some(who) = &record.who { strong { (who.name) } " " }
                        (record.event.sentence())
                    }
                }
                p class="entry__meta" {
                    span class={ "badge badge--" (tone(record.event.outcome())) } {
                        (record.event.outcome().as_str())
                    }
                    " " (record.event.kind())
                    @if let Some(case) = &record.why.case_number { " · case " (case) }
                    @if let Some(purpose) = &record.why.purpose { " · purpose " (purpose) }
                }
            }
        }
    }
}

fn tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Permit => "permit",
        Outcome::Deny => "deny",
        Outcome::Fail => "warn",
    }
}

fn explained(entry: &Entry, proof: Option<usize>) -> Markup {
    let record = &entry.record;
    html! {
        p class="usa-intro" {
            @if let Some(who) = &record.who { strong { (who.name) } " " }
            (record.event.sentence())
        }
        div class="card" {
            h2 { "Who, when, from where, why" }
            dl class="kv" {
                @if let Some(who) = &record.who {
                    (pair("Person", &who.name))
                    (pair("Account", &who.actor))
                    (pair("Agency (ORI)", &who.agency))
                    (pair("Job functions", &who.functions.join(", ")))
                    @if let Some(session) = &who.session { (pair("Session", session)) }
                } @else { (pair("Person", "the platform itself, or nobody signed in")) }
                (pair("Time (UTC)", &clock_time(entry.at)))
                @for (name, value) in [
                    ("Address", &record.origin.address), ("Browser", &record.origin.agent),
                    ("Request", &record.origin.request), ("Purpose code", &record.why.purpose),
                    ("Case number", &record.why.case_number), ("Reason", &record.why.reason),
                ] {
                    @if let Some(value) = value { (pair(name, value)) }
                }
                @if !record.subjects.is_empty() {
                    (pair("About", &subjects(record)))
                }
            }
        }
        div class="card" {
            h2 { "What" }
            dl class="kv" {
                @for (name, value) in facts(&record.event) { (pair(&name, &value)) }
            }
        }
        div class="card" {
            h2 { "Evidence" }
            dl class="kv" {
                (pair("Merkle leaf (SHA-256)", &hex::encode(entry.leaf)))
                (pair("Where", &format!("{}, byte {}", entry.position.file, entry.position.offset)))
                @if let Some(hashes) = proof {
                    (pair("Inclusion proof", &format!("{hashes} hashes, held against the current root")))
                }
            }
        }
    }
}

fn subjects(record: &ledger::StoredRecord) -> String {
    let kinds: BTreeSet<&str> = record.subjects.iter().map(|blind| blind.kind.as_str()).collect();
    let count = |kind: &str| record.subjects.iter().filter(|blind| blind.kind == kind).count();
    kinds.into_iter().map(|kind| format!("{} {kind}", count(kind))).collect::<Vec<_>>().join(", ")
        + " (blinded: found by \"Who looked at this?\")"
}

/// The event's own fields, in the order of their declaration.
fn facts(event: &ledger::Event) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(event) else {
        return Vec::new();
    };
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(", ")
        }
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    fields
        .iter()
        .map(|(name, value)| (name.trim_end_matches('_').replace('_', " "), plain(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// UTC with hundredths of a second, as AU-8 asks.
fn clock_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S.%2fZ").to_string()
}
