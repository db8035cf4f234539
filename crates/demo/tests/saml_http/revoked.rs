//! Whoever is put out is out at once: what streams and what is being downloaded stops in under a second, by every
//! path that there is with SAML and SCIM. OpenID Connect's are in `oidc_http`, an administrator's click in `it`.

use std::time::Instant;

use demo::story::client::{Browser, Raw};
use http::Method;
use jiff::SignedDuration;
use ledger::Event;
use serde_json::json;
use testkit::SamlIdp;

use crate::download::{UnderWay, cookie_of};
use crate::film;
use crate::peers::{PERSISTENT, log_in, start, text_of};
use crate::scim::stage_with;
use crate::stage::{Agency, Home};

/// The address of the film, for whoever has this session.
pub(crate) async fn film_of(agency: &Agency, cookie: &str) -> String {
    let page = agency.get(film::TOOL, cookie).await;
    let runs = format!("{}/runs", film::TOOL);
    let form = page.form(&runs).unwrap().set("purpose", "C").unwrap().fields();
    let fields: Vec<(&str, &str)> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    let answer = agency.post_from_here(&runs, cookie, &fields).await;
    film::film(&agency.get(&film::viewer(&answer), cookie).await)
}

async fn under_way(agency: &Agency, cookie: &str) -> UnderWay {
    let film = film_of(agency, cookie).await;
    UnderWay::begin(&agency.base, cookie, &film).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_stops_the_bytes_by_patch_in_either_dialect_and_by_delete() {
    let home = Home::new();
    let stage = stage_with(&home, film::write(home.folder.path())).await;
    let id = stage.person("det.ruiz").await;
    stage.group("detective", &[&id]).await;
    let ways = [
        ("SCIM PATCH active=false", Some(json!(false))),
        ("SCIM PATCH active=\"False\", as Entra ID has it", Some(json!("False"))),
        ("SCIM DELETE", None),
    ];
    for (n, (by, active)) in (1..).zip(ways) {
        stage.set_active(&id, json!(true)).await;
        let cookie = stage.agency.sign_in_as("det.ruiz", "detective", n).await;
        let under_way = under_way(&stage.agency, &cookie).await;
        let told = Instant::now();
        match active {
            Some(active) => stage.set_active(&id, active).await,
            None => {
                let path = format!("/Users/{id}");
                assert_eq!(stage.ask(Method::DELETE, &path, None).await.0, 204);
            }
        }
        under_way.stopped(told, by).await;
        assert_eq!(stage.agency.get("/me", &cookie).await.status, 401, "{by}");
    }
    stage.agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_providers_log_out_stops_the_bytes() {
    let (peer, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(idp) = SamlIdp::simplesamlphp(peer.path()).await.unwrap() else { return };
    let metadata = text_of(&idp.metadata_url).await;
    let port = testkit::free_port().unwrap();
    let more = format!("{PERSISTENT}\noaep_sha1 = true\n{}", film::write(folder.path()));
    let agency = start(folder.path(), port, &metadata, &more).await;
    let ours = text_of(&format!("{}/saml/metadata", agency.base)).await;
    std::fs::write(&idp.service_metadata, ours).unwrap();
    let mut browser = Browser::new("ruiz");
    let page = agency.ask(&mut browser).await;
    let page = log_in(&mut browser, &page).await;
    let page = agency.back(&mut browser, &page).await;
    agency.accept(&mut browser, &page).await;

    let page = browser.open(&format!("{}{}", agency.base, film::TOOL)).await.unwrap();
    let form = page.form(&format!("{}/runs", film::TOOL)).unwrap().set("purpose", "C").unwrap();
    let answer = browser.submit(&page, &form).await.unwrap();
    let viewer = browser.go(&answer, &film::viewer(&answer)).await.unwrap();
    let cookie = cookie_of(&browser, &agency.base);
    let under_way = UnderWay::begin(&agency.base, &cookie, &film::film(&viewer)).await;

    // The person signs out there. The provider's answers lead the browser to our end of sessions with a signed
    // request, and what comes before that is the provider's own time.
    let theirs = idp.metadata_url.replace("metadata.php", "SingleLogoutService.php");
    let back = idp.metadata_url.replace("saml2/idp/metadata.php", "logout.php");
    let mut to = format!("{theirs}?ReturnTo={back}");
    while !to.starts_with(&agency.base) {
        let page = browser.raw(Raw::get(&to)).await.unwrap();
        to = page.header("location").unwrap_or_else(|| panic!("{to}: {}", page.text())).to_owned();
    }
    let told = Instant::now();
    browser.open(&to).await.unwrap();
    under_way.stopped(told, "SimpleSAMLphp's LogoutRequest").await;
    let page = browser.open(&format!("{}/me", agency.base)).await.unwrap();
    assert!(page.status == 401 || page.address.path() != "/me", "{}", page.text());
    agency.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_time_is_over_stops_the_bytes_though_nobody_asks() {
    let home = Home::new();
    let agency = home.start(film::write(home.folder.path())).await;
    let ended = |agency: &Agency| match agency.newest().1 {
        Event::SessionEnded { reason } => reason,
        other => format!("{other:?}"),
    };
    let cookie = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let running = under_way(&agency, &cookie).await;
    let told = Instant::now();
    home.clock.advance(SignedDuration::from_mins(30));
    running.stopped_by_looking(told, "half an hour without an act").await;
    assert_eq!(ended(&agency), "idle");

    // Whoever does something goes on, but not beyond the provider's own end of the session, after eight hours.
    let cookie = agency.sign_in_as("det.ruiz", "detective", 2).await;
    let running = under_way(&agency, &cookie).await;
    for _ in 0..23 {
        home.clock.advance(SignedDuration::from_mins(20));
        assert_eq!(agency.get("/me", &cookie).await.status, 200);
    }
    let told = Instant::now();
    home.clock.advance(SignedDuration::from_mins(20));
    running.stopped_by_looking(told, "eight hours").await;
    assert_eq!(ended(&agency), "absolute");
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    agency.stop().await;
}
