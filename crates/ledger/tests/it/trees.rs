//! The Merkle tree and signed notes against values and files that others made.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::merkle::{
    CompactRange, Hash, consistency_proof, empty_root, inclusion_proof, leaf_hash, node_hash,
    root_at, verify_consistency, verify_inclusion,
};
use ledger::note::{Checkpoint, NoteError, VerifierKey};
use proptest::proptest;
use serde_json::Value;

use crate::conformance::corpora;

/// The leaves and roots that implementations of RFC 6962 and RFC 9162 share.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn roots_are_those_of_the_reference_trees() {
    let mut range = CompactRange::new();
    assert_eq!(
        hex::encode(range.root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        range.push(leaf_hash(&hex::decode(leaf).unwrap()), &mut |_, _, _| {});
        assert_eq!(hex::encode(range.root()), root, "tree of {}", range.size());
    }
}

/// Any subtree of a list of leaves, by the RFC's definition.
fn by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&by_definition(left), &by_definition(right))
        }
    }
}

proptest! {
    #[test]
    fn proofs_of_any_tree_verify_and_of_any_other_do_not(
        size in 1_usize..200, leaf in 0_usize..200, old in 1_usize..200, flip in 0_usize..256,
    ) {
        let (leaf, old) = (leaf % size, (old - 1) % size + 1);
        let leaves: Vec<Hash> = (0..size).map(|at| leaf_hash(&at.to_be_bytes())).collect();
        let mut range = CompactRange::new();
        for leaf in &leaves {
            range.push(*leaf, &mut |_, _, _| {});
        }
        let mut read = |level: u32, at: u64| {
            let from = usize::try_from(at << level).unwrap();
            Ok::<Hash, Infallible>(by_definition(&leaves[from..from + (1 << level)]))
        };
        let (size64, leaf64, old64) = (size as u64, leaf as u64, old as u64);
        let root = root_at(size64, &mut read).unwrap();
        assert_eq!((root, range.root()), (by_definition(&leaves), root));
        let proof = inclusion_proof(leaf64, size64, &mut read).unwrap().unwrap();
        verify_inclusion(leaf64, size64, &leaves[leaf], &proof, &root).unwrap();
        let mut wrong = root;
        wrong[flip / 8] ^= 1 << (flip % 8);
        assert!(verify_inclusion(leaf64, size64, &leaves[leaf], &proof, &wrong).is_err());
        assert!(verify_inclusion(leaf64 + 1, size64, &leaves[leaf], &proof, &root).is_err());
        let before = by_definition(&leaves[..old]);
        let proof = consistency_proof(old64, size64, &mut read).unwrap().unwrap();
        verify_consistency(old64, size64, &before, &root, &proof).unwrap();
        assert!(verify_consistency(old64, size64, &before, &wrong, &proof).is_err());
        let longer = [proof.as_slice(), &[root]].concat();
        assert!(verify_consistency(old64, size64, &before, &root, &longer).is_err());
    }
}

#[test]
fn notes_that_are_malformed_foreign_or_forged_are_told_apart() {
    let signer = keys::sign::Ed25519Key::from_seed([5; 32]).unwrap();
    let key = VerifierKey { name: "riverton.example/ledger".to_owned(), public: signer.public() };
    let checkpoint = Checkpoint { origin: key.name.clone(), size: 17, root: [9; 32] };
    let note = checkpoint.note(&key, &signer.sign(checkpoint.text().as_bytes()));
    assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key.clone()));
    assert_eq!(Checkpoint::open(&note, &key), Ok(checkpoint.clone()));
    let check = |note: &str, expected| assert_eq!(Checkpoint::open(note, &key), Err(expected));
    check(&note.replace("\n17\n", "\n18\n"), NoteError::Signature);
    check(&note.replace("\n17\n", "\n017\n"), NoteError::NotACheckpoint);
    check(&note.replace("\n17\n", "\n+17\n"), NoteError::NotACheckpoint);
    check(&note.replace("riverton", "lakeside"), NoteError::Origin);
    check(note.trim_end(), NoteError::Malformed);
    check(&note.replace("\n\n", "\n"), NoteError::Malformed);
    check(&note.replace('\u{2014}', "-"), NoteError::Malformed);
    check(&format!("{note}{}", "\u{2014} a AAAAAAAA\n".repeat(16)), NoteError::Malformed);
    check("", NoteError::Malformed);
    let other = VerifierKey { public: [1; 32], ..key.clone() };
    assert_eq!(Checkpoint::open(&note, &other), Err(NoteError::UnknownSigner));
    let cosigned = format!("{note}\u{2014} witness.example/w AAAAAAAA\n");
    assert_eq!(Checkpoint::open(&cosigned, &key), Ok(checkpoint));
}

fn json_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, out);
        } else if path.extension().is_some_and(|it| it == "json") {
            out.push(path);
        }
    }
}

fn hash(value: &Value) -> Option<Hash> {
    BASE64.decode(value.as_str()?).ok()?.try_into().ok()
}

fn proof(value: &Value) -> Option<Vec<Hash>> {
    match value {
        Value::Null => Some(Vec::new()),
        value => value.as_array()?.iter().map(hash).collect(),
    }
}

fn inclusion(probe: &Value) -> Option<()> {
    let (leaf, root) = (hash(&probe["leafHash"])?, hash(&probe["root"])?);
    let (at, size) = (probe["leafIdx"].as_u64()?, probe["treeSize"].as_u64()?);
    verify_inclusion(at, size, &leaf, &proof(&probe["proof"])?, &root).ok()
}

fn consistency(probe: &Value) -> Option<()> {
    let (old, new) = (hash(&probe["root1"])?, hash(&probe["root2"])?);
    let (size1, size2) = (probe["size1"].as_u64()?, probe["size2"].as_u64()?);
    verify_consistency(size1, size2, &old, &new, &proof(&probe["proof"])?).ok()
}

#[test]
fn the_probes_of_transparency_dev_are_judged_as_they_say() {
    let Some(folder) = corpora() else { return };
    for (name, judge) in
        [("inclusion", inclusion as fn(&Value) -> Option<()>), ("consistency", consistency)]
    {
        let mut files = Vec::new();
        json_files(&folder.join("testdata").join(name), &mut files);
        assert!(files.len() >= 90, "{} probes", files.len());
        for path in files {
            let probe: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            // It has a root of 12 bytes, for which there is no type here.
            if path.ends_with("sizes-are-equal-one-and-proof-is-empty.json") {
                continue;
            }
            let refused = judge(&probe).is_none();
            assert_eq!(refused, probe["wantErr"].as_bool().unwrap_or(false), "{}", path.display());
        }
    }
}

#[test]
fn proofs_of_a_real_certificate_log_verify() {
    let Some(folder) = corpora() else { return };
    let read = |start: &str| {
        let entries = std::fs::read_dir(folder.join("ct")).unwrap();
        let path = entries
            .map(|entry| entry.unwrap().path())
            .find(|path| path.file_name().unwrap().to_string_lossy().starts_with(start))
            .unwrap();
        serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap()
    };
    let head = read("get-sth.json");
    let (size, root) =
        (head["tree_size"].as_u64().unwrap(), hash(&head["sha256_root_hash"]).unwrap());
    let found = read("get-proof-by-hash");
    let entry = read("get-entries");
    let leaf = BASE64.decode(entry["entries"][0]["leaf_input"].as_str().unwrap()).unwrap();
    let at = found["leaf_index"].as_u64().unwrap();
    let path = proof(&found["audit_path"]).unwrap();
    verify_inclusion(at, size, &leaf_hash(&leaf), &path, &root).unwrap();
}
