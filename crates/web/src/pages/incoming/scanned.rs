//! What the malware scanner said of a received parcel, and the decision about a file that is held.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use exchange::{Contents, Incoming, IncomingStatus, ReceivedFile};
use gate::Value;
use maud::{Markup, html};
use policy::Why;

use super::deciding::{back, csrf};
use crate::app::{Answer, Shared};
use crate::pages::parts::{id, moment, pair, sharing};
use crate::session::{Posted, SignedIn};

/// In numbers, for the parcel's page: names of files are content.
pub(super) fn summary(parcel: &Incoming, has_scanner: bool) -> Markup {
    let here = [IncomingStatus::Received, IncomingStatus::Accepted].contains(&parcel.status);
    html! {
        @match (&parcel.scan, here) {
            (Some(scan), _) => {
                @let class = if scan.infected > 0 { "card card--warn" } else { "card" };
                section class=(class) id="scan" aria-labelledby="scan-title" {
                    div class="card__head" { h2 id="scan-title" { "Malware scan" } span class="badge" { "ledger entry " (scan.entry) } }
                    @if scan.infected > 0 {
                        p { strong { (count(scan.infected, "file is infected", "files are infected")) "." }
                            " Infected files stay closed until a supervisor decides otherwise, with a reason." }
                    }
                    @if scan.not_fully > 0 {
                        p { strong { (count(scan.not_fully, "file was not fully scanned", "files were not fully scanned")) "." }
                            " The scanner did not look at them to their end: they are not known to be clean." }
                    }
                    dl class="kv" {
                        (pair("Files", &scan.files.to_string()))
                        (pair("Called clean", &scan.files.saturating_sub((scan.infected + scan.not_fully) as u64).to_string()))
                        (pair("Infected", &scan.infected.to_string()))
                        (pair("Not fully scanned", &scan.not_fully.to_string()))
                        (pair("Held", &scan.held.to_string()))
                        (pair("Scanner", &scan.engine))
                        (pair("Scanned", &moment(scan.at)))
                    }
                }
            }
            (None, true) if has_scanner => {
                section class="card card--warn" id="scan" aria-labelledby="scan-title" {
                    h2 id="scan-title" { "In quarantine" }
                    p { "The parcel waits for the malware scanner. Until it has looked at every file nobody can accept or open the parcel." }
                    @if let Some(trouble) = &parcel.scan_trouble {
                        p { "Since " (moment(trouble.since)) " it could not be scanned; last tried " (moment(trouble.at)) ": " (trouble.problem) ". It is tried again every minute." }
                    }
                }
            }
            (None, true) => {
                section class="card" id="scan" aria-labelledby="scan-title" {
                    h2 id="scan-title" { "Not scanned" }
                    p { "No malware scanner is configured here. Nothing is known of malware in this parcel." }
                }
            }
            (None, false) => {}
        }
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// What the scanner said of one file, for the list of files.
pub(super) fn said(contents: &Contents, path: &str) -> Markup {
    let Some(scan) = &contents.scan else { return html! { "not scanned" } };
    let Some(finding) = scan.findings.get(path) else { return html! { "clean" } };
    let class = if finding.infected { "badge badge--deny" } else { "badge badge--warn" };
    html! {
        span class=(class) { (finding.what) }
        @if let Some(act) = &finding.released {
            p class="small" { "Released by " (act.by.name) ", " (moment(act.at)) ", entry " (act.entry) ": " (act.reason.as_deref().unwrap_or_default()) }
        }
    }
}

/// The forms for the files that are held.
pub(super) fn held(
    agency: &Shared,
    who: &SignedIn,
    (exchange, contents): (&str, &Contents),
    why: &Why,
) -> Markup {
    let scan = contents.scan.as_ref();
    let holds = |path: &str| scan.and_then(|scan| scan.holds(path));
    let files = contents.inside.files.iter();
    let files: Vec<(&ReceivedFile, &str)> =
        files.filter_map(|file| Some((file, holds(&file.path)?))).collect();
    html! {
        @if !files.is_empty() {
            section class="card card--warn" id="held" aria-labelledby="held-title" {
                h2 id="held-title" { "Files that stay closed" }
                p { "Evidence may be malware. A supervisor can let such a file be opened, with a reason, on record. "
                    "Open it only where it can do no harm." }
                @if who.session.is_stepped_up(agency.now()) {
                    @for (number, (file, what)) in files.iter().enumerate() {
                        @if let Some(handle) = handle(agency, who, exchange, file, why) {
                            form method="post" action={ "/incoming/" (exchange) "/release/" (handle) } data-once {
                                (csrf(who))
                                @let field = format!("release-reason-{number}");
                                label class="usa-label" for=(field) { "Why " (file.path) " (" (what) ") may be opened" }
                                input class="usa-input" id=(field) name="reason" required maxlength="1000" autocomplete="off";
                                button class="usa-button usa-button--outline" type="submit" { "Let it be opened" }
                            }
                        }
                    }
                } @else {
                    ul { @for (file, what) in &files { li { (file.path) ": " (what) } } }
                    p { a class="usa-button usa-button--outline" href={ "/step-up?next=/incoming/" (exchange) } { "Confirm my identity first" } }
                }
            }
        }
    }
}

/// Names a file for this person in this session.
pub(super) fn handle(
    agency: &Shared,
    who: &SignedIn,
    exchange: &str,
    file: &ReceivedFile,
    why: &Why,
) -> Option<String> {
    let values = BTreeMap::from([
        ("path".to_owned(), Value::Text(file.path.clone())),
        ("media_type".to_owned(), Value::Text(file.media_type.clone())),
        ("length".to_owned(), Value::Text(file.length.to_string())),
    ]);
    agency.seal_file_handle(who, exchange, values, why)
}

/// `POST /incoming/{exchange}/release/{handle}`: lets a file be opened that is held.
///
/// # Errors
/// A [`crate::problem::Problem`] when the policy refuses, or the file is not held.
pub async fn release(
    State(agency): State<Shared>,
    Path((exchange, sealed)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let exchange_id = id(&exchange)?;
    let Ok(handle) = agency.open_file_handle(&posted.signed_in, &exchange, &sealed) else {
        return Err(agency.foreign_handle(&posted.signed_in, "/incoming").await);
    };
    let path = match handle.values.get("path") {
        Some(Value::Text(path)) => path.as_str(),
        _ => "",
    };
    let (caller, reason) = (posted.signed_in.caller(), posted.text("reason"));
    let sharing = sharing(&agency)?;
    let parcel = sharing.exchange.release_file(&caller, exchange_id, path, reason).await?;
    Ok(back(&posted, &parcel))
}
