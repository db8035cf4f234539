//! HTTP for a store's client, over connections that `wire` opens to the one declared endpoint.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::sync::mpsc;
use wire::{Client, Connection, Outgoing, WireError};

/// Connections that are kept open for the next request.
const IDLE_MAX: usize = 8;
/// Pieces of a response that wait to be read.
const PIECES_MAX: usize = 4;

/// Opens connections to one endpoint, and uses them again.
#[derive(Clone)]
pub(super) struct Wire(Arc<Inner>);

struct Inner {
    client: Client,
    host: String,
    port: u16,
    idle: Mutex<Vec<Connection>>,
}

impl Wire {
    pub(super) fn new(client: Client, host: String, port: u16) -> Self {
        Self(Arc::new(Inner { client, host, port, idle: Mutex::default() }))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({}:{})", self.0.host, self.0.port)
    }
}

impl HttpConnector for Wire {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Wire {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // What its URL names beyond the endpoint is not for us to reach.
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']);
        if !host.eq_ignore_ascii_case(&self.0.host) {
            let refused = WireError::NotDeclared { host: host.to_owned(), port: self.0.port };
            return Err(HttpError::new(HttpErrorKind::Unknown, refused));
        }
        // A connection that lay idle may have been closed by the other side: then on a new one.
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = idle
            && let Ok(response) = self.0.send(connection, &request).await
        {
            return Ok(response);
        }
        let opened = self.0.client.open(&self.0.host, self.0.port).await;
        let connection = opened.map_err(|error| failed(HttpErrorKind::Connect, error))?;
        self.0.send(connection, &request).await
    }
}

impl Inner {
    async fn send(
        self: &Arc<Self>,
        mut connection: Connection,
        request: &HttpRequest,
    ) -> Result<HttpResponse, HttpError> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let body = request.body().clone();
        let length = HeaderValue::from(body.content_length());
        let outgoing = Outgoing::stream(body.map_err(io::Error::other));
        let mut sent = Request::new(outgoing);
        *sent.method_mut() = request.method().clone();
        *sent.uri_mut() =
            path.parse().map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        *sent.headers_mut() = request.headers().clone();
        sent.headers_mut().insert(header::CONTENT_LENGTH, length);
        let reply = connection.send(sent).await;
        let mut reply = reply.map_err(|error| failed(HttpErrorKind::Interrupted, error))?;

        let (pieces, body) = mpsc::channel(PIECES_MAX);
        let mut response = HttpResponse::new(HttpResponseBody::new(Pieces(body)));
        *response.status_mut() = reply.status;
        *response.headers_mut() = std::mem::take(&mut reply.headers);
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let piece = match reply.chunk().await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => break,
                    Err(error) => Err(failed(HttpErrorKind::Interrupted, error)),
                };
                let broken = piece.is_err();
                if pieces.send(piece).await.is_err() || broken {
                    return;
                }
            }
            drop((reply, pieces));
            let mut idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        });
        Ok(response)
    }
}

fn failed(kind: HttpErrorKind, error: WireError) -> HttpError {
    let kind =
        if matches!(error, WireError::TimedOut { .. }) { HttpErrorKind::Timeout } else { kind };
    HttpError::new(kind, error)
}

struct Pieces(mpsc::Receiver<Result<Bytes, HttpError>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
