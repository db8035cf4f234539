//! Invitations of guests: a security officer lets a named person at a partner fetch one parcel, until a day.

use axum::extract::{Path, State};
use exchange::{Export, NewGuest};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use policy::Ori;
use state::accounts::{self, Account, AccountId, AccountKind, Standing};

use crate::app::{Answer, Shared};
use crate::pages::partners::partner_name;
use crate::pages::parts::{go, id, moment, sharing};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// The agency whose people a provider vouches for, where it is another one than ours.
fn agency_of<'a>(agency: &'a Shared, idp: &str) -> Option<&'a Ori> {
    Some(agency.config.agency_of(idp)).filter(|ori| **ori != agency.config.agency.ori)
}

/// `GET /guests`.
///
/// # Errors
/// A [`Problem`] with an entry number for whoever may not invite.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let exports = sharing(&agency)?.exchange.guest_book(&signed_in.caller()).await?;
    let accounts =
        accounts::list(&agency.state).await.map_err(|error| Problem::internal(&error))?;
    let good = |one: &&Account| {
        one.kind == AccountKind::Guest && one.standing(agency.now()) == Standing::Good
    };
    let guests: Vec<(&Account, &Ori)> = accounts
        .iter()
        .filter(good)
        .filter_map(|one| Some((one, agency_of(&agency, &one.profile.idp)?)))
        .collect();
    let fresh = signed_in.session.is_stepped_up(agency.now());
    let content = html! {
        (table(&agency, &signed_in, &exports, fresh))
        (form(&agency, &signed_in, &exports, &guests, fresh))
    };
    Ok(agency.page(&signed_in, "Guests", "/guests", &content))
}

fn table(agency: &Shared, signed_in: &SignedIn, exports: &[Export], fresh: bool) -> Markup {
    let all: Vec<_> = exports
        .iter()
        .flat_map(|export| export.details.guests.iter().map(move |guest| (export, guest)))
        .collect();
    html! {
        section class="card card--flush" aria-labelledby="invitations" {
            div class="toolbar" { h2 id="invitations" {
                @match all.len() { 1 => { "1 invitation" } many => { (many) " invitations" } }
            } }
            @if all.is_empty() {
                div class="empty" { p { strong { "Nobody was invited yet." } } }
            } @else {
                div class="tablebox" role="region" aria-label="Invitations" tabindex="0" { table class="table" {
                    caption class="usa-sr-only" { "Invitations, newest exports first" }
                    thead { tr {
                        th scope="col" { "Who" } th scope="col" { "Export" } th scope="col" { "Until" } th scope="col" { "State" }
                    } }
                    tbody { @for (export, guest) in &all { tr {
                        th scope="row" { (guest.name) div class="muted" { (guest.account) } }
                        td class="mono" { (export.id) div class="muted" { (partner_name(agency, &export.partner)) } }
                        td { (moment(guest.until)) div class="muted" { "invited by " (guest.invited.actor.name) ", entry " (guest.invited.entry) } }
                        td {
                            @if let Some(ended) = &guest.ended {
                                span class="badge badge--deny" { "ended" }
                                div class="muted" { (ended.reason.as_deref().unwrap_or_default()) ", entry " (ended.entry) }
                            } @else if guest.holds(agency.now()) {
                                span class="badge badge--permit" { "holds" }
                                @if fresh {
                                    form method="post" action={ "/guests/" (export.id) "/end" } data-once {
                                        input type="hidden" name="csrf" value=(signed_in.csrf);
                                        input type="hidden" name="guest" value=(guest.account);
                                        @let field = format!("reason-{}-{}", export.id, guest.invited.entry);
                                        label class="usa-label" for=(field) { "Why it ends" }
                                        input class="usa-input" id=(field) name="reason" required maxlength="1000" autocomplete="off";
                                        button class="usa-button usa-button--outline" type="submit" { "End it" }
                                    }
                                }
                            } @else { span class="badge badge--info" { "its day has come" } }
                        }
                    } } }
                } }
            }
        }
    }
}

fn form(
    agency: &Shared,
    signed_in: &SignedIn,
    exports: &[Export],
    guests: &[(&Account, &Ori)],
    fresh: bool,
) -> Markup {
    html! {
        section class="card" aria-labelledby="invite" {
            h2 id="invite" { "Invite a guest" }
            p {
                "A guest signs in " @if let Some(guests) = agency.config.guests() { "at " strong { (guests.public_url) } ", " } "through their own agency’s provider, \
                 with more than a password, and sees the parcels that name them and nothing else. Their account is made under People, as a guest \
                 with the function partner-guest. Tell them where to go: nothing is sent to them."
            }
            @if !fresh {
                p { a class="usa-button" href="/step-up?next=/guests" { "Confirm my identity first" } }
            } @else if guests.is_empty() || exports.is_empty() {
                p { strong { @if guests.is_empty() { "There is no guest's account." } @else { "There is no export." } } }
            } @else {
                form method="post" action="/guests" data-once {
                    input type="hidden" name="csrf" value=(signed_in.csrf);
                    div class="fields" {
                        div class="field field--wide" {
                            label class="usa-label" for="guest" { "Who" }
                            select class="usa-select" id="guest" name="guest" required {
                                @for (one, ori) in guests {
                                    option value=(one.key()) { (one.profile.name) ", " (partner_name(agency, ori.as_str())) }
                                }
                            }
                        }
                        div class="field field--wide" {
                            label class="usa-label" for="export" { "The export whose parcel they fetch" }
                            select class="usa-select" id="export" name="export" required {
                                @for export in exports {
                                    option value=(export.id) {
                                        (export.id) ", " (partner_name(agency, &export.partner)) ", " (export.requested_at.strftime("%Y-%m-%d"))
                                    }
                                }
                            }
                        }
                        div class="field" {
                            label class="usa-label" for="until" { "Last day" }
                            span class="usa-hint" id="until-hint" { "At most 90 days from now. It ends when that day ends (UTC)." }
                            input class="usa-input" type="date" id="until" name="until" required aria-describedby="until-hint";
                        }
                        div class="field__actions field--wide" {
                            button class="usa-button" type="submit" { "Invite" }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /guests`.
///
/// # Errors
/// A [`Problem`] when it is not a guest of that partner, the day does not fit, or the policy refuses.
pub async fn invite(State(agency): State<Shared>, posted: Posted) -> Answer {
    let caller = posted.signed_in.caller();
    let export = id(posted.text("export"))?;
    let last = posted.text("until").parse::<Date>().ok().and_then(|day| day.tomorrow().ok());
    let until = last.and_then(|day| day.to_zoned(TimeZone::UTC).ok()).map(|at| at.timestamp());
    let until = until.ok_or_else(|| Problem::bad_input("Give the last day."))?;
    let account = accounts::find(&agency.state, AccountId::of(posted.text("guest"))).await;
    let account = account.map_err(|error| Problem::internal(&error))?;
    let account = account.filter(|one| {
        one.kind == AccountKind::Guest && one.standing(agency.now()) == Standing::Good
    });
    let account = account.ok_or_else(|| Problem::bad_input("Choose somebody of the list."))?;
    let whose = agency_of(&agency, &account.profile.idp);
    let whose = whose.ok_or_else(|| Problem::bad_input("Choose somebody of the list."))?;
    let new = NewGuest {
        account: account.key(),
        name: account.profile.name.clone(),
        agency: whose.clone(),
        until,
    };
    sharing(&agency)?.exchange.invite(&caller, export, new).await?;
    Ok(go(&posted, "/guests"))
}

/// `POST /guests/{export}/end`.
///
/// # Errors
/// As [`invite`].
pub async fn end(
    State(agency): State<Shared>,
    Path(export): Path<String>,
    posted: Posted,
) -> Answer {
    let caller = posted.signed_in.caller();
    let (guest, reason) = (posted.text("guest"), posted.text("reason"));
    let exchange = &sharing(&agency)?.exchange;
    exchange.end_invitation(&caller, id(&export)?, guest, reason).await?;
    Ok(go(&posted, "/guests"))
}
