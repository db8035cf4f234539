//! One port, two names: each with its own demands, and neither with the other's room.
#![cfg(test)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{FixedClock, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use wire::names::{NamedListener, Side, serve_names};
use wire::serve::Limits;
use wire::tls::{Own, Trust, client_config, server_config};
use wire::{
    Addresses, Client, ClientLimits, Connection, Egress, IngressBody, Outgoing, PeerCertificate,
    Target,
};

/// No name goes along with an address.
const USUAL: &str = "127.0.0.1";
const NAMED: &str = "localhost";

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

struct Party {
    certificate: Certificate,
    key: P384Key,
}

impl Party {
    fn new(name: &str) -> Self {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Riverton Police Department".to_owned(),
            not_before: now() - SignedDuration::from_hours(1),
            not_after: now() + SignedDuration::from_hours(1),
            usage: Usage::TlsPeer,
            dns: vec![NAMED.to_owned()],
            ips: vec![USUAL.parse().unwrap()],
            uris: Vec::new(),
        };
        let certificate = issue(&spec, &key, None, &SystemRandom).unwrap();
        Self { certificate, key }
    }

    fn own(&self) -> Own {
        Own { chain: vec![self.certificate.clone()], pkcs8: self.key.to_pkcs8() }
    }
}

struct Stage {
    port: u16,
    usual: Party,
    named: Party,
    partner: Party,
}

impl Stage {
    async fn start(named_max: usize) -> Self {
        Self::waiting(named_max, Limits::partners().handshake_wait_max).await
    }

    /// Handshakes may take so long.
    async fn waiting(named_max: usize, handshake_wait_max: Duration) -> Self {
        let (usual, named, partner) =
            (Party::new("usual"), Party::new("named"), Party::new("partner"));
        let clock = Arc::new(FixedClock::new(now()));
        let clients = Trust::leaf(partner.certificate.clone());
        let usual_tls = server_config(&usual.own(), Some(&clients), clock.clone()).unwrap();
        let named_tls = server_config(&named.own(), None, clock).unwrap();
        let place = "127.0.0.1:0".parse().unwrap();
        let listener = NamedListener::bind(place, &usual_tls, (NAMED, &named_tls)).await.unwrap();
        let port = listener.address().unwrap().port();
        let limits = Limits { connections_max: 1, handshake_wait_max, ..Limits::partners() };
        let says = |who: &'static str| {
            tower::service_fn(move |request: Request<IngressBody>| async move {
                let known = request.extensions().get::<PeerCertificate>().is_some();
                let text = format!("{who}, {known}");
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            })
        };
        tokio::spawn(serve_names(
            listener,
            Side { limits, service: says("usual") },
            Side {
                limits: Limits { connections_max: named_max, ..Limits::pages() },
                service: says("named"),
            },
            std::future::pending(),
        ));
        Self { port, usual, named, partner }
    }

    async fn open(
        &self,
        host: &str,
        server: &Party,
        own: Option<&Party>,
    ) -> Result<Connection, wire::WireError> {
        self.open_at(self.port, host, server, own).await
    }

    async fn open_at(
        &self,
        port: u16,
        host: &str,
        server: &Party,
        own: Option<&Party>,
    ) -> Result<Connection, wire::WireError> {
        let clock = Arc::new(FixedClock::new(now()));
        let own = own.map(Party::own);
        let trust = Trust::leaf(server.certificate.clone());
        let tls = client_config(&trust, own.as_ref(), clock).unwrap();
        let wait = Duration::from_secs(5);
        let limits = ClientLimits {
            connect_wait_max: wait,
            idle_wait_max: wait,
            head_bytes_max: 8192,
            headers_max: 32,
        };
        let addresses = Addresses::Private;
        let target = Target { host: host.to_owned(), port, addresses };
        Client::new(Egress::new(vec![target]), tls, limits).open(host, port).await
    }

    /// The first that a client says who comes for this name.
    async fn hello(&self, host: &str) -> Vec<u8> {
        let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = elsewhere.local_addr().unwrap().port();
        let heard = async {
            let (mut stream, _) = elsewhere.accept().await.unwrap();
            let mut bytes = vec![0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            bytes.resize(5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), 0);
            stream.read_exact(&mut bytes[5..]).await.unwrap();
            bytes
        };
        let (bytes, opened) = tokio::join!(heard, self.open_at(port, host, &self.named, None));
        assert!(opened.is_err());
        bytes
    }

    async fn says(&self, host: &str, server: &Party, own: Option<&Party>) -> Option<String> {
        // In TLS 1.3 a client may hear of the refusal only when it speaks.
        let mut connection = self.open(host, server, own).await.ok()?;
        ask(&mut connection).await
    }
}

async fn ask(connection: &mut Connection) -> Option<String> {
    let request = Request::get("/").body(Outgoing::empty()).unwrap();
    let answer = connection.send(request).await.ok()?;
    String::from_utf8(answer.bytes(4096).await.ok()?).ok()
}

#[tokio::test]
async fn the_name_decides_and_without_the_certificate_that_the_usual_side_demands_nobody_is_there()
{
    let stage = Stage::start(8).await;
    let (usual, named, partner) = (&stage.usual, &stage.named, Some(&stage.partner));
    assert_eq!(stage.says(USUAL, usual, partner).await.as_deref(), Some("usual, true"));
    assert_eq!(stage.says(USUAL, usual, None).await, None);
    assert_eq!(stage.says(USUAL, usual, Some(named)).await, None, "somebody else's");
    assert_eq!(stage.says(NAMED, named, None).await.as_deref(), Some("named, false"));
    // A certificate that was not asked for is not shown, and makes nobody a partner there.
    assert_eq!(stage.says(NAMED, named, partner).await.as_deref(), Some("named, false"));
    assert!(stage.open(NAMED, usual, None).await.is_err(), "each name has its own certificate");
}

#[tokio::test]
async fn connections_of_one_side_take_no_room_of_the_other() {
    let stage = Stage::start(1).await;
    let (usual, named, partner) = (&stage.usual, &stage.named, Some(&stage.partner));
    let mut first = stage.open(NAMED, named, None).await.unwrap();
    assert_eq!(ask(&mut first).await.as_deref(), Some("named, false"));
    assert_eq!(stage.says(NAMED, named, None).await, None, "there is room for one");
    // Nobody who shows no certificate holds the one place of the usual side.
    for _ in 0..3 {
        assert_eq!(stage.says(USUAL, usual, None).await, None);
    }
    let mut second = stage.open(USUAL, usual, partner).await.unwrap();
    assert_eq!(ask(&mut second).await.as_deref(), Some("usual, true"));
    assert_eq!(ask(&mut first).await.as_deref(), Some("named, false"), "it is kept meanwhile");
}

/// Strangers who say nothing, and strangers who say for whom they come and nothing after that.
#[tokio::test]
async fn handshakes_that_come_to_no_end_keep_no_partner_waiting() {
    let stage = Stage::waiting(8, Duration::from_secs(3600)).await;
    let (usual, partner) = (&stage.usual, Some(&stage.partner));
    let (hello, mut strangers) = (stage.hello(NAMED).await, Vec::new());
    for (from, says) in [([127, 0, 0, 2], [].as_slice()), ([127, 0, 0, 3], hello.as_slice())] {
        for _ in 0..20 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            let mut stream = socket.connect(([127, 0, 0, 1], stage.port).into()).await.unwrap();
            // Who finds no place is hung up on.
            drop(stream.write_all(says).await);
            strangers.push(stream);
        }
    }
    for _ in 0..3 {
        assert_eq!(stage.says(USUAL, usual, partner).await.as_deref(), Some("usual, true"));
    }
    assert_eq!(strangers.len(), 40);
}
