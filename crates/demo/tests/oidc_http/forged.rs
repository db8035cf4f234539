//! A provider, and a transmitter of events, that sign whatever a test wants, before an agency whose clock stands
//! still.

use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::story::client::{Browser, Page, Raw};
use http::Method;
use keys::FixedClock;
use keys::sign::{RsaBits, RsaKey};
use ledger::{Event, Search};
use serde_json::{Value, json};
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;

use crate::cases::{LOGOUT, SESSION_REVOKED};
use crate::stage::{MFA, configuration};

static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate(RsaBits::Rsa2048).unwrap());

pub(crate) const SIGNALS: &str = "https://signals.example";
pub(crate) const STREAM: &str = "bailiwick-stream";

pub(crate) struct Forged {
    pub(crate) server: Server,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) issuer: String,
    base: String,
    provider: Provider,
    _folder: tempfile::TempDir,
}

/// What the provider does at this moment.
#[derive(Clone, Default)]
struct Provider {
    /// What it answers where a code is exchanged.
    id_token: Arc<Mutex<String>>,
    /// Where it answers nothing but 503.
    down: Arc<Mutex<Vec<&'static str>>>,
}

/// A sign-in that the browser has begun.
pub(crate) struct Begun {
    cookie: String,
    state: String,
    nonce: String,
}

impl Forged {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// With these settings of its stream of events behind the usual ones.
    pub(crate) async fn with(of_stream: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        keys::keyring::create_master(&folder.path().join("master.key"), &keys::SystemRandom)
            .unwrap();
        let (ours, theirs) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
        let (base, issuer) =
            (format!("http://127.0.0.1:{ours}"), format!("http://127.0.0.1:{theirs}"));
        let provider = Provider::default();
        serve(theirs, &issuer, provider.clone()).await;
        std::fs::write(folder.path().join("poll.token"), "poll secret\n").unwrap();
        let usual = configuration(ours, theirs, &base);
        let usual = usual.replace("acr_values", "amr_values = [\"mfa\"]\nacr_values");
        let stream = format!(
            r#"
[[event_stream]]
id = "signals"
issuer = "{SIGNALS}"
audience = "{STREAM}"
jwks_url = "{issuer}/jwks"
provider = "riverton"
subject_issuer = "{issuer}"
{of_stream}
"#
        );
        let path = folder.path().join("bailiwick.toml");
        let config = Config::parse(&format!("{usual}{stream}"), &path).unwrap();
        let clock = Arc::new(FixedClock::new("2026-11-25T12:00:00Z".parse().unwrap()));
        let outside = Outside { clock: clock.clone(), ..Outside::system() };
        let server = Server::start(config, outside).await.unwrap();
        Self { server, clock, issuer, base, provider, _folder: folder }
    }

    /// From now on the provider is down at these paths, and at no others.
    pub(crate) fn down(&self, paths: &[&'static str]) {
        *self.provider.down.lock().unwrap() = paths.to_vec();
    }

    pub(crate) fn now(&self) -> i64 {
        self.server.agency.now().as_second()
    }

    async fn send(&self, raw: Raw) -> Page {
        Browser::new("test").raw(raw).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Page {
        let mut raw = Raw::get(&format!("{}{path}", self.base));
        raw.headers.push(("cookie", cookie.to_owned()));
        self.send(raw).await
    }

    pub(crate) async fn begin(&self) -> Begun {
        let page = self.get("/sign-in/riverton", "").await;
        assert_eq!(page.status, 303, "{}", page.text());
        let to = page.header("location").unwrap();
        let parameter = |name: &str| {
            let mut pairs = to.split(['?', '&']).filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).unwrap().1.to_owned()
        };
        let cookie = set_cookie(&page, "__Host-prelogin");
        Begun { cookie, state: parameter("state"), nonce: parameter("nonce") }
    }

    /// The header and claims of a good ID token.
    pub(crate) fn id_token(&self, begun: &Begun, sub: &str, sid: &str) -> (Value, Value) {
        let at = self.now();
        let claims = json!({
            "iss": self.issuer, "aud": "bailiwick", "sub": sub, "sid": sid, "nonce": begun.nonce,
            "iat": at, "exp": at + 300, "auth_time": at - 5, "acr": MFA, "name": "D. Ruiz",
            "functions": ["detective"],
        });
        (json!({"alg": "RS256", "kid": "one"}), claims)
    }

    /// The provider's answer to a sign-in, with this token.
    pub(crate) async fn finish(&self, begun: &Begun, id_token: &str) -> Page {
        id_token.clone_into(&mut self.provider.id_token.lock().unwrap());
        let issuer = self.issuer.replace(':', "%3A").replace('/', "%2F");
        let path = format!("/oidc/callback?code=x&state={}&iss={issuer}", begun.state);
        self.get(&path, &begun.cookie).await
    }

    /// Signs somebody in. Gives the session's cookie.
    pub(crate) async fn sign_in(&self, sub: &str, sid: &str) -> String {
        let begun = self.begin().await;
        let (header, claims) = self.id_token(&begun, sub, sid);
        let page = self.finish(&begun, &sign(&header, &claims)).await;
        assert_eq!(page.status, 303, "{:?}", self.newest());
        set_cookie(&page, "__Host-sid")
    }

    /// The notice is shown to whoever has a live session.
    pub(crate) async fn is_live(&self, cookie: &str) -> bool {
        self.get("/notice", cookie).await.status == 200
    }

    /// The header and claims of a good logout token.
    pub(crate) fn logout_token(&self, jti: &str, sub: &str, sid: &str) -> (Value, Value) {
        let at = self.now();
        let claims = json!({
            "iss": self.issuer, "aud": "bailiwick", "iat": at, "exp": at + 120, "jti": jti,
            "sub": sub, "sid": sid, "events": {LOGOUT: {}},
        });
        (json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"}), claims)
    }

    pub(crate) async fn log_out(&self, token: &str) -> Page {
        let fields = [("logout_token".to_owned(), token.to_owned())];
        self.send(Raw::post(&format!("{}/oidc/logout/riverton", self.base), &fields).unwrap()).await
    }

    /// The header and claims of a good event token.
    pub(crate) fn event_token(&self, jti: &str, sub: &str) -> (Value, Value) {
        let claims = json!({
            "iss": SIGNALS, "aud": STREAM, "jti": jti, "iat": self.now(),
            "sub_id": {"format": "iss_sub", "iss": self.issuer, "sub": sub},
            "events": {SESSION_REVOKED: {}},
        });
        (json!({"alg": "RS256", "kid": "one", "typ": "secevent+jwt"}), claims)
    }

    pub(crate) async fn push(&self, token: &str) -> Page {
        self.send(Raw {
            method: Method::POST,
            address: format!("{}/ssf/events/signals", self.base),
            headers: vec![("content-type", "application/secevent+jwt".to_owned())],
            body: token.as_bytes().to_vec(),
            cookies: false,
        })
        .await
    }

    /// The newest entry of the ledger, as its number and what happened.
    pub(crate) fn newest(&self) -> (u64, Event) {
        let page = self.server.agency.ledger.search(&Search::newest(1)).unwrap();
        let entry = page.entries.into_iter().next().unwrap();
        (entry.number.0, entry.record.event)
    }

    /// The code of the newest entry, which is a refusal.
    pub(crate) fn refusal(&self) -> String {
        match self.newest().1 {
            Event::SignInRefused { reason, .. } => reason,
            other => format!("{other:?}"),
        }
    }
}

/// Signs as the header's algorithm says; what is no RSA algorithm gets bytes that are none.
pub(crate) fn sign(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = match header["alg"].as_str() {
        Some("PS256") => KEY.sign_pss_sha256(signed.as_bytes()).unwrap(),
        Some("none") => Vec::new(),
        _ => KEY.sign_sha256(signed.as_bytes()).unwrap(),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn set_cookie(page: &Page, name: &str) -> String {
    let lines = page.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
    found.next().unwrap().split(';').next().unwrap().to_owned()
}

async fn serve(port: u16, issuer: &str, provider: Provider) {
    let description = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256"],
        "authorization_response_iss_parameter_supported": true,
    });
    let (n, e) = keys::numbers::rsa_numbers(&KEY.public_spki().unwrap()).unwrap();
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    let keys = json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "one", "n": n, "e": e}]});
    let Provider { id_token, down } = provider;
    let answer = move || {
        let id_token = id_token.lock().unwrap().clone();
        let answer = json!({"token_type": "Bearer", "access_token": "at", "id_token": id_token});
        async move { answer.to_string() }
    };
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || description.to_string()))
        .route("/jwks", get(async move || keys.to_string()))
        .route("/token", post(answer))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let is_down = down.lock().unwrap().contains(&request.uri().path());
            async move {
                match is_down {
                    true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                    false => next.run(request).await,
                }
            }
        }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
}
