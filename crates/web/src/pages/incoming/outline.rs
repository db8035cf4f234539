//! What a received parcel says of itself inside: for those who decide about it, and for those who open it.

use exchange::{Incoming, IncomingStatus, Inside, Proved};
use maud::{Markup, html};

use crate::pages::parts::{bytes_words, moment, pair};
use crate::pages::seen;

/// The most files that are named before a parcel is accepted.
const NAMED_MAX: usize = 200;

/// What it is for and under which terms it came.
pub(super) fn terms(parcel: &Incoming, inside: &Inside, entry: Option<u64>) -> Markup {
    html! {
        div class="card" id="terms" {
            div class="card__head" { h2 { "What it is for" } @if let Some(entry) = entry { span class="badge" { "ledger entry " (entry) } } }
            dl class="kv" {
                @if !parcel.brought { (pair("Agreement", &parcel.agreement)) }
                (pair("Purpose", &inside.purpose))
                (pair("Authority", &inside.authority))
                @if let Some(case) = &inside.case_number { (pair(if parcel.brought { "Case" } else { "Sender's case" }, case)) }
                @if !inside.record_classes.is_empty() { (pair("Classes of records", &inside.record_classes.join(", "))) }
                @if !inside.handling.is_empty() { (pair("Handling", &inside.handling.join(", "))) }
                @if let Some(retention) = &inside.retention { (pair("Retention", retention)) }
                @if let Some(by) = parcel.afterwards.destroy_by { (pair("To be destroyed by", &moment(by))) }
                @if let Some(rule) = &parcel.afterwards.destroy_rule { (pair("That is", rule)) }
                @if let Some(sent) = &inside.key_transport { (pair("Key sent by", sent)) }
                @if let Some(stamp) = &inside.stamp { (pair("Time stamp", &stamp.words())) }
                @for remark in &inside.remarks { (pair("Remark", remark)) }
                (pair("Custody record", &custody_words(parcel, inside.proved)))
            }
        }
    }
}

/// What somebody sees who is to accept it or turn it away; nothing once that is decided.
pub(super) fn to_decide(parcel: &Incoming) -> Markup {
    let Some(inside) = waiting(parcel) else { return html! {} };
    let all: u64 = inside.files.iter().map(|file| file.length).sum();
    html! {
        (terms(parcel, inside, None))
        details class="card" id="outline" {
            summary { "Its " (inside.files.len()) @if inside.files.len() == 1 { " file" } @else { " files" } ", " (bytes_words(all)) }
            ul {
                @for file in inside.files.iter().take(NAMED_MAX) { li { (file.path) ", " (bytes_words(file.length)) ": " (seen::what(file.seen.as_ref(), &file.media_type)) } }
                @if inside.files.len() > NAMED_MAX { li { "and " (inside.files.len() - NAMED_MAX) " more" } }
            }
        }
    }
}

/// The same, for the record of what was shown.
pub(super) fn lines(parcel: &Incoming) -> Vec<String> {
    let Some(inside) = waiting(parcel) else { return Vec::new() };
    let files = inside.files.iter().take(NAMED_MAX);
    let files = files.map(|file| format!("{} {}", file.sha256, file.path));
    let marks = [&inside.handling, &inside.record_classes].map(|marks| marks.join(" "));
    let terms = format!("{} under {}: {}", inside.purpose, parcel.agreement, marks.join("; "));
    std::iter::once(terms).chain(files).collect()
}

fn waiting(parcel: &Incoming) -> Option<&Inside> {
    parcel.inside.as_ref().filter(|_| parcel.status == IncomingStatus::Received)
}

/// How much of the custody record is borne out by ledgers.
fn custody_words(parcel: &Incoming, proved: Option<Proved>) -> String {
    if parcel.brought {
        return "begins here, with the taking in".to_owned();
    }
    match proved {
        Some(proved) => format!(
            "{} events; {} name a ledger entry, and {} of these are proved by a ledger whose key is known here",
            proved.events, proved.named, proved.proved
        ),
        None => "in a form that is not known here; nothing in it was proved".to_owned(),
    }
}
