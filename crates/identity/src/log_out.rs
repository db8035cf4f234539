//! Single log-out (saml-profiles 4.4), both ways, by redirect.
//!
//! Invariants: our own session ends first and never waits for a provider; a provider's message ends sessions only
//! if one of its pinned keys signed the query as it came, once; a session is found by the provider and the name
//! that it gave, so one provider never ends what another began.

use jiff::{SignedDuration, Timestamp};
use keys::mac::MacKey;
use policy::ActorId;
use roxmltree::Node;
use state::sessions;
use state::sign_ins::Message;

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

/// What a provider's message came to.
#[derive(Debug, Clone)]
pub enum LogOut {
    /// It asked for an end. The sessions are over; the caller records that.
    Asked {
        idp: String,
        ended: Vec<Signed>,
        /// Where to send the browser with our answer, if the provider says where.
        answer: Option<String>,
    },
    /// It answers our own request.
    Answered {
        idp: String,
        /// Whether it ended everything that it had.
        complete: bool,
    },
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
            escape(&self.settings.entity_id),
            escape(&named.name_id),
        );
        let asked = url(to, Kind::Request, &xml, None, Some(&keys.signing));
        asked.map(Some).map_err(IdentityError::Sign)
    }

    /// Takes what a provider sends by redirect: a request to end sessions, or the answer to ours. `query` is
    /// the raw query of the address, for the signature is over its very bytes.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] with `slo.*` or `saml.redirect.*`; [`IdentityError::State`]; then no session
    /// was ended.
    pub async fn receive_log_out(
        &self,
        query: &str,
        now: Timestamp,
    ) -> Result<LogOut, IdentityError> {
        let unknown = |refusal| IdentityError::Refused { idp: None, refusal };
        let received = Received::read(query).map_err(unknown)?;
        let asked = self.read(&received, now).map_err(unknown)?;
        let idp = asked.idp.clone();
        let refused = |refusal| IdentityError::Refused { idp: Some(idp.id.clone()), refusal };
        match asked.content {
            Content::Answer { complete } => Ok(LogOut::Answered { idp: idp.id.clone(), complete }),
            Content::Request { name_id, indexes } => {
                let ended = self.end_named(&asked.id, &idp, &name_id, &indexes, now).await?;
                let Some(ended) = ended else {
                    let detail = "the provider's message was used before";
                    return Err(refused(Refusal::new("slo.replay", detail)));
                };
                let answer = self.answer(&idp, &asked.id, &received.relay_state, now)?;
                Ok(LogOut::Asked { idp: idp.id.clone(), ended, answer })
            }
        }
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
        let issuer = elements(root).find(|node| node.has_tag_name((ns::ASSERTION, "Issuer")));
        let issuer = issuer.and_then(uri_of).and_then(|issuer| self.issuing(&issuer, now));
        let Some(idp) = issuer else {
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
        if root.attribute("Destination") != Some(&self.settings.slo_url) {
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

    async fn end_named(
        &self,
        id: &str,
        idp: &IdpSettings,
        name_id: &str,
        indexes: &[String],
        now: Timestamp,
    ) -> Result<Option<Vec<Signed>>, IdentityError> {
        let remember_until = later(now, ISSUED_WITHIN + ISSUED_WITHIN);
        let message = Message { idp: idp.id.clone(), id: id.to_owned(), remember_until };
        let actor: Option<ActorId> = format!("{}|{name_id}", idp.id).parse().ok();
        let actor = actor.as_ref().map_or("", ActorId::as_str);
        let reason = "provider-log-out";
        let ended =
            sessions::end_by_provider(&self.state, &message, actor, indexes, reason, now).await?;
        let Some(ended) = ended else { return Ok(None) };
        let ended: Result<Vec<Signed>, _> =
            ended.into_iter().map(|stored| self.signed(stored)).collect();
        ended.map(Some)
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
            escape(&self.settings.entity_id),
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
    idp: std::sync::Arc<IdpSettings>,
    content: Content,
}

enum Content {
    Request { name_id: String, indexes: Vec<String> },
    Answer { complete: bool },
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
