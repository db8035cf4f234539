//! The two forms of the emergency sign-in: halves and reason, then the security key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::emergency::Prompt;
use maud::{Markup, html};

use super::{PATH, REASON_CHARS_MAX};
use crate::assets;

pub(super) const TITLE: &str = "Emergency sign-in";

/// What the form is filled with, and which field is wrong. Halves are never sent back.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) bad: Option<(&'static str, &'static str)>,
}

impl Filled {
    fn wrong(&self, field: &str) -> Option<&'static str> {
        self.bad.filter(|(bad, _)| *bad == field).map(|(_, words)| words)
    }
}

/// Name, halves and reason. `again`: a session proves again whose it is.
pub(super) fn first(filled: &Filled, again: bool) -> Markup {
    html! {
        @if again {
            p { "Both halves once more, by the same two people. The session gets no longer by it." }
        } @else {
            p {
                "Only for when no identity provider answers. Two people open one sealed envelope each. Every administrator \
                 and auditor is told at once."
            }
        }
        @if let Some((field, words)) = filled.bad {
            div class="usa-alert usa-alert--error" role="alert" tabindex="-1" data-focus {
                div class="usa-alert__body" {
                    p class="usa-alert__text" { (label(field)) ": " (words) " This did not count as a try." }
                }
            }
        }
        form method="post" action=(PATH) class="rows" autocomplete="off" data-once {
            (field("name", filled, &html! {
                input class="usa-input" id="name" name="name" required autocapitalize="none" spellcheck="false"
                    value=(filled.name) readonly[again] aria-describedby=[filled.wrong("name").map(|_| "name-wrong")];
            }))
            (half("first", filled))
            (half("second", filled))
            (field("reason", filled, &html! {
                textarea class="usa-textarea" id="reason" name="reason" required rows="2" maxlength=(REASON_CHARS_MAX)
                    aria-describedby=[filled.wrong("reason").map(|_| "reason-wrong")] { (filled.reason) }
            }))
            button class="usa-button usa-button--big" type="submit" {
                @if again { "Confirm" } @else { "Open the account" }
            }
        }
        @if !again { p { a href="/sign-in" { "Back to the usual sign-in" } } }
    }
}

fn label(field: &str) -> &'static str {
    match field {
        "first" => "First half",
        "second" => "Second half",
        "reason" => "Reason",
        _ => "Name of the account",
    }
}

fn half(name: &'static str, filled: &Filled) -> Markup {
    let hint = format!("{name}-hint");
    let wrong = filled.wrong(name).map(|_| format!(" {name}-wrong")).unwrap_or_default();
    field(
        name,
        filled,
        &html! {
            span class="usa-hint" id=(hint) { "Nine groups of four. Case, spaces and dashes do not matter." }
            input class="usa-input mono" id=(name) name=(name) required autocapitalize="characters" spellcheck="false"
                maxlength="120" aria-describedby={ (hint) (wrong) };
        },
    )
}

fn field(name: &str, filled: &Filled, control: &Markup) -> Markup {
    let wrong = filled.wrong(name);
    html! {
        div class=(if wrong.is_some() { "field field--bad" } else { "field" }) {
            label class="usa-label" for=(name) { (label(name)) }
            @if let Some(words) = wrong {
                span class="usa-error-message" id={ (name) "-wrong" } { (words) }
            }
            (control)
        }
    }
}

pub(super) fn key_title(prompt: &Prompt) -> &'static str {
    if prompt.registers { "Register a security key" } else { "Show the security key" }
}

/// The security key. The script asks the browser for it and fills the form.
pub(super) fn second(prompt: &Prompt, rp_id: &str) -> Markup {
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let keys: Vec<String> = prompt.keys.iter().map(|key| base64(key)).collect();
    html! {
        script src=(assets::path("security-key.js")) defer {}
        p {
            @if prompt.registers {
                "Both halves are right. This account has no security key yet: put in the one that it is to have, and unlock \
                 it with its PIN. From now on it is asked for."
            } @else {
                "Both halves are right. Put in the account's security key, and unlock it with its PIN."
            }
        }
        p { "There are five minutes for it." }
        noscript {
            p class="usa-alert usa-alert--error" { "A security key needs JavaScript. Switch it on for this page and begin again." }
        }
        form id="security-key" method="post" action={ (PATH) "/key" } class="rows"
            data-challenge=(base64(&prompt.challenge)) data-site=(rp_id) data-user=(base64(&prompt.user))
            data-name=(prompt.name) data-keys=(keys.join(" ")) data-registers=(prompt.registers)
        {
            input type="hidden" name="name" value=(prompt.name);
            @for name in ["credential", "client_data", "authenticator_data", "signature"] {
                input type="hidden" name=(name) value="";
            }
            p id="security-key-told" role="status" {}
            button class="usa-button usa-button--big" type="submit" { "Use the security key" }
        }
        p { a href=(PATH) { "Begin again" } }
    }
}
