//! The made-up log for measuring finds what it made up, and reads what it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::Measured;
use super::made::ring;
use crate::event::Event;
use crate::record::{Record, Subject};
use crate::search::Search;

fn person(number: u64) -> Subject {
    Subject { kind: "person".to_owned(), id: format!("P-{number}") }
}

#[test]
fn a_made_up_log_of_any_size_is_searched_like_a_real_one() {
    let folder = tempfile::tempdir().unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    let make = |number: u64| Record {
        subjects: vec![person(number % 100)],
        ..Record::platform(Event::SignedOut)
    };
    let read = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let path = folder.path().join("index.db");
    let measured = Measured::new(&path, 3_000, ring(&[1]), Box::new(make), Box::new(read)).unwrap();
    measured.build().unwrap();
    for _ in 0..2 {
        let search = Search { subject: Some(person(7)), ..Search::newest(20) };
        let page = measured.search(&search).unwrap();
        let found: Vec<u64> = page.entries.iter().map(|entry| entry.number.0).collect();
        assert_eq!(found, (0..20).map(|nth| 2_907 - nth * 100).collect::<Vec<_>>());
        assert!(page.more && page.incomplete.is_empty());
        assert_eq!(reads.swap(0, Ordering::Relaxed), 21, "the page, and one that tells of more");
        measured.forget_pages().unwrap();
    }
}
