//! Signed messages by the thousand, changed on purpose, before the verifier and before xmlsec1.
//!
//! `SIGNED_RECIPES=2000000 cargo test --workspace --test signed -- --nocapture` runs as many; the recipes are the
//! same on every machine.

#![cfg(test)]
#![expect(clippy::print_stderr, reason = "figures are printed")]

use std::collections::BTreeMap;

use fuzz_targets::signed::{Judged, Xmlsec1, can_say_no, judge};

const RECIPES: u64 = 6000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Mostly short recipes: the more is changed, the surer is a refusal for the first of it.
    fn recipe(&mut self) -> Vec<u8> {
        let length = 1 + (1 + self.next() % 4) * (2 + self.next() % 4);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[test]
fn whatever_is_accepted_of_changed_messages_was_signed_and_xmlsec1_says_so_too() {
    let what = "the oracle of changed messages";
    let oracle = testkit::need(what, &["xmlsec1"]).unwrap().map(|at| Xmlsec1::new(at).unwrap());
    let count = std::env::var_os("SIGNED_RECIPES").and_then(|text| text.to_str()?.parse().ok());
    let count = count.unwrap_or(RECIPES);
    let mut dice = Dice(0x5161_4ed0);
    let (mut accepted, mut confirmed) = (0_u64, 0_u64);
    let (mut refused, mut findings) = (BTreeMap::<&str, u64>::new(), Vec::new());
    for _ in 0..count {
        let recipe = dice.recipe();
        match judge(&recipe, oracle.as_ref()) {
            Ok(Judged::Accepted { confirmed: yes }) => {
                accepted += 1;
                confirmed += u64::from(yes);
            }
            Ok(Judged::Refused(code)) => *refused.entry(code).or_default() += 1,
            Err(finding) => findings.push(format!("{recipe:?}: {finding}")),
        }
    }
    eprintln!(
        "{count} messages: {accepted} accepted, {confirmed} of them by xmlsec1 too; {refused:?}"
    );
    assert!(findings.is_empty(), "{} findings, such as {}", findings.len(), findings[0]);
    assert!(accepted > count / 20, "so few say the same in another way: {accepted}");
    assert!(refused.len() > 12, "so few reasons: {refused:?}");
    assert!(oracle.is_none() || confirmed == accepted);
}

#[test]
fn the_oracle_takes_the_messages_as_they_are_and_refuses_them_when_something_signed_is_another() {
    // It is no judge if it says yes to everything.
    let Some(at) = testkit::need("the oracle", &["xmlsec1"]).unwrap() else { return };
    let oracle = Xmlsec1::new(at).unwrap();
    for message in 0..4 {
        assert_eq!(judge(&[message], Some(&oracle)), Ok(Judged::Accepted { confirmed: true }));
    }
    assert!(can_say_no(&oracle));
}
