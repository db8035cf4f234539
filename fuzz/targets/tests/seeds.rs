//! Every target with its seeds, and with what a thousand small accidents make of them.

#![cfg(test)]

use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = folder().join("seeds").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// SplitMix64: the same accidents on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides.max(1) as u64).unwrap()
    }

    /// One accident: a byte changed, lost or doubled, a piece cut out, moved or put in from elsewhere.
    fn mutate(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let at = self.roll(data.len() + 1);
        let end = (at + self.roll(40)).min(data.len());
        match self.roll(7) {
            0 if at < data.len() => data[at] ^= 1 << self.roll(8),
            1 if at < data.len() => {
                data[at] = [0, 0x7f, 0x80, 0xff, b'"', b'\n', b'<'][self.roll(7)]
            }
            2 => data.truncate(at),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                let to = self.roll(data.len() + 1);
                data.splice(to..to, piece);
            }
            5 => {
                let from = self.roll(other.len());
                let piece = &other[from..(from + 30).min(other.len())];
                data.splice(at..at, piece.iter().copied());
            }
            _ => data
                .splice(
                    at..at,
                    [b"9999999999", b"\xf0\x9f\x92\xa9------", b"{[({[({[({"][self.roll(3)]
                        .iter()
                        .copied(),
                )
                .for_each(drop),
        }
    }
}

fn run(target: &fuzz_targets::Target, times: usize) {
    let seeds = seeds(target.name);
    let mut dice = Dice(0x0b41_11b1_c4ed);
    for seed in &seeds {
        (target.run)(seed);
    }
    (target.run)(&[]);
    for _ in 0..times {
        let mut data = seeds[dice.roll(seeds.len())].clone();
        for _ in 0..=dice.roll(4) {
            let other = dice.roll(seeds.len());
            dice.mutate(&mut data, &seeds[other]);
        }
        (target.run)(&data);
    }
}

#[test]
fn accidents_to_small_formats_make_no_target_panic() {
    let slow = ["policy", "saml-response", "saml-signed", "saml-metadata", "tool-file"];
    for target in TARGETS.iter().filter(|target| !slow.contains(&target.name)) {
        run(target, 1500);
    }
}

#[test]
fn accidents_to_policies_and_tools_make_no_target_panic() {
    for name in ["policy", "tool-file"] {
        run(fuzz_targets::named(name).unwrap(), 150);
    }
}

#[test]
fn accidents_to_saml_make_no_target_panic() {
    for name in ["saml-response", "saml-signed", "saml-metadata"] {
        run(fuzz_targets::named(name).unwrap(), 300);
    }
}

#[test]
fn the_fuzzer_has_every_target() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let mut programs: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|name| *name != "fuzz")
        .collect();
    programs.sort_unstable();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
}
