//! Sealing, tagging, agreeing: each does its job and notices what isn't its own.

use std::time::Instant;

use keys::mac::MacKey;
use keys::seal::{SealingKey, derive};
use keys::sign::{
    Ed25519Key, P256Key, P384Key, RsaBits, RsaKey, Scheme, ed25519_verify, p256_spki, verify,
};
use keys::stretch::{self, Stretched};
use keys::{Clock, FixedClock, KeysError, Random, SystemRandom, agree, digest, module};
use proptest::prelude::*;

const KNOWN_HASH: &str = "9b623c58f84adc735107108c69b63942a5fe891f2476b2870c66155237118cee\
    613efacbc0ff1e59571828c41d82e8d02b6659e8115016de85ef84a64a53631c";

#[test]
fn module_is_in_fips_mode_and_passes_its_self_test() {
    let module = module::require_fips().unwrap();
    assert!(module.fips && module.name.starts_with("AWS-LC FIPS 4."), "{module:?}");
    assert_eq!(module, module::describe());
}

#[test]
fn digests_are_those_of_fips_180() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(digest::sha256(b"abc")), abc);
    assert_eq!(hex::encode(digest::sha256_parts(&[b"a", b"", b"bc"])), abc);
    let abc = "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
               8086072ba1e7cc2358baeca134c825a7";
    assert_eq!(hex::encode(digest::sha384(b"abc")), abc);
}

#[test]
fn derived_keys_are_rfc_5869_and_differ_by_label() {
    let root = [0x0b; 32];
    // HKDF-SHA-256, no salt, info "sessions"; computed with Python's hmac.
    let expected = "f1a87aa884694d348a3cbc9d8c0f698957355acd16c800795f81c831e15c41ac";
    assert_eq!(hex::encode(derive(&root, "sessions")), expected);
    assert_ne!(derive(&root, "sessions"), derive(&root, "handles"));
    assert_eq!(derive(&SealingKey::from_bytes(root), "sessions"), derive(&root, "sessions"));
}

#[test]
fn stretched_secrets_are_sp_800_132_and_only_within_its_limits() {
    // PBKDF2-HMAC-SHA-512 of "two sealed halves" and a salt of 32 bytes 7; computed with Python's hashlib.
    let known = Stretched {
        salt: [7; 32],
        iterations: 1_000,
        hash: hex::decode(KNOWN_HASH).unwrap().try_into().unwrap(),
    };
    assert!(known.is_of(b"two sealed halves").unwrap());
    assert!(!known.is_of(b"two sealed halfs!").unwrap());
    let other = Stretched { iterations: 1_001, ..known.clone() };
    assert!(!other.is_of(b"two sealed halves").unwrap());
    for wrong in [0, 999, stretch::ITERATIONS_MAX + 1] {
        let weak = Stretched { iterations: wrong, ..known.clone() };
        assert!(weak.is_of(b"two sealed halves").is_err(), "{wrong} iterations");
    }
    assert!(known.is_of(b"short").is_err(), "under 112 bits");
    let started = Instant::now();
    let made = Stretched::of(b"two sealed halves", &SystemRandom).unwrap();
    eprintln!("PBKDF2, {} iterations: {} ms", made.iterations, started.elapsed().as_millis());
    assert_eq!(made.iterations, 210_000);
    assert!(made.is_of(b"two sealed halves").unwrap() && made.hash != known.hash);
}

#[test]
fn a_p256_point_is_verified_as_a_public_key_and_one_off_the_curve_never() {
    let key = P256Key::generate().unwrap();
    let point = key.public_point();
    let (x, y) = (point[1..33].try_into().unwrap(), point[33..].try_into().unwrap());
    let signature = key.sign(b"message").unwrap();
    let spki = p256_spki(&x, &y);
    verify(Scheme::EcdsaP256Sha256, &spki, b"message", &signature).unwrap();
    assert!(verify(Scheme::EcdsaP256Sha256, &spki, b"another", &signature).is_err());
    let off = p256_spki(&y, &x);
    assert!(verify(Scheme::EcdsaP256Sha256, &off, b"message", &signature).is_err());
}

#[test]
fn random_source_that_fails_is_noticed() {
    struct Dry;
    impl Random for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), KeysError> {
            Err(KeysError::Random)
        }
    }
    assert!(matches!(SealingKey::generate(&Dry), Err(KeysError::Random)));
    assert!(matches!(Ed25519Key::generate(&Dry), Err(KeysError::Random)));
    assert_ne!(
        SealingKey::generate(&SystemRandom).unwrap().expose(),
        SealingKey::generate(&SystemRandom).unwrap().expose()
    );
}

#[test]
fn nonces_differ_every_time() {
    let key = SealingKey::from_bytes([1; 32]);
    let sealed: std::collections::BTreeSet<_> =
        (0..1_000).map(|_| key.seal(b"", b"same").unwrap()).collect();
    assert_eq!(sealed.len(), 1_000);
}

#[test]
fn signatures_verify_for_the_right_key_message_and_scheme_only() {
    let (one, other) = (P384Key::generate().unwrap(), P384Key::generate().unwrap());
    let sig = one.sign(b"words").unwrap();
    verify(Scheme::EcdsaP384Sha384, &one.public_spki(), b"words", &sig).unwrap();
    assert!(verify(Scheme::EcdsaP384Sha384, &one.public_spki(), b"word", &sig).is_err());
    assert!(verify(Scheme::EcdsaP384Sha384, &other.public_spki(), b"words", &sig).is_err());
    assert!(verify(Scheme::EcdsaP256Sha256, &one.public_spki(), b"words", &sig).is_err());
    let again = P384Key::from_pkcs8(&one.to_pkcs8()).unwrap();
    assert_eq!(again.public_spki(), one.public_spki());

    let rsa = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    let (spki, sig) = (rsa.public_spki().unwrap(), rsa.sign_sha256(b"words").unwrap());
    verify(Scheme::RsaPkcs1Sha256, &spki, b"words", &sig).unwrap();
    assert!(verify(Scheme::RsaPkcs1Sha512, &spki, b"words", &sig).is_err());
    assert!(verify(Scheme::EcdsaP384Sha384, &spki, b"words", &sig).is_err());

    let log = Ed25519Key::generate(&SystemRandom).unwrap();
    let again = Ed25519Key::from_pkcs8(&log.to_pkcs8()).unwrap();
    ed25519_verify(&log.public(), b"words", &again.sign(b"words")).unwrap();
    assert!(ed25519_verify(&log.public(), b"word", &again.sign(b"words")).is_err());
}

#[test]
fn debug_output_holds_no_secret() {
    let key = SealingKey::from_bytes([0xab; 32]);
    let shown = format!("{key:?} {:?}", MacKey::from_bytes([0xab; 32]));
    assert_eq!(shown, "SealingKey(..) MacKey(..)");
}

#[test]
fn agreement_gives_both_sides_one_secret() {
    let (one, two) = (P384Key::generate().unwrap(), P384Key::generate().unwrap());
    let a = agree::ecdh_p384(&one, &two.public_point()).unwrap();
    let b = agree::ecdh_p384(&two, &one.public_point()).unwrap();
    assert_eq!(*a, *b);
    let mut off_curve = two.public_point();
    off_curve[96] ^= 1;
    assert!(agree::ecdh_p384(&one, &off_curve).is_err());
    let kek = agree::x963_sha384(a.as_slice(), b"info");
    let mut wrapped = agree::wrap(&kek, &[9; 32]).unwrap();
    assert_eq!(*agree::unwrap(&kek, &wrapped).unwrap(), [9; 32]);
    wrapped[0] ^= 1;
    assert!(agree::unwrap(&kek, &wrapped).is_err());
}

#[test]
fn fixed_clock_moves_only_when_told() {
    let clock = FixedClock::new("2026-11-22T21:00:00Z".parse().unwrap());
    assert_eq!(clock.now(), clock.now());
    clock.advance(jiff::SignedDuration::from_mins(31));
    assert_eq!(clock.now().to_string(), "2026-11-22T21:31:00Z");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn sealed_opens_with_its_own_key_and_context_only(
        key in any::<[u8; 32]>(),
        aad in proptest::collection::vec(any::<u8>(), 0..64),
        plain in proptest::collection::vec(any::<u8>(), 0..2_000),
        flip in any::<prop::sample::Index>(),
    ) {
        let sealer = SealingKey::from_bytes(key);
        let sealed = sealer.seal(&aad, &plain).unwrap();
        prop_assert_eq!(sealed.len(), plain.len() + 28);
        prop_assert_eq!(sealer.open(&aad, &sealed).unwrap(), plain);
        let mut other_aad = aad.clone();
        other_aad.push(0);
        prop_assert!(sealer.open(&other_aad, &sealed).is_err());
        let mut touched = sealed.clone();
        touched[flip.index(sealed.len())] ^= 1;
        prop_assert!(sealer.open(&aad, &touched).is_err());
        prop_assert!(sealer.open(&aad, &sealed[..sealed.len() - 1]).is_err());
        let mut other = key;
        other[0] ^= 1;
        prop_assert!(SealingKey::from_bytes(other).open(&aad, &sealed).is_err());
    }

    #[test]
    fn tag_depends_on_the_bytes_and_not_on_their_parts(
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = MacKey::from_bytes([3; 32]);
        let (left, right) = bytes.split_at(cut.index(bytes.len()));
        let tag = key.tag(&[left, right]);
        prop_assert_eq!(tag, key.tag(&[&bytes]));
        prop_assert!(key.verify(&[&bytes], &tag));
        prop_assert!(!key.verify(&[&bytes], &tag[..31]));
        prop_assert!(!key.verify(&[left], &tag) || right.is_empty());
    }
}
