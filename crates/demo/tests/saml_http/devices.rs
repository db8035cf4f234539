//! Device classes, directories with certificates, and too much at once.

use http::Method;
use jiff::SignedDuration;
use ledger::testing::SimDisk;
use ledger::{Event, Search};

use crate::cards::{Office, advance, ended, send};
use crate::common::{Layout, signed};
use crate::stage::{Home, response, set_cookie};

const CLASSES: &str = r#"
[session.device_class.vehicle]
idle_minutes = 240
networks = ["127.0.0.0/8"]

[session.device_class.kiosk]
idle_minutes = 5
networks = ["10.0.0.0/8"]
"#;

#[tokio::test]
async fn a_vehicle_may_be_idle_for_longer_and_the_session_says_so() {
    let home = Home::new();
    let agency = home.start(CLASSES).await;
    let cookie = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let class = agency.events().into_iter().find_map(|event| match event {
        Event::SignedIn { device_class, .. } => Some(device_class),
        _ => None,
    });
    assert_eq!(class.unwrap().as_deref(), Some("vehicle"));
    let mine = agency.get("/me/sessions", &cookie).await;
    assert!(mine.text().contains("vehicle"), "{}", mine.text());
    home.clock.advance(SignedDuration::from_mins(239));
    assert_eq!(agency.get("/me", &cookie).await.status, 200);
    home.clock.advance(SignedDuration::from_mins(241));
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    agency.stop().await;
    // A session that began in a class is one of everybody else's where the class is gone.
    let agency = home.start(CLASSES).await;
    let cookie = agency.sign_in_as("det.ruiz", "detective", 2).await;
    agency.stop().await;
    home.clock.advance(SignedDuration::from_mins(31));
    let agency = home.start("").await;
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    agency.stop().await;
}

#[tokio::test]
async fn a_session_lives_no_longer_than_twelve_hours_in_any_class() {
    let home = Home::new();
    let classes = CLASSES.replace("240", "720");
    let agency = home.start(&classes).await;
    let cookie = agency.sign_in_as("det.ruiz", "detective", 1).await;
    for _ in 0..7 {
        home.clock.advance(SignedDuration::from_mins(60));
        assert_eq!(agency.get("/me", &cookie).await.status, 200);
    }
    // The provider's own end of the session (eight hours) comes first here.
    home.clock.advance(SignedDuration::from_mins(61));
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    agency.stop().await;
}

#[tokio::test]
async fn a_browser_s_word_makes_no_class() {
    let home = Home::new();
    let agency = home.start(&CLASSES.replace("127.0.0.0/8", "10.7.0.0/16")).await;
    let begun = agency.begin("riverton").await;
    let xml = signed(&response(&begun, 1, home.now()), Layout::Both);
    use base64::Engine;
    let answer = base64::engine::general_purpose::STANDARD.encode(xml);
    let mut raw = demo::story::client::Raw::post(
        &format!("{}/saml/acs", agency.base),
        &[("SAMLResponse".to_owned(), answer), ("RelayState".to_owned(), begun.relay.clone())],
    )
    .unwrap();
    raw.cookies = false;
    raw.headers.push(("cookie", begun.cookie.clone()));
    raw.headers.push(("x-forwarded-for", "10.7.0.1".to_owned()));
    raw.headers.push(("forwarded", "for=10.7.0.1".to_owned()));
    let page = demo::story::client::Browser::new("vehicle").raw(raw).await.unwrap();
    assert_eq!(page.status, 303);
    set_cookie(&page, "__Host-sid");
    let class = agency.events().into_iter().find_map(|event| match event {
        Event::SignedIn { device_class, .. } => Some(device_class),
        _ => None,
    });
    assert_eq!(class.unwrap(), None);
    agency.stop().await;
}

/// Devices show certificates of an authority of their own.
const BY_CERTIFICATE: &str = r#"
[[certificate_provider]]
id = "devices"
label = "Vehicles"
authorities = "pki/fleet/cert.pem"
name = "subject"
without_revocation = true

[session.device_class.vehicle]
idle_minutes = 240
certificate_provider = "devices"
"#;

#[tokio::test]
async fn a_device_may_prove_its_class_by_a_certificate_and_the_session_is_bound_to_it() {
    let Some(office) = Office::set() else { return };
    let all = testkit::Wanted::new("/O=Riverton/CN=Fleet CA", testkit::AUTHORITY);
    office.pki.authority("fleet", None, &all).unwrap();
    let extensions = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
    office
        .pki
        .issue("fleet", "car7", &testkit::Wanted::new("/O=Riverton/CN=car 7", extensions))
        .unwrap();
    let agency = office.start(BY_CERTIFICATE).await;
    let choice = office.get(&agency, None, "/sign-in", "").await;
    assert!(!choice.text.contains("Vehicles"), "nobody signs in with a vehicle alone");
    for (n, (device, class)) in
        [(Some("car7"), Some("vehicle")), (None, None), (Some("directory"), None)]
            .into_iter()
            .enumerate()
    {
        let started = office.get(&agency, device, "/sign-in/riverton", "").await;
        let begun = crate::stage::begun_at(started.location(), started.cookie("__Host-prelogin"));
        let xml =
            signed(&response(&begun, u32::try_from(n).unwrap(), office.home.now()), Layout::Both);
        use base64::Engine;
        let answer = base64::engine::general_purpose::STANDARD.encode(xml);
        let fields = [("SAMLResponse".to_owned(), answer), ("RelayState".to_owned(), begun.relay)];
        let got = crate::cards::submit(
            &mut office.open(&agency, device).await,
            "/saml/acs",
            &begun.cookie,
            &fields,
        )
        .await;
        assert_eq!(got.status, 303, "{}", got.text);
        let found = agency.events().into_iter().find_map(|event| match event {
            Event::SignedIn { device_class, certificate, .. } => {
                Some((device_class, certificate.is_some()))
            }
            _ => None,
        });
        assert_eq!(found.unwrap(), (class.map(str::to_owned), class.is_some()), "{device:?}");
        if class.is_some() {
            let cookie = got.cookie("__Host-sid");
            advance(&office, 31);
            assert_eq!(
                office.get(&agency, device, "/me", &cookie).await.status,
                303,
                "to the notice"
            );
            assert_eq!(
                office.get(&agency, None, "/me", &cookie).await.status,
                401,
                "the cookie elsewhere"
            );
            assert_eq!(ended(&agency), "cert.session.missing");
        }
    }
    agency.stop().await;
}

#[tokio::test]
async fn a_directory_shows_a_certificate_instead_of_a_token() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    let rooms = (&agency.server.agency.ledger, &agency.server.agency.state);
    let token = web::scim::tokens::make(
        rooms,
        "hr",
        (office.home.now(), 30),
        (&ledger::Record::platform, "R. Stone"),
        &keys::SystemRandom,
    )
    .await
    .unwrap();
    let bearer = format!("Bearer {token}");
    for (card, headers, status) in [
        (Some("directory"), vec![], 200),
        (Some("ruiz"), vec![], 401),
        (Some("server"), vec![], 401),
        (None, vec![], 401),
        (None, vec![("authorization", &*bearer)], 401),
        (None, vec![("client-cert", "::"), ("x-client-cert", "x")], 401),
    ] {
        let mut connection = office.open(&agency, card).await;
        let got = send(&mut connection, Method::GET, "/scim/v2/Users", &headers, "").await;
        assert_eq!(got.status, status, "{card:?} {headers:?}: {}", got.text);
    }
    advance(&office, 60 * 24 * 31);
    let mut connection = office.open_late(&agency, "directory").await;
    let got = send(&mut connection, Method::GET, "/scim/v2/Users", &[], "").await;
    assert_eq!(got.status, 401, "its certificate is over");
    agency.stop().await;
}

/// A response whose signature does not hold.
fn forged(begun: &crate::stage::Begun, n: u32, home: &Home) -> String {
    signed(&response(begun, n, home.now()), Layout::Both).replace("det.ruiz", "cpt.vega")
}

fn alerts(agency: &crate::stage::Agency) -> usize {
    let floods = agency.events().into_iter().filter(|event| {
        matches!(event, Event::ProviderAlert { what, .. } if what.starts_with("saml.flood"))
    });
    floods.count()
}

#[tokio::test]
async fn signatures_that_do_not_hold_one_after_the_other_are_told_of_once() {
    let home = Home::new();
    let agency = home.start("").await;
    for n in 0..45 {
        let begun = agency.begin("riverton").await;
        assert_eq!(agency.answer(&begun, forged(&begun, n, &home).as_bytes()).await.status, 403);
        home.clock.advance(SignedDuration::from_secs(2));
        assert_eq!(alerts(&agency), usize::from(n >= 19), "after {n}");
    }
    agency.sign_in_as("det.ruiz", "detective", 100).await;
    home.clock.advance(SignedDuration::from_mins(6));
    for n in 200..220 {
        let begun = agency.begin("riverton").await;
        agency.answer(&begun, forged(&begun, n, &home).as_bytes()).await;
    }
    assert_eq!(alerts(&agency), 2, "another episode");
    agency.stop().await;
}

#[tokio::test]
async fn whoever_answers_too_often_waits_and_the_ledger_has_the_sum() {
    let home = Home::new();
    let disk = std::sync::Arc::new(SimDisk::new());
    let agency = home.start_on(disk.clone()).await;
    let before = agency.server.agency.ledger.size();
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    for _ in 0..1_100 {
        let status = agency
            .post("/saml/acs", "", &[("SAMLResponse", "x"), ("RelayState", "y")])
            .await
            .status;
        *statuses.entry(status).or_default() += 1;
    }
    assert_eq!(statuses.get(&403), Some(&500));
    assert_eq!(statuses.get(&429), Some(&600));
    assert_eq!(agency.server.agency.ledger.size() - before, 500);
    home.clock.advance(SignedDuration::from_mins(1));
    for _ in 0..100 {
        // Again allowed to ask, but this episode's refusals have their places.
        assert_eq!(agency.post("/saml/acs", "", &[]).await.status, 429);
    }
    home.clock.advance(SignedDuration::from_mins(5));
    disk.fail_writes_after("journal", 0);
    agency.server.agency.record_sums().await;
    assert_eq!(agency.server.agency.ledger.size() - before, 500, "nothing could be written");
    disk.mend();
    // The ledger tries its disk again by itself, within seconds.
    let mut sums = Vec::new();
    for _ in 0..600 {
        agency.server.agency.record_sums().await;
        let kinds = vec!["refusals-summed".to_owned()];
        let page = agency.server.agency.ledger.search(&Search { kinds, ..Search::newest(9) });
        sums = page.unwrap().entries.into_iter().map(|entry| entry.record.event).collect();
        if !sums.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let [Event::RefusalsSummed { of, counts, .. }] = sums.as_slice() else { panic!("{sums:?}") };
    assert_eq!((of.as_str(), counts.values().sum::<u64>()), ("unknown", 700), "{counts:?}");
    // Whoever comes now is heard.
    let begun = agency.begin("riverton").await;
    let xml = signed(&response(&begun, 1, home.now()), Layout::Both);
    assert_eq!(agency.answer(&begun, xml.as_bytes()).await.status, 303);
    agency.stop().await;
}

#[tokio::test]
async fn strangers_with_old_cookies_do_not_fill_the_ledger() {
    let home = Home::new();
    let agency = home.start("").await;
    let before = agency.server.agency.ledger.size();
    let cookie = format!("__Host-sid={}", "A".repeat(43));
    for _ in 0..700 {
        let status = agency.get("/me", &cookie).await.status;
        assert!([401, 429].contains(&status), "{status}");
    }
    assert_eq!(agency.server.agency.ledger.size() - before, 500);
    agency.stop().await;
}
