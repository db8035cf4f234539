//! An agency whose clock stands still, and a browser that can be told to do wrong things.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo::story::client::{Browser, Page, Raw};
use http::Method;
use keys::FixedClock;
use keys::keyring::Keyring;
use keys::sign::RsaBits;
use keys::transport::TransportKey;
use ledger::testing::SimDisk;
use ledger::{Event, Search};
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;

use crate::common;

/// The folder of an agency, with the provider's metadata in it.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<FixedClock>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        keys::keyring::create_master(&folder.path().join("master.key"), &keys::SystemRandom)
            .unwrap();
        let metadata = common::metadata_of(&[&common::idp_signer().certificate]);
        std::fs::write(folder.path().join("idp.xml"), metadata).unwrap();
        Self { folder, clock: Arc::new(FixedClock::new(common::now())) }
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        keys::Clock::now(&*self.clock)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key to which assertions for this agency are encrypted.
    pub(crate) fn opening_key(&self) -> TransportKey {
        let master = keys::keyring::read_master(&self.path("master.key")).unwrap();
        let ring = Keyring::open(&self.path("data/keys"), &master).unwrap();
        ring.transport("saml-encryption-1", RsaBits::Rsa3072).unwrap()
    }

    /// Starts the agency with these settings behind the usual ones.
    pub(crate) async fn start(&self, more: &str) -> Agency {
        self.start_changed(|usual| format!("{usual}{more}")).await
    }

    /// Starts the agency with its usual settings changed.
    pub(crate) async fn start_changed(&self, change: impl Fn(&str) -> String) -> Agency {
        self.try_start(change).await.unwrap()
    }

    /// As [`Home::start_changed`]; what went wrong comes as a chain of sentences.
    pub(crate) async fn try_start(
        &self,
        change: impl Fn(&str) -> String,
    ) -> Result<Agency, String> {
        self.start_with(&change(USUAL), Outside::system()).await
    }

    /// As [`Home::start_changed`], with this randomness.
    pub(crate) async fn start_by(
        &self,
        change: impl Fn(&str) -> String,
        random: Arc<dyn keys::Random>,
    ) -> Agency {
        let outside = Outside { random, ..Outside::system() };
        self.start_with(&change(USUAL), outside).await.unwrap()
    }

    /// Starts the agency with its ledger on this disk.
    pub(crate) async fn start_on(&self, disk: Arc<SimDisk>) -> Agency {
        self.start_on_changed(disk, str::to_owned).await
    }

    /// As [`Home::start_on`], with its usual settings changed.
    pub(crate) async fn start_on_changed(
        &self,
        disk: Arc<SimDisk>,
        change: impl Fn(&str) -> String,
    ) -> Agency {
        let outside = Outside { ledger_disk: disk, ..Outside::system() };
        self.start_with(&change(USUAL), outside).await.unwrap()
    }

    async fn start_with(&self, text: &str, outside: Outside) -> Result<Agency, String> {
        let config = Config::parse(text, &self.path("bailiwick.toml")).unwrap();
        let outside = Outside { clock: self.clock.clone(), ..outside };
        let server = Server::start(config, outside).await;
        let server = server.map_err(|error| web::problem::chain(&error).to_string())?;
        // The server looks at its providers by itself as it starts; after this there is nothing new to tell.
        server.agency.refresh_providers().await;
        Ok(Agency { base: format!("http://{}", server.pages), server })
    }
}

pub(crate) const USUAL: &str = r#"
[agency]
name = "Riverton Police Department"
ori = "NB0010100"

[listen]
pages = "127.0.0.1:0"
public_url = "https://bailiwick.riverton.example"

[data]
folder = "data"
master_key = "master.key"

[ledger]
origin = "ledger.riverton.example"

[[identity_provider]]
id = "riverton"
label = "Riverton sign-in"
metadata = "idp.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
oaep_sha1 = true
"#;

/// It runs.
pub(crate) struct Agency {
    pub(crate) base: String,
    pub(crate) server: Server,
}

/// A sign-in that the browser has begun.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// `__Host-prelogin=…`, to be sent back.
    pub(crate) cookie: String,
    /// Where the browser was sent.
    pub(crate) to: String,
    pub(crate) request: String,
    pub(crate) relay: String,
}

impl Agency {
    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Page {
        self.send(Method::GET, path, cookie, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Page {
        self.send(Method::POST, path, cookie, fields).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        cookie: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        Browser::new("test").raw(self.raw(&method, path, cookie, fields)).await.unwrap()
    }

    fn raw(&self, method: &Method, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Raw {
        let address = format!("{}{path}", self.base);
        let owned: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut raw = match *method {
            Method::GET => Raw::get(&address),
            _ => Raw::post(&address, &owned).unwrap(),
        };
        raw.cookies = false;
        raw.headers.retain(|(name, _)| !name.starts_with("sec-fetch"));
        raw.headers.push(("cookie", cookie.to_owned()));
        raw
    }

    /// Begins a sign-in at a provider.
    pub(crate) async fn begin(&self, idp: &str) -> Begun {
        begun(&self.get(&format!("/sign-in/{idp}"), "").await)
    }

    /// Posts a form as one of our own pages does.
    pub(crate) async fn post_from_here(
        &self,
        path: &str,
        cookie: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let mut raw = self.raw(&Method::POST, path, cookie, fields);
        raw.headers.push(("sec-fetch-site", "same-origin".to_owned()));
        Browser::new("test").raw(raw).await.unwrap()
    }

    /// Signs somebody in and accepts the notice; gives the session's cookie.
    pub(crate) async fn sign_in_as(&self, person: &str, function: &str, n: u32) -> String {
        let begun = self.begin("riverton").await;
        let xml = response(&begun, n, self.server.agency.now())
            .replace("det.ruiz", person)
            .replace(">detective<", &format!(">{function}<"));
        let page = self.answer(&begun, common::signed(&xml, common::Layout::Both).as_bytes()).await;
        assert_eq!(page.status, 303, "{:?}", self.newest());
        let cookie = set_cookie(&page, "__Host-sid");
        let fields = self.get("/notice", &cookie).await.form("/notice").unwrap().fields();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
        assert_eq!(self.post_from_here("/notice", &cookie, &fields).await.status, 303);
        cookie
    }

    /// An administrator's cookie, with a step-up behind it. Uses the numbers `n` and `n + 1`.
    pub(crate) async fn stepped_up_administrator(&self, n: u32) -> String {
        let cookie = self.sign_in_as("adm.voss", "administrator", n).await;
        let begun = begun(&self.get("/step-up?next=/", &cookie).await);
        let xml = response(&begun, n + 1, self.server.agency.now())
            .replace("det.ruiz", "adm.voss")
            .replace(">detective<", ">administrator<");
        let page = self.answer(&begun, common::signed(&xml, common::Layout::Both).as_bytes()).await;
        assert_eq!(page.status, 303, "{:?}", self.newest());
        set_cookie(&page, "__Host-sid")
    }

    /// Posts a form with a file as one of our own pages does.
    pub(crate) async fn upload(&self, path: &str, cookie: &str, body: &[u8], kind: &str) -> Page {
        let mut raw = self.raw(&Method::POST, path, cookie, &[]);
        raw.headers.retain(|(name, _)| *name != "content-type");
        raw.headers.push(("content-type", kind.to_owned()));
        raw.headers.push(("sec-fetch-site", "same-origin".to_owned()));
        raw.body = body.to_vec();
        Browser::new("test").raw(raw).await.unwrap()
    }

    /// Posts an answer of the provider as the browser would.
    pub(crate) async fn answer(&self, begun: &Begun, xml: &[u8]) -> Page {
        let response = STANDARD.encode(xml);
        let fields = [("SAMLResponse", &*response), ("RelayState", &*begun.relay)];
        self.post("/saml/acs", &begun.cookie, &fields).await
    }

    /// The newest entry of the ledger, as its number and what happened.
    pub(crate) fn newest(&self) -> (u64, Event) {
        let page = self.server.agency.ledger.search(&Search::newest(1)).unwrap();
        let entry = page.entries.first().unwrap();
        (entry.number.0, entry.record.event.clone())
    }

    /// What happened, newest first; at most as much as one search gives.
    pub(crate) fn events(&self) -> Vec<Event> {
        let page = self.server.agency.ledger.search(&Search::newest(200)).unwrap();
        page.entries.into_iter().map(|entry| entry.record.event).collect()
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// What a redirect to a provider holds.
pub(crate) fn begun(page: &Page) -> Begun {
    assert_eq!(page.status, 303, "{}", page.text());
    begun_at(page.header("location").unwrap(), set_cookie(page, "__Host-prelogin"))
}

/// The same of the address and the cookie.
pub(crate) fn begun_at(to: &str, cookie: String) -> Begun {
    let to = to.to_owned();
    let received = identity::saml::redirect::Received::read(to.split_once('?').unwrap().1).unwrap();
    let text = String::from_utf8(received.xml).unwrap();
    let request = text.split_once(" ID=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    Begun { cookie, to, request, relay: received.relay_state }
}

/// The cookie that an answer sets, as a browser sends it back.
pub(crate) fn set_cookie(page: &Page, name: &str) -> String {
    let lines = page.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
    found.next().unwrap().split(';').next().unwrap().to_owned()
}

/// A right response to this request, unsigned, with IDs of its own.
pub(crate) fn response(begun: &Begun, n: u32, at: jiff::Timestamp) -> String {
    let (response, assertion) = (format!("_r{n}"), format!("_a{n}"));
    common::response_for(&begun.request, at, "det.ruiz", &response, &assertion)
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
