//! What one person is qualified by, on the account's page: how they stand towards what is demanded, what was
//! written down, and the forms that write down more or withdraw it.
//!
//! Invariant: nothing is changed or taken away; what was wrong is withdrawn, with a reason.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use identity::qualified::{Judged, Requirement, Standing, today};
use jiff::civil::Date;
use maud::{Markup, html};
use state::qualifications::{Finding, Kind, Qualification, Withdrawn};

use super::PATH;
use super::account::found;
use super::act::{Acted, permit_to_manage, reason};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::qualifications::kind_words;
use crate::session::{Posted, SignedIn};

/// The longest text in a field, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// How somebody stands, as a mark.
pub(super) fn mark(standing: Standing) -> Markup {
    html! {
        @match standing {
            Standing::Good { .. } => span class="badge badge--permit" { "in order" },
            Standing::Ending { .. } => span class="badge badge--warn" { "ends soon" },
            Standing::Grace { .. } => span class="badge badge--warn" { "in grace" },
            Standing::Over { .. } => span class="badge badge--deny" { "out of date" },
            Standing::Missing => span class="badge badge--deny" { "missing" },
            Standing::OldVersion => span class="badge badge--deny" { "other version" },
            Standing::NotCleared { .. } => span class="badge badge--deny" { "not cleared" },
        }
    }
}

/// The card of an account's page.
pub(super) fn card(judged: &[Judged], held: &[Qualification]) -> Markup {
    html! {
        section class="card" aria-labelledby="qualified" {
            h2 id="qualified" { "Training, screening and agreements" }
            @if judged.is_empty() {
                p { "Nothing is demanded of these job functions before criminal justice information." }
            } @else {
                ul class="rows" { @for one in judged {
                    li data-requirement=(one.requirement.id) {
                        (mark(one.standing)) " " (kind_words(one.requirement.kind)) " "
                        strong { (one.requirement.title) } " " (one.state())
                    }
                } }
            }
        }
        @if !held.is_empty() { (written(held)) }
    }
}

/// What was written down, newest first.
fn written(held: &[Qualification]) -> Markup {
    html! {
        section class="card card--flush" aria-labelledby="written" {
            div class="toolbar" { h2 id="written" { "What was written down" } }
            div class="tablebox" role="region" aria-label="List of what was written down" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Trainings, screenings and agreements, newest first" }
                    thead { tr {
                        th scope="col" { "What" } th scope="col" { "Kind" } th scope="col" { "Done on" }
                        th scope="col" { "Until" } th scope="col" { "Evidence" } th scope="col" { "Written down" }
                    } }
                    tbody { @for one in held.iter().rev() { (row(one)) } }
                }
            }
        }
    }
}

fn row(one: &Qualification) -> Markup {
    let version = one.version.as_ref().map(|version| format!(", version {version}"));
    let finding = one.finding.map(|finding| format!(", {}", finding.as_str()));
    html! {
        tr {
            th scope="row" {
                (one.course) (version.unwrap_or_default()) (finding.unwrap_or_default())
                @if let Some(withdrawn) = &one.withdrawn {
                    p class="small" {
                        span class="badge badge--deny" { "withdrawn" } " "
                        (moment(withdrawn.at)) " by " (withdrawn.by) ": " (withdrawn.reason)
                    }
                }
            }
            td { (one.kind.as_str()) }
            td class="nowrap" { (one.on) }
            td class="nowrap" { (one.until.map_or("—".to_owned(), |until| until.to_string())) }
            td { (one.evidence) }
            td { (moment(one.written_at)) " by " (one.written_by) }
        }
    }
}

/// The forms under the card, for those who may change accounts.
pub(super) fn forms(
    path: &str,
    requirements: &[Requirement],
    held: &[Qualification],
    signed_in: &SignedIn,
) -> Markup {
    let counting = || held.iter().enumerate().filter(|(_, one)| one.withdrawn.is_none());
    html! {
        section class="card" aria-labelledby="write-down" {
            h2 id="write-down" { "Write down a training, a screening or an agreement" }
            form method="post" action={ (path) "/qualifications" } class="rows" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                (fields(requirements))
                button class="usa-button" type="submit" name="do" value="add" { "Write it down" }
            }
            @if counting().next().is_some() {
                details {
                    summary { "Withdraw something that is wrong" }
                    form method="post" action={ (path) "/qualifications" } class="rows" {
                        input type="hidden" name="csrf" value=(signed_in.csrf);
                        div class="field" {
                            label class="usa-label" for="place" { "What is withdrawn" }
                            select class="usa-select" id="place" name="place" {
                                @for (place, one) in counting() {
                                    option value=(place) { (one.course) " of " (one.on) " (" (one.kind.as_str()) ")" }
                                }
                            }
                        }
                        div class="field" {
                            label class="usa-label" for="why" { "Why, which is put on record " span class="must" { "*" } }
                            input class="usa-input" id="why" name="reason" required maxlength="500" autocomplete="off";
                        }
                        button class="usa-button usa-button--secondary" type="submit" name="do" value="withdraw" { "Withdraw it" }
                    }
                }
            }
        }
    }
}

/// The fields of one qualification; for one account, or for many.
pub(super) fn fields(requirements: &[Requirement]) -> Markup {
    let text = |name: &str, label: &str, kind: &str| {
        html! {
            div class="field" {
                label class="usa-label" for=(name) { (label) }
                input class="usa-input" id=(name) name=(name) type=(kind) maxlength=(TEXT_BYTES_MAX) autocomplete="off";
            }
        }
    };
    html! {
        div class="fields" {
            div class="field" {
                label class="usa-label" for="what" { "What" }
                select class="usa-select" id="what" name="what" {
                    @for one in requirements {
                        option value={ (one.kind.as_str()) "/" (one.id) } { (kind_words(one.kind)) ": " (one.title) }
                    }
                    @for kind in Kind::ALL {
                        option value={ (kind.as_str()) "/" } { "Another " (kind.as_str()) }
                    }
                }
            }
            (text("course", "Its name, if it is another", "text"))
            (text("on", "Done on", "date"))
            (text("until", "Counts until, if the certificate says", "date"))
            div class="field" {
                label class="usa-label" for="finding" { "Result of a screening" }
                select class="usa-select" id="finding" name="finding" {
                    option value="" { "It is none" }
                    @for finding in Finding::ALL { option value=(finding.as_str()) { (finding.as_str()) } }
                }
            }
            (text("version", "Version of an agreement", "text"))
            (text("evidence", "Evidence: certificate number or file", "text"))
        }
    }
}

/// Reads the fields of [`fields`].
pub(super) fn read(agency: &Shared, posted: &Posted) -> Result<Qualification, Problem> {
    let bad = |words: &str| Problem::bad_input(words.to_owned());
    let text = |name: &'static str| -> Result<&str, Problem> {
        let text = posted.text(name).trim();
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(bad("A text is longer than 256 bytes or holds a control character."));
        }
        Ok(text)
    };
    let (kind, id) = posted.text("what").split_once('/').unwrap_or_default();
    let kind = Kind::parse(kind).ok_or_else(|| bad("Choose what is to be written down."))?;
    let demanded = agency.identity.requirements().all.iter();
    let course = match demanded.into_iter().find(|one| one.kind == kind && one.id == id) {
        Some(requirement) => requirement.id.as_str(),
        None => text("course")?,
    };
    if course.is_empty() {
        return Err(bad("Give the name of the training, the screening or the agreement."));
    }
    let day = |name: &'static str, label: &str| -> Result<Option<Date>, Problem> {
        let text = text(name)?;
        let day = (!text.is_empty()).then(|| text.parse::<Date>()).transpose();
        day.map_err(|_| bad(&format!("“{label}” is not a day such as 2026-11-30.")))
    };
    let now = agency.now();
    let on = day("on", "Done on")?.ok_or_else(|| bad("Give the day on which it was done."))?;
    if on > today(now) {
        return Err(bad("The day on which it was done is in the future."));
    }
    let until = day("until", "Counts until")?;
    if until.is_some_and(|until| until < on) {
        return Err(bad("“Counts until” is before “Done on”."));
    }
    let finding = Finding::parse(text("finding")?);
    if (kind == Kind::Screening) != finding.is_some() {
        return Err(bad("A screening has a result, and nothing else has one."));
    }
    let version = Some(text("version")?).filter(|text| !text.is_empty()).map(str::to_owned);
    if version.is_some() && kind != Kind::Agreement {
        return Err(bad("Only an agreement has a version."));
    }
    Ok(Qualification {
        kind,
        course: course.to_owned(),
        on,
        until,
        finding,
        version,
        evidence: text("evidence")?.to_owned(),
        written_at: now,
        written_by: posted.signed_in.actor.id.to_string(),
        withdrawn: None,
    })
}

/// `POST /people/{account}/qualifications`: writes one down, or withdraws one.
///
/// # Errors
/// A [`Problem`] when it can't be read, or the policy, the state or the ledger says no.
pub async fn change(
    State(agency): State<Shared>,
    Path(id): Path<String>,
    posted: Posted,
) -> Answer {
    let signed_in = &posted.signed_in;
    let withdraws = posted.text("do") == "withdraw";
    let (one, why) = match withdraws {
        true => (None, reason(&posted)?),
        false => (Some(read(&agency, &posted)?), String::new()),
    };
    let permit = permit_to_manage(&agency, signed_in, "account").await?;
    let account = found(&agency, &id).await?;
    if account.key() == signed_in.actor.id.as_str() {
        agency.gate.withhold(permit.ticket(), "it was one's own account").await?;
        let words = "What qualifies you is written down by another administrator.";
        return Err(Problem::bad_input(words));
    }
    let record = |event| signed_in.record(event);
    let done = match one {
        Some(one) => agency.qualify(&record, &[(account.clone(), one)]).await.map(|()| true),
        None => {
            let place = posted.text("place").parse().unwrap_or(usize::MAX);
            let by = signed_in.actor.id.to_string();
            let withdrawn = Withdrawn { at: agency.now(), by, reason: why };
            agency.withdraw_qualification(&record, (&account, place), withdrawn).await
        }
    };
    match done {
        Ok(true) => {
            agency.gate.release(permit.hold(Acted(account.id.to_string()))).await?;
            Ok(Redirect::to(&format!("{PATH}/{}", account.id)).into_response())
        }
        Ok(false) => {
            agency.gate.withhold(permit.ticket(), "it was not there").await?;
            Err(Problem::bad_input("It is not there any more, or was withdrawn before."))
        }
        Err(problem) => {
            agency.gate.withhold(permit.ticket(), "it was not possible").await?;
            Err(problem)
        }
    }
}
