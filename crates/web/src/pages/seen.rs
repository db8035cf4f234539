//! What a file is by its content, as pages say it.

use exchange::{Incoming, Seen};
use maud::{Markup, html};

/// What was seen of a file, or the media type that it is said to have where nobody looked.
pub(super) fn what(seen: Option<&Seen>, media_type: &str) -> Markup {
    let Some(seen) = seen else {
        return html! { (media_type) " " span class="muted" { "(as it is called; not looked at)" } };
    };
    html! {
        span data-seen=(seen.standing) {
            (capital(&seen.what))
            @if let Some((tone, words)) = standing(&seen.standing) { " " span class={ "badge badge--" (tone) } { (words) } }
            @else if seen.odd { " " span class="badge badge--warn" { "look twice" } }
        }
        @if seen.words.len() == 1 { @for words in &seen.words { p class="small" { (words) } } }
        @else if !seen.words.is_empty() { ul class="small" { @for words in &seen.words { li { (words) } } } }
    }
}

fn standing(standing: &str) -> Option<(&'static str, &'static str)> {
    match standing {
        "cut-short" => Some(("deny", "cut short")),
        "broken" => Some(("deny", "broken")),
        "odd" => Some(("warn", "needs a particular program")),
        _ => None,
    }
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// How many files of a parcel somebody should look at twice; their names are content.
pub(super) fn summary(parcel: &Incoming) -> Markup {
    let odd = parcel.odd.unwrap_or_default();
    html! {
        @if odd > 0 {
            section class="card card--warn" id="odd" aria-labelledby="odd-title" {
                h2 id="odd-title" { @if odd == 1 { "1 file needs a second look" } @else { (odd) " files need a second look" } }
                p { "By its content, such a file is not what its name or its stated type says, is cut short or broken, or is a program. The list of files says which and why." }
            }
        }
    }
}
