//! Evidence: documents and recordings behind sealed handles, and the page that shows one.

use maud::{Markup, html};
use tools::definition::Format;

use super::value::value;
use super::view::{DocumentView, EvidenceView, Setting};
use super::{evidence_path, part_id, recorded};

/// What a document can be shown as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Film,
    Sound,
    Picture,
    Page,
}

/// By its media type. What a browser may run, such as HTML or SVG, is only offered for saving.
fn shown(media_type: &str) -> Option<Shown> {
    match media_type {
        "video/mp4" | "video/webm" => Some(Shown::Film),
        "audio/mpeg" | "audio/mp4" | "audio/wav" | "audio/ogg" => Some(Shown::Sound),
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Some(Shown::Picture),
        "application/pdf" | "text/plain" => Some(Shown::Page),
        _ => None,
    }
}

fn verb(media_type: &str) -> &'static str {
    match shown(media_type) {
        Some(Shown::Film | Shown::Sound) => "Play",
        Some(Shown::Picture | Shown::Page) => "View",
        None => "Open",
    }
}

/// The documents of a case as a table, each with a link that carries its handle.
pub fn evidence(view: &EvidenceView) -> Markup {
    let Setting { part, title, entry, .. } = &view.setting;
    let id = part_id(part);
    let counted = match view.documents.len() {
        0 => "none".to_owned(),
        1 => "one document".to_owned(),
        count => format!("{count} documents"),
    };
    html! {
        section class="card card--flush" id=(id) aria-labelledby={ (id) "-title" }
            data-live={ (title) ": " (counted) } {
            div class="toolbar" { h2 id={ (id) "-title" } { (title) } }
            @if view.documents.is_empty() {
                div class="empty" { p { strong { (view.empty) } } }
            } @else {
                div class="tablebox" role="region" aria-labelledby={ (id) "-caption" } tabindex="0" {
                    table class="table" {
                        caption id={ (id) "-caption" } { (title) ": " (counted) }
                        thead {
                            tr {
                                th scope="col" { "Document" }
                                @for field in &view.fields {
                                    th scope="col" class=[right(field.format)] { (field.label) }
                                }
                                th scope="col" { "Show" }
                            }
                        }
                        tbody { @for document in &view.documents { (row(view, document)) } }
                    }
                }
            }
            @if entry.is_some() { div class="toolbar no-print" { (recorded(*entry)) } }
        }
    }
}

fn right(format: Format) -> Option<&'static str> {
    matches!(format, Format::Number | Format::Bytes).then_some("num")
}

fn row(view: &EvidenceView, document: &DocumentView) -> Markup {
    let Setting { tool, part, .. } = &view.setting;
    html! {
        tr {
            th scope="row" { (document.name) }
            @for (field, cell) in view.fields.iter().zip(&document.cells) {
                @let digest = field.name == "sha256";
                td class=[if digest { Some("hash") } else { right(field.format) }] {
                    (value(field.format, cell))
                }
            }
            td class="nowrap" {
                @if let Some(handle) = &document.handle {
                    a href=(evidence_path(tool, part, handle)) {
                        (verb(&document.media_type))
                        span class="usa-sr-only" { " " (document.name) }
                    }
                } @else {
                    span class="muted" { "not available" }
                }
            }
        }
    }
}

/// One document on a page of its own. `content` is where its bytes are; every piece that is read
/// from there is on record.
pub fn viewer(name: &str, media_type: &str, content: &str) -> Markup {
    html! {
        div class="card rows" {
            @match shown(media_type) {
                Some(Shown::Film) => div class="filmbox" {
                    video controls preload="metadata" src=(content) aria-label=(name) {}
                },
                Some(Shown::Sound) => audio controls preload="metadata" src=(content) aria-label=(name) {},
                Some(Shown::Picture) => div class="filmbox" { img src=(content) alt=(name); },
                Some(Shown::Page) => p {
                    a class="usa-button" href=(content) { "View " (name) }
                },
                None => p { "This kind of document can't be shown here. It can be saved." },
            }
            p class="small" {
                a href=(content) download=(name) { "Save " (name) }
                span class="muted" { " Viewing and saving are on record." }
            }
        }
    }
}
