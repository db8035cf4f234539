//! What an answer's signed bytes say of a person, read for showing: also where the answer is refused, and more of it
//! than a sign-in keeps.
//!
//! Invariant: nothing is read that a pinned key did not sign; nobody signs in by what is read here.

use roxmltree::Node;

use super::scan::{Limits, elements, parse, scan, text_of, trim, uri_of};
use super::{Expectation, decoded, decrypt, gate, ns, signature};
use crate::Refusal;

/// Attributes and values of one that are told at most; the rest is counted.
const ATTRIBUTES_MAX: usize = 60;
const VALUES_MAX: usize = 40;
/// Longest text that is told, in characters; a longer one ends in `…`.
const TEXT_CHARS_MAX: usize = 300;

/// What the provider said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    pub name_id: Option<String>,
    pub name_id_format: Option<String>,
    /// The authentication context class.
    pub context: Option<String>,
    /// AuthnInstant, as it is written.
    pub authenticated_at: Option<String>,
    /// Names and values, in the order of the message.
    pub attributes: Vec<(String, Vec<String>)>,
}

/// Reads an answer as it was posted.
///
/// # Errors
/// The [`Refusal`] of the first check that fails, up to the signatures and what is encrypted.
pub fn statement(response: &[u8], expectation: &Expectation<'_>) -> Result<Statement, Refusal> {
    let xml = decoded(response)?;
    let document = parse(scan(&xml, &Limits::RESPONSE)?)?;
    let shape = gate::check(&document)?;
    let believed = signature::verify(&shape, &expectation.idp.certificates)?;
    let text = match shape.assertion {
        Some(_) => believed.text,
        None => decrypt(&believed.text, expectation)?,
    };
    let signed = parse(scan(text.as_bytes(), &Limits::RESPONSE)?)?;
    let root = signed.root_element();
    let assertion = match root.has_tag_name((ns::ASSERTION, "Assertion")) {
        true => Some(root),
        false => child(root, "Assertion"),
    };
    Ok(assertion.map(read).unwrap_or_default())
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> Option<Node<'a, 'input>> {
    elements(node).find(|one| one.has_tag_name((ns::ASSERTION, name)))
}

fn read(assertion: Node<'_, '_>) -> Statement {
    let name = child(assertion, "Subject").and_then(|subject| child(subject, "NameID"));
    let authn = child(assertion, "AuthnStatement");
    let context = authn.and_then(|authn| child(authn, "AuthnContext"));
    let context = context.and_then(|context| child(context, "AuthnContextClassRef"));
    let attributes = elements(assertion)
        .filter(|node| node.has_tag_name((ns::ASSERTION, "AttributeStatement")))
        .flat_map(elements)
        .filter(|node| node.has_tag_name((ns::ASSERTION, "Attribute")));
    Statement {
        name_id: name.and_then(text_of).as_deref().map(told),
        name_id_format: name.and_then(|name| name.attribute("Format")).map(told),
        context: context.and_then(uri_of).as_deref().map(told),
        authenticated_at: authn.and_then(|authn| authn.attribute("AuthnInstant")).map(told),
        attributes: attributes.take(ATTRIBUTES_MAX).map(attribute).collect(),
    }
}

fn attribute(node: Node<'_, '_>) -> (String, Vec<String>) {
    let all = elements(node).filter(|one| one.has_tag_name((ns::ASSERTION, "AttributeValue")));
    let values = all.take(VALUES_MAX).map(|value| match text_of(value) {
        Some(text) => told(trim(&text)),
        None => "(elements, which are not read)".to_owned(),
    });
    (told(node.attribute("Name").unwrap_or_default()), values.collect())
}

fn told(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
