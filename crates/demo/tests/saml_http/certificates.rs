//! Signing in with a card over TLS, and what a session with one is bound to.

use std::process::Command;

use http::Method;
use ledger::testing::SimDisk;
use ledger::{Event, Record};

use crate::cards::{Office, advance, ended, refusal, send, submit};
use crate::common::{Layout, signed};
use crate::stage::{Agency, response};

#[tokio::test]
async fn a_card_and_its_account_let_somebody_in_and_the_ledger_has_it_first() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    let choice = office.get(&agency, None, "/sign-in", "").await;
    assert!(choice.text.contains("Smart card"), "{}", choice.text);
    let cookie = office.session(&agency, "ruiz").await;
    let me = office.get(&agency, Some("ruiz"), "/me", &cookie).await;
    assert_eq!(me.status, 200, "{}", me.text);
    let sessions = office.get(&agency, Some("ruiz"), "/me/sessions", &cookie).await;
    assert!(sessions.text.contains("bound to a certificate"), "{}", sessions.text);
    let signed_in = agency.events().into_iter().find_map(|event| match event {
        Event::SignedIn { idp, context, mfa, certificate, device_class, .. } => {
            Some((idp, context, mfa, certificate, device_class))
        }
        _ => None,
    });
    let card = office.certificate("ruiz").fingerprint_text();
    let context = "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI".to_owned();
    assert_eq!(signed_in.unwrap(), ("piv".to_owned(), context, true, Some(card), None));
    agency.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_another_card_or_none() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    office.account(&agency, "park", "detective").await;
    for (card, reason) in [(Some("park"), "cert.session.other"), (None, "cert.session.missing")] {
        let cookie = office.session(&agency, "ruiz").await;
        assert_eq!(office.get(&agency, Some("ruiz"), "/me", &cookie).await.status, 200);
        assert_eq!(office.get(&agency, card, "/me", &cookie).await.status, 401);
        assert_eq!(ended(&agency), reason);
        assert_eq!(
            office.get(&agency, Some("ruiz"), "/me", &cookie).await.status,
            401,
            "it is over"
        );
    }
    agency.stop().await;
}

#[tokio::test]
async fn a_revoked_card_signs_nobody_in_and_ends_the_sessions_that_it_began() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    let cookie = office.session(&agency, "ruiz").await;
    office.pki.revoke("ca", "ruiz").unwrap();
    office.list();
    agency.server.agency.refresh_revocation_lists().await;
    assert_eq!(office.get(&agency, Some("ruiz"), "/me", &cookie).await.status, 401);
    assert_eq!(ended(&agency), "cert.revoked");
    assert_eq!(office.sign_in(&agency, "ruiz").await.status, 403);
    assert_eq!(refusal(&agency), "cert.revoked");
    let loaded = agency.events().into_iter().filter(|event| {
        matches!(event, Event::SettingsLoaded { what, .. } if what.contains("revoked certificates of piv"))
    });
    assert_eq!(loaded.count(), 2, "each list is on record before it counts");
    agency.stop().await;
}

#[tokio::test]
async fn who_is_refused_sees_a_plain_page_and_the_reason_is_on_record() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    let hours =
        |hours| crate::cards::stamp(office.home.now() + jiff::SignedDuration::from_hours(hours));
    let wanted = |name: &str, change: &dyn Fn(&mut testkit::Wanted)| {
        let extensions = format!("{}ruiz@riverton.example\n", crate::cards::CARD);
        let mut wanted = testkit::Wanted::new("/CN=Elena Ruiz", &extensions);
        change(&mut wanted);
        office.pki.issue("ca", name, &wanted).unwrap();
    };
    wanted("expired", &|one| one.until = Some(hours(-1)));
    wanted("early", &|one| one.from = Some(hours(1)));
    wanted("server", &|one| one.extensions = one.extensions.replace("clientAuth", "serverAuth"));
    wanted("soft", &|one| one.extensions = one.extensions.replace("3.2.1.3.13", "3.2.1.3.7"));
    wanted("nobody", &|one| one.extensions = one.extensions.replace("ruiz@", "nobody@"));
    wanted("sha1", &|one| one.digest = "sha1");
    wanted("unnamed", &|one| {
        one.extensions = one.extensions.split("subjectAltName").next().unwrap().to_owned()
    });
    for (card, code) in [
        (Some("expired"), "cert.expired"),
        (Some("early"), "cert.not_yet_valid"),
        (Some("server"), "cert.purpose"),
        (Some("soft"), "cert.policy"),
        (Some("sha1"), "cert.signature"),
        (Some("unnamed"), "cert.name"),
        (Some("directory"), "cert.issuer"),
        (Some("nobody"), "authz.not_provisioned"),
        (None, "cert.missing"),
    ] {
        let (cookie, page) = office.begin(&agency, Some("ruiz")).await;
        let mut connection = office.open(&agency, card).await;
        let got =
            submit(&mut connection, "/certificate", &cookie, &page.fields("/certificate")).await;
        assert_eq!((got.status, refusal(&agency).as_str()), (403, code), "{}", got.text);
        assert!(
            got.text.contains("Quote ledger entry") && !got.text.contains(code),
            "{}",
            got.text
        );
        let cookies = got.headers.get_all("set-cookie").iter();
        assert!(!cookies.into_iter().any(|line| line.to_str().unwrap().starts_with("__Host-sid=")));
    }
    let (_, page) = office.begin(&agency, None).await;
    assert!(page.text.contains("No card was shown"), "{}", page.text);
    agency.stop().await;
}

#[tokio::test]
async fn a_form_counts_once_in_the_browser_that_asked_and_from_our_own_page() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    let (cookie, page) = office.begin(&agency, Some("ruiz")).await;
    let fields = page.fields("/certificate");
    let mut connection = office.open(&agency, Some("ruiz")).await;
    let body = crate::cards::form(&fields);
    let foreign = [("cookie", &*cookie), ("sec-fetch-site", "cross-site")];
    let got = send(&mut connection, Method::POST, "/certificate", &foreign, &body).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.request.foreign"));
    let got = submit(&mut connection, "/certificate", "", &fields).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.request.unknown"));
    assert_eq!(submit(&mut connection, "/certificate", &cookie, &fields).await.status, 303);
    let got = submit(&mut connection, "/certificate", &cookie, &fields).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.request.replayed"));
    let (cookie, _) = office.begin(&agency, Some("ruiz")).await;
    let got = submit(&mut connection, "/certificate", &cookie, &fields).await;
    assert_eq!(
        (got.status, refusal(&agency).as_str()),
        (403, "cert.request.unknown"),
        "another tab's form"
    );
    let (cookie, page) = office.begin(&agency, Some("ruiz")).await;
    advance(&office, 11);
    let got = submit(&mut connection, "/certificate", &cookie, &page.fields("/certificate")).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.request.expired"));
    agency.stop().await;
}

#[tokio::test]
async fn a_step_up_wants_a_handshake_of_its_own() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    office.account(&agency, "park", "detective").await;
    let sid = office.session(&agency, "ruiz").await;
    let mut old = office.open(&agency, Some("ruiz")).await;
    let began = send(&mut old, Method::GET, "/me", &[("cookie", &sid)], "").await;
    assert_eq!(began.status, 200);
    advance(&office, 1);
    let asked =
        send(&mut old, Method::GET, "/step-up?next=/exports", &[("cookie", &sid)], "").await;
    assert_eq!(asked.status, 303, "{}", asked.text);
    let cookie = format!("{sid}; {}", asked.cookie("__Host-prelogin"));
    let page = office.get(&agency, Some("ruiz"), asked.location(), &cookie).await;
    assert_eq!(page.headers["connection"], "close", "the form is to come over another connection");
    let fields = page.fields("/certificate");
    // The connection from before the question proves nothing new: the same again, over another one.
    let again = submit(&mut old, "/certificate", &cookie, &fields).await;
    assert_eq!((again.status, again.location()), (307, "/certificate"));
    assert_eq!(again.headers["connection"], "close");
    let mut new = office.open(&agency, Some("ruiz")).await;
    let got = submit(&mut new, "/certificate", &cookie, &fields).await;
    assert_eq!((got.status, got.location()), (303, "/exports"), "{}", got.text);
    assert!(
        agency
            .events()
            .iter()
            .any(|event| matches!(event, Event::SteppedUp { idp, .. } if idp == "piv"))
    );
    assert_eq!(
        office.get(&agency, Some("ruiz"), "/me", &sid).await.status,
        401,
        "the old token is dead"
    );

    let sid = got.cookie("__Host-sid");
    let asked = office.get(&agency, Some("ruiz"), "/step-up?next=/", &sid).await;
    let cookie = format!("{sid}; {}", asked.cookie("__Host-prelogin"));
    let page = office.get(&agency, Some("park"), asked.location(), &cookie).await;
    let mut other = office.open(&agency, Some("park")).await;
    let got = submit(&mut other, "/certificate", &cookie, &page.fields("/certificate")).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.stepup.person"));
    agency.stop().await;
}

const SECOND: &str = "mfa_contexts = []\nsecond_factor = { certificate_provider = \"piv\" }\n";

/// Signs somebody in at the identity provider with one factor, and with a card.
async fn with_card(
    office: &Office,
    agency: &Agency,
    n: u32,
    name: &str,
    card: Option<&str>,
) -> crate::cards::Got {
    let started = office.get(agency, card, "/sign-in/riverton", "").await;
    let begun = crate::stage::begun_at(started.location(), started.cookie("__Host-prelogin"));
    let xml = response(&begun, n, office.home.now()).replace("det.ruiz", name).replace(
        "https://refeds.org/profile/mfa",
        "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
    );
    let xml = signed(&xml, Layout::Both);
    use base64::Engine;
    let answer = base64::engine::general_purpose::STANDARD.encode(xml);
    let fields = [("SAMLResponse".to_owned(), answer), ("RelayState".to_owned(), begun.relay)];
    submit(&mut office.open(agency, card).await, "/saml/acs", &begun.cookie, &fields).await
}

#[tokio::test]
async fn a_card_is_the_second_factor_of_a_provider_that_states_one() {
    let Some(office) = Office::set() else { return };
    let agency = office
        .start_with(&|usual| {
            usual.replace("mfa_contexts = [\"https://refeds.org/profile/mfa\"]\n", SECOND)
        })
        .await;
    let got = with_card(&office, &agency, 1, "ruiz@riverton.example", Some("ruiz")).await;
    assert_eq!(got.status, 303, "{} {}", got.text, refusal(&agency));
    let signed_in = agency.events().into_iter().find_map(|event| match event {
        Event::SignedIn { idp, context, mfa, certificate, .. } => {
            Some((idp, context, mfa, certificate.is_some()))
        }
        _ => None,
    });
    let context = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password + certificate".to_owned();
    assert_eq!(signed_in.unwrap(), ("riverton".to_owned(), context, true, true));
    let cookie = got.cookie("__Host-sid");
    assert_eq!(
        office.get(&agency, Some("ruiz"), "/me", &cookie).await.status,
        303,
        "to the notice"
    );
    assert_eq!(
        office.get(&agency, Some("park"), "/me", &cookie).await.status,
        401,
        "bound to the card"
    );

    for (n, name, card, code) in [
        (2, "ruiz@riverton.example", None, "cert.missing"),
        (3, "ruiz@riverton.example", Some("park"), "cert.person"),
        (4, "ruiz@riverton.example", Some("directory"), "cert.issuer"),
    ] {
        let got = with_card(&office, &agency, n, name, card).await;
        assert_eq!((got.status, refusal(&agency).as_str()), (403, code), "{}", got.text);
    }
    agency.stop().await;
}

#[tokio::test]
async fn an_issuer_that_is_held_lets_nobody_in_alone_or_as_a_second_factor() {
    let Some(office) = Office::set() else { return };
    let agency = office
        .start_with(&|usual| {
            usual.replace("mfa_contexts = [\"https://refeds.org/profile/mfa\"]\n", SECOND)
        })
        .await;
    let name = "ruiz@riverton.example";
    let ruiz = with_card(&office, &agency, 1, name, Some("ruiz")).await.cookie("__Host-sid");
    office.account(&agency, "park", "detective").await;
    let park = office.session(&agency, "park").await;
    let (inside, record) = (&agency.server.agency, &Record::platform);
    let ended = inside.end_provider(record, ("piv", true), "the authority's key was stolen").await;
    assert_eq!(ended.unwrap().sessions.len(), 2, "whoever showed one of its cards");
    for (card, cookie) in [("ruiz", &ruiz), ("park", &park)] {
        assert_eq!(office.get(&agency, Some(card), "/me", cookie).await.status, 401, "{card}");
    }
    assert_eq!(office.get(&agency, Some("park"), "/sign-in/piv", "").await.status, 403);
    assert_eq!(refusal(&agency), "idp.held");
    let got = with_card(&office, &agency, 2, name, Some("ruiz")).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "idp.held"), "{}", got.text);
    assert!(inside.release_provider(record, "piv", "new cards").await.unwrap());
    assert_eq!(with_card(&office, &agency, 3, name, Some("ruiz")).await.status, 303);
    agency.stop().await;
}

#[tokio::test]
async fn without_that_setting_one_factor_stays_one() {
    let Some(office) = Office::set() else { return };
    let agency = office.start("").await;
    let got = with_card(&office, &agency, 1, "ruiz@riverton.example", Some("ruiz")).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "saml.mfa.missing"));
    agency.stop().await;
}

#[tokio::test]
async fn if_the_sign_in_can_not_be_recorded_there_is_no_session() {
    let Some(office) = Office::set() else { return };
    let disk = std::sync::Arc::new(SimDisk::new());
    let agency = office.start_on(disk.clone()).await;
    office.account(&agency, "ruiz", "detective").await;
    let (cookie, page) = office.begin(&agency, Some("ruiz")).await;
    disk.fail_writes_after("journal", 0);
    let mut connection = office.open(&agency, Some("ruiz")).await;
    let got = submit(&mut connection, "/certificate", &cookie, &page.fields("/certificate")).await;
    assert_eq!(got.status, 503, "{}", got.text);
    assert!(got.headers.get("set-cookie").is_none());
    agency.stop().await;
}

#[tokio::test]
async fn curl_signs_in_with_a_card() {
    let Some(office) = Office::set() else { return };
    let Some(curl) = testkit::need("a client that others wrote", &["curl"]).unwrap() else {
        return;
    };
    let agency = office.start("").await;
    office.account(&agency, "ruiz", "detective").await;
    let jar = office.home.path("jar");
    let base = format!("https://localhost:{}", agency.server.pages.port());
    let ask = |more: &[&str]| {
        let mut command = Command::new(&curl);
        command
            .args(["--silent", "--show-error", "--location", "--cacert"])
            .arg(office.pki.certificate("web"));
        command
            .arg("--cert")
            .arg(office.pki.certificate("ruiz"))
            .arg("--key")
            .arg(office.pki.key("ruiz"));
        command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar).args(more);
        tokio::task::spawn_blocking(move || {
            let done = command.output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8(done.stdout).unwrap()
        })
    };
    let page = ask(&[&format!("{base}/sign-in/piv")]).await.unwrap();
    assert!(page.contains("Sign in with this card"), "{page}");
    let fields = crate::cards::form(&crate::cards::fields(&page, "/certificate"));
    let page = ask(&[
        "--header",
        "sec-fetch-site: same-origin",
        "--data",
        &fields,
        &format!("{base}/certificate"),
    ]);
    let page = page.await.unwrap();
    assert!(page.contains("System-use notice"), "{page}");
    agency.stop().await;
}
