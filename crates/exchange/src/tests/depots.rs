//! Parcels that are laid down instead of pushed: by a depot that fails, on a medium, on a real SFTP server.

use std::sync::Mutex;

use jiff::ToSpan;

use super::*;
use crate::book::Clause;

/// Keeps what is laid down, and does what it is told before.
#[derive(Default)]
pub(super) struct Shelf {
    laid: Mutex<Vec<String>>,
    /// As many attempts fail.
    fails: Mutex<u32>,
    /// Whether it never comes to an end.
    hangs: bool,
    began: tokio::sync::Notify,
}

impl Shelf {
    /// So many attempts fail from now on.
    pub(super) fn fail(&self, attempts: u32) {
        *self.fails.lock().unwrap() = attempts;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.laid.lock().unwrap().is_empty()
    }
}

impl Depot for Shelf {
    fn words(&self) -> String {
        "a shelf".to_owned()
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(async move {
            self.began.notify_one();
            if self.hangs {
                std::future::pending::<()>().await;
            }
            let paths = load.files.iter().map(|file| file.path.clone());
            self.laid.lock().unwrap().extend(paths);
            way.moved(load.bytes());
            let mut fails = self.fails.lock().unwrap();
            if *fails > 0 {
                *fails -= 1;
                return Err(DepotError::NotThere { place: "the shelf".to_owned() });
            }
            Ok(())
        })
    }

    fn clear<'a>(&'a self, left: &'a Left) -> Laying<'a> {
        Box::pin(async move {
            let mut fails = self.fails.lock().unwrap();
            if *fails > 0 {
                *fails -= 1;
                return Err(DepotError::NotThere { place: "the shelf".to_owned() });
            }
            let all: Vec<String> = left.paths().collect();
            self.laid.lock().unwrap().retain(|path| !all.contains(path));
            Ok(())
        })
    }
}

pub(super) fn route(name: &str, depot: Arc<dyn Depot>) -> Route {
    Route { partner: Some(LAKESIDE.0.parse().unwrap()), name: name.to_owned(), depot }
}

async fn with(depot: Arc<dyn Depot>) -> World {
    world_with(|riverton, _| riverton.routes = vec![route("shelf", depot)]).await
}

impl Agency {
    pub(super) async fn sealed_for(&self, name: &str) -> Export {
        let new = NewExport { route: Some(name.to_owned()), ..new_export() };
        let export = self.exchange.request(&ruiz(), new).await.unwrap();
        self.exchange.approve(&okafor(), export.id).await.unwrap();
        let items = self.fetch(&ruiz(), &export.details.items).await.unwrap();
        self.exchange.seal(&ruiz(), export.id, items).await.unwrap()
    }
}

/// The digest of a parcel as a partner finds it, verified whole with nothing but the sender's certificate.
fn verified(place: &Path) -> String {
    let senders = vec![identity(RIVERTON).signing.certificate.clone()];
    let trust = parcel::Trust { senders, now: now() };
    parcel::verify(place, &trust, parcel::Watch::none()).unwrap();
    hex::encode(parcel::Parcel::enter(place, &trust).unwrap().digest())
}

#[tokio::test]
async fn a_delivery_that_fails_is_recorded_tried_again_later_each_time_and_recorded_when_it_is_there()
 {
    let shelf = Arc::new(Shelf { fails: Mutex::new(2), ..Shelf::default() });
    let world = with(shelf.clone()).await;
    let riverton = &world.riverton;
    let export = riverton.sealed_for("shelf").await;
    riverton.exchange.work_once(None).await.unwrap();
    let first = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(first.status, ExportStatus::Sending);
    let problem = first.details.delivery.last_problem.clone().unwrap();
    assert!(problem.contains("the shelf is not there"), "{problem}");
    // Not before its time; then later.
    riverton.exchange.work_once(None).await.unwrap();
    assert_eq!(riverton.count("delivery-failed"), 1);
    for seconds in [6, 17] {
        world.clock.set(now() + seconds.seconds());
        riverton.exchange.work_once(None).await.unwrap();
    }
    let done = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Delivered);
    let laid = done.details.delivery.laid.unwrap();
    assert_eq!(riverton.exchange.progress(export.id).percent(), 100);
    let told = riverton.story().join(" ");
    let end = "parcel-sent delivery-failed delivery-failed parcel-delivered";
    assert!(told.ends_with(end), "{told}");
    let events = riverton.events();
    let sent = events.iter().find_map(|event| match event {
        Event::ParcelSent(ledger::Sent { route, .. }) => Some(route.clone()),
        _ => None,
    });
    assert_eq!(sent.unwrap().as_deref(), Some("shelf"));
    let Some(Event::ParcelDelivered(told)) = events.last() else { panic!() };
    assert_eq!(told.bytes, laid.bytes);
    assert_eq!(
        shelf.laid.lock().unwrap().last().unwrap(),
        "seal/tagmanifest-sha256.txt.p7s",
        "the signature comes last"
    );
    // Nothing of it is tried again, and the partner's server never heard of it.
    world.clock.set(now() + (24 * 20).hours());
    riverton.exchange.work_once(None).await.unwrap();
    assert_eq!(riverton.count("offer-expired") + world.lakeside.count("parcel-offered"), 0);
}

#[tokio::test]
async fn each_write_of_the_ledger_failing_in_turn_lays_nothing_down_unrecorded() {
    let mut failed = 0;
    for appends in 0..10 {
        let shelf = Arc::new(Shelf::default());
        let world = with(shelf.clone()).await;
        let riverton = &world.riverton;
        let export = riverton.sealed_for("shelf").await;
        riverton.ledger_disk.fail_writes_after("journal", appends);
        let outcome = riverton.exchange.deliver(export.id).await;
        riverton.ledger_disk.mend();
        let laid = !shelf.laid.lock().unwrap().is_empty();
        assert!(!laid || riverton.count("parcel-sent") == 1, "after {appends} appends");
        let is = riverton.exchange.export(export.id).await.unwrap().status;
        let told = riverton.count("parcel-delivered") == 1;
        assert_eq!(is == ExportStatus::Delivered, told && outcome.is_ok(), "after {appends}");
        if outcome.is_ok() {
            break;
        }
        failed += 1;
    }
    assert!(failed >= 2, "only {failed} writes failed");
}

#[tokio::test]
async fn what_is_taken_back_is_laid_down_no_further() {
    let shelf = Arc::new(Shelf { hangs: true, ..Shelf::default() });
    let world = with(shelf.clone()).await;
    let riverton = &world.riverton;
    let export = riverton.sealed_for("shelf").await;
    let (delivery, recall) = tokio::join!(riverton.exchange.deliver(export.id), async {
        shelf.began.notified().await;
        riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await
    });
    recall.unwrap();
    assert!(matches!(delivery, Err(ExchangeError::WrongState { .. })), "{delivery:?}");
    assert_eq!(riverton.count("parcel-delivered") + riverton.count("delivery-failed"), 0);
    let is = riverton.exchange.export(export.id).await.unwrap().status;
    assert_eq!(is, ExportStatus::Recalled);
}

#[tokio::test]
async fn a_way_that_the_partner_lacks_or_the_agreement_closes_is_refused_when_it_is_asked_for() {
    let world = world_with(|riverton, _| {
        riverton.routes = vec![route("shelf", Arc::new(Shelf::default()))];
        let ways = BTreeSet::from(["shelf".to_owned()]);
        riverton.agreements[0].terms.deliveries = Some(ways);
    })
    .await;
    let ask = |name: Option<&str>| {
        let new = NewExport { route: name.map(ToOwned::to_owned), ..new_export() };
        let exchange = world.riverton.exchange.clone();
        async move { exchange.request(&ruiz(), new).await }
    };
    let error = ask(Some("sftp")).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Input { field: "route", .. }), "{error:?}");
    let error = ask(None).await.unwrap_err();
    let Some(Clause::Delivery { route, .. }) = error.clause() else { panic!("{error:?}") };
    assert_eq!(route, "push");
    assert!(error.entry().is_some());
    ask(Some("shelf")).await.unwrap();
}

pub(super) fn medium(folder: &Path, form: MediumForm) -> Medium {
    Medium { folder: folder.to_owned(), form, mounted: false, product: "Bailiwick test".to_owned() }
}

#[tokio::test]
async fn a_medium_holds_a_parcel_that_anybody_can_verify_and_what_opens_it() {
    for form in [MediumForm::Folder, MediumForm::Zip] {
        let stick = tempfile::tempdir().unwrap();
        let world = with(Arc::new(medium(stick.path(), form))).await;
        let export = world.riverton.sealed_for("shelf").await;
        let top = format!("parcel-{}", export.parcel.unwrap());
        // An attempt that was cut off has left half of a part, altered.
        let unfinished = stick.path().join(format!("{top}.unfinished/data/000"));
        std::fs::create_dir_all(&unfinished).unwrap();
        std::fs::write(unfinished.join("part-000000.p7m"), b"half").unwrap();
        let done = world.riverton.exchange.deliver(export.id).await.unwrap();
        assert_eq!(done.status, ExportStatus::Delivered);
        let place = match form {
            MediumForm::Folder => stick.path().join(&top),
            MediumForm::Zip => stick.path().join(format!("{top}.zip")),
        };
        assert_eq!(verified(&place), done.details.sealed.unwrap().digest);
        for beside in ["open.html", "HOW-TO-OPEN.txt"] {
            assert!(stick.path().join(beside).is_file(), "{beside}");
        }
    }
}

#[tokio::test]
async fn nothing_is_written_where_no_medium_is_in_and_what_differs_is_written_again() {
    let stick = tempfile::tempdir().unwrap();
    let out = Medium { mounted: true, ..medium(stick.path(), MediumForm::Folder) };
    let world = with(Arc::new(out)).await;
    let export = world.riverton.sealed_for("shelf").await;
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Depot(DepotError::NotThere { .. })), "{error:?}");
    assert_eq!(std::fs::read_dir(stick.path()).unwrap().count(), 0);
    assert_eq!(world.riverton.count("delivery-failed"), 1);

    let sealed = export.details.sealed.clone().unwrap();
    let load = world.riverton.exchange.load(export.parcel.unwrap(), &sealed).await.unwrap();
    let depot = medium(stick.path(), MediumForm::Folder);
    depot.lay(&load, &Way::unwatched()).await.unwrap();
    let place = stick.path().join(load.top());
    flip(&place.join("data/000/part-000001.p7m"));
    depot.lay(&load, &Way::unwatched()).await.unwrap();
    verified(&place);
}

#[tokio::test]
async fn what_lies_on_a_medium_already_leads_nowhere_else() {
    let (stick, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ours = home.path().join("state.db");
    std::fs::write(&ours, b"ours").unwrap();
    std::os::unix::fs::symlink(&ours, stick.path().join("open.html")).unwrap();
    let pipe =
        std::process::Command::new("mkfifo").arg(stick.path().join("HOW-TO-OPEN.txt")).status();
    assert!(pipe.unwrap().success());
    let world = with(Arc::new(medium(stick.path(), MediumForm::Folder))).await;
    let export = world.riverton.sealed_for("shelf").await;
    let top = format!("parcel-{}", export.parcel.unwrap());
    let unfinished = stick.path().join(format!("{top}.unfinished"));
    std::os::unix::fs::symlink(home.path(), &unfinished).unwrap();
    let error = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(error.chain().contains("is not a folder"), "{}", error.chain());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    std::fs::remove_file(&unfinished).unwrap();
    let done = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Delivered);
    verified(&stick.path().join(&top));
    assert_eq!(std::fs::read(&ours).unwrap(), b"ours");
    for beside in ["open.html", "HOW-TO-OPEN.txt"] {
        assert!(std::fs::symlink_metadata(stick.path().join(beside)).unwrap().is_file());
    }
}

#[tokio::test]
async fn an_attempt_under_an_agreement_that_ended_since_lets_nothing_out() {
    let shelf = Arc::new(Shelf { fails: Mutex::new(1), ..Shelf::default() });
    let depot = Arc::clone(&shelf) as Arc<dyn Depot>;
    let world = world_with(|riverton, _| {
        riverton.routes = vec![route("shelf", depot)];
        riverton.agreements[0].facts.ends = now() + 1.hours();
    })
    .await;
    let export = world.riverton.sealed_for("shelf").await;
    world.riverton.exchange.deliver(export.id).await.unwrap_err();
    shelf.laid.lock().unwrap().clear();
    world.clock.set(now() + 2.hours());
    let refused = world.riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(refused.clause().is_some(), "{}", refused.chain());
    assert!(shelf.laid.lock().unwrap().is_empty());
    let export = world.riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Failed);
    assert_eq!(world.riverton.count("parcel-delivered"), 0);
}

#[tokio::test]
async fn one_partner_s_delivery_that_hangs_keeps_no_other_work_waiting() {
    let shelf = Arc::new(Shelf { hangs: true, ..Shelf::default() });
    let world = with(shelf.clone()).await;
    let hung = world.riverton.sealed_for("shelf").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let riverton = world.riverton.exchange.clone();
    let running = tokio::spawn(async move {
        riverton.run(None, async { drop(stopped.await) }).await;
    });
    shelf.began.notified().await;
    // A recall's notice goes out meanwhile, and ends what hangs.
    world.riverton.exchange.recall(&ruiz(), hung.id, "the wrong case").await.unwrap();
    let told = async {
        while world.lakeside.count("notice-anchored") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    drop(stop);
    running.await.unwrap();
}

/// The folder of a server that runs here, with the key that it knows.
pub(super) fn target(sshd: &testkit::Sshd) -> SftpTarget {
    SftpTarget {
        host: "127.0.0.1".to_owned(),
        port: sshd.port,
        user: sshd.user.clone(),
        folder: sshd.drop_folder().to_str().unwrap().to_owned(),
        key_file: sshd.file("client"),
        known_hosts_file: sshd.file("known"),
    }
}

#[tokio::test]
async fn an_sftp_server_gets_a_parcel_whole_goes_on_where_it_was_cut_and_nobody_else_gets_it() {
    let Some(mut sshd) = testkit::Sshd::start().await.unwrap() else { return };
    let target = target(&sshd);
    let sftp = Sftp::new(target.clone()).unwrap();
    let world = with(Arc::new(sftp.clone())).await;
    let riverton = &world.riverton;
    let export = riverton.sealed_for("shelf").await;
    // Down, and then up again.
    sshd.down();
    let error = riverton.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(error, ExchangeError::Depot(DepotError::Sftp { .. })), "{error:?}");
    sshd.up().await.unwrap();
    let done = riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Delivered);
    let place = sshd.drop_folder().join(format!("parcel-{}", export.parcel.unwrap()));
    verified(&place);
    assert_eq!(riverton.count("parcel-delivered"), 1);

    // As if it had been cut in the middle of one part, before another, and with rubbish in a third's place.
    let sealed = export.details.sealed.clone().unwrap();
    let load = riverton.exchange.load(export.parcel.unwrap(), &sealed).await.unwrap();
    let part = |number: u64| place.join(parcel::part_path(number));
    let half = std::fs::read(part(1)).unwrap();
    let cut = part(1).with_file_name("part-000001.p7m.uploading");
    std::fs::write(&cut, &half[..half.len() / 2]).unwrap();
    std::fs::remove_file(part(1)).unwrap();
    std::fs::remove_file(part(2)).unwrap();
    std::fs::write(part(3), b"rubbish").unwrap();
    // And one that had come whole, and had not got its name.
    let whole = part(4).with_file_name("part-000004.p7m.uploading");
    std::fs::rename(part(4), &whole).unwrap();
    let untouched = std::fs::metadata(part(0)).unwrap().modified().unwrap();
    sftp.lay(&load, &Way::unwatched()).await.unwrap();
    verified(&place);
    assert!(!cut.exists() && !whole.exists());
    assert_eq!(std::fs::metadata(part(0)).unwrap().modified().unwrap(), untouched);

    // Another server's key, another client's.
    for (key, known) in [("client", "known-wrong"), ("stranger", "known")] {
        let (key_file, known_hosts_file) = (sshd.file(key), sshd.file(known));
        let other = SftpTarget { key_file, known_hosts_file, ..target.clone() };
        let error = Sftp::new(other).unwrap().lay(&load, &Way::unwatched()).await.unwrap_err();
        assert!(matches!(error, DepotError::Sftp { .. }), "{key} {known}: {error}");
    }
}

#[tokio::test]
async fn what_waits_for_a_guest_is_delivered_when_it_lies_here_whole_and_not_before() {
    let world = world_with(|riverton, _| {
        riverton.routes = vec![route("portal", Arc::new(Portal))];
    })
    .await;
    let riverton = &world.riverton;
    let export = riverton.sealed_for("portal").await;
    let first = riverton.exchange.0.store.sent(export.parcel.unwrap()).join(parcel::part_path(0));
    let whole = std::fs::read(&first).unwrap();
    let mut altered = whole.clone();
    altered[100] ^= 1;
    std::fs::write(&first, &altered).unwrap();
    riverton.exchange.work_once(None).await.unwrap();
    let failed = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(failed.status, ExportStatus::Sending);
    assert_eq!((riverton.count("delivery-failed"), riverton.count("parcel-delivered")), (1, 0));

    std::fs::write(&first, &whole).unwrap();
    world.clock.set(now() + 1.hours());
    riverton.exchange.work_once(None).await.unwrap();
    let laid = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(laid.status, ExportStatus::Delivered);
    assert_eq!((riverton.count("parcel-sent"), riverton.count("parcel-delivered")), (1, 1));
}
