//! A provider that says what a test wants, and a relying party before it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::oidc::{
    Call, Callback, ClientKey, Fetch, Fetching, OidcSettings, Provider, Reply, Unreachable,
};
use identity::{
    AccountNote, AccountRules, Browser, Identity, IdentityError, Recorder, Recording,
    SessionLimits, Settings, SignedIn, Started,
};
use jiff::Timestamp;
use keys::SystemRandom;
use keys::sign::{RsaBits, RsaKey};
use serde_json::{Value, json};
use state::{State, testing};

pub(crate) const ISSUER: &str = "https://idp.riverton.example";
pub(crate) const CLIENT: &str = "bailiwick";

pub(crate) fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// The provider's key, and another one.
pub(crate) static KEY: LazyLock<RsaKey> =
    LazyLock::new(|| RsaKey::generate(RsaBits::Rsa2048).unwrap());
pub(crate) static OTHER: LazyLock<RsaKey> =
    LazyLock::new(|| RsaKey::generate(RsaBits::Rsa2048).unwrap());

/// Our own.
static OURS: LazyLock<Arc<ClientKey>> = LazyLock::new(|| {
    let key = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    Arc::new(ClientKey::new(key).unwrap())
});

pub(crate) fn jwk(key: &RsaKey, kid: &str) -> Value {
    let (n, e) = keys::numbers::rsa_numbers(&key.public_spki().unwrap()).unwrap();
    let (n, e) = (URL_SAFE_NO_PAD.encode(n), URL_SAFE_NO_PAD.encode(e));
    json!({"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e})
}

/// Signs as the header's algorithm says; what is no RSA algorithm gets bytes that are none.
pub(crate) fn jws(header: &Value, payload: &Value, key: &RsaKey) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = match header["alg"].as_str() {
        Some("PS256") => key.sign_pss_sha256(signed.as_bytes()).unwrap(),
        Some("none") => Vec::new(),
        _ => key.sign_sha256(signed.as_bytes()).unwrap(),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/auth"),
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "userinfo_endpoint": format!("{ISSUER}/me"),
        "end_session_endpoint": format!("{ISSUER}/end"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

/// What the provider's server answers, by path; and what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    answers: HashMap<String, (u16, String)>,
    asked: Vec<Call>,
}

impl Server {
    pub(crate) fn put(&self, path: &str, status: u16, body: impl std::fmt::Display) {
        let mut inside = self.0.lock().unwrap();
        inside.answers.insert(format!("{ISSUER}{path}"), (status, body.to_string()));
    }

    /// It no longer answers there.
    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().answers.remove(&format!("{ISSUER}{path}"));
    }

    pub(crate) fn asked(&self, path: &str) -> Vec<Call> {
        let url = format!("{ISSUER}{path}");
        self.0.lock().unwrap().asked.iter().filter(|call| call.url == url).cloned().collect()
    }
}

impl Fetch for Server {
    fn fetch(&self, call: Call) -> Fetching<'_> {
        let mut inside = self.0.lock().unwrap();
        inside.asked.push(call.clone());
        let answer = inside.answers.get(&call.url).cloned();
        Box::pin(async move {
            let (status, body) = answer.ok_or_else(|| Unreachable("nobody there".into()))?;
            if body.len() > call.bytes_max {
                return Err(Unreachable("too large".into()));
            }
            Ok(Reply { status, body: body.into_bytes() })
        })
    }
}

/// Takes every record.
struct Taken;

impl Recorder for Taken {
    fn record(&self, _: AccountNote) -> Recording<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

pub(crate) fn settings() -> OidcSettings {
    OidcSettings {
        id: "riverton".into(),
        label: "Riverton".into(),
        agency: "NB0010100".parse().unwrap(),
        issuer: ISSUER.into(),
        client_id: CLIENT.into(),
        redirect_url: "https://bailiwick.riverton.example/oidc/callback".into(),
        hosts: Vec::new(),
        scopes: vec!["profile".into()],
        acr_values: vec!["https://refeds.org/profile/mfa".into()],
        amr_values: vec!["mfa".into()],
        second_factor: None,
        audience_is_endpoint: false,
        userinfo: false,
        function_claim: "functions".into(),
        function_map: BTreeMap::new(),
        functions_allowed: None,
        name_claim: "name".into(),
        agency_claim: None,
        accounts: AccountRules { create: true, ..AccountRules::default() },
        trial: false,
    }
}

/// A relying party, its state and the server that it asks.
pub(crate) struct Stage {
    pub(crate) state: State,
    pub(crate) identity: Identity,
    pub(crate) server: Server,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: OidcSettings) -> Self {
        let server = Server::default();
        server.put("/.well-known/openid-configuration", 200, document());
        server.put("/jwks", 200, json!({"keys": [jwk(&KEY, "one")]}));
        let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
        let ours = Settings {
            entity_id: "https://bailiwick.riverton.example/saml/metadata".into(),
            acs_url: "https://bailiwick.riverton.example/saml/acs".into(),
            slo_url: "https://bailiwick.riverton.example/saml/slo".into(),
            limits: SessionLimits::CJIS,
        };
        let provider = Provider::new(settings, OURS.clone(), Arc::new(server.clone())).unwrap();
        let identity = Identity::new(state.clone(), ours, Vec::new(), Arc::new(SystemRandom))
            .unwrap()
            .with_oidc(vec![provider])
            .unwrap()
            .with_recorder(Arc::new(Taken));
        Self { state, identity, server }
    }

    pub(crate) async fn start(&self, at: Timestamp) -> Started {
        self.identity.start_sign_in("riverton", "/tools", at).await.unwrap()
    }

    /// The provider will exchange any code for this token.
    pub(crate) fn answer(&self, id_token: &str) {
        let answer = json!({"token_type": "Bearer", "access_token": "at", "id_token": id_token});
        self.server.put("/token", 200, answer);
    }

    pub(crate) async fn finish(
        &self,
        started: &Started,
        at: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let callback = callback(started);
        self.identity.finish_oidc(Some(&started.prelogin), &callback, &browser(), at).await
    }

    /// A whole sign-in of this person.
    pub(crate) async fn sign_in(&self, sub: &str, at: Timestamp) -> SignedIn {
        let started = self.start(at).await;
        let mut claims = claims(&started, at);
        claims["sub"] = json!(sub);
        self.answer(&jws(&header(), &claims, &KEY));
        self.finish(&started, at).await.unwrap()
    }
}

pub(crate) fn browser() -> Browser {
    Browser { address: Some("127.0.0.1".into()), agent: Some("test".into()), shown: None }
}

pub(crate) fn header() -> Value {
    json!({"alg": "RS256", "kid": "one"})
}

/// The claims of a good answer.
pub(crate) fn claims(started: &Started, at: Timestamp) -> Value {
    let at = at.as_second();
    json!({
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "ruiz",
        "sid": "session-1",
        "nonce": started.request,
        "iat": at,
        "exp": at + 300,
        "auth_time": at - 5,
        "acr": "https://refeds.org/profile/mfa",
        "name": "D. Ruiz",
        "functions": ["detective"],
        "secret": "not asked for",
    })
}

/// A parameter of the address that the browser was sent to.
pub(crate) fn parameter(started: &Started, name: &str) -> Option<String> {
    let (_, query) = started.redirect.split_once('?').unwrap();
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

pub(crate) fn callback(started: &Started) -> Callback {
    Callback {
        code: Some("code".into()),
        state: parameter(started, "state"),
        iss: Some(ISSUER.into()),
        error: None,
    }
}

pub(crate) fn code_of<T: std::fmt::Debug>(outcome: Result<T, IdentityError>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(IdentityError::Refused { refusal, .. }) => refusal.code.to_owned(),
        Err(other) => format!("{other:?}"),
    }
}
