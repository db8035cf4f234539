//! Cards that a declared proxy saw; and everybody else who says what only a proxy may say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;

use crate::cards::{CARDS, Got, Office, ended, form, refusal, send};
use crate::stage::{Agency, read};
use wire::{Addresses, Client, ClientLimits, Connection, Egress, Target};

const SECRET: &str = "4Gk0zXr7Qm1pVw9sYt2uBn5eHj8cLd3a";

fn proxy(more: &str) -> String {
    format!(
        "\n[proxy]\naddresses = [\"127.0.0.1\"]\naddress_header = \"x-forwarded-for\"\n{more}\n"
    )
}

/// An agency behind a proxy that proves itself by a secret, on loopback without TLS.
async fn behind(office: &Office, proxy: &str) -> Agency {
    std::fs::write(office.home.path("proxy.secret"), format!("{SECRET}\n")).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(
        office.home.path("proxy.secret"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let pin = office.certificate("directory").fingerprint_text();
    let more = format!("{}{proxy}", CARDS.replace("DIRECTORY", &pin));
    office.home.start(&more).await
}

fn by_secret(header: &str) -> String {
    proxy(&format!("secret_file = \"proxy.secret\"\ncertificate_header = \"{header}\"\n"))
}

async fn open(agency: &Agency) -> Connection {
    let limits = ClientLimits {
        connect_wait_max: std::time::Duration::from_secs(10),
        idle_wait_max: std::time::Duration::from_secs(20),
        head_bytes_max: 64 * 1024,
        headers_max: 64,
    };
    let (host, port) = ("127.0.0.1".to_owned(), agency.server.pages.port());
    let egress = Egress::new(vec![Target { host, port, addresses: Addresses::Private }]);
    Client::plain(egress, limits).open("127.0.0.1", port).await.unwrap()
}

impl Office {
    /// The certificate as RFC 9440 writes it.
    fn rfc9440(&self, name: &str) -> String {
        format!(":{}:", STANDARD.encode(self.certificate(name).der()))
    }

    fn escaped_pem(&self, name: &str) -> String {
        read(&self.pki.certificate(name)).bytes().map(|byte| format!("%{byte:02X}")).collect()
    }
}

/// A sign-in in which each request has these headers.
async fn sign_in(agency: &Agency, headers: &[(&str, &str)]) -> Got {
    let mut connection = open(agency).await;
    let started = send(&mut connection, Method::GET, "/sign-in/piv", headers, "").await;
    assert_eq!(started.status, 303, "{}", started.text);
    let cookie = started.cookie("__Host-prelogin");
    let relay = started.location().split_once("relay=").unwrap().1.to_owned();
    let more = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
    let all = [headers, &more].concat();
    send(&mut connection, Method::POST, "/certificate", &all, &form(&[("relay".to_owned(), relay)]))
        .await
}

#[tokio::test]
async fn a_declared_proxy_may_say_which_card_was_shown() {
    for header in ["client-cert", "x-ssl-cert"] {
        let Some(office) = Office::set() else { return };
        let value = match header {
            "client-cert" => office.rfc9440("ruiz"),
            _ => office.escaped_pem("ruiz"),
        };
        let agency = behind(&office, &by_secret(header)).await;
        let as_proxy = [
            ("x-bailiwick-proxy", SECRET),
            ("x-forwarded-for", "203.0.113.66, 10.9.1.2"),
            (header, &*value),
        ];
        account(&office, &agency).await;
        let got = sign_in(&agency, &as_proxy).await;
        assert_eq!(got.status, 303, "{header}: {} {}", got.text, refusal(&agency));
        let cookie = got.cookie("__Host-sid");
        let page = agency.server.agency.ledger.search(&ledger::Search::newest(1)).unwrap();
        let origin = &page.entries.first().unwrap().record.origin;
        assert_eq!(
            origin.address.as_deref(),
            Some("10.9.1.2"),
            "the last address is the proxy's own word"
        );

        // The session lives with the card alone, and a stranger's word is none.
        let ask = async |headers: &[(&str, &str)]| {
            let all = [headers, &[("cookie", &*cookie)]].concat();
            send(&mut open(&agency).await, Method::GET, "/me", &all, "").await.status
        };
        assert_eq!(ask(&as_proxy).await, 303, "to the notice");
        assert_eq!(ask(&[(header, &*value)]).await, 401);
        assert_eq!(ended(&agency), "cert.session.missing");
        agency.stop().await;
    }
}

/// Makes Elena Ruiz's account, as a directory would behind the same proxy.
async fn account(office: &Office, agency: &Agency) {
    let certificate = office.rfc9440("directory");
    let escaped = office.escaped_pem("directory");
    let mut connection = open(agency).await;
    for (path, body) in [
        ("/scim/v2/Users", r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ruiz@riverton.example"}"#.to_owned()),
        ("/scim/v2/Groups", String::new()),
    ] {
        let body = if body.is_empty() {
            let all = [("x-bailiwick-proxy", SECRET), ("client-cert", &*certificate), ("x-ssl-cert", &*escaped)];
            let got = send(&mut connection, Method::GET, "/scim/v2/Users", &all, "").await;
            let found: serde_json::Value = serde_json::from_str(&got.text).unwrap();
            let id = found["Resources"][0]["id"].as_str().unwrap();
            format!(
                r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"detective","members":[{{"value":"{id}"}}]}}"#
            )
        } else {
            body
        };
        let all = [("x-bailiwick-proxy", SECRET), ("client-cert", &*certificate), ("x-ssl-cert", &*escaped)];
        let got = send(&mut connection, Method::POST, path, &all, &body).await;
        assert_eq!(got.status, 201, "{}", got.text);
    }
}

#[tokio::test]
async fn what_others_say_of_cards_is_not_heard() {
    let Some(office) = Office::set() else { return };
    let agency = behind(&office, &by_secret("client-cert")).await;
    account(&office, &agency).await;
    let (card, wrong) = (office.rfc9440("ruiz"), SECRET.to_lowercase());
    let cases: &[(&str, &[(&str, &str)], &str)] = &[
        ("without the secret", &[("client-cert", &card)], "cert.missing"),
        (
            "with another secret",
            &[("x-bailiwick-proxy", &wrong), ("client-cert", &card)],
            "cert.missing",
        ),
        ("with an empty one", &[("x-bailiwick-proxy", ""), ("client-cert", &card)], "cert.missing"),
        (
            "with the secret twice",
            &[("x-bailiwick-proxy", SECRET), ("x-bailiwick-proxy", SECRET), ("client-cert", &card)],
            "cert.missing",
        ),
        (
            "the proxy's header beside a client's",
            &[("x-bailiwick-proxy", SECRET), ("client-cert", &card), ("client-cert", &card)],
            "cert.header.duplicate",
        ),
        (
            "an empty one beside a client's",
            &[("x-bailiwick-proxy", SECRET), ("client-cert", ""), ("client-cert", &card)],
            "cert.header.duplicate",
        ),
        (
            "another name",
            &[("x-bailiwick-proxy", SECRET), ("x-client-cert", &card)],
            "cert.missing",
        ),
        ("an underscore", &[("x-bailiwick-proxy", SECRET), ("client_cert", &card)], "cert.missing"),
        (
            "no Base64",
            &[("x-bailiwick-proxy", SECRET), ("client-cert", ":###:")],
            "cert.header.malformed",
        ),
        (
            "no colons",
            &[("x-bailiwick-proxy", SECRET), ("client-cert", card.trim_matches(':'))],
            "cert.header.malformed",
        ),
        (
            "no certificate",
            &[("x-bailiwick-proxy", SECRET), ("client-cert", ":AAAA:")],
            "cert.malformed",
        ),
        (
            "a broken chain",
            &[
                ("x-bailiwick-proxy", SECRET),
                ("client-cert", &card),
                ("client-cert-chain", "::, x"),
            ],
            "cert.header.malformed",
        ),
        (
            "two, by their case",
            &[("x-bailiwick-proxy", SECRET), ("Client-Cert", &card), ("client-cert", "")],
            "cert.header.duplicate",
        ),
        ("none", &[("x-bailiwick-proxy", SECRET)], "cert.missing"),
        ("an empty one", &[("x-bailiwick-proxy", SECRET), ("client-cert", "")], "cert.missing"),
    ];
    for (what, headers, code) in cases {
        let got = sign_in(&agency, headers).await;
        assert_eq!((got.status, refusal(&agency).as_str()), (403, *code), "{what}");
    }
    agency.stop().await;
}

#[tokio::test]
async fn the_secret_from_another_address_is_not_heard() {
    let Some(office) = Office::set() else { return };
    let elsewhere = by_secret("client-cert").replace("127.0.0.1", "127.0.0.9");
    let agency = behind(&office, &elsewhere).await;
    let card = office.rfc9440("ruiz");
    let got = sign_in(&agency, &[("x-bailiwick-proxy", SECRET), ("client-cert", &card)]).await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.missing"));
    let page = agency.server.agency.ledger.search(&ledger::Search::newest(1)).unwrap();
    assert_eq!(page.entries.first().unwrap().record.origin.address.as_deref(), Some("127.0.0.1"));
    agency.stop().await;
}

#[tokio::test]
async fn a_proxy_may_prove_itself_by_a_certificate_and_that_is_never_a_person_s() {
    let Some(office) = Office::set() else { return };
    // A certificate that would sign somebody in, if it were not the proxy's.
    office.card("front");
    let pin = office.certificate("front").fingerprint_text();
    let more =
        proxy(&format!("certificate_sha256 = \"{pin}\"\ncertificate_header = \"client-cert\"\n"));
    let agency = office.start(&more).await;
    office.account(&agency, "ruiz", "detective").await;
    office.account(&agency, "front", "detective").await;
    let card = office.rfc9440("ruiz");
    let sign_in = async |own: Option<&str>, headers: &[(&str, &str)]| {
        let mut connection = office.open(&agency, own).await;
        let started = send(&mut connection, Method::GET, "/sign-in/piv", headers, "").await;
        let cookie = started.cookie("__Host-prelogin");
        let relay = started.location().split_once("relay=").unwrap().1.to_owned();
        let all = [headers, &[("cookie", &*cookie), ("sec-fetch-site", "same-origin")]].concat();
        send(
            &mut connection,
            Method::POST,
            "/certificate",
            &all,
            &form(&[("relay".to_owned(), relay)]),
        )
        .await
    };
    assert_eq!(sign_in(Some("front"), &[("client-cert", &card)]).await.status, 303);
    assert_eq!(sign_in(Some("front"), &[]).await.status, 403);
    assert_eq!(refusal(&agency), "cert.missing", "the proxy saw no card");
    assert_eq!(sign_in(None, &[("client-cert", &card)]).await.status, 403);
    assert_eq!(refusal(&agency), "cert.missing", "a stranger's header");
    assert_eq!(sign_in(Some("park"), &[("client-cert", &card)]).await.status, 403);
    assert_eq!(
        refusal(&agency),
        "authz.not_provisioned",
        "somebody's own card counts, and the header does not"
    );
    agency.stop().await;
}

#[tokio::test]
async fn a_step_up_behind_a_proxy_is_refused() {
    let Some(office) = Office::set() else { return };
    let agency = behind(&office, &by_secret("client-cert")).await;
    account(&office, &agency).await;
    let card = office.rfc9440("ruiz");
    let as_proxy = [("x-bailiwick-proxy", SECRET), ("client-cert", &*card)];
    let cookie = sign_in(&agency, &as_proxy).await.cookie("__Host-sid");
    let mut connection = open(&agency).await;
    let all = |more: &[(&'static str, String)]| -> Vec<(&'static str, String)> {
        let fixed = as_proxy.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fixed.chain(more.iter().cloned()).collect()
    };
    async fn ask(
        connection: &mut Connection,
        method: Method,
        path: &str,
        all: &[(&'static str, String)],
        body: &str,
    ) -> Got {
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        send(connection, method, path, &all, body).await
    }
    let notice =
        ask(&mut connection, Method::GET, "/notice", &all(&[("cookie", cookie.clone())]), "").await;
    let fields = form(&notice.fields("/notice"));
    let posted = all(&[("cookie", cookie.clone()), ("sec-fetch-site", "same-origin".to_owned())]);
    assert_eq!(ask(&mut connection, Method::POST, "/notice", &posted, &fields).await.status, 303);
    let asked = ask(
        &mut connection,
        Method::GET,
        "/step-up?next=/",
        &all(&[("cookie", cookie.clone())]),
        "",
    )
    .await;
    assert_eq!(asked.status, 303, "{}", asked.text);
    let relay = asked.location().split_once("relay=").unwrap().1.to_owned();
    let cookies = format!("{cookie}; {}", asked.cookie("__Host-prelogin"));
    let posted = all(&[("cookie", cookies), ("sec-fetch-site", "same-origin".to_owned())]);
    let mut connection = open(&agency).await;
    let got = ask(
        &mut connection,
        Method::POST,
        "/certificate",
        &posted,
        &form(&[("relay".to_owned(), relay)]),
    )
    .await;
    assert_eq!((got.status, refusal(&agency).as_str()), (403, "cert.stepup.proxy"), "{}", got.text);
    agency.stop().await;
}
