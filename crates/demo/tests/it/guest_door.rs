//! The guests' name on the partner listener, asked by curl: what is there, who gets in, and that neither name leads to the other.

use std::path::PathBuf;
use std::process::Command;

use demo::millbrook;
use demo::story::client::Raw;
use tempfile::TempDir;

use crate::stage::{Stage, root};

const FORM: [&str; 2] = ["-H", "sec-fetch-site: same-origin"];

/// What curl got.
pub(crate) struct Got {
    /// 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) redirect: String,
    pub(crate) body: String,
    version: String,
}

/// A guest's browser.
pub(crate) struct Visitor {
    program: PathBuf,
    folder: TempDir,
    keys: PathBuf,
    port: u16,
    pub(crate) base: String,
}

impl Visitor {
    /// Nothing on a machine without curl.
    pub(crate) fn new(stage: &Stage) -> Option<Self> {
        let program = testkit::need("a test of the guests' name", &["curl"]).unwrap()?;
        let ports = stage.world.homes[0].ports;
        let (keys, port) = (root(&stage.folder).join("riverton/keys"), ports.partners.port());
        let base = millbrook::guests_url(ports);
        Some(Self { program, folder: tempfile::tempdir().unwrap(), keys, port, base })
    }

    /// Asks with these arguments of curl's. Cookies are kept and sent.
    pub(crate) fn ask(&self, address: &str, arguments: &[&str]) -> Got {
        let jar = self.folder.path().join("jar");
        let mut command = Command::new(&self.program);
        command
            .args(["--silent", "--max-time", "30"])
            .arg("--cacert")
            .arg(self.keys.join("ca.pem"));
        command.arg("--resolve").arg(format!("guests.localhost:{}:127.0.0.1", self.port));
        command.arg("--cookie").arg(&jar).arg("--cookie-jar").arg(&jar);
        command.args(["--write-out", "\n%{http_code} %{http_version} %{redirect_url}"]);
        let output = command.args(arguments).arg(address).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, said) = text.rsplit_once('\n').unwrap();
        let mut said = said.splitn(3, ' ').map(str::to_owned);
        let mut next = || said.next().unwrap_or_default();
        let (status, version, redirect) = (next().parse().unwrap(), next(), next());
        Got { status, redirect, body: body.to_owned(), version }
    }

    /// A page under the guests' name.
    pub(crate) fn open(&self, path: &str) -> Got {
        self.ask(&format!("{}{path}", self.base), &[])
    }

    /// A form from one of its pages.
    pub(crate) fn post(&self, address: &str, fields: &[(&str, &str)]) -> Got {
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = FORM.to_vec();
        for field in &fields {
            arguments.extend(["--data-urlencode", field]);
        }
        self.ask(address, &arguments)
    }

    /// The address that the provider's answer is for, and its fields.
    fn prove(&self) -> (String, String, String) {
        let begun = self.open("/sign-in/millbrook");
        assert_eq!(begun.status, 303, "{}", begun.body);
        let (idp, _) = begun.redirect.split_once("/sso").unwrap();
        let handle = value(&self.ask(&begun.redirect, &[]).body, "sign_in");
        let chosen = [("sign_in", handle.as_str()), ("persona", "ofc.tran")];
        self.post(&format!("{idp}/persona"), &chosen);
        let answer = self.post(&format!("{idp}/approve"), &[("sign_in", &handle)]).body;
        let acs = answer.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
        (acs.to_owned(), value(&answer, "SAMLResponse"), value(&answer, "RelayState"))
    }

    /// Through the guest's own provider, and with the notice accepted.
    pub(crate) fn sign_in(&self) {
        let (acs, response, relay) = self.prove();
        assert_eq!(acs, format!("{}/saml/acs", self.base));
        let got = self.post(&acs, &[("SAMLResponse", &response), ("RelayState", &relay)]);
        assert_eq!(
            (got.status, got.redirect),
            (303, format!("{}/notice", self.base)),
            "{}",
            got.body
        );
        let csrf = value(&self.open("/notice").body, "csrf");
        let got = self.post(&format!("{}/notice", self.base), &[("csrf", &csrf)]);
        assert_eq!(got.redirect, format!("{}/guest", self.base), "{}", got.body);
    }

    /// A cookie's value.
    fn cookie(&self, name: &str) -> String {
        let jar = std::fs::read_to_string(self.folder.path().join("jar")).unwrap();
        let line = jar.lines().find(|line| line.contains(name)).unwrap();
        line.rsplit('\t').next().unwrap().to_owned()
    }
}

/// The value of a hidden field.
pub(crate) fn value(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

fn refusals(stage: &Stage, reason: &str) -> usize {
    let all = stage.events(&["request-refused", "sign-in-refused"]);
    all.iter().filter(|event| format!("{event:?}").contains(&format!("\"{reason}\""))).count()
}

/// Every address that a router of the program has, with something in each place.
fn routes() -> Vec<String> {
    let folder = testkit::root().join("crates/web/src");
    let mut found = Vec::new();
    for file in ["app.rs", "door.rs", "scim/mod.rs"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for piece in text.split(".route(").skip(1) {
            let path = piece.trim_start().trim_start_matches('"').split('"').next().unwrap();
            let parts: Vec<&str> = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect();
            let path = parts.join("/");
            found.push(if file.starts_with("scim") { format!("/scim/v2{path}") } else { path });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// All that answers under the guests' name.
const THEIRS: [&str; 20] = [
    "/",
    "/certificate",
    "/csp-reports",
    "/guest",
    "/guest/how-to-open.txt",
    "/guest/open.html",
    "/guest/sender.pem",
    "/guest/x",
    "/guest/x/parcel",
    "/notice",
    "/oidc/callback",
    "/oidc/jwks",
    "/oidc/logout/x",
    "/saml/acs",
    "/saml/certificate.pem",
    "/saml/metadata",
    "/saml/slo",
    "/sign-in",
    "/sign-in/x",
    "/sign-out",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_finds_their_pages_under_their_name_and_no_other_page_of_the_program() {
    let stage = Stage::start("").await;
    let Some(guest) = Visitor::new(&stage) else { return };
    guest.sign_in();
    let page = guest.open("/guest");
    assert!(page.status == 200 && page.body.contains("Linh Tran"), "{}", page.body);
    assert!(!page.body.contains("href=\"/me\""), "{}", page.body);
    let all = routes();
    assert!(all.len() > 90 && THEIRS.iter().all(|one| all.iter().any(|it| it == one)), "{all:?}");
    for path in all.iter().filter(|path| !THEIRS.contains(&path.as_str()) && *path != "/step-up") {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let address = format!("{}{path}", guest.base);
            let got = guest.ask(&address, &[FORM[0], FORM[1], "--request", method]);
            assert_eq!(got.status, 404, "{method} {path}: {}", got.body);
        }
    }
    for header in ["content-security-policy: default-src 'none'", "cache-control: no-store"] {
        let got = guest.ask(&format!("{}/guest", guest.base), &["--include"]);
        assert!(got.body.contains(header), "{header}: {}", got.body);
    }
    let metadata = guest.open("/saml/metadata").body;
    assert!(metadata.contains(&format!("entityID=\"{}/saml/metadata\"", guest.base)), "{metadata}");
    assert!(metadata.contains(&format!("Location=\"{}/saml/acs\"", guest.base)), "{metadata}");
    let csrf = value(&guest.open("/guest").body, "csrf");
    let out = guest.post(&format!("{}/sign-out", guest.base), &[("csrf", &csrf)]);
    assert!(out.body.contains("You are signed out"), "{}", out.body);
    let again = guest.open("/guest");
    assert_ne!(again.status, 200, "{}", again.body);
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_lets_in_its_own_people_whatever_they_show_and_refuses_others_on_record() {
    let stage = Stage::start("").await;
    let Some(guest) = Visitor::new(&stage) else { return };
    let mut ruiz = stage.seat("det.ruiz").await;
    // Nobody of the agency signs in by the guests' name, and no guest at the pages.
    let doors = guest.open("/sign-in").body;
    assert!(doors.contains("Millbrook") && !doors.contains("Demo sign-in"), "{doors}");
    let got = guest.open("/sign-in/demo");
    assert!(got.status == 403 && got.body.contains("elsewhere"), "{}", got.body);
    let doors = ruiz.browser.open(&format!("{}/sign-in", stage.base)).await.unwrap();
    assert!(doors.says("Demo sign-in") && !doors.says("Millbrook"), "{}", doors.text());
    let page = ruiz.browser.open(&format!("{}/sign-in/millbrook", stage.base)).await.unwrap();
    assert!(page.status == 403 && page.says(&guest.base), "{}", page.text());
    assert_eq!(refusals(&stage, "door.other"), 2);

    // Not with a session that was carried over, in either direction.
    let token = ruiz.browser.jar.value("127.0.0.1", "__Host-sid").unwrap().to_owned();
    let carried = format!("cookie: __Host-sid={token}");
    let got = guest.ask(&format!("{}/guest", guest.base), &["-H", &carried]);
    assert!(got.status == 403 && got.body.contains("guests of Riverton"), "{}", got.body);
    guest.sign_in();
    let token = guest.cookie("__Host-sid");
    let mut raw = Raw::get(&format!("{}/guest", stage.base));
    raw.headers.push(("cookie", format!("__Host-sid={token}")));
    raw.cookies = false;
    let page = ruiz.browser.raw(raw).await.unwrap();
    assert!(
        page.status == 403 && page.says("Guests of other agencies sign in at"),
        "{}",
        page.text()
    );
    assert_eq!(refusals(&stage, "door.other"), 4);

    // Nor with an answer that was handed in at the other door, with the cookie that it is bound to.
    let (_, response, relay) = guest.prove();
    let fields = [("SAMLResponse".to_owned(), response), ("RelayState".to_owned(), relay)];
    let mut raw = Raw::post(&format!("{}/saml/acs", stage.base), &fields).unwrap();
    raw.headers.push(("cookie", format!("__Host-prelogin={}", guest.cookie("__Host-prelogin"))));
    raw.cookies = false;
    let page = ruiz.browser.raw(raw).await.unwrap();
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(refusals(&stage, "door.other"), 5);
    stage.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_name_leads_to_the_other_and_partners_still_have_to_show_their_certificate() {
    let stage = Stage::start("").await;
    let Some(guest) = Visitor::new(&stage) else { return };
    let partners = format!("https://127.0.0.1:{}", guest.port);
    let keys = root(&stage.folder).join("lakeside/keys");
    let shown = |file: &str| keys.join(file).display().to_string();
    let (certificate, key) = (shown("tls.pem"), shown("tls.key"));
    let partner = ["--cert", certificate.as_str(), "--key", key.as_str()];
    let with = |more: &[&'static str]| -> Vec<String> {
        partner.iter().copied().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let ask = |address: &str, arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        guest.ask(address, &arguments)
    };

    // By the partners' name: no certificate, no answer; with one, the protocol and no page.
    let parcels = format!("{partners}/v1/parcels/6f1c2b9e-0d8b-4b5e-9a39-2f6f2a0d5f11");
    assert_eq!(guest.ask(&parcels, &[]).status, 0);
    assert_eq!(guest.ask(&format!("{partners}/guest"), &[]).status, 0);
    let known = ask(&parcels, with(&[]));
    assert!(
        known.status == 404 && !known.body.contains("<html"),
        "{} {}",
        known.status,
        known.body
    );
    for path in ["/guest", "/sign-in", "/guest/open.html", "/saml/metadata"] {
        let got = ask(&format!("{partners}{path}"), with(&[]));
        assert!(got.status == 404 && !got.body.contains("<html"), "{path}: {}", got.body);
    }
    // By the guests' name: the protocol is not there, whatever is shown.
    let there = parcels.replace(&partners, &guest.base);
    assert_eq!((guest.ask(&there, &[]).status, ask(&there, with(&[])).status), (404, 404));
    assert_eq!(ask(&format!("{}/witness/v1/x", guest.base), with(&[])).status, 404);

    // A connection that was made for one name answers for no other one.
    let before = refusals(&stage, "misdirected");
    let host = "host: 127.0.0.1";
    let got = guest.ask(&format!("{}/sign-in", guest.base), &["-H", host]);
    assert!(
        got.status == 421 && got.body.contains("Not by this name"),
        "{} {}",
        got.status,
        got.body
    );
    let got = ask(&parcels, with(&["-H", "host: guests.localhost"]));
    assert_eq!(got.status, 421, "{}", got.body);
    let target = "http://bailiwick.riverton.example/sign-in";
    let got = guest.ask(&format!("{}/", guest.base), &["--request-target", target]);
    assert_eq!(got.status, 421, "{}", got.body);
    assert_eq!(refusals(&stage, "misdirected"), before + 3);
    // And no second name is asked for over one connection: HTTP/2 is not spoken.
    let got = guest.ask(&format!("{}/sign-in", guest.base), &["--http2"]);
    assert_eq!((got.status, got.version.as_str()), (200, "1.1"));
    stage.world.stop().await;
}
