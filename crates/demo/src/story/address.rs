//! Addresses of pages on loopback, and how they relate.

use std::fmt;

use crate::story::StoryError;

/// `http://host:port/path?query`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Without brackets; `127.0.0.1` or `riverton.localhost`.
    pub host: String,
    pub port: u16,
    /// With the query, from the first slash; no fragment.
    pub target: String,
}

impl Address {
    /// Reads a full address.
    pub fn parse(text: &str) -> Result<Self, StoryError> {
        let wrong = || StoryError::BadAddress { address: text.to_owned() };
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or_else(wrong)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, 80),
        };
        if host.is_empty() || host.contains(['@', ' ', '[']) {
            return Err(wrong());
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { host: host.to_ascii_lowercase(), port, target: format!("{slash}{target}") })
    }

    /// Where a link or a redirect on this page leads.
    pub fn join(&self, link: &str) -> Result<Self, StoryError> {
        let link = link.split('#').next().unwrap_or_default();
        if link.contains("://") {
            return Self::parse(link);
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = match link.chars().next() {
            None => self.target.clone(),
            Some('/') if link.starts_with("//") => {
                return Err(StoryError::BadAddress { address: link.to_owned() });
            }
            Some('/') => link.to_owned(),
            Some('?') => format!("{path}{link}"),
            Some(_) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("{folder}/{link}")
            }
        };
        Ok(Self { target, ..self.clone() })
    }

    /// `http://127.0.0.1:8080`, the port left out when it is 80.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// `127.0.0.1:8080`
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// The path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// What a browser says in `Sec-Fetch-Site` of a request that this page makes to `other`.
    #[must_use]
    pub fn relation(&self, other: &Self) -> &'static str {
        if (&self.host, self.port) == (&other.host, other.port) {
            "same-origin"
        } else if self.site() == other.site() {
            "same-site"
        } else {
            "cross-site"
        }
    }

    /// The host of an IP address, else its last two labels. Ports don't part sites.
    fn site(&self) -> &str {
        if self.host.parse::<std::net::IpAddr>().is_ok() {
            return &self.host;
        }
        let dots: Vec<usize> = self.host.match_indices('.').map(|(place, _)| place).collect();
        let start =
            dots.len().checked_sub(2).and_then(|nth| dots.get(nth)).map_or(0, |dot| dot + 1);
        self.host.get(start..).unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_taken_apart_and_joined() {
        let page = Address::parse("http://127.0.0.1:8080/tools/case-file?x=1#top").unwrap();
        assert_eq!(page.to_string(), "http://127.0.0.1:8080/tools/case-file?x=1");
        let join = |link| page.join(link).unwrap().to_string();
        assert_eq!(join(""), "http://127.0.0.1:8080/tools/case-file?x=1");
        assert_eq!(join("/audit#entry-3"), "http://127.0.0.1:8080/audit");
        assert_eq!(join("?page=2"), "http://127.0.0.1:8080/tools/case-file?page=2");
        assert_eq!(join("runs"), "http://127.0.0.1:8080/tools/runs");
        assert_eq!(join("http://lakeside.localhost"), "http://lakeside.localhost/");
        for wrong in ["https://x/", "http:///", "http://a@b/", "http://x:99999/", "ftp://x"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
        assert!(page.join("//elsewhere/").is_err());
    }

    #[test]
    fn ports_part_origins_and_hosts_part_sites() {
        let relation = |a, b| Address::parse(a).unwrap().relation(&Address::parse(b).unwrap());
        assert_eq!(relation("http://127.0.0.1:1/", "http://127.0.0.1:1/x"), "same-origin");
        assert_eq!(relation("http://127.0.0.1:1/", "http://127.0.0.1:2/"), "same-site");
        assert_eq!(relation("http://127.0.0.1:1/", "http://127.0.0.2:1/"), "cross-site");
        assert_eq!(relation("http://a.localhost/", "http://b.a.localhost/"), "same-site");
        assert_eq!(relation("http://a.localhost/", "http://b.localhost/"), "cross-site");
    }
}
