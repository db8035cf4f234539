//! Tables: their order, their filters, their pages.

use std::collections::BTreeMap;

use gate::{Rows, Total};
use tools::input::FieldError;

use super::{asked, check, rows, said, seal, small, vehicles};
use crate::tool_pages::build::Stage;
use crate::tool_pages::table;

const PAGE: &str = r##"
        <section class="card card--flush" id="part-results" aria-labelledby="part-results-title" data-live="Vehicles: 3 to 4 of 5">
        <form method="post" action="/tools/small/runs" data-frag="#part-results" autocomplete="off" novalidate>
        <input type="hidden" name="csrf" value="t0ken">
        <input type="hidden" name="plate" value="1AB">
        <input type="hidden" name="part" value="results">
        <input type="hidden" name="results.sort" value="plate:asc">
        <input type="hidden" name="results.page" value="2">
        <div class="toolbar">
        <h2 id="part-results-title">Vehicles</h2>
        <div class="toolbar__end" role="group" aria-label="Filter Vehicles">
        <div class="field usa-form-group">
        <label class="usa-label" for="part-results-results-filter-year">Year</label>
        <input class="usa-input" type="text" id="part-results-results-filter-year" name="results.filter.year" value="2019" maxlength="200" autocomplete="off" spellcheck="false" translate="no">
        </div>
        <button class="usa-button usa-button--outline usa-button--small" type="submit" name="press" value="results:filter">Filter</button>
        <button class="usa-button usa-button--unstyled" type="submit" name="press" value="results:clear">Clear</button>
        </div>
        </div>
        <div class="tablebox" role="region" aria-labelledby="part-results-caption" tabindex="0">
        <table class="table">
        <caption id="part-results-caption">Vehicles: 3 to 4 of 5</caption>
        <thead>
        <tr>
        <th scope="col" aria-sort="ascending">
        <button class="sort" type="submit" id="part-results-sort-plate" name="press" value="results:sort:plate:desc">Plate</button>
        </th>
        <th scope="col" class="num">
        <button class="sort" type="submit" id="part-results-sort-year" name="press" value="results:sort:year:asc">Year</button>
        </th>
        </tr>
        </thead>
        <tbody>
        <tr>
        <th scope="row">
        <button class="rowlink" type="submit" name="row" value="sealed-V-1" formaction="/tools/small/rows" data-frag="#part-detail">
        <span class="usa-sr-only">Open </span>&lt;1ABC&gt;</button>
        </th>
        <td class="num">2019</td>
        </tr>
        <tr class="is-open">
        <th scope="row">
        <button class="rowlink" type="submit" name="row" value="sealed-V-2" formaction="/tools/small/rows" data-frag="#part-detail">
        <span class="usa-sr-only">Open </span>1ABD</button>
        </th>
        <td class="num">
        <span aria-hidden="true">–</span>
        <span class="usa-sr-only">none</span>
        </td>
        </tr>
        </tbody>
        </table>
        </div>
        <nav class="pager" aria-label="Pages of Vehicles">
        <ul>
        <li>
        <button type="submit" name="press" value="results:page:1">Previous</button>
        </li>
        <li>
        <button type="submit" name="press" value="results:page:1" aria-label="Page 1">1</button>
        </li>
        <li>
        <button type="submit" name="press" value="results:page:2" aria-label="Page 2" aria-current="page">2</button>
        </li>
        <li>
        <button type="submit" name="press" value="results:page:3" aria-label="Page 3">3</button>
        </li>
        <li>
        <button type="submit" name="press" value="results:page:3">Next</button>
        </li>
        </ul>
        </nav>
        </form>
        <div class="toolbar no-print">
        <span class="muted small">Ledger entry <span class="nowrap" data-entry="41">41</span>
        </span>
        </div>
        </section>
"##;

#[test]
fn a_table_sorts_filters_pages_and_opens_rows_with_buttons_of_one_form() {
    let tool = small();
    let sent = [
        ("plate", "1AB"),
        ("young", ""),
        ("results.filter.year", "2019"),
        ("press", "results:page:2"),
    ];
    let asked = asked(&tool, &sent);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t0ken", row: None };
    let open = BTreeMap::from([("id".to_owned(), said("V-2"))]);
    let part = tool.part("results").unwrap();
    let title = "Vehicles".to_owned();
    let view = stage.table_of(part, title, &vehicles(), Some(41), Some(&open), &mut seal).unwrap();
    check(&table(&view), PAGE);
}

#[test]
fn a_table_without_rows_says_so_and_one_that_was_not_searched_shows_why() {
    let tool = small();
    let asked = asked(&tool, &[("results.filter.year", "x")]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let part = tool.part("results").unwrap();
    let none = rows(&["id", "plate", "year"], vec![], 0);
    let view = stage.table_of(part, "Vehicles".to_owned(), &none, None, None, &mut seal).unwrap();
    let shown = table(&view).into_string();
    assert!(shown.contains("<div class=\"empty\"><p><strong>No vehicle.</strong></p></div>"));
    assert!(shown.contains("data-live=\"Vehicles: none\""));
    assert!(!shown.contains("<table") && !shown.contains("<nav"));

    let message = "Year is a whole number.".to_owned();
    let errors = vec![FieldError { input: "results.filter.year".to_owned(), message }];
    let view = stage.unsearched(part, "Vehicles".to_owned(), errors).unwrap();
    let shown = table(&view).into_string();
    let link = "href=\"#part-results-results-filter-year\">Year is a whole number.</a>";
    assert!(shown.contains(link));
    assert!(shown.contains("id=\"part-results-results-filter-year\""));
    assert!(shown.contains("aria-invalid=\"true\""));
    assert!(!shown.contains("No vehicle.") && !shown.contains("<table"));
}

#[test]
fn the_sorted_header_alone_says_so_and_turns_round() {
    let tool = small();
    let part = tool.part("results").unwrap();
    for (sort, said_sort, next) in
        [("year:asc", "ascending", "year:desc"), ("year:desc", "descending", "year:asc")]
    {
        let asked = asked(&tool, &[("results.sort", sort)]);
        let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
        let view =
            stage.table_of(part, "V".to_owned(), &vehicles(), None, None, &mut seal).unwrap();
        let shown = table(&view).into_string();
        assert_eq!(shown.matches("aria-sort").count(), 1);
        assert!(shown.contains(&format!("aria-sort=\"{said_sort}\"")), "{sort}");
        assert!(shown.contains(&format!("value=\"results:sort:{next}\"")), "{sort}");
    }
}

#[test]
fn a_total_beyond_the_count_says_more_and_offers_the_next_page() {
    let tool = small();
    let asked = asked(&tool, &[("results.page", "3")]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let part = tool.part("results").unwrap();
    let many = Rows { total: Total::MoreThan(4), ..vehicles() };
    let view = stage.table_of(part, "V".to_owned(), &many, None, None, &mut seal).unwrap();
    let shown = table(&view).into_string();
    assert!(shown.contains("5 to 6 of more than 4"));
    assert!(shown.contains("value=\"results:page:4\">Next<"));
}

/// A table may open in an order that people may not ask for; its pages keep that order.
#[test]
fn an_order_of_the_file_alone_is_not_sent_back() {
    let mut tool = small();
    let part = tool.parts.iter_mut().find(|part| part.id == "results").unwrap();
    if let tools::definition::PartKind::Table(table) = &mut part.kind {
        table.sort = vec!["year".to_owned()];
    }
    let asked = asked(&tool, &[]);
    let stage = Stage { tool: &tool, asked: &asked, csrf: "t", row: None };
    let part = tool.part("results").unwrap();
    let view = stage.table_of(part, "V".to_owned(), &vehicles(), None, None, &mut seal).unwrap();
    let shown = table(&view).into_string();
    assert!(shown.contains("name=\"results.sort\" value=\"\""));
    assert!(shown.contains("<th scope=\"col\" aria-sort=\"ascending\">Plate</th>"));
}
