//! A tool file becomes a [`Tool`], or a list of everything that is wrong with it.
//!
//! Two rounds: the first reads ids, so that the second can check each name against all of them.
//! Reading never stops at a problem, and a file with a problem gives no tool.

mod actions;
mod inputs;
mod layout;
mod parts;
mod queries;
mod tests_blocks;
mod whole;

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use toml::de::DeTable;

use crate::definition::{Access, Handling, Tool};
use crate::problem::Problem;
use crate::read::{FILE_BYTES_MAX, Fields, Source};
use crate::{sql, toml10};
use layout::Layout;

/// Longest texts, in characters.
const TITLE_CHARS_MAX: usize = 80;
const SUMMARY_CHARS_MAX: usize = 300;

const TOP: [&str; 12] = [
    "format", "id", "title", "owner", "summary", "handling", "access", "input", "query", "action",
    "part", "test",
];

/// SHA-256. The function comes from outside, for only `keys` names a cryptographic module.
pub type Digest = fn(&[u8]) -> [u8; 32];

impl Tool {
    /// Reads a tool file. `file` is its name, as problems quote it; `id.toml` is expected.
    ///
    /// # Errors
    /// Every [`Problem`] in the file, in its order.
    pub fn parse(file: &str, text: &str, digest: Digest) -> Result<Self, Vec<Problem>> {
        let source = Source::new(file, text);
        if text.len() > FILE_BYTES_MAX {
            source.problem(1, "file", format!("at most {FILE_BYTES_MAX} bytes"));
            return Err(source.into_problems());
        }
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = source.line(error.span().map_or(0, |span| span.start));
            source.problem(line, "toml", format!("TOML that parses; {}", error.message()));
        }
        if errors.is_empty()
            && let Some((at, expected)) = toml10::first_objection(text)
        {
            source.problem(source.line(at), "toml", expected);
        }
        // Problems that follow from unreadable TOML would only hide their cause.
        if !source.is_clean() {
            return Err(source.into_problems());
        }
        let span = document.span();
        let top = Fields::open(&source, document.get_ref(), &span, String::new(), &TOP);
        let tool = read(&top, digest(text.as_bytes()));
        match tool {
            Some(tool) if source.is_clean() => Ok(tool),
            Some(_) | None => Err(source.into_problems()),
        }
    }
}

/// Reads every `*.toml` of a folder, in the order of their names. Wrong files give problems; the
/// tools of the others are there.
#[must_use]
pub fn load_folder(folder: &Path, digest: Digest) -> (Vec<Tool>, Vec<Problem>) {
    let (mut tools, mut problems): (Vec<Tool>, Vec<Problem>) = (Vec::new(), Vec::new());
    let unreadable = |file: &Path, what: &std::io::Error| Problem {
        file: file.display().to_string(),
        line: 1,
        key: "file".to_owned(),
        expected: format!("a file that can be read; {what}"),
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return (tools, vec![unreadable(folder, &error)]),
    };
    let mut paths: Vec<_> = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => paths.push(entry.path()),
            Err(error) => problems.push(unreadable(folder, &error)),
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    for path in paths {
        let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        match std::fs::read_to_string(&path) {
            Ok(text) => match Tool::parse(&file, &text, digest) {
                Ok(tool) => tools.push(tool),
                Err(found) => problems.extend(found),
            },
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    (tools, problems)
}

fn read(top: &Fields<'_, '_>, version: [u8; 32]) -> Option<Tool> {
    if top.peek_whole("format") != Some(1) {
        // Another version has other keys; to hold them to these would be noise.
        top.wrong("format", "`format = 1`");
        return None;
    }
    let id = tool_id(top);
    let title = top.required_text("title", TITLE_CHARS_MAX);
    let owner = top.required_text("owner", TITLE_CHARS_MAX);
    let summary = top.short_text("summary", SUMMARY_CHARS_MAX).unwrap_or_default();
    let handling = handling(top);
    let access = access(top);
    let layout = Layout::read(top);
    let caveat_column = top
        .table("handling", &HANDLING)
        .and_then(|handling| handling.text("caveat_column"))
        .map(|column| column.value);
    let inputs = inputs::read(top, &layout);
    let queries = queries::read(top, &layout, caveat_column.as_deref());
    let actions = actions::read(top, &layout, &queries);
    let parts = parts::read(top, &layout, &queries);
    let tests = tests_blocks::read(top, &layout, &queries);
    layout.refuse_unused(top, &inputs, &queries);
    let tool = Tool {
        id: id?,
        title: title?,
        owner: owner?,
        summary,
        file: top.source.file.to_owned(),
        version,
        handling: handling?,
        access,
        inputs,
        queries,
        actions,
        parts,
        tests,
    };
    whole::refuse_contradictions(top, &tool);
    Some(tool)
}

fn tool_id(top: &Fields<'_, '_>) -> Option<String> {
    let id = top.required_text("id", 41)?;
    let mut bytes = id.bytes();
    let kebab = bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !kebab || id.len() < 2 {
        top.wrong("id", "small letters, digits and dashes, such as \"vehicle-lookup\"");
        return None;
    }
    let stem = Path::new(top.source.file).file_stem().map(|stem| stem.to_string_lossy());
    if stem.as_deref() != Some(id.as_str()) {
        top.wrong(
            "id",
            format!("the name of the file without `.toml`; this file is not `{id}.toml`"),
        );
    }
    Some(id)
}

const HANDLING: [&str; 4] = ["record_class", "caveats", "caveat_column", "purpose"];

fn handling(top: &Fields<'_, '_>) -> Option<Handling> {
    if !top.has("handling") {
        top.wrong("handling", "a table [handling] with `record_class`");
        return None;
    }
    let fields = top.table("handling", &HANDLING)?;
    let record_class = word(&fields, "record_class", "a record class, such as \"CJI\"");
    let caveats = words(&fields, "caveats", "caveats, such as [\"JUVENILE\"]");
    let purpose_required = one_of(&fields, "purpose", &[("required", true), ("optional", false)]);
    if !fields.has("purpose") {
        fields.wrong("purpose", "`purpose = \"required\"` or `purpose = \"optional\"`");
    }
    Some(Handling {
        record_class: record_class?,
        caveats,
        purpose_required: purpose_required.unwrap_or(true),
    })
}

fn access(top: &Fields<'_, '_>) -> Access {
    if !top.has("access") {
        top.wrong("access", "a table [access] with `run`");
        return Access::default();
    }
    let Some(fields) = top.table("access", &["run", "write", "export"]) else {
        return Access::default();
    };
    let read = |name| words(&fields, name, "job functions, such as [\"detective\"]");
    let access = Access { run: read("run"), write: read("write"), export: read("export") };
    if access.run.is_empty() {
        fields.wrong("run", "the functions that may open the tool; it has none");
    }
    access
}

/// A key whose text parses into one of policy's nouns. A missing key is a problem.
fn word<T: FromStr>(fields: &Fields<'_, '_>, name: &str, expected: &str) -> Option<T> {
    let Some(text) = fields.text(name) else {
        if !fields.has(name) {
            fields.wrong(name, expected);
        }
        return None;
    };
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        fields.wrong(name, expected);
    }
    parsed
}

fn words<T: FromStr + Ord>(fields: &Fields<'_, '_>, name: &str, expected: &str) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    for text in fields.texts(name) {
        match text.parse() {
            Ok(word) => {
                set.insert(word);
            }
            Err(_) => fields.wrong(name, format!("{expected}; `{text}` is none")),
        }
    }
    set
}

/// A key that takes one of a few words.
fn one_of<T: Copy>(fields: &Fields<'_, '_>, name: &str, known: &[(&str, T)]) -> Option<T> {
    let text = fields.text(name)?;
    let found = known.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
    if found.is_none() {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let near = crate::problem::nearest(&text.value, words.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; the nearest is `{near}`"));
        fields.wrong(name, format!("one of {}{near}", crate::read::listed(&words)));
    }
    found
}

/// A block's `id`: a name in small letters, given once among its kind.
fn block_id(fields: &Fields<'_, '_>, seen: &mut BTreeSet<String>) -> Option<String> {
    let id = fields.required_text("id", 40)?;
    if !sql::is_name(&id) {
        fields.wrong("id", "small letters, digits and _, beginning with a letter");
        return None;
    }
    if !seen.insert(id.clone()) {
        fields.wrong("id", format!("an id that is there once; `{id}` is there already"));
    }
    Some(id)
}
