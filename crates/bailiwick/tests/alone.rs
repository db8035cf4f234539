//! A second server in one data folder is turned away in plain words; whoever reads beside the first is not.
#![cfg(feature = "demo")]

use std::process::Command;

use demo::runner::{Places, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_told_that_the_folder_is_in_use_and_what_reads_is_not_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::free().await.unwrap();
    let world = World::start(&folder.path().join("world"), places).await.unwrap();
    let config = world.homes[1].folder.join("bailiwick.toml");
    let data = world.lakeside.agency.config.data.folder.clone();
    let run = |command: &'static str| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
            let said = program.arg(command).arg("--config").arg(config).output().unwrap();
            let text = [said.stdout, said.stderr].concat();
            (said.status.success(), String::from_utf8_lossy(&text).into_owned())
        })
    };
    let (serves, said) = run("serve").await.unwrap();
    assert!(!serves && said.contains("has this data folder in use"), "{said}");
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    let (holds, said) = run("check").await.unwrap();
    assert!(holds, "{said}");

    // A copy of the folder is nobody's.
    let copy = folder.path().join("copy");
    let copied = Command::new("cp").arg("-r").arg(&data).arg(&copy).status().unwrap();
    assert!(copied.success());
    for (place, stop) in [(copy, None), (data, Some(world))] {
        if let Some(world) = stop {
            world.stop().await;
        }
        let lock = std::fs::File::open(place.join("server.lock")).unwrap();
        assert!(lock.try_lock().is_ok(), "{} is free", place.display());
    }
}
