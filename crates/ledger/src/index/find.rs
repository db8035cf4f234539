//! Looking things up: candidates, newest first, shard by shard.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fill::{epochs_of, signed, unsigned};
use super::terms::{Field, blind, outcome_code, short};
use super::{Index, IndexError, check, held, sql};
use crate::kinds::KINDS;
use crate::search::Search;
use crate::settings::IndexKeys;

/// Postings are counted no further than this when the rarest condition is chosen.
const COUNT_MAX: i64 = 256;

/// A search in terms. Every condition must hold.
pub(crate) struct Wanted {
    /// Conditions that have postings: any of the terms.
    posts: Vec<Vec<i64>>,
    /// Conditions on columns that hold the number of a name.
    names: Vec<(&'static str, Field, i64)>,
    function: Option<i64>,
    kinds: Vec<u8>,
    outcome: Option<u8>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

impl Wanted {
    /// `None` where a kind is asked for that there is not.
    pub(crate) fn new(search: &Search, keys: &IndexKeys) -> Option<Self> {
        let key = keys.newest().1;
        let term = |field, name: &Option<String>| name.as_deref().map(|it| blind(key, field, it));
        let one = |field, name| term(field, name).map(|term| vec![term]);
        let marks = |subject| keys.marks(subject).iter().map(|(_, mark)| short(mark)).collect();
        let posts = [
            search.subject.as_ref().map(marks),
            one(Field::Actor, &search.actor),
            one(Field::Session, &search.session),
            one(Field::CaseNumber, &search.case_number),
            one(Field::Partner, &search.partner),
        ];
        let names = [
            ("action", Field::Action, &search.action),
            ("tool", Field::Tool, &search.tool),
            ("source", Field::Source, &search.source),
            ("purpose", Field::Purpose, &search.purpose),
        ];
        let names = names.into_iter().filter_map(|(column, field, name)| {
            term(field, name).map(|term| (column, field, term))
        });
        let wanted = |kind: &&crate::Kind| search.kinds.iter().any(|name| name == kind.name);
        let kinds: Vec<u8> = KINDS.iter().filter(wanted).map(|kind| kind.code).collect();
        (search.kinds.is_empty() || !kinds.is_empty()).then(|| Self {
            posts: posts.into_iter().flatten().collect(),
            names: names.collect(),
            function: term(Field::Function, &search.function),
            kinds,
            outcome: search.outcome.map(outcome_code),
            from_ms: search.from.map(|from| from.as_millisecond()),
            to_ms: search.to.map(|to| to.as_millisecond()),
        })
    }
}

/// What a look found.
pub(crate) struct Look {
    /// Candidates, newest first, each below the end that was asked for.
    pub(crate) hits: Vec<u64>,
    /// How many entries the index covered when it was looked into.
    pub(crate) covers: u64,
    /// Epochs under which subjects were blinded.
    pub(crate) epochs: Vec<u32>,
}

impl Index {
    /// Up to `most` candidates with numbers below `before`. `None` when the index is not open.
    pub(crate) fn look(
        &self,
        wanted: &Wanted,
        before: u64,
        most: usize,
    ) -> Result<Option<Look>, IndexError> {
        let Some(reader) = held(&self.reader).clone() else { return Ok(None) };
        let connection = held(&reader);
        // One view of the index, whatever is added meanwhile.
        let view = connection.unchecked_transaction().map_err(sql("read"))?;
        let Some(state) = check::State::read(&view)? else { return Ok(None) };
        let mut hits = Vec::new();
        let end = before.min(state.size);
        let mut shard = end.checked_sub(1).map(|last| last >> self.shape.shard_bits);
        while let Some(at) = shard.filter(|_| hits.len() < most) {
            let found = Shard { connection: &view, shard: at, wanted };
            hits.extend(found.hits(end, most - hits.len())?);
            shard = at.checked_sub(1);
        }
        let epochs = epochs(&view)?;
        Ok(Some(Look { hits, covers: state.size, epochs }))
    }
}

fn epochs(connection: &Connection) -> Result<Vec<u32>, IndexError> {
    let failed = sql("read");
    let mut select = connection.prepare_cached("SELECT epochs FROM shard").map_err(&failed)?;
    let rows = select.query_map([], |row| row.get::<_, Vec<u8>>(0)).map_err(&failed)?;
    let mut all = BTreeSet::new();
    for row in rows {
        all.extend(epochs_of(&row.map_err(&failed)?));
    }
    Ok(all.into_iter().collect())
}

struct Shard<'a> {
    connection: &'a Connection,
    shard: u64,
    wanted: &'a Wanted,
}

/// Conditions on a shard's rows as text with `?` for each value.
#[derive(Default)]
struct Clauses {
    text: String,
    values: Vec<i64>,
}

impl Clauses {
    fn add(&mut self, clause: &str, values: &[i64]) {
        self.text.push_str(" AND ");
        self.text.push_str(clause);
        self.values.extend_from_slice(values);
    }

    fn any_of(&mut self, column: &str, values: &[i64]) {
        let places = vec!["?"; values.len()].join(", ");
        self.add(&format!("{column} IN ({places})"), values);
    }
}

impl Shard<'_> {
    fn hits(&self, before: u64, most: usize) -> Result<Vec<u64>, IndexError> {
        if !self.is_in_time()? {
            return Ok(Vec::new());
        }
        let Some(rows) = self.row_clauses()? else { return Ok(Vec::new()) };
        let Some(driving) = self.rarest()? else { return Ok(Vec::new()) };
        let shard = self.shard;
        let Some(driving) = driving else {
            let text = format!("SELECT r.entry FROM row_{shard} r WHERE r.entry < ?");
            return self.run(&text, "r.entry", &[signed(before)], &rows, most);
        };
        let mut clauses = Clauses::default();
        for (at, terms) in self.wanted.posts.iter().enumerate().filter(|(at, _)| *at != driving) {
            let places = vec!["?"; terms.len()].join(", ");
            let clause = format!(
                "EXISTS (SELECT 1 FROM post_{shard} q{at} WHERE q{at}.term IN ({places})
                 AND q{at}.entry = p.entry)"
            );
            clauses.add(&clause, terms);
        }
        let mut from = format!("post_{shard} p");
        if !rows.values.is_empty() {
            from.push_str(&format!(" CROSS JOIN row_{shard} r ON r.entry = p.entry"));
            clauses.text.push_str(&rows.text);
            clauses.values.extend_from_slice(&rows.values);
        }
        let text = format!("SELECT p.entry FROM {from} WHERE p.term = ? AND p.entry < ?");
        let mut hits = Vec::new();
        for term in self.wanted.posts.get(driving).into_iter().flatten() {
            hits.extend(self.run(&text, "p.entry", &[*term, signed(before)], &clauses, most)?);
        }
        hits.sort_unstable_by(|a, b| b.cmp(a));
        hits.dedup();
        hits.truncate(most);
        Ok(hits)
    }

    fn run(
        &self,
        text: &str,
        order: &str,
        first: &[i64],
        clauses: &Clauses,
        most: usize,
    ) -> Result<Vec<u64>, IndexError> {
        let failed = sql("search");
        let text = format!("{text}{} ORDER BY {order} DESC LIMIT ?", clauses.text);
        let mut select = self.connection.prepare_cached(&text).map_err(&failed)?;
        let limit = signed(most as u64);
        let values = first.iter().chain(&clauses.values).chain([&limit]);
        let rows = select.query_map(params_from_iter(values), |row| row.get(0));
        let rows = rows.map_err(&failed)?;
        rows.map(|row| row.map(unsigned).map_err(&failed)).collect()
    }

    /// Whether anything in the shard lies in the time that is asked for.
    fn is_in_time(&self) -> Result<bool, IndexError> {
        let text = "SELECT from_ms, to_ms FROM shard WHERE shard = ?1";
        let mut select = self.connection.prepare_cached(text).map_err(sql("search"))?;
        let times = select.query_row([signed(self.shard)], |row| Ok((row.get(0)?, row.get(1)?)));
        let (from, to): (i64, i64) = times.map_err(sql("search"))?;
        let wanted = self.wanted;
        Ok(wanted.from_ms.is_none_or(|it| to >= it) && wanted.to_ms.is_none_or(|it| from < it))
    }

    /// The conditions on rows; `None` where a name is asked for that the shard does not have.
    fn row_clauses(&self) -> Result<Option<Clauses>, IndexError> {
        let mut clauses = Clauses::default();
        let wanted = self.wanted;
        for (column, field, term) in &wanted.names {
            let Some(number) = self.number(*field, *term)? else { return Ok(None) };
            clauses.add(&format!("r.{column} = ?"), &[number]);
        }
        if let Some(term) = wanted.function {
            let numbers = self.sets_with(term)?;
            if numbers.is_empty() {
                return Ok(None);
            }
            clauses.any_of("r.functions", &numbers);
        }
        if !wanted.kinds.is_empty() {
            let kinds: Vec<i64> = wanted.kinds.iter().map(|kind| i64::from(*kind)).collect();
            clauses.any_of("r.kind", &kinds);
        }
        if let Some(outcome) = wanted.outcome {
            clauses.add("r.outcome = ?", &[i64::from(outcome)]);
        }
        if let Some(from) = wanted.from_ms {
            clauses.add("r.at_ms >= ?", &[from]);
        }
        if let Some(to) = wanted.to_ms {
            clauses.add("r.at_ms < ?", &[to]);
        }
        Ok(Some(clauses))
    }

    fn number(&self, field: Field, term: i64) -> Result<Option<i64>, IndexError> {
        let text = format!("SELECT number FROM name_{} WHERE field = ?1 AND key = ?2", self.shard);
        let mut select = self.connection.prepare_cached(&text).map_err(sql("search"))?;
        let key = term.to_be_bytes();
        let number = select.query_row((field.code(), key), |row| row.get(0));
        number.optional().map_err(sql("search"))
    }

    /// The numbers of the sets of functions that have this one in them.
    fn sets_with(&self, term: i64) -> Result<Vec<i64>, IndexError> {
        let failed = sql("search");
        let text = format!("SELECT number, key FROM name_{} WHERE field = ?1", self.shard);
        let mut select = self.connection.prepare_cached(&text).map_err(&failed)?;
        let rows = select.query_map([Field::Function.code()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        let mut numbers = Vec::new();
        for row in rows.map_err(&failed)? {
            let (number, set) = row.map_err(&failed)?;
            let (terms, _) = set.as_chunks::<8>();
            if terms.contains(&term.to_be_bytes()) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// Which condition with postings has the fewest here. The outer `None` where one has none, the inner
    /// where there is no such condition.
    fn rarest(&self) -> Result<Option<Option<usize>>, IndexError> {
        let posts = &self.wanted.posts;
        if posts.is_empty() {
            return Ok(Some(None));
        }
        let text = format!(
            "SELECT count(*) FROM (SELECT 1 FROM post_{} WHERE term = ?1 LIMIT ?2)",
            self.shard
        );
        let mut select = self.connection.prepare_cached(&text).map_err(sql("search"))?;
        let mut best = None;
        for (at, terms) in posts.iter().enumerate() {
            let mut count = 0_i64;
            for term in terms {
                let some: i64 = select
                    .query_row([*term, COUNT_MAX], |row| row.get(0))
                    .map_err(sql("search"))?;
                count += some;
            }
            if count == 0 {
                return Ok(None);
            }
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, at));
            }
        }
        Ok(Some(best.map(|(_, at)| at)))
    }
}
