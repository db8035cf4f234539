//! What we seal opens with stock openssl, sha256sum, tar and bagit.py, by the commands of the
//! parcel's own HOW-TO-OPEN.txt, and nothing else.

use std::path::Path;
use std::process::Command;

use keys::cert;
use parcel::{Trust, Watch};

use crate::support::{World, case, files, noise, python_tool, run};

/// The command lines of HOW-TO-OPEN.txt: those indented by four spaces.
fn commands(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

/// A parcel, and the file names that step 0 asks the reader to fill in.
pub(crate) fn script(world: &World, parcel: &Path, sender: &str) -> String {
    let text = std::fs::read_to_string(parcel.join("HOW-TO-OPEN.txt")).unwrap();
    let cert = world.write_pem("our.pem", &world.recipient.certificate.pem());
    let key_pem = cert::private_key_pem(&world.recipient.key.to_pkcs8().unwrap());
    let key = world.write_pem("our.key", &key_pem);
    let sender = world.write_pem("sender.pem", sender);
    let out = world.path("opened by hand");
    let given = [("SENDER", &sender), ("CERT", &cert), ("KEY", &key), ("OUT", &out)];
    let fill = |line: &str| match line.split_once('=') {
        Some((name, _)) if given.iter().any(|(known, _)| *known == name) => {
            let value = given.iter().find(|(known, _)| *known == name).unwrap().1;
            format!("{name}=\"{}\"\n", value.display())
        }
        _ => format!("{line}\n"),
    };
    commands(&text).into_iter().map(fill).collect()
}

pub(crate) fn sh(script: &str, folder: &Path) -> (bool, String) {
    let output = run(Command::new("sh").args(["-e", "-c", script]).current_dir(folder));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn how_to_open_opens_the_parcel_with_stock_tools() {
    for pinned in [false, true] {
        let world = World::new();
        let parcel = world.sealed("parcel");
        let sender = if pinned { world.sender.chain[0].pem() } else { world.ca.pem() };
        let (done, said) = sh(&script(&world, &parcel, &sender), &parcel);
        assert!(done, "{said}");
        assert_eq!(said.matches("CMS Verification successful").count(), 2, "{said}");
        assert!(!said.contains("FAILED") && !said.contains("ADDED"), "{said}");
        let data = world.path("opened by hand").join("inner/data");
        assert_eq!(
            files(&data),
            ["Zeugen/Müller, Jörg.txt", "statement.pdf", "videos/Door camera (2).mp4"]
        );
        let video = std::fs::read(data.join("videos/Door camera (2).mp4")).unwrap();
        assert_eq!(video, noise(30_000, 7));
        let ours = world.path("ours");
        parcel::open(&parcel, &world.recipient, &world.trust(), &ours, None, Watch::none())
            .unwrap();
        let same = run(Command::new("diff").arg("-r").arg(&ours).arg(world.path("opened by hand")));
        assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    }
}

#[test]
fn how_to_open_stops_at_an_altered_part_before_decrypting() {
    let world = World::new();
    let parcel = world.sealed("parcel");
    let part = parcel.join("data/000/part-000003.p7m");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[1_500] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let (done, said) = sh(&script(&world, &parcel, &world.ca.pem()), &parcel);
    assert!(!done && said.contains("data/000/part-000003.p7m: FAILED"), "{said}");
    assert!(!world.path("opened by hand").exists());
}

#[test]
fn how_to_open_stops_at_another_signer_and_at_an_added_file() {
    let world = World::new();
    let parcel = world.sealed("parcel");
    let (done, said) = sh(&script(&world, &parcel, &World::new().ca.pem()), &parcel);
    assert!(!done && !said.contains("CMS Verification successful"), "{said}");
    std::fs::write(parcel.join("data/000/part-000777.p7m"), b"x").unwrap();
    let (_, said) = sh(&script(&world, &parcel, &world.ca.pem()), &parcel);
    assert!(said.contains("FILES WERE ADDED"), "{said}");
}

#[test]
fn receipt_signed_by_openssl_verifies_here() {
    let world = World::new();
    let parcel = world.sealed("parcel");
    let template = std::fs::read_to_string(parcel.join("seal/receipt-template.json")).unwrap();
    let filled = template
        .replace("accepted or refused", "accepted")
        .replace("\"at\": \"\"", "\"at\": \"2026-11-22T22:00:00Z\"");
    let json = world.write_pem("receipt.json", &filled);
    let leaf = world.write_pem("leaf.pem", &world.sender.chain[0].pem());
    let key = world.write_pem("leaf.key", &cert::private_key_pem(&world.sender.key.to_pkcs8()));
    let text = std::fs::read_to_string(parcel.join("HOW-TO-OPEN.txt")).unwrap();
    let line = commands(&text).into_iter().find_map(|line| line.strip_prefix("#  ")).unwrap();
    let line = line
        .replace("SIGNING-CERT.pem", leaf.to_str().unwrap())
        .replace("SIGNING-KEY.pem", key.to_str().unwrap());
    let (done, said) = sh(&line, world.folder.path());
    assert!(done, "{said}");
    let signed = parcel::receipt::SignedReceipt {
        json: std::fs::read(json).unwrap(),
        signature: std::fs::read(world.path("receipt.json.p7s")).unwrap(),
    };
    // OpenSSL puts its own clock into the signature.
    let now = keys::Clock::now(&keys::SystemClock);
    let trust = Trust { now, ..world.trust() };
    let (read, by) = parcel::receipt::verify(&signed, &trust).unwrap();
    assert_eq!(read.parcel, crate::support::id());
    assert_eq!(by, world.sender.chain[0]);
}

#[test]
fn openssl_finds_our_signature_to_be_cades() {
    let world = World::new();
    let parcel = world.sealed("parcel");
    let ca = world.write_pem("ca.pem", &world.ca.pem());
    let verified = run(Command::new("openssl")
        .args(["cms", "-verify", "-cades", "-binary", "-inform", "DER", "-purpose", "any"])
        .args(["-in", "seal/tagmanifest-sha256.txt.p7s", "-content", "tagmanifest-sha256.txt"])
        .arg("-CAfile")
        .arg(ca)
        .args(["-out", "/dev/null"])
        .current_dir(&parcel));
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn bagit_py_finds_both_bags_valid() {
    let Some(python) = python_tool("the check of a bag", "python") else { return };
    let world = World::new();
    let parcel = world.path("parcel");
    parcel::seal(world.order(case(), 4096), &parcel).unwrap();
    let opened = world.path("opened");
    parcel::open(&parcel, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let check = "import bagit, sys; bagit.Bag(sys.argv[1]).validate()";
    for bag in [&parcel, &opened.join("inner")] {
        let valid = run(Command::new(&python).args(["-c", check]).arg(bag));
        assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
    }
    std::fs::remove_file(parcel.join("data/000/part-000001.p7m")).unwrap();
    let valid = run(Command::new(&python).args(["-c", check]).arg(&parcel));
    assert!(!valid.status.success(), "a bag with a missing part is not valid");
}

#[test]
fn case_validate_finds_the_custody_record_to_conform() {
    let Some(validate) = python_tool("the check of a custody record", "case_validate") else {
        return;
    };
    let world = World::new();
    let parcel = world.path("parcel");
    let mut order = world.order(case(), 4096);
    // One original stays where it is, the other goes along.
    let along = hex::encode(keys::digest::sha256(&noise(5_000, 1)));
    order.custody.push(parcel::CustodyEvent {
        kind: "redacted".to_owned(),
        files: vec!["Zeugen/Müller, Jörg.txt".to_owned()],
        originals: vec!["cd".repeat(32), along],
        ..order.custody[0].clone()
    });
    // All that an event can say, one that failed, and the three that close a record.
    let mut told = order.custody[1].clone();
    told.kind = "transferred".to_owned();
    told.around = parcel::Circumstances {
        assurance: Some("multi-factor".to_owned()),
        host: Some("CN=Riverton".to_owned()),
        hand_over: Some(parcel::HandOver {
            from: Some("Riverton Police Department (NB0010100)".to_owned()),
            to: Some("Lakeside County Sheriff (NB0020000)".to_owned()),
            channel: Some("medium".to_owned()),
            peer: Some("a disk with the number 7".to_owned()),
            bytes: Some(35_007),
            attempts: Some(2),
        }),
        failure: Some("the disk was full".to_owned()),
        ..parcel::Circumstances::default()
    };
    let closing = parcel::Closing {
        parcel: order.id,
        signer: &order.sender.chain[0],
        recipients: &order.recipients,
        part_size: order.part_size,
        exhibit: Some("24-000113-7"),
        root_exhibits: &["24-000113-2".to_owned(), "24-000113-3".to_owned()],
    };
    let closed = closing.events(&order.custody[0]);
    order.custody.push(told);
    order.custody.extend(closed);
    parcel::seal(order, &parcel).unwrap();
    let opened = world.path("opened");
    parcel::open(&parcel, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let record = opened.join("inner/metadata/custody.jsonld");
    let written = std::fs::read_to_string(&record).unwrap();
    assert_eq!(written.matches("Redacted_From").count(), 2);
    assert_eq!(written.matches("\"24-000113-3\"").count(), 2);
    let said = run(Command::new(validate).args(["-f", "human"]).arg(&record));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("Conforms: True"), "{text}");
}
