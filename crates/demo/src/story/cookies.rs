//! A cookie jar that refuses what a browser refuses (RFC 6265bis), so that a cookie which would be
//! lost in a browser is lost here.
//!
//! Cookies belong to a host, whatever its port: two agencies on one address share a jar, in a
//! browser too. Loopback counts as trustworthy, so `Secure` cookies are kept without TLS.

use crate::story::address::Address;

/// The cookies of one browser.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Clone, Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
    path: String,
    same_site: SameSite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SameSite {
    Strict,
    Lax,
    None,
}

/// Why a request is made, as far as cookies mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The page it comes from lies on another site.
    pub cross_site: bool,
    /// It changes something: not GET.
    pub unsafe_method: bool,
}

impl Jar {
    /// Takes a `Set-Cookie` line from `address`. Gives the reason when a browser would refuse it.
    pub fn take(&mut self, address: &Address, line: &str) -> Result<(), &'static str> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) =
            parts.next().and_then(|pair| pair.split_once('=')).ok_or("has no name and value")?;
        let mut cookie = Cookie {
            host: address.host.clone(),
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            path: "/".to_owned(),
            same_site: SameSite::Lax,
        };
        let (mut secure, mut ended, mut domain, mut path_given) = (false, false, false, false);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match (key.to_ascii_lowercase().as_str(), value) {
                ("secure", _) => secure = true,
                ("domain", _) => domain = true,
                ("path", path) if path.starts_with('/') => {
                    path.clone_into(&mut cookie.path);
                    path_given = true;
                }
                ("max-age", age) => ended = age.parse::<i64>().is_ok_and(|age| age <= 0),
                ("samesite", mode) => {
                    cookie.same_site = match mode.to_ascii_lowercase().as_str() {
                        "strict" => SameSite::Strict,
                        "none" => SameSite::None,
                        _ => SameSite::Lax,
                    };
                }
                _ => {}
            }
        }
        if secure && !is_trustworthy(&address.host) {
            return Err("is secure, but the page is not");
        }
        if cookie.same_site == SameSite::None && !secure {
            return Err("goes to other sites, but is not secure");
        }
        if cookie.name.starts_with("__Secure-") && !secure {
            return Err("is named secure, but is not");
        }
        if cookie.name.starts_with("__Host-")
            && (!secure || domain || !path_given || cookie.path != "/")
        {
            return Err(
                "is named for a host, but is not secure, for the path / and without domain",
            );
        }
        self.cookies.retain(|known| {
            (&known.host, &known.name, &known.path) != (&cookie.host, &cookie.name, &cookie.path)
        });
        if !ended {
            self.cookies.push(cookie);
        }
        Ok(())
    }

    /// The `Cookie` line for a request, if there is anything to send.
    #[must_use]
    pub fn line(&self, address: &Address, context: Context) -> Option<String> {
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|cookie| cookie.host == address.host && covers(&cookie.path, address.path()))
            .filter(|cookie| match cookie.same_site {
                SameSite::None => true,
                SameSite::Lax => !context.cross_site || !context.unsafe_method,
                SameSite::Strict => !context.cross_site,
            })
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!sent.is_empty()).then(|| sent.join("; "))
    }

    /// The value of a cookie, for checks.
    #[must_use]
    pub fn value(&self, host: &str, name: &str) -> Option<&str> {
        let found = self.cookies.iter().find(|cookie| cookie.host == host && cookie.name == name);
        found.map(|cookie| cookie.value.as_str())
    }

    /// Puts another value into a cookie that is there, or takes it away.
    pub fn replace(&mut self, host: &str, name: &str, value: Option<&str>) {
        let is = |cookie: &Cookie| cookie.host == host && cookie.name == name;
        match value {
            None => self.cookies.retain(|cookie| !is(cookie)),
            Some(value) => {
                for cookie in self.cookies.iter_mut().filter(|cookie| is(cookie)) {
                    value.clone_into(&mut cookie.value);
                }
            }
        }
    }
}

fn is_trustworthy(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn covers(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{Address, Context, Jar};

    const PLAIN: Context = Context { cross_site: false, unsafe_method: false };

    #[test]
    fn host_cookies_must_keep_their_promise() {
        let mut jar = Jar::default();
        let page = Address::parse("http://127.0.0.1:8080/").unwrap();
        assert_eq!(jar.take(&page, "__Host-sid=a; Path=/; Secure; HttpOnly"), Ok(()));
        for broken in [
            "__Host-x=a; Path=/",
            "__Host-x=a; Secure",
            "__Host-x=a; Path=/tools; Secure",
            "__Host-x=a; Path=/; Secure; Domain=127.0.0.1",
            "__Secure-x=a; Path=/",
            "x=a; SameSite=None",
            "nothing",
        ] {
            assert!(jar.take(&page, broken).is_err(), "{broken}");
        }
        let abroad = Address::parse("http://192.0.2.7/").unwrap();
        assert!(jar.take(&abroad, "x=a; Secure").is_err());
        assert_eq!(jar.line(&page, PLAIN).as_deref(), Some("__Host-sid=a"));
        let other_port = Address::parse("http://127.0.0.1:8081/").unwrap();
        assert_eq!(jar.line(&other_port, PLAIN).as_deref(), Some("__Host-sid=a"));
        assert_eq!(jar.line(&abroad, PLAIN), None);
    }

    #[test]
    fn cookies_are_replaced_ended_and_kept_to_their_path_and_site() {
        let mut jar = Jar::default();
        let page = Address::parse("http://a.localhost/tools/x").unwrap();
        jar.take(&page, "lax=1").unwrap();
        jar.take(&page, "strict=1; SameSite=Strict").unwrap();
        jar.take(&page, "everywhere=1; SameSite=None; Secure").unwrap();
        jar.take(&page, "deep=1; Path=/tools").unwrap();
        jar.take(&page, "lax=2").unwrap();
        assert_eq!(
            jar.line(&page, PLAIN).as_deref(),
            Some("strict=1; everywhere=1; deep=1; lax=2")
        );
        let posted = Context { cross_site: true, unsafe_method: true };
        assert_eq!(jar.line(&page, posted).as_deref(), Some("everywhere=1"));
        let linked = Context { cross_site: true, unsafe_method: false };
        assert_eq!(jar.line(&page, linked).as_deref(), Some("everywhere=1; deep=1; lax=2"));
        let toolshed = Address::parse("http://a.localhost/toolshed").unwrap();
        assert_eq!(jar.line(&toolshed, linked).as_deref(), Some("everywhere=1; lax=2"));
        jar.take(&page, "lax=; Max-Age=0").unwrap();
        assert_eq!(jar.value("a.localhost", "lax"), None);
        jar.replace("a.localhost", "strict", Some("forged"));
        assert_eq!(jar.value("a.localhost", "strict"), Some("forged"));
    }
}
