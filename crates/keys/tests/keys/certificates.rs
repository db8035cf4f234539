//! Certificates that we issue, read back, and checked against the right and the wrong issuer.

use jiff::Timestamp;
use keys::cert::{self, CertSpec, Certificate, PublicKeyAlgorithm, Usage};
use keys::sign::{P384Key, RsaBits, RsaKey};
use keys::{KeysError, SystemRandom};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spec(name: &str, usage: Usage) -> CertSpec {
    CertSpec {
        subject_cn: name.into(),
        organisation: "Riverton Police Department".into(),
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2027-01-01T00:00:00Z"),
        usage,
        dns: vec!["bailiwick.riverton.example".into()],
        ips: vec!["127.0.0.1".parse().unwrap()],
        uris: vec!["urn:ori:NB0010100".into()],
    }
}

fn ca(name: &str) -> (Certificate, P384Key) {
    let key = P384Key::generate().unwrap();
    (cert::issue(&spec(name, Usage::Ca), &key, None, &SystemRandom).unwrap(), key)
}

fn leaf(usage: Usage, ca: &(Certificate, P384Key)) -> Certificate {
    let key = P384Key::generate().unwrap();
    let spec = spec("parcel signer", usage);
    cert::issue(&spec, &key, Some((&ca.0, &ca.1)), &SystemRandom).unwrap()
}

#[test]
fn issued_certificate_reads_back_and_verifies_under_its_issuer_only() {
    let ours = ca("Riverton CA");
    let other = ca("Riverton CA");
    let leaf = leaf(Usage::Signing, &ours);
    let now = at("2026-06-01T00:00:00Z");
    assert_eq!(leaf.subject(), "CN=parcel signer,O=Riverton Police Department");
    assert_eq!(leaf.issuer(), "CN=Riverton CA,O=Riverton Police Department");
    assert_eq!(leaf.not_after(), at("2027-01-01T00:00:00Z"));
    assert_eq!(leaf.public_key_algorithm(), PublicKeyAlgorithm::P384);
    assert_eq!(Certificate::from_pem(&leaf.pem()).unwrap(), leaf);
    assert_eq!(leaf.alternative_names(), ["bailiwick.riverton.example", "urn:ori:NB0010100"]);
    assert!(ours.0.is_ca() && !leaf.is_ca() && !leaf.allows_key_agreement());
    leaf.verify_issued_by(&ours.0, now).unwrap();
    ours.0.verify_issued_by(&ours.0, now).unwrap();
    let refused = leaf.verify_issued_by(&other.0, now).unwrap_err().to_string();
    assert!(refused.ends_with("the signature does not verify"), "{refused}");
}

#[test]
fn certificate_outside_its_period_is_refused() {
    let ours = ca("Riverton CA");
    let leaf = leaf(Usage::TlsPeer, &ours);
    for moment in ["2025-12-31T23:59:59Z", "2027-01-01T00:00:01Z"] {
        let refused = leaf.verify_issued_by(&ours.0, at(moment)).unwrap_err();
        assert!(matches!(refused, KeysError::Validity { .. }), "{moment}: {refused}");
    }
}

#[test]
fn end_entity_cannot_issue() {
    let ours = ca("Riverton CA");
    let signer = P384Key::generate().unwrap();
    let middle = cert::issue(
        &spec("middle", Usage::Signing),
        &signer,
        Some((&ours.0, &ours.1)),
        &SystemRandom,
    )
    .unwrap();
    let under = leaf(Usage::Signing, &(middle.clone(), signer));
    let refused = under.verify_issued_by(&middle, at("2026-06-01T00:00:00Z")).unwrap_err();
    assert!(refused.to_string().ends_with("not a certificate authority"), "{refused}");
}

#[test]
fn any_flipped_bit_in_a_certificate_is_refused() {
    let ours = ca("Riverton CA");
    let leaf = leaf(Usage::Signing, &ours);
    let now = at("2026-06-01T00:00:00Z");
    for position in 0..leaf.der().len() {
        let mut der = leaf.der().to_vec();
        der[position] ^= 1;
        let outcome = Certificate::from_der(&der).and_then(|c| c.verify_issued_by(&ours.0, now));
        assert!(outcome.is_err(), "bit flipped in byte {position}");
    }
}

#[test]
fn key_agreement_certificate_says_so() {
    let ours = ca("Lakeside CA");
    assert!(leaf(Usage::KeyAgreement, &ours).allows_key_agreement());
    assert!(!leaf(Usage::KeyAgreement, &ours).allows_signing());
}

#[test]
fn rsa_certificate_signs_itself_and_private_keys_survive_pem() {
    let key = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    let made = cert::issue_rsa(&spec("idp", Usage::SamlSigning), &key, &SystemRandom).unwrap();
    assert_eq!(made.public_key_algorithm(), PublicKeyAlgorithm::Rsa);
    let pem = cert::private_key_pem(&key.to_pkcs8().unwrap());
    let back = RsaKey::from_pkcs8(&cert::private_key_from_pem(&pem).unwrap()).unwrap();
    assert_eq!(back.public_spki().unwrap(), made.spki_der().unwrap());
}

#[test]
fn openssl_reads_our_certificates_and_verifies_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let ours = ca("Riverton CA");
    let leaf = leaf(Usage::KeyAgreement, &ours);
    let (ca_path, leaf_path) = (folder.path().join("ca.pem"), folder.path().join("leaf.pem"));
    std::fs::write(&ca_path, ours.0.pem()).unwrap();
    std::fs::write(&leaf_path, leaf.pem()).unwrap();
    let verify = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-attime", "1780000000", "-CAfile"])
        .args([&ca_path, &leaf_path])
        .output()
        .unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
    let text = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(&leaf_path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for expected in ["Key Agreement", "ecdsa-with-SHA384", "secp384r1", "IP Address:127.0.0.1"] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}
