//! Search filters as an agency writes them (RFC 4515), with places for a value.
//!
//! Invariant: a value never becomes filter text. The filter is parsed once, from the configuration; `{name}` and
//! `{dn}` stand for whole assertion values or pieces of them, and are replaced by bytes when the filter is sent.

use super::ber::{OCTETS, SEQUENCE, element, joined};

/// Longest filter, in bytes, and how deep it may nest.
const FILTER_BYTES_MAX: usize = 2_048;
const DEPTH_MAX: usize = 16;

/// A filter that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadFilter {
    pub what: &'static str,
}

/// A filter, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// Equal, at least, at most, about: an attribute and a value. The tag says which.
    Compare {
        tag: u8,
        attribute: String,
        value: Vec<Piece>,
    },
    Present(String),
    Substrings {
        attribute: String,
        parts: Vec<Vec<Piece>>,
    },
    Extensible {
        attribute: String,
        rule: Option<String>,
        dn: bool,
        value: Vec<Piece>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Name,
    Dn,
}

/// What stands in the places.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    pub name: &'a str,
    pub dn: &'a str,
}

const EQUAL: u8 = 0xa3;
const AT_LEAST: u8 = 0xa5;
const AT_MOST: u8 = 0xa6;
const ABOUT: u8 = 0xa8;

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`BadFilter`] says what is wrong with it.
    pub fn read(text: &str) -> Result<Self, BadFilter> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(BadFilter { what: "is longer than 2,048 bytes" });
        }
        let (node, rest) = node(text.trim(), 0)?;
        if !rest.is_empty() {
            return Err(BadFilter { what: "goes on after its last bracket" });
        }
        Ok(Self(node))
    }

    /// Whether it asks for the name, and whether it asks for the DN.
    #[must_use]
    pub fn asks(&self) -> (bool, bool) {
        let mut found = (false, false);
        self.0.each_piece(&mut |piece| match piece {
            Piece::Name => found.0 = true,
            Piece::Dn => found.1 = true,
            Piece::Bytes(_) => {}
        });
        found
    }

    /// The filter as it is sent.
    #[must_use]
    pub fn encode(&self, values: &Values<'_>) -> Vec<u8> {
        self.0.encode(values)
    }
}

impl Node {
    fn each_piece(&self, look: &mut impl FnMut(&Piece)) {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.each_piece(look)),
            Self::Not(one) => one.each_piece(look),
            Self::Compare { value, .. } | Self::Extensible { value, .. } => {
                value.iter().for_each(look)
            }
            Self::Present(_) => {}
            Self::Substrings { parts, .. } => parts.iter().flatten().for_each(look),
        }
    }

    fn encode(&self, values: &Values<'_>) -> Vec<u8> {
        let all = |all: &[Self]| all.iter().map(|one| one.encode(values)).collect::<Vec<_>>();
        match self {
            Self::And(nodes) => joined(0xa0, &all(nodes)),
            Self::Or(nodes) => joined(0xa1, &all(nodes)),
            Self::Not(node) => element(0xa2, &node.encode(values)),
            Self::Compare { tag, attribute, value } => {
                let attribute = element(OCTETS, attribute.as_bytes());
                joined(*tag, &[attribute, element(OCTETS, &filled(value, values))])
            }
            Self::Present(attribute) => element(0x87, attribute.as_bytes()),
            Self::Substrings { attribute, parts } => {
                let last = parts.len().saturating_sub(1);
                let pieces = parts.iter().enumerate().filter(|(_, part)| !part.is_empty());
                let pieces: Vec<Vec<u8>> = pieces
                    .map(|(at, part)| {
                        let tag = if at == 0 {
                            0x80
                        } else if at == last {
                            0x82
                        } else {
                            0x81
                        };
                        element(tag, &filled(part, values))
                    })
                    .collect();
                let attribute = element(OCTETS, attribute.as_bytes());
                joined(0xa4, &[attribute, joined(SEQUENCE, &pieces)])
            }
            Self::Extensible { attribute, rule, dn, value } => {
                let mut parts = Vec::new();
                parts.extend(rule.as_ref().map(|rule| element(0x81, rule.as_bytes())));
                if !attribute.is_empty() {
                    parts.push(element(0x82, attribute.as_bytes()));
                }
                parts.push(element(0x83, &filled(value, values)));
                if *dn {
                    parts.push(element(0x84, &[0xff]));
                }
                joined(0xa9, &parts)
            }
        }
    }
}

fn filled(value: &[Piece], values: &Values<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in value {
        out.extend_from_slice(match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Name => values.name.as_bytes(),
            Piece::Dn => values.dn.as_bytes(),
        });
    }
    out
}

/// A filter in brackets, and what follows it.
fn node(text: &str, depth: usize) -> Result<(Node, &str), BadFilter> {
    if depth > DEPTH_MAX {
        return Err(BadFilter { what: "nests more than 16 deep" });
    }
    let inner = text.strip_prefix('(').ok_or(BadFilter { what: "lacks an opening bracket" })?;
    let list = |rest| nodes(rest, depth);
    let (node, rest) = if let Some(rest) = inner.strip_prefix('&') {
        let (nodes, rest) = list(rest)?;
        (Node::And(nodes), rest)
    } else if let Some(rest) = inner.strip_prefix('|') {
        let (nodes, rest) = list(rest)?;
        (Node::Or(nodes), rest)
    } else if let Some(rest) = inner.strip_prefix('!') {
        let (one, rest) = node(rest, depth + 1)?;
        (Node::Not(Box::new(one)), rest)
    } else {
        let end = inner.find(')').ok_or(BadFilter { what: "lacks a closing bracket" })?;
        let (item, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
        (self::item(item)?, rest)
    };
    let rest = rest.strip_prefix(')').ok_or(BadFilter { what: "lacks a closing bracket" })?;
    Ok((node, rest))
}

fn nodes(mut text: &str, depth: usize) -> Result<(Vec<Node>, &str), BadFilter> {
    let mut all = Vec::new();
    while text.starts_with('(') {
        let (one, rest) = node(text, depth + 1)?;
        all.push(one);
        text = rest;
    }
    match all.is_empty() {
        true => Err(BadFilter { what: "joins nothing" }),
        false => Ok((all, text)),
    }
}

fn item(text: &str) -> Result<Node, BadFilter> {
    let none = BadFilter { what: "compares nothing: an attribute, `=` and a value are needed" };
    let (left, value) = text.split_once('=').ok_or(none)?;
    let (tag, left) = match left.chars().next_back() {
        Some('>') => (AT_LEAST, left.trim_end_matches('>')),
        Some('<') => (AT_MOST, left.trim_end_matches('<')),
        Some('~') => (ABOUT, left.trim_end_matches('~')),
        Some(':') => return extensible(left.trim_end_matches(':'), value),
        Some(_) | None => (EQUAL, left),
    };
    let attribute = attribute(left)?;
    if tag != EQUAL {
        return Ok(Node::Compare { tag, attribute, value: pieces(value)? });
    }
    if value == "*" {
        return Ok(Node::Present(attribute));
    }
    if value.contains('*') {
        let parts = value.split('*').map(pieces).collect::<Result<Vec<_>, _>>()?;
        if parts.iter().all(Vec::is_empty) {
            return Err(BadFilter { what: "has stars and nothing between them" });
        }
        return Ok(Node::Substrings { attribute, parts });
    }
    Ok(Node::Compare { tag, attribute, value: pieces(value)? })
}

/// `attribute[:dn][:rule]`, as Active Directory's rule for nested groups is written.
fn extensible(left: &str, value: &str) -> Result<Node, BadFilter> {
    let mut words = left.split(':');
    let named = words.next().unwrap_or_default();
    let attribute = if named.is_empty() { String::new() } else { self::attribute(named)? };
    let (mut dn, mut rule) = (false, None);
    for word in words {
        if word.eq_ignore_ascii_case("dn") && !dn && rule.is_none() {
            dn = true;
        } else if rule.is_none() {
            rule = Some(self::attribute(word)?);
        } else {
            return Err(BadFilter { what: "has two matching rules" });
        }
    }
    if attribute.is_empty() && rule.is_none() {
        return Err(BadFilter { what: "has neither an attribute nor a matching rule" });
    }
    Ok(Node::Extensible { attribute, rule, dn, value: pieces(value)? })
}

fn attribute(text: &str) -> Result<String, BadFilter> {
    let text = text.trim();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b';');
    if text.is_empty() || !text.bytes().all(sound) {
        return Err(BadFilter { what: "has an attribute that is none" });
    }
    Ok(text.to_owned())
}

/// A value: bytes, `\xx` for one byte, and the places.
fn pieces(text: &str) -> Result<Vec<Piece>, BadFilter> {
    let mut pieces = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let place = [("{name}", Piece::Name), ("{dn}", Piece::Dn)];
        let place = place
            .into_iter()
            .find_map(|(word, piece)| rest.strip_prefix(word).map(|rest| (piece, rest)));
        if let Some((piece, after)) = place {
            if !bytes.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            pieces.push(piece);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('\\') {
            let two = after.get(..2).ok_or(BadFilter { what: "has `\\` without two digits" })?;
            let mut one = [0];
            hex::decode_to_slice(two, &mut one)
                .map_err(|_| BadFilter { what: "has `\\` without two digits" })?;
            bytes.extend(one);
            rest = after.get(2..).unwrap_or_default();
        } else if matches!(first, '(' | '{' | '}' | '\0') {
            return Err(BadFilter {
                what: "has a bracket in a value, which is written `\\28`, or another place than {name} and {dn}",
            });
        } else {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(filter: &str, name: &str) -> String {
        hex::encode(Filter::read(filter).unwrap().encode(&Values { name, dn: "cn=x" }))
    }

    #[test]
    fn filters_are_sent_as_rfc_4511_has_them() {
        assert_eq!(sent("(cn=a)", ""), "a3070402636e040161");
        assert_eq!(sent("(cn=*)", ""), "8702636e");
        assert_eq!(sent("(!(cn=a))", ""), "a209a3070402636e040161");
        assert_eq!(sent("(&(a=b)(c>=d))", ""), "a010a306040161040162a506040163040164");
        assert_eq!(sent("(cn=a*b*c)", ""), "a40f0402636e3009800161810162820163");
        assert_eq!(sent("(cn=*b)", ""), "a4090402636e3003820162");
        assert_eq!(sent(r"(cn=\2a\00)", ""), "a3080402636e04022a00");
        assert_eq!(sent("(m:1.2:={dn})", ""), "a90e8103312e3282016d8304636e3d78");
        assert_eq!(sent("(o:dn:=a)", ""), "a90982016f8301618401ff");
    }

    #[test]
    fn a_value_is_never_filter_text() {
        let hostile = "*)(uid=*))(|(uid=*";
        let filter = Filter::read("(uid={name})").unwrap();
        let plain = filter.encode(&Values { name: hostile, dn: "" });
        let expected =
            joined(EQUAL, &[element(OCTETS, b"uid"), element(OCTETS, hostile.as_bytes())]);
        assert_eq!(plain, expected);
        assert_eq!(filter.asks(), (true, false));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = "(!".repeat(20) + "(a=b)" + &")".repeat(20);
        for text in [
            "",
            "a=b",
            "(a=b",
            "(a=b))",
            "(&)",
            "(a)",
            "(=b)",
            "(a b=c)",
            "(a=b(c)",
            "(a={password})",
            r"(a=\2)",
            r"(a=\zz)",
            "(:=a)",
            "(a:1:2:=b)",
            "(a=**)",
            &deep,
            &"(a=b)".repeat(500),
        ] {
            Filter::read(text).unwrap_err();
        }
    }
}
