//! A partner who has an RSA certificate only: refused, or allowed and marked.

use std::path::Path;
use std::process::Command;

use keys::cert::{self, Certificate, Usage};
use keys::sign::{RsaBits, RsaKey};
use keys::transport::TransportKey;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::{Parcel, Recipient, RecipientKey, Seal, SealError, Watch};

use crate::stock_tools::{script, sh};
use crate::support::{World, case, noise, python_tool, run, spec};

pub(crate) fn rsa_world() -> World {
    let key = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    let certificate =
        cert::issue_rsa(&spec("Lakeside RSA", Usage::KeyEncipherment), &key, &SystemRandom);
    let key = TransportKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    let mut world = World::new();
    world.recipient = Recipient { certificate: certificate.unwrap(), key: RecipientKey::Rsa(key) };
    world
}

#[test]
fn refused_without_the_switch_and_marked_with_it() {
    let world = rsa_world();
    let refused = parcel::seal(world.order(case(), 4096), &world.path("parcel")).unwrap_err();
    assert!(
        matches!(&refused, SealError::Recipient { why, .. } if why.contains("RSA")),
        "{refused}"
    );
    assert!(!world.path("parcel").exists());
    let order =
        || Seal { allow_rsa_oaep: true, custody_document: true, ..world.order(case(), 4096) };
    let parcel = world.path("marked");
    parcel::seal(order(), &parcel).unwrap();
    let verified = parcel::verify(&parcel, &world.trust(), Watch::none()).unwrap();
    assert!(verified.rsa_oaep && parcel::inspect(&parcel).unwrap().rsa_oaep);
    let info = std::fs::read_to_string(parcel.join("bag-info.txt")).unwrap();
    assert!(info.contains("\nKey-Transport: RSA-OAEP\nRecipient-Cert-SHA256: "), "{info}");
    let entered = Parcel::enter(&parcel, &world.trust()).unwrap();
    for who in [&world.recipient, &world.second] {
        let unlocked = entered.unlock(who).unwrap();
        assert_eq!(unlocked.record().key_transport.as_deref(), Some(parcel::RSA_OAEP));
        let custody = std::io::read_to_string(unlocked.custody()).unwrap();
        assert!(custody.contains("no approved service of the cryptographic module"), "{custody}");
    }
    // Allowed and not used: no mark.
    let plain = World::new();
    let order = Seal { allow_rsa_oaep: true, ..plain.order(case(), 4096) };
    parcel::seal(order, &plain.path("plain")).unwrap();
    assert!(!parcel::inspect(&plain.path("plain")).unwrap().rsa_oaep);
    let info = std::fs::read_to_string(plain.path("plain/bag-info.txt")).unwrap();
    assert!(!info.contains("Key-Transport"), "{info}");
}

#[test]
fn stock_openssl_opens_it_by_the_same_commands() {
    let world = rsa_world();
    let parcel = world.path("parcel");
    let order = Seal { allow_rsa_oaep: true, ..world.order(case(), 4096) };
    parcel::seal(order, &parcel).unwrap();
    let (done, said) = sh(&script(&world, &parcel, &world.ca.pem()), &parcel);
    assert!(done, "{said}");
    let opened = world.path("opened by hand").join("inner/data/videos/Door camera (2).mp4");
    assert_eq!(std::fs::read(opened).unwrap(), noise(30_000, 7));
}

#[test]
fn the_second_reader_opens_it_too() {
    let Some(python) = python_tool("the second reader of parcels", "python") else { return };
    let world = rsa_world();
    let order = Seal { allow_rsa_oaep: true, ..world.order(case(), 4096) };
    parcel::seal(order, &world.path("parcel")).unwrap();
    let key = cert::private_key_pem(&world.recipient.key.to_pkcs8().unwrap());
    world.write_pem("our.key", &key);
    world.write_pem("our.pem", &world.recipient.certificate.pem());
    world.write_pem("ca.pem", &world.ca.pem());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/verify_parcel.py");
    let mut read = Command::new(python);
    read.current_dir(world.folder.path()).arg(script).args(["parcel", "--sender", "ca.pem"]);
    read.args(["--recipient", "our.pem", "--key", "our.key", "--at", "2026-11-22T21:31:00Z"]);
    let said = run(&mut read);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("statement.pdf"), "{text}");
}

/// The certificate that stock OpenSSL makes for an RSA key says enough.
#[test]
fn certificate_of_openssl_is_taken() {
    let world = World::new();
    let made = crate::support::run(
        std::process::Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-noenc",
                "-subj",
                "/CN=Elsewhere",
                "-addext",
                "keyUsage=critical,keyEncipherment",
                "-days",
                "3650",
                "-keyout",
                "rsa.key",
                "-out",
                "rsa.pem",
            ])
            .current_dir(world.folder.path()),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pem = std::fs::read_to_string(world.path("rsa.pem")).unwrap();
    let pkcs8 =
        cert::private_key_from_pem(&std::fs::read_to_string(world.path("rsa.key")).unwrap());
    let us = Recipient {
        certificate: Certificate::from_pem(&pem).unwrap(),
        key: RecipientKey::from_pkcs8(&pkcs8.unwrap()).unwrap(),
    };
    let order = Seal {
        allow_rsa_oaep: true,
        recipients: vec![us.certificate.clone()],
        // The certificate holds from today on.
        now: SystemClock.now(),
        ..world.order(case(), 4096)
    };
    parcel::seal(order, &world.path("parcel")).unwrap();
    let trust = parcel::Trust { now: SystemClock.now(), ..world.trust() };
    let bytes = parcel::open_file(&world.path("parcel"), &us, &trust, "statement.pdf", None);
    assert!(!bytes.unwrap().is_empty());
}
