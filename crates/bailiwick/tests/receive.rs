//! `bailiwick parcel receive` beside a running server: what came on a medium is taken in, and once only.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use demo::runner::{Places, World};
use keys::cert::{Certificate, private_key_from_pem};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::{Party, Seal, Signer, Transfer, Watch};

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A parcel that Riverton sealed for Lakeside by other means than its platform: it has no number.
fn sealed(world: &World, place: &Path, recipient: &str) {
    let [riverton, lakeside] = &world.homes;
    let key = private_key_from_pem(&read(riverton.folder.join("keys/signing.key"))).unwrap();
    let chain = Certificate::chain_from_pem(&read(riverton.folder.join("keys/signing.pem")));
    let signer = Signer { chain: chain.unwrap(), key: P384Key::from_pkcs8(&key).unwrap() };
    let to = Certificate::from_pem(&read(lakeside.folder.join(recipient))).unwrap();
    let party = |ori: &str, name: &str| Party { ori: ori.to_owned(), name: name.to_owned() };
    let now = SystemClock.now();
    let id =
        uuid::Builder::from_random_bytes(keys::random_bytes(&SystemRandom).unwrap()).into_uuid();
    let never = AtomicBool::new(false);
    let seal = Seal {
        id,
        sender: &signer,
        recipients: vec![to],
        part_size: parcel::PART_BYTES_DEFAULT,
        workers: parcel::WORKERS_DEFAULT,
        entries: vec![parcel::Entry::from_bytes(
            "note.txt",
            "text/plain",
            now,
            b"a note\n".to_vec(),
        )],
        transfer: Transfer {
            exchange_id: id.to_string(),
            exchange_number: None,
            purpose: "C".to_owned(),
            authority: "a request by telephone".to_owned(),
            case_number: None,
            handling: Vec::new(),
            record_classes: vec!["INCIDENT".to_owned()],
            retention: None,
            sender: party(riverton.spec.ori, riverton.spec.name),
            recipient: party(lakeside.spec.ori, lakeside.spec.name),
        },
        custody: Vec::new(),
        custody_document: true,
        allow_rsa_oaep: false,
        now,
        random: &SystemRandom,
        watch: Watch { progress: &|_, _| {}, cancel: &never },
    };
    parcel::seal(seal, place).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_came_on_a_medium_is_handed_to_the_server_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let places = Places::free().await.unwrap();
    let world = World::start(&folder.path().join("world"), places).await.unwrap();
    let config = world.homes[1].folder.join("bailiwick.toml");
    let parcel = folder.path().join("parcel");
    sealed(&world, &parcel, "keys/recipient.pem");
    let run = |parcel: PathBuf, wait: &'static str| {
        let config = config.clone();
        tokio::task::spawn_blocking(move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
            let command =
                command.args(["parcel", "receive"]).arg(parcel).arg("--config").arg(config);
            let said = command.args(["--wait", wait]).output().unwrap();
            let text = [said.stdout, said.stderr].concat();
            (said.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
        })
    };
    let (code, said) = run(parcel.clone(), "120").await.unwrap();
    assert!(code == 0 && said.contains("taken in: received from Riverton"), "{said}");
    let (code, said) = run(parcel.clone(), "120").await.unwrap();
    assert!(code == 1 && said.contains("it is here already"), "{said}");
    let (code, said) = run(folder.path().join("nothing"), "1").await.unwrap();
    assert!(code != 0 && said.contains("is no parcel"), "{said}");
    let arrivals = exchange::arrivals(&world.lakeside.agency.config.data.folder.join("parcels"));
    assert_eq!(std::fs::read_dir(&arrivals).unwrap().count(), 0, "nothing is left there");
    world.stop().await;
    let (code, said) = run(parcel, "1").await.unwrap();
    assert!(code != 0 && said.contains("no answer within 1 s"), "{said}");
}
