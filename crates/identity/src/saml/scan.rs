//! The first look at a message, at its bytes: what no honest message has never reaches the parser.
//!
//! Parsers differ in comments, processing instructions, CDATA, entities, encodings and white space in
//! attributes, and attacks live in the differences; and some need quadratic time for a tag with many
//! attributes. So none of that passes. The scan reads well-formed XML of this small kind exactly; what is
//! not well-formed, the parser refuses after it.

use roxmltree::{Document, Node, ParsingOptions};

use crate::Refusal;

/// What a message may cost. Over a limit it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes_max: usize,
    pub depth_max: usize,
    pub attributes_max: usize,
    pub elements_max: usize,
    /// Namespace declarations in the whole message: every element below inherits them.
    pub namespaces_max: usize,
    /// Whether comments may stand in it: in metadata, which the agency pins; never in an answer.
    pub comments: bool,
}

impl Limits {
    /// For an answer of a provider.
    pub const RESPONSE: Self = Self {
        bytes_max: super::RESPONSE_BYTES_MAX,
        depth_max: 64,
        attributes_max: 32,
        elements_max: 4096,
        namespaces_max: 1024,
        comments: false,
    };

    /// For a provider's metadata.
    pub const METADATA: Self = Self { bytes_max: 1024 * 1024, comments: true, ..Self::RESPONSE };
}

/// Nodes that the parser makes at most: elements, texts between them, and attributes are apart.
const NODES_MAX: u32 = 16 * 1024;

/// Scans the bytes and gives them as text.
///
/// # Errors
/// `saml.malformed` for what is too large, `saml.shape.*` for the rest.
pub fn scan<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Refusal> {
    if bytes.len() > limits.bytes_max {
        return Err(Refusal::new("saml.malformed", "the message is too large"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Refusal::new("saml.shape.encoding", "the message is not UTF-8"))?;
    let mut rest = after_declaration(text)?;
    if rest.bytes().any(is_forbidden) || rest.contains(['\u{feff}', '\u{fffe}', '\u{ffff}']) {
        return Err(Refusal::new("saml.shape.encoding", "the message holds a control character"));
    }
    let (mut depth, mut elements, mut namespaces) = (0_usize, 0_usize, 0_usize);
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--").filter(|_| limits.comments) {
            let (_, after) = comment.split_once("-->").ok_or_else(broken)?;
            rest = after;
            continue;
        }
        if tag.starts_with('!') {
            let detail = "the message holds a DTD, a comment or CDATA";
            return Err(Refusal::new("saml.shape.markup", detail));
        }
        if tag.starts_with('?') {
            let detail = "the message holds a processing instruction";
            return Err(Refusal::new("saml.shape.markup", detail));
        }
        if let Some(end) = tag.strip_prefix('/') {
            let (_, after) = end.split_once('>').ok_or_else(broken)?;
            depth = depth.saturating_sub(1);
            rest = after;
            continue;
        }
        elements += 1;
        let (after, empty) = start_tag(tag, limits, &mut namespaces)?;
        if !empty {
            depth += 1;
        }
        if depth > limits.depth_max
            || elements > limits.elements_max
            || namespaces > limits.namespaces_max
        {
            let detail = "the message is nested too deep, or has too many elements or namespaces";
            return Err(Refusal::new("saml.shape.limit", detail));
        }
        rest = after;
    }
    Ok(text)
}

/// Parses a message that was scanned.
///
/// # Errors
/// `saml.shape.xml` when it is not well-formed.
pub fn parse(text: &str) -> Result<Document<'_>, Refusal> {
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|_| Refusal::new("saml.shape.xml", "the message is not well-formed XML"))
}

fn broken() -> Refusal {
    Refusal::new("saml.shape.xml", "the message is not well-formed XML")
}

/// What follows the XML declaration, which may say UTF-8 and nothing else.
fn after_declaration(text: &str) -> Result<&str, Refusal> {
    let Some(declaration) = text.strip_prefix("<?xml ") else { return Ok(text) };
    let (declaration, rest) = declaration.split_once("?>").ok_or_else(broken)?;
    let sound = declaration.split_ascii_whitespace().all(|word| {
        let word = word.replace('\'', "\"").to_ascii_lowercase();
        matches!(
            word.as_str(),
            "version=\"1.0\"" | "encoding=\"utf-8\"" | "standalone=\"yes\"" | "standalone=\"no\""
        )
    });
    if sound {
        Ok(rest)
    } else {
        Err(Refusal::new("saml.shape.encoding", "the XML declaration is not of UTF-8 and XML 1.0"))
    }
}

fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Reads a start tag, from behind its `<`. Gives what follows it, and whether it ended with `/>`.
fn start_tag<'a>(
    tag: &'a str,
    limits: &Limits,
    namespaces: &mut usize,
) -> Result<(&'a str, bool), Refusal> {
    let mut rest = tag;
    let mut attributes = 0_usize;
    loop {
        let at = rest.find(['>', '"', '\'', '<']).ok_or_else(broken)?;
        let (before, from) = rest.split_at_checked(at).ok_or_else(broken)?;
        let mut characters = from.chars();
        let found = characters.next().ok_or_else(broken)?;
        rest = characters.as_str();
        match found {
            '>' => return Ok((rest, before.ends_with('/'))),
            '<' => return Err(broken()),
            quote => {
                attributes += 1;
                let name =
                    before.split(['=', ' ', '\t', '\n', '\r']).rfind(|word| !word.is_empty());
                *namespaces += usize::from(name.is_some_and(|name| name.starts_with("xmlns")));
                if attributes > limits.attributes_max {
                    let detail = "an element has too many attributes";
                    return Err(Refusal::new("saml.shape.limit", detail));
                }
                let (value, after) = rest.split_once(quote).ok_or_else(broken)?;
                if value.contains(['\t', '\n', '\r', '<']) {
                    let detail = "an attribute holds a line break, a tab or `<`";
                    return Err(Refusal::new("saml.shape.attribute", detail));
                }
                rest = after;
            }
        }
    }
}

/// The elements directly below.
pub(crate) fn elements<'a, 'input: 'a>(
    node: Node<'a, 'input>,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

/// The text of an element that holds nothing but text. `None` if there is anything else in it.
pub(crate) fn text_of(node: Node<'_, '_>) -> Option<String> {
    let mut text = String::new();
    for child in node.children() {
        if !child.is_text() {
            return None;
        }
        text.push_str(child.text().unwrap_or_default());
    }
    Some(text)
}

/// Whether a node is white space between elements.
pub(crate) fn is_space(node: Node<'_, '_>) -> bool {
    node.is_text() && trim(node.text().unwrap_or_default()).is_empty()
}

/// As [`text_of`], without white space around it, as `xs:anyURI` collapses it.
pub(crate) fn uri_of(node: Node<'_, '_>) -> Option<String> {
    text_of(node).map(|text| trim(&text).to_owned())
}

/// Without XML's white space around it; other white space is not trimmed.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(message: &str, code: &str) {
        let refusal = scan(message.as_bytes(), &Limits::RESPONSE).unwrap_err();
        assert_eq!(refusal.code, code, "{message}");
    }

    #[test]
    fn plain_elements_pass() {
        for message in [
            "<a/>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b='>' c=\"'/>\"><d>x</d></a>",
            "<?xml version='1.0'?><a>&amp;&#13;</a>",
        ] {
            assert_eq!(scan(message.as_bytes(), &Limits::RESPONSE).unwrap(), message);
        }
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        refused("<!DOCTYPE a><a/>", "saml.shape.markup");
        refused("<a><!-- x --></a>", "saml.shape.markup");
        refused("<a><![CDATA[x]]></a>", "saml.shape.markup");
        refused("<a><?x y?></a>", "saml.shape.markup");
        refused(" <?xml version=\"1.0\"?><a/>", "saml.shape.markup");
        refused("<?xml version=\"1.1\"?><a/>", "saml.shape.encoding");
        refused("<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>", "saml.shape.encoding");
        refused("\u{feff}<a/>", "saml.shape.encoding");
        refused("<a>\u{0}</a>", "saml.shape.encoding");
        refused("<a b=\"x\ny\"/>", "saml.shape.attribute");
        refused("<a b='<'/>", "saml.shape.attribute");
        refused("<a b=\"x", "saml.shape.xml");
        refused("<a <b/>", "saml.shape.xml");
        refused("<a", "saml.shape.xml");
        let utf16: Vec<u8> = "<a/>".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let refusal = scan(&utf16, &Limits::RESPONSE).unwrap_err();
        assert_eq!(refusal.code, "saml.shape.encoding");
    }

    #[test]
    fn limits_hold_and_are_reached_exactly() {
        let deep = |depth| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(scan(deep(64).as_bytes(), &Limits::RESPONSE).is_ok());
        refused(&deep(65), "saml.shape.limit");
        let wide = |count| format!("<a {}/>", "b='' ".repeat(count));
        assert!(scan(wide(32).as_bytes(), &Limits::RESPONSE).is_ok());
        refused(&wide(33), "saml.shape.limit");
        refused(&"<a/>".repeat(4097), "saml.shape.limit");
        let bound = |count| format!("<a>{}</a>", "<b xmlns:c = 'urn:c' d=''/>".repeat(count));
        assert!(scan(bound(1024).as_bytes(), &Limits::RESPONSE).is_ok());
        refused(&bound(1025), "saml.shape.limit");
        refused(&" ".repeat(super::super::RESPONSE_BYTES_MAX + 1), "saml.malformed");
    }

    #[test]
    fn a_hostile_tag_with_twenty_thousand_attributes_is_refused_before_parsing() {
        let many: String = (0..20_000).map(|n| format!("a{n}='x' ")).collect();
        refused(&format!("<a {many}/>"), "saml.shape.limit");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_scan_or_the_parser_fail_otherwise(bytes in ".{0,400}") {
            if let Ok(text) = scan(bytes.as_bytes(), &Limits::RESPONSE) {
                parse(text).ok();
            }
        }
    }
}
