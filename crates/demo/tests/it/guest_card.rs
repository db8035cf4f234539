//! A guest comes in with a card of their own agency's, at the guests' name: the listener asks for it there and nowhere else.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keys::{Clock, SystemClock};
use testkit::{AUTHORITY, Pki, Wanted};

use crate::guest_door::{Visitor, value};
use crate::stage::Stage;

const CARD: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
     extendedKeyUsage=clientAuth\ncertificatePolicies=2.16.840.1.101.3.2.1.3.13\n\
     subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:";

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

/// Millbrook's authority, two cards of it, and one of nobody's. Nothing where there is no openssl.
fn cards(folder: &Path) -> Option<Pki> {
    let (now, day) = (SystemClock.now(), SignedDuration::from_hours(24));
    let pki = Pki::new(folder, &stamp(now - day), &stamp(now + day)).unwrap()?;
    for (authority, names) in [("millbrook", vec!["tran", "unknown"]), ("nobody", vec!["stranger"])]
    {
        let subject = format!("/O={authority}/CN={authority} CA");
        pki.authority(authority, None, &Wanted::new(&subject, AUTHORITY)).unwrap();
        for name in names {
            let extensions = format!("{CARD}{name}@millbrook.example\n");
            let wanted = Wanted::new(&format!("/O={authority}/CN={name}"), &extensions);
            pki.issue(authority, name, &wanted).unwrap();
        }
    }
    Some(pki)
}

/// A request with a card in the reader.
fn ask(
    guest: &Visitor,
    pki: &Pki,
    card: &str,
    address: &str,
    more: &[&str],
) -> crate::guest_door::Got {
    let (certificate, key) = (pki.certificate(card), pki.key(card));
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let mut arguments = vec!["--cert", certificate.as_str(), "--key", key.as_str()];
    arguments.extend(more);
    guest.ask(address, &arguments)
}

/// The block of the configuration that takes those cards.
fn provider(pki: &Pki) -> String {
    format!(
        r#"
[[certificate_provider]]
id = "millbrook-card"
label = "Millbrook smart card"
authorities = "{}"
name = "upn"
policies = ["2.16.840.1.101.3.2.1.3.13"]
multi_factor = true
without_revocation = true
agency = "NB0030000"
functions = ["partner-guest"]
"#,
        pki.certificate("millbrook").display()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_signs_in_with_a_card_at_the_guests_name() {
    let folder = tempfile::tempdir().unwrap();
    let Some(pki) = cards(&folder.path().join("pki")) else { return };
    let stage = Stage::start(&provider(&pki)).await;
    let Some(guest) = Visitor::new(&stage) else { return };
    let mut voss = stage.administrator().await;
    let page = voss.open("/people/new").await.unwrap();
    let mut form = page.pressed("Make the account").unwrap();
    for (name, value) in [
        ("idp", "millbrook-card"),
        ("name_id", "tran@millbrook.example"),
        ("name", "Linh Tran"),
        ("kind", "guest"),
        ("functions", "partner-guest"),
        ("reason", "invited"),
    ] {
        form = form.set(name, value).unwrap();
    }
    let made = voss.browser.submit(&page, &form).await.unwrap();
    assert_eq!(made.status, 200, "{}", made.text());

    let base = guest.base.clone();
    let doors = ask(&guest, &pki, "tran", &format!("{base}/sign-in"), &[]);
    assert!(doors.body.contains("Millbrook smart card"), "{}", doors.body);
    let sign_in = |card: &str| {
        let begun = ask(&guest, &pki, card, &format!("{base}/sign-in/millbrook-card"), &[]);
        assert_eq!(begun.status, 303, "{}", begun.body);
        let page = ask(&guest, &pki, card, &begun.redirect, &[]);
        if page.status != 200 || !page.body.contains("name=\"relay\"") {
            return page;
        }
        let relay = format!("relay={}", value(&page.body, "relay"));
        let form = ["-H", "sec-fetch-site: same-origin", "--data-urlencode", relay.as_str()];
        ask(&guest, &pki, card, &format!("{base}/certificate"), &form)
    };
    let got = sign_in("tran");
    assert_eq!(
        (got.status, got.redirect.as_str()),
        (303, format!("{base}/notice").as_str()),
        "{}",
        got.body
    );
    let csrf = value(&ask(&guest, &pki, "tran", &format!("{base}/notice"), &[]).body, "csrf");
    let csrf = format!("csrf={csrf}");
    let form = ["-H", "sec-fetch-site: same-origin", "--data-urlencode", csrf.as_str()];
    let got = ask(&guest, &pki, "tran", &format!("{base}/notice"), &form);
    assert_eq!(got.redirect, format!("{base}/guest"), "{}", got.body);
    let page = ask(&guest, &pki, "tran", &format!("{base}/guest"), &[]);
    assert!(page.status == 200 && page.body.contains("Linh Tran"), "{}", page.body);

    // Somebody whom nobody invited, a card of another authority, and none.
    for card in ["unknown", "stranger"] {
        let got = sign_in(card);
        assert_ne!(got.status, 303, "{card}");
    }
    let begun = guest.open("/sign-in/millbrook-card");
    let without = guest.ask(&begun.redirect, &[]);
    assert!(!without.body.contains("Linh Tran"), "{}", without.body);
    // By the partners' name a card is no partner's certificate.
    let partners = base.replace("guests.localhost", "127.0.0.1");
    assert_eq!(ask(&guest, &pki, "tran", &format!("{partners}/guest"), &[]).status, 0);
    stage.world.stop().await;
}
