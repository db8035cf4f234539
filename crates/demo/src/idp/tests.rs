//! Stories of the demo's provider, driven over HTTP, with the real verifier on the other side.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine;
use identity::saml::request::AuthnRequest;
use identity::saml::{Assertion, Expectation, verify_response};
use identity::{IdpSettings, Refusal};
use keys::{FixedClock, SystemRandom};

use super::*;

const SP: &str = "http://127.0.0.1:8080/saml";
const ACS: &str = "http://127.0.0.1:8080/saml/acs";

fn now() -> Timestamp {
    "2026-11-22T08:00:00Z".parse().unwrap()
}

fn persona(id: &str, agency: &str, functions: &[&str]) -> Persona {
    Persona {
        id: id.into(),
        name: format!("Name of <{id}>"),
        agency: agency.parse().unwrap(),
        functions: functions.iter().map(|f| f.parse().unwrap()).collect(),
    }
}

fn build(base_url: &str, clock: Arc<dyn Clock>) -> Result<DemoIdp, IdpError> {
    let personas = vec![
        persona("det.ruiz", "NB0010100", &["detective"]),
        persona("sgt.okafor", "NB0010100", &["supervisor", "patrol-officer"]),
        persona("inv.pell", "NB0020000", &["investigator"]),
    ];
    let keys = IdpKeys::generate(now(), &SystemRandom).unwrap();
    let only = DemoOnly::by_the_runner();
    let idp = DemoIdp::new(only, base_url, personas, keys, clock, Arc::new(SystemRandom))?;
    Ok(idp.with_service(Service {
        entity_id: SP.into(),
        acs_url: ACS.into(),
        agency: "NB0010100".parse().unwrap(),
        label: "Riverton".into(),
    }))
}

/// A provider that listens, and what a service knows of it.
struct Stage {
    address: SocketAddr,
    clock: Arc<FixedClock>,
    settings: IdpSettings,
}

fn stage() -> Stage {
    let clock = Arc::new(FixedClock::new(now()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let idp = Arc::new(build(&format!("http://{address}"), clock.clone()).unwrap());
    let agency = "NB0010100".parse().unwrap();
    let metadata = idp.metadata();
    let settings = IdpSettings::from_metadata("demo", agency, metadata.as_bytes(), now()).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router(idp)).await.unwrap();
        });
    });
    Stage { address, clock, settings }
}

impl Stage {
    fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.http(&format!("GET {path} HTTP/1.1\r\nHost: idp\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, form: &str) -> String {
        self.http(&format!(
            "POST {path} HTTP/1.1\r\nHost: idp\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ))
    }

    fn request(&self, force_authn: bool) -> AuthnRequest<'_> {
        AuthnRequest {
            id: "_request".into(),
            issued_at: now(),
            idp: &self.settings,
            entity_id: SP,
            acs_url: ACS,
            force_authn,
        }
    }

    /// The first page for a request.
    fn open(&self, request: &AuthnRequest<'_>) -> String {
        let url = request.redirect_url("relay/1 &", None).unwrap();
        self.get(url.split_once(&self.address.to_string()).unwrap().1)
    }

    fn verify(&self, page: &str) -> Result<Assertion, Refusal> {
        assert_eq!(field(page, "RelayState"), "relay/1 &amp;");
        let expectation = Expectation {
            idp: &self.settings,
            entity_id: SP,
            acs_url: ACS,
            request_id: Some("_request"),
            decryption: &[],
            reauthenticated_since: Some(now()),
            now: self.clock.now(),
        };
        verify_response(field(page, "SAMLResponse").as_bytes(), &expectation)
    }
}

/// The value of a hidden field.
fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let after = page.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1;
    after.split_once('"').unwrap().0
}

#[test]
fn a_persona_chooses_approves_and_is_signed_in() {
    let stage = stage();
    let page = stage.open(&stage.request(false));
    assert!(page.contains("Who are you?") && page.contains("Riverton"), "{page}");
    assert!(
        page.contains("Name of &lt;det.ruiz&gt;") && page.contains("supervisor, patrol officer")
    );
    assert!(!page.contains("inv.pell"), "another agency's people are not offered");
    assert!(!page.contains("prove who you are again"));
    let handle = field(&page, "sign_in").to_owned();
    let page = stage.post("/persona", &format!("sign_in={handle}&persona=sgt.okafor"));
    assert!(page.contains("Demo only: approve the pretended second factor"), "{page}");
    stage.clock.advance(SignedDuration::from_mins(1));
    let page = stage.post("/approve", &format!("sign_in={handle}"));
    assert!(page.contains(&format!("action=\"{ACS}\"")), "{page}");
    assert!(page.contains("form-action 'self' http://127.0.0.1:8080;"), "{page}");
    let assertion = stage.verify(&page).unwrap();
    assert_eq!(assertion.name_id, "sgt.okafor");
    assert_eq!(assertion.values("displayName"), ["Name of <sgt.okafor>"]);
    assert_eq!(assertion.values("functions"), ["supervisor", "patrol-officer"]);
    assert_eq!(assertion.authenticated_at, now() + SignedDuration::from_mins(1));
    // The sign-in is over.
    let again = stage.post("/approve", &format!("sign_in={handle}"));
    assert!(again.starts_with("HTTP/1.1 400") && again.contains("begin again"), "{again}");
}

#[test]
fn a_forced_authentication_shows_the_pages_again_with_a_new_instant() {
    let stage = stage();
    for minute in [0, 3] {
        stage.clock.set(now() + SignedDuration::from_mins(minute));
        let page = stage.open(&stage.request(true));
        assert!(page.contains("prove who you are again"), "{page}");
        let handle = field(&page, "sign_in").to_owned();
        stage.post("/persona", &format!("sign_in={handle}&persona=det.ruiz"));
        let page = stage.post("/approve", &format!("sign_in={handle}"));
        let assertion = stage.verify(&page).unwrap();
        assert_eq!(assertion.authenticated_at, now() + SignedDuration::from_mins(minute));
    }
}

#[test]
fn who_declines_or_chose_nobody_is_not_signed_in() {
    let stage = stage();
    for (persona, path) in [("det.ruiz", "/decline"), ("", "/approve")] {
        let handle = field(&stage.open(&stage.request(false)), "sign_in").to_owned();
        if !persona.is_empty() {
            stage.post("/persona", &format!("sign_in={handle}&persona={persona}"));
        }
        let page = stage.post(path, &format!("sign_in={handle}"));
        assert_eq!(stage.verify(&page).unwrap_err().code, "saml.status.authn-failed");
    }
    let handle = field(&stage.open(&stage.request(false)), "sign_in").to_owned();
    for persona in ["inv.pell", "root"] {
        let page = stage.post("/persona", &format!("sign_in={handle}&persona={persona}"));
        assert!(page.starts_with("HTTP/1.1 400") && page.contains("no such person"), "{page}");
    }
}

#[test]
fn a_context_that_the_provider_can_not_state_is_answered_with_a_status() {
    let mut stage = stage();
    stage.settings.mfa_contexts =
        vec!["urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI".into()];
    let handle = field(&stage.open(&stage.request(false)), "sign_in").to_owned();
    stage.post("/persona", &format!("sign_in={handle}&persona=det.ruiz"));
    let page = stage.post("/approve", &format!("sign_in={handle}"));
    assert_eq!(stage.verify(&page).unwrap_err().code, "saml.status.no-authn-context");
}

#[test]
fn requests_of_strangers_and_broken_ones_get_a_plain_page() {
    let stage = stage();
    for change in ["entity", "acs"] {
        let mut request = stage.request(false);
        match change {
            "entity" => request.entity_id = "http://evil.example",
            _ => request.acs_url = "http://evil.example/acs",
        }
        let page = stage.open(&request);
        assert!(page.starts_with("HTTP/1.1 400") && page.contains("not registered"), "{page}");
    }
    let deflated = {
        let mut encoder =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 100_000]).unwrap();
        base64::engine::general_purpose::STANDARD.encode(encoder.finish().unwrap())
    };
    let bomb = deflated.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    for (query, why) in [
        ("SAMLRequest=!", "not base64"),
        ("SAMLRequest=AAAA", "not"),
        (&*format!("SAMLRequest={bomb}"), "too large"),
    ] {
        let page = stage.get(&format!("/sso?{query}"));
        assert!(page.starts_with("HTTP/1.1 400") && page.contains(why), "{query}: {page}");
    }
}

#[test]
fn every_page_is_plain_and_under_a_strict_policy() {
    let stage = stage();
    let first = stage.open(&stage.request(true));
    let handle = field(&first, "sign_in").to_owned();
    let second = stage.post("/persona", &format!("sign_in={handle}&persona=det.ruiz"));
    let third = stage.post("/approve", &format!("sign_in={handle}"));
    let fourth = stage.post("/approve", &format!("sign_in={handle}"));
    for page in [first, second, third, fourth] {
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none';"), "{head}");
        assert!(!head.contains("unsafe"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(body.contains("<html lang=\"en\">") && body.contains("<h1>"), "{body}");
        for absent in ["<script", "<style", " style=", " onclick", " onload"] {
            assert!(!body.contains(absent), "{absent}: {body}");
        }
    }
    assert!(stage.get("/demo.css").contains("text/css"));
    assert!(stage.get("/metadata").contains("IDPSSODescriptor"));
}

#[test]
fn a_sign_in_is_over_after_ten_minutes() {
    let stage = stage();
    let handle = field(&stage.open(&stage.request(false)), "sign_in").to_owned();
    stage.clock.advance(SignedDuration::from_mins(11));
    let page = stage.post("/persona", &format!("sign_in={handle}&persona=det.ruiz"));
    assert!(page.starts_with("HTTP/1.1 400") && page.contains("over"), "{page}");
}

#[test]
fn sign_ins_under_way_are_bounded_and_the_oldest_gives_way() {
    let clock = Arc::new(FixedClock::new(now()));
    let idp = build("http://127.0.0.1:1", clock.clone()).unwrap();
    let agency = "NB0010100".parse().unwrap();
    let settings =
        IdpSettings::from_metadata("demo", agency, idp.metadata().as_bytes(), now()).unwrap();
    let request = AuthnRequest {
        id: "_r".into(),
        issued_at: now(),
        idp: &settings,
        entity_id: SP,
        acs_url: ACS,
        force_authn: false,
    };
    let url = request.redirect_url("", None).unwrap();
    let query = url.split_once("SAMLRequest=").unwrap().1.split_once('&').unwrap().0;
    let query = query.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let first = idp.begin(&query, "").unwrap();
    clock.advance(SignedDuration::from_secs(1));
    let mut last = String::new();
    for _ in 0..PENDING_MAX {
        last = idp.begin(&query, "").unwrap();
    }
    assert!(matches!(idp.pending(&first), Err(IdpError::Over)));
    assert!(idp.pending(&last).is_ok());
    assert_eq!(idp.pending.lock().unwrap().len(), PENDING_MAX);
}

#[test]
fn it_serves_this_machine_only_and_knows_each_person_once() {
    let clock = Arc::new(FixedClock::new(now()));
    for url in [
        "http://0.0.0.0:8082",
        "http://idp.example",
        "https://127.0.0.1",
        "http://127.0.0.1.evil:1",
        "http://127.0.0.1/",
    ] {
        let refused = build(url, clock.clone());
        assert!(matches!(refused, Err(IdpError::NotLoopback { .. })), "{url}");
    }
    let twice = vec![persona("a", "NB0010100", &["detective"]); 2];
    let keys = IdpKeys::generate(now(), &SystemRandom).unwrap();
    let only = DemoOnly::by_the_runner();
    let refused =
        DemoIdp::new(only, "http://localhost:1", twice, keys, clock, Arc::new(SystemRandom));
    assert!(matches!(refused, Err(IdpError::TwoPersonas { .. })));
}
