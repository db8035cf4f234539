//! The browser against a small server: what it sends, keeps, follows and refuses.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};

use super::{Browser, Raw, StoryError};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what came in, as `METHOD path | header=value …| body`.
fn note(log: &Log, method: &str, uri: &Uri, headers: &HeaderMap, body: &str) {
    let mut line = format!("{method} {uri} |");
    for name in ["cookie", "origin", "sec-fetch-site"] {
        if let Some(value) = headers.get(name) {
            line.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
    }
    if !body.is_empty() {
        line.push_str(&format!(" | {body}"));
    }
    log.lock().unwrap().push(line);
}

async fn page(State(log): State<Log>, uri: Uri, headers: HeaderMap) -> impl IntoResponse {
    note(&log, "GET", &uri, &headers, "");
    Html(
        "<h1>Lookup</h1><a href='/page?again'>Again</a>
         <form id=f action=/post method=post><input type=hidden name=csrf value='a&amp;b'>
         <input name=plate><button>Search</button></form>
         <form id=g action=/page><input name=q value='x y'></form>
         <form id=twice action=/twice method=post></form>",
    )
}

async fn posted(
    State(log): State<Log>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    note(&log, "POST", &uri, &headers, &body);
    let cookies = [
        ("set-cookie", "__Host-sid=s1; Path=/; Secure; HttpOnly; SameSite=Strict"),
        ("location", "/page"),
    ];
    (StatusCode::SEE_OTHER, cookies)
}

async fn serve() -> (String, Log) {
    let log = Log::default();
    let router = Router::new()
        .route("/page", get(page))
        .route(
            "/quiet",
            get(async || {
                (
                    [("referrer-policy", "no-referrer")],
                    Html("<form id=f action=/post method=post></form>"),
                )
            }),
        )
        .route("/post", post(posted))
        .route("/twice", post(async || (StatusCode::TEMPORARY_REDIRECT, [("location", "/post")])))
        .route("/loop", get(async || (StatusCode::FOUND, [("location", "/loop")])))
        .route("/bad-cookie", get(async || [("set-cookie", "__Host-sid=x")]))
        .route("/bytes", get(async || ([("content-type", "application/pdf")], vec![0_u8, 255, 10])))
        .route("/never", get(async || std::future::pending::<()>().await))
        .with_state(log.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://127.0.0.1:{port}"), log)
}

fn lines(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test]
async fn a_form_is_sent_as_a_browser_sends_it_and_its_redirect_followed() {
    let (origin, log) = serve().await;
    let mut browser = Browser::new("story");
    let page = browser.open(&format!("{origin}/page")).await.unwrap();
    assert_eq!((page.status, page.says("Lookup")), (200, true));
    let form = page.form("f").unwrap().set("plate", "7K*\né").unwrap().press("Search").unwrap();
    let page = browser.submit(&page, &form).await.unwrap();
    assert_eq!(page.address.path(), "/page");
    browser.follow(&page, "Again").await.unwrap();
    browser.submit(&page, &page.form("g").unwrap()).await.unwrap();
    assert_eq!(
        lines(&log),
        [
            "GET /page | sec-fetch-site=none".to_owned(),
            format!(
                "POST /post | origin={origin} sec-fetch-site=same-origin | \
                 csrf=a%26b&plate=7K*%0D%0A%C3%A9"
            ),
            "GET /page | cookie=__Host-sid=s1 sec-fetch-site=same-origin".to_owned(),
            "GET /page?again | cookie=__Host-sid=s1 sec-fetch-site=same-origin".to_owned(),
            "GET /page?q=x+y | cookie=__Host-sid=s1 sec-fetch-site=same-origin".to_owned(),
        ]
    );
}

#[tokio::test]
async fn another_site_gets_no_strict_cookie_even_behind_a_redirect() {
    let (origin, log) = serve().await;
    let mut browser = Browser::new("story");
    let home = browser.open(&format!("{origin}/page")).await.unwrap();
    browser.submit(&home, &home.form("f").unwrap()).await.unwrap();
    let elsewhere = origin.replace("127.0.0.1", "idp.localhost");
    let page = browser.open(&format!("{elsewhere}/page")).await.unwrap();
    lines(&log);
    let mut form = page.form("f").unwrap();
    form.action = format!("{origin}/post");
    browser.submit(&page, &form).await.unwrap();
    assert_eq!(
        lines(&log),
        [
            format!(
                "POST /post | origin={elsewhere} sec-fetch-site=cross-site | csrf=a%26b&plate="
            ),
            "GET /page | sec-fetch-site=cross-site".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_page_without_referrer_posts_from_a_null_origin() {
    let (origin, log) = serve().await;
    let mut browser = Browser::new("story");
    let page = browser.open(&format!("{origin}/quiet")).await.unwrap();
    browser.submit(&page, &page.form("f").unwrap()).await.unwrap();
    assert_eq!(lines(&log)[0], "POST /post | origin=null sec-fetch-site=same-origin");
}

#[tokio::test]
async fn what_a_browser_would_not_do_is_an_error() {
    let (origin, _) = serve().await;
    let mut browser = Browser::new("story");
    let page = browser.open(&format!("{origin}/page")).await.unwrap();
    let again = browser.submit(&page, &page.form("twice").unwrap()).await;
    assert!(matches!(again, Err(StoryError::WouldPostAgain { .. })), "{again:?}");
    let endless = browser.open(&format!("{origin}/loop")).await;
    assert!(matches!(endless, Err(StoryError::TooManyRedirects { .. })), "{endless:?}");
    let refused = browser.open(&format!("{origin}/bad-cookie")).await.unwrap_err();
    assert!(refused.to_string().starts_with("a browser would refuse cookie `__Host-sid`"));
    let nobody = browser.open("http://127.0.0.1:1/").await;
    assert!(matches!(nobody, Err(StoryError::Connect { .. })), "{nobody:?}");
    assert_eq!(page.link("Nowhere").unwrap_err().to_string(), "no link `Nowhere`; there is: Again");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let (origin, _) = serve().await;
    let mut browser = Browser::new("story");
    browser.wait_max = std::time::Duration::from_millis(50);
    let answer = browser.open(&format!("{origin}/never")).await;
    assert!(matches!(answer, Err(StoryError::TimedOut { .. })), "{answer:?}");
}

#[tokio::test]
async fn bytes_come_whole_and_raw_requests_carry_only_what_they_are_given() {
    let (origin, log) = serve().await;
    let mut browser = Browser::new("story");
    let page = browser.open(&format!("{origin}/bytes")).await.unwrap();
    assert_eq!(page.body.as_ref(), [0, 255, 10]);
    assert_eq!(page.text(), "");
    let mut raw = Raw::post(&format!("{origin}/post"), &[("csrf".into(), "wrong".into())]).unwrap();
    raw.headers.retain(|(name, _)| *name != "sec-fetch-site");
    let answer = browser.raw(raw).await.unwrap();
    assert_eq!(answer.status, 303);
    assert_eq!(lines(&log), [format!("POST /post | origin={origin} | csrf=wrong")]);
    assert_eq!(browser.jar.value("127.0.0.1", "__Host-sid"), None);
    assert_eq!(browser.raw(Raw::get(&format!("{origin}/page"))).await.unwrap().status, 200);
}
