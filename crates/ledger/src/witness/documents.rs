//! Small named documents in a folder: what a witness knows, and what a ledger knows of its witnesses.
//!
//! Invariant: a document that was replaced is on disk, whole, in its old form or its new one, whatever
//! happens in between. Each carries its own digest, so that rot is noticed and not believed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use keys::digest::sha256;

use crate::disk::{Disk, read_whole, replace};

/// The longest document.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 512 << 10;
const FIRST_WORD: &str = "bailiwick-witness-1";

/// A folder of them.
#[derive(Clone)]
pub(crate) struct Documents {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
}

impl Documents {
    /// The folder, made if it is not there.
    pub(crate) fn open(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        disk.create_folder(&folder)?;
        if let Some(above) = folder.parent() {
            disk.sync_folder(above)?;
        }
        Ok(Self { disk, folder })
    }

    /// A document's text; `None` if there is none of this name.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        let path = self.folder.join(name);
        let bytes = match read_whole(self.disk.as_ref(), &path, DOCUMENT_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        match unwrap(&bytes) {
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "its digest does not agree")),
        }
    }

    /// Puts a document in place, durably.
    pub(crate) fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        replace(self.disk.as_ref(), &self.folder, name, wrap(text).as_bytes())
    }

    /// Names of documents that begin so, sorted.
    pub(crate) fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(&self.folder)?;
        names.retain(|name| name.starts_with(prefix) && !name.ends_with(".new"));
        Ok(names)
    }
}

/// A document as it lies on disk: a line with the digest of what follows.
fn wrap(text: &str) -> String {
    format!("{FIRST_WORD} {}\n{text}", hex::encode(sha256(text.as_bytes())))
}

/// The text of a document, if its digest agrees.
pub(crate) fn unwrap(bytes: &[u8]) -> Option<&str> {
    let whole = std::str::from_utf8(bytes).ok()?;
    let (first, text) = whole.split_once('\n')?;
    let digest = first.strip_prefix(FIRST_WORD)?.strip_prefix(' ')?;
    (digest == hex::encode(sha256(text.as_bytes()))).then_some(text)
}
