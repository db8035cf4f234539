//! What happens to the index's file, and that searches stay whole or say that they are not.

use std::path::Path;

use super::super::follow::{advance, recover};
use super::super::terms::short;
use super::super::{Index, IndexDoing, IndexPlace, Shape};
use super::made::{
    Made, SMALL, Said, bucket, index, log, numbers, page, ring, searches, settle, subject,
};
use crate::retention::Ranges;
use crate::search::{Incomplete, Search, TAIL_ENTRIES_MAX};
use crate::settings::{IndexKeys, mark};

fn place(folder: &Path) -> IndexPlace {
    IndexPlace::File(folder.join("index/index.db"))
}

fn check(index: &Index, log: &Made, keys: &IndexKeys, what: &str) {
    assert_eq!(index.state().covers, log.said.len() as u64, "{what}");
    for search in searches() {
        let page = page(log, index, keys, &search);
        assert_eq!(numbers(&page), log.scan(&search, &[1]), "{what}: {search:?}");
        assert_eq!(page.incomplete, [], "{what}");
    }
}

#[test]
fn a_closed_index_goes_on_where_it_was_and_one_that_was_killed_fills_its_last_part_again() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let mut made = log(60, &keys);
    let first = index(place(folder.path()), &keys, SMALL);
    settle(&first, &made);
    first.close().unwrap();
    assert_eq!(first.state().covers, 0, "a closed index covers nothing");
    made.push(Said::default(), &keys);

    let second = index(place(folder.path()), &keys, SMALL);
    second.open(&made).unwrap();
    assert_eq!(second.state().covers, 60);
    settle(&second, &made);
    check(&second, &made, &keys, "closed");
    drop(second);

    let third = index(place(folder.path()), &keys, SMALL);
    third.open(&made).unwrap();
    assert_eq!(third.state().covers, 56, "the whole parts have their digests");
    settle(&third, &made);
    check(&third, &made, &keys, "killed");
}

#[test]
fn every_flipped_byte_is_noticed_or_of_no_matter() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let made = log(60, &keys);
    let whole = index(place(folder.path()), &keys, SMALL);
    settle(&whole, &made);
    whole.close().unwrap();
    drop(whole);
    let path = folder.path().join("index/index.db");
    let bytes = std::fs::read(&path).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut noticed = 0;
    for at in used.iter().copied().step_by(used.len() / 150 + 1) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x41;
        std::fs::write(&path, &bytes).unwrap();
        let index = index(place(folder.path()), &keys, SMALL);
        let sound = loop {
            match advance(&index, &made) {
                Ok(true) => {}
                other => break other.is_ok(),
            }
        };
        noticed += usize::from(!sound || index.state().doing != IndexDoing::Following);
        settle(&index, &made);
        check(&index, &made, &keys, &format!("byte {at}"));
        index.close().unwrap();
    }
    assert!(noticed > 50, "only {noticed} were noticed");
}

#[test]
fn a_cut_a_foreign_and_an_empty_file_are_built_anew() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let (made, other) = (log(60, &keys), log(61, &keys));
    let path = folder.path().join("index/index.db");
    let fill = |made: &Made, keys: &IndexKeys| {
        let index = index(place(folder.path()), keys, SMALL);
        settle(&index, made);
        index.close().unwrap();
    };
    for (what, harm) in [
        (
            "cut",
            &(|| std::fs::write(&path, &std::fs::read(&path).unwrap()[..9_000]).unwrap())
                as &dyn Fn(),
        ),
        ("empty", &|| std::fs::write(&path, b"").unwrap()),
        ("no database", &|| std::fs::write(&path, vec![b'x'; 20_000]).unwrap()),
        ("of another key", &|| fill(&made, &ring(&[9]))),
        ("of a longer log", &|| fill(&other, &keys)),
        ("of another log", &|| {
            std::fs::remove_file(&path).unwrap();
            let mut another = Made::default();
            (0..60).for_each(|_| another.push(Said::default(), &keys));
            fill(&another, &keys);
        }),
    ] {
        fill(&made, &keys);
        harm();
        let index = index(place(folder.path()), &keys, SMALL);
        settle(&index, &made);
        check(&index, &made, &keys, what);
        index.close().unwrap();
    }
}

#[test]
fn a_file_that_is_deleted_under_the_index_is_made_again() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let mut made = log(60, &keys);
    let index = index(place(folder.path()), &keys, SMALL);
    settle(&index, &made);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    made.push(Said::default(), &keys);
    settle(&index, &made);
    check(&index, &made, &keys, "deleted");
    assert!(folder.path().join("index/index.db").is_file());
}

#[test]
fn an_index_in_doubt_says_so_until_it_was_built_anew_and_no_failure_forgets_it() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let made = log(60, &keys);
    let index = index(place(folder.path()), &keys, SMALL);
    settle(&index, &made);
    let why = "that was asked for";
    index.doubt(why);
    assert_eq!(index.state().doing, IndexDoing::Rebuilding { why: why.to_owned() });
    // A folder in its place can't be removed as a file.
    let path = folder.path().join("index/index.db");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    for _ in 0..2 {
        let error = advance(&index, &made).unwrap_err();
        recover(&index, &error);
        let state = index.state();
        assert!(matches!(state.doing, IndexDoing::Stopped { .. }), "{state:?}");
        assert_eq!(state.covers, 0);
    }
    std::fs::remove_dir(&path).unwrap();
    settle(&index, &made);
    assert_eq!(index.state().doing, IndexDoing::Following);
    check(&index, &made, &keys, "in doubt");
}

#[test]
fn an_index_that_lags_says_how_far_it_is_complete_and_one_near_by_is_read_past() {
    let keys = ring(&[1]);
    let mut made = log(20, &keys);
    let index = index(IndexPlace::Memory, &keys, Shape::default());
    settle(&index, &made);
    let about = Said { subjects: vec![(0, 200)], ..Said::default() };
    let mut search = Search::newest(5);
    search.subject = Some(subject((0, 200)));
    made.push(about, &keys);
    while made.said.len() as u64 <= 20 + TAIL_ENTRIES_MAX {
        if made.said.len().is_multiple_of(256) || made.said.len() as u64 == 20 + TAIL_ENTRIES_MAX {
            let page = page(&made, &index, &keys, &search);
            assert_eq!((numbers(&page), page.incomplete), ((vec![20], false), vec![]));
        }
        made.push(Said::default(), &keys);
    }
    let page = page(&made, &index, &keys, &search);
    let size = 21 + TAIL_ENTRIES_MAX;
    let behind = Incomplete::Behind { covers: 20, size, doing: IndexDoing::Following };
    assert_eq!((numbers(&page), page.incomplete.as_slice()), ((vec![], false), &[behind][..]));
    let words = page.incomplete[0].to_string();
    assert!(words.starts_with("This is complete up to entry 19; 2049 newer"), "{words}");
    settle(&index, &made);
    let page = super::made::page(&made, &index, &keys, &search);
    assert_eq!((numbers(&page), page.incomplete), ((vec![20], false), vec![]));
}

#[test]
fn a_log_that_can_t_be_read_stops_the_index_and_not_for_good() {
    let keys = ring(&[1]);
    let mut made = log(20, &keys);
    let index = index(IndexPlace::Memory, &keys, SMALL);
    made.fails = true;
    let error = super::super::follow::advance(&index, &made).unwrap_err();
    super::super::follow::recover(&index, &error);
    assert!(matches!(index.state().doing, IndexDoing::Stopped { .. }));
    made.fails = false;
    settle(&index, &made);
    check(&index, &made, &keys, "mended");
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    let files = std::fs::read_dir(folder.join("index")).unwrap();
    files
        .map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[test]
fn no_name_and_no_identifier_is_in_the_file() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let made = log(200, &keys);
    let index = index(place(folder.path()), &keys, SMALL);
    settle(&index, &made);
    // Before and after the closing, which empties the write-ahead file.
    for closing in [false, true] {
        let words =
            ["actor-", "session-", "Person", "function-", "case-", "purpose-", "tool-", "source-"];
        for word in words.iter().chain(&["subject", "partner-", "action-", "NB0010100"]) {
            assert!(!holds(folder.path(), word.as_bytes()), "{word}");
        }
        let whole = mark(keys.newest().1, &subject((1, 1)));
        assert!(holds(folder.path(), &whole[..8]), "it is found by the beginning of its mark");
        assert!(!holds(folder.path(), &whole[..12]), "and the mark is cut");
        if !closing {
            index.close().unwrap();
        }
    }
}

#[test]
fn a_forgotten_bucket_is_gone_from_the_file_but_for_what_a_hold_keeps() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let mut made = Made::default();
    for number in 0..60_u8 {
        let month = number / 20;
        let said =
            Said { subjects: vec![(0, number)], month, actor: Some(month), ..Said::default() };
        made.push(said, &keys);
    }
    let index = index(place(folder.path()), &keys, SMALL);
    settle(&index, &made);
    let term = |number| short(&mark(keys.newest().1, &subject((0, number)))).to_be_bytes();
    assert!((0..60).all(|number| holds(folder.path(), &term(number))));

    let keep: Ranges = [3].into_iter().collect();
    assert_eq!(index.forget(bucket(0), &keep).unwrap(), 19);
    *made.gone.lock().unwrap() = (0..20).filter(|it| *it != 3).collect();
    for number in 0..60 {
        let there = holds(folder.path(), &term(number));
        assert_eq!(there, number == 3 || number >= 20, "subject {number}");
    }
    check(&index, &made, &keys, "forgotten");
    index.close().unwrap();
    let again = super::made::index(place(folder.path()), &keys, SMALL);
    settle(&again, &made);
    check(&again, &made, &keys, "opened again");
    assert_eq!(again.forget(bucket(0), &Ranges::default()).unwrap(), 1);
    assert!(!holds(folder.path(), &term(3)));

    // A closed index can't forget: it goes as a whole and comes back from what the log has.
    again.close().unwrap();
    again.forget(bucket(1), &Ranges::default()).unwrap();
    assert!(!folder.path().join("index/index.db").exists());
}

#[test]
fn a_bucket_is_not_forgotten_over_damage() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), ring(&[1]));
    let made = log(60, &keys);
    let first = index(place(folder.path()), &keys, SMALL);
    settle(&first, &made);
    first.close().unwrap();
    let path = folder.path().join("index/index.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let cut = connection.execute("DELETE FROM post_2 WHERE entry = 17", []).unwrap();
    assert!(cut > 0);
    drop(connection);
    let index = index(place(folder.path()), &keys, SMALL);
    index.open(&made).unwrap();
    assert_eq!(index.forget(bucket(2), &Ranges::default()).unwrap(), 0);
    *made.gone.lock().unwrap() = (40..60).collect();
    settle(&index, &made);
    check(&index, &made, &keys, "built anew");
}
