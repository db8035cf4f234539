//! `bailiwick scim token …` on a stopped server: made once, listed without itself, revoked, all on record.
#![cfg(test)]

#[expect(dead_code, reason = "the ledger's commands use the rest")]
mod agency;

use std::process::Command;

use ledger::Event;
use serde_json::Value;

use agency::Agency;

const NOW: &str = "2026-11-25T10:00:00Z";

fn run(agency: &Agency, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["scim", "token"]).args(arguments).args(["--config", "bailiwick.toml"]);
    let output = command.current_dir(agency.path("")).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_token_is_made_once_listed_without_itself_and_revoked() {
    let agency = Agency::new(NOW);
    let config = std::fs::read_to_string(agency.path("bailiwick.toml")).unwrap();
    let directory = "[[directory]]\nid = \"entra\"\nidentity_provider = \"riverton-idp\"\n";
    std::fs::write(agency.path("bailiwick.toml"), format!("{config}\n{directory}")).unwrap();

    let (code, token, error) = run(&agency, &["make", "entra", "--by", "R. Stone"]);
    assert_eq!(code, 0, "{error}");
    assert!(token.starts_with("bailiwick_scim_") && token.len() == 58, "{}", token.len());
    for wrong in [
        ["make", "okta", "--by", "R. Stone", "--days", "1"],
        ["make", "entra", "--by", "", "--days", "1"],
        ["make", "entra", "--by", "R. Stone", "--days", "366"],
    ] {
        assert_eq!(run(&agency, &wrong).0, 1, "{wrong:?}");
    }

    let (code, list, error) = run(&agency, &["list", "--json"]);
    assert_eq!(code, 0, "{error}");
    let list: Value = serde_json::from_str(&list).unwrap();
    let [one] = list.as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!(one.get("directory").unwrap(), "entra");
    let name = one.get("name").and_then(Value::as_str).unwrap();
    assert!(!token.contains(name));

    assert_eq!(run(&agency, &["revoke", name, "--by", "R. Stone"]).0, 0);
    assert_eq!(run(&agency, &["revoke", name, "--by", "R. Stone"]).0, 1, "once");
    let ledger = agency.open("2099-01-01T00:00:00Z");
    let newest = ledger.search(&ledger::Search::newest(5)).unwrap();
    let what = newest.entries.iter().filter_map(|entry| match &entry.record.event {
        Event::DirectoryToken { what, token: named, .. } => {
            assert_eq!(named, name);
            Some(what.as_str())
        }
        _ => None,
    });
    assert_eq!(what.collect::<Vec<_>>(), ["revoked", "made"]);
}
