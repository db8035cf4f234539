//! What was laid down is removed once it was taken back, by a depot that fails, from a medium, from a real SFTP server.

use jiff::ToSpan;

use super::depots::{Shelf, medium, route, target};
use super::*;

async fn laid(depot: Arc<dyn Depot>) -> (World, Export) {
    let world = world_with(|riverton, _| {
        riverton.routes = vec![route("shelf", depot)];
        riverton.settings.retry_wait_max = Duration::from_secs(60);
    })
    .await;
    let export = world.riverton.sealed_for("shelf").await;
    let export = world.riverton.exchange.deliver(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Delivered);
    (world, export)
}

impl World {
    async fn taken_back(&self, export: Uuid) -> Clearing {
        self.riverton.exchange.recall(&ruiz(), export, "the wrong case").await.unwrap();
        self.tended(export).await
    }

    async fn tended(&self, export: Uuid) -> Clearing {
        self.riverton.exchange.clear_depots().await.unwrap();
        let export = self.riverton.exchange.export(export).await.unwrap();
        export.details.delivery.clearing.unwrap_or_default()
    }
}

#[tokio::test]
async fn what_was_laid_down_is_removed_after_a_recall_tried_again_and_said_once_it_is_on_record() {
    let shelf = Arc::new(Shelf::default());
    let (world, export) = laid(shelf.clone()).await;
    let riverton = &world.riverton;
    shelf.fail(1);
    let first = world.taken_back(export.id).await;
    assert_eq!((first.failures, first.done), (1, None));
    assert!(first.problem.unwrap().contains("the shelf is not there"));
    assert!(!shelf.is_empty());
    world.tended(export.id).await;
    assert!(!shelf.is_empty(), "not before its time");

    world.clock.set(now() + 6.seconds());
    riverton.ledger_disk.fail_writes_after("journal", 0);
    riverton.exchange.clear_depots().await.unwrap_err();
    riverton.ledger_disk.mend();
    assert!(shelf.is_empty());
    let row = riverton.exchange.export(export.id).await.unwrap();
    assert_eq!(row.details.delivery.clearing.unwrap().done, None, "it is not on record");
    let done = world.tended(export.id).await.done.unwrap();
    assert_eq!(riverton.count("parcel-cleared"), 1);
    let event = riverton.ledger.read(EntryNumber(done.1)).unwrap().record.event;
    let Event::ParcelCleared(cleared) = event else { panic!("{event:?}") };
    assert_eq!((cleared.route.as_str(), cleared.place.as_deref()), ("shelf", Some("a shelf")));
    world.clock.set(now() + 24.hours());
    world.tended(export.id).await;
    assert_eq!(riverton.count("parcel-cleared"), 1);
}

#[tokio::test]
async fn a_person_is_told_what_has_to_be_removed_by_hand() {
    let shelf = Arc::new(Shelf::default());
    let (world, export) = laid(shelf.clone()).await;
    shelf.fail(1_000);
    world.taken_back(export.id).await;
    let mut attempts = 1;
    for minutes in 1..60 {
        world.clock.set(now() + minutes.minutes());
        let clearing = world.tended(export.id).await;
        attempts = clearing.failures;
        if clearing.next_attempt_at.is_none() {
            break;
        }
    }
    assert_eq!(attempts, 40);
    let told = world.riverton.events().into_iter().any(|event| {
        matches!(event, Event::ExchangeAlert { what, .. } if what.contains("removed by hand"))
    });
    assert!(told, "{:?}", world.riverton.story());

    // The way leads elsewhere by now: nothing is removed there.
    let shelf = Arc::new(Shelf::default());
    let (world, export) = laid(shelf).await;
    world.riverton.exchange.recall(&ruiz(), export.id, "the wrong case").await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let later = reviewed::restarted_as(&world.riverton, RIVERTON, |setup| {
        setup.routes = vec![route("shelf", Arc::new(medium(elsewhere.path(), MediumForm::Zip)))];
    });
    later.clear_depots().await.unwrap();
    let clearing = later.export(export.id).await.unwrap().details.delivery.clearing.unwrap();
    assert!(clearing.problem.unwrap().contains("leads to a medium"), "it names both");
    assert_eq!(clearing.next_attempt_at, None);
}

#[tokio::test]
async fn a_parcel_is_removed_from_its_medium_and_nothing_else_and_not_from_another() {
    for form in [MediumForm::Folder, MediumForm::Zip] {
        let folder = tempfile::tempdir().unwrap();
        let stick = folder.path().join("stick");
        std::fs::create_dir(&stick).unwrap();
        let (world, export) = laid(Arc::new(medium(&stick, form))).await;
        let (out, theirs) = (folder.path().join("out"), stick.join("theirs.txt"));
        std::fs::write(&theirs, b"theirs").unwrap();
        // Another one is in.
        std::fs::rename(&stick, &out).unwrap();
        std::fs::create_dir(&stick).unwrap();
        let clearing = world.taken_back(export.id).await;
        let problem = clearing.problem.unwrap();
        assert!(problem.contains("a medium that has the parcel is not there"), "{problem}");
        std::fs::remove_dir(&stick).unwrap();
        std::fs::rename(&out, &stick).unwrap();
        world.clock.set(now() + 1.hours());
        if form == MediumForm::Folder {
            let note = stick.join(format!("parcel-{}/data/note.txt", export.parcel.unwrap()));
            std::fs::write(&note, b"theirs").unwrap();
            let problem = world.tended(export.id).await.problem.unwrap();
            assert!(problem.contains("data` of it is still there"), "{problem}");
            std::fs::remove_file(&note).unwrap();
            world.clock.set(now() + 2.hours());
        }
        // Removed, and the record fails: it is not looked for on the medium again.
        world.riverton.ledger_disk.fail_writes_after("journal", 0);
        world.riverton.exchange.clear_depots().await.unwrap_err();
        world.riverton.ledger_disk.mend();
        assert!(world.tended(export.id).await.done.is_some());
        let mut left: Vec<String> = std::fs::read_dir(&stick)
            .unwrap()
            .map(|one| one.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["HOW-TO-OPEN.txt", "open.html", "theirs.txt"]);
    }
}

#[tokio::test]
async fn an_sftp_server_is_left_without_the_parcel_and_with_what_else_lies_there() {
    let Some(mut sshd) = testkit::Sshd::start().await.unwrap() else { return };
    let (world, export) = laid(Arc::new(Sftp::new(target(&sshd)).unwrap())).await;
    let place = sshd.drop_folder().join(format!("parcel-{}", export.parcel.unwrap()));
    let part = place.join(parcel::part_path(1));
    std::fs::rename(&part, part.with_file_name("part-000001.p7m.uploading")).unwrap();
    let other = sshd.drop_folder().join("parcel-of-another");
    std::fs::create_dir(&other).unwrap();
    sshd.down();
    let clearing = world.taken_back(export.id).await;
    assert!(clearing.problem.unwrap().contains("sftp: "));
    sshd.up().await.unwrap();
    // Somebody there has put a file into it, which is theirs.
    std::fs::write(place.join("data/000/note.txt"), b"theirs").unwrap();
    world.clock.set(now() + 1.hours());
    let clearing = world.tended(export.id).await;
    let problem = clearing.problem.unwrap();
    assert!(problem.contains("`note.txt` of it is still there"), "{problem}");
    assert!(!place.join(parcel::part_path(0)).exists());
    std::fs::remove_file(place.join("data/000/note.txt")).unwrap();
    world.clock.set(now() + 3.hours());
    assert!(world.tended(export.id).await.done.is_some());
    assert!(!place.exists() && other.exists());
}
