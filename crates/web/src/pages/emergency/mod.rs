//! The emergency sign-in: two people, two halves, and a security key where the agency asks for one.
//!
//! Order that must hold: a try is in the ledger before the secret is looked at; that the account opens is in the
//! ledger before its secret is spent. Whoever is refused is told that much and an entry number, the same for a name
//! that there is not and for a wrong secret.

mod forms;
mod uses;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::emergency::{
    Emergency, Failed, Half, Halves, Opened, PROVIDER, Proved, Shown, security_key,
};
use identity::{Activity, Browser, IdentityError, Signed, cookie};
use ledger::{Event, Origin, Record};

pub use self::uses::{list, review};
use crate::app::{Answer, Shared};
use crate::headers;
use crate::pages::sign_in::welcome;
use crate::problem::{Problem, chain};
use crate::session::{self, FORM_BYTES_MAX};

pub(super) const PATH: &str = "/emergency";

/// Ties a browser to the security key that it is asked for.
const COOKIE: &str = "__Host-emergency";

/// What a try is counted as that has no place in the ledger any more, and is therefore not looked at.
const TRY: &str = "emergency.try";

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 300;

/// `GET /emergency`: the form, if this way in is configured.
///
/// # Errors
/// A [`Problem`] when it is not, or the state can't be read.
pub async fn form(State(agency): State<Shared>, request: Request) -> Answer {
    accounts(&agency)?;
    let (parts, _) = request.into_parts();
    let again = own_session(&agency, &parts).await?;
    let filled = forms::Filled { name: own_name(again.as_ref()), ..forms::Filled::default() };
    let title = if again.is_some() { "Confirm that it is you" } else { forms::TITLE };
    Ok(agency.public_page(title, &forms::first(&filled, again.is_some())))
}

/// `POST /emergency`: both halves and a reason.
///
/// # Errors
/// A [`Problem`] with an entry number when they are not good enough.
pub async fn open(State(agency): State<Shared>, request: Request) -> Answer {
    let emergency = accounts(&agency)?;
    let asked = Asked::read(&agency, request).await?;
    let again = own_session(&agency, &asked.parts).await?;
    let name = own_name(again.as_ref());
    let name = if again.is_some() { name } else { asked.text("name").trim().to_lowercase() };
    let reason = asked.text("reason").trim().to_owned();
    let halves = match typed(&asked, &reason) {
        Ok(halves) => halves,
        Err((field, words)) => {
            // A slip of the finger is no try: what was typed can't be anybody's secret.
            let reason_code = format!("bad-input:{field}");
            agency.refuse(None, asked.origin.clone(), PATH, &reason_code).await?;
            let filled = forms::Filled { name, reason, bad: Some((field, words)) };
            let content = forms::first(&filled, again.is_some());
            let page = agency.public_page(forms::TITLE, &content);
            return Ok((StatusCode::BAD_REQUEST, page).into_response());
        }
    };
    let Ok(_turn) = agency.emergency.at_once.try_acquire() else { return Err(busy()) };
    agency.check_place(PROVIDER, TRY)?;
    record(&agency, &asked.origin, Event::SignInStarted { idp: PROVIDER.to_owned() }).await?;
    let tried = emergency.attempt(&name, &halves, again.as_ref(), agency.now()).await;
    let opened = match tried.map_err(|error| Problem::internal(&error))? {
        Ok(opened) => opened,
        Err(failed) => return Err(refused(&agency, emergency, asked.origin, failed).await),
    };
    match emergency.without_key(&opened, &reason) {
        Some(proved) => enter(&agency, asked, &proved, again.as_ref()).await,
        None => ask_key(&agency, emergency, &asked.origin, &opened, &reason).await,
    }
}

/// `POST /emergency/key`: what the security key answered.
///
/// # Errors
/// A [`Problem`] with an entry number when it is not good enough.
pub async fn key(State(agency): State<Shared>, request: Request) -> Answer {
    let emergency = accounts(&agency)?;
    let asked = Asked::read(&agency, request).await?;
    let again = own_session(&agency, &asked.parts).await?;
    let bytes = |name: &str, max: usize| {
        let text = asked.text(name);
        // Four characters of Base64 are three bytes.
        let fits = text.len() <= max.div_ceil(3) * 4;
        if fits { URL_SAFE_NO_PAD.decode(text).unwrap_or_default() } else { Vec::new() }
    };
    let shown = Shown {
        credential: bytes("credential", security_key::CREDENTIAL_BYTES_MAX),
        client_data: bytes("client_data", security_key::CLIENT_DATA_BYTES_MAX),
        authenticator_data: bytes("authenticator_data", security_key::AUTHENTICATOR_DATA_BYTES_MAX),
        signature: bytes("signature", security_key::SIGNATURE_BYTES_MAX),
    };
    let browser = session::cookie(&asked.parts.headers, COOKIE).map(str::to_owned);
    agency.check_place(PROVIDER, TRY)?;
    record(&agency, &asked.origin, Event::SignInStarted { idp: PROVIDER.to_owned() }).await?;
    let name = asked.text("name");
    let taken = emergency.take_key(name, browser.as_deref(), &shown, agency.now()).await;
    match taken.map_err(|error| Problem::internal(&error))? {
        Ok(proved) => enter(&agency, asked, &proved, again.as_ref()).await,
        Err(failed) => Err(refused(&agency, emergency, asked.origin, failed).await),
    }
}

/// A form that somebody posted who is nobody yet.
struct Asked {
    parts: Parts,
    origin: Origin,
    fields: Vec<(String, String)>,
}

impl Asked {
    /// Reads it, unless it is of another site, too large, or one of too many.
    async fn read(agency: &Shared, request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let origin = session::origin_of(&parts);
        let address = origin.address.as_deref().unwrap_or("unknown");
        if !agency.emergency.allows(address, agency.now()) {
            agency.refuse(None, origin, PATH, "emergency.rate").await?;
            return Err(busy());
        }
        let refuse = async |reason: &str, problem: Problem| {
            let recorded = agency.refuse(None, origin.clone(), PATH, reason).await;
            recorded.map_or_else(|unrecorded| unrecorded, |entry| problem.with_entry(entry))
        };
        let public_url = &agency.config.listen.public_url;
        if headers::from_another_site(&Method::POST, &parts.headers, public_url) {
            return Err(refuse("csrf", session::foreign_page()).await);
        }
        let Ok(bytes) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
            return Err(refuse("too-large", session::too_large()).await);
        };
        let fields = session::form_fields(&bytes);
        if fields.len() > session::FORM_FIELDS_MAX {
            return Err(refuse("too-large", session::too_large()).await);
        }
        Ok(Self { parts, origin, fields })
    }

    fn text(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

fn accounts(agency: &Shared) -> Result<&Emergency, Problem> {
    agency.emergency.accounts().ok_or_else(Problem::not_found)
}

/// The live session of an emergency account, if the browser has one: it proves again who it is.
async fn own_session(agency: &Shared, parts: &Parts) -> Result<Option<Signed>, Problem> {
    let Some(token) = session::cookie(&parts.headers, cookie::SESSION) else { return Ok(None) };
    let found = agency.identity.session(token, Activity::Person, agency.now()).await;
    let found = found.map_err(|error| Problem::internal(&error))?;
    Ok(found.filter(|signed| signed.session.idp == PROVIDER))
}

fn own_name(signed: Option<&Signed>) -> String {
    let name = signed.and_then(|signed| signed.actor.id.as_str().split_once('|'));
    name.map_or_else(String::new, |(_, name)| name.to_owned())
}

/// Both halves, or the field that is wrong and what is wrong with it.
fn typed(asked: &Asked, reason: &str) -> Result<Halves, (&'static str, &'static str)> {
    const SLIP: &str =
        "This is not what is on the paper: the last four characters do not fit the others.";
    let one = Half::read(asked.text("first")).ok_or(("first", SLIP))?;
    let other = Half::read(asked.text("second")).ok_or(("second", SLIP))?;
    let halves = Halves::join(one, other);
    let halves = halves.ok_or(("second", "This is the same half again. Type the other one."))?;
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(("reason", "Give a reason, of at most 300 characters."));
    }
    Ok(halves)
}

async fn record(agency: &Shared, origin: &Origin, event: Event) -> Result<(), Problem> {
    let record = Record { origin: origin.clone(), ..Record::platform(event) };
    agency.ledger.append(record).await?;
    Ok(())
}

/// Records what comes of a try that did not fail. Where that can't be, the try does not count: a ledger that fails
/// locks nobody out.
async fn record_right(
    agency: &Shared,
    emergency: &Emergency,
    origin: &Origin,
    (account, what, reason): (String, String, &str),
) -> Result<(), Problem> {
    let reason = reason.to_owned();
    let event = Event::EmergencyAccess { account: account.clone(), what, reason };
    let recorded = record(agency, origin, event).await;
    if recorded.is_err()
        && let Err(error) = emergency.take_back(&account, agency.now()).await
    {
        tracing::error!(error = %chain(&error), account, "a try that did not fail counts as one that did");
    }
    recorded
}

/// Puts the refusal on record, and locks the account if it was one too many.
async fn refused(
    agency: &Shared,
    emergency: &Emergency,
    origin: Origin,
    failed: Failed,
) -> Problem {
    let Failed { account, refusal, locks } = failed;
    tracing::warn!(code = refusal.code, detail = %refusal.detail, "an emergency sign-in was refused");
    if let Some(account) = account.as_deref().filter(|_| locks)
        && let Err(problem) = lock(agency, emergency, &origin, account).await
    {
        return problem;
    }
    let idp = account.unwrap_or_else(|| PROVIDER.to_owned());
    let event = Event::SignInRefused { idp, reason: refusal.code.to_owned() };
    let record = Record { origin, ..Record::platform(event) };
    match agency.ledger.append(record).await {
        Ok(receipt) => Problem::new(
            StatusCode::FORBIDDEN,
            "The emergency account was not opened",
            "Name, halves or security key are not good enough, or the account is locked. Nothing was opened. \
             After five failures an account is locked until it is released at the server.",
        )
        .with_entry(receipt.entry)
        .with_next(PATH, "Try again"),
        Err(error) => error.into(),
    }
}

async fn lock(
    agency: &Shared,
    emergency: &Emergency,
    origin: &Origin,
    account: &str,
) -> Result<(), Problem> {
    let event = Event::EmergencyAccess {
        account: account.to_owned(),
        what: "locked".to_owned(),
        reason: "five failures in fifteen minutes".to_owned(),
    };
    record(agency, origin, event).await?;
    tracing::error!(account, "an emergency account is locked");
    let locked = emergency.lock(account, agency.now()).await;
    locked.map_err(|error| Problem::internal(&error))?;
    agency.look_at_emergencies().await;
    Ok(())
}

async fn ask_key(
    agency: &Shared,
    emergency: &Emergency,
    origin: &Origin,
    opened: &Opened,
    reason: &str,
) -> Answer {
    let what = "both halves were right, and a security key is asked for".to_owned();
    record_right(agency, emergency, origin, (opened.account(), what, reason)).await?;
    let prompt = emergency.ask_key(opened, reason, agency.now()).await;
    let prompt = prompt.map_err(|error| Problem::internal(&error))?;
    let content = forms::second(&prompt, &emergency.settings().rp_id);
    let mut response = agency.public_page(forms::key_title(&prompt), &content);
    let token = prompt.token.expose();
    let value = format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Strict");
    add_cookie(&mut response, &value)?;
    Ok(response)
}

/// Records that the account opens, spends the secret, and hands over the session.
async fn enter(
    agency: &Shared,
    asked: Asked,
    proved: &Proved,
    replaced: Option<&Signed>,
) -> Answer {
    let emergency = accounts(agency)?;
    let what = if proved.is_again() { "proved again who it is, with" } else { "opened with" };
    let what = format!("{what} {}", proved.context());
    let right = (proved.account(), what, proved.reason());
    record_right(agency, emergency, &asked.origin, right).await?;
    let Origin { address, agent, .. } = asked.origin.clone();
    let browser = Browser { address, agent, shown: None };
    let admitted = emergency.admit(proved, replaced, &browser, agency.now()).await;
    agency.look_at_emergencies().await;
    let signed_in = match admitted {
        Ok(signed_in) => signed_in,
        Err(IdentityError::Refused { idp, refusal }) => {
            let failed = Failed { account: idp, refusal, locks: false };
            return Err(refused(agency, emergency, asked.origin, failed).await);
        }
        Err(error) => return Err(Problem::internal(&error)),
    };
    tracing::error!(account = %proved.account(), "an emergency account was opened");
    let mut response = welcome(agency, asked.origin, signed_in).await?;
    let clear = format!("{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    add_cookie(&mut response, &clear)?;
    Ok(response)
}

fn add_cookie(response: &mut Response, cookie: &str) -> Result<(), Problem> {
    let value = HeaderValue::from_str(cookie).map_err(|error| {
        tracing::error!(error = %chain(&error), "a cookie could not be written");
        Problem::internal(&error)
    })?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

fn busy() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many tries",
        "The emergency sign-in was tried too often just now, so this try was not looked at and does not count. \
         Wait a minute and try again.",
    )
    .with_next(PATH, "Try again")
}
