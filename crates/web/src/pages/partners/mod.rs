//! Partner agencies and the agreements with them, as people read them.
//!
//! Nothing on these pages is criminal justice information: everybody who is signed in may know with whom the agency
//! shares, and under what terms.

mod agreement;
mod clauses;
mod reviewing;
mod written;

use axum::extract::{Path, State};
use exchange::{CertificateUse, Held, Partner, Written, aloud};
use jiff::Timestamp;
use keys::cert::Certificate;
use maud::{Markup, html};

pub use agreement::{document, one as agreement, review};
pub(crate) use written::waits as text_waits;
pub use written::{review_partner, review_rules, rules};

use crate::app::{Answer, Shared};
use crate::pages::parts::{bytes_words, day, moment, pair, sharing};
use crate::problem::Problem;
use crate::session::SignedIn;

/// How many days before a review or an end it is shown.
pub(crate) const REMIND_DAYS: i64 = 90;

/// `GET /partners`: all partners and agreements.
///
/// # Errors
/// A [`Problem`] when sharing is not configured or the state cannot be read.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let (all, now) = (exchange.held_agreements().await?, agency.now());
    let texts = exchange.held_texts().await?;
    let content = html! {
        @for held in texts.iter().filter(|held| held.waiting().is_some()) {
            (text_waits(held))
        }
        @for held in all.iter().filter(|held| held.waiting().is_some()) {
            (waits(&held.id))
        }
        section class="card card--flush" aria-labelledby="agreements" {
            div class="toolbar" { h2 id="agreements" { "Agreements" } }
            (agreements(&agency, &all, now))
        }
        section class="card card--flush" aria-labelledby="partners" {
            div class="toolbar" { h2 id="partners" { "Partner agencies" } }
            (partners(exchange.book().partners(), now))
        }
        p { a href="/partners/rules" { "Rules of jurisdictions" } }
        section class="card" aria-labelledby="own" {
            h2 id="own" { "Our own certificates" }
            p { "What a partner reads of us on its page. Read the words to them when they ask." }
            @for (usage, certificate) in exchange.own_certificates() {
                h3 { (usage.words()) }
                (words_of(certificate))
            }
        }
    };
    Ok(agency.page(&signed_in, "Partners and agreements", "/partners", &content))
}

/// What a reviewer has to do.
pub(crate) fn waits(id: &str) -> Markup {
    html! {
        section class="usa-alert usa-alert--warning" aria-label={ "Review of " (id) } {
            div class="usa-alert__body" {
                p class="usa-alert__text" {
                    "A new text of " a href={ "/agreements/" (id) } { "agreement " (id) }
                    " waits for a security officer’s review. Until then it does not count."
                }
            }
        }
    }
}

fn agreements(agency: &Shared, all: &[Held], now: Timestamp) -> Markup {
    html! {
        @if all.is_empty() {
            div class="empty" { p { strong { "There is no agreement, so nothing can leave." } } }
        } @else {
            div class="tablebox" role="region" aria-label="Table of agreements" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Agreements with partners" }
                    thead { tr {
                        th scope="col" { "Agreement" } th scope="col" { "With" } th scope="col" { "Kind" }
                        th scope="col" { "Review by" } th scope="col" { "Ends" } th scope="col" { "State" }
                    } }
                    tbody { @for held in all { @if let Some(shown) = held.shown() {
                        @let said = &shown.details.agreement;
                        tr data-agreement=(held.id) {
                            th scope="row" { a href={ "/agreements/" (held.id) } { (said.title) } }
                            td { (partner_name(agency, said.facts.partner.as_str())) }
                            td { (said.terms.kind.words()) }
                            td class="nowrap" { (day(said.facts.review)) }
                            td class="nowrap" { (day(said.facts.ends)) }
                            td { (state(held, now)) }
                        }
                    } } }
                }
            }
        }
    }
}

/// Whether it counts, and for how long.
pub(super) fn state(held: &Held, now: Timestamp) -> Markup {
    let Some(version) = &held.in_force else {
        return html! { span class="badge badge--warn" data-state="unreviewed" { "not reviewed" } };
    };
    if let Err(clause) = version.details.agreement.in_force(now) {
        let words = match clause.code() {
            "agreement.not-started" => "not begun",
            "agreement.review-overdue" => "review overdue",
            _ => "ended",
        };
        return html! { span class="badge badge--deny" data-state=(clause.code()) { (words) } };
    }
    match held.due(now, REMIND_DAYS) {
        Some((what, _, left)) => html! {
            span class="badge badge--warn" data-state="due" { (what) " in " (left) " days" }
        },
        None => html! { span class="badge badge--permit" data-state="in-force" { "in force" } },
    }
}

fn partners<'a>(all: impl Iterator<Item = &'a Partner>, now: Timestamp) -> Markup {
    html! {
        div class="tablebox" role="region" aria-label="Table of partner agencies" tabindex="0" {
            table class="table" {
                caption class="usa-sr-only" { "Partner agencies" }
                thead { tr {
                    th scope="col" { "Agency" } th scope="col" { "ORI" } th scope="col" { "Address" }
                    th scope="col" { "Certificates until" }
                } }
                tbody { @for partner in all {
                    @let ends = certificates(partner).map(|(_, one)| one.not_after());
                    @let end = ends.into_iter().min().unwrap_or(now);
                    tr {
                        th scope="row" { a href={ "/partners/" (partner.ori) } { (partner.name) } }
                        td class="mono" { (partner.ori) }
                        td class="mono" { (address(partner)) }
                        td class="nowrap" { (day(end)) @if end <= now { " " span class="badge badge--deny" { "over" } } }
                    }
                } }
            }
        }
    }
}

fn certificates(partner: &Partner) -> impl Iterator<Item = (&'static str, &Certificate)> {
    let stamps = partner.time_stamps.iter().map(|one| (CertificateUse::TimeStamps, one));
    let all = partner.certificates().into_iter().chain(stamps);
    all.map(|(usage, one)| (usage.words(), one))
}

/// Where its server is, if it has one.
fn address(partner: &Partner) -> String {
    let none = || "no server of its own".to_owned();
    partner.server.as_ref().map_or_else(none, |server| format!("{}:{}", server.host, server.port))
}

/// What of its certificates does not count any more.
fn revoked(partner: &Partner) -> Markup {
    html! {
        @if !partner.revoked.is_empty() {
            h3 { "Revoked" }
            dl class="kv" {
                @for one in &partner.revoked {
                    div { dt class="hash" { (one.fingerprint) } dd { "since " (moment(one.since)) ": " (one.reason) } }
                }
            }
        }
    }
}

/// `GET /partners/{ori}`: one partner, and its certificates as words to read aloud.
///
/// # Errors
/// A [`Problem`] when there is no such partner.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(ori): Path<String>,
) -> Answer {
    let exchange = &sharing(&agency)?.exchange;
    let partner = exchange.book().partner(&ori).ok_or_else(Problem::not_found)?;
    let all = exchange.held_agreements().await?;
    let ours = |held: &Held| {
        held.shown().is_some_and(|shown| shown.details.agreement.facts.partner == partner.ori)
    };
    let all: Vec<Held> = all.into_iter().filter(ours).collect();
    let held = exchange.held_text(Written::Partner(ori.clone())).await?;
    let (form, versions) = written::reviewed(&agency, &signed_in, &held);
    let content = html! {
        p { a href="/partners" { "All partners and agreements" } }
        (form)
        div class="card" {
            h2 { "Who it is" }
            dl class="kv" {
                (pair("ORI", partner.ori.as_str()))
                (pair("Address", &address(partner)))
                @if let Some(jurisdiction) = &partner.jurisdiction { (pair("Jurisdiction", jurisdiction)) }
                (pair("Room for its parcels here", &bytes_words(partner.quota_bytes)))
                (pair("Its ledger", if partner.ledger_key.is_some() { "its key is known, and we confirm it" } else { "its key is not known" }))
            }
        }
        section class="card card--flush" aria-labelledby="agreements" {
            div class="toolbar" { h2 id="agreements" { "Agreements" } }
            (agreements(&agency, &all, agency.now()))
        }
        section class="card" aria-labelledby="certificates" {
            h2 id="certificates" { "Its certificates" }
            p {
                "Read the words to somebody you know there, over a telephone number that did not come with the certificates. "
                "All twenty-four must be the same at both ends. They find theirs under “Our own certificates” on their page of partners."
            }
            @for (usage, certificate) in certificates(partner) {
                h3 { (usage) }
                @if let Some(revoked) = partner.revoked(certificate, agency.now()) {
                    p { span class="badge badge--deny" { "revoked" } " since " (moment(revoked.since)) ": " (revoked.reason) }
                }
                (words_of(certificate))
            }
            (revoked(partner))
        }
        (versions)
    };
    Ok(agency.page(&signed_in, &partner.name, "/partners", &content))
}

/// A certificate: until when, its words, and its hash in full.
pub(crate) fn words_of(certificate: &Certificate) -> Markup {
    html! {
        dl class="kv" {
            (pair("Subject", &certificate.subject()))
            (pair("Until", &day(certificate.not_after())))
            div { dt { "Words" } dd { ol class="aloud" {
                @for group in aloud(&certificate.fingerprint()) { li { (group) } }
            } } }
            div { dt { "SHA-256" } dd class="hash" { (certificate.fingerprint_text()) } }
        }
    }
}

pub(crate) fn partner_name(agency: &Shared, ori: &str) -> String {
    let partner = agency.exchange.as_ref().and_then(|sharing| sharing.exchange.book().partner(ori));
    partner.map_or_else(|| ori.to_owned(), |partner| partner.name.clone())
}
