//! `bailiwick keys certificate`, and what openssl says of what it made.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::Path;
use std::process::Command;

fn run(folder: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    let said = command.arg("keys").args(words).current_dir(folder).output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    (said.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

fn make(folder: &Path, purpose: &str, more: &[&str]) -> (i32, String) {
    let (out, key) = (format!("{purpose}.pem"), format!("{purpose}.key"));
    let name = format!("Riverton {purpose}");
    let words = ["certificate", "--for", purpose, "--name", &name];
    let files = ["--organisation", "Riverton Police Department", "--out", &out, "--key-out", &key];
    run(folder, &[&words[..], &files[..], more].concat())
}

fn text(folder: &Path, purpose: &str) -> String {
    let file = format!("{purpose}.pem");
    let arguments = ["x509", "-in", &file, "-noout", "-text"];
    let said = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn keys_for_sharing_are_made_with_the_one_use_that_each_has() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let vouched = ["--issuer", "signing.pem", "--issuer-key", "signing.key"];
    for (purpose, more, words) in [
        ("signing", &[][..], "Digital Signature, Non Repudiation"),
        ("sealing", &[][..], "Key Agreement"),
        ("tls", &["--dns", "partners.riverton.example"][..], "DNS:partners.riverton.example"),
        ("sealing-kem", &vouched[..], "Key Encipherment"),
        (
            "time-stamps",
            &[][..],
            "X509v3 Extended Key Usage: critical\n                Time Stamping\n",
        ),
    ] {
        let (code, said) = make(folder, purpose, more);
        assert!(code == 0 && said.contains("SHA-256"), "{purpose}: {said}");
        let found = text(folder, purpose);
        assert!(found.contains(words), "{purpose}: {found}");
        let mode = std::fs::metadata(folder.join(format!("{purpose}.key"))).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions());
        assert_eq!(mode & 0o077, 0, "{purpose}");
        let (code, said) = make(folder, purpose, more);
        assert!(code == 1 && said.contains("exists"), "never over another: {said}");
    }
}

#[test]
fn what_can_not_serve_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (code, said) = make(folder, "tls", &[]);
    assert!(code == 1 && said.contains("--dns or --address"), "{said}");
    let (code, said) = make(folder, "sealing-kem", &[]);
    assert!(code == 1 && said.contains("--issuer"), "{said}");
    assert_eq!(make(folder, "signing", &[]).0, 0);
    assert_eq!(make(folder, "sealing", &[]).0, 0);
    let other = ["--issuer", "signing.pem", "--issuer-key", "sealing.key"];
    let (code, said) = make(folder, "sealing-kem", &other);
    assert!(code == 1 && said.contains("not its certificate's"), "{said}");
    assert!(!folder.join("sealing-kem.key").exists());
    assert_eq!(make(folder, "signing", &["--days", "9999"]).0, 2);
}
