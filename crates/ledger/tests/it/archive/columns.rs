//! The archive's Parquet, as an engine of other people's making reads it.

use std::path::Path;
use std::process::Command;

use ledger::archive::{Archive, ArchiveError, Unlocked, archive};
use ledger::testing::keys;

use super::{Case, NEXT_MONTH, SOON, folder_store};

/// What DuckDB answers, or nothing where it is not installed and that is no failure.
fn duckdb(folder: &Path, query: &str) -> Option<String> {
    let python = testkit::target().unwrap().join("python/bin/python");
    testkit::need("reading Parquet with DuckDB", &[python.to_str().unwrap()]).unwrap()?;
    let script = "import duckdb, json, sys\n\
        print(json.dumps(duckdb.sql(sys.argv[1]).fetchall(), default=str))";
    let mut command = Command::new(python);
    let output = command.args(["-c", script, query]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn duckdb_reads_the_archived_entries_and_finds_no_content() {
    let case = Case::new();
    let ledger = case.grow(2);
    let folder = tempfile::tempdir().unwrap();
    let shelf = Unlocked(folder_store(folder.path()));
    let done = case.archive(&shelf, NEXT_MONTH).await.unwrap();
    let ask = |query| duckdb(folder.path(), query);
    let Some(types) =
        ask("select column_name, column_type from (describe from 'parquet/*.parquet')")
    else {
        return;
    };
    let expected = "[[\"entry\", \"BIGINT\"], [\"recorded_at\", \"TIMESTAMP WITH TIME ZONE\"], \
        [\"clock_stepped_back\", \"BOOLEAN\"], [\"kind\", \"VARCHAR\"], [\"severity\", \"VARCHAR\"], \
        [\"schedule\", \"VARCHAR\"], [\"expires_month\", \"INTEGER\"], [\"shared\", \"BLOB\"], \
        [\"private\", \"BLOB\"], [\"leaf\", \"BLOB\"]]";
    assert_eq!(types, expected);

    let counted = ask("select count(*), min(entry), max(entry) from 'parquet/*.parquet'");
    let size = done.size;
    assert_eq!(counted.unwrap(), format!("[[{size}, 0, {}]]", size - 1));
    let by_kind = ask(
        "select strftime(recorded_at at time zone 'UTC', '%Y-%m-%d') as day, kind, schedule, expires_month, count(*) \
         from 'parquet/*.parquet' group by all order by kind",
    );
    let [issued, released] = [size / 2, size.div_ceil(2)];
    let expected = format!(
        "[[\"2026-11-22\", \"receipt-issued\", \"dissemination\", 203611, {issued}], \
         [\"2026-11-22\", \"released\", \"standard\", 202911, {released}]]"
    );
    assert_eq!(by_kind.unwrap(), expected);

    // The leaf is that of the ledger, byte for byte.
    let leaf = ask(
        "select lower(hex(leaf)), epoch_ms(recorded_at) from 'parquet/*.parquet' where entry = 7",
    );
    let entry = ledger.read(ledger::EntryNumber(7)).unwrap();
    let hex: String = entry.leaf.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(leaf.unwrap(), format!("[[\"{hex}\", {}]]", entry.at.as_millisecond()));

    assert!(!folder.path().join("content").exists(), "nobody asked for content");
    for file in std::fs::read_dir(folder.path().join("parquet")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(bytes.windows(4).all(|part| part != b"Ruiz"), "a person in the envelopes");
    }
}

#[tokio::test]
async fn content_is_written_only_when_asked_for_and_under_the_right_key() {
    let case = Case::new();
    let ledger = case.grow(2);
    let folder = tempfile::tempdir().unwrap();
    let shelf = Unlocked(folder_store(folder.path()));
    let wrong = keys::seal::SealingKey::from_bytes([8; 32]);
    let with = Archive { content: Some(&wrong), ..case.with(NEXT_MONTH) };
    let refused = archive(&case.path, &shelf, with).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Broken { .. }), "{refused:?}");
    assert!(!folder.path().join("content").exists());

    let keys = keys();
    let with = Archive { content: Some(&keys.body), ..case.with(NEXT_MONTH) };
    archive(&case.path, &shelf, with).await.unwrap();
    super::check(&*shelf.0).await.unwrap();
    let query = "select name, purpose, case_number, kind, outcome, count(*) \
         from 'content/*/*.parquet' group by all order by kind";
    let Some(found) = duckdb(folder.path(), query) else { return };
    let half = ledger.size() / 2;
    let expected = format!(
        "[[null, null, null, \"receipt-issued\", \"permit\", {half}], \
         [\"Elena Ruiz\", \"C\", \"24-000113\", \"released\", \"permit\", {half}]]"
    );
    assert_eq!(found, expected);
    let joined = "select count(*) from 'parquet/*.parquet' e join 'content/*/*.parquet' c using (entry) \
         where e.recorded_at = c.recorded_at and json_extract_string(c.record, '$.event.type') = e.kind";
    let archived = case.archive(&shelf, SOON).await.unwrap().size;
    assert_eq!(duckdb(folder.path(), joined).unwrap(), format!("[[{archived}]]"));
}
