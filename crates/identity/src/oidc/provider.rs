//! A provider as we know it now: its settings, what it said of itself, its keys; and the calls to its server.
//!
//! Invariants: what the network gives is judged before it is kept, and what is not believed changes nothing; the
//! provider's keys are asked for at most once a minute, whoever sends us messages.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::discovery::{self, DISCOVERY_BYTES_MAX, Discovery};
use super::jose::{JWS_BYTES_MAX, Jws};
use super::jwks::Jwks;
use super::keys::KeySource;
use super::request::ClientKey;
use super::{Call, Fetch, OidcSettings, Reply, json};
use crate::Refusal;

/// For how long a provider's description is used without asking for it again.
const DISCOVERY_FRESH: SignedDuration = SignedDuration::from_hours(24);

/// How long after a failure the description is asked for again.
const DISCOVERY_RETRY: SignedDuration = SignedDuration::from_mins(1);

/// Largest answer with tokens.
const TOKENS_BYTES_MAX: usize = 4 * JWS_BYTES_MAX;

/// Longest access token, and address of a pushed request.
const ACCESS_TOKEN_BYTES_MAX: usize = 32 * 1024;
const REQUEST_URI_BYTES_MAX: usize = 1024;

/// One provider. What is known of it is shared by all that hold it.
pub struct Provider {
    settings: OidcSettings,
    pub(crate) key: Arc<ClientKey>,
    fetch: Arc<dyn Fetch>,
    known: Mutex<Known>,
    keys: KeySource,
}

#[derive(Default)]
struct Known {
    discovery: Option<Discovery>,
    /// When the description is due to be asked for again.
    due_at: Option<Timestamp>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("id", &self.settings.id).finish_non_exhaustive()
    }
}

/// What the code was exchanged for.
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) access_token: Option<String>,
}

impl Provider {
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        settings: OidcSettings,
        key: Arc<ClientKey>,
        fetch: Arc<dyn Fetch>,
    ) -> Result<Self, &'static str> {
        settings.check()?;
        let keys = KeySource::new(Arc::clone(&fetch));
        Ok(Self { settings, key, fetch, known: Mutex::default(), keys })
    }

    /// The public half of our key towards it.
    #[must_use]
    pub fn jwk(&self) -> &serde_json::Value {
        self.key.jwk()
    }

    #[must_use]
    pub fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// What the provider says of itself. While it can't be asked, what it said before stays.
    pub(crate) async fn discovery(&self, now: Timestamp) -> Result<Discovery, Refusal> {
        let mut known = self.known.lock().await;
        let due = known.due_at.is_none_or(|at| at <= now);
        if !due {
            let missing =
                || Refusal::new("oidc.provider.unreachable", "it did not answer a minute ago");
            return known.discovery.clone().ok_or_else(missing);
        }
        known.due_at = now.checked_add(DISCOVERY_RETRY).ok();
        let url = discovery::address(&self.settings.issuer);
        let read = match self.document(url, DISCOVERY_BYTES_MAX).await {
            Ok(body) => Discovery::parse(&body, &self.settings),
            Err(refusal) => Err(refusal),
        };
        match (read, &known.discovery) {
            (Ok(discovery), _) => {
                known.due_at = now.checked_add(DISCOVERY_FRESH).ok();
                known.discovery = Some(discovery.clone());
                Ok(discovery)
            }
            (Err(refusal), Some(before)) => {
                tracing::warn!(idp = %self.settings.id, %refusal, "a provider's new description is not taken");
                Ok(before.clone())
            }
            (Err(refusal), None) => Err(refusal),
        }
    }

    /// What the provider said of itself, if it was ever asked.
    pub(crate) async fn known_discovery(&self) -> Option<Discovery> {
        self.known.lock().await.discovery.clone()
    }

    /// The keys with which this message may be signed: those at hand if one of them fits, else those that the
    /// provider publishes now, if it may be asked.
    pub(crate) async fn keys(&self, message: &Jws, now: Timestamp) -> Result<Arc<Jwks>, Refusal> {
        let url = self.discovery(now).await?.jwks;
        self.keys.keys(url, message, ["oidc.provider.unreachable", "oidc.jwks"], now).await
    }

    /// Pushes a request (RFC 9126); gives the name under which the browser takes it up.
    pub(crate) async fn push(
        &self,
        endpoint: String,
        form: Vec<(String, String)>,
    ) -> Result<String, Refusal> {
        let reply = self.call(endpoint, Some(form), None, JWS_BYTES_MAX).await?;
        if !matches!(reply.status, 200 | 201) {
            let detail = format!("the provider refused our pushed request with {}", reply.status);
            return Err(Refusal::new("oidc.par", detail));
        }
        let answer = json::object(&reply.body, JWS_BYTES_MAX).unwrap_or_default();
        match json::text(&answer, "request_uri") {
            Some(uri) if !uri.is_empty() && uri.len() <= REQUEST_URI_BYTES_MAX => {
                Ok(uri.to_owned())
            }
            _ => Err(Refusal::new("oidc.par", "the provider gave no name to our pushed request")),
        }
    }

    /// Exchanges a code.
    pub(crate) async fn exchange(
        &self,
        endpoint: String,
        form: Vec<(String, String)>,
    ) -> Result<Tokens, Refusal> {
        let reply = self.call(endpoint, Some(form), None, TOKENS_BYTES_MAX).await?;
        if reply.status != 200 {
            let detail =
                format!("the provider refused to exchange the code, with {}", reply.status);
            return Err(Refusal::new("oidc.code", detail));
        }
        let malformed = |detail| Refusal::new("oidc.tokens", detail);
        let Some(answer) = json::object(&reply.body, TOKENS_BYTES_MAX) else {
            return Err(malformed("the answer is not a JSON object with distinct names"));
        };
        let bearer = json::text(&answer, "token_type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case("bearer"));
        let Some(id_token) = json::text(&answer, "id_token") else {
            return Err(malformed("the answer holds no ID token"));
        };
        let access_token = json::text(&answer, "access_token")
            .filter(|token| bearer && token.len() <= ACCESS_TOKEN_BYTES_MAX)
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(str::to_owned);
        Ok(Tokens { id_token: id_token.to_owned(), access_token })
    }

    /// Asks for the person's claims.
    pub(crate) async fn userinfo(&self, url: String, token: String) -> Result<Vec<u8>, Refusal> {
        let reply = self.call(url, None, Some(token), JWS_BYTES_MAX).await?;
        if reply.status != 200 {
            let detail = format!("the provider refused to give the claims, with {}", reply.status);
            return Err(Refusal::new("oidc.userinfo", detail));
        }
        Ok(reply.body)
    }

    async fn document(&self, url: String, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
        let reply = self.call(url, None, None, bytes_max).await?;
        if reply.status == 200 {
            return Ok(reply.body);
        }
        let detail = format!("the provider answers {} where it describes itself", reply.status);
        Err(Refusal::new("oidc.provider.unreachable", detail))
    }

    async fn call(
        &self,
        url: String,
        form: Option<Vec<(String, String)>>,
        bearer: Option<String>,
        bytes_max: usize,
    ) -> Result<Reply, Refusal> {
        let call = Call { url, form, json: None, bearer, bytes_max };
        self.fetch.fetch(call).await.map_err(|error| {
            let causes = wire::causes(&error);
            tracing::warn!(idp = %self.settings.id, error = %causes, "a provider can't be asked");
            Refusal::new("oidc.provider.unreachable", "the provider's server could not be asked")
        })
    }
}
