//! Redacted copies of a document that somebody looks at: those that there are, and one that a person adds.
//!
//! Invariants: who adds a copy may see the original, and that reading is on record; nothing is altered of it. What a copy
//! is by its content is said before it is taken, where it is not what its name says or can't be used.

use std::io::Cursor;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use exchange::{Copied, Incoming, IncomingStatus, Original, Place, RedactedCopy};
use gate::Value;
use maud::{Markup, html};
use parcel::media::{self, Examined, Standing};
use policy::Why;
use tools::Tool;
use tools::handle::Handle;

use super::documents::{opened, plan_problem};
use super::incoming::deciding::csrf;
use super::looking;
use super::parts::{id, moment, pair, sharing};
use crate::app::{Answer, Shared};
use crate::problem::Problem;
use crate::reading::carry_through;
use crate::session::{SignedIn, field};
use crate::upload::{LARGE_BYTES_MAX, LargeUpload, Uploaded};

/// What the page is about: a document, where its page is, and where the form goes.
struct About<'a> {
    name: &'a str,
    back: (String, &'static str),
    action: String,
    current: String,
}

/// `GET /tools/{tool}/redact/{part}/{handle}`.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session.
pub async fn of_document(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path((tool, part, sealed)): Path<(String, String, String)>,
) -> Answer {
    let (tool, evidence, handle) = opened(&agency, &signed_in, (&tool, &part, &sealed)).await?;
    let name = text(&handle, &evidence.name);
    let context = agency.context(&signed_in.actor);
    let planned = tool.plan_evidence(&part, &handle, None, &context);
    let place = place_of(&planned.map_err(|error| plan_problem(&error))?.plan);
    let about = about_document(tool, (&part, &sealed), name);
    page(&agency, &signed_in, &about, place.ok_or_else(Problem::not_found)?, &[]).await
}

fn about_document<'a>(tool: &Tool, (part, sealed): (&str, &str), name: &'a str) -> About<'a> {
    let tool = format!("/tools/{}", tool.id);
    About {
        name,
        back: (format!("{tool}/evidence/{part}/{sealed}"), "The document"),
        action: format!("{tool}/redact/{part}/{sealed}"),
        current: tool,
    }
}

/// Where a document is, by the plan of reading it.
pub(crate) fn place_of(plan: &gate::Plan) -> Option<Place> {
    match plan {
        gate::Plan::Evidence(plan) | gate::Plan::Stream(plan) => {
            Some(Place::Store { store: plan.store.clone(), key: plan.key.clone() })
        }
        _ => None,
    }
}

/// `POST /tools/{tool}/redact/{part}/{handle}`: the original is read once, for its digest.
///
/// # Errors
/// A [`Problem`] that says why nothing was taken.
pub async fn add_to_document(
    State(agency): State<Shared>,
    Path((tool, part, sealed)): Path<(String, String, String)>,
    LargeUpload(uploaded, alone): LargeUpload,
) -> Answer {
    let signed_in = &uploaded.signed_in;
    let (tool, evidence, handle) = opened(&agency, signed_in, (&tool, &part, &sealed)).await?;
    let context = agency.context(&signed_in.actor);
    let planned = tool.plan_evidence(&part, &handle, None, &context);
    let planned = planned.map_err(|error| plan_problem(&error))?;
    let place = place_of(&planned.plan).ok_or_else(Problem::not_found)?;
    let about = about_document(tool, (&part, &sealed), text(&handle, &evidence.name));
    let objections = objections(&uploaded);
    if !objections.is_empty() {
        return page(&agency, signed_in, &about, place, &objections).await;
    }
    let Place::Store { store, key } = place else { return Err(Problem::not_found()) };
    let (class, caveats) =
        (planned.resource.record_class.clone(), planned.resource.caveats.clone());
    let released = agency.run_stream(&signed_in.caller(), planned).await?;
    let (stream, _) = released.into_parts();
    let original = Original::of_store((&store, &key), stream.digest(), class, caveats);
    take(&agency, uploaded, alone, (original, handle.why)).await
}

/// `GET /incoming/{exchange}/redact/{handle}`.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session.
pub async fn of_received(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path((exchange, sealed)): Path<(String, String)>,
) -> Answer {
    let (handle, place) = received(&agency, &signed_in, (&exchange, &sealed)).await?;
    let about = about_received((&exchange, &sealed), text(&handle, "path"));
    page(&agency, &signed_in, &about, place, &[]).await
}

fn about_received<'a>((exchange, sealed): (&str, &str), name: &'a str) -> About<'a> {
    About {
        name,
        back: (format!("/incoming/{exchange}"), "The parcel that it came in"),
        action: format!("/incoming/{exchange}/redact/{sealed}"),
        current: "/incoming".to_owned(),
    }
}

async fn received(
    agency: &Shared,
    who: &SignedIn,
    (exchange, sealed): (&str, &str),
) -> Result<(Handle, Place), Problem> {
    let Ok(handle) = agency.open_file_handle(who, exchange, sealed) else {
        return Err(agency.foreign_handle(who, "/incoming").await);
    };
    let path = text(&handle, "path").to_owned();
    let place = Place::Parcel { exchange: id(exchange)?, path };
    Ok((handle, place))
}

/// `POST /incoming/{exchange}/redact/{handle}`.
///
/// # Errors
/// As [`add_to_document`].
pub async fn add_to_received(
    State(agency): State<Shared>,
    Path((exchange, sealed)): Path<(String, String)>,
    LargeUpload(uploaded, alone): LargeUpload,
) -> Answer {
    let signed_in = &uploaded.signed_in;
    let (handle, place) = received(&agency, signed_in, (&exchange, &sealed)).await?;
    let path = text(&handle, "path");
    let objections = objections(&uploaded);
    if !objections.is_empty() {
        let about = about_received((&exchange, &sealed), path);
        return page(&agency, signed_in, &about, place, &objections).await;
    }
    let of = &sharing(&agency)?.exchange;
    let original = of.original(&signed_in.caller(), id(&exchange)?, path, &handle.why).await?;
    take(&agency, uploaded, alone, (original, handle.why)).await
}

/// Takes the copy in. Sealing it takes long, and nothing moves on the line meanwhile: whoever is cut off cuts nothing off.
async fn take<G: Send + 'static>(
    agency: &Shared,
    uploaded: Uploaded,
    alone: G,
    (original, why): (Original, Why),
) -> Answer {
    let caller = uploaded.signed_in.caller();
    let given = |name: &str| field(&uploaded.fields, name).trim().to_owned();
    let (what, reason) = (given("what"), given("reason"));
    let copy = RedactedCopy { name: uploaded.file_name, bytes: uploaded.file, what, reason };
    let exchange = sharing(agency)?.exchange.clone();
    let taken = carry_through(async move {
        let _alone = alone;
        Ok(exchange.take_in_redacted(&caller, original, copy, &why).await?)
    });
    let parcel = taken.await?;
    Ok(Redirect::to(&format!("/incoming/{}", parcel.exchange)).into_response())
}

/// What speaks against taking the file as it is, unless the person has seen that and takes it all the same.
fn objections(uploaded: &Uploaded) -> Vec<String> {
    if field(&uploaded.fields, "although") == "yes" || uploaded.file.is_empty() {
        return Vec::new();
    }
    match media::examine(&mut Cursor::new(&uploaded.file), &uploaded.file_name) {
        Ok(found) if speaks_against(&found, &uploaded.file_name) => {
            let what = format!("{} is {}.", uploaded.file_name, found.kind.what());
            std::iter::once(what).chain(found.words).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn speaks_against(found: &Examined, name: &str) -> bool {
    found.kind.runs()
        || matches!(found.standing, Standing::CutShort | Standing::Broken)
        || media::differs(name, found.kind)
}

async fn page(
    agency: &Shared,
    who: &SignedIn,
    about: &About<'_>,
    place: Place,
    objections: &[String],
) -> Answer {
    let has_scanner = sharing(agency)?.exchange.has_scanner();
    let copies = seen(agency, who, &[place]).await?;
    let content = html! {
        p { a href=(about.back.0) { (about.back.1) } }
        @if !objections.is_empty() {
            div class="usa-alert usa-alert--warning" id="objections" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "Nothing was taken: look at what the file is" }
                    ul { @for words in objections { li { (words) } } }
                    p class="usa-alert__text" { "If that is as it should be, choose the file again, and say so below." }
                }
            }
        }
        (list(&copies))
        form class="card" id="redact" method="post" action=(about.action) enctype="multipart/form-data" data-once {
            h2 { "Add a redacted copy" }
            p { "Of " strong { (about.name) } ". The original stays as it is. The copy is made with a program of yours, so that what was redacted is gone from the file and not only covered. "
                "It has at most " (LARGE_BYTES_MAX >> 20) " MiB, is sealed for this agency, and waits in quarantine "
                @if has_scanner { "for the malware scanner and " }
                "for a person to accept it." }
            (csrf(who))
            (words("what", "What was redacted", "In words that the partner may read: faces of bystanders, a child’s name"))
            (words("reason", "Why", "The reason, the exemption or the rule"))
            label class="usa-label" for="file" { "The redacted copy " span class="must" { "*" } }
            input class="usa-input" id="file" type="file" name="file" required;
            @if !objections.is_empty() {
                div class="usa-checkbox" {
                    input class="usa-checkbox__input" type="checkbox" id="although" name="although" value="yes";
                    label class="usa-checkbox__label" for="although" { "I have seen what the file is. Take it all the same" }
                }
            }
            button class="usa-button" type="submit" { "Add the copy" }
        }
    };
    Ok(agency.page(who, "Redacted copies", &about.current, &content))
}

fn words(name: &str, label: &str, hint: &str) -> Markup {
    let described = format!("{name}-hint");
    html! {
        label class="usa-label" for=(name) { (label) " " span class="must" { "*" } }
        span class="usa-hint" id=(described) { (hint) }
        input class="usa-input" id=(name) name=(name) required maxlength="500" autocomplete="off" aria-describedby=(described);
    }
}

/// The copies of what is in these places, on record as seen. Nothing is recorded where there are none.
pub(super) async fn seen(
    agency: &Shared,
    who: &SignedIn,
    places: &[Place],
) -> Result<Vec<Copied>, Problem> {
    let Some(sharing) = &agency.exchange else { return Ok(Vec::new()) };
    let copies = sharing.exchange.copies_of(places).await?;
    if copies.is_empty() {
        return Ok(copies);
    }
    let permit = looking::at_parcels(agency, who, "redacted copies").await?;
    looking::show(agency, permit, "redacted copies", copies, |copies| {
        copies.iter().map(|one| format!("{} {}", one.parcel.exchange, one.parcel.digest)).collect()
    })
    .await
}

fn list(copies: &[Copied]) -> Markup {
    html! {
        section class="card" aria-labelledby="copies" {
            h2 id="copies" { @match copies.len() { 0 => "No redacted copies yet", 1 => "1 redacted copy", count => { (count) " redacted copies" } } }
            @if !copies.is_empty() {
                ul class="rows" { @for one in copies {
                    li data-copy=(one.parcel.exchange) {
                        a href={ "/incoming/" (one.parcel.exchange) } { (one.redaction.path) }
                        " " span class="badge badge--info" { (state(one)) }
                        p { (one.redaction.what) " (" (one.redaction.reason) "). " span class="muted" { "By " (one.redaction.by.name) ", " (moment(one.parcel.offered_at)) } }
                    }
                } }
            }
        }
    }
}

fn state(copied: &Copied) -> &'static str {
    match copied.parcel.status {
        IncomingStatus::Accepted => "accepted",
        _ => "waits for a decision",
    }
}

/// That a parcel holds a redacted copy, and of what; its names are content and stay out of it.
pub(super) fn about(parcel: &Incoming) -> Markup {
    html! {
        @if let Some(redaction) = &parcel.redaction {
            section class="card" id="redaction" aria-labelledby="redaction-title" {
                h2 id="redaction-title" { "A redacted copy" }
                dl class="kv" {
                    @for (at, sha256) in redaction.originals.iter().enumerate() {
                        @if at == 0 { (pair("Of the file (SHA-256)", sha256)) }
                        @else { (pair("Which is a copy of (SHA-256)", sha256)) }
                    }
                    (pair("Redacted", &redaction.what))
                    (pair("Because", &redaction.reason))
                    (pair("By", &format!("{}, entry {}", redaction.by.name, redaction.entry)))
                }
                p { "The original is where it was, unaltered." }
            }
        }
    }
}

fn text<'a>(handle: &'a Handle, name: &str) -> &'a str {
    match handle.values.get(name) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
