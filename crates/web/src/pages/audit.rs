//! The audit pages: timeline, filters, one entry explained, and "who looked at this?".
//!
//! Reading the ledger is itself a question to the gate and on record, like any other read. Searches
//! are POST: neither a name nor a case number comes into an address bar.

pub mod dissemination;
mod explained;
mod filter;
pub mod proof;

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use gate::{Plan, Print, Released};
use jiff::Timestamp;
use ledger::{Entry, EntryNumber, Incomplete, Outcome, Page};
use maud::{Markup, html};
use policy::{Action, Resource, ResourceKind, Why};

use self::explained::explained;
use self::filter::{Filter, form};
use crate::app::{Answer, Shared};
use crate::pages::parts::print_of;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// Entries that were found, on their way through the gate.
pub struct Findings(Page);

impl gate::Fingerprint for Findings {
    fn fingerprint(&self) -> Print {
        let leaves: Vec<u8> = self.0.entries.iter().flat_map(|entry| entry.leaf).collect();
        print_of("ledger entries", self.0.entries.len(), leaves)
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
    let filter = Filter::read(|name| posted.text(name))?;
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
        let entry = agency_.ledger.read(EntryNumber(number))?;
        Ok(Findings(Page { entries: vec![entry], more: false, incomplete: Vec::new() }))
    })
    .await?;
    let (Findings(page), receipt) = released.open();
    let Some(entry) = page.entries.first() else { return Err(Problem::not_found()) };
    let (ledger, number) = (agency.ledger.clone(), entry.number);
    let proof = blocking(move || ledger.prove(number, ledger.size()).map(|hashes| hashes.len()));
    let proof = proof.await?;
    let content = html! {
        p { a href="/audit" { "Back to the timeline" } }
        (explained(entry, proof.ok(), &signed_in.csrf))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, &format!("Ledger entry {}", entry.number), "/audit", &content))
}

async fn show(agency: &Shared, signed_in: &SignedIn, filter: &Filter) -> Answer {
    let search = filter.search();
    let agency_ = agency.clone();
    let released = read(agency, signed_in, filter.words(), move || {
        agency_.ledger.search(&search).map(Findings).map_err(|error| Problem::internal(&error))
    })
    .await?;
    let csrf = &signed_in.csrf;
    let content = html! {
        (form(agency, filter, csrf))
        (results(&released, filter, csrf))
    };
    Ok(agency.page(signed_in, "Audit", "/audit", &content))
}

/// Puts a reading of the ledger to the gate, runs it where it may block, and has it recorded.
pub(super) async fn read<T: gate::Fingerprint + Send + 'static>(
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
    fetch: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<Released<T>, Problem> {
    let permit = permit(agency, signed_in, what).await?;
    let found = blocking(fetch).await??;
    Ok(agency.gate.release(permit.hold(found)).await?)
}

/// Runs what reads the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
}

/// Asks whether this person may read the ledger.
pub(super) async fn permit(
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
) -> Result<gate::Permit, Problem> {
    permit_to(Action::ReadAudit, agency, signed_in, what).await
}

/// Asks whether this person may do this with the ledger.
pub(super) async fn permit_to(
    action: Action,
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
) -> Result<gate::Permit, Problem> {
    let question = agency.question(signed_in, action, resource(agency), Why::default());
    Ok(agency.authorise(signed_in, question, Plan::Audit(what)).await?)
}

/// The ledger, as what is asked about.
pub(super) fn resource(agency: &Shared) -> Resource {
    Resource {
        kind: ResourceKind::Ledger,
        id: "ledger".to_owned(),
        tool: None,
        source: None,
        record_class: agency.audit_class.clone(),
        caveats: BTreeSet::new(),
        agency: agency.ori.clone(),
        requested_by: None,
        agreement: None,
    }
}

fn results(released: &Released<Findings>, filter: &Filter, csrf: &str) -> Markup {
    let (Findings(page), receipt) = released.open();
    let count = page.entries.len();
    html! {
        section class="card" id="entries" aria-labelledby="entries-title" data-live=(spoken(page)) {
            div class="card__head" {
                h2 id="entries-title" { (count) @if page.more { " newest" } " entries" }
                span class="badge" { "this reading is entry " (receipt.entry) }
            }
            (lacking(&page.incomplete))
            @if page.entries.is_empty() {
                div class="empty" { p { strong { "No entry matches." } } }
            } @else {
                ol class="timeline" { @for entry in &page.entries { (line(entry)) } }
            }
            @if let (true, Some(last)) = (page.more, page.entries.last()) {
                form method="post" action="/audit" data-frag="#entries" {
                    input type="hidden" name="csrf" value=(csrf);
                    input type="hidden" name="before" value=(last.number);
                    @for (name, value) in filter.again() {
                        input type="hidden" name=(name) value=(value);
                    }
                    button class="usa-button usa-button--outline" type="submit" { "Older entries" }
                }
            }
        }
    }
}

const LACKING: &str = "Entries that match may be missing here.";

/// What is said to people who listen: how many there are, and what may be missing.
fn spoken(page: &Page) -> String {
    let count = format!("{} entries", page.entries.len());
    if page.incomplete.is_empty() {
        return count;
    }
    let why = page.incomplete.iter().map(Incomplete::to_string);
    std::iter::once(format!("{count}. {LACKING}")).chain(why).collect::<Vec<_>>().join(" ")
}

/// Why entries that match may be missing; nothing where none is.
fn lacking(incomplete: &[Incomplete]) -> Markup {
    html! {
        @if !incomplete.is_empty() {
            div class="usa-alert usa-alert--warning" id="lacking" role="status" {
                div class="usa-alert__body" {
                    p class="usa-alert__heading" { strong { (LACKING) } }
                    @for why in incomplete { p class="usa-alert__text" { (why) } }
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

/// UTC with hundredths of a second, as AU-8 asks.
fn clock_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S.%2fZ").to_string()
}

#[cfg(test)]
mod tests {
    use ledger::IndexDoing;

    use super::*;

    #[test]
    fn a_page_that_may_lack_entries_says_so_in_words() {
        let rebuilding = IndexDoing::Rebuilding { why: "the index key was changed".to_owned() };
        let incomplete = vec![
            Incomplete::Behind { covers: 900, size: 5_000, doing: rebuilding },
            Incomplete::EpochsDestroyed(vec![1, 2]),
        ];
        let shown = lacking(&incomplete).into_string();
        let page = Page { entries: Vec::new(), more: false, incomplete };
        for words in [
            LACKING,
            "complete up to entry 899; 4100 newer entries",
            "built anew, for the index key was changed",
            "destroyed index key (epoch 1, 2)",
        ] {
            assert!(shown.contains(words), "{shown}");
            assert!(spoken(&page).contains(words), "{}", spoken(&page));
        }
        assert!(shown.contains("role=\"status\""), "{shown}");
    }

    #[test]
    fn a_page_that_lacks_nothing_says_nothing_of_it() {
        assert_eq!(lacking(&[]).into_string(), "");
        assert_eq!(spoken(&Page::default()), "0 entries");
    }
}
