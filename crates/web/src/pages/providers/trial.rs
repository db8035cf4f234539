//! The trial of a draft: a real sign-in at the provider, in the administrator's own browser, that lets nobody in.
//!
//! Order that must hold: that it begins is in the ledger before the browser is sent away; what came of it is in the
//! ledger before it is kept and shown.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use identity::{Answer as SamlAnswer, IdentityError, cookie};
use keys::digest::sha256;
use ledger::{Event, Origin, Record};
use maud::{Markup, html};
use policy::Action;
use state::drafts::{self, Draft, Said, Trial};
use state::sign_ins;

use super::draft::{found, ledger_name, of};
use super::settings::Described;
use super::steps::{Ended, Step, steps};
use super::{PATH, Shown};
use crate::app::{Answer, Shared};
use crate::pages::parts::{self, moment, pair};
use crate::pages::people::permit;
use crate::pages::refusals::meaning;
use crate::pages::sign_in::{add_cookie, identity_problem, refused, to_provider};
use crate::problem::Problem;
use crate::session::SignedIn;

/// `GET /identity/providers/{draft}/try`: off to the provider. A link and not a form, as for a sign-in.
///
/// # Errors
/// A [`Problem`] when there is no such draft or it is not complete, or the policy, the state or the ledger says no.
pub async fn start(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let permit = permit(Action::ManageProviders, &agency, &signed_in, "a trial").await?;
    let draft = found(&agency, parts::id(&id)?).await?;
    let described = match of(&agency, &draft) {
        Ok(described) => described,
        Err(words) => {
            agency.gate.withhold(permit.ticket(), "the draft is not complete").await?;
            return Err(Problem::bad_input(words));
        }
    };
    let trial = sign_ins::Trial { draft: draft.id.to_string(), by: signed_in.actor.id.to_string() };
    let started = agency.identity.start_trial(&described.settings, &trial, agency.now()).await;
    let started = started.map_err(|error| identity_problem(&error))?;
    let idp = format!("the draft {}", ledger_name(&draft));
    agency.ledger.append(signed_in.record(Event::SignInStarted { idp })).await?;
    agency.gate.release(permit.hold(Shown("a trial of a provider", trial.draft))).await?;
    to_provider(&started)
}

/// The provider's answer to a trial. The browser shows the pre-login cookie of the trial and, as it comes from another
/// site, no session; so what came of it is kept with the draft, and read there by who is signed in.
///
/// # Errors
/// A [`Problem`] with an entry number when the trial is not under way or the draft is gone, or the state or the ledger
/// says no; then nothing is kept.
pub(in crate::pages) async fn arrive(
    agency: &Shared,
    origin: Origin,
    trial: &sign_ins::Trial,
    prelogin: Option<&str>,
    answer: SamlAnswer<'_>,
) -> Answer {
    let gone = "saml.request.unknown";
    let draft = found(agency, parts::id(&trial.draft)?).await;
    let described = draft.ok().and_then(|draft| Some((of(agency, &draft).ok()?, draft)));
    let Some((described, mut draft)) = described else {
        return Err(refused(agency, origin, None, gone).await);
    };
    let (idp, now) = (&described.settings, agency.now());
    let tried = match agency.identity.finish_trial(prelogin, answer, idp, trial, now).await {
        Ok(tried) => tried,
        Err(IdentityError::Refused { idp, refusal }) => {
            return Err(refused(agency, origin, idp, refusal.code).await);
        }
        Err(other) => return Err(identity_problem(&other)),
    };
    let outcome = tried.refusal.as_ref().map_or("accepted", |refusal| refusal.code);
    let event = Event::ProviderTried {
        idp: ledger_name(&draft).to_owned(),
        by: trial.by.clone(),
        digest: hex::encode(sha256(draft.content.metadata.as_bytes())),
        outcome: outcome.to_owned(),
    };
    agency.ledger.append(Record { origin, ..Record::platform(event) }).await?;
    draft.content.trial = Some(Trial {
        at: now,
        refused: tried.refusal.map(|refusal| (refusal.code.to_owned(), refusal.detail)),
        said: tried.said.map(|said| Said {
            name_id: said.name_id,
            name_id_format: said.name_id_format,
            context: said.context,
            authenticated_at: said.authenticated_at,
            attributes: said.attributes,
        }),
        notes: tried.notes.into_iter().map(str::to_owned).collect(),
    });
    // If the settings were changed in the meantime, others were tried, and the draft stays as it is.
    let kept = drafts::update(&agency.state, &draft).await;
    kept.map_err(|error| Problem::internal(&error))?;
    let mut response = Redirect::to(&format!("{PATH}/{}#trial", draft.id)).into_response();
    add_cookie(&mut response, &cookie::clear_prelogin())?;
    Ok(response)
}

/// How the last trial of a draft ended, in a word.
pub(super) fn badge(draft: &Draft) -> Markup {
    match &draft.content.trial {
        None => html! { span class="badge" { "not tried" } },
        Some(Trial { refused: None, .. }) => {
            html! { span class="badge badge--permit" { "tried, accepted" } }
        }
        Some(Trial { refused: Some(_), .. }) => {
            html! { span class="badge badge--deny" { "tried, refused" } }
        }
    }
}

/// The trial's place on a draft's page.
pub(super) fn card(draft: &Draft, described: &Described, acts: bool) -> Markup {
    let path = format!("{PATH}/{}/try", draft.id);
    html! {
        section class="card" aria-labelledby="trial" {
            div class="card__head" { h2 id="trial" { "Try it" } (badge(draft)) }
            p { "You sign in at the provider as yourself. What it answers is verified as for a sign-in and shown here; nobody is let in, and no account is made or changed." }
            @if acts {
                p { a class="usa-button" href=(path) { "Sign in at " (host_of(&described.settings.sso_url)) } }
            }
            @if let Some(trial) = &draft.content.trial {
                (outcome(trial, described))
                (attributes(trial, described))
            }
        }
    }
}

/// The host that a person is sent to.
fn host_of(url: &str) -> String {
    let host =
        url.parse::<http::Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string));
    host.unwrap_or_else(|| "the provider".to_owned())
}

fn outcome(trial: &Trial, described: &Described) -> Markup {
    let steps = steps(trial, &described.settings);
    html! {
        p { "Tried on " (moment(trial.at)) "." }
        div class="tablebox" role="region" aria-label="Steps of the trial" tabindex="0" {
            table class="table" {
                caption class="usa-sr-only" { "The trial, step by step" }
                thead { tr { th scope="col" { "Step" } th scope="col" { "Ended" } th scope="col" { "What it says" } } }
                tbody { @for step in &steps { (row(step)) } }
            }
        }
        @if let Some((code, _)) = &trial.refused {
            @let (why, then) = meaning(code);
            div class="usa-alert usa-alert--warning" {
                div class="usa-alert__body" {
                    h3 class="usa-alert__heading" { (why) }
                    p class="usa-alert__text" { (then) }
                }
            }
        }
    }
}

fn row(step: &Step) -> Markup {
    html! {
        tr {
            th scope="row" { (step.what) }
            td {
                @match step.ended {
                    Ended::Good => span class="badge badge--permit" { "good" },
                    Ended::Odd => span class="badge badge--warn" { "look at it" },
                    Ended::Bad => span class="badge badge--deny" { "refused" },
                    Ended::NotReached => span class="badge" { "not reached" },
                }
            }
            td class="hash" { (step.detail) }
        }
    }
}

fn attributes(trial: &Trial, described: &Described) -> Markup {
    let idp = &described.settings;
    let used = |name: &str| {
        let by_attribute = idp.mfa_attribute.as_ref().is_some_and(|(known, _)| known == name);
        [
            (name == idp.function_attribute, "job functions"),
            (name == idp.name_attribute, "name"),
            (by_attribute, "factors"),
            (idp.agency_attribute.as_deref() == Some(name), "agency"),
        ]
        .into_iter()
        .find_map(|(is, what)| is.then_some(what))
    };
    html! {
        @if let Some(said) = &trial.said {
            h3 { "What the signed answer says" }
            dl class="kv" {
                (pair("NameID", said.name_id.as_deref().unwrap_or("none")))
                (pair("Its format", said.name_id_format.as_deref().unwrap_or("not stated")))
                (pair("Context", said.context.as_deref().unwrap_or("not stated")))
                (pair("Authenticated", said.authenticated_at.as_deref().unwrap_or("not stated")))
            }
            div class="tablebox" role="region" aria-label="Attributes that came" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Attributes that came" }
                    thead { tr { th scope="col" { "Attribute" } th scope="col" { "Values" } th scope="col" { "Used as" } } }
                    tbody {
                        @for (name, values) in &said.attributes {
                            tr {
                                th scope="row" class="hash" { (name) }
                                td class="hash" { @for value in values { div { (value) } } }
                                td { (used(name).unwrap_or("not used")) }
                            }
                        }
                    }
                }
            }
        }
    }
}
