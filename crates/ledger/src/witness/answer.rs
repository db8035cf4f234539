//! What a witness answers (C2SP tlog-witness), as a status and a body.

use crate::note::NOTE_BYTES_MAX;

/// The content type of a size.
pub const SIZE_TYPE: &str = "text/x.tlog.size";
const TEXT: &str = "text/plain; charset=utf-8";

/// The longest answer that is read.
pub const fn answer_bytes_max() -> usize {
    NOTE_BYTES_MAX
}

/// A witness's answer to `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Signature lines: the cosignature, perhaps several.
    Cosigned(String),
    /// The old size is not that of the checkpoint cosigned last, which is this; or that very size has
    /// another root.
    Conflict(u64),
    /// The body is not a request, or its old size is beyond the checkpoint's.
    Malformed,
    /// No signature by a key that the witness knows for this log.
    BadSignature,
    /// The witness does not know the log.
    UnknownOrigin,
    /// The proof does not lead from the old tree to the new one.
    BadProof,
    /// Trouble of the witness's own, or a status that the protocol doesn't have.
    Trouble(u16),
}

impl Answer {
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Malformed => 400,
            Self::BadSignature => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict(_) => 409,
            Self::BadProof => 422,
            Self::Trouble(status) => *status,
        }
    }

    /// Content type and body.
    pub fn content(&self) -> (&'static str, String) {
        match self {
            Self::Cosigned(lines) => (TEXT, lines.clone()),
            Self::Conflict(size) => (SIZE_TYPE, format!("{size}\n")),
            Self::Malformed => (TEXT, "not a request to add a checkpoint\n".to_owned()),
            Self::BadSignature => (TEXT, "no signature by a known key\n".to_owned()),
            Self::UnknownOrigin => (TEXT, "this log is not known here\n".to_owned()),
            Self::BadProof => (TEXT, "the proof does not hold\n".to_owned()),
            Self::Trouble(_) => (TEXT, "try again later\n".to_owned()),
        }
    }

    /// Reads an answer. A conflict without a size in the right form says nothing that can be gone by: it
    /// is trouble.
    pub fn read(status: u16, content_type: &str, body: &[u8]) -> Self {
        match status {
            200 => match std::str::from_utf8(body) {
                Ok(lines) if body.len() <= answer_bytes_max() => Self::Cosigned(lines.to_owned()),
                Ok(_) | Err(_) => Self::Trouble(status),
            },
            400 => Self::Malformed,
            403 => Self::BadSignature,
            404 => Self::UnknownOrigin,
            409 => match size(content_type, body) {
                Some(size) => Self::Conflict(size),
                None => Self::Trouble(status),
            },
            422 => Self::BadProof,
            other => Self::Trouble(other),
        }
    }

    /// In words, for the log and for a page.
    pub fn words(&self) -> String {
        match self {
            Self::Cosigned(_) => "it cosigned".to_owned(),
            Self::Conflict(size) => format!("it has seen {size} entries"),
            Self::Malformed => "it could not read the request".to_owned(),
            Self::BadSignature => "it does not know this ledger's key".to_owned(),
            Self::UnknownOrigin => "it does not know this ledger".to_owned(),
            Self::BadProof => "it did not accept the proof".to_owned(),
            Self::Trouble(status) => format!("it answered with status {status}"),
        }
    }
}

fn size(content_type: &str, body: &[u8]) -> Option<u64> {
    let bare = content_type.split(';').next().unwrap_or_default().trim();
    let digits = std::str::from_utf8(body).ok()?.strip_suffix('\n')?;
    let size: u64 = digits.parse().ok()?;
    (bare == SIZE_TYPE && size.to_string() == digits).then_some(size)
}
