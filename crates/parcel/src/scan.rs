//! Asking ClamAV (`clamd`, its INSTREAM command) about a file: clean, infected, or not fully scanned.
//!
//! Invariants: only "clean" is clean: a file that was not sent to its end, or of which clamd says that its own limits were reached, is
//! not. The bytes go over a stream that the caller opened, and nowhere else; no file is written.

use std::fmt;
use std::io::{self, Read, Write};

/// What clamd takes of one stream by default (StreamMaxLength).
pub const STREAM_BYTES_DEFAULT: u64 = 100 << 20;
/// Bytes that are sent in one piece.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Names of findings that say: I did not look at all of it.
const NOT_FULLY: [&str; 3] =
    ["Heuristics.Limits.Exceeded", "Heuristics.Encrypted", "Heuristics.Broken"];

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Clean,
    /// The name of what was found.
    Infected(String),
    /// So many bytes were looked at, and why no more.
    NotFully {
        scanned: u64,
        why: String,
    },
}

impl Outcome {
    /// As a word for tables and JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Infected(_) => "infected",
            Self::NotFully { .. } => "not-fully-scanned",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::Infected(name) => write!(f, "infected: {name}"),
            Self::NotFully { scanned, why } => {
                write!(f, "not fully scanned: {scanned} bytes; {why}")
            }
        }
    }
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("the scanner can't be reached, or went away")]
    Scanner(#[source] io::Error),
    #[error("the file could not be read")]
    File(#[source] io::Error),
    #[error("the scanner answers what it should not: {0}")]
    Answer(String),
    /// It may be gone, or it may have reached its limit: then its answer can be lost on the way. Ask
    /// [`engine`] which.
    #[error("the scanner hung up after {sent} bytes")]
    HungUp { sent: u64 },
}

/// Asks which engine it is, and which signatures it has. On a stream of its own.
///
/// # Errors
/// [`ScanError`].
pub fn engine(stream: &mut (impl Read + Write)) -> Result<String, ScanError> {
    stream.write_all(b"zVERSION\0").map_err(ScanError::Scanner)?;
    let answer = answer(stream).map_err(ScanError::Scanner)?;
    if answer.starts_with("ClamAV ") { Ok(answer) } else { Err(ScanError::Answer(answer)) }
}

/// Sends a file of `length` bytes, at most `bytes_max` of them, and reads what comes of it. On a stream of its own.
///
/// # Errors
/// [`ScanError`]: then nothing is known of the file.
pub fn scan(
    stream: &mut (impl Read + Write),
    file: &mut dyn Read,
    length: u64,
    bytes_max: u64,
) -> Result<Outcome, ScanError> {
    stream.write_all(b"zINSTREAM\0").map_err(ScanError::Scanner)?;
    let (mut sent, mut piece) = (0_u64, vec![0; PIECE_BYTES]);
    let mut refused = None;
    let mut limited = file.take(bytes_max);
    loop {
        let count = match limited.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ScanError::File(error)),
        };
        // At most PIECE_BYTES.
        let size = u32::try_from(count).unwrap_or(0).to_be_bytes();
        let read = piece.get(..count).unwrap_or_default();
        if let Err(error) = stream.write_all(&size).and_then(|()| stream.write_all(read)) {
            // It closes when its limit is reached, and has said so before.
            refused = Some(error);
            break;
        }
        sent += count as u64;
    }
    if refused.is_none() {
        refused = stream.write_all(&[0; 4]).and_then(|()| stream.flush()).err();
    }
    match (answer(stream), refused) {
        (Ok(answer), _) => outcome(&answer, sent, length),
        // At its limit it answers and hangs up, and the answer may be lost on the way.
        (Err(_), Some(_)) if sent > 0 => Err(ScanError::HungUp { sent }),
        (Err(_), Some(error)) | (Err(error), None) => Err(ScanError::Scanner(error)),
    }
}

/// An answer up to its NUL, or the end.
fn answer(stream: &mut impl Read) -> io::Result<String> {
    let (mut out, mut byte) = (Vec::new(), [0]);
    while out.len() < ANSWER_BYTES_MAX {
        match stream.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte == [0] => break,
            Ok(_) => out.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if !out.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    if out.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(shown(&out))
}

/// Their words, as they can be shown and recorded.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let plain = |letter: char| {
        if letter.is_control() || crate::name::hidden(letter) { '?' } else { letter }
    };
    text.trim().chars().map(plain).take(300).collect()
}

/// What an answer means for a file of which so many bytes were sent.
fn outcome(answer: &str, sent: u64, length: u64) -> Result<Outcome, ScanError> {
    if answer.starts_with("INSTREAM size limit exceeded") {
        let why = "the scanner takes no more of one file (StreamMaxLength)".to_owned();
        return Ok(Outcome::NotFully { scanned: 0, why });
    }
    let unknown = || ScanError::Answer(answer.to_owned());
    let said = answer.strip_prefix("stream: ").ok_or_else(unknown)?;
    if let Some(name) = said.strip_suffix(" FOUND") {
        if NOT_FULLY.iter().any(|head| name.starts_with(head)) {
            return Ok(Outcome::NotFully {
                scanned: sent,
                why: format!("the scanner says {name}"),
            });
        }
        return Ok(Outcome::Infected(name.to_owned()));
    }
    match said {
        "OK" if sent == length => Ok(Outcome::Clean),
        "OK" => Ok(Outcome::NotFully { scanned: sent, why: format!("the file has {length}") }),
        _ => Err(unknown()),
    }
}

/// Any bytes as an answer.
pub(crate) fn fuzz(data: &[u8]) {
    let mut stream = io::Cursor::new(data.to_vec());
    if let Ok(answer) = answer(&mut stream) {
        std::hint::black_box(outcome(&answer, 1, 1).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, ScanError, outcome};

    #[test]
    fn only_ok_for_all_of_it_is_clean() {
        let said = |answer: &str, sent, length| outcome(answer, sent, length);
        assert_eq!(said("stream: OK", 5, 5).unwrap(), Outcome::Clean);
        assert_eq!(
            said("stream: Win.Test.EICAR FOUND", 5, 5).unwrap(),
            Outcome::Infected("Win.Test.EICAR".to_owned())
        );
        for (answer, sent) in [
            ("stream: OK", 4),
            ("INSTREAM size limit exceeded. ERROR", 5),
            ("stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", 5),
            ("stream: Heuristics.Encrypted.Zip FOUND", 5),
        ] {
            assert!(matches!(said(answer, sent, 5), Ok(Outcome::NotFully { .. })), "{answer}");
        }
        for answer in
            ["", "OK", "stream: ok", "stream: Can't allocate memory ERROR", "UNKNOWN COMMAND"]
        {
            assert!(matches!(said(answer, 5, 5), Err(ScanError::Answer(_))), "{answer}");
        }
    }
}
