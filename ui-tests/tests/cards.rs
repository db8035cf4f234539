//! Signing in with a card, as a person sees it: a real browser, and in place of a proxy the headers that one would send.
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use testkit::{AUTHORITY, Pki, Process, Wanted};
use tokio::process::Command;
use ui_tests::Browser;

const SECRET: &str = "4Gk0zXr7Qm1pVw9sYt2uBn5eHj8cLd3a";
const CARD: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
     extendedKeyUsage=clientAuth\ncertificatePolicies=2.16.840.1.101.3.2.1.3.13\n\
     subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:ruiz@riverton.example\n";

/// The settings of an agency behind a proxy on this machine.
fn settings(port: u16) -> String {
    format!(
        r#"
[agency]
name = "Riverton Police Department"
ori = "NB0010100"

[listen]
pages = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"

[data]
folder = "data"
master_key = "master.key"

[ledger]
origin = "riverton.example/ledger"

[[certificate_provider]]
id = "piv"
label = "Smart card"
authorities = "pki/ca/cert.pem"
name = "upn"
policies = ["2.16.840.1.101.3.2.1.3.13"]
multi_factor = true
without_revocation = true

[proxy]
addresses = ["127.0.0.1"]
secret_file = "proxy.secret"
certificate_header = "x-ssl-cert"
"#
    )
}

fn secret(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_card_is_asked_for_in_words_and_forms_that_everybody_can_use() {
    let folder = tempfile::tempdir().unwrap();
    let (from, until) = ("20250101000000Z", "20450101000000Z");
    let Some(pki) = Pki::new(&folder.path().join("pki"), from, until).unwrap() else { return };
    pki.authority("ca", None, &Wanted::new("/O=Riverton Police Department/CN=Card CA", AUTHORITY))
        .unwrap();
    let subject =
        "/O=Riverton Police Department/OU=Criminal Investigations/CN=Elena Maria Ruiz-Castellanos";
    pki.issue("ca", "ruiz", &Wanted::new(subject, CARD)).unwrap();
    let card = std::fs::read(pki.certificate("ruiz")).unwrap();
    let card: String = card.iter().map(|byte| format!("%{byte:02X}")).collect();
    secret(&folder.path().join("master.key"), &[7; 32]);
    secret(&folder.path().join("proxy.secret"), SECRET.as_bytes());
    let port = testkit::free_port().unwrap();
    let config = folder.path().join("bailiwick.toml");
    std::fs::write(&config, settings(port)).unwrap();
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let mut command = Command::new(testkit::bailiwick().unwrap());
    command.arg("serve").arg("--config").arg(&config);
    let process = Process::start(command).unwrap();
    process.line(&format!("127.0.0.1:{port}"), Duration::from_secs(60)).await.unwrap();

    let base = format!("http://127.0.0.1:{port}");
    let page = browser.person().await.unwrap();
    page.send_headers(&[("x-bailiwick-proxy", SECRET)]).await.unwrap();
    page.goto(&format!("{base}/sign-in")).await.unwrap();
    page.audit().await.unwrap();
    page.follow("Smart card").await.unwrap();
    page.wait_for("No card was shown").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("certificate-none").await.unwrap();

    page.send_headers(&[("x-bailiwick-proxy", SECRET), ("x-ssl-cert", &card)]).await.unwrap();
    page.follow("Try again").await.unwrap();
    page.wait_for("Elena Maria Ruiz-Castellanos").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("certificate-shown").await.unwrap();
    page.resize(320, 800).await.unwrap();
    page.screenshot_whole("certificate-shown-narrow").await.unwrap();
    page.resize(1366, 768).await.unwrap();
    // Nobody has an account here: the form works, and says so in the words of every refusal.
    page.follow("Sign in with this card").await.unwrap();
    page.wait_for("You could not be signed in").await.unwrap();
    page.audit().await.unwrap();
    browser.close().await.unwrap();
}
