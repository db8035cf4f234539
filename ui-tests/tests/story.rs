//! The whole story in a real browser: the demo as a process, each person in a profile of their own, and
//! every page on the way held to what holds for every page.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

#[path = "support/carrying.rs"]
mod carrying;
#[path = "support/reconciling.rs"]
mod reconciling;
#[path = "support/demo.rs"]
mod stage;

use stage::{Demo, audit_refusal, demo, picture, prove, sign_in};
use ui_tests::{Browser, Page};

async fn open_case(page: &Page, base: &str) {
    page.goto(&format!("{base}/tools/case-file")).await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.click("Open the case").await.unwrap();
    page.wait_for("SHA-256").await.unwrap();
}

async fn look_up_a_vehicle(page: &Page, base: &str) {
    page.goto(&format!("{base}/tools/vehicle-lookup")).await.unwrap();
    page.audit().await.unwrap();
    page.fill("Licence plate", "7KDR*").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.click("Search").await.unwrap();
    page.wait_for("7KDR").await.unwrap();
    page.click("Year").await.unwrap();
    page.wait_js("document.querySelector('th[aria-sort]')?.innerText.includes('Year')")
        .await
        .unwrap();
    page.audit().await.unwrap();
    page.click("Open 7KDR").await.unwrap();
    page.wait_for("History of 7KDR").await.unwrap();
    page.audit().await.unwrap();
    page.click("Flag vehicle").await.unwrap();
    page.wait_for("Yes, flag it").await.unwrap();
    page.audit().await.unwrap();
    page.click("Cancel").await.unwrap();
    page.wait_for("History of 7KDR").await.unwrap();
    page.fill("Licence plate", "7K*").await.unwrap();
    page.click("Search").await.unwrap();
    page.wait_gone("History of 7KDR").await.unwrap();
    page.click("Open 7K").await.unwrap();
    page.wait_for("History of 7K").await.unwrap();
    picture(page, "vehicle-lookup").await;
}

async fn look_up_a_person(page: &Page, base: &str) {
    page.goto(&format!("{base}/tools/person-search")).await.unwrap();
    page.fill("Last name", "Harlow").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.click("Search").await.unwrap();
    page.wait_for("Persons").await.unwrap();
    page.audit().await.unwrap();
}

/// The film plays, out of pieces that are each on record.
async fn play_the_film(page: &Page, base: &str) {
    open_case(page, base).await;
    picture(page, "case-file").await;
    page.audit().await.unwrap();
    page.follow("Play").await.unwrap();
    page.wait_js("document.querySelector('video').readyState > 0").await.unwrap();
    page.audit().await.unwrap();
}

/// Gives the address of the export.
async fn ask_for_an_export(page: &Page, base: &str) -> String {
    open_case(page, base).await;
    page.click("Export to a partner").await.unwrap();
    page.wait_for("First confirm that it is you").await.unwrap();
    page.audit().await.unwrap();
    page.follow("Confirm my identity").await.unwrap();
    prove(page, "Elena Ruiz", "Riverton").await;
    open_case(page, base).await;
    page.click("Export to a partner").await.unwrap();
    page.wait_for("Why the partner needs it").await.unwrap();
    page.audit().await.unwrap();
    page.fill("Why the partner needs it", "Joint burglary investigation").await.unwrap();
    page.follow("Show what would leave").await.unwrap();
    page.wait_for("The agreement, clause by clause").await.unwrap();
    picture(page, "export-preview").await;
    page.audit().await.unwrap();
    page.click("dob").await.unwrap();
    page.follow("Show again what would leave").await.unwrap();
    page.wait_for("Ask for it").await.unwrap();
    page.audit().await.unwrap();
    page.click("Ask for approval").await.unwrap();
    page.wait_for("Somebody else has to approve it").await.unwrap();
    page.audit().await.unwrap();
    page.url().await.unwrap()
}

async fn approve(page: &Page, base: &str, export: &str) {
    page.goto(&format!("{base}/exports")).await.unwrap();
    page.audit().await.unwrap();
    page.goto(export).await.unwrap();
    page.follow("Confirm my identity first").await.unwrap();
    prove(page, "Ngozi Okafor", "Riverton").await;
    page.goto(export).await.unwrap();
    page.audit().await.unwrap();
    page.click("Approve").await.unwrap();
    page.wait_js("document.querySelector('[data-status=acknowledged]') !== null").await.unwrap();
    page.goto(export).await.unwrap();
    page.wait_for("anchored as entry").await.unwrap();
    picture(page, "export").await;
    page.audit().await.unwrap();
}

async fn open_the_parcel(page: &Page, base: &str) {
    page.goto(&format!("{base}/take-in")).await.unwrap();
    page.audit().await.unwrap();
    page.goto(&format!("{base}/incoming")).await.unwrap();
    page.audit().await.unwrap();
    page.follow("No. ").await.unwrap();
    page.wait_for("How it was verified").await.unwrap();
    picture(page, "parcel-decision").await;
    page.audit().await.unwrap();
    page.click("Accept it").await.unwrap();
    page.wait_for("The list of files is shown").await.unwrap();
    page.audit().await.unwrap();
    page.follow("Open the parcel").await.unwrap();
    page.wait_for("What it is for").await.unwrap();
    page.audit().await.unwrap();
}

/// Loads a page until it says so: what the two agencies tell each other takes a moment.
async fn reload_until(page: &Page, url: &str, text: &str) {
    let says = format!("document.body.innerText.includes({text:?})");
    let mut said = false;
    for _ in 0..100 {
        page.goto(url).await.unwrap();
        said = page.ask::<bool>(&says).await.unwrap();
        if said {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(said, "{url} does not say {text}");
}

/// The sender takes it back, the receiver destroys it, and the certificate of that comes back.
async fn recall_and_destroy(ruiz: &Page, export: &str, pell: &Page, lakeside: &str) {
    reload_until(ruiz, export, "Opened for the first time").await;
    ruiz.audit().await.unwrap();
    ruiz.fill("Why it is recalled", "Sent for the wrong case").await.unwrap();
    ruiz.click("Recall the export").await.unwrap();
    ruiz.wait_for("took it back on").await.unwrap();
    reload_until(ruiz, export, "The partner had it already, and has to answer").await;
    picture(ruiz, "export-recalled").await;
    ruiz.audit().await.unwrap();

    reload_until(pell, &format!("{lakeside}/incoming"), "recalled: answer it").await;
    pell.audit().await.unwrap();
    pell.follow("No. ").await.unwrap();
    pell.wait_for("The sender recalls this parcel").await.unwrap();
    picture(pell, "parcel-recalled").await;
    pell.audit().await.unwrap();
    pell.follow("Confirm my identity first").await.unwrap();
    prove(pell, "Jonah Pell", "Lakeside").await;
    pell.wait_for("The sender recalls this parcel").await.unwrap();
    pell.fill("Why it is destroyed", "Recalled by its sender").await.unwrap();
    pell.click("Destroy the parcel").await.unwrap();
    pell.wait_for("Destroyed by").await.unwrap();
    picture(pell, "parcel-destroyed").await;
    pell.audit().await.unwrap();

    reload_until(ruiz, export, "Certificate of destruction").await;
    ruiz.wait_for("destroyed; the parcel's files").await.unwrap();
    picture(ruiz, "export-destroyed").await;
    ruiz.audit().await.unwrap();
    take_custody(ruiz, pell).await;
}

/// Both sides take the custody record away, after all is over.
async fn take_custody(ruiz: &Page, pell: &Page) {
    let document = ruiz.download("Custody record as a document (PDF)").await.unwrap();
    ruiz.ask::<bool>("(document.getElementById('custody').scrollIntoView(), true)").await.unwrap();
    picture(ruiz, "custody").await;
    assert!(std::fs::read(document).unwrap().starts_with(b"%PDF-"));
    for page in [ruiz, pell] {
        let record = page.download("Custody record for programs (JSON-LD)").await.unwrap();
        let record = std::fs::read_to_string(record).unwrap();
        let destroyed = record.matches("\"uco-core:name\": \"destroyed\"").count();
        assert_eq!(destroyed, 1, "{record}");
    }
}

/// Lakeside hands over its extract, and Riverton holds it against its own ledger.
async fn audit_jointly(demo: &Demo, lindqvist: &Page, grant: &Page) {
    let (riverton, lakeside) = (demo.riverton.as_str(), demo.lakeside.as_str());
    grant.goto(&format!("{lakeside}/audit/joint")).await.unwrap();
    grant.wait_for("Our extract, for the partner").await.unwrap();
    picture(grant, "joint-audit-forms").await;
    grant.audit().await.unwrap();
    let theirs = grant.download("Download our extract").await.unwrap();
    lindqvist.goto(&format!("{riverton}/audit/joint")).await.unwrap();
    let ours = lindqvist.download("Download our extract").await.unwrap();
    reconciling::without_a_server(demo, &ours, &theirs);
    lindqvist.choose("The partner's extract", &[theirs]).await.unwrap();
    lindqvist.click("Hold them against each other").await.unwrap();
    lindqvist.wait_for("The two ledgers agree").await.unwrap();
    picture(lindqvist, "joint-audit").await;
    lindqvist.audit().await.unwrap();
}

async fn read_the_audit(page: &Page, base: &str, refused: &str) {
    page.goto(&format!("{base}/audit")).await.unwrap();
    page.wait_js("document.querySelector('.entry') !== null").await.unwrap();
    picture(page, "audit").await;
    page.audit().await.unwrap();
    page.fill("About a", "Case").await.unwrap();
    page.fill("Its identifier", "24-000113").await.unwrap();
    page.click("Search").await.unwrap();
    let about_the_case = "[...document.querySelectorAll('.entry')].some((entry) => \
         entry.innerText.includes('case 24-000113'))";
    page.wait_js(about_the_case).await.unwrap();
    page.audit().await.unwrap();
    filter_the_audit(page, base).await;
    page.goto(&format!("{base}/audit/entries/{refused}")).await.unwrap();
    page.wait_for("Sam Hale").await.unwrap();
    page.wait_for("Inclusion proof").await.unwrap();
    page.audit().await.unwrap();
    page.goto(&format!("{base}/audit/ledger")).await.unwrap();
    page.wait_for("Verify it without us").await.unwrap();
    page.wait_for("Confirmed from outside").await.unwrap();
    page.wait_for("Ledgers that we confirm").await.unwrap();
    picture(page, "ledger").await;
    page.audit().await.unwrap();
    // Once more with everything open: keys and signed notes are long.
    let all_open = "(() => { const all = document.querySelectorAll('main details'); \
         all.forEach((one) => { one.open = true; }); return all.length >= 2; })()";
    page.wait_js(all_open).await.unwrap();
    page.audit().await.unwrap();
    hold_records(page, base).await;
}

/// Reads what waits and accepts it, minutes after having proved who one is.
async fn review_an_agreement(page: &Page, base: &str) {
    page.goto(&format!("{base}/partners")).await.unwrap();
    page.wait_for("Partners and agreements").await.unwrap();
    picture(page, "partners").await;
    page.audit().await.unwrap();
    page.goto(&format!("{base}/partners/NB0020000")).await.unwrap();
    page.wait_for("Its certificates").await.unwrap();
    picture(page, "partner").await;
    page.audit().await.unwrap();
    page.goto(&format!("{base}/agreements/riverton-lakeside-chri")).await.unwrap();
    page.audit().await.unwrap();
    page.wait_for("waits for its review").await.unwrap();
    page.fill("What you compared it with", "The letter of 3 March 2026").await.unwrap();
    picture(page, "agreement-waits").await;
    page.audit().await.unwrap();
    page.follow("Accept this text").await.unwrap();
    page.wait_for("What counts: version 1").await.unwrap();
    picture(page, "agreement").await;
    page.audit().await.unwrap();
    page.goto(&format!("{base}/audit/dissemination")).await.unwrap();
    page.wait_for("All of it as CSV").await.unwrap();
    picture(page, "dissemination").await;
    page.audit().await.unwrap();
}

/// Keeps the form of an export, and opens it again.
async fn keep_a_template(page: &Page, base: &str, export: &str) {
    page.goto(export).await.unwrap();
    page.fill("Name of the template", "Burglaries, weekly").await.unwrap();
    page.follow("Keep as a template").await.unwrap();
    page.wait_for("Fill in the case").await.unwrap();
    picture(page, "template").await;
    page.audit().await.unwrap();
    page.goto(&format!("{base}/exports")).await.unwrap();
    page.wait_for("Burglaries, weekly").await.unwrap();
    page.audit().await.unwrap();
}

/// A hold on the case, which only somebody may place who has just proved who they are.
async fn hold_records(page: &Page, base: &str) {
    page.goto(&format!("{base}/audit/retention")).await.unwrap();
    page.wait_for("What is kept").await.unwrap();
    page.audit().await.unwrap();
    page.click("Place a hold").await.unwrap();
    page.audit().await.unwrap();
    page.follow("Confirm my identity").await.unwrap();
    prove(page, "Maja Lindqvist", "Riverton").await;
    page.goto(&format!("{base}/audit/retention")).await.unwrap();
    page.click("Place a hold").await.unwrap();
    page.fill("Name (lower-case", "lit-2026-4").await.unwrap();
    page.fill("Which one", "24-000113").await.unwrap();
    page.fill("By what authority", "General Counsel").await.unwrap();
    page.click("Place the hold").await.unwrap();
    page.wait_js("document.querySelector('[data-hold=lit-2026-4]') !== null").await.unwrap();
    picture(page, "retention").await;
    page.audit().await.unwrap();
}

async fn look_at_own_sessions(page: &Page, base: &str) {
    page.goto(&format!("{base}/me")).await.unwrap();
    page.audit().await.unwrap();
    page.follow("My accesses").await.unwrap();
    page.wait_for("You were given").await.unwrap();
    page.audit().await.unwrap();
    page.goto(&format!("{base}/me/sessions")).await.unwrap();
    page.wait_for("this one").await.unwrap();
    picture(page, "my-sessions").await;
    page.audit().await.unwrap();
}

/// An administrator disables somebody, who is out at once.
async fn change_accounts(page: &Page, base: &str) {
    page.goto(&format!("{base}/people")).await.unwrap();
    page.wait_for("Elena Ruiz").await.unwrap();
    page.audit().await.unwrap();
    page.follow("Confirm my identity").await.unwrap();
    prove(page, "Petra Voss", "Riverton").await;
    page.goto(&format!("{base}/people")).await.unwrap();
    page.fill("Job function", "patrol-officer").await.unwrap();
    page.click("Filter").await.unwrap();
    page.wait_gone("Elena Ruiz").await.unwrap();
    picture(page, "people").await;
    page.audit().await.unwrap();
    page.follow("Sam Hale").await.unwrap();
    page.wait_for("Change the account").await.unwrap();
    page.audit().await.unwrap();
    page.click("Disable").await.unwrap();
    page.fill("Reason", "on leave").await.unwrap();
    page.click("Change it").await.unwrap();
    page.wait_for("Disabled because").await.unwrap();
    picture(page, "account").await;
    page.audit().await.unwrap();
}

/// A list of trainings, with a bad line first; what a security officer lacks until then is on her start page.
async fn write_trainings_down(page: &Page, base: &str, lindqvist: &Page) {
    lindqvist.goto(base).await.unwrap();
    lindqvist.wait_for("Records are closed to you until this is in order").await.unwrap();
    picture(lindqvist, "start-lacking").await;
    lindqvist.audit().await.unwrap();
    page.goto(&format!("{base}/step-up?next=/people/training")).await.unwrap();
    prove(page, "Petra Voss", "Riverton").await;
    page.wait_for("1 person has something to do").await.unwrap();
    picture(page, "training").await;
    page.audit().await.unwrap();
    let list = "account,kind,course,date\nso.lindqvist,training,security-roles,";
    page.fill("The list", &format!("{list}soon")).await.unwrap();
    page.click("Show what it does").await.unwrap();
    page.wait_for("Line 2 `date` is not a day").await.unwrap();
    page.audit().await.unwrap();
    page.fill("The list", &format!("{list}2026-11-01")).await.unwrap();
    page.click("Show what it does").await.unwrap();
    page.wait_for("1 of 1 line is new").await.unwrap();
    picture(page, "training-preview").await;
    page.audit().await.unwrap();
    page.click("Take in the new lines").await.unwrap();
    page.wait_for("1 line was taken in").await.unwrap();
    page.audit().await.unwrap();
    lindqvist.goto(base).await.unwrap();
    lindqvist.wait_gone("Records are closed to you").await.unwrap();
}

/// An account by hand, what qualifies its person, and the yearly review.
async fn make_an_account(page: &Page, base: &str) {
    page.goto(&format!("{base}/people/new")).await.unwrap();
    page.wait_for("Make the account").await.unwrap();
    picture(page, "account-new").await;
    page.audit().await.unwrap();
    page.fill("Name at the provider", "tmp.aydin").await.unwrap();
    page.fill("Name", "Deniz Aydin").await.unwrap();
    page.fill("Department", "Records").await.unwrap();
    page.fill("Reason", "summer help").await.unwrap();
    page.click("Make the account").await.unwrap();
    page.wait_for("Write down a training").await.unwrap();
    page.fill("What", "training/").await.unwrap();
    page.fill("Its name, if it is another", "first aid").await.unwrap();
    page.fill("Done on", "2026-11-01").await.unwrap();
    page.click("Write it down").await.unwrap();
    page.wait_for("What was written down").await.unwrap();
    page.click("Withdraw something that is wrong").await.unwrap();
    page.click("Name, department, kind, end and owner").await.unwrap();
    picture(page, "account-forms").await;
    page.audit().await.unwrap();
    page.goto(&format!("{base}/people/review")).await.unwrap();
    page.wait_for("Nothing is due").await.unwrap();
    page.audit().await.unwrap();
    page.click("Show every active account").await.unwrap();
    page.wait_for("They keep what they have").await.unwrap();
    picture(page, "review").await;
    page.audit().await.unwrap();
}

/// An administrator makes a token for a directory, which is shown once, and revokes it.
async fn make_a_token(page: &Page, base: &str) {
    page.goto(&format!("{base}/people/directories")).await.unwrap();
    page.wait_for("No token was made").await.unwrap();
    page.audit().await.unwrap();
    page.click("Make the token").await.unwrap();
    page.wait_for("it can't be shown again").await.unwrap();
    picture(page, "directories").await;
    page.audit().await.unwrap();
    page.click("Revoke ").await.unwrap();
    page.wait_for("no longer counts").await.unwrap();
    page.audit().await.unwrap();
    page.goto(&format!("{base}/identity/providers")).await.unwrap();
    page.wait_for("your own session ends too").await.unwrap();
    picture(page, "identity-providers").await;
    page.audit().await.unwrap();
}

/// What was given by one tool, which the entry of a release has from its decision.
async fn filter_the_audit(page: &Page, base: &str) {
    page.goto(&format!("{base}/audit")).await.unwrap();
    page.click("More filters").await.unwrap();
    page.fill("Event", "released").await.unwrap();
    page.fill("Tool (id)", "vehicle-lookup").await.unwrap();
    page.fill("Job function", "detective").await.unwrap();
    page.click("Search").await.unwrap();
    let only_releases = "(() => { const all = [...document.querySelectorAll('.entry')]; \
         return all.length > 0 && all.every((entry) => entry.innerText.includes('was given')); })()";
    page.wait_js(only_releases).await.unwrap();
    picture(page, "audit-filters").await;
    page.audit().await.unwrap();
    // Whoever listens hears how many there are, whether the page was complete or not.
    assert!(page.announced().await.unwrap().contains("entries"));
    page.click("Entry ").await.unwrap();
    page.wait_for("Merkle leaf").await.unwrap();
    page.follow("All entries of this session").await.unwrap();
    page.wait_js("document.querySelectorAll('.entry').length > 1").await.unwrap();
    page.audit().await.unwrap();
}

/// Gives the number of the entry that the refusal names.
async fn be_refused(page: &Page, base: &str) -> String {
    page.goto(&format!("{base}/tools/person-search")).await.unwrap();
    page.fill("Last name", "Harlow").await.unwrap();
    page.fill("Include juvenile records", "true").await.unwrap();
    page.fill("Purpose code", "C").await.unwrap();
    page.fill("Case number", "24-000113").await.unwrap();
    page.click("Search").await.unwrap();
    page.wait_js("/entry (\\d+)/i.test(document.body.innerText)").await.unwrap();
    audit_refusal(page, "403").await;
    picture(page, "refused").await;
    page.ask("/entry (\\d+)/i.exec(document.body.innerText)[1]").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_holds_from_the_first_sign_in_to_the_last_audit_entry() {
    let Some(browser) = Browser::launch().await.unwrap() else { return };
    let demo = demo().await;
    let (riverton, lakeside) = (demo.riverton.as_str(), demo.lakeside.as_str());

    let ruiz = sign_in(&browser, riverton, "Elena Ruiz", "Riverton").await;
    look_up_a_vehicle(&ruiz, riverton).await;
    look_up_a_person(&ruiz, riverton).await;
    play_the_film(&ruiz, riverton).await;
    let export = ask_for_an_export(&ruiz, riverton).await;

    keep_a_template(&ruiz, riverton, &export).await;
    let okafor = sign_in(&browser, riverton, "Ngozi Okafor", "Riverton").await;
    approve(&okafor, riverton, &export).await;
    let (carried, zip) = carrying::carry_on_a_medium(&ruiz, &okafor, riverton).await;

    let pell = sign_in(&browser, lakeside, "Jonah Pell", "Lakeside").await;
    open_the_parcel(&pell, lakeside).await;

    let hale = sign_in(&browser, riverton, "Sam Hale", "Riverton").await;
    let refused = be_refused(&hale, riverton).await;

    let lindqvist = sign_in(&browser, riverton, "Maja Lindqvist", "Riverton").await;
    read_the_audit(&lindqvist, riverton, &refused).await;
    review_an_agreement(&lindqvist, riverton).await;
    carrying::look_at_guests(&lindqvist, riverton).await;

    recall_and_destroy(&ruiz, &export, &pell, lakeside).await;
    let grant = sign_in(&browser, lakeside, "Ruth Grant", "Lakeside").await;
    audit_jointly(&demo, &lindqvist, &grant).await;
    look_at_own_sessions(&ruiz, riverton).await;
    let voss = sign_in(&browser, riverton, "Petra Voss", "Riverton").await;
    change_accounts(&voss, riverton).await;
    write_trainings_down(&voss, riverton, &lindqvist).await;
    make_an_account(&voss, riverton).await;
    make_a_token(&voss, riverton).await;
    carrying::bring_a_bad_receipt(&ruiz, &carried).await;
    carrying::bring_it_there(zip, &pell, lakeside).await;
    carrying::write_an_answer_down(&ruiz, &carried).await;
    browser.close().await.unwrap();
}
