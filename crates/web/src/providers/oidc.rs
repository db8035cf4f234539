//! OpenID Connect providers as they are set up: our key towards them, and the calls to their servers.
//!
//! Invariant: a provider's server is called at the issuer's own host or one that the agency declared, and at no
//! other, whatever the provider says of itself.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, header};
use identity::oidc::discovery::{Place, places};
use identity::oidc::{
    Call, ClientKey, Fetch, Fetching, OidcSettings, Provider, Reply, Unreachable,
};
use keys::Clock;
use keys::keyring::Keyring;
use keys::sign::RsaBits;
use wire::tls::{Trust, client_config};
use wire::{Addresses, Client, ClientLimits, Egress, Outgoing, Target};

use super::metadata::certificates;
use crate::agency::StartError;
use crate::config::Config;

pub(super) const LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: std::time::Duration::from_secs(10),
    idle_wait_max: std::time::Duration::from_secs(20),
    head_bytes_max: 32 << 10,
    headers_max: 64,
};

/// The keyring's name of our key.
const KEY: &str = "oidc-client-1";

/// The providers of the configuration. Nobody is asked yet.
pub(super) fn open(
    config: &Config,
    ring: &Keyring,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Provider>, StartError> {
    if config.oidc_providers.is_empty() {
        return Ok(Vec::new());
    }
    let key = ring.rsa(KEY, RsaBits::Rsa3072).and_then(ClientKey::new);
    let key =
        key.map_err(|source| StartError::Keys { doing: "open the key for sign-in", source })?;
    let key = Arc::new(key);
    let open = |declared: &crate::config::OidcProviderConfig| {
        let here = config.url_for(declared.agency.as_ref());
        let settings = declared.settings(&config.agency.ori, here);
        let network = Network::new(&settings, declared.ca.as_deref(), clock)?;
        Provider::new(settings, key.clone(), Arc::new(network)).map_err(|what| {
            StartError::Identity(format!("identity provider `{}`: {what}", declared.id).into())
        })
    };
    config.oidc_providers.iter().map(open).collect()
}

/// The servers of one provider.
pub(crate) struct Network {
    client: Client,
    places: Vec<Place>,
}

impl Network {
    pub(crate) fn new(
        settings: &OidcSettings,
        ca: Option<&Path>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        Self::to(places(settings), ca, clock, LIMITS)
    }

    pub(crate) fn to(
        places: Vec<Place>,
        ca: Option<&Path>,
        clock: &Arc<dyn Clock>,
        limits: ClientLimits,
    ) -> Result<Self, StartError> {
        let targets = places.iter().map(|place| Target {
            host: place.host.clone(),
            port: place.port,
            addresses: Addresses::Private,
        });
        let egress = Egress::new(targets.collect());
        let client = match ca {
            Some(file) => {
                let trust = Trust { authorities: certificates(file)?, leaves: Vec::new() };
                Client::new(egress, client_config(&trust, None, clock.clone())?, limits)
            }
            None => Client::plain(egress, limits),
        };
        Ok(Self { client, places })
    }

    async fn call(&self, call: Call) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let declared = |place: &Place| self.places.iter().any(|known| known.is_beside(place));
        let place = Place::of(&call.url).filter(declared);
        let place = place.ok_or("the address is at none of the provider's hosts")?;
        let mut request =
            Request::builder().uri(&place.path).header(header::ACCEPT, "application/json");
        if let Some(token) = &call.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let post = |kind: &'static str, body: String, request: http::request::Builder| {
            request
                .method(Method::POST)
                .header(header::CONTENT_TYPE, kind)
                .header(header::CONTENT_LENGTH, body.len())
                .body(Outgoing::bytes(Bytes::from(body)))
        };
        let request = match (call.form, call.json) {
            (Some(fields), _) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                let body = form.extend_pairs(fields).finish();
                post("application/x-www-form-urlencoded", body, request)?
            }
            (None, Some(json)) => post("application/json", json, request)?,
            (None, None) => request.body(Outgoing::empty())?,
        };
        let reply = self.client.request(&place.host, place.port, request).await?;
        let status = reply.status.as_u16();
        Ok(Reply { status, body: reply.bytes(call.bytes_max).await? })
    }
}

impl Fetch for Network {
    fn fetch(&self, call: Call) -> Fetching<'_> {
        Box::pin(async move { self.call(call).await.map_err(Unreachable) })
    }
}
