//! Providers over a day: keys roll over, metadata runs out or goes bad, addresses do not answer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use jiff::SignedDuration;
use ledger::Event;

use crate::common::{Layout, attacker, idp_signer, metadata_of, now, sign_one, signed, signed_by};
use crate::stage::{Agency, Home, response};

const FIRST: &str = "riverton";

async fn signs_in(agency: &Agency, n: u32, by: &crate::common::Signer) -> u16 {
    let begun = agency.begin(FIRST).await;
    let xml = signed_by(&response(&begun, n, agency.server.agency.now()), Layout::Both, by);
    agency.answer(&begun, xml.as_bytes()).await.status
}

fn refusal(agency: &Agency) -> String {
    match agency.newest().1 {
        Event::SignInRefused { reason, .. } => reason,
        other => format!("{other:?}"),
    }
}

fn alerts(agency: &Agency) -> Vec<(String, Option<u64>)> {
    let told = |event| match event {
        Event::ProviderAlert { what, days_left, .. } => Some((what, days_left)),
        _ => None,
    };
    let mut all: Vec<_> = agency.events().into_iter().filter_map(told).collect();
    all.reverse();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_changes_its_key_in_the_middle_of_the_day() {
    let home = Home::new();
    let agency = home.start("").await;
    let (old, new) = (idp_signer(), attacker());
    assert_eq!(signs_in(&agency, 1, old).await, 303);
    assert_eq!(signs_in(&agency, 2, new).await, 403);
    assert_eq!(refusal(&agency), "saml.signature.invalid");

    // It shows both keys, and signs with either.
    let begun = agency.begin(FIRST).await;
    std::fs::write(home.path("idp.xml"), metadata_of(&[&old.certificate, &new.certificate]))
        .unwrap();
    agency.server.agency.refresh_providers().await;
    assert!(matches!(agency.newest().1, Event::SettingsLoaded { what, .. }
        if what == "metadata of identity provider riverton"));
    let xml = signed_by(&response(&begun, 3, now()), Layout::Both, new);
    assert_eq!(agency.answer(&begun, xml.as_bytes()).await.status, 303, "begun before the change");
    assert_eq!(signs_in(&agency, 4, old).await, 303);

    // The old one is withdrawn.
    std::fs::write(home.path("idp.xml"), metadata_of(&[&new.certificate])).unwrap();
    agency.server.agency.refresh_providers().await;
    assert_eq!(signs_in(&agency, 5, new).await, 303);
    assert_eq!(signs_in(&agency, 6, old).await, 403);
    assert_eq!(refusal(&agency), "saml.signature.invalid");

    // A bad file changes nothing, and is told of once.
    std::fs::write(home.path("idp.xml"), "<md:EntityDescriptor").unwrap();
    agency.server.agency.refresh_providers().await;
    agency.server.agency.refresh_providers().await;
    let told = alerts(&agency);
    assert_eq!(told.last().unwrap(), &("saml.shape.xml".to_owned(), None));
    assert_eq!(told.iter().filter(|(what, _)| what == "saml.shape.xml").count(), 1);
    assert_eq!(signs_in(&agency, 7, new).await, 303);

    // So does the metadata of somebody else.
    let other =
        metadata_of(&[&old.certificate]).replace(crate::common::IDP, "https://evil.example");
    std::fs::write(home.path("idp.xml"), other).unwrap();
    agency.server.agency.refresh_providers().await;
    assert_eq!(alerts(&agency).last().unwrap().0, "its metadata names another provider");
    assert_eq!(signs_in(&agency, 8, new).await, 303);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_is_told_sixty_thirty_and_seven_days_before_and_then_nobody_gets_in() {
    let home = Home::new();
    let agency = home.start("").await;
    let look = async |at: &str| {
        home.clock.set(at.parse().unwrap());
        agency.server.agency.refresh_providers().await;
        alerts(&agency)
    };
    // The metadata is valid until New Year.
    let said = |days| ("its metadata runs out".to_owned(), Some(days));
    assert_eq!(look("2026-11-22T09:00:00Z").await, [said(39)], "later than sixty days before");
    assert_eq!(look("2026-11-30T09:00:00Z").await.len(), 1);
    assert_eq!(look("2026-12-01T09:00:00Z").await, [said(39), said(30)]);
    assert_eq!(look("2026-12-23T09:00:00Z").await.len(), 2);
    assert_eq!(look("2026-12-24T09:00:00Z").await.last(), Some(&said(7)));
    assert_eq!(look("2026-12-31T23:59:59Z").await.len(), 3);
    assert_eq!(signs_in(&agency, 1, idp_signer()).await, 303);
    let late = agency.begin(FIRST).await;
    home.clock.set("2027-01-01T00:00:00Z".parse().unwrap());
    let page = agency.get("/sign-in/riverton", "").await;
    assert_eq!((page.status, refusal(&agency).as_str()), (403, "idp.metadata.expired"));
    let xml = signed(&response(&late, 2, agency.server.agency.now()), Layout::Both);
    let page = agency.answer(&late, xml.as_bytes()).await;
    assert_eq!((page.status, refusal(&agency).as_str()), (403, "idp.metadata.expired"));

    let fresh = metadata_of(&[&idp_signer().certificate]).replace("2027-01-01", "2027-12-31");
    std::fs::write(home.path("idp.xml"), fresh).unwrap();
    agency.server.agency.refresh_providers().await;
    assert_eq!(signs_in(&agency, 3, idp_signer()).await, 303);
    agency.stop().await;
}

/// What the metadata's server answers at the moment.
type Shown = Arc<Mutex<Option<String>>>;

async fn serve(shown: Shown) -> std::net::SocketAddr {
    async fn answer(State(shown): State<Shown>) -> (StatusCode, String) {
        match shown.lock().unwrap().clone() {
            Some(xml) => (StatusCode::OK, xml),
            None => (StatusCode::BAD_GATEWAY, String::new()),
        }
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/federation/metadata", get(answer)).with_state(shown);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn published(until: &str, signer: &crate::common::Signer) -> String {
    let xml = metadata_of(&[&idp_signer().certificate])
        .replace("entityID=", "ID=\"_m\" entityID=")
        .replace("2027-01-01", until);
    sign_one(&xml, "_m", signer)
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_fetched_daily_and_only_what_is_signed_counts() {
    let home = Home::new();
    let shown = Shown::default();
    let address = serve(shown.clone()).await;
    let set = |xml: Option<String>| *shown.lock().unwrap() = xml;
    std::fs::write(home.path("signer.pem"), attacker().certificate.pem()).unwrap();
    let url = format!("http://{address}/federation/metadata?id=1");
    let settings = format!("metadata_url = \"{url}\"\nmetadata_signer = \"signer.pem\"");
    let from = "metadata = \"idp.xml\"";
    let start = || home.start_changed(|usual| usual.replace(from, &settings));

    // Nothing was ever fetched: the agency runs, and says so to whoever wants to sign in.
    let agency = start().await;
    let page = agency.get("/sign-in/riverton", "").await;
    assert_eq!((page.status, refusal(&agency).as_str()), (403, "idp.metadata.missing"));
    agency.server.agency.refresh_providers().await;
    assert_eq!(alerts(&agency), [("its metadata can't be had".to_owned(), None)]);
    set(Some(published("2026-12-20", attacker())));
    agency.server.agency.refresh_providers().await;
    assert_eq!(agency.get("/sign-in/riverton", "").await.status, 403, "not asked at every look");
    home.clock.advance(SignedDuration::from_mins(5));
    agency.server.agency.refresh_providers().await;
    assert_eq!(signs_in(&agency, 1, idp_signer()).await, 303);

    // Signed by a key that is not the configured one, or changed on its way.
    for (bad, code) in [
        (published("2027-12-20", idp_signer()), "saml.signature.invalid"),
        (published("2027-12-20", attacker()).replace("2027", "2037"), "saml.signature.digest"),
    ] {
        set(Some(bad));
        home.clock.advance(SignedDuration::from_hours(24));
        agency.server.agency.refresh_providers().await;
        assert_eq!(alerts(&agency).last().unwrap().0, code);
    }
    assert_eq!(signs_in(&agency, 2, idp_signer()).await, 303);
    agency.stop().await;

    // At the next start the address does not answer: what was believed is still there.
    set(None);
    let agency = start().await;
    assert_eq!(signs_in(&agency, 3, idp_signer()).await, 303);
    agency.stop().await;
    let copy = home.path("data/saml/metadata-riverton.xml");
    let kept = std::fs::read_to_string(&copy).unwrap();
    std::fs::write(&copy, kept.replace("2026-12-20", "2036-12-20")).unwrap();
    let refused = home.try_start(|usual| usual.replace(from, &settings)).await;
    assert!(
        refused.err().unwrap().contains("saml.signature.digest"),
        "a copy is judged like the rest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_can_not_be_recorded_does_not_count() {
    let home = Home::new();
    let disk = Arc::new(ledger::testing::SimDisk::new());
    let agency = home.start_on(disk.clone()).await;
    let (old, new) = (idp_signer(), attacker());
    std::fs::write(home.path("idp.xml"), metadata_of(&[&new.certificate])).unwrap();
    disk.fail_writes_after("journal", 0);
    agency.server.agency.refresh_providers().await;
    disk.mend();
    // It tries itself a few times a second, by its clock.
    while agency.get("/sign-in/riverton", "").await.status == 503 {
        home.clock.advance(SignedDuration::from_secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let before = signs_in(&agency, 1, old).await;
    assert_eq!(before, 303, "the old key still counts: {}", refusal(&agency));
    agency.server.agency.refresh_providers().await;
    assert_eq!(signs_in(&agency, 2, new).await, 303);
    agency.stop().await;
}
