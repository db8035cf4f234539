//! Project Wycheproof's vectors: right ones must pass, wrong ones must not.
//!
//! They are read from the folder that `BAILIWICK_CORPORA` names, or from `../shared/corpora`
//! beside the checkout, and skipped where there is neither.

use std::path::PathBuf;

use keys::agree;
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::{P384Key, Scheme, ed25519_verify, verify};
use serde_json::Value;

#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
pub(crate) fn corpora() -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    PathBuf::from(std::env::var("BAILIWICK_CORPORA").unwrap_or_else(|_| beside.to_owned()))
}

pub(crate) fn named() -> bool {
    std::env::var_os("BAILIWICK_CORPORA").is_some()
}

fn corpus(file: &str) -> Option<Value> {
    let path = corpora().join("wycheproof").join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(_) => {
            // Where it was said that they are there, they are there.
            assert!(!named(), "BAILIWICK_CORPORA has no {}", path.display());
            eprintln!("skipped: Wycheproof's {file} is not at {}", path.display());
            None
        }
    }
}

fn hex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn key(value: &Value) -> [u8; 32] {
    hex(value).try_into().unwrap()
}

/// Runs `pass` on every vector of the groups that `wanted` takes. "Acceptable" ones may go either
/// way, as long as a result is the right one.
fn check(
    file: &str,
    at_least: usize,
    wanted: impl Fn(&Value, &Value) -> bool,
    pass: impl Fn(&Value, &Value) -> bool,
) {
    let Some(corpus) = corpus(file) else { return };
    let mut ran = 0;
    for group in corpus["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            if !wanted(group, test) {
                continue;
            }
            let passed = pass(group, test);
            match test["result"].as_str().unwrap() {
                "valid" => assert!(passed, "{file}: a right vector fails: {test}"),
                "invalid" => assert!(!passed, "{file}: a wrong vector passes: {test}"),
                _ => {}
            }
            ran += 1;
        }
    }
    assert!(ran >= at_least, "{file}: {ran} vectors ran, {at_least} expected");
    eprintln!("{file}: {ran} vectors");
}

#[test]
fn aes_256_gcm_opens() {
    let wanted = |group: &Value, _: &Value| {
        group["keySize"] == 256 && group["ivSize"] == 96 && group["tagSize"] == 128
    };
    check("aes_gcm_test.json", 60, wanted, |_, test| {
        let mut data = [hex(&test["ct"]), hex(&test["tag"])].concat();
        let nonce = hex(&test["iv"]).try_into().unwrap();
        let sealing = SealingKey::from_bytes(key(&test["key"]));
        match sealing.open_in_place(&hex(&test["aad"]), &nonce, &mut data) {
            Ok(length) => data.get(..length) == Some(hex(&test["msg"]).as_slice()),
            Err(_) => false,
        }
    });
}

#[test]
fn aes_256_key_wrap_wraps_and_unwraps() {
    // Only keys of 32 bytes are ever wrapped here: a right vector of another length is not ours.
    let wanted = |group: &Value, test: &Value| {
        let ours = test["msg"].as_str().unwrap().len() == 64;
        group["keySize"] == 256 && (ours || test["result"] == "invalid")
    };
    check("aes_wrap_test.json", 10, wanted, |_, test| {
        let (kek, wrapped) = (key(&test["key"]), hex(&test["ct"]));
        match agree::unwrap(&kek, &wrapped) {
            Ok(found) => {
                found.as_slice() == hex(&test["msg"])
                    && agree::wrap(&kek, &found).unwrap() == *wrapped
            }
            Err(_) => false,
        }
    });
}

/// PKCS#8 of a bare P-384 scalar.
fn pkcs8(scalar: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = scalar.iter().copied().skip_while(|byte| *byte == 0).collect();
    let mut padded = vec![0; 48 - digits.len()];
    padded.extend_from_slice(&digits);
    let head = "304e020100301006072a8648ce3d020106052b81040022043730350201010430";
    [hex::decode(head).unwrap(), padded].concat()
}

#[test]
fn ecdh_p384_agrees_on_points_of_the_curve_only() {
    check(
        "ecdh_secp384r1_test.json",
        900,
        |_, _| true,
        |_, test| {
            let ours = P384Key::from_pkcs8(&pkcs8(&hex(&test["private"]))).unwrap();
            let secret = agree::p384_point(&hex(&test["public"]))
                .and_then(|point| agree::ecdh_p384(&ours, &point));
            secret.is_ok_and(|secret| secret.as_slice() == hex(&test["shared"]))
        },
    );
}

fn check_signatures(file: &str, at_least: usize, scheme: Scheme) {
    check(
        file,
        at_least,
        |_, _| true,
        |group, test| {
            let spki = hex(&group["publicKeyDer"]);
            verify(scheme, &spki, &hex(&test["msg"]), &hex(&test["sig"])).is_ok()
        },
    );
}

#[test]
fn ecdsa_p384_verifies() {
    check_signatures("ecdsa_secp384r1_sha384_test.json", 500, Scheme::EcdsaP384Sha384);
}

#[test]
fn ecdsa_p256_verifies() {
    check_signatures("ecdsa_secp256r1_sha256_test.json", 480, Scheme::EcdsaP256Sha256);
}

#[test]
fn rsa_3072_verifies() {
    check_signatures("rsa_signature_3072_sha256_test.json", 250, Scheme::RsaPkcs1Sha256);
}

#[test]
fn ed25519_verifies() {
    check(
        "ed25519_test.json",
        150,
        |_, _| true,
        |group, test| {
            let public = hex(&group["publicKey"]["pk"]).try_into().unwrap();
            ed25519_verify(&public, &hex(&test["msg"]), &hex(&test["sig"])).is_ok()
        },
    );
}

#[test]
fn hmac_sha_256_verifies() {
    let wanted = |group: &Value, _: &Value| group["keySize"] == 256 && group["tagSize"] == 256;
    check("hmac_sha256_test.json", 30, wanted, |_, test| {
        MacKey::from_bytes(key(&test["key"])).verify(&[&hex(&test["msg"])], &hex(&test["tag"]))
    });
}

// Of their vectors those for HKDF with SHA-384 are not read: nothing here derives by it. The ones for RSA-OAEP are not among what is at hand;
// it is held against OpenSSL and BouncyCastle instead (`crates/parcel`).
#[test]
fn hkdf_sha_256_expands() {
    // 32 bytes without salt are all that is ever derived: the beginning of what longer vectors want.
    let wanted = |_: &Value, test: &Value| {
        test["salt"] == ""
            && test["size"].as_u64().is_some_and(|size| size >= 32)
            && test["result"] == "valid"
    };
    check("hkdf_sha256_test.json", 10, wanted, |_, test| {
        let made = keys::kem::hkdf_sha256(&hex(&test["ikm"]), &hex(&test["info"]));
        hex(&test["okm"]).starts_with(made.as_slice())
    });
}
