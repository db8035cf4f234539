//! What can go wrong on a connection. None of these texts carries what was sent or received.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An error and its causes in one line, joined by colons, for a log.
pub fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// One error for the room. A variant says what was being done.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The TLS library would not take a key, a certificate or a setting.
    #[error("could not {doing}")]
    Tls {
        doing: &'static str,
        #[source]
        source: rustls::Error,
    },
    /// A verifier could not be built from the trusted certificates.
    #[error("could not build trust in the certificates of {of}")]
    Trust {
        of: &'static str,
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
    /// Trust without a certificate would trust nobody, or, by mistake, everybody.
    #[error("no trusted certificate was given for {of}")]
    NoTrust { of: &'static str },
    #[error("`{subject}` is not the certificate of an authority")]
    Authority { subject: String },
    #[error("the list of revoked certificates of `{issuer}` can't be used")]
    List {
        issuer: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The configuration is not in FIPS mode, so it is not given out.
    #[error("the TLS configuration for {of} is not in FIPS mode")]
    NotFips { of: &'static str },
    /// `host:port` is on no allowlist.
    #[error("a connection to `{host}:{port}` is not declared, so it was not opened")]
    NotDeclared { host: String, port: u16 },
    /// A declared name led to an address that its declaration doesn't cover.
    #[error("`{host}` resolved to {address}, which is {kind}; that was not declared for it")]
    AddressRefused { host: String, address: IpAddr, kind: &'static str },
    /// Not a DNS name or address that TLS can check a certificate against.
    #[error("`{host}` is not a host name or address")]
    NotAHost { host: String },
    #[error("could not resolve `{host}`")]
    Resolve {
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("`{host}` resolved to no address")]
    NoAddress { host: String },
    #[error("could not connect to `{host}:{port}`")]
    Connect {
        host: String,
        port: u16,
        #[source]
        source: io::Error,
    },
    /// Certificates didn't satisfy one of the sides, or the other side doesn't speak TLS.
    #[error("the TLS handshake with `{host}` failed")]
    Handshake {
        host: String,
        #[source]
        source: io::Error,
    },
    /// Plain text is for loopback only, in and out.
    #[error("{address} is not a loopback address, and nothing is sent or served there without TLS")]
    PlaintextBeyondLoopback { address: SocketAddr },
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{doing} made no progress for {after:?}")]
    TimedOut { doing: &'static str, after: Duration },
    #[error("{what} is larger than {max} bytes")]
    TooLarge { what: &'static str, max: u64 },
    #[error("could not {doing}")]
    Http {
        doing: &'static str,
        #[source]
        source: hyper::Error,
    },
    #[error("the request could not be written down")]
    Request(#[from] http::Error),
}

impl WireError {
    /// Whether trying again later could help: the network or the other side was at fault, not
    /// what was asked for or who asked.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Resolve { .. }
            | Self::NoAddress { .. }
            | Self::Connect { .. }
            | Self::TimedOut { .. }
            | Self::Http { .. } => true,
            // A handshake also fails when the connection is cut in the middle of it.
            Self::Handshake { source, .. } => source.kind() != io::ErrorKind::InvalidData,
            Self::Tls { .. }
            | Self::Trust { .. }
            | Self::NoTrust { .. }
            | Self::Authority { .. }
            | Self::List { .. }
            | Self::NotFips { .. }
            | Self::NotDeclared { .. }
            | Self::AddressRefused { .. }
            | Self::NotAHost { .. }
            | Self::PlaintextBeyondLoopback { .. }
            | Self::Listen { .. }
            | Self::TooLarge { .. }
            | Self::Request(_) => false,
        }
    }
}
