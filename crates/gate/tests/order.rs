//! The order ask, fetch, record, release can't be skipped: what tries to does not compile.
//!
//! Each file in `tests/fail` names the error that the compiler must give and no other; the one in
//! `tests/pass` must compile. The compiler is called on the library that this test was built with:
//! `trybuild` would build the cryptographic module a second time.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library of this build: the newest of those that lie beside this test.
fn library() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let files = fs::read_dir(deps).unwrap().map(|entry| entry.unwrap().path());
    let libraries = files.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libgate-") && name.ends_with(".rlib")
    });
    libraries.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap()
}

/// The error codes that the compiler gives, in order.
fn compile(file: &Path, out: &Path) -> (bool, Vec<String>, String) {
    let library = library();
    let mut dependencies = std::ffi::OsString::from("dependency=");
    dependencies.push(library.parent().unwrap());
    let mut external = std::ffi::OsString::from("gate=");
    external.push(&library);
    let output = Command::new("rustc")
        .current_dir(here())
        .args(["--edition=2024", "--crate-type=lib", "--crate-name=attempt", "--emit=metadata"])
        .arg("-L")
        .arg(dependencies)
        .arg("--extern")
        .arg(external)
        .arg("--out-dir")
        .arg(out)
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let starts = text.lines().filter_map(|line| line.strip_prefix("error["));
    let codes = starts.filter_map(|rest| Some(rest.split_once(']')?.0.to_owned())).collect();
    (output.status.success(), codes, text)
}

#[test]
fn the_order_cannot_be_skipped() {
    let out = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(here().join("tests/fail"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 13, "some attempts are missing");
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let expected = source.split_once("error[").unwrap().1.split_once(']').unwrap().0.to_owned();
        let (compiled, codes, text) = compile(&file, out.path());
        assert!(!compiled, "{} compiles", file.display());
        assert!(
            !codes.is_empty() && codes.iter().all(|code| *code == expected),
            "{}: {expected} expected\n{text}",
            file.display()
        );
    }
}

#[test]
fn the_order_as_it_is_meant_compiles() {
    let out = tempfile::tempdir().unwrap();
    let (compiled, _, text) = compile(&here().join("tests/pass/in_order.rs"), out.path());
    assert!(compiled, "{text}");
}
