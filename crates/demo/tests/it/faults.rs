//! The one law over HTTP: each write of the ledger is made to fail in turn, under every kind of page that
//! shows records, and no byte of them reaches the client.

use demo::seed::story::{CASE, FAMILY, PLATE};
use demo::story::client::{Browser, Page, Raw};
use demo::story::{Failed, Seat};

use crate::stage::{Stage, step_up};

/// More ledger writes than any one request makes.
const WRITES_MAX: usize = 16;
/// The evidence film, as the store has it.
const FILM: &[u8] = include_bytes!("../../assets/door-camera.mp4");

/// A request that shows records when all goes well.
struct Probe {
    name: &'static str,
    browser: Browser,
    request: Raw,
    status: u16,
    /// Bytes of the records, which are in the answer and must never be in a refusal.
    marker: Vec<u8>,
}

impl Probe {
    fn post(
        name: &'static str,
        seat: &Seat,
        page: &Page,
        form: &demo::story::form::Form,
        marker: &str,
    ) -> Self {
        let address = page.address.join(&form.action).unwrap().to_string();
        let request = Raw::post(&address, &form.fields()).unwrap();
        let (browser, marker) = (seat.browser.clone(), marker.as_bytes().to_vec());
        Self { name, browser, request, status: 200, marker }
    }

    fn get(name: &'static str, seat: &Seat, address: &str, marker: &[u8]) -> Self {
        let (browser, request) = (seat.browser.clone(), Raw::get(address));
        Self { name, browser, request, status: 200, marker: marker.to_vec() }
    }

    async fn ask(&self) -> Page {
        self.browser.raw(self.request.clone()).await.unwrap()
    }
}

fn holds(page: &Page, marker: &[u8]) -> bool {
    let headers = page.headers.values().map(http::HeaderValue::as_bytes);
    let mut parts = headers.chain([&*page.body]);
    parts.any(|part| part.windows(marker.len()).any(|window| window == marker))
}

fn link(page: &Page, text: &str) -> String {
    let found = page.links().find(|(words, href)| words.contains(text) || href.contains(text));
    page.address.join(&found.unwrap().1).unwrap().to_string()
}

/// Opens each page once, so that what is probed is known to work.
async fn probes(ruiz: &mut Seat, lindqvist: &mut Seat) -> Result<Vec<Probe>, Failed> {
    ruiz.sign_in().await?;
    let mut probes = Vec::new();

    let page = ruiz.open("/tools/vehicle-lookup").await?;
    let form = page.form("/tools/vehicle-lookup/runs")?;
    let form = form.set("plate", PLATE)?.set("purpose", "C")?.set("case_number", CASE)?;
    probes.push(Probe::post("a look-up", ruiz, &page, &form, "Honda"));
    let page = ruiz.browser.submit(&page, &form).await?;
    let form = page.pressed("row")?;
    probes.push(Probe::post("a row", ruiz, &page, &form, "plate reader, Harbor Bridge"));

    let page = ruiz.open("/tools/person-search").await?;
    let form = page.form("/tools/person-search/runs")?.set("last_name", FAMILY)?;
    let form = form.set("purpose", "C")?.set("case_number", CASE)?;
    probes.push(Probe::post("a person", ruiz, &page, &form, "Dana"));

    let page = ruiz.open("/tools/case-file").await?;
    let form = page.form("/tools/case-file/runs")?;
    let form = form.set("case_number", CASE)?.set("purpose", "C")?;
    probes.push(Probe::post("a case of four queries", ruiz, &page, &form, "Brandt Hardware"));
    let page = ruiz.browser.submit(&page, &form).await?;
    let viewer = ruiz.browser.open(&link(&page, "Witness statement")).await?;
    probes.push(Probe::get("a document", ruiz, &link(&viewer, "/documents/"), b"%PDF"));
    let viewer = ruiz.browser.open(&link(&page, "Door camera")).await?;
    let mut piece =
        Probe::get("a piece of a film", ruiz, &link(&viewer, "/documents/"), &FILM[5000..5064]);
    piece.request.headers.push(("range", "bytes=4000-9000".to_owned()));
    piece.status = 206;
    probes.push(piece);

    lindqvist.sign_in().await?;
    let page = lindqvist.open("/audit").await?;
    let entry = link(&page, "/audit/entries/");
    probes.push(Probe::get("the timeline", lindqvist, &page.address.to_string(), CASE.as_bytes()));
    probes.push(Probe::get("an entry", lindqvist, &entry, b"Merkle leaf"));
    for (name, path) in [("a proof", "proof"), ("a proof that discloses", "proof/disclosed")] {
        probes.push(Probe::get(name, lindqvist, &format!("{entry}/{path}"), b"tlog-proof@v1"));
    }
    Ok(probes)
}

/// What is shared with partners, on its way out and in: its forms, lists and pages.
async fn sharing(ruiz: &mut Seat, lindqvist: &mut Seat) -> Result<Vec<Probe>, Failed> {
    ruiz.sign_in().await?;
    step_up(ruiz, "/tools/case-file").await;
    let mut probes = Vec::new();
    let page = ruiz.open("/tools/case-file").await?;
    let form = page.form("/tools/case-file/runs")?;
    let form = form.set("case_number", CASE)?.set("purpose", "C")?;
    let page = ruiz.browser.submit(&page, &form).await?;
    let form = page.form("/tools/case-file/actions/export")?;
    probes.push(Probe::post("an export's form", ruiz, &page, &form, "Partner and agreement"));
    let page = ruiz.browser.submit(&page, &form).await?;
    let form = page.form("export")?.set("agreement", "riverton-lakeside-2026")?;
    let form = form.set("reason", "Same method of entry")?;
    probes.push(Probe::post("a preview", ruiz, &page, &form, "clause by clause"));
    let page = ruiz.browser.submit(&page, &form).await?;
    let page = ruiz.browser.submit(&page, &page.pressed("Ask for approval")?).await?;
    let export = page.address.to_string();
    probes.push(Probe::get("an export", ruiz, &export, b"Somebody else has to approve it"));
    let form = page.pressed("Keep as a template")?.set("title", "Burglaries, weekly")?;
    let page = ruiz.browser.submit(&page, &form).await?;
    let template = page.address.to_string();
    probes.push(Probe::get("a template", ruiz, &template, b"Fill in the case"));
    for (name, path, marker) in [
        ("the exports", "/exports", "Burglaries, weekly"),
        ("the received parcels", "/incoming", "Nothing has arrived yet"),
    ] {
        probes.push(Probe::get(name, ruiz, &format!("{}{path}", ruiz.base), marker.as_bytes()));
    }

    lindqvist.sign_in().await?;
    let page = lindqvist.open("/audit/joint").await?;
    let address = page.address.to_string();
    probes.push(Probe::get("joint audits", lindqvist, &address, b"Our extract, for the partner"));
    let form = page.form("extract")?;
    probes.push(Probe::post("an extract", lindqvist, &page, &form, "bailiwick-extract/1.0"));
    let address = format!("{}/audit/dissemination", lindqvist.base);
    probes.push(Probe::get("the dissemination log", lindqvist, &address, b"No criminal history"));
    Ok(probes)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_leaves_when_a_ledger_write_fails_whichever_it_is() {
    let stage = Stage::start("").await;
    let (mut ruiz, mut lindqvist) =
        (Seat::new("det.ruiz", &stage.base), Seat::new("so.lindqvist", &stage.base));
    let probes = probes(&mut ruiz, &mut lindqvist).await.unwrap();
    none_leaves(stage, &probes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_is_shared_is_shown_when_a_ledger_write_fails() {
    let stage = Stage::start("").await;
    let (mut ruiz, mut lindqvist) =
        (Seat::new("det.ruiz", &stage.base), Seat::new("so.lindqvist", &stage.base));
    let probes = sharing(&mut ruiz, &mut lindqvist).await.unwrap();
    none_leaves(stage, &probes).await;
}

async fn none_leaves(mut stage: Stage, probes: &[Probe]) {
    for probe in probes {
        let mut writes = 0;
        loop {
            stage.disk.fail_writes_after("journal", writes);
            let page = probe.ask().await;
            stage.disk.mend();
            if page.status == probe.status {
                assert!(holds(&page, &probe.marker), "{}: {}", probe.name, page.text());
                break;
            }
            let at = format!("{} with write {writes} failing: {}", probe.name, page.text());
            assert_eq!(page.status, 503, "{at}");
            assert!(page.says("could not record this"), "{at}");
            for other in probes {
                assert!(!holds(&page, &other.marker), "{at} shows {}", other.name);
            }
            // A write that failed may have ended the writer; the next start mends what it left.
            stage = stage.restarted().await;
            writes += 1;
            assert!(writes < WRITES_MAX, "{at}");
        }
        assert!(writes >= 2, "{} needs its question and its release on record", probe.name);
    }
    stage.world.stop().await;
}
