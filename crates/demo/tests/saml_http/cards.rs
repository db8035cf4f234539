//! An agency that speaks TLS itself, and browsers with cards; both made by openssl.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use jiff::{SignedDuration, Timestamp};
use keys::cert::{Certificate, private_key_from_pem};
use ledger::Event;
use ledger::testing::SimDisk;
use serde_json::{Value, json};
use testkit::{AUTHORITY, Pki, Wanted};
use wire::tls::{Own, Trust, client_config};
use wire::{Addresses, Client, ClientLimits, Connection, Egress, Outgoing, Target};

use crate::common;
use crate::stage::{Agency, Home, read};

pub(crate) const CARD: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
     extendedKeyUsage=clientAuth\ncertificatePolicies=2.16.840.1.101.3.2.1.3.13\n\
     subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:";
const SERVER: &str = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n\
                      subjectAltName=IP:127.0.0.1,DNS:localhost\n";
const DIRECTORY: &str = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";

/// The settings behind the usual ones.
pub(crate) const CARDS: &str = r#"
[[certificate_provider]]
id = "piv"
label = "Smart card"
authorities = "pki/ca/cert.pem"
name = "upn"
policies = ["2.16.840.1.101.3.2.1.3.13"]
multi_factor = true
crl_files = ["pki/ca/list.pem"]

[[directory]]
id = "hr"
identity_provider = "piv"
certificates_sha256 = ["DIRECTORY"]
"#;

const LIMITS: ClientLimits = ClientLimits {
    connect_wait_max: std::time::Duration::from_secs(10),
    idle_wait_max: std::time::Duration::from_secs(20),
    head_bytes_max: 64 * 1024,
    headers_max: 64,
};

pub(crate) struct Office {
    pub(crate) home: Home,
    pub(crate) pki: Pki,
}

/// An answer.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Got {
    pub(crate) fn cookie(&self, name: &str) -> String {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let mut found = lines.filter(|line| line.starts_with(&format!("{name}=")));
        found.next().unwrap().split(';').next().unwrap().to_owned()
    }

    pub(crate) fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    pub(crate) fn fields(&self, action: &str) -> Vec<(String, String)> {
        fields(&self.text, action)
    }
}

pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

impl Office {
    /// Authorities, a server's certificate, a directory's, and cards. Nothing, where there is no openssl.
    pub(crate) fn set() -> Option<Self> {
        let home = Home::new();
        let (from, until) = (
            common::now() - SignedDuration::from_hours(24),
            common::now() + SignedDuration::from_hours(720),
        );
        let pki = Pki::new(&home.path("pki"), &stamp(from), &stamp(until)).unwrap()?;
        pki.authority("ca", None, &Wanted::new("/O=Riverton/CN=Card CA", AUTHORITY)).unwrap();
        pki.authority("web", None, &Wanted::new("/O=Riverton/CN=Web CA", AUTHORITY)).unwrap();
        pki.issue("web", "server", &Wanted::new("/CN=localhost", SERVER)).unwrap();
        pki.issue("web", "directory", &Wanted::new("/CN=directory", DIRECTORY)).unwrap();
        let office = Self { home, pki };
        for name in ["ruiz", "park"] {
            office.card(name);
        }
        office.list();
        Some(office)
    }

    pub(crate) fn card(&self, name: &str) {
        let extensions = format!("{CARD}{name}@riverton.example\n");
        self.pki
            .issue("ca", name, &Wanted::new(&format!("/O=Riverton/CN={name}"), &extensions))
            .unwrap();
    }

    /// Makes the list of revoked cards, from an hour ago and for a day.
    pub(crate) fn list(&self) {
        let hour = SignedDuration::from_hours(1);
        self.pki
            .list("ca", &stamp(self.home.now() - hour), &stamp(self.home.now() + hour * 24))
            .unwrap();
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&read(&self.pki.certificate(name))).unwrap()
    }

    fn own(&self, name: &str) -> Own {
        let pkcs8 = private_key_from_pem(&read(&self.pki.key(name))).unwrap();
        Own { chain: vec![self.certificate(name)], pkcs8 }
    }

    fn settings(&self, usual: &str) -> String {
        let pin = self.certificate("directory").fingerprint_text();
        let tls = "\ncertificate = \"pki/server/cert.pem\"\nkey = \"pki/server/key.pem\"\n\n[data]";
        format!("{}{}", usual.replace("\n[data]", tls), CARDS.replace("DIRECTORY", &pin))
    }

    /// Starts the agency with TLS and cards, and with more settings.
    pub(crate) async fn start(&self, more: &str) -> Agency {
        self.start_with(&|usual| format!("{usual}{more}")).await
    }

    /// Starts it with all these settings changed.
    pub(crate) async fn start_with(&self, change: &dyn Fn(&str) -> String) -> Agency {
        self.home.start_changed(|usual| change(&self.settings(usual))).await
    }

    /// Starts it with its ledger on this disk.
    pub(crate) async fn start_on(&self, disk: Arc<SimDisk>) -> Agency {
        self.home.start_on_changed(disk, |usual| self.settings(usual)).await
    }

    /// A browser with this card in it, or none.
    pub(crate) fn client(&self, agency: &Agency, card: Option<&str>) -> Client {
        let trust = Trust::authority(self.certificate("web"));
        let own = card.map(|card| self.own(card));
        let tls = client_config(&trust, own.as_ref(), self.home.clock.clone()).unwrap();
        let (host, port) = ("127.0.0.1".to_owned(), agency.server.pages.port());
        Client::new(
            Egress::new(vec![Target { host, port, addresses: Addresses::Private }]),
            tls,
            LIMITS,
        )
    }

    pub(crate) async fn open(&self, agency: &Agency, card: Option<&str>) -> Connection {
        self.client(agency, card).open("127.0.0.1", agency.server.pages.port()).await.unwrap()
    }

    /// As [`Office::open`], by a client whose own clock does not go.
    pub(crate) async fn open_late(&self, agency: &Agency, card: &str) -> Connection {
        let trust = Trust::authority(self.certificate("web"));
        let clock = Arc::new(keys::FixedClock::new(common::now()));
        let tls = client_config(&trust, Some(&self.own(card)), clock).unwrap();
        let (host, port) = ("127.0.0.1".to_owned(), agency.server.pages.port());
        let egress = Egress::new(vec![Target { host, port, addresses: Addresses::Private }]);
        Client::new(egress, tls, LIMITS).open("127.0.0.1", port).await.unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) async fn get(
        &self,
        agency: &Agency,
        card: Option<&str>,
        path: &str,
        cookie: &str,
    ) -> Got {
        send(&mut self.open(agency, card).await, Method::GET, path, &[("cookie", cookie)], "").await
    }

    /// Has the directory make an account for a card's holder.
    pub(crate) async fn account(&self, agency: &Agency, name: &str, function: &str) {
        let person = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": format!("{name}@riverton.example"),
        });
        let made = self.scim(agency, "/Users", &person).await;
        let group = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": function,
            "members": [{ "value": made["id"] }],
        });
        self.scim(agency, "/Groups", &group).await;
    }

    async fn scim(&self, agency: &Agency, path: &str, body: &Value) -> Value {
        let mut connection = self.open(agency, Some("directory")).await;
        let path = format!("/scim/v2{path}");
        let got = send(&mut connection, Method::POST, &path, &[], &body.to_string()).await;
        assert_eq!(got.status, 201, "{}", got.text);
        serde_json::from_str(&got.text).unwrap()
    }

    /// Begins a sign-in with a card: the cookie, and the page with the form.
    pub(crate) async fn begin(&self, agency: &Agency, card: Option<&str>) -> (String, Got) {
        let started = self.get(agency, card, "/sign-in/piv", "").await;
        assert_eq!(started.status, 303, "{}", started.text);
        let cookie = started.cookie("__Host-prelogin");
        let page = self.get(agency, card, started.location(), &cookie).await;
        (cookie, page)
    }

    /// Signs in with a card. Gives the answer to the form.
    pub(crate) async fn sign_in(&self, agency: &Agency, card: &str) -> Got {
        let (cookie, page) = self.begin(agency, Some(card)).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let mut connection = self.open(agency, Some(card)).await;
        submit(&mut connection, "/certificate", &cookie, &page.fields("/certificate")).await
    }

    /// Signs in with a card and accepts the notice. Gives the session's cookie.
    pub(crate) async fn session(&self, agency: &Agency, card: &str) -> String {
        let got = self.sign_in(agency, card).await;
        assert_eq!(got.status, 303, "{} {:?}", got.text, agency.newest());
        let cookie = got.cookie("__Host-sid");
        let notice = self.get(agency, Some(card), "/notice", &cookie).await;
        let mut connection = self.open(agency, Some(card)).await;
        let accepted = submit(&mut connection, "/notice", &cookie, &notice.fields("/notice")).await;
        assert_eq!(accepted.status, 303, "{}", accepted.text);
        cookie
    }
}

/// The hidden fields of the form with this action.
pub(crate) fn fields(page: &str, action: &str) -> Vec<(String, String)> {
    let form = page
        .split_once(&format!("action=\"{action}\""))
        .unwrap()
        .1
        .split_once("</form>")
        .unwrap()
        .0;
    let hidden = form.split("<input type=\"hidden\" name=\"").skip(1);
    hidden
        .map(|input| {
            let (name, rest) = input.split_once('"').unwrap();
            let value = rest.split_once("value=\"").unwrap().1.split_once('"').unwrap().0;
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// Sends a form as a page of ours does.
pub(crate) async fn submit(
    connection: &mut Connection,
    path: &str,
    cookie: &str,
    fields: &[(String, String)],
) -> Got {
    let form = form(fields);
    let headers = [
        ("cookie", cookie),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    send(connection, Method::POST, path, &headers, &form).await
}

pub(crate) fn form(fields: &[(String, String)]) -> String {
    let pairs = fields.iter().map(|(name, value)| {
        let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("{name}={value}")
    });
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) async fn send(
    connection: &mut Connection,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Got {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Bytes::from(body.to_owned());
    let request = request.header("content-length", body.len()).body(Outgoing::bytes(body)).unwrap();
    let reply = connection.send(request).await.unwrap();
    let (status, headers) = (reply.status.as_u16(), reply.headers.clone());
    let text = String::from_utf8_lossy(&reply.bytes(1 << 20).await.unwrap()).into_owned();
    Got { status, headers, text }
}

/// The reason of the newest refusal.
pub(crate) fn refusal(agency: &Agency) -> String {
    let found = agency.events().into_iter().find_map(|event| match event {
        Event::SignInRefused { reason, .. } => Some(reason),
        _ => None,
    });
    found.unwrap_or_default()
}

/// Why the newest session that was ended was ended.
pub(crate) fn ended(agency: &Agency) -> String {
    let found = agency.events().into_iter().find_map(|event| match event {
        Event::SessionsEnded { reason, .. } | Event::SessionEnded { reason } => Some(reason),
        _ => None,
    });
    found.unwrap_or_default()
}

/// A clock that a test moves.
pub(crate) fn advance(office: &Office, minutes: i64) {
    Arc::clone(&office.home.clock).advance(SignedDuration::from_mins(minutes));
}
