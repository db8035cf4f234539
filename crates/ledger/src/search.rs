//! What a search asks for, the page it gets, and how the page is filled: candidates from the index,
//! what is newer from the log, and each entry held against the search by its body.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;

use crate::error::ReadError;
use crate::event::Outcome;
use crate::index::{Index, IndexDoing, Look, Wanted};
use crate::record::{Entry, EntryNumber, StoredRecord, Subject};
use crate::settings::IndexKeys;

/// The most entries that one page holds.
pub const PAGE_ENTRIES_MAX: u32 = 500;

/// Entries that are not in the index yet are searched one by one, up to so many. Beyond it a page
/// says how far it is complete.
pub const TAIL_ENTRIES_MAX: u64 = 2_048;

/// A search, newest entries first. Every condition that is given must hold. Names are whole and
/// are compared to the letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// The actor's account key.
    pub actor: Option<String>,
    /// A job function that the actor had.
    pub function: Option<String>,
    /// The first digits of the session's hash.
    pub session: Option<String>,
    /// Names out of [`crate::KINDS`]; empty is all.
    pub kinds: Vec<String>,
    /// The action, the tool and the source of a decision, and of what was released, withheld or
    /// written under it.
    pub action: Option<String>,
    pub tool: Option<String>,
    pub source: Option<String>,
    pub outcome: Option<Outcome>,
    pub purpose: Option<String>,
    pub case_number: Option<String>,
    pub partner: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    pub subject: Option<Subject>,
    /// Only entries with a smaller number: the next page.
    pub before: Option<EntryNumber>,
    /// Entries on the page, at most [`PAGE_ENTRIES_MAX`].
    pub limit: u32,
}

impl Search {
    /// The newest `limit` entries.
    pub fn newest(limit: u32) -> Self {
        Self {
            actor: None,
            function: None,
            session: None,
            kinds: Vec::new(),
            action: None,
            tool: None,
            source: None,
            outcome: None,
            purpose: None,
            case_number: None,
            partner: None,
            from: None,
            to: None,
            subject: None,
            before: None,
            limit,
        }
    }

    /// Whether it asks for everything there is, newest first.
    fn is_open(&self) -> bool {
        *self == Self { before: self.before, ..Self::newest(self.limit) }
    }

    /// Whether action, tool or source is asked for: what an entry may have from its decision.
    fn asks_decision(&self) -> bool {
        self.action.is_some() || self.tool.is_some() || self.source.is_some()
    }

    /// Whether all but action, tool and source hold. `marks` are the subject's, by epoch.
    fn fits(&self, entry: &Entry, marks: &[(u32, [u8; 32])]) -> bool {
        let record = &entry.record;
        let (who, facts) = (record.who.as_ref(), record.event.facts());
        let same = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == have)
        };
        let functions = who.map(|who| who.functions.as_slice()).unwrap_or_default();
        let is_about = |subject: &Subject| {
            let mark = marks.iter().find(|(epoch, _)| *epoch == record.epoch);
            let is = |it: &crate::Blind| {
                it.kind == subject.kind && mark.is_some_and(|(_, mark)| *mark == it.mark)
            };
            record.subjects.iter().any(is)
        };
        same(&self.actor, who.map(|who| who.actor.as_str()))
            && same(&self.session, who.and_then(|who| who.session.as_deref()))
            && self.function.as_ref().is_none_or(|wanted| functions.contains(wanted))
            && (self.kinds.is_empty() || self.kinds.iter().any(|it| it == record.event.kind()))
            && self.outcome.is_none_or(|outcome| outcome == record.event.outcome())
            && same(&self.purpose, record.why.purpose.as_deref())
            && same(&self.case_number, record.why.case_number.as_deref())
            && same(&self.partner, facts.partner)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
            && self.subject.as_ref().is_none_or(is_about)
    }

    /// Whether action, tool and source hold of a record or of the decision it follows.
    fn fits_decision(&self, record: &StoredRecord) -> bool {
        let facts = record.event.facts();
        let same = |wanted: &Option<String>, have: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == have)
        };
        same(&self.action, facts.action)
            && same(&self.tool, facts.tool)
            && same(&self.source, facts.source)
    }
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Whether older entries match too.
    pub more: bool,
    /// Why entries that match may be missing. Empty: none is.
    pub incomplete: Vec<Incomplete>,
}

/// Why a page may lack entries that match. Its words are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incomplete {
    /// Only entries below `covers`, of `size`, were looked through: the index is behind.
    Behind { covers: u64, size: u64, doing: IndexDoing },
    /// The index is still being held against its digests since the start.
    Unchecked,
    /// Index keys of these epochs were destroyed, and there are entries from their time: those
    /// can't be found by subject.
    EpochsDestroyed(Vec<u32>),
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { covers, size, doing } => {
                match covers.checked_sub(1) {
                    None => write!(f, "None of the {size} entries can be searched yet")?,
                    Some(last) => write!(
                        f,
                        "This is complete up to entry {last}; {} newer entries can't be searched yet",
                        size.saturating_sub(*covers)
                    )?,
                }
                match doing {
                    IndexDoing::Following => f.write_str(": the search index is catching up."),
                    IndexDoing::Checking => f.write_str(": the search index is being opened."),
                    IndexDoing::Rebuilding { why } => {
                        write!(f, ": the search index is being built anew, for {why}.")
                    }
                    IndexDoing::Stopped { why } => {
                        write!(f, ": the search index has stopped and will be tried again: {why}.")
                    }
                }
            }
            Self::Unchecked => f.write_str(
                "The search index is being checked since the last start. Search again in a moment.",
            ),
            Self::EpochsDestroyed(epochs) => {
                let epochs: Vec<String> = epochs.iter().map(u32::to_string).collect();
                let epochs = epochs.join(", ");
                write!(
                    f,
                    "Entries from the time of a destroyed index key (epoch {epochs}) can't be found \
                     by whom or what they are about."
                )
            }
        }
    }
}

/// The log, as a search reads it.
pub(crate) trait Log {
    fn size(&self) -> u64;
    /// `None` where the body was disposed of.
    fn entry(&self, number: u64) -> Result<Option<Entry>, ReadError>;
}

/// One search on its way.
struct Filling<'a> {
    log: &'a dyn Log,
    search: &'a Search,
    marks: Vec<(u32, [u8; 32])>,
    limit: usize,
    /// Epochs without a key under which subjects were blinded.
    lost: BTreeSet<u32>,
    page: Page,
}

/// Fills a page.
pub(crate) fn find(
    log: &dyn Log,
    index: &Index,
    keys: &IndexKeys,
    search: &Search,
) -> Result<Page, ReadError> {
    let limit = usize::try_from(search.limit.min(PAGE_ENTRIES_MAX)).unwrap_or(0);
    let marks = search.subject.as_ref().map(|subject| keys.marks(subject)).unwrap_or_default();
    let (lost, page) = (BTreeSet::new(), Page::default());
    let mut filling = Filling { log, search, marks, limit, lost, page };
    let (size, before) = (log.size(), search.before.map_or(u64::MAX, |before| before.0));
    if search.is_open() {
        filling.scan(0, before.min(size), false)?;
        return Ok(filling.page);
    }
    let Some(wanted) = Wanted::new(search, keys) else { return Ok(filling.page) };
    let looked = look(index, &wanted, before, limit + 1);
    let covers = looked.as_ref().map_or(0, |look| look.covers).min(size);
    filling.note_epochs(looked.as_ref());
    if before > covers {
        filling.note_state(index, covers, size);
        if size - covers <= TAIL_ENTRIES_MAX {
            filling.scan(covers, before.min(size), false)?;
        }
    }
    let mut hits = looked.map(|look| look.hits).unwrap_or_default();
    while !filling.page.more && !hits.is_empty() {
        let (count, last) = (hits.len(), hits.last().copied().unwrap_or(0));
        for number in hits {
            filling.take(number, true)?;
        }
        if count <= limit {
            break;
        }
        let looked = look(index, &wanted, last, limit + 1);
        // An index that was thrown away meanwhile has not said all that it knew.
        let now = looked.as_ref().map_or(0, |look| look.covers);
        if now < covers.min(last) {
            let doing = index.state().doing;
            filling.page.incomplete.push(Incomplete::Behind { covers: now, size, doing });
        }
        hits = looked.map(|look| look.hits).unwrap_or_default();
    }
    Ok(filling.done())
}

/// A look into the index; nothing where that fails: the page says that it is not covered.
fn look(index: &Index, wanted: &Wanted, before: u64, most: usize) -> Option<Look> {
    match index.look(wanted, before, most) {
        Ok(look) => look,
        Err(error) => {
            if error.is_damage() {
                index.doubt("a search found it damaged");
            }
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the search index could not be read");
            None
        }
    }
}

impl Filling<'_> {
    /// Notes what the index does not cover.
    fn note_state(&mut self, index: &Index, covers: u64, size: u64) {
        let doing = index.state().doing;
        if size - covers > TAIL_ENTRIES_MAX {
            self.page.incomplete.push(Incomplete::Behind { covers, size, doing });
        } else if doing == IndexDoing::Checking && covers > 0 {
            self.page.incomplete.push(Incomplete::Unchecked);
        }
    }

    /// Notes epochs that the index knows of and whose key is gone.
    fn note_epochs(&mut self, look: Option<&Look>) {
        let epochs = look.map(|look| look.epochs.as_slice()).unwrap_or_default();
        epochs.iter().for_each(|epoch| self.note_epoch(*epoch));
    }

    fn note_epoch(&mut self, epoch: u32) {
        let there = self.marks.iter().any(|(there, _)| *there == epoch);
        if self.search.subject.is_some() && !there {
            self.lost.insert(epoch);
        }
    }

    fn done(mut self) -> Page {
        if !self.lost.is_empty() {
            let epochs = self.lost.into_iter().collect();
            self.page.incomplete.push(Incomplete::EpochsDestroyed(epochs));
        }
        self.page
    }

    /// Goes through entries one by one, the newest first.
    fn scan(&mut self, from: u64, end: u64, known: bool) -> Result<(), ReadError> {
        for number in (from..end).rev() {
            if self.page.more {
                break;
            }
            self.take(number, known)?;
        }
        Ok(())
    }

    /// Puts an entry onto the page if it fits. `known`: the index says that it does.
    fn take(&mut self, number: u64, known: bool) -> Result<(), ReadError> {
        if self.page.more {
            return Ok(());
        }
        let Some(entry) = self.log.entry(number)? else { return Ok(()) };
        if !entry.record.subjects.is_empty() {
            self.note_epoch(entry.record.epoch);
        }
        if !self.search.fits(&entry, &self.marks) || !self.fits_decision(&entry, known)? {
            return Ok(());
        }
        if self.page.entries.len() == self.limit {
            self.page.more = true;
        } else {
            self.page.entries.push(entry);
        }
        Ok(())
    }

    /// Where the decision was disposed of, the index alone knows what it said.
    fn fits_decision(&self, entry: &Entry, known: bool) -> Result<bool, ReadError> {
        if !self.search.asks_decision() {
            return Ok(true);
        }
        let Some(decided) = entry.record.event.facts().decided else {
            return Ok(self.search.fits_decision(&entry.record));
        };
        if decided >= entry.number.0 {
            return Ok(false);
        }
        let decision = self.log.entry(decided)?;
        Ok(decision.map_or(known, |decision| self.search.fits_decision(&decision.record)))
    }
}
