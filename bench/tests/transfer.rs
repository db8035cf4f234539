//! A parcel crosses between two real processes while the line is cut five times and each process is killed once: the
//! bench's own run, with less to carry. It ends in an error where something is missing, altered or sent twice.

use std::path::Path;
use std::process::Command;

fn transfer(out: &Path, mib: &str, files: &str) -> serde_json::Value {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["exchange", "--transfer-part-mib", "1", "--transfer-mib", mib]);
    let done = bench.args(["--transfer-files", files, "--out"]).arg(out).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    let kept = std::fs::read_to_string(out.join("bench.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&kept).unwrap();
    report["exchange"].clone()
}

#[test]
fn a_film_and_a_tree_cross_whole_over_a_line_that_is_cut_while_both_ends_are_killed() {
    let out = tempfile::tempdir().unwrap();
    let figures = transfer(out.path(), "48", "1500");
    assert_eq!(
        (&figures["cuts"], &figures["kills"], &figures["files"]),
        (&5.into(), &2.into(), &1501.into())
    );
    let bytes = figures["parcel_bytes"].as_u64().unwrap();
    assert!(bytes > 48 << 20, "{figures}");
}
