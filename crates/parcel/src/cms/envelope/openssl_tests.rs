//! Messages that stock OpenSSL makes: in this profile's form they are parts, and in others they are not.

use std::path::Path;
use std::process::Command;

use keys::SystemRandom;
use keys::cert::{Certificate, private_key_from_pem};

use super::*;
use crate::RecipientKey;

const SAID: &[u8] = b"what was said\r\n, to the byte\0\n";

/// Runs a line of shell in a folder.
fn sh(folder: &Path, line: &str) {
    let ran = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
    assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// Someone whose key and certificate OpenSSL made.
fn recipient(folder: &Path, key: &str, usage: &str) -> Recipient {
    sh(
        folder,
        &format!(
            "openssl req -x509 -newkey {key} -noenc -subj '/O=Elsewhere/CN=parcels' -days 3650 -addext keyUsage=critical,{usage} \
             -keyout our.key -out our.pem"
        ),
    );
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let pkcs8 = private_key_from_pem(&read("our.key")).unwrap();
    Recipient {
        certificate: Certificate::from_pem(&read("our.pem")).unwrap(),
        key: RecipientKey::from_pkcs8(&pkcs8).unwrap(),
    }
}

/// What `openssl cms -encrypt` makes of [`SAID`].
fn encrypted(folder: &Path, how: &str) -> Vec<u8> {
    std::fs::write(folder.join("said"), SAID).unwrap();
    sh(folder, &format!("openssl cms -encrypt -binary -outform DER -in said -out part {how}"));
    std::fs::read(folder.join("part")).unwrap()
}

fn open(part: &[u8], recipient: &Recipient) -> Result<Vec<u8>, Fault> {
    let mut part = part.to_vec();
    let plain = Envelope::parse(&part)?.open(recipient, &mut part)?;
    Ok(part[plain].to_vec())
}

const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-384";
const GCM: &str = "-aes-256-gcm";
const KDF: &str = "-recip our.pem -keyopt ecdh_kdf_md:sha384";

#[test]
fn part_that_openssl_made_for_a_p384_key_opens() {
    let folder = tempfile::tempdir().unwrap();
    let ours = recipient(folder.path(), EC, "keyAgreement");
    let part = encrypted(folder.path(), &format!("{GCM} {KDF}"));
    assert_eq!(open(&part, &ours).unwrap(), SAID);
    let stranger = super::tests::recipient();
    assert!(matches!(open(&part, &stranger), Err(Fault::Recipient { .. })));
    for at in 0..part.len() {
        let mut touched = part.clone();
        touched[at] ^= 1 << (at % 8);
        assert!(open(&touched, &ours).is_err(), "byte {at}");
    }
}

#[test]
fn part_that_openssl_made_for_an_rsa_key_opens_and_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let ours = recipient(folder.path(), "rsa:2048", "keyEncipherment");
    let oaep = "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256";
    let part = encrypted(folder.path(), &format!("{GCM} -recip our.pem {oaep}"));
    assert!(Envelope::parse(&part).unwrap().by_rsa());
    assert_eq!(open(&part, &ours).unwrap(), SAID);
    // Without the words about it, OpenSSL takes the padding of PKCS #1 v1.5.
    let part = encrypted(folder.path(), &format!("{GCM} our.pem"));
    assert!(matches!(open(&part, &ours), Err(Fault::Malformed(_))));
}

#[test]
fn other_forms_that_openssl_makes_are_no_parts() {
    let folder = tempfile::tempdir().unwrap();
    let ours = recipient(folder.path(), EC, "keyAgreement");
    let others = [
        // SHA-1 or SHA-256 in the key derivation.
        format!("{GCM} our.pem"),
        format!("{GCM} -recip our.pem -keyopt ecdh_kdf_md:sha256"),
        // Other ciphers, of the content and of its key.
        format!("-aes-128-gcm {KDF}"),
        format!("-aes-256-cbc {KDF}"),
        format!("{GCM} -aes128-wrap {KDF}"),
        // Lengths that are not said beforehand.
        format!("{GCM} -stream {KDF}"),
    ];
    for how in others {
        let part = encrypted(folder.path(), &how);
        assert!(matches!(open(&part, &ours), Err(Fault::Malformed(_))), "{how}");
    }
}

#[test]
fn part_of_ours_opens_with_openssl_whatever_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let ours = recipient(folder.path(), EC, "keyAgreement");
    let address = Address::of(&ours.certificate, false).unwrap();
    for length in [0, 1, 15, 16, 17, 127, 128, 255, 256, 65_535, 65_536] {
        let mut data = vec![7; length];
        let (head, mac) = seal(std::slice::from_ref(&address), &mut data, &SystemRandom).unwrap();
        std::fs::write(folder.path().join("part"), [head, data, mac].concat()).unwrap();
        sh(
            folder.path(),
            "openssl cms -decrypt -binary -inform DER -in part -recip our.pem -inkey our.key -out plain",
        );
        assert_eq!(std::fs::read(folder.path().join("plain")).unwrap(), vec![7; length]);
    }
}
