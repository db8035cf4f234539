//! Where people come from: each identity provider, and what to do when one can't be trusted any more.
//!
//! Putting everybody out may end the session of whoever asks for it: the answer still comes, and the page says
//! before how the provider is released then.

use axum::extract::State;
use gate::Print;
use jiff::Timestamp;
use maud::{Markup, html};
use policy::Action;
use state::holds::{self, Held};

use super::act::{Acted, permit_to_manage, reason, reason_field_as};
use super::{may_act, permit, print_of, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::providers::holds::configured;
use crate::session::{Posted, SignedIn};

pub(super) const PATH: &str = "/people/providers";

/// One provider on its way through the gate.
struct Known {
    id: String,
    label: String,
    held_since: Option<Timestamp>,
}

struct Listed(Vec<Known>);

impl gate::Fingerprint for Listed {
    fn fingerprint(&self) -> Print {
        let lines = self.0.iter().map(|one| format!("{} {:?}", one.id, one.held_since));
        print_of("identity providers", self.0.len(), &lines.collect::<Vec<_>>().join("\n"))
    }
}

/// `GET /people/providers`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn providers(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, None).await
}

async fn show(agency: &Shared, signed_in: &SignedIn, said: Option<Markup>) -> Answer {
    let permit = permit(Action::ViewPeople, agency, signed_in, "identity providers").await?;
    let held = holds::list(&agency.state).await.map_err(|error| Problem::internal(&error))?;
    let since = |id: &str| held.iter().find(|one| one.idp == id).map(|Held { since, .. }| *since);
    let known = configured(&agency.config).map(|(id, label)| Known {
        id: id.to_owned(),
        label: label.to_owned(),
        held_since: since(id),
    });
    let released = agency.gate.release(permit.hold(Listed(known.collect()))).await?;
    let (Listed(known), receipt) = released.open();
    let now = agency.now();
    let content = html! {
        @if let Some(said) = said { (said) }
        @for one in known { (card(one, signed_in, now)) }
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(signed_in, "Trust in providers", PATH, &content))
}

fn card(known: &Known, signed_in: &SignedIn, now: Timestamp) -> Markup {
    let title = format!("provider-{}", known.id);
    let own = signed_in.session.idp == known.id;
    html! {
        section class="card" aria-labelledby=(title) data-provider=(known.id) {
            h2 id=(title) { (known.label) }
            p {
                span class="mono" { (known.id) } " "
                @if let Some(since) = known.held_since {
                    span class="badge badge--deny" { "held since " (moment(since)) }
                } @else {
                    span class="badge" { "people sign in through it" }
                }
            }
            @if may_act(signed_in) {
                (step_up(signed_in, now, PATH))
                form method="post" action=(PATH) class="rows" {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    input type="hidden" name="provider" value=(known.id);
                    fieldset class="usa-fieldset" {
                        legend class="usa-legend" { "What is to be done with " (known.label) }
                        div class="rows" {
                            label { input type="radio" name="act" value="end" required; " End all sessions that came through it" }
                            @if known.held_since.is_none() {
                                label { input type="radio" name="act" value="hold" required; " Hold it: end them, and let nobody in through it" }
                            } @else {
                                label { input type="radio" name="act" value="release" required; " Release it: people sign in through it again" }
                            }
                        }
                    }
                    @if own {
                        p class="usa-hint" {
                            "You came through this provider: your own session ends too. While it is held, only somebody who comes "
                            "through another one can release it here; otherwise the command " code { "bailiwick provider release" } " does, "
                            "with the server stopped."
                        }
                    }
                    (reason_field_as(&format!("reason-{}", known.id)))
                    button class="usa-button usa-button--secondary" type="submit" { "Do it with " (known.label) }
                }
            }
        }
    }
}

/// `POST /people/providers`.
///
/// # Errors
/// A [`Problem`] when there is no such provider or no reason, or the policy, the state or the ledger says no.
pub async fn act(State(agency): State<Shared>, posted: Posted) -> Answer {
    let (idp, reason) = (posted.text("provider"), reason(&posted)?);
    let hold = match posted.text("act") {
        "end" => Some(false),
        "hold" => Some(true),
        "release" => None,
        _ => return Err(Problem::bad_input("Choose what is to be done.")),
    };
    let known = configured(&agency.config).find(|(id, _)| *id == idp);
    let Some((_, label)) = known else {
        return Err(Problem::bad_input("Choose one of the identity providers."));
    };
    let signed_in = &posted.signed_in;
    let permit = permit_to_manage(&agency, signed_in, "identity providers").await?;
    let record = |event| signed_in.record(event);
    // Their own session may be among those that end; the answer is theirs all the same.
    signed_in.leash.let_go();
    let what = match hold {
        Some(hold) => {
            let ended = agency.end_provider(&record, (idp, hold), &reason).await?;
            let (sessions, people) = (ended.sessions.len(), ended.accounts.len());
            let held = if hold { " Nobody signs in through it until it is released." } else { "" };
            format!("{label}: {sessions} sessions of {people} people were ended.{held}")
        }
        None => match agency.release_provider(&record, idp, &reason).await? {
            true => format!("{label}: people sign in through it again."),
            false => format!("{label}: it was not held."),
        },
    };
    agency.gate.release(permit.hold(Acted(what.clone()))).await?;
    let said = html! {
        div class="usa-alert usa-alert--info" role="status" {
            div class="usa-alert__body" { p class="usa-alert__text" { (what) } }
        }
    };
    if hold.is_some() && signed_in.session.idp == idp {
        let out = html! { (said) p { "Your own session was among them." } };
        return Ok(agency.public_page("Trust in providers", &out));
    }
    show(&agency, signed_in, Some(said)).await
}
