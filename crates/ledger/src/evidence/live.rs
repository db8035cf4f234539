//! Evidence of one entry from an open ledger, in its signed state of this moment.

use super::copy::halves;
use super::{Content, Disclose, EntryProof, EvidenceEntry};
use crate::error::ReadError;
use crate::ledger::Ledger;
use crate::proofs::prove_inclusion;
use crate::record::EntryNumber;
use crate::retention;

impl Ledger {
    /// The proof of an entry, with as much of what it says as is to be disclosed.
    ///
    /// # Errors
    /// [`ReadError`] where there is no such entry, or it is damaged or can't be read.
    pub fn evidence(
        &self,
        entry: EntryNumber,
        disclose: Option<Disclose>,
    ) -> Result<EntryProof, ReadError> {
        let (fixed, ..) = self.retaining();
        let (store, head) = (fixed.store.as_ref(), fixed.shared.read().clone());
        let size = head.size();
        if entry.0 >= size {
            return Err(ReadError::NoEntry { entry, size });
        }
        let path = prove_inclusion(store, &head, entry.0, size)?;
        let (envelope, _) = store.envelope(entry.0)?;
        let content = match disclose {
            None => Content::Sealed,
            Some(what) => match store.body(&envelope)? {
                None => Content::Disposed,
                Some(body) => {
                    let opened =
                        retention::open(fixed, &envelope, body.bucket, &body.bytes, &body.place)?;
                    halves(opened, what)
                }
            },
        };
        let entry = EvidenceEntry { envelope, content };
        Ok(EntryProof { entry, path, checkpoint: fixed.note(&head) })
    }
}
