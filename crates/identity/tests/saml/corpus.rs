//! Responses that others made: every verdict of the corpus's manifest, where the corpus is at hand.
//!
//! `BAILIWICK_CORPORA` names its folder; otherwise it is looked for beside the checkout. Without it there
//! is nothing to check, and the test says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use identity::IdpSettings;
use identity::saml::metadata::MFA_CONTEXTS;
use identity::saml::{Expectation, covered, verify_xml};
use jiff::Timestamp;
use keys::cert::Certificate;
use keys::transport::TransportKey;

#[expect(clippy::disallowed_methods, reason = "the test asks its environment where the corpus is")]
fn corpora() -> Option<PathBuf> {
    let beside = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        ["shared/corpora", "../shared/corpora"].map(|path| root.join(path))
    };
    let named = std::env::var("BAILIWICK_CORPORA").ok().map(PathBuf::from);
    named.into_iter().chain(beside()).map(|path| path.join("saml")).find(|path| path.is_dir())
}

/// What each kind of case is about, by a part of its name; the first that fits counts. A refusal must be
/// for this reason, or the case proves nothing.
const REASONS: &[(&str, &str)] = &[
    ("crewjam/TestXsw", "saml.shape.placement"),
    ("signature_wrapping_attack", "saml.shape.placement"),
    ("response_encrypted_nameid", "saml.shape.encrypted"),
    // By AES in CBC, all of them.
    ("encrypted", "saml.alg"),
    // These were written in another shape than UTC, and of different years, before anything else.
    ("node/invalid-response.root-signed-transforms", "saml.time"),
    ("node/invalid-response.root-unsigned.assertion-signed-transforms", "saml.time"),
    // Signed afresh with the pinned key, so that the one factor is what is wrong with it.
    ("node/invalid-response.root-resigned-by-attacker", "saml.mfa.missing"),
    ("duplicated_attributes", "saml.attribute"),
    ("empty_destination", "saml.destination"),
    ("empty_nameid", "saml.nameid"),
    ("wrong_spnamequalifier", "saml.nameid"),
    ("no_authnstatement", "saml.authn.statement"),
    ("no_conditions", "saml.conditions.missing"),
    ("no_issuer", "saml.issuer"),
    ("no_status", "saml.status.missing"),
    ("not_before_failed", "saml.status.missing"),
    ("response1_with_friendlyname", "saml.issuer"),
    ("response4", "saml.shape.assertion"),
    ("with_ampersands", "saml.shape.assertion"),
    ("reference_uri", "saml.signature.reference"),
    ("without_inresponseto", "saml.inresponseto"),
    // The encrypted one's name does not say so.
    ("signed_message_response2", "saml.alg"),
    // Transient names.
    ("double_signed_response.xml", "saml.nameid"),
    ("signed_assertion_response.xml", "saml.nameid"),
    ("signed_message_response.xml", "saml.nameid"),
    // Right in everything but the second factor.
    ("double_signed_response2", "saml.mfa.missing"),
    ("signed_assertion_response2", "saml.mfa.missing"),
    ("valid_response", "saml.mfa.missing"),
];

/// How many of those are accepted by an agency that takes one factor: what is refused otherwise is
/// refused for nothing else.
const ONE_FACTOR: usize = 6;

#[test]
fn every_verdict_of_the_corpus_holds() {
    let Some(folder) = corpora() else {
        eprintln!("no corpus at hand: set BAILIWICK_CORPORA to check it");
        return;
    };
    let key = std::fs::read(folder.join("keys/sp-key.der")).unwrap();
    let decryption = [TransportKey::from_pkcs8(&key).unwrap()];
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).unwrap();
    let (mut refused, mut controls, mut one_factor) = (0, 0, 0);
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, file, certificate, now, issuer, audience, acs, request, expect, _key] =
            fields[..]
        else {
            unreachable!("a line of the manifest has ten fields: {line}")
        };
        let certificate = std::fs::read_to_string(folder.join(certificate)).unwrap();
        let xml = std::fs::read(folder.join(file)).unwrap();
        let mut idp = provider(issuer, &certificate);
        let verify = |idp: &IdpSettings| {
            let expectation = Expectation {
                idp,
                entity_id: audience,
                acs_url: acs,
                request_id: Some(request),
                decryption: &decryption,
                reauthenticated_since: None,
                now: Timestamp::from_second(now.parse().unwrap()).unwrap(),
            };
            verify_xml(&xml, &expectation).map_or_else(|refusal| refusal.code, |_| "accepted")
        };
        if expect == "accept" {
            // All of these state times years apart, not in UTC, and for no audience: they are controls of
            // the signatures, which must be good, and can't be of the profile.
            let covered = covered(&xml, &idp.certificates);
            if name.contains("encrypted") {
                // Its signature holds, and it opens with the key at hand; AES in CBC is refused whoever signed.
                assert!(covered.unwrap().contains("EncryptedAssertion"), "{name}");
                assert_eq!(verify(&idp), "saml.alg", "{name}");
                controls += 1;
                continue;
            }
            assert!(covered.unwrap().contains("vincent.vega@evil-corp.com"), "{name}");
            assert_eq!(verify(&idp), "saml.time", "{name}");
            controls += 1;
            continue;
        }
        let reason = REASONS.iter().find(|(part, _)| name.contains(part)).unwrap().1;
        assert_eq!(verify(&idp), reason, "{name}");
        refused += 1;
        if reason == "saml.mfa.missing" {
            let class = "urn:oasis:names:tc:SAML:2.0:ac:classes:";
            idp.mfa_contexts =
                ["Password", "PasswordProtectedTransport"].map(|c| format!("{class}{c}")).into();
            assert_eq!(verify(&idp), "accepted", "{name}");
            one_factor += 1;
        }
    }
    eprintln!(
        "refused {refused}, signatures that hold {controls}, right but for a factor {one_factor}"
    );
    assert_eq!(one_factor, ONE_FACTOR);
    assert!(refused > 30 && controls > 10, "the corpus was read");
}

fn provider(issuer: &str, certificate: &str) -> IdpSettings {
    IdpSettings {
        id: "corpus".into(),
        label: "corpus".into(),
        agency: "XX0000000".parse().unwrap(),
        entity_id: issuer.into(),
        sso_url: "https://idp.example/sso".into(),
        slo_url: None,
        slo_answer_url: None,
        certificates: vec![Certificate::from_pem(certificate).unwrap()],
        valid_until: None,
        mfa_contexts: MFA_CONTEXTS.iter().map(|context| (*context).to_owned()).collect(),
        mfa_attribute: None,
        oaep_sha1: true,
        name_id_format: None,
        function_attribute: "functions".into(),
        function_map: BTreeMap::new(),
        functions_allowed: None,
        name_attribute: "displayName".into(),
        agency_attribute: None,
        accounts: identity::AccountRules::default(),
    }
}
