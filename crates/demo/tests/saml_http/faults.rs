//! What goes wrong at a provider in the middle of a day, and answers that are too large.

use identity::saml::redirect::{Kind, url};
use jiff::SignedDuration;
use ledger::Event;

use crate::common::{IDP, Layout, MFA, SLO, idp_signer, metadata_of, now, signed};
use crate::stage::{Agency, Home, begun, response, set_cookie};

/// Why the newest entry is a refusal.
fn reason(agency: &Agency) -> String {
    match agency.newest().1 {
        Event::SignInRefused { reason, .. } | Event::RequestRefused { reason, .. } => reason,
        other => format!("{other:?}"),
    }
}

/// Metadata that holds for so many minutes from now on.
fn metadata(home: &Home, minutes: i64) -> String {
    let until = identity::saml::request::instant(home.now() + SignedDuration::from_mins(minutes));
    metadata_of(&[&idp_signer().certificate]).replace("2027-01-01T00:00:00Z", &until)
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_runs_out_in_mid_session_ends_nothing_and_proves_nothing() {
    let home = Home::new();
    std::fs::write(home.path("idp.xml"), metadata(&home, 60)).unwrap();
    let agency = home.start("").await;
    let cookie = agency.sign_in_as("det.ruiz", "detective", 1).await;
    for _ in 0..3 {
        home.clock.advance(SignedDuration::from_mins(20));
        assert_eq!(agency.get("/me", &cookie).await.status, 200, "the session here is ours");
    }
    let page = agency.get("/step-up?next=/me", &cookie).await;
    assert_eq!((page.status, reason(&agency).as_str()), (403, "idp.metadata.expired"));
    assert_eq!(agency.get("/sign-in/riverton", "").await.status, 403);
    // Its own log-out is no longer believed, as nothing of it is; ours needs nobody.
    let at = identity::saml::request::instant(home.now());
    let xml = format!(
        "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_l\" Version=\"2.0\" \
         IssueInstant=\"{at}\" Destination=\"{SLO}\"><saml:Issuer>{IDP}</saml:Issuer>\
         <saml:NameID>det.ruiz</saml:NameID></samlp:LogoutRequest>"
    );
    let asked = url("/saml/slo", Kind::Request, &xml, None, Some(&idp_signer().key)).unwrap();
    assert_eq!(agency.get(&asked, "").await.status, 403);
    assert_eq!(reason(&agency), "slo.issuer");
    assert_eq!(agency.get("/me", &cookie).await.status, 200);

    std::fs::write(home.path("idp.xml"), metadata(&home, 600)).unwrap();
    agency.server.agency.refresh_providers().await;
    let begun = begun(&agency.get("/step-up?next=/me", &cookie).await);
    let xml = signed(&response(&begun, 2, agency.server.agency.now()), Layout::Both);
    let page = agency.answer(&begun, xml.as_bytes()).await;
    assert_eq!(page.status, 303, "{:?}", agency.newest());
    let cookie = set_cookie(&page, "__Host-sid");
    let page = agency.get("/me", &cookie).await;
    let fields = page.form("/sign-out").unwrap().fields();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(agency.post_from_here("/sign-out", &cookie, &fields).await.status, 200);
    assert_eq!(agency.get("/me", &cookie).await.status, 401);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_calls_its_contexts_otherwise_is_refused_until_the_agency_agrees() {
    const OTHER: &str = "urn:riverton:mfa-2027";
    let home = Home::new();
    let sign_in = async |agency: &Agency, n, context: &str| {
        let begun = agency.begin("riverton").await;
        let xml = response(&begun, n, now()).replace(MFA, context);
        agency.answer(&begun, signed(&xml, Layout::Both).as_bytes()).await.status
    };
    let agency = home.start("").await;
    assert_eq!(sign_in(&agency, 1, MFA).await, 303);
    assert_eq!(sign_in(&agency, 2, OTHER).await, 403);
    assert_eq!(reason(&agency), "saml.mfa.missing", "a name that nobody agreed on is one factor");
    agency.stop().await;
    let both = format!("mfa_contexts = [\"{OTHER}\", ");
    let agency = home.start_changed(|usual| usual.replace("mfa_contexts = [", &both)).await;
    assert_eq!(sign_in(&agency, 3, OTHER).await, 303, "{:?}", agency.newest());
    assert_eq!(sign_in(&agency, 4, MFA).await, 303);
    assert_eq!(sign_in(&agency, 5, "urn:password").await, 403);
    agency.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_answer_that_is_too_large_is_refused_in_all_its_shapes() {
    let home = Home::new();
    let agency = home.start("").await;
    let one = "<saml:AttributeValue>detective</saml:AttributeValue>";
    let begun = agency.begin("riverton").await;
    assert!(response(&begun, 0, now()).contains(one));
    let many = one.repeat(257);
    let long = one.replace("detective", &"x".repeat(200_000));
    let named = format!("<saml:Attribute Name=\"other\">{long}</saml:Attribute>");
    let beside = format!("<saml:AttributeStatement>{named}");
    for (n, what, from, to, expected) in [
        (1, "200 KB in one value", one, long, "saml.attribute"),
        (2, "257 values", one, many, "saml.attribute"),
        (3, "more than 256 KiB in all", one, one.repeat(6_000), "saml.malformed"),
        (4, "200 KB that nobody asked for", "<saml:AttributeStatement>", beside, "saml.attribute"),
    ] {
        let begun = agency.begin("riverton").await;
        let xml = response(&begun, n, now()).replace(from, &to);
        let page = agency.answer(&begun, signed(&xml, Layout::Both).as_bytes()).await;
        let found = if page.status == 303 { "accepted".to_owned() } else { reason(&agency) };
        assert_eq!(found, expected, "{what}");
    }
    agency.stop().await;
}
