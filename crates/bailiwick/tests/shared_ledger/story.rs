//! Two equal processes of one agency on one ledger: people sign in at either, one is killed, the other goes on.

use std::path::Path;
use std::time::Duration;

use demo::runner::{Places, Staging, World};
use demo::seed::story::{CASE, PLATE};
use demo::story::{Failed, Seat};
use ledger::{EntryNumber, Event, Ledger};
use testkit::Process;
use tokio::process::Command;

use crate::database::Database;

const READY_WAIT_MAX: Duration = Duration::from_secs(120);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &there),
            false => drop(std::fs::copy(path, there).unwrap()),
        }
    }
}

/// The second process of the agency whose home this is: the same keys and settings, places and data of its own.
fn equal(home: &demo::world::Home, to: &Path, pages: u16) {
    for part in ["keys", "sharing", "tools", "sources", "data/keys"] {
        copy(&home.folder.join(part), &to.join(part));
    }
    for metadata in ["idp-metadata.xml", "millbrook-metadata.xml"] {
        std::fs::copy(home.folder.join(metadata), to.join(metadata)).unwrap();
    }
    let text = std::fs::read_to_string(home.config()).unwrap();
    let moved = text
        .replace(
            &format!("pages = \"{}\"", home.ports.pages),
            &format!("pages = \"127.0.0.1:{pages}\""),
        )
        .replace(&format!("listen = \"{}\"", home.ports.partners), "listen = \"127.0.0.1:0\"");
    assert_ne!(text, moved);
    std::fs::write(to.join("bailiwick.toml"), moved).unwrap();
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(arguments).current_dir(folder);
    command
}

async fn serve(folder: &Path) -> Process {
    let process =
        Process::start(program(folder, &["serve", "--config", "bailiwick.toml"])).unwrap();
    process.line("\"message\":\"ready\"", READY_WAIT_MAX).await.unwrap();
    process
}

/// A detective at the pages that this process serves, whatever their public address is.
fn seat(home: &demo::world::Home, pages: Option<u16>) -> Seat {
    let mut seat = Seat::new("det.ruiz", &home.ports.public_url());
    let public = home.ports.pages.to_string();
    seat.browser.through.extend(pages.map(|port| (public, ([127, 0, 0, 1], port).into())));
    seat
}

async fn look_up(seat: &mut Seat) -> Result<bool, Failed> {
    let page = seat.open("/tools/vehicle-lookup").await?;
    let form = page.form("/tools/vehicle-lookup/runs")?;
    let form = form.set("plate", PLATE)?.set("purpose", "C")?.set("case_number", CASE)?;
    let page = seat.browser.submit(&page, &form).await?;
    Ok(page.status == 200 && page.says("Honda"))
}

/// Releases of rows that are on record.
fn released(ledger: &Ledger) -> usize {
    let event = |entry| ledger.read(EntryNumber(entry)).unwrap().record.event;
    (0..ledger.size()).filter(|entry| matches!(event(*entry), Event::Released { .. })).count()
}

/// Waits until this holds. The test's runner ends what never does.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_equal_processes_share_one_ledger_and_one_goes_on_without_the_other() {
    let Some(database) = Database::start().await else { return };
    database.keep_what_is_confirmed().await;
    let root = database.path("world");
    let staging = Staging { settings: database.settings(), ..Staging::default() };
    let world = World::start_staged(&root, Places::free().await.unwrap(), staging).await.unwrap();
    let home = demo::world::Home::new(&root, &demo::world::RIVERTON, world.homes[0].ports).unwrap();
    let (second, port) = (root.join("second"), testkit::free_port().unwrap());
    equal(&home, &second, port);
    let process = serve(&second).await;

    let (mut here, mut there) = (seat(&home, None), seat(&home, Some(port)));
    for seat in [&mut here, &mut there] {
        seat.sign_in().await.unwrap();
        assert!(look_up(seat).await.unwrap());
    }
    let ledger = world.riverton.agency.ledger.clone();
    until(|| released(&ledger) == 2).await;

    // One is killed while somebody looks something up there.
    let late = tokio::spawn(async move { look_up(&mut there).await.unwrap_or(false) });
    let before = ledger.size();
    until(|| ledger.size() > before).await;
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-KILL", &id]).status().await.unwrap().success());
    drop((process, late.await.unwrap()));
    assert!(look_up(&mut here).await.unwrap(), "the other goes on");

    // It comes back, and then the other one ends.
    let process = serve(&second).await;
    let mut there = seat(&home, Some(port));
    there.sign_in().await.unwrap();
    let confirmed = || ledger.witnessed().witnesses.first().and_then(|one| one.size);
    until(|| confirmed().is_some()).await;
    assert_eq!(
        ledger.witnessed().stop,
        None,
        "its witness knows more than it, and is no reason to stop"
    );
    let size = ledger.size();
    drop(ledger);
    world.riverton.stop().await;
    assert!(look_up(&mut there).await.unwrap());
    assert!(process.stop(READY_WAIT_MAX).await.unwrap().success());
    world.lakeside.stop().await;
    assert_eq!(ledger::watched::stop_of(&second.join("data/ledger")).unwrap(), None);

    let arguments = ["ledger", "export-folder", "--config", "bailiwick.toml", "exported"];
    assert!(program(&second, &arguments).status().await.unwrap().success());
    let expected = (size + 2).to_string();
    let arguments = ["ledger", "verify", "exported", "--expect-size", &expected];
    assert!(program(&second, &arguments).status().await.unwrap().success());
}
