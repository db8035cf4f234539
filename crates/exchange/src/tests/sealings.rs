//! Sealings that take long: nobody waits for them, and what was cut off goes on.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use super::*;

const FILM: &str = "evidence/door.mp4";
const GIVEN: usize = 200_000;

/// A source that stops in the middle of the film until it is told to go on, or to fail.
#[derive(Default)]
struct Tap {
    open: Mutex<Option<bool>>,
    turned: Condvar,
}

impl Tap {
    fn turn(&self, good: bool) {
        *self.open.lock().unwrap() = Some(good);
        self.turned.notify_all();
    }
}

struct Tapped {
    bytes: io::Cursor<Vec<u8>>,
    tap: Arc<Tap>,
}

impl Read for Tapped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.bytes.position()).unwrap();
        let mut open = self.tap.open.lock().unwrap();
        while at >= GIVEN && open.is_none() {
            // As a store that is slow: whoever gave up meanwhile is seen between two pieces.
            let waited = self.tap.turned.wait_timeout(open, Duration::from_millis(50)).unwrap();
            open = waited.0;
            if waited.1.timed_out() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        if at >= GIVEN && *open == Some(false) {
            return Err(io::Error::other("the evidence store is away"));
        }
        let room = into.len().min(if at < GIVEN { GIVEN - at } else { usize::MAX });
        self.bytes.read(&mut into[..room])
    }
}

/// The platform; the film of the export that is named comes through the tap.
struct Platform {
    agency: Agency,
    tap: Arc<Tap>,
    tapped: Mutex<Option<Uuid>>,
}

impl Content for Platform {
    fn items<'a>(&'a self, export: &'a Export) -> Fetched<'a> {
        Box::pin(async move {
            let items = self.agency.fetch(&ruiz(), &export.details.items).await;
            let mut items = items.map_err(|error| Unfetched::ForNow(error.to_string()))?;
            if *self.tapped.lock().unwrap() == Some(export.id) {
                for item in items.iter_mut().filter(|item| item.path == FILM) {
                    let (bytes, tap) = (io::Cursor::new(content(FILM)), Arc::clone(&self.tap));
                    item.open = Box::new(move || Ok(Box::new(Tapped { bytes, tap })));
                }
            }
            Ok((ruiz(), items))
        })
    }
}

struct Scene {
    platform: Arc<Platform>,
    exchange: Exchange,
    sent: PathBuf,
    lakeside: Agency,
    _line: [line::Line; 2],
    _stop: [oneshot::Sender<()>; 2],
}

impl Scene {
    async fn new() -> Self {
        let World { riverton, lakeside, line, back, _stop, .. } = world().await;
        let (exchange, sent) =
            (riverton.exchange.clone(), riverton.folder.path().join("parcels/sent"));
        let (tap, tapped) = (Arc::default(), Mutex::default());
        let platform = Arc::new(Platform { agency: riverton, tap, tapped });
        Self { platform, exchange, sent, lakeside, _line: [line, back], _stop }
    }

    async fn approved(&self) -> Export {
        let export = self.exchange.request(&ruiz(), new_export()).await.unwrap();
        self.exchange.approve(&okafor(), export.id).await.unwrap()
    }

    /// Works until it is dropped or told.
    fn run(&self) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (exchange, content) = (self.exchange.clone(), self.platform.clone());
        let running = tokio::spawn(async move {
            exchange.run(Some(content), async { drop(stopped.await) }).await;
        });
        (stop, running)
    }

    async fn until(&self, export: Uuid, status: ExportStatus) -> Export {
        let there = async {
            loop {
                let now = self.exchange.export(export).await.unwrap();
                if now.status == status {
                    return now;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), there).await.unwrap()
    }

    /// The parts that are noted as whole, once so many are.
    async fn noted(&self, parcel: Uuid, count: usize) -> BTreeMap<u64, Vec<u8>> {
        let draft = |kind| self.sent.join(format!(".{parcel}.{parcel}.{kind}"));
        let lines = || std::fs::read_to_string(draft("journal")).unwrap_or_default();
        while lines().lines().count() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let number = |line: &str| line.split(' ').next().unwrap().parse().unwrap();
        let part = |number| std::fs::read(draft("draft").join(parcel::part_path(number))).unwrap();
        lines().lines().map(number).map(|number| (number, part(number))).collect()
    }

    fn left(&self) -> usize {
        std::fs::read_dir(&self.sent).unwrap().count()
    }

    fn verify(&self, parcel: Uuid) {
        let trust = parcel::Trust {
            senders: vec![identity(RIVERTON).signing.certificate.clone()],
            now: now(),
        };
        parcel::verify(&self.sent.join(parcel.to_string()), &trust, parcel::Watch::none()).unwrap();
    }
}

/// Whole parts of what the tap gives before it stops.
const WHOLE: usize = GIVEN / (16 << 10);

#[tokio::test(flavor = "multi_thread")]
async fn a_long_sealing_keeps_nobody_waiting_and_a_recall_ends_it() {
    let scene = Scene::new().await;
    let long = scene.approved().await;
    *scene.platform.tapped.lock().unwrap() = Some(long.id);
    let (stop, running) = scene.run();
    let begun = scene.until(long.id, ExportStatus::Sealing).await;
    scene.noted(begun.parcel.unwrap(), WHOLE).await;
    // Another one is asked for, sealed, delivered and acknowledged meanwhile, and a notice goes out.
    let short = scene.approved().await;
    scene.until(short.id, ExportStatus::Acknowledged).await;
    scene.exchange.recall(&ruiz(), short.id, "the wrong case").await.unwrap();
    let told = async {
        while scene.lakeside.count("notice-anchored") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    assert_eq!(scene.exchange.export(long.id).await.unwrap().status, ExportStatus::Sealing);

    scene.exchange.recall(&ruiz(), long.id, "the wrong case, too").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), scene.exchange.until_free(long.id))
        .await
        .unwrap();
    // Whoever seals tidies up behind itself.
    let tidy = async {
        while scene.left() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), tidy).await.unwrap();
    drop(stop);
    running.await.unwrap();
    assert_eq!(scene.exchange.export(long.id).await.unwrap().status, ExportStatus::Recalled);
    assert_eq!(scene.platform.agency.count("parcel-sealed"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_that_the_platform_s_stop_cut_off_goes_on_with_the_parts_that_were_whole() {
    let scene = Scene::new().await;
    let export = scene.approved().await;
    *scene.platform.tapped.lock().unwrap() = Some(export.id);
    let (stop, running) = scene.run();
    let begun = scene.until(export.id, ExportStatus::Sealing).await;
    let parcel = begun.parcel.unwrap();
    let before = scene.noted(parcel, WHOLE).await;
    drop(stop);
    running.await.unwrap();
    assert_eq!(scene.exchange.export(export.id).await.unwrap().status, ExportStatus::Sealing);
    // Nobody sweeps what is gone on with.
    scene.exchange.sweep_drafts().await.unwrap();

    scene.platform.tap.turn(true);
    let content: Arc<dyn Content> = scene.platform.clone();
    scene.exchange.seal_waiting(&content).await.unwrap();
    scene.verify(parcel);
    for (number, bytes) in &before {
        let now =
            std::fs::read(scene.sent.join(parcel.to_string()).join(parcel::part_path(*number)));
        assert!(now.unwrap() == *bytes, "part {number} was sealed twice");
    }
    assert!(before.len() >= WHOLE);
    assert_eq!((scene.left(), scene.platform.agency.count("parcel-sealed")), (1, 1));
    let delivered = scene.exchange.deliver(export.id).await.unwrap();
    assert_eq!(delivered.status, ExportStatus::Acknowledged);
    // The custody names the reading that the second attempt did, and holds at the receiver.
    let incoming = scene.lakeside.exchange.incoming(delivered.exchange.unwrap()).await.unwrap();
    assert_eq!(incoming.status, IncomingStatus::Received);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealing_that_was_killed_goes_on_on_what_lies_on_the_disk() {
    let scene = Scene::new().await;
    let export = scene.approved().await;
    *scene.platform.tapped.lock().unwrap() = Some(export.id);
    let (stop, running) = scene.run();
    let begun = scene.until(export.id, ExportStatus::Sealing).await;
    let parcel = begun.parcel.unwrap();
    let before = scene.noted(parcel, WHOLE).await;
    // The disk as a kill leaves it: one part half written, and nobody had time to tidy up.
    let names = ["draft", "journal"].map(|kind| format!(".{parcel}.{parcel}.{kind}"));
    let away = tempfile::tempdir().unwrap();
    let copy = |from: &Path, to: &Path| {
        for name in &names {
            let done =
                std::process::Command::new("cp").arg("-a").arg(from.join(name)).arg(to).status();
            assert!(done.unwrap().success());
        }
    };
    copy(&scene.sent, away.path());
    drop(stop);
    running.await.unwrap();
    scene.platform.agency.exchange.0.store.clear_sent(parcel).unwrap();
    copy(away.path(), &scene.sent);
    let half = scene.sent.join(&names[0]).join(parcel::part_path(3));
    std::fs::write(half, b"half").unwrap();

    scene.platform.tap.turn(true);
    let content: Arc<dyn Content> = scene.platform.clone();
    scene.exchange.work_once(Some(&content)).await.unwrap();
    scene.verify(parcel);
    for (number, bytes) in &before {
        let now =
            std::fs::read(scene.sent.join(parcel.to_string()).join(parcel::part_path(*number)));
        assert_eq!(now.unwrap() == *bytes, *number != 3, "part {number}");
    }
    let done = scene.exchange.export(export.id).await.unwrap();
    assert_eq!(done.status, ExportStatus::Acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_failed_is_gone_on_with_and_what_nobody_seals_any_more_is_swept() {
    let scene = Scene::new().await;
    let export = scene.approved().await;
    *scene.platform.tapped.lock().unwrap() = Some(export.id);
    scene.platform.tap.turn(false);
    let content: Arc<dyn Content> = scene.platform.clone();
    scene.exchange.seal_waiting(&content).await.unwrap();
    let failed = scene.exchange.export(export.id).await.unwrap();
    assert_eq!((failed.status, failed.details.delivery.failures), (ExportStatus::Approved, 1));
    let before = scene.noted(failed.parcel.unwrap(), WHOLE).await;
    assert!(before.len() >= WHOLE);
    scene.exchange.sweep_drafts().await.unwrap();
    assert_eq!(scene.left(), 2, "the draft and its journal");
    // A journal that lies there of an export that is over, as of a process that was killed after a recall.
    scene.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    assert_eq!(scene.left(), 0);
    let stray = Uuid::from_u128(99);
    std::fs::create_dir(scene.sent.join(format!(".{stray}.{stray}.draft"))).unwrap();
    scene.exchange.sweep_drafts().await.unwrap();
    assert_eq!(scene.left(), 0);
}
