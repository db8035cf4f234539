//! Cosigned checkpoints that hold, and that don't.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ledger::note::Checkpoint;
use ledger::testing::keys;
use ledger::witness::{Cosignature, WitnessKey};
use serde_json::{Value, json};

use super::evidence::{Writer, bytes, line};
use crate::common::time;
use crate::witness::seed;

/// The witness whose cosignature is asked for.
pub(crate) fn witness() -> WitnessKey {
    WitnessKey { name: "lakeside.example/witness".to_owned(), public: seed(9).public() }
}

pub(crate) fn vectors(out: &mut Writer) -> Value {
    let (key, witness) = (out.key.clone(), witness());
    let tree = Checkpoint { origin: key.name.clone(), size: 11, root: [5; 32] };
    let note = tree.note(&key, &keys().signer.sign(tree.text().as_bytes()));
    let at = |text| Cosignature::sign(&tree.text(), time(text), &seed(9)).line(&witness);
    let (first, later) = (at("2026-11-22T14:03:21Z"), at("2026-11-23T00:00:00Z"));
    let whole = format!("{note}{first}");
    let mut list = Vec::new();
    let mut add = |name: &str, text: &str, seconds: Option<i64>, why: &str| {
        let file = format!("cosigned-{name}.txt");
        std::fs::write(out.to.join(&file), text).unwrap();
        list.push(json!({ "file": file, "at": seconds, "why": why }));
    };
    let (then, afterwards) = (Some(1_795_356_201), Some(1_795_392_000));
    add("once", &whole, then, "cosigned");
    add("again", &format!("{whole}{later}"), afterwards, "cosigned twice: the newest counts");
    add("turned", &format!("{note}{later}{first}"), afterwards, "the newest first");
    let stranger = "\u{2014} nobody.example/w AAAAAAAAAAAA\n";
    add(
        "stranger",
        &format!("{note}{stranger}{first}"),
        then,
        "a line of a key that is not asked for",
    );
    add("none", &note, None, "no cosignature");
    add("size", &whole.replace("\n11\n", "\n12\n"), None, "another size than was signed");
    let last = whole.lines().count() - 1;
    add("time", &bytes(&whole, last, |it| it[11] ^= 1), None, "another time than was signed");
    add("flipped", &bytes(&whole, last, |it| it[40] ^= 1), None, "another signature");
    add(
        "short",
        &bytes(&whole, last, |it| it.truncate(it.len() - 1)),
        None,
        "a signature of 63 bytes",
    );
    add("long", &bytes(&whole, last, |it| it.push(0)), None, "a byte behind the signature");
    add("key", &bytes(&whole, last, |it| it[0] ^= 1), None, "another key's id");
    add("name", &line(&whole, last, |it| it.replace("witness", "other")), None, "another name");
    let log = whole.lines().count() - 2;
    add("log", &bytes(&whole, log, |it| it[40] ^= 1), None, "the log's signature is another");
    add("unsigned", &format!("{}\n{first}", tree.text()), None, "the log has not signed");
    add(
        "hyphen",
        &line(&whole, last, |it| it.replace('\u{2014}', "-")),
        None,
        "a hyphen for the em dash",
    );
    let signed = keys().signer.sign(tree.text().as_bytes());
    let blob = BASE64.encode([witness.id().as_slice(), &signed].concat());
    let plain = format!("{note}\u{2014} {} {blob}\n", witness.name);
    add("plain", &plain, None, "a plain signature where a cosignature belongs");
    let other = Cosignature::sign(&tree.text(), time("2026-11-22T14:03:21Z"), &seed(8));
    add(
        "forged",
        &format!("{note}{}", other.line(&witness)),
        None,
        "the key's id, signed by another",
    );
    let many = format!("{note}{}{first}", stranger.repeat(15));
    add("many", &many, None, "17 signatures");
    json!({ "witness": witness.to_string(), "notes": list })
}
