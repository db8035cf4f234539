//! Evidence that holds, and changed in ways that make it hold no more.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use keys::seal::SealingKey;
use ledger::evidence::{
    Content, Disclose, EntryProof, Evidence, EvidenceEntry, LogCopy, RangeProof,
};
use ledger::note::{Checkpoint, VerifierKey};
use ledger::testing::keys;
use serde_json::{Value, json};

/// Writes vectors into a folder, and the list of them.
pub(crate) struct Writer {
    pub(crate) to: PathBuf,
    pub(crate) index: Vec<Value>,
    pub(crate) key: VerifierKey,
}

impl Writer {
    pub(crate) fn add(&mut self, name: &str, text: &str, holds: bool, why: &str) {
        let file = format!("{name}.txt");
        assert!(self.index.iter().all(|it| it["file"] != file.as_str()), "{name} twice");
        std::fs::write(self.to.join(&file), text).unwrap();
        self.index.push(json!({ "file": file, "holds": holds, "why": why }));
    }

    fn good(&mut self, name: &str, evidence: impl Into<Evidence>, why: &str) -> String {
        let evidence = evidence.into();
        evidence.check(&self.key).unwrap();
        let text = evidence.text();
        self.add(name, &text, true, why);
        text
    }

    fn bad(&mut self, name: &str, text: &str, why: &str) {
        self.add(name, text, false, why);
    }
}

/// The text with its line of this number (from 0) changed.
pub(crate) fn line(text: &str, at: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    lines[at] = change(&lines[at]);
    lines.join("\n")
}

fn without(text: &str, at: usize) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.remove(at);
    lines.join("\n")
}

fn swapped(text: &str, at: usize, with: usize) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.swap(at, with);
    lines.join("\n")
}

/// A line `word BASE64` with its bytes changed.
pub(crate) fn bytes(text: &str, at: usize, change: impl FnOnce(&mut Vec<u8>)) -> String {
    line(text, at, |line| {
        let (word, encoded) = line.rsplit_once(' ').map_or(("", line), |(word, it)| (word, it));
        let mut bytes = BASE64.decode(encoded).unwrap();
        change(&mut bytes);
        let space = if word.is_empty() { "" } else { " " };
        format!("{word}{space}{}", BASE64.encode(bytes))
    })
}

pub(crate) fn entry_vectors(out: &mut Writer, copy: &LogCopy<'_>, body: &SealingKey) {
    let sealed = copy.prove(4, None).unwrap();
    let text = out.good("entry-sealed", sealed.clone(), "one entry of which nothing is disclosed");
    let shared = copy.prove(3, Some((Disclose::Shared, body))).unwrap();
    out.good("entry-shared", shared, "one entry with its shared half");
    let whole = copy.prove(4, Some((Disclose::All, body))).unwrap();
    let all = out.good("entry-all", whole.clone(), "one entry with both halves");
    let disposed = EvidenceEntry { content: Content::Disposed, ..sealed.entry.clone() };
    let disposed = EntryProof { entry: disposed, ..sealed };
    out.good("entry-disposed", disposed, "one entry that is said to have been disposed of");
    out.good("entry-first", copy.prove(0, None).unwrap(), "the first entry");
    out.good("entry-last", copy.prove(10, None).unwrap(), "the last, whose path is shorter");
    out.bad("entry-magic", &text.replace("proof@v1", "proof@v2"), "another version");
    out.bad("entry-no-extra", &without(&text, 1), "there is no extra line");
    out.bad("entry-no-index", &without(&text, 2), "there is no index line");
    out.bad(
        "entry-index-zero",
        &text.replace("index 4", "index 04"),
        "a number with a leading zero",
    );
    out.bad("entry-index-plus", &text.replace("index 4", "index +4"), "a number with a sign");
    out.bad("entry-index-other", &text.replace("index 4", "index 5"), "not the envelope's number");
    out.bad(
        "entry-index-huge",
        &text.replace("index 4", "index 18446744073709551620"),
        "over 64 bits",
    );
    out.bad("entry-crlf", &text.replace('\n', "\r\n"), "lines end with a newline alone");
    out.bad("entry-path-missing", &without(&text, 3), "a hash of the path is missing");
    out.bad("entry-path-extra", &line(&text, 3, |it| format!("{it}\n{it}")), "a hash too many");
    out.bad("entry-path-long", &line(&text, 3, |it| vec![it; 64].join("\n")), "64 hashes");
    out.bad("entry-path-swapped", &swapped(&text, 3, 4), "the path in another order");
    out.bad(
        "entry-path-flipped",
        &bytes(&text, 3, |it| it[7] ^= 1),
        "a hash of the path is another",
    );
    out.bad(
        "entry-path-short",
        &bytes(&text, 3, |it| it.truncate(it.len() - 1)),
        "a hash of 31 bytes",
    );
    let unpadded = line(&text, 3, |it| it.trim_end_matches('=').to_owned());
    out.bad("entry-path-unpadded", &unpadded, "Base64 without its padding");
    for (name, at, why) in [
        ("version", 0, "an envelope of another version"),
        ("ledger", 3, "the envelope of another ledger"),
        ("time", 32, "another time"),
        ("kind", 34, "another kind of event"),
        ("schedule", 35, "another schedule"),
        ("commitment", 80, "another commitment"),
    ] {
        out.bad(&format!("entry-envelope-{name}"), &bytes(&text, 1, |it| it[at] ^= 1), why);
    }
    out.bad(
        "entry-envelope-flag",
        &bytes(&text, 1, |it| it[33] = 2),
        "a flag that is neither 0 nor 1",
    );
    out.bad(
        "entry-envelope-month",
        &bytes(&text, 1, |it| it[39] = 13),
        "a month that there is not",
    );
    out.bad("entry-envelope-short", &bytes(&text, 1, |it| it.truncate(103)), "103 bytes");
    out.bad("entry-trailing", &bytes(&text, 1, |it| it.push(0)), "a byte behind the envelope");
    out.bad("entry-disposed-more", &bytes(&text, 1, |it| it.extend(b"dd")), "more behind the `d`");
    let second = 104 + 41 + usize::from(shared_length(&whole));
    out.bad("entry-salt", &bytes(&all, 1, |it| it[106] ^= 1), "another salt");
    out.bad("entry-content", &bytes(&all, 1, |it| it[second + 45] ^= 1), "another content");
    out.bad("entry-cut", &bytes(&all, 1, |it| it.truncate(it.len() - 1)), "a half that is cut");
    out.bad("entry-length", &bytes(&all, 1, |it| it[104 + 33] = 0xff), "a length beyond the end");
    out.bad("entry-half-unknown", &bytes(&all, 1, |it| it[104] = b'x'), "a half that there is not");
    let again = bytes(&all, 1, |it| it[second] = b's');
    out.bad("entry-half-twice", &again, "the shared half twice");
    let turned = bytes(&all, 1, |it| it[104..].rotate_left(second - 104));
    out.bad("entry-halves-turned", &turned, "the private half first");
    let other = copy.prove(7, Some((Disclose::All, body))).unwrap().entry.content;
    let stolen = EvidenceEntry { content: other, ..whole.entry.clone() };
    let stolen = EntryProof { entry: stolen, ..whole };
    out.bad("entry-half-of-another", &stolen.text(), "the halves of another entry");
}

fn shared_length(proof: &EntryProof) -> u8 {
    let said = proof.entry.said(ledger::format::Half::Shared).unwrap();
    u8::try_from(said.len()).unwrap()
}

pub(crate) fn note_vectors(out: &mut Writer, copy: &LogCopy<'_>) {
    let proof = copy.prove(4, None).unwrap();
    let note = proof.checkpoint.clone();
    let with = |note: String| EntryProof { checkpoint: note, ..proof.clone() }.text();
    let key = out.key.clone();
    let signer = keys().signer;
    let read = Checkpoint::open(&note, &key).unwrap();
    let signed = |checkpoint: &Checkpoint, key: &VerifierKey| {
        checkpoint.note(key, &signer.sign(checkpoint.text().as_bytes()))
    };
    let cosigned = format!("{note}\u{2014} witness.example/w AAAAAAAAAAAA\n");
    out.add("note-cosigned", &with(cosigned), true, "a signature by a key that nobody asks for");
    out.bad("note-size", &with(note.replace("\n11\n", "\n12\n")), "another size than was signed");
    out.bad("note-zero", &with(note.replace("\n11\n", "\n011\n")), "a size with a leading zero");
    out.bad("note-unsigned", &with(format!("{}\n", read.text())), "no signature");
    out.bad("note-cut", &with(note.trim_end().to_owned()), "no newline at the end");
    out.bad("note-hyphen", &with(note.replace('\u{2014}', "-")), "a hyphen for the em dash");
    out.bad("note-more", &with(format!("{note}\n")), "an empty line behind the signatures");
    let many = format!("{note}{}", "\u{2014} a AAAAAAAA\n".repeat(16));
    out.bad("note-signatures", &with(many), "17 signatures");
    let beside = format!("{note}\u{2014} a b AAAAAAAA\n");
    out.bad("note-name", &with(beside), "a name with a space");
    let origin = Checkpoint { origin: "lakeside.example/ledger".to_owned(), ..read.clone() };
    out.bad("note-origin", &with(signed(&origin, &key)), "the origin of another log");
    let root = Checkpoint { root: [9; 32], ..read.clone() };
    out.bad("note-root", &with(signed(&root, &key)), "signed, but of another tree");
    let fewer = Checkpoint { size: 4, ..read.clone() };
    out.bad("note-fewer", &with(signed(&fewer, &key)), "signed, but the entry is beyond it");
    let other = keys::sign::Ed25519Key::from_seed([9; 32]).unwrap();
    let forged = read.note(&key, &other.sign(read.text().as_bytes()));
    out.bad("note-forged", &with(forged), "the key's id, signed by another");
    let stranger = VerifierKey { public: other.public(), ..key };
    let strange = read.note(&stranger, &other.sign(read.text().as_bytes()));
    out.bad("note-stranger", &with(strange), "the log's name, and another key");
    out.bad("note-none", &with(String::new()), "there is no checkpoint");
}

pub(crate) fn range_vectors(out: &mut Writer, copy: &LogCopy<'_>, body: &SealingKey) {
    let range = |range, disclose| -> RangeProof { copy.range(range, disclose).unwrap() };
    out.good("range-whole", range(0..11, None), "the whole ledger");
    out.good(
        "range-disclosed",
        range(2..5, Some((Disclose::All, body))),
        "with both halves of each",
    );
    out.good("range-single", range(5..6, None), "a range of one");
    let text = out.good("range-middle", range(3..9, None), "with entries before and after");
    let at = |word: &str| text.split('\n').position(|line| line.starts_with(word)).unwrap();
    let (before, entry, after) = (at("before "), at("entry "), at("after "));
    out.bad("range-magic", &text.replace("range@v1", "range@v2"), "another version");
    out.bad("range-gap", &without(&text, entry + 1), "an entry is missing");
    out.bad("range-swapped", &swapped(&text, entry, entry + 1), "entries in another order");
    out.bad("range-twice", &line(&text, entry, |it| format!("{it}\n{it}")), "an entry twice");
    out.bad("range-longer", &text.replace("range 3 9", "range 3 10"), "one more than there are");
    out.bad("range-shorter", &text.replace("range 3 9", "range 3 8"), "one fewer than there are");
    out.bad("range-turned", &text.replace("range 3 9", "range 9 3"), "it ends before it begins");
    out.bad("range-empty", &text.replace("range 3 9", "range 3 3"), "a range of nothing");
    out.bad("range-zero", &text.replace("range 3 9", "range 03 9"), "a number with a leading zero");
    out.bad("range-huge", &text.replace("range 3 9", "range 3 100004"), "over 100,000 entries");
    out.bad("range-before-missing", &without(&text, before), "a subtree before is missing");
    let twice = line(&text, before, |it| format!("{it}\n{it}"));
    out.bad("range-before-more", &twice, "a subtree before too many");
    out.bad("range-before-swapped", &swapped(&text, before, before + 1), "smallest first");
    out.bad("range-after-missing", &without(&text, after), "a subtree after is missing");
    let twice = line(&text, after, |it| format!("{it}\n{it}"));
    out.bad("range-after-more", &twice, "a subtree after too many");
    out.bad("range-after-swapped", &swapped(&text, after, after + 1), "the subtrees after swapped");
    out.bad("range-after-first", &swapped(&text, entry, after), "an `after` among the entries");
    out.bad(
        "range-flipped",
        &bytes(&text, entry + 2, |it| it[32] ^= 1),
        "another time in an entry",
    );
    let foreign = bytes(&text, entry + 2, |it| it[3] ^= 1);
    out.bad("range-foreign", &foreign, "an entry of another ledger");
    out.bad("range-no-note", text.split("\n\n").next().unwrap(), "there is no checkpoint");
}
