//! What we send to a provider: the request of a sign-in, and the assertion by which we prove who we are.
//!
//! Invariants: each request has a state, a nonce and a PKCE verifier of its own, of 256 random bits each; we
//! prove ourselves with a key, never with a secret that the provider knows too.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use keys::digest::sha256;
use keys::sign::RsaKey;
use serde_json::{Value, json};

use super::discovery::Discovery;
use super::{OidcSettings, jose};
use crate::cookie::percent;

/// For how many seconds an assertion of ours holds.
const ASSERTION_SECONDS: i64 = 60;

/// The oldest authentication that we take, in seconds (IA-11; IA-5 o(2)g).
pub(crate) const AUTHENTICATION_SECONDS_MAX: i64 = 12 * 3600;

/// Our key towards providers.
#[derive(Debug)]
pub struct ClientKey {
    key: RsaKey,
    kid: String,
    jwk: Value,
}

impl ClientKey {
    /// # Errors
    /// As the module, when the key's public half can't be written.
    pub fn new(key: RsaKey) -> Result<Self, keys::KeysError> {
        let (modulus, exponent) = keys::numbers::rsa_numbers(&key.public_spki()?)?;
        let (n, e) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        // The key's own thumbprint (RFC 7638).
        let thumb = sha256(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes());
        let kid = URL_SAFE_NO_PAD.encode(thumb);
        let jwk = json!({"kty": "RSA", "use": "sig", "kid": kid, "n": n, "e": e});
        Ok(Self { key, kid, jwk })
    }

    /// The public half, for our set of keys (RFC 7517).
    #[must_use]
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Our assertion (RFC 7523, 3) to a provider: `jti` is its own name, which is used once.
    pub(crate) fn assertion(
        &self,
        settings: &OidcSettings,
        discovery: &Discovery,
        jti: &str,
        now: Timestamp,
    ) -> Result<String, keys::KeysError> {
        let at = now.as_second();
        let audience =
            if settings.audience_is_endpoint { &discovery.token } else { &settings.issuer };
        let payload = json!({
            "iss": settings.client_id,
            "sub": settings.client_id,
            "aud": audience,
            "jti": jti,
            "iat": at,
            "exp": at.saturating_add(ASSERTION_SECONDS),
        });
        let alg = if discovery.takes_ps256 { "PS256" } else { "RS256" };
        let header = json!({"alg": alg, "typ": "JWT", "kid": self.kid});
        jose::sign(&header, &payload, |message| {
            if discovery.takes_ps256 {
                self.key.sign_pss_sha256(message)
            } else {
                self.key.sign_sha256(message)
            }
        })
    }
}

/// The secrets of one request, in base64url.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) state: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
}

/// The parameters of a request. `again`: the person is to be authenticated anew.
pub(crate) fn parameters(
    settings: &OidcSettings,
    secrets: &Secrets,
    again: bool,
) -> Vec<(String, String)> {
    let scope = std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str));
    let scope: Vec<&str> = scope.collect();
    let challenge = URL_SAFE_NO_PAD.encode(sha256(secrets.verifier.as_bytes()));
    let age = if again { 0 } else { AUTHENTICATION_SECONDS_MAX };
    let mut all = vec![
        ("response_type", "code".to_owned()),
        ("client_id", settings.client_id.clone()),
        ("redirect_uri", settings.redirect_url.clone()),
        ("scope", scope.join(" ")),
        ("state", secrets.state.clone()),
        ("nonce", secrets.nonce.clone()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
        ("max_age", age.to_string()),
    ];
    if again {
        all.push(("prompt", "login".to_owned()));
    }
    if !settings.acr_values.is_empty() {
        all.push(("acr_values", settings.acr_values.join(" ")));
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The fields that exchange a code.
pub(crate) fn exchange(
    settings: &OidcSettings,
    code: &str,
    verifier: &str,
) -> Vec<(String, String)> {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &settings.redirect_url),
        ("code_verifier", verifier),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The fields by which we prove ourselves, behind all others.
pub(crate) fn proof(settings: &OidcSettings, assertion: String) -> [(String, String); 3] {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    [
        ("client_id".to_owned(), settings.client_id.clone()),
        ("client_assertion_type".to_owned(), kind.to_owned()),
        ("client_assertion".to_owned(), assertion),
    ]
}

/// An address with these parameters behind those that it has.
pub(crate) fn with_parameters(url: &str, parameters: &[(String, String)]) -> String {
    let pairs =
        parameters.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value)));
    let query = pairs.collect::<Vec<_>>().join("&");
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}{query}")
}
