//! What others brought: taken in, in quarantine, accepted, opened; and what is refused by name.

use testkit::{Clamd, zip_of as zip};

use super::*;

fn brought(zip: Vec<u8>) -> Brought {
    Brought {
        zip,
        from: "the corner shop".to_owned(),
        authority: "consent of its owner".to_owned(),
        case_number: Some("24-000113".parse().unwrap()),
        record_class: "EVIDENCE".parse().unwrap(),
    }
}

#[tokio::test]
async fn what_others_brought_is_sealed_to_ourselves_and_opened_only_once_it_was_accepted() {
    let world = world().await;
    let lakeside = &world.lakeside;
    let whole = zip(&[("camera/door.txt", b"seen at the door\n"), ("note.txt", b"a note\n")]);
    let parcel = lakeside.exchange.take_in(&pell(), brought(whole.clone())).await.unwrap();
    assert_eq!(
        (parcel.status, parcel.number, parcel.files),
        (IncomingStatus::Received, 1, Some(2))
    );
    assert_eq!(lakeside.story().join(" "), "decided files-taken-in written");
    let exchange = parcel.exchange;
    assert!(lakeside.exchange.contents(&pell(), exchange, &why()).await.is_err());
    lakeside.accepted(exchange).await;
    let contents = lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap();
    let (contents, _) = contents.open();
    assert_eq!(contents.inside.record_classes, ["EVIDENCE"]);
    assert_eq!(contents.inside.remarks, ["It is no bag: nothing says that it is whole."]);
    let path = "camera/door.txt";
    let opened = lakeside.exchange.document(&pell(), exchange, path, None, &why()).await.unwrap();
    assert_eq!(opened.open().0.bytes, b"seen at the door\n");
    // Nobody waits for a notice of it, and nothing of it lies there in the clear.
    assert!(lakeside.exchange.told(exchange).await.unwrap().is_empty());
    let folder = lakeside.arrived(exchange);
    let mut look = std::process::Command::new("grep");
    let found = look.args(["-r", "seen at the door"]).arg(&folder).output().unwrap();
    assert_eq!(found.stdout, b"", "it lies there in the clear");
    let next = lakeside.exchange.take_in(&pell(), brought(whole)).await.unwrap();
    assert_eq!(next.number, 2);
    let person = caller("inv.pell", "investigator", LAKESIDE);
    let gone = lakeside.exchange.destroy_parcel(&person, exchange, "given back").await.unwrap();
    assert_eq!(gone.status, IncomingStatus::Destroyed);
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_climbs_out_is_cut_short_or_is_not_recorded_leaves_nothing() {
    let world = world().await;
    let lakeside = &world.lakeside;
    let good = zip(&[("a.txt", b"a")]);
    let cut = good[..good.len() - 10].to_vec();
    for bad in
        [zip(&[("../a.txt", b"a")]), zip(&[("a.txt", b"a"), ("A.TXT", b"b")]), cut, Vec::new()]
    {
        let refused = lakeside.exchange.take_in(&pell(), brought(bad)).await;
        assert!(matches!(refused, Err(ExchangeError::Refused(_))), "{refused:?}");
    }
    assert_eq!(lakeside.count("withheld"), 4);
    let unsaid = Brought { from: " ".to_owned(), ..brought(good.clone()) };
    let unsaid = lakeside.exchange.take_in(&pell(), unsaid).await;
    assert!(matches!(unsaid, Err(ExchangeError::Input { field: "from", .. })), "{unsaid:?}");
    let clerk = caller("ofc.new", "patrol-officer", LAKESIDE);
    let denied = lakeside.exchange.take_in(&clerk, brought(good.clone())).await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
    for appends in 0..2 {
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        assert!(lakeside.exchange.take_in(&pell(), brought(good.clone())).await.is_err());
        lakeside.ledger_disk.mend();
    }
    nothing_is_left(lakeside).await;
}

/// The agency's own signing certificate is renewed, and a partner's, after something came.
#[tokio::test]
async fn what_came_is_opened_after_its_signer_has_another_certificate() {
    let world = world().await;
    let lakeside = &world.lakeside;
    let whole = zip(&[("note.txt", b"a note\n")]);
    let ours = lakeside.exchange.take_in(&pell(), brought(whole)).await.unwrap().exchange;
    let export = world.riverton.sealed().await.unwrap();
    world.riverton.exchange.deliver(export.id).await.unwrap();
    let theirs = export.exchange.unwrap();
    for exchange in [ours, theirs] {
        lakeside.accepted(exchange).await;
    }
    let renewed = Held::new("lakeside again", Usage::Signing);
    let (chain, key) = (vec![renewed.certificate.clone()], renewed.key());
    let later = reviewed::restarted_as(lakeside, LAKESIDE, |setup| {
        setup.signer = Signer { chain, key };
        let mut riverton = setup.book.partners().next().unwrap().clone();
        riverton.signing = Some(Held::new("riverton again", Usage::Signing).certificate);
        setup.book = Book::new(vec![riverton], setup.book.agreements().cloned().collect());
    });
    for (exchange, path) in [(ours, "note.txt"), (theirs, "evidence/statement.pdf")] {
        later.document(&pell(), exchange, path, None, &why()).await.unwrap();
        // What came before the signer was kept is held to today's certificate, as before.
        let mut row = later.incoming_row(exchange).await.unwrap();
        assert!(row.details.signer.take().is_some());
        later.store_incoming(&mut row).await.unwrap();
        let refused = later.document(&pell(), exchange, path, None, &why()).await.map(drop);
        assert!(matches!(refused, Err(ExchangeError::Refused(_))), "{refused:?}");
    }
}

/// As a crash leaves it between the place and the row.
#[tokio::test]
async fn a_folder_that_no_parcel_knows_is_removed_after_the_next_start() {
    let world = world().await;
    let lakeside = &world.lakeside;
    let kept = lakeside.exchange.take_in(&pell(), brought(zip(&[("a.txt", b"a")]))).await.unwrap();
    let orphan = lakeside.arrived(Uuid::from_u128(5));
    std::fs::create_dir_all(orphan.join("data")).unwrap();
    lakeside.exchange.tend().await.unwrap();
    assert!(orphan.exists(), "what comes while we run may be about to get its row");
    let later = reviewed::restarted_as(lakeside, LAKESIDE, |_| ());
    later.tend().await.unwrap();
    assert!(!orphan.exists() && lakeside.arrived(kept.exchange).exists());
}

async fn nothing_is_left(agency: &Agency) {
    assert!(agency.exchange.all_incoming(&[], None).await.unwrap().is_empty());
    for folder in ["parcels/incoming", "parcels/drafts"] {
        let folder = agency.folder.path().join(folder);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{}", folder.display());
    }
}

#[tokio::test]
async fn neither_a_disk_nor_a_database_that_fails_leaves_half_of_it() {
    let world = world().await;
    let lakeside = &world.lakeside;
    let good = zip(&[("a.txt", b"a")]);
    let store = lakeside.folder.path().join("parcels");
    let take_in = async || lakeside.exchange.take_in(&pell(), brought(good.clone())).await;

    // The folder that it is sealed in is gone, and then the one that it would get its place in.
    for (folder, recorded) in [("drafts", 0), ("incoming", 1)] {
        std::fs::remove_dir(store.join(folder)).unwrap();
        assert!(take_in().await.is_err());
        std::fs::create_dir(store.join(folder)).unwrap();
        assert_eq!(lakeside.count("files-taken-in"), recorded);
        nothing_is_left(lakeside).await;
    }
    let state = &lakeside.exchange.0.setup.state;
    state::testing::break_writes(state, "parcels", "INSERT").await.unwrap();
    assert!(take_in().await.is_err());
    state::testing::mend_writes(state, "parcels", "INSERT").await.unwrap();
    nothing_is_left(lakeside).await;
    assert_eq!((lakeside.count("withheld"), lakeside.count("written")), (3, 0));
    take_in().await.unwrap();
}

#[tokio::test]
async fn what_others_brought_gets_no_more_room_than_there_is() {
    let full = |settings: &mut Settings| settings.brought_bytes_max = 400_000;
    let world = world_with(|_, lakeside| full(&mut lakeside.settings)).await;
    let lakeside = &world.lakeside;
    let bytes = [7; 50_000];
    let take_in =
        async || lakeside.exchange.take_in(&pell(), brought(zip(&[("a.bin", &bytes)]))).await;
    let first = take_in().await.unwrap();
    assert!(first.bytes > 50_000 && first.bytes < 400_000, "{}", first.bytes);
    let mut taken = 1;
    let refused = loop {
        match take_in().await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ExchangeError::Input { field: "file", .. }), "{refused:?}");
    assert_eq!(lakeside.exchange.all_incoming(&[], None).await.unwrap().len(), taken);
    let whole = zip(&[("a.bin", &[7; 500_000])]);
    let large = lakeside.exchange.take_in(&pell(), brought(whole)).await;
    assert!(matches!(large, Err(ExchangeError::Input { field: "file", .. })), "{large:?}");
    assert_eq!(lakeside.count("withheld"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_brought_waits_for_the_scanner_too() {
    let Some(clamd) = Clamd::start(1 << 20).await.unwrap() else { return };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], clamd.port));
    let scanner = Scanner { address, stream_bytes_max: 1 << 20, hold_not_fully: false };
    let world = world_with(|_, lakeside| lakeside.settings.scanner = Some(scanner)).await;
    let lakeside = &world.lakeside;
    let virus = zip(&[("invoice.txt", &Clamd::eicar()), ("note.txt", b"a note\n")]);
    let exchange = lakeside.exchange.take_in(&pell(), brought(virus)).await.unwrap().exchange;
    for _ in 0..3000 {
        lakeside.exchange.scan_parcel(exchange).await.unwrap();
        if lakeside.exchange.incoming(exchange).await.unwrap().scan.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    lakeside.accepted(exchange).await;
    let open = async |path: &str| {
        lakeside.exchange.document(&pell(), exchange, path, None, &why()).await.map(drop)
    };
    assert!(open("invoice.txt").await.unwrap_err().to_string().contains("infected"));
    open("note.txt").await.unwrap();
}
