//! A tool's form, and the summary of what could not be taken.

use maud::{Markup, html};

use tools::input::FieldError;

use super::field::{control_id, field};
use super::view::{Field, FormView};
use super::{TOOL, hidden, part_id, runs_path};

/// The prefix of the ids of a form's controls.
const PREFIX: &str = "in";

/// A tool's form in a card of its own.
pub fn form(view: &FormView) -> Markup {
    let id = part_id(&view.part);
    html! {
        section class="card" id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (view.title) }
            (errors(PREFIX, &view.fields, &view.errors))
            form class="fields" method="post" action=(runs_path(&view.tool)) data-frag={ "#" (TOOL) }
                autocomplete="off" novalidate {
                (hidden(&view.csrf, &[]))
                @for one in &view.fields { (field(PREFIX, one, &view.errors)) }
                div class="field__actions" {
                    button class="usa-button" type="submit" { (view.button) }
                }
            }
        }
    }
}

/// One field without errors, for forms elsewhere.
pub fn plain_field(prefix: &str, one: &Field) -> Markup {
    field(prefix, one, &[])
}

/// The summary above a form: each error leads to its field. It takes the focus when it appears.
/// Errors whose field is not on this form are said without a link.
pub fn errors(prefix: &str, fields: &[Field], errors: &[FieldError]) -> Markup {
    let title = match errors {
        [] => return html! {},
        [_] => "One entry needs another look",
        _ => "Some entries need another look",
    };
    let live: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    html! {
        div class="errors" role="group" aria-labelledby={ (prefix) "-errors" } tabindex="-1"
            data-focus data-live={ (title) ". " (live.join(" ")) } {
            h3 id={ (prefix) "-errors" } { (title) }
            ul {
                @for error in errors {
                    li {
                        @if fields.iter().any(|field| field.name == error.input) {
                            a href={ "#" (control_id(prefix, &error.input)) } { (error.message) }
                        } @else {
                            (error.message)
                        }
                    }
                }
            }
        }
    }
}
