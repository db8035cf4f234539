//! Records, drawers, and the question before an action.

use gate::Value;
use maud::{Markup, html};
use tools::definition::{Column, Format, Tone};

use super::field::field;
use super::form::errors;
use super::message::message;
use super::value::value;
use super::view::{ActionButton, ConfirmView, DrawerView, RecordView, Setting};
use super::{TOOL, action_path, hidden, part_id, recorded, rows_path, runs_path};

/// Rows as lists of fields.
pub fn record(view: &RecordView) -> Markup {
    let Setting { part, title, entry, inner, .. } = &view.setting;
    let id = part_id(part);
    let class = if *inner { "rows" } else { "card" };
    let live = if view.rows.is_empty() { view.empty.clone() } else { title.clone() };
    html! {
        section class=(class) id=(id) aria-labelledby={ (id) "-title" } data-live=(live) {
            h2 id={ (id) "-title" } { (title) }
            @for row in &view.rows { (fields(&view.fields, row, "kv")) }
            @if view.rows.is_empty() {
                div class="empty" { p { strong { (view.empty) } } }
            } @else {
                (actions(&view.setting, &view.actions))
            }
            (recorded(*entry))
        }
    }
}

fn fields(columns: &[Column], row: &[Value], class: &str) -> Markup {
    html! {
        dl class=(class) {
            @for (column, cell) in columns.iter().zip(row) {
                div {
                    dt { (column.label) }
                    @if column.format == Format::LongText {
                        dd class="rows" { (value(column.format, cell)) }
                    } @else {
                        dd { (value(column.format, cell)) }
                    }
                }
            }
        }
    }
}

fn actions(setting: &Setting, buttons: &[ActionButton]) -> Markup {
    html! {
        @for button in buttons {
            form class="drawer__foot" method="post" action=(action_path(&setting.tool, &button.action))
                data-frag=[button.into.as_ref().map(|into| format!("#{into}"))] autocomplete="off" {
                (hidden(&setting.csrf, &setting.carried))
                button class=(tone(button.tone)) type="submit" { (button.label) }
            }
        }
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "usa-button",
        Tone::Danger => "usa-button usa-button--danger",
    }
}

/// The place of a drawer in which no row is open.
pub fn closed_drawer(part: &str) -> Markup {
    html! { div id=(part_id(part)) {} }
}

/// An open row, beside its table.
pub fn drawer(view: &DrawerView) -> Markup {
    let Setting { part, title, entry, .. } = &view.setting;
    let id = part_id(part);
    html! {
        section class="drawer" id=(id) aria-labelledby={ (id) "-title" } data-live={ (title) " is open" } {
            (drawer_head(&view.setting, &id))
            @if let Some(said) = &view.message { (message(said)) }
            @if view.cells.is_empty() {
                div class="empty" {
                    p { strong { "This record is no longer among what you searched for." } }
                }
            } @else {
                (fields(&view.fields, &view.cells, "kv kv--tight"))
                @for part in &view.parts { (part) }
                (actions(&view.setting, &view.actions))
            }
            (recorded(*entry))
        }
    }
}

fn drawer_head(setting: &Setting, id: &str) -> Markup {
    html! {
        div class="drawer__head" {
            h2 id={ (id) "-title" } tabindex="-1" data-focus { (setting.title) }
            form method="post" action=(rows_path(&setting.tool)) data-frag={ "#" (id) }
                autocomplete="off" {
                (hidden(&setting.csrf, &setting.carried))
                button class="usa-button usa-button--unstyled" type="submit" name="step" value="close" {
                    "Close" span class="usa-sr-only" { " " (setting.title) }
                }
            }
        }
    }
}

/// The question before an action. Nothing has been changed yet, and the page says what will be.
pub fn confirm(view: &ConfirmView) -> Markup {
    let Setting { tool, part, title, csrf, carried, .. } = &view.setting;
    let id = part_id(part);
    let prefix = format!("ask-{}", view.action);
    // Going back with a row opens it again; without one it is the search that is done again.
    let back = if view.has_row { rows_path(tool) } else { runs_path(tool) };
    html! {
        section class="drawer" id=(id) aria-labelledby={ (id) "-title" } data-live=(title) {
            h2 id={ (id) "-title" } tabindex="-1" data-focus[view.errors.is_empty()] { (title) }
            @if !view.text.is_empty() { p { (view.text) } }
            (errors(&prefix, &view.fields, &view.errors))
            form class="rows" method="post" action=(action_path(tool, &view.action))
                data-frag={ "#" (TOOL) } data-once autocomplete="off" novalidate {
                (hidden(csrf, carried))
                @for one in &view.fields { (field(&prefix, one, &view.errors)) }
                div class="drawer__foot" {
                    button class=(tone(view.tone)) type="submit" name="step" value="do" { (view.button) }
                    button class="usa-button usa-button--outline" type="submit" name="step" value="back"
                        formaction=(back) data-frag={ "#" (if view.has_row { &id } else { TOOL }) } { "Cancel" }
                }
            }
        }
    }
}
