//! Retention: what the ledger keeps and until when, holds, and the disposal of what is due.
//!
//! Looking is a reading of the ledger. Holding, releasing and disposing are questions of their own,
//! which want a step-up and which neither administrators nor auditors may ask; a disposal takes two
//! steps, and what it destroys is named in the second.

use axum::extract::State;
use gate::{Permit, Print, Released};
use jiff::Timestamp;
use ledger::format::Bucket;
use ledger::retention::{BucketState, Disposal, DisposeError, HoldScope, Order, Overview};
use ledger::{Reason, Subject, Who};
use maud::{Markup, html};
use policy::Action;

use crate::app::{Answer, Shared};
use crate::pages::audit;
use crate::pages::parts::{go, moment, print_of};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

const PATH: &str = "/audit/retention";

/// What a hold can be on, as the form offers it: value and label.
const KINDS: [(&str, &str); 9] = [
    ("case", "Records with a case number"),
    ("person", "Records about a person (identifier)"),
    ("vehicle", "Records about a vehicle (identifier)"),
    ("subject-case", "Records about a case as a subject"),
    ("document", "Records about a document (identifier)"),
    ("actor", "What an account did (account key)"),
    ("partner", "What went to or came from a partner (ORI)"),
    ("entries", "Entries, such as 1200-1204"),
    ("bucket", "A whole bucket"),
];

/// The overview on its way through the gate.
struct Retained(Overview);

impl gate::Fingerprint for Retained {
    fn fingerprint(&self) -> Print {
        let names = self.0.buckets.iter().map(|it| it.bucket.name());
        let holds = self.0.told.holds.iter().map(|it| it.name.clone());
        let all = names.chain(holds).collect::<Vec<_>>().join("\n");
        print_of("state of retention", self.0.buckets.len(), all)
    }
}

/// What was done, which closes its permit.
struct Acted {
    what: &'static str,
    count: u64,
    text: String,
}

impl gate::Fingerprint for Acted {
    fn fingerprint(&self) -> Print {
        print_of(self.what, usize::try_from(self.count).unwrap_or(usize::MAX), &self.text)
    }

    /// It is done: that it took long must not hide it.
    fn written(&self) -> Option<u64> {
        Some(self.count)
    }
}

/// `GET /audit/retention`.
///
/// # Errors
/// A [`Problem`] when the policy or the ledger says no.
pub async fn overview(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let released = read(&agency, &signed_in, "state of retention".to_owned()).await?;
    let (Retained(overview), receipt) = released.open();
    let now = agency.now();
    let acts = signed_in.actor.functions.iter().any(|it| it.as_str() == "security-officer");
    let content = html! {
        p { a href="/audit" { "Back to the timeline" } }
        (buckets(overview, now, acts.then_some(&signed_in)))
        (holds(overview, now, acts.then_some(&signed_in)))
        (dispositions(overview))
        p class="muted small" { "This reading is ledger entry " (receipt.entry) "." }
    };
    Ok(agency.page(&signed_in, "Retention", PATH, &content))
}

async fn read(
    agency: &Shared,
    signed_in: &SignedIn,
    what: String,
) -> Result<Released<Retained>, Problem> {
    let ledger = agency.ledger.clone();
    audit::read(agency, signed_in, what, move || Ok(Retained(ledger.retention()?))).await
}

fn buckets(overview: &Overview, now: Timestamp, acts: Option<&SignedIn>) -> Markup {
    let most = overview.buckets.iter().map(|it| it.entries).max().unwrap_or(0).max(1);
    html! {
        section class="card card--flush" aria-labelledby="buckets" {
            div class="toolbar" { h2 id="buckets" { "What is kept" } }
            div class="tablebox" role="region" aria-label="Buckets" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Buckets, by schedule and month of expiry" }
                    thead { tr {
                        th scope="col" { "Bucket" } th scope="col" class="num" { "Entries" }
                        th scope="col" { "Share" } th scope="col" { "Due" } th scope="col" { "Disposal" }
                    } }
                    tbody { @for state in &overview.buckets { (bucket_row(state, most, now, acts)) } }
                }
            }
        }
    }
}

fn bucket_row(state: &BucketState, most: u64, now: Timestamp, acts: Option<&SignedIn>) -> Markup {
    let name = state.bucket.name();
    let is_due = state.due.is_some_and(|due| due <= now);
    html! {
        tr data-bucket=(name) {
            th scope="row" { (name) }
            td class="num" { (state.entries) }
            td { progress max=(most) value=(state.entries) aria-label={ "Entries of " (name) } {} }
            td {
                @match state.due {
                    None => "never",
                    Some(due) => (due.strftime("%Y-%m-%d")),
                }
                @if is_due { " " span class="badge badge--warn" { "due" } }
            }
            td {
                @if let (true, Some(signed_in)) = (is_due, acts) {
                    form method="post" action={ (PATH) "/dispose" } {
                        input type="hidden" name="csrf" value=(signed_in.csrf);
                        input type="hidden" name="step" value="ask";
                        input type="hidden" name="bucket" value=(name);
                        button class="usa-button usa-button--outline" type="submit" {
                            "Dispose of " span class="usa-sr-only" { (name) } "…"
                        }
                    }
                } @else if is_due { "a security officer may" } @else { "not yet" }
            }
        }
    }
}

fn holds(overview: &Overview, now: Timestamp, acts: Option<&SignedIn>) -> Markup {
    let holds = &overview.told.holds;
    html! {
        section class="card" aria-labelledby="holds" {
            h2 id="holds" { "Holds" }
            @if holds.is_empty() { p { "No hold was ever placed." } } @else {
                div class="tablebox" role="region" aria-label="List of holds" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Holds, oldest first" }
                        thead { tr {
                            th scope="col" { "Hold" } th scope="col" { "On" } th scope="col" { "Authority" }
                            th scope="col" { "Placed" } th scope="col" { "State" }
                        } }
                        tbody { @for hold in holds {
                            tr data-hold=(hold.name) {
                                th scope="row" { (hold.name) }
                                td { (hold.what) }
                                td { (hold.authority) }
                                td {
                                    a href={ "/audit/entries/" (hold.placed) } { "entry " (hold.placed) }
                                    ", " (moment(hold.placed_at))
                                }
                                td {
                                    @if hold.is_active(now) {
                                        span class="badge badge--info" { "in force" }
                                        @if let Some(until) = hold.until { " until " (moment(until)) }
                                        @if let Some(signed_in) = acts { (release_form(&hold.name, signed_in)) }
                                    } @else { span class="badge" { "ended" } }
                                }
                            }
                        } }
                    }
                }
            }
            @if let Some(signed_in) = acts { (hold_form(signed_in, now)) }
        }
    }
}

fn release_form(name: &str, signed_in: &SignedIn) -> Markup {
    html! {
        details {
            summary { "Release " (name) }
            form method="post" action={ (PATH) "/release" } class="rows" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="hold" value=(name);
                label class="usa-label" for={ "reason-" (name) } { "Why " (name) " is released" }
                input class="usa-input" id={ "reason-" (name) } name="authority" required autocomplete="off";
                button class="usa-button" type="submit" { "Release" }
            }
        }
    }
}

fn hold_form(signed_in: &SignedIn, now: Timestamp) -> Markup {
    html! {
        details {
            summary { "Place a hold" }
            @if !signed_in.session.is_stepped_up(now) { (step_up("Holds need")) }
            form method="post" action={ (PATH) "/hold" } data-once {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                div class="fields" {
                    (field("hold", "Name (lower-case letters, digits, dashes)", true))
                    div class="field" {
                        label class="usa-label" for="by" { "On" }
                        select class="usa-select" id="by" name="by" {
                            @for (value, label) in KINDS { option value=(value) { (label) } }
                        }
                    }
                    (field("value", "Which one", true))
                    (field("until", "Ends on (YYYY-MM-DD), if it does", false))
                    (field("authority", "By what authority", true))
                    div class="field__actions field--wide" {
                        button class="usa-button" type="submit" { "Place the hold" }
                    }
                }
            }
        }
    }
}

fn field(name: &str, label: &str, required: bool) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) @if required { " " span class="must" { "*" } } }
            input class="usa-input" id=(name) name=(name) required[required] autocomplete="off" spellcheck="false";
        }
    }
}

fn step_up(what: &str) -> Markup {
    html! {
        div class="usa-alert usa-alert--warning" {
            div class="usa-alert__body" {
                h3 class="usa-alert__heading" { "First confirm that it is you" }
                p class="usa-alert__text" {
                    (what) " a sign-in of the last five minutes. Nothing is done by confirming: you come back here."
                }
                p { a class="usa-button" href={ "/step-up?next=" (PATH) } { "Confirm my identity" } }
            }
        }
    }
}

fn dispositions(overview: &Overview) -> Markup {
    let all = &overview.told.dispositions;
    html! {
        section class="card card--flush" aria-labelledby="disposed" {
            div class="toolbar" { h2 id="disposed" { "What was disposed of" } }
            @if all.is_empty() { div class="empty" { p { "Nothing yet." } } } @else {
                div class="tablebox" role="region" aria-label="Dispositions" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Dispositions, oldest first" }
                        thead { tr {
                            th scope="col" { "Bucket" } th scope="col" class="num" { "Gone" }
                            th scope="col" class="num" { "Held" } th scope="col" { "Ordered" }
                            th scope="col" { "Authority" } th scope="col" { "State" }
                        } }
                        tbody { @for it in all {
                            tr {
                                th scope="row" { (it.statement.bucket.name()) }
                                td class="num" { (it.statement.count) }
                                td class="num" { (it.statement.kept) }
                                td {
                                    a href={ "/audit/entries/" (it.started) } { "entry " (it.started) }
                                    ", " (moment(it.at)) ", by " (it.by.as_deref().unwrap_or("the platform"))
                                }
                                td { (it.authority) }
                                td {
                                    @if it.finished.is_some() { span class="badge badge--permit" { "done" } }
                                    @else { span class="badge badge--warn" { "not finished" } }
                                    @if !it.returned.is_empty() {
                                        " " span class="badge badge--deny" { "came back, disposed of again" }
                                    }
                                }
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// `POST /audit/retention/dispose`: first what would go, then, confirmed, its destruction.
///
/// # Errors
/// A [`Problem`] when it is not due, or the policy or the ledger says no.
pub async fn dispose(State(agency): State<Shared>, posted: Posted) -> Answer {
    let bucket = Bucket::parse(posted.text("bucket")).ok_or_else(Problem::not_found)?;
    if posted.text("step") != "do" {
        return confirm(&agency, &posted.signed_in, bucket).await;
    }
    let (act, what) = (Action::DisposeRecords, format!("disposal of {}", bucket.name()));
    let permit = audit::permit_to(act, &agency, &posted.signed_in, what.clone()).await?;
    let (ledger, order) = (agency.ledger.clone(), order(&posted));
    let done = work(&agency, permit, move || {
        let disposal = ledger.dispose(bucket, order)?;
        let count = match disposal {
            Disposal::Done { statement, .. } => statement.count,
            Disposal::Nothing => 0,
        };
        Ok(Acted { what: "a disposal", count, text: what })
    });
    done.await?;
    Ok(go(&posted, PATH))
}

async fn confirm(agency: &Shared, signed_in: &SignedIn, bucket: Bucket) -> Answer {
    let name = bucket.name();
    let released = read(agency, signed_in, format!("what is due of {name}")).await?;
    let (Retained(overview), _) = released.open();
    let now = agency.now();
    let state = overview.due(now).find(|it| it.bucket == bucket);
    let count = state.ok_or_else(Problem::not_found)?.entries;
    let active = overview.told.holds.iter().filter(|it| it.is_active(now)).count();
    let content = html! {
        p { a href=(PATH) { "Back to retention" } }
        @if !signed_in.session.is_stepped_up(now) { (step_up("A disposal needs")) }
        form class="card card--warn" method="post" action={ (PATH) "/dispose" } data-once {
            h2 { "Dispose of " (name) "?" }
            p {
                strong { "This can't be undone. " }
                "What " (count) " entries say is destroyed, with their key, but for what the " (active)
                " holds in force cover. That the entries were, when, and that they were disposed of stays."
            }
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="step" value="do";
            input type="hidden" name="bucket" value=(name);
            div class="fields" {
                (field("authority", "By what authority (schedule, decision)", true))
                div class="field__actions field--wide" {
                    button class="usa-button usa-button--secondary" type="submit" { "Dispose of " (name) }
                }
            }
        }
    };
    Ok(agency.page(signed_in, "Disposal", PATH, &content))
}

/// `POST /audit/retention/hold`.
///
/// # Errors
/// A [`Problem`] when a field cannot be read, or the policy or the ledger says no.
pub async fn hold(State(agency): State<Shared>, posted: Posted) -> Answer {
    let (name, until) = (posted.text("hold").to_owned(), until(posted.text("until"))?);
    let what = scope(&agency, posted.text("by"), posted.text("value").trim())?;
    let act = Action::HoldRecords;
    let permit = audit::permit_to(act, &agency, &posted.signed_in, format!("hold {name}")).await?;
    let (ledger, order) = (agency.ledger.clone(), order(&posted));
    let placed = work(&agency, permit, move || {
        ledger.place_hold(&name, what, until, order)?;
        Ok(Acted { what: "a hold", count: 1, text: name })
    });
    placed.await?;
    Ok(go(&posted, PATH))
}

/// `POST /audit/retention/release`.
///
/// # Errors
/// As [`hold`].
pub async fn release(State(agency): State<Shared>, posted: Posted) -> Answer {
    let name = posted.text("hold").to_owned();
    let act = Action::HoldRecords;
    let what = format!("release of hold {name}");
    let permit = audit::permit_to(act, &agency, &posted.signed_in, what).await?;
    let (ledger, order) = (agency.ledger.clone(), order(&posted));
    let released = work(&agency, permit, move || {
        ledger.release_hold(&name, order)?;
        Ok(Acted { what: "the release of a hold", count: 1, text: name })
    });
    released.await?;
    Ok(go(&posted, PATH))
}

/// Does what was permitted, which blocks, and has it recorded that it was done, was not, or may have been.
async fn work(
    agency: &Shared,
    permit: Permit,
    act: impl FnOnce() -> Result<Acted, DisposeError> + Send + 'static,
) -> Result<(), Problem> {
    let gate = &agency.gate;
    let Ok(done) = tokio::task::spawn_blocking(act).await else {
        gate.unknown(permit.ticket(), "it did not come to its end").await?;
        return Err(Problem::maybe_done());
    };
    match done {
        Ok(acted) => {
            gate.release(permit.hold(acted)).await?;
            Ok(())
        }
        Err(error) if error.may_have_acted() => {
            gate.unknown(permit.ticket(), "it was begun and is not finished").await?;
            Err(error.into())
        }
        Err(error) => {
            gate.withhold(permit.ticket(), "it was not possible").await?;
            Err(error.into())
        }
    }
}

fn order(posted: &Posted) -> Order {
    let SignedIn { actor, origin, session, .. } = &posted.signed_in;
    let who = Who {
        actor: actor.id.to_string(),
        name: actor.name.clone(),
        agency: actor.agency.to_string(),
        functions: actor.functions.iter().map(ToString::to_string).collect(),
        session: Some(session.prefix()),
    };
    let authority = posted.text("authority").trim().to_owned();
    Order { who: Some(who), origin: origin.clone(), why: Reason::default(), authority }
}

fn until(text: &str) -> Result<Option<Timestamp>, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let date = text.parse::<jiff::civil::Date>().ok();
    let end = date.and_then(|date| date.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let words = "Write the day on which the hold ends as YYYY-MM-DD.";
    end.map(|end| Some(end.timestamp())).ok_or_else(|| Problem::bad_input(words))
}

fn scope(agency: &Shared, by: &str, value: &str) -> Result<HoldScope, Problem> {
    let wrong = |words: &str| Problem::bad_input(words);
    if value.is_empty() {
        return Err(wrong("Say which one the hold is on."));
    }
    let text = value.to_owned();
    let subject = |kind: &str| {
        agency.ledger.hold_on(&Subject { kind: kind.to_owned(), id: value.to_owned() })
    };
    Ok(match by {
        "case" => HoldScope::Case { number: text },
        "person" | "vehicle" | "document" => subject(by),
        "subject-case" => subject("case"),
        "actor" => HoldScope::Actor { actor: text },
        "partner" => HoldScope::Partner { partner: text },
        "entries" => {
            let (first, last) = value.split_once('-').unwrap_or((value, value));
            match (first.trim().parse(), last.trim().parse()) {
                (Ok(first), Ok(last)) if first <= last => HoldScope::Entries { first, last },
                _ => return Err(wrong("Write entries as 1200-1204.")),
            }
        }
        "bucket" => {
            let bucket = Bucket::parse(value);
            HoldScope::Bucket { bucket: bucket.ok_or_else(|| wrong("There is no such bucket."))? }
        }
        _ => return Err(wrong("Choose what the hold is on.")),
    })
}

#[cfg(test)]
mod tests {
    use gate::Fingerprint as _;

    /// The gate records what is written as done, however late it is (`gate/tests/stories.rs`).
    #[test]
    fn what_was_disposed_of_counts_as_written() {
        let acted = super::Acted { what: "a disposal", count: 3, text: String::new() };
        assert_eq!(acted.written(), Some(3));
    }
}
