//! An administrator sets up SimpleSAMLphp by the wizard, tries it, and lets nobody in by it until the block is pasted.

use demo::runner::{Places, World};
use demo::story::Seat;
use demo::story::client::{Browser, Page, Raw};
use http::Method;
use ledger::{Event, Search};
use testkit::SamlIdp;
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;

use crate::stage::step_up;

const BOUNDARY: &str = "----wizard";

/// A form with a file, as a browser sends it.
fn form_with_file(fields: &[(&str, &str)], file: &str) -> Vec<u8> {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        body.push_str(&format!("--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n"));
    }
    let head = "Content-Disposition: form-data; name=\"metadata\"; filename=\"idp.xml\"";
    body.push_str(&format!("--{BOUNDARY}\r\n{head}\r\nContent-Type: text/xml\r\n\r\n{file}\r\n"));
    body.push_str(&format!("--{BOUNDARY}--\r\n"));
    body.into_bytes()
}

/// Uploads metadata on a guide's page; gives the page that follows.
async fn upload(seat: &mut Seat, base: &str, guide: &str, metadata: &str) -> Page {
    let page = seat.open(&format!("/identity/guides/{guide}")).await.unwrap();
    let csrf = page.form("/sign-out").unwrap().value("csrf").unwrap();
    let answer = seat.browser.raw(Raw {
        method: Method::POST,
        address: format!("{base}/identity/providers"),
        headers: vec![
            ("content-type", format!("multipart/form-data; boundary={BOUNDARY}")),
            ("origin", base.to_owned()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ],
        body: form_with_file(&[("csrf", &csrf), ("guide", guide)], metadata),
        cookies: true,
    });
    let answer = answer.await.unwrap();
    assert_eq!(answer.status, 303, "{}", answer.text());
    let draft = answer.header("location").unwrap().to_owned();
    seat.open(&draft).await.unwrap()
}

/// Tries the draft as `det.ruiz`; gives the draft's page with the outcome.
async fn try_it(seat: &mut Seat, page: &Page, acs: &str) -> Page {
    let link = page.links().find(|(text, _)| text.starts_with("Sign in at ")).unwrap().1;
    let mut page = seat.browser.go(page, &link).await.unwrap();
    if let Ok(form) = page.form("?") {
        let form = form.set("username", "det.ruiz").unwrap().set("password", "password").unwrap();
        page = seat.browser.submit(&page, &form).await.unwrap();
    }
    let form = page.form(acs).map_err(|error| format!("{error}: {}", page.text())).unwrap();
    seat.browser.submit(&page, &form).await.unwrap()
}

fn newest(server: &Server, count: u32) -> Vec<Event> {
    let page = server.agency.ledger.search(&Search::newest(count)).unwrap();
    page.entries.into_iter().map(|entry| entry.record.event).collect()
}

fn tried(server: &Server) -> String {
    let found = newest(server, 20).into_iter().find_map(|event| match event {
        Event::ProviderTried { idp, by, outcome, .. } => Some(format!("{idp} {by} {outcome}")),
        _ => None,
    });
    found.unwrap()
}

async fn text_of(url: &str) -> String {
    let page = Browser::new("test").open(url).await.unwrap();
    assert_eq!(page.status, 200, "{url}: {}", page.text());
    String::from_utf8(page.body.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn simplesamlphp_is_set_up_tried_and_lets_nobody_in_before_the_block_is_pasted() {
    let (folder, peer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(idp) = SamlIdp::simplesamlphp(peer.path()).await.unwrap() else { return };
    let world = World::start(folder.path(), Places::free().await.unwrap()).await.unwrap();
    let base = format!("http://{}", world.riverton.pages);
    std::fs::write(&idp.service_metadata, text_of(&format!("{base}/saml/metadata")).await).unwrap();
    let metadata = text_of(&idp.metadata_url).await;
    let acs = format!("{base}/saml/acs");
    let mut seat = Seat::new("adm.voss", &base);
    seat.sign_in().await.unwrap();
    step_up(&mut seat, "/identity/providers").await;

    // What its metadata says.
    let page = upload(&mut seat, &base, "simplesamlphp", &metadata).await;
    assert!(page.says("Certificates for its signatures") && page.says("/idp"), "{}", page.text());
    let hash = keys::digest::sha256(metadata.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(page.says(&hash), "what it is held to");
    let path = page.address.path().to_owned();
    let form = page.pressed("Keep these settings").unwrap();
    let form = form.set("id", "county").unwrap().set("label", "County \"sign-in\"").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("not tried") && page.says("id = \"county\""), "{}", page.text());

    // It works, and says so step by step; the person who tried is still who they were.
    let page = try_it(&mut seat, &page, &acs).await;
    assert_eq!(page.address.path(), path, "{} {:?}", page.text(), newest(&world.riverton, 3));
    for said in ["tried, accepted", "det.ruiz", "Elena Ruiz", "detective", "refeds.org/profile/mfa"]
    {
        assert!(page.says(said), "{said}: {}", page.text());
    }
    assert_eq!(tried(&world.riverton), "county demo|adm.voss accepted");
    assert!(seat.open("/me").await.unwrap().says("Petra Voss"));
    let mut other = Browser::new("somebody");
    assert_eq!(other.open(&format!("{base}/sign-in/county")).await.unwrap().status, 404);
    assert!(!other.open(&format!("{base}/sign-in")).await.unwrap().says("County"));
    assert!(!newest(&world.riverton, 50).iter().any(|event| {
        matches!(event, Event::AccountCreated { account, .. } if account.contains("county"))
    }));

    // A setting that does not fit is told with its reason, and what came is still shown.
    let page = seat.open(&path).await.unwrap();
    let form = page.pressed("Keep these settings").unwrap();
    let form = form.set("mfa_contexts", "urn:another:context").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("not tried"), "other settings were tried");
    let page = try_it(&mut seat, &page, &acs).await;
    for said in ["tried, refused", "saml.mfa.missing", "refeds.org/profile/mfa", "Elena Ruiz"] {
        assert!(page.says(said), "{said}: {}", page.text());
    }
    assert_eq!(tried(&world.riverton), "county demo|adm.voss saml.mfa.missing");

    let form = page.pressed("Keep these settings").unwrap();
    let form = form.set("mfa_contexts", "https://refeds.org/profile/mfa").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let block = page.element("block-text").unwrap().raw_text();
    pasted(&block, &metadata).await;
    world.stop().await;
}

/// The block and the file, as whoever keeps the configuration puts them there.
async fn pasted(block: &str, metadata: &str) {
    let folder = tempfile::tempdir().unwrap();
    keys::keyring::create_master(&folder.path().join("master.key"), &keys::SystemRandom).unwrap();
    std::fs::write(folder.path().join("metadata-county.xml"), metadata).unwrap();
    let text = format!(
        "[agency]\nname = \"Riverton\"\nori = \"NB0010100\"\n[listen]\npages = \"127.0.0.1:0\"\n\
         public_url = \"https://bailiwick.riverton.example\"\n[data]\nfolder = \"data\"\n\
         master_key = \"master.key\"\n[ledger]\norigin = \"ledger.riverton.example\"\n{block}\n"
    );
    let config = Config::parse(&text, &folder.path().join("bailiwick.toml")).unwrap();
    let server = Server::start(config, Outside::system()).await.unwrap();
    let known = server.agency.identity.providers();
    assert_eq!(known.len(), 1);
    assert_eq!((&*known[0].id, &*known[0].label), ("county", "County \"sign-in\""));
    server.stop().await;
}
