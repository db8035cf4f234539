//! A listener that asks for a certificate and does without.
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
use wire::serve::{Limits, TlsListener, serve_tls};
use wire::tls::{Own, Trust, asking_config, client_config};
use wire::{
    Addresses, Client, ClientLimits, Connection, Egress, IngressBody, Outgoing, PeerCertificate,
    PeerChain, Target,
};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

struct Party {
    certificate: Certificate,
    key: P384Key,
}

impl Party {
    fn new(name: &str, usage: Usage, until: SignedDuration) -> Self {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Riverton Police Department".to_owned(),
            not_before: now() - SignedDuration::from_hours(48),
            not_after: now() + until,
            usage,
            dns: vec!["localhost".to_owned()],
            ips: vec!["127.0.0.1".parse().unwrap()],
            uris: Vec::new(),
        };
        let certificate = issue(&spec, &key, None, &SystemRandom).unwrap();
        Self { certificate, key }
    }

    fn own(&self) -> Own {
        Own { chain: vec![self.certificate.clone()], pkcs8: self.key.to_pkcs8() }
    }
}

/// Says what it saw.
async fn answer(request: Request<IngressBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    let judged = request.extensions().get::<PeerCertificate>().is_some();
    let chain = request.extensions().get::<PeerChain>();
    let text = match chain {
        Some(chain) => {
            let own = chain
                .certificates
                .first()
                .map(|own| Certificate::from_der(own).unwrap().fingerprint_text());
            format!(
                "judged {judged}, {} of {} at {}",
                own.unwrap(),
                chain.certificates.len(),
                chain.proved_at
            )
        }
        None => format!("judged {judged}, nothing"),
    };
    Ok(Response::new(Full::new(Bytes::from(text))))
}

async fn ask(connection: &mut Connection) -> String {
    let request = Request::get("/").body(Outgoing::empty()).unwrap();
    String::from_utf8(connection.send(request).await.unwrap().bytes(4096).await.unwrap()).unwrap()
}

#[tokio::test]
async fn any_certificate_is_taken_unjudged_and_none_is_needed() {
    let day = SignedDuration::from_hours(24);
    let server = Party::new("server", Usage::TlsPeer, day);
    let clock = Arc::new(FixedClock::new(now()));
    let authority = Party::new("authority", Usage::Ca, day);
    let config = asking_config(&server.own(), &[authority.certificate], clock.clone()).unwrap();
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), &config).await.unwrap();
    let port = listener.address().unwrap().port();
    tokio::spawn(serve_tls(
        listener,
        Limits::pages(),
        tower::service_fn(answer),
        std::future::pending(),
    ));
    let open = async |own: Option<&Party>| {
        let own = own.map(Party::own);
        let tls =
            client_config(&Trust::leaf(server.certificate.clone()), own.as_ref(), clock.clone())
                .unwrap();
        let wait = Duration::from_secs(5);
        let limits = ClientLimits {
            connect_wait_max: wait,
            idle_wait_max: wait,
            head_bytes_max: 8192,
            headers_max: 32,
        };
        let target = Target { host: "127.0.0.1".to_owned(), port, addresses: Addresses::Private };
        Client::new(Egress::new(vec![target]), tls, limits).open("127.0.0.1", port).await
    };
    assert_eq!(ask(&mut open(None).await.unwrap()).await, "judged false, nothing");
    // One that is over, and of nobody whom we know.
    let stranger = Party::new("stranger", Usage::TlsPeer, -SignedDuration::from_hours(1));
    let mut connection = open(Some(&stranger)).await.unwrap();
    let thumbprint = stranger.certificate.fingerprint_text();
    let expected = format!("judged false, {thumbprint} of 1 at {}", now());
    assert_eq!(ask(&mut connection).await, expected);
    clock.advance(SignedDuration::from_mins(5));
    assert_eq!(ask(&mut connection).await, expected, "the handshake was then");
}
