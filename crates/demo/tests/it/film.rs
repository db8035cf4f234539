//! A tool with one large film, for agencies that have no records of their own.

use std::path::Path;

use demo::story::client::Page;

/// The largest document that a tool gives in one piece.
pub(crate) const BYTES: usize = 8 << 20;

/// Where the tool is.
pub(crate) const TOOL: &str = "/tools/film";

const DEFINITION: &str = r#"
format  = 1
id      = "film"
title   = "Films"
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
options  = { list = "ncic-purpose-codes" }
required = true
audit    = true

[[query]]
id         = "films"
connection = "rms"
mode       = "read"
max_rows   = 20
key        = ["id"]
subjects   = { document = "id" }
bind       = { purpose = "input.purpose" }
sql = '''
select id, title, media_type, store_key from films where :purpose <> 'none'
'''

[[part]]
id     = "form"
kind   = "form"
title  = "Films"
at     = [1, 1, 12, 2]
inputs = ["purpose"]
run    = ["films"]
into   = ["films"]
button = "Look"

[[part]]
id       = "films"
kind     = "evidence"
title    = "Films"
at       = [1, 3, 12, 4]
query    = "films"
store    = "evidence"
document = { id = "id", key = "store_key", name = "title", media_type = "media_type" }
fields   = ["media_type"]
empty    = "There is no film."
"#;

/// Writes the tool, its database and the film into an agency's folder. Gives the settings that name them.
pub(crate) fn write(folder: &Path) -> &'static str {
    for name in ["tools", "sources/evidence"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("tools/film.toml"), DEFINITION).unwrap();
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
