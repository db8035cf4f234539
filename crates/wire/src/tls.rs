//! TLS configurations: the FIPS provider, TLS 1.2 (RFC 5246, with RFC 7627) and 1.3 (RFC 8446).
//!
//! Invariant: nothing leaves this module for which `fips()` is false. There is no ring, no
//! platform trust store, no session resumption where a client certificate is asked for (a resumed
//! session would not look at the certificate's dates again), and no early data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keys::Clock;
use keys::cert::Certificate;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use zeroize::Zeroizing;

use crate::error::WireError;
use crate::pin::{Asking, ClientPins, ServerPins};

/// Protocol versions, newest first.
const VERSIONS: &[&rustls::SupportedProtocolVersion] =
    &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Who is believed at the other end.
///
/// A peer is believed if its own certificate is one of `leaves`, or if its chain leads to one of
/// `authorities`. In both cases its dates must cover the present and, for a server, its name must
/// be the one that was called.
#[derive(Clone, Default)]
pub struct Trust {
    pub authorities: Vec<Certificate>,
    pub leaves: Vec<Certificate>,
}

impl Trust {
    /// Exactly this certificate.
    pub fn leaf(certificate: Certificate) -> Self {
        Self { authorities: Vec::new(), leaves: vec![certificate] }
    }

    /// Whatever this authority has issued.
    pub fn authority(certificate: Certificate) -> Self {
        Self { authorities: vec![certificate], leaves: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.leaves.is_empty()
    }
}

/// Our own side: a certificate chain, leaf first, and its private key (PKCS#8, DER).
pub struct Own {
    pub chain: Vec<Certificate>,
    pub pkcs8: Zeroizing<Vec<u8>>,
}

impl Own {
    fn chain_der(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect()
    }

    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }
}

/// A server's TLS configuration. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// When a handshake was made is told to whoever asks how fresh a proof is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether a client certificate that is shown has been judged, or is for others to judge.
    pub(crate) judges: bool,
}

/// A client's TLS configuration. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(pub(crate) Arc<ClientConfig>);

/// A server configuration. With `clients`, a client certificate that they vouch for is required;
/// without, none is asked for.
///
/// # Errors
/// [`WireError::Tls`] if key and certificate don't belong together, [`WireError::NoTrust`] for an
/// empty `clients`, [`WireError::NotFips`] outside FIPS mode.
pub fn server_config(
    own: &Own,
    clients: Option<&Trust>,
    clock: Arc<dyn Clock>,
) -> Result<ServerTls, WireError> {
    let verifier: Option<Arc<dyn ClientCertVerifier>> = match clients {
        Some(trust) => Some(Arc::new(ClientPins::new(trust, provider())?)),
        None => None,
    };
    server(own, verifier, true, clock)
}

/// A server configuration that asks for a client certificate and does without. Any is taken: its holder proves to
/// have the key, and whoever serves the request judges the rest. `authorities` are named to browsers, which then
/// offer the certificates of theirs.
///
/// # Errors
/// As [`server_config`].
pub fn asking_config(
    own: &Own,
    authorities: &[Certificate],
    clock: Arc<dyn Clock>,
) -> Result<ServerTls, WireError> {
    server(own, Some(Arc::new(Asking::new(authorities, provider())?)), false, clock)
}

fn server(
    own: &Own,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    judges: bool,
    clock: Arc<dyn Clock>,
) -> Result<ServerTls, WireError> {
    let builder = ServerConfig::builder_with_details(provider(), now_from(clock.clone()))
        .with_protocol_versions(VERSIONS)
        .map_err(|source| WireError::Tls { doing: "choose TLS versions", source })?;
    let asks = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(own.chain_der(), own.key_der())
        .map_err(|source| WireError::Tls { doing: "take the server's certificate", source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    if asks {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    if !config.fips() {
        return Err(WireError::NotFips { of: "a server" });
    }
    Ok(ServerTls { config: Arc::new(config), clock, judges })
}

/// A client configuration that believes `servers` and, where asked, shows `own`.
///
/// # Errors
/// As [`server_config`].
pub fn client_config(
    servers: &Trust,
    own: Option<&Own>,
    clock: Arc<dyn Clock>,
) -> Result<ClientTls, WireError> {
    let config = client_builder(servers, own, clock, vec![b"http/1.1".to_vec()])?;
    Ok(ClientTls(Arc::new(config)))
}

/// The same for protocols other than HTTP (PostgreSQL's, for one): no ALPN is offered.
///
/// # Errors
/// As [`server_config`].
pub fn client_config_without_alpn(
    servers: &Trust,
    own: Option<&Own>,
    clock: Arc<dyn Clock>,
) -> Result<ClientTls, WireError> {
    Ok(ClientTls(Arc::new(client_builder(servers, own, clock, Vec::new())?)))
}

fn client_builder(
    servers: &Trust,
    own: Option<&Own>,
    clock: Arc<dyn Clock>,
    alpn: Vec<Vec<u8>>,
) -> Result<ClientConfig, WireError> {
    let provider = provider();
    let verifier = Arc::new(ServerPins::new(servers, Arc::clone(&provider))?);
    let builder = ClientConfig::builder_with_details(provider, now_from(clock))
        .with_protocol_versions(VERSIONS)
        .map_err(|source| WireError::Tls { doing: "choose TLS versions", source })?
        // Ours is stricter than the library's own, which it calls for chains: see `pin`.
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(own) => builder
            .with_client_auth_cert(own.chain_der(), own.key_der())
            .map_err(|source| WireError::Tls { doing: "take the client's certificate", source })?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    if !config.fips() {
        return Err(WireError::NotFips { of: "a client" });
    }
    Ok(config)
}

/// The one provider: AWS-LC's FIPS module, with FIPS-approved suites and groups only.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::default_fips_provider())
}

/// rustls asks for the time through a trait; ours comes in as a [`Clock`].
struct Now(Arc<dyn Clock>);

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn now_from(clock: Arc<dyn Clock>) -> Arc<dyn TimeProvider> {
    Arc::new(Now(clock))
}
