//! ML-KEM: both sides get one secret, keys of others are read, and what is wrong is refused.

use keys::kem::{Kem, KemKey, encapsulate};

#[test]
fn owner_gets_the_secret_that_was_sent_and_another_does_not() {
    for kem in [Kem::MlKem768, Kem::MlKem1024] {
        let (ours, other) = (KemKey::generate(kem).unwrap(), KemKey::generate(kem).unwrap());
        let (ciphertext, secret) = encapsulate(&ours.public_spki().unwrap()).unwrap();
        assert_eq!(ciphertext.len(), kem.ciphertext_bytes());
        assert_eq!(*ours.decapsulate(&ciphertext).unwrap(), *secret);
        assert_ne!(*other.decapsulate(&ciphertext).unwrap(), *secret);
        let again = KemKey::from_pkcs8(&ours.to_pkcs8().unwrap()).unwrap();
        assert_eq!((again.kem(), again.public_spki().unwrap()), (kem, ours.public_spki().unwrap()));
        assert_eq!(*again.decapsulate(&ciphertext).unwrap(), *secret);
        // An altered ciphertext gives a secret too, and not that one (FIPS 203: implicit rejection).
        let mut touched = ciphertext.clone();
        touched[100] ^= 1;
        assert_ne!(*ours.decapsulate(&touched).unwrap(), *secret);
        for length in [0, ciphertext.len() - 1] {
            assert!(ours.decapsulate(&ciphertext[..length]).is_err());
        }
        assert!(ours.decapsulate(&[ciphertext, vec![0]].concat()).is_err());
    }
}

#[test]
fn keys_that_are_damaged_or_of_another_kind_are_refused() {
    let ours = KemKey::generate(Kem::MlKem768).unwrap();
    let pkcs8 = ours.to_pkcs8().unwrap();
    let start = pkcs8.len() - 2400;
    // In the secret vector, the public half, its hash. (The last 32 bytes are any bytes.)
    for at in [start + 5, start + 1152 + 7, start + 2336 + 1, 0, 5, 15] {
        let mut touched = pkcs8.clone();
        touched[at] ^= 0x10;
        assert!(KemKey::from_pkcs8(&touched).is_err(), "byte {at}");
    }
    assert!(KemKey::from_pkcs8(&pkcs8[..pkcs8.len() - 1]).is_err());
    let p384 = keys::sign::P384Key::generate().unwrap();
    assert!(KemKey::from_pkcs8(&p384.to_pkcs8()).is_err());
    assert!(encapsulate(&p384.public_spki()).is_err());
    let mut spki = ours.public_spki().unwrap();
    let last = spki.len() - 40;
    // Coefficients are below 3329: twelve bits of ones are not.
    spki[last - 3..last].fill(0xff);
    assert!(encapsulate(&spki).is_err(), "a public key out of range");
    let mut spki = ours.public_spki().unwrap();
    spki.truncate(1000);
    assert!(encapsulate(&spki).is_err());
    assert!(!format!("{ours:?}").contains(&hex::encode(&pkcs8[start..start + 8])));
}

#[test]
fn keys_made_by_others_are_read() {
    let folder = crate::wycheproof::corpora().join("cms");
    for (name, kem) in [
        ("ml-kem-768-2.16.840.1.101.3.4.4.2", Kem::MlKem768),
        ("ml-kem-1024-2.16.840.1.101.3.4.4.3", Kem::MlKem1024),
    ] {
        let Ok(pkcs8) = std::fs::read(folder.join(format!("{name}_priv.der"))) else {
            assert!(!crate::wycheproof::named(), "BAILIWICK_CORPORA has no {name}");
            eprintln!("skipped: {name} is not at {}", folder.display());
            return;
        };
        let key = KemKey::from_pkcs8(&pkcs8).unwrap();
        let certificate = std::fs::read(folder.join(format!("{name}_ee.der"))).unwrap();
        let certificate = keys::cert::Certificate::from_der(&certificate).unwrap();
        assert_eq!(key.kem(), kem);
        assert_eq!(certificate.spki_der().unwrap(), key.public_spki().unwrap());
        assert!(certificate.allows_key_encipherment() && !certificate.allows_key_agreement());
    }
}
