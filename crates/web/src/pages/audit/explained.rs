//! One entry of the ledger, explained: who, when, from where and why, what, and its evidence.

use std::collections::BTreeSet;

use ledger::Entry;
use maud::{Markup, html};

use super::clock_time;
use crate::pages::parts::pair;

/// The page of one entry. `proof`: how many hashes prove that it is in the tree.
pub(super) fn explained(entry: &Entry, proof: Option<usize>, csrf: &str) -> Markup {
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
            @if let Some(session) = record.who.as_ref().and_then(|who| who.session.as_ref()) {
                form method="post" action="/audit" {
                    input type="hidden" name="csrf" value=(csrf);
                    input type="hidden" name="session" value=(session);
                    button class="usa-button usa-button--outline" type="submit" {
                        "All entries of this session"
                    }
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
            @let proof = format!("/audit/entries/{}/proof", entry.number);
            p {
                a href=(proof) { "Proof" } " that it is here, and nothing of what it says; or "
                a href={ (proof) "/disclosed" } { "proof with all that it says" } "."
            }
            p class="muted small" {
                "Whoever has the file and this ledger's key checks it without the ledger: "
                code { "bailiwick ledger check FILE --key KEY" } ". Taking it is on record."
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
