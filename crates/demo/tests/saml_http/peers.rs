//! Identity providers that others wrote: SimpleSAMLphp and pysaml2, with their own cryptography and their own
//! reading of the standard.

use demo::story::client::{Browser, Page};
use ledger::{Event, Search};
use testkit::SamlIdp;
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;

pub(crate) struct Real {
    pub(crate) base: String,
    pub(crate) server: Server,
}

/// An agency on a port that its public address names, with this provider's metadata and the machine's clock.
pub(crate) async fn start(folder: &std::path::Path, port: u16, metadata: &str, more: &str) -> Real {
    std::fs::write(folder.join("idp.xml"), metadata).unwrap();
    keys::keyring::create_master(&folder.join("master.key"), &keys::SystemRandom).unwrap();
    let base = format!("http://127.0.0.1:{port}");
    let text = crate::stage::USUAL
        .replace("https://bailiwick.riverton.example", &base)
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
        .replace("oaep_sha1 = true", more);
    let config = Config::parse(&text, &folder.join("bailiwick.toml")).unwrap();
    let server = Server::start(config, Outside::system()).await.unwrap();
    Real { base, server }
}

impl Real {
    pub(crate) fn newest(&self) -> Event {
        let page = self.server.agency.ledger.search(&Search::newest(1)).unwrap();
        page.entries.into_iter().next().unwrap().record.event
    }

    /// Goes to the provider; gives the page that it shows.
    pub(crate) async fn ask(&self, browser: &mut Browser) -> Page {
        browser.open(&format!("{}/sign-in/riverton", self.base)).await.unwrap()
    }

    /// Carries the provider's answer back to us.
    pub(crate) async fn back(&self, browser: &mut Browser, page: &Page) -> Page {
        let form = page.form(&format!("{}/saml/acs", self.base));
        let form = form.map_err(|error| format!("{error}: {}", page.text())).unwrap();
        browser.submit(page, &form).await.unwrap()
    }

    pub(crate) async fn accept(&self, browser: &mut Browser, page: &Page) {
        assert!(page.says("System-use notice"), "{:?}: {}", self.newest(), page.text());
        let form = page.form("/notice").unwrap();
        assert_eq!(browser.submit(page, &form).await.unwrap().status, 200);
    }

    async fn sign_out(&self, browser: &mut Browser) -> Page {
        let page = browser.open(&format!("{}/me", self.base)).await.unwrap();
        browser.submit(&page, &page.form("/sign-out").unwrap()).await.unwrap()
    }

    async fn is_in(&self, browser: &mut Browser) -> bool {
        let page = browser.open(&format!("{}/me", self.base)).await.unwrap();
        page.status == 200 && page.address.path() == "/me"
    }
}

pub(crate) async fn text_of(url: &str) -> String {
    let page = Browser::new("test").open(url).await.unwrap();
    assert_eq!(page.status, 200, "{url}: {}", page.text());
    String::from_utf8(page.body.to_vec()).unwrap()
}

/// The page on which SimpleSAMLphp asks who it is.
pub(crate) async fn log_in(browser: &mut Browser, page: &Page) -> Page {
    let form = page.form("?");
    let form = form.map_err(|error| format!("{error}: {} {}", page.address, page.text())).unwrap();
    let form = form.set("username", "det.ruiz").unwrap().set("password", "password").unwrap();
    browser.submit(page, &form).await.unwrap()
}

fn asks(page: &Page) -> bool {
    page.form("?").is_ok()
}

pub(crate) const PERSISTENT: &str =
    "name_id_format = \"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\"";

#[tokio::test(flavor = "multi_thread")]
async fn simplesamlphp_signs_in_steps_up_and_ends_sessions() {
    let (peer, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(idp) = SamlIdp::simplesamlphp(peer.path()).await.unwrap() else { return };
    let metadata = text_of(&idp.metadata_url).await;
    let port = testkit::free_port().unwrap();
    let more = format!("{PERSISTENT}\noaep_sha1 = true");
    let agency = start(folder.path(), port, &metadata, &more).await;
    let ours = text_of(&format!("{}/saml/metadata", agency.base)).await;
    std::fs::write(&idp.service_metadata, ours).unwrap();

    // Sign-in, and again in the provider's own session: no form the second time.
    let mut browser = Browser::new("test");
    let page = agency.ask(&mut browser).await;
    let page = log_in(&mut browser, &page).await;
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;
    assert!(agency.is_in(&mut browser).await);
    let page = agency.ask(&mut browser).await;
    assert!(!asks(&page), "it knows the person: {}", page.text());
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;

    // A step-up makes it ask again, and counts because it says that it did.
    let step_up = format!("{}/step-up?next=/me", agency.base);
    let page = browser.open(&step_up).await.unwrap();
    assert!(asks(&page), "ForceAuthn: {}", page.text());
    // It states whole seconds, and so must be seen to be later.
    let page = log_in(&mut browser, &page).await;
    let page = agency.back(&mut browser, &page).await;
    assert_eq!((page.status, page.address.path()), (200, "/me"), "{:?}", agency.newest());
    let events = agency.server.agency.ledger.search(&Search::newest(20)).unwrap().entries;
    let stepped = |event: &Event| matches!(event, Event::SteppedUp { .. });
    assert!(events.iter().any(|entry| stepped(&entry.record.event)));

    // It verifies our requests: one that was changed on its way gets no form.
    let mut other = Browser::new("other");
    let begun =
        other.raw(demo::story::client::Raw::get(&format!("{}/sign-in/riverton", agency.base)));
    let to = begun.await.unwrap().header("location").unwrap().to_owned();
    let changed = to.replace("&RelayState=", "&RelayState=x");
    assert!(!asks(&other.open(&changed).await.unwrap()), "a changed request");
    assert!(asks(&other.open(&to).await.unwrap()), "the same, unchanged");

    // It encrypts by AES-CBC and nothing else, which is refused.
    idp.set_options("{\"assertion.encryption\": true}").unwrap();
    let page = agency.ask(&mut browser).await;
    let page = agency.back(&mut browser, &page).await;
    assert_eq!(page.status, 403);
    assert!(matches!(agency.newest(), Event::SignInRefused { reason, .. } if reason == "saml.alg"));
    idp.set_options("{}").unwrap();

    // Signed out here, and there too.
    assert!(agency.is_in(&mut browser).await);
    let page = agency.sign_out(&mut browser).await;
    assert!(!agency.is_in(&mut browser).await);
    let page = browser.follow(&page, "Sign out there too").await.unwrap();
    assert!(page.says("signed out here and at your identity provider"), "{}", page.text());
    let page = agency.ask(&mut browser).await;
    assert!(asks(&page), "its session is over: {}", page.text());

    // Signed out there, and so here.
    let page = log_in(&mut browser, &page).await;
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;
    assert!(agency.is_in(&mut browser).await);
    let theirs = idp.metadata_url.replace("metadata.php", "SingleLogoutService.php");
    let back = idp.metadata_url.replace("saml2/idp/metadata.php", "logout.php");
    let page = browser.open(&format!("{theirs}?ReturnTo={back}")).await.unwrap();
    assert!(!agency.is_in(&mut browser).await, "{} {}", page.address, page.text());
    agency.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pysaml2_signs_in_encrypts_and_ends_sessions() {
    let (peer, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = testkit::free_port().unwrap();
    let ours = format!("http://127.0.0.1:{port}/saml/metadata");
    let Some(idp) = SamlIdp::pysaml2(peer.path(), &ours).await.unwrap() else { return };
    let metadata = text_of(&idp.metadata_url).await;
    let more = format!("{PERSISTENT}\noaep_sha1 = true");
    let agency = start(folder.path(), port, &metadata, &more).await;
    let mut browser = Browser::new("test");
    let page = agency.ask(&mut browser).await;
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;
    assert!(agency.is_in(&mut browser).await);
    let page = agency.sign_out(&mut browser).await;
    let page = browser.follow(&page, "Sign out there too").await.unwrap();
    let told = page.says("signed out here and at your identity provider");
    assert!(told, "{:?}: {}", agency.newest(), page.text());

    // Encrypted to the key in our metadata, by xmlsec1: AES-256-GCM, OAEP with SHA-1.
    idp.set_options("{\"encrypt\": true}").unwrap();
    let page = agency.ask(&mut browser).await;
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;
    assert!(agency.is_in(&mut browser).await);

    // It verifies our signature too.
    let raw = demo::story::client::Raw::get(&format!("{}/sign-in/riverton", agency.base));
    let to = browser.raw(raw).await.unwrap().header("location").unwrap().to_owned();
    let page = browser.open(&to.replace("&RelayState=", "&RelayState=x")).await.unwrap();
    assert_eq!(page.status, 500, "{}", page.text());
    agency.server.stop().await;
}
