//! What happened, in an alert; and a part that was refused.

use maud::{Markup, html};

use super::part_id;
use super::view::{Message, Mood};

/// A message. It is announced when it comes in a fragment.
pub fn message(message: &Message) -> Markup {
    let class = match message.mood {
        Mood::Done => "usa-alert usa-alert--success",
        Mood::Refused => "usa-alert usa-alert--error",
        Mood::Note => "usa-alert usa-alert--info",
    };
    let Message { title, text, entry, mood } = message;
    html! {
        div class=(class) tabindex="-1" data-focus data-live={ (title) " " (text) } {
            div class="usa-alert__body" {
                p class="usa-alert__heading" { strong { (title) } }
                @if !text.is_empty() { p class="usa-alert__text" { (text) } }
                @if let Some(entry) = entry {
                    p class="usa-alert__text" {
                        @if *mood == Mood::Refused {
                            "Quote ledger entry " strong data-entry=(entry) { (entry) }
                            " when you ask about this."
                        } @else {
                            "Ledger entry " strong data-entry=(entry) { (entry) } "."
                        }
                    }
                }
            }
        }
    }
}

/// A part that is not shown, with the reason in its place.
pub fn refused(part: &str, title: &str, said: &Message) -> Markup {
    let id = part_id(part);
    html! {
        section class="card card--deny" id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (message(said))
        }
    }
}
