//! `multipart/form-data` (RFC 7578) as browsers send it for a form with a file in it.
//!
//! The body is whole and in memory already. What no browser sends is refused, not guessed: a preamble, nested parts,
//! a part without a name, a name that is not UTF-8.

/// Parts of one body.
const PARTS_MAX: usize = 64;

/// The longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 4096;

/// The longest boundary (RFC 2046, 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// One field of the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The field's name.
    pub name: String,
    /// What the file is called where it came from; browsers send an empty name if none was chosen. None where it came as
    /// no file.
    pub file_name: Option<String>,
    /// What was typed or chosen.
    pub content: &'a [u8],
}

/// The body is not such a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form is not multipart/form-data as browsers send it")]
pub struct Malformed;

/// The boundary in a `Content-Type`, if it is of such a form.
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let (name, value) = parameters.trim().split_once('=')?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    let sound = name.eq_ignore_ascii_case("boundary")
        && (1..=BOUNDARY_BYTES_MAX).contains(&value.len())
        && value.bytes().all(sound);
    sound.then_some(value)
}

/// The parts of a body, in their order.
///
/// # Errors
/// [`Malformed`].
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, Malformed> {
    let line = format!("--{boundary}");
    let between = format!("\r\n{line}");
    let mut rest = body.strip_prefix(line.as_bytes()).ok_or(Malformed)?;
    let mut parts = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return if matches!(end, b"" | b"\r\n") { Ok(parts) } else { Err(Malformed) };
        }
        rest = rest.strip_prefix(b"\r\n").ok_or(Malformed)?;
        let (head, after) = split(rest, b"\r\n\r\n", HEAD_BYTES_MAX).ok_or(Malformed)?;
        let (content, after) = split(after, between.as_bytes(), usize::MAX).ok_or(Malformed)?;
        let (name, file_name) = disposition(head).ok_or(Malformed)?;
        if parts.len() >= PARTS_MAX {
            return Err(Malformed);
        }
        parts.push(Part { name, file_name, content });
        rest = after;
    }
}

/// What stands before and behind the first `mark`, if that is within so many bytes.
fn split<'a>(bytes: &'a [u8], mark: &[u8], within: usize) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).take(within).position(|window| window == mark)?;
    let (before, from) = bytes.split_at_checked(at)?;
    Some((before, from.get(mark.len()..)?))
}

/// The field's name, and the file's where it is one: from exactly one Content-Disposition.
pub(crate) fn disposition(head: &[u8]) -> Option<(String, Option<String>)> {
    let head = std::str::from_utf8(head).ok()?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
    let (Some((_, value)), None) = (found.next(), found.next()) else { return None };
    let mut rest = value.trim().strip_prefix("form-data")?;
    let (mut name, mut file_name) = (None, None);
    // Browsers write `"` in a name as %22, so that a quotation mark always ends it.
    while let Some(parameter) = rest.trim_start().strip_prefix(';') {
        let (key, after) = parameter.trim_start().split_once("=\"")?;
        let (text, after) = after.split_once('"')?;
        match key {
            "name" if name.is_none() => name = Some(text.to_owned()),
            "filename" if file_name.is_none() => file_name = Some(text.to_owned()),
            _ => return None,
        }
        rest = after;
    }
    rest.trim().is_empty().then_some((name?, file_name))
}

/// For the fuzzer: no body makes a part that is not in it.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let (head, body) = data.split_at_checked(data.len().min(80)).unwrap_or_default();
    if let Some(found) = boundary(&String::from_utf8_lossy(head)) {
        drop(parts(body, found));
    }
    if let Ok(parts) = parts(data, "x") {
        let length: usize = parts.iter().map(|part| part.content.len()).sum();
        assert!(length < data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--x\r\n\
        Content-Disposition: form-data; name=\"metadata\"; filename=\"idp; \u{e9}.xml\"\r\n\
        Content-Type: text/xml\r\n\r\n<a>\r\n--y</a>\r\n--x--\r\n";

    #[test]
    fn the_fields_of_a_browsers_form_are_read_and_a_file_may_hold_what_looks_like_a_boundary() {
        let parts = parts(GOOD.as_bytes(), "x").unwrap();
        let read: Vec<(&str, Option<&str>, &[u8])> = parts
            .iter()
            .map(|part| (&*part.name, part.file_name.as_deref(), part.content))
            .collect();
        assert_eq!(
            read,
            [
                ("csrf", None, &b"abc"[..]),
                ("metadata", Some("idp; \u{e9}.xml"), &b"<a>\r\n--y</a>"[..]),
            ]
        );
        assert_eq!(super::parts(b"--x--", "x").unwrap(), []);
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        let bad = [
            GOOD.replace("--x--", "--x"),
            GOOD.replace("--x--\r\n", "--x--more"),
            format!("preamble\r\n{GOOD}"),
            GOOD.replace("name=\"csrf\"", "name=csrf"),
            GOOD.replace("name=\"csrf\"", "name=\"csrf\"; name=\"other\""),
            GOOD.replace("; name=\"csrf\"", ""),
            GOOD.replace("Content-Disposition: form-data; name=\"csrf\"", "Content-Type: a/b"),
            GOOD.replace("form-data; name=\"csrf\"", "attachment; name=\"csrf\""),
            GOOD.replace("\r\n", "\n"),
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(70) + "--x--",
        ];
        for body in bad {
            assert_eq!(parts(body.as_bytes(), "x"), Err(Malformed), "{body}");
        }
        let latin = GOOD.replace("csrf", "cs?f").into_bytes();
        let latin: Vec<u8> = latin.iter().map(|b| if *b == b'?' { 0xe9 } else { *b }).collect();
        assert_eq!(parts(&latin, "x"), Err(Malformed));
    }

    #[test]
    fn a_boundary_is_taken_from_a_form_with_a_file_and_from_nothing_else() {
        let of = |text| boundary(text);
        assert_eq!(of("multipart/form-data; boundary=----WebKit1"), Some("----WebKit1"));
        assert_eq!(of("Multipart/Form-Data;boundary=\"a b\""), None);
        assert_eq!(of("multipart/form-data; boundary=\"a-b\""), Some("a-b"));
        assert_eq!(of("multipart/mixed; boundary=x"), None);
        assert_eq!(of("multipart/form-data"), None);
        assert_eq!(of(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }
}
