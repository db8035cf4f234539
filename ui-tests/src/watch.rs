//! What went over the wire and onto the console since the last look, and what was wrong with it.
//!
//! Invariant: every response that is not under `/s/<digest>/` says `no-store`; a page asks only the origin
//! it came from, and nobody leaves loopback.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::log::{EventEntryAdded, LogEntryLevel, LogEntrySource};
use chromiumoxide::cdp::browser_protocol::network::{
    EventRequestWillBeSent, EventResponseReceived, ResourceType, Response,
};
use chromiumoxide::cdp::js_protocol::runtime::{
    ConsoleApiCalledType, EventConsoleApiCalled, EventExceptionThrown,
};
use futures::{Stream, StreamExt};

/// One answer of a server, as the browser saw it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: i64,
    pub(crate) is_page: bool,
}

#[derive(Debug, Default)]
struct Seen {
    findings: Vec<String>,
    answers: Vec<Answer>,
}

#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    pub(crate) async fn begin(page: &Page) -> anyhow::Result<Self> {
        let watch = Self::default();
        page.enable_log().await.context("listening to the log")?;
        page.enable_runtime().await.context("listening to the console")?;
        let violation = "addEventListener('securitypolicyviolation', (e) => console.error(\
             `policy violation: ${e.effectiveDirective} ${e.blockedURI} ${e.sample}`))";
        page.evaluate_on_new_document(violation).await.context("listening for violations")?;

        watch.follow(page.event_listener::<EventRequestWillBeSent>().await?, |seen, event| {
            let kind = event.r#type.as_ref();
            seen.asked(
                &event.request.url,
                &event.document_url,
                kind == Some(&ResourceType::Document),
            );
            if let Some(redirect) = &event.redirect_response {
                seen.answered(redirect, false);
            }
        });
        watch.follow(page.event_listener::<EventResponseReceived>().await?, |seen, event| {
            seen.answered(&event.response, event.r#type == ResourceType::Document);
        });
        watch.follow(page.event_listener::<EventEntryAdded>().await?, |seen, event| {
            let entry = &event.entry;
            // A refused request is an answer, which the test judges; the rest is a fault of the page.
            if entry.level == LogEntryLevel::Error && entry.source != LogEntrySource::Network {
                seen.findings.push(format!("console: {}", entry.text));
            }
        });
        watch.follow(page.event_listener::<EventConsoleApiCalled>().await?, |seen, event| {
            if matches!(event.r#type, ConsoleApiCalledType::Error | ConsoleApiCalledType::Assert) {
                let said = event.args.iter().filter_map(|part| part.value.as_ref());
                let said: Vec<String> = said.map(ToString::to_string).collect();
                seen.findings.push(format!("console: {}", said.join(" ")));
            }
        });
        watch.follow(page.event_listener::<EventExceptionThrown>().await?, |seen, event| {
            let details = &event.exception_details;
            let what = details.exception.as_ref().and_then(|thrown| thrown.description.clone());
            seen.findings.push(format!("thrown: {}", what.unwrap_or_else(|| details.text.clone())));
        });
        Ok(watch)
    }

    fn follow<E: Send + Sync + 'static>(
        &self,
        mut events: impl Stream<Item = Arc<E>> + Send + Unpin + 'static,
        note: impl Fn(&mut Seen, &E) + Send + 'static,
    ) {
        let seen = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Ok(mut seen) = seen.lock() {
                    note(&mut seen, &event);
                }
            }
        });
    }

    /// What was found wrong since the last call.
    pub(crate) fn take_findings(&self) -> Vec<String> {
        self.0.lock().map(|mut seen| std::mem::take(&mut seen.findings)).unwrap_or_default()
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.0.lock().map(|seen| seen.answers.clone()).unwrap_or_default()
    }
}

impl Seen {
    fn asked(&mut self, url: &str, document: &str, is_page: bool) {
        let Some(origin) = origin(url) else {
            // The browser draws its own controls (dates, films) from pictures in `data:`, which ask
            // nobody; a page that held one would be reported by its policy.
            if !url.starts_with("about:") && !url.starts_with("data:image/svg+xml") {
                self.findings.push(format!("asked for `{url}`, which is not http"));
            }
            return;
        };
        let host = origin.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let loopback = host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback());
        // Names below `localhost` are this machine too (RFC 6761, section 6.3).
        let here =
            loopback || matches!(host, "localhost" | "[::1]") || host.ends_with(".localhost");
        if !here {
            self.findings.push(format!("asked for `{url}`, which is not on this machine"));
        }
        // A person may be sent to another origin (the identity provider); a page may not ask one.
        if !is_page && self::origin(document) != Some(origin) {
            self.findings.push(format!("`{document}` asked another origin: `{url}`"));
        }
    }

    fn answered(&mut self, response: &Response, is_page: bool) {
        let Some(origin) = origin(&response.url) else { return };
        let path = response.url.strip_prefix(origin).unwrap_or_default();
        let headers = response.headers.inner().as_object();
        let caching = headers.into_iter().flatten().find_map(|(name, value)| {
            name.eq_ignore_ascii_case("cache-control").then(|| value.as_str().unwrap_or_default())
        });
        let caching = caching.unwrap_or_default();
        let may_be_kept = path.starts_with("/s/") && response.status == 200;
        if may_be_kept && !caching.contains("immutable") {
            self.findings.push(format!("`{}` is not immutable: `{caching}`", response.url));
        }
        if !may_be_kept && !caching.contains("no-store") {
            self.findings.push(format!("`{}` may be cached: `{caching}`", response.url));
        }
        if path.starts_with("/s/") && response.status != 200 && response.status != 304 {
            self.findings.push(format!("`{}` answered {}", response.url, response.status));
        }
        self.answers.push(Answer { url: response.url.clone(), status: response.status, is_page });
    }
}

/// `scheme://host:port` of an http URL.
fn origin(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    let end = url.len() - rest.len() + host.len();
    url.get(..end)
}
