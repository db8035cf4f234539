//! Proofs from an open ledger.
//!
//! Invariant: a proof that is given leads to the signed head. Hashes that were kept aside are
//! used as long as they do; where they don't, the proof is made from the log itself, and what was
//! kept aside is made again.

use crate::error::ReadError;
use crate::merkle::{
    Hash, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
use crate::record::EntryNumber;
use crate::store::{Derived, Head, Store, root};

/// The root of the first `size` leaves, of a log that has this head.
pub(crate) fn root_of(store: &dyn Store, head: &Head, size: u64) -> Result<Hash, ReadError> {
    holds(head, size)?;
    if size == head.size() {
        return Ok(head.root);
    }
    if let Ok(root) = root(store, size, Derived::Use)
        && let Ok(proof) = consistency(store, size, head.size(), Derived::Use)
        && (size == 0 || verify_consistency(size, head.size(), &root, &head.root, &proof).is_ok())
    {
        return Ok(root);
    }
    root(store, size, Derived::Rebuild)
}

fn holds(head: &Head, size: u64) -> Result<(), ReadError> {
    let have = head.size();
    if size > have { Err(ReadError::NoSize { size, have }) } else { Ok(()) }
}

/// The inclusion proof (RFC 9162 §2.1.3) of an entry in the tree of the first `size` entries.
pub(crate) fn prove_inclusion(
    store: &dyn Store,
    head: &Head,
    entry: u64,
    size: u64,
) -> Result<Vec<Hash>, ReadError> {
    let none = || ReadError::NoEntry { entry: EntryNumber(entry), size };
    let root = root_of(store, head, size)?;
    let prove = |derived| {
        let proof = inclusion_proof(entry, size, &mut |level, at| store.node(level, at, derived));
        proof?.ok_or_else(none)
    };
    if entry >= size {
        return Err(none());
    }
    let leaf = store.envelope(entry)?.0.leaf();
    match prove(Derived::Use) {
        Ok(proof) if verify_inclusion(entry, size, &leaf, &proof, &root).is_ok() => Ok(proof),
        _ => prove(Derived::Rebuild),
    }
}

/// The proof (RFC 9162 §2.1.4) that the tree of `new` entries begins with that of `old`.
pub(crate) fn prove_consistency(
    store: &dyn Store,
    head: &Head,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, ReadError> {
    let roots = (root_of(store, head, old.min(new))?, root_of(store, head, new)?);
    match consistency(store, old, new, Derived::Use) {
        Ok(proof) if verify_consistency(old, new, &roots.0, &roots.1, &proof).is_ok() => Ok(proof),
        _ => consistency(store, old, new, Derived::Rebuild),
    }
}

fn consistency(
    store: &dyn Store,
    old: u64,
    new: u64,
    derived: Derived,
) -> Result<Vec<Hash>, ReadError> {
    let proof = consistency_proof(old, new, &mut |level, at| store.node(level, at, derived));
    proof?.ok_or(ReadError::NoSize { size: old, have: new })
}
