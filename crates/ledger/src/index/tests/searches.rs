//! A search by the index finds what a plain scan finds.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::made::{Made, SMALL, Said, bucket, index, name, numbers, page, ring, settle, subject};
use crate::event::{KINDS, Outcome};
use crate::index::IndexPlace;
use crate::record::EntryNumber;
use crate::retention::Ranges;
use crate::search::{Incomplete, Search};

fn said() -> impl Strategy<Value = Said> {
    let who = (option::of(0..3_u8), vec(0..4_u8, 0..3), option::of(0..3_u8), option::of(0..2_u8));
    let what = (0..4_u8, 0..4_u8, any::<bool>(), 0..30_u64);
    let rest = (vec((0..2_u8, 0..4_u8), 0..4), 0..3_u8, 0..3_i64);
    (who, what, rest).prop_map(|(who, what, rest)| {
        let (actor, functions, case_number, purpose) = who;
        let (what, tool, denied, back) = what;
        let (subjects, month, after_ms) = rest;
        Said {
            actor,
            functions,
            case_number,
            purpose,
            what,
            tool,
            denied,
            back,
            subjects,
            month,
            after_ms,
        }
    })
}

fn search() -> impl Strategy<Value = Search> {
    let rare = |most: u8| option::weighted(0.2, 0..most);
    let names = (rare(4), rare(4), rare(3), rare(4), rare(3), rare(3), rare(5));
    let rest = (
        option::weighted(0.4, (0..2_u8, 0..5_u8)),
        option::weighted(0.2, 0..3_usize),
        option::weighted(0.3, vec(0..KINDS.len(), 1..4)),
        option::weighted(0.2, 0..80_i64),
        option::weighted(0.2, 0..80_i64),
        option::weighted(0.3, 0..70_u64),
        0..9_u32,
    );
    (names, rest).prop_map(|(names, rest)| {
        let (actor, function, case_number, tool, source, action, partner) = names;
        let (about, outcome, kinds, from, to, before, limit) = rest;
        let of = |what: &str, it: Option<u8>| it.map(|it| name(what, it));
        let at = |it: Option<i64>| {
            it.map(|it| jiff::Timestamp::from_millisecond(1_700_000_000_000 + it).unwrap())
        };
        Search {
            actor: of("actor", actor),
            session: of("session", actor.filter(|it| *it == 1)),
            function: of("function", function),
            case_number: of("case", case_number),
            tool: of("tool", tool),
            source: of("source", source),
            action: of("action", action),
            partner: of("partner", partner),
            purpose: of("purpose", partner.filter(|it| *it < 2)),
            subject: about.map(subject),
            outcome: outcome.map(|it| Outcome::ALL[it]),
            kinds: kinds
                .unwrap_or_default()
                .into_iter()
                .map(|it| KINDS[it].name.to_owned())
                .collect(),
            from: at(from),
            to: at(to),
            before: before.map(EntryNumber),
            limit,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is recorded, however far the index has come, across rotations of the key, the
    /// loss of one, and a disposal.
    #[test]
    fn the_index_finds_what_a_plain_scan_finds(
        first in vec(said(), 0..40),
        second in vec(said(), 0..30),
        searches in vec(search(), 1..12),
        steps in 0..12_usize,
        forgotten in option::of(0..3_u8),
        lost in any::<bool>(),
    ) {
        let (old, both) = (ring(&[1]), ring(&[1, 2]));
        let mut log = Made::default();
        for said in first {
            log.push(said, &old);
        }
        for said in second {
            log.push(said, &both);
        }
        let epochs: &[u8] = if lost { &[2] } else { &[1, 2] };
        let keys = ring(epochs);
        let index = index(IndexPlace::Memory, &keys, SMALL);
        let check = |log: &Made, doing: &str| {
            for search in &searches {
                let page = page(log, &index, &keys, search);
                let expected = log.scan(search, epochs);
                assert_eq!(numbers(&page), expected, "{doing}: {search:?} in {:#?}", log.said);
            }
        };
        for _ in 0..steps {
            index.step(&log).unwrap();
        }
        check(&log, "on the way");
        settle(&index, &log);
        assert_eq!(index.state().covers, log.said.len() as u64);
        check(&log, "settled");
        if let Some(month) = forgotten {
            // A decision that is gone takes its tool with it from the scan; the index knows it still.
            let asks = |it: &&Search| it.tool.is_none() && it.source.is_none() && it.action.is_none();
            let gone: Vec<u64> = (0_u64..).zip(&log.said).filter(|(_, it)| it.month == month)
                .map(|(number, _)| number).collect();
            let count = index.forget(bucket(month), &Ranges::default()).unwrap();
            prop_assert_eq!(count, gone.len() as u64);
            *log.gone.lock().unwrap() = gone;
            for search in searches.iter().filter(asks) {
                let page = page(&log, &index, &keys, search);
                prop_assert_eq!(numbers(&page), log.scan(search, epochs));
            }
        }
    }
}

#[test]
fn pages_follow_each_other_without_gaps_and_the_last_knows_that_it_is() {
    let keys = ring(&[1]);
    let log = super::made::log(200, &keys);
    let index = index(IndexPlace::Memory, &keys, SMALL);
    settle(&index, &log);
    let mut search = Search::newest(3);
    search.subject = Some(subject((1, 1)));
    let (all, _) = log.scan(&Search { limit: 500, ..search.clone() }, &[1]);
    assert!(all.len() > 9, "{all:?}");
    let mut seen = Vec::new();
    loop {
        let page = page(&log, &index, &keys, &search);
        let (found, more) = numbers(&page);
        seen.extend(found);
        search.before = seen.last().copied().map(EntryNumber);
        if !more {
            break;
        }
    }
    assert_eq!(seen, all);
}

#[test]
fn a_destroyed_key_makes_its_entries_unfindable_by_subject_and_the_page_says_so() {
    let mut log = super::made::log(30, &ring(&[1]));
    for _ in 0..10 {
        log.push(Said { subjects: vec![(0, 3)], ..Said::default() }, &ring(&[1, 2]));
    }
    let mut search = Search::newest(50);
    search.subject = Some(subject((0, 3)));
    for (epochs, says) in
        [(&[1_u8, 2][..], vec![]), (&[2], vec![Incomplete::EpochsDestroyed(vec![1])])]
    {
        let keys = ring(epochs);
        let index = index(IndexPlace::Memory, &keys, SMALL);
        settle(&index, &log);
        let page = page(&log, &index, &keys, &search);
        assert_eq!(numbers(&page), log.scan(&search, epochs));
        assert_eq!(page.incomplete, says);
        // By anything else they are found as before.
        let by_actor = Search { actor: Some(name("actor", 1)), ..Search::newest(50) };
        let page = super::made::page(&log, &index, &keys, &by_actor);
        assert_eq!((numbers(&page), page.incomplete), (log.scan(&by_actor, epochs), vec![]));
    }
    let words = Incomplete::EpochsDestroyed(vec![1, 3]).to_string();
    assert!(words.contains("(epoch 1, 3) can't be found by whom"), "{words}");
}
