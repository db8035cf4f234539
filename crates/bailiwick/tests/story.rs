//! `bailiwick demo --check`: the whole story through the program's own pages, without a browser.

use std::process::Command;

#[test]
fn every_step_of_the_story_holds() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bailiwick")).args(["demo", "--check"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let held = told.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!told.contains("FAIL"), "{told}");
    assert_eq!(held, 22, "the steps that held:\n{told}");
}
