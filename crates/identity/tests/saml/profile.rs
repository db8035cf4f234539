//! What a response must say: each statement is changed, signed again by the provider's own key, and
//! refused for its own reason.

use crate::common::{LAYOUTS, expectation, idp, now, response, signed, verify};
use identity::saml::{Expectation, verify_xml};
use jiff::SignedDuration;

/// Changes the response before it is signed, in every layout.
#[track_caller]
fn check(from: &str, to: &str, code: &str) {
    assert!(response().contains(from), "`{from}` is in the response");
    for layout in LAYOUTS {
        let xml = signed(&response().replace(from, to), layout);
        assert_eq!(crate::common::verdict(&xml), code, "{layout:?}: {from} -> {to}");
    }
}

/// As [`check`], for the last place where `from` stands.
#[track_caller]
fn check_last(from: &str, to: &str, code: &str) {
    let good = response();
    let at = good.rfind(from).unwrap();
    let changed = [&good[..at], to, &good[at + from.len()..]].concat();
    for layout in LAYOUTS {
        assert_eq!(
            crate::common::verdict(&signed(&changed, layout)),
            code,
            "{layout:?}: {from} -> {to}"
        );
    }
}

#[test]
fn status() {
    let success = "urn:oasis:names:tc:SAML:2.0:status:Success";
    let failed = |second: &str| {
        format!(
            "urn:oasis:names:tc:SAML:2.0:status:Responder\"><samlp:StatusCode \
             Value=\"urn:oasis:names:tc:SAML:2.0:status:{second}\"/></samlp:StatusCode><x y=\""
        )
    };
    for (second, code) in [
        ("NoAuthnContext", "saml.status.no-authn-context"),
        ("NoPassive", "saml.status.no-passive"),
        ("AuthnFailed", "saml.status.authn-failed"),
        ("RequestDenied", "saml.status.denied"),
        ("Other", "saml.status.failed"),
    ] {
        check(success, &failed(second), code);
    }
    check(success, "Success", "saml.status.failed");
    check(
        "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>",
        "",
        "saml.status.missing",
    );
    check("samlp:Status>", "samlp:Extensions>", "saml.status.missing");
    // A provider that refuses sends no assertion and signs nothing; its reason is passed on.
    let refusal = response().replace(success, &failed("AuthnFailed"));
    let end = refusal.find("<saml:Assertion").unwrap();
    let refusal = format!("{}</samlp:Response>", &refusal[..end]);
    assert_eq!(crate::common::verdict(&refusal), "saml.status.authn-failed");
}

#[test]
fn version_issuer_and_time_of_both_messages() {
    check("Version=\"2.0\"", "Version=\"1.1\"", "saml.version");
    check_last("Version=\"2.0\"", "Version=\"1.1\"", "saml.version");
    check(crate::common::IDP, "https://evil.example", "saml.issuer");
    check_last(crate::common::IDP, "https://evil.example", "saml.issuer");
    check_last(
        &format!("<saml:Issuer>{}</saml:Issuer>", crate::common::IDP),
        "<saml:Issuer></saml:Issuer>",
        "saml.issuer",
    );
    check("<saml:Issuer>", "<saml:Issuer Format=\"urn:x\">", "saml.issuer");
    for (time, code) in [
        ("2026-11-22T07:54:59Z", "saml.time"),
        ("2026-11-22T08:05:01Z", "saml.time"),
        ("2026-11-22T08:00:00", "saml.time"),
        ("2026-11-22T09:00:00+01:00", "saml.time"),
        ("2026-11-22 08:00:00Z", "saml.time"),
        ("yesterday", "saml.time"),
        ("", "saml.time"),
        ("2026-11-22T07:55:00Z", "accepted"),
        ("2026-11-22T08:05:00.000Z", "accepted"),
    ] {
        let changed = format!("IssueInstant=\"{time}\"");
        check("IssueInstant=\"2026-11-22T08:00:00Z\"", &changed, code);
        check_last("IssueInstant=\"2026-11-22T08:00:00Z\"", &changed, code);
    }
    check("IssueInstant=\"2026-11-22T08:00:00Z\"", "", "saml.time");
}

#[test]
fn destination_and_request() {
    let acs = crate::common::ACS;
    check(
        &format!("Destination=\"{acs}\""),
        "Destination=\"https://evil.example/acs\"",
        "saml.destination",
    );
    check(&format!("Destination=\"{acs}\""), "", "saml.destination");
    check("InResponseTo=\"_request\">", "InResponseTo=\"_other\">", "saml.inresponseto");
    check(" InResponseTo=\"_request\">", ">", "saml.inresponseto");
}

#[test]
fn conditions() {
    check("<saml:Conditions ", "<saml:Advice></saml:Advice><saml:Conditions ", "accepted");
    let start = "<saml:Conditions NotBefore=\"2026-11-22T08:00:00Z\" NotOnOrAfter=\"2026-11-22T08:05:00Z\">";
    let with = |before: &str, after: &str| {
        format!("<saml:Conditions NotBefore=\"{before}\" NotOnOrAfter=\"{after}\">")
    };
    for (before, after, code) in [
        ("2026-11-22T08:01:00Z", "2026-11-22T08:05:00Z", "accepted"),
        ("2026-11-22T08:01:01Z", "2026-11-22T08:05:00Z", "saml.conditions.early"),
        ("2026-11-22T07:00:00Z", "2026-11-22T07:59:01Z", "accepted"),
        ("2026-11-22T07:00:00Z", "2026-11-22T07:59:00Z", "saml.conditions.expired"),
        ("2026-11-22T07:00:00Z", "never", "saml.time"),
    ] {
        check(start, &with(before, after), code);
    }
    check(start, "<saml:Conditions>", "saml.conditions.missing");
    let sp = format!("<saml:Audience>{}</saml:Audience>", crate::common::SP);
    check(&sp, "<saml:Audience>https://other.example</saml:Audience>", "saml.conditions.audience");
    check(&sp, &format!("<saml:Audience>x</saml:Audience>{sp}"), "accepted");
    check(&sp, "", "saml.conditions.audience");
    let restriction = format!("<saml:AudienceRestriction>{sp}</saml:AudienceRestriction>");
    check(&restriction, "", "saml.conditions.audience");
    let other =
        "<saml:AudienceRestriction><saml:Audience>x</saml:Audience></saml:AudienceRestriction>";
    check(&restriction, &format!("{restriction}{other}"), "saml.conditions.audience");
    check(&restriction, &format!("{restriction}<saml:OneTimeUse/>"), "accepted");
    check(&restriction, &format!("{restriction}<saml:Condition/>"), "saml.conditions.unknown");
    let all = format!("{start}{restriction}</saml:Conditions>");
    check(&all, "", "saml.conditions.missing");
    check(&all, &format!("{all}{all}"), "saml.shape.child");
}

#[test]
fn subject_confirmation() {
    const CODE: &str = "saml.subjectconfirmation";
    let acs = crate::common::ACS;
    check(&format!("Recipient=\"{acs}\""), "Recipient=\"https://evil.example/acs\"", CODE);
    check(&format!(" Recipient=\"{acs}\""), "", CODE);
    check("InResponseTo=\"_request\"/>", "InResponseTo=\"_other\"/>", CODE);
    check(" InResponseTo=\"_request\"/>", "/>", CODE);
    check(
        "InResponseTo=\"_request\"/>",
        "InResponseTo=\"_request\" NotBefore=\"2026-11-22T08:00:00Z\"/>",
        CODE,
    );
    check(
        "InResponseTo=\"_request\"/>",
        "InResponseTo=\"_request\">x</saml:SubjectConfirmationData>",
        CODE,
    );
    let until = "SubjectConfirmationData NotOnOrAfter=\"2026-11-22T08:05:00Z\"";
    check(until, "SubjectConfirmationData NotOnOrAfter=\"2026-11-22T07:59:00Z\"", CODE);
    check(until, "SubjectConfirmationData NotOnOrAfter=\"2026-11-22T07:59:01Z\"", "accepted");
    check(until, "SubjectConfirmationData", CODE);
    check(":cm:bearer", ":cm:holder-of-key", CODE);
    let second = "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"/></saml:Subject>";
    check("</saml:Subject>", second, CODE);
    let other = "<saml:SubjectConfirmation Method=\"urn:x\"/></saml:Subject>";
    check("</saml:Subject>", other, "accepted");
}

#[test]
fn name_of_the_person() {
    for odd in ["", " ", "det ruiz", "det.ruiz\n", "det&#9;ruiz", "&#xA0;x", &"x".repeat(241)] {
        check("det.ruiz", odd, "saml.nameid");
    }
    check("det.ruiz", "det<x/>.ruiz", "saml.nameid");
    check("det.ruiz", "<b>det.ruiz</b>", "saml.nameid");
    let format = "Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\"";
    check(format, "Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:transient\"", "saml.nameid");
    check(format, &format!("{format} SPNameQualifier=\"https://other.example\""), "saml.nameid");
    check(format, &format!("{format} SPNameQualifier=\"{}\"", crate::common::SP), "accepted");
    check("</saml:NameID>", "</saml:NameID><saml:NameID>x</saml:NameID>", "saml.nameid");
    check("saml:NameID", "saml:BaseID", "saml.shape.child");
    check("<saml:Subject>", "<saml:Subject><saml:EncryptedID/>", "saml.shape.encrypted");
    let mut idp = idp();
    idp.name_id_format = Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".into());
    let xml = signed(&response(), crate::common::Layout::Both);
    let refusal = verify_xml(xml.as_bytes(), &expectation(&idp)).unwrap_err();
    assert_eq!(refusal.code, "saml.nameid");
}

#[test]
fn authentication_statement() {
    let instant = "AuthnInstant=\"2026-11-22T08:00:00Z\"";
    for (time, code) in [
        ("2026-11-22T08:01:00Z", "accepted"),
        ("2026-11-22T08:01:01Z", "saml.authn.instant"),
        ("2026-11-21T20:00:00Z", "accepted"),
        ("2026-11-21T19:59:59Z", "saml.authn.old"),
        ("now", "saml.time"),
    ] {
        check(instant, &format!("AuthnInstant=\"{time}\""), code);
    }
    check(instant, "", "saml.authn.instant");
    let until = "SessionNotOnOrAfter=\"2026-11-22T16:00:00Z\"";
    check(until, "SessionNotOnOrAfter=\"2026-11-22T08:00:00Z\"", "saml.authn.session");
    check(until, "SessionNotOnOrAfter=\"2026-11-22T08:00:01Z\"", "accepted");
    check(until, "", "accepted");
    check("saml:AuthnContextClassRef", "saml:AuthnContextDeclRef", "saml.authn.context");
    check(crate::common::MFA, "", "saml.authn.context");
    let good = response();
    let start = good.find("<saml:AuthnStatement").unwrap();
    let end = good.find("</saml:AuthnStatement>").unwrap() + "</saml:AuthnStatement>".len();
    let statement = &good[start..end];
    check(statement, "", "saml.authn.statement");
    check(statement, &format!("{statement}{statement}"), "saml.authn.statement");
}

#[test]
fn more_than_one_factor() {
    for weak in [
        "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
        "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified",
        "https://refeds.org/profile/mfa2",
        "https://REFEDS.org/profile/mfa",
    ] {
        check(crate::common::MFA, weak, "saml.mfa.missing");
    }
    check(crate::common::MFA, "urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI", "accepted");
    // Or by an attribute, where the agency says so.
    let mut idp = idp();
    let methods = "http://schemas.microsoft.com/claims/authnmethodsreferences";
    let multiple = "http://schemas.microsoft.com/claims/multipleauthn";
    idp.mfa_attribute = Some((methods.into(), multiple.into()));
    let password = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password";
    let stated = format!(
        "<saml:AttributeStatement><saml:Attribute Name=\"{methods}\"><saml:AttributeValue>a\
         </saml:AttributeValue><saml:AttributeValue>{multiple}</saml:AttributeValue>\
         </saml:Attribute>"
    );
    let good = response().replace(crate::common::MFA, password);
    let with = good.replace("<saml:AttributeStatement>", &stated);
    for (xml, code) in [(with, "accepted"), (good, "saml.mfa.missing")] {
        let xml = signed(&xml, crate::common::Layout::Both);
        let outcome = verify_xml(xml.as_bytes(), &expectation(&idp));
        assert_eq!(outcome.map_or_else(|refusal| refusal.code, |_| "accepted"), code);
    }
}

#[test]
fn attributes() {
    let one = "<saml:Attribute Name=\"functions\">";
    let empty = |name: &str| format!("<saml:Attribute Name=\"{name}\"></saml:Attribute>{one}");
    check(one, &empty("functions"), "saml.attribute");
    check(one, &empty("mail"), "accepted");
    let mail = "<saml:Attribute Name=\"mail\"></saml:Attribute>";
    check(one, &format!("{mail}{mail}{one}"), "saml.attribute");
    check(one, "<saml:Attribute>", "saml.attribute");
    check(
        one,
        "<saml:Attribute Name=\"functions\" xmlns:x=\"urn:x\" x:Encoding=\"LDAP\">",
        "accepted",
    );
    check(one, &format!("<saml:EncryptedAttribute/>{one}"), "saml.shape.encrypted");
    check(
        "<saml:AttributeValue>detective",
        &format!("<saml:AttributeValue>{}", "x".repeat(4097)),
        "saml.attribute",
    );
    // A value with elements in it is dropped, and never read as the texts around them.
    let xml = response()
        .replace("<saml:AttributeValue>detective", "<saml:AttributeValue>detec<b>x</b>tive");
    let assertion = verify(&signed(&xml, crate::common::Layout::Both)).unwrap();
    assert!(assertion.values("functions").is_empty());
    // Attributes that no setting names are not kept.
    let mail = "<saml:Attribute Name=\"mail\"><saml:AttributeValue>x</saml:AttributeValue></saml:Attribute>";
    let xml = response().replace(one, &format!("{mail}{one}"));
    let assertion = verify(&signed(&xml, crate::common::Layout::Both)).unwrap();
    let names: Vec<&str> = assertion.attributes.keys().map(String::as_str).collect();
    assert_eq!(names, ["displayName", "functions"]);
}

#[test]
fn unknown_elements_are_refused_wherever_they_stand() {
    for place in ["</samlp:Status>", "</saml:Conditions>", "</saml:SubjectConfirmation>"] {
        let xml = response().replace(place, &format!("{place}<saml:Novelty/>"));
        let refusal = verify(&signed(&xml, crate::common::Layout::Response)).unwrap_err();
        assert_eq!(refusal.code, "saml.shape.child", "{place}");
    }
    check("</saml:Conditions>", "</saml:Conditions>text", "saml.shape.child");
}

#[test]
fn a_forced_authentication_must_have_happened_since_it_was_asked_for() {
    let idp = idp();
    let xml = signed(&response(), crate::common::Layout::Both);
    let outcome = |since| {
        let expectation = Expectation { reauthenticated_since: Some(since), ..expectation(&idp) };
        verify_xml(xml.as_bytes(), &expectation).map_or_else(|refusal| refusal.code, |_| "accepted")
    };
    assert_eq!(outcome(now()), "accepted");
    assert_eq!(outcome(now() + SignedDuration::from_millis(900)), "accepted");
    assert_eq!(outcome(now() + SignedDuration::from_secs(1)), "saml.authn.stale");
}

#[test]
fn messages_are_remembered_as_long_as_anybody_would_take_them() {
    let assertion = verify(&signed(&response(), crate::common::Layout::Both)).unwrap();
    assert_eq!(assertion.remember_until, now() + SignedDuration::from_mins(6));
    let xml = response()
        .replace("NotOnOrAfter=\"2026-11-22T08:05:00Z\"", "NotOnOrAfter=\"2099-01-01T00:00:00Z\"");
    let assertion = verify(&signed(&xml, crate::common::Layout::Both)).unwrap();
    assert_eq!(assertion.remember_until, now() + SignedDuration::from_hours(24));
}

#[test]
fn our_request_says_who_asks_for_what_and_how_strongly() {
    let idp = idp();
    let request = identity::saml::request::AuthnRequest {
        id: "_r".into(),
        issued_at: now(),
        idp: &idp,
        entity_id: "https://sp.example/?a=1&b=2",
        acs_url: crate::common::ACS,
        force_authn: true,
    };
    let xml = request.xml();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("ForceAuthn"), Some("true"));
    assert_eq!(root.attribute("Destination"), Some(crate::common::SSO));
    assert_eq!(root.attribute("AssertionConsumerServiceURL"), Some(crate::common::ACS));
    assert_eq!(root.attribute("IssueInstant"), Some("2026-11-22T08:00:00Z"));
    let issuer = root.first_element_child().unwrap();
    assert_eq!(issuer.text(), Some("https://sp.example/?a=1&b=2"));
    let contexts: Vec<&str> = root
        .descendants()
        .filter(|node| node.tag_name().name() == "AuthnContextClassRef")
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(contexts, identity::saml::metadata::MFA_CONTEXTS);
    let url = request.redirect_url("a b", None).unwrap();
    assert!(url.starts_with(&format!("{}&SAMLRequest=", crate::common::SSO)), "{url}");
    assert!(url.ends_with("&RelayState=a%20b"), "{url}");
}

#[test]
fn metadata_is_read_and_wrong_metadata_is_refused_with_its_reason() {
    let good = crate::common::metadata_of(&[&crate::common::idp_signer().certificate]);
    let read = |xml: &str| {
        let agency = "NB0010100".parse().unwrap();
        identity::IdpSettings::from_metadata("riverton", agency, xml.as_bytes(), now())
    };
    let idp = read(&good).unwrap();
    assert_eq!(
        (idp.entity_id.as_str(), idp.sso_url.as_str()),
        (crate::common::IDP, crate::common::SSO)
    );
    assert_eq!(idp.certificates.len(), 1);
    assert_eq!(idp.valid_until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    let log_out = "<md:SingleLogoutService \
        Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
        Location=\"https://idp.riverton.example/slo\" ResponseLocation=\"javascript:x\"/>";
    let odd = good.replace("<md:SingleSign", &format!("{log_out}<md:SingleSign"));
    assert_eq!(read(&odd).unwrap_err().code, "idp.metadata.incomplete");
    let with = odd.replace("javascript:x", "https://idp.riverton.example/slo2");
    assert_eq!(read(&with).unwrap().slo_answer_url.unwrap(), "https://idp.riverton.example/slo2");
    for (weak, code) in [
        (include_str!("data/rsa-1024.pem"), "idp.metadata.key"),
        (include_str!("data/signed-sha1.pem"), "idp.metadata.sha1"),
    ] {
        let weak = keys::cert::Certificate::from_pem(weak).unwrap();
        let both = crate::common::metadata_of(&[&crate::common::idp_signer().certificate, &weak]);
        assert_eq!(read(&both).unwrap_err().code, code, "one weak key spoils it");
    }
    for (from, to, code) in [
        ("validUntil=\"2027", "validUntil=\"2026", "idp.metadata.expired"),
        ("md:EntityDescriptor", "md:EntitiesDescriptor", "idp.metadata.root"),
        ("md:IDPSSODescriptor", "md:SPSSODescriptor", "idp.metadata.role"),
        ("SAML:2.0:protocol", "SAML:1.1:protocol", "idp.metadata.role"),
        ("use=\"signing\"", "use=\"encryption\"", "idp.metadata.incomplete"),
        ("HTTP-Redirect", "HTTP-POST", "idp.metadata.incomplete"),
        ("https://idp.riverton.example/sso", "javascript:alert(1)//", "idp.metadata.incomplete"),
        ("<ds:X509Certificate>", "<ds:X509Certificate>AAAA", "idp.metadata.key"),
        ("<?xml version=\"1.0\"?>", "<!DOCTYPE x>", "saml.shape.markup"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(read(&good.replace(from, to)).unwrap_err().code, code, "{from} -> {to}");
    }
}

#[test]
fn a_file_is_verified_like_an_answer() {
    use base64::Engine;
    use identity::saml::file::{Question, verify_file};
    let metadata = crate::common::metadata_of(&[&crate::common::idp_signer().certificate]);
    let xml = signed(&response(), crate::common::Layout::Both);
    let base64 = base64::engine::general_purpose::STANDARD.encode(&xml) + "\n";
    let question = |response| Question {
        response,
        idp_metadata: metadata.as_bytes(),
        entity_id: crate::common::SP,
        acs_url: crate::common::ACS,
        at: now(),
        request_id: None,
        decryption: &[],
    };
    let accepted = verify_file(&question(xml.as_bytes())).unwrap();
    assert_eq!(accepted.name_id, "det.ruiz");
    assert_eq!(verify_file(&question(base64.as_bytes())).unwrap(), accepted);
    let json = serde_json::to_value(&accepted).unwrap();
    assert_eq!(json["authenticated_at"], "2026-11-22T08:00:00Z");
    let wrong = Question { request_id: Some("_x"), ..question(xml.as_bytes()) };
    assert_eq!(verify_file(&wrong).unwrap_err().code, "saml.inresponseto");
    let late = Question { at: now() + SignedDuration::from_hours(1), ..question(xml.as_bytes()) };
    assert_eq!(verify_file(&late).unwrap_err().code, "saml.time");
}
