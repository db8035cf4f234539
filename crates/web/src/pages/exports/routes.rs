//! Which way an export takes: the choice before it is asked for, and how that stands on its page.

use exchange::{Agreement, Exchange, Export, PUSH};
use maud::{Markup, html};

use crate::app::Shared;
use crate::pages::parts::{bytes_words, moment, pair};

/// The ways to the agreement's partner that it does not close. Nothing, where the push is the only one.
pub(super) fn choice(exchange: &Exchange, agreement: &Agreement, chosen: Option<&str>) -> Markup {
    let partner = agreement.facts.partner.as_str();
    let push = exchange.takes_push(partner);
    let push = push.then(|| (PUSH, None, exchange.route_words(partner, None))).into_iter();
    let others = exchange.routes(partner).map(|route| {
        let name = route.name.as_str();
        (name, Some(name), exchange.route_words(partner, Some(name)))
    });
    let open: Vec<_> =
        push.chain(others).filter(|(_, route, _)| agreement.goes(*route).is_ok()).collect();
    if let [(PUSH, ..)] = open.as_slice() {
        return html! {};
    }
    html! {
        @if open.is_empty() {
            (super::preview::refusal("The agreement closes every way to this partner that there is."))
        }
        div class="field field--wide" {
            label class="usa-label" for="route" { "How it goes there" }
            select class="usa-select" id="route" name="route" {
                @for (name, route, words) in &open {
                    option value=(route.unwrap_or_default()) selected[*route == chosen] data-route=(name) { (words) }
                }
            }
        }
    }
}

/// The name of a step: what is laid down is not acknowledged by anybody.
pub(super) fn step(export: &Export, name: &'static str) -> &'static str {
    match (export.details.delivery.route.is_some(), name) {
        (true, "Sent") => "Being laid down",
        (true, "Acknowledged") => "Delivered",
        (true | false, name) => name,
    }
}

pub(super) fn phase(export: &Export, words: &'static str) -> String {
    match &export.details.delivery.route {
        Some(route) if words.starts_with("Sending") => format!("Delivering by {route}"),
        Some(_) | None => words.to_owned(),
    }
}

/// The way, the attempts, and the end.
pub(super) fn facts(agency: &Shared, export: &Export) -> Markup {
    let delivery = &export.details.delivery;
    let words = agency
        .exchange
        .as_ref()
        .map(|sharing| sharing.exchange.route_words(&export.partner, delivery.route.as_deref()));
    html! {
        @match (&delivery.route, &delivery.place) {
            (Some(route), Some(place)) => {
                (pair("How it goes", &format!("{route}: {place}")))
                @if let Some(words) = words.filter(|words| *words != format!("{route}: {place}")) {
                    (pair("That way leads elsewhere now", &words))
                }
            }
            _ => { @if let Some(words) = words { (pair("How it goes", &words)) } }
        }
        @if let Some(laid) = &delivery.laid {
            div { dt { "Delivered" } dd {
                (moment(laid.at)) ", " (bytes_words(laid.bytes)) ", entry " (laid.entry)
                ". That says where it lies, not that somebody has taken it."
            } }
        }
        @if let Some(at) = delivery.next_attempt_at {
            div { dt { "Next attempt" } dd { (moment(at)) ", after " (delivery.failures) " that came to nothing" } }
        }
    }
}
