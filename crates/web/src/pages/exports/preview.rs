//! The preview: exactly what would leave, the clauses of the agreement beside it, and what may be left out.
//!
//! Invariant: nothing leaves and nothing is asked for by looking at it; each reading that it shows is on record.

use exchange::{Agreement, Exchange, Item, Judged};
use jiff::Timestamp;
use maud::{Markup, html};
use policy::{PurposeCode, RecordClass};
use tools::Tool;
use tools::definition::Action;
use tools::form::Submission;

use super::gathered::{Gathered, Table, Ungathered, gather};
use super::wanted::{Wanted, part_of};
use crate::app::{Answer, Shared};
use crate::pages::partners::partner_name;
use crate::pages::parts::{pair, sharing};
use crate::pages::seen;
use crate::problem::Problem;
use crate::refetch::FILM_ENDING;
use crate::session::Posted;

/// Rows of each query that are shown; the page says how many there are in all.
const ROWS_SHOWN: usize = 20;

/// Shows what would leave.
///
/// # Errors
/// A [`Problem`] when the person may not see what would leave.
pub async fn preview(
    agency: &Shared,
    posted: &Posted,
    tool: &Tool,
    action: &Action,
    form: &Submission,
) -> Answer {
    let wanted = Wanted::read(posted)?;
    let gathered = match gather(agency, posted, (tool, action), form, &wanted).await {
        Ok(gathered) => gathered,
        Err(Ungathered::Plan(tools::plan::PlanError::Input(errors))) => {
            return super::ask(agency, posted, tool, action, form, &errors).await;
        }
        Err(Ungathered::Plan(error)) => return Err(Problem::internal(&error)),
        Err(Ungathered::Problem(problem)) => return Err(problem),
    };
    shown(agency, posted, (tool, action), form, (&wanted, &gathered, &[])).await
}

/// The page of what was gathered; `unseen` is what the person asked for without having been shown it as it is now.
pub(super) async fn shown(
    agency: &Shared,
    posted: &Posted,
    (tool, action): (&Tool, &Action),
    form: &Submission,
    (wanted, gathered, unseen): (&Wanted, &Gathered, &[&str]),
) -> Answer {
    let exchange = &sharing(agency)?.exchange;
    let held = exchange.held_agreement(&wanted.agreement).await?;
    let shown = held.shown().ok_or_else(Problem::not_found)?;
    let agreement = &shown.details.agreement;
    let sent = gathered.sent(wanted);
    let purpose = gathered.why.purpose.as_ref();
    let judged = judged(exchange, agreement, &sent, purpose, agency.now());
    let content = html! {
        @if !unseen.is_empty() { (changed(unseen)) }
        (super::copies::undecided(&gathered.undecided(wanted)))
        (facts(agency, agreement, gathered, wanted))
        @if held.in_force.is_none() {
            (refusal("Nobody has reviewed this agreement, so nothing can leave under it."))
        }
        (clauses(&judged))
        (super::rules::card(&exchange.stricter(agreement, &exchange::asked(&sent), purpose)))
        form id="export" method="post" action={ "/tools/" (tool.id) "/actions/" (action.id) } data-once {
            input type="hidden" name="csrf" value=(posted.signed_in.csrf);
            input type="hidden" name="agreement" value=(wanted.agreement);
            @if let Some(name) = &wanted.requestor { input type="hidden" name="requestor" value=(name); }
            @if let Some(number) = &wanted.exhibit { input type="hidden" name="exhibit" value=(number); }
            @for (name, digest) in &gathered.read { input type="hidden" name="shown" value={ (name) ":" (digest) }; }
            @for (name, value) in &form.typed { input type="hidden" name=(name) value=(value); }
            @for table in &gathered.tables { (rows(table, wanted)) }
            (documents(gathered, wanted))
            section class="card" aria-labelledby="send" {
                h2 id="send" { "Ask for it" }
                @if sent.is_empty() { p { strong { "Nothing is left to send." } } }
                p {
                    "What is ticked above to be left out stays here. It is read once more when it is sealed, in the name of the person who approves it;
                     if its rows are others by then, nothing is sealed. "
                    (agreement.facts.approvals) @if agreement.facts.approvals == 1 { " other person has" } @else { " other people have" }
                    " to approve it."
                }
                (super::routes::choice(exchange, agreement, wanted.route.as_deref()))
                div class="cluster" {
                    button class="usa-button" type="submit" name="step" value="do" { (action.confirm.button) }
                    button class="usa-button usa-button--outline" type="submit" name="step" value="preview" { "Show again what would leave" }
                }
            }
        }
    };
    let title = format!("{}: what would leave", action.label);
    Ok(agency.page(&posted.signed_in, &title, &format!("/tools/{}", tool.id), &content))
}

/// That what was asked for is not what had been shown.
fn changed(unseen: &[&str]) -> Markup {
    html! {
        div class="usa-alert usa-alert--warning" id="changed" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { "Nothing was asked for: look at it as it is now" }
                p class="usa-alert__text" { "Not as it was shown before: " (unseen.join(", ")) "." }
            }
        }
    }
}

fn facts(agency: &Shared, agreement: &Agreement, gathered: &Gathered, wanted: &Wanted) -> Markup {
    let why = &gathered.why;
    html! {
        section class="card" aria-labelledby="to" {
            h2 id="to" { "To whom, and why" }
            dl class="kv" {
                (pair("To", &partner_name(agency, agreement.facts.partner.as_str())))
                div { dt { "Agreement" } dd { a href={ "/agreements/" (agreement.facts.id) } { (agreement.title) } } }
                @if let Some(name) = &wanted.requestor { (pair("Asked for there by", name)) }
                @if let Some(number) = &wanted.exhibit { (pair("Exhibit number", number)) }
                @if let Some(purpose) = &why.purpose { (pair("Purpose code", purpose.as_str())) }
                @if let Some(case) = &why.case_number { (pair("Case number", case.as_str())) }
                @if let Some(reason) = &why.reason { (pair("Reason", reason)) }
                (pair("Redistribution", agreement.terms.redistribution.words()))
                @if let Some(retention) = &agreement.retention { (pair("Retention there", retention)) }
            }
        }
    }
}

/// The clauses for each kind of record that would leave, with all marks of it.
pub(super) fn judged(
    exchange: &Exchange,
    agreement: &Agreement,
    items: &[Item],
    purpose: Option<&PurposeCode>,
    now: Timestamp,
) -> Vec<(RecordClass, Vec<Judged>)> {
    let partner = exchange.book().partner(agreement.facts.partner.as_str());
    let judge = |(class, marks): exchange::Asked| {
        let all = agreement.judge(&class, &marks, purpose, partner, now);
        (class, all)
    };
    exchange::asked(items).into_iter().map(judge).collect()
}

/// What stands against it, what is near, and what holds.
pub(super) fn clauses(judged: &[(RecordClass, Vec<Judged>)]) -> Markup {
    let against = judged.iter().flat_map(|(_, all)| all).filter_map(|one| one.against.as_ref());
    let mut said: Vec<String> =
        against.map(|clause| format!("{clause} ({})", clause.code())).collect();
    said.sort();
    said.dedup();
    html! {
        @for words in &said { (refusal(&format!("This can’t leave: {words}."))) }
        section class="card card--flush" aria-labelledby="clauses" {
            div class="toolbar" { h2 id="clauses" { "The agreement, clause by clause" } }
            div class="tablebox" role="region" aria-label="Clauses" tabindex="0" { table class="table" {
                caption class="usa-sr-only" { "How each clause stands to what would leave" }
                thead { tr { th scope="col" { "Records" } th scope="col" { "Clause" } th scope="col" { "It" } th scope="col" { "Here" } } }
                tbody { @for (class, all) in judged { @for one in all {
                    tr {
                        th scope="row" { (class) }
                        td class="mono" { (one.key) }
                        td { (one.says) }
                        td { (verdict(one)) }
                    }
                } } }
            } }
        }
    }
}

fn verdict(one: &Judged) -> Markup {
    match (&one.against, one.near) {
        (Some(clause), _) => {
            html! { span class="badge badge--deny" data-clause=(clause.code()) { "stands against it" } }
        }
        (None, true) => html! { span class="badge badge--warn" { "near" } },
        (None, false) => html! { span class="badge badge--permit" { "holds" } },
    }
}

pub(super) fn refusal(words: &str) -> Markup {
    html! {
        div class="usa-alert usa-alert--error" {
            div class="usa-alert__body" { p class="usa-alert__text" { (words) } }
        }
    }
}

/// One query's rows as they would leave, and its columns to leave out.
fn rows(table: &Table, wanted: &Wanted) -> Markup {
    let (query, count) = (&table.query, table.rows.rows.len());
    let out = wanted.without(query);
    let part = format!("records/{query}");
    let title = format!("rows-{query}");
    html! {
        section class="card" aria-labelledby=(title) {
            div class="card__head" {
                h2 id=(title) { (query) ": " (count) @if count == 1 { " row" } @else { " rows" } }
                (marks(table.items.first()))
            }
            (leave("skip", &part, &format!("Leave out {query} whole"), wanted.skip.contains(&part)))
            @if wanted.skip.contains(&part) {
                p class="muted" { "It stays here." }
            } @else {
                div class="tablebox" role="region" aria-label={ "Rows of " (query) } tabindex="0" { table class="table" {
                    caption class="usa-sr-only" { "Rows of " (query) " as they would leave" }
                    thead { tr { @for column in &table.rows.columns { th scope="col" { (column) } } } }
                    tbody { @for row in table.rows.rows.iter().take(ROWS_SHOWN) {
                        tr { @for value in row { td { (value.to_string()) } } }
                    } }
                } }
                @if count > ROWS_SHOWN { p class="muted" { "The first " (ROWS_SHOWN) " of " (count) " rows." } }
                fieldset class="usa-fieldset" {
                    legend class="usa-legend" { "Leave out columns of " (query) }
                    div class="cluster" { @for column in &table.columns {
                        (leave("without", &format!("{query}.{column}"), column, out.contains(column)))
                    } }
                }
            }
        }
    }
}

fn documents(gathered: &Gathered, wanted: &Wanted) -> Markup {
    let all = &gathered.documents;
    html! {
        @if !all.is_empty() {
            section class="card" aria-labelledby="documents" {
                h2 id="documents" { "Documents and recordings: " (all.len()) }
                ul class="rows" { @for item in all {
                    li {
                        strong { (item.label) } " " (marks(Some(item)))
                        p class="small" { (seen::what(item.seen.as_ref(), &item.media_type)) }
                        (leave("skip", &part_of(item), &format!("Leave out {}", item.path), wanted.skip.contains(&part_of(item))))
                        @for film in gathered.films.iter().filter(|film| film.path.strip_suffix(FILM_ENDING) == Some(&*item.path)) {
                            (leave("also", &film.path, &format!("Send an MP4 of {} too, made by ffmpeg", item.path), wanted.also.contains(&film.path)))
                        }
                        (gathered.copies.choice(wanted, &item.path))
                    }
                } }
            }
        }
    }
}

fn marks(item: Option<&Item>) -> Markup {
    html! {
        @if let Some(item) = item {
            span {
                span class="badge badge--info" { (item.record_class) }
                @for caveat in &item.caveats { " " span class="badge badge--mark" { (caveat) } }
            }
        }
    }
}

fn leave(name: &str, value: &str, label: &str, ticked: bool) -> Markup {
    let id = format!("{name}-{}", value.replace(['/', '.'], "-"));
    html! {
        span class="usa-checkbox" {
            input class="usa-checkbox__input" type="checkbox" id=(id) name=(name) value=(value) checked[ticked];
            label class="usa-checkbox__label" for=(id) { (label) }
        }
    }
}
