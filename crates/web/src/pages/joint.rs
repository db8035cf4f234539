//! Joint audits: our signed extract for a partner, and the partner's held against our ledger.
//!
//! Both are readings of the ledger: put to the gate, and on record before anything leaves.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use exchange::joint::{Fact, Finding, Line, Report};
use gate::Print;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use parcel::document::DocumentError;

use crate::app::{Answer, Shared};
use crate::pages::audit;
use crate::pages::parts::{self, moment, pair, print_of, sharing};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn, field};
use crate::upload::Uploaded;

const PATH: &str = "/audit/joint";
/// How far an effect may come before its cause.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);

/// An extract, or a report, on its way through the gate.
struct Reading {
    what: &'static str,
    count: usize,
    bytes: Vec<u8>,
}

impl gate::Fingerprint for Reading {
    fn fingerprint(&self) -> Print {
        print_of(self.what, self.count, &self.bytes)
    }
}

/// `GET /audit/joint`: what can be done.
///
/// # Errors
/// A [`Problem`] when sharing is not configured, or the policy or the ledger says no.
pub async fn start(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    sharing(&agency)?;
    let permit = audit::permit(&agency, &signed_in, "joint audits".to_owned()).await?;
    let none = Reading { what: "forms", count: 0, bytes: Vec::new() };
    agency.gate.release(permit.hold(none)).await?;
    let content = forms(&agency, &signed_in);
    Ok(agency.page(&signed_in, "Joint audit", PATH, &content))
}

fn forms(agency: &Shared, signed_in: &SignedIn) -> Markup {
    let csrf = &signed_in.csrf;
    let today = agency.now();
    let year_ago = today.saturating_sub(SignedDuration::from_hours(24 * 365)).unwrap_or(today);
    html! {
        form class="card" id="extract" method="post" action={ (PATH) "/extract" } {
            h2 { "1. Our extract, for the partner" }
            p { "Every entry about exchanges with the partner, proved, with the half of it that the partner may see.
                 Names, cases and contents are not in it. It is signed with this agency's certificate." }
            input type="hidden" name="csrf" value=(csrf);
            div class="fields" {
                (partners(agency, "extract-partner"))
                div class="field" {
                    label class="usa-label" for="from" { "From " span class="must" { "*" } }
                    input class="usa-input" type="date" id="from" name="from" required value=(parts::day(year_ago));
                }
                div class="field" {
                    label class="usa-label" for="to" { "To, that day included " span class="must" { "*" } }
                    input class="usa-input" type="date" id="to" name="to" required value=(parts::day(today));
                }
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Download our extract" }
                }
            }
        }
        form class="card" id="reconcile" method="post" action=(PATH) enctype="multipart/form-data" {
            h2 { "2. The partner's extract, held against our ledger" }
            p { "Over the time that the partner's extract covers. Either side can do this alone; both get the same." }
            input type="hidden" name="csrf" value=(csrf);
            div class="fields" {
                (partners(agency, "reconcile-partner"))
                div class="field" {
                    label class="usa-label" for="theirs" { "The partner's extract (at most 1 MiB) " span class="must" { "*" } }
                    p class="usa-hint" id="theirs-hint" { "A larger one is taken by " code { "bailiwick audit reconcile" } "." }
                    input class="usa-input" type="file" id="theirs" name="theirs" required aria-describedby="theirs-hint";
                }
                div class="field" {
                    label class="usa-label" for="as" { "Give it as" }
                    select class="usa-select" id="as" name="as" {
                        option value="page" { "a page here" }
                        option value="pdf" { "a document for both sides (PDF/A, JSON inside)" }
                        option value="html" { "an HTML file for both sides" }
                        option value="json" { "a JSON file" }
                    }
                }
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Hold them against each other" }
                }
            }
        }
    }
}

fn partners(agency: &Shared, id: &str) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(id) { "Partner " span class="must" { "*" } }
            select class="usa-select" id=(id) name="partner" required {
                @if let Some(sharing) = &agency.exchange {
                    @for partner in sharing.exchange.book().partners() {
                        option value=(partner.ori.as_str()) { (partner.name) }
                    }
                }
            }
        }
    }
}

/// `POST /audit/joint/extract`: our side, as a file.
///
/// # Errors
/// A [`Problem`] when a field can't be read, or the policy or the ledger says no.
pub async fn extract(State(agency): State<Shared>, posted: Posted) -> Answer {
    let partner = partner(&agency, posted.text("partner"))?;
    let (from, to) = (day(posted.text("from"), "From")?, day(posted.text("to"), "To")?);
    let to = to.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    let what = format!("extract for a joint audit with {partner}");
    let permit = audit::permit(&agency, &posted.signed_in, what).await?;
    let ticket = permit.ticket();
    let bytes = match sharing(&agency)?.exchange.extract(&partner, from, to).await {
        Ok(bytes) => bytes,
        Err(error) => {
            agency.gate.withhold(ticket, "the extract could not be made").await?;
            return Err(error.into());
        }
    };
    let reading = Reading { what: "extract of the ledger", count: 1, bytes };
    let (reading, _) = agency.gate.release(permit.hold(reading)).await?.into_parts();
    let name = format!("{}-{partner}.extract", agency.ori);
    Ok(file(&name, "application/json", reading.bytes))
}

/// A partner of the list, and nothing else that was typed: its name goes on record.
fn partner(agency: &Shared, ori: &str) -> Result<String, Problem> {
    let known = sharing(agency)?.exchange.book().partners().map(|partner| partner.ori.to_string());
    let mut named = known.filter(|known| known == ori);
    named.next().ok_or_else(|| Problem::bad_input("Choose a partner of the list."))
}

fn day(text: &str, field: &str) -> Result<Timestamp, Problem> {
    let at = format!("{}T00:00:00Z", text.trim()).parse();
    at.map_err(|_| Problem::bad_input(format!("`{field}` is not a day, such as 2026-11-22.")))
}

/// `POST /audit/joint`: the partner's extract against our ledger.
///
/// # Errors
/// A [`Problem`] when the extract does not hold, or the policy or the ledger says no.
pub async fn reconcile(State(agency): State<Shared>, uploaded: Uploaded) -> Answer {
    let Uploaded { signed_in, fields, file: theirs, .. } = uploaded;
    let partner = partner(&agency, field(&fields, "partner"))?;
    let what = format!("joint audit with {partner}");
    let permit = audit::permit(&agency, &signed_in, what).await?;
    let ticket = permit.ticket();
    let report = match sharing(&agency)?.exchange.reconcile(&partner, theirs, SKEW_MAX).await {
        Ok(report) => report,
        Err(error) => {
            agency.gate.withhold(ticket, "the joint audit could not be made").await?;
            return Err(error.into());
        }
    };
    let count = report.lines.len();
    let form = field(&fields, "as").to_owned();
    let (report, bytes) = match written(report, form == "pdf").await {
        Ok(written) => written,
        Err(problem) => {
            agency.gate.withhold(ticket, "the joint audit could not be written").await?;
            return Err(problem);
        }
    };
    let reading = Reading { what: "joint audit", count, bytes };
    let (reading, receipt) = agency.gate.release(permit.hold(reading)).await?.into_parts();
    match form.as_str() {
        "pdf" => Ok(file("joint-audit.pdf", "application/pdf", reading.bytes)),
        "json" => Ok(file("joint-audit.json", "application/json", reading.bytes)),
        "html" => {
            let page = exchange::joint::page(&report).into_bytes();
            Ok(file("joint-audit.html", "text/html; charset=utf-8", page))
        }
        _ => {
            let content = html! {
                p { a href=(PATH) { "Back to joint audits" } }
                (shown(&report))
                p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
            };
            Ok(agency.page(&signed_in, "Joint audit", PATH, &content))
        }
    }
}

/// The bytes that go on record: the document where it is asked for, and else the JSON of what is shown.
async fn written(report: Report, as_document: bool) -> Result<(Report, Vec<u8>), Problem> {
    let work = move || {
        let json = exchange::joint::json(&report).map_err(|error| Problem::internal(&error))?;
        if !as_document {
            return Ok((report, json));
        }
        match exchange::joint::paper(&report, json) {
            Ok(paper) => Ok((report, paper)),
            Err(DocumentError::Limit { .. }) => Err(Problem::bad_input(
                "The report has more lines than a document has pages for. Take it as JSON or HTML.",
            )),
            Err(error) => Err(Problem::internal(&error)),
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))?
}

fn file(name: &str, media_type: &'static str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers =
        [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, bytes).into_response()
}

fn shown(report: &Report) -> Markup {
    let counts = &report.counts;
    let numbers = [
        ("Matched", counts.matched),
        ("Only ours", counts.only_ours),
        ("Only theirs", counts.only_theirs),
        ("Digest differs", counts.digest_differs),
        ("Time skew", counts.time_skew),
    ];
    let (class, verdict) = match report.agrees() {
        true => ("usa-alert usa-alert--success", "The two ledgers agree"),
        false => ("usa-alert usa-alert--error", "The two ledgers do not agree in everything"),
    };
    html! {
        section class=(class) id="verdict" aria-label=(verdict) {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { (verdict) }
                @for note in &report.notes { p class="usa-alert__text" { "Note: " (note) "." } }
            }
        }
        div class="card" {
            h2 { "Numbers" }
            dl class="kv" {
                @for (name, number) in numbers { (pair(name, &number.to_string())) }
                @for (name, head) in [("Ours", &report.ours), ("Theirs", &report.theirs)] {
                    (pair(name, &format!(
                        "{} ({}), {} to {}, {} entries of a ledger of {}",
                        head.agency.name, head.agency.ori, moment(head.from), moment(head.to), head.entries, head.ledger_size
                    )))
                }
            }
        }
        section class="card card--flush" aria-labelledby="lines" {
            div class="toolbar" { h2 id="lines" { "What both ledgers should have" } }
            div class="tablebox" role="region" aria-label="Lines of the joint audit" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "What does not match comes first" }
                    thead { tr {
                        th scope="col" { "Exchange" } th scope="col" { "What" } th scope="col" { "Finding" }
                        th scope="col" { "Ours" } th scope="col" { "Theirs" }
                    } }
                    tbody { @for line in &report.lines { (row(line)) } }
                }
            }
        }
    }
}

fn row(line: &Line) -> Markup {
    let class =
        if line.finding == Finding::Matched { "badge badge--permit" } else { "badge badge--deny" };
    html! {
        tr data-finding=(line.finding.words()) {
            th scope="row" class="hash" { (line.exchange) }
            td { (line.what) }
            td {
                span class=(class) { (line.finding.words()) }
                @if let Some(note) = &line.note { p class="small" { (note) } }
            }
            td { (fact(line.ours.as_ref())) }
            td { (fact(line.theirs.as_ref())) }
        }
    }
}

fn fact(fact: Option<&Fact>) -> Markup {
    html! {
        @match fact {
            Some(fact) => { (fact.kind) ", entry " (fact.entry) ", " (moment(fact.at)) }
            None => { "nothing" }
        }
    }
}
