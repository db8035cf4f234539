//! `/scim/v2`: directories keep people and groups current (RFC 7644).
//!
//! Invariants: nothing is answered without a token that counts, not even that an address exists; a change
//! is answered with success only after the ledger has it and the state has committed it, and what ran for
//! whoever lost something is cut by then; a directory sees and changes only what it made.

mod answers;
mod changes;
mod rate;
mod resources;
pub mod tokens;

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
use keys::digest::sha256;

use crate::agency::Agency;
use crate::app::Shared;
use crate::config::{Config, FunctionsFrom};
use crate::scim::answers::Refused;
use crate::scim::rate::Rates;
use crate::session::origin_of;

/// The directories that an agency has, and how often each has asked.
#[derive(Debug, Default)]
pub struct Directories {
    settings: BTreeMap<String, Arc<DirectorySettings>>,
    rates: Rates,
}

impl Directories {
    /// As the configuration says.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut settings = BTreeMap::new();
        for directory in &config.directories {
            let mut providers = config.identity_providers.iter();
            let provider = providers.find(|provider| provider.id == directory.identity_provider);
            let Some(provider) = provider else { continue };
            let agency = provider.agency.as_ref().unwrap_or(&config.agency.ori);
            let allowed = provider.functions.as_ref();
            let one = DirectorySettings {
                id: directory.id.clone(),
                idp: provider.id.clone(),
                name_from: directory.name_from,
                guests: *agency != config.agency.ori,
                groups_give_functions: provider.functions_from == FunctionsFrom::Account,
                function_map: provider.functions_map.clone(),
                functions_allowed: allowed.map(|allowed| allowed.iter().cloned().collect()),
            };
            settings.insert(directory.id.clone(), Arc::new(one));
        }
        Self { settings, rates: Rates::default() }
    }
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

/// Lets in whoever shows a token that counts.
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
    let settings = counts.and_then(|token| directories.settings.get(&token.client).cloned());
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
