//! One port and two names. The server's name in a client's first message (SNI, RFC 6066 section 3) decides under which TLS
//! configuration, within which limits and by which service it is served.
//!
//! Invariants: whoever names anything but the one name, or nothing, is at the usual service, with all that it
//! demands of a client; what the two take of connections they take from rooms of their own, and of the usual
//! service's only after the handshake, so that nobody who shows no certificate there holds a place of it. Handshakes
//! have rooms of their own too, for each side, once the name is known; before that nobody can tell whose they are,
//! and no network holds more than a part of the places.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::body::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tower::Service;

use crate::body::IngressBody;
use crate::error::WireError;
use crate::serve::{Acceptor, Arrived, Guest, Limits, accept_all, listen, shaken};
use crate::tls::ServerTls;

/// One network holds at most this part of the places for handshakes.
const SHARE: usize = 4;
/// And never less than so many.
const SHARE_MIN: usize = 8;

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
    let usual = Entry::new(usual, usual_tls, (Full::Waits, arrivals));
    let named = Entry::new(named, named_tls, (Full::Leaves, arrivals));
    let silent = Silent::new(arrivals);
    let host = |stream, arrived: Arrived| {
        let (usual, named, name) = (usual.clone(), named.clone(), Arc::clone(&name));
        let place = silent.admit(arrived.peer.ip());
        async move {
            let Some(place) = place else {
                tracing::warn!(peer = %arrived.peer, "too many handshakes of its network are not at their end");
                return;
            };
            let until = Instant::now() + wait;
            let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
            let Some(start) = shaken(arrived.peer, until, hello).await else { return };
            let asked = start.client_hello().server_name().map(str::to_owned);
            match asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&name)) {
                true => named.receive(start, (arrived, place), until).await,
                false => usual.receive(start, (arrived, place), until).await,
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
    /// For handshakes whose name is known.
    shaking: Arc<Semaphore>,
    room: Arc<Semaphore>,
    full: Full,
}

/// Connections whose handshake is not at its end, by network.
#[derive(Clone)]
struct Silent {
    of: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
}

/// One of them. Ends when it is dropped.
struct Place {
    silent: Silent,
    network: IpAddr,
}

impl Silent {
    fn new(all_max: usize) -> Self {
        let each_max = all_max.div_ceil(SHARE).max(SHARE_MIN);
        Self { of: Arc::default(), each_max }
    }

    /// A place, if its network has one left.
    fn admit(&self, from: IpAddr) -> Option<Place> {
        let network = network_of(from);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.entry(network).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(of);
        Some(Place { silent: self.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.silent.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                of.remove(&self.network);
            }
        }
    }
}

/// An IPv4 address by itself; of IPv6 the half that one customer has (RFC 6177).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() & !u128::from(u64::MAX)).into()),
        four => four,
    }
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
    fn new(side: Side<S>, tls: Acceptor, (full, shaking_max): (Full, usize)) -> Self {
        let room = Arc::new(Semaphore::new(side.limits.connections_max));
        let shaking = Arc::new(Semaphore::new(shaking_max));
        Self { side, tls, shaking, room, full }
    }

    /// The rest of the handshake, and then its requests.
    async fn receive(
        self,
        start: StartHandshake<TcpStream>,
        (arrived, silent): (Arrived, Place),
        until: Instant,
    ) {
        let Arrived { peer, closed, permit: arrival } = arrived;
        let shaking = place_in(&self.shaking, self.full, peer, until).await;
        // From here on it takes nothing that the other side could want.
        drop(arrival);
        let Some(shaking) = shaking else { return };
        let handshake = start.into_stream(Arc::clone(&self.tls.config));
        let Some(stream) = shaken(peer, until, handshake).await else { return };
        let Some(place) = place_in(&self.room, self.full, peer, until).await else { return };
        drop((shaking, silent));
        let (_, session) = stream.get_ref();
        let shown = self.tls.shown(session.peer_certificates().unwrap_or_default());
        let Side { limits, service } = self.side;
        Guest { peer, limits, service, closed }.speak(stream, shown).await;
        drop(place);
    }
}

/// A place in a room, or none, which is logged.
async fn place_in(
    room: &Arc<Semaphore>,
    full: Full,
    peer: SocketAddr,
    until: Instant,
) -> Option<OwnedSemaphorePermit> {
    let room = Arc::clone(room);
    let place = match full {
        Full::Waits => timeout_at(until, room.acquire_owned()).await.ok().and_then(Result::ok),
        Full::Leaves => room.try_acquire_owned().ok(),
    };
    if place.is_none() {
        tracing::warn!(%peer, "a connection found no room");
    }
    place
}
