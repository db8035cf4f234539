//! `bailiwick parcel`, as somebody without a server runs it.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The public vectors. Their sender's key is not published: what is sealed here is signed by a key of our own.
fn vectors() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/vectors/parcel"))
}

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code and all that was said.
    fn run(&self, line: &str) -> (i32, String) {
        let vectors = vectors().canonicalize().unwrap();
        let words =
            line.split(' ').map(|word| word.replace("V:", &format!("{}/", vectors.display())));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let said = command.arg("parcel").args(words).current_dir(self.0.path()).output().unwrap();
        let text = [said.stdout, said.stderr].concat();
        (said.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    fn signer(&self) {
        let key = keys::sign::P384Key::generate().unwrap();
        let spec = keys::cert::CertSpec {
            subject_cn: "Riverton parcels".into(),
            organisation: "Riverton Police Department".into(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2046-01-01T00:00:00Z".parse().unwrap(),
            usage: keys::cert::Usage::Signing,
            dns: vec![],
            ips: vec![],
            uris: vec![],
        };
        let certificate = keys::cert::issue(&spec, &key, None, &keys::SystemRandom).unwrap();
        std::fs::write(self.path("signer.pem"), certificate.pem()).unwrap();
        let pem = keys::cert::private_key_pem(&key.to_pkcs8());
        std::fs::write(self.path("signer.key"), pem.as_bytes()).unwrap();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn vectors_are_verified_opened_and_refused_by_exit_code() {
    let desk = Desk::new();
    for parcel in ["V:good", "V:good.zip"] {
        let (code, said) = desk.run(&format!("verify {parcel} --sender V:sender-ca.pem"));
        assert!(code == 0 && said.contains("holds: parcel"), "{said}");
        let us = "--sender V:sender-ca.pem --recipient V:recipient.pem --key V:recipient.key.pem";
        let (code, said) = desk.run(&format!("verify {parcel} {us} --json"));
        assert!(code == 0 && said.contains("\"verified\":true"), "{said}");
        let (code, said) = desk.run(&format!("verify {parcel} --sender V:stranger.pem"));
        assert!(code == 1 && said.starts_with("refused: seal/"), "{said}");
        let (code, said) = desk.run(&format!("inspect {parcel}"));
        assert!(code == 0 && said.contains("not verified: parcel"), "{said}");
        let (code, said) = desk.run(&format!("open {parcel} {us} --out one --only empty.txt"));
        assert_eq!(code, 0, "{said}");
        assert_eq!(read(&desk.path("one/inner/data/empty.txt")), "");
        assert!(!desk.path("one/inner/data/camera").exists());
        std::fs::remove_dir_all(desk.path("one")).unwrap();
        let kem = "--recipient V:recipient-ml-kem.pem --key V:recipient-ml-kem.key.pem";
        let (code, said) =
            desk.run(&format!("open {parcel} --sender V:sender-ca.pem {kem} --out all --resume"));
        assert_eq!(code, 0, "{said}");
        assert_eq!(read(&desk.path("all/inner/data/Zeugen/Müller, Jörg.txt")), "saw it\n");
        std::fs::remove_dir_all(desk.path("all")).unwrap();
    }
    let (code, said) = desk.run("bag V:good");
    assert!(code == 0 && said.contains("whole: BagIt 1.0"), "{said}");
    let (code, said) =
        desk.run("verify V:good --sender V:sender-ca.pem --authority V:sender-ca.pem");
    assert!(code == 1 && said.contains(".tsr: missing"), "{said}");
    let (code, said) = desk.run("verify V:nothing --sender V:sender-ca.pem");
    assert_eq!(code, 1, "{said}");
    assert_eq!(desk.run("verify V:good").0, 2, "no sender");
}

#[test]
fn folder_is_sealed_as_folder_and_as_file_and_a_page_opens_it() {
    let desk = Desk::new();
    desk.signer();
    std::fs::create_dir_all(desk.path("case/camera")).unwrap();
    std::fs::write(desk.path("case/camera/door.mp4"), vec![7; 100_000]).unwrap();
    std::fs::write(desk.path("case/note.txt"), "saw it").unwrap();
    let seal = "seal case --recipient V:recipient.pem --signer signer.pem --key signer.key --part-size 4096";
    for out in ["parcel", "parcel.zip"] {
        let (code, said) = desk.run(&format!("{seal} --out {out}"));
        assert!(code == 0 && said.contains("sealed 2 files"), "{said}");
        let us = "--sender signer.pem --recipient V:recipient.pem --key V:recipient.key.pem";
        let (code, said) = desk.run(&format!("open {out} {us} --out opened"));
        assert_eq!(code, 0, "{said}");
        assert_eq!(read(&desk.path("opened/inner/data/note.txt")), "saw it");
        std::fs::remove_dir_all(desk.path("opened")).unwrap();
        let (code, said) = desk.run(&format!("{seal} --out {out}"));
        assert!(code != 0 && said.contains("could not write"), "{said}");
    }
    let (code, said) = desk.run(&format!("{seal} --out other --resume"));
    assert!(code != 0 && said.contains("no interrupted seal"), "{said}");
    assert!(desk.run(&format!("{seal} --out other.zip --resume")).0 != 0);
    let (code, said) = desk.run("stamp-request parcel --out q.tsq");
    assert_eq!(code, 0, "{said}");
    assert!(std::fs::read(desk.path("q.tsq")).unwrap().len() > 80);
    let (code, said) =
        desk.run("stamp parcel --request q.tsq --answer q.tsq --authority signer.pem");
    assert!(code == 1 && said.contains("refused"), "{said}");
    let (code, page) = desk.run("opener");
    assert!(code == 0 && page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
}

#[test]
fn files_are_told_by_content_and_a_bag_of_others_goes_sealed_into_quarantine() {
    let desk = Desk::new();
    desk.signer();
    std::fs::write(desk.path("door.mp4"), b"\x7fELF\x02\x01").unwrap();
    let (code, said) = desk.run("media door.mp4");
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("door.mp4: a program for Linux (ELF), not-examined"), "{said}");
    let (code, said) = desk.run("media door.mp4 signer.pem --json");
    let list: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(
        code == 0 && list[0]["words"][0].as_str().unwrap().contains("Its name says an MP4 file")
    );
    assert_ne!(desk.run("media nothing").0, 0);

    std::fs::create_dir_all(desk.path("bag/data")).unwrap();
    std::fs::write(
        desk.path("bag/bagit.txt"),
        "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
    )
    .unwrap();
    std::fs::write(desk.path("bag/data/note.txt"), "saw it\n").unwrap();
    let digest = hex::encode(keys::digest::sha256(b"saw it\n"));
    std::fs::write(desk.path("bag/manifest-sha256.txt"), format!("{digest}  data/note.txt\n"))
        .unwrap();
    let take =
        "take bag --recipient V:recipient.pem --signer signer.pem --key signer.key --out taken";
    let (code, said) = desk.run(take);
    assert!(code == 0 && said.contains("took in 3 files (BagIt 1.0, whole)"), "{said}");
    let us = "--sender signer.pem --recipient V:recipient.pem --key V:recipient.key.pem";
    let (code, said) = desk.run(&format!("open taken {us} --out opened"));
    assert_eq!(code, 0, "{said}");
    assert_eq!(read(&desk.path("opened/inner/data/data/note.txt")), "saw it\n");
    std::fs::write(desk.path("bag/data/note.txt"), "saw him\n").unwrap();
    let (code, said) = desk.run(&take.replace("taken", "other"));
    assert!(code == 1 && said.contains("data/note.txt: damaged"), "{said}");
    std::os::unix::fs::symlink("/etc/passwd", desk.path("bag/data/link")).unwrap();
    let (code, said) = desk.run(&take.replace("taken", "other"));
    assert!(code == 1 && said.contains("refused: data/link"), "{said}");
    assert!(!desk.path("other").exists());
}

#[test]
fn a_receipt_is_signed_for_a_parcel_that_holds_and_is_held_against_it() {
    let desk = Desk::new();
    desk.signer();
    let us =
        "--sender V:sender-ca.pem --recipient V:recipient.pem --recipient-key V:recipient.key.pem";
    let sign = format!("{us} --signer signer.pem --key signer.key --person Pell --out");
    let (code, said) = desk.run(&format!("receipt sign V:good.zip {sign} receipt"));
    assert!(code == 0 && said.contains("was received by"), "{said}");
    let check = "receipt verify receipt/receipt.json receipt/receipt.json.p7s";
    let (code, said) = desk.run(&format!("{check} --receiver signer.pem --parcel V:good.zip"));
    assert!(code == 0 && said.contains("says that it received parcel"), "{said}");
    let (code, said) = desk.run(&format!("{check} --receiver signer.pem --json"));
    assert!(code == 0 && said.contains("\"accepted\":true"), "{said}");
    let (code, said) = desk.run(&format!("{check} --receiver V:stranger.pem"));
    assert!(code == 1 && said.starts_with("refused: "), "{said}");
    let (code, said) = desk.run(&format!("receipt sign V:signed-again/content {sign} other"));
    assert!(code == 1 && said.starts_with("refused: "), "{said}");
    assert!(!desk.path("other").exists(), "no receipt for what does not hold");
    let bent = read(&desk.path("receipt/receipt.json")).replace("Pell", "Bell");
    std::fs::write(desk.path("receipt/receipt.json"), bent).unwrap();
    let (code, said) = desk.run(&format!("{check} --receiver signer.pem"));
    assert!(code == 1 && said.starts_with("refused: receipt.json"), "{said}");
}
