//! Identity providers: those that are switched on, what to do when one can't be trusted any more, and a wizard for
//! one that is to be.
//!
//! The wizard says what to enter at the provider, takes its metadata, has a person try to sign in, and prints the block
//! for `bailiwick.toml`. It changes nothing about who may sign in: that is done by whoever keeps the machine's
//! configuration (docs/decisions/0015-the-set-up-wizard-prints-its-block.md). No address that was typed here is asked
//! by this server.

mod draft;
mod facts;
mod guides;
mod oidc;
mod settings;
mod steps;
mod trial;
mod trust;
mod values;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use identity::IdpSettings;
use jiff::SignedDuration;
use keys::digest::sha256;
use ledger::Event;
use maud::{Markup, html};
use policy::Action;
use state::drafts::{self, Content, Draft, Kept};
use state::holds::{self, Held};
use uuid::Uuid;

pub use self::draft::{change, metadata, one};
pub(super) use self::oidc::{arrive as arrive_oidc, tried};
pub use self::oidc::{page as oidc_page, start as start_oidc};
pub(super) use self::trial::arrive;
pub use self::trial::start;
pub use self::trust::{act as trust, moved};
use super::parts::print_of;
use super::people::{may_act, permit, step_up};
use crate::app::{Answer, Shared};
use crate::pages::parts::moment;
use crate::problem::Problem;
use crate::session::SignedIn;
use crate::upload::Uploaded;

const PATH: &str = "/identity/providers";

/// How long a draft is kept.
const DRAFT_LIFE: SignedDuration = SignedDuration::from_hours(24 * 14);

/// What of this page went through the gate.
struct Shown(&'static str, String);

impl gate::Fingerprint for Shown {
    fn fingerprint(&self) -> gate::Print {
        print_of(self.0, 1, &self.1)
    }
}

/// A draft that was changed, which closes its permit.
struct Changed(&'static str, String);

impl gate::Fingerprint for Changed {
    fn fingerprint(&self) -> gate::Print {
        print_of(self.0, 1, &self.1)
    }

    fn written(&self) -> Option<u64> {
        Some(1)
    }
}

/// Puts on record that this person sees this, and gives it the number of the entry.
async fn seen(
    agency: &Shared,
    signed_in: &SignedIn,
    what: &'static str,
    which: String,
) -> Result<Markup, Problem> {
    let permit = permit(Action::ViewPosture, agency, signed_in, "identity providers").await?;
    let released = agency.gate.release(permit.hold(Shown(what, which))).await?;
    let entry = released.open().1.entry;
    Ok(html! { p class="muted small" { "This reading is ledger entry " (entry) "." } })
}

/// `GET /identity/providers`.
///
/// # Errors
/// A [`Problem`] when the policy, the state or the ledger says no.
pub async fn list(State(agency): State<Shared>, signed_in: SignedIn) -> Answer {
    show(&agency, &signed_in, None).await
}

async fn show(agency: &Shared, signed_in: &SignedIn, said: Option<&Markup>) -> Answer {
    let now = agency.now();
    let failed = |error| Problem::internal(&error);
    let drafts = drafts::list(&agency.state, now).await.map_err(failed)?;
    let held = holds::list(&agency.state).await.map_err(failed)?;
    let ids = drafts.iter().map(|draft| draft.id.to_string());
    let ids: Vec<String> = ids.chain(held.iter().map(|one| format!("held {}", one.idp))).collect();
    let seen = seen(agency, signed_in, "identity providers", ids.join("\n")).await?;
    let acts = may_act(signed_in);
    let content = html! {
        @if let Some(said) = said { (said) }
        (switched_on(agency, &held))
        (drafted(&drafts))
        @if acts { (trust::form(agency, signed_in, now)) }
        @if acts {
            section class="rows" aria-labelledby="another" {
                h2 id="another" { "Set up another provider" }
                div class="grid" {
                    @for guide in guides::GUIDES {
                        a class="tile" href={ "/identity/guides/" (guide.id) } {
                            h3 { (guide.name) } p class="small" { (guide.summary) }
                        }
                    }
                    a class="tile" href="/identity/guides/oidc" {
                        h3 { "OpenID Connect" }
                        p class="small" { "A client of any provider, with a key and without a secret." }
                    }
                }
            }
        }
        (seen)
    };
    Ok(agency.page(signed_in, "Identity providers", PATH, &content))
}

fn switched_on(agency: &Shared, held: &[Held]) -> Markup {
    let known = agency.identity.providers();
    let config = &agency.config;
    let state = |id: &str| known.iter().find(|one| one.id == id);
    html! {
        section class="card card--flush" aria-labelledby="on" {
            div class="toolbar" { h2 id="on" { "Switched on" } }
            div class="tablebox" role="region" aria-label="Providers that are switched on" tabindex="0" {
                table class="table" {
                    caption class="usa-sr-only" { "Identity providers in the configuration" }
                    thead { tr {
                        th scope="col" { "Name" } th scope="col" { "Trust" } th scope="col" { "Id" }
                        th scope="col" { "Kind" }
                        th scope="col" { "Entity ID or issuer" } th scope="col" { "Metadata until" }
                        th scope="col" { "Last certificate until" }
                    } }
                    tbody {
                        @for one in &config.identity_providers {
                            tr data-provider=(one.id) {
                                th scope="row" { (one.label) }
                                td { (trust::standing(held, &one.id)) }
                                td class="mono" { (one.id) }
                                td { "SAML 2.0" }
                                @match state(&one.id) {
                                    Some(known) => {
                                        td class="hash" { (known.entity_id) }
                                        td class="nowrap" { (until(known)) }
                                        td class="nowrap" { (known.certificates_until().map_or("not known".to_owned(), moment)) }
                                    }
                                    None => {
                                        td { span class="badge badge--warn" { "its metadata was not fetched yet" } }
                                        td { "–" } td { "–" }
                                    }
                                }
                            }
                        }
                        @for one in &config.oidc_providers {
                            tr data-provider=(one.id) {
                                th scope="row" { a href={ "/identity/oidc/" (one.id) } { (one.label) } }
                                td {
                                    @if one.trial { span class="badge badge--warn" { "on trial" } }
                                    @else { (trust::standing(held, &one.id)) }
                                }
                                td class="mono" { (one.id) }
                                td { "OpenID Connect" }
                                td class="hash" { (one.issuer) }
                                td { "read daily" } td { "read hourly" }
                            }
                        }
                        @for one in &config.certificate_providers {
                            tr data-provider=(one.id) {
                                th scope="row" { (one.label) }
                                td { (trust::standing(held, &one.id)) }
                                td class="mono" { (one.id) }
                                td { "Certificates" }
                                td { "its authorities, in the configuration" } td { "–" } td { "–" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn until(known: &IdpSettings) -> String {
    known.valid_until.map_or("no end".to_owned(), moment)
}

/// Those of SAML: what came of the trials of others is kept among them.
fn drafted(drafts: &[Draft]) -> Markup {
    let saml = |draft: &&Draft| !draft.content.metadata.is_empty();
    let drafts: Vec<&Draft> = drafts.iter().filter(saml).collect();
    html! {
        @if !drafts.is_empty() {
            section class="card" aria-labelledby="drafts" {
                h2 id="drafts" { "Being set up" }
                ul class="rows" {
                    @for draft in &drafts {
                        li {
                            a href={ (PATH) "/" (draft.id) } { (label(draft)) }
                            " " (trial::badge(draft))
                            " made " (moment(draft.made_at)) ", kept until " (moment(draft.expires_at))
                        }
                    }
                }
            }
        }
    }
}

fn label(draft: &Draft) -> &str {
    let label = crate::session::field(&draft.content.settings, "label");
    if label.is_empty() { "A provider without a name" } else { label }
}

/// `GET /identity/guides/{guide}`: what to enter at the provider, and the form for its metadata.
///
/// # Errors
/// A [`Problem`] when there is no such guide, or the policy or the ledger says no.
pub async fn guide(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    if id == "oidc" {
        let seen = seen(&agency, &signed_in, "how to set up a provider", id).await?;
        let content = html! { (back()) (values::oidc(&agency)) (seen) };
        return Ok(agency.page(&signed_in, "Set up OpenID Connect", PATH, &content));
    }
    let guide = guides::guide(&id).ok_or_else(Problem::not_found)?;
    let seen = seen(&agency, &signed_in, "how to set up a provider", id).await?;
    let content = html! {
        (back())
        (values::saml(&agency))
        section class="card" aria-labelledby="there" {
            h2 id="there" { "At " (guide.name) }
            ol class="rows" { @for step in guide.steps { li { (step) } } }
            @if !guide.notes.is_empty() {
                h3 { "To know" }
                ul class="rows" { @for note in guide.notes { li { (note) } } }
            }
        }
        @if may_act(&signed_in) { (upload_form(&signed_in, guide.id, agency.now())) }
        (seen)
    };
    Ok(agency.page(&signed_in, &format!("Set up {}", guide.name), PATH, &content))
}

fn back() -> Markup {
    html! { p { a href=(PATH) { "Back to identity providers" } } }
}

fn upload_form(signed_in: &SignedIn, guide: &str, now: jiff::Timestamp) -> Markup {
    html! {
        section class="card" aria-labelledby="upload" {
            h2 id="upload" { "Its metadata" }
            (step_up(signed_in, now, &format!("/identity/guides/{guide}")))
            form class="rows" method="post" action=(PATH) enctype="multipart/form-data" {
                input type="hidden" name="csrf" value=(signed_in.csrf);
                input type="hidden" name="guide" value=(guide);
                div class="field" {
                    label class="usa-label" for="metadata" { "Metadata file (XML, at most 1 MiB) " span class="must" { "*" } }
                    p class="usa-hint" id="metadata-hint" {
                        "If the provider shows an address instead: open it in your browser, and save what it shows. This \
                         server asks no address that is typed here."
                    }
                    input class="usa-input" type="file" id="metadata" name="metadata" required
                        accept=".xml,text/xml,application/xml,application/samlmetadata+xml" aria-describedby="metadata-hint";
                }
                p class="muted small" { "Nobody can sign in by it. It is kept for two weeks, and read by administrators and those who oversee them." }
                div class="field__actions" { button class="usa-button" type="submit" { "Look at it" } }
            }
        }
    }
}

/// `POST /identity/providers`: metadata that was uploaded becomes a draft.
///
/// # Errors
/// A [`Problem`] when the metadata can't be read, there are too many drafts, or the policy, the state or the ledger
/// says no; then there is no draft.
pub async fn upload(State(agency): State<Shared>, uploaded: Uploaded) -> Answer {
    let Uploaded { signed_in, fields, file, .. } = uploaded;
    let permit = permit(Action::ManageProviders, &agency, &signed_in, "a draft").await?;
    let now = agency.now();
    let guide = guides::guide(crate::session::field(&fields, "guide"));
    let guide = guide.ok_or_else(|| Problem::bad_input("Choose the kind of provider."))?;
    let read = read(&agency, &file);
    let (text, known) = match read {
        Ok(read) => read,
        Err(words) => {
            agency.gate.withhold(permit.ticket(), "the metadata was refused").await?;
            return Err(Problem::bad_input(words)
                .with_next(format!("/identity/guides/{}", guide.id), "Choose another file"));
        }
    };
    let mut settings = settings::defaults(guide.fields);
    settings.push(("id".to_owned(), fresh_id(&agency, guide.id)));
    settings.push(("label".to_owned(), known.label.chars().take(100).collect()));
    let digest = hex::encode(sha256(text.as_bytes()));
    let draft = Draft {
        id: fresh_uuid(&agency)?,
        version: 1,
        made_at: now,
        expires_at: now.checked_add(DRAFT_LIFE).unwrap_or(now),
        content: Content {
            by: signed_in.actor.id.to_string(),
            metadata: text,
            settings,
            trial: None,
        },
    };
    let event = Event::SettingsLoaded {
        what: format!("a draft of identity provider {}", known.entity_id),
        digest,
    };
    agency.ledger.append(signed_in.record(event)).await?;
    match drafts::keep(&agency.state, &draft).await.map_err(|error| Problem::internal(&error))? {
        Kept::Kept => {}
        Kept::TooMany => {
            agency.gate.withhold(permit.ticket(), "there are too many drafts").await?;
            return Err(Problem::bad_input("There are twenty drafts already. Discard one first.")
                .with_next(PATH, "To the drafts"));
        }
    }
    let made = Changed("a draft of a provider", draft.id.to_string());
    agency.gate.release(permit.hold(made)).await?;
    Ok(Redirect::to(&format!("{PATH}/{}", draft.id)).into_response())
}

/// The text of a metadata file and what it describes, or words that say why not.
fn read(agency: &Shared, file: &[u8]) -> Result<(String, IdpSettings), String> {
    if file.is_empty() {
        return Err("Choose the file with the provider's metadata.".to_owned());
    }
    let ori = agency.config.agency.ori.clone();
    let known = IdpSettings::from_metadata("draft", ori, file, agency.now());
    let known = known.map_err(|refusal| {
        format!("The metadata is refused: {} ({}).", refusal.detail, refusal.code)
    })?;
    let text = String::from_utf8(file.to_vec()).map_err(|_| "The metadata is not UTF-8.")?;
    Ok((text, known))
}

/// An id that no provider has.
fn fresh_id(agency: &Shared, guide: &str) -> String {
    let config = &agency.config;
    let taken = |id: &str| {
        config.identity_providers.iter().any(|one| one.id == id)
            || config.oidc_providers.iter().any(|one| one.id == id)
    };
    let numbered = (2..100).map(|number| format!("{guide}-{number}"));
    std::iter::once(guide.to_owned()).chain(numbered).find(|id| !taken(id)).unwrap_or_default()
}

/// `GET /saml/certificate.pem`: our certificates for signatures, which are in our metadata too.
pub async fn certificate(State(agency): State<Shared>) -> Response {
    let pem: String =
        agency.identity.certificates().iter().map(keys::cert::Certificate::pem).collect();
    let mut response = ([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response();
    let disposition = HeaderValue::from_static("attachment; filename=\"bailiwick-saml.pem\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response
}

fn fresh_uuid(agency: &Shared) -> Result<Uuid, Problem> {
    let bytes = keys::random_bytes(&*agency.random).map_err(|error| Problem::internal(&error))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
