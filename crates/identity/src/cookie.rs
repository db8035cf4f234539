//! The two cookies. Both are `__Host-` (RFC 6265bis): one host, the whole path, only over a secure origin.
//!
//! Neither has an age: a browser forgets them when it closes, and the server decides in any case.

use std::fmt::Write;

/// Carries the session's token.
pub const SESSION: &str = "__Host-sid";

/// Ties the browser to the sign-in that it began. It must survive the provider's cross-site POST.
pub const PRELOGIN: &str = "__Host-prelogin";

/// The `Set-Cookie` value that hands the browser its session's token.
#[must_use]
pub fn set_session(token: &str) -> String {
    format!("{SESSION}={token}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

/// The `Set-Cookie` value that marks the browser which began a sign-in.
#[must_use]
pub fn set_prelogin(token: &str) -> String {
    format!("{PRELOGIN}={token}; Path=/; Secure; HttpOnly; SameSite=None")
}

/// The `Set-Cookie` values that make the browser forget both.
#[must_use]
pub fn clear() -> [String; 2] {
    [SESSION, PRELOGIN].map(clear_one)
}

/// The `Set-Cookie` value that makes the browser forget the sign-in that is over.
#[must_use]
pub fn clear_prelogin() -> String {
    clear_one(PRELOGIN)
}

fn clear_one(name: &str) -> String {
    let same_site = if name == PRELOGIN { "None" } else { "Lax" };
    format!("{name}=; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age=0")
}

/// Finds a cookie in a `Cookie` header. A cookie that is there twice is not there: somebody planted one.
#[must_use]
pub fn find<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    for pair in header.split(';') {
        let Some((key, value)) = pair.trim().split_once('=') else { continue };
        if key == name && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            write!(out, "%{byte:02X}").unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_a_doubled_one_is_not() {
        let header = "a=1; __Host-sid=abc; x__Host-sid=evil";
        assert_eq!(find(header, SESSION), Some("abc"));
        assert_eq!(find(header, "sid"), None);
        assert_eq!(find("__Host-sid=a; __Host-sid=b", SESSION), None);
        assert_eq!(find("", SESSION), None);
    }

    #[test]
    fn cookies_are_host_only_secure_hidden_from_script_and_have_no_age() {
        for cookie in [set_session("t"), set_prelogin("t")] {
            assert!(cookie.starts_with("__Host-"), "{cookie}");
            for flag in ["; Path=/", "; Secure", "; HttpOnly"] {
                assert!(cookie.contains(flag), "{cookie}");
            }
            for word in ["Max-Age", "Expires", "Domain"] {
                assert!(!cookie.contains(word), "{cookie}");
            }
        }
    }
}
