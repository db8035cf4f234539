//! Writes `docs/formats/vectors/parcel`: one small parcel, and the ways in which it must be refused. Made anew by
//! `cargo test -p parcel --lib write_the_vectors -- --ignored`; keys and nonces are fresh each time.

use std::path::PathBuf;

use keys::cert::{issue_for, private_key_pem};
use keys::kem::{Kem, KemKey};
use serde_json::{Value, json};

use super::*;
use crate::cms::envelope::tests::{OURS, Variant, hostile_part};

const AT: &str = "2026-11-25T12:00:00Z";
const AES128_GCM: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 6];
const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];

struct Vectors {
    world: World,
    folder: PathBuf,
    changes: Vec<Value>,
}

impl Vectors {
    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// A change that a verifier without a key must find in file `names`.
    fn outside(&mut self, why: &str, change: &Value, names: &str) {
        self.changes.push(json!({ "why": why, "do": [change], "names": names, "key": false }));
    }

    /// The good parcel with part `number` replaced, and signed again: only a key tells.
    fn signed_again(&mut self, name: &str, why: &str, parts: &[(u64, Vec<u8>)], names: &str) {
        let copy = self.world.folder.path().join(name);
        copy_all(&self.folder.join("good"), &copy);
        for (number, part) in parts {
            std::fs::write(copy.join(part_path(*number)), part).unwrap();
        }
        self.world.sign_again(&copy);
        let parts = parts.iter().map(|(number, _)| part_path(*number));
        let tags = [
            bag::MANIFEST_FILE,
            bag::TAG_MANIFEST_FILE,
            bag::SIGNATURE_FILE,
            bag::TEMPLATE_FILE,
            bag::INFO_FILE,
        ];
        for file in parts.chain(tags.map(str::to_owned)) {
            let bytes = std::fs::read(copy.join(&file)).unwrap();
            self.write(&format!("signed-again/{name}/{file}"), &bytes);
        }
        let change = json!({ "overlay": format!("signed-again/{name}") });
        self.changes.push(json!({ "why": why, "do": [change], "names": names, "key": true }));
    }
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        std::fs::create_dir_all(to).unwrap();
        if path.is_dir() {
            copy_all(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn order<'a>(world: &'a World, id: &str, video: Vec<u8>, kem: &Certificate) -> Seal<'a> {
    let party = |ori: &str, name: &str| Party { ori: ori.into(), name: name.into() };
    let entry = |path: &str, kind: &str, bytes| Entry::from_bytes(path, kind, now(), bytes);
    Seal {
        id: id.parse().unwrap(),
        sender: &world.sender,
        recipients: vec![world.first.certificate.clone(), kem.clone()],
        allow_rsa_oaep: false,
        part_size: 4096,
        workers: 1,
        entries: vec![
            entry("camera/door (2).mp4", "video/mp4", video),
            entry("empty.txt", "text/plain", vec![]),
            entry("Zeugen/Müller, Jörg.txt", "text/plain", b"saw it\n".to_vec()),
        ],
        transfer: Transfer {
            exchange_id: "EX-2026-000041".into(),
            exchange_number: None,
            purpose: "C".into(),
            authority: "MOU Riverton/Lakeside 2025-07".into(),
            case_number: Some("24-000113".into()),
            handling: vec!["JUVENILE: do not re-disclose".into()],
            record_classes: Vec::new(),
            retention: None,
            sender: party("NB0010100", "Riverton Police Department"),
            recipient: party("NB0020000", "Lakeside County Sheriff"),
        },
        custody: vec![],
        custody_document: false,
        now: now(),
        random: &SystemRandom,
        watch: Watch::none(),
    }
}

#[test]
#[ignore = "writes the vectors anew"]
fn write_the_vectors() {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/vectors/parcel"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    let world = World::new();
    let kem = KemKey::generate(Kem::MlKem768).unwrap();
    let issuer = (&world.ca.0, &world.ca.1);
    let kem_spec = spec("Lakeside (ML-KEM)", Usage::KeyEncipherment);
    let kem_certificate =
        issue_for(&kem_spec, &kem.public_spki().unwrap(), issuer, &SystemRandom).unwrap();
    let video = vec![7; 9000];
    let good = folder.join("good");
    let sealed = crate::seal(order(&world, ID, video.clone(), &kem_certificate), &good).unwrap();
    // The second one carries the custody record as a document too.
    let with_paper =
        Seal { custody_document: true, ..order(&world, OTHER, video, &kem_certificate) };
    crate::seal_file(with_paper, &folder.join("good.zip")).unwrap();
    let mut all = Vectors { world, folder, changes: Vec::new() };
    write_keys(&all, &kem_certificate, &kem);
    let tags = bag::TAG_FILES;
    for file in tags.iter().map(|file| (*file).to_owned()).chain((0..sealed.parts).map(part_path)) {
        let length = std::fs::metadata(good.join(&file)).unwrap().len();
        for at in [0, 1, 7, length / 4, length / 2, length - 2, length - 1] {
            let change = json!({ "flip": file, "offset": at, "xor": 1 << (at % 8) });
            all.outside("a flipped bit", &change, &file);
        }
        all.outside("cut by a byte", &json!({ "cut": file, "length": length - 1 }), &file);
        all.outside("missing", &json!({ "remove": file }), &file);
    }
    let added = json!({ "put": "data/000/part-000900.p7m", "text": "x" });
    all.outside("a file more", &added, "data/000/part-000900.p7m");
    all.outside("a file more", &json!({ "put": "open-me.exe", "text": "x" }), "open-me.exe");
    let (one, two) = (part_path(0), part_path(1));
    all.outside(
        "one part over another",
        &json!({ "copy": two, "from": format!("good/{one}") }),
        &two,
    );
    all.changes
        .push(json!({ "why": "a sender whom nobody trusts", "sender": "stranger.pem", "do": [],
        "names": bag::SIGNATURE_FILE, "key": false }));
    all.changes
        .push(json!({ "why": "before it was signed", "at": "2026-11-20T00:00:00Z", "do": [],
        "names": bag::SIGNATURE_FILE, "key": false }));
    all.changes.push(
        json!({ "why": "after the certificate ran out", "at": "2049-06-01T00:00:00Z", "do": [],
        "names": bag::SIGNATURE_FILE, "key": false }),
    );
    signed_again(&mut all, &kem_certificate);
    write_index(&all, &sealed);
}

fn write_keys(all: &Vectors, kem_certificate: &Certificate, kem: &KemKey) {
    let world = &all.world;
    all.write("sender-ca.pem", world.ca.0.pem().as_bytes());
    all.write("recipient.pem", world.first.certificate.pem().as_bytes());
    let key = private_key_pem(&world.first.key.to_pkcs8().unwrap());
    all.write("recipient.key.pem", key.as_bytes());
    all.write("recipient-ml-kem.pem", kem_certificate.pem().as_bytes());
    all.write("recipient-ml-kem.key.pem", private_key_pem(&kem.to_pkcs8().unwrap()).as_bytes());
    all.write("stranger.pem", certificate("Elsewhere", Usage::Ca).0.pem().as_bytes());
}

/// What the outer signature covers and the inside does not: the sender's key in wrong hands.
fn signed_again(all: &mut Vectors, kem: &Certificate) {
    let address = |certificate: &Certificate| Address::of(certificate, false).unwrap();
    let addresses = [address(&all.world.first.certificate), address(kem)];
    let mut other = vec![8; 4096];
    let (head, mac) = envelope::seal(&addresses, &mut other, &SystemRandom).unwrap();
    let part = [head, other, mac].concat();
    let one = part_path(1);
    all.signed_again("content", "a part sealed anew with other content", &[(1, part)], &one);
    let good = all.folder.join("good");
    let read = |number: u64| std::fs::read(good.join(part_path(number))).unwrap();
    all.signed_again(
        "swapped",
        "two parts in each other's place",
        &[(0, read(1)), (1, read(0))],
        &part_path(0),
    );
    let mut flipped = read(0);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    all.signed_again("ciphertext", "a flipped bit of ciphertext", &[(0, flipped)], &part_path(0));
    let mut trailing = read(0);
    trailing.push(0);
    all.signed_again("trailing", "a byte after the message", &[(0, trailing)], &part_path(0));
    let id = crate::cms::issuer_and_serial(&all.world.first.certificate).unwrap();
    let forms = [
        ("tag-12", "a tag of 12 bytes", Variant { tag: 12, ..OURS }),
        ("tag-4", "a tag of 4 bytes", Variant { tag: 4, ..OURS }),
        ("iv-16", "a nonce of 16 bytes", Variant { iv: 16, ..OURS }),
        ("aes-128", "AES-128-GCM", Variant { cipher: AES128_GCM, ..OURS }),
        ("cbc", "AES-256-CBC", Variant { cipher: AES256_CBC, ..OURS }),
        ("attributes", "authenticated attributes", Variant { attributes: true, ..OURS }),
        ("version", "version 3", Variant { version: 3, ..OURS }),
    ];
    for (name, why, variant) in forms {
        let part = hostile_part(&variant, &id, &[0; 4096]);
        all.signed_again(name, why, &[(0, part)], &part_path(0));
    }
    let part = hostile_part(&OURS, &id, &[0; 4096]);
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend_from_slice(&part[4..]);
    indefinite.extend_from_slice(&[0, 0]);
    all.signed_again("indefinite", "an indefinite length", &[(0, indefinite)], &part_path(0));
    let mut padded = vec![0x30, 0x83, 0];
    padded.extend_from_slice(&part[2..]);
    all.signed_again("padded", "a length that is not the shortest", &[(0, padded)], &part_path(0));
}

fn write_index(all: &Vectors, sealed: &crate::Sealed) {
    let files = sealed.files.iter().map(|file| json!([file.path, file.sha256]));
    let zip_length = std::fs::metadata(all.folder.join("good.zip")).unwrap().len();
    let step = usize::try_from(zip_length / 120).unwrap();
    let places =
        (0..zip_length).step_by(step).chain([zip_length - 1, zip_length - 10, zip_length - 30]);
    let flips = places.map(|at| json!({ "flip": at, "xor": 1 << (at % 8) }));
    let cuts = [0, 21, zip_length / 2, zip_length - 1].map(|at| json!({ "cut": at }));
    let index = json!({
        "at": AT, "sender": "sender-ca.pem", "recipient": "recipient.pem", "key": "recipient.key.pem",
        "parcel": "good", "digest": hex::encode(sealed.digest), "files": files.collect::<Vec<_>>(),
        "changes": all.changes,
        "zip": "good.zip", "zip_changes": flips.chain(cuts).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string(&index).unwrap().replace("},{\"", "},\n{\"");
    all.write("index.json", (text + "\n").as_bytes());
}

#[test]
fn the_published_vectors_hold_the_record_that_is_written_today() {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/vectors/parcel"));
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let key = keys::cert::private_key_from_pem(&text("recipient.key.pem")).unwrap();
    let us = Recipient {
        certificate: Certificate::from_pem(&text("recipient.pem")).unwrap(),
        key: crate::RecipientKey::from_pkcs8(&key).unwrap(),
    };
    let senders = Certificate::chain_from_pem(&text("sender-ca.pem")).unwrap();
    let trust = Trust { senders, now: AT.parse().unwrap() };
    for parcel in ["good", "good.zip"] {
        let parcel = Parcel::enter(&folder.join(parcel), &trust).unwrap();
        let unlocked = parcel.unlock(&us).unwrap();
        let (of, files) = (unlocked.record(), unlocked.files());
        let record = crate::custody::Record { of, files, events: &[] };
        let mut today = Vec::new();
        record.write(crate::custody::Words::Whole, &mut today).unwrap();
        assert_eq!(std::io::read_to_string(unlocked.custody()).unwrap().as_bytes(), today);
    }
}
