//! A made-up log that knows in the clear what its records say, and searches it by going through
//! all of them.

#![expect(clippy::cast_possible_truncation, reason = "a test's small numbers")]

use std::sync::Mutex;

use keys::mac::MacKey;

use super::super::follow::{advance, recover};
use super::super::{Fed, Feed, Index, IndexPlace, Shape};
use crate::envelope::{Bucket, Envelope};
use crate::event::{Event, Retention, Verdict};
use crate::merkle::{CompactRange, Hash};
use crate::record::{
    Blind, Entry, EntryNumber, Origin, Position, Reason, StoredRecord, Subject, Who,
};
use crate::search::{Log, Page, Search, find};
use crate::settings::{IndexKeys, mark};
use crate::{KINDS, ReadError};

pub(super) const LEDGER: [u8; 16] = [7; 16];
pub(super) const SMALL: Shape = Shape { shard_bits: 3, batch_entries_max: 5 };

/// A ring with a key for each of these epochs.
pub(super) fn ring(epochs: &[u8]) -> IndexKeys {
    let keys = epochs.iter().map(|it| (u32::from(*it), MacKey::from_bytes([*it; 32])));
    IndexKeys::new(keys).unwrap()
}

/// What one record says; numbers choose names out of a few.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) actor: Option<u8>,
    pub(super) functions: Vec<u8>,
    pub(super) case_number: Option<u8>,
    pub(super) purpose: Option<u8>,
    /// 0 a decision, 1 a release after one, 2 a parcel to a partner, 3 a sign-out.
    pub(super) what: u8,
    pub(super) tool: u8,
    pub(super) denied: bool,
    /// How far back the decision is that a release follows.
    pub(super) back: u64,
    pub(super) subjects: Vec<(u8, u8)>,
    pub(super) month: u8,
    pub(super) after_ms: i64,
}

pub(super) fn name(what: &str, number: u8) -> String {
    format!("{what}-{number}")
}

pub(super) fn subject((kind, id): (u8, u8)) -> Subject {
    let kind = if kind.is_multiple_of(2) { "person" } else { "vehicle" };
    Subject { kind: kind.to_owned(), id: name("subject", id) }
}

pub(super) fn bucket(month: u8) -> Bucket {
    Bucket { class: Retention::Standard, month: 202_901 + u32::from(month), held: 0 }
}

#[derive(Default)]
pub(super) struct Made {
    pub(super) said: Vec<Said>,
    entries: Vec<(Envelope, StoredRecord)>,
    tree: CompactRange,
    roots: Vec<Hash>,
    pub(super) gone: Mutex<Vec<u64>>,
    pub(super) fails: bool,
}

impl Made {
    pub(super) fn push(&mut self, said: Said, keys: &IndexKeys) {
        let number = self.entries.len() as u64;
        let record = record(&said, number, keys);
        let last = self.entries.last().map_or(1_700_000_000_000, |(it, _)| it.at_ms);
        let envelope = Envelope {
            ledger: LEDGER,
            entry: number,
            at_ms: last + said.after_ms,
            stepped_back: false,
            kind: record.event.code(),
            bucket: bucket(said.month),
            shared: [0; 32],
            private: [1; 32],
        };
        self.roots.push(self.tree.root());
        self.tree.push(envelope.leaf(), &mut |_, _, _| {});
        self.entries.push((envelope, record));
        self.said.push(said);
    }

    pub(super) fn is_gone(&self, number: u64) -> bool {
        self.gone.lock().unwrap().contains(&number)
    }

    /// The entries that a search should find, by what was said and not by what was stored.
    pub(super) fn scan(&self, search: &Search, epochs: &[u8]) -> (Vec<u64>, bool) {
        let before = search.before.map_or(u64::MAX, |it| it.0);
        let fits = |number: &u64| *number < before && self.fits(*number, search, epochs);
        let mut found: Vec<u64> = (0..self.size()).rev().filter(fits).collect();
        let limit = search.limit as usize;
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn fits(&self, number: u64, search: &Search, epochs: &[u8]) -> bool {
        if self.is_gone(number) {
            return false;
        }
        let (envelope, record) = &self.entries[number as usize];
        let said = &self.said[number as usize];
        let same =
            |wanted: &Option<String>, have: Option<String>| wanted.is_none() || *wanted == have;
        let decision = decision_of(said, number).map(|at| &self.said[at as usize]);
        let decided = if said.what == 1 { decision } else { Some(said) };
        let tool = decided.filter(|it| it.what == 0).map(|it| it.tool);
        let millis = |at: Option<jiff::Timestamp>| at.map(|at| at.as_millisecond());
        let kind = KINDS.iter().find(|kind| kind.code == envelope.kind).unwrap().name;
        let about = |wanted: &Subject| {
            epochs.contains(&(record.epoch as u8))
                && said.subjects.iter().any(|it| subject(*it) == *wanted)
        };
        let outcome = |it: crate::Outcome| {
            let is = if said.what == 0 && said.denied { "deny" } else { "permit" };
            it.as_str() == is
        };
        same(&search.actor, said.actor.map(|it| name("actor", it)))
            && same(&search.session, said.actor.map(|it| name("session", it)))
            && search.function.as_ref().is_none_or(|wanted| {
                said.actor.is_some()
                    && said.functions.iter().any(|it| name("function", *it) == *wanted)
            })
            && same(&search.case_number, said.case_number.map(|it| name("case", it)))
            && same(&search.purpose, said.purpose.map(|it| name("purpose", it)))
            && same(&search.tool, tool.map(|it| name("tool", it)))
            && same(&search.source, tool.map(|it| name("source", it % 2)))
            && same(&search.action, tool.map(|it| name("action", it % 3)))
            && same(&search.partner, (said.what == 2).then(|| name("partner", said.tool)))
            && (search.kinds.is_empty() || search.kinds.iter().any(|it| it == kind))
            && search.outcome.is_none_or(outcome)
            && millis(search.from).is_none_or(|from| envelope.at_ms >= from)
            && millis(search.to).is_none_or(|to| envelope.at_ms < to)
            && search.subject.as_ref().is_none_or(about)
    }
}

/// The decision that a release follows, if there is an entry before it.
fn decision_of(said: &Said, number: u64) -> Option<u64> {
    (said.what == 1 && number > 0).then(|| number - 1 - said.back % number)
}

fn record(said: &Said, number: u64, keys: &IndexKeys) -> StoredRecord {
    let (epoch, key) = keys.newest();
    let blind = |it: &(u8, u8)| {
        let subject = subject(*it);
        Blind { mark: mark(key, &subject), kind: subject.kind }
    };
    let mut subjects: Vec<Blind> = said.subjects.iter().map(blind).collect();
    subjects.sort_unstable();
    subjects.dedup();
    let who = said.actor.map(|actor| Who {
        actor: name("actor", actor),
        name: name("Person", actor),
        agency: "NB0010100".to_owned(),
        functions: said.functions.iter().map(|it| name("function", *it)).collect(),
        session: Some(name("session", actor)),
    });
    let why = Reason {
        purpose: said.purpose.map(|it| name("purpose", it)),
        case_number: said.case_number.map(|it| name("case", it)),
        reason: None,
    };
    StoredRecord {
        who,
        origin: Origin::default(),
        why,
        subjects,
        epoch,
        event: event(said, number),
    }
}

fn event(said: &Said, number: u64) -> Event {
    let digest = "00".repeat(32);
    match said.what {
        0 => Event::Decided {
            action: name("action", said.tool % 3),
            resource: "a resource".to_owned(),
            record_class: "VEHICLE".to_owned(),
            caveats: Vec::new(),
            verdict: if said.denied { Verdict::Deny } else { Verdict::Permit },
            reason: String::new(),
            policies: Vec::new(),
            policy_set: digest.clone(),
            plan: digest,
            tool: Some(name("tool", said.tool)),
            source: Some(name("source", said.tool % 2)),
        },
        1 => Event::Released {
            // The first entry has none before it: it names itself, and inherits nothing.
            decided: decision_of(said, number).unwrap_or(0),
            what: "rows".to_owned(),
            count: 1,
            bytes: 1,
            digest,
        },
        2 => Event::ParcelSent(crate::Sent {
            exchange: "x".to_owned(),
            number,
            parcel: "p".to_owned(),
            partner: name("partner", said.tool),
            digest,
            route: None,
            place: None,
        }),
        _ => Event::SignedOut,
    }
}

impl Feed for Made {
    fn size(&self) -> u64 {
        self.size()
    }

    fn root(&self, size: u64) -> Result<Hash, ReadError> {
        Ok(self.roots.get(size as usize).copied().unwrap_or_else(|| self.tree.root()))
    }

    fn read(&self, from: u64, end: u64, each: &mut dyn FnMut(Fed)) -> Result<(), ReadError> {
        if self.fails {
            return Err(ReadError::NoSize { size: end, have: from });
        }
        for number in from..end {
            let (envelope, record) = self.entries[number as usize].clone();
            let record = (!self.is_gone(number)).then(|| std::sync::Arc::new(record));
            each(Fed { envelope, record });
        }
        Ok(())
    }
}

impl Log for Made {
    fn size(&self) -> u64 {
        self.size()
    }

    fn entry(&self, number: u64) -> Result<Option<Entry>, ReadError> {
        let Some((envelope, record)) = self.entries.get(number as usize) else { return Ok(None) };
        Ok((!self.is_gone(number)).then(|| Entry {
            number: EntryNumber(number),
            at: envelope.at().unwrap(),
            clock_stepped_back: false,
            record: record.clone(),
            leaf: envelope.leaf(),
            position: Position { file: String::new(), offset: 0 },
        }))
    }
}

pub(super) fn index(place: IndexPlace, keys: &IndexKeys, shape: Shape) -> Index {
    Index::new(LEDGER, keys.clone(), place, shape)
}

/// Does what the follower's thread does until there is nothing left to do.
pub(super) fn settle(index: &Index, log: &Made) {
    for _ in 0..100_000 {
        match advance(index, log) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => recover(index, &error),
        }
    }
    panic!("the index does not come to rest: {:?}", index.state());
}

pub(super) fn page(log: &Made, index: &Index, keys: &IndexKeys, search: &Search) -> Page {
    find(log, index, keys, search).unwrap()
}

pub(super) fn numbers(page: &Page) -> (Vec<u64>, bool) {
    (page.entries.iter().map(|entry| entry.number.0).collect(), page.more)
}

/// A log of `count` entries that say various things.
pub(super) fn log(count: u64, keys: &IndexKeys) -> Made {
    let mut log = Made::default();
    for number in 0..count {
        let at = |many: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8 % many as u8;
        let said = Said {
            actor: (at(5) != 4).then_some(at(3)),
            functions: vec![at(2), at(4)],
            case_number: (at(2) == 0).then_some(at(7)),
            purpose: Some(at(3)),
            what: at(4),
            tool: at(6),
            denied: at(9) == 0,
            back: u64::from(at(12)),
            subjects: vec![(at(2), at(11)), (0, at(13)), (1, at(3))],
            month: (number * 3 / count) as u8,
            after_ms: 1000,
        };
        log.push(said, keys);
    }
    log
}

/// Searches of every kind.
pub(super) fn searches() -> Vec<Search> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Search)| {
        let mut search = Search::newest(7);
        change(&mut search);
        all.push(search);
    };
    for number in 0..3 {
        add(&|it| it.actor = Some(name("actor", number)));
        add(&|it| it.tool = Some(name("tool", number)));
        add(&|it| it.function = Some(name("function", number)));
        add(&|it| it.partner = Some(name("partner", number)));
        add(&|it| it.subject = Some(subject((number, number))));
        add(&|it| {
            it.subject = Some(subject((number, number)));
            it.actor = Some(name("actor", number));
            it.source = Some(name("source", number % 2));
        });
        add(&|it| {
            it.case_number = Some(name("case", number));
            it.kinds = vec!["decided".to_owned(), "released".to_owned()];
        });
    }
    all
}
