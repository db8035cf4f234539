//! LDAP's messages (RFC 4511), as far as a check of groups needs them: bind, search, unbind, paged results.
//!
//! Invariant: what comes from a directory is bounded before it is read; a referral is never followed.

use super::ber::{
    BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, element, joined,
    length, number,
};

/// Longest message that is read: an entry with many groups has some hundred kilobytes.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Values of one attribute.
const VALUES_MAX: usize = 10_000;

/// Simple paged results (RFC 2696).
const PAGED: &[u8] = b"1.2.840.113556.1.4.319";

/// What a directory answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Bound(Outcome),
    Entry(Entry),
    /// There is more elsewhere, which nobody asks there.
    Elsewhere,
    Done {
        outcome: Outcome,
        cookie: Vec<u8>,
    },
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// RFC 4511's result code; 0 is success.
    pub code: i64,
}

/// Something that was found. Attribute names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub dn: String,
    pub attributes: Vec<(String, Vec<String>)>,
}

impl Entry {
    /// The values of an attribute.
    #[must_use]
    pub(super) fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values)
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub base: &'a str,
    pub filter: &'a [u8],
    pub attributes: &'a [&'a str],
    /// Entries at most; the directory says when there are more.
    pub entries_max: u32,
    pub seconds_max: u32,
    pub page: u32,
    pub cookie: &'a [u8],
}

/// A simple bind, which goes over TLS alone.
#[must_use]
pub(super) fn bind(id: u32, dn: &str, password: &str) -> Vec<u8> {
    let version = number(INTEGER, 3);
    let request = [version, element(OCTETS, dn.as_bytes()), element(0x80, password.as_bytes())];
    message(id, joined(0x60, &request), None)
}

#[must_use]
pub(super) fn search(id: u32, search: &Search<'_>) -> Vec<u8> {
    let attributes: Vec<Vec<u8>> =
        search.attributes.iter().map(|name| element(OCTETS, name.as_bytes())).collect();
    let request = joined(
        0x63,
        &[
            element(OCTETS, search.base.as_bytes()),
            // The whole subtree, and aliases are not followed.
            number(ENUMERATED, 2),
            number(ENUMERATED, 0),
            number(INTEGER, search.entries_max),
            number(INTEGER, search.seconds_max),
            element(BOOLEAN, &[0]),
            search.filter.to_vec(),
            joined(SEQUENCE, &attributes),
        ],
    );
    let value = [number(INTEGER, search.page), element(OCTETS, search.cookie)];
    let control = joined(
        SEQUENCE,
        &[
            element(OCTETS, PAGED),
            element(BOOLEAN, &[0xff]),
            element(OCTETS, &joined(SEQUENCE, &value)),
        ],
    );
    message(id, request, Some(element(0xa0, &control)))
}

#[must_use]
pub(super) fn unbind(id: u32) -> Vec<u8> {
    message(id, element(0x42, &[]), None)
}

fn message(id: u32, operation: Vec<u8>, controls: Option<Vec<u8>>) -> Vec<u8> {
    let parts: Vec<Vec<u8>> =
        [number(INTEGER, id), operation].into_iter().chain(controls).collect();
    joined(SEQUENCE, &parts)
}

/// How long the message at the beginning of `bytes` is. `None`: more bytes are needed to tell.
///
/// # Errors
/// [`Malformed`] for what begins no message, or one that is too long.
pub(super) fn whole(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((tag, rest)) = bytes.split_first() else { return Ok(None) };
    if *tag != SEQUENCE {
        return Err(Malformed { what: "a message begins otherwise" });
    }
    let Some((length, rest)) = length(rest)? else { return Ok(None) };
    let head = bytes.len().saturating_sub(rest.len());
    match length.checked_add(head).filter(|whole| *whole <= MESSAGE_BYTES_MAX) {
        Some(whole) => Ok(Some(whole)),
        None => Err(Malformed { what: "a message of more than 4 MiB" }),
    }
}

/// Reads one whole message: its number and the answer in it.
///
/// # Errors
/// [`Malformed`] for anything that LDAP does not write, or that was not asked for.
pub(super) fn read(bytes: &[u8]) -> Result<(i64, Answer), Malformed> {
    let mut outside = Reader::new(bytes);
    let mut inside = Reader::new(outside.expect(SEQUENCE)?);
    if !outside.is_at_end() {
        return Err(Malformed { what: "something follows the message" });
    }
    let id = inside.number(INTEGER)?;
    let (tag, operation) = inside.next()?;
    let answer = match tag {
        0x61 => Answer::Bound(outcome(operation)?),
        0x64 => Answer::Entry(entry(operation)?),
        0x73 => Answer::Elsewhere,
        0x65 => Answer::Done { outcome: outcome(operation)?, cookie: cookie(inside)? },
        _ => return Err(Malformed { what: "an answer to something else" }),
    };
    Ok((id, answer))
}

fn outcome(operation: &[u8]) -> Result<Outcome, Malformed> {
    let mut reader = Reader::new(operation);
    let code = reader.number(ENUMERATED)?;
    reader.expect(OCTETS)?;
    // The directory's own words are for its administrators, and may repeat what was asked.
    reader.expect(OCTETS)?;
    Ok(Outcome { code })
}

fn entry(operation: &[u8]) -> Result<Entry, Malformed> {
    let mut reader = Reader::new(operation);
    let dn = text(reader.expect(OCTETS)?).ok_or(Malformed { what: "a name that is no text" })?;
    let mut list = Reader::new(reader.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    while !list.is_at_end() {
        let mut attribute = Reader::new(list.expect(SEQUENCE)?);
        let name = attribute.expect(OCTETS)?;
        let name = text(name).ok_or(Malformed { what: "an attribute that is no text" })?;
        // Active Directory gives long lists in pieces, `member;range=0-1499`: half a list is none.
        if name.to_ascii_lowercase().contains(";range=") {
            return Err(Malformed { what: "a list in pieces" });
        }
        let mut set = Reader::new(attribute.expect(SET)?);
        let mut values = Vec::new();
        while !set.is_at_end() {
            if values.len() >= VALUES_MAX {
                return Err(Malformed { what: "an attribute of more than 10,000 values" });
            }
            // What is no text names neither a group nor a person.
            values.extend(text(set.expect(OCTETS)?));
        }
        attributes.push((name.to_ascii_lowercase(), values));
    }
    Ok(Entry { dn, attributes })
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The cookie of the next page, out of what follows the operation; empty at the last.
fn cookie(mut after: Reader<'_>) -> Result<Vec<u8>, Malformed> {
    if after.peek() != Some(0xa0) {
        return Ok(Vec::new());
    }
    let mut controls = Reader::new(after.expect(0xa0)?);
    while !controls.is_at_end() {
        let mut control = Reader::new(controls.expect(SEQUENCE)?);
        let kind = control.expect(OCTETS)?;
        if control.peek() == Some(BOOLEAN) {
            control.expect(BOOLEAN)?;
        }
        if kind == PAGED {
            let mut value = Reader::new(control.expect(OCTETS)?);
            let mut value = Reader::new(value.expect(SEQUENCE)?);
            value.number(INTEGER)?;
            return Ok(value.expect(OCTETS)?.to_vec());
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(code: u32, controls: &[u8]) -> Vec<u8> {
        let result = [number(ENUMERATED, code), element(OCTETS, b""), element(OCTETS, b"words")];
        joined(SEQUENCE, &[number(INTEGER, 3), joined(0x65, &result), controls.to_vec()])
    }

    #[test]
    fn answers_are_read_and_pages_go_on_where_they_ended() {
        let value = joined(SEQUENCE, &[number(INTEGER, 0), element(OCTETS, b"more")]);
        let control = joined(SEQUENCE, &[element(OCTETS, PAGED), element(OCTETS, &value)]);
        let (id, answer) = read(&done(0, &element(0xa0, &control))).unwrap();
        assert_eq!(id, 3);
        let expected = Answer::Done { outcome: Outcome { code: 0 }, cookie: b"more".to_vec() };
        assert_eq!(answer, expected);
        let (_, answer) = read(&done(49, &[])).unwrap();
        assert_eq!(answer, Answer::Done { outcome: Outcome { code: 49 }, cookie: Vec::new() });
    }

    #[test]
    fn an_entry_is_read_and_a_list_in_pieces_is_refused() {
        let found = |name: &str| {
            let values = element(SET, &[element(OCTETS, b"a"), element(OCTETS, b"\xff")].concat());
            let attribute = joined(SEQUENCE, &[element(OCTETS, name.as_bytes()), values]);
            let entry = [element(OCTETS, b"cn=x"), joined(SEQUENCE, &[attribute])];
            read(&joined(SEQUENCE, &[number(INTEGER, 2), joined(0x64, &entry)]))
        };
        let (_, Answer::Entry(entry)) = found("memberOf").unwrap() else { panic!() };
        assert_eq!((entry.dn.as_str(), entry.values("MEMBEROF")), ("cn=x", &["a".to_owned()][..]));
        found("member;range=0-1499").unwrap_err();
    }

    #[test]
    fn a_message_is_bounded_before_it_is_read() {
        assert_eq!(whole(&[]).unwrap(), None);
        assert_eq!(whole(&[0x30, 0x84, 0, 0]).unwrap(), None);
        assert_eq!(whole(&[0x30, 0x84, 0, 0, 0, 9, 1]).unwrap(), Some(15));
        whole(&[0x30, 0x84, 0x7f, 0, 0, 0]).unwrap_err();
        whole(b"HTTP/1.1").unwrap_err();
        read(&[0x30, 3, 2, 1, 1]).unwrap_err();
    }
}
