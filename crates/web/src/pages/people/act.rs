//! What is done to accounts, one or many: disabled, enabled, other functions, sessions ended.
//!
//! Invariant: nobody changes their own account, and every act has a reason, which is on record before it is
//! done. Of many accounts each is changed for itself; the page says which were and which were not.

use axum::extract::State;
use gate::{Permit, Print};
use maud::{Markup, html};
use policy::Action;
use state::accounts::{Account, AccountId, AccountKind, Of, Updated};
use state::qualifications::Qualification;

use super::{Filter, permit, qualified, show, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::print_of;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Disable,
    Enable,
    EndSessions,
    Functions(Vec<String>),
    Qualify(Box<Qualification>),
}

impl Act {
    /// What the form asks for. Functions that one person may not join are refused here.
    pub(super) fn read(agency: &Shared, posted: &Posted) -> Result<Self, Problem> {
        match posted.text("act") {
            "disable" => Ok(Self::Disable),
            "enable" => Ok(Self::Enable),
            "end" => Ok(Self::EndSessions),
            "functions" => {
                let chosen = posted.fields.iter().filter(|(name, _)| name == "functions");
                let chosen: Vec<String> = chosen.map(|(_, value)| value.clone()).collect();
                if !chosen.is_empty() {
                    let held = identity::functions::held(&chosen, None);
                    held.map_err(|refusal| Problem::bad_input(refusal.detail))?;
                }
                Ok(Self::Functions(chosen))
            }
            "qualify" => Ok(Self::Qualify(Box::new(qualified::read(agency, posted)?))),
            _ => Err(Problem::bad_input("Choose what is to be done.")),
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Disable => "disabled",
            Self::Enable => "enabled",
            Self::EndSessions => "put out",
            Self::Functions(_) => "given these functions",
            Self::Qualify(_) => "written into the list of trainings",
        }
    }
}

/// Why, in the person's own words.
pub(in crate::pages) fn reason(posted: &Posted) -> Result<String, Problem> {
    let reason = posted.text("reason").trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::bad_input("Give a reason, of at most 500 characters."));
    }
    Ok(reason.to_owned())
}

/// What was done, which closes its permit.
pub(in crate::pages) struct Acted(pub(in crate::pages) String);

impl gate::Fingerprint for Acted {
    fn fingerprint(&self) -> Print {
        print_of("a change of accounts", 1, &self.0)
    }

    /// It is done: that it took long must not hide it.
    fn written(&self) -> Option<u64> {
        Some(1)
    }
}

/// What became of one account.
pub(super) enum Outcome {
    Done,
    Not(String),
}

/// Does it to one account, upon the version that is there now.
pub(super) async fn act_on(
    agency: &Shared,
    signed_in: &SignedIn,
    account: &Account,
    act: &Act,
    reason: &str,
) -> Result<Outcome, Problem> {
    if account.key() == signed_in.actor.id.as_str() {
        let words = "one's own account is changed by another administrator";
        return Ok(Outcome::Not(words.to_owned()));
    }
    if *act == Act::Enable && account.ends_at.is_some_and(|ends| ends <= agency.now()) {
        return Ok(Outcome::Not("its time is over: give it a later last day first".to_owned()));
    }
    let record = |event| signed_in.record(event);
    let mut edited = account.clone();
    match act {
        Act::EndSessions => {
            let of = Of::Account(account.id);
            agency.end_sessions(&record, of, &account.key(), reason).await?;
            return Ok(Outcome::Done);
        }
        Act::Disable => {
            edited.active = false;
            edited.profile.disabled_because = Some(reason.to_owned());
        }
        Act::Enable => edited.active = true,
        Act::Functions(_) if account.kind == AccountKind::Emergency => {
            let words = "an emergency account is an administrator's, and nothing else";
            return Ok(Outcome::Not(words.to_owned()));
        }
        Act::Functions(functions) => {
            edited.profile.functions.clone_from(functions);
            edited.profile.functions.sort();
        }
        Act::Qualify(one) => {
            let mut one = (**one).clone();
            if one.evidence.is_empty() {
                reason.clone_into(&mut one.evidence);
            }
            agency.qualify(&record, &[(account.clone(), one)]).await?;
            return Ok(Outcome::Done);
        }
    }
    if edited == *account {
        return Ok(Outcome::Not("it was so already".to_owned()));
    }
    Ok(match agency.change_account(&record, (account, &edited), reason).await? {
        Updated::Done { .. } => Outcome::Done,
        Updated::Stale(_) => Outcome::Not("somebody else changed it just now".to_owned()),
        Updated::Missing => Outcome::Not("it was removed".to_owned()),
    })
}

/// The permit to change accounts.
pub(in crate::pages) async fn permit_to_manage(
    agency: &Shared,
    signed_in: &SignedIn,
    what: &str,
) -> Result<Permit, Problem> {
    permit(Action::ManagePeople, agency, signed_in, what).await
}

/// `POST /people/bulk`: the same for all chosen accounts.
///
/// # Errors
/// A [`Problem`] when nothing was chosen or no reason given, or the policy, the state or the ledger says no.
pub async fn bulk(State(agency): State<Shared>, posted: Posted) -> Answer {
    let (act, reason) = (Act::read(&agency, &posted)?, reason(&posted)?);
    let rows = posted.fields.iter().filter(|(name, _)| name == "row");
    let chosen: Option<Vec<AccountId>> = rows.map(|(_, id)| AccountId::parse(id)).collect();
    let chosen = chosen.filter(|chosen| !chosen.is_empty());
    let chosen = chosen.ok_or_else(|| Problem::bad_input("Choose at least one account."))?;
    let signed_in = &posted.signed_in;
    let permit = permit_to_manage(&agency, signed_in, "accounts").await?;
    let (mut done, mut not) = (Vec::new(), Vec::new());
    for id in chosen {
        if signed_in.leash.is_cut() {
            not.push("the rest: your session ended".to_owned());
            break;
        }
        let Some(account) = agency.account(id).await? else {
            not.push("an account that is no longer there".to_owned());
            continue;
        };
        let name = account.profile.name.clone();
        match act_on(&agency, signed_in, &account, &act, &reason).await? {
            Outcome::Done => done.push(name),
            Outcome::Not(why) => not.push(format!("{name}: {why}")),
        }
    }
    let acted = Acted(format!("{}\n{}", done.join("\n"), not.join("\n")));
    agency.gate.release(permit.hold(acted)).await?;
    let said = html! {
        div class="usa-alert usa-alert--info" role="status" {
            div class="usa-alert__body" {
                h2 class="usa-alert__heading" {
                    (done.len()) @if done.len() == 1 { " account was " } @else { " accounts were " } (act.words())
                }
                @if !done.is_empty() { p class="usa-alert__text" { (done.join("; ")) } }
                @if !not.is_empty() { p class="usa-alert__text" { "Not changed: " (not.join("; ")) } }
            }
        }
    };
    show(&agency, signed_in, &Filter::default(), Some(said)).await
}

/// The acts under the list.
pub(super) fn controls(agency: &Shared, signed_in: &SignedIn) -> Markup {
    let now = agency.now();
    html! {
        div class="toolbar" {
            div class="rows" {
                (step_up(signed_in, now, super::PATH))
                fieldset class="usa-fieldset" {
                    legend class="usa-legend" { "With the chosen accounts" }
                    div class="cluster" {
                        @for (value, label) in [
                            ("disable", "Disable"), ("enable", "Enable"), ("end", "End sessions"),
                            ("functions", "Give these functions"), ("qualify", "Write down this training"),
                        ] {
                            label { input type="radio" name="act" value=(value) required; " " (label) }
                        }
                    }
                }
                (function_boxes(&[]))
                details {
                    summary { "Training, screening or agreement to write down" }
                    (qualified::fields(&agency.identity.requirements().all))
                }
                (reason_field())
                button class="usa-button" type="submit" { "Do it" }
            }
        }
    }
}

pub(super) fn function_boxes(held: &[String]) -> Markup {
    html! {
        fieldset class="usa-fieldset" {
            legend class="usa-legend" { "Job functions" }
            div class="cluster" {
                @for name in identity::functions::known() {
                    @let has = held.iter().any(|one| one == name);
                    label { input type="checkbox" name="functions" value=(name) checked[has]; " " (name) }
                }
            }
        }
    }
}

pub(in crate::pages) fn reason_field() -> Markup {
    reason_field_as("reason")
}

/// `id` tells apart several on one page.
pub(super) fn reason_field_as(id: &str) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(id) { "Reason, which is put on record " span class="must" { "*" } }
            input class="usa-input" id=(id) name="reason" required maxlength=(REASON_CHARS_MAX) autocomplete="off";
        }
    }
}
