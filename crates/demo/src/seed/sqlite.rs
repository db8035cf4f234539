//! The records as an SQLite file.
//!
//! Written beside its place, without a journal and without waiting for the disk, and moved there
//! when whole: these rows can be made again at any time, so only a half-written file must not be
//! taken for a whole one. Its marker is the beginning of the digest of the data.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Statement};

use crate::seed::SeedError;
use crate::seed::tables::{self, Cell, Row, Sink, Table};
use crate::seed::world::World;

/// Whether the file is there and holds the data with this marker.
pub(crate) fn is_current(path: &Path, marker: i32) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    path.exists()
        && Connection::open_with_flags(path, flags)
            .and_then(|database| {
                database.query_row("pragma user_version", [], |row| row.get::<_, i32>(0))
            })
            .is_ok_and(|found| found == marker)
}

/// Makes the file, in place of one that is there.
pub(crate) fn make(path: &Path, world: &World, marker: i32) -> Result<(), SeedError> {
    let unfinished = path.with_extension("unfinished");
    // A journal left by what used the old file would be played into the new one.
    let leftovers = ["db-wal", "db-shm", "db-journal"].map(|name| path.with_extension(name));
    for old in [&unfinished].into_iter().chain(&leftovers) {
        if old.exists() {
            fs::remove_file(old)
                .map_err(|source| SeedError::Write { path: old.clone(), source })?;
        }
    }
    fill(&unfinished, world, marker)?;
    fs::rename(&unfinished, path)
        .map_err(|source| SeedError::Write { path: path.to_owned(), source })
}

fn fill(path: &Path, world: &World, marker: i32) -> Result<(), SeedError> {
    let database = Connection::open(path)?;
    database.execute_batch(
        "pragma page_size = 8192; pragma journal_mode = off; pragma synchronous = off;
         pragma locking_mode = exclusive; pragma cache_size = -65536; pragma temp_store = memory;",
    )?;
    database.execute_batch(&schema())?;
    database.execute_batch("begin")?;
    for table in Table::ALL {
        let mut sink = Insert { statement: database.prepare(&insert(table))? };
        tables::rows(world, table, &mut sink)?;
    }
    database.execute_batch(INDEXES)?;
    database.execute_batch("commit; analyze;")?;
    // Last, so that a file that lacks anything also lacks the marker.
    database.pragma_update(None, "user_version", marker)?;
    database.close().map_err(|(_, source)| SeedError::Database(source))
}

/// The tables. What is looked up by a person's spelling compares without regard to case, as
/// `like` does, so that the same index serves both.
fn schema() -> String {
    let mut sql = String::new();
    for table in Table::ALL {
        sql.push_str("create table ");
        sql.push_str(table.name());
        sql.push('(');
        for (name, kind) in table.columns() {
            let collation = match *name {
                "plate" | "last_name" | "first_name" => " collate nocase",
                _ => "",
            };
            sql.push_str(&format!("{name} {kind}{collation}, "));
        }
        // Long rows are better kept apart from their key.
        let layout = match table {
            Table::Incidents | Table::Evidence => "",
            _ => " without rowid",
        };
        sql.push_str(&format!("primary key ({})){layout};\n", table.key()));
    }
    sql
}

/// Made after the rows, for sorting once is quicker than finding a place 200,000 times.
const INDEXES: &str = "
create index vehicles_plate on vehicles(plate);
create index vehicles_owner on vehicles(owner_id);
create index vehicles_state on vehicles(state, make);
create index persons_name on persons(last_name, first_name);
create index persons_dob on persons(dob);
create unique index incidents_case on incidents(case_number);
create index incidents_reported on incidents(reported_at);
create index events_vehicle on vehicle_events(vehicle_id, seen_at);
create index links_person on incident_persons(person_id);
create index links_vehicle on incident_vehicles(vehicle_id);
create index evidence_case on evidence(case_number);
";

fn insert(table: Table) -> String {
    let places = vec!["?"; table.columns().len()].join(", ");
    format!("insert into {} values ({places})", table.name())
}

struct Insert<'a> {
    statement: Statement<'a>,
}

impl Sink for Insert<'_> {
    fn row(&mut self, _: Table, row: &Row) -> Result<(), SeedError> {
        for (place, cell) in row.cells().enumerate() {
            let place = place + 1;
            match cell {
                Cell::Null => self.statement.raw_bind_parameter(place, rusqlite::types::Null)?,
                Cell::Int(number) => self.statement.raw_bind_parameter(place, number)?,
                Cell::Text(text) => self.statement.raw_bind_parameter(place, text)?,
            }
        }
        self.statement.raw_execute()?;
        Ok(())
    }
}
