//! Passing on a received file: to whom and why, what its terms say of that, and the request itself.
//!
//! Invariant: what is passed on is the file that the handle names, to this person in this session; the terms under
//! which it came are shown before it is asked for, and the exchange looks at them again.

use axum::extract::{Path, State};
use exchange::{Item, NewExport, Origin, Passing, Place, Redistribution};
use gate::Value;
use maud::{Markup, html};
use policy::Why;

use super::copies::Copies;
use super::preview::{clauses, judged, refusal};
use super::wanted::Wanted;
use crate::app::{Answer, Shared};
use crate::pages::incoming::deciding::csrf;
use crate::pages::looking;
use crate::pages::partners::partner_name;
use crate::pages::parts::{go, id, moment, pair, sharing};
use crate::pages::seen;
use crate::problem::Problem;
use crate::reading::carry_through;
use crate::session::{Posted, SignedIn};

/// Longest reason and consent.
const WORDS_CHARS_MAX: usize = 1_000;

/// What the forms ask, read.
struct Asked {
    wanted: Wanted,
    why: Why,
    consent: Option<String>,
}

impl Asked {
    fn read(posted: &Posted, opened_for: Why) -> Result<Self, Problem> {
        let words = |name: &str| -> Result<Option<String>, Problem> {
            let text = posted.text(name).trim().to_owned();
            if text.chars().count() > WORDS_CHARS_MAX || text.chars().any(char::is_control) {
                return Err(Problem::bad_input("Write at most 1000 characters, on one line."));
            }
            Ok(Some(text).filter(|text| !text.is_empty()))
        };
        let why = Why { reason: words("reason")?, ..opened_for };
        Ok(Self { wanted: Wanted::read(posted)?, why, consent: words("consent")? })
    }
}

/// `POST /incoming/{exchange}/pass-on/{handle}`: asks to whom; then shows what would leave; then asks for it.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session, or with an entry number when policy,
/// agreement or the terms under which it came are against it.
pub async fn pass_on(
    State(agency): State<Shared>,
    Path((parcel, sealed)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let exchange_id = id(&parcel)?;
    let Ok(handle) = agency.open_file_handle(&posted.signed_in, &parcel, &sealed) else {
        return Err(agency.foreign_handle(&posted.signed_in, "/incoming").await);
    };
    let path = match handle.values.get("path") {
        Some(Value::Text(path)) => path.as_str(),
        _ => return Err(Problem::not_found()),
    };
    let asked = Asked::read(&posted, handle.why)?;
    let exchange = &sharing(&agency)?.exchange;
    let caller = posted.signed_in.caller();
    let passing = exchange.passing(&caller, exchange_id, path, &asked.why).await?;
    let place = Place::Parcel { exchange: exchange_id, path: path.to_owned() };
    let documents = (std::slice::from_ref(&passing.item), std::slice::from_ref(&place));
    let copies = Copies::find(&agency, &posted, documents, &asked.wanted, &asked.why).await?;
    let action = format!("/incoming/{parcel}/pass-on/{sealed}");
    let told = asked.why.reason.is_some() && !copies.asks(&asked.wanted, &passing.item.path);
    let items = copies.sent(&asked.wanted, &passing.item);
    match posted.text("step") {
        "do" if told => request(&agency, &posted, asked, items).await,
        "preview" if told => {
            preview(&agency, &posted, (&action, &parcel), &asked, (&passing, &items)).await
        }
        _ => ask(&agency, &posted.signed_in, (&action, &parcel), &asked, (&passing, &copies)).await,
    }
}

async fn ask(
    agency: &Shared,
    who: &SignedIn,
    (action, parcel): (&str, &str),
    asked: &Asked,
    (passing, copies): (&Passing, &Copies),
) -> Answer {
    let permit = looking::at_exports(agency, who, "agreements to send under").await?;
    let agreements = sharing(agency)?.exchange.held_agreements().await?;
    let agreements = looking::show(agency, permit, "agreements", agreements, |held| {
        held.iter().map(|one| one.id.clone()).collect()
    })
    .await?;
    let content = html! {
        p { a href={ "/incoming/" (parcel) } { "The parcel that it came in" } }
        @if !who.session.is_stepped_up(agency.now()) { (confirm_first(parcel)) }
        (terms(agency, passing))
        form class="card" id="pass-on" method="post" action=(action) data-once {
            h2 { "To whom, and why" }
            (csrf(who))
            input type="hidden" name="step" value="preview";
            div class="fields" {
                (copies.choice(&asked.wanted, &passing.item.path))
                div class="field field--wide" {
                    label class="usa-label" for="agreement" { "Partner and agreement " span class="must" { "*" } }
                    select class="usa-select" id="agreement" name="agreement" required {
                        @for held in &agreements { @if let Some(shown) = held.shown() {
                            option value=(held.id) selected[held.id == asked.wanted.agreement] {
                                (partner_name(agency, shown.details.agreement.facts.partner.as_str())) ": " (shown.details.agreement.title)
                                @if held.in_force.is_none() { " (not reviewed)" }
                            }
                        } }
                    }
                }
                (text(("reason", "Why it is passed on", ""), true, asked.why.reason.as_deref()))
                (text(("requestor", "Who there asked for it", "A name and an office, for the log of secondary dissemination"), true, asked.wanted.requestor.as_deref()))
                (text(("exhibit", "Exhibit number", "For the custody record, if the case has one for it"), false, asked.wanted.exhibit.as_deref()))
                (text(("consent", "The sender's consent", "Who there consented, when, and in which letter; where its terms ask for that"), false, asked.consent.as_deref()))
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Show what would leave" }
                }
            }
        }
    };
    Ok(agency.page(who, "Pass on a file", "/incoming", &content))
}

fn text((name, label, hint): (&str, &str, &str), must: bool, value: Option<&str>) -> Markup {
    let described = format!("{name}-hint");
    html! {
        div class="field field--wide" {
            label class="usa-label" for=(name) { (label) @if must { " " span class="must" { "*" } } }
            @if !hint.is_empty() { span class="usa-hint" id=(described) { (hint) } }
            input class="usa-input" id=(name) name=(name) required[must] maxlength="1000" autocomplete="off"
                aria-describedby=[(!hint.is_empty()).then_some(&described)] value=(value.unwrap_or_default());
        }
    }
}

fn confirm_first(parcel: &str) -> Markup {
    html! {
        div class="usa-alert usa-alert--warning" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" { "First confirm that it is you" }
                p class="usa-alert__text" { "An export needs a sign-in of the last five minutes. You come back to the parcel and open it again." }
                p { a class="usa-button" href={ "/step-up?next=/incoming/" (parcel) } { "Confirm my identity" } }
            }
        }
    }
}

/// The file, and the terms under which it came.
fn terms(agency: &Shared, passing: &Passing) -> Markup {
    let item = &passing.item;
    let from = item.received.as_ref();
    let classes: Vec<&str> = item.classes().map(|class| class.as_str()).collect();
    let marks: Vec<String> = item.caveats.iter().map(ToString::to_string).collect();
    html! {
        section class="card" aria-labelledby="terms" {
            h2 id="terms" { "The file, and the terms under which it came" }
            dl class="kv" {
                (pair("File", &item.label))
                div { dt { "By its content" } dd { (seen::what(item.seen.as_ref(), &item.media_type)) } }
                (pair("Records", &classes.join(", ")))
                @if !marks.is_empty() { (pair("Handling", &marks.join(", "))) }
                @match from.and_then(|from| from.from.as_deref()) {
                    Some(sender) => (pair("From", &partner_name(agency, sender))),
                    None => (pair("From", "somebody who signed nothing; no partner's terms are on it")),
                }
                @for origin in &passing.terms { (origin_terms(origin)) }
                @if let Some(by) = from.and_then(|from| from.destroy_by) { (pair("To be destroyed by", &moment(by))) }
            }
        }
    }
}

fn origin_terms(origin: &Origin) -> Markup {
    let id = &origin.agreement.facts.id;
    html! {
        div { dt { "It came under" } dd { a href={ "/agreements/" (id) } { (origin.agreement.title) } } }
        (pair("Passing on", handed_on(origin.stricter.redistribution)))
    }
}

/// The words of an agreement, as whoever received something reads them.
fn handed_on(redistribution: Redistribution) -> &'static str {
    match redistribution {
        Redistribution::None => "Not at all.",
        Redistribution::WithConsent => "Only with its sender's written consent, each time.",
        Redistribution::UnderTheseTerms => "To other authorised agencies, under these terms.",
    }
}

async fn preview(
    agency: &Shared,
    posted: &Posted,
    (action, parcel): (&str, &str),
    asked: &Asked,
    (passing, items): (&Passing, &[Item]),
) -> Answer {
    let exchange = &sharing(agency)?.exchange;
    let held = exchange.held_agreement(&asked.wanted.agreement).await?;
    let shown = held.shown().ok_or_else(Problem::not_found)?;
    let agreement = &shown.details.agreement;
    let purpose = asked.why.purpose.as_ref();
    let consent = asked.consent.as_deref();
    let against = exchange.against_passing_of(agreement, items, &asked.why, consent).await?;
    let content = html! {
        p { a href={ "/incoming/" (parcel) } { "The parcel that it came in" } }
        (terms(agency, passing))
        section class="card" aria-labelledby="to" {
            h2 id="to" { "To whom, and why" }
            dl class="kv" {
                @for item in items { (pair("What leaves", &item.label)) }
                (pair("To", &partner_name(agency, agreement.facts.partner.as_str())))
                div { dt { "Agreement" } dd { a href={ "/agreements/" (agreement.facts.id) } { (agreement.title) } } }
                @if let Some(name) = &asked.wanted.requestor { (pair("Asked for there by", name)) }
                @if let Some(number) = &asked.wanted.exhibit { (pair("Exhibit number", number)) }
                @if let Some(words) = consent { (pair("Its first sender's consent", words)) }
                @if let Some(purpose) = purpose { (pair("Purpose code", purpose.as_str())) }
                @if let Some(case) = &asked.why.case_number { (pair("Case number", case.as_str())) }
                @if let Some(reason) = &asked.why.reason { (pair("Reason", reason)) }
            }
        }
        @if held.in_force.is_none() { (refusal("Nobody has reviewed this agreement, so nothing can leave under it.")) }
        @if let Some(clause) = &against {
            div data-clause=(clause.code()) { (refusal(&format!("This can’t be passed on: {clause} ({}).", clause.code()))) }
        }
        (clauses(&judged(exchange, agreement, items, purpose, agency.now())))
        (super::rules::card(&exchange.stricter(agreement, &exchange::asked(items), purpose)))
        form class="card" id="pass-on" method="post" action=(action) data-once {
            h2 { "Ask for it" }
            (csrf(&posted.signed_in))
            @for (name, value) in again(asked) { input type="hidden" name=(name) value=(value); }
            p {
                "It is read once more when it is sealed, and its custody record goes along. "
                (agreement.facts.approvals) @if agreement.facts.approvals == 1 { " other person has" } @else { " other people have" }
                " to approve it."
            }
            (super::routes::choice(exchange, agreement, asked.wanted.route.as_deref()))
            div class="cluster" {
                @if against.is_none() { button class="usa-button" type="submit" name="step" value="do" { "Ask for approval" } }
                button class="usa-button usa-button--outline" type="submit" name="step" value="change" { "Change it" }
            }
        }
    };
    Ok(agency.page(&posted.signed_in, "Pass on a file: what would leave", "/incoming", &content))
}

/// The fields again, but for the way, which is chosen on the page.
fn again(asked: &Asked) -> Vec<(&'static str, &str)> {
    let fields = asked.wanted.again().into_iter().filter(|(name, _)| *name != "route");
    let reason = asked.why.reason.as_deref().map(|words| ("reason", words));
    let consent = asked.consent.as_deref().map(|words| ("consent", words));
    fields.chain(reason).chain(consent).collect()
}

async fn request(agency: &Shared, posted: &Posted, asked: Asked, items: Vec<Item>) -> Answer {
    let name = items.first().and_then(|item| item.path.rsplit('/').next());
    let name = name.unwrap_or("a file").to_owned();
    let new = NewExport {
        title: format!("Passed on: {}", name.chars().take(100).collect::<String>()),
        agreement: asked.wanted.agreement,
        items,
        why: asked.why,
        requestor: asked.wanted.requestor,
        exhibit: asked.wanted.exhibit,
        consent: asked.consent,
        left_out: Vec::new(),
        listed: Vec::new(),
        route: asked.wanted.route,
    };
    let (exchange, caller) = (sharing(agency)?.exchange.clone(), posted.signed_in.caller());
    let asked = async move { Ok(exchange.request(&caller, new).await?) };
    let export = carry_through(asked).await?;
    Ok(go(posted, &format!("/exports/{}", export.id)))
}
