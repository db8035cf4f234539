//! Why a parcel could not be sealed, and why one was refused.

use std::fmt;
use std::io;

use jiff::Timestamp;
use keys::KeysError;

/// Why sealing failed. Nothing is left at the destination.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("path `{path}` can't go into a parcel: {why}")]
    Path { path: String, why: &'static str },
    #[error("path `{path}` is there twice (letter case and spelling of accents aside)")]
    Twice { path: String },
    #[error("file `{path}` has a modification time outside of 1970 to 2242")]
    Modified { path: String },
    #[error("{what}: {value}, and the limit is {limit}")]
    Limit { what: &'static str, value: u64, limit: u64 },
    /// Said before anything is sealed.
    #[error(
        "the lists of {files} files and {events} events would take up to {bytes} bytes, and a parcel has room for {limit}: \
         seal fewer files at a time, and let an event that is about all files name none"
    )]
    Metadata { files: usize, events: usize, bytes: u64, limit: u64 },
    #[error("a parcel needs at least one {what}")]
    None { what: &'static str },
    #[error("certificate `{subject}` can't be a recipient: {why}")]
    Recipient { subject: String, why: &'static str },
    #[error("certificate `{subject}` can't sign: {why}")]
    Signer { subject: String, why: &'static str },
    #[error("field `{field}` of the transfer is {why}")]
    Transfer { field: &'static str, why: &'static str },
    #[error("could not read `{path}`")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("file `{path}` gave {given} bytes or more where {expected} were announced")]
    Length { path: String, given: u64, expected: u64 },
    #[error("could not write `{path}`")]
    Write {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("`{path}` would not lie where the index has it, which is a fault of this program")]
    Place { path: String },
    #[error("cryptography failed while {doing}")]
    Keys {
        doing: &'static str,
        #[source]
        source: KeysError,
    },
    #[error("could not write `{file}` as JSON")]
    Json {
        file: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("could not write the custody record as a document")]
    Document(#[from] crate::document::DocumentError),
    #[error("sealing was cancelled")]
    Cancelled,
}

/// A parcel, or a receipt, that isn't what it should be: which file, where in it, and what.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct Refused {
    /// The file inside the parcel: `data/000/part-000005.p7m`, `tagmanifest-sha256.txt` …
    pub file: String,
    /// For a part: the bytes of the archive inside that it carries, from and up to.
    pub range: Option<(u64, u64)>,
    #[source]
    pub fault: Box<Fault>,
    /// Further files with the same kind of fault, at most [`Refused::OTHERS_MAX`].
    pub others: Vec<String>,
    /// The pieces of sealed files that the part carries, where the key was there to tell; as many.
    pub inside: Vec<Piece>,
}

/// Bytes `from` up to `to` of a sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub path: String,
    pub from: u64,
    pub to: u64,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (bytes {} to {})", self.path, self.from, self.to)
    }
}

impl Refused {
    /// How many further files are named.
    pub const OTHERS_MAX: usize = 16;

    pub(crate) fn new(file: impl Into<String>, fault: Fault) -> Self {
        Self {
            file: file.into(),
            range: None,
            fault: Box::new(fault),
            others: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// The whole refusal in one sentence: file, fault, place.
    fn sentence(&self) -> String {
        let mut text = format!("{}: {}", self.file, self.fault);
        if let Some((from, to)) = self.range {
            text.push_str(&format!("; it carries bytes {from} to {to} of the archive"));
        }
        if !self.others.is_empty() {
            text.push_str(&format!("; also {}", self.others.join(", ")));
        }
        if !self.inside.is_empty() {
            let pieces: Vec<_> = self.inside.iter().map(Piece::to_string).collect();
            text.push_str(&format!("; sealed in it: {}", pieces.join(", ")));
        }
        text
    }
}

/// What is wrong with a file of a parcel.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The signed hash and the bytes differ.
    #[error("altered: its hash is not the signed one")]
    Altered,
    #[error("cut short: {found} bytes where its own header announces {announced}")]
    Short { found: u64, announced: u64 },
    /// As [`Fault::Altered`], where nobody signed.
    #[error("damaged: its checksum is not the one in the manifest")]
    Damaged,
    #[error("missing")]
    Missing,
    #[error("not listed in the signed manifest, or not a plain file")]
    Unexpected,
    #[error("not in the form of this profile: {0}")]
    Malformed(&'static str),
    #[error("the time stamp does not hold: {0}")]
    Stamp(&'static str),
    #[error("a name that is not taken: {0}")]
    Name(&'static str),
    #[error("larger than allowed ({found} bytes; the limit is {limit})")]
    Large { found: u64, limit: u64 },
    #[error("the signature does not verify")]
    Signature(#[source] Option<KeysError>),
    #[error("signed by `{subject}` ({fingerprint}), whom we were not told to trust")]
    Sender { subject: String, fingerprint: String },
    #[error("the signer's certificate can't be relied on")]
    Certificate(#[source] KeysError),
    #[error("signed at {signed}, which is after our time {now}")]
    Future { signed: Timestamp, now: Timestamp },
    #[error("not addressed to certificate {fingerprint}")]
    Recipient { fingerprint: String },
    #[error("does not decrypt: the key is not the one, or the part was altered before sealing")]
    Decrypt(#[source] KeysError),
    #[error("names parcel `{found}`, and this is `{expected}`")]
    OtherParcel { found: String, expected: String },
    #[error("no such file in this parcel")]
    NoSuchFile,
    #[error("bytes {from} to {to} of a file of {length}")]
    Range { from: u64, to: u64, length: u64 },
    #[error("could not be read")]
    Read(#[source] io::Error),
    #[error("could not be written")]
    Write(#[source] io::Error),
    #[error("stopped before its end")]
    Cancelled,
}

/// Names the file that a fault is in.
pub(crate) trait At<T> {
    fn at(self, file: impl Into<String>) -> Result<T, Refused>;
}

impl<T> At<T> for Result<T, Fault> {
    fn at(self, file: impl Into<String>) -> Result<T, Refused> {
        self.map_err(|fault| Refused::new(file, fault))
    }
}

/// `count` as words in a limit's error.
pub(crate) fn limit(what: &'static str, value: u64, limit: u64) -> Result<(), SealError> {
    if value > limit { Err(SealError::Limit { what, value, limit }) } else { Ok(()) }
}

impl fmt::Display for crate::Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parcel {} ({} parts, {} bytes)", self.id, self.parts, self.bytes)
    }
}
