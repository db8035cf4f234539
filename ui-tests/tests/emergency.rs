//! The way in for when no identity provider answers, in a real browser with a security key, by keyboard alone;
//! made, served and made anew at the command line.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use testkit::Process;
use tokio::process::Command;
use ui_tests::{Browser, Page};

const WAIT_MAX: Duration = Duration::from_secs(120);

/// The emergency sign-in, and a provider that is to be tried when things are well again.
const MORE: &str = r#"
[emergency]
session_minutes = 30

[[oidc_provider]]
id = "county"
label = "County sign-in"
issuer = "http://127.0.0.1:1"
client_id = "bailiwick"
acr_values = ["mfa"]
trial = true
"#;

/// An agency whose identity provider is down.
struct Agency {
    config: PathBuf,
    base: String,
    folder: TempDir,
}

fn bailiwick(arguments: &[&str]) -> Command {
    let mut command = Command::new(testkit::bailiwick().unwrap());
    command.args(arguments);
    command
}

/// The demo's Riverton, known by a name, with the emergency sign-in switched on.
async fn agency() -> Agency {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = bailiwick(&["demo", "--any-ports", "--folder"]);
    demo.arg(folder.path());
    let demo = Process::start(demo).unwrap();
    demo.line("Lakeside County Sheriff      http", WAIT_MAX).await.unwrap();
    demo.stop(WAIT_MAX).await.unwrap();
    let config = folder.path().join("riverton/bailiwick.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let url = text.lines().find_map(|line| line.strip_prefix("public_url = ")).unwrap();
    let base = url.trim_matches('"').replace("127.0.0.1", "localhost");
    let text = text.replace(url, &format!("\"{base}\"")) + MORE;
    std::fs::write(&config, text).unwrap();
    Agency { config, base, folder }
}

impl Agency {
    /// The two halves, out of their two files.
    async fn make(&self, round: &str) -> [String; 2] {
        let out = self.folder.path().join(round);
        std::fs::create_dir(&out).unwrap();
        let mut make = bailiwick(&["user", "emergency", "make", "desk"]);
        make.args(["--by", "R. Stone", "--and", "M. Lindqvist", "--config"]).arg(&self.config);
        let made = make.arg("--out").arg(&out).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        ["desk-1.txt", "desk-2.txt"].map(|file| half(&out.join(file)))
    }

    async fn serve(&self) -> Process {
        let mut serve = bailiwick(&["serve", "--config"]);
        let process = Process::start({
            serve.arg(&self.config);
            serve
        });
        let process = process.unwrap();
        process.line("ready", WAIT_MAX).await.unwrap();
        process
    }
}

fn half(file: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().find_map(|line| line.strip_prefix("    ")).unwrap().to_owned()
}

/// Fills the form by keyboard alone and sends it.
async fn type_it(page: &Page, [first, second]: &[String; 2]) {
    page.type_into("Name of the account", "desk").await.unwrap();
    page.type_into("First half", first).await.unwrap();
    page.type_into("Second half", second).await.unwrap();
    page.type_into("Reason", "the provider is down").await.unwrap();
    page.tab_to("Open the account").await.unwrap();
    page.press("Enter").await.unwrap();
}

async fn use_key(page: &Page) {
    page.tab_to("Use the security key").await.unwrap();
    page.press("Enter").await.unwrap();
    page.wait_for("System-use notice").await.unwrap();
    page.follow("I understand and accept").await.unwrap();
    page.wait_for("Emergency account desk").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_come_in_by_keyboard_with_a_security_key_that_is_asked_for_ever_after() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let agency = agency().await;
    let halves = agency.make("once").await;
    let server = agency.serve().await;
    let page = browser.person().await.unwrap();
    page.put_in_security_key().await.unwrap();
    page.goto(&format!("{}/sign-in", agency.base)).await.unwrap();
    page.audit().await.unwrap();
    page.follow("Emergency sign-in").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("emergency").await.unwrap();

    let slip = ["0000-0000".to_owned(), halves[1].clone()];
    type_it(&page, &slip).await;
    page.wait_for("did not count as a try").await.unwrap();
    let found = page.audit().await.err().map(|error| error.to_string()).unwrap_or_default();
    let others: Vec<&str> = found.lines().skip(1).filter(|line| !line.contains("400")).collect();
    assert!(others.is_empty(), "{found}");
    page.screenshot_whole("emergency-slip").await.unwrap();
    page.goto(&format!("{}/emergency", agency.base)).await.unwrap();
    type_it(&page, &halves).await;
    page.wait_for("Register a security key").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("emergency-key").await.unwrap();
    use_key(&page).await;
    page.audit().await.unwrap();
    page.screenshot_whole("emergency-start").await.unwrap();
    page.follow("Emergency access").await.unwrap();
    page.wait_for("Not looked into yet").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("emergency-uses").await.unwrap();
    page.follow("Identity providers").await.unwrap();
    page.follow("County sign-in").await.unwrap();
    page.wait_for("nobody signs in through it").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("provider-on-trial").await.unwrap();
    server.stop(WAIT_MAX).await.unwrap();

    let halves = agency.make("again").await;
    let server = agency.serve().await;
    page.goto(&format!("{}/emergency", agency.base)).await.unwrap();
    page.wait_for("Confirm that it is you").await.unwrap();
    page.goto(&format!("{}/me", agency.base)).await.unwrap();
    page.click("Emergency account desk").await.unwrap();
    page.follow("Sign out").await.unwrap();
    page.goto(&format!("{}/emergency", agency.base)).await.unwrap();
    type_it(&page, &halves).await;
    page.wait_for("Show the security key").await.unwrap();
    page.audit().await.unwrap();
    use_key(&page).await;
    server.stop(WAIT_MAX).await.unwrap();
    browser.close().await.unwrap();
}
