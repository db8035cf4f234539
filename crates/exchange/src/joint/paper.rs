//! The joint report as a document (PDF/A-3b) with its JSON inside: to be signed, filed and kept by both sides.

use parcel::document::{Attached, Block, Document, DocumentError, Table};

use super::{Fact, Head, Line, Report};
use crate::sealing::TOOL;

/// The report as JSON, a line's end at its end: the same bytes on a page, at the command line and in the document.
///
/// # Errors
/// None that a report can have.
pub fn json(report: &Report) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    Ok(json)
}

/// Writes the document. The same report gives the same bytes, with the same version of this program. `json` is what
/// [`json`] gives.
///
/// # Errors
/// [`DocumentError`]: the report has more lines than a document has pages for.
pub fn paper(report: &Report, json: Vec<u8>) -> Result<Vec<u8>, DocumentError> {
    let (ours, theirs) = (&report.ours, &report.theirs);
    let mut blocks = vec![Block::Paragraph(super::verdict(report).to_owned())];
    blocks.push(Block::Facts(numbers(report)));
    blocks.extend(report.notes.iter().map(|note| Block::Paragraph(format!("Note: {note}."))));
    for (name, side) in [("Ours", ours), ("Theirs", theirs)] {
        blocks.push(Block::Heading(name.to_owned()));
        blocks.push(Block::Facts(head(side)));
    }
    blocks.push(Block::Heading("What both ledgers should have".to_owned()));
    if report.lines.is_empty() {
        blocks.push(Block::Paragraph("Neither ledger has anything in this time.".to_owned()));
    } else {
        blocks.push(Block::Table(table(&report.lines)));
    }
    blocks.push(Block::Heading("For machines".to_owned()));
    blocks.push(Block::Paragraph(format!(
        "The same is attached to this document as joint-audit.json ({}). Its SHA-256: {}",
        report.profile,
        hex::encode(keys::digest::sha256(&json))
    )));
    // The report says nothing of when it was made: the later of the two extracts, so that it can be made again.
    let created = ours.made_at.max(theirs.made_at);
    let document = Document {
        title: format!("Joint audit: {} and {}", ours.agency.name, theirs.agency.name),
        author: format!("{} ({})", ours.agency.name, ours.agency.ori),
        program: TOOL.to_owned(),
        created: jiff::Timestamp::from_second(created.as_second()).unwrap_or(created),
        marks: Vec::new(),
        reference: format!("Joint audit of {} and {}", ours.agency.ori, theirs.agency.ori),
        blocks,
        attached: vec![Attached {
            name: "joint-audit.json".to_owned(),
            media_type: "application/json".to_owned(),
            description: "The joint report for programs".to_owned(),
            bytes: json,
        }],
    };
    document.write()
}

fn numbers(report: &Report) -> Vec<(String, String)> {
    let counts = &report.counts;
    let skew =
        format!("Time skew (an effect more than {} s before its cause)", report.skew_seconds_max);
    [
        ("Matched", counts.matched),
        ("Only ours", counts.only_ours),
        ("Only theirs", counts.only_theirs),
        ("Digest differs", counts.digest_differs),
        (&skew, counts.time_skew),
    ]
    .map(|(name, number)| (name.to_owned(), number.to_string()))
    .into()
}

fn head(head: &Head) -> Vec<(String, String)> {
    [
        ("Agency", format!("{} ({})", head.agency.name, head.agency.ori)),
        ("From", head.from.to_string()),
        ("To", head.to.to_string()),
        ("Extract made at", head.made_at.to_string()),
        ("Entries", format!("{} out of a ledger of {}", head.entries, head.ledger_size)),
        ("Signed by the certificate (SHA-256)", head.signer.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn table(lines: &[Line]) -> Table {
    let row = |line: &Line| {
        let note = line.note.as_ref().map(|note| format!("\n{note}")).unwrap_or_default();
        vec![
            line.exchange.clone(),
            line.what.clone(),
            format!("{}{note}", line.finding.words()),
            fact(line.ours.as_ref()),
            fact(line.theirs.as_ref()),
        ]
    };
    let columns = ["Exchange", "What", "Finding", "Ours", "Theirs"];
    Table { columns: columns.map(str::to_owned).into(), rows: lines.iter().map(row).collect() }
}

fn fact(fact: Option<&Fact>) -> String {
    let Some(fact) = fact else { return "nothing".to_owned() };
    let digest = fact.digest.as_deref().unwrap_or("no digest");
    format!("{}\nentry {}\n{}\n{digest}", fact.kind, fact.entry, fact.at)
}
