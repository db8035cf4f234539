//! Who is asking: the two extractors that every page behind the sign-in takes.
//!
//! Invariant: a handler that takes [`SignedIn`] runs for a person with a live session who has
//! accepted the system-use notice; one that takes [`Posted`] also had the session's CSRF token
//! from a page of this origin. Whatever is refused here is in the ledger before it is answered.

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use identity::qualified::Judged;
use identity::{Activity, Lookup, Session, Signed};
use jiff::Timestamp;
use ledger::{Event, Origin, Record};
use policy::Actor;
use state::accounts::{AccountId, Of};

use crate::app::Shared;
use crate::door::Door;
use crate::front::{Caller, caller_of};
use crate::headers;
use crate::live::Leash;
use crate::problem::Problem;

/// The largest form that is read, in bytes.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// The most fields of one form.
pub const FORM_FIELDS_MAX: usize = 256;

/// A signed-in person with a live session.
#[derive(Clone)]
pub struct SignedIn {
    /// Who.
    pub actor: Actor,
    /// Their session.
    pub session: Session,
    /// The session's CSRF token.
    pub csrf: String,
    /// From where.
    pub origin: Origin,
    /// Whether the system-use notice was accepted.
    pub accepted_notice: bool,
    /// How they stand towards what is demanded before CJI.
    pub qualified: Vec<Judged>,
    /// What cuts this request when the session ends.
    pub leash: Leash,
}

/// The frame's view of the person, filled in by the extractor for [`crate::app::frame_problems`].
#[derive(Clone, Default)]
pub struct PersonSlot(pub Arc<OnceLock<SignedIn>>);

/// Where a request comes from, put into its extensions by the listener.
pub fn origin_of(parts: &Parts) -> Origin {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let address = parts.extensions.get::<wire::PeerAddress>();
    Origin {
        address: address.map(|peer| peer.0.ip().to_string()),
        agent: agent.map(|text| text.chars().take(200).collect()),
        request: None,
    }
}

/// The value of a cookie, if it was sent once.
pub fn cookie<'a>(headers: &'a axum::http::HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get(header::COOKIE)?.to_str().ok()?;
    identity::cookie::find(line, name)
}

/// Why nobody is signed in.
pub enum NotSignedIn {
    /// No cookie: to the sign-in page.
    Anonymous,
    /// The notice comes first.
    NoticeFirst,
    /// Refused, and recorded.
    Refused(Problem),
}

impl IntoResponse for NotSignedIn {
    fn into_response(self) -> Response {
        match self {
            Self::Anonymous => Redirect::to("/sign-in").into_response(),
            Self::NoticeFirst => Redirect::to("/notice").into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

/// A session, whether or not the notice was accepted: for the notice page and sign-out.
pub struct BeforeNotice(pub SignedIn);

impl FromRequestParts<Shared> for BeforeNotice {
    type Rejection = NotSignedIn;

    async fn from_request_parts(parts: &mut Parts, agency: &Shared) -> Result<Self, NotSignedIn> {
        let origin = origin_of(parts);
        let Some(token) = cookie(&parts.headers, identity::cookie::SESSION) else {
            return Err(NotSignedIn::Anonymous);
        };
        // A page that asks by itself keeps nobody signed in; which routes these are, we decide.
        let polling = parts.uri.path().ends_with("/progress");
        let activity = if polling { Activity::Background } else { Activity::Person };
        match agency.session(token, activity, &origin, &caller_of(parts)).await {
            Ok(Some(mut signed_in)) => {
                let door = Door::of(&parts.extensions);
                if !door.is_for(&agency.config, &signed_in.actor.agency) {
                    let (who, path) = (Some(&signed_in), parts.uri.path());
                    let refused = agency.refuse(who, origin, path, "door.other").await;
                    return Err(NotSignedIn::Refused(match refused {
                        Ok(entry) => door.elsewhere(&agency.config).with_entry(entry),
                        Err(unrecorded) => unrecorded,
                    }));
                }
                if let Some(leash) = parts.extensions.get::<Leash>() {
                    let account = AccountId::of(signed_in.actor.id.as_str());
                    leash.tie(account, signed_in.session.id(), signed_in.session.deadline());
                    signed_in.leash = leash.clone();
                }
                if let Some(PersonSlot(slot)) = parts.extensions.get::<PersonSlot>() {
                    // A second extractor of the same request finds the slot filled already.
                    slot.get_or_init(|| signed_in.clone());
                }
                Ok(Self(signed_in))
            }
            Ok(None) => {
                let refused = agency.refuse(None, origin, parts.uri.path(), "stale-session").await;
                Err(NotSignedIn::Refused(match refused {
                    Ok(entry) => ended().with_entry(entry),
                    Err(problem) => problem,
                }))
            }
            Err(problem) => Err(NotSignedIn::Refused(problem)),
        }
    }
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = NotSignedIn;

    async fn from_request_parts(parts: &mut Parts, agency: &Shared) -> Result<Self, NotSignedIn> {
        let BeforeNotice(signed_in) = BeforeNotice::from_request_parts(parts, agency).await?;
        if !signed_in.accepted_notice {
            return Err(NotSignedIn::NoticeFirst);
        }
        Ok(signed_in)
    }
}

/// A form that a signed-in person posted from one of our pages.
pub struct Posted {
    /// Who.
    pub signed_in: SignedIn,
    /// The fields, as they came.
    pub fields: Vec<(String, String)>,
    /// Whether `ui.js` asked, which wants one element.
    pub fragment: bool,
}

impl Posted {
    /// The first value of a field, or nothing.
    pub fn text(&self, name: &str) -> &str {
        field(&self.fields, name)
    }
}

/// The first value of a field, or nothing.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

impl FromRequest<Shared> for Posted {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        let form = PostedBeforeNotice::from_request(request, agency).await?.0;
        if !form.signed_in.accepted_notice {
            return Err(NotSignedIn::NoticeFirst);
        }
        Ok(form)
    }
}

/// A form whose sender need not have accepted the notice yet.
pub struct PostedBeforeNotice(pub Posted);

impl FromRequest<Shared> for PostedBeforeNotice {
    type Rejection = NotSignedIn;

    async fn from_request(request: Request, agency: &Shared) -> Result<Self, NotSignedIn> {
        let (mut parts, body) = request.into_parts();
        let BeforeNotice(signed_in) = BeforeNotice::from_request_parts(&mut parts, agency).await?;
        let refuse = async |reason: &str, problem: Problem| {
            let who = Some(&signed_in);
            let path = parts.uri.path();
            match agency.refuse(who, signed_in.origin.clone(), path, reason).await {
                Ok(entry) => NotSignedIn::Refused(problem.with_entry(entry)),
                Err(unrecorded) => NotSignedIn::Refused(unrecorded),
            }
        };
        let public_url = Door::of(&parts.extensions).url(&agency.config);
        if headers::from_another_site(&parts.method, &parts.headers, public_url) {
            return Err(refuse("csrf", foreign_page()).await);
        }
        let Ok(bytes) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
            return Err(refuse("too-large", too_large()).await);
        };
        let fields: Vec<(String, String)> = form_fields(&bytes);
        if fields.len() > FORM_FIELDS_MAX {
            return Err(refuse("too-large", too_large()).await);
        }
        let fragment = headers::wants_fragment(&parts.headers);
        let posted = Posted { signed_in: signed_in.clone(), fields, fragment };
        if !signed_in.session.csrf_matches(posted.text("csrf")) {
            return Err(refuse("csrf", foreign_page()).await);
        }
        Ok(Self(posted))
    }
}

/// The fields of an `application/x-www-form-urlencoded` body; bytes that are not UTF-8 become
/// replacement characters, which no typed input takes.
pub fn form_fields(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes).into_owned().collect()
}

/// What a person sees whose session is over.
pub(crate) fn ended() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Your session has ended",
        "Sessions end after a time without activity, after 12 hours, when you sign out, and when your account \
         changes. Nothing more was done. Sign in again.",
    )
    .with_next("/sign-in", "Sign in")
}

pub(crate) fn foreign_page() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "This form is out of date",
        "The form did not come from a current page of this system, so nothing was done. \
         Open the page again and repeat what you did.",
    )
}

pub(crate) fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "The form is too large",
        "The form holds more than 64 KiB or 256 fields, so nothing was done. Shorten what you typed.",
    )
}

impl crate::agency::Agency {
    /// The person behind a cookie's token, if their session is live. One that is found too old
    /// ends here, on record.
    async fn session(
        &self,
        token: &str,
        activity: Activity,
        origin: &Origin,
        caller: &Caller,
    ) -> Result<Option<SignedIn>, Problem> {
        let lookup = self.identity.lookup(token, activity, self.now()).await;
        let signed = match lookup.map_err(|error| Problem::internal(&error))? {
            Lookup::Live(signed) => signed,
            other => return self.judged(other, origin).await,
        };
        let certificate =
            self.identity.check_certificate(&signed.session, caller.shown.as_ref(), self.now());
        let who = self.signed_in(*signed, origin);
        let Err(refusal) = certificate else { return Ok(Some(who)) };
        let (of, prefix) = (Of::Session(who.session.id()), who.session.prefix());
        self.end_sessions(&|event| who.record(event), of, &prefix, refusal.code).await?;
        Ok(None)
    }

    /// Until when a session is live in which something runs, if it is. One that is found too old ends here,
    /// on record.
    pub(crate) async fn lives_until(&self, id: &[u8; 32]) -> Result<Option<Timestamp>, Problem> {
        let lookup = self.identity.lookup_id(id, Activity::Background, self.now()).await;
        let lookup = lookup.map_err(|error| Problem::internal(&error))?;
        let live = self.judged(lookup, &Origin::default()).await?;
        Ok(live.map(|signed_in| signed_in.session.deadline()))
    }

    async fn judged(&self, lookup: Lookup, origin: &Origin) -> Result<Option<SignedIn>, Problem> {
        match lookup {
            Lookup::Live(signed) => Ok(Some(self.signed_in(*signed, origin))),
            Lookup::Expired { signed, reason } => {
                let who = self.signed_in(*signed, origin);
                let event = Event::SessionEnded { reason: reason.to_owned() };
                self.ledger.append(who.record(event)).await?;
                Ok(None)
            }
            Lookup::Ended { .. } | Lookup::Unknown => Ok(None),
        }
    }

    /// The person, as pages take them.
    pub fn signed_in(&self, signed: Signed, origin: &Origin) -> SignedIn {
        let Signed { actor, session, qualified } = signed;
        SignedIn {
            actor,
            qualified,
            csrf: session.csrf_token(),
            accepted_notice: session.accepted(&self.notice_version()),
            session,
            origin: origin.clone(),
            leash: Leash::new(&self.live),
        }
    }

    /// Names the wording of the system-use notice: who accepted an older one is asked again.
    pub fn notice_version(&self) -> String {
        let text = self.config.agency.notice.join("\n");
        hex::encode(keys::digest::sha256(text.as_bytes())).chars().take(16).collect()
    }

    /// Records that a request was refused before it became a question.
    ///
    /// # Errors
    /// The [`Problem`] to answer with when the ledger does not take the record, or when strangers had so many
    /// refused that this one is counted only.
    pub async fn refuse(
        &self,
        who: Option<&SignedIn>,
        origin: Origin,
        route: &str,
        reason: &str,
    ) -> Result<ledger::EntryNumber, Problem> {
        if who.is_none() {
            self.check_place("requests", reason)?;
        }
        let event = Event::RequestRefused { route: route_name(route), reason: reason.to_owned() };
        let who = who.map(SignedIn::who);
        let record = Record { who, origin, ..Record::platform(event) };
        Ok(self.ledger.append(record).await?.entry)
    }
}

/// The first two segments of a path: handles and ids stay out of the record.
fn route_name(path: &str) -> String {
    path.split('/').take(3).collect::<Vec<_>>().join("/").chars().take(100).collect()
}

impl SignedIn {
    /// A record of something that this person did.
    pub fn record(&self, event: Event) -> Record {
        let origin = self.origin.clone();
        Record { who: Some(self.who()), origin, ..Record::platform(event) }
    }

    /// The person and the session, as the sign-in's room takes them.
    pub(crate) fn signed(&self) -> Signed {
        let (actor, session) = (self.actor.clone(), self.session.clone());
        Signed { actor, session, qualified: self.qualified.clone() }
    }

    /// The person, as the ledger keeps them.
    pub fn who(&self) -> ledger::Who {
        ledger::Who {
            actor: self.actor.id.to_string(),
            name: self.actor.name.clone(),
            agency: self.actor.agency.to_string(),
            functions: self.actor.functions.iter().map(ToString::to_string).collect(),
            session: Some(self.session.prefix()),
        }
    }
}
