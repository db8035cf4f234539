//! Accounts made and edited by hand: whose they are, of what kind, until when, and who answers for them.
//!
//! Invariants: a temporary account has an end and a service's has an owner, who is one of our people and active;
//! people of another agency are guests; a name that was somebody's stays nobody's for a year; an edit counts
//! upon the version that its form showed, and nobody edits their own account.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use policy::{ActorId, Function};
use state::accounts::{
    Account, AccountId, AccountKind, Created, NewAccount, Profile, Standing, Updated,
};

use super::account::found;
use super::act::{Acted, function_boxes, permit_to_manage, reason, reason_field};
use super::{PATH, may_act, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

const NEW: &str = "/people/new";

/// The longest text in a field, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// The longest that a temporary account lasts.
const TEMPORARY_DAYS_MAX: i64 = 366;

/// What an administrator may make. Accounts for emergencies are made elsewhere.
const KINDS: [AccountKind; 4] =
    [AccountKind::Person, AccountKind::Guest, AccountKind::Temporary, AccountKind::Service];

/// What the agency decided about a provider's people.
struct ProviderFacts<'a> {
    id: &'a str,
    label: &'a str,
    guests: bool,
    functions: Option<&'a [Function]>,
}

fn providers(agency: &Shared) -> impl Iterator<Item = ProviderFacts<'_>> {
    let ours = &agency.config.agency.ori;
    let theirs =
        move |whose: &Option<policy::Ori>| whose.as_ref().is_some_and(|agency| agency != ours);
    let saml = agency.config.identity_providers.iter().map(move |one| ProviderFacts {
        id: &one.id,
        label: &one.label,
        guests: theirs(&one.agency),
        functions: one.functions.as_deref(),
    });
    let oidc = agency.config.oidc_providers.iter().map(move |one| ProviderFacts {
        id: &one.id,
        label: &one.label,
        guests: theirs(&one.agency),
        functions: one.functions.as_deref(),
    });
    let cards = agency.config.certificate_providers.iter().map(move |one| ProviderFacts {
        id: &one.id,
        label: &one.label,
        guests: theirs(&one.agency),
        functions: one.functions.as_deref(),
    });
    saml.chain(oidc).chain(cards)
}

/// `GET /people/new`.
///
/// # Errors
/// [`Problem::not_found`] for whoever makes no accounts.
pub async fn form(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    if !may_act(&signed_in) {
        return Err(Problem::not_found());
    }
    let content = html! {
        p { a href=(PATH) { "Back to people" } }
        (step_up(&signed_in, agency.now(), NEW))
        form class="card rows" method="post" action=(NEW) aria-label="A new account" {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            div class="fields" {
                div class="field" {
                    label class="usa-label" for="idp" { "Identity provider" }
                    select class="usa-select" id="idp" name="idp" {
                        @for one in providers(&agency) {
                            option value=(one.id) { (one.label) @if one.guests { " (guests)" } }
                        }
                    }
                }
                (text("name_id", "Name at the provider, as it signs the person in", "", true))
            }
            (fields(None))
            (function_boxes(&[]))
            (reason_field())
            button class="usa-button" type="submit" { "Make the account" }
        }
    };
    Ok(agency.page(&signed_in, "A new account", NEW, &content))
}

/// The form of an account's page that edits its facts.
pub(super) fn edit_form(account: &Account, signed_in: &SignedIn, path: &str) -> Markup {
    html! {
        section class="card" aria-labelledby="facts" {
            h2 id="facts" { "Edit its facts" }
            details {
                summary { "Name, department, kind, end and owner" }
                form method="post" action={ (path) "/facts" } class="rows" {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    input type="hidden" name="version" value=(account.version);
                    (fields(Some(account)))
                    div class="field" {
                        label class="usa-label" for="edit-reason" { "Reason for the edit " span class="must" { "*" } }
                        input class="usa-input" id="edit-reason" name="reason" required maxlength="500" autocomplete="off";
                    }
                    button class="usa-button" type="submit" { "Save the facts" }
                }
            }
        }
    }
}

fn text(name: &str, label: &str, value: &str, required: bool) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) @if required { " " span class="must" { "*" } } }
            input class="usa-input" id=(name) name=(name) value=(value) required[required]
                maxlength=(TEXT_BYTES_MAX) autocomplete="off" spellcheck="false";
        }
    }
}

fn fields(account: Option<&Account>) -> Markup {
    let profile = account.map(|account| &account.profile);
    let known = |of: fn(&Profile) -> Option<&String>| {
        profile.and_then(of).map(String::as_str).unwrap_or_default()
    };
    let kind = account.map_or(AccountKind::Person, |account| account.kind);
    let ends = account.and_then(|account| account.ends_at).map(last_day);
    html! {
        div class="fields" {
            (text("name", "Name", profile.map_or("", |profile| profile.name.as_str()), true))
            (text("user_name", "Sign-in name in the directory", known(|it| it.user_name.as_ref()), false))
            (text("email", "E-mail", known(|it| it.email.as_ref()), false))
            (text("department", "Department", known(|it| it.department.as_ref()), false))
            (text("manager", "Manager", known(|it| it.manager.as_ref()), false))
            div class="field" {
                label class="usa-label" for="kind" { "Kind" }
                select class="usa-select" id="kind" name="kind" {
                    @for one in KINDS { option value=(one.as_str()) selected[one == kind] { (one.as_str()) } }
                }
            }
            div class="field" {
                label class="usa-label" for="ends" { "Last day; a temporary account has one" }
                input class="usa-input" id="ends" name="ends" type="date" value=(ends.map_or(String::new(), |day| day.to_string()));
            }
            (text("owner", "Account of whoever answers for a service", known(|it| it.owner.as_ref()), false))
        }
    }
}

/// The last day of an account that is over from this moment.
fn last_day(ends: Timestamp) -> Date {
    let moment = SignedDuration::from_millis(1);
    ends.checked_sub(moment).unwrap_or(ends).to_zoned(TimeZone::system()).date()
}

/// The end of a day, here.
fn end_of(day: Date) -> Option<Timestamp> {
    Some(day.tomorrow().ok()?.to_zoned(TimeZone::system()).ok()?.timestamp())
}

/// What the fields of [`fields`] say.
struct Facts {
    kind: AccountKind,
    ends_at: Option<Timestamp>,
    profile: Profile,
}

/// Reads the fields into a profile; `had` is what the account has, if there is one.
async fn read(
    agency: &Shared,
    posted: &Posted,
    (profile, had): (Profile, Option<&Account>),
) -> Result<Facts, Problem> {
    let bad = |words: &str| Problem::bad_input(words.to_owned());
    let text = |name: &str| -> Result<String, Problem> {
        let text = posted.text(name).trim();
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(bad("A text is longer than 256 bytes or holds a control character."));
        }
        Ok(text.to_owned())
    };
    let some = |name: &str| text(name).map(|text| Some(text).filter(|text| !text.is_empty()));
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == posted.text("kind"));
    let kind = kind.ok_or_else(|| bad("Choose a kind."))?;
    let name = some("name")?.ok_or_else(|| bad("Give a name."))?;
    let ends_at = match some("ends")? {
        None => None,
        Some(day) => Some(ends(agency.now(), &day, kind, had)?),
    };
    if kind == AccountKind::Temporary && ends_at.is_none() {
        return Err(bad("A temporary account needs a last day."));
    }
    let owner = some("owner")?;
    if kind == AccountKind::Service {
        let owner = owner.as_ref();
        let owner = owner.ok_or_else(|| bad("A service needs a person who answers for it."))?;
        if had.is_none_or(|had| had.profile.owner.as_ref() != Some(owner)) {
            answers(agency, owner).await?;
        }
    } else if owner.is_some() {
        return Err(bad("Only a service has somebody who answers for it."));
    }
    let guests = providers(agency).find(|one| one.id == profile.idp).is_some_and(|one| one.guests);
    if guests != (kind == AccountKind::Guest) {
        return Err(bad("People of a partner's provider are guests, and nobody else is."));
    }
    let profile = Profile {
        name,
        owner,
        user_name: some("user_name")?,
        email: some("email")?,
        department: some("department")?,
        manager: some("manager")?,
        ..profile
    };
    Ok(Facts { kind, ends_at, profile })
}

/// From when the account is over.
fn ends(
    now: Timestamp,
    day: &str,
    kind: AccountKind,
    had: Option<&Account>,
) -> Result<Timestamp, Problem> {
    let bad = |words: &str| Problem::bad_input(words.to_owned());
    let day: Date = day.parse().map_err(|_| bad("The last day is not one such as 2026-11-30."))?;
    // What stays the same day stays the same moment.
    if let Some(same) = had.and_then(|had| had.ends_at).filter(|at| last_day(*at) == day) {
        return Ok(same);
    }
    let ends = end_of(day).filter(|ends| *ends > now);
    let ends = ends.ok_or_else(|| bad("The last day is over."))?;
    let most = SignedDuration::from_hours(24 * TEMPORARY_DAYS_MAX);
    if kind == AccountKind::Temporary && ends.duration_since(now) > most {
        return Err(bad("A temporary account lasts at most 366 days."));
    }
    Ok(ends)
}

/// Whether that is an active account of one of our people.
async fn answers(agency: &Shared, owner: &str) -> Result<(), Problem> {
    let found = agency.account(AccountId::of(owner)).await?;
    let answers = found.is_some_and(|found| {
        found.kind == AccountKind::Person && found.standing(agency.now()) == Standing::Good
    });
    let words = "Whoever answers for a service is one of the agency's people with an active account. Give its key, \
                 such as demo|det.ruiz.";
    if answers { Ok(()) } else { Err(Problem::bad_input(words)) }
}

/// The job functions of a form, if one person may have them and the provider may give them.
fn functions(provider: &ProviderFacts<'_>, posted: &Posted) -> Result<Vec<String>, Problem> {
    let chosen = posted.fields.iter().filter(|(name, _)| name == "functions");
    let mut chosen: Vec<String> = chosen.map(|(_, value)| value.clone()).collect();
    chosen.sort();
    chosen.dedup();
    if chosen.is_empty() {
        return Ok(chosen);
    }
    let allowed = provider.functions.map(|all| all.iter().cloned().collect::<BTreeSet<_>>());
    let held = identity::functions::held(&chosen, allowed.as_ref());
    let held = held.map_err(|refusal| Problem::bad_input(refusal.detail))?;
    if held.len() != chosen.len() {
        return Err(Problem::bad_input("This provider may not give all of these job functions."));
    }
    Ok(chosen)
}

/// `POST /people/new`.
///
/// # Errors
/// A [`Problem`] when the account would not be whole or there is one, or the policy, the state or the ledger
/// says no.
pub async fn make(State(agency): State<Shared>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let reason = reason(&posted)?;
    let permit = permit_to_manage(&agency, signed_in, "account").await?;
    let made = match new(&agency, &posted).await {
        Ok(new) => {
            let (record, by) = (|event| signed_in.record(event), by(&new, &reason));
            agency.create_account(&record, &new, &by).await
        }
        Err(problem) => Err(problem),
    };
    let problem = match made {
        Ok(Created::Made(account)) => {
            agency.gate.release(permit.hold(Acted(account.id.to_string()))).await?;
            return Ok(Redirect::to(&format!("{PATH}/{}", account.id)).into_response());
        }
        Ok(Created::Exists(account)) => {
            Problem::bad_input("There is such an account already. Nothing was changed.")
                .with_next(format!("{PATH}/{}", account.id), "Look at it")
        }
        Ok(Created::Reserved { until }) => Problem::bad_input(format!(
            "The name was somebody else's, whose account was removed. It is nobody's until {} (IA-4).",
            moment(until)
        )),
        Err(problem) => problem,
    };
    agency.gate.withhold(permit.ticket(), "it was not possible").await?;
    Err(problem)
}

async fn new(agency: &Shared, posted: &Posted) -> Result<NewAccount, Problem> {
    let (idp, name_id) = (posted.text("idp"), posted.text("name_id").trim());
    let provider = providers(agency).find(|one| one.id == idp);
    let provider = provider.ok_or_else(|| Problem::bad_input("Choose an identity provider."))?;
    let functions = functions(&provider, posted)?;
    let key: Result<ActorId, _> = format!("{idp}|{name_id}").parse();
    if key.is_err() {
        let words = "The name at the provider has at most 256 bytes with the provider's id, and no control characters.";
        return Err(Problem::bad_input(words));
    }
    let profile = Profile {
        idp: idp.to_owned(),
        name_id: name_id.to_owned(),
        functions,
        ..Profile::default()
    };
    let Facts { kind, ends_at, profile } = read(agency, posted, (profile, None)).await?;
    Ok(NewAccount { kind, active: true, ends_at, profile })
}

/// What made it, with the facts that the entry has no place for.
fn by(new: &NewAccount, reason: &str) -> String {
    let ends = new.ends_at.map(|ends| format!("; until {}", moment(ends)));
    let owner = new.profile.owner.as_ref().map(|owner| format!("; {owner} answers for it"));
    format!("by hand: {reason}{}{}", ends.unwrap_or_default(), owner.unwrap_or_default())
}

/// `POST /people/{account}/facts`.
///
/// # Errors
/// As [`make`].
pub async fn edit(State(agency): State<Shared>, Path(id): Path<String>, posted: Posted) -> Answer {
    let signed_in = &posted.signed_in;
    let reason = reason(&posted)?;
    let permit = permit_to_manage(&agency, signed_in, "account").await?;
    let account = found(&agency, &id).await?;
    let problem = match edited(&agency, &posted, &account).await {
        Ok(edited) => {
            let record = |event| signed_in.record(event);
            match agency.change_account(&record, (&account, &edited), &reason).await {
                Ok(Updated::Done { .. }) => {
                    agency.gate.release(permit.hold(Acted(account.id.to_string()))).await?;
                    return Ok(Redirect::to(&format!("{PATH}/{}", account.id)).into_response());
                }
                Ok(Updated::Stale(_)) => stale(),
                Ok(Updated::Missing) => Problem::bad_input("The account was removed."),
                Err(problem) => problem,
            }
        }
        Err(problem) => problem,
    };
    agency.gate.withhold(permit.ticket(), "it was not possible").await?;
    Err(problem)
}

fn stale() -> Problem {
    Problem::bad_input(
        "Somebody else changed the account since you opened it. Nothing was changed: open it again.",
    )
}

/// The account as it is to be.
async fn edited(agency: &Shared, posted: &Posted, account: &Account) -> Result<Account, Problem> {
    if account.key() == posted.signed_in.actor.id.as_str() {
        let words = "Your own account is edited by another administrator.";
        return Err(Problem::bad_input(words));
    }
    if account.kind == AccountKind::Emergency || account.removed_at.is_some() {
        return Err(Problem::bad_input("This account is not edited here."));
    }
    if posted.text("version") != account.version.to_string() {
        return Err(stale());
    }
    let facts = read(agency, posted, (account.profile.clone(), Some(account))).await?;
    let Facts { kind, ends_at, profile } = facts;
    let edited = Account { kind, ends_at, profile, ..account.clone() };
    if edited == *account {
        return Err(Problem::bad_input("Nothing is different, so nothing was changed."));
    }
    Ok(edited)
}
