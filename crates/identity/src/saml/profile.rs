//! What an answer must say, held against what we asked, and when, and whom.
//!
//! Invariant: what is taken from here was in the bytes that a signature covered. Where only the assertion
//! is signed, the response around it can cause a refusal and nothing else.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use roxmltree::Node;

use super::gate::{Shape, children};
use super::scan::{elements, parse, text_of, trim, uri_of};
use super::signature::Believed;
use super::{Assertion, Expectation, ns};
use crate::session::later;
use crate::{IdpSettings, Refusal, SKEW_SECONDS_MAX};

/// How far a message's IssueInstant may lie from now.
const ISSUED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// How long ago the person may have been authenticated (IA-5 o(2)c).
const AUTHENTICATED_WITHIN: SignedDuration = SignedDuration::from_hours(12);

/// Longest that a used message is remembered. Its IssueInstant makes it useless long before.
const REMEMBERED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

const SKEW: SignedDuration = SignedDuration::from_secs(SKEW_SECONDS_MAX);
const NAME_ID_BYTES_MAX: usize = 240;
const VALUE_BYTES_MAX: usize = 4096;
const VALUES_MAX: usize = 256;

const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";

fn refuse<T>(code: &'static str, detail: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, detail))
}

/// The provider's own verdict. A failure needs no signature to be a failure.
pub(crate) fn status(response: Node<'_, '_>) -> Result<(), Refusal> {
    let status = elements(response).find(|node| node.has_tag_name((ns::PROTOCOL, "Status")));
    let Some(first) = status.and_then(status_code) else {
        return refuse("saml.status.missing", "the response has no status");
    };
    let value = |node: Node<'_, '_>| {
        let value = node.attribute("Value").unwrap_or_default();
        value.strip_prefix("urn:oasis:names:tc:SAML:2.0:status:").unwrap_or_default().to_owned()
    };
    if value(first) == "Success" {
        return Ok(());
    }
    match status_code(first).map(value).unwrap_or_default().as_str() {
        "NoAuthnContext" => refuse(
            "saml.status.no-authn-context",
            "the provider could not authenticate the person as strongly as was asked",
        ),
        "NoPassive" => refuse("saml.status.no-passive", "the provider would have had to ask"),
        "AuthnFailed" => {
            refuse("saml.status.authn-failed", "the provider did not let the person in")
        }
        "RequestDenied" => refuse("saml.status.denied", "the provider denied the request"),
        _ => refuse("saml.status.failed", "the provider reports a failure"),
    }
}

fn status_code<'a, 'input>(node: Node<'a, 'input>) -> Option<Node<'a, 'input>> {
    let mut codes = elements(node).filter(|child| child.tag_name().name() == "StatusCode");
    match (codes.next(), codes.next()) {
        (Some(code), None) => Some(code).filter(|c| c.has_tag_name((ns::PROTOCOL, "StatusCode"))),
        (Some(_) | None, _) => None,
    }
}

/// Every check of the profile, on what the signatures covered. `decrypted` is the assertion, if it came
/// encrypted: then `believed` is the response around it.
pub(crate) fn check(
    shape: &Shape<'_, '_>,
    believed: &Believed,
    decrypted: Option<Node<'_, '_>>,
    expectation: &Expectation<'_>,
) -> Result<Assertion, Refusal> {
    let document = parse(&believed.text)?;
    let root = document.root_element();
    let inside = || elements(root).find(|node| node.has_tag_name((ns::ASSERTION, "Assertion")));
    match (believed.covers_response, decrypted) {
        (true, Some(assertion)) => accept(root, assertion, believed, expectation),
        (true, None) => match inside() {
            Some(assertion) => accept(root, assertion, believed, expectation),
            None => refuse("saml.shape.assertion", "the signed response holds no assertion"),
        },
        (false, None) => accept(shape.response, root, believed, expectation),
        (false, Some(_)) => {
            refuse("saml.signature.missing", "the response around what was encrypted is not signed")
        }
    }
}

fn accept(
    response: Node<'_, '_>,
    assertion: Node<'_, '_>,
    believed: &Believed,
    expectation: &Expectation<'_>,
) -> Result<Assertion, Refusal> {
    status(response)?;
    message(response, expectation)?;
    destination(response, expectation)?;
    message(assertion, expectation)?;
    children(assertion, KNOWN)?;
    let until = conditions(assertion, expectation)?;
    let attributes = attributes(assertion, expectation.idp)?;
    let (name_id, name_id_format, confirmed_until) = subject(assertion, expectation)?;
    let statement = authentication(assertion, expectation)?;
    let mfa = is_mfa(&statement.context, &attributes, expectation.idp);
    if !mfa && expectation.idp.second_factor.is_none() {
        let detail = "the provider does not state more than one factor";
        return refuse("saml.mfa.missing", detail);
    }
    let remember_until = later(until.max(confirmed_until), SKEW);
    Ok(Assertion {
        response_id: id(response)?,
        assertion_id: id(assertion)?,
        remember_until: remember_until.min(later(expectation.now, REMEMBERED_WITHIN)),
        name_id,
        name_id_format,
        session_index: statement.session_index,
        session_not_on_or_after: statement.session_not_on_or_after,
        authenticated_at: statement.authenticated_at,
        context: statement.context,
        mfa,
        attributes,
        notes: believed.notes.clone(),
    })
}

const KNOWN: &[&str] = &[
    "Issuer",
    "Signature",
    "Subject",
    "Conditions",
    "Advice",
    "AuthnStatement",
    "AttributeStatement",
];

fn id(node: Node<'_, '_>) -> Result<String, Refusal> {
    match node.attribute("ID") {
        Some(id) if !id.is_empty() => Ok(id.to_owned()),
        Some(_) | None => refuse("saml.shape.id", "a message has no ID"),
    }
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    elements(node).find(|child| child.has_tag_name((ns::ASSERTION, name)))
}

/// What response and assertion have in common: version, age and issuer.
fn message(node: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<(), Refusal> {
    if node.attribute("Version") != Some("2.0") {
        return refuse("saml.version", "a message is not of SAML 2.0");
    }
    let issued = time(node, "IssueInstant")?;
    let Some(issued) = issued else {
        return refuse("saml.time", "a message does not say when it was issued");
    };
    if issued.duration_since(expectation.now).abs() > ISSUED_WITHIN {
        return refuse("saml.time", "a message was issued more than five minutes from now");
    }
    let issuer = child(node, "Issuer");
    let format = issuer.and_then(|issuer| issuer.attribute("Format"));
    let named = issuer.and_then(uri_of);
    if named.as_deref() != Some(&expectation.idp.entity_id) || format.is_some_and(|f| f != ENTITY) {
        return refuse("saml.issuer", "a message is not of the provider that was asked");
    }
    Ok(())
}

fn destination(response: Node<'_, '_>, expectation: &Expectation<'_>) -> Result<(), Refusal> {
    if response.attribute("Destination") != Some(expectation.acs_url) {
        return refuse("saml.destination", "the response was meant for another address");
    }
    if let Some(request) = expectation.request_id
        && response.attribute("InResponseTo") != Some(request)
    {
        return refuse("saml.inresponseto", "the response does not answer our request");
    }
    Ok(())
}

/// Gives until when the assertion holds.
fn conditions(
    assertion: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<Timestamp, Refusal> {
    let Some(conditions) = child(assertion, "Conditions") else {
        return refuse("saml.conditions.missing", "the assertion has no conditions");
    };
    if let Some(from) = time(conditions, "NotBefore")?
        && later(expectation.now, SKEW) < from
    {
        return refuse("saml.conditions.early", "the assertion does not hold yet");
    }
    let Some(until) = time(conditions, "NotOnOrAfter")? else {
        return refuse("saml.conditions.missing", "the assertion holds for ever");
    };
    if expectation.now >= later(until, SKEW) {
        return refuse("saml.conditions.expired", "the assertion no longer holds");
    }
    let mut audiences = 0;
    for condition in elements(conditions) {
        let name = condition.tag_name();
        match (name.namespace(), name.name()) {
            (Some(ns::ASSERTION), "AudienceRestriction") => {
                audiences += 1;
                let mut named = elements(condition)
                    .filter(|node| node.has_tag_name((ns::ASSERTION, "Audience")))
                    .filter_map(uri_of);
                if !named.any(|audience| audience == expectation.entity_id) {
                    let detail = "the assertion is for another audience";
                    return refuse("saml.conditions.audience", detail);
                }
            }
            // Every assertion is used once here, and passed on to nobody.
            (Some(ns::ASSERTION), "OneTimeUse" | "ProxyRestriction") => {}
            (_, _) => {
                let detail = "the assertion has a condition that is not known";
                return refuse("saml.conditions.unknown", detail);
            }
        }
    }
    if audiences == 0 {
        return refuse("saml.conditions.audience", "the assertion is for no audience");
    }
    Ok(until)
}

/// Gives the person's name at the provider, its format, and until when its bearer is confirmed.
fn subject(
    assertion: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<(String, Option<String>, Timestamp), Refusal> {
    let Some(subject) = child(assertion, "Subject") else {
        return refuse("saml.nameid", "the assertion is about nobody");
    };
    if child(subject, "EncryptedID").is_some() {
        return refuse("saml.shape.encrypted", "an encrypted NameID is not accepted");
    }
    children(subject, &["NameID", "SubjectConfirmation"])?;
    let mut names = elements(subject).filter(|node| node.has_tag_name((ns::ASSERTION, "NameID")));
    let (Some(name), None) = (names.next(), names.next()) else {
        return refuse("saml.nameid", "the assertion does not have exactly one NameID");
    };
    let Some(text) = text_of(name) else {
        return refuse("saml.nameid", "the NameID is not text alone");
    };
    let odd = |character: char| character.is_control() || character.is_whitespace();
    if text.is_empty() || text.len() > NAME_ID_BYTES_MAX || text.contains(odd) {
        return refuse("saml.nameid", "the NameID is empty, too long or holds white space");
    }
    let format = name.attribute("Format");
    if format == Some(TRANSIENT) {
        return refuse("saml.nameid", "a transient NameID names no account");
    }
    if let Some(wanted) = &expectation.idp.name_id_format
        && format.unwrap_or(UNSPECIFIED) != wanted
    {
        return refuse("saml.nameid", "the NameID is not of the configured format");
    }
    if name.attribute("SPNameQualifier").is_some_and(|sp| sp != expectation.entity_id) {
        return refuse("saml.nameid", "the NameID was made for another service");
    }
    let until = confirmation(subject, expectation)?;
    Ok((text, format.map(str::to_owned), until))
}

fn confirmation(
    subject: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<Timestamp, Refusal> {
    const CODE: &str = "saml.subjectconfirmation";
    let mut bearers = elements(subject).filter(|node| {
        node.has_tag_name((ns::ASSERTION, "SubjectConfirmation"))
            && node.attribute("Method") == Some(BEARER)
    });
    let (Some(bearer), None) = (bearers.next(), bearers.next()) else {
        return refuse(CODE, "the assertion does not have exactly one bearer confirmation");
    };
    children(bearer, &["NameID", "SubjectConfirmationData"])?;
    let mut data = elements(bearer)
        .filter(|node| node.has_tag_name((ns::ASSERTION, "SubjectConfirmationData")));
    let (Some(data), None) = (data.next(), data.next()) else {
        return refuse(CODE, "the confirmation has no data");
    };
    if data.attribute("NotBefore").is_some() || data.has_children() {
        return refuse(CODE, "the confirmation holds what a bearer's may not");
    }
    let Some(until) = time(data, "NotOnOrAfter")? else {
        return refuse(CODE, "the confirmation holds for ever");
    };
    if expectation.now >= later(until, SKEW) {
        return refuse(CODE, "the confirmation no longer holds");
    }
    if data.attribute("Recipient") != Some(expectation.acs_url) {
        return refuse(CODE, "the confirmation is for another recipient");
    }
    if let Some(request) = expectation.request_id
        && data.attribute("InResponseTo") != Some(request)
    {
        return refuse(CODE, "the confirmation does not answer our request");
    }
    Ok(until)
}

struct Statement {
    authenticated_at: Timestamp,
    session_index: Option<String>,
    session_not_on_or_after: Option<Timestamp>,
    context: String,
}

fn authentication(
    assertion: Node<'_, '_>,
    expectation: &Expectation<'_>,
) -> Result<Statement, Refusal> {
    let mut statements =
        elements(assertion).filter(|node| node.has_tag_name((ns::ASSERTION, "AuthnStatement")));
    let (Some(statement), None) = (statements.next(), statements.next()) else {
        let detail = "the assertion does not have exactly one authentication statement";
        return refuse("saml.authn.statement", detail);
    };
    children(statement, &["SubjectLocality", "AuthnContext"])?;
    let Some(authenticated_at) = time(statement, "AuthnInstant")? else {
        return refuse("saml.authn.instant", "the provider does not say when it authenticated");
    };
    if authenticated_at > later(expectation.now, SKEW) {
        return refuse("saml.authn.instant", "the authentication lies in the future");
    }
    if expectation.now.duration_since(authenticated_at) > AUTHENTICATED_WITHIN {
        return refuse("saml.authn.old", "the authentication is older than twelve hours");
    }
    // Providers state whole seconds, so ours are cut likewise. There is no allowance for skew: it would
    // let an authentication from before our request pass for a new one.
    if expectation
        .reauthenticated_since
        .is_some_and(|since| authenticated_at.as_second() < since.as_second())
    {
        let detail = "the person was not authenticated anew, as was asked";
        return refuse("saml.authn.stale", detail);
    }
    let session_not_on_or_after = time(statement, "SessionNotOnOrAfter")?;
    if session_not_on_or_after.is_some_and(|until| until <= expectation.now) {
        return refuse("saml.authn.session", "the provider's session is over");
    }
    let mut contexts = elements(statement)
        .filter(|node| node.has_tag_name((ns::ASSERTION, "AuthnContext")))
        .flat_map(elements)
        .filter(|node| node.has_tag_name((ns::ASSERTION, "AuthnContextClassRef")));
    let context = match (contexts.next().and_then(uri_of), contexts.next()) {
        (Some(context), None) if !context.is_empty() => context,
        (_, _) => {
            let detail = "the provider does not state one authentication context";
            return refuse("saml.authn.context", detail);
        }
    };
    let session_index = statement.attribute("SessionIndex").map(str::to_owned);
    Ok(Statement { authenticated_at, session_index, session_not_on_or_after, context })
}

fn is_mfa(context: &str, attributes: &BTreeMap<String, Vec<String>>, idp: &IdpSettings) -> bool {
    let by_attribute = idp.mfa_attribute.as_ref().is_some_and(|(name, value)| {
        attributes.get(name).is_some_and(|values| values.contains(value))
    });
    by_attribute || idp.mfa_contexts.iter().any(|allowed| allowed == context)
}

/// The attributes that the settings name. A name that is there twice is refused, whoever named it.
fn attributes(
    assertion: Node<'_, '_>,
    idp: &IdpSettings,
) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    const CODE: &str = "saml.attribute";
    let mut seen = BTreeMap::new();
    let statements =
        elements(assertion).filter(|node| node.has_tag_name((ns::ASSERTION, "AttributeStatement")));
    for attribute in statements.flat_map(elements) {
        if attribute.has_tag_name((ns::ASSERTION, "EncryptedAttribute")) {
            return refuse("saml.shape.encrypted", "an encrypted attribute is not accepted");
        }
        let name = attribute.attribute("Name").unwrap_or_default();
        if !attribute.has_tag_name((ns::ASSERTION, "Attribute")) || name.is_empty() {
            return refuse(CODE, "an attribute statement holds what is not an attribute");
        }
        let mut values = Vec::new();
        for value in elements(attribute) {
            if !value.has_tag_name((ns::ASSERTION, "AttributeValue")) {
                return refuse(CODE, "an attribute holds what is not a value");
            }
            // A value with elements in it is dropped whole; its texts are never joined.
            let Some(text) = text_of(value) else { continue };
            if text.len() > VALUE_BYTES_MAX || values.len() >= VALUES_MAX {
                return refuse(CODE, "an attribute is too large");
            }
            values.push(trim(&text).to_owned());
        }
        if seen.insert(name.to_owned(), values).is_some() {
            return refuse(CODE, "an attribute is there twice");
        }
    }
    seen.retain(|name, _| idp.names(name));
    Ok(seen)
}

/// A time of SAML: a date and time in UTC, written with `Z`. `None` if the attribute is absent.
pub(crate) fn time(
    node: Node<'_, '_>,
    attribute: &'static str,
) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = node.attribute(attribute) else { return Ok(None) };
    // YYYY-MM-DDTHH:MM:SS, then a fraction, then Z; jiff by itself would take more spellings.
    let bytes = text.as_bytes();
    let shaped = bytes.len() <= 32
        && bytes.get(10) == Some(&b'T')
        && bytes.get(19).is_some_and(|byte| matches!(byte, b'Z' | b'.'))
        && bytes.last() == Some(&b'Z');
    match text.parse::<Timestamp>() {
        Ok(at) if shaped => Ok(Some(at)),
        Ok(_) | Err(_) => refuse("saml.time", "a time is not written in UTC, as SAML wants it"),
    }
}
