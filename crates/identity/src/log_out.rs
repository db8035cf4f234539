//! Single log-out (saml-profiles 4.4), both ways, by redirect.
//!
//! Invariants: our own session ends first and never waits for a provider; reading a provider's message changes
//! nothing, so that the caller can record what it asks for before it is done; it ends sessions only
//! if one of its pinned keys signed the query as it came, once; a session is found by the provider and the name
//! that it gave, so one provider never ends what another began.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keys::mac::MacKey;
use policy::ActorId;
use roxmltree::Node;
use state::sessions;
use state::sign_ins::{self, Message};

use crate::saml::redirect::{Kind, Received, url};
use crate::saml::request::{escape, instant};
use crate::saml::scan::{self, elements, text_of, uri_of};
use crate::saml::{gate, ns, profile};
use crate::session::{Signed, later};
use crate::{Identity, IdentityError, IdpSettings, Refusal, SKEW_SECONDS_MAX, ServiceKeys};

/// How far a message's IssueInstant may lie from now.
const ISSUED_WITHIN: SignedDuration = SignedDuration::from_mins(5);

/// How long a provider may take to answer.
const ANSWERED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Session handles in one request.
const SESSION_INDEXES_MAX: usize = 64;

/// Longest RelayState that is given back.
const RELAY_STATE_BYTES_MAX: usize = 1024;

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const PARTIAL: &str = "urn:oasis:names:tc:SAML:2.0:status:PartialLogout";

/// What a provider's message says. It was not used before, and is not used up yet.
#[derive(Debug, Clone)]
pub enum LogOut {
    /// It asks for an end. The caller records that, and calls [`Identity::end_as_asked`].
    Asked(EndAsked),
    /// It answers our own request. The caller records that, and calls [`Identity::note_answer`].
    Answered {
        idp: String,
        /// Whether it ended everything that it had.
        complete: bool,
        message: Message,
    },
}

/// A provider's request to end sessions of somebody.
#[derive(Debug, Clone)]
pub struct EndAsked {
    /// The provider.
    pub idp: String,
    /// Whose sessions, as the account's key; empty for a name that nobody here can have.
    pub actor: String,
    /// The handles of the sessions that are meant; all of them if there is none.
    indexes: Vec<String>,
    message: Message,
    /// The ID and RelayState that the answer refers to.
    refers_to: (String, String),
}

impl Identity {
    /// Where the browser can go to end its session at the provider too, after ours has ended. `None`: the
    /// provider knows no log-out, or we have no key to ask with.
    ///
    /// # Errors
    /// [`IdentityError::Random`], [`IdentityError::Sign`].
    pub fn log_out_url(
        &self,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<Option<String>, IdentityError> {
        let idp = self.provider(&signed.session.idp);
        let (Some(idp), Some(keys)) = (idp, &self.keys) else { return Ok(None) };
        let Some(to) = &idp.slo_url else { return Ok(None) };
        let id = self.request_id(keys, &idp.id, now)?;
        let named = &signed.session.named;
        let format = named.format.as_ref();
        let format = format.map_or_else(String::new, |f| format!(" Format=\"{}\"", escape(f)));
        let index = named.session_index.as_ref().map_or_else(String::new, |index| {
            format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", escape(index))
        });
        let until = instant(later(now, ISSUED_WITHIN));
        let xml = format!(
            "<samlp:LogoutRequest {} NotOnOrAfter=\"{until}\" \
             Reason=\"urn:oasis:names:tc:SAML:2.0:logout:user\"><saml:Issuer>{}</saml:Issuer>\
             <saml:NameID{format}>{}</saml:NameID>{index}</samlp:LogoutRequest>",
            head(&id, now, to),
            escape(self.place(&idp).entity_id),
            escape(&named.name_id),
        );
        let asked = url(to, Kind::Request, &xml, None, Some(&keys.signing));
        asked.map(Some).map_err(IdentityError::Sign)
    }

    /// Reads what a provider sends by redirect: a request to end sessions, or the answer to ours. `query` is
    /// the raw query of the address, for the signature is over its very bytes. Changes nothing.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] with `slo.*` or `saml.redirect.*`, and the provider that it claims to be of;
    /// [`IdentityError::State`].
    pub async fn read_log_out(&self, query: &str, now: Timestamp) -> Result<LogOut, IdentityError> {
        let unknown = |refusal| IdentityError::Refused { idp: None, refusal };
        let received = Received::read(query).map_err(unknown)?;
        let asked = self.read(&received, now).map_err(|refusal| IdentityError::Refused {
            idp: self.claimed(&received, now),
            refusal,
        })?;
        let (id, idp) = (asked.id, asked.idp.id.clone());
        let message = |id: String| Message {
            idp: idp.clone(),
            id,
            remember_until: later(now, ISSUED_WITHIN + ISSUED_WITHIN),
        };
        let message = match &asked.content {
            Content::Request { .. } => message(id.clone()),
            Content::Answer { .. } => message(format!("answer|{id}")),
        };
        if sign_ins::was_used(&self.state, &message).await? {
            return Err(replayed(idp));
        }
        Ok(match asked.content {
            Content::Answer { complete } => LogOut::Answered { idp, complete, message },
            Content::Request { name_id, indexes } => {
                let actor: Option<ActorId> = format!("{idp}|{name_id}").parse().ok();
                let actor = actor.as_ref().map_or("", ActorId::as_str).to_owned();
                let refers_to = (id, received.relay_state);
                LogOut::Asked(EndAsked { idp, actor, indexes, message, refers_to })
            }
        })
    }

    /// Ends what a provider asked to be ended, and uses its message up in the same step. Gives the sessions as
    /// they were, and where to send the browser with our answer, if the provider says where.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] with `slo.replay` if the message was used meanwhile; [`IdentityError::State`];
    /// then no session was ended.
    pub async fn end_as_asked(
        &self,
        asked: &EndAsked,
        now: Timestamp,
    ) -> Result<(Vec<Signed>, Option<String>), IdentityError> {
        let (actor, indexes) = (asked.actor.as_str(), asked.indexes.as_slice());
        let reason = "provider-log-out";
        let ended =
            sessions::end_by_provider(&self.state, &asked.message, actor, indexes, reason, now);
        let Some(ended) = ended.await? else { return Err(replayed(asked.idp.clone())) };
        let ended: Result<Vec<Signed>, _> =
            ended.into_iter().map(|stored| self.signed(stored)).collect();
        let Some(idp) = self.provider(&asked.idp) else { return Ok((ended?, None)) };
        let (id, relay_state) = &asked.refers_to;
        Ok((ended?, self.answer(&idp, id, relay_state, now)?))
    }

    /// Notes that an answer was recorded, so that it counts once.
    ///
    /// # Errors
    /// [`IdentityError::State`].
    pub async fn note_answer(
        &self,
        message: &Message,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        Ok(sign_ins::note_used(&self.state, message, now).await?)
    }

    /// The known provider that a message claims to be of, whether or not it is.
    fn claimed(&self, received: &Received, now: Timestamp) -> Option<String> {
        let document =
            scan::parse(scan::scan(&received.xml, &scan::Limits::RESPONSE).ok()?).ok()?;
        self.issuer(document.root_element(), now).map(|idp| idp.id.clone())
    }

    fn issuer(&self, root: Node<'_, '_>, now: Timestamp) -> Option<Arc<IdpSettings>> {
        let issuer = elements(root).find(|node| node.has_tag_name((ns::ASSERTION, "Issuer")));
        issuer.and_then(uri_of).and_then(|issuer| self.issuing(&issuer, now))
    }

    /// Reads a message whose signature holds, and holds it against what a log-out message must say.
    fn read(&self, received: &Received, now: Timestamp) -> Result<Asked, Refusal> {
        let document = scan::parse(scan::scan(&received.xml, &scan::Limits::RESPONSE)?)?;
        let root = document.root_element();
        let name = match received.kind {
            Kind::Request => "LogoutRequest",
            Kind::Response => "LogoutResponse",
        };
        gate::plain(&document, name)?;
        let Some(idp) = self.issuer(root, now) else {
            return refuse("slo.issuer", "the message is not of a provider that is known");
        };
        // Who is meant to have sent it is known; from here on it must have been them.
        received.verify(&idp.certificates)?;
        if root.attribute("Version") != Some("2.0") {
            return refuse("slo.version", "the message is not of SAML 2.0");
        }
        let issued = profile::time(root, "IssueInstant")?;
        if issued.is_none_or(|issued| issued.duration_since(now).abs() > ISSUED_WITHIN) {
            return refuse("slo.time", "the message was issued more than five minutes from now");
        }
        if root.attribute("Destination") != Some(self.place(&idp).slo_url) {
            return refuse("slo.destination", "the message was meant for another address");
        }
        let Some(id) = root.attribute("ID").filter(|id| !id.is_empty()) else {
            return refuse("slo.id", "the message has no ID");
        };
        let content = match received.kind {
            Kind::Request => request(root, now)?,
            Kind::Response => self.response(root, &idp, now)?,
        };
        Ok(Asked { id: id.to_owned(), idp, content })
    }

    fn response(
        &self,
        root: Node<'_, '_>,
        idp: &IdpSettings,
        now: Timestamp,
    ) -> Result<Content, Refusal> {
        let ours = root.attribute("InResponseTo").is_some_and(|id| {
            self.keys.as_ref().is_some_and(|keys| is_ours(keys, id, &idp.id, now))
        });
        if !ours {
            return refuse("slo.inresponseto", "the message does not answer a request of ours");
        }
        let status = elements(root).find(|node| node.has_tag_name((ns::PROTOCOL, "Status")));
        let codes: Vec<&str> = status
            .into_iter()
            .flat_map(|status| status.descendants())
            .filter(|node| node.has_tag_name((ns::PROTOCOL, "StatusCode")))
            .filter_map(|node| node.attribute("Value"))
            .collect();
        Ok(Content::Answer {
            complete: codes.first() == Some(&SUCCESS) && !codes.contains(&PARTIAL),
        })
    }

    fn answer(
        &self,
        idp: &IdpSettings,
        request: &str,
        relay_state: &str,
        now: Timestamp,
    ) -> Result<Option<String>, IdentityError> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let Some(to) = idp.slo_answer_url.as_ref().or(idp.slo_url.as_ref()) else {
            return Ok(None);
        };
        let id = self.request_id(keys, &idp.id, now)?;
        let xml = format!(
            "<samlp:LogoutResponse {} InResponseTo=\"{}\"><saml:Issuer>{}</saml:Issuer>\
             <samlp:Status><samlp:StatusCode Value=\"{SUCCESS}\"/></samlp:Status>\
             </samlp:LogoutResponse>",
            head(&id, now, to),
            escape(request),
            escape(self.place(idp).entity_id),
        );
        let relay = Some(relay_state)
            .filter(|relay| !relay.is_empty() && relay.len() <= RELAY_STATE_BYTES_MAX);
        let answer = url(to, Kind::Response, &xml, relay, Some(&keys.signing));
        answer.map(Some).map_err(IdentityError::Sign)
    }

    /// An ID that we know again without having kept it: random, dated, and authenticated.
    fn request_id(
        &self,
        keys: &ServiceKeys,
        idp: &str,
        now: Timestamp,
    ) -> Result<String, IdentityError> {
        let random = keys::random_bytes::<16>(&*self.random).map_err(IdentityError::Random)?;
        let dated = [&random[..], &now.as_second().to_be_bytes()].concat();
        let tag = tag(&keys.log_out, idp, &dated);
        Ok(format!("_{}{}", hex::encode(dated), hex::encode(tag)))
    }
}

/// A message that was signed and says what it must.
struct Asked {
    id: String,
    idp: Arc<IdpSettings>,
    content: Content,
}

enum Content {
    Request { name_id: String, indexes: Vec<String> },
    Answer { complete: bool },
}

fn replayed(idp: String) -> IdentityError {
    let refusal = Refusal::new("slo.replay", "the provider's message was used before");
    IdentityError::Refused { idp: Some(idp), refusal }
}

fn refuse<T>(code: &'static str, detail: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, detail))
}

fn head(id: &str, now: Timestamp, to: &str) -> String {
    format!(
        "xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{id}\" Version=\"2.0\" IssueInstant=\"{}\" \
         Destination=\"{}\"",
        ns::PROTOCOL,
        ns::ASSERTION,
        instant(now),
        escape(to),
    )
}

fn request(root: Node<'_, '_>, now: Timestamp) -> Result<Content, Refusal> {
    let until = profile::time(root, "NotOnOrAfter")?;
    let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
    if until.is_some_and(|until| now >= later(until, skew)) {
        return refuse("slo.expired", "the request no longer holds");
    }
    let mut names = elements(root).filter(|node| node.has_tag_name((ns::ASSERTION, "NameID")));
    let (Some(name), None) = (names.next().and_then(text_of), names.next()) else {
        return refuse("slo.nameid", "the request does not have exactly one NameID in the clear");
    };
    let indexes: Vec<String> = elements(root)
        .filter(|node| node.has_tag_name((ns::PROTOCOL, "SessionIndex")))
        .filter_map(uri_of)
        .collect();
    if name.trim().is_empty() || indexes.len() > SESSION_INDEXES_MAX {
        return refuse("slo.nameid", "the request names nobody, or too many sessions");
    }
    Ok(Content::Request { name_id: name.trim().to_owned(), indexes })
}

const TAG_BYTES: usize = 16;

fn tag(key: &MacKey, idp: &str, dated: &[u8]) -> Vec<u8> {
    let whole = key.tag(&[b"log-out|", idp.as_bytes(), b"|", dated]);
    whole.iter().take(TAG_BYTES).copied().collect()
}

/// Whether we made this ID for this provider, a short while ago.
fn is_ours(keys: &ServiceKeys, id: &str, idp: &str, now: Timestamp) -> bool {
    let bytes = id.strip_prefix('_').and_then(|text| hex::decode(text).ok()).unwrap_or_default();
    let Some((dated, given)) = bytes.split_at_checked(24) else { return false };
    let at = dated.last_chunk::<8>().map(|seconds| i64::from_be_bytes(*seconds));
    let age = at.and_then(|at| Timestamp::from_second(at).ok()).map(|at| now.duration_since(at));
    let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
    keys::mac::equal(&tag(&keys.log_out, idp, dated), given)
        && age.is_some_and(|age| age <= ANSWERED_WITHIN && age >= -skew)
}
