//! What accidents make of the vectors: both readers must judge each alike, whatever it is.

use std::path::Path;

use ledger::note::VerifierKey;
use ledger::witness::WitnessKey;
use serde_json::{Value, json};

use super::{
    change, cosigned_at, evidence_holds, folder, folders, index, list, ours, python, text,
};

const TEXTS_EACH: usize = 4;
const FLIPS_EACH: usize = 40;

/// Numbers that are the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }

    /// One small accident to a text.
    fn accident(&mut self, text: &str) -> String {
        const STRANGE: [char; 12] =
            ['\n', ' ', '0', '9', '=', 'A', '/', '+', '-', '\u{2014}', '\t', 'é'];
        let mut letters: Vec<char> = text.chars().collect();
        let at = self.roll(letters.len());
        match self.roll(6) {
            0 => letters[at] = STRANGE[self.roll(STRANGE.len())],
            1 => letters.insert(at, STRANGE[self.roll(STRANGE.len())]),
            2 => drop(letters.remove(at)),
            3 => letters.truncate(at),
            other => {
                let mut lines: Vec<&str> = text.split('\n').collect();
                let (from, to) = (self.roll(lines.len()), self.roll(lines.len()));
                if other == 4 {
                    lines.swap(from, to);
                } else {
                    lines.insert(to, lines[from]);
                }
                return lines.join("\n");
            }
        }
        letters.into_iter().collect()
    }
}

/// Flips of a bit in the files of a ledger, and whether it holds then.
fn flips(dice: &mut Dice, ledger: &Value, given: &(String, u64)) -> Vec<Value> {
    let from = folder().join(text(ledger, "path"));
    let mut files = Vec::new();
    collect(&from, &from, &mut files);
    let mut flips = Vec::new();
    while flips.len() < FLIPS_EACH {
        let (name, length) = &files[dice.roll(files.len())];
        let (offset, xor) = (dice.roll(*length), 1 << dice.roll(8));
        let one = json!({ "do": "flip", "file": name, "offset": offset, "xor": xor, "names": null,
            "why": format!("bit {xor} of byte {offset} of {name}") });
        let temporary = tempfile::tempdir().unwrap();
        let here = temporary.path().join("ledger");
        folders::copy(&from, &here);
        change(&one, &here, &mut given.clone());
        let damaged = ours(&here, given).is_err();
        let mut one = one;
        // Any name will do: what is told first is each reader's own.
        one["names"] = if damaged { json!("") } else { Value::Null };
        flips.push(one);
    }
    flips
}

fn collect(base: &Path, folder: &Path, files: &mut Vec<(String, usize)>) {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(base, &path, files);
        } else {
            let length = usize::try_from(path.metadata().unwrap().len()).unwrap();
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            files.extend((length > 0).then_some((name, length)));
        }
    }
}

#[test]
fn what_accidents_make_of_the_vectors_is_judged_alike_in_rust_and_in_python() {
    let (index, temporary, mut dice) = (index(), tempfile::tempdir().unwrap(), Dice(7));
    let to = temporary.path();
    let (log, witness) = (text(&index, "key"), text(&index["cosigned"], "witness"));
    let (key, by) = (VerifierKey::parse(log).unwrap(), WitnessKey::parse(witness).unwrap());
    let (mut evidence, mut notes, mut held) = (Vec::new(), Vec::new(), 0);
    let mut accidents = |list: &[Value], each: &mut dyn FnMut(String, String)| {
        for one in list {
            let whole = std::fs::read_to_string(folder().join(text(one, "file"))).unwrap();
            for nth in 0..TEXTS_EACH {
                let (name, changed) =
                    (format!("{nth}-{}", text(one, "file")), dice.accident(&whole));
                std::fs::write(to.join(&name), &changed).unwrap();
                each(name, changed);
            }
        }
    };
    accidents(list(&index, "evidence"), &mut |file, changed| {
        let holds = evidence_holds(&changed, &key).is_ok();
        held += u32::from(holds);
        evidence.push(json!({ "file": file, "holds": holds, "why": "an accident" }));
    });
    accidents(list(&index["cosigned"], "notes"), &mut |file, changed| {
        let at = cosigned_at(&changed, &key, &by);
        held += u32::from(at.is_some());
        notes.push(json!({ "file": file, "at": at, "why": "an accident" }));
    });
    let mut ledgers = Vec::new();
    for ledger in list(&index, "folders") {
        let (path, size) = (text(ledger, "path"), ledger["size"].as_u64().unwrap());
        folders::copy(&folder().join(path), &to.join(path));
        let changes = flips(&mut dice, ledger, &(log.to_owned(), size));
        ledgers.push(json!({ "path": path, "size": size, "changes": changes }));
    }
    let made = json!({ "key": log, "evidence": evidence, "folders": ledgers,
        "cosigned": { "witness": witness, "notes": notes } });
    std::fs::write(to.join("index.json"), made.to_string()).unwrap();
    let said = python(Some(to));
    assert!(said.ends_with(" judged as the index says\n"), "{said}");
    // Some accidents are of no matter, such as one in a signature of somebody else.
    assert!(held > 0, "nothing held");
}
