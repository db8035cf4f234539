//! The provider's pages: who are you, the pretended second factor, and back to the service.
//!
//! No script and no style in the pages, so that they work everywhere and under a strict policy.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::{DemoIdp, IdpError, Posting};

/// The provider's routes: `/sso`, `/persona`, `/approve`, `/decline`, `/metadata`, `/demo.css`.
pub fn router(idp: Arc<DemoIdp>) -> Router {
    Router::new()
        .route("/sso", get(sso))
        .route("/persona", post(persona))
        .route("/approve", post(approve))
        .route("/decline", post(decline))
        .route("/metadata", get(metadata))
        .route("/demo.css", get(style))
        .with_state(idp)
}

type Idp = State<Arc<DemoIdp>>;

#[derive(Deserialize)]
struct SsoQuery {
    #[serde(rename = "SAMLRequest")]
    saml_request: String,
    #[serde(rename = "RelayState", default)]
    relay_state: String,
}

#[derive(Deserialize)]
struct Chosen {
    sign_in: String,
    persona: String,
}

#[derive(Deserialize)]
struct Decided {
    sign_in: String,
}

async fn sso(State(idp): Idp, Query(query): Query<SsoQuery>) -> Result<Response, Failure> {
    let handle = idp.begin(&query.saml_request, &query.relay_state)?;
    let pending = idp.pending(&handle)?;
    let service = idp.service(&pending)?;
    let body = html! {
        h1 { "Who are you?" }
        p { "You are signing in to " strong { (service.label) } "." }
        @if pending.again {
            p class="note" { "The service asks you to prove who you are again." }
        }
        form method="post" action="/persona" {
            input type="hidden" name="sign_in" value=(handle);
            ul {
                @for persona in idp.people(service) {
                    li {
                        button type="submit" name="persona" value=(persona.id) {
                            span class="name" { (persona.name) }
                            span class="functions" {
                                (persona.functions.iter().map(|f| f.as_str().replace('-', " "))
                                    .collect::<Vec<_>>().join(", "))
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(page(StatusCode::OK, "Who are you?", &body, None))
}

async fn persona(State(idp): Idp, Form(form): Form<Chosen>) -> Result<Response, Failure> {
    let persona = idp.choose(&form.sign_in, &form.persona)?;
    let body = html! {
        h1 { "Second factor" }
        p { "Signing in as " strong { (persona.name) } "." }
        p class="note" { "Demo only: approve the pretended second factor." }
        form method="post" action="/approve" {
            input type="hidden" name="sign_in" value=(form.sign_in);
            button type="submit" { "Approve" }
        }
        form method="post" action="/decline" {
            input type="hidden" name="sign_in" value=(form.sign_in);
            button type="submit" class="plain" { "Decline" }
        }
    };
    Ok(page(StatusCode::OK, "Second factor", &body, None))
}

async fn approve(State(idp): Idp, Form(form): Form<Decided>) -> Result<Response, Failure> {
    Ok(posting(&idp.finish(&form.sign_in, true)?, "You are signed in."))
}

async fn decline(State(idp): Idp, Form(form): Form<Decided>) -> Result<Response, Failure> {
    Ok(posting(&idp.finish(&form.sign_in, false)?, "You declined the second factor."))
}

/// The form that carries the answer to the service: by a button, so that it needs no script.
fn posting(posting: &Posting, what: &str) -> Response {
    let body = html! {
        h1 { "Continue" }
        p { (what) }
        form method="post" action=(posting.acs_url) {
            input type="hidden" name="SAMLResponse" value=(posting.response);
            input type="hidden" name="RelayState" value=(posting.relay_state);
            button type="submit" { "Continue to " (posting.label) }
        }
    };
    page(StatusCode::OK, "Continue", &body, Some(&posting.acs_url))
}

async fn metadata(State(idp): Idp) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/samlmetadata+xml")];
    (kind, idp.metadata()).into_response()
}

async fn style() -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, STYLE).into_response()
}

const STYLE: &str = "\
body{font:1.0625rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#f0f0f0;margin:0}
main{max-width:34rem;margin:2rem auto;padding:1.5rem;background:#fff}
header{background:#8b0a03;color:#fff;padding:.75rem 1.5rem;font-weight:700}
ul{list-style:none;padding:0}li{margin:.5rem 0}
button{font:inherit;width:100%;text-align:left;padding:.75rem 1rem;color:#fff;background:#005ea2;
border:2px solid #005ea2;border-radius:.25rem;cursor:pointer}
button:hover{background:#1a4480}button:focus-visible{outline:.25rem solid #2491ff;outline-offset:2px}
button.plain{margin-top:1rem;color:#005ea2;background:#fff}
.name{display:block;font-weight:700}.note{border-left:.5rem solid #ffbe2e;background:#faf3d1;
padding:.75rem 1rem}
";

fn page(status: StatusCode, title: &str, body: &Markup, posts_to: Option<&str>) -> Response {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – demo identity provider" }
                link rel="stylesheet" href="/demo.css";
            }
            body {
                header { "Demo identity provider: made-up people, no passwords" }
                main { (body) }
            }
        }
    };
    let mut response = (status, Html(markup.into_string())).into_response();
    let posts_to = posts_to.and_then(origin).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {posts_to}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Scheme, host and port of a URL, for the page's policy.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split('/').next()?))
}

/// A failure as a page.
struct Failure(IdpError);

impl From<IdpError> for Failure {
    fn from(error: IdpError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            IdpError::Request { .. }
            | IdpError::UnknownService
            | IdpError::Over
            | IdpError::UnknownPersona => StatusCode::BAD_REQUEST,
            IdpError::NotLoopback { .. }
            | IdpError::TwoPersonas { .. }
            | IdpError::Sign(_)
            | IdpError::Write(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = html! {
            h1 { "This did not work" }
            p { (self.0.to_string()) "." }
        };
        page(status, "This did not work", &body, None)
    }
}
