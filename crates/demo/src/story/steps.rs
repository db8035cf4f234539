//! What the people of the story do, a step each: a look-up, a refusal, a case, its export, and
//! what the audit pages tell of it afterwards.

use std::time::Duration;

use jiff::SignedDuration;
use keys::{Clock as _, SystemClock};
use ledger::evidence::Evidence;
use ledger::format::Half;
use ledger::note::VerifierKey;

use crate::agreements::WAITING;
use crate::seed::story::{CASE, FAMILY, PLATE, VEHICLE};
use crate::story::cast::{
    Cast, FLAG_REASON, Failed, Seat, Step, entry, is_pdf, link, ok, reads, refused, status,
};
use crate::story::client::{Browser, Page, Raw};

/// How often, and how long after one another, the export's page is asked for.
const POLLS: (u32, Duration) = (75, Duration::from_millis(200));

/// 1.
pub(crate) async fn detective_signs_in(cast: &mut Cast) -> Step {
    let page = cast.ruiz.sign_in().await?;
    reads(&page, "Elena Ruiz")?;
    reads(&page, "Vehicle lookup")?;
    Ok("det.ruiz signs in by SAML with two factors and accepts the notice".to_owned())
}

/// 2.
pub(crate) async fn plate_is_found(cast: &mut Cast) -> Step {
    let page = look_up(&mut cast.ruiz, PLATE).await?;
    ok(&page)?;
    reads(&page, "Honda")?;
    let number = entry(&page)?;
    let form = page.pressed("row")?;
    cast.handle = form.value("row").unwrap_or_default();
    Ok(format!("Vehicle lookup finds plate {PLATE} (entry {number})"))
}

/// Fills in the vehicle lookup and sends it.
pub(crate) async fn look_up(seat: &mut Seat, plate: &str) -> Result<Page, Failed> {
    let page = seat.open("/tools/vehicle-lookup").await?;
    let form = page.form("/tools/vehicle-lookup/runs")?;
    let form = form.set("plate", plate)?.set("purpose", "C")?.set("case_number", CASE)?;
    Ok(seat.browser.submit(&page, &form).await?)
}

/// 3.
pub(crate) async fn car_is_flagged(cast: &mut Cast) -> Step {
    let page = look_up(&mut cast.ruiz, PLATE).await?;
    let browser = &mut cast.ruiz.browser;
    let page = browser.submit(&page, &page.pressed("row")?).await?;
    reads(&page, &format!("Plate {PLATE}"))?;
    reads(&page, "plate reader, Harbor Bridge")?;
    let page = browser.submit(&page, &page.form("/tools/vehicle-lookup/actions/do_flag")?).await?;
    reads(&page, &format!("Flag {PLATE}?"))?;
    let until = SystemClock.now() + SignedDuration::from_hours(24 * 30);
    let until = until.strftime("%Y-%m-%d").to_string();
    let form = page.form("/tools/vehicle-lookup/actions/do_flag")?;
    let form = form.set("reason", FLAG_REASON)?.set("until", &until)?.press("Yes, flag it")?;
    let page = browser.submit(&page, &form).await?;
    ok(&page)?;
    reads(&page, &format!("{PLATE} is flagged until"))?;
    Ok(format!("{PLATE} is flagged until {until}, after a question (entry {})", entry(&page)?))
}

/// 4.
pub(crate) async fn juvenile_is_refused(cast: &mut Cast) -> Step {
    cast.hale.sign_in().await?;
    let page = cast.hale.open("/tools/person-search").await?;
    let form = page.form("/tools/person-search/runs")?.set("last_name", FAMILY)?;
    let plain = form.set("purpose", "C")?.set("case_number", CASE)?;
    let ticked = plain.clone().set("juvenile", "yes")?;
    let no = cast.hale.browser.submit(&page, &ticked).await?;
    let number = refused(&no, 403)?;
    let yes = cast.hale.browser.submit(&page, &plain).await?;
    ok(&yes)?;
    reads(&yes, "Dana")?;
    if no.says("Toby") || yes.says("Toby") {
        return Err(Failed::on(&yes, "a juvenile is named"));
    }
    Ok(format!("ofc.hale is refused juvenile records (entry {number}) and sees the adult"))
}

/// Opens the case of the story.
async fn open_case(seat: &mut Seat) -> Result<Page, Failed> {
    let page = seat.open("/tools/case-file").await?;
    let form = page.form("/tools/case-file/runs")?;
    let form = form.set("case_number", CASE)?.set("purpose", "C")?;
    let page = seat.browser.submit(&page, &form).await?;
    ok(&page)?;
    reads(&page, "Brandt Hardware")?;
    Ok(page)
}

/// 5.
pub(crate) async fn case_is_read(cast: &mut Cast) -> Step {
    let page = open_case(&mut cast.ruiz).await?;
    let statement = link(&page, |text, _| text.contains("Witness statement"))?;
    let film = link(&page, |text, _| text.contains("Door camera"))?;
    let browser = &mut cast.ruiz.browser;
    let viewer = browser.go(&page, &statement).await?;
    let bytes = link(&viewer, |_, href| href.contains("/documents/"))?;
    let document = browser.go(&viewer, &bytes).await?;
    is_pdf(&document)?;
    let viewer = browser.go(&page, &film).await?;
    let bytes = link(&viewer, |_, href| href.contains("/documents/"))?;
    let piece = from_byte_1000(browser, &viewer, &bytes).await?;
    let (size, film) = (document.body.len(), piece.body.len());
    Ok(format!(
        "Case file {CASE} shows its statement ({size} bytes) and its video ({film} bytes of a range)"
    ))
}

/// A range of a film, as a player asks for it.
async fn from_byte_1000(browser: &mut Browser, page: &Page, film: &str) -> Result<Page, Failed> {
    let mut raw = Raw::get(&page.address.join(film)?.to_string());
    raw.headers.push(("range", "bytes=1000-".to_owned()));
    let piece = browser.raw(raw).await?;
    status(&piece, 206)?;
    match piece.header("content-range") {
        Some(range) if range.starts_with("bytes 1000-") => Ok(piece),
        _ => Err(Failed::on(&piece, "the range is another one")),
    }
}

/// 6.
pub(crate) async fn export_is_asked_for(cast: &mut Cast) -> Step {
    let seat = &mut cast.ruiz;
    let page = open_case(seat).await?;
    let page = seat.browser.submit(&page, &page.form("/tools/case-file/actions/export")?).await?;
    reads(&page, "First confirm that it is you")?;
    let page = seat.browser.follow(&page, "Confirm my identity").await?;
    let page = seat.prove(&page).await?;
    if page.address.path() != "/tools/case-file" {
        return Err(Failed::on(&page, "the step-up should lead back to the tool"));
    }
    let page = open_case(seat).await?;
    let page = seat.browser.submit(&page, &page.form("/tools/case-file/actions/export")?).await?;
    let form = page.form("export")?;
    let agreement = form.offered("agreement").into_iter().next().unwrap_or_default();
    let form = form.set("agreement", &agreement)?;
    let form = form.set("reason", "Two open cases with the same method of entry")?;
    let page = seat.browser.submit(&page, &form).await?;
    ok(&page)?;
    reads(&page, "The agreement, clause by clause")?;
    reads(&page, "Brandt Hardware")?;
    let page = seat.browser.submit(&page, &page.pressed("Ask for approval")?).await?;
    ok(&page)?;
    let path = page.address.path().to_owned();
    if !path.starts_with("/exports/") {
        return Err(Failed::on(&page, "the export should have a page"));
    }
    reads(&page, "Somebody else has to approve it")?;
    cast.export = path;
    Ok(format!("det.ruiz steps up and asks for the export under {agreement}"))
}

/// 7.
pub(crate) async fn own_approval_is_refused(cast: &mut Cast) -> Step {
    let seat = &mut cast.ruiz;
    let csrf = seat.csrf().await?;
    let address = format!("{}{}/approve", seat.base, cast.export);
    let raw = Raw::post(&address, &[("csrf".to_owned(), csrf)])?;
    let page = seat.browser.raw(raw).await?;
    let number = refused(&page, 403)?;
    Ok(format!("det.ruiz may not approve what det.ruiz asked for (entry {number})"))
}

/// 8.
pub(crate) async fn export_is_approved(cast: &mut Cast) -> Step {
    let seat = &mut cast.okafor;
    seat.sign_in().await?;
    let page = seat.open(&cast.export).await?;
    let page = seat.browser.follow(&page, "Confirm my identity first").await?;
    let page = seat.prove(&page).await?;
    let form = page.form(&format!("{}/approve", cast.export))?;
    let mut page = seat.browser.submit(&page, &form).await?;
    ok(&page)?;
    let begun = std::time::Instant::now();
    let (times, pause) = POLLS;
    for _ in 0..times {
        if state(&page) == "acknowledged" {
            let took = begun.elapsed().as_millis();
            return Ok(format!("sgt.okafor approves; sealed, sent and acknowledged in {took} ms"));
        }
        tokio::time::sleep(pause).await;
        page = seat.open(&cast.export).await?;
    }
    Err(Failed::on(&page, "the export is not acknowledged"))
}

/// Where an export is.
fn state(page: &Page) -> &str {
    let named = page.document.with_attribute("data-status");
    named.and_then(|element| element.attribute("data-status")).unwrap_or_default()
}

/// 9.
pub(crate) async fn parcel_is_opened(cast: &mut Cast) -> Step {
    let seat = &mut cast.pell;
    seat.sign_in().await?;
    let page = seat.open("/incoming").await?;
    let path = link(&page, |_, href| href.starts_with("/incoming/"))?;
    cast.exchange = path.trim_start_matches("/incoming/").to_owned();
    let page = seat.browser.go(&page, &path).await?;
    let page = seat.browser.submit(&page, &page.form(&format!("{path}/accept"))?).await?;
    ok(&page)?;
    let page = seat.browser.submit(&page, &page.form("open")?).await?;
    ok(&page)?;
    let number = page
        .links()
        .filter(|(text, href)| {
            let pdf = std::path::Path::new(text).extension().is_some_and(|kind| kind == "pdf");
            pdf && href.contains("/files/")
        })
        .count();
    let file =
        link(&page, |text, href| text.contains("statement.pdf") && href.contains("/files/"))?;
    let document = seat.browser.go(&page, &file).await?;
    is_pdf(&document)?;
    let film = link(&page, |text, href| text.contains(".mp4") && href.contains("/files/"))?;
    let bytes = from_byte_1000(&mut seat.browser, &page, &film).await?.body.len();
    Ok(format!(
        "Lakeside's inv.pell accepts and opens the parcel, views one of its {number} PDF files, and \
         {bytes} bytes from the middle of its film"
    ))
}

/// Searches the ledger.
async fn search(seat: &mut Seat, fields: &[(&str, &str)]) -> Result<Page, Failed> {
    let page = seat.open("/audit").await?;
    let mut form = page.form("search")?;
    for (name, value) in fields {
        form = form.set(name, value)?;
    }
    let page = seat.browser.submit(&page, &form).await?;
    ok(&page)?;
    Ok(page)
}

/// Downloads the proof of an entry with all that it says, and checks it under the key of the ledger's page.
async fn proof_holds(seat: &mut Seat, explained: &Page) -> Result<(), Failed> {
    let address = link(explained, |_, href| href.ends_with("/proof/disclosed"))?;
    let file = seat.browser.go(explained, &address).await?;
    ok(&file)?;
    let page = seat.open("/audit/ledger").await?;
    let text = page.text();
    let key = text.split_whitespace().find_map(|word| VerifierKey::parse(word).ok());
    let key = key.ok_or_else(|| Failed::on(&page, "the ledger's page should show its key"))?;
    let held = Evidence::parse(&String::from_utf8_lossy(&file.body))
        .and_then(|evidence| evidence.check(&key).map(|_| evidence))
        .map_err(|error| Failed::on(&file, format!("the proof does not hold: {error}")))?;
    match held.entries() {
        [entry] if entry.said(Half::Private).is_some() => Ok(()),
        _ => Err(Failed::on(&file, "the proof should say what the entry says")),
    }
}

/// 10.
pub(crate) async fn audit_lists_who_looked(cast: &mut Cast) -> Step {
    let seat = &mut cast.lindqvist;
    seat.sign_in().await?;
    let page = seat.open("/audit").await?;
    let one = link(&page, |_, href| href.starts_with("/audit/entries/"))?;
    let explained = seat.browser.go(&page, &one).await?;
    ok(&explained)?;
    reads(&explained, "Merkle leaf (SHA-256)")?;
    proof_holds(seat, &explained).await?;
    let page = search(seat, &[("subject_kind", "vehicle"), ("subject", VEHICLE)]).await?;
    let lines = page.document.elements("li").filter(|line| line.attribute("data-entry").is_some());
    let lines: Vec<String> = lines.map(|line| line.text()).collect();
    // What is sealed is read once more, in the name of the person who approved it.
    let (asked, approved) = ("Elena Ruiz", "Ngozi Okafor");
    let known = |line: &String| line.contains(asked) || line.contains(approved);
    if !lines.iter().all(known) || !lines.iter().any(|line| line.contains(asked)) {
        return Err(Failed::on(
            &page,
            "the detective and the approver, and nobody else, should be there",
        ));
    }
    let count = lines.len();
    let through_tool = [("kind", "released"), ("tool", "vehicle-lookup"), ("subject", VEHICLE)];
    let page = search(seat, &[&through_tool[..], &[("subject_kind", "vehicle")]].concat()).await?;
    reads(&page, asked)?;
    let page = search(seat, &[("kind", "released"), ("tool", "no-such-tool")]).await?;
    reads(&page, "No entry matches.")?;
    Ok(format!(
        "so.lindqvist sees who read {VEHICLE}: {count} entries, of det.ruiz and approver sgt.okafor only"
    ))
}

/// 11.
pub(crate) async fn both_ledgers_agree(cast: &mut Cast) -> Step {
    let exchange = cast.exchange.clone();
    let sent = search(&mut cast.lindqvist, &[("kind", "parcel-sent")]).await?;
    reads(&sent, &exchange)?;
    cast.grant.sign_in().await?;
    let received = search(&mut cast.grant, &[("kind", "parcel-received")]).await?;
    reads(&received, &exchange)?;
    let (ours, theirs) = (entry(&sent)?, entry(&received)?);
    Ok(format!("both ledgers name exchange {exchange} (Riverton {ours}, Lakeside {theirs})"))
}

/// 12.
pub(crate) async fn ledgers_are_witnessed(cast: &mut Cast) -> Step {
    let ours = confirmed(&mut cast.lindqvist, "lakeside").await?;
    let theirs = confirmed(&mut cast.grant, "riverton").await?;
    let page = cast.grant.open("/audit/ledger").await?;
    reads(&page, "Ledgers that we confirm")?;
    reads(&page, "riverton.example/ledger")?;
    Ok(format!(
        "Lakeside has cosigned Riverton's checkpoint of {ours} entries, and Riverton Lakeside's of {theirs}"
    ))
}

/// 13.
pub(crate) async fn agreement_is_reviewed(cast: &mut Cast) -> Step {
    let seat = &mut cast.lindqvist;
    let page = seat.open("/partners").await?;
    reads(&page, "waits for a security officer")?;
    let path = format!("/agreements/{WAITING}");
    let page = seat.browser.go(&page, &path).await?;
    let page = seat.browser.follow(&page, "Confirm my identity").await?;
    let page = seat.prove(&page).await?;
    let form = page.pressed("Accept this text")?.set("reason", "Compared with the letter")?;
    let page = seat.browser.submit(&page, &form).await?;
    ok(&page)?;
    reads(&page, "What counts: version 1")?;
    Ok(format!("so.lindqvist reviews agreement {WAITING}, which counts from then on"))
}

/// The size at which this witness has confirmed the ledger, as its page tells.
async fn confirmed(seat: &mut Seat, witness: &str) -> Result<u64, Failed> {
    let (times, pause) = POLLS;
    let mut page = seat.open("/audit/ledger").await?;
    for _ in 0..times {
        let size = {
            let mut rows = page.document.elements("tr");
            let row = rows.find(|row| row.attribute("data-witness") == Some(witness));
            row.and_then(|row| row.attribute("data-size")?.parse::<u64>().ok())
        };
        match size {
            Some(size) if size > 0 => {
                reads(&page, "releases go on")?;
                return Ok(size);
            }
            Some(_) => tokio::time::sleep(pause).await,
            None => return Err(Failed::on(&page, format!("{witness} is no witness"))),
        }
        page = seat.open("/audit/ledger").await?;
    }
    Err(Failed::on(&page, format!("{witness} has not cosigned")))
}
