//! Single log-out, both ways, with a provider that does right and others that do not.

use std::sync::Arc;
use std::time::Duration;

use identity::saml::redirect::{Kind, Received, url};
use jiff::SignedDuration;
use keys::cert::Certificate;
use ledger::Event;
use ledger::testing::SimDisk;

use crate::common::{IDP, SLO, attacker, idp_signer, metadata_of};
use crate::stage::{Agency, Home, read};

/// The provider's end of sessions.
const THEIRS: &str = "https://idp.riverton.example/slo";

fn home() -> Home {
    let home = Home::new();
    let service = format!(
        "<md:SingleLogoutService \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{THEIRS}\"/>"
    );
    let metadata = metadata_of(&[&idp_signer().certificate]);
    let metadata = metadata.replace("<md:SingleSign", &format!("{service}<md:SingleSign"));
    std::fs::write(home.path("idp.xml"), metadata).unwrap();
    home
}

fn instant(at: jiff::Timestamp) -> String {
    identity::saml::request::instant(at)
}

/// A right request of the provider to end sessions.
fn request(home: &Home, id: &str, name: &str, index: &str) -> String {
    let now = home.now();
    format!(
        "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" Version=\"2.0\" \
         IssueInstant=\"{}\" Destination=\"{SLO}\" NotOnOrAfter=\"{}\">\
         <saml:Issuer>{IDP}</saml:Issuer><saml:NameID>{name}</saml:NameID>{index}\
         </samlp:LogoutRequest>",
        instant(now),
        instant(now + SignedDuration::from_mins(5)),
    )
}

fn path(xml: &str, kind: Kind, relay: Option<&str>, by: &crate::common::Signer) -> String {
    url("/saml/slo", kind, xml, relay, Some(&by.key)).unwrap()
}

fn reason(agency: &Agency) -> String {
    match agency.newest().1 {
        Event::RequestRefused { reason, route } => {
            assert_eq!(route, "/saml/slo");
            reason
        }
        Event::SessionEnded { reason } | Event::SessionsEnded { reason, .. } => reason,
        other => format!("{other:?}"),
    }
}

/// What our message to the provider says, and that we signed it.
fn ours(home: &Home, location: &str) -> (Kind, String, String) {
    let query = location.strip_prefix(THEIRS).unwrap().strip_prefix('?').unwrap();
    let received = Received::read(query).unwrap();
    let certificate = Certificate::from_pem(&read(&home.path("data/saml/signing-1.pem"))).unwrap();
    received.verify(&[certificate]).unwrap();
    (received.kind, String::from_utf8(received.xml).unwrap(), received.relay_state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_ends_sessions_at_once_and_is_told_so() {
    let home = home();
    let agency = home.start("").await;
    let ruiz = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let other = agency.sign_in_as("clerk.abara", "records-clerk", 2).await;
    let live = async |cookie: &str| agency.get("/notice", cookie).await.status == 200;

    // Handles of other sessions end nothing, and the provider still gets its answer.
    let xml = request(&home, "_l1", "det.ruiz", "<samlp:SessionIndex>_else</samlp:SessionIndex>");
    let page = agency.get(&path(&xml, Kind::Request, Some("r 1"), idp_signer()), "").await;
    assert_eq!(page.status, 303, "{}", page.text());
    let (kind, answer, relay) = ours(&home, page.header("location").unwrap());
    assert_eq!((kind, relay.as_str()), (Kind::Response, "r 1"));
    assert!(answer.contains("InResponseTo=\"_l1\"") && answer.contains("status:Success"));
    assert_eq!(reason(&agency), "provider-log-out: riverton");
    assert!(live(&ruiz).await);

    let xml = request(&home, "_l2", "det.ruiz", "<samlp:SessionIndex>_s</samlp:SessionIndex>");
    let good = path(&xml, Kind::Request, None, idp_signer());
    assert_eq!(agency.get(&good, "").await.status, 303);
    assert_eq!(reason(&agency), "provider-log-out: riverton");
    assert!(!live(&ruiz).await && live(&other).await);
    assert_eq!(agency.get(&good, "").await.status, 403);
    assert_eq!(reason(&agency), "slo.replay");

    // Without handles, all of the person's sessions are meant.
    let again = agency.sign_in_as("det.ruiz", "detective", 3).await;
    let second = agency.sign_in_as("det.ruiz", "detective", 4).await;
    let xml = request(&home, "_l3", "det.ruiz", "");
    assert_eq!(agency.get(&path(&xml, Kind::Request, None, idp_signer()), "").await.status, 303);
    assert!(!live(&again).await && !live(&second).await && live(&other).await);

    let xml = |id| request(&home, id, "clerk.abara", "");
    let minutes = |n: i64| instant(home.now() + SignedDuration::from_mins(n));
    let at = format!("IssueInstant=\"{}\"", minutes(0));
    let until = format!("NotOnOrAfter=\"{}\"", minutes(5));
    let name = "<saml:NameID>clerk.abara</saml:NameID>";
    for (id, from, to, code) in [
        ("_m1", "Version=\"2.0\"", "Version=\"1.1\"".to_owned(), "slo.version"),
        ("_m2", &*at, format!("IssueInstant=\"{}\"", minutes(-6)), "slo.time"),
        ("_m3", &*until, format!("NotOnOrAfter=\"{}\"", minutes(-2)), "slo.expired"),
        ("_m4", SLO, "https://other.example/slo".into(), "slo.destination"),
        ("_m5", IDP, "https://other.example".into(), "slo.issuer"),
        ("_m6", name, String::new(), "slo.nameid"),
        ("_m7", name, format!("{name}{name}"), "slo.nameid"),
        ("_m8", "LogoutRequest", "AuthnRequest".into(), "saml.shape.root"),
        ("_m9", name, format!("{name}<saml:Assertion/>"), "saml.shape.placement"),
        ("_m10", " ID=", " id=\"_\" ID=".into(), "saml.shape.attribute"),
    ] {
        let bad = xml(id).replace(from, &to);
        let page = agency.get(&path(&bad, Kind::Request, None, idp_signer()), "").await;
        assert_eq!((page.status, reason(&agency).as_str()), (403, code), "{id}");
        assert!(!page.text().contains("clerk.abara"), "nothing is given back");
    }
    let signed_by_another = path(&xml("_n1"), Kind::Request, None, attacker());
    let unsigned = url("/saml/slo", Kind::Request, &xml("_n2"), None, None).unwrap();
    let turned =
        path(&xml("_n3"), Kind::Request, None, idp_signer()).replace("SAMLRequest", "SAMLResponse");
    for (bad, code) in [
        (signed_by_another, "saml.redirect.signature"),
        (unsigned, "saml.redirect.unsigned"),
        (turned, "saml.shape.root"),
        ("/saml/slo".to_owned(), "saml.redirect.malformed"),
    ] {
        assert_eq!(agency.get(&bad, "").await.status, 403);
        assert_eq!(reason(&agency), code);
    }
    assert!(live(&other).await, "none of them ended anything");
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_here_is_out_and_can_go_on_to_the_provider() {
    let home = home();
    let agency = home.start("").await;
    let ruiz = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let page = agency.get("/notice", &ruiz).await;
    let fields = page.form("/sign-out").unwrap().fields();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
    let page = agency.post_from_here("/sign-out", &ruiz, &fields).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(agency.get("/notice", &ruiz).await.status, 401, "no provider was waited for");

    let link = page.links().find(|(text, _)| text.contains("Sign out there too")).unwrap().1;
    let (kind, asked, _) = ours(&home, &link);
    assert_eq!(kind, Kind::Request);
    assert!(asked.contains(">det.ruiz</saml:NameID>"), "{asked}");
    assert!(asked.contains("<samlp:SessionIndex>_s</samlp:SessionIndex>"), "{asked}");
    let id = asked.split_once(" ID=\"").unwrap().1.split_once('"').unwrap().0.to_owned();

    let own = std::cell::Cell::new(0);
    let answer = |id: &str, status: &str| {
        own.set(own.get() + 1);
        let own = own.get();
        format!(
            "<samlp:LogoutResponse xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_o{own}\" Version=\"2.0\" \
             IssueInstant=\"{}\" Destination=\"{SLO}\" InResponseTo=\"{id}\">\
             <saml:Issuer>{IDP}</saml:Issuer><samlp:Status>{status}</samlp:Status>\
             </samlp:LogoutResponse>",
            instant(home.now())
        )
    };
    let success = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>";
    let partial = success.replace(
        "/>",
        "><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:PartialLogout\"/>\
         </samlp:StatusCode>",
    );
    let send =
        async |xml: &str| agency.get(&path(xml, Kind::Response, None, idp_signer()), "").await;
    let captured = answer(&id, success);
    let page = send(&captured).await;
    assert!(page.says("signed out here and at your identity provider"), "{}", page.text());
    assert_eq!(reason(&agency), "ended at provider riverton too");
    // Whoever sends it again writes no second end.
    assert_eq!(send(&captured).await.status, 403);
    assert_eq!(reason(&agency), "slo.replay");
    assert!(send(&answer(&id, &partial)).await.says("could not end everything"));
    let failed = success.replace("Success", "Responder");
    assert!(send(&answer(&id, &failed)).await.says("could not end everything"));
    let made_up = format!("_{}", "0".repeat(80));
    let (head, tail) = id.split_at(id.len() - 1);
    let changed = format!("{head}{}", if tail == "0" { '1' } else { '0' });
    for id in ["", "_other", &made_up, &changed] {
        assert_eq!(send(&answer(id, success)).await.status, 403, "{id}");
        assert_eq!(reason(&agency), "slo.inresponseto");
    }
    home.clock.advance(SignedDuration::from_mins(11));
    assert_eq!(send(&answer(&id, success)).await.status, 403, "eleven minutes later");
    assert_eq!(reason(&agency), "slo.inresponseto");
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_that_can_t_be_recorded_ends_nothing_and_can_be_said_again() {
    let home = home();
    let disk = Arc::new(SimDisk::new());
    let agency = home.start_on(disk.clone()).await;
    let ruiz = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let asked = path(&request(&home, "_f1", "det.ruiz", ""), Kind::Request, None, idp_signer());
    disk.fail_writes_after("journal", 0);
    assert_eq!(agency.get(&asked, "").await.status, 503);
    disk.mend();
    assert_eq!(agency.get("/notice", &ruiz).await.status, 200, "the session is still there");
    // The ledger opens itself again.
    let mut page = agency.get(&asked, "").await;
    for _ in 0..100 {
        if page.status != 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        page = agency.get(&asked, "").await;
    }
    assert_eq!((page.status, reason(&agency).as_str()), (303, "provider-log-out: riverton"));
    assert_eq!(agency.get("/notice", &ruiz).await.status, 401);
    let events = agency.events();
    let ended = |event: &&Event| matches!(event, Event::SessionsEnded { of, .. } if of == "riverton|det.ruiz");
    assert_eq!(events.iter().filter(ended).count(), 1);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_log_outs_that_do_not_hold_are_told_of() {
    let home = home();
    let agency = home.start("").await;
    for n in 0..20 {
        let xml = request(&home, &format!("_g{n}"), "det.ruiz", "");
        let forged = path(&xml, Kind::Request, None, attacker());
        assert_eq!(agency.get(&forged, "").await.status, 403);
    }
    let told = |event: &Event| matches!(event, Event::ProviderAlert { what, .. } if what.contains("saml.flood"));
    assert!(agency.events().iter().any(told));
    agency.stop().await;
}

/// What a provider of the pages says is not taken by the guests' name, however well it is signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_that_is_handed_in_at_the_other_door_ends_nothing() {
    let home = home();
    let agency = home.start("").await;
    let ruiz = agency.sign_in_as("det.ruiz", "detective", 1).await;
    let xml = request(&home, "_d1", "det.ruiz", "");
    let good = path(&xml, Kind::Request, None, idp_signer());
    let mut at_guests = axum::extract::Request::get(&good).body(axum::body::Body::empty()).unwrap();
    at_guests.extensions_mut().insert(web::door::Door::Guests);
    let shared = axum::extract::State(agency.server.agency.clone());
    let refused = web::pages::log_out::receive(shared, at_guests).await.unwrap_err();
    assert_eq!(refused.status, 403);
    assert_eq!(reason(&agency), "door.other");
    assert_eq!(agency.get("/notice", &ruiz).await.status, 200);
    // By its own door it is, for nothing was used up.
    assert_eq!(agency.get(&good, "").await.status, 303);
    assert_ne!(agency.get("/notice", &ruiz).await.status, 200);
    agency.stop().await;
}
