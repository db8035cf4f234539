//! What a file was made of: the original is named by its SHA-256, whether it goes along or not.
//!
//! Invariants: nothing else of an original is said, for its name may be what was redacted; what has the digest of an
//! original is not called a copy of it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::CustodyEvent;
use super::write::{Names, about};
use crate::meta::IndexedFile;

/// Originals of one event.
pub(super) const ORIGINALS_MAX: usize = 100;
pub(super) const LINKS: &str = "bailiwick:derivedFrom";
/// Of W3C PROV, whole: records without derivations need no prefix for it.
const DERIVED: &str = "http://www.w3.org/ns/prov#wasDerivedFrom";
/// Letters of a SHA-256 in hex.
const DIGEST_CHARS: usize = 64;

/// Where an event says what its files were made of.
pub(super) fn links(names: &Names, originals: &[String]) -> Option<Value> {
    let links: Vec<Value> = originals.iter().map(|sha256| names.link("original", sha256)).collect();
    (!links.is_empty()).then(|| links.into())
}

/// Hands on the originals, and a relation for each file that was made of one, one after another: there may be many.
pub(super) fn each<E>(
    names: &Names,
    files: &[IndexedFile],
    events: &[CustodyEvent],
    mut put: impl FnMut(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let mut said = HashSet::new();
    for event in events.iter().filter(|event| !event.originals.is_empty()) {
        for sha256 in &event.originals {
            if said.insert((sha256.as_str(), "", "")) {
                put(&original(names, sha256))?;
            }
        }
        for file in copies(event, files) {
            for sha256 in &event.originals {
                if said.insert((sha256.as_str(), &event.kind, &file.path)) {
                    put(&relation(names, file, (&event.kind, sha256)))?;
                }
            }
        }
    }
    Ok(())
}

/// The files of an event that were made of others: those that are not the others themselves. In the archive's order.
fn copies<'a>(
    event: &'a CustodyEvent,
    files: &'a [IndexedFile],
) -> impl Iterator<Item = &'a IndexedFile> {
    let originals: HashSet<&str> = event.originals.iter().map(String::as_str).collect();
    let some = about(event, files).unwrap_or_default().into_iter();
    let files = some.filter_map(|number| files.get(number));
    files.filter(move |file| !originals.contains(file.sha256.as_str()))
}

fn original(names: &Names, sha256: &str) -> Value {
    json!({
        "@id": names.of("original", sha256),
        "@type": "uco-observable:File",
        "uco-core:hasFacet": [{
            "@id": names.of("original-facet", sha256),
            "@type": "uco-observable:ContentDataFacet",
            "uco-observable:hash": {
                "@id": names.of("original-hash", sha256),
                "@type": "uco-types:Hash",
                "uco-types:hashMethod": "SHA256",
                "uco-types:hashValue": { "@type": "xsd:hexBinary", "@value": sha256 },
            },
        }],
    })
}

fn relation(names: &Names, file: &IndexedFile, (kind, sha256): (&str, &str)) -> Value {
    let how = match kind {
        "redacted" => "Redacted_From",
        _ => "Converted_From",
    };
    json!({
        "@id": names.of("relationship", &format!("{kind}|{sha256}|{}", file.path)),
        "@type": "uco-observable:ObservableRelationship",
        "uco-core:source": names.link("file", &file.path),
        "uco-core:target": names.link("original", sha256),
        "uco-core:kindOfRelationship": how,
        "uco-core:isDirectional": true,
        DERIVED: names.link("original", sha256),
    })
}

/// A SHA-256 in hex; none where that is something else.
pub(super) fn digest(said: &str) -> Option<String> {
    let hex = said.to_ascii_lowercase();
    let sound = hex.len() == DIGEST_CHARS && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then_some(hex)
}
