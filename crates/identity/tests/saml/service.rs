//! Stories of our own messages: requests and metadata, and what comes back by redirect.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::saml::redirect::{Kind, Received, url};
use identity::{Identity, ServiceKeys};
use keys::SystemRandom;
use keys::cert::{CertSpec, Certificate, Usage, issue_rsa, issue_rsa_for};
use keys::sign::{RsaBits, RsaKey};
use keys::transport::TransportKey;
use state::{State, testing};

use crate::common::{Signer, attacker, idp, idp_signer, now};

const LOG_OUT: &str = "https://idp.riverton.example/slo";

pub(crate) fn certificate_spec(usage: Usage) -> CertSpec {
    CertSpec {
        subject_cn: "bailiwick".into(),
        organisation: "Riverton".into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2030-01-01T00:00:00Z".parse().unwrap(),
        usage,
        dns: Vec::new(),
        ips: Vec::new(),
        uris: Vec::new(),
    }
}

/// Keys of ours, with the certificate of one that will follow.
pub(crate) fn service_keys(next: Option<&Certificate>) -> ServiceKeys {
    let signing = RsaKey::generate(RsaBits::Rsa2048).unwrap();
    let shown = issue_rsa(&certificate_spec(Usage::SamlSigning), &signing, &SystemRandom).unwrap();
    let (opening, _) = TransportKey::generate(RsaBits::Rsa2048).unwrap();
    let spec = certificate_spec(Usage::SamlEncryption);
    let spki = opening.public_spki();
    let encryption_certificate =
        issue_rsa_for(&spec, spki, (&shown, &signing), &SystemRandom).unwrap();
    ServiceKeys {
        signing,
        signing_certificates: [shown].into_iter().chain(next.cloned()).collect(),
        decryption: vec![opening],
        encryption_certificate,
        log_out: keys::mac::MacKey::from_bytes([7; 32]),
    }
}

fn query(url: &str) -> &str {
    url.split_once('?').unwrap().1
}

fn code(query: &str, by: &Signer) -> &'static str {
    let read = Received::read(query);
    let certificate = std::slice::from_ref(&by.certificate);
    match read.and_then(|received| received.verify(certificate)) {
        Ok(()) => "good",
        Err(refusal) => refusal.code,
    }
}

#[test]
fn a_signed_message_survives_the_query_and_nothing_in_it_can_be_changed() {
    let by = idp_signer();
    let xml = "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"/>";
    let url = url(LOG_OUT, Kind::Request, xml, Some("to /tools & back"), Some(&by.key)).unwrap();
    assert!(url.starts_with("https://idp.riverton.example/slo?SAMLRequest="), "{url}");
    let good = query(&url);
    let received = Received::read(good).unwrap();
    assert_eq!((received.kind, &received.xml[..]), (Kind::Request, xml.as_bytes()));
    assert_eq!(received.relay_state, "to /tools & back");
    assert_eq!(code(good, by), "good");
    assert_eq!(code(good, attacker()), "saml.redirect.signature");
    // A provider's own parameters stand beside and mean nothing.
    assert_eq!(code(&format!("client-request-id=1&{good}"), by), "good");

    let (before, signature) = good.split_once("&Signature=").unwrap();
    let (unsigned, algorithm) = before.split_once("&SigAlg=").unwrap();
    let message = unsigned.split_once("&RelayState=").unwrap().0;
    let hmac = "http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23hmac-sha256";
    let sha1 = "http%3A%2F%2Fwww.w3.org%2F2000%2F09%2Fxmldsig%23rsa-sha1";
    let cases = [
        (unsigned.to_owned(), "saml.redirect.unsigned"),
        (format!("{unsigned}&Signature={signature}"), "saml.redirect.malformed"),
        (format!("{unsigned}&SigAlg={algorithm}"), "saml.redirect.malformed"),
        (format!("{message}&SigAlg={algorithm}&Signature={signature}"), "saml.redirect.signature"),
        (good.replace("back", "evil"), "saml.redirect.signature"),
        (format!("{good}&RelayState=evil"), "saml.redirect.malformed"),
        (format!("{good}&SAMLResponse=AA"), "saml.redirect.malformed"),
        (format!("{good}&SAMLRequest=AA"), "saml.redirect.malformed"),
        (format!("{good}&SAMLEncoding=plain"), "saml.redirect.malformed"),
        (good.replace("SAMLRequest", "SAMLResponse"), "saml.redirect.signature"),
        (good.replace("to%20", "to+"), "saml.redirect.signature"),
        (format!("{unsigned}&SigAlg={hmac}&Signature={signature}"), "saml.redirect.alg"),
        (format!("{unsigned}&SigAlg={sha1}&Signature={signature}"), "saml.redirect.alg"),
        (good.replace("SAMLRequest=", "SAMLRequest=%2"), "saml.redirect.malformed"),
        (good.replace("SAMLRequest=", "SAMLRequest=AAAA"), "saml.redirect.malformed"),
        ("SAMLRequest=%F0%9F".to_owned(), "saml.redirect.malformed"),
        (String::new(), "saml.redirect.malformed"),
        ("a".repeat(33 * 1024), "saml.redirect.malformed"),
    ];
    for (changed, expected) in cases {
        assert_eq!(code(&changed, by), expected, "{changed}");
    }
}

#[test]
fn the_signature_is_over_the_query_as_it_came_however_it_was_written() {
    let by = idp_signer();
    let xml = "<a/>";
    let plain = url("https://sp.example/", Kind::Response, xml, Some("a b"), None).unwrap();
    // Some providers write escapes in lower case, some a plus for a space; both are theirs to choose.
    let written = query(&plain).replace("%2B", "%2b").replace("%3D", "%3d").replace("a%20b", "a+b");
    let signed =
        format!("{written}&SigAlg=http%3a%2f%2fwww.w3.org%2f2001%2f04%2fxmldsig-more%23rsa-sha256");
    let signature = STANDARD.encode(by.key.sign_sha256(signed.as_bytes()).unwrap());
    let signature = signature.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
    let whole = format!("{signed}&Signature={signature}");
    assert_eq!(code(&whole, by), "good");
    assert_eq!(Received::read(&whole).unwrap().relay_state, "a b");
}

#[test]
fn a_message_that_would_fill_the_memory_is_refused_while_it_is_inflated() {
    let bomb = " ".repeat(100 << 20);
    let url = url("https://sp.example/", Kind::Request, &bomb, None, None).unwrap();
    // Deflated it is a hundred times smaller than inflated, and still too long for a query.
    assert_eq!(Received::read(query(&url)).unwrap_err().code, "saml.redirect.malformed");
    let smaller = " ".repeat(2 << 20);
    let url = identity::saml::redirect::url("s:", Kind::Request, &smaller, None, None).unwrap();
    assert!(query(&url).len() < 32 * 1024);
    let refusal = Received::read(query(&url)).unwrap_err();
    assert_eq!(refusal.detail, "the message is larger than 64 KiB");
}

#[test]
fn our_metadata_shows_two_signing_keys_while_one_follows_the_other() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let state = runtime.block_on(State::open("sqlite::memory:", testing::key())).unwrap();
    let settings = crate::sign_in::settings();
    let without = Identity::new(state, settings, vec![idp()], Arc::new(SystemRandom)).unwrap();
    let text = without.metadata();
    let document = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(document.root_element().attribute("entityID"), Some(crate::common::SP));
    assert!(text.contains("AuthnRequestsSigned=\"false\""), "{text}");
    assert!(text.contains(&format!("Location=\"{}\"", crate::common::ACS)));
    assert!(!text.contains("KeyDescriptor") && !text.contains("SingleLogoutService"));

    let next = &attacker().certificate;
    let keys = service_keys(Some(next));
    let expected: Vec<String> = keys
        .signing_certificates
        .iter()
        .chain([&keys.encryption_certificate])
        .map(|certificate| STANDARD.encode(certificate.der()))
        .collect();
    let text = without.with_keys(keys).metadata();
    let document = roxmltree::Document::parse(&text).unwrap();
    let described = |name: &'static str| {
        document.descendants().filter(move |node| node.tag_name().name() == name)
    };
    let uses: Vec<_> =
        described("KeyDescriptor").filter_map(|node| node.attribute("use")).collect();
    assert_eq!(uses, ["signing", "signing", "encryption"]);
    let shown: Vec<_> = described("X509Certificate").filter_map(|node| node.text()).collect();
    assert_eq!(shown, expected);
    assert!(text.contains("AuthnRequestsSigned=\"true\""), "{text}");
    let order: Vec<_> = document
        .root_element()
        .first_element_child()
        .unwrap()
        .children()
        .map(|n| n.tag_name().name())
        .collect();
    assert_eq!(
        order,
        [
            "KeyDescriptor",
            "KeyDescriptor",
            "KeyDescriptor",
            "SingleLogoutService",
            "AssertionConsumerService"
        ],
        "the schema wants this order"
    );
}

#[tokio::test]
async fn our_request_is_signed_by_the_key_that_our_metadata_shows() {
    let state = State::open("sqlite::memory:", testing::key()).await.unwrap();
    let settings = crate::sign_in::settings();
    let identity = Identity::new(state, settings, vec![idp()], Arc::new(SystemRandom)).unwrap();
    let identity = identity.with_recorder(Arc::new(crate::common::Notes::default()));
    let keys = service_keys(None);
    let ours = keys.signing_certificates.clone();
    let identity = identity.with_keys(keys);
    let started = identity.start_sign_in("riverton", "/", now()).await.unwrap();
    // The provider's own query comes first and is not ours to sign.
    let received = Received::read(query(&started.redirect)).unwrap();
    received.verify(&ours).unwrap();
    assert_eq!(
        received.verify(std::slice::from_ref(&attacker().certificate)).unwrap_err().code,
        "saml.redirect.signature"
    );
    let text = String::from_utf8(received.xml).unwrap();
    assert!(text.contains(&started.request), "{text}");
    assert!(text.contains("<samlp:RequestedAuthnContext Comparison=\"exact\">"), "{text}");
}
