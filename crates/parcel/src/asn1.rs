//! DER (X.690), written and read by hand: only what the two CMS forms of this profile need.
//!
//! The reader takes definite, shortest lengths and single-byte tags, nothing else. What it can't
//! see (order of sets, defaults written out), the callers refuse by writing the structure again
//! and comparing bytes.

/// Tags used here.
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Context tag 0, primitive: IMPLICIT OCTET STRING.
pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;
/// Context tags, constructed.
pub(crate) const CONTEXT_0: u8 = 0xa0;
pub(crate) const CONTEXT_1: u8 = 0xa1;
pub(crate) const CONTEXT_2: u8 = 0xa2;
pub(crate) const CONTEXT_4: u8 = 0xa4;

/// Tag and length for `length` bytes of content.
pub(crate) fn head(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match (significant.as_slice(), u8::try_from(significant.len())) {
        ([], _) => out.push(0),
        ([short @ 0..=0x7f], _) => out.push(*short),
        (long, Ok(count)) => {
            out.push(0x80 | count);
            out.extend_from_slice(long);
        }
        // A usize has at most eight bytes.
        (_, Err(_)) => {}
    }
    out
}

/// One element with the parts as its content.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = head(tag, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// SET OF in DER order. `tag` is SET, or an IMPLICIT tag in its place.
pub(crate) fn set_of(tag: u8, mut elements: Vec<Vec<u8>>) -> Vec<u8> {
    elements.sort();
    let parts: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    element(tag, &parts)
}

/// A reader over one run of elements.
#[derive(Clone, Copy)]
pub(crate) struct Der<'a>(pub(crate) &'a [u8]);

impl<'a> Der<'a> {
    /// The next element's content, if it has this tag.
    pub(crate) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let whole = self.take_whole(tag)?;
        let (_, start, _) = announce(whole)?;
        whole.get(start..)
    }

    /// The next element, whole, if it has this tag.
    pub(crate) fn take_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, start, length) = announce(self.0)?;
        let (whole, rest) = self.0.split_at_checked(start.checked_add(length)?)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(whole)
    }

    /// The next element, whole, whatever its tag.
    pub(crate) fn take_any(&mut self) -> Option<&'a [u8]> {
        let (tag, _, _) = announce(self.0)?;
        self.take_whole(tag)
    }

    /// A reader into the next element.
    pub(crate) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Der)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Some` if nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

/// The first element's tag, where its content starts, and how long the content says it is
/// (which may be more than there is).
pub(crate) fn announce(input: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, rest) = input.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return Some((tag, 2, usize::from(first)));
    }
    let count = usize::from(first & 0x7f);
    let bytes = rest.get(..count)?;
    // Indefinite lengths (count 0), lengths beyond 32 bits, and lengths that are not the shortest.
    let shortest = match bytes {
        [] | [0, ..] => false,
        [one] => *one >= 0x80,
        more => more.len() <= 4,
    };
    if !shortest {
        return None;
    }
    let length = bytes.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    Some((tag, 2 + count, length))
}

#[cfg(test)]
mod tests {
    use super::{Der, OCTET_STRING, announce, element, head};

    #[test]
    fn lengths_are_the_shortest() {
        assert_eq!(head(4, 0), [4, 0]);
        assert_eq!(head(4, 127), [4, 127]);
        assert_eq!(head(4, 128), [4, 0x81, 128]);
        assert_eq!(head(4, 0x1234), [4, 0x82, 0x12, 0x34]);
        assert_eq!(head(4, 64 << 20), [4, 0x84, 4, 0, 0, 0]);
    }

    #[test]
    fn indefinite_and_padded_lengths_are_refused() {
        for bad in [&[4, 0x80, 0, 0][..], &[4, 0x81, 1, 7], &[4, 0x82, 0, 200], &[0x1f, 1, 0], &[4]]
        {
            assert_eq!(announce(bad), None, "{bad:?}");
            assert!(Der(bad).take(OCTET_STRING).is_none());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let written = element(OCTET_STRING, &[&content]);
            let mut reader = Der(&written);
            assert_eq!(reader.take(OCTET_STRING), Some(content.as_slice()));
            assert_eq!(reader.end(), Some(()));
        }
    }
}
