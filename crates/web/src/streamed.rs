//! A form with one large file, read while it comes in: `multipart/form-data` (RFC 7578) as browsers send it.
//!
//! Nothing of the file is kept here: it is handed on piece by piece. What no browser sends is refused, not guessed, as in
//! [`crate::multipart`]; so is a second file, and a field that is longer than a person types.

use crate::multipart::{Malformed, disposition};

/// The longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 4096;
/// The longest typed field, in bytes.
const FIELD_BYTES_MAX: usize = 64 * 1024;
/// Parts of one form.
const PARTS_MAX: usize = 64;

/// What came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// A typed field: name and text.
    Field(String, Vec<u8>),
    /// The file begins.
    File,
    /// More of it.
    Piece(Vec<u8>),
}

/// Where in the form the reading is.
enum Place {
    /// Before the first boundary.
    Begin,
    /// Behind a boundary: another part or the end.
    Between,
    Head,
    Field(String),
    File,
    Over,
}

/// A form that is coming in.
pub struct Streamed {
    /// What ends a part.
    mark: Vec<u8>,
    /// What was not understood yet.
    rest: Vec<u8>,
    place: Place,
    parts: usize,
    has_file: bool,
}

impl Streamed {
    /// One whose parts this boundary divides.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        // The first boundary has no line before it.
        let (mark, rest) = (format!("\r\n--{boundary}").into_bytes(), b"\r\n".to_vec());
        Self { mark, rest, place: Place::Begin, parts: 0, has_file: false }
    }

    /// Takes what came, and gives what is in it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Came>, Malformed> {
        self.rest.extend_from_slice(bytes);
        let mut came = Vec::new();
        while self.step(&mut came)? {}
        Ok(came)
    }

    /// Whether all of it came.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.place, Place::Over) && matches!(self.rest.as_slice(), b"" | b"\r\n")
    }

    /// One step on. False where more has to come first.
    fn step(&mut self, came: &mut Vec<Came>) -> Result<bool, Malformed> {
        match &self.place {
            Place::Begin => {
                if self.rest.len() < self.mark.len() {
                    return Ok(false);
                }
                let mark = self.mark.len();
                self.take_exactly(mark).filter(|it| *it == self.mark).ok_or(Malformed)?;
                self.place = Place::Between;
            }
            Place::Between => match self.rest.get(..2) {
                None => return Ok(false),
                Some(b"--") => {
                    self.rest.drain(..2);
                    self.place = Place::Over;
                }
                Some(b"\r\n") if self.parts < PARTS_MAX => {
                    self.rest.drain(..2);
                    self.parts += 1;
                    self.place = Place::Head;
                }
                Some(_) => return Err(Malformed),
            },
            Place::Head => {
                let Some(head) = self.take_until(b"\r\n\r\n", HEAD_BYTES_MAX)? else {
                    return Ok(false);
                };
                let (name, file_name) = disposition(&head).ok_or(Malformed)?;
                let is_file = file_name.is_some();
                if is_file && std::mem::replace(&mut self.has_file, true) {
                    return Err(Malformed);
                }
                self.place = if is_file { Place::File } else { Place::Field(name) };
                if is_file {
                    came.push(Came::File);
                }
            }
            Place::Field(name) => {
                let (name, mark) = (name.clone(), self.mark.clone());
                let Some(text) = self.take_until(&mark, FIELD_BYTES_MAX)? else {
                    return Ok(false);
                };
                came.push(Came::Field(name, text));
                self.place = Place::Between;
            }
            Place::File => {
                if let Some(at) = find(&self.rest, &self.mark) {
                    let last = self.take_exactly(at).ok_or(Malformed)?;
                    self.rest.drain(..self.mark.len());
                    if !last.is_empty() {
                        came.push(Came::Piece(last));
                    }
                    self.place = Place::Between;
                    return Ok(true);
                }
                // The mark may have begun at the end of what is here.
                let sure = self.rest.len().saturating_sub(self.mark.len() - 1);
                if sure > 0 {
                    came.push(Came::Piece(self.take_exactly(sure).ok_or(Malformed)?));
                }
                return Ok(false);
            }
            Place::Over => {
                return if self.rest.len() > 2 { Err(Malformed) } else { Ok(false) };
            }
        }
        Ok(true)
    }

    /// What stands before `mark`, within so many bytes; both go. None where more has to come first.
    fn take_until(&mut self, mark: &[u8], bytes_max: usize) -> Result<Option<Vec<u8>>, Malformed> {
        let Some(at) = find(&self.rest, mark) else {
            return if self.rest.len() > bytes_max { Err(Malformed) } else { Ok(None) };
        };
        if at > bytes_max {
            return Err(Malformed);
        }
        let before = self.take_exactly(at).ok_or(Malformed)?;
        self.rest.drain(..mark.len());
        Ok(Some(before))
    }

    /// The first so many bytes, which go.
    fn take_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        if count > self.rest.len() {
            return None;
        }
        let after = self.rest.split_off(count);
        Some(std::mem::replace(&mut self.rest, after))
    }
}

/// Where `mark` begins for the first time.
fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    let first = *mark.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes.get(at..)?.starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// For the fuzzer: however the bytes are cut, the same comes of them, and nothing that was not in them.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Some((cut, form)) = data.split_first() else { return };
    let read = |size: usize| {
        let mut streamed = Streamed::new("x");
        let mut all: Vec<Came> = Vec::new();
        for piece in form.chunks(size) {
            for came in streamed.push(piece).ok()? {
                match (all.last_mut(), came) {
                    (Some(Came::Piece(before)), Came::Piece(more)) => before.extend(more),
                    (_, came) => all.push(came),
                }
            }
        }
        streamed.is_over().then_some(all)
    };
    let whole = read(form.len().max(1));
    assert!(whole == read(usize::from(*cut).max(1)), "a cut changes what comes");
    let held = |came: &Came| match came {
        Came::Field(_, bytes) | Came::Piece(bytes) => bytes.len(),
        Came::File => 0,
    };
    let held: usize = whole.iter().flatten().map(held).sum();
    assert!(held <= form.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] =
        b"--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--x\r\n\
        Content-Disposition: form-data; name=\"parcel\"; filename=\"a.zip\"\r\n\
        Content-Type: application/zip\r\n\r\nPK\r\n--y and \r\n-- more\r\n--x--\r\n";

    fn read(form: &[u8], size: usize) -> Option<(Vec<String>, Vec<u8>)> {
        let mut streamed = Streamed::new("x");
        let (mut fields, mut file) = (Vec::new(), Vec::new());
        for piece in form.chunks(size) {
            for came in streamed.push(piece).ok()? {
                match came {
                    Came::Field(name, text) => {
                        fields.push(format!("{name}={}", String::from_utf8_lossy(&text)));
                    }
                    Came::Piece(piece) => file.extend(piece),
                    Came::File => {}
                }
            }
        }
        streamed.is_over().then_some((fields, file))
    }

    #[test]
    fn a_file_comes_out_as_it_went_in_however_the_line_cuts_it() {
        for size in 1..GOOD.len() {
            let (fields, file) = read(GOOD, size).unwrap();
            assert_eq!(fields, ["csrf=abc"]);
            assert_eq!(file, b"PK\r\n--y and \r\n-- more", "cut by {size}");
            fuzz(&[&[u8::try_from(size.min(255)).unwrap()], GOOD].concat());
        }
    }

    #[test]
    fn what_no_browser_sends_a_second_file_and_what_breaks_off_are_refused() {
        let good = String::from_utf8_lossy(GOOD).into_owned();
        let second = good.replace("name=\"csrf\"", "name=\"csrf\"; filename=\"b\"");
        let long = good.replace("abc", &"a".repeat(FIELD_BYTES_MAX + 1));
        let head = good.replace("application/zip", &"a".repeat(HEAD_BYTES_MAX));
        for bad in [
            format!("preamble\r\n{good}"),
            good.replace("--x--\r\n", "--x--more"),
            good.replace("--x--\r\n", "--x"),
            good.replace("; name=\"csrf\"", ""),
            good.replace("\r\n", "\n"),
            second,
            long,
            head,
        ] {
            assert_eq!(read(bad.as_bytes(), 7), None, "{bad}");
        }
        for cut in 0..GOOD.len() - 2 {
            assert_eq!(read(&GOOD[..cut], 16), None, "cut at {cut}");
        }
    }
}
