//! Signing in, the system-use notice, stepping up and signing out.
//!
//! Order that must hold: a sign-in is in the ledger before the browser gets its token; a refusal is
//! in the ledger before the page says so. An identity provider's answer is taken from any site,
//! for it is bound to the browser by the pre-login cookie and to our request by its signature.

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use identity::{Answer as SamlAnswer, IdentityError, Started, cookie};
use ledger::{Event, Origin, Record};
use maud::html;
use serde::Deserialize;
use state::accounts::{Of, end_sessions};

use crate::app::{Answer, Shared};
use crate::config::Config;
use crate::door::Door;
use crate::front;
use crate::pages::{log_out, providers};
use crate::problem::Problem;
use crate::session::{self, BeforeNotice, PostedBeforeNotice, SignedIn};

/// The largest answer of an identity provider that is read, in bytes: 256 KiB of XML in Base64,
/// percent-encoded.
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// `GET /sign-in`: which identity provider.
///
/// # Errors
/// None today.
pub async fn choose(State(agency): State<Shared>, request: Request) -> Answer {
    let door = Door::of(request.extensions());
    let config = &agency.config;
    let providers = providers(config).filter(|(id, _)| door.is_for(config, config.agency_of(id)));
    let content = html! {
        @if door == Door::Guests {
            p class="usa-intro" {
                "For guests of " (config.agency.name) ", to fetch what was sealed for their agency. Sign in with your own agency’s account. \
                 A second factor is required."
            }
        } @else {
            p class="usa-intro" { "Sign in with your agency account. A second factor is required." }
        }
        ul class="doors" {
            @for (id, label) in providers {
                li {
                    a class="usa-button usa-button--big" href={ "/sign-in/" (id) } { (label) }
                }
            }
        }
        @if door == Door::Pages && agency.emergency.accounts().is_some() {
            p { a href="/emergency" { "Emergency sign-in, when no identity provider answers" } }
        }
        p class="usa-hint" {
            "This system holds criminal justice information. Every sign-in, search and view is recorded."
        }
    };
    Ok(agency.public_page("Sign in", &content))
}

/// The ways in, by id and label.
fn providers(config: &Config) -> impl Iterator<Item = (&String, &String)> {
    let saml = config.identity_providers.iter().map(|one| (&one.id, &one.label));
    let cards = config.certificate_providers.iter().filter(|one| one.multi_factor);
    let cards = cards.map(|one| (&one.id, &one.label));
    let oidc = config.oidc_providers.iter().filter(|one| !one.trial);
    let oidc = oidc.map(|one| (&one.id, &one.label));
    cards.chain(saml).chain(oidc)
}

/// `GET /sign-in/{provider}`: off to the identity provider. A link and not a form: a form's
/// redirect to another site is what `form-action` forbids.
///
/// # Errors
/// A [`Problem`] when there is no such provider or the ledger does not take the record.
pub async fn start(
    State(agency): State<Shared>,
    Path(provider): Path<String>,
    request: Request,
) -> Answer {
    let (parts, _) = request.into_parts();
    let origin = session::origin_of(&parts);
    if !providers(&agency.config).any(|(id, _)| *id == provider) {
        return Err(Problem::not_found());
    }
    let door = Door::of(&parts.extensions);
    if !door.is_for(&agency.config, agency.config.agency_of(&provider)) {
        let entry = agency.refuse(None, origin, "/sign-in", "door.other").await?;
        return Err(door.elsewhere(&agency.config).with_entry(entry));
    }
    // Each is a record and a row, and anybody may begin one.
    agency.check_begin(origin.address.as_deref(), &provider)?;
    let event = Event::SignInStarted { idp: provider.clone() };
    agency.ledger.append(Record { origin: origin.clone(), ..Record::platform(event) }).await?;
    match agency.identity.start_sign_in(&provider, "/", agency.now()).await {
        Ok(started) => to_provider(&started),
        Err(error) => Err(not_started(&agency, origin, &provider, error).await),
    }
}

/// Where to return after stepping up. Only paths that this server names itself.
#[derive(Deserialize)]
pub struct Return {
    /// A path of ours.
    #[serde(default)]
    next: String,
}

/// `GET /step-up`: prove again that it is you, before something weighty. The act itself is not
/// replayed; the person does it again afterwards.
///
/// # Errors
/// A [`Problem`] when the sign-in cannot be begun.
pub async fn step_up(
    State(agency): State<Shared>,
    signed_in: SignedIn,
    Query(Return { next }): Query<Return>,
) -> Answer {
    let signed = signed_in.signed();
    let idp = &signed_in.session.idp;
    if idp == identity::emergency::PROVIDER {
        // No provider stands behind it: both halves are asked for again.
        return Ok(Redirect::to("/emergency").into_response());
    }
    let origin = signed_in.origin.clone();
    agency.check_begin(origin.address.as_deref(), idp)?;
    let event = Event::SignInStarted { idp: idp.clone() };
    agency.ledger.append(signed_in.record(event)).await?;
    match agency.identity.start_step_up(&signed, &next, agency.now()).await {
        Ok(started) => to_provider(&started),
        Err(error) => Err(not_started(&agency, origin, idp, error).await),
    }
}

/// Why a sign-in was not begun, as the person is told it.
async fn not_started(
    agency: &Shared,
    origin: Origin,
    provider: &str,
    error: IdentityError,
) -> Problem {
    match error {
        IdentityError::Refused { idp, refusal } => refused(agency, origin, idp, refusal.code).await,
        // Its metadata has not been fetched yet, not once.
        IdentityError::UnknownProvider
            if agency.config.identity_providers.iter().any(|known| known.id == provider) =>
        {
            let idp = Some(provider.to_owned());
            refused(agency, origin, idp, "idp.metadata.missing").await
        }
        other => identity_problem(&other),
    }
}

pub(super) fn to_provider(started: &Started) -> Answer {
    let mut response = Redirect::to(&started.redirect).into_response();
    add_cookie(&mut response, &cookie::set_prelogin(&started.prelogin))?;
    Ok(response)
}

pub(super) fn add_cookie(response: &mut Response, cookie: &str) -> Result<(), Problem> {
    let value = HeaderValue::from_str(cookie).map_err(|error| Problem::internal(&error))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// `POST /saml/acs`: the assertion consumer.
///
/// # Errors
/// A [`Problem`] with an entry number for every answer that is not good enough.
pub async fn consume(State(agency): State<Shared>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let origin = session::origin_of(&parts);
    let prelogin = session::cookie(&parts.headers, cookie::PRELOGIN);
    check_answer(&agency, &origin, (prelogin, Door::of(&parts.extensions))).await?;
    let Ok(bytes) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
        return Err(refused(&agency, origin, None, "saml.malformed").await);
    };
    let fields = session::form_fields(&bytes);
    let field = |name: &str| {
        let mut values = fields.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        let first = values.next().map_or("", String::as_str);
        // A parameter that is there twice is not there: two readers might take different ones.
        if values.next().is_some() { "" } else { first }
    };
    let answer =
        SamlAnswer { saml_response: field("SAMLResponse"), relay_state: field("RelayState") };
    let browser = front::browser_of(&parts, &origin);
    let trial = agency.identity.trial_under_way(prelogin, agency.now()).await;
    if let Some(trial) = trial.map_err(|error| identity_problem(&error))? {
        return providers::arrive(&agency, origin, &trial, prelogin, answer).await;
    }
    match agency.identity.finish_sign_in(prelogin, answer, &browser, agency.now()).await {
        Ok(signed_in) => welcome(&agency, origin, signed_in).await,
        Err(IdentityError::Refused { idp, refusal }) => {
            tracing::info!(code = refusal.code, detail = %refusal.detail, "a sign-in was refused");
            Err(refused(&agency, origin, idp, refusal.code).await)
        }
        Err(other) => Err(identity_problem(&other)),
    }
}

/// Records the sign-in and hands over the session; if it cannot be recorded, the session ends.
pub(super) async fn welcome(
    agency: &Shared,
    origin: Origin,
    signed_in: identity::SignedIn,
) -> Answer {
    let idp = signed_in.signed.session.idp.clone();
    let token = signed_in.token.expose().to_owned();
    let assurance = &signed_in.signed.actor.assurance;
    let context = assurance.context.clone();
    let session = &signed_in.signed.session;
    let certificate = session.certificate.as_ref().map(|(_, thumbprint)| hex::encode(thumbprint));
    let device_class = session.device_class.clone();
    let event = match assurance.stepped_up_at {
        Some(authenticated_at) => Event::SteppedUp { idp, context, authenticated_at },
        None => Event::SignedIn {
            idp,
            context,
            mfa: assurance.mfa,
            authenticated_at: assurance.authenticated_at,
            device_class,
            certificate,
        },
    };
    let person = agency.signed_in(signed_in.signed, &origin);
    if let Err(error) = agency.ledger.append(person.record(event)).await {
        if let Err(ending) = agency.identity.sign_out(&token, agency.now()).await {
            tracing::error!(error = %crate::problem::chain(&ending), "a session could not be ended");
        }
        return Err(error.into());
    }
    // To where the person wanted, but the notice comes first.
    let next = if person.accepted_notice { signed_in.return_to.as_str() } else { "/notice" };
    let mut response = Redirect::to(next).into_response();
    add_cookie(&mut response, &cookie::set_session(&token))?;
    add_cookie(&mut response, &cookie::clear_prelogin())?;
    Ok(response)
}

/// Whether another answer is looked at, by where it comes from, by the provider that this browser was sent to, and by
/// whether that one's people come in here.
pub(super) async fn check_answer(
    agency: &Shared,
    origin: &Origin,
    (prelogin, door): (Option<&str>, Door),
) -> Result<(), Problem> {
    let provider = agency.identity.provider_under_way(prelogin, agency.now()).await;
    let provider = provider.map_err(|error| identity_problem(&error))?;
    agency.check_rate(origin.address.as_deref(), provider.as_deref())?;
    match provider.filter(|one| !door.is_for(&agency.config, agency.config.agency_of(one))) {
        Some(idp) => Err(refused(agency, origin.clone(), Some(idp), "door.other").await),
        None => Ok(()),
    }
}

pub(super) async fn refused(
    agency: &Shared,
    origin: Origin,
    idp: Option<String>,
    code: &str,
) -> Problem {
    if let Some(idp) = &idp {
        agency.watch_signatures(idp, code).await;
    }
    let idp = idp.unwrap_or_else(|| "unknown".to_owned());
    if let Err(problem) = agency.check_place(&idp, code) {
        return problem;
    }
    let event = Event::SignInRefused { idp, reason: code.to_owned() };
    let record = Record { origin, ..Record::platform(event) };
    match agency.ledger.append(record).await {
        Ok(receipt) => Problem::new(
            StatusCode::FORBIDDEN,
            "You could not be signed in",
            "The answer of the identity provider was not accepted. Nothing was opened. \
             Try again; if it stays, quote the entry to your administrator.",
        )
        .with_entry(receipt.entry)
        .with_next("/sign-in", "Try again"),
        Err(error) => error.into(),
    }
}

pub(super) fn identity_problem(error: &IdentityError) -> Problem {
    match error {
        IdentityError::UnknownProvider => Problem::not_found(),
        _ => Problem::internal(error),
    }
}

/// `GET /saml/metadata`: what an identity provider needs to know of us.
pub async fn metadata(State(agency): State<Shared>, request: Request) -> Response {
    let guests =
        (Door::of(request.extensions()) == Door::Guests).then(|| agency.identity.guests_metadata());
    let xml = guests.flatten().unwrap_or_else(|| agency.identity.metadata());
    ([(header::CONTENT_TYPE, "application/samlmetadata+xml")], xml).into_response()
}

/// `GET /notice`: the system-use notice (AC-8). It stays until it is acknowledged.
///
/// # Errors
/// None today.
pub async fn notice(State(agency): State<Shared>, BeforeNotice(signed_in): BeforeNotice) -> Answer {
    let content = html! {
        div class="card notice" {
            ul { @for line in &agency.config.agency.notice { li { (line) } } }
        }
        form method="post" action="/notice" {
            input type="hidden" name="csrf" value=(signed_in.csrf);
            button class="usa-button usa-button--big" type="submit" { "I understand and accept" }
        }
    };
    Ok(agency.page(&signed_in, "System-use notice", "/notice", &content))
}

/// `POST /notice`: accepted, on record.
///
/// # Errors
/// A [`Problem`] when it cannot be recorded; then it does not count.
pub async fn accept(
    State(agency): State<Shared>,
    PostedBeforeNotice(posted): PostedBeforeNotice,
) -> Answer {
    let version = agency.notice_version();
    let event = Event::NoticeAccepted { notice: version.clone() };
    agency.ledger.append(posted.signed_in.record(event)).await?;
    let session = &posted.signed_in.session;
    let accepted = agency.identity.accept_notice(session, &version, agency.now()).await;
    accepted.map_err(|error| identity_problem(&error))?;
    // A guest has one page, and no use for a list of pages.
    let next = if posted.signed_in.actor.agency == agency.ori { "/" } else { "/guest" };
    Ok(Redirect::to(next).into_response())
}

/// `POST /sign-out`: the session ends now.
///
/// # Errors
/// A [`Problem`] when the session could not be ended, which the page says.
pub async fn sign_out(
    State(agency): State<Shared>,
    PostedBeforeNotice(posted): PostedBeforeNotice,
) -> Answer {
    agency.ledger.append(posted.signed_in.record(Event::SignedOut)).await?;
    // Whatever else runs in the session is cut; this answer is not.
    posted.signed_in.leash.let_go();
    let of = Of::Session(posted.signed_in.session.id());
    let ended = end_sessions(&agency.state, of, "signed-out", agency.now()).await;
    ended.map_err(|error| Problem::internal(&error))?;
    agency.live.cut_session(&posted.signed_in.session.id());
    let here = agency.config.url_for(Some(&posted.signed_in.actor.agency));
    let back_to = format!("{here}/sign-in");
    let theirs = agency.identity.sign_out_at(&posted.signed_in.session.idp, &back_to).await;
    let content = html! {
        p { "You are signed out. Close the browser on a shared machine." }
        (log_out::onward(&agency, &posted.signed_in))
        @if let Some(there) = &theirs {
            p { a href=(there.url) { "Sign out at " (there.label) " too" } }
        }
        p { a class="usa-button usa-button--outline" href="/sign-in" { "Sign in again" } }
    };
    let mut response = agency.public_page("Signed out", &content);
    for value in cookie::clear() {
        add_cookie(&mut response, &value)?;
    }
    response
        .headers_mut()
        .insert("clear-site-data", HeaderValue::from_static("\"cache\", \"storage\""));
    Ok(response)
}
