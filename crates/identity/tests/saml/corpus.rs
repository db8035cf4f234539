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
            let covered = covered(&xml, &idp.certificates);
            if name.contains("encrypted") {
                // Its signature holds, and it opens with the key at hand; AES in CBC is refused whoever signed.
                assert!(covered.unwrap().contains("EncryptedAssertion"), "{name}");
                assert_eq!(verify(&idp), "saml.alg", "{name}");
                controls += 1;
                continue;
            }
            // Its signatures are good as they are.
            assert!(covered.unwrap().contains("vincent.vega@evil-corp.com"), "{name}");
            assert_eq!(verify(&idp), "saml.time", "{name}");
            judge_mended(
                name,
                &String::from_utf8(xml.clone()).unwrap(),
                issuer,
                audience,
                acs,
                request,
            );
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

/// What keeps the controls from being accepted as they are, each with the refusal that it is worth: no time in
/// them is written as SAML wants it, the response is of 2015 and the assertion of 2020, so that there is no
/// instant at which both hold, it is for no audience, and the name ends in a line break.
const FAULTS: [(&str, &str); 4] = [
    ("times with an offset", "saml.time"),
    ("years apart", "saml.time"),
    ("no audience", "saml.conditions.audience"),
    ("white space in the name", "saml.nameid"),
];

/// The control with all faults mended but one, signed again where it was signed.
fn mended(xml: &str, audience: &str, left: &str) -> String {
    let mend = |fault: &str| fault != left;
    let (outer, _) = crate::forge::cut(xml, "Response");
    let (mut xml, mut signed) = (outer, Vec::new());
    // The signatures of response and assertion, which are their children; those in an advice stay.
    loop {
        let document = roxmltree::Document::parse(&xml).unwrap();
        let found = document.descendants().find(|node| {
            let parent = node.parent_element();
            let grand = parent.and_then(|parent| parent.parent_element());
            node.tag_name().name() == "Signature"
                && parent.is_some_and(|parent| parent.attribute("ID").is_some())
                && grand.is_none_or(|grand| {
                    grand.parent_element().is_none() && grand.tag_name().name() == "Response"
                })
        });
        let Some(found) = found else { break };
        signed.push(found.parent_element().unwrap().attribute("ID").unwrap().to_owned());
        let range = found.range();
        xml = [&xml[..range.start], &xml[range.end..]].concat();
    }
    if mend("years apart") {
        xml = xml.replace("2015-08-31T08:54:06", "2020-09-25T16:00:00");
    }
    if mend("times with an offset") {
        xml = xml.replace("+00:00\"", "Z\"");
    }
    if mend("no audience") {
        xml = crate::forge::changed(&xml, "Conditions", |tag| {
            let restriction = format!(
                "<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>\
                 </saml:AudienceRestriction></saml:Conditions>"
            );
            tag.replacen("/>", &format!(">{restriction}"), 1)
        });
    }
    if mend("white space in the name") {
        xml = crate::forge::changed(&xml, "NameID", |tag| {
            let (head, rest) = tag.split_once('>').unwrap();
            let (name, tail) = rest.split_once('<').unwrap();
            format!("{head}>{}<{tail}", name.trim())
        });
    }
    // The assertion's signature first: the response's covers it.
    let root =
        roxmltree::Document::parse(&xml).unwrap().root_element().attribute("ID").map(str::to_owned);
    signed.sort_by_key(|id| Some(id) == root.as_ref());
    signed
        .iter()
        .fold(xml, |xml, id| crate::common::sign_one(&xml, id, crate::common::idp_signer()))
}

fn judge_mended(name: &str, xml: &str, issuer: &str, audience: &str, acs: &str, request: &str) {
    let mut idp = provider(issuer, &crate::common::idp_signer().certificate.pem());
    let class = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
    idp.mfa_contexts = vec![class.to_owned()];
    let judge = |left: &str| {
        let xml = mended(xml, audience, left);
        let expectation = Expectation {
            idp: &idp,
            entity_id: audience,
            acs_url: acs,
            request_id: Some(request),
            decryption: &[],
            reauthenticated_since: None,
            now: "2020-09-25T16:01:00Z".parse().unwrap(),
        };
        verify_xml(xml.as_bytes(), &expectation)
            .map_or_else(|refusal| refusal.code.to_owned(), |assertion| assertion.name_id)
    };
    assert_eq!(judge(""), "vincent.vega@evil-corp.com", "{name}");
    for (left, code) in FAULTS {
        assert_eq!(judge(left), code, "{name}: {left}");
    }
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
        second_factor: None,
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
