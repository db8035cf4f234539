//! A closed segment that rotted or went comes back from the archive, and nothing else takes its place.

use std::sync::Arc;

use ledger::archive::Unlocked;
use ledger::{Damage, Verified, VerifyOptions};
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;

use super::{Case, NEXT_MONTH, aside, check, paths};
use crate::common::{append, numbered};

impl Case {
    fn verify(&self, expect: u64) -> Result<Verified, Damage> {
        let options = VerifyOptions { expect_size: Some(expect), ..VerifyOptions::default() };
        ledger::verify(&self.path, options)
    }
}

#[tokio::test]
async fn a_closed_segment_that_rotted_or_went_comes_back_from_the_archive_and_only_as_it_was() {
    let case = Case::new();
    let ledger = case.grow(2);
    let size = ledger.size();
    ledger.close().unwrap();
    drop(ledger);
    let store = Arc::new(InMemory::new());
    case.archive(&Unlocked(Arc::clone(&store) as _), NEXT_MONTH).await.unwrap();
    check(&*store).await.unwrap();
    let segments: Vec<_> =
        paths(&*store).await.into_iter().filter(|it| it.as_ref().ends_with(".seg")).collect();
    for kind in ["log/", "body/standard-", "body/dissemination-"] {
        assert!(segments.iter().any(|it| it.as_ref().starts_with(kind)), "{segments:?}");
    }
    for segment in &segments {
        let here = case.path.join(segment.as_ref());
        let there = store.get(segment).await.unwrap().bytes().await.unwrap();
        let flipped = |at: usize| {
            let mut bytes = there.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        // Rotted, gone, and replaced by a copy that is not what was archived: each is named.
        std::fs::write(&here, flipped(300)).unwrap();
        let damage = case.verify(size).unwrap_err();
        assert_eq!(damage.file, segment.as_ref(), "{damage}");
        std::fs::remove_file(&here).unwrap();
        let damage = case.verify(size).unwrap_err();
        let (folder, _) = segment.as_ref().rsplit_once('/').unwrap();
        assert!(damage.file.starts_with(folder), "{segment}: {damage}");
        std::fs::write(&here, flipped(there.len() / 2)).unwrap();
        assert_eq!(case.verify(size).unwrap_err().file, segment.as_ref());

        std::fs::write(&here, &there).unwrap();
        assert_eq!(case.verify(size).unwrap().size, size, "{segment}");
    }
    let ledger = case.open();
    aside(|| assert!(append(&ledger, numbered(1)).is_ok()));
    ledger.close().unwrap();
    case.verify(size + 1).unwrap();
}
