//! Whether a certificate is believed: pinned itself, or issued under a pinned authority.
//!
//! For chains the library's own verifier decides. A pinned leaf need not chain to anything (it may
//! be self-signed): its bytes must be equal to the pin, its dates must cover the present, and for a
//! server its name must match. In every case the handshake proves possession of the key. [`Asking`] believes nothing
//! but that.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use keys::cert::Certificate;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::chain::INTERMEDIATES_MAX;
use crate::error::WireError;
use crate::tls::Trust;

/// Holds what a handshake is signed with to the key of the certificate that was shown, by the provider's algorithms.
struct Signatures(Arc<CryptoProvider>);

impl Signatures {
    fn tls12(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.0.signature_verification_algorithms)
    }

    fn tls13(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.0.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Believes servers.
pub(crate) struct ServerPins {
    leaves: Vec<Certificate>,
    chains: Option<Arc<WebPkiServerVerifier>>,
    signatures: Signatures,
}

/// Believes clients, and demands a certificate of each.
pub(crate) struct ClientPins {
    leaves: Vec<Certificate>,
    chains: Option<Arc<dyn ClientCertVerifier>>,
    signatures: Signatures,
}

impl ServerPins {
    pub(crate) fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, WireError> {
        let of = "servers";
        let chains = match roots(trust, of)? {
            Some(roots) => Some(
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|source| WireError::Trust { of, source })?,
            ),
            None => None,
        };
        Ok(Self { leaves: trust.leaves.clone(), chains, signatures: Signatures(provider) })
    }
}

impl ClientPins {
    pub(crate) fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, WireError> {
        let of = "clients";
        let chains = match roots(trust, of)? {
            Some(roots) => Some(
                WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    // Names of partners are not shown to whoever knocks.
                    .clear_root_hint_subjects()
                    .build()
                    .map_err(|source| WireError::Trust { of, source })?,
            ),
            None => None,
        };
        Ok(Self { leaves: trust.leaves.clone(), chains, signatures: Signatures(provider) })
    }
}

fn roots(trust: &Trust, of: &'static str) -> Result<Option<Arc<RootCertStore>>, WireError> {
    if trust.is_empty() {
        return Err(WireError::NoTrust { of });
    }
    if trust.authorities.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for authority in &trust.authorities {
        roots
            .add(CertificateDer::from(authority.der().to_vec()))
            .map_err(|source| WireError::Tls { doing: "take a trusted authority", source })?;
    }
    Ok(Some(Arc::new(roots)))
}

/// The pin that `shown` is equal to, checked against the time. `Ok(false)`: it is no pin.
fn is_pinned(leaves: &[Certificate], shown: &[u8], now: UnixTime) -> Result<bool, Error> {
    let Some(pin) = leaves.iter().find(|pin| pin.der() == shown) else { return Ok(false) };
    let now = i64::try_from(now.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or(Error::FailedToGetCurrentTime)?;
    if now < pin.not_before() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > pin.not_after() {
        return Err(CertificateError::Expired.into());
    }
    Ok(true)
}

impl ServerCertVerifier for ServerPins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if is_pinned(&self.leaves, end_entity, now)? {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        match &self.chains {
            Some(chains) => chains.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

impl ClientCertVerifier for ClientPins {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if is_pinned(&self.leaves, end_entity, now)? {
            return Ok(ClientCertVerified::assertion());
        }
        match &self.chains {
            Some(chains) => chains.verify_client_cert(end_entity, intermediates, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

/// Asks clients for a certificate and takes any, or none: that its holder has the key is proved, that it means
/// anything is for others to judge, who can say why not.
pub(crate) struct Asking {
    hints: Vec<DistinguishedName>,
    signatures: Signatures,
}

impl Asking {
    /// `authorities` are shown to clients, so that browsers offer the right certificates.
    pub(crate) fn new(
        authorities: &[Certificate],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, WireError> {
        let trust = Trust { authorities: authorities.to_vec(), leaves: Vec::new() };
        let hints = match authorities.is_empty() {
            true => Vec::new(),
            false => roots(&trust, "clients")?.map(|roots| roots.subjects()).unwrap_or_default(),
        };
        Ok(Self { hints, signatures: Signatures(provider) })
    }
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match intermediates.len() > INTERMEDIATES_MAX {
            true => Err(CertificateError::BadEncoding.into()),
            false => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking").field("hints", &self.hints.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerPins").field("leaves", &self.leaves.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientPins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientPins").field("leaves", &self.leaves.len()).finish_non_exhaustive()
    }
}
