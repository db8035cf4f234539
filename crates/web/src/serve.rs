//! A started agency: its listeners and how to stop them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use exchange::witnessing::{Cadence, keep_witnessed};
use keys::cert::Certificate;
use ledger::{Event, Record};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use wire::IngressBody;
use wire::names::{NamedListener, Side, serve_names};
use wire::serve::{Limits, PlainListener, TlsListener, serve_plain, serve_tls};
use wire::tls::{Own, ServerTls, asking_config, server_config};

use crate::agency::{Agency, Outside, StartError};
use crate::alone::Alone;
use crate::app::{self, Shared};
use crate::config::{Config, Listen};
use crate::door::{self, Door};
use crate::live::watch_for_ends;
use crate::providers::watch::look_after;
use crate::sharing::Sharing;
use crate::upload::LARGE_BYTES_MAX;
use crate::{signals, witnesses};

/// Connections of guests at once.
const GUESTS_AT_ONCE: usize = 128;
/// Opening reads only the end of the ledger: the whole of it is verified at the start, and daily.
const VERIFY_EVERY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// An agency that is being served.
pub struct Server {
    /// Its rooms.
    pub agency: Shared,
    /// Where the pages are.
    pub pages: SocketAddr,
    /// Where partners call, if sharing is configured.
    pub partners: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
    /// Dropped last: the folder is free when all in it is closed.
    alone: Alone,
}

impl Server {
    /// Opens the agency and serves it until [`Server::stop`].
    ///
    /// # Errors
    /// [`StartError`] says which room or listener could not be opened.
    pub async fn start(config: Config, outside: Outside) -> Result<Self, StartError> {
        let alone = Alone::in_folder(&config.data.folder)?;
        let agency = Agency::start(config, outside).await?;
        if let Err(source) = agency.ledger.verify_every(VERIFY_EVERY) {
            let error = &source as &dyn std::error::Error;
            tracing::error!(error, "the ledger is not verified in the background");
        }
        let (stop, stopped) = watch::channel(false);
        let mut running = Vec::new();
        let pages = serve_pages(&agency, &stopped, &mut running).await?;
        running.push(tokio::spawn(crate::retention::daily(agency.clone(), stopped.clone())));
        running.push(tokio::spawn(look_after(agency.clone(), until(stopped.clone()))));
        running.push(tokio::spawn(watch_for_ends(agency.clone(), stopped.clone())));
        running.push(tokio::spawn(crate::tending::tend(agency.clone(), stopped.clone())));
        running.push(tokio::spawn(crate::ldap::ask_again(agency.clone(), stopped.clone())));
        running.extend(listen_for_signals(&agency, &stopped));
        let mut partners = None;
        if let Some(sharing) = &agency.exchange {
            let (address, tasks) = share(&agency, sharing, &stopped).await?;
            partners = address;
            running.extend(tasks);
        }
        let (ledger, lines) =
            (agency.ledger.clone(), witnesses::lines(&agency.config, &agency.clock)?);
        let asking = keep_witnessed(ledger, lines, Cadence::usual(), until(stopped.clone()));
        running.push(tokio::spawn(asking));
        Ok(Self { agency, pages, partners, stop, running, alone })
    }

    /// Stops listening, waits for running requests, and closes the ledger.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.running {
            if let Err(error) = task.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
        self.agency.record_all_sums().await;
        if let Err(error) = self.agency.ledger.append(Record::platform(Event::ServiceStopped)).await
        {
            tracing::error!(error = %crate::problem::chain(&error), "the stop could not be recorded");
        }
        if let Err(error) = self.agency.state.clone().close().await {
            tracing::error!(error = %crate::problem::chain(&error), "the state did not close well");
        }
        if let Err(error) = self.agency.ledger.close() {
            tracing::error!(error = %crate::problem::chain(&error), "the ledger did not close well");
        }
        drop(self.alone);
    }
}

/// What each stream of security events needs beside its listener: to be asked for events, and to be tried.
fn listen_for_signals(agency: &Shared, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let mut running = Vec::new();
    for stream in agency.identity.streams() {
        let (agency, stopped) = (agency.clone(), stopped.clone());
        if stream.is_polled() {
            let asking = signals::ask(agency.clone(), Arc::clone(stream), stopped.clone());
            running.push(tokio::spawn(asking));
        }
        if stream.is_verified() {
            running.push(tokio::spawn(signals::verify(agency, Arc::clone(stream), stopped)));
        }
    }
    running
}

/// Answers partners, and guests where they have a name of their own; and works on the exports that wait.
async fn share(
    agency: &Shared,
    sharing: &Sharing,
    stopped: &watch::Receiver<bool>,
) -> Result<(Option<SocketAddr>, Vec<JoinHandle<()>>), StartError> {
    let content = sharing.content(agency);
    let (answering, working) = (agency.clone(), sharing.exchange.clone());
    let (ended, done) = (until(stopped.clone()), until(stopped.clone()));
    let partners = tower::service_fn(move |request: axum::http::Request<IngressBody>| {
        let agency = answering.clone();
        async move { Ok::<_, Infallible>(answer_partner(&agency, request).await) }
    });
    let limits = Limits::partners();
    let (address, answering) = match agency.config.guests() {
        Some(guests) => {
            let own = read_own(&guests.certificate, &guests.key)?;
            let tls = tls_of(agency, Door::Guests, &own)?;
            let bound = NamedListener::bind(sharing.listen, &sharing.tls, (guests.name(), &tls));
            let listener = bound.await?;
            let address = listener.address();
            let service = service(door::router(agency.clone()));
            // Strangers come here, and each takes a file descriptor that records are written with, too.
            let limits_of_guests = Limits { connections_max: GUESTS_AT_ONCE, ..Limits::pages() };
            let pages = Side { limits: limits_of_guests, service };
            let partners = Side { limits, service: partners };
            (address, tokio::spawn(serve_names(listener, partners, pages, ended)))
        }
        None => {
            let listener = TlsListener::bind(sharing.listen, &sharing.tls).await?;
            (listener.address(), tokio::spawn(serve_tls(listener, limits, partners, ended)))
        }
    };
    let working = tokio::spawn(async move { working.run(Some(content), done).await });
    Ok((address.ok(), vec![answering, working]))
}

/// What a partner's machine asks. By the guests' name it asks for nothing here.
async fn answer_partner(
    agency: &Shared,
    request: axum::http::Request<IngressBody>,
) -> axum::response::Response {
    let name = agency.config.guests().map(|guests| guests.name());
    if name.is_some_and(|name| door::asks_for(name, request.uri(), request.headers())) {
        return door::misdirected(agency, request.map(Body::new)).await.into_response();
    }
    match &agency.exchange {
        Some(sharing) => sharing.exchange.answer(request).await.map(Body::new),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

/// The TLS configuration of a door: it asks for a certificate where people, or machines, come in by one.
fn tls_of(agency: &Shared, door: Door, own: &Own) -> Result<ServerTls, StartError> {
    let config = &agency.config;
    let providers = agency.identity.certificate_providers().iter();
    let here = providers.filter(|one| door.is_for(config, config.agency_of(&one.settings().id)));
    let authorities: Vec<_> = here.flat_map(|one| one.settings().authorities.clone()).collect();
    let asks = match door {
        Door::Pages => config.asks_for_certificates(),
        Door::Guests => !authorities.is_empty(),
    };
    Ok(match asks {
        true => asking_config(own, &authorities, agency.clock.clone())?,
        false => server_config(own, None, agency.clock.clone())?,
    })
}

async fn serve_pages(
    agency: &Shared,
    stopped: &watch::Receiver<bool>,
    running: &mut Vec<JoinHandle<()>>,
) -> Result<SocketAddr, StartError> {
    let service = service(app::router(agency.clone()));
    let ended = until(stopped.clone());
    let listen = &agency.config.listen;
    let address = if let Some(own) = own_certificate(listen)? {
        let tls = tls_of(agency, Door::Pages, &own)?;
        let listener = TlsListener::bind(listen.pages, &tls).await?;
        let address = listener.address();
        running.push(tokio::spawn(serve_tls(listener, pages(), service, ended)));
        address
    } else {
        let listener = PlainListener::bind(listen.pages).await?;
        let address = listener.address();
        running.push(tokio::spawn(serve_plain(listener, pages(), service, ended)));
        address
    };
    Ok(address.unwrap_or(listen.pages))
}

fn own_certificate(listen: &Listen) -> Result<Option<Own>, StartError> {
    let (Some(certificate), Some(key)) = (&listen.certificate, &listen.key) else {
        return Ok(None);
    };
    read_own(certificate, key).map(Some)
}

/// Reads a certificate chain and its key.
///
/// # Errors
/// [`StartError`] names the file.
pub fn read_own(certificate: &std::path::Path, key: &std::path::Path) -> Result<Own, StartError> {
    let read = |path: &std::path::Path| {
        std::fs::read_to_string(path)
            .map_err(|source| StartError::File { path: path.to_owned(), source })
    };
    let wrong = |source| StartError::Keys { doing: "read a certificate and its key", source };
    Ok(Own {
        chain: Certificate::chain_from_pem(&read(certificate)?).map_err(wrong)?,
        pkcs8: keys::cert::private_key_from_pem(&read(key)?).map_err(wrong)?,
    })
}

/// The router as a service over `wire`'s limited bodies.
fn service(
    router: Router,
) -> impl tower::Service<
    axum::http::Request<IngressBody>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    router.map_request(|request: axum::http::Request<IngressBody>| request.map(Body::new))
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the server is gone, which is also a reason to stop.
    if stopped.wait_for(|stop| *stop).await.is_err() {
        tracing::debug!("the server was dropped");
    }
}

/// A form with a file of evidence may be large; whoever reads less says so at its own limit.
fn pages() -> Limits {
    let body_endless_at = Some(crate::pages::incoming::parcels::PATH);
    Limits { body_bytes_max: LARGE_BYTES_MAX as u64, body_endless_at, ..Limits::pages() }
}
