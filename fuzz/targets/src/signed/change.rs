//! How a message is changed, by a recipe of bytes: parts are moved, doubled, wrapped and taken away; texts, names
//! and attributes are written in other ways, some of which mean the same.
//!
//! Any bytes are a recipe, so that a fuzzer can look for the good ones. A step that does not fit is left out.

use std::ops::Range;

use roxmltree::{Document, Node, ParsingOptions};

/// Steps of one recipe.
const STEPS_MAX: usize = 8;

/// The longest message that is made.
const MESSAGE_BYTES_MAX: usize = 200_000;

/// The bytes that decide. When they are used up, every choice is the first.
#[derive(Debug)]
pub struct Recipe<'a>(&'a [u8]);

impl<'a> Recipe<'a> {
    /// All of it is still to come.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> usize {
        usize::from(self.byte().unwrap_or_default())
    }

    fn is_one_in(&mut self, sides: usize) -> bool {
        self.number().is_multiple_of(sides)
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.number().checked_rem(list.len())?)
    }
}

pub(super) fn changed(message: &str, recipe: &mut Recipe<'_>) -> String {
    let mut text = message.to_owned();
    for _ in 0..STEPS_MAX {
        let Some(which) = recipe.byte() else { break };
        let change = CHANGES.get(usize::from(which) % CHANGES.len());
        let next = change.and_then(|change| change(&text, recipe));
        if let Some(next) = next.filter(|next| next.len() <= MESSAGE_BYTES_MAX) {
            text = next;
        }
    }
    text
}

type Change = fn(&str, &mut Recipe<'_>) -> Option<String>;

const CHANGES: [Change; 20] = [
    moved,
    doubled,
    removed,
    swapped,
    wrapped,
    inserted,
    evil,
    text_replaced,
    text_split,
    respelt,
    attribute_set,
    attribute_added,
    attribute_removed,
    attributes_turned,
    requoted,
    spaced,
    emptied,
    declared,
    renamed,
    begun,
];

/// An element as it stands in the text.
struct Element {
    name: String,
    all: Range<usize>,
    /// Between the tags; of `<a/>`, behind it.
    inside: Range<usize>,
    /// Its attributes, with name and value.
    attributes: Vec<(Range<usize>, Range<usize>)>,
    /// Texts directly in it.
    texts: Vec<Range<usize>>,
}

impl Element {
    fn of(node: Node<'_, '_>, text: &str) -> Option<Self> {
        let all = node.range();
        let start = tag_end(text, all.start)?;
        let end = text.get(..all.end)?.rfind("</").filter(|end| *end >= start).unwrap_or(start);
        let name = text.get(all.start + 1..start)?;
        let name = name.split(['/', '>', ' ', '\t', '\n', '\r']).next()?.to_owned();
        let attributes = node.attributes().map(|one| (one.range(), one.range_value()));
        let texts = node.children().filter(Node::is_text).map(|one| one.range());
        let texts = texts.filter(|range| !range.is_empty()).collect();
        Some(Self { name, inside: start..end, attributes: attributes.collect(), texts, all })
    }

    /// Before it, behind it, as its first child, as its last.
    fn place(&self, recipe: &mut Recipe<'_>) -> usize {
        match recipe.number() % 4 {
            0 => self.all.start,
            1 => self.all.end,
            2 => self.inside.start,
            _ => self.inside.end,
        }
    }
}

fn elements(text: &str) -> Option<Vec<Element>> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: 20_000, ..Default::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    let nodes = document.descendants().filter(Node::is_element);
    Some(nodes.filter_map(|node| Element::of(node, text)).collect())
}

/// Behind the `>` of the tag that begins at `start`.
fn tag_end(text: &str, start: usize) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None, b'>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn splice(text: &str, range: Range<usize>, with: &str) -> Option<String> {
    Some([text.get(..range.start)?, with, text.get(range.end..)?].concat())
}

fn put(text: &str, at: usize, what: &str) -> Option<String> {
    splice(text, at..at, what)
}

fn moved(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let range = recipe.of(&all)?.all.clone();
    let to = recipe.of(&all)?.place(recipe);
    let what = text.get(range.clone())?.to_owned();
    if range.start < to && to < range.end {
        return None;
    }
    let rest = splice(text, range.clone(), "")?;
    put(&rest, if to >= range.end { to - range.len() } else { to }, &what)
}

fn doubled(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let what = text.get(recipe.of(&all)?.all.clone())?;
    put(text, recipe.of(&all)?.place(recipe), what)
}

fn removed(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    splice(text, recipe.of(&all)?.all.clone(), "")
}

fn swapped(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let (one, other) = (recipe.of(&all)?.all.clone(), recipe.of(&all)?.all.clone());
    let (first, second) = if one.start < other.start { (one, other) } else { (other, one) };
    if second.start < first.end {
        return None;
    }
    let (a, b) = (text.get(first.clone())?, text.get(second.clone())?);
    splice(&splice(text, second, a)?, first, b)
}

const WRAPPERS: [(&str, &str); 9] = [
    ("<saml:Advice>", "</saml:Advice>"),
    ("<samlp:Extensions>", "</samlp:Extensions>"),
    ("<ds:Object xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">", "</ds:Object>"),
    ("<saml:AttributeValue>", "</saml:AttributeValue>"),
    ("<saml:Assertion ID=\"_evil\" Version=\"2.0\">", "</saml:Assertion>"),
    ("<saml:EncryptedAssertion>", "</saml:EncryptedAssertion>"),
    ("<samlp:Response ID=\"_evil\">", "</samlp:Response>"),
    ("<x:y xmlns:x=\"urn:x\">", "</x:y>"),
    ("<samlp:StatusDetail>", "</samlp:StatusDetail>"),
];

fn wrapped(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let element = recipe.of(&all)?;
    let range = if recipe.is_one_in(2) { &element.all } else { &element.inside };
    let (before, after) = recipe.of(&WRAPPERS)?;
    let what = text.get(range.clone())?;
    splice(text, range.clone(), &format!("{before}{what}{after}"))
}

const PIECES: [&str; 12] = [
    " ",
    "\n",
    "\r\n",
    "<!-- -->",
    "<!--</saml:NameID>-->",
    "<?p q?>",
    "<![CDATA[x]]>",
    "<![CDATA[]]>",
    "&#32;",
    "<x:y xmlns:x=\"urn:x\"/>",
    "<saml:Advice/>",
    "chief.evil",
];

fn inserted(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let at = recipe.of(&all)?.place(recipe);
    put(text, at, recipe.of(&PIECES)?)
}

/// An assertion of the attacker's, made from the honest one, with or without a copy of its signature.
fn evil(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let honest = all.iter().find(|one| one.name == "saml:Assertion")?;
    let mut evil = text.get(honest.all.clone())?.replace("det.ruiz", "chief.evil");
    if recipe.is_one_in(2) {
        evil = evil.replacen("ID=\"_assertion\"", "ID=\"_evil\"", 1);
    }
    if recipe.is_one_in(2)
        && let Some((before, rest)) = evil.split_once("<ds:Signature ")
        && let Some((_, after)) = rest.split_once("</ds:Signature>")
    {
        evil = format!("{before}{after}");
    }
    if recipe.is_one_in(3) {
        return splice(text, honest.all.clone(), &evil);
    }
    put(text, recipe.of(&all)?.place(recipe), &evil)
}

const TEXTS: [&str; 8] = [
    "chief.evil",
    "",
    "https://evil.example",
    "administrator",
    "_evil",
    "https://bailiwick.riverton.example/saml/metadata",
    "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "urn:oasis:names:tc:SAML:2.0:status:Success",
];

fn text_replaced(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let with_texts: Vec<&Element> = all.iter().filter(|one| !one.texts.is_empty()).collect();
    let element = recipe.of(&with_texts)?;
    let range = recipe.of(&element.texts)?.clone();
    if recipe.is_one_in(2) {
        return splice(text, range, recipe.of(&TEXTS)?);
    }
    let other = recipe.of(&recipe_texts(&all))?.clone();
    splice(text, range, text.get(other)?)
}

fn recipe_texts(all: &[Element]) -> Vec<Range<usize>> {
    all.iter().flat_map(|one| one.texts.iter().cloned()).collect()
}

/// Something in the middle of a text: parsers differ in what the text is then.
fn text_split(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let range = recipe.of(&recipe_texts(&elements(text)?))?.clone();
    let at = range.start + recipe.number().checked_rem(range.len())?;
    put(text, at, recipe.of(&PIECES)?)
}

/// A character of a text written as a reference: the same text.
fn respelt(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let range = recipe.of(&recipe_texts(&elements(text)?))?.clone();
    let at = range.start + recipe.number().checked_rem(range.len())?;
    let character = text.get(at..)?.chars().next().filter(|one| !"&<;".contains(*one))?;
    let code = u32::from(character);
    let spelt = match recipe.number() % 3 {
        0 => format!("&#{code};"),
        1 => format!("&#x{code:x};"),
        _ => format!("&#x00{code:X};"),
    };
    splice(text, at..at + character.len_utf8(), &spelt)
}

const VALUES: [&str; 14] = [
    "_evil",
    "#_evil",
    "",
    "_assertion",
    "_response",
    "#_assertion",
    "#_response",
    "2.0",
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
    "https://evil.example",
    "2036-11-22T08:00:00Z",
];

fn attribute(text: &str, recipe: &mut Recipe<'_>) -> Option<(Element, Range<usize>, Range<usize>)> {
    let mut all = elements(text)?;
    all.retain(|one| !one.attributes.is_empty());
    let at = recipe.number().checked_rem(all.len())?;
    let element = all.swap_remove(at);
    let (whole, value) = recipe.of(&element.attributes)?.clone();
    Some((element, whole, value))
}

fn attribute_set(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let (_, _, value) = attribute(text, recipe)?;
    splice(text, value, recipe.of(&VALUES)?)
}

const ADDED: [&str; 12] = [
    " Id=\"_assertion\"",
    " id=\"_response\"",
    " ID=\"_evil\"",
    " xml:id=\"_assertion\"",
    " x:ID=\"_assertion\" xmlns:x=\"urn:x\"",
    " xmlns:saml=\"urn:evil\"",
    " xmlns=\"urn:evil\"",
    " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
    " xml:base=\"https://evil.example/\"",
    " xmlns:a=\"relative\"",
    " Format=\"urn:evil\"",
    " xsi:type=\"xs:anyType\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
];

fn attribute_added(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let element = recipe.of(&all)?;
    let at = element.all.start + 1 + element.name.len();
    put(text, at, recipe.of(&ADDED)?)
}

fn attribute_removed(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let (_, whole, _) = attribute(text, recipe)?;
    splice(text, whole, "")
}

/// An attribute put first: the same element.
fn attributes_turned(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let (element, whole, _) = attribute(text, recipe)?;
    let what = format!(" {}", text.get(whole.clone())?);
    put(&splice(text, whole, "")?, element.all.start + 1 + element.name.len(), &what)
}

/// The other quotes, where the value has none: the same attribute.
fn requoted(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let (_, whole, value) = attribute(text, recipe)?;
    let inside = text.get(value.clone())?;
    let quote = if text.get(value.end..)?.starts_with('"') { '\'' } else { '"' };
    let name = text.get(whole.start..value.start)?.trim_end_matches(['"', '\'']);
    let space = ["", " ", "\n"].get(recipe.number() % 3)?;
    let name = name.strip_suffix('=').filter(|_| !inside.contains(quote))?;
    splice(text, whole, &format!("{name}{space}={space}{quote}{inside}{quote}"))
}

/// White space in a tag: the same tag.
fn spaced(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let element = recipe.of(&all)?;
    let space = [" ", "\n", "\t", "\r\n"].get(recipe.number() % 4)?;
    if recipe.is_one_in(2) {
        return put(text, element.all.start + 1 + element.name.len(), space);
    }
    put(text, element.all.end.checked_sub(1)?, space)
}

/// `<a></a>` for `<a/>` and the other way: the same element.
fn emptied(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let mut all = elements(text)?;
    all.retain(|one| one.inside.is_empty());
    let element = recipe.of(&all)?;
    let whole = text.get(element.all.clone())?;
    let other = match whole.strip_suffix("/>") {
        Some(tag) => format!("{tag}></{}>", element.name),
        None => format!("{}/>", whole.split_once('>')?.0),
    };
    splice(text, element.all.clone(), &other)
}

/// A declaration that nothing uses, or that is there already: the same under exclusive canonicalization.
fn declared(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let element = recipe.of(&all)?;
    let more = [
        " xmlns:unused=\"urn:unused\"",
        " xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"",
        " xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
        " xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"",
    ];
    put(text, element.all.start + 1 + element.name.len(), recipe.of(&more)?)
}

const PREFIXES: [(&str, &str); 4] =
    [("saml:", "a:"), ("samlp:", "p:"), ("ds:", "d:"), ("saml:", "samlp:")];

/// Another prefix, everywhere in one element.
fn renamed(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let all = elements(text)?;
    let range = recipe.of(&all)?.all.clone();
    let (old, new) = recipe.of(&PREFIXES)?;
    let uri = match *old {
        "saml:" => "urn:oasis:names:tc:SAML:2.0:assertion",
        "samlp:" => "urn:oasis:names:tc:SAML:2.0:protocol",
        _ => "http://www.w3.org/2000/09/xmldsig#",
    };
    let inside = text.get(range.clone())?;
    let inside = inside.replace(&format!("<{old}"), &format!("<{new}"));
    let inside = inside.replace(&format!("</{old}"), &format!("</{new}"));
    let (tag, rest) = inside.split_at_checked(inside.find([' ', '>', '/'])?)?;
    let declared = format!("{tag} xmlns:{}=\"{uri}\"{rest}", new.trim_end_matches(':'));
    splice(text, range, &declared)
}

const BEGINNINGS: [&str; 9] = [
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "\u{feff}",
    "\n",
    "<!-- -->",
    "<?p q?>",
    "<!DOCTYPE r>",
    "<!DOCTYPE r [<!ENTITY e \"det.ruiz\">]>",
    "<!DOCTYPE r [<!ATTLIST samlp:Response ID ID #IMPLIED>]>",
    "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>",
];

/// Something before or behind the whole.
fn begun(text: &str, recipe: &mut Recipe<'_>) -> Option<String> {
    let what = recipe.of(&BEGINNINGS)?;
    if recipe.is_one_in(3) { Some(format!("{text}{what}")) } else { put(text, 0, what) }
}
