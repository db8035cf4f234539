//! Rows as files: CSV (RFC 4180) and JSON.

use gate::{Rows, Value};

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
