//! Trusted time, with openssl as the authority.

use std::path::{Path, PathBuf};
use std::process::Command;

use keys::cert::Certificate;
use keys::{Clock as _, SystemClock, SystemRandom};
use parcel::{Fault, Parcel, Refused, Trust, timestamp};

use crate::support::{World, copy_folder, run};

/// An authority of openssl's: `ca.pem` issued `tsa.pem`, which stamps with this digest.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(world: &World, name: &str, key: &[&str], usage: &str) -> Self {
        let authority = Self { folder: world.path(name) };
        std::fs::create_dir(&authority.folder).unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(authority.folder.join(file), text).unwrap();
        write("ca.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n");
        let usages = format!("keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n");
        write("tsa.ext", &usages);
        write("serial", "01\n");
        write(
            "tsa.cnf",
            "[tsa]\ndefault_tsa=one\n[one]\nserial=serial\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n\
             signer_digest=sha384\ndefault_policy=1.2.3.4.1\ndigests=sha384\naccuracy=secs:1\nordering=yes\n\
             ess_cert_id_alg=sha256\n",
        );
        for (who, issuer) in [("ca", None), ("tsa", Some("ca"))] {
            let out = format!("{who}.key");
            authority.openssl(&[&["genpkey", "-out", &out], key].concat());
            let (request, subject) = (format!("{who}.csr"), format!("/CN={name} {who}"));
            authority.openssl(&["req", "-new", "-key", &out, "-subj", &subject, "-out", &request]);
            let (extensions, certificate) = (format!("{who}.ext"), format!("{who}.pem"));
            let mut sign = vec!["x509", "-req", "-in", &request, "-days", "30", "-sha384"];
            sign.extend(["-extfile", &extensions, "-out", &certificate]);
            match issuer {
                Some(_) => sign.extend(["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]),
                None => sign.extend(["-key", &out]),
            }
            authority.openssl(&sign);
        }
        authority
    }

    fn openssl(&self, arguments: &[&str]) -> bool {
        let said = run(Command::new("openssl").args(arguments).current_dir(&self.folder));
        let done = said.status.success();
        assert!(
            done || arguments[0] == "ts",
            "{arguments:?}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        done
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        std::fs::write(self.folder.join("q.tsq"), request).unwrap();
        let done = self.openssl(&[
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "q.tsq",
            "-out",
            "r.tsr",
        ]);
        assert!(done, "openssl stamps nothing");
        std::fs::read(self.folder.join("r.tsr")).unwrap()
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&std::fs::read_to_string(self.folder.join(name)).unwrap()).unwrap()
    }
}

fn nonce() -> [u8; 16] {
    keys::random_bytes(&SystemRandom).unwrap()
}

const P384: [&str; 4] = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const RSA: [&str; 4] = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn stamp(
    parcel: &Path,
    world: &World,
    authority: &Certificate,
) -> Result<Option<timestamp::Stamp>, Refused> {
    let trust = Trust { now: SystemClock.now(), ..world.trust() };
    Parcel::enter(parcel, &trust)?.stamp(std::slice::from_ref(authority))
}

#[test]
fn authority_stamps_a_parcel_and_both_of_us_verify_it() {
    let world = World::new();
    for (name, key) in [("ec", &P384), ("rsa", &RSA)] {
        let authority = Authority::new(&world, name, key, "critical,timeStamping");
        let ca = authority.certificate("ca.pem");
        let parcel = world.sealed(&format!("parcel {name}"));
        assert_eq!(stamp(&parcel, &world, &ca).unwrap(), None);
        let request = timestamp::request(&parcel, None, nonce()).unwrap();
        let answer = authority.answer(&request);
        let now = SystemClock.now();
        let added =
            timestamp::add(&parcel, &request, &answer, std::slice::from_ref(&ca), now).unwrap();
        assert_eq!(added.authority, authority.certificate("tsa.pem"));
        assert!(now.duration_since(added.at).as_secs().abs() < 120, "{}", added.at);
        assert_eq!(stamp(&parcel, &world, &ca).unwrap(), Some(added.clone()));
        assert_eq!(stamp(&parcel, &world, &added.authority).unwrap(), Some(added.clone()));
        let seal = parcel.join("seal/tagmanifest-sha256.txt.p7s");
        let (data, token) = (seal.to_str().unwrap(), format!("{}.tsr", seal.display()));
        assert!(
            authority
                .openssl(&["ts", "-verify", "-data", data, "-in", &token, "-CAfile", "ca.pem"])
        );
        // There is one already.
        let again = timestamp::add(&parcel, &request, &answer, &[ca], now).unwrap_err();
        assert!(matches!(*again.fault, Fault::Write(_)), "{again}");
    }
}

#[test]
fn stamps_that_are_touched_strange_or_of_something_else_are_refused() {
    let world = World::new();
    let authority = Authority::new(&world, "good", &P384, "critical,timeStamping");
    let ca = authority.certificate("ca.pem");
    let (parcel, other) = (world.sealed("parcel"), world.sealed("other"));
    let request = timestamp::request(&parcel, None, nonce()).unwrap();
    let answer = authority.answer(&request);
    let now = SystemClock.now();
    let add = |request: &[u8], answer: &[u8], ca: &Certificate, now| {
        timestamp::add(&parcel, request, answer, std::slice::from_ref(ca), now)
    };
    // Another parcel's, another request's, before its time, by a stranger, by one who may not.
    let others = timestamp::request(&other, None, nonce()).unwrap();
    assert!(add(&others, &authority.answer(&others), &ca, now).is_err());
    assert!(add(&request, &authority.answer(&others), &ca, now).is_err());
    let second = timestamp::request(&parcel, None, nonce()).unwrap();
    assert!(add(&request, &authority.answer(&second), &ca, now).is_err(), "another nonce");
    let refused = add(&request, &answer, &ca, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Future { .. }), "{refused}");
    let stranger = Authority::new(&world, "stranger", &P384, "critical,timeStamping");
    let refused = add(&request, &answer, &stranger.certificate("ca.pem"), now).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Sender { .. }), "{refused}");
    assert!(add(&request, b"", &ca, now).is_err());
    assert!(!parcel.join("seal/tagmanifest-sha256.txt.p7s.tsr").exists());

    let whole = add(&request, &answer, &ca, now).unwrap();
    let copy = world.path("copy");
    copy_folder(&parcel, &copy);
    let token = copy.join("seal/tagmanifest-sha256.txt.p7s.tsr");
    for at in 0..answer.len() {
        let mut touched = answer.clone();
        touched[at] ^= 1 << (at % 8);
        std::fs::write(&token, &touched).unwrap();
        // What no signature covers may be touched; what is said may not.
        match stamp(&copy, &world, &ca) {
            Ok(found) => {
                let said = found.map(|stamp| (stamp.at, stamp.authority));
                assert_eq!(said, Some((whole.at, whole.authority.clone())), "byte {at}");
            }
            Err(refused) => assert_eq!(refused.file, "seal/tagmanifest-sha256.txt.p7s.tsr"),
        }
    }
    std::fs::write(&token, [answer.as_slice(), b"\0"].concat()).unwrap();
    let trailing = stamp(&copy, &world, &ca);
    assert!(trailing.is_err(), "{trailing:?}");
}
