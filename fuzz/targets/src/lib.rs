//! Every parser of bytes from outside, by name: for a coverage-guided fuzzer (`fuzz/`), and for the test
//! beside this that runs all of them on every build.
//!
//! A target takes any bytes and returns. It never panics, and it gives nothing.

use std::path::Path;

use axum::http::{HeaderMap, HeaderValue, header};
use identity::saml::file::{Question, verify_file};
use identity::scim::{Document, ListQuery, Meta, Patch, ResourceType};
use jiff::Timestamp;
use ledger::format;
use policy::{Action, Policy};

pub mod signed;

/// A parser and its name, which is also that of its folder of seeds.
pub struct Target {
    /// Lower case, with dashes.
    pub name: &'static str,
    /// The parser.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 40] = [
    Target { name: "ledger-frames", run: ledger_frames },
    Target { name: "ledger-notes", run: ledger_notes },
    Target { name: "ledger-evidence", run: ledger_evidence },
    Target { name: "ledger-archive", run: ledger_archive },
    Target { name: "witness-message", run: witness_message },
    Target { name: "witness-policy", run: witness_policy },
    Target { name: "ledger-disposed", run: ledger_disposed },
    Target { name: "tool-file", run: tools::fuzzing::tool_file },
    Target { name: "tool-expression", run: tool_expression },
    Target { name: "saml-response", run: saml_response },
    Target { name: "saml-signed", run: signed::run },
    Target { name: "saml-metadata", run: saml_metadata },
    Target { name: "saml-redirect", run: saml_redirect },
    Target { name: "scim-filter", run: scim_filter },
    Target { name: "scim-patch", run: scim_patch },
    Target { name: "scim-user", run: scim_user },
    Target { name: "oidc-message", run: oidc_message },
    Target { name: "oidc-keys", run: oidc_keys },
    Target { name: "oidc-discovery", run: oidc_discovery },
    Target { name: "security-event", run: security_event },
    Target { name: "training-list", run: training_list },
    Target { name: "security-key", run: identity::emergency::security_key::fuzz },
    Target { name: "emergency-half", run: emergency_half },
    Target { name: "ldap-message", run: identity::ldap::fuzz },
    Target { name: "event-poll", run: event_poll },
    Target { name: "certificate", run: certificate },
    Target { name: "revocation", run: revocation },
    Target { name: "proxy-header", run: web::front::fuzz },
    Target { name: "configuration", run: configuration },
    Target { name: "multipart", run: web::multipart::fuzz },
    Target { name: "multipart-streamed", run: web::streamed::fuzz },
    Target { name: "policy", run: policy_file },
    Target { name: "parcel-part", run: parcel_part },
    Target { name: "parcel-signature", run: parcel::fuzzing::signature },
    Target { name: "parcel-bag", run: parcel::fuzzing::bag_files },
    Target { name: "parcel-file", run: parcel::fuzzing::one_file },
    Target { name: "parcel-media", run: parcel::fuzzing::media },
    Target { name: "parcel-foreign-zip", run: parcel::fuzzing::foreign_zip },
    Target { name: "exchange-message", run: exchange_message },
    Target { name: "exchange-book", run: exchange::fuzzing::book_file },
];

/// The target of this name.
pub fn named(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn ledger_frames(data: &[u8]) {
    let ledger: format::LedgerId = data.first_chunk().copied().unwrap_or_default();
    std::hint::black_box(format::Envelope::parse(data));
    drop(format::Frame::parse(data));
    drop(format::SegmentHead::parse(data));
    drop(format::JournalFrame::parse(data, &ledger));
    drop(format::JournalScan::read(data, &ledger));
    drop(format::Body::parse(data));
    std::hint::black_box(format::BodyRecord::parse(data));
    std::hint::black_box(format::wrapped_key(data, &ledger));
    drop(format::Identity::parse(&text(data)));
    std::hint::black_box(format::Segment::parse(&text(data)));
    std::hint::black_box(format::Bucket::parse(&text(data)));
}

fn ledger_notes(data: &[u8]) {
    let text = text(data);
    if let Ok(key) = ledger::note::VerifierKey::parse(text.lines().next().unwrap_or_default()) {
        drop(ledger::note::Checkpoint::open(&text, &key));
    }
    drop(ledger::note::Checkpoint::parse(&text));
}

fn ledger_evidence(data: &[u8]) {
    drop(ledger::evidence::Evidence::parse(&text(data)));
}

/// A request, the lines and the sizes of an answer, a cosigned note.
fn witness_message(data: &[u8]) {
    use ledger::witness::{AddCheckpoint, Answer, Cosignature, SIZE_TYPE, WitnessKey};

    if let Ok((request, _)) = AddCheckpoint::parse(data) {
        drop(AddCheckpoint::parse(request.encode().as_bytes()));
    }
    for status in [200, 409, 503] {
        std::hint::black_box(Answer::read(status, SIZE_TYPE, data));
    }
    let text = text(data);
    let (first, rest) = text.split_once('\n').unwrap_or_default();
    if let Ok(key) = WitnessKey::parse(first) {
        std::hint::black_box(Cosignature::on(rest, &key).is_ok());
        std::hint::black_box(Cosignature::find("", rest, &key).is_ok());
    }
    ledger::witness::fuzz_document(data);
}

fn witness_policy(data: &[u8]) {
    if let Ok(policy) = ledger::witness::Policy::parse(data) {
        std::hint::black_box(policy.quorum.met(&|at| at % 2 == 0));
    }
}

fn ledger_disposed(data: &[u8]) {
    std::hint::black_box(format::Statement::parse(data));
    let text = text(data);
    if let Some(disposed) = format::Disposed::parse(&text) {
        assert!(disposed.encode().is_ok_and(|encoded| encoded == text));
    }
    for part in text.split(['\n', ' ']) {
        if let Some(ranges) = format::Ranges::parse(part) {
            assert_eq!(ranges.to_string(), part);
        }
        drop(part.parse::<ledger::retention::HoldName>());
    }
}

fn ledger_archive(data: &[u8]) {
    drop(ledger::archive::Manifest::parse(&text(data)));
    std::hint::black_box(ledger::archive::Manifest::of_path(&text(data)));
    std::hint::black_box(ledger::archive::segments_of(data));
}

fn tool_expression(data: &[u8]) {
    if let Ok(question) = policy::sample(Action::RunQuery) {
        tools::fuzzing::expression(data, &question.actor);
    }
}

/// The provider whose answers the seeds are.
const METADATA: &[u8] = include_bytes!("../../seeds/saml-metadata/demo.xml");

fn saml_response(data: &[u8]) {
    drop(verify_file(&Question {
        response: data,
        idp_metadata: METADATA,
        entity_id: "http://127.0.0.1:8080/saml/metadata",
        acs_url: "http://127.0.0.1:8080/saml/acs",
        // Within the validity of the seed.
        at: Timestamp::constant(SEED_SECONDS, 0),
        request_id: None,
        decryption: &[],
    }));
}

fn saml_metadata(data: &[u8]) {
    if let Ok(ori) = "NB0010100".parse() {
        let now = Timestamp::constant(SEED_SECONDS, 0);
        drop(identity::IdpSettings::from_metadata("fuzz", ori, data, now));
    }
}

fn saml_redirect(data: &[u8]) {
    let received = identity::saml::redirect::Received::read(&text(data));
    drop(received.and_then(|received| received.verify(&[])));
}

/// The person whom filters are asked of and PATCHes change.
const PERSON: &[u8] = include_bytes!("../../seeds/scim-user/entra.json");

fn scim_meta() -> Meta {
    let at = Timestamp::constant(SEED_SECONDS, 0);
    Meta { id: "1".into(), created_at: at, modified_at: at, version: 1, location: "/1".into() }
}

fn scim_filter(data: &[u8]) {
    let text = text(data);
    let person = Document::read(ResourceType::User, PERSON);
    for kind in ResourceType::ALL {
        let pairs = [("filter".to_owned(), text.clone())];
        if let (Ok(query), Ok(person)) = (ListQuery::from_pairs(kind, &pairs), &person) {
            let asked = query.filter.map(|one| one.matches(&person.resource(&scim_meta(), &[])));
            std::hint::black_box(asked);
        }
        drop(ListQuery::from_search(kind, data));
        drop(ListQuery::from_pairs(kind, &[("attributes".to_owned(), text.clone())]));
    }
}

fn scim_patch(data: &[u8]) {
    drop(Patch::read(ResourceType::Group, data));
    let read = (Patch::read(ResourceType::User, data), Document::read(ResourceType::User, PERSON));
    if let (Ok(patch), Ok(person)) = read
        && let Ok(patched) = patch.apply(&person)
    {
        again(&patched);
    }
}

fn scim_user(data: &[u8]) {
    for kind in ResourceType::ALL {
        if let Ok(document) = Document::read(kind, data) {
            again(&document);
        }
    }
}

/// What is shown can be sent back, and is the same.
fn again(document: &Document) {
    let shown = serde_json::Value::Object(document.resource(&scim_meta(), &[])).to_string();
    let read = Document::read(document.kind(), shown.as_bytes());
    assert!(read.is_ok_and(|read| read == *document));
}

/// A signed message, as an ID token or a logout token is one, under the keys of RFC 7515's examples.
fn oidc_message(data: &[u8]) {
    let keys =
        identity::oidc::jwks::Jwks::parse(include_bytes!("../../seeds/oidc-keys/rfc7515.json"));
    if let (Ok(message), Ok(keys)) = (identity::oidc::jose::Jws::parse(&text(data)), keys) {
        drop(message.typ());
        std::hint::black_box(message.verify(&keys).is_ok());
    }
}

/// What a transmitter states, given as if its signature had been verified.
fn security_event(data: &[u8]) {
    let settings = identity::ssf::StreamSettings {
        id: "fuzz".into(),
        issuer: "https://signals.example".into(),
        audience: "us".into(),
        jwks_url: "https://signals.example/jwks".into(),
        idp: "fuzz".into(),
        subject_issuer: "https://idp.example".into(),
    };
    identity::ssf::fuzz_claims(data, &settings, Timestamp::constant(SEED_SECONDS, 0));
}

/// A list of trainings: read whole, or every wrong line named.
fn training_list(data: &[u8]) {
    let today = jiff::civil::Date::constant(2026, 11, 30);
    match identity::qualified::csv::read(&text(data), today) {
        Ok(lines) => assert!(!lines.is_empty()),
        Err(bad) => assert!(!bad.is_empty()),
    }
}

fn emergency_half(data: &[u8]) {
    drop(identity::emergency::Half::read(&text(data)));
}

/// What a transmitter answers when it is asked for events.
fn event_poll(data: &[u8]) {
    if let Ok(answer) = identity::ssf::poll::read(data) {
        assert!(answer.tokens.len() <= identity::ssf::poll::TOKENS_MAX);
    }
}

fn oidc_keys(data: &[u8]) {
    drop(identity::oidc::jwks::Jwks::parse(data));
}

fn oidc_discovery(data: &[u8]) {
    if let Ok(ori) = "NB0010100".parse() {
        let settings = identity::oidc::OidcSettings::new("fuzz", ori, "https://idp.example", "us");
        drop(identity::oidc::discovery::Discovery::parse(data, &settings));
    }
    drop(identity::oidc::discovery::Place::of(&text(data)));
}

fn certificate(data: &[u8]) {
    if let Ok(found) = keys::cert::Certificate::from_der(data) {
        drop((found.subject(), found.issuer(), found.alternative_names(), found.pem()));
        std::hint::black_box((found.is_ca(), found.allows_signing(), found.allows_key_agreement()));
        drop((found.person_names(), found.policies(), found.purposes()));
        std::hint::black_box(found.has_strong_key());
    }
    let text = text(data);
    drop(keys::cert::Certificate::chain_from_pem(&text));
    drop(keys::cert::private_key_from_pem(&text));
}

/// Lists of revoked certificates, and a responder's answers.
fn revocation(data: &[u8]) {
    if let Ok(lists) = keys::cert::crl::read(data) {
        drop(wire::chain::Lists::new(lists));
    }
    static ASKED: std::sync::OnceLock<Option<(keys::ocsp::Question, keys::cert::Certificate)>> =
        std::sync::OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let pem = include_str!("../../seeds/certificate/tls.pem");
        let own = keys::cert::Certificate::from_pem(pem).ok()?;
        let names = keys::ocsp::NameHash::Sha1;
        let question = keys::ocsp::Question::new(&own, &own, names, &keys::SystemRandom).ok()?;
        Some((question, own))
    });
    if let Some((question, issuer)) = asked {
        let at = Timestamp::from_second(SEED_SECONDS).unwrap_or_default();
        std::hint::black_box(question.read(data, issuer, false, at).is_ok());
    }
}

fn configuration(data: &[u8]) {
    drop(web::config::Config::parse(&text(data), Path::new("/nowhere/bailiwick.toml")));
    let mut headers = HeaderMap::new();
    if let Ok(range) = HeaderValue::from_bytes(data) {
        headers.insert(header::RANGE, range);
        drop(web::pages::documents::range_of(&headers));
    }
    std::hint::black_box(identity::cookie::find(&text(data), "__Host-session"));
}

fn policy_file(data: &[u8]) {
    let (schema, _) = policy::defaults();
    let files = [("fuzz.cedar".to_owned(), text(data))];
    drop(Policy::from_text(&schema, &files, keys::digest::sha256));
}

fn parcel_part(data: &[u8]) {
    parcel::fuzzing::part(data);
    parcel::fuzzing::archive(data);
}

fn exchange_message(data: &[u8]) {
    exchange::fuzzing::message(data);
}

/// A second after the SAML seeds were made, on 23 November 2026.
const SEED_SECONDS: i64 = 1795405202;
