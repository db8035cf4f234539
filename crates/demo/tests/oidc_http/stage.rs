//! An agency, a provider before it, and a person's browser.

use std::time::Duration;

use demo::story::client::{Browser, Page, Raw};
use ledger::{Event, Search};
use serde_json::{Value, json};
use testkit::OidcProvider;
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;

pub(crate) const MFA: &str = "https://refeds.org/profile/mfa";

/// Longest wait for what the provider prints.
const PRINTED_WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) provider: OidcProvider,
    pub(crate) base: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// `None`: the provider is not installed.
    pub(crate) async fn new() -> Option<Self> {
        Self::with("").await
    }

    /// With these settings behind the usual ones; `PROVIDER` in them is the provider's issuer.
    pub(crate) async fn with(more: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        keys::keyring::create_master(&folder.path().join("master.key"), &keys::SystemRandom)
            .unwrap();
        let films = crate::film::write(folder.path());
        let (ours, theirs) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
        let base = format!("http://riverton.localhost:{ours}");
        std::fs::write(folder.path().join("stream.token"), "stream secret\n").unwrap();
        let more = more.replace("PROVIDER", &format!("http://127.0.0.1:{theirs}"));
        let text = format!("{}{more}{films}", configuration(ours, theirs, &base));
        let config = Config::parse(&text, &folder.path().join("bailiwick.toml")).unwrap();
        let server = Server::start(config, Outside::system()).await.unwrap();
        let keys = get(&format!("http://127.0.0.1:{ours}/oidc/jwks")).await;
        let keys: Value = serde_json::from_slice(&keys.body).unwrap();
        let client = client(&base, ours, &keys).to_string();
        let provider = OidcProvider::start(folder.path(), theirs, &client).await.unwrap()?;
        let stage = Self { server, provider, base, _folder: folder };
        stage.person("ruiz", MFA);
        Some(stage)
    }

    /// From now on whoever signs in is this person.
    pub(crate) fn person(&self, sub: &str, acr: &str) {
        self.person_as(sub, acr, "detective");
    }

    /// As [`Stage::person`], with this function.
    pub(crate) fn person_as(&self, sub: &str, acr: &str, function: &str) {
        let claims = json!({"name": "D. Ruiz", "functions": [function]});
        self.provider
            .person(&json!({"sub": sub, "acr": acr, "claims": claims}).to_string())
            .unwrap();
    }

    /// Where the browser comes after a sign-in.
    pub(crate) async fn sign_in(&self, browser: &mut Browser) -> Page {
        browser.open(&format!("{}/sign-in/riverton", self.base)).await.unwrap()
    }

    /// Signs in and accepts the notice.
    pub(crate) async fn enter(&self, browser: &mut Browser) -> Page {
        let notice = self.sign_in(browser).await;
        assert_eq!(
            notice.address.path(),
            "/notice",
            "{} {}",
            notice.text(),
            self.provider.output()
        );
        let form = notice.form("/notice").unwrap();
        let home = browser.submit(&notice, &form).await.unwrap();
        assert_eq!((home.status, home.address.path()), (200, "/"));
        home
    }

    pub(crate) async fn open(&self, browser: &mut Browser, path: &str) -> Page {
        browser.open(&format!("{}{path}", self.base)).await.unwrap()
    }

    /// Waits until the provider has printed this.
    pub(crate) async fn wait_for(&self, text: &str) {
        let printed = async {
            while !self.provider.output().contains(text) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let printed = tokio::time::timeout(PRINTED_WAIT_MAX, printed).await;
        assert!(printed.is_ok(), "{}", self.provider.output());
    }

    /// The events of the newest entries, newest first.
    pub(crate) fn newest(&self, n: u32) -> Vec<Event> {
        let page = self.server.agency.ledger.search(&Search::newest(n)).unwrap();
        page.entries.iter().map(|entry| entry.record.event.clone()).collect()
    }
}

pub(crate) async fn get(address: &str) -> Page {
    Browser::new("test").raw(Raw::get(address)).await.unwrap()
}

fn client(base: &str, port: u16, keys: &Value) -> Value {
    json!({
        "client_id": "bailiwick",
        "redirect_uris": [format!("{base}/oidc/callback")],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "jwks": keys,
        "require_auth_time": true,
        "backchannel_logout_uri": format!("http://127.0.0.1:{port}/oidc/logout/riverton"),
        "backchannel_logout_session_required": true,
        "post_logout_redirect_uris": [format!("{base}/sign-in")],
    })
}

pub(crate) fn configuration(ours: u16, theirs: u16, base: &str) -> String {
    format!(
        r#"
[agency]
name = "Riverton Police Department"
ori = "NB0010100"

[listen]
pages = "127.0.0.1:{ours}"
public_url = "{base}"

[data]
folder = "data"
master_key = "master.key"

[ledger]
origin = "ledger.riverton.example"

[[oidc_provider]]
id = "riverton"
label = "Riverton sign-in"
issuer = "http://127.0.0.1:{theirs}"
client_id = "bailiwick"
acr_values = ["{MFA}"]
create_accounts = true
"#
    )
}
