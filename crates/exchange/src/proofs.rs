//! What a partner's custody record says of ledgers, held against the keys that we have.
//!
//! A custody record is the sender's word, and signed. An event that names an entry brings the proof that the entry
//! is in the ledger, with the half of the entry that we may see: a sender can't name an entry that is not there, or
//! another one's hash. Entries of ledgers whose key we don't have are counted, and not judged.

use ledger::evidence::EntryProof;
use ledger::note::VerifierKey;
use parcel::CustodyEvent;
use serde::{Deserialize, Serialize};

/// How many events of a custody record a ledger bears out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proved {
    pub events: u64,
    /// Events that name an entry of some ledger.
    pub named: u64,
    /// Events whose entry is proved by a ledger whose key we have.
    pub proved: u64,
}

/// Checks every proof of a ledger whose key is among these.
///
/// # Errors
/// In words, the first event whose proof does not hold.
pub(crate) fn check(events: &[CustodyEvent], keys: &[VerifierKey]) -> Result<Proved, String> {
    let mut out = Proved { events: events.len() as u64, ..Proved::default() };
    for (number, event) in events.iter().enumerate() {
        let Some(ledger) = &event.ledger else { continue };
        out.named += 1;
        let key = keys.iter().find(|key| key.name == ledger.origin);
        let (Some(key), Some(proof)) = (key, &ledger.proof) else { continue };
        let at = format!("event {} ({})", number + 1, event.kind);
        let proof = EntryProof::parse(proof).map_err(|error| format!("{at}: {error}"))?;
        proof.check(key).map_err(|error| format!("{at}: {error}"))?;
        let envelope = &proof.entry.envelope;
        if envelope.entry != ledger.entry || hex::encode(envelope.leaf()) != ledger.leaf {
            return Err(format!("{at} names entry {} and proves another", ledger.entry));
        }
        out.proved += 1;
    }
    Ok(out)
}
