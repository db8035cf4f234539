//! Who outside has confirmed the ledger, and whose ledgers we confirm.

use ledger::note::Checkpoint;
use ledger::watched::{WitnessStanding, WitnessState, Witnessed};
use maud::{Markup, html};

use crate::app::Shared;
use crate::pages::parts::{moment, pair};

/// How many cosigned checkpoints are shown, the newest first; the ledger keeps more.
const CHECKPOINTS_MAX: usize = 10;

/// The witnesses at one moment.
pub(super) struct Witnesses {
    witnessed: Witnessed,
    /// The newest cosigned checkpoints, the newest first.
    cosigned: Vec<String>,
    ours: Option<Ours>,
}

/// What we are to others.
struct Ours {
    key: String,
    logs: Vec<(String, Option<u64>)>,
}

impl Witnesses {
    pub(super) fn of(agency: &Shared) -> Self {
        let mut cosigned = agency.ledger.cosigned();
        cosigned.reverse();
        cosigned.truncate(CHECKPOINTS_MAX);
        let cosigner = agency.exchange.as_ref().and_then(|sharing| sharing.cosigner.as_ref());
        let ours = cosigner.map(|cosigner| Ours {
            key: cosigner.witness().key().to_string(),
            logs: cosigner.witness().sizes(),
        });
        Self { witnessed: agency.ledger.witnessed(), cosigned, ours }
    }

    /// The cosigned notes, for the digest of what is shown.
    pub(super) fn notes(&self) -> String {
        self.cosigned.concat()
    }

    pub(super) fn card(&self) -> Markup {
        html! {
            section class="card" aria-labelledby="witnesses" {
                h2 id="witnesses" { "Confirmed from outside" }
                @if self.witnessed.witnesses.is_empty() {
                    p {
                        "No witness is configured: nobody outside would notice if this ledger were wound back. "
                        "A partner agency can be one; see docs/witness.md."
                    }
                } @else {
                    p {
                        "A witness signs the newest checkpoint only if it continues the one before. Without its \
                         word for too long, nothing is released."
                    }
                    (releases(&self.witnessed))
                    (table(&self.witnessed.witnesses))
                    (self.checkpoints())
                }
                @if let Some(ours) = &self.ours { (ours.list()) }
            }
        }
    }

    fn checkpoints(&self) -> Markup {
        html! {
            @if !self.cosigned.is_empty() {
                h3 { "Newest confirmed checkpoints" }
                @for note in &self.cosigned {
                    @let size = Checkpoint::parse(note).map(|it| it.size).unwrap_or_default();
                    details {
                        summary { (size) " entries" }
                        pre class="mono note" tabindex="0" role="region"
                            aria-label={ "Confirmed checkpoint of " (size) " entries" } { (note) }
                    }
                }
            }
        }
    }
}

impl Ours {
    fn list(&self) -> Markup {
        html! {
            h3 { "Ledgers that we confirm" }
            dl class="kv" {
                @for (origin, size) in &self.logs {
                    (pair(origin, &size.map_or_else(
                        || "has not asked yet".to_owned(),
                        |size| format!("{size} entries"),
                    )))
                }
                (pair("Our key for that", &self.key))
            }
        }
    }
}

fn releases(witnessed: &Witnessed) -> Markup {
    html! {
        p {
            @match &witnessed.releases {
                Ok(()) => span class="badge badge--permit" { "releases go on" },
                Err(why) => {
                    span class="badge badge--deny" { "nothing is released" } " " (why)
                },
            }
        }
    }
}

fn table(witnesses: &[WitnessStanding]) -> Markup {
    html! {
        div class="tablebox" role="region" aria-label="Witnesses" tabindex="0" {
            table class="table" {
                thead {
                    tr {
                        th scope="col" { "Witness" }
                        th scope="col" { "State" }
                        th scope="col" class="num" { "Entries confirmed" }
                        th scope="col" { "Last confirmed" }
                        th scope="col" { "Last trouble" }
                    }
                }
                tbody {
                    @for one in witnesses {
                        tr data-witness=(one.name) data-size=(one.size.unwrap_or_default()) {
                            th scope="row" { (one.name) }
                            td { (state(one.state)) }
                            td class="num" { @if let Some(size) = one.size { (size) } @else { "none" } }
                            td class="nowrap" {
                                @if let Some(at) = one.at { (moment(at)) } @else { "never" }
                            }
                            td { (one.last_error.as_deref().unwrap_or("none")) }
                        }
                    }
                }
            }
        }
        details {
            summary { "Their keys" }
            dl class="kv" {
                @for one in witnesses { (pair(&one.name, &one.key)) }
            }
        }
    }
}

fn state(state: WitnessState) -> Markup {
    match state {
        WitnessState::Fresh => html! { span class="badge badge--permit" { "confirms" } },
        WitnessState::Waiting => html! { span class="badge badge--info" { "not heard of yet" } },
        WitnessState::Stale { minutes } => html! {
            span class="badge badge--warn" { "silent for " (minutes) " minutes" }
        },
    }
}
