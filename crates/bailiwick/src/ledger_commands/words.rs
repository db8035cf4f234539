//! What `bailiwick ledger` prints, in words or as JSON, and the key that it is given.

use std::path::Path;

use jiff::Timestamp;
use ledger::evidence::{Content, EvidenceEntry, EvidenceError};
use ledger::format::Half;
use ledger::note::{Checkpoint, VerifierKey};
use ledger::{Damage, KINDS, Verified};
use serde_json::{Value, json};
use web::problem::chain;

use crate::progress;

/// The key itself, or the first line of the file that is named.
pub(super) fn key_text(given: String) -> anyhow::Result<String> {
    if given.contains('+') {
        return Ok(given);
    }
    Ok(progress::text_of(Path::new(&given))?.trim().to_owned())
}

/// The key that is given or that the named file holds.
pub(super) fn key(given: String) -> anyhow::Result<VerifierKey> {
    let text = key_text(given)?;
    VerifierKey::parse(&text).map_err(|error| anyhow::anyhow!("`{text}`: {error}"))
}

pub(super) fn holds(verified: &Verified, json: bool) -> String {
    let root = hex::encode(verified.root);
    if json {
        let value = json!({
            "verified": true,
            "origin": verified.origin,
            "size": verified.size,
            "root": root,
            "checkpoint": verified.checkpoint,
            "published": verified.published,
            "disposed": verified.disposed,
            "leftover": verified.leftover,
        });
        return value.to_string();
    }
    let mut text = format!("holds: {} has {} entries, root {root}", verified.origin, verified.size);
    for name in &verified.leftover {
        text.push_str(&format!("\nleft over after a disposal; the next start removes it: {name}"));
    }
    text
}

pub(super) fn broken(damage: &Damage, json: bool) -> String {
    if json { damaged(damage).to_string() } else { format!("does not hold: {damage}") }
}

fn damaged(damage: &Damage) -> Value {
    json!({
        "verified": false,
        "file": damage.file,
        "offset": damage.offset,
        "entry": damage.entry,
        "what": damage.what,
    })
}

/// Evidence that holds: the checkpoint that signs for it, and the entries with what they disclose.
pub(super) fn proved(
    entries: &[EvidenceEntry],
    checkpoint: &Checkpoint,
    show: bool,
    json: bool,
) -> String {
    let root = hex::encode(checkpoint.root);
    let first = entries.first().map_or(0, |entry| entry.envelope.entry);
    let count = entries.len();
    let last = first + count.saturating_sub(1) as u64;
    if json {
        let value = json!({
            "verified": true,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": root,
            "from": first,
            "to": last + 1,
            "entries": entries.iter().map(entry_json).collect::<Vec<_>>(),
        });
        return value.to_string();
    }
    let which = match count {
        1 => format!("entry {first}"),
        _ => format!("entries {first} to {last}"),
    };
    let Checkpoint { origin, size, .. } = checkpoint;
    let mut text = format!(
        "holds: {which} of {origin}, in its signed state of {size} entries, root {root}; {}",
        disclosed_in_all(entries)
    );
    if show {
        for entry in entries {
            text.push('\n');
            text.push_str(&entry_words(entry));
        }
    }
    text
}

fn disclosed_in_all(entries: &[EvidenceEntry]) -> String {
    let count = |wanted: fn(&Content) -> bool| {
        entries.iter().filter(|entry| wanted(&entry.content)).count()
    };
    let disclosed = count(|content| matches!(content, Content::Disclosed(_)));
    let disposed = count(|content| matches!(content, Content::Disposed));
    match (disclosed, disposed) {
        (0, 0) => "nothing of what they say is disclosed".to_owned(),
        (_, 0) => format!("what {disclosed} of them say is disclosed, and is what was recorded"),
        _ => format!(
            "what {disclosed} of them say is disclosed, and is what was recorded; {disposed} were disposed of, \
             says the one who took the evidence"
        ),
    }
}

fn kind(code: u8) -> &'static str {
    KINDS.iter().find(|kind| kind.code == code).map_or("unknown", |kind| kind.name)
}

fn at(entry: &EvidenceEntry) -> String {
    let at = Timestamp::from_millisecond(entry.envelope.at_ms);
    at.map_or_else(|_| "no time".to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

fn entry_words(entry: &EvidenceEntry) -> String {
    let envelope = &entry.envelope;
    let mut text = format!("entry {} {} {}", envelope.entry, at(entry), kind(envelope.kind));
    for (half, name) in [(Half::Shared, "shared"), (Half::Private, "private")] {
        if let Some(said) = entry.said(half) {
            text.push_str(&format!("\n  {name}: {}", plain(said)));
        }
    }
    match entry.content {
        Content::Sealed => text.push_str("\n  not disclosed"),
        Content::Disposed => text.push_str("\n  disposed of, says the one who took the evidence"),
        Content::Disclosed(_) => {}
    }
    text
}

/// Text without control characters, for a terminal.
fn plain(said: &[u8]) -> String {
    if said.is_empty() {
        return "nothing".to_owned();
    }
    String::from_utf8_lossy(said)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn entry_json(entry: &EvidenceEntry) -> Value {
    let envelope = &entry.envelope;
    let said = |half| entry.said(half).map(half_json);
    json!({
        "entry": envelope.entry,
        "at": at(entry),
        "clock_stepped_back": envelope.stepped_back,
        "kind": kind(envelope.kind),
        "schedule": envelope.bucket.name(),
        "leaf": hex::encode(envelope.leaf()),
        "content": match entry.content {
            Content::Sealed => "not disclosed",
            Content::Disclosed(_) => "disclosed",
            Content::Disposed => "disposed of",
        },
        "shared": said(Half::Shared),
        "private": said(Half::Private),
    })
}

/// A half as the JSON that it is; nothing is `""`, and what is no JSON is a string.
fn half_json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

/// Evidence that does not hold: why, with the line or entry that is wrong.
pub(super) fn refused(error: &EvidenceError, json: bool) -> String {
    if json { reason(error).to_string() } else { format!("does not hold: {}", chain(error)) }
}

/// Evidence that could not be taken: why, with the file and entry that is wrong.
pub(super) fn not_taken(error: &EvidenceError, json: bool) -> String {
    if json {
        reason(error).to_string()
    } else {
        format!("no evidence was taken: {}", chain(error))
    }
}

fn reason(error: &EvidenceError) -> Value {
    let what = chain(error);
    let place = |name: &str, number: u64| json!({ "verified": false, "what": what, name: number });
    match error {
        EvidenceError::Damaged(damage) => damaged(damage),
        EvidenceError::Line { line, .. } => place("line", *line as u64),
        EvidenceError::Envelope { entry } | EvidenceError::Disclosure { entry } => {
            place("entry", *entry)
        }
        EvidenceError::NoEntry { .. }
        | EvidenceError::WrongKey { .. }
        | EvidenceError::TooLarge { .. }
        | EvidenceError::Checkpoint(_)
        | EvidenceError::Proof(_) => json!({ "verified": false, "what": what }),
    }
}
