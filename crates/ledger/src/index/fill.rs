//! Filling the index: one transaction a batch, sorted, so that a shard's pages are each touched
//! once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::file::{LAYOUT, drop_tables, shard_tables};
use super::terms::{Blinder, Described, Field, Inherited, describe};
use super::{Feed, Index, IndexDoing, IndexError, check, held, sql};
use crate::envelope::{Bucket, Envelope};
use crate::merkle::{CompactRange, Hash};

/// Decisions that are remembered for the entries that follow them, and names of the shard in
/// hand: beyond it the index itself is asked.
const RECENT_MAX: usize = 16_384;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Entries were added; there may be more.
    Filled,
    /// The index covers the log.
    CaughtUp,
}

/// The writer's connection and what it knows.
pub(crate) struct Writer {
    pub(super) connection: Arc<Mutex<Connection>>,
    pub(super) file: Option<(u64, u64)>,
    /// The tree of what is covered.
    tree: CompactRange,
    bits: u32,
    blinder: Blinder,
    recent: HashMap<u64, Inherited>,
    /// Names of the shard in hand.
    names: HashMap<(Field, Vec<u8>), i64>,
    names_of: u64,
    /// Shards that were not held against their digest since the index was opened.
    pub(super) unchecked: Vec<u64>,
}

/// One entry, ready to be put in.
struct Line {
    envelope: Envelope,
    described: Option<Described>,
    epoch: Option<u32>,
}

impl Index {
    /// Opens the index, unless it is open, and finds out whether it belongs to the log. It is
    /// begun anew if it does not.
    pub(crate) fn open(&self, feed: &dyn Feed) -> Result<(), IndexError> {
        let mut slot = held(&self.writer);
        if slot.is_some() {
            return Ok(());
        }
        if !matches!(self.state().doing, IndexDoing::Rebuilding { .. }) {
            self.set_doing(IndexDoing::Checking);
        }
        let connection = self.place.open_writer()?;
        let found = self.found(&connection, feed)?;
        let why = match found {
            Ok(tree) => return self.take(&mut slot, connection, tree),
            Err(why) => why,
        };
        let connection = match why {
            None => connection,
            Some(why) => {
                drop(connection);
                self.place.remove()?;
                tracing::warn!(why, "the search index is built anew");
                self.set_doing(IndexDoing::Rebuilding { why: why.to_owned() });
                self.place.open_writer()?
            }
        };
        self.begin(&connection)?;
        self.take(&mut slot, connection, CompactRange::new())
    }

    fn take(
        &self,
        slot: &mut Option<Writer>,
        connection: Connection,
        tree: CompactRange,
    ) -> Result<(), IndexError> {
        let key = self.keys.newest().1;
        let (tree, unchecked) = check::sealed(&connection, self.shape.shard_bits, tree, key)?;
        let covers = tree.size();
        if unchecked.is_empty() && self.state().doing == IndexDoing::Checking {
            self.set_doing(IndexDoing::Following);
        }
        let connection = Arc::new(Mutex::new(connection));
        let reader = self.place.open_reader()?;
        let reader = reader.map_or_else(|| Arc::clone(&connection), |it| Arc::new(Mutex::new(it)));
        *held(&self.reader) = Some(reader);
        *slot = Some(Writer {
            connection,
            file: self.place.identity(),
            tree,
            bits: self.shape.shard_bits,
            blinder: Blinder::new(self.keys.newest().1.clone()),
            recent: HashMap::new(),
            names: HashMap::new(),
            names_of: 0,
            unchecked,
        });
        self.set_covers(covers);
        Ok(())
    }

    /// The tree that the index covers; or why it has to begin anew, `None` for one that is new.
    fn found(
        &self,
        connection: &Connection,
        feed: &dyn Feed,
    ) -> Result<Result<CompactRange, Option<&'static str>>, IndexError> {
        let Some(state) = check::State::read(connection)? else { return Ok(Err(None)) };
        let because = |why| Ok(Err(Some(why)));
        if state.layout != LAYOUT || state.shard_bits != i64::from(self.shape.shard_bits) {
            return because("it has another layout");
        }
        if state.ledger != self.ledger {
            return because("it belongs to another ledger");
        }
        let (newest, key) = self.keys.newest();
        let key_check = check::key_check(key, &self.ledger);
        if state.epoch != i64::from(newest) || state.key_check != key_check {
            return because("the index key was changed");
        }
        let size = state.size;
        if size > feed.size() {
            return because("it covers more than the log has");
        }
        let tree = tree_of(size, &state.peaks);
        let Some(tree) = tree else { return because("its cursor is damaged") };
        let root = feed.root(size).map_err(IndexError::Feed)?;
        if root != tree.root() {
            return because("it was made from another log");
        }
        Ok(Ok(tree))
    }

    fn begin(&self, connection: &Connection) -> Result<(), IndexError> {
        let (epoch, key) = self.keys.newest();
        let check = check::key_check(key, &self.ledger);
        let bits = self.shape.shard_bits;
        let made = connection.execute(
            "INSERT INTO state (one, layout, shard_bits, ledger, size, peaks, epoch, key_check)
             VALUES (1, ?1, ?2, ?3, 0, x'', ?4, ?5)",
            params![LAYOUT, bits, self.ledger, epoch, check],
        );
        made.map(drop).map_err(sql("begin"))
    }

    /// Adds the next entries, at most a batch.
    pub(crate) fn step(&self, feed: &dyn Feed) -> Result<Step, IndexError> {
        if let Some(why) = self.doubted() {
            return Err(IndexError::Doubted(why));
        }
        self.open(feed)?;
        let mut slot = held(&self.writer);
        let Some(writer) = slot.as_mut() else { return Ok(Step::CaughtUp) };
        if writer.file != self.place.identity() {
            return Err(IndexError::Damaged("the file is gone"));
        }
        let (from, size) = (writer.tree.size(), feed.size());
        if from >= size {
            return Ok(Step::CaughtUp);
        }
        let bits = self.shape.shard_bits;
        let shard = from >> bits;
        let end = size.min(from + self.shape.batch_entries_max as u64).min((shard + 1) << bits);
        let filled = writer.fill(feed, shard, end, end == (shard + 1) << bits, &self.keys);
        if filled.is_err() {
            // The transaction took nothing, yet these may know of names that it had made.
            writer.clear();
        }
        writer.tree = filled?;
        self.set_covers(end);
        Ok(Step::Filled)
    }
}

impl Writer {
    /// Forgets what it remembers of names and decisions.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.recent.clear();
    }

    fn fill(
        &mut self,
        feed: &dyn Feed,
        shard: u64,
        end: u64,
        whole: bool,
        keys: &crate::IndexKeys,
    ) -> Result<CompactRange, IndexError> {
        let from = self.tree.size();
        let (mut tree, mut lines) = (self.tree.clone(), Vec::new());
        let blinder = &mut self.blinder;
        let read = feed.read(from, end, &mut |fed| {
            tree.push(fed.envelope.leaf(), &mut |_, _, _| {});
            let record = fed.record.as_ref();
            let subjects = record.filter(|record| !record.subjects.is_empty());
            lines.push(Line {
                described: record.map(|record| describe(record, blinder)),
                epoch: subjects.map(|record| record.epoch),
                envelope: fed.envelope,
            });
        });
        read.map_err(IndexError::Feed)?;
        if tree.size() != end {
            return Err(IndexError::Damaged("the log gave fewer entries than it has"));
        }
        let connection = Arc::clone(&self.connection);
        let mut connection = held(&connection);
        let transaction = connection.transaction().map_err(sql("write to"))?;
        transaction.execute_batch(&shard_tables(shard)).map_err(sql("make tables in"))?;
        if self.names_of != shard {
            self.names.clear();
            self.names_of = shard;
        }
        note_shard(&transaction, shard, end, &self.tree, &lines)?;
        self.put(&transaction, shard, &lines)?;
        if whole {
            check::seal(&transaction, shard, keys.newest().1)?;
        }
        let noted = transaction.execute(
            "UPDATE state SET size = ?1, peaks = ?2",
            params![signed(end), peaks_of(&tree)],
        );
        noted.map_err(sql("write to"))?;
        transaction.commit().map_err(sql("write to"))?;
        Ok(tree)
    }

    /// Puts the lines into the shard's tables.
    fn put(
        &mut self,
        transaction: &Transaction<'_>,
        shard: u64,
        lines: &[Line],
    ) -> Result<(), IndexError> {
        let failed = sql("write to");
        let mut posts = Vec::new();
        let text = format!(
            "INSERT INTO row_{shard} (entry, at_ms, kind, outcome, bucket, action, tool, source,
             purpose, functions) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        );
        let mut insert = transaction.prepare_cached(&text).map_err(&failed)?;
        for line in lines {
            let envelope = &line.envelope;
            let Some(described) = &line.described else { continue };
            let entry = signed(envelope.entry);
            posts.extend(described.posts.iter().map(|term| (*term, entry)));
            let facts = self.facts(transaction, envelope.entry, described)?;
            let mut number = |field, term: Option<i64>| {
                let key = term.map(|term| term.to_be_bytes().to_vec());
                key.map(|key| self.number(transaction, shard, field, key)).transpose()
            };
            let action = number(Field::Action, facts.action)?;
            let tool = number(Field::Tool, facts.tool)?;
            let source = number(Field::Source, facts.source)?;
            let purpose = number(Field::Purpose, described.purpose)?;
            let functions: Vec<u8> =
                described.functions.iter().flat_map(|term| term.to_be_bytes()).collect();
            let functions = (!functions.is_empty())
                .then(|| self.number(transaction, shard, Field::Function, functions))
                .transpose()?;
            let done = insert.execute(params![
                entry,
                envelope.at_ms,
                envelope.kind,
                described.outcome,
                bucket_code(envelope.bucket),
                action,
                tool,
                source,
                purpose,
                functions
            ]);
            done.map_err(&failed)?;
        }
        posts.sort_unstable();
        posts.dedup();
        let text = format!("INSERT INTO post_{shard} (term, entry) VALUES (?1, ?2)");
        let mut insert = transaction.prepare_cached(&text).map_err(&failed)?;
        for (term, entry) in posts {
            insert.execute([term, entry]).map_err(&failed)?;
        }
        Ok(())
    }

    /// Action, tool and source of an entry: its own, or those of the decision that it follows.
    fn facts(
        &mut self,
        transaction: &Transaction<'_>,
        entry: u64,
        described: &Described,
    ) -> Result<Inherited, IndexError> {
        let Some(decided) = described.decided else {
            if self.recent.len() >= RECENT_MAX {
                self.recent.clear();
            }
            if described.own != Inherited::default() {
                self.recent.insert(entry, described.own);
            }
            return Ok(described.own);
        };
        match self.recent.get(&decided) {
            Some(facts) => Ok(*facts),
            None if decided < entry => look_back(transaction, self.bits, decided),
            None => Ok(Inherited::default()),
        }
    }

    /// The number of a name in a shard; a new one if it is new there.
    fn number(
        &mut self,
        transaction: &Transaction<'_>,
        shard: u64,
        field: Field,
        key: Vec<u8>,
    ) -> Result<i64, IndexError> {
        let name = (field, key);
        if let Some(number) = self.names.get(&name) {
            return Ok(*number);
        }
        let text = format!("SELECT number FROM name_{shard} WHERE field = ?1 AND key = ?2");
        let mut find = transaction.prepare_cached(&text).map_err(sql("read"))?;
        let found = find.query_row(params![field.code(), name.1], |row| row.get(0)).optional();
        let number = match found.map_err(sql("read"))? {
            Some(number) => number,
            None => {
                let text = format!(
                    "INSERT INTO name_{shard} (field, key, number)
                     SELECT ?1, ?2, coalesce(max(number), 0) + 1 FROM name_{shard}
                     RETURNING number"
                );
                let mut insert = transaction.prepare_cached(&text).map_err(sql("write to"))?;
                let number = insert.query_row(params![field.code(), name.1], |row| row.get(0));
                number.map_err(sql("write to"))?
            }
        };
        if self.names.len() >= RECENT_MAX {
            self.names.clear();
        }
        self.names.insert(name, number);
        Ok(number)
    }
}

/// What an earlier entry has in the index; nothing if it was forgotten.
fn look_back(
    transaction: &Transaction<'_>,
    bits: u32,
    entry: u64,
) -> Result<Inherited, IndexError> {
    let failed = sql("read");
    let shard = entry >> bits;
    let name = |column| format!("(SELECT key FROM name_{shard} WHERE number = {column})");
    let (action, tool, source) = (name("action"), name("tool"), name("source"));
    let text = format!("SELECT {action}, {tool}, {source} FROM row_{shard} WHERE entry = ?1");
    let mut find = transaction.prepare_cached(&text).map_err(&failed)?;
    let term = |row: &rusqlite::Row<'_>, at| {
        row.get::<_, Option<[u8; 8]>>(at).map(|key| key.map(i64::from_be_bytes))
    };
    let found = find.query_row([signed(entry)], |row| {
        Ok(Inherited { action: term(row, 0)?, tool: term(row, 1)?, source: term(row, 2)? })
    });
    Ok(found.optional().map_err(&failed)?.unwrap_or_default())
}

fn note_shard(
    transaction: &Transaction<'_>,
    shard: u64,
    end: u64,
    before: &CompactRange,
    lines: &[Line],
) -> Result<(), IndexError> {
    let times = lines.iter().map(|line| line.envelope.at_ms);
    let (from_ms, to_ms) = (times.clone().min(), times.max());
    let kept: Option<Vec<u8>> = transaction
        .query_row("SELECT epochs FROM shard WHERE shard = ?1", [signed(shard)], |row| row.get(0))
        .optional()
        .map_err(sql("read"))?;
    let mut epochs = epochs_of(&kept.unwrap_or_default());
    epochs.extend(lines.iter().filter_map(|line| line.epoch));
    let epochs: Vec<u8> = epochs.into_iter().flat_map(u32::to_be_bytes).collect();
    let noted = transaction.execute(
        "INSERT INTO shard (shard, size, peaks, from_ms, to_ms, epochs)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (shard) DO UPDATE SET size = excluded.size, digest = NULL,
           from_ms = min(from_ms, excluded.from_ms), to_ms = max(to_ms, excluded.to_ms),
           epochs = excluded.epochs",
        params![signed(shard), signed(end), peaks_of(before), from_ms, to_ms, epochs],
    );
    noted.map(drop).map_err(sql("write to"))
}

/// Epochs out of a shard's list.
pub(super) fn epochs_of(list: &[u8]) -> BTreeSet<u32> {
    list.as_chunks::<4>().0.iter().map(|epoch| u32::from_be_bytes(*epoch)).collect()
}

/// Takes a shard out, so that it is filled again. `tree` is what was covered before it.
pub(super) fn take_out(
    connection: &Connection,
    shard: u64,
    tree: &CompactRange,
) -> Result<(), IndexError> {
    let failed = sql("write to");
    connection.execute_batch(&drop_tables(shard)).map_err(&failed)?;
    connection.execute("DELETE FROM shard WHERE shard = ?1", [signed(shard)]).map_err(&failed)?;
    let noted = connection.execute(
        "UPDATE state SET size = ?1, peaks = ?2",
        params![signed(tree.size()), peaks_of(tree)],
    );
    noted.map(drop).map_err(&failed)
}

fn peaks_of(tree: &CompactRange) -> Vec<u8> {
    tree.peaks().concat()
}

pub(super) fn tree_of(size: u64, peaks: &[u8]) -> Option<CompactRange> {
    let (peaks, rest) = peaks.as_chunks::<32>();
    let peaks: &[Hash] = peaks;
    if !rest.is_empty() {
        return None;
    }
    CompactRange::of(size, peaks)
}

/// A bucket as a number: class, year and month.
pub(super) fn bucket_code(bucket: Bucket) -> i64 {
    i64::from(bucket.class.code()) * 1_000_000 + i64::from(bucket.month)
}

/// SQLite's integers are signed; no log reaches 2^63 entries.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
