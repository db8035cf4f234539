//! Responses that others made: every verdict of the corpus's manifest, where the corpus is at hand.
//!
//! `BAILIWICK_CORPORA` names its folder; otherwise it is looked for beside the checkout. Without it there
//! is nothing to check, and the test says so.
#![expect(clippy::unwrap_used, reason = "a test that can't set its stage stops")]
#![expect(clippy::print_stderr, reason = "the test says what it ran and what it left out, and why")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use identity::IdpSettings;
use identity::saml::{Expectation, verify_xml};
use jiff::Timestamp;
use keys::cert::Certificate;

#[expect(clippy::disallowed_methods, reason = "the test asks its environment where the corpus is")]
fn corpora() -> Option<PathBuf> {
    let beside = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        ["shared/corpora", "../shared/corpora"].map(|path| root.join(path))
    };
    let named = std::env::var("BAILIWICK_CORPORA").ok().map(PathBuf::from);
    named.into_iter().chain(beside()).map(|path| path.join("saml")).find(|path| path.is_dir())
}

/// Good responses that are refused all the same, each for a reason that stands.
const EXCLUDED: &[(&str, &str, &str)] = &[(
    "node/valid-response.root-signed.assertion-unsigned-encrypted.xml",
    "saml.shape.encrypted",
    "encrypted assertions are not accepted yet",
)];

#[test]
fn every_verdict_of_the_corpus_holds() {
    let Some(folder) = corpora() else {
        eprintln!("no corpus at hand: set BAILIWICK_CORPORA to check it");
        return;
    };
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    let (mut accepted, mut refused, mut wrong) = (0, BTreeMap::new(), Vec::new());
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, file, certificate, now, issuer, audience, acs, request, expect, _key] =
            fields[..]
        else {
            unreachable!("a line of the manifest has ten fields: {line}")
        };
        let certificate = std::fs::read_to_string(folder.join(certificate)).unwrap();
        let idp = provider(issuer, &certificate);
        let expectation = Expectation {
            idp: &idp,
            entity_id: audience,
            acs_url: acs,
            request_id: Some(request),
            reauthenticated_since: None,
            now: Timestamp::from_second(now.parse().unwrap()).unwrap(),
        };
        let xml = std::fs::read(folder.join(file)).unwrap();
        let verdict = verify_xml(&xml, &expectation);
        let excluded = EXCLUDED.iter().find(|(excluded, ..)| *excluded == name);
        match (expect, verdict, excluded) {
            ("accept", Ok(_), None) => accepted += 1,
            ("accept", Err(refusal), Some((_, code, why))) if refusal.code == *code => {
                eprintln!("left out: {name}: {why}");
            }
            ("reject", Err(refusal), None) => {
                eprintln!("{:28} {name}", refusal.code);
                *refused.entry(refusal.code).or_insert(0) += 1;
            }
            (_, verdict, _) => wrong.push(format!("{name}: expected {expect}, got {verdict:?}")),
        }
    }
    eprintln!("accepted {accepted}, refused {refused:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 0 && refused.len() > 5, "the corpus was read");
}

fn provider(issuer: &str, certificate: &str) -> IdpSettings {
    IdpSettings {
        id: "corpus".into(),
        label: "corpus".into(),
        agency: "XX0000000".parse().unwrap(),
        entity_id: issuer.into(),
        sso_url: "https://idp.example/sso".into(),
        certificates: vec![Certificate::from_pem(certificate).unwrap()],
        valid_until: None,
        // The corpus is about signatures: what it states counts as enough factors.
        mfa_contexts: ["PasswordProtectedTransport", "Password", "unspecified", "X509"]
            .map(|class| format!("urn:oasis:names:tc:SAML:2.0:ac:classes:{class}"))
            .into(),
        mfa_attribute: None,
        name_id_format: None,
        function_attribute: "functions".into(),
        function_map: BTreeMap::new(),
        name_attribute: "displayName".into(),
        agency_attribute: None,
    }
}
