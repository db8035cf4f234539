//! A real folder of documents.

use std::io::Read as _;
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

/// A film of a few MiB, as it goes into a parcel.
#[tokio::test]
async fn a_whole_document_is_recorded_first_and_is_then_those_very_bytes() {
    let world = world();
    let path = world.folder.path().join("store/24-000113/film.mp4");
    let film: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(&path, &film).unwrap();
    let wanted = |key: &str| EvidencePlan {
        limits: Limits { bytes_max: u64::MAX, ..plan(key, None).limits },
        ..plan(key, None)
    };
    let read = |stream: gate::Stream| {
        let mut out = Vec::new();
        let done = stream.read()().and_then(|mut bytes| bytes.read_to_end(&mut out));
        (out, done.is_ok())
    };
    let stream = world.harness.stream(wanted("24-000113/film.mp4")).await.unwrap();
    assert_eq!((stream.length(), stream.digest()), (3_000_000, ledger::digest(&film)));
    assert_eq!((stream.name.as_str(), stream.media_type.as_str()), ("film.mp4", "video/mp4"));
    assert_eq!(world.harness.last_kind(), "released");
    assert!(read(stream) == (film.clone(), true));
    let empty = world.harness.stream(wanted("24-000113/empty.txt")).await.unwrap();
    assert_eq!(read(empty), (Vec::new(), true));

    // Changed, cut or gone after it was recorded.
    type Spoil = fn(&std::path::Path);
    let spoils: [Spoil; 4] = [
        |path| std::fs::write(path, vec![1; 3_000_000]).unwrap(),
        |path| std::fs::write(path, b"").unwrap(),
        |path| std::fs::remove_file(path).unwrap(),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        },
    ];
    for spoil in spoils {
        std::fs::remove_file(&path).ok();
        std::fs::write(&path, &film).unwrap();
        let stream = world.harness.stream(wanted("24-000113/film.mp4")).await.unwrap();
        spoil(&path);
        let (out, whole) = read(stream);
        assert!(!whole && out.len() < film.len());
    }
    std::fs::remove_file(&path).unwrap();

    // What can't be had whole, and what is no plan for it.
    let pipe = world.folder.path().join("store/24-000113/pipe.mp4");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let fault = world.harness.stream(wanted("24-000113/pipe.mp4")).await.unwrap_err();
    assert!(matches!(fault, Fault::NoDocument), "{fault}");
    let fault = world.harness.stream(wanted("none.mp4")).await.unwrap_err();
    assert!(matches!(fault, Fault::NoDocument), "{fault}");
    for key in ["24-000113/link.txt", "up/secret.txt", "../secret.txt"] {
        let fault = world.harness.stream(wanted(key)).await.unwrap_err();
        assert!(matches!(fault, Fault::BadKey), "{key}: {fault}");
    }
    let small = plan("24-000113/statement.pdf", None);
    let small = EvidencePlan { limits: Limits { bytes_max: 9, ..small.limits }, ..small };
    let fault = world.harness.stream(small).await.unwrap_err();
    assert!(matches!(fault, Fault::TooManyBytes { max: 9 }), "{fault}");
    let part = plan("24-000113/statement.pdf", Some((0, 4)));
    let fault = world.harness.stream(part).await.unwrap_err();
    assert!(matches!(fault, Fault::Misdirected { .. }), "{fault}");
    let permit =
        world.harness.permit(gate::Plan::Evidence(plan("24-000113/empty.txt", None))).await;
    let refused = world.harness.sources.stream(permit).await.map(drop).unwrap_err();
    assert!(matches!(refused.fault, Fault::Misdirected { .. }));
}
