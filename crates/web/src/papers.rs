//! Released rows as a document for people: PDF/A-3b, beside the CSV and the JSON of the same query.

use exchange::{Export, Item};
use gate::{Rows, Value};
use ledger::EntryNumber;
use parcel::document::{Block, Document, Table};
use policy::Why;

use crate::agency::Agency;

/// Rows that are printed. Of more the document says how many there are, and where.
const ROWS_PRINTED_MAX: usize = 20_000;

/// What a query gave, for an export.
///
/// # Errors
/// In words, without CJI.
pub(crate) fn rows(
    agency: &Agency,
    export: &Export,
    item: &Item,
    rows: &Rows,
    entry: EntryNumber,
) -> Result<Vec<u8>, String> {
    let marks = std::iter::once(item.record_class.to_string())
        .chain(item.caveats.iter().map(ToString::to_string))
        .collect();
    let stem = item.path.strip_suffix(".pdf").unwrap_or(&item.path);
    let table = if rows.rows.len() > ROWS_PRINTED_MAX {
        Block::Paragraph(format!(
            "{} rows, more than are printed here ({ROWS_PRINTED_MAX}). {stem}.csv and {stem}.json beside this document have them.",
            rows.rows.len()
        ))
    } else {
        Block::Table(Table {
            columns: rows.columns.clone(),
            rows: rows.rows.iter().map(|row| texts(row)).collect(),
        })
    };
    let config = &agency.config.agency;
    let document = Document {
        title: item.label.clone(),
        author: format!("{} ({})", config.name, config.ori),
        program: concat!("Bailiwick ", env!("CARGO_PKG_VERSION")).to_owned(),
        created: export.requested_at,
        marks,
        reference: format!("Released by entry {entry} of {}", agency.config.ledger.origin),
        blocks: vec![
            Block::Facts(facts(export, rows.rows.len())),
            table,
            Block::Paragraph(format!(
                "{stem}.csv and {stem}.json have the same rows for machines. A character that this document can't show is given \
                 as its number, such as [U+05D0]."
            )),
        ],
        attached: Vec::new(),
    };
    document.write().map_err(|error| error.to_string())
}

fn facts(export: &Export, count: usize) -> Vec<(String, String)> {
    let Why { purpose, case_number, reason, .. } = &export.details.why;
    let all = [
        ("Export", Some(export.id.to_string())),
        ("Purpose", purpose.as_ref().map(ToString::to_string)),
        ("Case number", case_number.as_ref().map(ToString::to_string)),
        ("Reason", reason.as_ref().map(ToString::to_string)),
        ("Rows", Some(count.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn texts(row: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Bool(_) | Value::Int(_) | Value::Real(_) => value.to_string(),
    };
    row.iter().map(text).collect()
}
