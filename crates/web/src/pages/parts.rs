//! What several pages are made of.

use axum::response::{IntoResponse, Redirect, Response};
use gate::Print;
use jiff::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use crate::app::Shared;
use crate::problem::Problem;
use crate::session::Posted;
use crate::sharing::Sharing;

/// The print of what is shown of the platform itself: how many of what, and bytes in which two different ones differ.
pub(super) fn print_of(what: &'static str, count: usize, shown: impl AsRef<[u8]>) -> Print {
    Print::of(what, count, shown)
}

/// To another page: a header for `ui.js`, which follows no redirects, and 303 for all others.
pub(crate) fn go(posted: &Posted, path: &str) -> Response {
    if posted.fragment {
        return ([("x-go", path.to_owned())], "").into_response();
    }
    Redirect::to(path).into_response()
}

/// A name and its value, in a list of such.
pub(super) fn pair(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// A moment in words, to the minute.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A day in words.
pub(crate) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A size in words, with decimal units.
pub(super) fn bytes_words(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        1_000_000..1_000_000_000 => {
            format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
        }
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}

/// Sharing with partners, where the agency has it.
pub(super) fn sharing(agency: &Shared) -> Result<&Sharing, Problem> {
    agency.exchange.as_ref().ok_or_else(Problem::not_found)
}

/// The id of an export or exchange in an address.
pub(super) fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::not_found())
}
