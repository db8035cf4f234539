//! `bailiwick provider …` on a stopped server: a provider is held and released, all on record.
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
    command.arg("provider").args(arguments).args(["--config", "bailiwick.toml"]);
    let output = command.current_dir(agency.path("")).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_provider_is_held_and_released_while_the_server_is_stopped() {
    let agency = Agency::new(NOW);
    let order = ["--by", "R. Stone", "--reason", "its key was stolen"];
    let with = |act: &'static str, idp: &'static str, more: &[&'static str]| {
        [&[act, idp][..], &order, more].concat()
    };
    let (code, said, error) = run(&agency, &with("end", "riverton-idp", &["--hold"]));
    assert_eq!((code, said.as_str()), (0, "0 sessions ended; it is held"), "{error}");
    let (_, list, _) = run(&agency, &["list", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list.pointer("/0/id").and_then(Value::as_str), Some("riverton-idp"), "{list}");
    assert_eq!(run(&agency, &with("end", "other", &[])).0, 1, "no such provider");
    let nameless = ["end", "riverton-idp", "--by", " ", "--reason", "x"];
    assert_eq!(run(&agency, &nameless).0, 1, "somebody orders it");
    assert_eq!(run(&agency, &with("release", "riverton-idp", &[])).1, "released");
    assert_eq!(run(&agency, &with("release", "riverton-idp", &[])).0, 1, "once");
    assert_eq!(run(&agency, &["list"]).1, "");

    let ledger = agency.open("2099-01-01T00:00:00Z");
    let newest = ledger.search(&ledger::Search::newest(6)).unwrap();
    let what = newest.entries.iter().map(|entry| match &entry.record.event {
        Event::ProviderAlert { idp, what, .. } => format!("{idp} {what}"),
        Event::SessionsEnded { of, reason } => format!("{of}: {reason}"),
        Event::Listed { what, count, .. } => format!("{count} {what}"),
        other => format!("{other:?}"),
    });
    let why = "its key was stolen (R. Stone)";
    assert_eq!(
        what.collect::<Vec<_>>(),
        [
            "0 providers that are held".to_owned(),
            format!("riverton-idp it is released, people sign in through it: {why}"),
            format!("riverton-idp it is released, people sign in through it: {why}"),
            "1 providers that are held".to_owned(),
            format!("everybody who came through riverton-idp: {why}"),
            format!("riverton-idp it is held, nobody signs in through it: {why}"),
        ]
    );
}
