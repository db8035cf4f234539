//! Values as people read them.

use gate::Value;
use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use tools::definition::Format;

/// A value in its format. Null is a dash with words for those who listen.
pub(super) fn value(format: Format, value: &Value) -> Markup {
    if *value == Value::Null || matches!(value, Value::Text(text) if text.is_empty()) {
        return html! { span aria-hidden="true" { "–" } span class="usa-sr-only" { "none" } };
    }
    let text = value.to_string();
    match format {
        Format::Text | Format::Number => html! { (text) },
        Format::LongText => html! {
            @for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
                p { (paragraph) }
            }
        },
        Format::Date => match text.parse::<Date>() {
            Ok(day) => html! { time class="nowrap" datetime=(day) { (day) } },
            Err(_) => html! { (text) },
        },
        Format::DateTime => moment(&text),
        Format::Badge => html! { span class=(badge(&text)) { (text) } },
        Format::Bytes => match value {
            Value::Int(bytes) => html! { span class="nowrap" { (size(*bytes)) } },
            Value::Null | Value::Bool(_) | Value::Real(_) | Value::Text(_) => html! { (text) },
        },
    }
}

/// A day and a time, to the minute. A moment with an offset is shown in UTC, and says so.
fn moment(text: &str) -> Markup {
    let in_utc = text.parse::<Timestamp>().map(|moment| moment.to_zoned(TimeZone::UTC).datetime());
    let (moment, zone) = match in_utc {
        Ok(moment) => (moment, " UTC"),
        Err(_) => match text.parse::<DateTime>() {
            Ok(moment) => (moment, ""),
            Err(_) => return html! { (text) },
        },
    };
    let shown = moment.strftime("%Y-%m-%d %H:%M");
    html! { time class="nowrap" datetime=(text) { (shown) (zone) } }
}

/// Words in a box. The colour repeats what the word says and says nothing by itself.
fn badge(text: &str) -> &'static str {
    match text.to_ascii_lowercase().as_str() {
        "stolen" | "wanted" | "missing" => "badge badge--deny",
        "flagged" | "open" | "under review" => "badge badge--warn",
        "clear" | "closed" | "recovered" => "badge badge--permit",
        _ if is_mark(text) => "badge badge--mark",
        _ => "badge badge--info",
    }
}

/// Handling marks are written in capitals, as policy has them.
fn is_mark(text: &str) -> bool {
    text.len() > 1 && text.parse::<policy::Caveat>().is_ok()
}

/// Bytes in the unit in which they have at most three digits before the point.
fn size(bytes: i64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (format, given, expected) in [
            (Format::Text, text("<b>"), "&lt;b&gt;"),
            (Format::Number, Value::Int(2019), "2019"),
            (
                Format::Date,
                text("2026-01-31"),
                "<time class=\"nowrap\" datetime=\"2026-01-31\">2026-01-31</time>",
            ),
            (Format::Date, text("soon"), "soon"),
            (
                Format::DateTime,
                text("2026-01-31T08:05:09Z"),
                "<time class=\"nowrap\" datetime=\"2026-01-31T08:05:09Z\">2026-01-31 08:05 UTC</time>",
            ),
            (
                Format::DateTime,
                text("2026-01-31T08:05:09"),
                "<time class=\"nowrap\" datetime=\"2026-01-31T08:05:09\">2026-01-31 08:05</time>",
            ),
            (Format::Badge, text("stolen"), "<span class=\"badge badge--deny\">stolen</span>"),
            (Format::Badge, text("JUVENILE"), "<span class=\"badge badge--mark\">JUVENILE</span>"),
            (Format::Bytes, Value::Int(999), "<span class=\"nowrap\">999 bytes</span>"),
            (Format::Bytes, Value::Int(1_250_000), "<span class=\"nowrap\">1.2 MB</span>"),
            (Format::LongText, text("one\n\n<two>\n\n"), "<p>one</p><p>&lt;two&gt;</p>"),
            (
                Format::Text,
                Value::Null,
                "<span aria-hidden=\"true\">–</span><span class=\"usa-sr-only\">none</span>",
            ),
        ] {
            assert_eq!(value(format, &given).into_string(), expected);
        }
    }
}
