//! ML-KEM recipients: ours, and messages that others made.

use keys::SystemRandom;
use keys::cert::{CertSpec, Certificate, Usage, issue, issue_for};
use keys::kem::{Kem, KemKey};
use keys::sign::P384Key;

use super::*;
use crate::RecipientKey;

fn recipient(kem: Kem, usage: Usage) -> Recipient {
    let ca = P384Key::generate().unwrap();
    let mut spec = CertSpec {
        subject_cn: "Lakeside CA".into(),
        organisation: "Lakeside County Sheriff".into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        usage: Usage::Ca,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    };
    let root = issue(&spec, &ca, None, &SystemRandom).unwrap();
    spec.usage = usage;
    let key = KemKey::generate(kem).unwrap();
    let spki = key.public_spki().unwrap();
    let certificate = issue_for(&spec, &spki, (&root, &ca), &SystemRandom).unwrap();
    Recipient { certificate, key: key.into() }
}

fn open(part: &[u8], recipient: &Recipient) -> Result<Vec<u8>, Fault> {
    let mut part = part.to_vec();
    let plain = Envelope::parse(&part)?.open(recipient, &mut part)?;
    Ok(part[plain].to_vec())
}

#[test]
fn each_recipient_of_either_kind_opens_the_part_alone() {
    let all = [
        super::tests::recipient(),
        recipient(Kem::MlKem768, Usage::KeyEncipherment),
        recipient(Kem::MlKem1024, Usage::KeyEncipherment),
    ];
    let addresses: Vec<_> =
        all.iter().map(|r| Address::of(&r.certificate, false).unwrap()).collect();
    let mut data = b"what was said".to_vec();
    let (head, mac) = seal(&addresses, &mut data, &SystemRandom).unwrap();
    let part = [head, data, mac].concat();
    for recipient in &all {
        assert_eq!(open(&part, recipient).unwrap(), b"what was said");
    }
    let stranger = recipient(Kem::MlKem768, Usage::KeyEncipherment);
    assert!(matches!(open(&part, &stranger), Err(Fault::Recipient { .. })));
    // The right certificate with a key of another kind, another size, another owner.
    let others: [RecipientKey; 3] = [
        P384Key::generate().unwrap().into(),
        KemKey::generate(Kem::MlKem1024).unwrap().into(),
        KemKey::generate(Kem::MlKem768).unwrap().into(),
    ];
    for key in others {
        let mixed = Recipient { certificate: all[1].certificate.clone(), key };
        assert!(matches!(open(&part, &mixed), Err(Fault::Decrypt(KeysError::Unwrap))));
    }
    let usage = recipient(Kem::MlKem768, Usage::KeyAgreement);
    assert!(Address::of(&usage.certificate, false).unwrap_err().contains("key encipherment"));
}

#[test]
fn any_flipped_bit_of_a_part_for_ml_kem_is_refused() {
    let recipient = recipient(Kem::MlKem768, Usage::KeyEncipherment);
    let mut data = b"what was said".to_vec();
    let addresses = [Address::of(&recipient.certificate, false).unwrap()];
    let (head, mac) = seal(&addresses, &mut data, &SystemRandom).unwrap();
    let whole = [head, data, mac].concat();
    assert_eq!(open(&whole, &recipient).unwrap(), b"what was said");
    for at in 0..whole.len() {
        let mut touched = whole.clone();
        touched[at] ^= 1 << (at % 8);
        assert!(open(&touched, &recipient).is_err(), "byte {at}");
    }
}

/// The first element of `input` as DER: definite lengths, strings in one piece. Gives what follows, too.
fn definite(input: &[u8]) -> (Vec<u8>, &[u8]) {
    let (tag, mut rest) = (input[0], &input[1..]);
    let mut body = Vec::new();
    if rest[0] == 0x80 {
        rest = &rest[1..];
        while rest[..2] != [0, 0] {
            let (element, after) = definite(rest);
            body.extend_from_slice(&element);
            rest = after;
        }
        rest = &rest[2..];
    } else {
        let (_, start, length) = crate::asn1::announce(input).unwrap();
        let (inside, after) = input[start..].split_at(length);
        rest = after;
        let mut inside = inside;
        if tag & 0x20 == 0 {
            body.extend_from_slice(inside);
        }
        while tag & 0x20 != 0 && !inside.is_empty() {
            let (element, after) = definite(inside);
            body.extend_from_slice(&element);
            inside = after;
        }
    }
    // [0] with octet strings in it: encryptedContent in pieces.
    if tag == CONTEXT_0 && body.first() == Some(&OCTET_STRING) && input[1] == 0x80 {
        let mut pieces = Der(&body);
        let mut whole = Vec::new();
        while !pieces.is_empty() {
            whole.extend_from_slice(pieces.take(OCTET_STRING).unwrap());
        }
        return (element(CONTEXT_0_PRIMITIVE, &[&whole]), rest);
    }
    (element(tag, &[&body]), rest)
}

#[test]
fn messages_that_others_made_open_once_their_lengths_are_definite() {
    let Some(folder) = testkit::corpus("cms").unwrap() else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let plain = read("expected_plaintext.txt");
    for name in ["ml-kem-768-2.16.840.1.101.3.4.4.2", "ml-kem-1024-2.16.840.1.101.3.4.4.3"] {
        let recipient = Recipient {
            certificate: Certificate::from_der(&read(&format!("{name}_ee.der"))).unwrap(),
            key: RecipientKey::from_pkcs8(&read(&format!("{name}_priv.der"))).unwrap(),
        };
        for kind in ["", "_ukm"] {
            let file = format!("{name}_kemri_auth_id-alg-hkdf-with-sha256{kind}.der");
            let message = read(&file);
            assert!(Envelope::parse(&message).is_err(), "{file} has indefinite lengths");
            let (message, rest) = definite(&message);
            assert!(rest.is_empty());
            assert_eq!(open(&message, &recipient).unwrap(), plain, "{file}");
            // CBC without authentication is never a part.
            let file = format!("{name}_kemri_id-alg-hkdf-with-sha256{kind}.der");
            assert!(Envelope::parse(&definite(&read(&file)).0).is_err(), "{file}");
        }
    }
}
