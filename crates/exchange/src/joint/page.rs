//! The joint report as one HTML file that needs nothing else: to be read, printed and kept by both sides.

use std::fmt::Write as _;

use super::{Fact, Finding, Head, Line, Report};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}\
table{border-collapse:collapse;width:100%}th,td{border:1px solid #71767a;padding:.4rem;text-align:left;\
vertical-align:top;overflow-wrap:anywhere}caption{text-align:left;font-weight:700;padding:.5rem 0}\
.no{background:#f4e3db}";

/// The report as a page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    let (ours, theirs) = (&report.ours, &report.theirs);
    let title = format!("Joint audit: {} and {}", ours.agency.name, theirs.agency.name);
    let title = escaped(&title);
    let verdict = super::verdict(report);
    let counts = &report.counts;
    // Writing to a String does not fail.
    let done = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}</h1><p><strong>{verdict}</strong></p>\
         <ul><li>matched: {}</li><li>only ours: {}</li><li>only theirs: {}</li>\
         <li>digest differs: {}</li><li>time skew (an effect more than {} s before its cause): {}</li></ul>",
        counts.matched,
        counts.only_ours,
        counts.only_theirs,
        counts.digest_differs,
        report.skew_seconds_max,
        counts.time_skew,
    );
    for note in &report.notes {
        out.push_str(&format!("<p>Note: {}.</p>", escaped(note)));
    }
    out.push_str(&head("Ours", ours));
    out.push_str(&head("Theirs", theirs));
    out.push_str(
        "<table><caption>What both ledgers should have</caption><thead><tr><th scope=\"col\">Exchange</th>\
         <th scope=\"col\">What</th><th scope=\"col\">Finding</th><th scope=\"col\">Ours</th>\
         <th scope=\"col\">Theirs</th></tr></thead><tbody>",
    );
    for line in &report.lines {
        out.push_str(&row(line));
    }
    out.push_str("</tbody></table></main></body></html>\n");
    debug_assert!(done.is_ok(), "a String takes what is written");
    out
}

fn head(name: &str, head: &Head) -> String {
    format!(
        "<h2>{name}</h2><p>{} ({}), from {} to {}; extract of {}, {} entries out of a ledger of {}, signed by \
         the certificate {}.</p>",
        escaped(&head.agency.name),
        escaped(&head.agency.ori),
        head.from,
        head.to,
        head.made_at,
        head.entries,
        head.ledger_size,
        escaped(&head.signer),
    )
}

fn row(line: &Line) -> String {
    let class = if line.finding == Finding::Matched { "" } else { " class=\"no\"" };
    let note = line.note.as_ref().map(|note| format!(": {}", escaped(note))).unwrap_or_default();
    format!(
        "<tr{class}><th scope=\"row\">{}</th><td>{}</td><td>{}{note}</td><td>{}</td><td>{}</td></tr>",
        escaped(&line.exchange),
        escaped(&line.what),
        line.finding.words(),
        fact(line.ours.as_ref()),
        fact(line.theirs.as_ref()),
    )
}

fn fact(fact: Option<&Fact>) -> String {
    let Some(fact) = fact else { return "nothing".to_owned() };
    let digest = fact.digest.as_deref().unwrap_or("no digest");
    format!("{}, entry {}, {}<br>{}", escaped(&fact.kind), fact.entry, fact.at, escaped(digest))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
