//! The body of `add-checkpoint` (C2SP tlog-witness): an old size, a consistency proof, a checkpoint.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::merkle::Hash;
use crate::note::{Checkpoint, NOTE_BYTES_MAX, NoteError};

/// Most hashes of a proof.
pub const PROOF_LINES_MAX: usize = 63;
/// The longest body: the size's line, the proof, the empty line, the note.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + PROOF_LINES_MAX * 45 + 64;

/// Why a body is not a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is longer than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    #[error("the first line is not `old` and a size")]
    Old,
    #[error("a line of the proof is not a hash in Base64")]
    Proof,
    #[error("the proof has more than {PROOF_LINES_MAX} hashes")]
    ProofLength,
    #[error("what follows the proof is not a checkpoint")]
    Checkpoint(#[source] NoteError),
}

/// A checkpoint for a witness, and the proof that it continues the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 where there is none.
    pub old: u64,
    pub proof: Vec<Hash>,
    /// The signed note.
    pub note: String,
}

impl AddCheckpoint {
    /// Reads a body. Sizes and signatures are not looked at yet.
    pub fn parse(body: &[u8]) -> Result<(Self, Checkpoint), RequestError> {
        if body.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| RequestError::Old)?;
        let (first, mut rest) = text.split_once('\n').ok_or(RequestError::Old)?;
        let digits = first.strip_prefix("old ").ok_or(RequestError::Old)?;
        let old: u64 = digits.parse().map_err(|_| RequestError::Old)?;
        if old.to_string() != digits {
            return Err(RequestError::Old);
        }
        let mut proof = Vec::new();
        loop {
            let (line, after) = rest.split_once('\n').ok_or(RequestError::Proof)?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() == PROOF_LINES_MAX {
                return Err(RequestError::ProofLength);
            }
            let hash = BASE64.decode(line).map_err(|_| RequestError::Proof)?;
            proof.push(hash.try_into().map_err(|_| RequestError::Proof)?);
        }
        let checkpoint = Checkpoint::parse(rest).map_err(RequestError::Checkpoint)?;
        Ok((Self { old, proof, note: rest.to_owned() }, checkpoint))
    }

    /// The body.
    pub fn encode(&self) -> String {
        let mut out = format!("old {}\n", self.old);
        for hash in &self.proof {
            // Writing into a String has no way to fail.
            if writeln!(out, "{}", BASE64.encode(hash)).is_err() {
                out.clear();
            }
        }
        out.push('\n');
        out.push_str(&self.note);
        out
    }
}
