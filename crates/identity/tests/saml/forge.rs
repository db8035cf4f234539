//! What an attacker does to a signed response: cuts, copies, puts back, and has SignedInfo signed again.

/// Document types that no honest provider sends.
pub(crate) const DTDS: [&str; 5] = [
    "<!DOCTYPE r>",
    "<!DOCTYPE r [<!ENTITY a \"det.ruiz\">]>",
    "<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>",
    "<!DOCTYPE r SYSTEM \"file:///etc/passwd\">",
    "<!DOCTYPE r [<!ATTLIST samlp:Response ID ID #IMPLIED>]>",
];

/// Cuts the first element of this name out of the text: gives it, and the text without it.
pub(crate) fn cut(xml: &str, name: &str) -> (String, String) {
    let document = roxmltree::Document::parse(xml).unwrap();
    let node = document.descendants().find(|node| node.tag_name().name() == name).unwrap();
    let range = node.range();
    let element = xml[range.clone()].to_owned();
    (element, [&xml[..range.start], &xml[range.end..]].concat())
}

/// The attacker's own assertion: unsigned, another ID, another person.
pub(crate) fn evil(assertion: &str) -> String {
    let (_, bare) = if assertion.contains("<ds:Signature ") {
        cut(&wrapped(assertion), "Signature")
    } else {
        (String::new(), wrapped(assertion))
    };
    let start = bare.find("<saml:Assertion").unwrap();
    let end = bare.find("</saml:Assertion>").unwrap() + "</saml:Assertion>".len();
    bare[start..end].replace("_assertion", "_evil").replace("det.ruiz", "chief.evil")
}

/// An element cut out of a response, with the namespaces that it used there.
pub(crate) fn wrapped(element: &str) -> String {
    format!(
        "<w xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{element}</w>"
    )
}

/// SignedInfo is changed and signed again by the provider's key, so that only its shape is at fault.
pub(crate) fn resigned(good: &str, change: impl Fn(&str) -> String) -> String {
    let document = roxmltree::Document::parse(good).unwrap();
    let info = document.descendants().find(|n| n.tag_name().name() == "SignedInfo").unwrap();
    let changed = change(&good[info.range()]);
    let parsed = roxmltree::Document::parse(&changed).unwrap();
    let bytes = identity::c14n::exclusive(parsed.root_element(), None, &[]);
    let value = crate::common::idp_signer().key.sign_sha256(&bytes).unwrap();
    use base64::Engine;
    let value = base64::engine::general_purpose::STANDARD.encode(value);
    let old = document.descendants().find(|n| n.tag_name().name() == "SignatureValue").unwrap();
    let rest = &good[old.range().end..];
    [
        &good[..info.range().start],
        &changed,
        "<ds:SignatureValue>",
        &value,
        "</ds:SignatureValue>",
        rest,
    ]
    .concat()
}

/// The element of this name with everything in it replaced by what `change` makes of it.
pub(crate) fn changed(xml: &str, name: &str, change: impl Fn(&str) -> String) -> String {
    let document = roxmltree::Document::parse(xml).unwrap();
    let node = document.descendants().find(|node| node.tag_name().name() == name).unwrap();
    let range = node.range();
    [&xml[..range.start], &change(&xml[range.clone()]), &xml[range.end..]].concat()
}

/// Puts `what` directly behind the start tag of the first element of this name.
pub(crate) fn into_first(xml: &str, name: &str, what: &str) -> String {
    let at = xml.find(&format!("<{name}")).unwrap();
    let end = at + xml[at..].find('>').unwrap() + 1;
    if xml[..end].ends_with("/>") {
        return [&xml[..end - 2], ">", what, "</", name, ">", &xml[end..]].concat();
    }
    [&xml[..end], what, &xml[end..]].concat()
}
