//! One case at least for each check of the profile, signed by the provider so that the check is reached.

use jiff::SignedDuration;

use crate::common::{ACS, IDP, Layout, MFA, SP, now, signed};
use crate::forge::changed;
use crate::generated::Cases;

/// Eight o'clock and so many seconds, as SAML writes it.
fn at(seconds: i64) -> String {
    identity::saml::request::instant(now() + SignedDuration::from_secs(seconds))
}

type Change = Box<dyn Fn(&str) -> String>;

/// All of them.
pub(crate) fn profile(cases: &mut Cases) {
    message(cases);
    confirmation(cases);
    status(cases);
    conditions(cases);
    subject(cases);
    authentication(cases);
    attributes(cases);
}

fn case(cases: &mut Cases, name: &str, expect: &'static str, change: Change) {
    cases.add(name, expect, move |base| signed(&change(base), Layout::Both));
}

/// Puts `to` for `from` everywhere.
fn swap(from: &str, to: &str) -> Change {
    let (from, to) = (from.to_owned(), to.to_owned());
    Box::new(move |base| {
        assert!(base.contains(&from), "nothing to change: {from}");
        base.replace(&from, &to)
    })
}

/// Puts `to` for `from` inside the element of this name.
fn inside(name: &'static str, from: &str, to: &str) -> Change {
    let (from, to) = (from.to_owned(), to.to_owned());
    Box::new(move |base| {
        changed(base, name, |element| {
            assert!(element.contains(&from), "nothing to change: {from}");
            element.replace(&from, &to)
        })
    })
}

/// The message: version, times, issuer, destination, request.
fn message(cases: &mut Cases) {
    let eight = at(0);
    case(cases, "version 1.1", "saml.version", swap("Version=\"2.0\"", "Version=\"1.1\""));
    let issued = format!("IssueInstant=\"{eight}\"");
    case(
        cases,
        "issued six minutes ago",
        "saml.time",
        swap(&issued, &format!("IssueInstant=\"{}\"", at(-360))),
    );
    case(
        cases,
        "issued in six minutes",
        "saml.time",
        swap(&issued, &format!("IssueInstant=\"{}\"", at(360))),
    );
    case(
        cases,
        "assertion issued two hours ago",
        "saml.time",
        inside("Assertion", &issued, &format!("IssueInstant=\"{}\"", at(-7200))),
    );
    case(
        cases,
        "time not in UTC",
        "saml.time",
        swap(&issued, "IssueInstant=\"2026-11-22T09:00:00+01:00\""),
    );
    case(cases, "another issuer", "saml.issuer", swap(IDP, "https://evil.example"));
    case(
        cases,
        "another issuer of the assertion",
        "saml.issuer",
        inside("Assertion", IDP, "https://evil.example"),
    );
    let destination = format!("Destination=\"{ACS}\"");
    case(
        cases,
        "another destination",
        "saml.destination",
        swap(&destination, "Destination=\"https://evil.example\""),
    );
    case(cases, "no destination", "saml.destination", swap(&destination, ""));
    case(
        cases,
        "another request",
        "saml.inresponseto",
        swap("InResponseTo=\"_", "InResponseTo=\"_x"),
    );
}

/// For whom, where and how long the subject is confirmed.
fn confirmation(cases: &mut Cases) {
    let eight = at(0);
    let five = at(300);
    let data = "SubjectConfirmationData";
    let confirmation = "saml.subjectconfirmation";
    case(
        cases,
        "another request in the confirmation",
        confirmation,
        inside(data, "InResponseTo=\"_", "InResponseTo=\"_x"),
    );
    case(cases, "another recipient", confirmation, inside(data, ACS, "https://evil.example"));
    case(cases, "confirmation over", confirmation, inside(data, &five, &at(-60)));
    case(
        cases,
        "confirmation for ever",
        confirmation,
        inside(data, &format!("NotOnOrAfter=\"{five}\""), ""),
    );
    case(
        cases,
        "confirmation with NotBefore",
        confirmation,
        inside(data, "Recipient", &format!("NotBefore=\"{eight}\" Recipient")),
    );
    case(cases, "holder of key", confirmation, swap("cm:bearer", "cm:holder-of-key"));
}

/// What the provider says of its own answer.
fn status(cases: &mut Cases) {
    for (status, code) in [
        ("NoAuthnContext", "saml.status.no-authn-context"),
        ("NoPassive", "saml.status.no-passive"),
        ("AuthnFailed", "saml.status.authn-failed"),
        ("RequestDenied", "saml.status.denied"),
        ("Other", "saml.status.failed"),
    ] {
        let success = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/>";
        let failed = format!(
            "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Responder\"><samlp:StatusCode \
             Value=\"urn:oasis:names:tc:SAML:2.0:status:{status}\"/></samlp:StatusCode>"
        );
        case(cases, &format!("status {status}"), code, swap(success, &failed));
    }
    case(
        cases,
        "no status",
        "saml.status.missing",
        Box::new(|base| changed(base, "Status", |_| String::new())),
    );
}

/// Under which conditions the assertion holds.
fn conditions(cases: &mut Cases) {
    let eight = at(0);
    let five = at(300);
    case(
        cases,
        "no conditions",
        "saml.conditions.missing",
        Box::new(|base| changed(base, "Conditions", |_| String::new())),
    );
    case(
        cases,
        "conditions for ever",
        "saml.conditions.missing",
        inside("Conditions", &format!("NotOnOrAfter=\"{five}\""), ""),
    );
    case(
        cases,
        "not yet",
        "saml.conditions.early",
        inside(
            "Conditions",
            &format!("NotBefore=\"{eight}\""),
            &format!("NotBefore=\"{}\"", at(61)),
        ),
    );
    case(cases, "no longer", "saml.conditions.expired", inside("Conditions", &five, &at(-60)));
    case(
        cases,
        "another audience",
        "saml.conditions.audience",
        inside("Conditions", SP, "https://other.example"),
    );
    case(
        cases,
        "a second audience restriction",
        "saml.conditions.audience",
        inside(
            "Conditions",
            "</saml:Conditions>",
            "<saml:AudienceRestriction><saml:Audience>https://other.example</saml:Audience></saml:AudienceRestriction></saml:Conditions>",
        ),
    );
    case(
        cases,
        "an unknown condition",
        "saml.conditions.unknown",
        inside("Conditions", "</saml:Conditions>", "<saml:Condition/></saml:Conditions>"),
    );
    case(
        cases,
        "used once",
        "accepted",
        inside("Conditions", "</saml:Conditions>", "<saml:OneTimeUse/></saml:Conditions>"),
    );
}

/// Who it is about.
fn subject(cases: &mut Cases) {
    case(cases, "an empty NameID", "saml.nameid", swap("det.ruiz", ""));
    case(cases, "a NameID with a space", "saml.nameid", swap("det.ruiz", "det ruiz"));
    case(cases, "a NameID with white space around", "saml.nameid", swap("det.ruiz", "det.ruiz\n"));
    case(
        cases,
        "a transient NameID",
        "saml.nameid",
        swap("nameid-format:persistent", "nameid-format:transient"),
    );
    case(
        cases,
        "a NameID of another service",
        "saml.nameid",
        inside("NameID", " Format", " SPNameQualifier=\"https://other.example\" Format"),
    );
    case(cases, "a long NameID", "saml.nameid", swap("det.ruiz", &"x".repeat(241)));
    case(
        cases,
        "an encrypted NameID",
        "saml.shape.encrypted",
        inside("Subject", "</saml:Subject>", "<saml:EncryptedID/></saml:Subject>"),
    );
}

/// How and when the person was authenticated.
fn authentication(cases: &mut Cases) {
    let eight = at(0);
    let instant = format!("AuthnInstant=\"{eight}\"");
    case(
        cases,
        "no authentication",
        "saml.authn.statement",
        Box::new(|base| changed(base, "AuthnStatement", |_| String::new())),
    );
    case(
        cases,
        "two authentications",
        "saml.authn.statement",
        Box::new(|base| changed(base, "AuthnStatement", |one| one.repeat(2))),
    );
    case(
        cases,
        "authenticated in the future",
        "saml.authn.instant",
        swap(&instant, &format!("AuthnInstant=\"{}\"", at(61))),
    );
    case(
        cases,
        "authenticated yesterday",
        "saml.authn.old",
        swap(&instant, &format!("AuthnInstant=\"{}\"", at(-12 * 3600 - 1))),
    );
    case(
        cases,
        "the provider's session is over",
        "saml.authn.session",
        swap(&at(8 * 3600), &at(-1)),
    );
    case(cases, "no context", "saml.authn.context", swap(MFA, ""));
    case(
        cases,
        "one factor",
        "saml.mfa.missing",
        swap(MFA, "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"),
    );
    case(
        cases,
        "a context nobody knows",
        "saml.mfa.missing",
        swap(MFA, "https://refeds.org/profile/mfa2"),
    );
}

/// What else is said.
fn attributes(cases: &mut Cases) {
    case(
        cases,
        "an attribute twice",
        "saml.attribute",
        swap("Name=\"displayName\"", "Name=\"functions\""),
    );
    case(
        cases,
        "an attribute without a name",
        "saml.attribute",
        swap("Name=\"displayName\"", "Name=\"\""),
    );
    case(cases, "an attribute of 5 KB", "saml.attribute", swap("Ruiz, Ana", &"x".repeat(5000)));
    case(
        cases,
        "an encrypted attribute",
        "saml.shape.encrypted",
        inside(
            "AttributeStatement",
            "<saml:Attribute Name=\"displayName\">",
            "<saml:EncryptedAttribute/><saml:Attribute Name=\"displayName\">",
        ),
    );
}
