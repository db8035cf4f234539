//! Of a document that has redacted copies somebody says what leaves: the original, a copy, or both.
//!
//! Invariants: nothing of it leaves before that was said; where a copy was chosen, neither the original nor anything that
//! is made of it goes. The agreement's bars are those of the original for both.

use std::collections::BTreeMap;

use exchange::{Copied, Item, Place};
use maud::{Markup, html};
use policy::Why;
use uuid::Uuid;

use super::wanted::Wanted;
use crate::app::Shared;
use crate::pages::parts::sharing;
use crate::pages::redacting::seen;
use crate::problem::Problem;
use crate::session::Posted;

/// What leaves of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Original,
    Copy(Uuid),
    Both(Uuid),
}

impl Choice {
    /// What was chosen for a document, by its path; the field holds `original:PATH`, `copy:EXCHANGE:PATH` or
    /// `both:EXCHANGE:PATH`.
    fn of(wanted: &Wanted, path: &str) -> Option<Self> {
        wanted.which.iter().find_map(|chosen| {
            let (sort, rest) = chosen.split_once(':')?;
            if sort == "original" {
                return (rest == path).then_some(Self::Original);
            }
            let (exchange, of) = rest.split_once(':')?;
            let exchange = exchange.parse().ok().filter(|_| of == path)?;
            match sort {
                "copy" => Some(Self::Copy(exchange)),
                "both" => Some(Self::Both(exchange)),
                _ => None,
            }
        })
    }

    fn field(self, path: &str) -> String {
        match self {
            Self::Original => format!("original:{path}"),
            Self::Copy(exchange) => format!("copy:{exchange}:{path}"),
            Self::Both(exchange) => format!("both:{exchange}:{path}"),
        }
    }
}

/// The redacted copies of an export's documents.
#[derive(Default)]
pub(super) struct Copies {
    /// By the documents' paths.
    known: BTreeMap<String, Vec<Copied>>,
    /// Those that leave, as items, each with its document's path.
    pub(super) chosen: Vec<(String, Item)>,
}

impl Copies {
    /// Looks for them, and makes items of those that were chosen.
    pub(super) async fn find(
        agency: &Shared,
        posted: &Posted,
        (documents, places): (&[Item], &[Place]),
        wanted: &Wanted,
        why: &Why,
    ) -> Result<Self, Problem> {
        let mut out = Self::default();
        for copied in seen(agency, &posted.signed_in, places).await? {
            if let Some(document) = documents.get(copied.of) {
                out.known.entry(document.path.clone()).or_default().push(copied);
            }
        }
        for document in documents.iter().filter(|item| out.known.contains_key(&item.path)) {
            let (exchange, both) = match Choice::of(wanted, &document.path) {
                Some(Choice::Copy(exchange)) => (exchange, false),
                Some(Choice::Both(exchange)) => (exchange, true),
                Some(Choice::Original) | None => continue,
            };
            let found = out.accepted(&document.path).find(|one| one.parcel.exchange == exchange);
            let Some(copied) = found else {
                let words = "That redacted copy is not there any more, or nobody has accepted it. Look at what would leave once more.";
                return Err(Problem::bad_input(words));
            };
            let item = item(agency, posted, (document, copied), both, why).await?;
            out.chosen.push((document.path.clone(), item));
        }
        Ok(out)
    }

    fn accepted(&self, path: &str) -> impl Iterator<Item = &Copied> {
        self.known.get(path).into_iter().flatten().filter(|one| one.is_accepted())
    }

    /// Whether a copy goes in the stead of this document.
    pub(super) fn replaces(&self, wanted: &Wanted, path: &str) -> bool {
        self.known.contains_key(path) && matches!(Choice::of(wanted, path), Some(Choice::Copy(_)))
    }

    /// Whether somebody has still to say what leaves of this document.
    pub(super) fn asks(&self, wanted: &Wanted, path: &str) -> bool {
        Choice::of(wanted, path).is_none() && self.accepted(path).next().is_some()
    }

    /// What leaves of one document.
    pub(super) fn sent(&self, wanted: &Wanted, document: &Item) -> Vec<Item> {
        let original = (!self.replaces(wanted, &document.path)).then_some(document);
        original.into_iter().chain(self.chosen.iter().map(|(_, item)| item)).cloned().collect()
    }

    /// The field in which that is said.
    pub(super) fn choice(&self, wanted: &Wanted, path: &str) -> Markup {
        let Some(known) = self.known.get(path) else { return html! {} };
        let (chosen, id) =
            (Choice::of(wanted, path), format!("which-{}", path.replace(['/', '.'], "-")));
        let option = |choice: Choice, words: &str| {
            html! { option value=(choice.field(path)) selected[chosen == Some(choice)] { (words) } }
        };
        let waiting = known.iter().filter(|one| !one.is_accepted()).count();
        html! {
            @if self.accepted(path).next().is_some() {
                div class="field field--wide" {
                    label class="usa-label" for=(id) { "What leaves of " (path) " " span class="must" { "*" } }
                    select class="usa-select" id=(id) name="which" required {
                        option value="" selected[chosen.is_none()] { "Choose" }
                        (option(Choice::Original, "The original"))
                        @for one in self.accepted(path) {
                            @let (exchange, said) = (one.parcel.exchange, words(one));
                            (option(Choice::Copy(exchange), &format!("The redacted copy: {said}")))
                            (option(Choice::Both(exchange), &format!("Both, the original and the redacted copy: {said}")))
                        }
                    }
                }
            }
            @if waiting > 0 {
                p class="muted small" { (waiting) @if waiting == 1 { " redacted copy waits" } @else { " redacted copies wait" } " for somebody to accept it, and can't leave." }
            }
        }
    }
}

fn words(copied: &Copied) -> String {
    let redaction = &copied.redaction;
    format!("{} ({}), by {}", redaction.what, redaction.reason, redaction.by.name)
}

/// A copy as an item, beside its original's name.
async fn item(
    agency: &Shared,
    posted: &Posted,
    (document, copied): (&Item, &Copied),
    both: bool,
    why: &Why,
) -> Result<Item, Problem> {
    let (exchange, path) = (copied.parcel.exchange, &copied.redaction.path);
    let caller = posted.signed_in.caller();
    let passing = sharing(agency)?.exchange.passing(&caller, exchange, path, why).await?;
    let mut item = passing.item;
    // Marks that the original has by now, and the copy did not when it was made.
    item.caveats.extend(document.caveats.iter().cloned());
    // Beside the original's place in the parcel, so that two copies of one name do not meet.
    let name = document.path.rsplit('/').next().unwrap_or_default();
    let number = name.split_once('-').map_or("copy", |(number, _)| number);
    item.path = format!("redacted/{number}-{path}");
    item.label = format!("Redacted copy of {}: {}", document.label, words(copied));
    if let Some(received) = &mut item.received {
        received.with_original = both;
    }
    Ok(item)
}

/// That somebody has to choose first.
pub(super) fn undecided(open: &[&str]) -> Markup {
    html! {
        @if !open.is_empty() {
            div class="usa-alert usa-alert--warning" id="undecided" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "Choose what leaves: the original or a redacted copy" }
                    p class="usa-alert__text" { "Nothing is asked for before that is said of " (open.join(", ")) "." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_read_back_and_nothing_else() {
        let exchange = Uuid::from_u128(7);
        let path = "evidence/001-a:b.pdf";
        for choice in [Choice::Original, Choice::Copy(exchange), Choice::Both(exchange)] {
            let which = [choice.field(path)].into();
            let wanted = Wanted { which, ..Wanted::default() };
            assert_eq!(Choice::of(&wanted, path), Some(choice));
            assert_eq!(Choice::of(&wanted, "evidence/002-a.pdf"), None);
        }
        for bad in ["", "copy", "copy:x", "copy:7:evidence/001-a:b.pdf", "all:evidence/001-a:b.pdf"]
        {
            let wanted = Wanted { which: [bad.to_owned()].into(), ..Wanted::default() };
            assert_eq!(Choice::of(&wanted, path), None, "{bad}");
        }
    }
}
