//! The only room that opens a connection, in or out.
//!
//! * [`tls`]: TLS 1.2 and 1.3 on the FIPS module alone, with pinned trust; every configuration is
//!   asked whether it is in FIPS mode before it is given out.
//! * [`Egress`]: outbound is denied unless declared, and what a name resolves to is looked at
//!   before it is connected to.
//! * [`Client`]: a small HTTP/1.1 (RFC 9112) client with limits and time-outs, and no redirects.
//! * [`serve`]: listeners. Plain text is served to loopback addresses only, by construction.
//! * [`names`]: one port that serves one name apart from all others.
//! * [`chain`]: whether a certificate leads to an authority, under which policy, and is not revoked.
//!
//! What is absent: no HTTP/2, no proxy, no redirect following, no cookie jar, no DNS cache, and no
//! platform trust store: whoever connects says which certificates it trusts.

mod body;
pub mod chain;
mod client;
mod egress;
mod error;
pub mod names;
mod pin;
pub mod serve;
mod stream;
pub mod tls;

pub use body::IngressBody;
pub use client::{Client, ClientLimits, Connection, Outgoing, Reply};
pub use egress::{Addresses, Egress, Target, handshake};
pub use error::{WireError, causes};
pub use serve::{PeerAddress, PeerCertificate, PeerChain};
pub use stream::Secure;
