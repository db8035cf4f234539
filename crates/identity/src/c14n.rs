//! Exclusive XML Canonicalization 1.0 without comments (www.w3.org/TR/xml-exc-c14n), of one element.
//!
//! Verifying and signing use the same function. It takes a parsed tree and gives the bytes that are
//! hashed; comments never come out, and the tree's own strings are escaped as Canonical XML says.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use roxmltree::{Attribute, Node};

/// Namespace declarations that stand in the output so far, by prefix; the default one has the prefix "".
type Scope<'a> = BTreeMap<&'a str, &'a str>;

enum Step<'a, 'input> {
    Visit(Node<'a, 'input>, Rc<Scope<'a>>),
    Close(&'a str),
}

/// The canonical form of the element `apex` and what is in it, without the subtree `omit` (the enveloped
/// signature, when a signature is made or checked). `inclusive` is the PrefixList of InclusiveNamespaces:
/// prefixes whose declarations are kept though nothing seems to use them; `#default` is the default one.
#[must_use]
pub fn exclusive(apex: Node<'_, '_>, omit: Option<Node<'_, '_>>, inclusive: &[&str]) -> Vec<u8> {
    let mut out = String::new();
    let mut steps = vec![Step::Visit(apex, Rc::new(Scope::new()))];
    while let Some(step) = steps.pop() {
        match step {
            Step::Close(name) => {
                out.push_str("</");
                out.push_str(name);
                out.push('>');
            }
            Step::Visit(node, _) if omit == Some(node) => {}
            Step::Visit(node, scope) if node.is_element() => {
                let scope = open(node, &scope, inclusive, &mut out);
                steps.push(Step::Close(name(node)));
                steps.extend(node.children().rev().map(|child| Step::Visit(child, scope.clone())));
            }
            Step::Visit(node, _) if node.is_text() => {
                escape_text(node.text().unwrap_or_default(), &mut out);
            }
            Step::Visit(node, _) => {
                if let Some(pi) = node.pi() {
                    let space = if pi.value.is_some() { " " } else { "" };
                    out.push_str("<?");
                    out.push_str(pi.target);
                    out.push_str(space);
                    out.push_str(pi.value.unwrap_or_default());
                    out.push_str("?>");
                }
            }
        }
    }
    out.into_bytes()
}

/// Writes a start tag; gives the declarations that its children find in the output.
fn open<'a>(
    node: Node<'a, '_>,
    scope: &Rc<Scope<'a>>,
    inclusive: &[&str],
    out: &mut String,
) -> Rc<Scope<'a>> {
    out.push('<');
    out.push_str(name(node));
    let mut used: BTreeSet<&str> = BTreeSet::from([prefix(name(node))]);
    let mut attributes: Vec<Attribute<'a, '_>> = node.attributes().collect();
    used.extend(attributes.iter().map(|attribute| prefix(attribute_name(node, attribute))));
    // An attribute without prefix is in no namespace, and the element itself says if it uses the default.
    if !prefix(name(node)).is_empty() {
        used.remove("");
    }
    for listed in inclusive {
        used.insert(if *listed == "#default" { "" } else { listed });
    }
    used.remove("xml");
    let mut inner: Option<Scope<'a>> = None;
    for prefix in used {
        let declared = node.namespaces().find(|found| found.name().unwrap_or_default() == prefix);
        let uri = declared.map_or("", |found| found.uri());
        if scope.get(prefix).copied().unwrap_or_default() == uri {
            continue;
        }
        out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        out.push_str(prefix);
        out.push_str("=\"");
        escape_attribute(uri, out);
        out.push('"');
        let key = declared.and_then(|found| found.name()).unwrap_or_default();
        inner.get_or_insert_with(|| Scope::clone(scope)).insert(key, uri);
    }
    attributes
        .sort_by_key(|attribute| (attribute.namespace().unwrap_or_default(), attribute.name()));
    for attribute in &attributes {
        out.push(' ');
        out.push_str(attribute_name(node, attribute));
        out.push_str("=\"");
        escape_attribute(attribute.value(), out);
        out.push('"');
    }
    out.push('>');
    inner.map_or_else(|| scope.clone(), Rc::new)
}

/// The element's name with its prefix, as it was written: the tree keeps only the namespace, to which two
/// prefixes may lead.
fn name<'a>(node: Node<'a, '_>) -> &'a str {
    let text = node.document().input_text();
    let tag = text.get(node.range()).and_then(|tag| tag.strip_prefix('<')).unwrap_or_default();
    tag.split([' ', '\t', '\r', '\n', '/', '>']).next().unwrap_or_default()
}

fn attribute_name<'a>(node: Node<'a, '_>, attribute: &Attribute<'a, '_>) -> &'a str {
    node.document().input_text().get(attribute.range_qname()).unwrap_or_default()
}

fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

fn escape_text(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
}

fn escape_attribute(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Canonicalizes the element with `ID="x"`, or the root.
    #[track_caller]
    fn check(input: &str, inclusive: &[&str], expected: &str) {
        let document = roxmltree::Document::parse(input).unwrap();
        let apex = document.descendants().find(|node| node.attribute("ID") == Some("x"));
        let bytes = exclusive(apex.unwrap_or_else(|| document.root_element()), None, inclusive);
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn white_space_in_tags_goes_and_in_text_stays() {
        check("<a  b = '1'\n c=\"2\" ><d />\r\n </a >", &[], "<a b=\"1\" c=\"2\"><d></d>\n </a>");
    }

    #[test]
    fn attributes_are_sorted_by_namespace_and_name_and_declarations_by_prefix() {
        check(
            "<e9 xmlns:b='http://www.ietf.org' xmlns:a='http://www.w3.org' \
             xmlns='http://example.org' b:attr='sorted' a:attr='out' attr2='all' attr=\"I'm\"/>",
            &[],
            "<e9 xmlns=\"http://example.org\" xmlns:a=\"http://www.w3.org\" \
             xmlns:b=\"http://www.ietf.org\" attr=\"I'm\" attr2=\"all\" b:attr=\"sorted\" \
             a:attr=\"out\"></e9>",
        );
    }

    #[test]
    fn only_used_namespaces_are_declared_where_they_are_first_used() {
        check(
            "<n0:root xmlns:n0='urn:0' xmlns:n1='urn:1' xmlns:n3='urn:3'>\
             <n1:e ID='x' xmlns:n2='urn:2'><n3:s xmlns:n1='urn:1'/><n2:t n3:u=''/></n1:e></n0:root>",
            &[],
            "<n1:e xmlns:n1=\"urn:1\" ID=\"x\"><n3:s xmlns:n3=\"urn:3\"></n3:s>\
             <n2:t xmlns:n2=\"urn:2\" xmlns:n3=\"urn:3\" n3:u=\"\"></n2:t></n1:e>",
        );
    }

    #[test]
    fn a_prefix_bound_anew_is_declared_anew_and_two_prefixes_of_one_namespace_stay_two() {
        check(
            "<p:a xmlns:p='urn:1'><p:a xmlns:p='urn:2'/><q:a xmlns:q='urn:1'/><p:b/></p:a>",
            &[],
            "<p:a xmlns:p=\"urn:1\"><p:a xmlns:p=\"urn:2\"></p:a>\
             <q:a xmlns:q=\"urn:1\"></q:a><p:b></p:b></p:a>",
        );
    }

    #[test]
    fn an_undeclared_default_namespace_is_said_only_where_it_changes_something() {
        check(
            "<a xmlns='urn:1'><b xmlns=''><c/></b><p:d xmlns:p='urn:p' xmlns=''><e/></p:d></a>",
            &[],
            "<a xmlns=\"urn:1\"><b xmlns=\"\"><c></c></b>\
             <p:d xmlns:p=\"urn:p\"><e xmlns=\"\"></e></p:d></a>",
        );
        check(
            "<p:a xmlns:p='urn:p'><b xmlns=''/></p:a>",
            &[],
            "<p:a xmlns:p=\"urn:p\"><b></b></p:a>",
        );
    }

    #[test]
    fn listed_prefixes_are_kept_though_unused() {
        let input = "<r xmlns:xs='urn:xs' xmlns:u='urn:u' xmlns='urn:d'>\
                     <p:a xmlns:p='urn:p' ID='x'><p:b/></p:a></r>";
        check(
            input,
            &["xs", "absent"],
            "<p:a xmlns:p=\"urn:p\" xmlns:xs=\"urn:xs\" ID=\"x\"><p:b></p:b></p:a>",
        );
        check(
            input,
            &["#default"],
            "<p:a xmlns=\"urn:d\" xmlns:p=\"urn:p\" ID=\"x\"><p:b></p:b></p:a>",
        );
    }

    #[test]
    fn characters_are_escaped_as_canonical_xml_says() {
        check(
            "<a b='&#9;&#10;&#13;&lt;&gt;&quot;&apos;&amp;'>&#13;&lt;&gt;&quot;&amp;&#x20AC;</a>",
            &[],
            "<a b=\"&#x9;&#xA;&#xD;&lt;>&quot;'&amp;\">&#xD;&lt;&gt;\"&amp;\u{20ac}</a>",
        );
        check("<a><!-- gone --><?t  d?><?t?></a>", &[], "<a><?t d?><?t?></a>");
        check("<a xml:lang='en' b='1'/>", &[], "<a b=\"1\" xml:lang=\"en\"></a>");
    }

    #[test]
    fn the_omitted_subtree_leaves_no_trace() {
        let document = roxmltree::Document::parse("<a> <s><t/></s> <u/></a>").unwrap();
        let omit = document.root_element().first_element_child();
        let bytes = exclusive(document.root_element(), omit, &[]);
        assert_eq!(bytes, b"<a>  <u></u></a>");
    }

    proptest::proptest! {
        /// The canonical form of a canonical form is itself: what verification parses again is what was
        /// hashed.
        #[test]
        fn canonical_bytes_are_a_fixed_point(
            text in "[a-z&<>\"'\r\n\t\u{e9}]{0,12}",
            value in "[a-z&<>\"'\r\n\t]{0,12}",
            namespaces in proptest::collection::vec("urn:[a-c]", 3),
        ) {
            let mut escaped = String::new();
            let mut quoted = String::new();
            escape_text(&text, &mut escaped);
            escape_attribute(&value, &mut quoted);
            let input = format!(
                "<p:a xmlns:p='{}' xmlns='{}'><b q:c=\"{quoted}\" xmlns:q='{}'>{escaped}</b><p:d/></p:a>",
                namespaces[0], namespaces[1], namespaces[2],
            );
            let document = roxmltree::Document::parse(&input).unwrap();
            let once = String::from_utf8(exclusive(document.root_element(), None, &[])).unwrap();
            let again = roxmltree::Document::parse(&once).unwrap();
            let twice = exclusive(again.root_element(), None, &[]);
            assert_eq!(once.as_bytes(), twice);
            let b = |document: &roxmltree::Document<'_>| {
                let node = document.descendants().find(|node| node.tag_name().name() == "b").unwrap();
                let value = node.attributes().next().unwrap().value().to_owned();
                (node.text().unwrap_or_default().to_owned(), value)
            };
            assert_eq!(b(&document), (text, value));
            assert_eq!(b(&again), b(&document));
        }
    }
}
