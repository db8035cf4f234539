//! The set-up wizard where somebody does wrong: what is tried lets nobody in, whoever brings which answer, and
//! nothing is kept that could not be recorded.

use std::sync::Arc;

use demo::story::client::Page;
use jiff::SignedDuration;
use ledger::Event;

use crate::common::{self, Layout, attacker, metadata_of, signed, signed_by};
use crate::stage::{Agency, Begun, Home, begun, response, set_cookie};

const KIND: &str = "multipart/form-data; boundary=x";

/// A provider that is not switched on: the attacker's key, and an entity ID of its own.
fn metadata() -> String {
    metadata_of(&[&attacker().certificate]).replace("idp.riverton.example", "idp.county.example")
}

fn form(csrf: &str, guide: &str, file: &str) -> Vec<u8> {
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let (csrf, guide) = (part("csrf", csrf), part("guide", guide));
    let head = "Content-Disposition: form-data; name=\"metadata\"; filename=\"a.xml\"";
    format!("{csrf}{guide}--x\r\n{head}\r\n\r\n{file}\r\n--x--\r\n").into_bytes()
}

async fn csrf(agency: &Agency, cookie: &str) -> String {
    agency.get("/", cookie).await.form("/sign-out").unwrap().value("csrf").unwrap()
}

async fn upload(agency: &Agency, cookie: &str, file: &str) -> Page {
    let csrf = csrf(agency, cookie).await;
    let body = form(&csrf, "other", file);
    agency.upload("/identity/providers", cookie, &body, KIND).await
}

/// A draft's address.
async fn draft(agency: &Agency, cookie: &str) -> String {
    let page = upload(agency, cookie, &metadata()).await;
    assert_eq!(page.status, 303, "{}", page.text());
    page.header("location").unwrap().to_owned()
}

/// An answer of the draft's provider.
fn answer(begun: &Begun, n: u32, agency: &Agency) -> String {
    let xml = response(begun, n, agency.server.agency.now());
    let xml = xml.replace("idp.riverton.example", "idp.county.example");
    signed_by(&xml, Layout::Both, attacker())
}

fn signs_nobody_in(page: &Page) {
    let cookies = page.headers.get_all("set-cookie").iter();
    let session = cookies.filter(|line| line.to_str().unwrap().starts_with("__Host-sid="));
    assert_eq!(session.count(), 0, "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_trial_lets_nobody_in_and_counts_only_where_it_was_begun() {
    let home = Home::new();
    let agency = home.start("").await;
    let cookie = agency.stepped_up_administrator(1).await;
    let path = draft(&agency, &cookie).await;
    let trial = begun(&agency.get(&format!("{path}/try"), &cookie).await);
    assert!(trial.to.starts_with("https://idp.county.example/"), "{}", trial.to);
    assert!(matches!(agency.newest().1, Event::Released { .. }));

    // In a browser without the trial, and with another sign-in's cookie.
    let page = agency.answer(&Begun { cookie: String::new(), ..trial.clone() }, b"x").await;
    assert_eq!(page.status, 403);
    let sign_in = agency.begin("riverton").await;
    let mixed = Begun { cookie: sign_in.cookie.clone(), ..trial.clone() };
    let page = agency.answer(&mixed, answer(&trial, 3, &agency).as_bytes()).await;
    assert_eq!(page.status, 403);
    signs_nobody_in(&page);

    // An honest answer of the provider that is on, to the trial of the one that is not.
    let honest = signed(&response(&trial, 4, agency.server.agency.now()), Layout::Both);
    let again = begun(&agency.get(&format!("{path}/try"), &cookie).await);
    let page = agency.answer(&again, honest.as_bytes()).await;
    assert_eq!(page.status, 303);
    signs_nobody_in(&page);
    let Event::ProviderTried { outcome, .. } = agency.newest().1 else { unreachable!() };
    assert_eq!(outcome, "saml.signature.invalid");

    // The right one: it is told, and nobody is in.
    let page = agency.answer(&trial, answer(&trial, 5, &agency).as_bytes()).await;
    assert_eq!(page.header("location").unwrap(), format!("{path}#trial"));
    signs_nobody_in(&page);
    let Event::ProviderTried { by, outcome, .. } = agency.newest().1 else { unreachable!() };
    assert_eq!((&*by, &*outcome), ("riverton|adm.voss", "accepted"));
    let page = agency.get(&path, &cookie).await;
    assert!(page.says("tried, accepted") && page.says("det.ruiz"), "{}", page.text());
    // Once, as every answer.
    let page = agency.answer(&trial, answer(&trial, 6, &agency).as_bytes()).await;
    assert_eq!(page.status, 403);
    signs_nobody_in(&page);
    assert!(agency.get("/sign-in/other", "").await.status == 404, "it is not switched on");
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_administrators_after_a_step_up_and_others_only_look() {
    let home = Home::new();
    let agency = home.start("").await;
    let plain = agency.sign_in_as("adm.other", "administrator", 1).await;
    assert_eq!(upload(&agency, &plain, &metadata()).await.status, 403, "without a step-up");
    let cookie = agency.stepped_up_administrator(2).await;
    let path = draft(&agency, &cookie).await;
    let officer = agency.sign_in_as("so.lindqvist", "security-officer", 4).await;
    assert!(agency.get(&path, &officer).await.says("What its metadata says"));
    assert_eq!(agency.get(&format!("{path}/try"), &officer).await.status, 403);
    assert_eq!(upload(&agency, &officer, &metadata()).await.status, 403);
    let detective = agency.sign_in_as("det.ruiz", "detective", 5).await;
    for path in ["/identity/providers", "/identity/guides/entra", "/identity/guides/oidc", &path] {
        assert_eq!(agency.get(path, &detective).await.status, 403, "{path}");
    }
    // The metadata comes back byte for byte, and ours can be had by anybody.
    let page = agency.get(&format!("{path}/metadata"), &officer).await;
    assert_eq!(page.body, metadata().as_bytes());
    let page = agency.get("/saml/certificate.pem", "").await;
    assert!(page.body.starts_with(b"-----BEGIN CERTIFICATE-----"));
    for guide in ["entra", "okta", "adfs", "keycloak", "simplesamlphp", "other", "oidc"] {
        let page = agency.get(&format!("/identity/guides/{guide}"), &cookie).await;
        assert_eq!(page.status, 200, "{guide}");
        assert!(page.says("https://bailiwick.riverton.example/"), "{guide}: {}", page.text());
    }
    assert_eq!(agency.get("/identity/guides/none", &cookie).await.status, 404);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_settings_that_can_t_be_used_are_refused_with_their_reason() {
    let home = Home::new();
    let agency = home.start("").await;
    let cookie = agency.stepped_up_administrator(1).await;
    for (file, words) in [
        (String::new(), "Choose the file"),
        ("<html/>".to_owned(), "idp.metadata.root"),
        (format!("<!DOCTYPE a>{}", metadata()), "saml.shape.markup"),
        (metadata().replace("2027-01-01", "2020-01-01"), "idp.metadata.expired"),
        (metadata().replace("HTTP-Redirect", "HTTP-POST"), "idp.metadata.incomplete"),
    ] {
        let page = upload(&agency, &cookie, &file).await;
        assert_eq!(page.status, 400);
        assert!(page.says(words), "{words}: {}", page.text());
    }
    let large = "x".repeat((1 << 20) + 70_000);
    assert_eq!(upload(&agency, &cookie, &large).await.status, 413);
    // A form of another kind, another site's, or with another session's token.
    let (wrong, good) = (form("wrong", "other", &metadata()), csrf(&agency, &cookie).await);
    let page = agency.upload("/identity/providers", &cookie, &wrong, KIND).await;
    assert_eq!(page.status, 403);
    assert!(matches!(agency.newest().1, Event::RequestRefused { reason, .. } if reason == "csrf"));
    let body = form(&good, "other", &metadata());
    for kind in ["text/plain", "multipart/form-data", "multipart/form-data; boundary=y"] {
        assert_eq!(agency.upload("/identity/providers", &cookie, &body, kind).await.status, 400);
    }

    let path = draft(&agency, &cookie).await;
    let fields = agency.get(&path, &cookie).await.pressed("Keep these settings").unwrap().fields();
    for (name, value, words) in [
        ("id", "County!", "its id is not 1 to 40"),
        ("label", "", "Give a name"),
        ("mfa_contexts", "", "no way to state more than one factor"),
        ("functions_map", "Detectives", "not of the form"),
        ("agency", "NB002", "can't be used"),
        ("agency", "NB0020000", "what guests may be"),
        ("source", "address", "not an https address"),
    ] {
        let changed: Vec<(&str, &str)> = fields
            .iter()
            .map(|(known, old)| (&**known, if known == name { value } else { &**old }))
            .collect();
        let page = agency.post_from_here(&path, &cookie, &changed).await;
        assert_eq!(page.status, 400, "{name}");
        assert!(page.says(words), "{words}: {}", page.text());
    }
    assert!(agency.get(&path, &cookie).await.says("id = \"other\""), "nothing of it was kept");
    let csrf = csrf(&agency, &cookie).await;
    let end = [("csrf", &*csrf), ("act", "discard")];
    assert_eq!(agency.post_from_here(&path, &cookie, &end).await.status, 303);
    assert_eq!(agency.get(&path, &cookie).await.status, 404);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_can_not_be_recorded_is_not_shown() {
    let home = Home::new();
    let disk = Arc::new(ledger::testing::SimDisk::new());
    let agency = home.start_on(disk.clone()).await;
    let cookie = agency.stepped_up_administrator(1).await;
    let path = draft(&agency, &cookie).await;
    let trial = begun(&agency.get(&format!("{path}/try"), &cookie).await);
    disk.fail_writes_after("journal", 0);
    let page = agency.answer(&trial, answer(&trial, 3, &agency).as_bytes()).await;
    assert_eq!(page.status, 503, "{}", page.text());
    signs_nobody_in(&page);
    assert_eq!(upload(&agency, &cookie, &metadata()).await.status, 503);
    disk.mend();
    while agency.get("/sign-in/riverton", "").await.status == 503 {
        home.clock.advance(SignedDuration::from_secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let page = agency.get(&path, &cookie).await;
    assert!(page.says("not tried"), "{}", page.text());
    let list = agency.get("/identity/providers", &cookie).await;
    assert_eq!(list.links().filter(|(_, to)| to.contains("/providers/")).count(), 1);
    agency.stop().await;
}

/// The session cookie of a sign-in is not what a trial gives.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_under_way_beside_a_trial_is_not_disturbed() {
    let home = Home::new();
    let agency = home.start("").await;
    let cookie = agency.stepped_up_administrator(1).await;
    let path = draft(&agency, &cookie).await;
    let trial = begun(&agency.get(&format!("{path}/try"), &cookie).await);
    let sign_in = agency.begin("riverton").await;
    let page = agency.answer(&trial, answer(&trial, 3, &agency).as_bytes()).await;
    assert_eq!(page.status, 303);
    let xml = response(&sign_in, 4, agency.server.agency.now());
    let page = agency.answer(&sign_in, common::signed(&xml, Layout::Both).as_bytes()).await;
    assert_eq!(page.status, 303, "{:?}", agency.newest());
    assert!(!set_cookie(&page, "__Host-sid").is_empty());
    agency.stop().await;
}
