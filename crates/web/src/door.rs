//! The two doors: the agency's people come to the pages; guests come to a name of their own on the partner
//! listener, where one is configured.
//!
//! Invariants: a door lets in its own people alone, whichever token they show and through whichever provider; what
//! is asked for by another name than the connection was made for is not answered; all of that is refused on record.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use policy::Ori;

use crate::app::{Shared, carried, carry, frame_problems};
use crate::config::Config;
use crate::pages::{certificates, exports, guest, home, log_out, oidc, providers, sign_in};
use crate::problem::Problem;
use crate::session::{FORM_BYTES_MAX, origin_of};
use crate::{assets, front, headers};

tokio::task_local! {
    /// By which the request that this task answers came in.
    static HERE: Door;
}

/// By which a request came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Door {
    #[default]
    Pages,
    Guests,
}

impl Door {
    /// That of a request. The routers say so themselves; no client can.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or_default()
    }

    /// That of the request that is being answered; the pages where there is none. For what is counted, which is looked
    /// at from many depths.
    #[must_use]
    pub fn here() -> Self {
        HERE.try_with(|door| *door).unwrap_or_default()
    }

    /// Whether people of an agency come in here.
    #[must_use]
    pub fn is_for(self, config: &Config, agency: &Ori) -> bool {
        match (self, config.guests()) {
            (Self::Pages, None) => true,
            (Self::Pages, Some(_)) => *agency == config.agency.ori,
            (Self::Guests, _) => *agency != config.agency.ori,
        }
    }

    /// The origin that its browsers see.
    #[must_use]
    pub fn url(self, config: &Config) -> &str {
        match (self, config.guests()) {
            (Self::Guests, Some(guests)) => &guests.public_url,
            (Self::Pages | Self::Guests, _) => &config.listen.public_url,
        }
    }

    /// For somebody who belongs at the other one.
    #[must_use]
    pub fn elsewhere(self, config: &Config) -> Problem {
        let name = &config.agency.name;
        let title = "You come in elsewhere";
        match (self, config.guests()) {
            (Self::Pages, Some(guests)) => {
                let url = &guests.public_url;
                let words = format!(
                    "These pages are for the people of {name}. Guests of other agencies sign in at {url}."
                );
                Problem::new(StatusCode::FORBIDDEN, title, words)
                    .with_next(format!("{url}/sign-in"), "To the guests’ page")
            }
            (Self::Pages | Self::Guests, _) => {
                let words = format!(
                    "This page is for guests of {name}. Its own people use the agency’s own pages."
                );
                Problem::new(StatusCode::FORBIDDEN, title, words)
            }
        }
    }
}

/// All that is there for guests, and nothing of the agency's own pages.
pub fn router(agency: Shared) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/guest")))
        .route("/sign-in", get(sign_in::choose))
        .route("/sign-in/{provider}", get(sign_in::start))
        .route("/saml/metadata", get(sign_in::metadata))
        .route("/saml/certificate.pem", get(providers::certificate))
        .route("/saml/acs", post(sign_in::consume))
        .route("/saml/slo", get(log_out::receive).layer(middleware::from_fn(carry)))
        .route("/oidc/callback", get(oidc::callback))
        .route("/oidc/jwks", get(oidc::jwks))
        .route("/oidc/logout/{provider}", post(oidc::back_channel))
        .route("/certificate", get(certificates::ask).post(certificates::consume))
        .route("/notice", get(sign_in::notice).post(sign_in::accept))
        .route("/step-up", get(sign_in::step_up))
        .route("/sign-out", carried(sign_in::sign_out))
        .merge(pages())
        .route("/csp-reports", post(home::csp_report))
        .merge(assets::router())
        .fallback(home::not_found)
        .layer(middleware::from_fn_with_state(agency.clone(), named))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX * 8))
        .layer(middleware::from_fn_with_state(agency.clone(), frame_problems))
        .layer(middleware::from_fn(headers::protect))
        .layer(middleware::from_fn_with_state(agency.clone(), front::receive))
        .layer(Extension(Door::Guests))
        .layer(middleware::from_fn(at_guests))
        .with_state(agency)
}

/// The guests' pages, which are at the agency's own listener too where guests have no name of their own.
pub(crate) fn pages() -> Router<Shared> {
    Router::new()
        .route("/guest", get(guest::list))
        .route("/guest/open.html", get(exports::opener))
        .route("/guest/sender.pem", get(guest::sender))
        .route("/guest/how-to-open.txt", get(guest::how_to_open))
        .route("/guest/{export}", get(guest::one))
        .route("/guest/{export}/parcel", post(guest::fetch))
}

async fn at_guests(request: Request, next: Next) -> Response {
    HERE.scope(Door::Guests, next.run(request)).await
}

/// Lets pass what is asked for by the guests' name.
async fn named(State(agency): State<Shared>, request: Request, next: Next) -> Response {
    let name = agency.config.guests().map(|guests| guests.name());
    if name.is_some_and(|name| asks_for(name, request.uri(), request.headers())) {
        return next.run(request).await;
    }
    misdirected(&agency, request).await.into_response()
}

/// Whether a request is for this host and no other, whatever the port. A host that is there twice, or not at all, is none.
pub(crate) fn asks_for(name: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let host = |authority: &str| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.eq_ignore_ascii_case(name)
    };
    let mut all = headers.get_all(header::HOST).iter();
    let (Some(first), None) = (all.next(), all.next()) else { return false };
    // An absolute target counts before the header (RFC 9112 section 3.2.2); here both have to say the same.
    first.to_str().is_ok_and(host) && uri.authority().is_none_or(|one| host(one.as_str()))
}

/// Refuses what came over a connection that was made for another name (RFC 9110 section 15.5.20), on record.
pub(crate) async fn misdirected(agency: &Shared, request: Request) -> Problem {
    let (parts, _) = request.into_parts();
    let refused = agency.refuse(None, origin_of(&parts), parts.uri.path(), "misdirected").await;
    let words = "The connection was made for another name than the one that is asked for. Nothing was opened.";
    let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, "Not by this name", words);
    match refused {
        Ok(entry) => problem.with_entry(entry),
        Err(unrecorded) => unrecorded,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(target: &str, hosts: &[&'static str], expected: bool) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        let asks = asks_for("guests.riverton.example", &target.parse().unwrap(), &headers);
        assert_eq!(asks, expected, "{target} {hosts:?}");
    }

    #[test]
    fn a_request_is_for_the_host_that_it_names_once_and_everywhere() {
        check("/guest", &["guests.riverton.example"], true);
        check("/guest", &["GUESTS.riverton.example:8444"], true);
        check("/guest", &["exchange.riverton.example"], false);
        check("/guest", &["guests.riverton.example.evil.example"], false);
        check("/guest", &[], false);
        check("/guest", &["guests.riverton.example", "guests.riverton.example"], false);
        check("https://guests.riverton.example/", &["guests.riverton.example"], true);
        check("https://bailiwick.riverton.example/", &["guests.riverton.example"], false);
        check("https://guests.riverton.example/", &["bailiwick.riverton.example"], false);
    }
}
