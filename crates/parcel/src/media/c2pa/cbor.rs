//! CBOR (RFC 8949), read into a tree: definite and indefinite lengths, tags looked through.

use super::super::Bytes;

const DEPTH_MAX: usize = 32;
/// Values of one text.
const VALUES_MAX: usize = 100_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Number(i128),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// Booleans, null, reals, and strings that came in pieces: nothing here asks for one.
    Other,
}

/// Reads one value; what follows it is let be.
pub(super) fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let mut reader = Reader { bytes: Bytes(bytes), left: VALUES_MAX };
    reader.value(0)
}

impl<'a> Value<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.by(&|found| found.text() == Some(key))
    }

    pub(super) fn number(&self, key: i128) -> Option<&Self> {
        self.by(&|found| *found == Value::Number(key))
    }

    fn by(&self, is: &dyn Fn(&Self) -> bool) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| is(key)).map(|(_, value)| value)
    }

    pub(super) fn at(&self, place: usize) -> Option<&Self> {
        let Self::List(values) = self else { return None };
        values.get(place)
    }

    pub(super) fn first(&self) -> Option<&Self> {
        self.at(0)
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

struct Reader<'a> {
    bytes: Bytes<'a>,
    left: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        if depth > DEPTH_MAX {
            return None;
        }
        let first = self.bytes.u8()?;
        let (major, small) = (first >> 5, first & 31);
        let argument = match small {
            0..=23 => Some(u64::from(small)),
            24 => Some(u64::from(self.bytes.u8()?)),
            25 => Some(u64::from(self.bytes.u16()?)),
            26 => Some(u64::from(self.bytes.u32()?)),
            27 => Some(self.bytes.u64()?),
            // Without a length, up to a break.
            31 => None,
            _ => return None,
        };
        match (major, argument) {
            (0, Some(number)) => Some(Value::Number(i128::from(number))),
            (1, Some(number)) => Some(Value::Number(-1 - i128::from(number))),
            (2, Some(length)) => self.bytes.take(usize::try_from(length).ok()?).map(Value::Bytes),
            (3, Some(length)) => {
                let text = self.bytes.take(usize::try_from(length).ok()?)?;
                std::str::from_utf8(text).ok().map(Value::Text)
            }
            (2 | 3, None) => {
                while !self.at_break()? {
                    self.value(depth + 1)?;
                }
                Some(Value::Other)
            }
            (4, length) => {
                let mut out = Vec::new();
                while !self.is_end(length, out.len())? {
                    out.push(self.value(depth + 1)?);
                }
                Some(Value::List(out))
            }
            (5, length) => {
                let mut out = Vec::new();
                while !self.is_end(length, out.len())? {
                    out.push((self.value(depth + 1)?, self.value(depth + 1)?));
                }
                Some(Value::Map(out))
            }
            (6, Some(_)) => self.value(depth + 1),
            (7, Some(_)) => Some(Value::Other),
            _ => None,
        }
    }

    /// Whether a list with so many values is complete.
    fn is_end(&mut self, length: Option<u64>, have: usize) -> Option<bool> {
        match length {
            Some(length) => Some(have as u64 >= length),
            None => self.at_break(),
        }
    }

    /// Whether the next byte is a break, which is then taken.
    fn at_break(&mut self) -> Option<bool> {
        let ends = *self.bytes.0.first()? == 0xff;
        if ends {
            self.bytes.u8()?;
        }
        Some(ends)
    }
}
