//! The Merkle tree of RFC 9162 §2.1 over SHA-256: hashes, roots, proofs and their checks.
//!
//! Pure: no disk, no clock. Reading hashes is left to a closure, so that a tree need not be held
//! in memory to be proved from.

use keys::digest::sha256_parts;

pub type Hash = [u8; 32];

/// The most hashes that a proof over 2^64 leaves can have.
pub const PROOF_HASHES_MAX: usize = 128;

/// `MTH({d})` (RFC 9162 §2.1.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    sha256_parts(&[&[0], entry])
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256_parts(&[&[1], left, right])
}

/// The root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256_parts(&[])
}

/// The roots of the perfect subtrees that make up a tree, largest first: all that is needed to
/// add leaves and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    peaks: Vec<Hash>,
}

impl CompactRange {
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` leaves with these perfect subtrees, largest first; `None` if that is not how many
    /// it has.
    pub fn of(size: u64, peaks: &[Hash]) -> Option<Self> {
        let fits = u32::try_from(peaks.len()).is_ok_and(|count| count == size.count_ones());
        fits.then(|| Self { size, peaks: peaks.to_vec() })
    }

    /// Adds the 2^`level` leaves of a perfect subtree at once; `None` where none can begin.
    pub fn push_subtree(&mut self, level: u32, hash: Hash) -> Option<()> {
        let leaves = 1_u64.checked_shl(level)?;
        if !self.size.is_multiple_of(leaves) {
            return None;
        }
        let size = self.size.checked_add(leaves)?;
        let (mut hash, mut index) = (hash, self.size >> level);
        while index & 1 == 1 {
            hash = node_hash(&self.peaks.pop()?, &hash);
            index >>= 1;
        }
        self.peaks.push(hash);
        self.size = size;
        Some(())
    }

    /// Leaves added so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes of the perfect subtrees, largest first: one for each bit of the size.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Adds a leaf hash; `node` is told each perfect subtree that it completes (level, index,
    /// hash), leaf first.
    pub fn push(&mut self, leaf: Hash, node: &mut dyn FnMut(u32, u64, &Hash)) {
        let mut hash = leaf;
        let mut index = self.size;
        let mut level = 0;
        node(level, index, &hash);
        while index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            level += 1;
            node(level, index, &hash);
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The perfect subtrees (level, index) that together hold the leaves `start..end`, in order, as few as can
/// be.
pub fn perfect_subtrees(start: u64, end: u64) -> Vec<(u32, u64)> {
    let (mut start, mut found) = (start, Vec::new());
    while start < end {
        // No larger than what is left, and no larger than where it begins allows.
        let level = (end - start).ilog2().min(start.trailing_zeros());
        found.push((level, start >> level));
        start += 1 << level;
    }
    found
}

/// Gives the hash of the perfect subtree `index` of 2^`level` leaves, or says why it can't.
pub type Reader<'a, E> = dyn FnMut(u32, u64) -> Result<Hash, E> + 'a;

/// The root over the leaves `start..end`; `start` is a multiple of the largest power of two that
/// is smaller than the range, as every range in the RFC's proofs is.
fn range_root<E>(start: u64, end: u64, read: &mut Reader<'_, E>) -> Result<Hash, E> {
    let count = end - start;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return read(level, start >> level);
    }
    let split = start + largest_power_below(count);
    let left = range_root(start, split, read)?;
    let right = range_root(split, end, read)?;
    Ok(node_hash(&left, &right))
}

/// The root of the tree of the first `size` leaves.
pub fn root_at<E>(size: u64, read: &mut Reader<'_, E>) -> Result<Hash, E> {
    if size == 0 { Ok(empty_root()) } else { range_root(0, size, read) }
}

/// The inclusion proof `PATH(leaf, D[size])` (RFC 9162 §2.1.3.1), or `None` if the leaf is not
/// in a tree of that size.
pub fn inclusion_proof<E>(
    leaf: u64,
    size: u64,
    read: &mut Reader<'_, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if leaf >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - start > 1 {
        let split = start + largest_power_below(end - start);
        if leaf < split {
            proof.push(range_root(split, end, read)?);
            end = split;
        } else {
            proof.push(range_root(start, split, read)?);
            start = split;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// The consistency proof `PROOF(old, D[new])` (RFC 9162 §2.1.4.1); `None` unless 0 < old ≤ new.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    read: &mut Reader<'_, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if old == 0 || old > new {
        return Ok(None);
    }
    let (mut start, mut end, mut whole) = (0, new, true);
    let mut proof = Vec::new();
    while old != end {
        let split = start + largest_power_below(end - start);
        if old <= split {
            proof.push(range_root(split, end, read)?);
            end = split;
        } else {
            proof.push(range_root(start, split, read)?);
            start = split;
            whole = false;
        }
    }
    if !whole {
        proof.push(range_root(start, end, read)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the sizes or the position make no sense")]
    Sizes,
    #[error("the proof has the wrong number of hashes")]
    Length,
    #[error("the proof leads to another root")]
    Root,
}

/// Checks an inclusion proof (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf: u64,
    size: u64,
    leaf_hash: &Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if leaf >= size {
        return Err(ProofError::Sizes);
    }
    let (mut at, mut last) = (leaf, size - 1);
    let mut hash = *leaf_hash;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks a consistency proof (RFC 9162 §2.1.4.2). Size 0 is refused: a witness that accepts it
/// does so before it comes here.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old == 0 || old > new {
        return Err(ProofError::Sizes);
    }
    if old == new {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        return if old_root == new_root { Ok(()) } else { Err(ProofError::Root) };
    }
    let mut rest = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { rest.next() };
    let first = first.ok_or(ProofError::Length)?;
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// The largest power of two smaller than `count`, which is at least 2.
fn largest_power_below(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}
