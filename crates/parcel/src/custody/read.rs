//! Reading a custody record of ours: its events, with who did them, to which files, and what each says of a
//! ledger.
//!
//! A record that came in a parcel is covered by the sender's signature. What is read here is what the sender says; whether a ledger says
//! the same is for whoever has that ledger's key.

#[cfg(test)]
mod tests;

use std::io::Read;

use serde::de::DeserializeSeed as _;

use super::graph::{Fields, Graph, Node, Number, Whole};
use super::{Circumstances, CustodyEvent, LedgerReference, Person, derivation};
use crate::meta::IndexedFile;
use crate::{Fault, METADATA_BYTES_MAX};

/// The events of a `custody.jsonld`, oldest first: each but the first was informed by the one before. One that is
/// about all of the record's files names none of them, as when it was written. Whether these are all of the parcel's
/// files, the record alone can't tell: of a parcel, see [`crate::Unlocked::custody_events`].
///
/// # Errors
/// [`Fault::Malformed`] where it is not one unbroken chain of such events.
pub fn events(record: &[u8]) -> Result<Vec<CustodyEvent>, Fault> {
    events_of(record, None)
}

/// As [`events`], read as a stream: node by node. With the files of the parcel, an event names none only if it is about
/// all of these; and each of its files where the record knows others, or not all of them.
///
/// # Errors
/// [`Fault::Read`] too, where reading fails.
pub(crate) fn events_of(
    record: impl Read,
    parcel: Option<&[IndexedFile]>,
) -> Result<Vec<CustodyEvent>, Fault> {
    let bad = || Fault::Malformed("a custody record whose events are one chain");
    let mut graph = Graph::default();
    let mut from = serde_json::Deserializer::from_reader(record);
    let read = Whole(&mut graph).deserialize(&mut from).and_then(|()| from.end());
    read.map_err(|error| if error.is_io() { Fault::Read(error.into()) } else { bad() })?;
    let actions = std::mem::take(&mut graph.actions);
    let paths = graph.paths();
    if !paths.is_sorted_by(|one, next| one < next) {
        return Err(bad());
    }
    let same = |parcel: &[IndexedFile]| paths.iter().eq(parcel.iter().map(|file| &file.path));
    let whole = parcel.is_none_or(same);
    let mut told = Telling { graph: &graph, whole, left: METADATA_BYTES_MAX };
    let mut before: Option<String> = None;
    let mut out = Vec::with_capacity(actions.len());
    for action in actions {
        if action.informed.id != before {
            return Err(bad());
        }
        before = Some(action.id.text.clone().ok_or_else(bad)?);
        out.push(told.event(action).ok_or_else(bad)?);
    }
    Ok(out)
}

/// Events are told: each with a copy of what its links lead to.
struct Telling<'g> {
    graph: &'g Graph,
    /// Whether the record's files are those of the parcel.
    whole: bool,
    /// Bytes that may still be copied: many events may say the same long words.
    left: u64,
}

impl Telling<'_> {
    fn copy(&mut self, text: &str) -> Option<String> {
        self.left = self.left.checked_sub(text.len() as u64)?;
        Some(text.to_owned())
    }

    /// The files that these numbers are; none for all of them, for many events about many files would else be as many
    /// copies of all paths.
    fn files(&mut self, objects: &[Number]) -> Option<Vec<String>> {
        let path = |number: &Number| match self.graph.node(*number)? {
            Node::File(path) => Some(path.as_ref()),
            Node::Original(_) | Node::Other(_) => None,
        };
        let all = self.whole && objects.len() == self.graph.files;
        // They are distinct. None at all would be read as all; where there are none, it is.
        if objects.is_empty() && !all || !objects.iter().all(|number| path(number).is_some()) {
            return None;
        }
        if all {
            return Some(Vec::new());
        }
        let paths: Vec<&str> = objects.iter().filter_map(path).collect();
        paths.into_iter().map(|path| self.copy(path)).collect()
    }

    /// The digests of what an event's files were made of.
    fn originals(&mut self, links: &[Number]) -> Option<Vec<String>> {
        let links = Some(links).filter(|links| links.len() <= derivation::ORIGINALS_MAX)?;
        let copied = links.iter().map(|number| match self.graph.node(*number)? {
            Node::Original(digest) => self.copy(digest),
            Node::File(_) | Node::Other(_) => None,
        });
        copied.collect()
    }

    fn event(&mut self, action: Fields) -> Option<CustodyEvent> {
        let graph = self.graph;
        let person = graph.somebody(action.performer.id.as_deref()?)?;
        let tool = graph.somebody(action.instrument.id.as_deref()?)?;
        let ledger = match action.origin.text {
            None => None,
            Some(origin) => Some(LedgerReference {
                origin,
                entry: action.entry.number?,
                leaf: action.leaf.text?,
                proof: action.proof.text,
            }),
        };
        Some(CustodyEvent {
            kind: action.name.text?,
            description: action.description.text?,
            started: action.started.value?.parse().ok()?,
            ended: Some(action.ended.value?.parse().ok()?),
            person: Person {
                name: self.copy(person.name.as_deref()?)?,
                account: self.copy(person.account.as_deref()?)?,
                agency: self.copy(person.agency.as_deref()?)?,
                role: self.copy(person.role.as_deref()?)?,
            },
            tool: self.copy(tool.name.as_deref()?)?,
            purpose: action.purpose.text,
            authority: action.authority.text,
            files: self.files(action.objects.as_deref()?)?,
            originals: self.originals(action.derived.as_deref().unwrap_or_default())?,
            ledger,
            around: Circumstances::read(&action.around)?,
        })
    }
}

/// Any bytes as a custody record.
pub(crate) fn fuzz(data: &[u8]) {
    drop(events(data));
    drop(events_of(data, Some(&[])));
}
