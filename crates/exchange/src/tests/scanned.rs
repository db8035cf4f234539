//! Quarantine: what arrives waits for a real ClamAV, which may be away, be killed in the middle, or find something.

use testkit::Clamd;

use super::*;
use crate::scanning::SCANS_MAX;

/// Large enough that a scan takes pieces, and within the scanner's own limits.
const STREAM_BYTES_MAX: u64 = 1 << 20;
const INFECTED: &str = "case/incident.csv";

/// Lakeside asks a scanner at this port.
async fn world_scanned(port: u16, hold_not_fully: bool) -> World {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let scanner = Scanner { address, stream_bytes_max: STREAM_BYTES_MAX, hold_not_fully };
    world_with(|_, lakeside| lakeside.settings.scanner = Some(scanner)).await
}

fn bytes_of(item: &mut SealItem, bytes: Vec<u8>) {
    item.length = bytes.len() as u64;
    item.open = Box::new(|| Ok(Box::new(std::io::Cursor::new(bytes))));
}

/// Riverton sends what was approved, with the test virus in one file of it, and so many bytes of film.
async fn sent(world: &World, virus: bool, film: usize) -> Uuid {
    let riverton = &world.riverton;
    let export = riverton.exchange.request(&ruiz(), new_export()).await.unwrap();
    riverton.exchange.approve(&okafor(), export.id).await.unwrap();
    let mut items = riverton.fetch(&ruiz(), &export.details.items).await.unwrap();
    for item in &mut items {
        match item.path.as_str() {
            INFECTED if virus => bytes_of(item, Clamd::eicar()),
            "evidence/door.mp4" => bytes_of(item, vec![7; film]),
            _ => {}
        }
    }
    let export = riverton.exchange.seal(&ruiz(), export.id, items).await.unwrap();
    riverton.exchange.deliver(export.id).await.unwrap();
    export.exchange.unwrap()
}

/// A supervisor at Lakeside, who has just proved again who they are.
fn supervisor() -> Caller {
    caller("sgt.holt", "supervisor", LAKESIDE)
}

impl Agency {
    /// Waits for the scan that an arrival or a round began, then asks for one more where none came of it.
    async fn scan(&self, exchange: Uuid) -> Incoming {
        for _ in 0..3000 {
            self.exchange.scan_parcel(exchange).await.ok();
            let parcel = self.exchange.incoming(exchange).await.unwrap();
            if parcel.scan.is_some() || parcel.scan_trouble.is_some() {
                return parcel;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing came of the scan")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infected_file_stays_closed_until_a_supervisor_decides_and_the_others_open() {
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    let world = world_scanned(clamd.port, false).await;
    let exchange = sent(&world, true, 400_000).await;
    let lakeside = &world.lakeside;
    let scan = lakeside.scan(exchange).await.scan.unwrap();
    assert_eq!((scan.files, scan.infected, scan.not_fully, scan.held), (3, 1, 0, 1));
    assert!(scan.engine.starts_with("ClamAV "), "{}", scan.engine);
    let story = lakeside.story().join(" ");
    let expected =
        "parcel-offered parcel-received receipt-issued file-scanned parcel-scanned exchange-alert";
    assert_eq!(story, expected);
    let found = lakeside.events().into_iter().find_map(|event| match event {
        Event::FileScanned(one) => Some((one.path, one.outcome, one.what)),
        _ => None,
    });
    let (path, outcome, what) = found.unwrap();
    assert_eq!((path.as_str(), outcome.as_str()), (INFECTED, "infected"));
    assert!(what.contains("EICAR"), "{what}");

    lakeside.accepted(exchange).await;
    let listed = lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap();
    let (contents, _) = listed.open();
    let said = contents.scan.as_ref().unwrap();
    assert!(said.said_of(INFECTED).starts_with("infected: "), "{said:?}");
    assert_eq!(said.said_of("evidence/statement.pdf"), "clean");
    let open = async |path: &str| {
        lakeside.exchange.document(&pell(), exchange, path, None, &why()).await.map(drop)
    };
    let refused = open(INFECTED).await.unwrap_err().to_string();
    assert!(refused.contains("held (infected: "), "{refused}");
    assert_eq!(lakeside.count("withheld"), 2, "the refusal is on record, for each class in it");
    open("evidence/statement.pdf").await.unwrap();

    // Not by whoever may open parcels, not without a reason, not a file that is not held.
    let release = async |who: &Caller, path: &str, reason: &str| {
        lakeside.exchange.release_file(who, exchange, path, reason).await
    };
    let denied = release(&pell(), INFECTED, "I want to").await;
    assert!(matches!(denied, Err(ExchangeError::Denied { .. })), "{denied:?}");
    assert!(release(&supervisor(), INFECTED, " ").await.is_err());
    let other = release(&supervisor(), "evidence/statement.pdf", "why not").await;
    assert!(matches!(other, Err(ExchangeError::WrongState { .. })), "{other:?}");
    // A decision that can't be recorded opens nothing.
    for appends in 0..2 {
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        assert!(release(&supervisor(), INFECTED, "the evidence").await.is_err());
        lakeside.ledger_disk.mend();
        assert!(open(INFECTED).await.is_err());
    }
    let released = release(&supervisor(), INFECTED, "it is the evidence").await.unwrap();
    assert_eq!(released.scan.unwrap().held, 0);
    assert_eq!(lakeside.count("file-released"), 1);
    open(INFECTED).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_scanners_limits_is_not_called_clean() {
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    // One agency lets such files be opened once the parcel was accepted, another holds them.
    for hold in [false, true] {
        let world = world_scanned(clamd.port, hold).await;
        let exchange = sent(&world, false, 3 << 20).await;
        let lakeside = &world.lakeside;
        let scan = lakeside.scan(exchange).await.scan.unwrap();
        assert_eq!((scan.infected, scan.not_fully, scan.held), (0, 1, usize::from(hold)));
        assert_eq!(lakeside.count("exchange-alert"), 0);
        lakeside.accepted(exchange).await;
        let contents = lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap();
        let (contents, _) = contents.open();
        let path = "evidence/door.mp4";
        let said = contents.scan.as_ref().unwrap().said_of(path);
        assert!(said.starts_with("not fully scanned: "), "{said}");
        let opened = lakeside.exchange.document(&pell(), exchange, path, None, &why()).await;
        assert_eq!(opened.is_err(), hold);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_waits_in_quarantine_for_a_scanner_that_is_away_and_is_scanned_when_it_is_back() {
    let away = line::Line::to(testkit::free_port().unwrap()).await;
    let world = world_scanned(away.port, false).await;
    let lakeside = &world.lakeside;
    let exchange = sent(&world, false, 400_000).await;
    let parcel = lakeside.scan(exchange).await;
    assert_eq!(parcel.status, IncomingStatus::Received, "the sender has its receipt");
    let trouble = parcel.scan_trouble.unwrap();
    assert!(trouble.problem.contains("malware scanner"), "{trouble:?}");
    assert_eq!(lakeside.count("parcel-scanned"), 0);
    // Somebody is told, once.
    lakeside.exchange.scan_parcel(exchange).await.unwrap();
    lakeside.exchange.tend().await.unwrap();
    assert_eq!(lakeside.count("exchange-alert"), 1);
    let accepted = lakeside.exchange.accept_parcel(&pell(), exchange).await;
    let Err(ExchangeError::WrongState { is, .. }) = accepted else { panic!("{accepted:?}") };
    assert_eq!(is, "in quarantine, not scanned yet");
    // Turning it away needs no scanner; this one is kept.
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    away.aim(clamd.port);
    for _ in 0..3000 {
        lakeside.exchange.tend().await.unwrap();
        if lakeside.exchange.incoming(exchange).await.unwrap().scan.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let parcel = lakeside.exchange.incoming(exchange).await.unwrap();
    let scan = parcel.scan.unwrap();
    assert_eq!((scan.files, scan.infected, scan.not_fully), (3, 0, 0));
    assert!(parcel.scan_trouble.is_none());
    lakeside.accepted(exchange).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_killed_in_the_middle_says_nothing_and_the_next_one_is_asked_anew() {
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    let line = line::Line::to(clamd.port).await;
    let world = world_scanned(line.port, false).await;
    let lakeside = &world.lakeside;
    // It dies while it is sent the film.
    line.cut_after(300_000);
    let exchange = sent(&world, true, 900_000).await;
    while line.carried() < 200_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(clamd);
    let parcel = lakeside.scan(exchange).await;
    assert!(parcel.scan.is_none() && parcel.scan_trouble.is_some(), "{parcel:?}");
    assert_eq!((lakeside.count("file-scanned"), lakeside.count("parcel-scanned")), (0, 0));
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    line.aim(clamd.port);
    line.mend();
    lakeside.exchange.scan_parcel(exchange).await.unwrap();
    let scan = lakeside.exchange.incoming(exchange).await.unwrap().scan.unwrap();
    assert_eq!((scan.files, scan.infected, scan.not_fully), (3, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_write_of_a_scan_failing_in_turn_leaves_the_parcel_in_quarantine() {
    let Some(clamd) = Clamd::start(STREAM_BYTES_MAX).await.unwrap() else { return };
    // Away at first, so that it is not scanned before the ledger fails.
    let line = line::Line::to(testkit::free_port().unwrap()).await;
    let world = world_scanned(line.port, false).await;
    let lakeside = &world.lakeside;
    let exchange = sent(&world, true, 400_000).await;
    assert!(lakeside.scan(exchange).await.scan_trouble.is_some());
    line.aim(clamd.port);
    let mut failed = 0;
    for appends in 0..10 {
        lakeside.ledger_disk.fail_writes_after("journal", appends);
        let scanned = lakeside.exchange.scan_parcel(exchange).await;
        lakeside.ledger_disk.mend();
        if scanned.is_ok() {
            break;
        }
        failed += 1;
        assert!(matches!(scanned, Err(ExchangeError::Unrecorded(_))), "{scanned:?}");
        let parcel = lakeside.exchange.incoming(exchange).await.unwrap();
        assert!(parcel.scan.is_none(), "shown before it was recorded");
        assert!(lakeside.exchange.accept_parcel(&pell(), exchange).await.is_err());
    }
    assert!(failed >= 3, "only {failed} writes failed");
    let scan = lakeside.exchange.incoming(exchange).await.unwrap().scan.unwrap();
    assert_eq!(scan.infected, 1);
}

#[tokio::test]
async fn without_a_scanner_nothing_waits_and_nothing_is_called_clean() {
    let world = world().await;
    let exchange = sent(&world, false, 400_000).await;
    let lakeside = &world.lakeside;
    assert!(!lakeside.exchange.has_scanner());
    lakeside.exchange.tend().await.unwrap();
    lakeside.accepted(exchange).await;
    let contents = lakeside.exchange.contents(&pell(), exchange, &why()).await.unwrap();
    assert!(contents.open().0.scan.is_none());
    assert_eq!(lakeside.count("parcel-scanned"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_hangs_is_asked_about_a_few_parcels_at_once_and_then_about_the_rest() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (keeps, counts) = (Arc::clone(&held), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            keeps.lock().unwrap().push(stream);
            counts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let count = || asked.load(std::sync::atomic::Ordering::SeqCst);
    let until = async |least: usize| {
        let enough = async {
            while count() < least {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), enough).await.unwrap();
    };
    let world = world_scanned(port, false).await;
    for _ in 0..SCANS_MAX + 2 {
        sent(&world, false, 10_000).await;
    }
    until(SCANS_MAX).await;
    let lakeside = &world.lakeside.exchange;
    for _ in 0..3 {
        lakeside.tend().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count(), SCANS_MAX, "no more at once");
    // It lets go of them, and the others have their turn.
    held.lock().unwrap().clear();
    until(SCANS_MAX + 2).await;
}
