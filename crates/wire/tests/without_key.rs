//! A client that shows somebody's certificate and has not got its key: it gets no answer, whoever is believed and
//! by whichever version. Ours refuses to be such a client, so this one is put together here.
#![cfg(test)]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jiff::SignedDuration;
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{Clock, SystemClock, SystemRandom};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::IngressBody;
use wire::serve::{Limits, TlsListener, serve_tls};
use wire::tls::{Own, ServerTls, Trust, asking_config, server_config};

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

struct Party {
    certificate: Certificate,
    key: P384Key,
}

impl Party {
    fn new(name: &str, usage: Usage, issuer: Option<&Self>) -> Self {
        let (key, now) = (P384Key::generate().unwrap(), SystemClock.now());
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Riverton Police Department".to_owned(),
            not_before: now - SignedDuration::from_hours(24),
            not_after: now + SignedDuration::from_hours(24),
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

/// Shows one party's certificate and signs with another's key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl Shows {
    fn new(certificate: &Certificate, key: &P384Key) -> Arc<Self> {
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()));
        let provider = rustls::crypto::default_fips_provider();
        let key = provider.key_provider.load_private_key(der).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        Arc::new(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

async fn serve(config: &ServerTls) -> SocketAddr {
    let listener = TlsListener::bind("127.0.0.1:0".parse().unwrap(), config).await.unwrap();
    let address = listener.address().unwrap();
    let answer = tower::service_fn(async |_: Request<IngressBody>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("inside"))))
    });
    tokio::spawn(serve_tls(listener, Limits::pages(), answer, std::future::pending()));
    address
}

/// What a request brings. Without `says` nothing is sent after the handshake, so that no byte that nobody reads
/// pushes the server's alert aside.
async fn ask(
    address: SocketAddr,
    authority: &Certificate,
    shows: Arc<Shows>,
    version: &'static SupportedProtocolVersion,
    says: &str,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::default_fips_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(shows);
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(says.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn whoever_shows_a_certificate_without_its_key_gets_no_answer() {
    let authority = Party::new("authority", Usage::Ca, None);
    let server = Party::new("server", Usage::TlsPeer, Some(&authority));
    let person = Party::new("person", Usage::TlsPeer, Some(&authority));
    let thief = P384Key::generate().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (own, root) = (server.own(), &authority.certificate);
    let pinned = Trust::leaf(person.certificate.clone());
    let issued = Trust::authority(root.clone());
    for (who, config) in [
        ("asked", asking_config(&own, std::slice::from_ref(root), clock.clone()).unwrap()),
        ("pinned", server_config(&own, Some(&pinned), clock.clone()).unwrap()),
        ("issued", server_config(&own, Some(&issued), clock.clone()).unwrap()),
    ] {
        let address = serve(&config).await;
        for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let whose = Shows::new(&person.certificate, &person.key);
            let answer = ask(address, root, whose, version, REQUEST).await.unwrap();
            assert!(answer.ends_with("inside"), "{who}, {version:?}: {answer}");
            let stolen = Shows::new(&person.certificate, &thief);
            let error = ask(address, root, stolen, version, "").await.unwrap_err();
            let told = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let expected = rustls::Error::AlertReceived(AlertDescription::DecryptError);
            assert_eq!(told, Some(&expected), "{who}, {version:?}: {error}");
        }
    }
}
