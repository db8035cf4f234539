//! Reads a page far enough to use it: elements, their text, tables and links.
//!
//! Tolerant like a browser, but not one: unknown tags, unclosed tags and stray characters are
//! taken as they come; no script runs and no style hides anything except the `hidden` attribute.

use std::borrow::Cow;

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open { name: String, attributes: Vec<(String, String)>, empty: bool },
    Close(String),
    Text(String),
}

/// A page, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    tokens: Vec<Token>,
}

/// An element of a page: from its opening tag to the closing one.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    document: &'a Document,
    open: usize,
    /// Behind the last token that is inside.
    end: usize,
}

/// Tags that have no content.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
/// Tags whose content is not markup, and whether it is text that people see.
const RAW: [(&str, bool); 4] =
    [("script", false), ("style", false), ("textarea", true), ("title", true)];

impl Document {
    /// Reads a page. Never fails; what isn't markup is text.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = page;
        while !rest.is_empty() {
            rest = match rest.split_once('<') {
                Some(("", tag)) => markup(tag, &mut tokens),
                Some((text, _)) => {
                    push_text(&mut tokens, text);
                    rest.strip_prefix(text).unwrap_or_default()
                }
                None => {
                    push_text(&mut tokens, rest);
                    ""
                }
            };
        }
        Self { tokens }
    }

    /// All elements of a kind, in order.
    pub fn elements<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Element<'a>> {
        self.all().filter(move |element| element.name() == name)
    }

    /// The elements of every kind, in order.
    pub fn all(&self) -> impl Iterator<Item = Element<'_>> {
        let opening =
            |(place, token): (usize, &Token)| matches!(token, Token::Open { .. }).then_some(place);
        self.tokens.iter().enumerate().filter_map(opening).map(|open| self.element(open))
    }

    /// The element with this `id`.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<Element<'_>> {
        self.all().find(|element| element.attribute("id") == Some(id))
    }

    /// The first element with this attribute, whatever its value.
    #[must_use]
    pub fn with_attribute(&self, name: &str) -> Option<Element<'_>> {
        self.all().find(|element| element.attribute(name).is_some())
    }

    /// What a person reads, white space folded.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.tokens)
    }

    fn element(&self, open: usize) -> Element<'_> {
        Element { document: self, open, end: self.end_of(open) }
    }

    /// Where an element ends: at its closing tag, or at the end of the page without one.
    fn end_of(&self, open: usize) -> usize {
        let Some(Token::Open { name, empty, .. }) = self.tokens.get(open) else { return open };
        if *empty {
            return open + 1;
        }
        let mut depth = 0_usize;
        for (place, token) in self.tokens.iter().enumerate().skip(open) {
            match token {
                Token::Open { name: inner, empty: false, .. } if inner == name => depth += 1,
                Token::Close(inner) if inner == name => depth -= 1,
                Token::Open { .. } | Token::Close(_) | Token::Text(_) => {}
            }
            if depth == 0 {
                return place;
            }
        }
        self.tokens.len()
    }
}

impl<'a> Element<'a> {
    /// Its tag, in lower case.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self.document.tokens.get(self.open) {
            Some(Token::Open { name, .. }) => name,
            _ => "",
        }
    }

    /// An attribute's value; empty when the attribute has none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        let Some(Token::Open { attributes, .. }) = self.document.tokens.get(self.open) else {
            return None;
        };
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What a person reads inside it, white space folded.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(self.document.tokens.get(self.open + 1..self.end).unwrap_or_default())
    }

    /// Its text as it stands, for text areas.
    #[must_use]
    pub fn raw_text(&self) -> String {
        let inside = self.document.tokens.get(self.open + 1..self.end).unwrap_or_default();
        let text = |token: &Token| {
            if let Token::Text(text) = token { text.clone() } else { String::new() }
        };
        inside.iter().map(text).collect()
    }

    /// The elements inside it, in order.
    pub fn inside(&self) -> impl Iterator<Item = Self> + use<'a> {
        let (document, range) = (self.document, self.open + 1..self.end);
        range
            .filter(move |place| matches!(document.tokens.get(*place), Some(Token::Open { .. })))
            .map(move |open| document.element(open))
    }

    /// Whether another element of the same page lies inside it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.open < other.open && other.open < self.end
    }

    /// The rows of a table, each a list of cell texts; headings are a row like others.
    #[must_use]
    pub fn table_rows(&self) -> Vec<Vec<String>> {
        self.inside()
            .filter(|element| element.name() == "tr")
            .map(|row| {
                row.inside()
                    .filter(|cell| matches!(cell.name(), "td" | "th"))
                    .map(|cell| cell.text())
                    .collect()
            })
            .collect()
    }
}

/// Reads what follows a `<`; returns the rest.
fn markup<'a>(tag: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    if let Some(comment) = tag.strip_prefix("!--") {
        return comment.split_once("-->").map_or("", |(_, rest)| rest);
    }
    if tag.starts_with(['!', '?']) {
        return tag.split_once('>').map_or("", |(_, rest)| rest);
    }
    if let Some(close) = tag.strip_prefix('/') {
        let (name, rest) = close.split_once('>').unwrap_or((close, ""));
        tokens.push(Token::Close(name.trim().to_ascii_lowercase()));
        return rest;
    }
    if !tag.starts_with(|first: char| first.is_ascii_alphabetic()) {
        push_text(tokens, "<");
        return tag;
    }
    let end = tag.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
    let (name, rest) = tag.split_at_checked(end.unwrap_or(tag.len())).unwrap_or((tag, ""));
    let name = name.to_ascii_lowercase();
    let (attributes, slash, rest) = attributes(rest);
    let empty = slash || VOID.contains(&name.as_str());
    tokens.push(Token::Open { name: name.clone(), attributes, empty });
    let raw = RAW.iter().find(|(raw, _)| *raw == name && !empty);
    let Some((_, seen)) = raw else { return rest };
    let close = format!("</{name}");
    let end = rest.to_ascii_lowercase().find(&close).unwrap_or(rest.len());
    let (content, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if *seen {
        push_text(tokens, content);
    }
    rest
}

/// The attributes up to `>`, whether a slash stood before it, and the rest.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, bool, &str) {
    let mut found = Vec::new();
    let mut slash = false;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix('>') {
            return (found, slash, behind);
        }
        if let Some(behind) = rest.strip_prefix('/') {
            (slash, rest) = (true, behind);
            continue;
        }
        if rest.is_empty() {
            return (found, slash, rest);
        }
        slash = false;
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/'))
            .unwrap_or(rest.len());
        // A stray `=` would otherwise be a name of no characters, for ever.
        let end = end.max(rest.chars().next().map_or(0, char::len_utf8));
        let (name, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (value, behind) = match behind.trim_ascii_start().strip_prefix('=') {
            Some(value) => attribute_value(value.trim_ascii_start()),
            None => ("", behind),
        };
        found.push((name.to_ascii_lowercase(), decode(value).into_owned()));
        rest = behind;
    }
}

fn attribute_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            return quoted.split_once(quote).unwrap_or((quoted, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token::Text(decode(text).into_owned()));
    }
}

/// Text with its character references resolved.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let reference = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        let known = reference.and_then(|(name, behind)| Some((character(name)?, behind)));
        rest = match known {
            Some((character, behind)) => {
                out.push(character);
                behind
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    let known = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", '\u{a0}'),
        ("ndash", '–'),
        ("mdash", '—'),
        ("hellip", '…'),
        ("times", '×'),
    ];
    known.into_iter().find(|(known, _)| *known == name).map(|(_, character)| character)
}

/// Visible text: tags part words unless they are of the kind that stands within a line.
fn text_of(tokens: &[Token]) -> String {
    let inline = |name: &str| {
        matches!(
            name,
            "a" | "b" | "i" | "em" | "strong" | "span" | "code" | "abbr" | "mark" | "time"
        )
    };
    let mut joined = String::new();
    // Depth inside an element with `hidden`, counted on tags of the same name.
    let mut hidden: Option<(&str, usize)> = None;
    for token in tokens {
        match (token, &mut hidden) {
            (Token::Open { name, empty: false, .. }, Some((outer, depth))) if name == outer => {
                *depth += 1;
            }
            (Token::Close(name), Some((outer, depth))) if name == outer => {
                *depth -= 1;
                if *depth == 0 {
                    hidden = None;
                }
            }
            (_, Some(_)) => {}
            (Token::Open { name, attributes, empty }, None) => {
                if !empty
                    && (name == "template" || attributes.iter().any(|(key, _)| key == "hidden"))
                {
                    hidden = Some((name, 1));
                }
                if !inline(name) {
                    joined.push(' ');
                }
            }
            (Token::Close(name), None) => {
                if !inline(name) {
                    joined.push(' ');
                }
            }
            (Token::Text(text), None) => joined.push_str(text),
        }
    }
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn a_page_is_read_as_a_person_would() {
        let page = Document::parse(
            "<!doctype html><!-- <p>no</p> --><title>Case &amp; file</title>\
             <script>if (a < b) {}</script><main><h1 id=top class='a b'>24-<b>000113</b></h1>\
             <p>Two<br>lines &#233;&nbsp;&copy; 1 < 2</p><div hidden><div>secret</div>x</div>\
             <p HIDDEN>more</p>end",
        );
        assert_eq!(page.text(), "Case & file 24-000113 Two lines é &copy; 1 < 2 end");
        let heading = page.by_id("top").unwrap();
        assert_eq!(heading.text(), "24-000113");
        assert_eq!(heading.attribute("class"), Some("a b"));
        assert_eq!(heading.attribute("missing"), None);
    }

    #[test]
    fn elements_nest_and_tables_have_rows() {
        let page = Document::parse(
            "<div id=a>1<div>2</div>3</div><table><tr><th>Plate<th>State</tr>\
             <tr><td>7KDR419</td><td>NB<img src='x>y'/></td></tr></table><p data-entry=17>",
        );
        assert_eq!(page.by_id("a").unwrap().text(), "1 2 3");
        let table = page.elements("table").next().unwrap();
        let rows = table.table_rows();
        assert_eq!(rows[1], ["7KDR419", "NB"]);
        assert_eq!(page.with_attribute("data-entry").unwrap().attribute("data-entry"), Some("17"));
        assert_eq!(
            table.inside().find(|e| e.name() == "img").unwrap().attribute("src"),
            Some("x>y")
        );
    }

    #[test]
    fn broken_pages_end_and_do_not_hang() {
        for page in
            ["<", "<a", "<a =", "<a b='", "</", "<!--", "<textarea>x", "<p ==/=>", "&", "&#x;"]
        {
            let document = Document::parse(page);
            assert!(document.text().len() <= page.len(), "{page}");
        }
        let area = Document::parse("<textarea>\n<b>&lt;i>\n</TextArea>after");
        let area_text = area.elements("textarea").next().unwrap().raw_text();
        assert_eq!(area_text, "\n<b><i>\n");
    }
}
