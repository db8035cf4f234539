//! The demo as a process, and its people at the door.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use testkit::Process;
use tokio::process::Command;
use ui_tests::{Browser, Page};

const START_WAIT_MAX: Duration = Duration::from_secs(120);

/// The demo, running on free ports until it is dropped.
pub(crate) struct Demo {
    pub(crate) riverton: String,
    pub(crate) lakeside: String,
    _process: Process,
    folder: TempDir,
}

impl Demo {
    /// A file of an agency.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

pub(crate) async fn demo() -> Demo {
    demo_in(tempfile::tempdir().unwrap(), &[]).await
}

/// In a folder with files of its own, and with more on the command line.
pub(crate) async fn demo_in(folder: TempDir, more: &[&str]) -> Demo {
    let mut command = Command::new(testkit::bailiwick().unwrap());
    command.args(["demo", "--any-ports", "--folder"]).arg(folder.path()).args(more);
    let process = Process::start(command).unwrap();
    let riverton = process.line("Riverton Police Department   http", START_WAIT_MAX).await.unwrap();
    let lakeside = process.line("Lakeside County Sheriff      http", START_WAIT_MAX).await.unwrap();
    let address = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    let (riverton, lakeside) = (address(&riverton), address(&lakeside));
    Demo { riverton, lakeside, _process: process, folder }
}

/// Through the pretended identity provider, from where it asks who one is.
pub(crate) async fn prove(page: &Page, name: &str, agency: &str) {
    page.audit().await.unwrap();
    page.follow(name).await.unwrap();
    page.audit().await.unwrap();
    page.follow("Approve").await.unwrap();
    page.follow(&format!("Continue to {agency}")).await.unwrap();
}

/// A person at the agency's start page, with the notice accepted.
pub(crate) async fn sign_in(browser: &Browser, base: &str, name: &str, agency: &str) -> Page {
    let page = browser.person().await.unwrap();
    page.goto(&format!("{base}/sign-in")).await.unwrap();
    page.audit().await.unwrap();
    page.goto(&format!("{base}/sign-in/demo")).await.unwrap();
    prove(&page, name, agency).await;
    page.wait_for("System-use notice").await.unwrap();
    page.audit().await.unwrap();
    page.follow("I understand and accept").await.unwrap();
    page.wait_for("Yourself").await.unwrap();
    page.audit().await.unwrap();
    page
}

/// As the documents show pages: without an audit's marks, from the top.
pub(crate) async fn picture(page: &Page, name: &str) {
    page.resize(1366, 800).await.unwrap();
    page.ask::<bool>("(document.activeElement?.blur(), scrollTo(0, 0), true)").await.unwrap();
    page.screenshot(name).await.unwrap();
    page.resize(1366, 768).await.unwrap();
}

/// Audits a page that refuses: its status is an error to the console of every browser; nothing else may be found.
pub(crate) async fn audit_refusal(page: &Page, status: &str) {
    let found = page.audit().await.err().map(|error| error.to_string()).unwrap_or_default();
    let others: Vec<&str> = found.lines().skip(1).filter(|line| !line.contains(status)).collect();
    assert!(others.is_empty(), "{found}");
}
