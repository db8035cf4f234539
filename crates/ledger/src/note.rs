//! C2SP signed notes (signed-note v1.0.0) and checkpoints (tlog-checkpoint v1.0.0), Ed25519.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keys::digest::sha256_parts;
use keys::sign::{Ed25519Key, ed25519_verify};

use crate::merkle::Hash;

/// Longest note that is read.
pub const NOTE_BYTES_MAX: usize = 64 << 10;
/// Most signatures on a note.
pub const NOTE_SIGNATURES_MAX: usize = 16;

const ED25519: u8 = 0x01;

/// Why a note or a verifier key was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note")]
    Malformed,
    #[error("not a checkpoint")]
    NotACheckpoint,
    #[error("not a manifest of an archive")]
    NotAManifest,
    #[error("not a verifier key")]
    Key,
    #[error("no signature by the expected key")]
    UnknownSigner,
    #[error("the signature by the expected key does not verify")]
    Signature,
    #[error("the checkpoint is of another log")]
    Origin,
}

/// A public key by name: `name+hash+key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    pub name: String,
    pub public: [u8; 32],
}

impl VerifierKey {
    /// Parses `example.com/log+33d7b496+AeHT…`; the hash must be the key's.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, public) = parse_key(text, ED25519)?;
        Ok(Self { name, public })
    }

    /// The first four bytes of SHA-256 of name, newline, algorithm and key.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519, &self.public)
    }

    /// The note's line for a signature by this key.
    pub fn signature_line(&self, signature: &[u8; 64]) -> String {
        let blob = [self.id().as_slice(), signature].concat();
        format!("\u{2014} {} {}\n", self.name, BASE64.encode(blob))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_key(&self.name, ED25519, &self.public))
    }
}

/// Reads a verifier key of this signature type: `name+hash+key`.
pub(crate) fn parse_key(text: &str, algorithm: u8) -> Result<(String, [u8; 32]), NoteError> {
    let mut parts = text.splitn(3, '+');
    let mut part = || parts.next().ok_or(NoteError::Key);
    let (name, hash, key) = (part()?, part()?, part()?);
    let key = BASE64.decode(key).map_err(|_| NoteError::Key)?;
    let public: [u8; 32] = match key.split_first() {
        Some((first, public)) if *first == algorithm => {
            public.try_into().map_err(|_| NoteError::Key)?
        }
        _ => return Err(NoteError::Key),
    };
    let sound = is_key_name(name) && hex::encode(key_id(name, algorithm, &public)) == hash;
    if sound { Ok((name.to_owned(), public)) } else { Err(NoteError::Key) }
}

/// A key's id (signed-note v1.0.0): type 0x01 for a log's signatures, 0x04 for cosignatures.
pub(crate) fn key_id(name: &str, algorithm: u8, public: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256_parts(&[name.as_bytes(), b"\n", &[algorithm], public]);
    [a, b, c, d]
}

pub(crate) fn show_key(name: &str, algorithm: u8, public: &[u8; 32]) -> String {
    let key = BASE64.encode([&[algorithm], public.as_slice()].concat());
    format!("{name}+{}+{key}", hex::encode(key_id(name, algorithm, public)))
}

/// A name without spaces and plus signs, as keys and logs are called.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('+')
        && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The size and root of a log at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    /// What is signed: origin, size and root, a line each.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// The signed note.
    pub fn note(&self, key: &VerifierKey, signature: &[u8; 64]) -> String {
        format!("{}\n{}", self.text(), key.signature_line(signature))
    }

    pub(crate) fn sign(&self, signer: &Ed25519Key) -> [u8; 64] {
        signer.sign(self.text().as_bytes())
    }

    pub(crate) fn verify(&self, public: &[u8; 32], signature: &[u8; 64]) -> Result<(), NoteError> {
        ed25519_verify(public, self.text().as_bytes(), signature).map_err(|_| NoteError::Signature)
    }

    /// Reads a note's checkpoint. Signatures are not looked at: use [`Self::open`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let (text, _) = split(note)?;
        let mut lines = text.lines();
        let wrong = NoteError::NotACheckpoint;
        let mut line = || lines.next().ok_or(wrong);
        let (origin, size, root) = (line()?, line()?, line()?);
        let count: u64 = size.parse().map_err(|_| wrong)?;
        let root = BASE64.decode(root).map_err(|_| wrong)?.try_into().map_err(|_| wrong)?;
        if origin.is_empty() || count.to_string() != size || lines.any(str::is_empty) {
            return Err(wrong);
        }
        Ok(Self { origin: origin.to_owned(), size: count, root })
    }

    /// Reads a note and checks the signature of `key`, whose name is the log's origin.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(note)?;
        if checkpoint.origin != key.name {
            return Err(NoteError::Origin);
        }
        open(note, key)?;
        Ok(checkpoint)
    }
}

/// The text of a note that `key` has signed, whatever it says.
///
/// # Errors
/// [`NoteError::Malformed`]; [`NoteError::UnknownSigner`] where no line is by the key;
/// [`NoteError::Signature`] where one is and does not verify.
pub fn open<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, NoteError> {
    open_within(note, key, NOTE_BYTES_MAX)
}

/// As [`open`], of a note of at most `bytes_max`.
pub(crate) fn open_within<'a>(
    note: &'a str,
    key: &VerifierKey,
    bytes_max: usize,
) -> Result<&'a str, NoteError> {
    let (text, signatures) = split_within(note, bytes_max)?;
    let mut found = false;
    for line in signatures.lines() {
        let (name, blob) = signature(line)?;
        let Some((id, sig)) = blob.split_first_chunk::<4>() else {
            return Err(NoteError::Malformed);
        };
        if name == key.name && *id == key.id() {
            ed25519_verify(&key.public, text.as_bytes(), sig).map_err(|_| NoteError::Signature)?;
            found = true;
        }
    }
    if found { Ok(text) } else { Err(NoteError::UnknownSigner) }
}

/// Text and signature lines of a note.
pub(crate) fn split(note: &str) -> Result<(&str, &str), NoteError> {
    split_within(note, NOTE_BYTES_MAX)
}

fn split_within(note: &str, bytes_max: usize) -> Result<(&str, &str), NoteError> {
    let odd = note.len() > bytes_max || note.contains(|c: char| c < ' ' && c != '\n');
    let at = note.rfind("\n\n").filter(|_| !odd).ok_or(NoteError::Malformed)?;
    let (text, signatures) = note.split_at_checked(at + 1).ok_or(NoteError::Malformed)?;
    let signatures = signatures.strip_prefix('\n').ok_or(NoteError::Malformed)?;
    let count = signatures.lines().count();
    if !signatures.ends_with('\n') || count == 0 || count > NOTE_SIGNATURES_MAX {
        return Err(NoteError::Malformed);
    }
    for line in signatures.lines() {
        signature(line)?;
    }
    Ok((text, signatures))
}

/// Name and blob (key id and signature) of a signature line.
pub(crate) fn signature(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed)?;
    let (name, blob) = rest.split_once(' ').ok_or(NoteError::Malformed)?;
    let blob = BASE64.decode(blob).map_err(|_| NoteError::Malformed)?;
    if is_key_name(name) && blob.len() > 4 { Ok((name, blob)) } else { Err(NoteError::Malformed) }
}
