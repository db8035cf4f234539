//! A real folder of documents.

use std::time::Duration;

use crate::common::Harness;
use gate::{EvidencePlan, Limits};
use sources::{Fault, SourceKind, SourceSpec, Sources};

struct World {
    harness: Harness,
    folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    std::fs::create_dir_all(store.join("24-000113")).unwrap();
    std::fs::write(store.join("24-000113/statement.pdf"), b"0123456789").unwrap();
    std::fs::write(store.join("24-000113/empty.txt"), b"").unwrap();
    std::fs::write(folder.path().join("secret.txt"), b"outside").unwrap();
    let link = store.join("24-000113/link.txt");
    std::os::unix::fs::symlink(folder.path().join("secret.txt"), link).unwrap();
    std::os::unix::fs::symlink(folder.path(), store.join("up")).unwrap();
    let spec = SourceSpec {
        id: "evidence".to_owned(),
        writes: false,
        kind: SourceKind::Evidence { folder: store },
    };
    let sources =
        Sources::open(vec![spec], &wire::Egress::default(), &|_| Err("no TLS here".into()));
    World { harness: Harness::new(sources.unwrap()), folder }
}

fn plan(key: &str, range: Option<(u64, u64)>) -> EvidencePlan {
    let limits = Limits { rows_max: 1, bytes_max: 10, wait_max: Duration::from_secs(5) };
    EvidencePlan { store: "evidence".to_owned(), key: key.to_owned(), range, limits }
}

#[tokio::test]
async fn a_document_comes_whole_or_in_part() {
    let world = world();
    let document = world.harness.document(plan("24-000113/statement.pdf", None)).await.unwrap();
    assert_eq!(document.bytes, b"0123456789");
    assert_eq!((document.length, document.range), (10, (0, 10)));
    assert_eq!(
        (document.name.as_str(), document.media_type.as_str()),
        ("statement.pdf", "application/pdf")
    );
    assert_eq!(document.digest, ledger::digest(b"0123456789"));
    let part = plan("24-000113/statement.pdf", Some((2, 5)));
    let part = world.harness.document(part).await.unwrap();
    assert_eq!((part.bytes.as_slice(), part.range, part.length), (&b"234"[..], (2, 5), 10));
    assert_eq!(part.digest, ledger::digest(b"234"));
    let open_end = plan("24-000113/statement.pdf", Some((8, u64::MAX)));
    let open_end = world.harness.document(open_end).await.unwrap();
    assert_eq!((open_end.bytes.as_slice(), open_end.range), (&b"89"[..], (8, 10)));
    let empty = world.harness.document(plan("24-000113/empty.txt", None)).await.unwrap();
    assert_eq!((empty.bytes.len(), empty.length, empty.range), (0, 0, (0, 0)));
}

#[tokio::test]
async fn a_document_over_its_limit_is_an_error_and_a_part_of_it_is_not() {
    let world = world();
    let large = world.folder.path().join("store/large.mp4");
    std::fs::write(large, [7; 11]).unwrap();
    let fault = world.harness.document(plan("large.mp4", None)).await.unwrap_err();
    assert!(matches!(fault, Fault::TooManyBytes { max: 10 }), "{fault}");
    assert!(world.harness.document(plan("large.mp4", Some((1, 11)))).await.is_ok());
    for range in [(11, 12), (5, 5), (6, 5)] {
        let fault = world.harness.document(plan("large.mp4", Some(range))).await.unwrap_err();
        assert!(matches!(fault, Fault::BadRange { length: 11 }), "{fault}");
    }
}

#[tokio::test]
async fn no_key_leads_out_of_the_store() {
    let world = world();
    let keys = [
        "../secret.txt",
        "24-000113/../../secret.txt",
        "/etc/passwd",
        "24-000113/link.txt",
        "up/secret.txt",
        "up/store/24-000113/../../secret.txt",
        "..%2fsecret.txt",
        "24-000113\\..\\..\\secret.txt",
        "24-000113/statement.pdf\0.txt",
        "",
        ".",
        "24-000113",
        "24-000113/",
    ];
    for key in keys {
        let outcome = world.harness.document(plan(key, None)).await;
        assert!(matches!(outcome, Err(Fault::BadKey | Fault::NoDocument)), "{key:?}: {outcome:?}");
    }
    let missing = world.harness.document(plan("24-000113/none.pdf", None)).await;
    assert!(matches!(missing, Err(Fault::NoDocument)));
}
