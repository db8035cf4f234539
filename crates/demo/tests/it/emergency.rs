//! The way in for when no identity provider answers: who gets in, as what, and who is told.

#![expect(clippy::print_stdout, reason = "how long tries take is printed")]

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use demo::runner::{Places, Staging, World};
use demo::story::client::{Browser, Page, Raw};
use identity::emergency::Halves;
use keys::SystemRandom;
use keys::digest::sha256;
use keys::sign::P256Key;
use ledger::Event;
use web::emergency::keeping::{Where, make, release};

use crate::stage::Stage;

const PEOPLE: [&str; 2] = ["R. Stone", "M. Lindqvist"];

/// More ledger writes than an emergency sign-in makes.
const WRITES_MAX: usize = 12;

const WITHOUT_KEY: &str = "\n[emergency]\nwithout_key = true\nsession_minutes = 30\n";

/// Riverton, and the emergency accounts that it has.
struct Desk(Stage);

impl std::ops::Deref for Desk {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.0
    }
}

async fn stage(settings: &str) -> Desk {
    Desk(Stage::start(settings).await)
}

impl Desk {
    async fn make(&self, name: &str) -> Halves {
        let agency = &self.world.riverton.agency;
        let place = Where { ledger: &agency.ledger, state: &agency.state, now: agency.now() };
        make(place, name, PEOPLE, false, &SystemRandom).await.unwrap()
    }

    async fn typed(&self, browser: &mut Browser, name: &str, halves: [&str; 2]) -> Page {
        let page = browser.open(&format!("{}/emergency", self.base)).await.unwrap();
        let form = page.form("/emergency").unwrap();
        let form = form.set("first", halves[0]).unwrap().set("second", halves[1]).unwrap();
        let form = form.set("name", name).unwrap().set("reason", "the provider is down").unwrap();
        browser.submit(&page, &form).await.unwrap()
    }

    async fn open(&self, browser: &mut Browser, name: &str, halves: &Halves) -> Page {
        let [first, second] = halves.texts();
        self.typed(browser, name, [&first, &second]).await
    }

    fn last_refusal(&self) -> (String, String) {
        match self.events(&["sign-in-refused", "request-refused"]).pop() {
            Some(Event::SignInRefused { idp, reason }) => (idp, reason),
            Some(Event::RequestRefused { route, reason }) => (route, reason),
            other => panic!("{other:?}"),
        }
    }

    fn whats(&self) -> Vec<String> {
        let all = self.events(&["emergency-access"]).into_iter();
        all.map(|event| match event {
            Event::EmergencyAccess { what, .. } => what,
            other => panic!("{other:?}"),
        })
        .collect()
    }
}

fn browser() -> Browser {
    Browser::new("A browser at the server")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_open_the_account_once_and_everybody_who_watches_is_told_until_one_looks() {
    let stage = stage(WITHOUT_KEY).await;
    let halves = stage.make("desk").await;
    let mut lindqvist = stage.seat("so.lindqvist").await;
    stage.seat("ofc.hale").await;
    let mut ruiz = stage.seat("det.ruiz").await;
    let mut desk = browser();
    let page = stage.open(&mut desk, "desk", &halves).await;
    assert!(page.says("System-use notice"), "{}", page.text());
    let page = desk.submit(&page, &page.form("/notice").unwrap()).await.unwrap();
    assert!(page.says("Emergency account desk"), "{}", page.text());

    let told = "The emergency account desk was opened at";
    assert!(lindqvist.open("/me").await.unwrap().says(told));
    assert!(stage.seat("adm.voss").await.open("/").await.unwrap().says(told));
    assert!(!ruiz.open("/me").await.unwrap().says(told), "it is not a detective's to see to");

    // An administrator, and nothing else: no records, no audit.
    let base = &stage.base;
    let lookup = desk.open(&format!("{base}/tools/vehicle-lookup")).await.unwrap();
    let audit = desk.open(&format!("{base}/audit")).await.unwrap();
    assert_eq!((lookup.status, audit.status), (403, 403), "{}", lookup.text());
    let people = desk.open(&format!("{base}/people")).await.unwrap();
    let hale = people.link("Sam Hale").unwrap().to_string();
    let change = |page: &Page| {
        let form = page.pressed("Change it").unwrap().set("act", "disable").unwrap();
        form.set("reason", "out").unwrap()
    };
    let page = desk.open(&hale).await.unwrap();
    let refused = desk.submit(&page, &change(&page)).await.unwrap();
    assert_eq!(refused.status, 403, "weighty acts want both halves again");
    let page = desk.follow(&page, "Confirm my identity").await.unwrap();
    let form = page.form("/emergency").unwrap();
    let [first, second] = halves.texts();
    let form = form.set("first", &second).unwrap().set("second", &first).unwrap();
    let form = form.set("reason", "to disable an account").unwrap();
    let page = desk.submit(&page, &form).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text());
    let page = desk.open(&hale).await.unwrap();
    let page = desk.submit(&page, &change(&page)).await.unwrap();
    assert!(page.says("Disabled because"), "{}", page.text());

    // Another browser can't use the halves again.
    let page = stage.open(&mut browser(), "desk", &halves).await;
    assert_eq!(page.status, 403, "{}", page.text());
    assert_eq!(stage.last_refusal(), ("local|desk".into(), "emergency.spent".into()));

    let page = lindqvist.open("/emergency/uses").await.unwrap();
    assert!(page.says("the provider is down"), "{}", page.text());
    let form = page.pressed("I have looked into it").unwrap();
    let form = form.set("note", "a drill, as announced").unwrap();
    let page = lindqvist.browser.submit(&page, &form).await.unwrap();
    assert!(!page.says(told), "{}", page.text());
    let whats = stage.whats();
    for (what, begins) in whats.iter().zip([
        "given a new secret",
        "opened with two sealed halves",
        "proved again who it is",
        "its uses until ",
    ]) {
        assert!(what.starts_with(begins), "{whats:?}");
    }
    assert_eq!(whats.len(), 4, "{whats:?}");
    stage.0.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_in_is_told_nothing_and_the_ledger_why() {
    let stage = stage(WITHOUT_KEY).await;
    let (halves, other) = (stage.make("desk").await, stage.make("vault").await);
    let [first, second] = halves.texts();
    let [_, second_of_other] = other.texts();
    let mut stranger = browser();
    let mut pages = Vec::new();
    for (name, halves, code) in [
        ("nobody", [first.as_str(), second.as_str()], ("local", "emergency.name")),
        ("desk", [&first, &second_of_other], ("local|desk", "emergency.secret")),
        ("vault", [&first, &second], ("local|vault", "emergency.secret")),
    ] {
        let started = Instant::now();
        let page = stage.typed(&mut stranger, name, halves).await;
        println!("{}: refused in {} ms", code.1, started.elapsed().as_millis());
        assert_eq!(page.status, 403);
        assert_eq!(stage.last_refusal(), (code.0.to_owned(), code.1.to_owned()));
        let entry = page.document.with_attribute("data-entry").unwrap().text();
        pages.push(page.text().replace(&entry, "N"));
    }
    assert!(pages.windows(2).all(|two| two[0] == two[1]), "one page for all: {pages:?}");

    // A slip of the finger is no try.
    for (halves, field) in [(["0000-0000", &second], "first"), ([&first, &first], "second")] {
        let page = stage.typed(&mut stranger, "desk", halves).await;
        assert_eq!(page.status, 400);
        assert!(page.says("did not count as a try") && !page.text().contains(first.as_str()));
        assert_eq!(stage.last_refusal(), ("/emergency".into(), format!("bad-input:{field}")));
    }
    let address = format!("{}/emergency", stage.base);
    let mut foreign = Raw::post(&address, &[]).unwrap();
    foreign.headers[2].1 = "cross-site".to_owned();
    assert_eq!(stranger.raw(foreign).await.unwrap().status, 403);
    assert_eq!(stage.last_refusal(), ("/emergency".into(), "csrf".into()));

    // Four more wrong ones, and nobody gets in until two people release it.
    for _ in 0..4 {
        stage.typed(&mut stranger, "desk", [&first, &second_of_other]).await;
    }
    assert_eq!(stage.whats().last().unwrap(), "locked");
    let page = stage.open(&mut stranger, "desk", &halves).await;
    assert_eq!(page.status, 403);
    assert_eq!(stage.last_refusal(), ("local|desk".into(), "emergency.locked".into()));
    let mut voss = stage.seat("adm.voss").await;
    assert!(voss.open("/").await.unwrap().says("desk has been locked since"));
    let agency = &stage.world.riverton.agency;
    let place = Where { ledger: &agency.ledger, state: &agency.state, now: agency.now() };
    release(place, "desk", ["A", "a"], "drill").await.unwrap_err();
    release(place, "desk", PEOPLE, "drill").await.unwrap();
    let page = stage.open(&mut stranger, "desk", &halves).await;
    assert!(page.says("System-use notice"), "{}", page.text());

    let page = voss.open("/refusals").await.unwrap();
    assert_eq!(page.status, 200);
    let mut last = 0;
    for _ in 0..20 {
        last = stage.typed(&mut stranger, "desk", [&first, &first]).await.status;
    }
    assert_eq!(last, 429, "one address may not try without end");
    assert_eq!(stage.last_refusal(), ("/emergency".into(), "emergency.rate".into()));
    stage.0.world.stop().await;
}

/// A security key with the browser that it is put into.
struct SecurityKey {
    pair: P256Key,
    origin: String,
    count: u32,
}

impl SecurityKey {
    /// The fields of the form that the page's script fills in.
    fn answer(&mut self, page: &Page) -> Vec<(String, String)> {
        let form = page.element("security-key").unwrap();
        let asked = |name: &str| form.attribute(name).unwrap().to_owned();
        let registers = asked("data-registers") == "true";
        let kind = if registers { "webauthn.create" } else { "webauthn.get" };
        let (challenge, origin) = (asked("data-challenge"), &self.origin);
        let client = format!(
            r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        );
        self.count += 1;
        let flags = if registers { 0x45 } else { 0x05 };
        let mut data = [sha256(asked("data-site").as_bytes()).as_slice(), &[flags]].concat();
        data.extend(self.count.to_be_bytes());
        if registers {
            let point = self.pair.public_point();
            data.extend([[0; 16].as_slice(), &[0, 3], b"key"].concat());
            data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 0x20]);
            data.extend([&point[1..33], &[0x22, 0x58, 0x20], &point[33..]].concat());
        }
        let signed = [data.clone(), sha256(client.as_bytes()).to_vec()].concat();
        let signature = self.pair.sign(&signed).unwrap();
        let field = |name: &str, bytes: &[u8]| (name.to_owned(), URL_SAFE_NO_PAD.encode(bytes));
        vec![
            ("name".to_owned(), asked("data-name")),
            field("credential", b"key"),
            field("client_data", client.as_bytes()),
            field("authenticator_data", &data),
            field("signature", &signature),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_a_security_key_wants_it_in_the_same_browser_and_once() {
    let keyed = WITHOUT_KEY.replace("without_key = true", "without_key = false");
    let folder_of_no_name = stage_is_refused(&keyed).await;
    assert!(folder_of_no_name.contains("security keys know sites by name"), "{folder_of_no_name}");
    let stage = stage(WITHOUT_KEY).await;
    let halves = stage.make("desk").await;
    // The key is registered here as it would be where the configuration asks for one.
    let pair = P256Key::generate().unwrap();
    let mut key = SecurityKey { pair, origin: stage.base.clone(), count: 1 };
    register(&stage, &key).await;
    let mut desk = browser();
    let page = stage.open(&mut desk, "desk", &halves).await;
    assert!(page.says("Show the security key"), "{}", page.text());
    let address = format!("{}/emergency/key", stage.base);
    let answer = key.answer(&page);
    let other = browser().raw(Raw::post(&address, &answer).unwrap()).await.unwrap();
    assert_eq!(other.status, 403, "another browser");
    assert_eq!(stage.last_refusal(), ("local".into(), "emergency.key.unasked".into()));
    let mut forged = answer.clone();
    forged[4].1 = URL_SAFE_NO_PAD.encode([0x30, 6, 2, 1, 1, 2, 1, 1]);
    let page = desk.raw(Raw::post(&address, &forged).unwrap()).await.unwrap();
    assert_eq!(page.status, 403);
    assert_eq!(stage.last_refusal(), ("local|desk".into(), "emergency.key.signature".into()));
    let page = desk.raw(Raw::post(&address, &answer).unwrap()).await.unwrap();
    assert_eq!(page.status, 403, "what was asked is answered once");
    assert_eq!(stage.last_refusal(), ("local".into(), "emergency.key.unasked".into()));

    let page = stage.open(&mut desk, "desk", &halves).await;
    let answer = key.answer(&page);
    let page = desk.raw(Raw::post(&address, &answer).unwrap()).await.unwrap();
    assert_eq!((page.status, page.header("location")), (303, Some("/notice")), "{}", page.text());
    let whats = stage.whats();
    assert_eq!(whats.last().unwrap(), "opened with two sealed halves and a security key");
    stage.0.world.stop().await;
}

/// Why a world with these settings does not start.
async fn stage_is_refused(settings: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging { settings: settings.to_owned(), ..Staging::default() };
    let places = Places::free().await.unwrap();
    let error = World::start_staged(folder.path(), places, staging).await.err().unwrap();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |one| one.source());
    causes.map(ToString::to_string).collect()
}

async fn register(stage: &Desk, key: &SecurityKey) {
    let agency = &stage.world.riverton.agency;
    let point = key.pair.public_point();
    let (x, y) = (point[1..33].try_into().unwrap(), point[33..].try_into().unwrap());
    let new = state::emergency::SecurityKey {
        id: b"key".to_vec(),
        spki: keys::sign::p256_spki(&x, &y),
        count: key.count,
        added_at: agency.now(),
    };
    let id = identity::emergency::id_of("desk");
    let changed = state::emergency::change(&agency.state, id, agency.now(), |kept| {
        kept.keys.push(new);
    });
    changed.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_record_no_account_opens_and_no_secret_is_spent() {
    let mut stage = stage(WITHOUT_KEY).await;
    let mut halves = stage.make("desk").await;
    for writes in 0..WRITES_MAX {
        stage.disk.fail_writes_after("journal", writes);
        let mut desk = browser();
        let page = stage.open(&mut desk, "desk", &halves).await;
        stage.disk.mend();
        let inside = desk.open(&format!("{}/notice", stage.base)).await.unwrap();
        if page.status == 200 {
            assert!(inside.says("I understand and accept"), "{}", inside.text());
            println!("the account opened when {writes} writes of the ledger were let through");
            // More often than a stranger may fail, and none of it was a failure of theirs.
            assert!(writes >= 2, "the try and the opening are on record each: {writes}");
            stage.0.world.stop().await;
            return;
        }
        assert_eq!(page.status, 503, "{}", page.text());
        assert!(!inside.says("I understand and accept"), "{}", inside.text());
        // A write that failed may have ended the writer; the next start mends what it left.
        stage = Desk(stage.0.restarted().await);
        let kept = identity::emergency::overview(&stage.world.riverton.agency.state).await;
        let kept = &kept.unwrap()[0];
        assert_eq!(kept.locked_at, None, "with {writes} writes");
        if kept.spent_at.is_some() {
            // It opened on record, and only the sign-in was not recorded: nobody was let in, and it counts as used.
            assert!(stage.whats().last().unwrap().starts_with("opened with"));
            halves = stage.make("desk").await;
        }
    }
    panic!("the account never opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_not_configured_there_is_no_such_way_in() {
    let stage = stage("").await;
    let mut stranger = browser();
    let page = stranger.open(&format!("{}/emergency", stage.base)).await.unwrap();
    assert_eq!(page.status, 404);
    let post = Raw::post(&format!("{}/emergency", stage.base), &[]).unwrap();
    assert_eq!(stranger.raw(post).await.unwrap().status, 404);
    let page = stranger.open(&format!("{}/sign-in", stage.base)).await.unwrap();
    assert!(!page.says("Emergency"), "{}", page.text());
    let mut voss = stage.seat("adm.voss").await;
    let page = voss.open("/emergency/uses").await.unwrap();
    assert!(page.says("switched off"), "{}", page.text());
    stage.0.world.stop().await;
}
