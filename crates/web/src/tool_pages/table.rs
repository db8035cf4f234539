//! Tables: sorted, filtered and paged by the server, one form around each.
//!
//! A real `<table>` with a caption, so that screen readers' table commands work. `aria-sort` stands
//! on the sorted header only. The first submit button in the form is the filters', for Enter in a
//! filter presses the first one.

use gate::{Direction, Total};
use maud::{Markup, html};
use tools::definition::{Column, Filterable, Format};

use super::field::{control_id, field};
use super::form::errors;
use super::value::value;
use super::view::{Control, Field, RowView, Setting, TableView};
use super::{hidden, part_id, recorded, rows_path, runs_path};

/// A table in a card, or in a drawer.
pub fn table(view: &TableView) -> Markup {
    let Setting { tool, part, title, csrf, carried, entry, inner } = &view.setting;
    let id = part_id(part);
    let counted = counted(view);
    let fields: Vec<Field> = view.filters.iter().map(|one| filter_field(part, one)).collect();
    let class = if *inner { "rows" } else { "card card--flush" };
    html! {
        section class=(class) id=(id) aria-labelledby={ (id) "-title" }
            data-live={ (title) ": " (counted) } {
            form method="post" action=(runs_path(tool)) data-frag={ "#" (id) } autocomplete="off" novalidate {
                (hidden(csrf, carried))
                input type="hidden" name="part" value=(part);
                input type="hidden" name={ (part) ".sort" } value=(sort_text(view));
                input type="hidden" name={ (part) ".page" } value=(view.page);
                (errors(&id, &fields, &view.errors))
                (toolbar(view, &id, &fields))
                @if view.errors.is_empty() {
                    @if view.rows.is_empty() {
                        (nothing(view))
                    } @else {
                        div class="tablebox" role="region" aria-labelledby={ (id) "-caption" } tabindex="0" {
                            table class="table" {
                                caption id={ (id) "-caption" } { (title) ": " (counted) }
                                thead { tr { @for column in &view.columns { (head(view, column)) } } }
                                tbody { @for row in &view.rows { (body_row(view, row)) } }
                            }
                        }
                    }
                    (pager(view))
                }
            }
            @if entry.is_some() && !inner { div class="toolbar no-print" { (recorded(*entry)) } }
        }
    }
}

/// `26 to 50 of 312`, or why there is no such line.
fn counted(view: &TableView) -> String {
    if !view.errors.is_empty() {
        return "not searched".to_owned();
    }
    if view.rows.is_empty() {
        return "none".to_owned();
    }
    let before = u64::from(view.page.saturating_sub(1)) * u64::from(view.page_rows);
    let last = before + view.rows.len() as u64;
    let first = before + 1;
    match view.total {
        Total::Exact(total) => format!("{first} to {last} of {total}"),
        Total::MoreThan(total) => format!("{first} to {last} of more than {total}"),
    }
}

fn toolbar(view: &TableView, id: &str, fields: &[Field]) -> Markup {
    let part = &view.setting.part;
    let filtered = view.filters.iter().any(|(_, typed)| !typed.is_empty());
    html! {
        div class="toolbar" {
            @if view.setting.inner {
                h3 id={ (id) "-title" } { (view.setting.title) }
            } @else {
                h2 id={ (id) "-title" } { (view.setting.title) }
            }
            @if !fields.is_empty() {
                div class="toolbar__end" role="group" aria-label={ "Filter " (view.setting.title) } {
                    @for one in fields { (field(id, one, &view.errors)) }
                    button class="usa-button usa-button--outline usa-button--small" type="submit"
                        name="press" value={ (part) ":filter" } { "Filter" }
                    @if filtered {
                        button class="usa-button usa-button--unstyled" type="submit"
                            name="press" value={ (part) ":clear" } { "Clear" }
                    }
                }
            }
        }
    }
}

fn filter_field(part: &str, (filter, typed): &(Filterable, String)) -> Field {
    let value = typed.clone();
    let control = if filter.choices.is_empty() {
        Control::Text { value, chars_max: 200 }
    } else {
        Control::Choice { value, options: filter.choices.clone(), empty: "Any".to_owned() }
    };
    Field {
        name: format!("{part}.filter.{}", filter.column),
        label: filter.label.clone(),
        hint: String::new(),
        required: false,
        sensitive: true,
        control,
    }
}

/// The order as it is carried along. One that only the file may ask for is left to the file.
fn sort_text(view: &TableView) -> String {
    if view.sorted.iter().any(|(column, _)| !view.sortable.contains(column)) {
        return String::new();
    }
    let texts =
        view.sorted.iter().map(|(column, direction)| format!("{column}:{}", word(*direction)));
    texts.collect::<Vec<_>>().join(",")
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "asc",
        Direction::Descending => "desc",
    }
}

/// A header. A press on the sorted one turns its order round.
fn head(view: &TableView, column: &Column) -> Markup {
    let part = &view.setting.part;
    let first = view.sorted.first().filter(|(sorted, _)| *sorted == column.name);
    let direction = first.map(|(_, direction)| *direction);
    let (sorted, next) = match direction {
        None => (None, Direction::Ascending),
        Some(Direction::Ascending) => (Some("ascending"), Direction::Descending),
        Some(Direction::Descending) => (Some("descending"), Direction::Ascending),
    };
    let class = right(column.format);
    html! {
        @if view.sortable.contains(&column.name) {
            th scope="col" class=[class] aria-sort=[sorted] {
                button class="sort" type="submit" id=(control_id(&part_id(part), &format!("sort.{}", column.name)))
                    name="press" value={ (part) ":sort:" (column.name) ":" (word(next)) } { (column.label) }
            }
        } @else {
            th scope="col" class=[class] aria-sort=[sorted] { (column.label) }
        }
    }
}

fn right(format: Format) -> Option<&'static str> {
    match format {
        Format::Number | Format::Bytes => Some("num"),
        Format::Text | Format::LongText | Format::Date | Format::DateTime | Format::Badge => None,
    }
}

/// A row. Its first cell names it, and opens it where it can be opened.
fn body_row(view: &TableView, row: &RowView) -> Markup {
    let open = row.open.then_some("is-open");
    let drawer = view.opens.as_deref().zip(row.handle.as_deref());
    html! {
        tr class=[open] {
            @for (index, (column, cell)) in view.columns.iter().zip(&row.cells).enumerate() {
                @if index == 0 {
                    th scope="row" class=[right(column.format)] {
                        @if let Some((drawer, handle)) = drawer {
                            button class="rowlink" type="submit" name="row" value=(handle)
                                formaction=(rows_path(&view.setting.tool))
                                data-frag={ "#" (part_id(drawer)) } {
                                span class="usa-sr-only" { "Open " }
                                (value(column.format, cell))
                            }
                        } @else {
                            (value(column.format, cell))
                        }
                    }
                } @else {
                    td class=[right(column.format)] { (value(column.format, cell)) }
                }
            }
        }
    }
}

fn nothing(view: &TableView) -> Markup {
    let words = if view.empty.is_empty() { "Nothing was found." } else { &view.empty };
    html! { div class="empty" { p { strong { (words) } } } }
}

/// The pages worth a button: the first, the last, and those around the current one.
fn pages(page: u32, last: u32) -> Vec<Option<u32>> {
    let mut shown: Vec<Option<u32>> = Vec::new();
    let mut before = 0;
    for number in 1..=last {
        if number == 1 || number == last || number.abs_diff(page) <= 1 {
            if number > before + 1 {
                shown.push(None);
            }
            shown.push(Some(number));
            before = number;
        }
    }
    shown
}

fn pager(view: &TableView) -> Markup {
    let total = match view.total {
        Total::Exact(total) | Total::MoreThan(total) => total,
    };
    let last = total.div_ceil(u64::from(view.page_rows.max(1)));
    let last = u32::try_from(last).unwrap_or(u32::MAX).clamp(1, tools::form::PAGE_MAX);
    // Beyond what was counted there may be more; a full page is worth a look at the next.
    let uncounted = matches!(view.total, Total::MoreThan(_)) && view.page >= last;
    let more = uncounted && view.rows.len() as u64 >= u64::from(view.page_rows);
    if last == 1 && view.page == 1 && !more {
        return html! {};
    }
    let part = &view.setting.part;
    let press = |number: u32| format!("{part}:page:{number}");
    html! {
        nav class="pager" aria-label={ "Pages of " (view.setting.title) } {
            ul {
                @if view.page > 1 {
                    li { button type="submit" name="press" value=(press(view.page - 1)) { "Previous" } }
                }
                @for number in pages(view.page, last.max(view.page)) {
                    li {
                        @match number {
                            Some(number) => button type="submit" name="press" value=(press(number))
                                aria-label={ "Page " (number) }
                                aria-current=[(number == view.page).then_some("page")] { (number) },
                            None => span class="is-gap" { "…" },
                        }
                    }
                }
                @if view.page < last || more {
                    li { button type="submit" name="press" value=(press(view.page + 1)) { "Next" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn pages_around_the_current_one_and_at_both_ends_have_buttons() {
        let text = |page, last| {
            let shown = pages(page, last).into_iter();
            let shown = shown.map(|page| page.map_or("…".to_owned(), |page| page.to_string()));
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(1, 1), "1");
        assert_eq!(text(1, 3), "1 2 3");
        assert_eq!(text(1, 13), "1 2 … 13");
        assert_eq!(text(6, 13), "1 … 5 6 7 … 13");
        assert_eq!(text(13, 13), "1 … 12 13");
    }
}
