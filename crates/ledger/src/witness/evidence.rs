//! What is kept of a submission that can't be right: the checkpoint that was cosigned, and the whole
//! request that does not continue it. Both are signed by the log, so they speak for themselves.

use std::io;

use crate::witness::documents::Documents;

/// Most pieces of evidence that are kept. Those that come later are not: the first are what counts, and
/// a hostile log must not fill the disk.
pub const EVIDENCE_MAX: usize = 64;
const PREFIX: &str = "evidence-";
const HEAD: &str = "kind ";
const BETWEEN: &str = "\n== refused ==\n";

/// What was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Two roots for one size: the log has two histories, and needs no further witness of that.
    TwoRoots,
    /// The proof does not lead from the cosigned tree to the new one.
    Proof,
}

impl Wrong {
    const ALL: [Self; 2] = [Self::TwoRoots, Self::Proof];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoRoots => "two-roots",
            Self::Proof => "proof",
        }
    }
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub wrong: Wrong,
    /// The note that was cosigned or known before; empty where there was none.
    pub known: String,
    /// What was refused: a whole request, or a note.
    pub refused: String,
}

impl Evidence {
    fn encode(&self) -> String {
        format!("{HEAD}{}\n{}{BETWEEN}{}", self.wrong.as_str(), self.known, self.refused)
    }

    /// Reads what [`Evidence::encode`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let word = first.strip_prefix(HEAD)?;
        let wrong = Wrong::ALL.into_iter().find(|one| one.as_str() == word)?;
        let (known, refused) = rest.split_once(BETWEEN)?;
        Some(Self { wrong, known: known.to_owned(), refused: refused.to_owned() })
    }
}

/// Keeps a piece, once. Tells whether it is there now: not where there are too many already.
pub(crate) fn keep(documents: &Documents, evidence: &Evidence) -> io::Result<bool> {
    let text = evidence.encode();
    let digest = keys::digest::sha256(text.as_bytes());
    let short: String = hex::encode(digest).chars().take(16).collect();
    let name = format!("{PREFIX}{short}");
    let there = documents.list(PREFIX)?;
    if there.contains(&name) {
        return Ok(true);
    }
    if there.len() >= EVIDENCE_MAX {
        return Ok(false);
    }
    documents.replace(&name, &text)?;
    Ok(true)
}

/// All that is kept.
pub(crate) fn all(documents: &Documents) -> io::Result<Vec<Evidence>> {
    let mut found = Vec::new();
    for name in documents.list(PREFIX)? {
        if let Some(text) = documents.read(&name)? {
            found.extend(Evidence::parse(&text));
        }
    }
    Ok(found)
}
