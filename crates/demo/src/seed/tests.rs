//! The data is what it was, the same in both databases, and good for the story.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::postgres::copy_text;
use super::{Agency, Table, prepare, story};

fn digest_of(agency: Agency) -> String {
    let mut digest = keys::digest::Sha256::new();
    for table in Table::ALL {
        digest.update(table.name().as_bytes());
        digest.update(copy_text(agency, table).unwrap().as_bytes());
    }
    let mut text = String::new();
    super::tables::hex(&mut text, &digest.finish());
    text
}

#[test]
fn the_data_is_the_same_on_every_machine() {
    let made = [Agency::Lakeside, Agency::Riverton].map(digest_of);
    assert_eq!(made, [Agency::Lakeside.digest(), Agency::Riverton.digest()]);
}

/// A database's table as COPY text, to be held against what PostgreSQL is given.
fn dump(database: &Connection, table: Table) -> String {
    let columns: Vec<&str> = table.columns().iter().map(|(name, _)| *name).collect();
    // Link rows are kept in the order of their key; they are made in the order of incidents.
    let order = if table.key() == "id" { "id" } else { "1" };
    let sql = format!("select {} from {} order by {order}", columns.join(", "), table.name());
    let mut statement = database.prepare(&sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut text = String::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns.len())
            .map(|place| match row.get_ref(place).unwrap() {
                ValueRef::Null => "\\N".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => {
                    std::str::from_utf8(text).unwrap().replace('\\', "\\\\").replace('\n', "\\n")
                }
                other => panic!("{other:?}"),
            })
            .collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn sqlite_and_postgresql_receive_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = prepare(folder.path(), Agency::Lakeside).unwrap();
    assert!(seeded.made);
    let database = Connection::open(&seeded.records).unwrap();
    for table in Table::ALL {
        let (kept, given) = (dump(&database, table), copy_text(Agency::Lakeside, table).unwrap());
        assert!(given.lines().count() > 1, "{table:?}");
        assert_eq!(sorted(&kept), sorted(&given), "{table:?}");
    }
}

#[test]
fn a_file_with_the_marker_is_used_again_and_any_other_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let first = prepare(folder.path(), Agency::Lakeside).unwrap();
    let flag = "update vehicles set status = 'flagged' where id = 'V-000001'";
    let status = |path: &std::path::Path| -> String {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = Connection::open_with_flags(path, flags).unwrap();
        let sql = "select status from vehicles where id = 'V-000001'";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    Connection::open(&first.records).unwrap().execute(flag, []).unwrap();
    assert!(!prepare(folder.path(), Agency::Lakeside).unwrap().made);
    assert_eq!(status(&first.records), "flagged");

    let database = Connection::open(&first.records).unwrap();
    database.pragma_update(None, "user_version", 7).unwrap();
    drop(database);
    assert!(prepare(folder.path(), Agency::Lakeside).unwrap().made);
    assert_eq!(status(&first.records), "clear");

    std::fs::write(&first.records, b"not a database").unwrap();
    assert!(prepare(folder.path(), Agency::Lakeside).unwrap().made);
    assert_eq!(status(&first.records), "clear");
}

#[test]
fn evidence_rows_give_the_length_and_digest_of_their_files() {
    let folder = tempfile::tempdir().unwrap();
    for agency in [Agency::Riverton, Agency::Lakeside] {
        let seeded = prepare(&folder.path().join(format!("{agency:?}")), agency).unwrap();
        for line in copy_text(agency, Table::Evidence).unwrap().lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let content = std::fs::read(seeded.evidence.join(cells[9])).unwrap();
            assert_eq!(cells[5], content.len().to_string(), "{line}");
            let mut digest = String::new();
            super::tables::hex(&mut digest, &keys::digest::sha256(&content));
            assert_eq!(cells[6], digest, "{line}");
            let opening = match cells[4] {
                "application/pdf" => b"%PDF-1.".as_slice(),
                "video/mp4" => b"\0\0\0\x20ftyp".as_slice(),
                _ => b"".as_slice(),
            };
            assert!(content.starts_with(opening), "{line}");
        }
    }
}

#[test]
fn the_story_finds_what_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = prepare(folder.path(), Agency::Riverton).unwrap();
    let database = Connection::open(&seeded.records).unwrap();
    let all = |sql: &str, bind: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([bind], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let count = |table: &str| -> i64 {
        let sql = format!("select count(*) from {table}");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("vehicles"), 50_000);
    assert_eq!(count("persons"), 40_000);
    assert_eq!(count("incidents"), 20_000);
    assert!(count("vehicle_events") > 50_000);

    let car = "select id || owner_id || status from vehicles where plate like ? escape '\\'";
    assert_eq!(all(car, story::PLATE), ["V-000113P-000113clear"]);
    let events = "select event from vehicle_events where vehicle_id = ?";
    assert!(all(events, story::VEHICLE).len() > 10, "more than a page of them");
    let family = "select id || first_name || coalesce(caveat, '') from persons
                  where last_name = ? order by id";
    assert_eq!(all(family, story::FAMILY), ["P-000113Dana", "P-000114TobyJUVENILE"]);
    let people = "select p.id || ' ' || l.role from incidents i
                  join incident_persons l on l.incident_id = i.id join persons p on p.id = l.person_id
                  where i.case_number = ? order by 1";
    assert_eq!(
        all(people, story::CASE),
        [
            "P-000111 complainant",
            "P-000112 witness",
            "P-000113 person of interest",
            "P-000114 passenger"
        ]
    );
    let evidence = "select id || ' ' || media_type from evidence where case_number = ? order by id";
    assert_eq!(
        all(evidence, story::CASE),
        ["E-000001 application/pdf", "E-000002 video/mp4", "E-000003 application/pdf"]
    );
}

#[test]
fn lookups_use_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let seeded = prepare(folder.path(), Agency::Lakeside).unwrap();
    let database = Connection::open(&seeded.records).unwrap();
    for sql in [
        "select * from vehicles where plate = 'x'",
        "select * from vehicles where plate like '7KD%'",
        "select * from persons where last_name like 'mar%'",
        "select * from incidents where case_number = 'x'",
        "select * from vehicle_events where vehicle_id = 'x' order by seen_at desc",
        "select * from incident_persons where person_id = 'x'",
    ] {
        let mut statement = database.prepare(&format!("explain query plan {sql}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let plan: BTreeSet<String> = rows.map(Result::unwrap).collect();
        assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
    }
}
