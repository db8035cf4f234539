//! A parcel crosses between two real processes while the line is cut five times and each process is killed once: the
//! bench's own run, with less to carry. It ends in an error where something is missing, altered or sent twice.

use std::process::Command;

#[test]
fn a_film_and_a_tree_cross_whole_over_a_line_that_is_cut_while_both_ends_are_killed() {
    let out = tempfile::tempdir().unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["exchange", "--transfer-part-mib", "1", "--transfer-mib", "48"]);
    let done = bench.args(["--transfer-files", "1500", "--out"]).arg(out.path()).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
    let kept = std::fs::read_to_string(out.path().join("bench.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let figures = &report["exchange"];
    let bytes = figures["parcel_bytes"].as_u64().unwrap();
    assert!(bytes > 48 << 20, "{figures}");
    // Something was under way when the line was cut: it had to be carried again.
    assert!(figures["carried_bytes"].as_u64().unwrap() > bytes, "{figures}");
}
