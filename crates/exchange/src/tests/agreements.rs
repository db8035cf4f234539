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
kind = "information-exchange"
authority = "Interlocal agreement 2026-17"
partner = "NB0020000"
record_classes = ["INCIDENT", "EVIDENCE"]
caveats_barred = ["SEALED"]
purposes = ["C"]
redistribution = "with-consent"
audit = "each may audit the other, announced 30 days before"
starts = "2026-01-01T00:00:00Z"
review = "2027-01-01T00:00:00Z"
ends = "2027-01-01T00:00:00Z"
approvals = 1
[[party]]
ori = "NB0010100"
name = "Riverton Police Department"
signed_by = "Chief A. Marsh"
signed_at = "2025-12-01T00:00:00Z"
[[party]]
ori = "NB0020000"
name = "Lakeside County Sheriff"
signed_by = "Sheriff D. Cole"
signed_at = "2025-12-01T00:00:00Z"
"#;

#[test]
fn a_partner_needs_no_server_and_what_it_has_half_of_one_is_refused() {
    let without = "ori = \"NB0020000\"\nname = \"Lakeside County Sheriff\"\nsealing_certificate = \"sealing.pem\"\n";
    let (book, problems) = load(without, AGREEMENT);
    assert_eq!(problems, [""; 0]);
    let lakeside = book.partner(LAKESIDE.0).unwrap();
    assert!(lakeside.server.is_none() && lakeside.signing.is_none());
    let (_, problems) = load(&PARTNER.replace("port = 8445\n", ""), AGREEMENT);
    assert!(problems[0].contains("together, or none of them"), "{problems:?}");
    let kem = format!("{PARTNER}sealing_certificate_kem = \"sealing.pem\"\n");
    let (_, problems) = load(&kem, AGREEMENT);
    assert!(problems[0].contains("an ML-KEM certificate"), "{problems:?}");
    let block = |hash: &str| {
        let time = "since = 2026-11-01T00:00:00Z";
        format!(
            "{PARTNER}[[revoked]]\nfingerprint = \"{hash}\"\n{}\nreason = \"lost\"\n",
            time.replace("= ", "= \"") + "\""
        )
    };
    let hash = identity(LAKESIDE).tls.certificate.fingerprint_text();
    let (book, problems) = load(&block(&hash), AGREEMENT);
    assert_eq!(problems, [""; 0]);
    let lakeside = book.partner(LAKESIDE.0).unwrap();
    let tls = [CertificateUse::Tls];
    assert_eq!(lakeside.counts(&tls, now()).unwrap_err().code(), "partner.revoked");
    assert_eq!(lakeside.counts(&[CertificateUse::Signing], now()), Ok(()));
    let (_, problems) = load(&block("abc"), AGREEMENT);
    assert!(problems[0].contains("64 hex digits"), "{problems:?}");
}

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
    let server = lakeside.server.as_ref().unwrap();
    assert_eq!((server.host.as_str(), server.port), ("exchange.lakeside.example", 8445));
    assert_eq!(server.addresses, wire::Addresses::Public);
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
            "agreements/lakeside.toml:7: `caveat_barred`: an unknown key; did you mean `caveats_barred`?",
        ),
        (
            ("approvals = 1", "approvals = 1\ncolour = \"red\""),
            "agreements/lakeside.toml:15: `colour`: an unknown key; known are id, title, kind, authority, \
             partner, record_classes, caveats_barred, caveats_allowed, purposes, redistribution, retention, \
             retention_days, approvals, audit, incidents, encryption, rsa_oaep, certificates, primary, starts, review, \
             ends, document, deliveries, party",
        ),
        (
            ("approvals = 1", "approvals = 0"),
            "agreements/lakeside.toml:14: `approvals`: 1 or more: nobody approves their own request",
        ),
        (
            ("ends = \"2027", "ends = \"2025"),
            "agreements/lakeside.toml:13: `ends`: a time after `starts`",
        ),
        (
            ("review = \"2027-01", "review = \"2029-06"),
            "agreements/lakeside.toml:12: `review`: a time after `starts`, within three years",
        ),
        (
            ("\"C\"", "\"crime\""),
            "agreements/lakeside.toml:8: `purposes`: not a purpose code: expected one upper-case letter",
        ),
        (
            ("\npartner = \"NB0020000\"", "\npartner = \"NB0090000\""),
            "agreements/lakeside.toml: `party`: at least two parties, `partner` among them, each with who signed",
        ),
        (
            ("starts = \"2026-01-01T00:00:00Z\"\n", ""),
            "agreements/lakeside.toml:1: `id`: missing field `starts`",
        ),
        (
            ("approvals = 1", "approvals = 1\ncertificates = [\"AB\"]"),
            "agreements/lakeside.toml:15: `certificates`: SHA-256 as 64 lower-case hex digits",
        ),
        (
            ("approvals = 1", "approvals = 1\ndocument = { file = \"../x.pdf\", sha256 = \"ab\" }"),
            "agreements/lakeside.toml:15: `document`: the name of a file in this folder, and its SHA-256 in \
             lower-case hex",
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

#[test]
fn an_agreement_of_a_partner_who_has_no_file_is_refused() {
    let stranger = AGREEMENT.replace("NB0020000", "NB0090000");
    let (book, problems) = load(PARTNER, &stranger);
    let expected =
        "agreements/lakeside.toml:5: `partner`: the ORI of a partner that has a file in partners/";
    assert_eq!(problems, [expected]);
    assert!(book.agreement("lakeside-2026").is_none());
}

#[test]
fn the_signed_document_is_held_by_its_hash() {
    let hash = hex::encode(keys::digest::sha256(b"%PDF-1.7 signed"));
    let held =
        format!("approvals = 1\ndocument = {{ file = \"lakeside.pdf\", sha256 = \"{hash}\" }}");
    let text = AGREEMENT.replace("approvals = 1", &held);
    let (_, problems) = load(PARTNER, &text);
    let expected = "agreements/lakeside.toml:15: `document`: a file of at most 32 MiB beside this one, with the \
                    given SHA-256";
    assert_eq!(problems, [expected], "it is not there");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lakeside.toml");
    let document = crate::book::agreement(&file, &text).unwrap().terms.document.unwrap();
    std::fs::write(folder.path().join("lakeside.pdf"), b"%PDF-1.7 signed").unwrap();
    assert!(document.is_at(&file));
    std::fs::write(folder.path().join("lakeside.pdf"), b"%PDF-1.7 forged").unwrap();
    assert!(!document.is_at(&file));
}

/// Each clause, and what stands against it.
#[test]
fn each_clause_is_judged_and_has_a_code() {
    let usual = agreement(LAKESIDE.0);
    let marks = |marks: &[&str]| -> BTreeSet<policy::Caveat> {
        marks.iter().map(|mark| mark.parse().unwrap()).collect()
    };
    let codes =
        |agreement: &Agreement, class: &str, with: &[&str], purpose: Option<&str>, at: &str| {
            let purpose = purpose.map(|purpose| purpose.parse().unwrap());
            let (class, at) = (class.parse().unwrap(), at.parse().unwrap());
            let partner = partner(LAKESIDE, 0);
            let (with, purpose) = (marks(with), purpose.as_ref());
            let judged = agreement.judge(&class, &with, purpose, Some(&partner), at);
            let first = agreement.covers(&class, &with, purpose, at).err();
            let found: Vec<Clause> = judged.into_iter().filter_map(|one| one.against).collect();
            if agreement.terms.certificates.is_none() {
                assert_eq!(found.first(), first.as_ref(), "judge and covers agree");
            }
            found.iter().map(Clause::code).collect::<Vec<_>>()
        };
    let now = STORY_TIME;
    assert_eq!(codes(&usual, "INCIDENT", &[], Some("C"), now), [""; 0]);
    assert_eq!(codes(&usual, "CHRI", &[], Some("C"), now), ["agreement.record-class"]);
    assert_eq!(codes(&usual, "INCIDENT", &["SEALED"], Some("C"), now), ["agreement.caveat-barred"]);
    assert_eq!(
        codes(&usual, "CHRI", &["SEALED"], None, "2025-12-31T00:00:00Z"),
        [
            "agreement.not-started",
            "agreement.record-class",
            "agreement.caveat-barred",
            "agreement.purpose"
        ]
    );
    assert_eq!(
        codes(&usual, "INCIDENT", &[], Some("C"), "2027-01-01T00:00:00Z"),
        ["agreement.ended"]
    );
    let mut strict = usual.clone();
    strict.facts.caveats_allowed = Some(marks(&["GANG"]));
    strict.facts.review = "2026-11-01T00:00:00Z".parse().unwrap();
    strict.terms.certificates = Some(BTreeSet::new());
    assert_eq!(
        codes(&strict, "INCIDENT", &["INTEL"], Some("C"), now),
        ["agreement.review-overdue", "agreement.caveat-not-allowed", "agreement.certificate"]
    );
    let lakeside = partner(LAKESIDE, 0);
    let all = lakeside.certificates().into_iter().map(|(_, one)| one.fingerprint_text());
    strict.terms.certificates = Some(all.collect());
    assert_eq!(strict.knows(&partner(LAKESIDE, 0)), Ok(()));
    by_rsa(&mut strict);
    let near = usual.judge(
        &"INCIDENT".parse().unwrap(),
        &marks(&[]),
        Some(&"C".parse().unwrap()),
        None,
        "2026-12-10T00:00:00Z".parse().unwrap(),
    );
    let near: Vec<&str> = near.iter().filter(|one| one.near).map(|one| one.key).collect();
    assert_eq!(near, ["ends", "review"]);
}

/// A partner whose sealing certificate is RSA is sealed to only where the agreement says so, and that is a clause of its own.
fn by_rsa(agreement: &mut Agreement) {
    let mut rsa = partner(LAKESIDE, 0);
    assert_eq!(agreement.seals(&rsa), Ok(()));
    let key = keys::sign::RsaKey::generate(keys::sign::RsaBits::Rsa2048).unwrap();
    let spec = keys::cert::CertSpec {
        subject_cn: "lakeside".to_owned(),
        organisation: "lakeside".to_owned(),
        not_before: now(),
        not_after: now() + jiff::SignedDuration::from_hours(24),
        usage: keys::cert::Usage::KeyEncipherment,
        dns: Vec::new(),
        ips: Vec::new(),
        uris: Vec::new(),
    };
    rsa.sealing = keys::cert::issue_rsa(&spec, &key, &keys::SystemRandom).unwrap();
    let judged = |agreement: &Agreement| {
        let class = "INCIDENT".parse().unwrap();
        let all = agreement.judge(&class, &BTreeSet::new(), None, Some(&rsa), now());
        let found = all.into_iter().find(|one| one.key == "rsa_oaep").unwrap();
        found.against.map(|clause| (clause.code(), clause.to_string()))
    };
    let (code, says) = judged(agreement).unwrap();
    assert_eq!(code, "agreement.rsa-oaep");
    assert!(says.contains("rsa_oaep = true"), "{says}");
    agreement.terms.rsa_oaep = true;
    assert_eq!((judged(agreement), agreement.seals(&rsa)), (None, Ok(())));
    // What it said before is the same text as ever: no digest changes for those who never heard of it.
    let text = serde_json::to_string(&super::agreement(LAKESIDE.0)).unwrap();
    assert!(!text.contains("rsa_oaep"), "{text}");
}
