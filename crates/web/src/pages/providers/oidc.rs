//! The trial of an OpenID Connect provider: a real sign-in in the administrator's own browser that lets nobody in.
//!
//! The provider stands in the configuration, for no address that was typed here is asked; with `trial = true` nobody
//! can sign in through it. Order that must hold: that a trial begins is in the ledger before the browser is sent away;
//! what came of it is in the ledger before it is kept and shown.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use identity::oidc::Callback;
use identity::oidc::trial::functions_of;
use identity::{IdentityError, cookie};
use keys::digest::sha256;
use ledger::{Event, Origin, Record};
use maud::{Markup, html};
use policy::Action;
use state::drafts::{self, Content, Draft, Kept, Said, Trial};
use state::sign_ins;
use uuid::Uuid;

use super::{DRAFT_LIFE, Shown, back, seen};
use crate::app::{Answer, Shared};
use crate::config::OidcProviderConfig;
use crate::pages::parts::{moment, pair};
use crate::pages::people::{may_act, permit, step_up};
use crate::pages::refusals::meaning;
use crate::pages::sign_in::{add_cookie, identity_problem, refused, to_provider};
use crate::problem::Problem;
use crate::session::SignedIn;

/// What a trial of a provider of the configuration is called, before its id.
const KIND: &str = "oidc:";

/// The id of the provider that is tried, if the trial is one of these.
pub(in crate::pages) fn tried(trial: &sign_ins::Trial) -> Option<&str> {
    trial.draft.strip_prefix(KIND)
}

fn declared<'a>(agency: &'a Shared, id: &str) -> Result<&'a OidcProviderConfig, Problem> {
    let mut all = agency.config.oidc_providers.iter();
    all.find(|one| one.id == id).ok_or_else(Problem::not_found)
}

/// Where what came of a provider's last trial is kept: with the drafts, and for as long.
fn place(id: &str) -> Uuid {
    let digest = sha256(format!("{KIND}{id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

async fn last(agency: &Shared, id: &str) -> Result<Option<Draft>, Problem> {
    let found = drafts::find(&agency.state, place(id), agency.now()).await;
    found.map_err(|error| Problem::internal(&error))
}

/// What is held to be the same provider: other settings were not tried.
fn digest(one: &OidcProviderConfig) -> String {
    hex::encode(sha256(format!("{} {}", one.issuer, one.client_id).as_bytes()))
}

/// `GET /identity/oidc/{provider}`.
///
/// # Errors
/// A [`Problem`] when there is no such provider, or the policy, the state or the ledger says no.
pub async fn page(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let one = declared(&agency, &id)?;
    let kept = last(&agency, &id).await?;
    let trial = kept.and_then(|draft| draft.content.trial);
    let seen = seen(&agency, &signed_in, "a provider", id.clone()).await?;
    let content = html! {
        (back())
        section class="card" aria-labelledby="facts" {
            div class="card__head" {
                h2 id="facts" { (one.label) }
                @if one.trial { span class="badge badge--warn" { "on trial: nobody signs in through it" } }
                @else { span class="badge badge--permit" { "people sign in through it" } }
            }
            dl class="kv" {
                (pair("Id", &one.id))
                (pair("Issuer", &one.issuer))
                (pair("Client id", &one.client_id))
            }
        }
        (card(&agency, &signed_in, one, trial.as_ref()))
        (seen)
    };
    Ok(agency.page(&signed_in, &one.label, super::PATH, &content))
}

fn card(
    agency: &Shared,
    signed_in: &SignedIn,
    one: &OidcProviderConfig,
    trial: Option<&Trial>,
) -> Markup {
    let path = format!("/identity/oidc/{}", one.id);
    html! {
        section class="card" aria-labelledby="trial" {
            div class="card__head" {
                h2 id="trial" { "Try it" }
                @match trial {
                    None => span class="badge" { "not tried" },
                    Some(Trial { refused: None, .. }) => span class="badge badge--permit" { "tried, accepted" },
                    Some(_) => span class="badge badge--deny" { "tried, refused" },
                }
            }
            p { "You sign in at the provider as yourself. What it answers is verified as for a sign-in and shown here; nobody is let in, and no account is made or changed." }
            @if may_act(signed_in) {
                (step_up(signed_in, agency.now(), &path))
                p { a class="usa-button" href={ (path) "/try" } { "Sign in at " (one.label) } }
            }
            @if let Some(trial) = trial { (outcome(agency, one, trial)) }
        }
    }
}

fn outcome(agency: &Shared, one: &OidcProviderConfig, trial: &Trial) -> Markup {
    html! {
        p { "Tried on " (moment(trial.at)) "." }
        @if let Some((code, words)) = &trial.refused {
            @let (why, then) = meaning(code);
            div class="usa-alert usa-alert--warning" {
                div class="usa-alert__body" {
                    h3 class="usa-alert__heading" { (why) }
                    p class="usa-alert__text" { (then) " The verifier says: " (words) " (" code { (code) } ")." }
                }
            }
        }
        @if let Some(said) = &trial.said {
            h3 { "What the signed token says" }
            dl class="kv" {
                (pair("Name (sub)", said.name_id.as_deref().unwrap_or("none")))
                (pair("Context", said.context.as_deref().unwrap_or("not stated")))
                (pair("Authenticated", said.authenticated_at.as_deref().unwrap_or("not stated")))
                (pair("Job functions that it would give", &functions(agency, one, said)))
            }
            div class="tablebox" role="region" aria-label="Claims that came" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Claims that came" }
                    thead { tr { th scope="col" { "Claim" } th scope="col" { "Values" } } }
                    tbody {
                        @for (name, values) in &said.attributes {
                            tr {
                                th scope="row" class="hash" { (name) }
                                td class="hash" { @for value in values { div { (value) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the settings would make of the person's groups, in words.
fn functions(agency: &Shared, one: &OidcProviderConfig, said: &Said) -> String {
    let settings = one.settings(&agency.config.agency.ori, &agency.config.listen.public_url);
    if settings.accounts.functions_from_account {
        return "those of the account, whatever the provider says".to_owned();
    }
    let found = said.attributes.iter().find(|(name, _)| *name == settings.function_claim);
    let Some((_, values)) = found else {
        return format!("none: the claim `{}` did not come", settings.function_claim);
    };
    match functions_of(&settings, values) {
        Ok(functions) if functions.is_empty() => "none: no value is known here".to_owned(),
        Ok(functions) => functions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        Err(refusal) => format!("none: {}", refusal.detail),
    }
}

/// `GET /identity/oidc/{provider}/try`: off to the provider. A link and not a form, as for a sign-in.
///
/// # Errors
/// A [`Problem`] when there is no such provider or it can't be asked, or the policy, the state or the ledger says no.
pub async fn start(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let one = declared(&agency, &id)?;
    let permit = permit(Action::ManageProviders, &agency, &signed_in, "a trial").await?;
    if let Err(problem) = make_room(&agency, &signed_in, &id).await {
        agency.gate.withhold(permit.ticket(), "there is no room for what comes of it").await?;
        return Err(problem);
    }
    let by = signed_in.actor.id.to_string();
    let trial = sign_ins::Trial { draft: format!("{KIND}{id}"), by };
    let started = match agency.identity.start_oidc_trial(&id, &trial, agency.now()).await {
        Ok(started) => started,
        Err(IdentityError::Refused { refusal, .. }) => {
            agency.gate.withhold(permit.ticket(), "the provider can't be asked").await?;
            let words =
                format!("The trial could not begin: {} ({}).", refusal.detail, refusal.code);
            return Err(Problem::bad_input(words)
                .with_next(format!("/identity/oidc/{id}"), "Back to the provider"));
        }
        Err(other) => return Err(identity_problem(&other)),
    };
    let idp = format!("a trial of {}", one.id);
    agency.ledger.append(signed_in.record(Event::SignInStarted { idp })).await?;
    agency.gate.release(permit.hold(Shown("a trial of a provider", trial.draft))).await?;
    to_provider(&started)
}

/// Sees to it that what comes of the trial can be kept.
async fn make_room(agency: &Shared, signed_in: &SignedIn, id: &str) -> Result<(), Problem> {
    if last(agency, id).await?.is_some() {
        return Ok(());
    }
    let now = agency.now();
    let content = Content { by: signed_in.actor.id.to_string(), ..Content::default() };
    let expires_at = now.checked_add(DRAFT_LIFE).unwrap_or(now);
    let draft = Draft { id: place(id), version: 1, made_at: now, expires_at, content };
    match drafts::keep(&agency.state, &draft).await.map_err(|error| Problem::internal(&error))? {
        Kept::Kept => Ok(()),
        Kept::TooMany => {
            let words = "There are twenty drafts and trials already. Discard one first.";
            Err(Problem::bad_input(words).with_next(super::PATH, "To the drafts"))
        }
    }
}

/// The provider's answer to a trial. As it comes from another site the browser shows no session, so what came of it is
/// kept, and read by who is signed in.
///
/// # Errors
/// A [`Problem`] with an entry number when the trial is not under way, or the state or the ledger says no; then nothing is
/// kept.
pub(in crate::pages) async fn arrive(
    agency: &Shared,
    origin: Origin,
    trial: &sign_ins::Trial,
    prelogin: Option<&str>,
    callback: &Callback,
) -> Answer {
    let id = tried(trial).unwrap_or_default();
    let one = declared(agency, id)?;
    let now = agency.now();
    let came = match agency.identity.finish_oidc_trial(prelogin, callback, trial, now).await {
        Ok(came) => came,
        Err(IdentityError::Refused { idp, refusal }) => {
            return Err(refused(agency, origin, idp, refusal.code).await);
        }
        Err(other) => return Err(identity_problem(&other)),
    };
    let outcome = came.refusal.as_ref().map_or("accepted", |refusal| refusal.code);
    let event = Event::ProviderTried {
        idp: one.id.clone(),
        by: trial.by.clone(),
        digest: digest(one),
        outcome: outcome.to_owned(),
    };
    agency.ledger.append(Record { origin, ..Record::platform(event) }).await?;
    if let Some(mut draft) = last(agency, id).await? {
        draft.content.trial = Some(Trial {
            at: now,
            refused: came.refusal.map(|refusal| (refusal.code.to_owned(), refusal.detail)),
            said: came.said.map(|said| Said {
                name_id: said.name_id,
                name_id_format: said.name_id_format,
                context: said.context,
                authenticated_at: said.authenticated_at,
                attributes: said.attributes,
            }),
            notes: came.notes.into_iter().map(str::to_owned).collect(),
        });
        let kept = drafts::update(&agency.state, &draft).await;
        kept.map_err(|error| Problem::internal(&error))?;
    }
    let mut response = Redirect::to(&format!("/identity/oidc/{id}#trial")).into_response();
    add_cookie(&mut response, &cookie::clear_prelogin())?;
    Ok(response)
}
