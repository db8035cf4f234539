//! Which entries may lack their bodies, for whoever reads the log from its beginning.
//!
//! Invariant: a document counts for nothing until the log was seen to commit to it, and until the
//! entries that are missing were seen to be exactly those that it announced.

use std::collections::BTreeMap;

use crate::Damage;
use crate::envelope::{Bucket, Envelope};
use crate::retention::statement::Tally;
use crate::retention::{Disposed, NO_STATEMENT};

/// The folder of the documents.
pub(crate) const DISPOSED: &str = "disposed";

#[derive(Clone)]
struct One {
    disposed: Disposed,
    tally: Tally,
    committed: bool,
}

/// The documents of a ledger, held against its log.
#[derive(Default, Clone)]
pub(crate) struct Disposals(BTreeMap<Bucket, One>);

/// The document's path inside the ledger's folder.
pub(crate) fn document_name(bucket: Bucket) -> String {
    format!("{DISPOSED}/{}", bucket.name())
}

fn damage(bucket: Bucket, entry: Option<u64>, what: &str) -> Damage {
    Damage::new(&document_name(bucket), 0, entry, what)
}

impl Disposals {
    /// Takes in a document.
    pub(crate) fn add(&mut self, bucket: Bucket, text: &[u8]) -> Result<(), Damage> {
        let text = std::str::from_utf8(text).ok();
        let disposed = text.and_then(|text| Disposed::parse_of(bucket, text));
        let disposed = disposed.ok_or_else(|| damage(bucket, None, NO_STATEMENT))?;
        self.0.insert(bucket, One { disposed, tally: Tally::default(), committed: false });
        Ok(())
    }

    pub(crate) fn contains(&self, bucket: Bucket) -> bool {
        self.0.contains_key(&bucket)
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether an envelope has anything to do with what was disposed of. If not, its body lies in its bucket.
    pub(crate) fn concern(&self, envelope: &Envelope) -> bool {
        envelope.kind == crate::kinds::DISPOSITION_STARTED.code || self.contains(envelope.bucket)
    }

    /// Sees the next envelope of the log that [`Self::concern`]s them, and says in which bucket its body must lie; `None` when
    /// it was disposed of.
    pub(crate) fn place(&mut self, envelope: &Envelope) -> Option<Bucket> {
        if envelope.kind == crate::kinds::DISPOSITION_STARTED.code {
            let announced = self.0.values_mut().find(|one| one.disposed.entry == envelope.entry);
            if let Some(one) = announced {
                one.committed = one.disposed.is_committed_by(envelope);
            }
        }
        let mut bucket = envelope.bucket;
        while let Some(one) = self.0.get_mut(&bucket) {
            if !one.disposed.kept.contains(envelope.entry) {
                one.tally.add(envelope.entry, envelope.leaf());
                return None;
            }
            bucket = bucket.next_held()?;
        }
        Some(bucket)
    }

    /// The bucket that has the body of this entry; `None` when it was disposed of. Only after
    /// [`Self::check`].
    pub(crate) fn locate(&self, envelope: &Envelope) -> Option<Bucket> {
        let mut bucket = envelope.bucket;
        while let Some(one) = self.0.get(&bucket) {
            let kept = one.disposed.kept.contains(envelope.entry);
            bucket = bucket.next_held().filter(|_| kept)?;
        }
        Some(bucket)
    }

    /// After the last envelope: each document must be true.
    pub(crate) fn check(&self) -> Result<(), Damage> {
        for (bucket, One { disposed, tally, committed }) in &self.0 {
            let (entry, statement) = (disposed.entry, &disposed.statement);
            if !committed {
                let what = "the log does not commit to the statement";
                return Err(damage(*bucket, Some(entry), what));
            }
            if tally.statement(*bucket, &disposed.kept).as_ref() != Some(statement) {
                let what = "what is missing is not what the statement announced";
                return Err(damage(*bucket, tally.first(), what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Half, commit};
    use crate::event::Retention;
    use crate::retention::{Ranges, Statement};

    const SALT: [u8; 32] = [7; 32];

    fn home() -> Bucket {
        Bucket { class: Retention::Standard, month: 202_711, held: 0 }
    }

    fn envelope(entry: u64, bucket: Bucket) -> Envelope {
        let at_ms = 1_900_000_000_000;
        let (ledger, shared, private) = ([1; 16], [2; 32], [3; 32]);
        Envelope { ledger, entry, at_ms, stepped_back: false, kind: 21, bucket, shared, private }
    }

    /// A log of five entries of which a hold keeps the third, the disposal of the rest, and then
    /// the disposal of what the hold had kept.
    fn log() -> (Vec<Envelope>, Vec<Disposed>) {
        let mut log: Vec<Envelope> = (0..5).map(|entry| envelope(entry, home())).collect();
        let mut documents = Vec::new();
        let steps =
            [(home(), vec![0, 1, 3, 4], vec![2]), (home().next_held().unwrap(), vec![2], vec![])];
        for (bucket, goes, kept) in steps {
            let kept: Ranges = kept.into_iter().collect();
            let mut tally = Tally::default();
            for entry in goes {
                tally.add(entry, log[usize::try_from(entry).unwrap()].leaf());
            }
            let statement = tally.statement(bucket, &kept).unwrap();
            let entry = log.len() as u64;
            log.push(started(entry, &statement));
            documents.push(Disposed { entry, salt: SALT, statement, kept });
        }
        (log, documents)
    }

    fn started(entry: u64, statement: &Statement) -> Envelope {
        let kind = crate::kinds::DISPOSITION_STARTED.code;
        let shared = commit(&SALT, Half::Shared, kind, &statement.encode().unwrap());
        Envelope { kind, shared, ..envelope(entry, Bucket::PERMANENT) }
    }

    fn held_against(
        log: &[Envelope],
        documents: &[Disposed],
    ) -> Result<Vec<Option<Bucket>>, Damage> {
        let mut disposals = Disposals::default();
        for document in documents {
            let text = document.encode().unwrap();
            assert_eq!(Disposed::parse(&text).as_ref(), Some(document));
            disposals.add(document.statement.bucket, text.as_bytes())?;
        }
        let places = log.iter().map(|envelope| disposals.place(envelope)).collect();
        disposals.check().map(|()| places)
    }

    fn refused(log: &[Envelope], documents: &[Disposed]) -> String {
        held_against(log, documents).unwrap_err().to_string()
    }

    #[test]
    fn entries_may_lack_their_bodies_only_as_the_log_itself_announced() {
        let (log, documents) = log();
        let permanent = Some(Bucket::PERMANENT);
        let all = held_against(&log, &documents).unwrap();
        assert_eq!(all, [None, None, None, None, None, permanent, permanent]);
        let held = home().next_held();
        let first = held_against(&log, &documents[..1]).unwrap();
        assert_eq!(first, [None, None, held, None, None, permanent, permanent]);
        let none = held_against(&log, &[]).unwrap();
        assert_eq!(none[..5], [Some(home()); 5]);
    }

    #[test]
    fn a_document_that_the_log_does_not_bear_out_is_damage() {
        let (log, documents) = log();
        let [first, _] = documents.as_slice() else { panic!("two") };
        let no = "the log does not commit to the statement";
        let another_salt = Disposed { salt: [8; 32], ..first.clone() };
        assert!(refused(&log, &[another_salt]).contains(no));
        let another_entry = Disposed { entry: 6, ..first.clone() };
        assert!(refused(&log, &[another_entry]).contains(no));
        let absent = Disposed { entry: 99, ..first.clone() };
        assert!(refused(&log, &[absent]).contains(no));

        // Announced before the bucket was due, or by an entry that can be disposed of itself.
        let due = home().due().unwrap().as_millisecond();
        for (at_ms, sound) in [(due, true), (due - 1, false)] {
            let mut early = log.clone();
            early[5].at_ms = at_ms;
            assert_eq!(held_against(&early, &documents[..1]).is_ok(), sound);
        }
        let mut passing = log.clone();
        passing[5].bucket = home();
        assert!(refused(&passing, &documents[..1]).contains(no));

        // More went than was announced, or less, or something else.
        let what = "what is missing is not what the statement announced";
        let mut more = log.clone();
        more.push(envelope(7, home()));
        assert!(refused(&more, &documents[..1]).contains(what));
        let mut other = log.clone();
        other[1].private = [9; 32];
        assert!(refused(&other, &documents[..1]).contains(what));

        // What is disposed of again must have been kept before.
        assert!(refused(&log, &documents[1..]).contains(what));
    }

    #[test]
    fn the_fuzzers_seed_is_a_document() {
        let seed = include_str!("../../../../fuzz/seeds/ledger-disposed/document.txt");
        assert!(Disposed::parse(seed).is_some());
    }

    #[test]
    fn a_document_has_one_text() {
        let (_, documents) = log();
        let text = documents[0].encode().unwrap();
        for (at, _) in text.char_indices() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] ^= 1;
            assert_eq!(
                String::from_utf8(wrong).ok().and_then(|it| Disposed::parse(&it)),
                None,
                "{at}"
            );
            assert_eq!(text.get(..at).and_then(Disposed::parse), None);
        }
        assert_eq!(Disposed::parse(&format!("{text}\n")), None);
        let mut other = documents[0].clone();
        other.kept = [3].into_iter().collect();
        assert_eq!(Disposed::parse(&other.encode().unwrap()), None, "its digest was announced");
        let mut disposals = Disposals::default();
        assert!(disposals.add(Bucket::PERMANENT, text.as_bytes()).is_err(), "of another bucket");
    }
}
