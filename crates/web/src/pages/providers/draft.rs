//! One provider that is being set up: what its metadata says, the settings, the trial, and the block.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use ledger::Event;
use maud::{Markup, html};
use policy::Action;
use state::drafts::{self, Draft};
use uuid::Uuid;

use super::facts::facts;
use super::settings::{Described, FORMATS, SOURCES, Typed, described, file_name, signer_name};
use super::{Changed, PATH, back, label, seen, trial};
use crate::app::{Answer, Shared};
use crate::pages::parts;
use crate::pages::people::{may_act, permit, step_up};
use crate::problem::Problem;
use crate::session::{Posted, SignedIn};

/// The draft of this id, if its time is not over.
pub(super) async fn found(agency: &Shared, id: Uuid) -> Result<Draft, Problem> {
    let found = drafts::find(&agency.state, id, agency.now()).await;
    found.map_err(|error| Problem::internal(&error))?.ok_or_else(Problem::not_found)
}

/// What a draft describes now.
pub(super) fn of(agency: &Shared, draft: &Draft) -> Result<Described, String> {
    let typed = Typed::from_draft(&draft.content.settings);
    described(&agency.config, &typed, draft.content.metadata.as_bytes(), agency.now())
}

/// `GET /identity/providers/{draft}`.
///
/// # Errors
/// A [`Problem`] when there is no such draft, or the policy, the state or the ledger says no.
pub async fn one(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let draft = found(&agency, parts::id(&id)?).await?;
    let version = format!("{} {}", draft.id, draft.version);
    let seen = seen(&agency, &signed_in, "a draft of a provider", version).await?;
    let now = agency.now();
    let described = of(&agency, &draft);
    let typed = Typed::from_draft(&draft.content.settings);
    let path = format!("{PATH}/{}", draft.id);
    let acts = may_act(&signed_in);
    let content = html! {
        (back())
        @match &described {
            Ok(described) => (facts(&agency, &described.settings, &draft.content.metadata, now)),
            Err(words) => {
                div class="usa-alert usa-alert--error" { div class="usa-alert__body" { p class="usa-alert__text" { (words) } } }
            }
        }
        @if acts { (step_up(&signed_in, now, &path)) (form(&typed, &path, &signed_in)) }
        @if let Ok(described) = &described {
            (trial::card(&draft, described, acts))
            (switching_on(&typed, described, &path))
        }
        @if acts { (discard(&path, &signed_in)) }
        (seen)
    };
    Ok(agency.page(&signed_in, label(&draft), PATH, &content))
}

fn line(typed: &Typed, name: &str, label: &str, hint: &str) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) }
            @if !hint.is_empty() { p class="usa-hint" id={ (name) "-hint" } { (hint) } }
            input class="usa-input" id=(name) name=(name) value=(typed.text(name)) autocomplete="off" spellcheck="false"
                aria-describedby=[(!hint.is_empty()).then(|| format!("{name}-hint"))];
        }
    }
}

fn area(typed: &Typed, name: &str, label: &str, hint: &str) -> Markup {
    html! {
        div class="field field--wide" {
            label class="usa-label" for=(name) { (label) }
            p class="usa-hint" id={ (name) "-hint" } { (hint) }
            textarea class="usa-textarea" id=(name) name=(name) spellcheck="false" aria-describedby={ (name) "-hint" } {
                "\n" (typed.text(name))
            }
        }
    }
}

fn choice(typed: &Typed, name: &str, label: &str, options: &[(&str, &str)]) -> Markup {
    html! {
        div class="field" {
            label class="usa-label" for=(name) { (label) }
            select class="usa-select" id=(name) name=(name) {
                @for (value, words) in options {
                    option value=(value) selected[typed.text(name) == *value] { (words) }
                }
            }
        }
    }
}

fn tick(typed: &Typed, name: &str, label: &str) -> Markup {
    html! {
        label { input class="tick" type="checkbox" name=(name) value="yes" checked[typed.is_on(name)]; " " (label) }
    }
}

fn form(typed: &Typed, path: &str, signed_in: &SignedIn) -> Markup {
    let sources = [
        ("provider", "what the provider says at each sign-in"),
        ("account", "the account, which a directory or an administrator keeps"),
    ];
    let given = typed.lines("functions");
    html! {
        section class="card" aria-labelledby="settings" {
            h2 id="settings" { "What the agency decides" }
            form class="rows" method="post" action=(path) {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="act" value="settings";
                div class="fields" {
                    (line(typed, "id", "Id", "1 to 40 of a-z, 0-9 and -. It becomes part of every account key and stays for ever."))
                    (line(typed, "label", "Name on the sign-in page", ""))
                    (choice(typed, "source", "The server will have its metadata from", &SOURCES))
                    (line(typed, "metadata_url", "Address of its metadata", "Only for an address. It is not asked now."))
                    (choice(typed, "name_id_format", "Names of people are", &FORMATS))
                    (line(typed, "name_attribute", "Attribute with the person's name", ""))
                    (area(typed, "mfa_contexts", "Contexts that count as more than one factor", "One a line. They are asked for, and any other is refused."))
                    (line(typed, "mfa_attribute_name", "Or an attribute that states it", "Its name"))
                    (line(typed, "mfa_attribute_value", "and the value among its values", ""))
                    (line(typed, "functions_attribute", "Attribute with job functions or groups", ""))
                    (choice(typed, "functions_from", "Job functions come from", &sources))
                    (area(typed, "functions_map", "Groups and the job functions that they give", "One a line: group = function. A function's own name needs no line."))
                    fieldset class="usa-fieldset field--wide" {
                        legend class="usa-legend" { "The only job functions that it may give (none ticked: all)" }
                        div class="cluster" {
                            @for name in identity::functions::known() {
                                label { input class="tick" type="checkbox" name="functions" value=(name) checked[given.contains(&name)]; " " (name) }
                            }
                        }
                    }
                    (line(typed, "agency", "ORI of the agency whose people it signs in", "Empty: this agency. Another one's people are guests."))
                    (line(typed, "agency_attribute", "Attribute with the person's ORI", "Empty: it is not compared."))
                    fieldset class="usa-fieldset field--wide" {
                        legend class="usa-legend" { "Rarely" }
                        div class="rows" {
                            (tick(typed, "oaep_sha1", "It wraps keys by OAEP with SHA-1, and can't otherwise"))
                            (tick(typed, "create_accounts", "A person without an account gets one by signing in"))
                        }
                    }
                }
                div class="field__actions" { button class="usa-button" type="submit" { "Keep these settings" } }
            }
        }
    }
}

fn switching_on(typed: &Typed, described: &Described, path: &str) -> Markup {
    let declared = &described.declared;
    html! {
        section class="card" aria-labelledby="block" {
            h2 id="block" { "Switch it on" }
            p { "This page switches nothing on. Whoever keeps the machine's configuration does, and that should be another person:" }
            ol class="rows" {
                @if declared.metadata.is_some() {
                    li { a href={ (path) "/metadata" } { "Take the metadata" } " and put it beside " code { "bailiwick.toml" } " as " code { (file_name(typed)) } "." }
                }
                @if declared.metadata_ca.is_some() {
                    li { "Put the certificate of the authority that its server's certificate is from beside it, as " code { "metadata-authority.pem" } "." }
                }
                @if declared.metadata_signer.is_some() {
                    li { "Put the signer's certificate, shown above, beside it as " code { (signer_name(typed)) } "." }
                }
                li { "Paste this block, run " code { "bailiwick check --config bailiwick.toml" } ", and restart the service." }
            }
            pre class="note copy" role="group" id="block-text" tabindex="0" aria-label="Block for bailiwick.toml" { (described.block) }
            button class="usa-button usa-button--outline usa-button--small" type="button" hidden data-copy="#block-text" { "Copy the block" }
        }
    }
}

fn discard(path: &str, signed_in: &SignedIn) -> Markup {
    html! {
        form method="post" action=(path) {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            input type="hidden" name="act" value="discard";
            button class="usa-button usa-button--outline" type="submit" { "Discard this draft" }
        }
    }
}

/// `POST /identity/providers/{draft}`: other settings, or an end of it.
///
/// # Errors
/// A [`Problem`] that names the field, or when the draft changed meanwhile, or the policy, the state or the ledger says
/// no; then it is as it was.
pub async fn change(
    State(agency): State<Shared>,
    Path(id): Path<String>,
    posted: Posted,
) -> Answer {
    let signed_in = &posted.signed_in;
    let permit = permit(Action::ManageProviders, &agency, signed_in, "a draft").await?;
    let mut draft = found(&agency, parts::id(&id)?).await?;
    let path = format!("{PATH}/{}", draft.id);
    let what = format!("a draft of identity provider {}", ledger_name(&draft));
    if posted.text("act") == "discard" {
        let event =
            Event::SettingsLoaded { what: format!("the end of {what}"), digest: digest(&draft) };
        agency.ledger.append(signed_in.record(event)).await?;
        let done = drafts::discard(&agency.state, draft.id).await;
        done.map_err(|error| Problem::internal(&error))?;
        agency.gate.release(permit.hold(Changed("the end of a draft", id))).await?;
        return Ok(Redirect::to(PATH).into_response());
    }
    let typed = Typed::read(&posted.fields);
    let good = typed.map_err(|problem| problem.words).and_then(|typed| {
        let metadata = draft.content.metadata.as_bytes();
        described(&agency.config, &typed, metadata, agency.now()).map(|_| typed)
    });
    let typed = match good {
        Ok(typed) => typed,
        Err(words) => {
            agency.gate.withhold(permit.ticket(), "the settings were refused").await?;
            return Err(Problem::bad_input(words).with_next(path, "Back to the draft"));
        }
    };
    draft.content.settings = typed.kept();
    // What was tried were other settings.
    draft.content.trial = None;
    let event = Event::SettingsLoaded { what, digest: digest(&draft) };
    agency.ledger.append(signed_in.record(event)).await?;
    let done = drafts::update(&agency.state, &draft).await;
    if !done.map_err(|error| Problem::internal(&error))? {
        agency.gate.withhold(permit.ticket(), "somebody else changed it").await?;
        return Err(Problem::bad_input(
            "Somebody else changed the draft just now. Nothing was done.",
        )
        .with_next(path, "Back to the draft"));
    }
    agency.gate.release(permit.hold(Changed("settings of a draft", id))).await?;
    Ok(Redirect::to(&path).into_response())
}

/// The SHA-256 of what a draft would have people believe.
fn digest(draft: &Draft) -> String {
    let mut text = draft.content.metadata.clone();
    for (name, value) in &draft.content.settings {
        text.push_str(&format!("\n{name}={value}"));
    }
    hex::encode(keys::digest::sha256(text.as_bytes()))
}

/// `GET /identity/providers/{draft}/metadata`: the metadata, byte for byte.
///
/// # Errors
/// As [`one`].
pub async fn metadata(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let draft = found(&agency, parts::id(&id)?).await?;
    seen(&agency, &signed_in, "a draft's metadata", draft.id.to_string()).await?;
    let name = file_name(&Typed::from_draft(&draft.content.settings));
    Ok(attached(&name, draft.content.metadata))
}

fn attached(name: &str, text: String) -> Response {
    let mut response =
        ([(header::CONTENT_TYPE, "application/samlmetadata+xml")], text).into_response();
    let plain: String =
        name.chars().filter(|one| one.is_ascii_alphanumeric() || "-.".contains(*one)).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// How the ledger names a draft.
pub(super) fn ledger_name(draft: &Draft) -> &str {
    crate::session::field(&draft.content.settings, "id")
}
