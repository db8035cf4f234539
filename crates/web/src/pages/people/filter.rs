//! Which accounts are looked for, and the form that says it.

use identity::qualified::Judged;
use jiff::Timestamp;
use maud::{Markup, html};
use state::accounts::{Account, AccountKind, Standing};

use super::PATH;
use crate::session::{Posted, SignedIn};
use crate::tending::{NOTICE_DAYS, UNUSED_DAYS_MAX, days_before};

/// What is looked for.
#[derive(Default)]
pub(super) struct Filter {
    text: String,
    function: String,
    standing: String,
    kind: String,
    qualified: String,
    pub(super) page: usize,
}

const STANDINGS: [(&str, &str); 4] = [
    ("good", "Active"),
    ("idle", "Soon disabled, for nobody uses it"),
    ("disabled", "Disabled"),
    ("over", "Time over"),
];

const QUALIFIED: [(&str, &str); 3] = [
    ("order", "In order"),
    ("soon", "Ending soon, or in grace"),
    ("lacking", "Missing or out of date"),
];

impl Filter {
    pub(super) fn read(posted: &Posted) -> Self {
        let text = |name| posted.text(name).trim().to_owned();
        Self {
            text: text("text").to_lowercase(),
            function: text("function"),
            standing: text("standing"),
            kind: text("kind"),
            qualified: text("qualified"),
            page: text("page").parse().unwrap_or(0),
        }
    }

    pub(super) fn takes(&self, account: &Account, judged: &[Judged], now: Timestamp) -> bool {
        let profile = &account.profile;
        let texts = [Some(&profile.name), Some(&profile.name_id), profile.email.as_ref()];
        let more = [profile.user_name.as_ref(), profile.department.as_ref()];
        let mut texts = texts.into_iter().chain(more).flatten();
        (self.text.is_empty() || texts.any(|text| text.to_lowercase().contains(&self.text)))
            && (self.function.is_empty() || profile.functions.contains(&self.function))
            && (self.kind.is_empty() || account.kind.as_str() == self.kind)
            && (self.standing.is_empty()
                || standing_id(account.standing(now)) == self.standing
                || (self.standing == "idle" && is_idle(account, now)))
            && (self.qualified.is_empty() || qualified_id(judged) == self.qualified)
    }

    /// The fields that ask for the same again.
    pub(super) fn again(&self) -> [(&'static str, &str); 5] {
        [
            ("text", &self.text),
            ("function", &self.function),
            ("standing", &self.standing),
            ("kind", &self.kind),
            ("qualified", &self.qualified),
        ]
    }
}

/// Whether it is disabled within the days of the notice if nobody uses it.
fn is_idle(account: &Account, now: Timestamp) -> bool {
    account.standing(now) == Standing::Good
        && account.kind != AccountKind::Emergency
        && account.last_used_at() <= days_before(now, UNUSED_DAYS_MAX - NOTICE_DAYS)
}

fn standing_id(standing: Standing) -> &'static str {
    match standing {
        Standing::Good => "good",
        Standing::Disabled => "disabled",
        Standing::Over => "over",
        Standing::Removed => "removed",
    }
}

fn qualified_id(judged: &[Judged]) -> &'static str {
    if judged.iter().any(|one| one.standing.bars()) {
        "lacking"
    } else if judged.iter().any(|one| one.standing.needs_doing()) {
        "soon"
    } else {
        "order"
    }
}

pub(super) fn form(filter: &Filter, signed_in: &SignedIn) -> Markup {
    let kinds = AccountKind::ALL.iter().map(|kind| (kind.as_str(), kind.as_str()));
    let functions = identity::functions::known().map(|name| (name, name));
    html! {
        form class="card" method="post" action=(PATH) aria-label="Filter" {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            div class="fields" {
                div class="field" {
                    label class="usa-label" for="text" { "Name, sign-in name, e-mail or department" }
                    input class="usa-input" id="text" name="text" value=(filter.text) autocomplete="off" spellcheck="false";
                }
                (choice("function", "Job function", functions, &filter.function))
                (choice("standing", "State", STANDINGS.into_iter(), &filter.standing))
                (choice("kind", "Kind", kinds, &filter.kind))
                (choice("qualified", "Training and screening", QUALIFIED.into_iter(), &filter.qualified))
                div class="field__actions field--wide" {
                    button class="usa-button" type="submit" { "Filter" }
                }
            }
        }
    }
}

fn choice<'a>(
    name: &str,
    label: &str,
    options: impl Iterator<Item = (&'a str, &'a str)>,
    chosen: &str,
) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) }
            select class="usa-select" id=(name) name=(name) {
                option value="" { "Any" }
                @for (value, label) in options {
                    option value=(value) selected[value == chosen] { (label) }
                }
            }
        }
    }
}
