//! The ledger's own page: how large it is, its tree, its signed state, who has confirmed that from
//! outside, and whether it takes records.
//!
//! It shows no entry, yet it is read through the gate like the rest of the audit log: who looked at
//! the state of the log, and when, is itself on record.

mod tree;
mod witnesses;

use axum::extract::State;
use gate::Print;
use ledger::merkle::Hash;
use ledger::{Capacity, Health, LastVerification, Room};
use maud::{Markup, html};

use crate::app::{Answer, Shared};
use crate::pages::audit;
use crate::pages::ledger::witnesses::Witnesses;
use crate::pages::parts::{moment, pair, print_of};
use crate::session::SignedIn;

/// The ledger's state at one moment, on its way through the gate.
struct LedgerState {
    origin: String,
    key: String,
    size: u64,
    root: Hash,
    peaks: Vec<Hash>,
    note: String,
    health: Health,
    waiting: usize,
    witnesses: Witnesses,
    verified: Option<LastVerification>,
    capacity: [Option<Capacity>; 2],
}

impl LedgerState {
    fn of(agency: &Shared) -> Self {
        let ledger = &agency.ledger;
        let (tree, note) = ledger.signed_tree();
        Self {
            origin: ledger.origin().to_owned(),
            key: ledger.verifier_key(),
            size: tree.size(),
            root: tree.root(),
            peaks: tree.peaks().to_vec(),
            note,
            health: ledger.health(),
            waiting: ledger.waiting(),
            witnesses: Witnesses::of(agency),
            verified: ledger.last_verification(),
            capacity: [ledger.capacity(), ledger.database_capacity()],
        }
    }
}

impl gate::Fingerprint for LedgerState {
    fn fingerprint(&self) -> Print {
        let shown = format!("{}{}", self.note, self.witnesses.notes());
        print_of("state of the ledger", 1, shown)
    }
}

/// `GET /audit/ledger`: the tree, the signed checkpoint, and what the ledger says of itself.
///
/// # Errors
/// A [`crate::problem::Problem`] when the policy or the ledger says no.
pub async fn state(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let permit = audit::permit(&agency, &signed_in, "state of the ledger".to_owned()).await?;
    let released = agency.gate.release(permit.hold(LedgerState::of(&agency))).await?;
    let (state, receipt) = released.open();
    let content = html! {
        p { a href="/audit" { "Back to the timeline" } }
        (figures(state))
        (tree_card(state))
        (signed(state))
        (state.witnesses.card())
        (verifying(state))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, "Ledger", "/audit/ledger", &content))
}

fn figures(state: &LedgerState) -> Markup {
    html! {
        div class="card" {
            dl class="stats" {
                div class="stat" { dt { "Entries" } dd { (state.size) } }
                div class="stat" { dt { "Waiting for the disk" } dd { (state.waiting) } }
                div class="stat" {
                    dt { "State" }
                    dd {
                        @match &state.health {
                            Health::Recording => span class="badge badge--permit" { "recording" },
                            Health::Stalled { .. } => span class="badge badge--deny" { "refusing records" },
                        }
                    }
                }
                @for capacity in state.capacity.iter().flatten() {
                    @let what = match capacity.of {
                        Room::Volume => "Volume used",
                        Room::Database => "Database used",
                    };
                    div class="stat" { dt { (what) } dd { (capacity.used_percent) " %" } }
                    @if let Some(days) = capacity.full_in_days {
                        div class="stat" { dt { "Days until it is full" } dd { (days) } }
                    }
                }
            }
            p class="small" { (last_verification(state.verified.as_ref())) }
            @if let Health::Stalled { since, why } = &state.health {
                p { strong { "Since " (moment(*since)) ": " } (why) }
                p { "Nothing is released until the ledger takes records again." }
            }
        }
    }
}

/// When all of it was last held against its signed root, and what was found.
fn last_verification(last: Option<&LastVerification>) -> Markup {
    html! {
        @match last {
            None => "The whole ledger is being verified since the start; this takes a while and slows nothing.",
            Some(LastVerification { at, size, result: Ok(()) }) => {
                "Its first " (size) " entries were verified whole, and hold: " (moment(*at)) "."
            }
            Some(LastVerification { at, result: Err(damage), .. }) => {
                strong { "Damage was found " (moment(*at)) ": " } (damage)
            }
        }
    }
}

fn tree_card(state: &LedgerState) -> Markup {
    html! {
        section class="card" aria-labelledby="tree" {
            h2 id="tree" { "The tree" }
            (tree::drawn(state.size, &tree::subtrees(state.size, &state.peaks)))
        }
    }
}

fn signed(state: &LedgerState) -> Markup {
    html! {
        section class="card" aria-labelledby="signed" {
            h2 id="signed" { "What is signed" }
            dl class="kv" {
                (pair("Log", &state.origin))
                (pair("Its key", &state.key))
                (pair("Root (SHA-256)", &hex::encode(state.root)))
            }
            details {
                summary { "The checkpoint, as a partner or a court reads it" }
                pre class="mono note" tabindex="0" role="region" aria-label="Signed checkpoint" { (state.note) }
            }
        }
    }
}

/// Whoever believes the log brings a size from elsewhere: this is where to write it down.
fn verifying(state: &LedgerState) -> Markup {
    html! {
        section class="card" aria-labelledby="verifying" {
            h2 id="verifying" { "Verify it without us" }
            p {
                "Copy the ledger's folder to another machine, and keep the size and the key where nobody \
                 who runs this one can change them. A shorter log is then refused."
            }
            pre class="mono note" tabindex="0" role="region" aria-label="Command" {
                "bailiwick ledger verify COPY --expect-size " (state.size) " \\\n    --key '" (state.key) "'"
            }
        }
    }
}
