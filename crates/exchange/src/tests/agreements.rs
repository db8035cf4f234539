//! Partners and agreements as files: what is understood, and what is refused with file, line and key.

use super::*;

const PARTNER: &str = r#"ori = "NB0020000"
name = "Lakeside County Sheriff"
host = "exchange.lakeside.example"
port = 8445
tls_certificate = "tls.pem"
signing_certificate = "signing.pem"
sealing_certificate = "sealing.pem"
"#;

const AGREEMENT: &str = r#"id = "lakeside-2026"
title = "Joint burglary task force"
authority = "Interlocal agreement 2026-17"
partner = "NB0020000"
record_classes = ["INCIDENT", "EVIDENCE"]
caveats_barred = ["SEALED"]
purposes = ["C"]
starts = "2026-01-01T00:00:00Z"
ends = "2027-01-01T00:00:00Z"
approvals = 1
"#;

fn load(partner: &str, agreement: &str) -> (Book, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (partners, agreements) = (folder.path().join("partners"), folder.path().join("agreements"));
    for place in [&partners, &agreements] {
        std::fs::create_dir(place).unwrap();
    }
    let identity = identity(LAKESIDE);
    for (file, held) in [
        ("tls.pem", &identity.tls),
        ("signing.pem", &identity.signing),
        ("sealing.pem", &identity.sealing),
    ] {
        std::fs::write(partners.join(file), held.certificate.pem()).unwrap();
    }
    std::fs::write(partners.join("lakeside.toml"), partner).unwrap();
    std::fs::write(agreements.join("lakeside.toml"), agreement).unwrap();
    let (book, problems) = Book::load(folder.path());
    let root = format!("{}/", folder.path().display());
    (book, problems.iter().map(|problem| problem.to_string().replace(&root, "")).collect())
}

#[test]
fn a_book_is_read_from_its_files() {
    let (book, problems) = load(PARTNER, AGREEMENT);
    assert_eq!(problems, [""; 0]);
    let lakeside = book.partner("NB0020000").unwrap();
    assert_eq!((lakeside.host.as_str(), lakeside.port), ("exchange.lakeside.example", 8445));
    assert_eq!(lakeside.addresses, wire::Addresses::Public);
    assert_eq!(lakeside.quota_bytes, 64 << 30);
    assert_eq!(lakeside.ledger_key, None);
    let key = "riverton.example/ledger+da1fd45d+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    let (keyed, problems) = load(&format!("{PARTNER}ledger_key = \"{key}\"\n"), AGREEMENT);
    assert_eq!(problems, [""; 0]);
    let known = keyed.partner("NB0020000").unwrap().ledger_key.as_ref().unwrap();
    assert_eq!(known.to_string(), key);
    let wrong = key.replace("da1fd45d", "da1fd45e");
    let (_, problems) = load(&format!("{PARTNER}ledger_key = \"{wrong}\"\n"), AGREEMENT);
    assert!(
        problems[0].to_string().contains("`ledger_key`: a ledger's verifier key"),
        "{problems:?}"
    );
    let found = book.partner_by_certificate(identity(LAKESIDE).tls.certificate.der());
    assert_eq!(found.unwrap().ori.as_str(), "NB0020000");
    assert!(book.partner_by_certificate(identity(RIVERTON).tls.certificate.der()).is_none());
    let mut expected = agreement("NB0020000");
    expected.retention = None;
    assert_eq!(book.agreement("lakeside-2026"), Some(&expected));
    let (other, _) = load(PARTNER, &AGREEMENT.replace("approvals = 1", "approvals = 2"));
    assert_ne!(book.digest(), other.digest());
}

#[test]
fn a_missing_folder_is_an_empty_book() {
    let folder = tempfile::tempdir().unwrap();
    let (book, problems) = Book::load(folder.path());
    assert_eq!((book.partners().count(), problems.len()), (0, 0));
}

/// One change in the agreement or the partner, and what is said of it.
#[test]
fn what_is_wrong_is_named_with_file_line_and_key() {
    let agreements = [
        (
            ("caveats_barred", "caveat_barred"),
            "agreements/lakeside.toml:6: `caveat_barred`: an unknown key; did you mean `caveats_barred`?",
        ),
        (
            ("approvals = 1", "approvals = 1\ncolour = \"red\""),
            "agreements/lakeside.toml:11: `colour`: an unknown key; known are id, title, authority, \
             partner, record_classes, caveats_barred, purposes, starts, ends, approvals, retention",
        ),
        (
            ("approvals = 1", "approvals = 0"),
            "agreements/lakeside.toml:10: `approvals`: 1 or more: nobody approves their own request",
        ),
        (
            ("ends = \"2027", "ends = \"2025"),
            "agreements/lakeside.toml:9: `ends`: a time after `starts`",
        ),
        (
            ("\"C\"", "\"crime\""),
            "agreements/lakeside.toml:7: `purposes`: not a purpose code: expected one upper-case letter",
        ),
        (
            ("partner = \"NB0020000\"", "partner = \"NB0090000\""),
            "agreements/lakeside.toml:4: `partner`: the ORI of a partner that has a file in partners/",
        ),
        (
            ("starts = \"2026-01-01T00:00:00Z\"\n", ""),
            "agreements/lakeside.toml:1: `id`: missing field `starts`",
        ),
    ];
    for ((from, to), expected) in agreements {
        let (book, problems) = load(PARTNER, &AGREEMENT.replace(from, to));
        assert_eq!(problems, [expected]);
        assert!(book.agreement("lakeside-2026").is_none());
        assert!(book.partner("NB0020000").is_some(), "the partner stays");
    }
    let partners = [
        (("port = 8445", "port = 84450"), "partners/lakeside.toml:4: `port`: "),
        (
            ("\"signing.pem\"", "\"gone.pem\""),
            "partners/lakeside.toml:6: `signing_certificate`: the path of a PEM certificate",
        ),
        (("name = \"Lake", "name = Lake"), "partners/lakeside.toml:2: `name`: "),
        (("tls_certificate", "tls_cert"), "partners/lakeside.toml:5: `tls_cert`: an unknown key"),
    ];
    for ((from, to), expected) in partners {
        let (book, problems) = load(&PARTNER.replace(from, to), AGREEMENT);
        assert!(problems[0].starts_with(expected), "{problems:?}");
        assert!(book.partner("NB0020000").is_none());
        assert!(book.agreement("lakeside-2026").is_none(), "an agreement without its partner");
    }
}
