//! The pages of tools: forms, tables, drawers, questions before a write, evidence.
//!
//! Everything here is a function from a view ([`view`]) to markup, without I/O; [`build`] makes
//! views of a tool, a form and what the gate released. Rows come in as `Released` only.
//!
//! Pages work without script: every button submits a form of its own page. Addresses carry the
//! names of tools, parts and actions, and sealed handles; what people type travels in bodies.
//!
//! | request | answer for script (`X-Fragment: 1`) |
//! |---|---|
//! | `POST /tools/TOOL/runs`, no field `part` | the element [`TOOL`] |
//! | `POST /tools/TOOL/runs`, `part=PART` | that part's element |
//! | `POST /tools/TOOL/rows`, `row=HANDLE` | the drawer's element, open; closed with `step=close` |
//! | `POST /tools/TOOL/actions/ACTION`, `row=HANDLE` | the drawer's element, asking |
//! | the same with `step=do` | the element [`TOOL`], with a message, or with the question and its errors |
//! | `GET /tools/TOOL/evidence/PART/HANDLE` | a page, always |
//!
//! Invariant: no value of a row or a form stands in an attribute that a browser runs or fetches,
//! except a handle in the address of its own document.

pub mod build;
mod detail;
mod evidence;
mod field;
mod form;
mod message;
mod table;
#[cfg(test)]
mod tests;
mod value;
pub mod view;

pub use detail::{closed_drawer, confirm, drawer, record};
pub use evidence::{evidence, viewer};
pub use form::{errors, form, plain_field};
pub use message::{message, refused};
pub use table::table;

use maud::{Markup, html};

use view::ToolView;

/// The id of the element that holds a whole tool: its form and what it found.
pub const TOOL: &str = "tool";

/// The id of a part's element.
pub fn part_id(part: &str) -> String {
    format!("part-{part}")
}

/// Where a tool's searches go.
pub fn runs_path(tool: &str) -> String {
    format!("/tools/{tool}/runs")
}

/// Where opening a row goes.
pub fn rows_path(tool: &str) -> String {
    format!("/tools/{tool}/rows")
}

/// Where an action goes.
pub fn action_path(tool: &str, action: &str) -> String {
    format!("/tools/{tool}/actions/{action}")
}

/// Where a document opens. The handle is text that may stand in an address.
pub fn evidence_path(tool: &str, part: &str, handle: &str) -> String {
    format!("/tools/{tool}/evidence/{part}/{handle}")
}

/// A whole tool: messages, the form, and the parts that were drawn.
pub fn tool(view: &ToolView) -> Markup {
    html! {
        div class="rows" id=(TOOL) {
            @if let Some(said) = &view.message { (message(said)) }
            (form(&view.form))
            @for part in &view.parts { (part) }
        }
    }
}

/// A table and its drawer, side by side where there is room.
pub fn split(table: &Markup, drawer: &Markup) -> Markup {
    html! { div class="split" { (table) (drawer) } }
}

/// Hidden fields: the token, and what has to come along.
fn hidden(csrf: &str, fields: &[(String, String)]) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(csrf);
        @for (name, value) in fields {
            input type="hidden" name=(name) value=(value);
        }
    }
}

/// The entry under which something was released, for whoever asks later.
fn recorded(entry: Option<u64>) -> Markup {
    html! {
        @if let Some(entry) = entry {
            span class="muted small" { "Ledger entry " span class="nowrap" data-entry=(entry) { (entry) } }
        }
    }
}
