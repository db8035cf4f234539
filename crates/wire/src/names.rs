//! One port and two names. The server's name in a client's first message (SNI, RFC 6066 section 3) decides under which TLS
//! configuration, within which limits and by which service it is served.
//!
//! Invariants: whoever names anything but the one name, or nothing, is at the usual service, with all that it
//! demands of a client; what the two take of connections they take from rooms of their own, and of the usual
//! service's only after the handshake, so that nobody who shows no certificate there holds a place of it.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tower::Service;

use crate::body::IngressBody;
use crate::error::WireError;
use crate::serve::{Acceptor, Arrived, Guest, Limits, accept_all, listen, shaken};
use crate::tls::ServerTls;

/// A listener that serves one name apart.
pub struct NamedListener {
    listener: TcpListener,
    usual: Acceptor,
    named: Acceptor,
    name: Arc<str>,
}

/// A service, and what a connection to it may cost.
#[derive(Clone)]
pub struct Side<S> {
    pub limits: Limits,
    pub service: S,
}

impl NamedListener {
    /// Under `name` with `named`, under every other and none with `usual`.
    ///
    /// # Errors
    /// [`WireError::Listen`].
    pub async fn bind(
        address: SocketAddr,
        usual: &ServerTls,
        (name, named): (&str, &ServerTls),
    ) -> Result<Self, WireError> {
        let listener = listen(address).await?;
        let (usual, named) = (Acceptor::new(usual), Acceptor::new(named));
        Ok(Self { listener, usual, named, name: name.into() })
    }

    /// Where it listens; tells the port when 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Serves both until `shutdown` completes, then waits for running requests.
pub async fn serve_names<S, B, T, C>(
    listener: NamedListener,
    usual: Side<S>,
    named: Side<T>,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
    T: Service<Request<IngressBody>, Response = Response<C>, Error = Infallible>,
    T: Clone + Send + 'static,
    T::Future: Send,
    C: Body + Send + 'static,
    C::Data: Send,
    C::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let NamedListener { listener, usual: usual_tls, named: named_tls, name } = listener;
    // As many may be before the end of their handshakes as both sides take together.
    let arrivals = usual.limits.connections_max.saturating_add(named.limits.connections_max);
    let drain = usual.limits.drain_wait_max.max(named.limits.drain_wait_max);
    let wait = usual.limits.handshake_wait_max;
    let usual = Entry::new(usual, usual_tls, Full::Waits);
    let named = Entry::new(named, named_tls, Full::Leaves);
    let host = |stream, arrived: Arrived| {
        let (usual, named, name) = (usual.clone(), named.clone(), Arc::clone(&name));
        async move {
            let until = Instant::now() + wait;
            let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
            let Some(start) = shaken(arrived.peer, until, hello).await else { return };
            let asked = start.client_hello().server_name().map(str::to_owned);
            match asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&name)) {
                true => named.receive(start, arrived, until).await,
                false => usual.receive(start, arrived, until).await,
            }
        }
    };
    accept_all(&listener, (arrivals, drain), shutdown, host).await;
}

/// What becomes of a connection for which a side has no room.
#[derive(Clone, Copy)]
enum Full {
    /// For as long as a handshake may take. For those who have proved who they are.
    Waits,
    Leaves,
}

#[derive(Clone)]
struct Entry<S> {
    side: Side<S>,
    tls: Acceptor,
    room: Arc<Semaphore>,
    full: Full,
}

impl<S, B> Entry<S>
where
    S: Service<Request<IngressBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn new(side: Side<S>, tls: Acceptor, full: Full) -> Self {
        let room = Arc::new(Semaphore::new(side.limits.connections_max));
        Self { side, tls, room, full }
    }

    /// The rest of the handshake, and then its requests.
    async fn receive(self, start: StartHandshake<TcpStream>, arrived: Arrived, until: Instant) {
        let Arrived { peer, closed, permit: arrival } = arrived;
        let handshake = start.into_stream(Arc::clone(&self.tls.config));
        let Some(stream) = shaken(peer, until, handshake).await else { return };
        let place = match self.full {
            Full::Waits => {
                timeout_at(until, self.room.acquire_owned()).await.ok().and_then(Result::ok)
            }
            Full::Leaves => self.room.try_acquire_owned().ok(),
        };
        let Some(place) = place else {
            tracing::warn!(%peer, "a connection found no room");
            return;
        };
        drop(arrival);
        let (_, session) = stream.get_ref();
        let shown = self.tls.shown(session.peer_certificates().unwrap_or_default());
        let Side { limits, service } = self.side;
        Guest { peer, limits, service, closed }.speak(stream, shown).await;
        drop(place);
    }
}
