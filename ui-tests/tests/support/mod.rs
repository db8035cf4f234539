//! A small server with the product's headers, the product's assets and made-up pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawForm, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
    require-trusted-types-for 'script'; trusted-types ui";

/// A page of the product's shape round `main`.
fn page(main: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>A page</title>\
         <meta name=viewport content='width=device-width, initial-scale=1'>\
         <link rel=icon href=/s/0/favicon.svg><link rel=stylesheet href=/s/0/uswds.css>\
         <link rel=stylesheet href=/s/0/app.css><script src=/s/0/ui.js defer></script></head><body>\
         <main id=main class=content tabindex=-1><h1>A page</h1>\
         <p id=live class=usa-sr-only role=status aria-live=polite></p>{main}</main></body></html>"
    ))
}

#[derive(Clone, Default)]
struct Counts {
    polls: Arc<AtomicU32>,
    writes: Arc<AtomicU32>,
}

/// Serves on loopback until the test ends, and gives `http://127.0.0.1:port`.
pub(crate) async fn serve() -> anyhow::Result<String> {
    let router = Router::new()
        .route("/gallery", get(gallery).post(gallery))
        .route("/parts", get(parts))
        .route("/answer/{how}", post(answer).get(answer))
        .route("/progress", get(progress))
        .route("/fault/{which}", get(fault))
        .route("/open", get(|| async { "for anyone" }))
        .with_state(Counts::default())
        .layer(from_fn(never_kept))
        .route("/s/0/{*name}", get(asset))
        .route("/fault/kept", get(|| async { page("<p>kept</p>") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

async fn never_kept(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert("content-security-policy", header::HeaderValue::from_static(POLICY));
    answer
}

async fn asset(Path(name): Path<String>) -> Response {
    let path = testkit::root().join("crates/web/assets").join(&name);
    let Ok(bytes) = tokio::fs::read(path).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        _ => "font/woff2",
    };
    let caching = "public, max-age=31536000, immutable";
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, caching)], bytes).into_response()
}

async fn gallery() -> Html<&'static str> {
    Html(include_str!("../../fixtures/gallery.html"))
}

/// One form for each way that a request can end.
async fn parts() -> Html<String> {
    let form = |how: &str| {
        format!(
            "<form method=post action=/answer/{how} data-frag=#out><button>try {how}</button></form>"
        )
    };
    let hows = ["refused", "invalid", "broken", "bare", "signed-out", "gone", "elsewhere", "slow"];
    let forms: String = hows.iter().map(|how| form(how)).collect();
    page(&format!(
        "{forms}<form id=named method=post action=/answer/ok data-frag=#out>\
         <label for=word>Word</label> <input id=word name=word data-search> \
         <button name=sort value=up>Sort up</button> <button name=sort value=down>Sort down</button></form>\
         <form id=once method=post action=/answer/write data-frag=#out data-once><button>Write once</button></form>\
         <section id=out aria-label=Out><p>nothing yet</p></section>\
         <section id=bar aria-label=Bar data-poll=/progress data-every=250>waiting</section>\
         <button data-open=#ask>Ask first</button>\
         <dialog id=ask class=dialog aria-label='Really?'><form method=post action=/answer/ok data-frag=#out>\
         <button name=sure value=yes>Yes</button> <button type=button data-close>No</button></form></dialog>\
         <dialog id=keys class=dialog aria-label=Keys><p>Keys</p><form method=dialog><button>Close</button></form></dialog>"
    ))
}

async fn answer(
    State(counts): State<Counts>,
    Path(how): Path<String>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let form = String::from_utf8_lossy(&form).into_owned();
    let fragment = headers.contains_key("x-fragment");
    let out = |text: &str| {
        Html(format!(
            "<section id=out aria-label=Out data-live='said: {text}'><p>got {text}, fragment {fragment}</p>\
             <form method=post action=/answer/ok data-frag=#out><button name=inner value=1>Again</button></form></section>"
        ))
    };
    match how.as_str() {
        "refused" => {
            (StatusCode::FORBIDDEN, page("<p>Not permitted, entry 12</p>")).into_response()
        }
        "invalid" => {
            let errors = "<section id=out aria-label=Out><div data-focus class=errors>One field is wrong</div></section>";
            (StatusCode::UNPROCESSABLE_ENTITY, Html(errors)).into_response()
        }
        "broken" => (StatusCode::INTERNAL_SERVER_ERROR, out("broken")).into_response(),
        "bare" => (StatusCode::SERVICE_UNAVAILABLE, "Recording is unavailable").into_response(),
        "signed-out" => StatusCode::UNAUTHORIZED.into_response(),
        "gone" => (StatusCode::SEE_OTHER, [(header::LOCATION, "/gallery")]).into_response(),
        "elsewhere" => ([("x-go", "/gallery")], "").into_response(),
        "slow" => {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            out("slow").into_response()
        }
        "write" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let count = counts.writes.fetch_add(1, Ordering::SeqCst) + 1;
            out(&format!("write {count}")).into_response()
        }
        _ if fragment => out(&form).into_response(),
        _ => page(&out(&form).0).into_response(),
    }
}

async fn progress(State(counts): State<Counts>, headers: HeaderMap) -> Html<String> {
    let done = counts.polls.fetch_add(1, Ordering::SeqCst) + 1;
    let again = if done < 3 { "data-poll=/progress data-every=250" } else { "" };
    let marked = headers.contains_key("x-poll");
    Html(format!(
        "<section id=bar aria-label=Bar {again} data-live='{done} of 3 done'>{done} of 3, marked {marked}</section>"
    ))
}

/// Pages with one thing wrong each, by which the audit shows that it can find it.
async fn fault(Path(which): Path<String>, headers: HeaderMap) -> Html<String> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit(':').next().unwrap_or_default();
    page(&match which.as_str() {
        "unlabelled" => "<input id=x>".to_owned(),
        "styled" => "<p style='color:red'>red</p>".to_owned(),
        "wide" => "<pre>".to_owned() + &"wide ".repeat(100) + "</pre>",
        "two-heads" => "<h1>Another</h1>".to_owned(),
        "elsewhere" => format!("<img alt='' src='http://localhost:{port}/open'>"),
        "abroad" => "<p>quiet</p>".to_owned(),
        "inline" => "<script>document.title = 'changed'</script>".to_owned(),
        _ => "<p>nothing wrong</p><a href=/open>a link</a>".to_owned(),
    })
}
