//! `/scim/v2`: directories keep people and groups current (RFC 7644).
//!
//! Invariants: nothing is answered without a token or a client certificate that counts, not even that an address exists; a change
//! is answered with success only after the ledger has it and the state has committed it, and what ran for
//! whoever lost something is cut by then; a directory sees and changes only what it made.

mod answers;
mod changes;
mod resources;
pub mod tokens;
mod trainings;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use identity::directory::{Directory, DirectorySettings};
use identity::scim::BODY_BYTES_MAX;
use jiff::Timestamp;
use keys::cert::Certificate;
use keys::digest::sha256;

use crate::agency::Agency;
use crate::app::Shared;
use crate::config::{Config, DirectoryConfig, FunctionsFrom, hash_of};
use crate::front::{Caller, caller_of};
use crate::rate::{Rate, Rates};
use crate::scim::answers::Refused;
use crate::session::origin_of;

/// What a directory may ask. Entra ID asks 25 times a second.
const RATE: Rate = Rate { burst_max: 200, per_second_max: 50 };

/// The directories that an agency has, and how often each has asked.
#[derive(Debug)]
pub struct Directories {
    settings: BTreeMap<String, Arc<DirectorySettings>>,
    /// Whose is a client certificate with this SHA-256.
    pins: BTreeMap<[u8; 32], Arc<DirectorySettings>>,
    rates: Rates,
}

impl Directories {
    /// As the configuration says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (mut settings, mut pins) = (BTreeMap::new(), BTreeMap::new());
        for directory in &config.directories {
            let Some(one) = settings_of(config, directory) else { continue };
            let one = Arc::new(one);
            for pin in directory.certificates_sha256.iter().filter_map(|pin| hash_of(pin)) {
                pins.insert(pin, one.clone());
            }
            settings.insert(directory.id.clone(), one);
        }
        Self { settings, pins, rates: Rates::new(RATE) }
    }

    /// The directory whose certificate was shown, in its time.
    fn by_certificate(&self, caller: &Caller, now: Timestamp) -> Option<Arc<DirectorySettings>> {
        let shown = caller.shown.as_ref()?;
        let settings = self.pins.get(&shown.thumbprint()?)?;
        let own = Certificate::from_der(shown.certificates.first()?).ok()?;
        own.check_validity(now).is_ok().then(|| settings.clone())
    }

    /// The directory of a token, if it comes with tokens: one that has certificates comes with nothing else.
    fn by_token(&self, client: &str) -> Option<Arc<DirectorySettings>> {
        let settings = self.settings.get(client)?;
        let pinned = self.pins.values().any(|pinned| pinned.id == settings.id);
        (!pinned).then(|| settings.clone())
    }
}

/// What a directory may do, by the provider whose people it keeps.
fn settings_of(config: &Config, directory: &DirectoryConfig) -> Option<DirectorySettings> {
    let id = &directory.identity_provider;
    let ours = &config.agency.ori;
    if let Some(cards) = config.certificate_providers.iter().find(|provider| provider.id == *id) {
        return Some(DirectorySettings {
            id: directory.id.clone(),
            idp: cards.id.clone(),
            name_from: directory.name_from,
            guests: cards.agency.as_ref().is_some_and(|agency| agency != ours),
            // A certificate says nothing of functions.
            groups_give_functions: true,
            function_map: directory.functions_map.clone(),
            functions_allowed: cards.functions.as_ref().map(|all| all.iter().cloned().collect()),
        });
    }
    let provider = config.identity_providers.iter().find(|provider| provider.id == *id)?;
    Some(DirectorySettings {
        id: directory.id.clone(),
        idp: provider.id.clone(),
        name_from: directory.name_from,
        guests: provider.agency.as_ref().is_some_and(|agency| agency != ours),
        groups_give_functions: provider.functions_from == FunctionsFrom::Account,
        function_map: provider.functions_map.clone(),
        functions_allowed: provider.functions.as_ref().map(|all| all.iter().cloned().collect()),
    })
}

/// The directory that asks.
#[derive(Debug, Clone)]
struct Client(Arc<DirectorySettings>);

impl Client {
    fn directory<'a>(&'a self, agency: &'a Agency) -> Directory<'a> {
        Directory { state: &agency.state, settings: &self.0 }
    }
}

/// The routes under `/scim/v2`.
pub(crate) fn router(agency: &Shared) -> Router<Shared> {
    Router::new()
        .route("/ServiceProviderConfig", get(resources::service_provider_config))
        .route("/ResourceTypes", get(resources::resource_types))
        .route("/ResourceTypes/{name}", get(resources::resource_type))
        .route("/Schemas", get(resources::schemas))
        .route("/Schemas/{urn}", get(resources::schema))
        .route("/.search", post(resources::search_all))
        .route("/{kind}", get(resources::list).post(resources::create))
        .route("/{kind}/.search", post(resources::search))
        .route(
            "/{kind}/{id}",
            get(resources::read)
                .put(resources::replace)
                .patch(resources::patch)
                .delete(resources::delete),
        )
        .fallback(async || Refused::NotFound)
        .method_not_allowed_fallback(async || Refused::NotAllowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(agency.clone(), admit))
}

/// Lets in whoever shows a certificate or a token that counts.
async fn admit(State(agency): State<Shared>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = client_of(&agency, &parts).await;
    match client {
        Ok(client) => {
            parts.extensions.insert(client);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refused) => refused.into_response(),
    }
}

async fn client_of(agency: &Agency, parts: &axum::http::request::Parts) -> Result<Client, Refused> {
    let (now, directories) = (agency.now(), &agency.directories);
    let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(tokens::bearer);
    let found = match token {
        Some(token) => state::directory::tokens::find(&agency.state, &sha256(&token)).await,
        None => Ok(None),
    };
    let found = found.map_err(|error| Refused::Directory(error.into()))?;
    let counts = found.filter(|token| token.counts(now));
    let settings = counts.and_then(|token| directories.by_token(&token.client));
    let settings = directories.by_certificate(&caller_of(parts), now).or(settings);
    let Some(settings) = settings else {
        let origin = origin_of(parts);
        // Strangers fill neither the ledger nor the disk.
        let stranger = format!("stranger {}", origin.address.as_deref().unwrap_or_default());
        if !directories.rates.allows(&stranger, now) {
            return Err(Refused::TooOften);
        }
        let refused = agency.refuse(None, origin, "/scim/v2", "directory-token").await;
        return match refused {
            Ok(_) => Err(Refused::Unauthorised),
            Err(_) => Err(Refused::Unrecorded(ledger::AppendError::Closed)),
        };
    };
    match directories.rates.allows(&settings.id, now) {
        true => Ok(Client(settings)),
        false => Err(Refused::TooOften),
    }
}
