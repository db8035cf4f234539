//! A small HTTP/1.1 client: one connection, one request at a time, both bodies streamed.
//!
//! It follows no redirect, keeps no cookie, and speaks plain text to loopback addresses only, or where that was said to
//! private ones: for questions that hold no secret, with answers that are signed.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::egress::{Egress, is_private};
use crate::error::WireError;
use crate::stream::{Moved, Watched};
use crate::tls::ClientTls;

/// What a call may cost. None has a default.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// For name, connection and handshake, each.
    pub connect_wait_max: Duration,
    /// For how long nothing may move in either direction.
    pub idle_wait_max: Duration,
    /// The response's status line and headers together, in bytes.
    pub head_bytes_max: usize,
    /// How many headers a response may have.
    pub headers_max: usize,
}

/// A body on its way out: of a request here, or of a handler's response.
pub struct Outgoing(UnsyncBoxBody<Bytes, io::Error>);

impl Outgoing {
    /// No body.
    pub fn empty() -> Self {
        Self::bytes(Bytes::new())
    }

    /// A body that is at hand.
    pub fn bytes(bytes: Bytes) -> Self {
        Self(Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync())
    }

    /// A body that is read while it is sent. Give its length with a `content-length` header, else
    /// it goes out in chunks.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error = io::Error> + Send + 'static,
    {
        Self(body.boxed_unsync())
    }
}

impl Outgoing {
    /// A body whose pieces come from elsewhere, a reading thread for one. An `Err` breaks it off, so
    /// that the other side can't take it for whole.
    pub fn pieces(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self::stream(Pieces(pieces))
    }
}

struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Opens connections to declared targets.
#[derive(Clone)]
pub struct Client {
    egress: Egress,
    tls: Option<ClientTls>,
    /// Whether plain text goes to private addresses, not to loopback alone.
    inside: bool,
    limits: ClientLimits,
}

impl Client {
    /// A client that speaks HTTP inside TLS.
    pub fn new(egress: Egress, tls: ClientTls, limits: ClientLimits) -> Self {
        Self { egress, tls: Some(tls), inside: false, limits }
    }

    /// A client that speaks plain HTTP, to loopback addresses only.
    pub fn plain(egress: Egress, limits: ClientLimits) -> Self {
        Self { egress, tls: None, inside: false, limits }
    }

    /// A client that speaks plain HTTP, to loopback and private addresses only.
    pub fn plain_inside(egress: Egress, limits: ClientLimits) -> Self {
        Self { egress, tls: None, inside: true, limits }
    }

    /// Opens a connection to a declared target.
    ///
    /// # Errors
    /// As [`Egress::connect_tls`]; [`WireError::PlaintextBeyondLoopback`].
    pub async fn open(&self, host: &str, port: u16) -> Result<Connection, WireError> {
        let wait = self.limits.connect_wait_max;
        let moved = Moved::default();
        match &self.tls {
            Some(tls) => {
                let stream = self.egress.connect_tls(host, port, tls, wait).await?;
                self.begin(host, port, Watched::new(stream, moved.clone()), moved).await
            }
            None => {
                let stream = self.egress.connect(host, port, wait).await?;
                let address = stream.peer_addr().map_err(|source| WireError::Connect {
                    host: host.to_owned(),
                    port,
                    source,
                })?;
                let near = address.ip().is_loopback() || (self.inside && is_private(address.ip()));
                if !near {
                    return Err(WireError::PlaintextBeyondLoopback { address });
                }
                self.begin(host, port, Watched::new(stream, moved.clone()), moved).await
            }
        }
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// As [`Client::open`] and [`Connection::send`].
    pub async fn request(
        &self,
        host: &str,
        port: u16,
        request: Request<Outgoing>,
    ) -> Result<Reply, WireError> {
        let mut connection = self.open(host, port).await?;
        let mut reply = connection.send(request).await?;
        reply._connection = Some(connection);
        Ok(reply)
    }

    async fn begin<S>(
        &self,
        host: &str,
        port: u16,
        stream: Watched<S>,
        moved: Moved,
    ) -> Result<Connection, WireError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = Builder::new();
        builder.max_headers(self.limits.headers_max).max_header_size(self.limits.head_bytes_max);
        let (sender, driver) = builder
            .handshake::<_, UnsyncBoxBody<Bytes, io::Error>>(TokioIo::new(stream))
            .await
            .map_err(|source| WireError::Http { doing: "begin HTTP", source })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.await {
                // Whoever waits for the reply gets the error too.
                tracing::debug!(%error, "connection ended");
            }
        });
        let host = authority(host, port, self.tls.is_some())?;
        let idle_wait_max = self.limits.idle_wait_max;
        Ok(Connection { sender, driver, moved, host, idle_wait_max })
    }
}

/// `host`, with the port where it isn't the scheme's own (RFC 9110, 7.2).
fn authority(host: &str, port: u16, tls: bool) -> Result<HeaderValue, WireError> {
    let bare = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let usual = if tls { 443 } else { 80 };
    let text = if port == usual { bare } else { format!("{bare}:{port}") };
    HeaderValue::from_str(&text).map_err(|_| WireError::NotAHost { host: host.to_owned() })
}

/// An open connection. Dropping it closes it.
pub struct Connection {
    sender: SendRequest<UnsyncBoxBody<Bytes, io::Error>>,
    driver: JoinHandle<()>,
    moved: Moved,
    host: HeaderValue,
    idle_wait_max: Duration,
}

impl Connection {
    /// Sends a request, whose URI is a path, and waits for the head of the reply. The body of the
    /// last reply must have been read or dropped before.
    ///
    /// # Errors
    /// [`WireError::Http`] where the connection broke or the reply is not HTTP,
    /// [`WireError::TimedOut`] where nothing moved for the client's idle time.
    pub async fn send(&mut self, request: Request<Outgoing>) -> Result<Reply, WireError> {
        let (mut parts, Outgoing(body)) = request.into_parts();
        parts.headers.insert(header::HOST, self.host.clone());
        let request = Request::from_parts(parts, body);
        let doing = "send a request";
        let exchange = async {
            self.sender.ready().await.map_err(|source| WireError::Http { doing, source })?;
            self.sender
                .send_request(request)
                .await
                .map_err(|source| WireError::Http { doing, source })
        };
        let after = self.idle_wait_max;
        let response: Response<Incoming> = tokio::select! {
            response = exchange => response?,
            () = self.moved.stalled(after) => {
                return Err(WireError::TimedOut { doing: "a request", after });
            }
        };
        let (parts, body) = response.into_parts();
        let moved = self.moved.clone();
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
            moved,
            after,
            _connection: None,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The head of a response, and its body still to be read.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    moved: Moved,
    after: Duration,
    /// Held so that the connection lives until the body has been read.
    _connection: Option<Connection>,
}

impl Reply {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`WireError::Http`] where the connection broke, [`WireError::TimedOut`] as in
    /// [`Connection::send`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        let after = self.after;
        loop {
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                () = self.moved.stalled(after) => {
                    return Err(WireError::TimedOut { doing: "a response", after });
                }
            };
            match frame {
                None => return Ok(None),
                Some(Err(source)) => {
                    return Err(WireError::Http { doing: "read a response", source });
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, if it has at most `bytes_max`.
    ///
    /// # Errors
    /// [`WireError::TooLarge`], and as [`Reply::chunk`].
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Vec<u8>, WireError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if all.len().saturating_add(chunk.len()) > bytes_max {
                let max = bytes_max as u64;
                return Err(WireError::TooLarge { what: "the response", max });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}
