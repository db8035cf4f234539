//! The harness and `ui.js`, on pages made for them: first that each fault is found, then that the sheet
//! and the script do what they say.
#![expect(clippy::unwrap_used, reason = "a test's helper fails as the test does")]

mod support;

use ui_tests::{Browser, Page};

/// A browser, a person's page and the server's address; `None` where there is no browser.
async fn begin() -> Option<(Browser, Page, String)> {
    let browser = Browser::launch().await.unwrap()?;
    let page = browser.person().await.unwrap();
    Some((browser, page, support::serve().await.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gallery_of_all_parts_holds_and_its_pictures_are_taken() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/gallery")).await.unwrap();
    page.audit().await.unwrap();
    page.screenshot_whole("gallery").await.unwrap();
    page.resize(320, 800).await.unwrap();
    page.screenshot_whole("gallery-320").await.unwrap();
    page.resize(1366, 768).await.unwrap();
    page.prefer("forced-colors", "active").await.unwrap();
    page.screenshot_whole("gallery-forced-colors").await.unwrap();
    page.prefer("forced-colors", "").await.unwrap();
    page.click("Flag vehicle").await.unwrap();
    page.audit().await.unwrap();
    page.screenshot("gallery-dialog").await.unwrap();
    let printed = page.pdf().await.unwrap();
    std::fs::write(testkit::target().unwrap().join("screenshots/gallery.pdf"), printed).unwrap();
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_finds_each_fault() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/fault/none")).await.unwrap();
    page.audit().await.unwrap();
    for (which, expected) in [
        ("unlabelled", "axe label:"),
        ("styled", "style attribute:"),
        ("styled", "policy violation: style-src"),
        ("wide", "wider than 320 px"),
        ("two-heads", "2 h1 headings"),
        ("elsewhere", "asked another origin"),
        ("inline", "policy violation: script-src"),
        ("kept", "may be cached"),
    ] {
        page.goto(&format!("{base}/fault/{which}")).await.unwrap();
        let error = page.audit().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{which}: {error}");
    }
    for (deed, expected) in [
        ("localStorage.setItem('a', 'b'), true", "localStorage: a"),
        ("sessionStorage.setItem('a', 'b'), true", "sessionStorage: a"),
        ("caches.open('held').then(() => true)", "Cache: held"),
        ("(console.error('oh'), true)", "console: \"oh\""),
        ("(setTimeout(() => { throw new Error('late') }), true)", "thrown: Error: late"),
        (
            "(document.querySelector('a').addEventListener('focus', (e) => e.target.blur()), true)",
            "Tab does not reach: <a",
        ),
        (
            "(document.querySelector('a').onfocus = (e) => e.target.style.setProperty('outline', 'none', 'important'), true)",
            "focus can't be seen: <a",
        ),
        (
            "document.body.appendChild(document.createElement('p')).textContent = 'loose'",
            "axe region:",
        ),
    ] {
        let page = browser.person().await.unwrap();
        page.goto(&format!("{base}/fault/none")).await.unwrap();
        page.ask::<serde_json::Value>(deed).await.unwrap();
        let error = page.audit().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{deed}: {error}");
    }
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_replaces_one_part_and_leaves_the_focus_where_it_was() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/parts")).await.unwrap();
    page.wait_for("3 of 3").await.unwrap(); // else the poll's words may come after ours
    page.fill("Word", "plum & pear").await.unwrap();
    page.click("Sort down").await.unwrap();
    page.wait_for("got word=plum+%26+pear&sort=down, fragment true").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "Sort down");
    page.wait_js("live.textContent.startsWith('said: word=plum')").await.unwrap();
    assert_eq!(page.url().await.unwrap(), format!("{base}/parts"), "nothing goes into the address");

    // By keyboard, from a field: no submitter is clicked, the form's first button counts.
    page.fill("Word", "fig").await.unwrap();
    page.press("Enter").await.unwrap();
    page.wait_for("got word=fig&sort=up").await.unwrap();

    // The control that asked is inside what is replaced, so its successor gets the focus.
    page.click("Again").await.unwrap();
    page.wait_for("got inner=1").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "Again");
    page.audit().await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_that_a_request_can_end_is_shown() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/parts")).await.unwrap();
    page.wait_for("3 of 3").await.unwrap();
    for (button, expected) in [
        ("try refused", "Not permitted, entry 12"),
        ("try invalid", "One field is wrong"),
        ("try broken", "got broken"),
        ("try bare", "Recording is unavailable"),
    ] {
        page.click(button).await.unwrap();
        page.wait_for(expected).await.unwrap();
        assert_eq!(page.ask::<u32>("document.querySelectorAll('h1').length").await.unwrap(), 1);
    }
    page.click("try invalid").await.unwrap();
    page.wait_for("One field is wrong").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "One field is wrong", "errors take the focus");

    page.click("try gone").await.unwrap();
    page.wait_js("live.textContent.includes('did not reach the server')").await.unwrap();

    // A second request for the same part ends the first: its late answer never shows.
    page.ask::<bool>(
        "([...document.forms].find((f) => f.action.endsWith('slow')).requestSubmit(), true)",
    )
    .await
    .unwrap();
    page.click("Sort up").await.unwrap();
    page.wait_for("sort=up").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(!page.text().await.unwrap().contains("got slow"));

    page.ask::<bool>("window.before = true").await.unwrap();
    page.click("try signed-out").await.unwrap();
    page.wait_js("!window.before").await.unwrap();
    assert_eq!(page.url().await.unwrap(), format!("{base}/parts"), "the page was asked for again");

    page.click("try elsewhere").await.unwrap();
    page.wait_for("Vehicle lookup").await.unwrap();
    assert_eq!(page.url().await.unwrap(), format!("{base}/gallery"));
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_keys_polls_and_single_writes_behave() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/parts")).await.unwrap();
    page.wait_for("3 of 3, marked true").await.unwrap();
    assert_eq!(page.statuses(&format!("{base}/progress")), [200, 200, 200], "it asks no more");

    page.click("Ask first").await.unwrap();
    page.click("No").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "Ask first");
    page.click("Ask first").await.unwrap();
    page.click("Yes").await.unwrap();
    page.wait_for("got sure=yes").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "Ask first");

    page.press("/").await.unwrap();
    assert_eq!(page.focused().await.unwrap(), "Word");
    page.press("?").await.unwrap();
    assert_eq!(page.ask::<String>("document.getElementById('word').value").await.unwrap(), "?");
    page.ask::<bool>("(document.activeElement.blur(), true)").await.unwrap();
    page.press("?").await.unwrap();
    page.wait_js("document.querySelector('dialog#keys').open").await.unwrap();
    page.click("Close").await.unwrap();
    page.ask::<String>("document.documentElement.dataset.keys = 'off'").await.unwrap();
    page.press("?").await.unwrap();
    assert!(!page.ask::<bool>("document.querySelector('dialog#keys').open").await.unwrap());

    let twice = "(() => { const f = document.getElementById('once'); f.requestSubmit(); f.requestSubmit(); return true; })()";
    page.ask::<bool>(twice).await.unwrap();
    page.wait_for("got write 1").await.unwrap();
    page.click("Write once").await.unwrap();
    page.wait_for("got write 2").await.unwrap();
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_script_the_same_form_leads_to_a_whole_page() {
    let Some((browser, page, base)) = begin().await else { return };
    page.scripts(false).await.unwrap();
    page.goto(&format!("{base}/parts")).await.unwrap();
    page.fill("Word", "quince").await.unwrap();
    page.follow("Sort down").await.unwrap();
    page.wait_for("got word=quince&sort=down, fragment false").await.unwrap();
    assert_eq!(page.url().await.unwrap(), format!("{base}/answer/ok"));
    assert_eq!(page.status(), 200);
    browser.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_share_no_cookies_and_what_is_absent_is_said_so() {
    let Some((browser, page, base)) = begin().await else { return };
    page.goto(&format!("{base}/parts")).await.unwrap();
    page.ask::<String>("document.cookie = 'mine=1'").await.unwrap();
    assert_eq!(page.cookies().await.unwrap().len(), 1);
    let other = browser.person().await.unwrap();
    other.goto(&format!("{base}/parts")).await.unwrap();
    assert!(other.cookies().await.unwrap().is_empty());
    assert!(other.text_in("No such region").await.is_err());
    assert_eq!(other.text_in("Out").await.unwrap(), "nothing yet");
    browser.close().await.unwrap();
}
