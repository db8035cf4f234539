//! The log of secondary dissemination (CA-3 d): criminal history that went to agencies outside the primary agreements,
//! as a page and as CSV. It is a reading of the ledger, and on record like any other.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use gate::{Rows, Total, Value};
use ledger::{Entry, Event, Page, Search};
use maud::{Markup, html};

use super::{Findings, read};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::tabular;

const KIND: &str = "secondary-dissemination";
/// Entries on the page, and in the file. Beyond, the file is not given: it would be cut.
const PAGE_ENTRIES_MAX: u32 = 200;
const FILE_ENTRIES_MAX: usize = 50_000;

const COLUMNS: [&str; 10] = [
    "date_shared",
    "record",
    "requesting_agency",
    "requested_by",
    "method",
    "shared_by",
    "case_number",
    "purpose",
    "reason",
    "ledger_entry",
];

/// `GET /audit/dissemination`.
///
/// # Errors
/// A [`Problem`] when the policy or the ledger says no.
pub async fn page(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let ledger = agency.ledger.clone();
    let what = "secondary dissemination".to_owned();
    let released = read(&agency, &signed_in, what, move || {
        let search = Search { kinds: vec![KIND.to_owned()], ..Search::newest(PAGE_ENTRIES_MAX) };
        ledger.search(&search).map(Findings).map_err(|error| Problem::internal(&error))
    })
    .await?;
    let (Findings(page), receipt) = released.open();
    let content = html! {
        section class="card card--flush" aria-labelledby="log" {
            div class="toolbar" {
                h2 id="log" { (page.entries.len()) @if page.more { " newest" } " entries" }
                div class="toolbar__end" { a class="usa-button usa-button--outline" href="/audit/dissemination.csv" { "All of it as CSV" } }
            }
            (super::lacking(&page.incomplete))
            (table(page))
        }
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, "Secondary dissemination", "/audit/dissemination", &content))
}

fn table(page: &Page) -> Markup {
    html! {
        @if page.entries.is_empty() {
            div class="empty" {
                p { strong { "No criminal history went to an agency outside the primary agreements." } }
            }
        } @else {
            div class="tablebox" role="region" aria-label="Secondary dissemination" tabindex="0" { table class="table" {
                caption class="usa-sr-only" { "Secondary dissemination, newest first" }
                thead { tr {
                    th scope="col" { "Shared" } th scope="col" { "Record" } th scope="col" { "Agency" }
                    th scope="col" { "Requested by" } th scope="col" { "Shared by" } th scope="col" { "Case" } th scope="col" { "Entry" }
                } }
                tbody { @for entry in &page.entries { @if let Some(line) = Line::of(entry) {
                    tr data-entry=(entry.number) {
                        td class="nowrap" { (moment(entry.at)) }
                        th scope="row" { (line.record) }
                        td class="mono" { (line.agency) }
                        td { (line.requestor) }
                        td { (line.shared_by) }
                        td { (line.case) }
                        td { a href={ "/audit/entries/" (entry.number) } { (entry.number) } }
                    }
                } } }
            } }
        }
    }
}

struct Line<'a> {
    record: &'a str,
    agency: &'a str,
    requestor: &'a str,
    method: &'a str,
    shared_by: &'a str,
    case: &'a str,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Option<Self> {
        let Event::SecondaryDissemination { records, partner, requestor, method, .. } =
            &entry.record.event
        else {
            return None;
        };
        Some(Self {
            record: records,
            agency: partner,
            requestor,
            method,
            shared_by: entry.record.who.as_ref().map_or("", |who| &who.name),
            case: entry.record.why.case_number.as_deref().unwrap_or_default(),
        })
    }
}

/// `GET /audit/dissemination.csv`: the whole log.
///
/// # Errors
/// As [`page`]; a [`Problem`] where parts of the log can't be had, or it is too long for one file.
pub async fn file(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let ledger = agency.ledger.clone();
    let what = "secondary dissemination, as a file".to_owned();
    let released = read(&agency, &signed_in, what, move || whole(&ledger).map(Findings)).await?;
    let (Findings(page), _) = released.open();
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"secondary-dissemination.csv\""),
    ];
    Ok((headers, tabular::csv(&rows(page))).into_response())
}

fn whole(ledger: &ledger::Ledger) -> Result<Page, Problem> {
    let mut all = Page::default();
    let mut before = None;
    loop {
        let search = Search {
            kinds: vec![KIND.to_owned()],
            before,
            ..Search::newest(ledger::PAGE_ENTRIES_MAX)
        };
        let page = ledger.search(&search).map_err(|error| Problem::internal(&error))?;
        if !page.incomplete.is_empty() || all.entries.len() + page.entries.len() > FILE_ENTRIES_MAX
        {
            let words =
                "The log is not whole at present, or longer than one file takes. See its page.";
            return Err(Problem::new(axum::http::StatusCode::CONFLICT, "No whole file", words));
        }
        before = page.entries.last().map(|entry| entry.number);
        all.entries.extend(page.entries);
        if !page.more || before.is_none() {
            return Ok(all);
        }
    }
}

fn rows(page: &Page) -> Rows {
    let text = |text: &str| Value::Text(text.to_owned());
    let row = |entry: &Entry| {
        let (line, why) = (Line::of(entry)?, &entry.record.why);
        Some(vec![
            text(&entry.at.to_string()),
            text(line.record),
            text(line.agency),
            text(line.requestor),
            text(line.method),
            text(line.shared_by),
            text(line.case),
            text(why.purpose.as_deref().unwrap_or_default()),
            text(why.reason.as_deref().unwrap_or_default()),
            text(&entry.number.to_string()),
        ])
    };
    let rows: Vec<Vec<Value>> = page.entries.iter().filter_map(row).collect();
    Rows {
        columns: COLUMNS.map(str::to_owned).to_vec(),
        total: Total::Exact(rows.len() as u64),
        rows,
        subjects: Vec::new(),
        caveat_column: None,
    }
}
