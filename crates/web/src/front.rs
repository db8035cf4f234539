//! What is known of whoever calls before anything is read of the request: their address, and the certificate that they
//! showed.
//!
//! Invariants: it is what the connection says, unless the caller is the declared proxy, which proves itself on each
//! request by its address and by a secret or a certificate of its own; headers by which a proxy speaks are taken
//! off every request, so that nobody behind this reads what a stranger wrote; a header that is there twice says
//! nothing; a proxy's own certificate is never a person's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::Browser;
use identity::certificates::{CHAIN_MAX, Shown};
use identity::devices::Network;
use jiff::Timestamp;
use keys::cert::Certificate;
use keys::digest::sha256;
use ledger::Origin;
use wire::{PeerAddress, PeerChain};

use crate::agency::StartError;
use crate::app::Shared;
use crate::config::{CLIENT_CERT, ProxyConfig, hash_of};

/// The header with the proxy's secret.
const SECRET: HeaderName = HeaderName::from_static("x-bailiwick-proxy");
/// RFC 9440's headers.
const CERT: HeaderName = HeaderName::from_static(CLIENT_CERT);
const CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
/// A name that proxies often use; nobody else is to believe it either.
const X_CERT: HeaderName = HeaderName::from_static("x-client-cert");

const SECRET_BYTES: std::ops::RangeInclusive<usize> = 32..=200;

const DUPLICATE: &str = "cert.header.duplicate";
const MALFORMED: &str = "cert.header.malformed";

/// What a caller showed.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    pub shown: Option<Shown>,
    /// Why what the proxy said of it is not taken.
    pub flaw: Option<&'static str>,
}

/// The declared proxy.
pub struct Proxy {
    networks: Vec<Network>,
    proof: Proof,
    certificate: Option<HeaderName>,
    address: Option<HeaderName>,
}

enum Proof {
    /// SHA-256 of the secret, so that comparing takes the same time whatever its length.
    Secret([u8; 32]),
    Certificate([u8; 32]),
}

impl Proxy {
    /// # Errors
    /// [`StartError`] names the secret's file.
    pub(crate) fn open(config: &ProxyConfig) -> Result<Self, StartError> {
        let wrong = |what: &'static str| StartError::Identity(format!("`[proxy]`: {what}").into());
        let proof =
            match (&config.secret_file, config.certificate_sha256.as_deref().and_then(hash_of)) {
                (Some(file), _) => {
                    let failed =
                        |source| StartError::Keys { doing: "read the proxy's secret", source };
                    let bytes =
                        keys::file::read_secret(file, *SECRET_BYTES.end() + 2).map_err(failed)?;
                    let secret = bytes.trim_ascii();
                    if !SECRET_BYTES.contains(&secret.len())
                        || !secret.iter().all(u8::is_ascii_graphic)
                    {
                        return Err(wrong("its secret has 32 to 200 letters, digits and signs"));
                    }
                    Proof::Secret(sha256(secret))
                }
                (None, Some(hash)) => Proof::Certificate(hash),
                (None, None) => return Err(wrong("it has no way to prove itself")),
            };
        let name = |name: &Option<String>| {
            name.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes())).transpose()
        };
        Ok(Self {
            networks: config.networks().map_err(wrong)?,
            proof,
            certificate: name(&config.certificate_header)
                .map_err(|_| wrong("`certificate_header` is no name"))?,
            address: name(&config.address_header)
                .map_err(|_| wrong("`address_header` is no name"))?,
        })
    }

    /// Whether this request is the proxy's.
    fn is(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        chain: Option<&PeerChain>,
        now: Timestamp,
    ) -> bool {
        if !self.networks.iter().any(|network| network.contains(peer)) {
            return false;
        }
        match &self.proof {
            Proof::Secret(hash) => match once(headers, &SECRET) {
                Ok(Some(secret)) => keys::mac::equal(hash, &sha256(secret.as_bytes())),
                Ok(None) | Err(_) => false,
            },
            Proof::Certificate(hash) => {
                let own = chain.and_then(|chain| chain.certificates.first());
                let pinned = own.filter(|own| sha256(own) == *hash);
                pinned
                    .and_then(|own| Certificate::from_der(own).ok())
                    .is_some_and(|own| own.check_validity(now).is_ok())
            }
        }
    }

    fn caller(&self, headers: &HeaderMap) -> Caller {
        let Some(name) = &self.certificate else { return Caller::default() };
        match certificates(headers, name) {
            Ok(None) => Caller::default(),
            Ok(Some(all)) => Caller {
                shown: Some(Shown { certificates: all.into(), proved_at: None }),
                flaw: None,
            },
            Err(flaw) => Caller { shown: None, flaw: Some(flaw) },
        }
    }

    /// The last address in the header, which the proxy itself put there.
    fn address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let line = headers.get_all(self.address.as_ref()?).iter().next_back()?.to_str().ok()?;
        let last = line.rsplit(',').next()?.trim();
        last.parse().ok().or_else(|| last.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
    }
}

/// The one value of a header. Twice there, it says nothing.
fn once<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, &'static str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(DUPLICATE),
    }
}

/// The certificates in the proxy's headers, the person's own first.
fn certificates(
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<Vec<Vec<u8>>>, &'static str> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).map_err(|_| MALFORMED);
    let (own, chain) = (once(headers, name)?, once(headers, &CHAIN)?);
    // An empty header is how proxies say that none was shown.
    let Some(own) = own.map(text).transpose()?.filter(|own| !own.is_empty()) else {
        return Ok(None);
    };
    let mut all = Vec::new();
    if *name == CERT {
        all.push(byte_sequence(&own)?);
        if let Some(chain) = chain.map(text).transpose()?.filter(|chain| !chain.is_empty()) {
            for one in chain.split(',') {
                all.push(byte_sequence(one.trim())?);
            }
        }
    } else {
        let pem = percent_decoded(&own).ok_or(MALFORMED)?;
        let found = Certificate::chain_from_pem(&pem).map_err(|_| MALFORMED)?;
        all.extend(found.iter().map(|one| one.der().to_vec()));
    }
    if all.is_empty() || all.len() > CHAIN_MAX { Err(MALFORMED) } else { Ok(Some(all)) }
}

/// A byte sequence of RFC 9651: Base64 between colons, without parameters.
fn byte_sequence(text: &str) -> Result<Vec<u8>, &'static str> {
    let inner = text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).ok_or(MALFORMED)?;
    STANDARD.decode(inner).map_err(|_| MALFORMED)
}

/// Both forms of a proxy's header, for a fuzzer: any bytes, and nothing comes of them.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    for name in [CERT, X_CERT] {
        let mut headers = HeaderMap::new();
        headers.insert(name.clone(), value.clone());
        headers.insert(CHAIN, value.clone());
        std::hint::black_box(certificates(&headers, &name).is_ok());
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let pair = [bytes.next()?, bytes.next()?];
        let mut decoded = [0];
        hex::decode_to_slice(pair, &mut decoded).ok()?;
        out.extend(decoded);
    }
    String::from_utf8(out).ok()
}

/// Says who calls, and takes off what only a proxy may say. The outermost layer of all.
pub async fn receive(State(agency): State<Shared>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip());
    let chain = request.extensions_mut().remove::<PeerChain>();
    let proxy = agency.proxy.as_ref().zip(peer);
    let proxy = proxy
        .filter(|(proxy, peer)| proxy.is(*peer, request.headers(), chain.as_ref(), agency.now()));
    let (caller, address) = match proxy {
        Some((proxy, _)) => (proxy.caller(request.headers()), proxy.address(request.headers())),
        None => {
            let shown = chain.map(|chain| Shown {
                certificates: chain.certificates,
                proved_at: Some(chain.proved_at),
            });
            (Caller { shown, flaw: None }, None)
        }
    };
    let declared = agency.proxy.as_ref().and_then(|proxy| proxy.certificate.clone());
    for name in [SECRET, CERT, CHAIN, X_CERT].into_iter().chain(declared) {
        request.headers_mut().remove(name);
    }
    if let Some(address) = address {
        request.extensions_mut().insert(PeerAddress(SocketAddr::new(address, 0)));
    }
    request.extensions_mut().insert(Arc::new(caller));
    next.run(request).await
}

/// What the caller of a request showed.
pub fn caller_of(parts: &Parts) -> Arc<Caller> {
    parts.extensions.get::<Arc<Caller>>().cloned().unwrap_or_default()
}

/// The browser behind a request, as sign-in takes it.
pub fn browser_of(parts: &Parts, origin: &Origin) -> Browser {
    let shown = caller_of(parts).shown.clone();
    Browser { address: origin.address.clone(), agent: origin.agent.clone(), shown }
}

/// Has the connection closed after this answer, so that the next request comes with a handshake of its own.
pub fn close_after(response: &mut Response) {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}
