//! From what a provider proved of a person to a session of theirs, whatever the protocol was.
//!
//! Invariants: the messages that proved it are used up in the transaction that begins the session; a step-up
//! is by the same person, or the session that asked for it ends; the account key is the provider and the name
//! that it gives, never an e-mail address alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use policy::{ActorId, Function, Ori};
use state::sessions::{self, Bound, Details, NewSession, StoredSession};
use state::sign_ins::{self, Admission, Finished, Message};

use crate::admission::{Admitted, Said};
use crate::certificates::{Held, SecondFactor};
use crate::providers::{HELD, HELD_DETAIL};
use crate::saml::Assertion;
use crate::session::{SessionToken, Signed, later};
use crate::sign_in::{Browser, SignedIn};
use crate::{AccountRules, Identity, IdentityError, IdpSettings, Refusal};

/// Longest user agent that is kept; a longer one is not kept at all.
const AGENT_BYTES_MAX: usize = 512;

/// What was proved of a person: all of it under the provider's signature.
#[derive(Debug, Clone)]
pub(crate) struct Proof {
    pub(crate) codes: Codes,
    /// The IDs of the messages, none of which may be used again until `remember_until`.
    pub(crate) messages: Vec<String>,
    pub(crate) remember_until: Timestamp,
    /// The name that the provider gives the person: SAML's NameID, OpenID Connect's `sub`.
    pub(crate) name_id: String,
    pub(crate) name_id_format: Option<String>,
    /// The provider's handle of its session: SAML's SessionIndex, OpenID Connect's `sid`.
    pub(crate) session_index: Option<String>,
    /// The provider's own end of the session, if it sets one.
    pub(crate) session_not_on_or_after: Option<Timestamp>,
    pub(crate) authenticated_at: Timestamp,
    pub(crate) context: String,
    pub(crate) mfa: bool,
    /// Attributes, or claims, by name.
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
    pub(crate) notes: Vec<&'static str>,
}

/// The reason codes of a protocol for what is refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Codes {
    pub(crate) name: &'static str,
    pub(crate) replay: &'static str,
    pub(crate) step_up_person: &'static str,
    pub(crate) step_up_session: &'static str,
}

const SAML: Codes = Codes {
    name: "saml.nameid",
    replay: "saml.replay",
    step_up_person: "saml.stepup.person",
    step_up_session: "saml.stepup.session",
};

/// What the agency decided about a provider's people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) id: &'a str,
    pub(crate) agency: &'a Ori,
    pub(crate) function_attribute: &'a str,
    pub(crate) function_map: &'a BTreeMap<String, Function>,
    pub(crate) functions_allowed: Option<&'a BTreeSet<Function>>,
    pub(crate) name_attribute: &'a str,
    pub(crate) agency_attribute: Option<&'a str>,
    pub(crate) accounts: AccountRules,
    /// What makes a single factor two.
    pub(crate) second_factor: Option<&'a SecondFactor>,
}

impl IdpSettings {
    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            id: &self.id,
            agency: &self.agency,
            function_attribute: &self.function_attribute,
            function_map: &self.function_map,
            functions_allowed: self.functions_allowed.as_ref(),
            name_attribute: &self.name_attribute,
            agency_attribute: self.agency_attribute.as_deref(),
            accounts: self.accounts,
            second_factor: self.second_factor.as_ref(),
        }
    }
}

impl From<Assertion> for Proof {
    fn from(assertion: Assertion) -> Self {
        Self {
            codes: SAML,
            // One document may use the same ID for neither: the structural gate saw to that.
            messages: vec![assertion.response_id, assertion.assertion_id],
            remember_until: assertion.remember_until,
            name_id: assertion.name_id,
            name_id_format: assertion.name_id_format,
            session_index: assertion.session_index,
            session_not_on_or_after: assertion.session_not_on_or_after,
            authenticated_at: assertion.authenticated_at,
            context: assertion.context,
            mfa: assertion.mfa,
            attributes: assertion.attributes,
            notes: assertion.notes,
        }
    }
}

impl Proof {
    fn values(&self, attribute: &str) -> &[String] {
        self.attributes.get(attribute).map_or(&[], Vec::as_slice)
    }

    /// The account key: the provider and the name that it gives, never an e-mail address alone.
    fn account(&self, rules: &Rules<'_>) -> Result<ActorId, Refusal> {
        let refused = |_| Refusal::new(self.codes.name, "the name is too long for an account key");
        format!("{}|{}", rules.id, self.name_id).parse().map_err(refused)
    }
}

impl<'a> Rules<'a> {
    /// Whether the person is of the agency whose people the provider signs in.
    fn check_agency(&self, proof: &Proof) -> Result<(), Refusal> {
        let Some(attribute) = self.agency_attribute else { return Ok(()) };
        let [agency] = proof.values(attribute) else {
            let detail = "the provider does not say of exactly one agency that it is theirs";
            return Err(Refusal::new("authz.agency", detail));
        };
        if agency != self.agency.as_str() {
            return Err(Refusal::new("authz.agency", "the person is of another agency"));
        }
        Ok(())
    }

    /// What the provider says of the person, by the attributes that the settings name.
    fn said(&self, proof: &'a Proof) -> Said<'a> {
        let name = proof.values(self.name_attribute).first().map(|name| name.trim());
        Said {
            idp: self.id,
            name_id: &proof.name_id,
            name: name.filter(|name| !name.is_empty()),
            functions: proof.attributes.get(self.function_attribute).map(Vec::as_slice),
            function_map: self.function_map,
            functions_allowed: self.functions_allowed,
            rules: self.accounts,
        }
    }
}

impl Identity {
    /// Begins the session that a proof earns, with the certificate that is part of it, if one is. `mark` is the
    /// sign-in's, from its beginning. The caller fills in where to return to.
    pub(crate) async fn establish(
        &self,
        rules: &Rules<'_>,
        proof: &Proof,
        (stepping_up, mark): (Option<Signed>, i64),
        browser: &Browser,
        held: Option<Held>,
        now: Timestamp,
    ) -> Result<SignedIn, IdentityError> {
        let refused = |refusal| IdentityError::Refused { idp: Some(rules.id.to_owned()), refusal };
        let person = proof.account(rules).map_err(refused)?;
        if let Some(old) = &stepping_up
            && old.actor.id != person
        {
            let reason = "stepped-up-as-another";
            sessions::end(&self.state, &old.session.id, reason, now).await?;
            let detail = "the step-up was made by another person; the session was ended";
            return Err(refused(Refusal::new(proof.codes.step_up_person, detail)));
        }
        rules.check_agency(proof).map_err(refused)?;
        let held = match held {
            None if !proof.mfa => {
                Some(self.second_factor(rules, proof, browser, now).await.map_err(refused)?)
            }
            held => held,
        };
        let device = self.device(browser, held, now).await;
        if let Some((_, bound)) =
            stepping_up.as_ref().and_then(|old| old.session.certificate.as_ref())
            && device.certificate.as_ref().is_none_or(|now| now.thumbprint != *bound)
        {
            let detail = "the step-up was made with another certificate than the session's";
            return Err(refused(Refusal::new("cert.stepup.person", detail)));
        }
        let asked = self.ask_ldap(rules.id, &proof.name_id).await.map_err(refused)?;
        let admitted = self.admit(asked.applied(rules.said(proof)), now).await?;
        let secret = || keys::random_bytes::<32>(&*self.random).map_err(IdentityError::Random);
        let (token, csrf) = (secret()?, secret()?);
        let absolute_max = self.settings.limits.absolute_max;
        let deadline = later(now, absolute_max)
            .min(later(proof.authenticated_at, absolute_max))
            .min(proof.session_not_on_or_after.unwrap_or(Timestamp::MAX));
        let new = NewSession {
            id: keys::digest::sha256(&token),
            created_at: now,
            absolute_deadline: deadline,
            stepped_up_at: stepping_up.as_ref().map(|_| now),
            notice: stepping_up.as_ref().and_then(|old| old.session.notice.clone()),
            details: details(rules, proof, &person, &admitted, csrf, (browser, device)),
        };
        let admission = (&admitted.admission, mark);
        self.begin(rules.id, proof, &new, stepping_up.as_ref(), admission).await?;
        let stored = StoredSession {
            id: new.id,
            created_at: now,
            last_seen_at: now,
            absolute_deadline: new.absolute_deadline,
            stepped_up_at: new.stepped_up_at,
            notice: new.notice,
            details: new.details,
        };
        Ok(SignedIn {
            token: SessionToken::new(&token),
            signed: self.signed(stored)?,
            return_to: String::new(),
            stepped_up_from: stepping_up.map(|old| old.session.prefix()),
            notes: proof.notes.clone(),
        })
    }

    /// What is known of the device: its class, and the certificate that the session is bound to, be it the person's
    /// or the device's.
    async fn device(&self, browser: &Browser, held: Option<Held>, now: Timestamp) -> Device {
        let address = browser.address.as_deref().and_then(|address| address.parse().ok());
        let mut all: Vec<Held> = held.into_iter().collect();
        if let Some(shown) = &browser.shown {
            let known = |id: &&str| all.iter().all(|held| held.provider != **id);
            let others: Vec<&str> =
                self.device_providers(address).into_iter().filter(known).collect();
            for id in others {
                let Some(provider) = self.certificate_provider(id) else { continue };
                if self.refuse_held(id).await.is_err() {
                    tracing::info!(id, "a device's certificate does not count: its issuer is held");
                    continue;
                }
                match provider.judge(shown, self.random(), now).await {
                    Ok(device) => all.push(device),
                    // It is of no class, and signs in as from any device.
                    Err(refusal) => {
                        tracing::info!(code = refusal.code, "a device's certificate does not count")
                    }
                }
            }
        }
        let class = self.device_class(address, &all);
        let class = class.map(|class| (class.name.clone(), class.idle_max.as_secs()));
        let certificate = all.into_iter().next();
        let certificate =
            certificate.map(|held| Bound { provider: held.provider, thumbprint: held.thumbprint });
        Device { class, certificate }
    }

    async fn begin(
        &self,
        idp: &str,
        proof: &Proof,
        new: &NewSession,
        replaces: Option<&Signed>,
        admission: (&Admission, i64),
    ) -> Result<(), IdentityError> {
        let message = |id: &String| Message {
            idp: idp.to_owned(),
            id: id.clone(),
            remember_until: proof.remember_until,
        };
        let messages: Vec<Message> = proof.messages.iter().map(message).collect();
        let replaces = replaces.map(|old| &old.session.id);
        let refused = |code, detail| IdentityError::Refused {
            idp: Some(idp.to_owned()),
            refusal: Refusal::new(code, detail),
        };
        match sign_ins::finish(&self.state, &messages, new, replaces, admission).await? {
            Finished::Begun { .. } => Ok(()),
            Finished::AccountChanged => {
                Err(refused("authz.changed", "the account was changed during the sign-in"))
            }
            Finished::Held => Err(refused(HELD, HELD_DETAIL)),
            Finished::PutOut => Err(refused(
                "authz.put_out",
                "the person's sessions were ended after the sign-in had begun",
            )),
            Finished::Replayed => {
                Err(refused(proof.codes.replay, "the provider's message was used before"))
            }
            Finished::Superseded => {
                Err(refused(proof.codes.step_up_session, "the session to be stepped up is over"))
            }
        }
    }
}

/// What is known of the device that a session begins on.
struct Device {
    class: Option<(String, i64)>,
    certificate: Option<Bound>,
}

/// What a session keeps of the proof that it was earned with.
fn details(
    rules: &Rules<'_>,
    proof: &Proof,
    person: &ActorId,
    admitted: &Admitted,
    csrf: [u8; 32],
    (browser, device): (&Browser, Device),
) -> Details {
    Details {
        actor: person.as_str().to_owned(),
        name: admitted.name.clone(),
        agency: rules.agency.as_str().to_owned(),
        functions: admitted.functions.iter().map(|f| f.as_str().to_owned()).collect(),
        // Single factors became two above, or there is no session.
        mfa: true,
        context: match proof.mfa {
            true => proof.context.clone(),
            false => format!("{} + certificate", proof.context),
        },
        authenticated_at: proof.authenticated_at,
        idp: rules.id.to_owned(),
        name_id: proof.name_id.clone(),
        name_id_format: proof.name_id_format.clone(),
        session_index: proof.session_index.clone(),
        csrf,
        address: browser.address.clone(),
        agent: browser.agent.clone().filter(|agent| agent.len() <= AGENT_BYTES_MAX),
        device_class: device.class,
        certificate: device.certificate,
    }
}
