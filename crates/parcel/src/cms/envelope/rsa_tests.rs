//! RSA recipients: refused unless allowed, and then as strict as any other.

use keys::SystemRandom;
use keys::cert::{CertSpec, Usage, issue_rsa};
use keys::sign::{RsaBits, RsaKey};
use keys::transport::{Oaep, TransportKey, wrap};

use super::*;

pub(crate) fn recipient(bits: RsaBits, usage: Usage) -> Recipient {
    let key = RsaKey::generate(bits).unwrap();
    let spec = CertSpec {
        subject_cn: "Lakeside".into(),
        organisation: "Lakeside County Sheriff".into(),
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2049-01-01T00:00:00Z".parse().unwrap(),
        usage,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    };
    let certificate = issue_rsa(&spec, &key, &SystemRandom).unwrap();
    let key = TransportKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    Recipient { certificate, key: crate::RecipientKey::Rsa(key) }
}

fn open(part: &[u8], recipient: &Recipient) -> Result<Vec<u8>, Fault> {
    let mut part = part.to_vec();
    let plain = Envelope::parse(&part)?.open(recipient, &mut part)?;
    Ok(part[plain].to_vec())
}

#[test]
fn an_rsa_recipient_is_refused_unless_allowed_and_opens_the_part_beside_another() {
    let rsa = recipient(RsaBits::Rsa3072, Usage::KeyEncipherment);
    let why = Address::of(&rsa.certificate, false).unwrap_err();
    assert!(why.contains("allow RSA-OAEP"), "{why}");
    let signs = recipient(RsaBits::Rsa2048, Usage::Signing);
    let why = Address::of(&signs.certificate, true).unwrap_err();
    assert!(why.contains("key usage"), "{why}");
    let other = super::tests::recipient();
    let addresses = [&other, &rsa].map(|r| Address::of(&r.certificate, true).unwrap());
    let mut data = b"what was said".to_vec();
    let (head, mac) = seal(&addresses, &mut data, &SystemRandom).unwrap();
    let part = [head, data, mac].concat();
    assert!(Envelope::parse(&part).unwrap().by_rsa());
    for recipient in [&other, &rsa] {
        assert_eq!(open(&part, recipient).unwrap(), b"what was said");
    }
    // The right certificate with another RSA key, and with a key of another kind.
    let another = recipient(RsaBits::Rsa3072, Usage::KeyEncipherment).key;
    for key in [another, super::tests::recipient().key] {
        let mixed = Recipient { certificate: rsa.certificate.clone(), key };
        assert!(matches!(open(&part, &mixed), Err(Fault::Decrypt(KeysError::Unwrap))));
    }
}

#[test]
fn any_flipped_bit_of_a_part_for_rsa_is_refused() {
    let recipient = recipient(RsaBits::Rsa2048, Usage::KeyEncipherment);
    let mut data = b"what was said".to_vec();
    let addresses = [Address::of(&recipient.certificate, true).unwrap()];
    let (head, mac) = seal(&addresses, &mut data, &SystemRandom).unwrap();
    let whole = [head, data, mac].concat();
    for at in 0..whole.len() {
        let mut touched = whole.clone();
        touched[at] ^= 1 << (at % 8);
        assert!(open(&touched, &recipient).is_err(), "byte {at}");
    }
}

#[test]
fn other_paddings_and_hashes_are_another_form() {
    let recipient = recipient(RsaBits::Rsa2048, Usage::KeyEncipherment);
    let key = SealingKey::generate(&SystemRandom).unwrap();
    let mut content = b"what was said".to_vec();
    let (nonce, tag) = key.seal_in_place(&[], &mut content).unwrap();
    let spki = recipient.certificate.spki_der().unwrap();
    let whom = issuer_and_serial(&recipient.certificate).unwrap();
    let part = |how: &[u8], oaep| {
        let wrapped = wrap(oaep, &spki, key.expose()).unwrap();
        let wrapped = element(OCTET_STRING, &[&wrapped]);
        let info = element(SEQUENCE, &[&small_integer(0), &whom, how, &wrapped]);
        let head = part_head(vec![info], &nonce, content.len());
        [head, content.clone(), element(OCTET_STRING, &[&tag])].concat()
    };
    let hash = |oid: &[u8], tail: &[u8]| algorithm(oid, tail);
    let how = |hash: &[u8], mask: &[u8]| {
        let hash = element(CONTEXT_0, &[hash]);
        let mask = element(crate::asn1::CONTEXT_1, &[&algorithm(oid::MGF1, mask)]);
        algorithm(oid::RSAES_OAEP, &element(SEQUENCE, &[&hash, &mask]))
    };
    let sha256 = hash(oid::SHA256, &[]);
    let good = part(&how(&sha256, &sha256), Oaep::Sha256);
    assert_eq!(open(&good, &recipient).unwrap(), b"what was said");
    let null = element(0x05, &[]);
    let rsa_encryption = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let others = [
        // The defaults: SHA-1 for both.
        part(&algorithm(oid::RSAES_OAEP, &element(SEQUENCE, &[])), Oaep::Sha1),
        part(&algorithm(oid::RSAES_OAEP, &[]), Oaep::Sha1),
        part(&how(&hash(oid::SHA256, &null), &hash(oid::SHA256, &null)), Oaep::Sha256),
        part(&how(&hash(oid::SHA384, &[]), &sha256), Oaep::Sha256),
        // PKCS #1 v1.5 by name.
        part(&algorithm(&rsa_encryption, &null), Oaep::Sha256),
    ];
    for other in others {
        assert!(matches!(open(&other, &recipient), Err(Fault::Malformed(_))));
    }
}
