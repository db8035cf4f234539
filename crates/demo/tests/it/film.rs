//! A tool with one large film, for agencies that have no records of their own.

use std::path::Path;

use demo::story::client::Page;

/// The largest document that a tool gives in one piece.
pub(crate) const BYTES: usize = 8 << 20;

/// Where the tool is.
pub(crate) const TOOL: &str = "/tools/film";

/// A tool that asks for a purpose code and runs one query: `query` is the rest of its declaration, with
/// `:purpose` bound, and `part` the rest of the part that shows what it gives.
pub(crate) fn definition((id, title): (&str, &str), query: &str, part: &str) -> String {
    format!(
        r#"
format  = 1
id      = "{id}"
title   = "{title}"
owner   = "Investigations"

[handling]
record_class = "INCIDENT"
purpose      = "required"

[access]
run = ["detective"]

[[input]]
id       = "purpose"
label    = "Purpose code"
type     = "choice"
options  = {{ list = "ncic-purpose-codes" }}
required = true
audit    = true

[[query]]
id         = "found"
connection = "rms"
mode       = "read"
max_rows   = 20
bind       = {{ purpose = "input.purpose" }}
{query}

[[part]]
id     = "form"
kind   = "form"
title  = "{title}"
at     = [1, 1, 12, 2]
inputs = ["purpose"]
run    = ["found"]
into   = ["found"]
button = "Look"

[[part]]
id     = "found"
title  = "{title}"
at     = [1, 3, 12, 4]
query  = "found"
empty  = "There is nothing."
{part}
"#
    )
}

const QUERY: &str = r#"
key      = ["id"]
subjects = { document = "id" }
sql = "select id, title, media_type, store_key from films where :purpose <> 'none'"
"#;

const PART: &str = r#"
kind     = "evidence"
store    = "evidence"
document = { id = "id", key = "store_key", name = "title", media_type = "media_type" }
fields   = ["media_type"]
"#;

/// Writes the tool, its database and the film into an agency's folder. Gives the settings that name them.
pub(crate) fn write(folder: &Path) -> &'static str {
    for name in ["tools", "sources/evidence"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let tool = definition(("film", "Films"), QUERY, PART);
    std::fs::write(folder.join("tools/film.toml"), tool).unwrap();
    std::fs::write(folder.join("sources/evidence/door.mp4"), vec![7; BYTES]).unwrap();
    let records = rusqlite::Connection::open(folder.join("sources/records.db")).unwrap();
    let sql = "create table if not exists films (id text primary key, title text, media_type text,
                 store_key text);
               insert or ignore into films values ('E-1', 'Door camera', 'video/mp4', 'door.mp4');";
    records.execute_batch(sql).unwrap();
    r#"
[tools]
folder = "tools"

[[source]]
id = "rms"
kind = "sqlite"
path = "sources/records.db"

[[source]]
id = "evidence"
kind = "evidence"
folder = "sources/evidence"
"#
}

/// The link on the tool's answer that leads to the page around the film.
pub(crate) fn viewer(answer: &Page) -> String {
    let found = answer.links().find(|(text, _)| text.contains("Door camera"));
    assert!(found.is_some(), "{}", answer.text());
    found.unwrap().1
}

/// The film itself, on that page.
pub(crate) fn film(viewer: &Page) -> String {
    viewer.links().find(|(_, to)| to.contains("/documents/")).unwrap().1
}
