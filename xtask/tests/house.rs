//! The rules of the house: what may depend on what, how long a file may be, where things have their one
//! home, and that what others made is what was vendored.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What only some rooms may name, so that each engine can be changed in one place. The demo stands outside.
const HOMES: &[(&str, &[&str])] = &[
    ("aws-lc-rs", &["keys"]),
    ("rustls", &["wire"]),
    ("tokio-rustls", &["wire"]),
    ("rustls-webpki", &["wire"]),
    ("x509-ocsp", &["keys"]),
    ("sea-orm", &["state"]),
    ("cedar-policy", &["policy"]),
    ("parquet", &["ledger"]),
    ("object_store", &["ledger", "sources", "web"]),
    ("rusqlite", &["sources", "ledger", "state"]),
    ("tokio-postgres", &["sources", "ledger"]),
    ("krilla", &["parcel"]),
    ("skrifa", &["parcel"]),
    ("qrcodegen", &["parcel"]),
    ("minijinja", &["tools"]),
    ("sqlparser", &["tools", "sources"]),
    ("roxmltree", &["identity"]),
    ("axum", &["web"]),
    ("maud", &["web"]),
    ("clap", &["bailiwick"]),
];

/// Not in the shipped program, whatever asks for it. (`aws-lc-sys` is named by rustls but not linked: see
/// crates/bailiwick/tests/linked.rs.)
const BANNED: &[&str] = &[
    "ring",
    "openssl",
    "openssl-sys",
    "native-tls",
    "boring-sys",
    "reqwest",
    "webpki-roots",
    "chromiumoxide",
    "axum-server",
];

const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn manifest(path: &Path) -> toml::Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The manifests of the rooms, by name.
fn rooms() -> BTreeMap<String, toml::Table> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    folders.map(|folder| (name(&folder), manifest(&folder.join("Cargo.toml")))).collect()
}

/// The arrows, as the table of ARCHITECTURE.md draws them: each room, and the rooms that it may depend on.
fn arrows() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut arrows: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in text.lines().skip_while(|line| *line != "| room | uses | what it is |").skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", room, uses, _, ""] = cells.as_slice() else { break };
        let above = || arrows.iter().map(|(name, _)| name.clone()).collect();
        let allowed = match uses {
            "all of the above" | "web and below" => above(),
            rooms => rooms.split_whitespace().map(str::to_owned).collect(),
        };
        arrows.push((room.trim_matches('`').to_owned(), allowed));
    }
    arrows
}

/// What a manifest depends on in a shipped build.
fn needs(manifest: &toml::Table) -> BTreeSet<&str> {
    let tables =
        ["dependencies", "build-dependencies"].iter().filter_map(|name| manifest.get(*name));
    tables
        .filter_map(toml::Value::as_table)
        .flat_map(|table| table.keys())
        .map(String::as_str)
        .collect()
}

/// Every Rust file that people write, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> =
        ["crates", "xtask", "testkit", "ui-tests", "bench", "fuzz/targets"]
            .map(|name| root().join(name))
            .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|end| end == "rs") {
                files.push((
                    entry.strip_prefix(root()).unwrap().into(),
                    fs::read_to_string(&entry).unwrap(),
                ));
            }
        }
    }
    assert!(files.len() > 20, "the sources were found");
    files
}

#[test]
fn arrows_point_down() {
    let (rooms, arrows) = (rooms(), arrows());
    let known: BTreeSet<&str> = arrows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        rooms.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        known,
        "every room has its line"
    );
    let mut placed = BTreeSet::new();
    for (name, allowed) in &arrows {
        assert!(
            allowed.iter().all(|below| placed.contains(below)),
            "the table itself points up at {name}"
        );
        placed.insert(name);
        for needed in needs(&rooms[name]).intersection(&known) {
            assert!(allowed.contains(*needed), "{name} must not depend on {needed}");
        }
    }
}

#[test]
fn each_decision_has_a_number_of_its_own() {
    let folder = fs::read_dir(root().join("docs/decisions")).unwrap();
    let mut seen = BTreeSet::new();
    for path in folder.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let number: u32 = name.split('-').next().unwrap().parse().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("# {number}. ")), "{}", path.display());
        assert!(seen.insert(number), "decision {number} stands twice");
    }
}

#[test]
fn every_engine_has_one_home() {
    for (name, manifest) in rooms() {
        for (engine, homes) in HOMES {
            let allowed = homes.contains(&name.as_str()) || name == "demo";
            assert!(allowed || !needs(&manifest).contains(engine), "{name} must not name {engine}");
        }
    }
}

#[test]
fn every_crate_takes_the_lints_and_the_versions_of_the_workspace() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let clippy = workspace["workspace"]["lints"]["clippy"].as_table().unwrap();
    for lint in
        ["unwrap_used", "expect_used", "panic", "indexing_slicing", "let_underscore_must_use"]
    {
        assert_eq!(clippy[lint].as_str(), Some("deny"), "{lint}");
    }
    assert_eq!(clippy["too_many_lines"].as_str(), Some("warn"), "CI turns warnings into errors");
    let settings = manifest(&root().join("clippy.toml"));
    assert_eq!(settings["too-many-lines-threshold"].as_integer(), Some(70));
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));

    let mut all = rooms();
    for name in ["xtask", "testkit", "ui-tests", "bench", "fuzz/targets"] {
        all.insert(name.to_owned(), manifest(&root().join(name).join("Cargo.toml")));
    }
    for (name, manifest) in all {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(
            lints.and_then(toml::Value::as_bool),
            Some(true),
            "{name} takes the workspace's lints"
        );
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (needed, how) in
                manifest.get(table).and_then(toml::Value::as_table).into_iter().flatten()
            {
                let shared = how.get("workspace").and_then(toml::Value::as_bool);
                assert_eq!(
                    shared,
                    Some(true),
                    "{name} names a version of {needed}; the root does that"
                );
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, count)| *count > FILE_LINES_MAX)
        .map(|(path, count)| format!("{} has {count} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "over {FILE_LINES_MAX}:\n{}", long.join("\n"));
}

#[test]
fn only_wire_opens_connections() {
    let opens =
        ["TcpStream::connect", "TcpListener::bind", "UdpSocket", "lookup_host", "to_socket_addrs("];
    for (path, text) in sources() {
        let name = path.to_str().unwrap();
        let elsewhere = name.starts_with("crates/") && !name.starts_with("crates/wire/");
        // The demo's check plays a person's browser; tests play peers.
        if !elsewhere
            || name.starts_with("crates/demo/")
            || name.contains("/tests/")
            || name.ends_with("tests.rs")
        {
            continue;
        }
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in opens {
            assert!(!shipped.contains(call), "{name} has `{call}`, which belongs to `wire`");
        }
    }
}

#[test]
fn banned_crates_are_not_in_the_shipped_program() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--locked", "-p", "bailiwick", "-e", "normal,build"]);
    let tree =
        tree.args(["--prefix", "none", "--format", "{p}"]).current_dir(root()).output().unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("aws-lc-fips-sys"), "the FIPS module is in the tree");
    for banned in BANNED {
        assert!(
            !names.contains(banned),
            "{banned} is in the tree: cargo tree -p bailiwick -i {banned}"
        );
    }
}

#[test]
fn vendored_files_are_what_was_vendored() {
    let list = "crates/web/assets/uswds/vendored.sha256";
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet", list]).current_dir(root());
    let checked = command.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

    let text = fs::read_to_string(root().join(list)).unwrap();
    let listed: BTreeSet<&str> = text.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    for folder in ["crates/web/assets/img", "crates/web/assets/fonts", "ui-tests/vendor"] {
        let found =
            Command::new("find").args([folder, "-type", "f"]).current_dir(root()).output().unwrap();
        for file in String::from_utf8(found.stdout).unwrap().lines() {
            assert!(listed.contains(file), "{file} is not in {list}");
        }
    }
    let fonts = "crates/parcel/assets/fonts/vendored.sha256";
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet", fonts]).current_dir(root());
    let checked = command.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    assert!(
        listed.contains("crates/web/assets/uswds.css")
            && listed.contains("ui-tests/vendor/axe.min.js")
    );
}
