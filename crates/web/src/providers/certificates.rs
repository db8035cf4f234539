//! Authorities of client certificates as they are set up, and their lists of revoked certificates, which are kept
//! current.
//!
//! Invariants: lists and responders are at the addresses that the agency declared, never at one that a certificate
//! names; a list that can't be read changes nothing, and is told of once a day; that lists changed is in the
//! ledger before they count.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use identity::certificates::{
    Answering, CertificateSettings, Provider, Responder, ResponderSettings, SecondFactor,
};
use identity::oidc::discovery::Place;
use jiff::{SignedDuration, Timestamp};
use keys::Clock;
use keys::cert::crl::{self, CRL_BYTES_MAX, Crl};
use keys::ocsp::{ANSWER_BYTES_MAX, NameHash};
use ledger::{Event, Record};
use tokio::sync::Mutex;
use wire::tls::{Trust, client_config};
use wire::{Addresses, Client, ClientLimits, Egress, Outgoing, Target};

use super::metadata::certificates;
use crate::agency::{Agency, StartError, make_folder};
use crate::config::{CertificateProviderConfig, Config, SecondFactorConfig};
use crate::problem::chain;

/// A person waits for the responder.
const OCSP_LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: Duration::from_secs(5),
    idle_wait_max: Duration::from_secs(5),
    head_bytes_max: 16 << 10,
    headers_max: 64,
};

const LIST_LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: Duration::from_secs(10),
    idle_wait_max: Duration::from_secs(30),
    head_bytes_max: 16 << 10,
    headers_max: 64,
};

const FETCH_EVERY: SignedDuration = SignedDuration::from_hours(1);
const FETCH_EVERY_FAILED: SignedDuration = SignedDuration::from_mins(5);
const TELL_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// The mode of a file that holds nothing secret.
const MODE_SHOWN: u32 = 0o644;

/// Where the lists of the providers come from, in the order of the configuration.
pub struct RevocationLists(Vec<Mutex<Watched>>);

struct Watched {
    id: String,
    sources: Vec<Source>,
    /// The digest of what counts now.
    taken: Option<[u8; 32]>,
    told_at: Option<Timestamp>,
}

struct Source {
    place: ListPlace,
    /// What was read last, and is fit.
    lists: Vec<Crl>,
    digest: Option<[u8; 32]>,
    next_at: Timestamp,
}

enum ListPlace {
    File(PathBuf),
    Remote { client: Box<Client>, place: Place, copy: PathBuf },
}

fn wrong(id: &str, what: &str) -> StartError {
    StartError::Identity(format!("certificate provider `{id}`: {what}").into())
}

/// The providers of the configuration, and where their lists come from.
pub(super) fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Vec<Provider>, RevocationLists), StartError> {
    let (mut providers, mut lists) = (Vec::new(), Vec::new());
    for one in &config.certificate_providers {
        let responder = match &one.ocsp_url {
            Some(url) => {
                Some(Arc::new(Network::open(one, url, clock, OCSP_LIMITS)?) as Arc<dyn Responder>)
            }
            None => None,
        };
        let failed = |error: identity::IdentityError| StartError::Identity(Box::new(error));
        providers.push(Provider::new(settings(config, one)?, responder).map_err(failed)?);
        lists.push(Mutex::new(Watched::open(config, one, clock)?));
    }
    Ok((providers, RevocationLists(lists)))
}

fn settings(
    config: &Config,
    one: &CertificateProviderConfig,
) -> Result<CertificateSettings, StartError> {
    let ours = &config.agency.ori;
    let names = if one.ocsp_sha1_names { NameHash::Sha1 } else { NameHash::Sha256 };
    Ok(CertificateSettings {
        id: one.id.clone(),
        label: one.label.clone(),
        agency: one.agency.as_ref().unwrap_or(ours).clone(),
        authorities: certificates(&one.authorities)?,
        named_by: one.name,
        policies: one.policies.clone(),
        purposes: one.purposes.clone(),
        multi_factor: one.multi_factor,
        lists: !one.crl_files.is_empty() || !one.crl_urls.is_empty(),
        stale_max: SignedDuration::from_hours(i64::from(one.crl_stale_hours)),
        responder: one
            .ocsp_url
            .as_ref()
            .map(|_| ResponderSettings { names, nonce_needed: one.ocsp_nonce }),
        functions_allowed: one.functions.as_ref().map(|all| all.iter().cloned().collect()),
        guests: one.agency.as_ref().is_some_and(|agency| agency != ours),
    })
}

pub(crate) fn second_factor(config: Option<&SecondFactorConfig>) -> Option<SecondFactor> {
    config.map(|one| SecondFactor {
        provider: one.certificate_provider.clone(),
        attribute: one.attribute.clone(),
    })
}

/// One declared address.
struct Network {
    client: Client,
    place: Place,
}

impl Network {
    fn open(
        config: &CertificateProviderConfig,
        url: &str,
        clock: &Arc<dyn Clock>,
        limits: ClientLimits,
    ) -> Result<Self, StartError> {
        let place = Place::of(url).ok_or_else(|| wrong(&config.id, "an address can't be asked"))?;
        let target =
            Target { host: place.host.clone(), port: place.port, addresses: Addresses::Private };
        let egress = Egress::new(vec![target]);
        let client = match &config.ca {
            Some(file) if place.tls => {
                let trust = Trust { authorities: certificates(file)?, leaves: Vec::new() };
                Client::new(egress, client_config(&trust, None, clock.clone())?, limits)
            }
            Some(_) | None => Client::plain(egress, limits),
        };
        Ok(Self { client, place })
    }
}

impl Responder for Network {
    fn ask(&self, question: Vec<u8>) -> Answering<'_> {
        Box::pin(async move {
            let request = Request::builder()
                .method(Method::POST)
                .uri(&self.place.path)
                .header(header::CONTENT_TYPE, "application/ocsp-request")
                .header(header::ACCEPT, "application/ocsp-response")
                .header(header::CONTENT_LENGTH, question.len())
                .body(Outgoing::bytes(Bytes::from(question)))?;
            let reply = self.client.request(&self.place.host, self.place.port, request).await?;
            if reply.status != http::StatusCode::OK {
                return Err(format!("the responder answers {}", reply.status).into());
            }
            Ok(reply.bytes(ANSWER_BYTES_MAX).await?)
        })
    }
}

impl Watched {
    fn open(
        config: &Config,
        one: &CertificateProviderConfig,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let folder = config.data.folder.join("certificates");
        if !one.crl_urls.is_empty() {
            make_folder(&folder)?;
        }
        let now = clock.now();
        let source = |place| Source { place, lists: Vec::new(), digest: None, next_at: now };
        let mut sources: Vec<Source> =
            one.crl_files.iter().cloned().map(ListPlace::File).map(source).collect();
        for (at, url) in one.crl_urls.iter().enumerate() {
            let Network { client, place } = Network::open(one, url, clock, LIST_LIMITS)?;
            let copy = folder.join(format!("{}-{at}.crl", one.id));
            let mut fetched =
                source(ListPlace::Remote { client: Box::new(client), place, copy: copy.clone() });
            // It is only as good as its own end, whenever it was fetched; without, nobody signs in until it is.
            if copy.exists()
                && let Ok(bytes) = keys::file::read(&copy, CRL_BYTES_MAX)
            {
                fetched.lists = crl::read(&bytes).unwrap_or_default();
            }
            sources.push(fetched);
        }
        Ok(Self { id: one.id.clone(), sources, taken: None, told_at: None })
    }

    /// Every list that is at hand.
    fn all(&self) -> Vec<Crl> {
        self.sources.iter().flat_map(|source| source.lists.iter().cloned()).collect()
    }
}

impl Source {
    /// Reads or fetches it, if it is due.
    async fn refresh(
        &mut self,
        now: Timestamp,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let remote = matches!(self.place, ListPlace::Remote { .. });
        if remote && now < self.next_at {
            return Ok(());
        }
        self.next_at = now.saturating_add(FETCH_EVERY_FAILED).unwrap_or(now);
        let bytes = match &self.place {
            ListPlace::File(file) => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || keys::file::read(&file, CRL_BYTES_MAX))
                    .await??
            }
            ListPlace::Remote { client, place, .. } => {
                let request = Request::get(&place.path).body(Outgoing::empty())?;
                let reply = client.request(&place.host, place.port, request).await?;
                if reply.status != http::StatusCode::OK {
                    return Err(format!("its server answers {}", reply.status).into());
                }
                reply.bytes(CRL_BYTES_MAX).await?
            }
        };
        let digest = keys::digest::sha256(&bytes);
        if self.digest != Some(digest) {
            let (lists, bytes) =
                tokio::task::spawn_blocking(move || (crl::read(&bytes), bytes)).await?;
            self.lists = lists?;
            self.digest = Some(digest);
            if let ListPlace::Remote { copy, .. } = &self.place {
                keys::file::replace(&keys::file::SystemDisk, copy, &bytes, MODE_SHOWN)?;
            }
        }
        self.next_at = now.saturating_add(FETCH_EVERY).unwrap_or(now);
        Ok(())
    }
}

impl Agency {
    /// Reads the lists of revoked certificates anew, where they changed or are due. What fails is on record and is
    /// tried again.
    pub async fn refresh_revocation_lists(&self) {
        let providers = self.identity.certificate_providers().iter().zip(&self.revocation_lists.0);
        for (provider, watched) in providers {
            let mut watched = watched.lock().await;
            if !watched.sources.is_empty() {
                self.refresh_lists(provider, &mut watched).await;
            }
        }
    }

    async fn refresh_lists(&self, provider: &Provider, watched: &mut Watched) {
        let (now, mut failed) = (self.now(), None);
        for source in &mut watched.sources {
            if let Err(error) = source.refresh(now).await {
                tracing::warn!(%error, id = %watched.id, "a list of revoked certificates can't be had");
                failed = Some("a list of revoked certificates can't be had");
            }
        }
        let lists = watched.all();
        let ends = lists.iter().map(|one| one.next_update).min();
        if ends.is_some_and(|ends| ends <= now) {
            failed = failed.or(Some("a list of revoked certificates has run out"));
        }
        let parts: Vec<&[u8]> = lists.iter().map(|one| one.der.as_slice()).collect();
        let digest = keys::digest::sha256_parts(&parts);
        if watched.taken != Some(digest) && !lists.is_empty() {
            failed = self.take_lists(provider, watched, lists, digest).await.or(failed);
        }
        let Some(what) = failed else {
            watched.told_at = None;
            return;
        };
        if watched.told_at.is_none_or(|at| now.duration_since(at) >= TELL_EVERY)
            && self.provider_alert(&watched.id, what, None).await
        {
            watched.told_at = Some(now);
        }
    }

    /// Has new lists count from now on. Gives why not.
    async fn take_lists(
        &self,
        provider: &Provider,
        watched: &mut Watched,
        lists: Vec<Crl>,
        digest: [u8; 32],
    ) -> Option<&'static str> {
        let what = format!("lists of revoked certificates of {}", watched.id);
        let event = Event::SettingsLoaded { what, digest: hex::encode(digest) };
        if let Err(error) = self.ledger.append(Record::platform(event)).await {
            tracing::error!(error = %chain(&error), "new lists wait until their change can be recorded");
            return None;
        }
        match provider.take_lists(lists) {
            Ok(_) => {
                watched.taken = Some(digest);
                None
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), id = %watched.id, "new lists are refused");
                Some("a list of revoked certificates can't be used")
            }
        }
    }
}
