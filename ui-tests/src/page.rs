//! A page as a person uses it: read, fill, click, wait.
//!
//! Invariant: clicks and keys are real input events at real places, so a control that is covered, hidden
//! or without a name can't be used by a test either.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use chromiumoxide::cdp::browser_protocol::dom::SetFileInputFilesParams;
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetScriptExecutionDisabledParams,
};
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchKeyEventParams, DispatchKeyEventType, DispatchMouseEventParams, DispatchMouseEventType,
    InsertTextParams, MouseButton,
};
use chromiumoxide::cdp::browser_protocol::network::{Cookie, Headers, SetExtraHttpHeadersParams};
use chromiumoxide::cdp::browser_protocol::web_authn::{
    AddVirtualAuthenticatorParams, AuthenticatorProtocol, AuthenticatorTransport, EnableParams,
    VirtualAuthenticatorOptions,
};
use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use chromiumoxide::page::ScreenshotParams;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::watch::Watch;

/// How long a page may take for anything that a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// One person's window.
pub struct Page {
    pub(crate) page: chromiumoxide::Page,
    pub(crate) watch: Watch,
    downloads: TempDir,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    At { x: f64, y: f64 },
    Not { why: String },
}

impl Page {
    pub(crate) fn new(page: chromiumoxide::Page, watch: Watch, downloads: TempDir) -> Self {
        Self { page, watch, downloads }
    }

    /// Opens an address and waits until it is there. The answer's status is [`Page::status`].
    pub async fn goto(&self, url: &str) -> anyhow::Result<()> {
        self.page.goto(url).await.with_context(|| format!("opening {url}"))?;
        self.settle().await
    }

    /// The status of the last page (not fragment) that a server answered with; 0 before the first.
    pub fn status(&self) -> i64 {
        let mut pages = self.watch.answers().into_iter().filter(|answer| answer.is_page);
        pages.next_back().map_or(0, |answer| answer.status)
    }

    /// The statuses that this address (query included) was answered with, oldest first.
    pub fn statuses(&self, url: &str) -> Vec<i64> {
        let answers = self.watch.answers().into_iter().filter(|answer| answer.url == url);
        answers.map(|answer| answer.status).collect()
    }

    pub async fn url(&self) -> anyhow::Result<String> {
        self.ask("location.href").await
    }

    /// The visible text of the page, or of its open modal dialog.
    pub async fn text(&self) -> anyhow::Result<String> {
        self.ask("words((document.querySelector('dialog:modal') ?? document.body).innerText)").await
    }

    /// The visible text of the region so called: by label, by heading, or by what it contains
    /// (the innermost section, form, row, list item … that has it).
    pub async fn text_in(&self, region: &str) -> anyhow::Result<String> {
        let text: Option<String> =
            self.ask(&format!("words(within({})?.innerText)", js(region))).await?;
        text.filter(|text| !text.is_empty()).with_context(|| format!("no region `{region}`"))
    }

    /// What was last said to people who listen instead of look.
    pub async fn announced(&self) -> anyhow::Result<String> {
        self.ask("words(document.getElementById('live')?.textContent)").await
    }

    /// What the control with the focus is called; empty when nothing has it.
    pub async fn focused(&self) -> anyhow::Result<String> {
        self.ask("document.activeElement === document.body ? '' : called(document.activeElement)")
            .await
    }

    /// Puts `value` into the field so called; of a choice, picks the option that begins with it; ticks or
    /// clears a box for `true` and `false`.
    pub async fn fill(&self, field: &str, value: &str) -> anyhow::Result<()> {
        let name = js(field);
        let kind: Option<String> = self
            .wait_some(&format!(
                "(() => {{ const n = control({name}); return n && (n.type ?? ''); }})()"
            ))
            .await
            .with_context(|| format!("no field `{field}`"))?;
        let done: bool = match kind.as_deref().unwrap_or_default() {
            "select-one" => self.ask(&format!(
                "(() => {{ const n = control({name}); const o = [...n.options].find((o) => \
                 words(o.text).startsWith({v}) || o.value === {v}); if (!o) return false; n.value = o.value; \
                 n.dispatchEvent(new Event('input', {{ bubbles: true }})); \
                 n.dispatchEvent(new Event('change', {{ bubbles: true }})); return true; }})()",
                v = js(value)
            )).await?,
            "checkbox" | "radio" => {
                let on: bool = self.ask(&format!("control({name}).checked")).await?;
                if on.to_string() != value {
                    self.click(field).await?;
                }
                true
            }
            "date" | "time" | "datetime-local" | "range" | "color" => self.ask(&format!(
                "(() => {{ const n = control({name}); n.value = {v}; \
                 n.dispatchEvent(new Event('change', {{ bubbles: true }})); return n.value !== ''; }})()",
                v = js(value)
            )).await?,
            _ => {
                self.ask::<bool>(&format!(
                    "(() => {{ const n = control({name}); n.focus(); n.select(); n.setRangeText(''); return true; }})()"
                )).await?;
                if !value.is_empty() {
                    self.page.execute(InsertTextParams::new(value)).await?;
                }
                self.ask(&format!("control({name}).value === {}", js(value))).await?
            }
        };
        anyhow::ensure!(done, "field `{field}` does not take `{value}`");
        Ok(())
    }

    /// Puts files, or one folder, into the file field so called.
    pub async fn choose(&self, field: &str, files: &[PathBuf]) -> anyhow::Result<()> {
        let helpers = include_str!("inpage.js");
        let find = EvaluateParams::builder()
            .expression(format!("(() => {{ {helpers}\nreturn control({}); }})()", js(field)))
            .build()
            .map_err(anyhow::Error::msg)?;
        let found = self.page.execute(find).await.context("looking for the field")?;
        let object = found.result.result.object_id.clone();
        let object = object.with_context(|| format!("no field `{field}`"))?;
        // The browser gives a page no file whose path has `..` in it.
        let names: Result<Vec<_>, _> = files.iter().map(std::fs::canonicalize).collect();
        let names = names.context("finding the files")?;
        let names = names.iter().map(|file| file.display().to_string());
        let put = SetFileInputFilesParams::builder().files(names).object_id(object).build();
        self.page.execute(put.map_err(anyhow::Error::msg)?).await.context("choosing files")?;
        Ok(())
    }

    /// Clicks the button, link or box so called (exactly, else beginning so, else containing it), and
    /// waits until what it asked for has come.
    pub async fn click(&self, name: &str) -> anyhow::Result<()> {
        self.click_at(&format!("clickable({})", js(name)))
            .await
            .with_context(|| format!("clicking `{name}`"))
    }

    /// As [`Page::click`], within the region (see [`Page::text_in`]), such as a row or a dialog.
    pub async fn click_in(&self, region: &str, name: &str) -> anyhow::Result<()> {
        self.click_at(&format!("clickable({}, {})", js(name), js(region)))
            .await
            .with_context(|| format!("clicking `{name}` in `{region}`"))
    }

    /// Clicks something that leads to another page, and waits for that page.
    pub async fn follow(&self, name: &str) -> anyhow::Result<()> {
        self.ask::<bool>("window.before = true").await?;
        self.click(name).await?;
        self.wait_js("!window.before").await.with_context(|| format!("`{name}` led nowhere"))?;
        self.settle().await
    }

    /// Clicks something that is answered with a file, and gives the file once it is whole.
    pub async fn download(&self, name: &str) -> anyhow::Result<PathBuf> {
        let files = || -> anyhow::Result<Vec<PathBuf>> {
            let entries = std::fs::read_dir(self.downloads.path()).context("reading downloads")?;
            entries.map(|entry| Ok(entry?.path())).collect()
        };
        let before = files()?;
        self.click(name).await?;
        let started = Instant::now();
        while started.elapsed() < WAIT_MAX {
            let mut fresh = files()?.into_iter().filter(|path| !before.contains(path));
            // Chromium holds the name with an empty file until the whole one is renamed to it.
            let whole = |path: &PathBuf| {
                path.extension().is_none_or(|end| end != "crdownload")
                    && path.metadata().is_ok_and(|file| file.len() > 0)
            };
            if let Some(path) = fresh.find(whole) {
                return Ok(path);
            }
            sleep(LOOK_EVERY).await;
        }
        anyhow::bail!("`{name}` gave no file")
    }

    async fn click_at(&self, node: &str) -> anyhow::Result<()> {
        let place = format!("(() => {{ const n = {node}; return n && place(n); }})()");
        let found: Option<Place> = self.wait_some(&place).await.context("it is not there")?;
        let (x, y) = match found {
            Some(Place::At { x, y }) => (x, y),
            Some(Place::Not { why }) => anyhow::bail!("it is {why}"),
            None => anyhow::bail!("it is not there"),
        };
        for kind in [
            DispatchMouseEventType::MouseMoved,
            DispatchMouseEventType::MousePressed,
            DispatchMouseEventType::MouseReleased,
        ] {
            let event = DispatchMouseEventParams::builder().r#type(kind).x(x).y(y).click_count(1);
            let event = event.button(MouseButton::Left).build().map_err(anyhow::Error::msg)?;
            self.page.execute(event).await?;
        }
        self.settle().await
    }

    /// Presses a key: one character, or `Enter`, `Tab`, `Shift+Tab`, `Escape`, `Space`.
    pub async fn press(&self, key: &str) -> anyhow::Result<()> {
        let (shift, key) = key.strip_prefix("Shift+").map_or((0, key), |key| (8, key));
        let (key, code, number, text) = match key {
            "Enter" => ("Enter", "Enter".to_owned(), 13, Some("\r")),
            "Tab" => ("Tab", "Tab".to_owned(), 9, None),
            "Escape" => ("Escape", "Escape".to_owned(), 27, None),
            "Space" => (" ", "Space".to_owned(), 32, Some(" ")),
            one => (one, String::new(), 0, Some(one)),
        };
        let event = |kind| {
            let event = DispatchKeyEventParams::builder().r#type(kind).key(key).code(code.clone());
            event.windows_virtual_key_code(number).modifiers(shift)
        };
        let down = match text {
            Some(text) => event(DispatchKeyEventType::KeyDown).text(text),
            None => event(DispatchKeyEventType::RawKeyDown),
        };
        for event in [down, event(DispatchKeyEventType::KeyUp)] {
            self.page.execute(event.build().map_err(anyhow::Error::msg)?).await?;
        }
        Ok(())
    }

    /// Waits until the page shows this text.
    ///
    /// # Errors
    /// After 20 s, with the text that is there instead.
    pub async fn wait_for(&self, text: &str) -> anyhow::Result<()> {
        let there = format!("words(document.body.innerText).includes({})", js(text));
        if self.wait_js(&there).await.is_err() {
            anyhow::bail!(
                "no `{text}` at {}; there is:\n{}",
                self.url().await?,
                self.text().await?
            );
        }
        self.settle().await
    }

    /// Waits until the page no longer shows this text.
    pub async fn wait_gone(&self, text: &str) -> anyhow::Result<()> {
        let gone = format!("!words(document.body.innerText).includes({})", js(text));
        self.wait_js(&gone).await.with_context(|| format!("`{text}` stays"))
    }

    /// Waits until a JavaScript expression is true, across page loads.
    pub async fn wait_js(&self, expression: &str) -> anyhow::Result<()> {
        self.wait_some::<bool>(&format!("({expression}) || null")).await.map(drop)
    }

    /// No load and no fragment is under way.
    async fn settle(&self) -> anyhow::Result<()> {
        let rest =
            "document.readyState === 'complete' && !document.querySelector('[aria-busy=true]')";
        self.wait_js(rest).await.context("the page does not come to rest")
    }

    async fn wait_some<T: DeserializeOwned>(&self, expression: &str) -> anyhow::Result<Option<T>> {
        let started = Instant::now();
        loop {
            // While one page gives way to the next there is nobody to ask.
            let answer = self.ask::<Option<T>>(expression).await;
            if let Ok(Some(value)) = answer {
                return Ok(Some(value));
            }
            if started.elapsed() > WAIT_MAX {
                answer?;
                anyhow::bail!("waited {WAIT_MAX:?} for `{expression}`");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The value of a JavaScript expression, in which the helpers of `inpage.js` can be used.
    pub async fn ask<T: DeserializeOwned>(&self, expression: &str) -> anyhow::Result<T> {
        let helpers = include_str!("inpage.js");
        let question = EvaluateParams::builder()
            .expression(format!("(async () => {{ {helpers}\nreturn {expression}; }})()"))
            .await_promise(true)
            .return_by_value(true)
            .build()
            .map_err(anyhow::Error::msg)?;
        let answer = self.page.execute(question).await.context("asking the page")?.result;
        if let Some(thrown) = answer.exception_details {
            let what =
                thrown.exception.and_then(|thrown| thrown.description).unwrap_or(thrown.text);
            anyhow::bail!("the page threw on `{expression}`: {what}");
        }
        let value = answer.result.value.unwrap_or(serde_json::Value::Null);
        serde_json::from_value(value).with_context(|| format!("reading `{expression}`"))
    }

    /// Puts in a security key whose person touches it and unlocks it whenever it is asked for.
    pub async fn put_in_security_key(&self) -> anyhow::Result<()> {
        self.page.execute(EnableParams::default()).await.context("enabling security keys")?;
        let mut key = VirtualAuthenticatorOptions::new(
            AuthenticatorProtocol::Ctap2,
            AuthenticatorTransport::Usb,
        );
        key.has_user_verification = Some(true);
        key.is_user_verified = Some(true);
        let put_in = AddVirtualAuthenticatorParams::new(key);
        self.page.execute(put_in).await.context("putting in a security key")?;
        Ok(())
    }

    /// Moves the focus by Tab to the control so called, and types there, key by key.
    pub async fn type_into(&self, control: &str, text: &str) -> anyhow::Result<()> {
        self.tab_to(control).await?;
        for letter in text.chars() {
            self.press(&letter.to_string()).await?;
        }
        Ok(())
    }

    /// Moves the focus by Tab to the control whose name begins so.
    pub async fn tab_to(&self, control: &str) -> anyhow::Result<()> {
        const CONTROLS_MAX: usize = 60;
        for _ in 0..CONTROLS_MAX {
            if self.focused().await?.starts_with(control) {
                return Ok(());
            }
            self.press("Tab").await?;
        }
        anyhow::bail!("the keyboard does not reach `{control}`")
    }

    /// The window's size in CSS pixels; pages begin at 1366 × 768.
    pub async fn resize(&self, width: i64, height: i64) -> anyhow::Result<()> {
        let size = SetDeviceMetricsOverrideParams::new(width, height, 1.0, false);
        self.page.execute(size).await.context("resizing the window")?;
        Ok(())
    }

    /// Turns the pages' scripts off or on; holds from the next page on.
    pub async fn scripts(&self, on: bool) -> anyhow::Result<()> {
        let off = SetScriptExecutionDisabledParams::new(!on);
        self.page.execute(off).await.context("switching scripts")?;
        Ok(())
    }

    /// Sets a media feature, such as `forced-colors` to `active`; an empty value takes it back.
    pub async fn prefer(&self, feature: &str, value: &str) -> anyhow::Result<()> {
        let feature = MediaFeature::new(feature, value);
        self.page.emulate_media_features(vec![feature]).await.context("setting a media feature")?;
        Ok(())
    }

    /// Has every request carry these headers, as if a proxy in front added them.
    pub async fn send_headers(&self, headers: &[(&str, &str)]) -> anyhow::Result<()> {
        let all: serde_json::Map<String, serde_json::Value> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let all = SetExtraHttpHeadersParams::new(Headers::new(all));
        self.page.execute(all).await.context("setting headers")?;
        Ok(())
    }

    /// What the page would print.
    pub async fn pdf(&self) -> anyhow::Result<Vec<u8>> {
        self.page.pdf(Default::default()).await.context("printing")
    }

    pub async fn cookies(&self) -> anyhow::Result<Vec<Cookie>> {
        self.page.get_cookies().await.context("reading cookies")
    }

    /// Saves what the window shows as `target/screenshots/NAME.png`.
    pub async fn screenshot(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.shoot(name, false).await
    }

    /// As [`Page::screenshot`], of the whole page.
    pub async fn screenshot_whole(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.shoot(name, true).await
    }

    async fn shoot(&self, name: &str, whole: bool) -> anyhow::Result<PathBuf> {
        let folder = testkit::target()?.join("screenshots");
        std::fs::create_dir_all(&folder).context("making the folder for screenshots")?;
        let path = folder.join(format!("{name}.png"));
        let how = ScreenshotParams::builder().full_page(whole).build();
        let picture = self.page.screenshot(how).await.context("taking a screenshot")?;
        std::fs::write(&path, picture).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// A text as a JavaScript literal.
fn js(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
