//! What is promised of every page, in one call.
//!
//! axe finds a part of WCAG; reflow, text size and the keyboard are checked here because axe can't see
//! them. A screen reader and a person still have to look before a release.

use anyhow::Context;
use chromiumoxide::cdp::js_protocol::runtime::EvaluateParams;
use serde::Deserialize;

use crate::Page;

const AXE: &str = include_str!("../vendor/axe.min.js");

/// What axe may be unsure of, and why that is looked at elsewhere.
const UNSURE_OF: &[&str] = &[
    // Selects have an icon as background and charts have text on shapes; their colours are fixed.
    "color-contrast",
];

/// Films of evidence are shown as they were taken: captions would have to be made up.
const EVIDENCE_FILM: (&str, &str) = ("video-caption", "src=\"/tools/");

#[derive(Deserialize)]
struct AxeReport {
    passes: usize,
    violations: Vec<AxeRule>,
    incomplete: Vec<AxeRule>,
}

#[derive(Deserialize)]
struct AxeRule {
    id: String,
    help: String,
    nodes: Vec<String>,
}

#[derive(Deserialize)]
struct Focus {
    index: Option<usize>,
    outlined: bool,
    what: String,
}

impl Page {
    /// Holds the page as it is now to all that holds for every page: axe (WCAG 2.0 to 2.2, A and AA, and
    /// best practice) without a violation, no policy report, nothing on the console, its own origin alone,
    /// `no-store`, empty browser storage, one h1 and a title, reflow at 320 px, text at 200 %, and every
    /// control reached by Tab with a visible focus.
    ///
    /// # Errors
    /// Everything that was found, with the page's address.
    pub async fn audit(&self) -> anyhow::Result<()> {
        let mut found = self.structure().await?;
        found.extend(self.axe().await?);
        found.extend(self.storage().await?);
        found.extend(self.reflow().await?);
        found.extend(self.keyboard().await?);
        found.extend(self.watch.take_findings());
        let url = self.url().await?;
        anyhow::ensure!(found.is_empty(), "{url} does not hold:\n  {}", found.join("\n  "));
        Ok(())
    }

    async fn structure(&self) -> anyhow::Result<Vec<String>> {
        self.ask(
            "(() => { const found = []; const h1 = document.querySelectorAll('h1').length; \
             if (h1 !== 1) found.push(`${h1} h1 headings`); \
             if (!document.title.trim()) found.push('no title'); \
             if (!document.documentElement.lang) found.push('no language'); \
             for (const n of document.querySelectorAll('[style]:not([style=\"\"])')) found.push(`style attribute: ${tag(n)}`); \
             for (const n of document.querySelectorAll('*')) for (const a of n.attributes) \
               if (a.name.startsWith('on')) found.push(`handler attribute: ${tag(n)}`); \
             return found; })()",
        )
        .await
    }

    async fn axe(&self) -> anyhow::Result<Vec<String>> {
        if self.ask::<bool>("typeof window.axe !== 'object'").await? {
            let load = EvaluateParams::builder().expression(AXE).build();
            self.page.execute(load.map_err(anyhow::Error::msg)?).await.context("loading axe")?;
        }
        let report: AxeReport = self
            .ask(
                "axe.run(document, { runOnly: { type: 'tag', values: \
                 ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice'] } }).then((r) => { \
                 const brief = (rules) => rules.map((rule) => ({ id: rule.id, help: rule.help, \
                   nodes: rule.nodes.map((n) => `${n.html.slice(0, 160)} — ${n.failureSummary ?? ''}`) })); \
                 return { passes: r.passes.length, violations: brief(r.violations), \
                   incomplete: brief(r.incomplete) }; })",
            )
            .await
            .context("running axe")?;
        let mut found: Vec<String> = Vec::new();
        if report.passes < 10 {
            found.push(format!("axe passed only {} rules, so it hardly ran", report.passes));
        }
        let unsure = report.incomplete.iter().filter(|rule| !UNSURE_OF.contains(&rule.id.as_str()));
        for rule in report.violations.iter().chain(unsure) {
            let (id, source) = EVIDENCE_FILM;
            if rule.id == id && rule.nodes.iter().all(|node| node.contains(source)) {
                continue;
            }
            found.push(format!("axe {}: {}: {}", rule.id, rule.help, rule.nodes.join(" | ")));
        }
        Ok(found)
    }

    async fn storage(&self) -> anyhow::Result<Vec<String>> {
        self.ask(
            "(async () => { const found = []; \
             if (localStorage.length) found.push(`localStorage: ${Object.keys(localStorage)}`); \
             if (sessionStorage.length) found.push(`sessionStorage: ${Object.keys(sessionStorage)}`); \
             const kept = await indexedDB.databases(); \
             if (kept.length) found.push(`IndexedDB: ${kept.map((d) => d.name)}`); \
             const caches_ = await caches.keys(); if (caches_.length) found.push(`Cache: ${caches_}`); \
             return found; })()",
        )
        .await
    }

    /// WCAG 1.4.10 at 320 CSS pixels and 1.4.4 at twice the text size: nothing to scroll sideways for.
    async fn reflow(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let widest = "(() => { const wide = [...document.body.querySelectorAll('*')].filter((n) => visible(n) \
             && n.getBoundingClientRect().right > innerWidth + 1 && !n.closest('[role=region][tabindex]')); \
             return `${document.documentElement.scrollWidth} px; ${wide.slice(0, 3).map(tag).join(' | ')}`; })()";
        let fits = "document.documentElement.scrollWidth <= innerWidth";
        self.resize(320, 800).await?;
        if !self.ask::<bool>(fits).await? {
            found.push(format!("wider than 320 px: {}", self.ask::<String>(widest).await?));
        }
        self.resize(1366, 768).await?;
        self.ask::<String>("document.documentElement.style.fontSize = '200%'").await?;
        if !self.ask::<bool>(fits).await? {
            found.push(format!("too wide at 200 % text: {}", self.ask::<String>(widest).await?));
        }
        self.ask::<bool>("(document.documentElement.removeAttribute('style'), true)").await?;
        Ok(found)
    }

    async fn keyboard(&self) -> anyhow::Result<Vec<String>> {
        let names: Vec<String> = self
            .ask("(() => { document.activeElement?.blur(); scrollTo(0, 0); window.stops = tabbable(); \
                  return window.stops.map(tag); })()")
            .await?;
        let mut reached = vec![false; names.len()];
        let mut found = Vec::new();
        // A video's own controls are stops that the page doesn't see.
        for _ in 0..names.len() * 2 + 20 {
            if reached.iter().all(|reached| *reached) {
                break;
            }
            self.press("Tab").await?;
            let focus: Focus = self
                .ask("(() => { const n = document.activeElement; const i = window.stops.indexOf(n); \
                      return { index: i < 0 ? null : i, outlined: outlined(n), what: tag(n) }; })()")
                .await?;
            if let Some(seen) = focus.index.and_then(|index| reached.get_mut(index)) {
                if !*seen && !focus.outlined {
                    found.push(format!("focus can't be seen: {}", focus.what));
                }
                *seen = true;
            }
        }
        let missed = names.iter().zip(&reached).filter(|(_, reached)| !**reached);
        found.extend(missed.map(|(name, _)| format!("Tab does not reach: {name}")));
        self.ask::<bool>("(document.activeElement?.blur(), scrollTo(0, 0), delete window.stops)")
            .await?;
        Ok(found)
    }
}
