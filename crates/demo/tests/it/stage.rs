//! The demo's world as a test has it: who sits where, and what Riverton's ledger says of what they did.

use std::path::PathBuf;
use std::sync::Arc;

use demo::runner::{Places, Staging, World};
use demo::story::Seat;
use demo::story::client::Page;
use jiff::Span;
use ledger::testing::SimDisk;
use ledger::{Event, Search};
use tempfile::TempDir;
use web::agency::Outside;

pub(crate) struct Stage {
    pub(crate) world: World,
    /// Where Riverton's pages are.
    pub(crate) base: String,
    /// What Riverton's ledger stands on. It can be made to fail.
    pub(crate) disk: Arc<SimDisk>,
    pub(crate) folder: TempDir,
}

/// What Riverton stands on, with its ledger on this disk.
pub(crate) fn outside(disk: &Arc<SimDisk>) -> Outside {
    Outside { ledger_disk: disk.clone(), ..Outside::system() }
}

/// Where the world of a test's folder is.
pub(crate) fn root(folder: &TempDir) -> PathBuf {
    folder.path().join("world")
}

/// From a step-up to the page that it was for.
pub(crate) async fn step_up(seat: &mut Seat, next: &str) -> Page {
    let page = seat.open(&format!("/step-up?next={next}")).await.unwrap();
    seat.prove(&page).await.unwrap()
}

impl Stage {
    /// The world with more of Riverton's settings.
    pub(crate) async fn start(settings: &str) -> Self {
        let staging = Staging { settings: settings.to_owned(), ..Staging::default() };
        Self::with(tempfile::tempdir().unwrap(), staging).await
    }

    /// The world in a folder that holds what its settings name. Its ledger's disk is made here.
    pub(crate) async fn with(folder: TempDir, staging: Staging) -> Self {
        let disk = Arc::new(SimDisk::new());
        let staging = Staging { outside: outside(&disk), ..staging };
        let places = Places::free().await.unwrap();
        let world = World::start_staged(&root(&folder), places, staging).await.unwrap();
        let base = format!("http://{}", world.riverton.pages);
        Self { world, base, disk, folder }
    }

    /// Riverton starts again, as after a crash of its machine.
    pub(crate) async fn restarted(self) -> Self {
        let world = self.world.restart_riverton(outside(&self.disk)).await.unwrap();
        Self { world, ..self }
    }

    /// Somebody who has signed in.
    pub(crate) async fn seat(&self, id: &'static str) -> Seat {
        let mut seat = Seat::new(id, &self.base);
        seat.sign_in().await.unwrap();
        seat
    }

    /// Somebody of the partner, Lakeside, who has signed in.
    pub(crate) async fn at_lakeside(&self, id: &'static str) -> Seat {
        let mut seat = Seat::new(id, &format!("http://{}", self.world.lakeside.pages));
        seat.sign_in().await.unwrap();
        seat
    }

    /// An administrator who has just proved who they are.
    pub(crate) async fn administrator(&self) -> Seat {
        let mut seat = self.seat("adm.voss").await;
        step_up(&mut seat, "/people").await;
        seat
    }

    /// The path of an account's page.
    pub(crate) async fn account(&self, seat: &mut Seat, name: &str) -> String {
        let page = seat.open("/people").await.unwrap();
        page.link(name).unwrap().to_string().strip_prefix(&self.base).unwrap().to_owned()
    }

    /// The date so many days from now.
    pub(crate) fn day(&self, days: i64) -> String {
        let today = identity::qualified::today(self.world.riverton.agency.now());
        today.checked_add(Span::new().days(days)).unwrap().to_string()
    }

    /// The newest events of these kinds, or of all, oldest first.
    pub(crate) fn events(&self, kinds: &[&str]) -> Vec<Event> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let search = Search { kinds, ..Search::newest(200) };
        let page = self.world.riverton.agency.ledger.search(&search).unwrap();
        page.entries.into_iter().rev().map(|entry| entry.record.event).collect()
    }
}
