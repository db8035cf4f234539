//! Parcels that partners sent: the list, one parcel with its files, and one file shown.

pub mod brought;
pub mod deciding;
mod outline;
pub mod parcels;
pub mod receipts;
pub mod scanned;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use exchange::{Contents, Incoming, IncomingStatus, ReceivedFile};
use gate::Value;
use jiff::Timestamp;
use maud::{Markup, html};
use policy::Why;

use crate::app::{Answer, Shared};
use crate::pages::documents::{PIECE_BYTES_MAX, range_of, shown, streamed};
use crate::pages::parts::{bytes_words, id, moment, pair, sharing};
use crate::pages::{custody, looking, notices};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// The most parcels on the list.
const LIST_MAX: usize = 200;

/// `GET /incoming`: what arrived. Names no content.
///
/// # Errors
/// A [`Problem`] when sharing is not configured or the state cannot be read.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    let permit = looking::at_parcels(&agency, &signed_in, "received parcels").await?;
    let parcels = sharing(&agency)?.exchange.all_incoming(&[], None).await?;
    let mut missing = Vec::new();
    for partner in sharing(&agency)?.exchange.book().partners() {
        let numbers = sharing(&agency)?.exchange.missing_numbers(partner.ori.as_str()).await?;
        missing.extend(numbers.into_iter().map(|number| (partner.name.clone(), number)));
    }
    let found = (parcels, missing);
    let (parcels, missing) = looking::show(&agency, permit, "received parcels", found, |found| {
        let parcels = found.0.iter().take(LIST_MAX).map(line);
        let missing = found.1.iter().take(LIST_MAX);
        parcels.chain(missing.map(|(name, it)| format!("missing {name} {}", it.number))).collect()
    })
    .await?;
    let has_scanner = sharing(&agency)?.exchange.has_scanner();
    let content = html! {
        @if !missing.is_empty() {
            section class="usa-alert usa-alert--warning" id="missing" aria-label="Numbers that never came" {
                div class="usa-alert__body" {
                    h2 class="usa-alert__heading" { "Numbers that never came" }
                    p class="usa-alert__text" { "Every parcel of a partner has a number, without gaps. Ask the partner about these." }
                    ul { @for (name, it) in missing.iter().take(LIST_MAX) { li {
                        (name) ", no. " (it.number)
                        @if let Some(way) = &it.way { ": sent by " (way) ", not over the line. " a href="/take-in" { "Take it in" } " when it is here" }
                    } } }
                }
            }
        }
        section class="card card--flush" aria-labelledby="parcels" {
            div class="toolbar" { h2 id="parcels" { (parcels.len()) @if parcels.len() == 1 { " parcel" } @else { " parcels" } } a class="usa-button usa-button--outline" href="/take-in" { "Take in files of others" } }
            @if parcels.is_empty() {
                div class="empty" { p { strong { "Nothing has arrived yet." } } }
            } @else {
                div class="tablebox" role="region" aria-label="Received parcels" tabindex="0" {
                    table class="table" {
                        caption class="usa-sr-only" { "Received parcels, newest first" }
                        thead { tr {
                            th scope="col" { "Parcel" } th scope="col" { "From" }
                            th scope="col" { "Arrived" } th scope="col" { "Size" } th scope="col" { "State" }
                        } }
                        tbody { @for parcel in parcels.iter().take(LIST_MAX) { (row(parcel, has_scanner, agency.now())) } }
                    }
                }
            }
        }
    };
    Ok(agency.page(&signed_in, "Received parcels", "/incoming", &content))
}

/// What tells it from others, for the record of what was shown.
fn line(parcel: &Incoming) -> String {
    format!("{} {}", parcel.exchange, parcel.digest)
}

fn row(parcel: &Incoming, has_scanner: bool, now: Timestamp) -> Markup {
    let id = parcel.exchange.to_string();
    html! {
        tr data-exchange=(id) {
            th scope="row" { a href={ "/incoming/" (id) } { (parcels::named(parcel)) @if parcel.brought { " taken in here" } @else { " from " (parcel.partner) } } }
            td { (parcel.sender_name) }
            td { (moment(parcel.offered_at)) }
            td class="num" { (bytes_words(parcel.bytes)) }
            td {
                (badge(parcel))
                @if let Some(words) = deciding::wants(parcel, has_scanner, now) { " " span class="badge badge--warn" { (words) } }
                @if parcel.scan.as_ref().is_some_and(|scan| scan.infected > 0) { " " span class="badge badge--deny" { "infected files" } }
            }
        }
    }
}

fn badge(parcel: &Incoming) -> Markup {
    let (class, words) = match parcel.status {
        IncomingStatus::Receiving => ("badge badge--info", "arriving"),
        IncomingStatus::Received if parcel.brought => ("badge badge--info", "taken in"),
        IncomingStatus::Received => ("badge badge--permit", "verified and acknowledged"),
        IncomingStatus::Accepted => ("badge badge--permit", "accepted"),
        IncomingStatus::Destroying => ("badge badge--info", "is being destroyed"),
        IncomingStatus::Destroyed => ("badge", "destroyed"),
        IncomingStatus::Recalled => ("badge", "recalled before it was here"),
        IncomingStatus::Expired => ("badge", "not sent in time"),
        IncomingStatus::Refused => ("badge badge--deny", "refused"),
    };
    html! { span class=(class) { (words) } }
}

/// `GET /incoming/{exchange}`: where it comes from and how it was verified; its content needs
/// [`open`].
///
/// # Errors
/// A [`Problem`] when there is no such parcel.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(exchange): Path<String>,
) -> Answer {
    let parcel = id(&exchange)?;
    let permit = looking::at_parcels(&agency, &signed_in, &parcel.to_string()).await?;
    let parcel = sharing(&agency)?.exchange.incoming(parcel).await?;
    let told = sharing(&agency)?.exchange.told(parcel.exchange).await?;
    let found = (parcel, told);
    let (parcel, told) = looking::show(&agency, permit, "received parcel", found, |found| {
        let inside = outline::lines(&found.0);
        let told = found.1.iter().map(notices::line);
        std::iter::once(line(&found.0)).chain(inside).chain(told).collect()
    })
    .await?;
    let csrf = &signed_in.csrf;
    let has_scanner = sharing(&agency)?.exchange.has_scanner();
    let can_be_opened = parcel.status == IncomingStatus::Accepted
        && (parcel.scan.is_some() || !has_scanner)
        && !parcel.is_past_its_time(agency.now());
    let content = html! {
        p { a href="/incoming" { "All received parcels" } }
        (super::redacting::about(&parcel))
        (super::seen::summary(&parcel))
        (deciding::so_far(&parcel, agency.now()))
        (scanned::summary(&parcel, has_scanner))
        @if can_be_opened {
            form class="card" id="open" method="post" action={ "/incoming/" (exchange) } {
                h2 { "Open it" }
                p { "The list of files is shown, and that you saw it is recorded." }
                input type="hidden" name="csrf" value=(csrf);
                div class="fields" {
                    div class="field" {
                        label class="usa-label" for="purpose" { "Purpose code " span class="must" { "*" } }
                        input class="usa-input" id="purpose" name="purpose" required maxlength="1" value="C";
                    }
                    div class="field" {
                        label class="usa-label" for="case_number" { "Your case number" }
                        input class="usa-input" id="case_number" name="case_number" autocomplete="off";
                    }
                    div class="field__actions field--wide" {
                        button class="usa-button" type="submit" { "Open the parcel" }
                    }
                }
            }
        }
        (outline::to_decide(&parcel))
        (deciding::forms(&agency, &signed_in, &parcel, has_scanner))
        (facts(&parcel))
        (receipts::card(&parcel))
        (custody::of_incoming(csrf, &parcel, can_be_opened))
        (notices::table(&told, &parcel.sender_name))
    };
    Ok(agency.page(&signed_in, &title(&parcel), "/incoming", &content))
}

fn title(parcel: &Incoming) -> String {
    if parcel.redaction.is_some() {
        return format!("Parcel {}, a redacted copy", parcel.number);
    }
    if parcel.brought {
        return format!("Parcel {}, taken in here", parcel.number);
    }
    match parcel.number {
        0 => format!("A parcel without a number from {}", parcel.sender_name),
        number => format!("Parcel {number} from {}", parcel.sender_name),
    }
}

fn facts(parcel: &Incoming) -> Markup {
    html! {
        div class="card" {
            div class="card__head" { h2 { @if parcel.brought { "How it was taken in" } @else { "How it was verified" } } (badge(parcel)) }
            dl class="kv" {
                (pair("Exchange", &parcel.exchange.to_string()))
                @if parcel.brought {
                    (pair("From", &parcel.sender_name))
                    (pair("Sender's signature", "none: nobody vouches for it, and it is sealed by ourselves"))
                } @else {
                    (pair("Sender", &format!("{} ({})", parcel.sender_name, parcel.partner)))
                }
                (pair("Digest (SHA-256)", &parcel.digest))
                (pair("Parts", &format!("{}, {}", parcel.parts, bytes_words(parcel.bytes))))
                @if let Some(words) = parcels::came(parcel) { (pair("How it came", &words)) }
                @if !parcel.brought { (pair("Sender's ledger entry", &parcel.sender_entry.to_string())) }
                @if let Some(entry) = parcel.received_entry {
                    (pair("Our ledger entry", &entry.to_string()))
                }
                @if let Some(receipt) = &parcel.receipt {
                    (pair("Receipt (SHA-256)", &receipt.digest))
                }
                @if let Some(refusal) = &parcel.refusal {
                    (pair("Refused at", &refusal.place))
                    (pair("Because", &refusal.reason))
                    (pair("Our ledger entry of the refusal", &refusal.entry.to_string()))
                }
            }
        }
    }
}

/// `POST /incoming/{exchange}`: the files, through the gate.
///
/// # Errors
/// A [`Problem`] when a field cannot be read, or the gate refuses.
pub async fn open(
    State(agency): State<Shared>,
    Path(exchange): Path<String>,
    posted: Posted,
) -> Answer {
    let exchange_id = id(&exchange)?;
    let parcel = sharing(&agency)?.exchange.incoming(exchange_id).await?;
    let why = why(&posted)?;
    let caller = posted.signed_in.caller();
    let released = sharing(&agency)?.exchange.contents(&caller, exchange_id, &why).await?;
    let (contents, receipt) = released.open();
    let inside = &contents.inside;
    let content = html! {
        p { a href="/incoming" { "All received parcels" } }
        (outline::terms(&parcel, inside, Some(receipt.entry.0)))
        section class="card card--flush" aria-labelledby="files" {
            div class="toolbar" { h2 id="files" { (inside.files.len()) @if inside.files.len() == 1 { " file" } @else { " files" } } }
            div class="tablebox" role="region" aria-label="Files of the parcel" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Files of the parcel" }
                    thead { tr { th scope="col" { "File" } th scope="col" { "Type" } th scope="col" { "Size" } th scope="col" { "SHA-256" } th scope="col" { "Malware scan" } th scope="col" { "Redacted copies" } th scope="col" { "To others" } } }
                    tbody {
                        @for file in &inside.files {
                            tr {
                                th scope="row" {
                                    // A held file's link would lead to a refusal.
                                    @if contents.scan.as_ref().is_some_and(|scan| scan.holds(&file.path).is_some()) { (file.path) }
                                    @else { (link(&agency, &posted.signed_in, (&exchange, file), &why)) }
                                    (made_of(file, &inside.files))
                                }
                                td { (super::seen::what(file.seen.as_ref(), &file.media_type)) }
                                td class="num" { (bytes_words(file.length)) }
                                td class="hash" { (file.sha256) }
                                td { (scanned::said(contents, &file.path)) }
                                td { (redact(&agency, &posted.signed_in, (&exchange, contents, file), &why)) }
                                td { (pass_on(&agency, &posted.signed_in, (&exchange, contents, file), &why)) }
                            }
                        }
                    }
                }
            }
        }
        (scanned::held(&agency, &posted.signed_in, (&exchange, contents), &why))
    };
    Ok(agency.page(&posted.signed_in, &title(&parcel), "/incoming", &content))
}

pub(super) fn why(posted: &Posted) -> Result<Why, Problem> {
    let purpose = posted.text("purpose").trim().to_uppercase().parse();
    let purpose =
        purpose.map_err(|_| Problem::bad_input("`Purpose code` is one letter, such as C."))?;
    let case_number = match posted.text("case_number").trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| {
            Problem::bad_input("`Your case number` is two digits, a dash and six digits.")
        })?),
    };
    Ok(Why { purpose: Some(purpose), case_number, reason: None })
}

/// What a file was made of, as its custody record says; an original that came along by its name.
fn made_of(file: &ReceivedFile, all: &[ReceivedFile]) -> Markup {
    html! {
        @if let Some(derived) = &file.derived {
            p class="small" data-derived=(derived.kind) {
                @if derived.kind == "redacted" { strong { "Redacted copy" } } @else { strong { "Made here of another file" } }
                " of "
                @for (at, sha256) in derived.originals.iter().enumerate() {
                    @if at > 0 { ", which was made of " }
                    @match all.iter().find(|other| other.sha256 == *sha256) {
                        Some(other) => { (other.path) }
                        None => { "a file that is not in this parcel, SHA-256 " span class="hash" { (sha256) } }
                    }
                }
                ". " (derived.words) ". By " (derived.by) "."
            }
        }
    }
}

/// What somebody acts on a file by, for the purpose that the parcel was opened for. A held file has none.
fn handle_of(
    agency: &Shared,
    who: &SignedIn,
    (exchange, contents, file): (&str, &Contents, &ReceivedFile),
    why: &Why,
) -> Option<String> {
    let held = contents.scan.as_ref().is_some_and(|scan| scan.holds(&file.path).is_some());
    scanned::handle(agency, who, exchange, file, why).filter(|_| !held)
}

/// Leads to the redacted copies of a file. A held one has none.
fn redact(
    agency: &Shared,
    who: &SignedIn,
    (exchange, contents, file): (&str, &Contents, &ReceivedFile),
    why: &Why,
) -> Markup {
    let handle = handle_of(agency, who, (exchange, contents, file), why);
    html! {
        @if let Some(handle) = handle {
            a href={ "/incoming/" (exchange) "/redact/" (handle) } { "See or add" span class="usa-sr-only" { " redacted copies of " (file.path) } }
        } @else { "held here" }
    }
}

/// The button that begins to pass a file on. A held one stays here.
fn pass_on(
    agency: &Shared,
    who: &SignedIn,
    (exchange, contents, file): (&str, &Contents, &ReceivedFile),
    why: &Why,
) -> Markup {
    let handle = handle_of(agency, who, (exchange, contents, file), why);
    html! {
        @if let Some(handle) = handle {
            form method="post" action={ "/incoming/" (exchange) "/pass-on/" (handle) } {
                (deciding::csrf(who))
                button class="usa-button usa-button--unstyled" type="submit" aria-label={ "Pass on " (file.path) } { "Pass on" }
            }
        } @else { "held here" }
    }
}

/// Leads to a file for this person in this session, for the purpose that the parcel was opened for.
fn link(
    agency: &Shared,
    who: &SignedIn,
    (exchange, file): (&str, &ReceivedFile),
    why: &Why,
) -> Markup {
    html! {
        @match scanned::handle(agency, who, exchange, file, why) {
            Some(handle) => { a href={ "/incoming/" (exchange) "/files/" (handle) } { (file.path) } }
            None => { (file.path) }
        }
    }
}

/// `GET /incoming/{exchange}/files/{handle}`: one file, through the gate; only the parts that carry
/// it are decrypted, in memory.
///
/// # Errors
/// A [`Problem`] for a handle that was not given to this person in this session, or when the gate
/// refuses.
pub async fn file(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path((exchange, sealed)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let exchange_id = id(&exchange)?;
    let Ok(handle) = agency.open_file_handle(&signed_in, &exchange, &sealed) else {
        return Err(agency.foreign_handle(&signed_in, "/incoming").await);
    };
    let text = |name: &str| match handle.values.get(name) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let length = text("length").parse().map_err(|_| Problem::not_found())?;
    let asked = range_of(&headers)?;
    let range = match asked {
        Some(first) if first >= length => return Err(Problem::not_found()),
        Some(first) => Some((first, length.min(first + PIECE_BYTES_MAX))),
        None if length > PIECE_BYTES_MAX && text("media_type").starts_with("video/") => {
            Some((0, PIECE_BYTES_MAX))
        }
        None => None,
    };
    let (caller, path) = (signed_in.caller(), text("path"));
    let sharing = sharing(&agency)?;
    if range.is_none() && length > PIECE_BYTES_MAX {
        let released = sharing.exchange.whole(&caller, exchange_id, path, &handle.why).await?;
        return Ok(streamed(released.into_parts().0));
    }
    let released =
        sharing.exchange.document(&caller, exchange_id, path, range, &handle.why).await?;
    let (document, _) = released.into_parts();
    Ok(shown(document, asked.is_some()))
}
