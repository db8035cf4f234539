//! `bailiwick agreement …` says what files of agreements say, and what is wrong with them.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

const SOUND: &str = r#"id = "lakeside-2026"
title = "Joint burglary task force"
kind = "information-exchange"
authority = "Interlocal agreement 2026-17"
partner = "NB0020000"
record_classes = ["EVIDENCE", "INCIDENT"]
caveats_barred = ["SEALED"]
purposes = ["C"]
redistribution = "with-consent"
approvals = 1
audit = "each may audit the other"
deliveries = ["push", "usb"]
starts = "2026-01-01T00:00:00Z"
review = "2098-01-01T00:00:00Z"
ends = "2099-01-01T00:00:00Z"

[[party]]
ori = "NB0010100"
name = "Riverton Police Department"
signed_by = "Chief A. Marsh"
signed_at = "2025-12-01T00:00:00Z"

[[party]]
ori = "NB0020000"
name = "Lakeside County Sheriff"
signed_by = "Sheriff D. Cole"
signed_at = "2025-12-01T00:00:00Z"
"#;

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    let output = command.arg("agreement").args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_file_of_an_agreement_is_checked_and_told_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("one.toml"), text).unwrap();
    let sound = SOUND.replace("2098-01-01", "2028-12-01");
    write(&sound);
    let (code, said, error) = run(folder.path(), &["check", "one.toml"]);
    assert_eq!((code, said.as_str()), (0, "one.toml: `lakeside-2026` is sound"), "{error}");
    for (text, expected) in [
        (SOUND.to_owned(), "one.toml:14: `review`: a time after `starts`, within three years"),
        (sound.replace("approvals = 1", "approvals = 0"), "one.toml:10: `approvals`: 1 or more"),
        (sound.replace("title =", "tittle ="), "did you mean `title`?"),
        (sound.replace("\"usb\"", "\"The USB\""), "one.toml:12: `deliveries`: names of deliveries"),
    ] {
        write(&text);
        let (code, said, _) = run(folder.path(), &["check", "one.toml"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let (code, said, _) = run(folder.path(), &["check", "none.toml"]);
    assert!(code == 1 && said.contains("none.toml"), "{said}");
}

#[test]
fn a_folder_is_checked_as_a_whole_and_what_is_asked_for_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("agreements")).unwrap();
    let file = folder.path().join("agreements/lakeside.toml");
    std::fs::write(file, SOUND.replace("2098-01-01", "2028-12-01")).unwrap();
    let (code, said, _) = run(folder.path(), &["check", "--folder", "."]);
    assert_eq!(code, 1);
    assert!(
        said.contains("`partner`: the ORI of a partner that has a file in partners/"),
        "{said}"
    );
    assert_eq!(run(folder.path(), &["check", "--folder", "nowhere"]).0, 1);
    assert_eq!(run(folder.path(), &["list"]).0, 2, "somewhere has to be named");
    assert_eq!(run(folder.path(), &["show", "other", "--folder", "."]).0, 1);
}
