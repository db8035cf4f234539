//! Rows as files: CSV (RFC 4180) and JSON.

use gate::{Rows, Value};

/// The rows without some of their columns.
pub(crate) fn without(rows: &Rows, columns: &[String]) -> Rows {
    let kept: Vec<bool> = rows.columns.iter().map(|name| !columns.contains(name)).collect();
    let is_kept = |column: &String| !columns.contains(column);
    Rows {
        columns: keep(&rows.columns, &kept),
        rows: rows.rows.iter().map(|row| keep(row, &kept)).collect(),
        total: rows.total,
        subjects: rows.subjects.iter().filter(|one| is_kept(&one.column)).cloned().collect(),
        caveat_column: rows.caveat_column.clone().filter(is_kept),
    }
}

fn keep<T: Clone>(all: &[T], kept: &[bool]) -> Vec<T> {
    all.iter().zip(kept).filter(|(_, kept)| **kept).map(|(one, _)| one.clone()).collect()
}

/// CSV with a header line. A field that a spreadsheet would take for a formula gets an apostrophe
/// in front, so that opening the file runs nothing.
pub(crate) fn csv(rows: &Rows) -> Vec<u8> {
    let mut out = String::new();
    line(&mut out, rows.columns.iter().map(String::as_str));
    for row in &rows.rows {
        let texts: Vec<String> = row.iter().map(text).collect();
        line(&mut out, texts.iter().map(String::as_str));
    }
    out.into_bytes()
}

/// A JSON array with one object a row, in the order of the columns.
pub(crate) fn json(rows: &Rows) -> Vec<u8> {
    let object = |row: &Vec<Value>| {
        let pairs = rows.columns.iter().zip(row);
        pairs.map(|(name, value)| (name.clone(), plain(value))).collect::<serde_json::Map<_, _>>()
    };
    let list = rows.rows.iter().map(|row| serde_json::Value::Object(object(row))).collect();
    let mut bytes = serde_json::Value::Array(list).to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => guarded(text),
        Value::Bool(_) | Value::Int(_) | Value::Real(_) => value.to_string(),
    }
}

fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn line<'a>(out: &mut String, fields: impl Iterator<Item = &'a str>) {
    for (at, field) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        if field.contains([',', '"', '\r', '\n']) {
            out.push('"');
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate::Total;

    #[test]
    fn a_column_that_stays_is_in_no_form_of_the_rows() {
        let rows = Rows {
            columns: vec!["name".into(), "dob".into(), "caveat".into()],
            rows: vec![vec![Value::Text("Marlow".into()), Value::Text("1990".into()), Value::Null]],
            total: Total::Exact(1),
            subjects: vec![],
            caveat_column: Some("caveat".into()),
        };
        let left = without(&rows, &["dob".to_owned(), "caveat".to_owned()]);
        assert_eq!(String::from_utf8(csv(&left)).unwrap(), "name\r\nMarlow\r\n");
        assert_eq!(String::from_utf8(json(&left)).unwrap(), "[{\"name\":\"Marlow\"}]\n");
        assert_eq!(left.caveat_column, None);
        assert_eq!(without(&rows, &[]), rows);
    }

    #[test]
    fn fields_are_quoted_and_formulas_are_disarmed() {
        let rows = Rows {
            columns: vec!["name".into(), "note".into()],
            rows: vec![vec![Value::Text("=1+1".into()), Value::Text("a \"b\", c".into())]],
            total: Total::Exact(1),
            subjects: vec![],
            caveat_column: None,
        };
        assert_eq!(
            String::from_utf8(csv(&rows)).unwrap(),
            "name,note\r\n'=1+1,\"a \"\"b\"\", c\"\r\n"
        );
        assert_eq!(
            String::from_utf8(json(&rows)).unwrap(),
            "[{\"name\":\"=1+1\",\"note\":\"a \\\"b\\\", c\"}]\n"
        );
    }
}
