//! Fields of forms, with their hints and errors tied to them.

use maud::{Markup, html};

use tools::input::FieldError;

use super::view::{Control, Field};

/// The id of a field's control; errors link to it.
pub(super) fn control_id(prefix: &str, name: &str) -> String {
    format!("{prefix}-{}", name.replace('.', "-"))
}

/// One field. `prefix` keeps the ids of several forms on a page apart.
pub(super) fn field(prefix: &str, field: &Field, errors: &[FieldError]) -> Markup {
    let id = control_id(prefix, &field.name);
    let error = errors.iter().find(|error| error.input == field.name);
    let wide = matches!(field.control, Control::LongText { .. } | Control::Checkbox { .. });
    let class = match (wide, error.is_some()) {
        (false, false) => "field usa-form-group",
        (true, false) => "field field--wide usa-form-group",
        (false, true) => "field field--bad usa-form-group usa-form-group--error",
        (true, true) => "field field--wide field--bad usa-form-group usa-form-group--error",
    };
    let described = described(&id, field, error.is_some());
    html! {
        div class=(class) {
            @if let Control::Checkbox { ticked } = &field.control {
                (notes(&id, field, error))
                div class="usa-checkbox" {
                    input class="usa-checkbox__input" type="checkbox" id=(id) name=(field.name)
                        value="yes" checked[*ticked] aria-describedby=[described]
                        aria-invalid=[error.map(|_| "true")];
                    label class="usa-checkbox__label" for=(id) { (field.label) }
                }
            } @else {
                label class="usa-label" for=(id) {
                    (field.label)
                    @if field.required { " " abbr class="usa-hint--required" title="required" { "*" } }
                }
                (notes(&id, field, error))
                (control(&id, field, described.as_deref(), error.is_some()))
            }
        }
    }
}

/// The hint and the error, in the order in which they are read out.
fn notes(id: &str, field: &Field, error: Option<&FieldError>) -> Markup {
    html! {
        @if !field.hint.is_empty() { div class="usa-hint" id={ (id) "-hint" } { (field.hint) } }
        @if let Some(error) = error {
            div class="usa-error-message" id={ (id) "-error" } { (error.message) }
        }
    }
}

fn described(id: &str, field: &Field, wrong: bool) -> Option<String> {
    let mut ids = Vec::new();
    if !field.hint.is_empty() {
        ids.push(format!("{id}-hint"));
    }
    if wrong {
        ids.push(format!("{id}-error"));
    }
    (!ids.is_empty()).then(|| ids.join(" "))
}

fn control(id: &str, field: &Field, described: Option<&str>, wrong: bool) -> Markup {
    // Enhanced spell check, autofill and page translation send text to third parties.
    let private = |yes: &'static str| field.sensitive.then_some(yes);
    let invalid = wrong.then_some("true");
    let required = field.required.then_some("true");
    let class = if wrong { "usa-input usa-input--error" } else { "usa-input" };
    let name = &field.name;
    match &field.control {
        Control::Text { value, chars_max } => html! {
            input class=(class) type="text" id=(id) name=(name) value=(value) maxlength=(chars_max)
                autocomplete="off" spellcheck=[private("false")] translate=[private("no")]
                aria-describedby=[described] aria-invalid=[invalid] aria-required=[required];
        },
        Control::LongText { value, chars_max } => html! {
            textarea class="usa-textarea" id=(id) name=(name) maxlength=(chars_max) rows="4"
                autocomplete="off" spellcheck=[private("false")] translate=[private("no")]
                aria-describedby=[described] aria-invalid=[invalid] aria-required=[required] { (value) }
        },
        Control::Choice { value, options, empty } => html! {
            select class="usa-select" id=(id) name=(name) autocomplete="off"
                aria-describedby=[described] aria-invalid=[invalid] aria-required=[required] {
                option value="" selected[value.is_empty()] {
                    @if empty.is_empty() { "– Choose –" } @else { (empty) }
                }
                @for (option, label) in options {
                    option value=(option) selected[option == value] { (label) }
                }
            }
        },
        Control::Date { value } => html! {
            input class=(class) type="date" id=(id) name=(name) value=(value)
                autocomplete="off" aria-describedby=[described] aria-invalid=[invalid]
                aria-required=[required];
        },
        Control::Number { value, least, most } => html! {
            input class=(class) type="number" id=(id) name=(name) value=(value) min=(least)
                max=(most) step="1" autocomplete="off" aria-describedby=[described]
                aria-invalid=[invalid] aria-required=[required];
        },
        Control::Checkbox { .. } => html! {},
    }
}
