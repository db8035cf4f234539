//! The same records as PostgreSQL takes them: a schema, a COPY statement and its text for each
//! table, and indexes for afterwards.

use crate::seed::tables::{self, Cell, Row, Sink, Table};
use crate::seed::world::World;
use crate::seed::{Agency, SeedError};

/// `create table` statements for all tables. They compare names and plates with regard to case.
#[must_use]
pub fn schema() -> String {
    Table::ALL.into_iter().map(create).collect()
}

fn create(table: Table) -> String {
    let columns: Vec<String> =
        table.columns().iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let (name, columns, key) = (table.name(), columns.join(", "), table.key());
    format!("create table {name} ({columns}, primary key ({key}));\n")
}

/// Indexes, to be made when the rows are in. `text_pattern_ops` serves `like` in any locale.
pub const INDEXES: &str = "
create index vehicles_plate on vehicles(plate text_pattern_ops);
create index vehicles_owner on vehicles(owner_id);
create index vehicles_state on vehicles(state, make);
create index persons_name on persons(lower(last_name) text_pattern_ops, lower(first_name));
create index persons_dob on persons(dob);
create unique index incidents_case on incidents(case_number);
create index incidents_reported on incidents(reported_at);
create index events_vehicle on vehicle_events(vehicle_id, seen_at);
create index links_person on incident_persons(person_id);
create index links_vehicle on incident_vehicles(vehicle_id);
create index evidence_case on evidence(case_number);
analyze;
";

/// `copy persons (id, …) from stdin`
#[must_use]
pub fn copy_statement(table: Table) -> String {
    let columns: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
    format!("copy {} ({}) from stdin", table.name(), columns.join(", "))
}

/// What that statement reads: a line a row, a tab between columns, `\N` for null.
pub fn copy_text(agency: Agency, table: Table) -> Result<String, SeedError> {
    let mut copy = Copy::default();
    tables::rows(&World::of(agency), table, &mut copy)?;
    Ok(copy.text)
}

/// Writes rows as COPY text.
#[derive(Default)]
pub(crate) struct Copy {
    pub(crate) text: String,
}

impl Sink for Copy {
    fn row(&mut self, _: Table, row: &Row) -> Result<(), SeedError> {
        for (place, cell) in row.cells().enumerate() {
            if place > 0 {
                self.text.push('\t');
            }
            match cell {
                Cell::Null => self.text.push_str("\\N"),
                Cell::Int(number) => self.text.push_str(&number.to_string()),
                Cell::Text(text) => escape(&mut self.text, text),
            }
        }
        self.text.push('\n');
        Ok(())
    }
}

fn escape(out: &mut String, text: &str) {
    for part in text.split_inclusive(['\\', '\n', '\r', '\t']) {
        let (plain, escaped) = match part.as_bytes().last() {
            Some(b'\\') => (part.strip_suffix('\\'), "\\\\"),
            Some(b'\n') => (part.strip_suffix('\n'), "\\n"),
            Some(b'\r') => (part.strip_suffix('\r'), "\\r"),
            Some(b'\t') => (part.strip_suffix('\t'), "\\t"),
            _ => (Some(part), ""),
        };
        out.push_str(plain.unwrap_or_default());
        out.push_str(escaped);
    }
}

#[cfg(test)]
mod tests {
    use super::{Agency, Table, copy_statement, copy_text, escape, schema};

    #[test]
    fn text_that_means_something_to_copy_is_escaped() {
        let mut out = String::new();
        escape(&mut out, "a\tb\\N\nc\r");
        assert_eq!(out, "a\\tb\\\\N\\nc\\r");
    }

    #[test]
    fn copy_lines_have_the_columns_of_their_statement() {
        for table in Table::ALL {
            let text = copy_text(Agency::Lakeside, table).unwrap();
            let columns = table.columns().len();
            assert!(text.lines().all(|line| line.split('\t').count() == columns), "{table:?}");
            assert!(
                schema().contains(&format!("create table {} (id", table.name()))
                    || table.key().contains(',')
            );
        }
        assert_eq!(
            copy_statement(Table::IncidentPersons),
            "copy incident_persons (incident_id, person_id, role) from stdin"
        );
    }
}
