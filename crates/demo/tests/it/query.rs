//! A query that runs for somebody who is put out stops where it runs: at the agency's own database.

#![expect(clippy::print_stdout, reason = "how fast the query stopped is printed")]

use std::path::Path;
use std::time::{Duration, Instant};

use demo::runner::Staging;
use testkit::Postgres;

use crate::film::definition;
use crate::postgres::{PASSWORD, server};
use crate::stage::{Stage, root, step_up};

const QUERY: &str = r#"
timeout  = "60s"
key      = ["nothing"]
subjects = { document = "nothing" }
sql = "select cast(pg_sleep(60) as text) as nothing where :purpose <> 'none'"
"#;

const PART: &str = r#"
kind    = "table"
columns = ["nothing"]
"#;

/// Waits at the database until the query runs, or runs no more. `false`: it is not so after ten seconds.
async fn waited(server: &Postgres, folder: &Path, runs: bool) -> bool {
    let until = if runs { "" } else { "not" };
    let sql = format!(
        "do $$ begin for i in 1..1000 loop perform pg_stat_clear_snapshot(); if {until} exists \
         (select from pg_stat_activity where usename = 'bailiwick' and state = 'active' \
         and query like '%pg_sleep(60)%') then return; end if; perform pg_sleep(0.01); end loop; \
         raise 'it is not so after ten seconds'; end $$;"
    );
    let file = folder.join("wait.sql");
    std::fs::write(&file, sql).unwrap();
    server.run("rms", PASSWORD, &file).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_click_stops_a_query_at_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let Some((server, records)) = server(folder.path()).await else { return };
    let tools = root(&folder).join("riverton/tools");
    std::fs::create_dir_all(&tools).unwrap();
    std::fs::write(tools.join("slow.toml"), definition(("slow", "Slow"), QUERY, PART)).unwrap();
    let stage = Stage::with(folder, Staging { records, ..Staging::default() }).await;
    let folder = stage.folder.path();
    let mut voss = stage.seat("adm.voss").await;
    let people = step_up(&mut voss, "/people").await;

    let mut ruiz = stage.seat("det.ruiz").await;
    let page = ruiz.open("/tools/slow").await.unwrap();
    let form = page.form("/tools/slow/runs").unwrap().set("purpose", "C").unwrap();
    let asking = tokio::spawn(async move { ruiz.browser.submit(&page, &form).await });
    if !waited(&server, folder, true).await {
        asking.abort();
        panic!("it never ran: {:?}", asking.await.map(|answer| answer.map(|page| page.text())));
    }

    let people = voss.browser.open(&people.address.to_string()).await.unwrap();
    let page = voss.browser.follow(&people, "Elena Ruiz").await.unwrap();
    let form = page.pressed("Change it").unwrap();
    let form = form.set("act", "disable").unwrap().set("reason", "left the agency").unwrap();
    let clicked = Instant::now();
    let page = voss.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("disabled"), "{}", page.text());
    assert!(waited(&server, folder, false).await, "it runs on");
    let gone = clicked.elapsed();
    println!("a query: gone from pg_stat_activity {} ms after the click", gone.as_millis());
    assert!(gone < Duration::from_secs(1), "{gone:?}");
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    stage.world.stop().await;
}
