//! One Chromium for a test; a profile of its own for each person.

use std::time::Duration;

use anyhow::Context;
use chromiumoxide::BrowserConfig;
use chromiumoxide::cdp::browser_protocol::browser::{
    SetDownloadBehaviorBehavior, SetDownloadBehaviorParams,
};
use chromiumoxide::cdp::browser_protocol::target::{
    CreateBrowserContextParams, CreateTargetParams,
};
use futures::StreamExt;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::Page;
use crate::watch::Watch;

/// Ends when [`Browser::close`] is called or it is dropped; its profiles are temporary.
pub struct Browser {
    browser: chromiumoxide::Browser,
    events: JoinHandle<()>,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium. `None` after a plain line on a developer's machine without it.
    ///
    /// # Errors
    /// In CI when there is none, and when it does not start.
    pub async fn launch() -> anyhow::Result<Option<Self>> {
        Self::launch_believing(&[]).await
    }

    /// As [`Browser::launch`], and servers with these keys (SHA-256 of the public key's information, Base64) are believed to
    /// be who they say, whoever issued their certificates.
    ///
    /// # Errors
    /// As [`Browser::launch`].
    pub async fn launch_believing(keys: &[String]) -> anyhow::Result<Option<Self>> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let Some(program) = testkit::need("a browser test", &names)? else { return Ok(None) };
        let profile = tempfile::tempdir().context("making a folder for the browser")?;
        let believed = (!keys.is_empty())
            .then(|| format!("ignore-certificate-errors-spki-list={}", keys.join(",")));
        let config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            .disable_default_args()
            .no_sandbox()
            .viewport(None)
            .enable_cache()
            .respect_https_errors()
            .launch_timeout(Duration::from_secs(60))
            .request_timeout(Duration::from_secs(60))
            .args(["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"])
            .args(["disable-component-update", "disable-sync", "disable-dev-shm-usage"])
            .args(["no-default-browser-check", "disable-default-apps", "disable-breakpad"])
            .args(believed)
            .build()
            .map_err(anyhow::Error::msg)?;
        let (browser, mut handler) =
            chromiumoxide::Browser::launch(config).await.context("starting Chromium")?;
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Ok(Some(Self { browser, events, _profile: profile }))
    }

    /// A page in a fresh profile: no cookies, no history, shared with nobody.
    pub async fn person(&self) -> anyhow::Result<Page> {
        let downloads = tempfile::tempdir().context("making a folder for downloads")?;
        let context =
            self.browser.create_browser_context(CreateBrowserContextParams::default()).await?;
        let keep = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Allow)
            .browser_context_id(context.clone())
            .download_path(downloads.path().display().to_string())
            .build()
            .map_err(anyhow::Error::msg)?;
        self.browser.execute(keep).await.context("choosing the download folder")?;
        let blank = CreateTargetParams::builder().url("about:blank").browser_context_id(context);
        let page = self.browser.new_page(blank.build().map_err(anyhow::Error::msg)?).await?;
        let watch = Watch::begin(&page).await?;
        let page = Page::new(page, watch, downloads);
        page.resize(1366, 768).await?;
        Ok(page)
    }

    /// Ends the browser and waits until it is gone.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.browser.close().await.context("closing Chromium")?;
        self.browser.wait().await.context("waiting for Chromium to end")?;
        self.events.abort();
        Ok(())
    }
}
