//! Others' reading of the same specifications as an oracle: `tlog_tiles` for trees and checkpoints,
//! `signed_note` for notes. Where the two are allowed to differ, the test says why.

use std::convert::Infallible;

use keys::sign::Ed25519Key;
use ledger::merkle::{
    CompactRange, Hash, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
use ledger::note::{self, Checkpoint, VerifierKey};
use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::tlog;

/// The oracle's tree, in the order in which it stores hashes.
#[derive(Default)]
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

/// The same leaves in both trees, and each perfect subtree of ours.
struct Trees {
    ours: CompactRange,
    nodes: std::collections::BTreeMap<(u32, u64), Hash>,
    theirs: Stored,
    size: u64,
}

impl Trees {
    fn of(size: u64) -> Self {
        let mut trees =
            Self { ours: CompactRange::new(), nodes: [].into(), theirs: Stored::default(), size };
        for entry in 0..size {
            let (data, nodes) = (entry.to_be_bytes(), &mut trees.nodes);
            trees.ours.push(ledger::merkle::leaf_hash(&data), &mut |level, at, hash| {
                nodes.insert((level, at), *hash);
            });
            let stored = tlog::stored_hashes(entry, &data, &trees.theirs).unwrap();
            trees.theirs.0.extend(stored);
        }
        trees
    }

    fn read(&self, level: u32, at: u64) -> Result<Hash, Infallible> {
        Ok(self.nodes[&(level, at)])
    }

    fn inclusion(&self, entry: u64) -> Vec<Hash> {
        inclusion_proof(entry, self.size, &mut |level, at| self.read(level, at)).unwrap().unwrap()
    }

    fn consistency(&self, old: u64) -> Vec<Hash> {
        consistency_proof(old, self.size, &mut |level, at| self.read(level, at)).unwrap().unwrap()
    }
}

fn theirs(proof: &[Hash]) -> Vec<tlog::Hash> {
    proof.iter().map(|hash| tlog::Hash(*hash)).collect()
}

/// What may happen to a proof on its way.
#[derive(Debug, Clone)]
enum Accident {
    None,
    Flip(usize),
    Drop(usize),
    Repeat(usize),
    Swap(usize),
    Entry(u64),
    Size(u64),
}

fn accident() -> impl Strategy<Value = Accident> {
    prop_oneof![
        Just(Accident::None),
        (0_usize..4096).prop_map(Accident::Flip),
        (0_usize..16).prop_map(Accident::Drop),
        (0_usize..16).prop_map(Accident::Repeat),
        (0_usize..16).prop_map(Accident::Swap),
        (0_u64..600).prop_map(Accident::Entry),
        (0_u64..600).prop_map(Accident::Size),
    ]
}

/// The proof, entry (or old size) and size after the accident.
fn after(accident: &Accident, proof: &[Hash], entry: u64, size: u64) -> (Vec<Hash>, u64, u64) {
    let (mut proof, mut entry, mut size) = (proof.to_vec(), entry, size);
    let length = proof.len();
    match *accident {
        Accident::Entry(other) => entry = other,
        Accident::Size(other) => size = other,
        Accident::Flip(bit) if length > 0 => {
            let bit = bit % (length * 256);
            proof[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        }
        Accident::Drop(at) if length > 0 => drop(proof.remove(at % length)),
        Accident::Repeat(at) if length > 0 => proof.insert(at % length, proof[at % length]),
        Accident::Swap(at) if length > 1 => proof.swap(at % length, (at + 1) % length),
        Accident::None
        | Accident::Flip(_)
        | Accident::Drop(_)
        | Accident::Repeat(_)
        | Accident::Swap(_) => {}
    }
    (proof, entry, size)
}

proptest! {
    #[test]
    fn roots_and_proofs_are_the_same_and_are_judged_alike(
        size in 1_u64..600, entry in 0_u64..600, accident in accident(),
    ) {
        let (entry, trees) = (entry % size, Trees::of(size));
        let root = tlog::tree_hash(size, &trees.theirs).unwrap();
        prop_assert_eq!(trees.ours.root(), root.0);

        let proof = trees.inclusion(entry);
        prop_assert_eq!(&theirs(&proof), &tlog::prove_record(size, entry, &trees.theirs).unwrap());
        let leaf = ledger::merkle::leaf_hash(&entry.to_be_bytes());
        let (proof, at, of) = after(&accident, &proof, entry, size);
        let ours = verify_inclusion(at, of, &leaf, &proof, &root.0).is_ok();
        let judged = tlog::check_record(&theirs(&proof), of, root, at, tlog::Hash(leaf)).is_ok();
        prop_assert_eq!(ours, judged, "inclusion of {} in {}, {:?}", at, of, accident);

        let old = entry + 1;
        let old_root = tlog::tree_hash(old, &trees.theirs).unwrap();
        let proof = trees.consistency(old);
        prop_assert_eq!(&theirs(&proof), &tlog::prove_tree(size, old, &trees.theirs).unwrap());
        let (proof, from, of) = after(&accident, &proof, old, size);
        let ours = verify_consistency(from, of, &old_root.0, &root.0, &proof).is_ok();
        let judged = tlog::check_tree(&theirs(&proof), of, root, from, old_root).is_ok();
        prop_assert_eq!(ours, judged, "consistency of {} with {}, {:?}", from, of, accident);
    }

    #[test]
    fn notes_are_signed_and_judged_alike(
        size in any::<u64>(), root in any::<[u8; 32]>(), seed in any::<[u8; 32]>(),
        at in 0_usize..400, to in prop_oneof![32_u8..127, Just(b'\n')], spoil in any::<bool>(),
    ) {
        let signer = Ed25519Key::from_seed(seed).unwrap();
        let key = VerifierKey { name: "riverton.example/ledger".to_owned(), public: signer.public() };
        let checkpoint = Checkpoint { origin: key.name.clone(), size, root };
        let note = checkpoint.note(&key, &signer.sign(checkpoint.text().as_bytes()));
        let other = "\u{2014} lakeside.example/witness AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
        let mut bytes = (note + other).into_bytes();
        if spoil {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        // Both take text, and a note that is none is nobody's.
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let verifier = StandardVerifier::new(&key.to_string()).unwrap();
        let known = VerifierList::new(vec![Box::new(verifier)]);
        let theirs = Note::from_bytes(text.as_bytes()).ok();
        let theirs = theirs.filter(|note| note.verify(&known).is_ok());
        let theirs = theirs.map(|note| note.text().to_vec());
        let ours = note::open(&text, &key).ok().map(|text| text.as_bytes().to_vec());
        prop_assert!(spoil || ours.is_some());
        prop_assert_eq!(&ours, &theirs, "{}", text);

        let Some(signed) = ours else { return Ok(()) };
        let theirs = tlog_tiles::Checkpoint::from_bytes(&signed).unwrap();
        let ours = Checkpoint::open(&text, &key).unwrap();
        prop_assert_eq!((ours.origin.as_str(), ours.size, ours.root),
            (theirs.origin(), theirs.size(), theirs.hash().0));
    }

    #[test]
    fn checkpoints_are_read_alike(
        size in any::<u64>(), root in any::<[u8; 32]>(), extension in "[ -~]{0,12}",
        at in 0_usize..120, to in prop_oneof![32_u8..127, Just(b'\n')], spoil in any::<bool>(),
    ) {
        let checkpoint = Checkpoint { origin: "riverton.example/ledger".to_owned(), size, root };
        let mut bytes = format!("{}{extension}\n", checkpoint.text()).into_bytes();
        if spoil {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        let note = [&bytes, "\n\u{2014} a AAAAAAA=\n".as_bytes()].concat();
        let ours = Checkpoint::parse(&String::from_utf8(note).unwrap()).ok();
        let theirs = tlog_tiles::Checkpoint::from_bytes(&bytes).ok();
        let ours = ours.map(|it| (it.origin, it.size, it.root));
        let theirs = theirs.map(|it| (it.origin().to_owned(), it.size(), it.hash().0));
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn verifier_keys_are_read_alike(
        seed in any::<[u8; 32]>(), at in 0_usize..90, to in 32_u8..127, spoil in any::<bool>(),
    ) {
        let public = Ed25519Key::from_seed(seed).unwrap().public();
        let key = VerifierKey { name: "riverton.example/ledger".to_owned(), public };
        let mut bytes = key.to_string().into_bytes();
        if spoil {
            let at = at % bytes.len();
            bytes[at] = to;
        }
        let text = String::from_utf8(bytes).unwrap();
        // The key's id is lower-case here; the oracle takes both spellings.
        let upper = text.split('+').nth(1).is_some_and(|id| id.contains(|c: char| c.is_uppercase()));
        let theirs = StandardVerifier::new(&text).is_ok() && !upper;
        prop_assert_eq!(VerifierKey::parse(&text).is_ok(), theirs, "{}", text);
    }
}
