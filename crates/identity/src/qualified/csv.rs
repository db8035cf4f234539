//! A list of trainings, screenings and agreements as CSV (RFC 4180), such as a training system exports.
//!
//! Invariant: it is read whole or not at all. Every line that is wrong is named, with what is wrong; what was
//! typed is not repeated.

use jiff::civil::Date;
use state::qualifications::{Finding, Kind};

/// The longest list, in bytes and in lines after the header.
pub const CSV_BYTES_MAX: usize = 256 * 1024;
pub const CSV_LINES_MAX: usize = 2_000;

/// Wrong lines that are named; behind them it only says that there are more.
const PROBLEMS_MAX: usize = 50;

/// The longest text in a field, in bytes.
const FIELD_BYTES_MAX: usize = 256;

/// The columns, by the names in the header; the first four must be there.
pub const COLUMNS: [&str; 8] =
    ["account", "kind", "course", "date", "until", "result", "version", "evidence"];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins in the text, from 1.
    pub number: usize,
    /// Whose: an account's key, or the name or sign-in name of one.
    pub account: String,
    pub kind: Kind,
    pub course: String,
    pub on: Date,
    pub until: Option<Date>,
    pub finding: Option<Finding>,
    pub version: Option<String>,
    pub evidence: String,
}

/// A line that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    pub number: usize,
    pub problem: String,
}

/// Reads a list. `today`: nothing was done later than that.
///
/// # Errors
/// Every line that is wrong.
pub fn read(text: &str, today: Date) -> Result<Vec<Line>, Vec<BadLine>> {
    let bad = |number, problem: &str| BadLine { number, problem: problem.to_owned() };
    if text.len() > CSV_BYTES_MAX {
        return Err(vec![bad(1, "the list is over 256 KiB")]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = rows(text).map_err(|bad| vec![bad])?.into_iter();
    let Some((_, header)) = rows.next() else {
        return Err(vec![bad(1, "the list is empty")]);
    };
    let columns = columns(&header).map_err(|problem| vec![bad(1, &problem)])?;
    let (mut lines, mut problems) = (Vec::new(), Vec::new());
    for (number, fields) in rows {
        if lines.len() + problems.len() >= CSV_LINES_MAX {
            problems.push(bad(number, "the list has more than 2,000 lines"));
            break;
        }
        match line(number, &columns, header.len(), &fields, today) {
            Ok(line) => lines.push(line),
            Err(problem) => problems.push(BadLine { number, problem }),
        }
    }
    if problems.len() > PROBLEMS_MAX {
        let more = problems.len() - PROBLEMS_MAX;
        let number = problems.get(PROBLEMS_MAX).map_or(0, |bad| bad.number);
        problems.truncate(PROBLEMS_MAX);
        problems.push(bad(number, &format!("and {more} more lines from here on")));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if lines.is_empty() {
        return Err(vec![bad(1, "there is no line after the header")]);
    }
    Ok(lines)
}

/// Where each of [`COLUMNS`] is.
type Columns = [Option<usize>; COLUMNS.len()];

fn columns(header: &[String]) -> Result<Columns, String> {
    let mut columns = [None; COLUMNS.len()];
    for (place, name) in header.iter().enumerate() {
        let name = name.trim().to_lowercase();
        let known = COLUMNS.iter().zip(&mut columns).find(|(column, _)| **column == name);
        let Some((_, column)) = known else {
            return Err(format!(
                "the header names a column that is none of {}",
                COLUMNS.join(", ")
            ));
        };
        if column.replace(place).is_some() {
            return Err(format!("the header names `{name}` twice"));
        }
    }
    let needed = COLUMNS.iter().zip(&columns).take(4);
    match needed.into_iter().find(|(_, place)| place.is_none()) {
        Some((name, _)) => Err(format!("the header does not name `{name}`")),
        None => Ok(columns),
    }
}

fn line(
    number: usize,
    columns: &Columns,
    width: usize,
    fields: &[String],
    today: Date,
) -> Result<Line, String> {
    if fields.len() != width {
        return Err(format!("has {} fields, and the header has {width}", fields.len()));
    }
    let of = |name: &str| {
        let at = COLUMNS.iter().zip(columns).find(|(column, _)| **column == name);
        let place = at.and_then(|(_, place)| *place);
        place.and_then(|place| fields.get(place)).map_or("", |field| field.trim())
    };
    for name in COLUMNS {
        let text = of(name);
        if text.len() > FIELD_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(format!("`{name}` is longer than 256 bytes or holds a control character"));
        }
    }
    let needed = |name: &'static str| match of(name) {
        "" => Err(format!("`{name}` is empty")),
        text => Ok(text.to_owned()),
    };
    let some = |name| Some(of(name)).filter(|text| !text.is_empty());
    let kind = Kind::parse(&of("kind").to_lowercase())
        .ok_or("`kind` is not training, screening or agreement")?;
    let on = day("date", of("date"))?;
    if on > today {
        return Err("`date` is in the future".to_owned());
    }
    let until = some("until").map(|text| day("until", text)).transpose()?;
    if until.is_some_and(|until| until < on) {
        return Err("`until` is before `date`".to_owned());
    }
    let finding = finding(kind, some("result"))?;
    let version = some("version").map(str::to_owned);
    if version.is_some() && kind != Kind::Agreement {
        return Err("`version` is for agreements".to_owned());
    }
    Ok(Line {
        number,
        account: needed("account")?,
        kind,
        course: needed("course")?,
        on,
        until,
        finding,
        version,
        evidence: of("evidence").to_owned(),
    })
}

fn day(name: &str, text: &str) -> Result<Date, String> {
    let shape = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let day = shape.then(|| text.parse().ok()).flatten();
    day.ok_or_else(|| format!("`{name}` is not a day such as 2026-11-30"))
}

fn finding(kind: Kind, text: Option<&str>) -> Result<Option<Finding>, String> {
    match (kind, text) {
        (Kind::Screening, text) => {
            let found = Finding::parse(&text.unwrap_or_default().to_lowercase());
            let found = found.ok_or("`result` is not cleared, pending or not-cleared");
            Ok(Some(found?))
        }
        (Kind::Training | Kind::Agreement, None) => Ok(None),
        (Kind::Training | Kind::Agreement, Some(_)) => Err("`result` is for screenings".to_owned()),
    }
}

/// The rows with the lines on which they begin. Empty lines are none.
fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, BadLine> {
    let (mut rows, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut number, mut began) = (1, 1);
    // Whether the field is in quotes, and whether it was.
    let (mut open, mut closed) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if open && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if open => (open, closed) = (false, true),
            '"' if field.is_empty() && !closed => open = true,
            '\n' if open => {
                number += 1;
                field.push(letter);
            }
            _ if open => field.push(letter),
            ',' => {
                fields.push(std::mem::take(&mut field));
                closed = false;
            }
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' => {
                end_row(&mut rows, began, &mut fields, &mut field);
                closed = false;
                number += 1;
                began = number;
            }
            '"' => {
                return Err(BadLine {
                    number,
                    problem: "has a quote in a field without quotes".to_owned(),
                });
            }
            _ if closed => {
                return Err(BadLine {
                    number,
                    problem: "has text after a quoted field".to_owned(),
                });
            }
            _ => field.push(letter),
        }
    }
    if open {
        return Err(BadLine {
            number: began,
            problem: "opens a quote that is never closed".to_owned(),
        });
    }
    end_row(&mut rows, began, &mut fields, &mut field);
    Ok(rows)
}

fn end_row(
    rows: &mut Vec<(usize, Vec<String>)>,
    began: usize,
    fields: &mut Vec<String>,
    field: &mut String,
) {
    fields.push(std::mem::take(field));
    let row = std::mem::take(fields);
    if row.iter().any(|field| !field.trim().is_empty()) {
        rows.push((began, row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "account,kind,course,date,until,result,version,evidence\n";

    fn today() -> Date {
        "2026-11-30".parse().unwrap()
    }

    #[track_caller]
    fn refused(text: &str, expected: &[(usize, &str)]) {
        let found = read(text, today()).unwrap_err();
        let found: Vec<(usize, &str)> =
            found.iter().map(|bad| (bad.number, &*bad.problem)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_list_is_read_with_quotes_line_ends_and_columns_in_any_order() {
        let text = "\u{feff}date,Account,course,kind,evidence\r\n\
             2026-01-31,det.ruiz,awareness,training,\"No. 7, \"\"A\"\"\nfolder 3\"\r\n\r\n\
             2026-02-01,riverton|ofc.hale,awareness,Training,";
        // A line end in a field is a control character there.
        refused(text, &[(2, "`evidence` is longer than 256 bytes or holds a control character")]);
        let lines = read(&text.replace("\nfolder", " folder"), today()).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].evidence, "No. 7, \"A\" folder 3");
        assert_eq!((lines[0].number, &*lines[0].account), (2, "det.ruiz"));
        assert_eq!((lines[1].number, &*lines[1].account), (4, "riverton|ofc.hale"));
        assert_eq!(lines[1].kind, Kind::Training);
    }

    #[test]
    fn every_bad_line_is_named_and_nothing_of_it_is_repeated() {
        let text = format!(
            "{HEAD}det.ruiz,training,a,2026-11-30,,,,\n\
             det.ruiz,course,a,2026-11-30,,,,\n\
             ,training,a,2026-11-30,,,,\n\
             det.ruiz,training,a,30.11.2026,,,,\n\
             det.ruiz,training,a,2026-12-01,,,,\n\
             det.ruiz,training,a,2026-02-30,,,,\n\
             det.ruiz,training,a,2026-11-01,2026-10-01,,,\n\
             det.ruiz,training,a,2026-11-01,,cleared,,\n\
             det.ruiz,screening,a,2026-11-01,,fine,,\n\
             det.ruiz,training,a,2026-11-01,,,3,\n\
             det.ruiz,training,a\n"
        );
        refused(
            &text,
            &[
                (3, "`kind` is not training, screening or agreement"),
                (4, "`account` is empty"),
                (5, "`date` is not a day such as 2026-11-30"),
                (6, "`date` is in the future"),
                (7, "`date` is not a day such as 2026-11-30"),
                (8, "`until` is before `date`"),
                (9, "`result` is for screenings"),
                (10, "`result` is not cleared, pending or not-cleared"),
                (11, "`version` is for agreements"),
                (12, "has 3 fields, and the header has 8"),
            ],
        );
    }

    #[test]
    fn what_is_no_list_is_refused() {
        refused("", &[(1, "the list is empty")]);
        refused(HEAD, &[(1, "there is no line after the header")]);
        refused("account,kind,course\n", &[(1, "the header does not name `date`")]);
        refused("account,account\n", &[(1, "the header names `account` twice")]);
        let columns = "account, kind, course, date, until, result, version, evidence";
        refused("name\nx", &[(1, &format!("the header names a column that is none of {columns}"))]);
        refused("a\"b", &[(1, "has a quote in a field without quotes")]);
        refused("\"a\"b", &[(1, "has text after a quoted field")]);
        refused("a\n\"b\nc", &[(2, "opens a quote that is never closed")]);
        refused(&"x".repeat(CSV_BYTES_MAX + 1), &[(1, "the list is over 256 KiB")]);
        let many = HEAD.to_owned() + &"a,training,c,2026-11-01,,,,\n".repeat(CSV_LINES_MAX + 1);
        refused(&many, &[(2_002, "the list has more than 2,000 lines")]);
        let wrong = HEAD.to_owned() + &"a,b,c,d,,,,\n".repeat(60);
        assert_eq!(read(&wrong, today()).unwrap_err().len(), PROBLEMS_MAX + 1);
    }
}
