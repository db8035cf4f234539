//! BER as LDAP uses it (RFC 4511, 5.1): one-byte tags and definite lengths, read with limits, and written.
//!
//! Lengths need not be the shortest, for Active Directory writes four bytes always.

/// An element that is not what LDAP writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what the directory answered is not LDAP: {what}")]
pub struct Malformed {
    pub what: &'static str,
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Reads elements one after another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag and its content.
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let short = Malformed { what: "an element is cut off" };
        let (tag, rest) = self.0.split_first().ok_or(short)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed { what: "a tag of more than one byte" });
        }
        let (length, rest) = length(rest)?.ok_or(short)?;
        let (content, rest) = rest.split_at_checked(length).ok_or(short)?;
        self.0 = rest;
        Ok((*tag, content))
    }

    /// The content of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed { what: "another element than was expected" }),
        }
    }

    /// A number of at most four bytes.
    pub(super) fn number(&mut self, tag: u8) -> Result<i64, Malformed> {
        let content = self.expect(tag)?;
        let first = content.first().ok_or(Malformed { what: "a number without digits" })?;
        if content.len() > 4 {
            return Err(Malformed { what: "a number of more than four bytes" });
        }
        let sign = if first & 0x80 == 0 { 0 } else { -1 };
        Ok(content.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
    }
}

/// The length at the beginning of `bytes`, and what follows it. `None`: more bytes are needed.
pub(super) fn length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, Malformed> {
    let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
    if first & 0x80 == 0 {
        return Ok(Some((usize::from(*first), rest)));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(Malformed { what: "a length that is indefinite or of more than four bytes" });
    }
    let Some((digits, rest)) = rest.split_at_checked(count) else { return Ok(None) };
    let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    Ok(Some((length, rest)))
}

/// An element.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let zeros = digits.iter().take_while(|digit| **digit == 0).count();
            let digits = digits.get(zeros..).unwrap_or_default();
            out.push(0x80 | digits.len().to_be_bytes().last().copied().unwrap_or_default());
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(content);
    out
}

/// An element of elements.
pub(super) fn joined(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    element(tag, &parts.concat())
}

pub(super) fn number(tag: u8, number: u32) -> Vec<u8> {
    let digits = number.to_be_bytes();
    let zeros = digits.iter().take_while(|digit| **digit == 0).count().min(3);
    let digits = digits.get(zeros..).unwrap_or_default();
    // A first bit of 1 would make it negative.
    let sign: &[u8] =
        if digits.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    element(tag, &[sign, digits].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_every_form_that_directories_write() {
        for (bytes, content) in [
            (vec![4, 2, 7, 8], vec![7, 8]),
            (vec![4, 0x84, 0, 0, 0, 2, 7, 8], vec![7, 8]),
            (element(4, &[9; 200]), vec![9; 200]),
            (element(4, &[9; 70_000]), vec![9; 70_000]),
        ] {
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.expect(OCTETS).unwrap(), content);
            assert!(reader.is_at_end());
        }
        for bytes in
            [&[4][..], &[4, 3, 1, 2], &[4, 0x80, 0, 0], &[0x1f, 1, 0], &[4, 0x85, 0, 0, 0, 0, 1]]
        {
            Reader::new(bytes).next().unwrap_err();
        }
    }

    #[test]
    fn numbers_keep_their_sign() {
        for value in [0, 1, 127, 128, 255, 256, 65_535, 2_147_483_647] {
            let bytes = number(INTEGER, value);
            assert_eq!(Reader::new(&bytes).number(INTEGER).unwrap(), i64::from(value));
        }
        assert_eq!(Reader::new(&[2, 1, 0xff]).number(INTEGER).unwrap(), -1);
        for bytes in [&[2, 0][..], &[2, 5, 1, 0, 0, 0, 0], &[4, 1, 1]] {
            Reader::new(bytes).number(INTEGER).unwrap_err();
        }
    }
}
