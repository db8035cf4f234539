//! Exports: asking for one from a tool, another person's yes or no, the way to the partner, and the
//! sealed parcel as a file.
//!
//! What leaves is fixed when it is asked for: the items are listed then, approved as listed, and
//! fetched anew when they are sealed.

mod again;
mod asking;
mod copies;
mod gathered;
mod label;
pub mod passing;
mod preview;
mod recalling;
pub mod returned;
mod routes;
mod rules;
pub mod templates;
mod wanted;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use exchange::{Export, ExportStatus, Form, Phase};
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::documents::flowing;
use crate::pages::partners::partner_name;
use crate::pages::parts::{bytes_words, go, id, moment, pair, sharing};
use crate::pages::{custody, looking, notices, seen};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};
pub use again::again;
pub use asking::{ask, request};
pub use label::label;
pub use preview::preview;
pub use recalling::recall;

/// The steps of an export's life, as the page shows them.
const STEPS: [(&str, &[ExportStatus]); 5] = [
    ("Requested", &[ExportStatus::Requested]),
    ("Approved", &[ExportStatus::Approved]),
    ("Sealed", &[ExportStatus::Sealing, ExportStatus::Sealed]),
    ("Sent", &[ExportStatus::Sending]),
    ("Acknowledged", &[ExportStatus::Acknowledged, ExportStatus::Delivered]),
];

/// `GET /exports`.
///
/// # Errors
/// A [`Problem`] when sharing is not configured or the state cannot be read.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let permit = looking::at_exports(&agency, &signed_in, "exports").await?;
    let exchange = &sharing(&agency)?.exchange;
    let found = (exchange.exports(&[], None).await?, exchange.templates().await?);
    let (exports, templates) = looking::show(&agency, permit, "exports", found, |found| {
        let exports = found.0.iter().map(|one| format!("{} {}", one.id, one.status));
        exports.chain(found.1.iter().map(templates::line)).collect()
    })
    .await?;
    let content = html! {
        (templates::list_card(&templates))
        section class="card card--flush" aria-labelledby="exports" {
            div class="toolbar" { h2 id="exports" { (exports.len()) " exports" } }
            @if exports.is_empty() {
                div class="empty" {
                    p { strong { "Nothing was asked for yet." } }
                    p { "Open a case file and choose “Export to a partner”." }
                }
            } @else {
                div class="tablebox" role="region" aria-label="Exports" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Exports, newest first" }
                        thead { tr {
                            th scope="col" { "Export" } th scope="col" { "To" } th scope="col" { "Asked for by" }
                            th scope="col" { "When" } th scope="col" { "State" }
                        } }
                        tbody { @for export in &exports { (row(&agency, export)) } }
                    }
                }
            }
        }
    };
    Ok(agency.page(&signed_in, "Exports", "/exports", &content))
}

fn row(agency: &Shared, export: &Export) -> Markup {
    html! {
        tr data-export=(export.id) {
            th scope="row" { a href={ "/exports/" (export.id) } { (export.details.title) } }
            td { (partner_name(agency, &export.partner)) }
            td { (export.details.requester.name) }
            td { (moment(export.requested_at)) }
            td {
                (badge(export.status))
                @if export.awaits_answer() { " " span class="badge badge--warn" { "recall not answered" } }
            }
        }
    }
}

fn badge(status: ExportStatus) -> Markup {
    let tone = match status {
        ExportStatus::Acknowledged | ExportStatus::Delivered => "permit",
        ExportStatus::Rejected
        | ExportStatus::Refused
        | ExportStatus::Recalled
        | ExportStatus::Expired
        | ExportStatus::Failed => "deny",
        ExportStatus::Requested => "warn",
        ExportStatus::Approved
        | ExportStatus::Sealing
        | ExportStatus::Sealed
        | ExportStatus::Sending => "info",
    };
    html! { span class={ "badge badge--" (tone) } data-status=(status) { (status) } }
}

/// `GET /exports/{export}`.
///
/// # Errors
/// A [`Problem`] when there is no such export.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(export): Path<String>,
) -> Answer {
    let export = id(&export)?;
    let permit = looking::at_exports(&agency, &signed_in, &export.to_string()).await?;
    let export = sharing(&agency)?.exchange.export(export).await?;
    let told = match export.exchange {
        Some(exchange) => sharing(&agency)?.exchange.told(exchange).await?,
        None => Vec::new(),
    };
    let found = (export, told);
    let (export, told) = looking::show(&agency, permit, "export", found, |(export, told)| {
        let line = format!("{} {}", export.id, export.status);
        std::iter::once(line).chain(told.iter().map(notices::line)).collect()
    })
    .await?;
    let content = html! {
        p { a href="/exports" { "All exports" } }
        (recalling::state(&agency, &export))
        (again::form(&agency, &signed_in, &export))
        (life(&agency, &export))
        (facts(&agency, &export))
        (judged(&agency, &export).await?)
        (decision(&agency, &signed_in, &export).await?)
        (items(&export))
        (custody::of_export(&signed_in.csrf, &export))
        (notices::table(&told, &partner_name(&agency, &export.partner)))
        (returned::receipt_form(&agency, &signed_in, &export))
        (returned::answer_form(&agency, &signed_in, &export))
        (recalling::form(&signed_in, &export))
        (templates::keep_card(&agency, &signed_in, &export))
    };
    Ok(agency.page(&signed_in, &export.details.title, "/exports", &content))
}

/// How the agreement stands to it, while it can still be stopped.
async fn judged(agency: &Shared, export: &Export) -> Result<Markup, Problem> {
    if !matches!(export.status, ExportStatus::Requested | ExportStatus::Approved) {
        return Ok(html! {});
    }
    let exchange = &sharing(agency)?.exchange;
    let held = match exchange.held_agreement(&export.agreement).await {
        Err(exchange::ExchangeError::NoSuch { .. }) => return Ok(html! {}),
        held => held?,
    };
    let Some(shown) = held.shown() else { return Ok(html! {}) };
    let (items, purpose) = (&export.details.items, export.details.why.purpose.as_ref());
    let agreement = &shown.details.agreement;
    let judged = preview::judged(exchange, agreement, items, purpose, agency.now());
    let stricter = exchange.stricter_for(&export.details, agreement);
    Ok(html! { (preview::clauses(&judged)) (rules::card(&stricter)) })
}

/// `GET /exports/{export}/progress`: the part of the page that moves, for `ui.js`, every other second. It says how far
/// an export is and nothing else of it, to whoever knows its id, which is random and only on its page: that reading is on
/// record, and this one is not.
///
/// # Errors
/// As [`one`].
pub async fn progress(
    State(agency): State<Shared>,
    _signed_in: SignedIn,
    Path(export): Path<String>,
) -> Answer {
    let export = sharing(&agency)?.exchange.export(id(&export)?).await?;
    Ok(life(&agency, &export).into_response())
}

/// The steps, and a bar while something is under way. Asks for itself until it is over.
fn life(agency: &Shared, export: &Export) -> Markup {
    let now = STEPS.iter().position(|(_, statuses)| statuses.contains(&export.status));
    let moving = matches!(
        export.status,
        ExportStatus::Approved
            | ExportStatus::Sealing
            | ExportStatus::Sealed
            | ExportStatus::Sending
    );
    let url = moving.then(|| format!("/exports/{}/progress", export.id));
    let sharing = agency.exchange.as_ref();
    let state = sharing.map(|sharing| sharing.exchange.progress(export.id));
    html! {
        section class="card" id="life" aria-labelledby="life-title" data-poll=[url]
            data-every=[moving.then_some("700")] data-live={ "Export " (export.status) } {
            div class="card__head" { h2 id="life-title" { "Where it is" } (badge(export.status)) }
            ol class="steps" {
                @for (at, (name, _)) in STEPS.iter().enumerate() {
                    li class=[step_class(at, now, export.status)]
                        aria-current=[(Some(at) == now).then_some("step")] { (routes::step(export, name)) }
                }
            }
            @if let (true, Some(progress)) = (moving, state) {
                div class="progress" {
                    label for="bar" { (routes::phase(export, phase_words(progress.phase))) }
                    progress id="bar" max="100" value=(progress.percent()) { (progress.percent()) " %" }
                    span class="progress__note" {
                        (bytes_words(progress.done)) " of " (bytes_words(progress.total))
                    }
                }
            }
            @if let Some(problem) = &export.details.delivery.last_problem {
                p class="muted" { "Last attempt: " (problem) }
            }
        }
    }
}

fn step_class(at: usize, now: Option<usize>, status: ExportStatus) -> Option<&'static str> {
    let now = now?;
    if at < now || matches!(status, ExportStatus::Acknowledged | ExportStatus::Delivered) {
        Some("is-done")
    } else if at == now {
        Some("is-now")
    } else {
        None
    }
}

fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting => "Waiting",
        Phase::Sealing => "Sealing",
        Phase::Sending => "Sending to the partner",
        Phase::Receiving | Phase::Verifying => "The partner is verifying",
        Phase::Done => "Done",
    }
}

fn facts(agency: &Shared, export: &Export) -> Markup {
    let details = &export.details;
    html! {
        div class="card" {
            h2 { "What, to whom, and why" }
            dl class="kv" {
                (pair("To", &format!("{} ({})", partner_name(agency, &export.partner), export.partner)))
                div { dt { "Agreement" } dd { a href={ "/agreements/" (export.agreement) } { (export.agreement) } } }
                (routes::facts(agency, export))
                @if let Some(name) = &details.requestor { (pair("Asked for there by", name)) }
                @if let Some(number) = &details.exhibit { (pair("Exhibit number", number)) }
                @if let Some(words) = &details.consent { (pair("Its first sender's consent", words)) }
                @if !details.left_out.is_empty() { (pair("Left out", &details.left_out.join("; "))) }
                (pair("Asked for by", &format!("{}, entry {}", details.requester.name, details.request_entry)))
                @if let Some(purpose) = &details.why.purpose { (pair("Purpose code", purpose.as_str())) }
                @if let Some(case) = &details.why.case_number { (pair("Case number", case.as_str())) }
                @if let Some(reason) = &details.why.reason { (pair("Reason", reason)) }
                (rules::settled(details))
                @for voice in &details.approvals {
                    (pair("Approved by", &format!("{}, entry {}", voice.actor.name, voice.entry)))
                }
                @if let Some(voice) = &details.rejection {
                    (pair("Rejected by", &format!("{}: {}", voice.actor.name, voice.reason.as_deref().unwrap_or(""))))
                }
                @if let Some(exchange) = &export.exchange { (pair("Exchange", &exchange.to_string())) }
                @if let Some(sealed) = &details.sealed {
                    (pair("Parcel digest (SHA-256)", &sealed.digest))
                    (pair("Parcel", &format!("{} parts, {}, entry {}", sealed.parts, bytes_words(sealed.bytes), sealed.entry)))
                    @if let Some(gone) = &sealed.gone { (pair("Our sealed copy", &format!("removed on {}, entry {}", moment(gone.at), gone.entry))) }
                }
                @if let Some(stamp) = &details.stamp {
                    (pair("Time stamp", &format!("{}, entry {}", stamp.words(), stamp.entry.unwrap_or_default())))
                    (pair("Time stamp digest (SHA-256)", &stamp.token))
                }
                @if let Some(without) = &details.unstamped {
                    (pair("No time stamp", &format!("{}, entry {}", without.reason, without.entry)))
                }
                @if let Some(receipt) = &details.receipt {
                    (pair("Receipt", &format!("anchored as entry {}; the partner's entry is {}", receipt.entry, receipt.receiver_entry.map_or("not given".to_owned(), |entry| entry.to_string()))))
                    (pair("Receipt digest (SHA-256)", &receipt.digest))
                }
                @if let Some(refusal) = &details.refusal {
                    (pair("Refused by the partner", &format!("{}: {}", refusal.place, refusal.reason)))
                }
            }
        }
    }
}

/// Approve or reject, for others; download, once it is sealed. The policy decides, not this page.
async fn decision(
    agency: &Shared,
    signed_in: &SignedIn,
    export: &Export,
) -> Result<Markup, Problem> {
    let exchange = &sharing(agency)?.exchange;
    let open = match export.status {
        ExportStatus::Requested => match exchange.open_conflicts(export).await {
            // Its agreement has no file any more: nobody can approve it.
            Err(exchange::ExchangeError::NoSuch { .. }) => Vec::new(),
            found => found?,
        },
        _ => Vec::new(),
    };
    let csrf = &signed_in.csrf;
    let own = export.details.requester.id == signed_in.actor.id;
    let fresh = signed_in.session.is_stepped_up(agency.now());
    Ok(html! {
        @if export.status == ExportStatus::Requested && !own {
            div class="card card--warn" {
                h2 { "Your decision" }
                p { "Look at what would leave, below. Your decision is recorded with your name." }
                @if !fresh {
                    p {
                        a class="usa-button" href={ "/step-up?next=/exports/" (export.id) } { "Confirm my identity first" }
                    }
                } @else {
                    div class="cluster" {
                        form method="post" action={ "/exports/" (export.id) "/approve" } data-once {
                            input type="hidden" name="csrf" value=(csrf);
                            (rules::field(&open))
                            button class="usa-button" type="submit" { "Approve" }
                        }
                        form method="post" action={ "/exports/" (export.id) "/reject" } data-once {
                            input type="hidden" name="csrf" value=(csrf);
                            label class="usa-label" for="reason" { "Why not" }
                            input class="usa-input" id="reason" name="reason" required maxlength="1000";
                            button class="usa-button usa-button--outline" type="submit" { "Reject" }
                        }
                    }
                }
            }
        }
        @if export.status == ExportStatus::Requested && own {
            div class="card" { p { "Somebody else has to approve it: nobody approves their own request." } }
        }
        @if export.details.sealed.as_ref().is_some_and(|sealed| sealed.gone.is_none()) && export.details.recall.is_none() {
            form class="card" method="post" action={ "/exports/" (export.id) "/parcel" } {
                h2 { "The sealed parcel" }
                p { "For a medium, or for a partner without Bailiwick. Only the partner's key opens it." }
                p { a href={ "/exports/" (export.id) "/label" } { "Label sheet (PDF)" } " with its hash, to go with a medium" }
                input type="hidden" name="csrf" value=(csrf);
                @if fresh {
                    button class="usa-button usa-button--outline" type="submit" { "Download the parcel" }
                } @else {
                    p {
                        a class="usa-button usa-button--outline" href={ "/step-up?next=/exports/" (export.id) } { "Confirm my identity to download it" }
                    }
                }
                p { "The partner checks and opens it with " code { "HOW-TO-OPEN.txt" } ", or in a browser, offline, with "
                    a href="/exports/opener" download="open.html" { "open.html" } ". Send that page by another way than the parcel." }
            }
        }
    })
}

fn items(export: &Export) -> Markup {
    html! {
        section class="card card--flush" aria-labelledby="items" {
            div class="toolbar" { h2 id="items" { "What leaves: " (export.details.items.len()) " items" } }
            div class="tablebox" role="region" aria-label="Items" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Items of the export" }
                    thead { tr { th scope="col" { "File" } th scope="col" { "What it is" } th scope="col" { "By its content" } th scope="col" { "Class" } th scope="col" { "Marks" } } }
                    tbody { @for item in &export.details.items {
                        tr {
                            th scope="row" { (item.path) }
                            td { (item.label) }
                            td { (content(item)) }
                            td { (item.record_class.as_str()) }
                            td { @for caveat in &item.caveats { span class="badge badge--mark" { (caveat.as_str()) } " " } }
                        }
                    } }
                }
            }
        }
    }
}

/// What an item is by its content. What is made here when it is sealed is what it is called.
fn content(item: &exchange::Item) -> Markup {
    let made_here =
        item.received.is_none() && (item.path.starts_with("records/") || templates::is_film(item));
    html! {
        @if made_here { (item.media_type) span class="muted" { ", made here" } }
        @else { (seen::what(item.seen.as_ref(), &item.media_type)) }
    }
}

/// `POST /exports/{export}/approve`.
///
/// # Errors
/// A [`Problem`] with an entry number when it is the requester's own, or the policy refuses.
pub async fn approve(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let export_of = &sharing(&agency)?.exchange;
    let decision = Some(posted.text("decision")).filter(|words| !words.is_empty());
    let export = export_of.approve_settling(&caller, id(&export)?, decision).await?;
    Ok(go(&posted, &format!("/exports/{}", export.id)))
}

/// `POST /exports/{export}/reject`.
///
/// # Errors
/// As [`approve`].
pub async fn reject(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let reason = posted.text("reason");
    let export = sharing(&agency)?.exchange.reject(&caller, id(&export)?, reason).await?;
    Ok(go(&posted, &format!("/exports/{}", export.id)))
}

/// `POST /exports/{export}/parcel`: the sealed parcel as one ZIP file, recorded before its first byte.
///
/// # Errors
/// As [`approve`].
pub async fn download(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let download = sharing(&agency)?.exchange.download(&caller, id(&export)?, Form::Zip).await?;
    let name = format!("attachment; filename=\"{}\"", download.name);
    let headers = [
        (header::CONTENT_TYPE, download.media_type.to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, flowing(download.pieces)).into_response())
}

/// `GET /exports/opener`: the page that opens parcels, to be saved and handed on. It holds nothing of this agency.
pub async fn opener(_signed_in: SignedIn) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"open.html\""),
    ];
    let page = parcel::opener::page(concat!("Bailiwick ", env!("CARGO_PKG_VERSION")));
    (headers, page).into_response()
}
