//! What the specifications' own examples and other people's logs say. Files are read from the folder that
//! `BAILIWICK_CORPORA` names, or beside the checkout, and skipped where there is neither.

use std::convert::Infallible;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::merkle::{
    CompactRange, Hash, consistency_proof, inclusion_proof, leaf_hash, node_hash,
    verify_consistency,
};
use ledger::note::{self, Checkpoint, NoteError, VerifierKey};
use serde_json::Value;

/// Test material of others, where it stands beside the checkout.
pub(crate) fn corpora() -> Option<PathBuf> {
    testkit::corpus("tlog").unwrap()
}

/// The tree of seven entries in RFC 9162 §2.1.5, with the names that its nodes have there.
struct Seven {
    leaves: [Hash; 7],
    g: Hash,
    h: Hash,
    i: Hash,
    k: Hash,
    l: Hash,
}

impl Seven {
    fn new() -> Self {
        let leaves: [Hash; 7] = std::array::from_fn(|at| leaf_hash(&[u8::try_from(at).unwrap()]));
        let [d0, d1, d2, d3, d4, d5, _] = leaves;
        let (g, h, i) = (node_hash(&d0, &d1), node_hash(&d2, &d3), node_hash(&d4, &d5));
        Self { leaves, g, h, i, k: node_hash(&g, &h), l: node_hash(&i, &leaves[6]) }
    }

    fn read(&self, level: u32, at: u64) -> Result<Hash, Infallible> {
        let at = usize::try_from(at).unwrap();
        Ok(match level {
            0 => self.leaves[at],
            1 => [self.g, self.h, self.i][at],
            2 => [self.k][at],
            _ => panic!("there is no node {at} of level {level}"),
        })
    }
}

#[test]
fn the_proofs_of_the_seven_entries_in_rfc_9162_are_as_written_there() {
    let seven = Seven::new();
    let Seven { leaves: [a, b, c, d, _, f, j], g, h, i, k, l } = &seven;
    let read = &mut |level, at| seven.read(level, at);
    for (entry, expected) in
        [(0, vec![b, h, l]), (3, vec![c, g, l]), (4, vec![f, j, k]), (6, vec![i, k])]
    {
        let proof = inclusion_proof(entry, 7, read).unwrap().unwrap();
        assert_eq!(proof.iter().collect::<Vec<_>>(), expected, "entry {entry}");
    }
    for (old, expected) in [(3, vec![c, d, g, l]), (4, vec![l]), (6, vec![i, j, k])] {
        let proof = consistency_proof(old, 7, read).unwrap().unwrap();
        assert_eq!(proof.iter().collect::<Vec<_>>(), expected, "from {old}");
    }
    let mut tree = CompactRange::new();
    seven.leaves.iter().for_each(|leaf| tree.push(*leaf, &mut |_, _, _| {}));
    assert_eq!(tree.root(), node_hash(k, l));
    assert_ne!(a, b);
}

const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const PETER: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

#[test]
fn the_signed_note_that_everybody_shows_is_read_and_its_wrong_spellings_are_not() {
    let key = |text| VerifierKey::parse(text).unwrap();
    let peter = key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    let enoch = key("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop");
    let good = format!("{TEXT}\n{PETER}");
    let both = format!("{TEXT}\n{PETER}{ENOCH}");
    assert_eq!(note::open(&good, &peter), Ok(TEXT));
    assert_eq!(note::open(&both, &peter), Ok(TEXT));
    assert_eq!(note::open(&both, &enoch), Ok(TEXT));
    let wrong =
        |note: &str, expected| assert_eq!(note::open(note, &peter), Err(expected), "{note}");
    wrong(&format!("{TEXT}\n{ENOCH}"), NoteError::UnknownSigner);
    wrong(&good.replace("PeterNeumann", "CarmenSandiego"), NoteError::UnknownSigner);
    wrong(&good.replace("x08g", "xxxx"), NoteError::UnknownSigner);
    wrong(&good.replace("cryptography", "Cryptography"), NoteError::Signature);
    let longer = format!("{}ABCD{}", &PETER[..60], &PETER[60..]);
    wrong(&format!("{TEXT}\n{longer}"), NoteError::Signature);
    for malformed in [
        TEXT.to_owned(),
        format!("\n{TEXT}"),
        format!("{TEXT}\n{}", PETER.trim_end()),
        format!("\u{1}{TEXT}\n{PETER}"),
        format!("{TEXT}\n{}", PETER.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{}", PETER.repeat(17)),
        format!("{TEXT}\n{PETER}\n"),
        good.replace("\n\n", "\n"),
    ] {
        wrong(&malformed, NoteError::Malformed);
    }
    for text in [
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3",
        "",
    ] {
        assert_eq!(VerifierKey::parse(text), Err(NoteError::Key), "{text}");
    }
}

/// The entries of a C2SP entry bundle: 2 bytes of length, and so many bytes.
fn bundle(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (entry, after) = more.split_at(usize::from(u16::from_be_bytes(*length)));
        found.push(entry);
        rest = after;
    }
    assert!(rest.is_empty());
    found
}

#[test]
fn the_log_of_tessera_holds_tile_by_tile_and_entry_by_entry() {
    let Some(folder) = corpora() else { return };
    let folder = folder.join("tessera");
    let key = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
    let key = VerifierKey::parse(key).unwrap();
    let read = |name: String| std::fs::read(folder.join(&name)).unwrap();
    let checkpoint =
        |name: String| Checkpoint::open(&String::from_utf8(read(name)).unwrap(), &key).unwrap();
    let newest = checkpoint("checkpoint".to_owned());
    let mut before: Vec<Hash> = Vec::new();
    for size in 1..=15_u64 {
        let entries = read(format!("tile/entries/000.p/{size}"));
        let entries = bundle(&entries);
        let tile = read(format!("tile/0/000.p/{size}"));
        let (tile, rest) = tile.as_chunks::<32>();
        assert_eq!((entries.len() as u64, tile.len() as u64, rest.len()), (size, size, 0));
        let mut tree = CompactRange::new();
        for (entry, hash) in entries.iter().zip(tile) {
            assert_eq!(leaf_hash(entry), *hash);
            tree.push(*hash, &mut |_, _, _| {});
        }
        assert!(tile.starts_with(&before), "a tile begins with the one before");
        before = tile.to_vec();
        let signed = checkpoint(format!("checkpoint.{size}"));
        assert_eq!((signed.size, signed.root), (size, tree.root()));
        if size == newest.size {
            assert_eq!(newest, signed);
        }
    }
    assert_eq!(newest.size, 15);
}

#[test]
fn two_states_of_a_real_certificate_log_are_of_one_history() {
    let Some(folder) = corpora() else { return };
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join("ct").join(name)).unwrap()).unwrap()
    };
    let hash = |text: &str| -> Hash { BASE64.decode(text).unwrap().try_into().unwrap() };
    let head = read("get-sth.json");
    let root = hash(head["sha256_root_hash"].as_str().unwrap());
    let size = head["tree_size"].as_u64().unwrap();
    let answer = read("get-sth-consistency-first-3654490-second-961984011.json");
    let proof = answer["consistency"].as_array().unwrap().iter();
    let proof: Vec<Hash> = proof.map(|it| hash(it.as_str().unwrap())).collect();
    let old_root = hash("AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ=");
    verify_consistency(3_654_490, size, &old_root, &root, &proof).unwrap();
    let check = |old, size, old_root: &Hash, proof: &[Hash]| {
        verify_consistency(old, size, old_root, &root, proof).unwrap_err()
    };
    check(3_654_491, size, &old_root, &proof);
    check(3_654_490, size / 2, &old_root, &proof);
    // A proof does not tell sizes apart between which its path is the same: the signed head does.
    verify_consistency(3_654_490, size - 1, &old_root, &root, &proof).unwrap();
    check(3_654_490, size, &root, &proof);
    check(3_654_490, size, &old_root, &proof[1..]);
}
