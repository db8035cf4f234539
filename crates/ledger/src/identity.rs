//! The file that says which ledger a folder holds, and where everything in the folder lies.

use std::fmt::Write as _;

use jiff::Timestamp;
use keys::digest::sha256;

use crate::bytes::{OTHER_FORMAT, is_other_format};
use crate::envelope::LedgerId;
use crate::note::VerifierKey;

pub(crate) const IDENTITY: &str = "ledger";
pub(crate) const LOCK: &str = "lock";
pub(crate) const JOURNAL: &str = "journal";
pub(crate) const LOG: &str = "log";
pub(crate) const BODY: &str = "body";
pub(crate) const KEYS: &str = "keys";
/// The newest published checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Every published checkpoint, one note after another, each followed by an empty line.
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// Where entries lie: derived.
pub(crate) const POSITIONS: &str = "positions";
/// Full tiles of the tree: derived.
pub(crate) const TILES: &str = "tile";
/// The search index: derived, of no meaning to a verifier.
pub(crate) const INDEX: &str = "index/index.db";

pub(crate) const SMALL_FILE_BYTES_MAX: u64 = 64 << 10;
const FIRST_LINE: &str = "bailiwick-ledger 1";

/// Which ledger this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub origin: String,
    pub ori: String,
    pub id: LedgerId,
    pub key: VerifierKey,
    pub created: Timestamp,
}

impl Identity {
    pub fn encode(&self) -> String {
        let mut text = format!(
            "{FIRST_LINE}\norigin {}\nori {}\nid {}\nkey {}\ncreated {}\n",
            self.origin,
            self.ori,
            hex::encode(self.id),
            self.key,
            self.created,
        );
        let digest = hex::encode(sha256(text.as_bytes()));
        // Writing into a String has no way to fail.
        if writeln!(text, "sha256 {digest}").is_err() {
            text.clear();
        }
        text
    }

    /// What is wrong with a text that is no identity.
    pub fn complaint(text: Option<&str>) -> &'static str {
        match text {
            Some(text) if is_other_format(text.as_bytes(), FIRST_LINE.as_bytes()) => OTHER_FORMAT,
            Some(_) | None => "this is no ledger's identity",
        }
    }

    /// Reads what [`Self::encode`] wrote; the digest in the last line must agree.
    pub fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("sha256 ")?;
        let (content, digest) = text.split_at_checked(at)?;
        if digest != format!("sha256 {}\n", hex::encode(sha256(content.as_bytes()))) {
            return None;
        }
        let mut lines = content.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let identity = Self {
            origin: field("origin")?.to_owned(),
            ori: field("ori")?.to_owned(),
            id: hex::decode(field("id")?).ok()?.try_into().ok()?,
            key: VerifierKey::parse(field("key")?).ok()?,
            created: field("created")?.parse().ok()?,
        };
        (lines.next().is_none() && identity.key.name == identity.origin).then_some(identity)
    }
}
