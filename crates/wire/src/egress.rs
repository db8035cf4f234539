//! Outbound is denied unless declared.
//!
//! Invariant: a socket is opened only to an address that was looked at here, for a `host:port` on
//! the list. The name is resolved once; if any of its addresses is not covered by the declaration
//! the call is refused as a whole, for a name that leads to two worlds is not to be trusted.
//! Metadata, multicast and unspecified addresses are never reached by name, only when declared
//! as themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::error::WireError;
use crate::stream::Secure;
use crate::tls::ClientTls;

/// Which addresses a declared name may resolve to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Globally routed addresses only.
    Public,
    /// Also loopback, private (RFC 1918), shared (RFC 6598) and unique local (RFC 4193) ones.
    Private,
}

/// One declared destination. An IP address as `host` declares that address itself, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A DNS name in lower case, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub addresses: Addresses,
}

/// The allowlist. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    allow: Arc<Vec<Target>>,
}

impl Egress {
    /// Nothing but `allow` will be connected to.
    pub fn new(allow: Vec<Target>) -> Self {
        Self { allow: Arc::new(allow) }
    }

    /// Opens a TCP connection, within `wait_max` for name and connection together.
    ///
    /// # Errors
    /// [`WireError::NotDeclared`] before anything is resolved; [`WireError::AddressRefused`] before
    /// anything is connected.
    pub async fn connect(
        &self,
        host: &str,
        port: u16,
        wait_max: Duration,
    ) -> Result<TcpStream, WireError> {
        let work = async {
            let admitted = self.admit(host, port).await?;
            open_first(host, port, &admitted).await
        };
        match tokio::time::timeout(wait_max, work).await {
            Ok(done) => done,
            Err(_) => Err(WireError::TimedOut { doing: "connecting", after: wait_max }),
        }
    }

    /// [`Egress::connect`], then a TLS handshake for the same name within the same time.
    ///
    /// # Errors
    /// As [`Egress::connect`], and [`WireError::Handshake`].
    pub async fn connect_tls(
        &self,
        host: &str,
        port: u16,
        tls: &ClientTls,
        wait_max: Duration,
    ) -> Result<Secure<TcpStream>, WireError> {
        let stream = self.connect(host, port, wait_max).await?;
        handshake(host, stream, tls, wait_max).await
    }

    /// The addresses behind a declared `host:port`, all of them looked at.
    async fn admit(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, WireError> {
        let target = self
            .allow
            .iter()
            .find(|target| target.port == port && target.host.eq_ignore_ascii_case(host))
            .ok_or_else(|| WireError::NotDeclared { host: host.to_owned(), port })?;
        if let Ok(address) = target.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let found = tokio::net::lookup_host((target.host.as_str(), port))
            .await
            .map_err(|source| WireError::Resolve { host: host.to_owned(), source })?;
        let found: Vec<SocketAddr> = found.collect();
        for address in &found {
            check_address(target, address.ip())?;
        }
        if found.is_empty() {
            return Err(WireError::NoAddress { host: host.to_owned() });
        }
        Ok(found)
    }
}

/// A TLS handshake over a stream that is already open, as PostgreSQL's protocol needs it.
///
/// # Errors
/// [`WireError::NotAHost`], [`WireError::Handshake`], [`WireError::TimedOut`].
pub async fn handshake<S>(
    host: &str,
    stream: S,
    tls: &ClientTls,
    wait_max: Duration,
) -> Result<Secure<S>, WireError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| WireError::NotAHost { host: host.to_owned() })?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&tls.0));
    match tokio::time::timeout(wait_max, connector.connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Secure::new(stream)),
        Ok(Err(source)) => Err(WireError::Handshake { host: host.to_owned(), source }),
        Err(_) => Err(WireError::TimedOut { doing: "the TLS handshake", after: wait_max }),
    }
}

async fn open_first(
    host: &str,
    port: u16,
    addresses: &[SocketAddr],
) -> Result<TcpStream, WireError> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small requests must not wait for a full segment.
                if let Err(source) = stream.set_nodelay(true) {
                    return Err(WireError::Connect { host: host.to_owned(), port, source });
                }
                return Ok(stream);
            }
            Err(source) => last = Some(source),
        }
    }
    Err(match last {
        Some(source) => WireError::Connect { host: host.to_owned(), port, source },
        None => WireError::NoAddress { host: host.to_owned() },
    })
}

fn check_address(target: &Target, address: IpAddr) -> Result<(), WireError> {
    let kind = match kind_of(address) {
        Kind::Public => return Ok(()),
        Kind::Private if target.addresses == Addresses::Private => return Ok(()),
        Kind::Private => "a private address",
        Kind::Metadata => "a link-local or cloud metadata address",
        Kind::Special => "not an address of one machine",
    };
    Err(WireError::AddressRefused { host: target.host.clone(), address, kind })
}

/// Whether an address is loopback, private, shared or unique local.
pub(crate) fn is_private(address: IpAddr) -> bool {
    matches!(kind_of(address), Kind::Private)
}

enum Kind {
    Public,
    Private,
    Metadata,
    Special,
}

/// The IANA special-purpose registries (RFC 6890), in four heaps.
fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => kind_of_v4(v4),
            None => kind_of_v6(v6),
        },
    }
}

/// The IPv4 address within a mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) or 6to4 (2002::/16) one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(v4) = address.to_ipv4_mapped() {
        return Some(v4);
    }
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, _, _, _, _, _] => Some(join(high, low)),
        _ => None,
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    // Azure's wire server and Alibaba's metadata service live outside 169.254/16.
    const METADATA: &[Ipv4Addr] =
        &[Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200)];
    let [a, b, c, _] = address.octets();
    if address.is_link_local() || METADATA.contains(&address) {
        return Kind::Metadata;
    }
    let shared = a == 100 && (64..128).contains(&b);
    if address.is_private() || address.is_loopback() || shared {
        return Kind::Private;
    }
    let protocol = (a, b, c) == (192, 0, 0);
    let testing = a == 198 && (18..20).contains(&b);
    if a == 0
        || a >= 240
        || address.is_multicast()
        || address.is_documentation()
        || protocol
        || testing
    {
        return Kind::Special;
    }
    Kind::Public
}

fn kind_of_v6(address: Ipv6Addr) -> Kind {
    // AWS's and Google's metadata services over IPv6.
    const METADATA: &[Ipv6Addr] = &[
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    if address.is_unicast_link_local() || METADATA.contains(&address) {
        return Kind::Metadata;
    }
    if address.is_loopback() || address.is_unique_local() {
        return Kind::Private;
    }
    // Only 2000::/3 is routed globally; 2001:db8::/32 is for documentation.
    let [first, second, ..] = address.segments();
    if first & 0xe000 != 0x2000 || (first, second) == (0x2001, 0x0db8) {
        return Kind::Special;
    }
    Kind::Public
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, addresses: Addresses, expected: &str) {
        let target = Target { host: "files.example".into(), port: 443, addresses };
        let found = match check_address(&target, address.parse().unwrap()) {
            Ok(()) => "reached".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn a_public_name_reaches_public_addresses() {
        check("93.184.215.14", Addresses::Public, "reached");
        check("2606:2800:21f:cb07:6820:80da:af6b:8b2c", Addresses::Public, "reached");
    }

    #[test]
    fn a_public_name_that_resolves_inside_is_refused() {
        for address in ["10.1.2.3", "127.0.0.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
        {
            let expected = format!(
                "`files.example` resolved to {}, which is a private address; that was not \
                 declared for it",
                address.parse::<IpAddr>().unwrap()
            );
            check(address, Addresses::Public, &expected);
            check(address, Addresses::Private, "reached");
        }
    }

    #[test]
    fn no_name_reaches_a_metadata_service_even_where_private_addresses_are_declared() {
        for address in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            let expected = format!(
                "`files.example` resolved to {}, which is a link-local or cloud metadata \
                 address; that was not declared for it",
                address.parse::<IpAddr>().unwrap()
            );
            check(address, Addresses::Private, &expected);
        }
    }

    #[test]
    fn no_name_reaches_what_is_not_one_machine() {
        for address in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.7", "::", "ff02::1"] {
            let expected = format!(
                "`files.example` resolved to {}, which is not an address of one machine; that \
                 was not declared for it",
                address.parse::<IpAddr>().unwrap()
            );
            check(address, Addresses::Private, &expected);
        }
    }

    #[tokio::test]
    async fn what_is_not_declared_is_not_even_resolved() {
        let egress = Egress::new(vec![Target {
            host: "db.riverton.example".into(),
            port: 5432,
            addresses: Addresses::Private,
        }]);
        for (host, port) in [("nowhere.invalid", 5432), ("db.riverton.example", 443)] {
            let error = egress.connect(host, port, Duration::from_secs(5)).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("a connection to `{host}:{port}` is not declared, so it was not opened")
            );
        }
    }

    #[tokio::test]
    async fn a_declared_name_that_leads_inside_is_refused_before_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target =
            |addresses| Egress::new(vec![Target { host: "localhost".into(), port, addresses }]);
        let wait = Duration::from_secs(5);
        let refused = target(Addresses::Public).connect("localhost", port, wait).await;
        assert!(matches!(refused, Err(WireError::AddressRefused { .. })), "{refused:?}");
        target(Addresses::Private).connect("localhost", port, wait).await.unwrap();
    }

    #[test]
    fn plain_text_stays_inside() {
        for (address, inside) in
            [("127.0.0.1", true), ("10.1.2.3", true), ("fd00::1", true), ("8.8.8.8", false)]
        {
            assert_eq!(is_private(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!is_private("169.254.169.254".parse().unwrap()), "nor to metadata services");
    }
}
