//! Stories of connections, over real sockets on loopback.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{FixedClock, SystemRandom};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wire::serve::{Limits, PlainListener, TlsListener, serve_plain, serve_tls};
use wire::tls::{Own, Trust, client_config, server_config};
use wire::{
    Addresses, Client, ClientLimits, Egress, IngressBody, Outgoing, PeerAddress, PeerCertificate,
    Target, WireError,
};

const LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: Duration::from_secs(5),
    idle_wait_max: Duration::from_secs(5),
    head_bytes_max: 8 * 1024,
    headers_max: 32,
};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

struct Party {
    certificate: Certificate,
    key: P384Key,
}

impl Party {
    fn new(name: &str, usage: Usage, issuer: Option<&Self>) -> Self {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Riverton Police Department".to_owned(),
            not_before: now() - SignedDuration::from_hours(24),
            not_after: now() + SignedDuration::from_hours(24),
            usage,
            dns: vec!["localhost".to_owned()],
            ips: vec!["127.0.0.1".parse().unwrap()],
            uris: Vec::new(),
        };
        let issuer = issuer.map(|one| (&one.certificate, &one.key));
        let certificate = issue(&spec, &key, issuer, &SystemRandom).unwrap();
        Self { certificate, key }
    }

    fn own(&self) -> Own {
        Own { chain: vec![self.certificate.clone()], pkcs8: self.key.to_pkcs8() }
    }
}

/// Says what it saw: peer, certificate, body length.
async fn answer(request: Request<IngressBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip().is_loopback());
    let shown = request.extensions().get::<PeerCertificate>().map(|one| one.0.len());
    let (status, text) = match request.into_body().collect().await {
        Ok(body) => {
            let length = body.to_bytes().len();
            (StatusCode::OK, format!("peer {peer:?}, certificate {shown:?}, body {length}"))
        }
        Err(error) => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    Ok(response)
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn tls_server(own: &Own, clients: Option<&Trust>, clock: Arc<FixedClock>) -> Server {
    let config = server_config(own, clients, clock).unwrap();
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), &config).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let service = tower::service_fn(answer);
    let task = tokio::spawn(serve_tls(listener, Limits::partners(), service, async {
        stopped.await.ok();
    }));
    Server { address, stop, task }
}

async fn plain_server(limits: Limits) -> Server {
    let listener = PlainListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel();
    let service = tower::service_fn(answer);
    let task = tokio::spawn(serve_plain(listener, limits, service, async {
        stopped.await.ok();
    }));
    Server { address, stop, task }
}

fn egress(address: SocketAddr) -> Egress {
    let host = address.ip().to_string();
    Egress::new(vec![Target { host, port: address.port(), addresses: Addresses::Private }])
}

fn client(address: SocketAddr, trust: &Trust, own: Option<&Own>, clock: Arc<FixedClock>) -> Client {
    Client::new(egress(address), client_config(trust, own, clock).unwrap(), LIMITS)
}

async fn post(
    client: &Client,
    address: SocketAddr,
    body: &'static [u8],
) -> Result<String, WireError> {
    let request =
        Request::post("/").body(Outgoing::bytes(Bytes::from_static(body))).expect("a request");
    let reply = client.request("127.0.0.1", address.port(), request).await?;
    let status = reply.status;
    let text = String::from_utf8(reply.bytes(4096).await?).unwrap();
    Ok(format!("{status}: {text}"))
}

/// The whole chain of an error, for it is the cause that these stories are about.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Two agencies, each with an authority and a leaf under it.
struct World {
    clock: Arc<FixedClock>,
    riverton: Party,
    lakeside: Party,
    stranger: Party,
    lakeside_authority: Party,
}

fn world() -> World {
    let lakeside_authority = Party::new("Lakeside CA", Usage::Ca, None);
    World {
        clock: Arc::new(FixedClock::new(now())),
        riverton: Party::new("riverton", Usage::TlsPeer, None),
        lakeside: Party::new("lakeside", Usage::TlsPeer, Some(&lakeside_authority)),
        stranger: Party::new("stranger", Usage::TlsPeer, None),
        lakeside_authority,
    }
}

/// Riverton calls Lakeside; `change` may spoil something first.
async fn call(change: impl FnOnce(&World, &mut Option<Own>, &mut Trust, &mut Trust)) -> String {
    let world = world();
    let mut shown = Some(world.riverton.own());
    let mut believed = Trust::authority(world.lakeside_authority.certificate.clone());
    let mut admitted = Trust::leaf(world.riverton.certificate.clone());
    change(&world, &mut shown, &mut believed, &mut admitted);
    let server = tls_server(&world.lakeside.own(), Some(&admitted), Arc::clone(&world.clock)).await;
    let client = client(server.address, &believed, shown.as_ref(), Arc::clone(&world.clock));
    let said = match post(&client, server.address, b"parcel").await {
        Ok(text) => text,
        Err(error) => chain(&error),
    };
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    said
}

#[tokio::test]
async fn pinned_partners_talk_and_the_handler_sees_who_called() {
    let said = call(|_, _, _, _| {}).await;
    let (before, after) = said.split_once("certificate Some(").unwrap();
    assert_eq!(before, "200 OK: peer Some(true), ");
    assert!(after.ends_with("), body 6"), "{said}");
}

#[tokio::test]
async fn a_server_that_the_pinned_authority_did_not_issue_is_not_spoken_to() {
    let said = call(|_, _, believed, _| {
        *believed = Trust::authority(Party::new("Other CA", Usage::Ca, None).certificate);
    })
    .await;
    assert!(said.starts_with("the TLS handshake with `127.0.0.1` failed: "), "{said}");
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[tokio::test]
async fn a_server_whose_leaf_is_not_the_pinned_one_is_not_spoken_to() {
    let said = call(|world, _, believed, _| {
        *believed = Trust::leaf(world.stranger.certificate.clone());
    })
    .await;
    assert!(said.contains("UnknownIssuer"), "{said}");
}

#[tokio::test]
async fn a_client_that_is_not_pinned_is_refused_and_reaches_no_handler() {
    let said = call(|world, shown, _, _| *shown = Some(world.stranger.own())).await;
    assert!(!said.contains("200"), "{said}");
    assert!(said.contains("UnknownCA") || said.contains("fatal alert"), "{said}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let said = call(|_, shown, _, _| *shown = None).await;
    assert!(!said.contains("200"), "{said}");
    assert!(said.contains("CertificateRequired"), "{said}");
}

#[tokio::test]
async fn an_expired_certificate_ends_a_pin_as_it_ends_a_chain() {
    for pinned in [true, false] {
        let said = call(|world, _, believed, _| {
            if pinned {
                *believed = Trust::leaf(world.lakeside.certificate.clone());
            }
            world.clock.advance(SignedDuration::from_hours(25));
        })
        .await;
        assert!(said.contains("certificate expired") || said.contains("Expired"), "{said}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_not_believed() {
    let said = call(|world, _, believed, _| {
        *believed = Trust::leaf(world.lakeside.certificate.clone());
        world.clock.advance(SignedDuration::from_hours(-25));
    })
    .await;
    assert!(said.contains("not valid yet") || said.contains("NotValidYet"), "{said}");
}

#[tokio::test]
async fn a_pinned_leaf_for_another_name_is_not_believed() {
    let world = world();
    let mut spec_party = Party::new("elsewhere", Usage::TlsPeer, None);
    let spec = CertSpec {
        subject_cn: "elsewhere".to_owned(),
        organisation: "Riverton Police Department".to_owned(),
        not_before: now() - SignedDuration::from_hours(1),
        not_after: now() + SignedDuration::from_hours(1),
        usage: Usage::TlsPeer,
        dns: vec!["elsewhere.example".to_owned()],
        ips: Vec::new(),
        uris: Vec::new(),
    };
    spec_party.certificate = issue(&spec, &spec_party.key, None, &SystemRandom).unwrap();
    let server = tls_server(&spec_party.own(), None, Arc::clone(&world.clock)).await;
    let trust = Trust::leaf(spec_party.certificate.clone());
    let client = client(server.address, &trust, None, Arc::clone(&world.clock));
    let error = post(&client, server.address, b"x").await.unwrap_err();
    assert!(chain(&error).contains("not valid for name"), "{}", chain(&error));
}

#[tokio::test]
async fn trust_in_nobody_is_refused_as_a_setting() {
    let world = world();
    let own = world.riverton.own();
    let refused = server_config(&own, Some(&Trust::default()), Arc::clone(&world.clock) as _);
    assert!(matches!(refused, Err(WireError::NoTrust { of: "clients" })));
    let refused = client_config(&Trust::default(), None, Arc::clone(&world.clock) as _);
    assert!(matches!(refused, Err(WireError::NoTrust { of: "servers" })));
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_refused_as_a_setting() {
    let world = world();
    let mixed = Own {
        chain: vec![world.riverton.certificate.clone()],
        pkcs8: world.stranger.key.to_pkcs8(),
    };
    let refused = server_config(&mixed, None, Arc::clone(&world.clock) as _);
    assert!(matches!(refused, Err(WireError::Tls { .. })));
}

#[tokio::test]
async fn plain_text_to_a_tls_listener_gets_no_answer() {
    let world = world();
    let server = tls_server(&world.lakeside.own(), None, Arc::clone(&world.clock)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.ok();
    assert!(!got.starts_with(b"HTTP"), "{got:?}");
}

#[tokio::test]
async fn plain_text_is_neither_served_nor_sent_beyond_loopback() {
    for address in ["0.0.0.0:0", "192.168.1.10:80", "[::]:0"] {
        let refused = PlainListener::bind(address.parse().unwrap()).await;
        assert!(matches!(refused, Err(WireError::PlaintextBeyondLoopback { .. })), "{address}");
    }
}

#[tokio::test]
async fn a_client_that_sends_its_head_drop_by_drop_is_cut_off() {
    let limits = Limits { head_wait_max: Duration::from_millis(300), ..Limits::pages() };
    let server = plain_server(limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    let mut cut = false;
    for byte in b"GET / HTTP/1.1\r\nhost: riverton.example\r\nx-slow: aaaaaaaaaaaaaaaaaaa".iter() {
        if stream.write_all(&[*byte]).await.is_err() {
            cut = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut probe = [0; 64];
        if let Ok(0) = stream.try_read(&mut probe) {
            cut = true;
            break;
        }
    }
    assert!(cut, "the connection was still open after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_that_stops_in_its_body_is_told_and_cut_off() {
    let limits = Limits { idle_wait_max: Duration::from_millis(300), ..Limits::pages() };
    let server = plain_server(limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        .await
        .unwrap();
    let mut got = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(3), stream.read_to_end(&mut got)).await;
    assert!(read.is_ok(), "the connection stayed open");
    assert!(!got.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&got));
}

#[tokio::test]
async fn a_body_slower_than_the_lowest_rate_is_refused() {
    let limits = Limits {
        idle_wait_max: Duration::from_millis(400),
        body_rate_min: 1_000_000,
        ..Limits::pages()
    };
    let server = plain_server(limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
    let begun = Instant::now();
    // Never idle for long, but far below the rate.
    while begun.elapsed() < Duration::from_secs(3) {
        if stream.write_all(b"x").await.is_err() {
            break;
        }
        let mut probe = [0; 512];
        match stream.try_read(&mut probe) {
            Ok(0) => break,
            Ok(read) => {
                assert!(probe.get(..read).unwrap().starts_with(b"HTTP/1.1 413"));
                break;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn more_head_or_more_headers_than_allowed_are_refused() {
    let server = plain_server(Limits::pages()).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(20_000));
    let many: String = (0..80).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    for request in [long, many] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.ok();
        let got = String::from_utf8_lossy(&got).into_owned();
        assert!(got.starts_with("HTTP/1.1 431"), "{got}");
    }
}

#[tokio::test]
async fn a_body_above_the_listeners_limit_is_refused_whether_declared_or_not() {
    let limits = Limits { body_bytes_max: 1000, ..Limits::pages() };
    let server = plain_server(limits).await;
    let client = Client::plain(egress(server.address), LIMITS);
    static BIG: [u8; 1001] = [b'x'; 1001];
    static FITS: [u8; 1000] = [b'x'; 1000];
    let said = post(&client, server.address, &BIG).await.unwrap();
    assert_eq!(said, "413 Payload Too Large: the body is larger than 1000 bytes");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let chunk = "x".repeat(0x258);
    let chunked = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
         258\r\n{chunk}\r\n258\r\n{chunk}\r\n0\r\n\r\n"
    );
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&got));
    let said = post(&client, server.address, &FITS).await.unwrap();
    assert_eq!(said, "200 OK: peer Some(true), certificate None, body 1000");
}

#[tokio::test]
async fn a_connection_above_the_cap_waits_for_its_turn() {
    let limits = Limits { connections_max: 1, ..Limits::pages() };
    let server = plain_server(limits).await;
    let first = TcpStream::connect(server.address).await.unwrap();
    let client = Client::plain(egress(server.address), LIMITS);
    let address = server.address;
    // Give the server the time to take the first one.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = tokio::spawn(async move { post(&client, address, b"second").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished(), "a second connection was served beside the first");
    drop(first);
    assert_eq!(second.await.unwrap().unwrap(), "200 OK: peer Some(true), certificate None, body 6");
}

#[tokio::test]
async fn shutdown_waits_for_what_runs_and_takes_nothing_new() {
    let server = plain_server(Limits::pages()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nha").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(server.address).await.is_err() || !server.task.is_finished());
    stream.write_all(b"lf").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&got));
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(stream);
    });
    let limits = ClientLimits { idle_wait_max: Duration::from_millis(200), ..LIMITS };
    let client = Client::plain(egress(address), limits);
    let begun = Instant::now();
    let error = post(&client, address, b"hello").await.unwrap_err();
    assert_eq!(error.to_string(), "a request made no progress for 200ms");
    assert!(error.is_passing());
    assert!(begun.elapsed() < Duration::from_secs(2));
    silent.abort();
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other_and_is_not_followed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let redirects = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let say =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(say.as_bytes()).await.unwrap();
        assert_eq!(stream.read(&mut head).await.unwrap_or(0), 0, "a second request came");
    });
    let client = Client::plain(egress(address), LIMITS);
    assert_eq!(post(&client, address, b"x").await.unwrap(), "302 Found: ");
    redirects.await.unwrap();
}
