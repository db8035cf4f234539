//! The one shape that an answer may have. What is not known is refused, not skipped.
//!
//! Invariant: after this gate there is one response, which is the root; one assertion, which is its child or
//! was decrypted from one; and every signature is that of its own parent. So nothing later searches the
//! document.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node};

use super::ns;
use super::scan::{elements, is_space, text_of};
use crate::Refusal;

/// Longest ID that is looked at.
const ID_BYTES_MAX: usize = 256;

/// An answer of the right shape; nothing in it is believed yet.
#[derive(Debug)]
pub(crate) struct Shape<'a, 'input> {
    pub(crate) response: Node<'a, 'input>,
    pub(crate) response_signature: Option<Signature<'a, 'input>>,
    /// Absent when it is encrypted.
    pub(crate) assertion: Option<Covered<'a, 'input>>,
}

/// An assertion and its own signature, if it has one.
#[derive(Debug)]
pub(crate) struct Covered<'a, 'input> {
    pub(crate) node: Node<'a, 'input>,
    pub(crate) signature: Option<Signature<'a, 'input>>,
}

/// An enveloped signature over its own parent.
#[derive(Debug)]
pub(crate) struct Signature<'a, 'input> {
    pub(crate) node: Node<'a, 'input>,
    pub(crate) signed_info: Node<'a, 'input>,
    /// PrefixList of the CanonicalizationMethod.
    pub(crate) info_prefixes: Vec<&'a str>,
    /// PrefixList of the exclusive canonicalization in the reference.
    pub(crate) prefixes: Vec<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) digest_method: &'a str,
    pub(crate) digest: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// Certificates that the message brings along. They are compared for the log and never used.
    pub(crate) offered: Vec<String>,
}

/// Compares the document with the shape of an answer.
pub(crate) fn check<'a, 'input>(
    document: &'a Document<'input>,
) -> Result<Shape<'a, 'input>, Refusal> {
    let response = document.root_element();
    if !response.has_tag_name((ns::PROTOCOL, "Response")) {
        return Err(shape("saml.shape.root", "the message is not a SAML response"));
    }
    elements_are_in_place(document)?;
    let known = ["Issuer", "Extensions", "Status", "Assertion", "EncryptedAssertion", "Signature"];
    children(response, &known)?;
    one_at_most(response, &["Issuer", "Extensions", "Status", "Signature"])?;
    let child = |name| elements(response).filter(move |node| node.tag_name().name() == name);
    super::profile::status(response)?;
    let mut assertions = child("Assertion").chain(child("EncryptedAssertion"));
    let (Some(assertion), None) = (assertions.next(), assertions.next()) else {
        let detail = "the response does not hold exactly one assertion";
        return Err(shape("saml.shape.assertion", detail));
    };
    let assertion = match assertion.tag_name().name() {
        "Assertion" => Some(covered(assertion)?),
        _ => None,
    };
    Ok(Shape { response, response_signature: signature_of(response)?, assertion })
}

/// Compares a decrypted document with the shape of an assertion. `response_id` is taken already.
pub(crate) fn check_decrypted<'a, 'input>(
    document: &'a Document<'input>,
    response_id: &str,
) -> Result<Covered<'a, 'input>, Refusal> {
    let assertion = document.root_element();
    if !assertion.has_tag_name((ns::ASSERTION, "Assertion")) {
        return Err(shape("saml.shape.assertion", "what was encrypted is not an assertion"));
    }
    elements_are_in_place(document)?;
    if assertion.attribute("ID") == Some(response_id) {
        return Err(shape("saml.shape.id", "response and assertion have the same ID"));
    }
    covered(assertion)
}

/// Compares a document with the shape of a message that is signed beside itself: its root has this name, and no
/// signature stands in it.
pub(crate) fn plain(document: &Document<'_>, name: &'static str) -> Result<(), Refusal> {
    let root = document.root_element();
    if !root.has_tag_name((ns::PROTOCOL, name)) {
        return Err(shape("saml.shape.root", "the message is not of the kind that it came as"));
    }
    for node in document.descendants().filter(Node::is_element) {
        if matches!(node.tag_name().name(), "Signature" | "Assertion" | "EncryptedAssertion") {
            return Err(shape("saml.shape.placement", "a part stands where none may"));
        }
        attributes(node)?;
    }
    one_at_most(root, &["Issuer", "Status"])?;
    ids_are_unique(document)
}

/// What holds for every element, in the clear or decrypted: where it stands, its attributes, its ID.
fn elements_are_in_place(document: &Document<'_>) -> Result<(), Refusal> {
    let root = document.root_element();
    for node in document.descendants().filter(Node::is_element) {
        placed(node, root)?;
        attributes(node)?;
    }
    ids_are_unique(document)
}

fn covered<'a, 'input>(node: Node<'a, 'input>) -> Result<Covered<'a, 'input>, Refusal> {
    let known = ["Issuer", "Signature", "Subject", "Conditions", "Advice", "AuthnStatement"];
    children(node, &[&known[..], &["AttributeStatement"]].concat())?;
    one_at_most(node, &["Issuer", "Signature", "Subject", "Conditions", "Advice"])?;
    Ok(Covered { node, signature: signature_of(node)? })
}

fn shape(code: &'static str, detail: &str) -> Refusal {
    Refusal::new(code, detail)
}

/// Whether an element that attacks move about stands where it may. Names count in any namespace. The root
/// is a response, or an assertion that was decrypted.
fn placed(node: Node<'_, '_>, root: Node<'_, '_>) -> Result<(), Refusal> {
    let parent = node.parent_element();
    let saml = |node: Option<Node<'_, '_>>, name| {
        node.is_some_and(|node| node.has_tag_name((ns::ASSERTION, name)))
    };
    let of_response = root.has_tag_name((ns::PROTOCOL, "Response"));
    let below_response = of_response && parent == Some(root);
    let (sound, detail) = match node.tag_name().name() {
        "Response" => (of_response && node == root, "a response stands inside the response"),
        "Assertion" | "EncryptedAssertion" => (
            node.tag_name().namespace() == Some(ns::ASSERTION)
                && (below_response || node == root || saml(parent, "Advice")),
            "an assertion stands where none may",
        ),
        "Advice" => (
            saml(Some(node), "Advice") && saml(parent, "Assertion"),
            "an advice stands where none may",
        ),
        "Signature" => (
            node.tag_name().namespace() == Some(ns::SIGNATURE)
                && (below_response || saml(parent, "Assertion")),
            "a signature stands where none may",
        ),
        _ => return Ok(()),
    };
    if sound { Ok(()) } else { Err(shape("saml.shape.placement", detail)) }
}

/// SAML's own elements carry no attributes of others: an ID in another namespace is an attack's.
fn attributes(node: Node<'_, '_>) -> Result<(), Refusal> {
    let relative = |uri: &str| !uri.is_empty() && !is_absolute(uri);
    if node.namespaces().any(|declared| relative(declared.uri())) {
        return Err(shape("saml.shape.namespace", "a namespace is not an absolute URI"));
    }
    let ours = matches!(
        node.tag_name().namespace(),
        Some(
            ns::ASSERTION
                | ns::PROTOCOL
                | ns::SIGNATURE
                | ns::EXCLUSIVE
                | ns::ENCRYPTION
                | ns::ENCRYPTION_11
        )
    );
    let value = node.has_tag_name((ns::ASSERTION, "AttributeValue"));
    // Providers note the encoding and the source of an attribute there (saml-profiles 8.2).
    let open = node.has_tag_name((ns::ASSERTION, "Attribute"));
    for attribute in node.attributes().filter(|_| ours) {
        let is_id = attribute.name().eq_ignore_ascii_case("id");
        let sound = match attribute.namespace() {
            None => !is_id || attribute.name() == id_name(node),
            Some(ns::SCHEMA_INSTANCE | ns::XML) if value => !is_id,
            Some(_) => open && !is_id,
        };
        if !sound {
            let detail = "an element carries an attribute that it may not";
            return Err(shape("saml.shape.attribute", detail));
        }
    }
    Ok(())
}

/// How the element's own ID is spelt.
fn id_name(node: Node<'_, '_>) -> &'static str {
    match node.tag_name().namespace() {
        Some(ns::SIGNATURE | ns::ENCRYPTION | ns::ENCRYPTION_11) => "Id",
        Some(_) | None => "ID",
    }
}

fn is_absolute(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, rest)| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.is_empty()
    })
}

/// No two elements have the same ID, in whatever namespace or spelling.
pub(crate) fn ids_are_unique(document: &Document<'_>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    let attributes = document.descendants().flat_map(|node| node.attributes());
    for id in attributes.filter(|attribute| attribute.name().eq_ignore_ascii_case("id")) {
        if id.value().is_empty() || id.value().len() > ID_BYTES_MAX || !seen.insert(id.value()) {
            let detail = "an ID is empty, too long or there twice";
            return Err(shape("saml.shape.id", detail));
        }
    }
    Ok(())
}

/// Every child is one of the known ones, in the namespace where it belongs, with no text between.
pub(crate) fn children(node: Node<'_, '_>, known: &[&str]) -> Result<(), Refusal> {
    for child in node.children() {
        let sound = if child.is_element() {
            let name = child.tag_name();
            let home = match name.name() {
                "Signature" => Some(ns::SIGNATURE),
                "Extensions" | "Status" | "StatusCode" | "StatusMessage" | "StatusDetail" => {
                    Some(ns::PROTOCOL)
                }
                _ => Some(ns::ASSERTION),
            };
            known.contains(&name.name()) && name.namespace() == home
        } else {
            is_space(child)
        };
        if !sound {
            let detail = format!("an element `{}` holds what it may not", node.tag_name().name());
            return Err(shape("saml.shape.child", &detail));
        }
    }
    Ok(())
}

fn one_at_most(node: Node<'_, '_>, names: &[&str]) -> Result<(), Refusal> {
    for name in names {
        if elements(node).filter(|child| child.tag_name().name() == *name).count() > 1 {
            return Err(shape(
                "saml.shape.child",
                "an element is there twice that may be there once",
            ));
        }
    }
    Ok(())
}

/// Reads the signature of an element, if it has one.
pub(crate) fn signature_of<'a, 'input>(
    parent: Node<'a, 'input>,
) -> Result<Option<Signature<'a, 'input>>, Refusal> {
    let Some(node) = elements(parent).find(|node| node.has_tag_name((ns::SIGNATURE, "Signature")))
    else {
        return Ok(None);
    };
    let parts: Vec<Node<'_, '_>> = exactly(node, &["SignedInfo", "SignatureValue", "KeyInfo"])?;
    let [signed_info, value, rest @ ..] = &parts[..] else {
        return Err(broken("a signature lacks its parts"));
    };
    let info = exactly(
        *signed_info,
        &["CanonicalizationMethod", "SignatureMethod", "Reference", "Reference"],
    )?;
    let [canonicalization, method, reference] = info[..] else {
        return Err(broken("a signature does not have exactly one reference"));
    };
    let (algorithm, info_prefixes) = canonicalization_of(canonicalization)?;
    if algorithm != ns::EXCLUSIVE {
        let detail = "SignedInfo is not canonicalized exclusively";
        return Err(shape("saml.signature.transform", detail));
    }
    only_attributes(*signed_info, &[])?;
    only_attributes(method, &["Algorithm"])?;
    let method = method_of(method)?;
    let (prefixes, digest_method, digest) = reference_of(reference, parent)?;
    Ok(Some(Signature {
        node,
        signed_info: *signed_info,
        info_prefixes,
        prefixes,
        method,
        digest_method,
        digest,
        value: base64_of(*value)?,
        offered: rest.iter().flat_map(|info| certificates_in(*info)).collect(),
    }))
}

fn broken(detail: &str) -> Refusal {
    shape("saml.shape.signature", detail)
}

/// The children, which are of XML Signature and in this order; the last of the names may be absent.
fn exactly<'a, 'input>(
    node: Node<'a, 'input>,
    names: &[&str],
) -> Result<Vec<Node<'a, 'input>>, Refusal> {
    let found: Vec<Node<'_, '_>> = elements(node).collect();
    let in_order =
        found.iter().zip(names).all(|(child, name)| child.has_tag_name((ns::SIGNATURE, *name)));
    let texts = node.children().filter(|child| !child.is_element()).all(is_space);
    if in_order && texts && (names.len() - 1..=names.len()).contains(&found.len()) {
        Ok(found)
    } else {
        Err(broken("a signature holds parts that it may not, or lacks some"))
    }
}

/// The reference is to the parent, through the two transforms that SAML prescribes.
fn reference_of<'a>(
    reference: Node<'a, '_>,
    parent: Node<'a, '_>,
) -> Result<(Vec<&'a str>, &'a str, Vec<u8>), Refusal> {
    only_attributes(reference, &["URI"])?;
    let id = parent.attribute("ID").unwrap_or_default();
    let target = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#'));
    if id.is_empty() || target != Some(id) {
        let detail = "a signature does not refer to the element that it stands in";
        return Err(shape("saml.signature.reference", detail));
    }
    let parts: Vec<Node<'_, '_>> = elements(reference).collect();
    let [transforms, digest_method, digest] = parts[..] else {
        return Err(broken("a reference lacks its parts"));
    };
    for (node, name) in
        [(transforms, "Transforms"), (digest_method, "DigestMethod"), (digest, "DigestValue")]
    {
        if !node.has_tag_name((ns::SIGNATURE, name)) {
            return Err(broken("a reference holds parts that it may not"));
        }
    }
    let wrong = || {
        let detail = "a reference is not transformed exactly as enveloped and exclusive";
        shape("saml.signature.transform", detail)
    };
    let transforms: Vec<Node<'_, '_>> = elements(transforms).collect();
    let [enveloped, exclusive] = transforms[..] else { return Err(wrong()) };
    for transform in [enveloped, exclusive] {
        if !transform.has_tag_name((ns::SIGNATURE, "Transform")) {
            return Err(wrong());
        }
    }
    let plain = elements(enveloped).next().is_none();
    if !plain || enveloped.attribute("Algorithm") != Some(ENVELOPED) {
        return Err(wrong());
    }
    let (algorithm, prefixes) = canonicalization_of(exclusive)?;
    if algorithm != ns::EXCLUSIVE {
        return Err(wrong());
    }
    only_attributes(digest_method, &["Algorithm"])?;
    Ok((prefixes, method_of(digest_method)?, base64_of(digest)?))
}

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// The algorithm of a canonicalization, and its PrefixList.
fn canonicalization_of<'a>(node: Node<'a, '_>) -> Result<(&'a str, Vec<&'a str>), Refusal> {
    only_attributes(node, &["Algorithm"])?;
    let inner: Vec<Node<'_, '_>> = elements(node).collect();
    let prefixes = match inner[..] {
        [] => Vec::new(),
        [list] if list.has_tag_name((ns::EXCLUSIVE, "InclusiveNamespaces")) => {
            only_attributes(list, &["PrefixList"])?;
            list.attribute("PrefixList").unwrap_or_default().split_ascii_whitespace().collect()
        }
        [_, ..] => return Err(broken("a canonicalization holds parts that it may not")),
    };
    Ok((node.attribute("Algorithm").unwrap_or_default(), prefixes))
}

/// The algorithm of a method that takes no parameters.
fn method_of<'a>(node: Node<'a, '_>) -> Result<&'a str, Refusal> {
    match (node.attribute("Algorithm"), elements(node).next()) {
        (Some(algorithm), None) => Ok(algorithm),
        (None | Some(_), _) => Err(broken("a method has no algorithm, or has parameters")),
    }
}

fn only_attributes(node: Node<'_, '_>, known: &[&str]) -> Result<(), Refusal> {
    let sound = node.attributes().all(|attribute| known.contains(&attribute.name()));
    if sound { Ok(()) } else { Err(broken("a signature carries attributes that it may not")) }
}

/// Bytes in base64, in which XML allows white space.
fn base64_of(node: Node<'_, '_>) -> Result<Vec<u8>, Refusal> {
    let text = text_of(node).ok_or_else(|| broken("a value of a signature is not text alone"))?;
    let text: String = text.split([' ', '\t', '\n', '\r']).collect();
    let bytes =
        STANDARD.decode(text).map_err(|_| broken("a value of a signature is not base64"))?;
    if bytes.is_empty() {
        return Err(broken("a value of a signature is empty"));
    }
    Ok(bytes)
}

fn certificates_in(key_info: Node<'_, '_>) -> Vec<String> {
    key_info
        .descendants()
        .filter(|node| node.has_tag_name((ns::SIGNATURE, "X509Certificate")))
        .filter_map(text_of)
        .map(|text| text.split([' ', '\t', '\n', '\r']).collect())
        .collect()
}
