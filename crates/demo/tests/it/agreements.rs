//! Agreements over HTTP: what nobody reviewed lets nothing out, who may review, and which clause refuses.

use demo::agreements::WAITING;
use demo::runner::{Places, World};
use demo::story::Seat;
use demo::story::client::{Page, Raw};

use crate::stage::{Stage, step_up};

/// Asks for the export of the story's case under an agreement, as a browser's form would.
async fn ask(seat: &mut Seat, agreement: &str) -> Page {
    let page = seat.open("/tools/case-file").await.unwrap();
    let form = page.form("/tools/case-file/runs").unwrap();
    let form = form.set("case_number", "24-000113").unwrap().set("purpose", "C").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.form("/tools/case-file/actions/export").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.form("export").unwrap().set("agreement", agreement).unwrap();
    let form = form.set("reason", "Two open cases with the same method of entry").unwrap();
    let page = seat.browser.submit(&page, &form).await.unwrap();
    let form = page.pressed("Ask for approval").unwrap();
    seat.browser.submit(&page, &form).await.unwrap()
}

async fn review(seat: &mut Seat, digest: &str, decision: &str) -> Page {
    let page = seat.open("/").await.unwrap();
    let csrf = page.form("/sign-out").unwrap().value("csrf").unwrap();
    let fields = [
        ("csrf", csrf.as_str()),
        ("digest", digest),
        ("reason", "Compared with the letter"),
        ("decision", decision),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let raw = Raw::post(&format!("{}/agreements/{WAITING}", seat.base), &fields).unwrap();
    seat.browser.raw(raw).await.unwrap()
}

/// The page, whatever its status.
async fn any(seat: &mut Seat, path: &str) -> Page {
    let address = format!("{}{path}", seat.base);
    seat.browser.open(&address).await.unwrap()
}

/// Refused, with an entry in the ledger to quote and these words.
#[track_caller]
fn is_refused(page: &Page, words: &str) {
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.says(words), "{}", page.text());
    assert!(page.says("entry"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_counts_once_a_security_officer_has_accepted_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), Places::free().await.unwrap()).await.unwrap();
    let base = format!("http://{}", world.riverton.pages);
    let seat = async |id| {
        let mut seat = Seat::new(id, &base);
        seat.sign_in().await.unwrap();
        seat
    };
    let mut ruiz = seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    is_refused(&ask(&mut ruiz, WAITING).await, "agreement.unreviewed");

    let held = &world.riverton.agency.exchange.as_ref().unwrap().exchange;
    let digest = held.held_agreement(WAITING).await.unwrap().waiting().unwrap().digest.clone();
    is_refused(&review(&mut ruiz, &digest, "accept").await, "review an agreement");
    let mut voss = seat("adm.voss").await;
    step_up(&mut voss, "/partners").await;
    is_refused(&review(&mut voss, &digest, "accept").await, "do not review what they wrote");

    let mut lindqvist = seat("so.lindqvist").await;
    assert!(lindqvist.open("/").await.unwrap().says("waits for a security officer"));
    let page = lindqvist.open(&format!("/agreements/{WAITING}")).await.unwrap();
    assert!(page.says("waits for its review") && page.says("28 CFR 20.33"), "{}", page.text());
    is_refused(&review(&mut lindqvist, &digest, "accept").await, "prove again who you are");
    step_up(&mut lindqvist, "/partners").await;
    assert_eq!(review(&mut lindqvist, "00", "accept").await.status, 409);
    assert_eq!(review(&mut lindqvist, &digest, "perhaps").await.status, 400);
    let page = lindqvist.open(&format!("/agreements/{WAITING}")).await.unwrap();
    let form = page.pressed("Accept this text").unwrap().set("reason", "As in the letter").unwrap();
    let page = lindqvist.browser.submit(&page, &form).await.unwrap();
    assert!(page.says("What counts: version 1") && page.says("Maja Lindqvist"), "{}", page.text());

    is_refused(&ask(&mut ruiz, WAITING).await, "agreement.record-class");
    let page = ask(&mut ruiz, "riverton-lakeside-2026").await;
    assert!(page.says("Somebody else has to approve it"), "{}", page.text());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_show_their_certificates_as_words_and_agreements_their_signed_document() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), Places::free().await.unwrap()).await.unwrap();
    let mut okafor = Seat::new("sgt.okafor", &format!("http://{}", world.riverton.pages));
    okafor.sign_in().await.unwrap();
    let page = okafor.open("/partners/NB0020000").await.unwrap();
    let partner = world
        .riverton
        .agency
        .exchange
        .as_ref()
        .unwrap()
        .exchange
        .book()
        .partner("NB0020000")
        .unwrap();
    for (_, certificate) in partner.certificates() {
        let words = exchange::aloud(&certificate.fingerprint());
        assert!(words.iter().all(|group| page.says(group)), "{}", page.text());
    }
    let page = okafor.open("/agreements/riverton-lakeside-2026").await.unwrap();
    assert!(page.says("Until the case is closed, then three years") && page.says("A. Marsh"));
    let file = okafor.open("/agreements/riverton-lakeside-2026/document").await.unwrap();
    assert!(file.body.starts_with(b"%PDF-"));
    let forged = world.homes[0].folder.join("sharing/agreements/memorandum.pdf");
    std::fs::write(forged, b"%PDF-1.7 forged").unwrap();
    let file = any(&mut okafor, "/agreements/riverton-lakeside-2026/document").await;
    assert_eq!(file.status, 404, "another file than was signed is not given out");
    for path in ["/agreements/none", "/partners/NB0000000"] {
        assert_eq!(any(&mut okafor, path).await.status, 404);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_and_rules_that_are_written_otherwise_count_once_somebody_has_accepted_them() {
    let stage = Stage::start("").await;
    let mut okafor = stage.seat("sgt.okafor").await;
    let page = okafor.open("/partners/NB0020000").await.unwrap();
    assert!(page.says("accepted") && !page.says("waits for its review"), "{}", page.text());
    let sharing = stage.world.homes[0].folder.join("sharing");
    let partner = std::fs::read_dir(sharing.join("partners")).unwrap().find_map(|file| {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).ok()?;
        text.contains("ori = \"NB0020000\"").then_some((path, text))
    });
    let (path, text) = partner.unwrap();
    std::fs::write(&path, text.replace("Lakeside County\"", "Hill County\"")).unwrap();
    let rules = sharing.join("jurisdictions.toml");
    let more = "\n[[rule]]\nid = \"mine\"\njurisdiction = \"Hill County\"\ncitation = \"RS 7\"\n\
                record_class = \"INCIDENT\"\napprovals = 1\n";
    let text = std::fs::read_to_string(&rules).unwrap() + more;
    std::fs::write(&rules, text).unwrap();
    let stage = stage.restarted().await;

    let mut ruiz = stage.seat("det.ruiz").await;
    step_up(&mut ruiz, "/tools/case-file").await;
    is_refused(&ask(&mut ruiz, "riverton-lakeside-2026").await, "partner.unreviewed");
    let mut lindqvist = stage.seat("so.lindqvist").await;
    let home = lindqvist.open("/").await.unwrap();
    assert!(home.says("partner NB0020000 waits for a security officer"), "{}", home.text());
    assert!(home.says("the rules of jurisdictions waits"), "{}", home.text());
    let page = lindqvist.open("/partners/NB0020000").await.unwrap();
    assert!(page.says("Version 2 waits for its review") && page.says("Hill County"));
    assert!(page.pressed("Accept this text").is_err(), "not before a step-up");
    step_up(&mut lindqvist, "/partners").await;
    for (path, says) in [("/partners/NB0020000", "Jurisdiction"), ("/partners/rules", "Rule mine")]
    {
        let page = lindqvist.open(path).await.unwrap();
        assert!(page.says(says), "{}", page.text());
        let form = page.pressed("Accept this text").unwrap().set("reason", "By telephone").unwrap();
        let page = lindqvist.browser.submit(&page, &form).await.unwrap();
        assert!(page.says("By telephone") && !page.says("waits for its review"), "{}", page.text());
        if path == "/partners/NB0020000" {
            let page = ask(&mut ruiz, "riverton-lakeside-2026").await;
            is_refused(&page, "jurisdiction.unreviewed");
        }
    }
    let page = ask(&mut ruiz, "riverton-lakeside-2026").await;
    assert!(page.says("Somebody else has to approve it"), "{}", page.text());
    stage.world.stop().await;
}
