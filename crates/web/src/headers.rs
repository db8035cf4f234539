//! What every answer carries, and what every unsafe request must have shown.
//!
//! Invariant: nothing but `/s/<hash>/…` may be cached, and no page runs script or style that this
//! server did not send. A POST from another site stops here, before a session is looked at; the one
//! exception is the assertion consumer, which an identity provider's page posts to.

use axum::extract::Request;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;

/// The policy of every page (DESIGN.md, Web).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self'; img-src 'self'; media-src 'self'; font-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types ui; report-uri /csp-reports";

const FIXED: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), usb=(), payment=(), browsing-topics=()",
    ),
];

/// Adds the fixed headers, and `no-store` unless the handler said otherwise.
pub async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether a request may have been made by another site's page.
///
/// Browsers send `Sec-Fetch-Site`; for those that don't, `Origin` must be ours.
pub fn from_another_site(method: &Method, headers: &HeaderMap, public_url: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin"),
        (None, Some(origin)) => origin != public_url,
        (None, None) => true,
    }
}

/// Whether the request came from `ui.js`, which wants one element and not a page.
pub fn wants_fragment(headers: &HeaderMap) -> bool {
    headers.contains_key("x-fragment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, pairs: &[(&'static str, &'static str)], foreign: bool) {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(from_another_site(method, &headers, "https://us.example"), foreign);
    }

    #[test]
    fn only_our_own_pages_may_post() {
        check(&Method::GET, &[], false);
        check(&Method::POST, &[("sec-fetch-site", "same-origin")], false);
        check(&Method::POST, &[("sec-fetch-site", "same-site")], true);
        check(&Method::POST, &[("sec-fetch-site", "cross-site")], true);
        check(&Method::POST, &[("origin", "https://us.example")], false);
        check(&Method::POST, &[("origin", "https://evil.example")], true);
        check(&Method::POST, &[], true);
    }
}
