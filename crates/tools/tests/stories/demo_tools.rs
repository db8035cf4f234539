//! The demo's tools are good tools, and their own checks hold.

use tools::{check_tests, load_folder};

#[test]
fn the_tools_of_the_demo_load_without_a_problem() {
    let (tools, problems) = load_folder(&crate::common::demo_folder(), keys::digest::sha256);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    let ids: Vec<&str> = tools.iter().map(|tool| tool.id.as_str()).collect();
    assert_eq!(ids, ["case-file", "criminal-history", "person-search", "vehicle-lookup"]);
}

#[test]
fn the_checks_that_the_files_bring_along_hold() {
    let (tools, _) = load_folder(&crate::common::demo_folder(), keys::digest::sha256);
    let person = crate::common::person("detective");
    let mut count = 0;
    for tool in &tools {
        for checked in check_tests(tool, &person.context()) {
            assert_eq!(checked.failure, None, "{}:{} {}", tool.file, checked.line, checked.name);
            count += 1;
        }
    }
    assert_eq!(count, 12);
}

#[test]
fn a_check_that_does_not_hold_says_what_came_instead() {
    let text = crate::common::demo_text("vehicle-lookup");
    let text = text.replace(r#"bind = { plate = "1ABC%" }"#, r#"bind = { plate = "1ABC*" }"#);
    let text =
        text.replace(r#"expect = { error = "case_number" }"#, r#"expect = { error = "state" }"#);
    let tool = crate::common::parse("vehicle-lookup.toml", &text).unwrap();
    let failures: Vec<_> = check_tests(&tool, &crate::common::person("detective").context())
        .into_iter()
        .map(|c| c.failure)
        .collect();
    assert_eq!(
        failures,
        [
            Some("expected `state` alone to be refused; refused: case_number".to_owned()),
            Some("expected `:plate` to be `1ABC*`; it is `1ABC%`".to_owned()),
            None,
            None,
        ]
    );
}

#[test]
fn a_folder_that_is_not_there_is_a_problem_and_no_panic() {
    let (tools, problems) = load_folder(std::path::Path::new("/nowhere"), keys::digest::sha256);
    assert!(tools.is_empty());
    assert_eq!(
        problems[0].to_string(),
        "/nowhere:1: `file`: expected a file that can be read; No such file or directory (os error 2)"
    );
}

#[test]
fn one_wrong_file_does_not_keep_the_others_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong.toml"), "format = 2\n").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no tool").unwrap();
    let text = crate::common::demo_text("person-search");
    std::fs::write(folder.path().join("person-search.toml"), text).unwrap();
    let (tools, problems) = load_folder(folder.path(), keys::digest::sha256);
    assert_eq!(tools.len(), 1);
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["wrong.toml:1: `format`: expected `format = 1`"]
    );
}
