//! Our own keys: kept over restarts, followed by others without a day on which nothing works.

use identity::saml::encryption::encrypt;
use identity::saml::redirect::Received;
use keys::SystemRandom;
use keys::cert::Certificate;
use keys::transport::Oaep;

use crate::common::{Layout, now, signed};
use crate::stage::{Agency, Begun, Home, read, response, set_cookie};

/// The certificates of this use in our metadata.
async fn shown(agency: &Agency, usage: &str) -> Vec<String> {
    let page = agency.get("/saml/metadata", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("application/samlmetadata+xml"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let document = roxmltree::Document::parse(&text).unwrap();
    let described = document.descendants().filter(|node| node.attribute("use") == Some(usage));
    let inside = described.flat_map(|node| node.descendants().collect::<Vec<_>>());
    let found = inside.filter(|node| node.has_tag_name("X509Certificate"));
    found.filter_map(|node| node.text()).map(str::to_owned).collect()
}

fn encoded(certificate: &Certificate) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(certificate.der())
}

/// A right response whose assertion is encrypted to this key of ours, and signed around it.
fn encrypted(begun: &Begun, n: u32, spki: &[u8], oaep: Oaep) -> String {
    let xml = signed(&response(begun, n, now()), Layout::Assertion);
    let from = xml.find("<saml:Assertion").unwrap();
    let end = "</saml:Assertion>";
    let to = xml.find(end).unwrap() + end.len();
    // On its own it needs the namespace that the response lent it.
    let namespace = "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ";
    let alone = xml[from..to].replacen("<saml:Assertion ", namespace, 1);
    let hidden = encrypt(&alone, spki, oaep, &SystemRandom).unwrap();
    signed(&[&xml[..from], &hidden, &xml[to..]].concat(), Layout::Response)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_keys_are_kept_and_one_follows_another_without_a_gap() {
    let home = Home::new();
    let agency = home.start("").await;
    let (first, opening) = (shown(&agency, "signing").await, shown(&agency, "encryption").await);
    assert_eq!((first.len(), opening.len()), (1, 1));
    agency.stop().await;

    // The next key is made and shown; the present one still signs.
    let agency = home.start("[saml]\nnext_key = 2\n").await;
    let both = shown(&agency, "signing").await;
    assert_eq!((both.len(), &both[0]), (2, &first[0]), "kept over the restart");
    let newest = shown(&agency, "encryption").await;
    assert_ne!(newest, opening, "providers encrypt to the newest key from now on");
    let begun = agency.begin("riverton").await;
    let certificate = Certificate::from_pem(&read(&home.path("data/saml/signing-1.pem"))).unwrap();
    assert_eq!(encoded(&certificate), first[0]);
    let received = Received::read(begun.to.split_once('?').unwrap().1).unwrap();
    received.verify(&[certificate]).unwrap();
    // A provider that has not looked at our metadata again encrypts to the old key.
    let old = home.opening_key();
    let answer = encrypted(&begun, 1, old.public_spki(), Oaep::Sha256);
    let page = agency.answer(&begun, answer.as_bytes()).await;
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/notice")),
        "{:?} {}",
        agency.newest(),
        page.text()
    );
    agency.stop().await;

    // The second key takes over; what is still encrypted to the first is opened.
    let agency = home.start("[saml]\nkey = 2\nprevious_key = 1\n").await;
    assert_eq!(shown(&agency, "signing").await, both[1..]);
    assert_eq!(shown(&agency, "encryption").await, newest);
    let begun = agency.begin("riverton").await;
    let certificate = Certificate::from_pem(&read(&home.path("data/saml/signing-2.pem"))).unwrap();
    Received::read(begun.to.split_once('?').unwrap().1).unwrap().verify(&[certificate]).unwrap();
    let answer = encrypted(&begun, 2, old.public_spki(), Oaep::Sha1);
    let page = agency.answer(&begun, answer.as_bytes()).await;
    assert_eq!(page.status, 303, "{}", page.text());
    assert!(set_cookie(&page, "__Host-sid").len() > 40);
    agency.stop().await;

    let agency = home.start("[saml]\nkey = 2\n").await;
    let begun = agency.begin("riverton").await;
    let answer = encrypted(&begun, 3, old.public_spki(), Oaep::Sha256);
    let page = agency.answer(&begun, answer.as_bytes()).await;
    assert_eq!(page.status, 403, "the first key is gone: {}", page.text());
    let (_, event) = agency.newest();
    assert!(format!("{event:?}").contains("saml.decrypt"), "{event:?}");
    agency.stop().await;
}
