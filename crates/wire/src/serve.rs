//! Listeners: plain text for loopback, TLS for everything else, and limits on both.
//!
//! A handler finds [`PeerAddress`] among the request's extensions, and [`PeerCertificate`] where a client certificate
//! was demanded or [`PeerChain`] where one was asked for and shown. They are set here and nowhere else; a client
//! can't send them.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use keys::Clock;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use crate::body::IngressBody;
use crate::error::WireError;
use crate::stream::{Moved, Watched};
use crate::tls::ServerTls;

/// Who is at the other end of the socket. Behind a proxy that is the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The client's own certificate (DER), whose key the handshake has proved and which the listener's
/// trust covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub Arc<[u8]>);

/// All that the client showed, its own certificate first (DER), and when the handshake proved that it has the key.
/// Whether anybody vouches for it is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerChain {
    pub certificates: Arc<[Vec<u8>]>,
    pub proved_at: Timestamp,
}

/// What a connection may cost. None has a default; [`Limits::pages`] and [`Limits::partners`] are
/// two sets that go together.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections_max: usize,
    pub headers_max: usize,
    /// Request line and headers together.
    pub head_bytes_max: usize,
    /// For all of the head to arrive, and for how long an idle connection is kept.
    pub head_wait_max: Duration,
    pub handshake_wait_max: Duration,
    /// For how long nothing may move in either direction, handlers included.
    pub idle_wait_max: Duration,
    pub body_bytes_max: u64,
    /// A path whose body may be of any length: whoever reads it limits it.
    pub body_endless_at: Option<&'static str>,
    /// The slowest that a body may come in, in bytes a second, after `idle_wait_max`.
    pub body_rate_min: u32,
    /// How long running requests may take after shutdown was asked for.
    pub drain_wait_max: Duration,
}

impl Limits {
    /// For people's pages: small bodies.
    pub const fn pages() -> Self {
        Self {
            connections_max: 1024,
            headers_max: 64,
            head_bytes_max: 16 * 1024,
            head_wait_max: Duration::from_secs(10),
            handshake_wait_max: Duration::from_secs(5),
            idle_wait_max: Duration::from_secs(60),
            body_bytes_max: 2 * 1024 * 1024,
            body_endless_at: None,
            body_rate_min: 1024,
            drain_wait_max: Duration::from_secs(10),
        }
    }

    /// For partners: a body may be as large as the largest part of a parcel (256 MiB and its
    /// envelope).
    pub const fn partners() -> Self {
        Self {
            connections_max: 64,
            headers_max: 32,
            head_bytes_max: 8 * 1024,
            head_wait_max: Duration::from_secs(10),
            handshake_wait_max: Duration::from_secs(5),
            idle_wait_max: Duration::from_secs(60),
            body_bytes_max: 257 * 1024 * 1024,
            body_endless_at: None,
            body_rate_min: 16 * 1024,
            drain_wait_max: Duration::from_secs(10),
        }
    }
}

/// A listener without TLS. Exists on loopback addresses only.
pub struct PlainListener(TcpListener);

impl PlainListener {
    /// # Errors
    /// [`WireError::PlaintextBeyondLoopback`] before anything is bound; [`WireError::Listen`].
    pub async fn bind(address: SocketAddr) -> Result<Self, WireError> {
        if !address.ip().is_loopback() {
            return Err(WireError::PlaintextBeyondLoopback { address });
        }
        Ok(Self(listen(address).await?))
    }

    /// Where it listens; tells the port when 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A listener that speaks nothing but TLS.
pub struct TlsListener {
    listener: TcpListener,
    acceptor: Acceptor,
}

/// What makes TLS of a connection, and knows the time.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) config: Arc<ServerConfig>,
    clock: Arc<dyn Clock>,
    judges: bool,
}

/// What a client showed in the handshake.
pub(crate) enum Shown {
    Nothing,
    /// The listener's trust covers it.
    Judged(PeerCertificate),
    Unjudged(PeerChain),
}

impl TlsListener {
    /// # Errors
    /// [`WireError::Listen`].
    pub async fn bind(address: SocketAddr, tls: &ServerTls) -> Result<Self, WireError> {
        Ok(Self { listener: listen(address).await?, acceptor: Acceptor::new(tls) })
    }

    /// Where it listens; tells the port when 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, WireError> {
    TcpListener::bind(address).await.map_err(|source| WireError::Listen { address, source })
}

/// Serves until `shutdown` completes, then waits for running requests. `service` is any tower
/// service that can't fail, an axum router for one.
pub async fn serve_plain<S, B>(
    listener: PlainListener,
    limits: Limits,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    serve(&listener.0, None, limits, service, shutdown).await;
}

/// [`serve_plain`], inside TLS.
pub async fn serve_tls<S, B>(
    listener: TlsListener,
    limits: Limits,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    serve(&listener.listener, Some(&listener.acceptor), limits, service, shutdown).await;
}

async fn serve<S, B>(
    listener: &TcpListener,
    acceptor: Option<&Acceptor>,
    limits: Limits,
    service: S,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let host = |stream, arrived: Arrived| {
        let Arrived { peer, closed, permit } = arrived;
        let guest = Guest { peer, limits, service: service.clone(), closed };
        guest.host(stream, acceptor.cloned(), permit)
    };
    accept_all(listener, (limits.connections_max, limits.drain_wait_max), shutdown, host).await;
}

/// A connection that has come in.
pub(crate) struct Arrived {
    pub(crate) peer: SocketAddr,
    /// Ends when the listener does.
    pub(crate) closed: watch::Receiver<()>,
    /// Its place among those that may be there at a time.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Takes connections, no more than so many at a time, until `shutdown` completes; then gives those that run as long as
/// is said.
pub(crate) async fn accept_all<H>(
    listener: &TcpListener,
    (connections_max, drain_wait_max): (usize, Duration),
    shutdown: impl Future<Output = ()>,
    host: impl Fn(TcpStream, Arrived) -> H,
) where
    H: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(connections_max));
    let (closing, closed) = watch::channel(());
    let mut running = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        // Ended connections are taken out, so that the set stays as small as `room`.
        while running.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the client left already. A pause, then on.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Ok(permit) = permit else { break };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        running.spawn(host(stream, Arrived { peer, closed: closed.clone(), permit }));
    }
    drop(closed);
    drop(closing);
    let drained = tokio::time::timeout(drain_wait_max, async {
        while running.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!("requests were still running at shutdown and were cut off");
    }
}

impl Acceptor {
    pub(crate) fn new(tls: &ServerTls) -> Self {
        let (config, clock) = (Arc::clone(&tls.config), Arc::clone(&tls.clock));
        Self { config, clock, judges: tls.judges }
    }

    pub(crate) fn shown(&self, certificates: &[CertificateDer<'_>]) -> Shown {
        match certificates.first() {
            None => Shown::Nothing,
            Some(own) if self.judges => Shown::Judged(PeerCertificate(Arc::from(own.as_ref()))),
            Some(_) => Shown::Unjudged(PeerChain {
                certificates: certificates.iter().map(|one| one.to_vec()).collect(),
                proved_at: self.clock.now(),
            }),
        }
    }
}

/// What a step of a handshake gives in time; none where it is refused or takes too long, which is logged.
pub(crate) async fn shaken<T>(
    peer: SocketAddr,
    until: Instant,
    step: impl Future<Output = io::Result<T>>,
) -> Option<T> {
    match timeout_at(until, step).await {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => tracing::info!(%peer, %error, "a TLS handshake was refused"),
        Err(_) => tracing::info!(%peer, "a TLS handshake took too long"),
    }
    None
}

/// One connection's life.
pub(crate) struct Guest<S> {
    pub(crate) peer: SocketAddr,
    pub(crate) limits: Limits,
    pub(crate) service: S,
    pub(crate) closed: watch::Receiver<()>,
}

impl<S, B> Guest<S>
where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    async fn host(
        self,
        stream: TcpStream,
        acceptor: Option<Acceptor>,
        permit: OwnedSemaphorePermit,
    ) {
        match acceptor {
            None => self.speak(stream, Shown::Nothing).await,
            Some(acceptor) => {
                let tls = TlsAcceptor::from(Arc::clone(&acceptor.config));
                let until = Instant::now() + self.limits.handshake_wait_max;
                if let Some(stream) = shaken(self.peer, until, tls.accept(stream)).await {
                    let (_, session) = stream.get_ref();
                    let shown = acceptor.shown(session.peer_certificates().unwrap_or_default());
                    self.speak(stream, shown).await;
                }
            }
        }
        drop(permit);
    }

    pub(crate) async fn speak<I>(mut self, stream: I, shown: Shown)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let moved = Moved::default();
        let io = TokioIo::new(Watched::new(stream, moved.clone()));
        let Limits { idle_wait_max, body_bytes_max, body_endless_at, body_rate_min, .. } =
            self.limits;
        let peer = PeerAddress(self.peer);
        let service = self.service.clone();
        let handler = service_fn(move |request: Request<Incoming>| {
            let endless = body_endless_at == Some(request.uri().path());
            let body_bytes_max = if endless { u64::MAX } else { body_bytes_max };
            let mut request = request
                .map(|body| IngressBody::new(body, body_bytes_max, idle_wait_max, body_rate_min));
            request.extensions_mut().insert(peer);
            match &shown {
                Shown::Nothing => {}
                Shown::Judged(certificate) => {
                    request.extensions_mut().insert(certificate.clone());
                }
                Shown::Unjudged(chain) => {
                    request.extensions_mut().insert(chain.clone());
                }
            }
            service.clone().oneshot(request)
        });
        let connection = self.builder().serve_connection(io, handler);
        let mut connection = std::pin::pin!(connection);
        let mut stalled = std::pin::pin!(moved.stalled(idle_wait_max));
        let mut told = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %self.peer, %error, "a connection broke");
                    }
                    return;
                }
                () = &mut stalled => {
                    tracing::debug!(peer = %self.peer, "a connection stood still");
                    return;
                }
                // Ends when the sender is dropped; nothing is ever sent.
                _ = self.closed.changed(), if !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_wait_max)
            .max_headers(self.limits.headers_max)
            .max_header_size(self.limits.head_bytes_max)
            .half_close(false)
            .keep_alive(true);
        builder
    }
}
