//! Forms of a part that others might send and this profile refuses, each otherwise well made.

use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;
use keys::{SystemRandom, agree};
use proptest::prelude::*;

use super::*;
use crate::asn1::CONTEXT_1;
use crate::cms::recipient::How;

/// How a part differs from ours.
pub(crate) struct Variant {
    pub(crate) version: u8,
    pub(crate) cipher: &'static [u8],
    pub(crate) iv: usize,
    pub(crate) tag: usize,
    pub(crate) attributes: bool,
    pub(crate) trailing: usize,
}

pub(crate) const OURS: Variant = Variant {
    version: 0,
    cipher: oid::AES256_GCM,
    iv: NONCE_BYTES,
    tag: TAG_BYTES,
    attributes: false,
    trailing: 0,
};

/// A part of that form, with consistent lengths throughout.
fn part(variant: &Variant) -> Vec<u8> {
    let issuer = element(SEQUENCE, &[&element(SEQUENCE, &[]), &element(INTEGER, &[&[5]])]);
    hostile_part(variant, &issuer, b"ciphertext")
}

/// As [`part`], for a recipient and with a ciphertext.
pub(crate) fn hostile_part(variant: &Variant, issuer: &[u8], content: &[u8]) -> Vec<u8> {
    let wrapped = [7; agree::WRAPPED_KEY_BYTES];
    let info = Wrapped {
        issuer_and_serial: issuer.to_vec(),
        how: How::Agree(vec![4; 97]),
        key: wrapped.to_vec(),
    };
    let recipients = set_of(SET, vec![info.write()]);
    let iv = element(OCTET_STRING, &[&vec![1; variant.iv]]);
    let tag_length = u8::try_from(variant.tag).unwrap();
    // GCM's tag length is 12 by default, and then not written.
    let length = if variant.tag == 12 { vec![] } else { small_integer(tag_length) };
    let gcm = element(SEQUENCE, &[&iv, &length]);
    let encrypted = element(
        SEQUENCE,
        &[
            &object(oid::DATA),
            &algorithm(variant.cipher, &gcm),
            &element(CONTEXT_0_PRIMITIVE, &[content]),
        ],
    );
    let attribute = element(SEQUENCE, &[&object(oid::CONTENT_TYPE), &element(SET, &[])]);
    let attributes =
        if variant.attributes { element(CONTEXT_1, &[&attribute]) } else { Vec::new() };
    let mac = element(OCTET_STRING, &[&vec![9; variant.tag]]);
    let version = small_integer(variant.version);
    let data = element(SEQUENCE, &[&version, &recipients, &encrypted, &attributes, &mac]);
    let message = [object(oid::AUTH_ENVELOPED), element(CONTEXT_0, &[&data])].concat();
    let mut out = element(SEQUENCE, &[&message]);
    out.resize(out.len() + variant.trailing, 0);
    out
}

/// A part whose recipients are handed different content keys, around bytes that somebody else sealed.
pub(crate) fn assembled(
    recipients: &[Certificate],
    keys: &[[u8; 32]],
    nonce: &[u8; NONCE_BYTES],
    content: &[u8],
    mac: &[u8],
) -> Vec<u8> {
    let infos = recipients.iter().zip(keys);
    let infos = infos.map(|(to, key)| Address::of(to, false).unwrap().wrap(key).unwrap());
    let head = part_head(infos.collect(), nonce, content.len());
    [head, content.to_vec(), element(OCTET_STRING, &[mac])].concat()
}

#[test]
fn other_forms_are_refused() {
    Envelope::parse(&part(&OURS)).unwrap();
    const AES128_GCM: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 6];
    const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
    let others = [
        ("tag of 12", Variant { tag: 12, ..OURS }),
        ("tag of 4", Variant { tag: 4, ..OURS }),
        ("tag of 15", Variant { tag: 15, ..OURS }),
        ("IV of 16", Variant { iv: 16, ..OURS }),
        ("IV of 0", Variant { iv: 0, ..OURS }),
        ("AES-128", Variant { cipher: AES128_GCM, ..OURS }),
        ("CBC", Variant { cipher: AES256_CBC, ..OURS }),
        ("attributes", Variant { attributes: true, ..OURS }),
        ("version", Variant { version: 3, ..OURS }),
        ("trailing byte", Variant { trailing: 1, ..OURS }),
        ("trailing mac", Variant { trailing: MAC_BYTES, ..OURS }),
    ];
    for (name, variant) in others {
        assert!(Envelope::parse(&part(&variant)).is_err(), "{name} passed");
    }
}

#[test]
fn indefinite_and_padded_lengths_are_refused() {
    let ours = part(&OURS);
    // The outer SEQUENCE: 30 82 xx xx.
    assert_eq!(ours[..2], [0x30, 0x82]);
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend_from_slice(&ours[4..]);
    indefinite.extend_from_slice(&[0, 0]);
    assert!(Envelope::parse(&indefinite).is_err());
    let mut padded = vec![0x30, 0x83, 0];
    padded.extend_from_slice(&ours[2..]);
    assert!(Envelope::parse(&padded).is_err());
}

pub(super) fn recipient() -> Recipient {
    let key = P384Key::generate().unwrap();
    let spec = CertSpec {
        subject_cn: "Lakeside".into(),
        organisation: "Lakeside County Sheriff".into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        usage: Usage::KeyAgreement,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    };
    Recipient { certificate: issue(&spec, &key, None, &SystemRandom).unwrap(), key: key.into() }
}

#[test]
fn any_flipped_bit_of_a_part_is_refused_without_the_manifest_too() {
    let recipient = recipient();
    let mut data = b"what was said".to_vec();
    let addresses = [Address::of(&recipient.certificate, false).unwrap()];
    let (head, mac) = seal(&addresses, &mut data, &SystemRandom).unwrap();
    let whole = [head, data, mac].concat();
    let open = |mut part: Vec<u8>| {
        let envelope = Envelope::parse(&part)?;
        let plain = envelope.open(&recipient, &mut part)?;
        Ok::<_, Fault>(part[plain].to_vec())
    };
    assert_eq!(open(whole.clone()).unwrap(), b"what was said");
    for at in 0..whole.len() {
        let mut touched = whole.clone();
        touched[at] ^= 1 << (at % 8);
        assert!(open(touched).is_err(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn reading_never_panics(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let ours = part(&OURS);
        let mut mixed = ours.clone();
        let at = at.index(mixed.len());
        mixed.splice(at..at, noise.iter().copied());
        for bytes in [&noise[..], &mixed, &ours[..cut.index(ours.len())]] {
            let parsed = Envelope::parse(bytes);
            prop_assert!(parsed.is_err() || bytes == ours);
            prop_assert!(crate::cms::signature::certificates(bytes).is_err());
            let manifest = crate::bag::read_manifest(bytes);
            prop_assert!(manifest.is_err() || bytes.is_empty());
            prop_assert!(crate::bag::OuterInfo::read(bytes).is_err());
        }
    }
}
