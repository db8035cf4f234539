//! Questions to the gate and records in the ledger, as this room writes them.

use std::collections::BTreeSet;

use gate::{Fingerprint, Permit, Plan, Print};
use ledger::{EntryNumber, Event, Origin, Reason, Record, Subject, Who};
use policy::{Action, Caveat, Ori, Question, RecordClass, Resource, ResourceKind, Why};

use crate::book::Agreement;
use crate::{Caller, Exchange, ExchangeError};

/// What a question is about.
pub(crate) struct About<'a> {
    pub(crate) kind: ResourceKind,
    pub(crate) id: String,
    pub(crate) record_class: RecordClass,
    pub(crate) caveats: BTreeSet<Caveat>,
    pub(crate) requested_by: Option<policy::ActorId>,
    pub(crate) agreement: Option<&'a Agreement>,
}

/// An act that was carried out under a permit, for the record that closes it.
pub(crate) struct Done;

impl Fingerprint for Done {
    fn fingerprint(&self) -> Print {
        Print {
            what: "act",
            count: 1,
            bytes: 0,
            digest: ledger::digest(b"act"),
            subjects: Vec::new(),
            caveats: BTreeSet::new(),
        }
    }

    fn written(&self) -> Option<u64> {
        Some(1)
    }
}

impl Exchange {
    /// Our own ORI, as the policy knows it.
    pub(crate) fn ori(&self) -> Result<Ori, ExchangeError> {
        let ori = self.0.setup.agency.ori.parse();
        ori.map_err(|_| ExchangeError::Input { field: "agency.ori", expected: "an ORI" })
    }

    /// Asks the gate. A denial names the agreement's clause, where one stands against it; an agreement
    /// that stands against what the policy would permit is a refusal too, and recorded.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        action: Action,
        about: About<'_>,
        why: &Why,
        plan: Plan,
    ) -> Result<Permit, ExchangeError> {
        let ours = self.ori()?;
        self.ask_of(caller, action, about, why, plan, ours).await
    }

    /// As [`Exchange::ask`], about what is another agency's.
    pub(crate) async fn ask_of(
        &self,
        caller: &Caller,
        action: Action,
        about: About<'_>,
        why: &Why,
        plan: Plan,
        agency: Ori,
    ) -> Result<Permit, ExchangeError> {
        let now = self.now();
        let clause = match about.agreement {
            None => None,
            Some(agreement) => self.stands_against(agreement).await?.or_else(|| {
                let purpose = why.purpose.as_ref();
                let covers = agreement.covers(&about.record_class, &about.caveats, purpose, now);
                covers.err().or_else(|| {
                    let asked = [(about.record_class.clone(), about.caveats.clone())];
                    self.stricter(agreement, &asked, purpose).against
                })
            }),
        };
        let question = Question {
            actor: caller.actor.clone(),
            action,
            resource: Resource {
                kind: about.kind,
                id: about.id,
                tool: None,
                source: None,
                record_class: about.record_class,
                caveats: about.caveats,
                agency,
                requested_by: about.requested_by,
                agreement: about.agreement.map(|agreement| agreement.facts.clone()),
            },
            why: why.clone(),
            allowed_functions: BTreeSet::new(),
            now,
        };
        let gate = &self.0.setup.gate;
        let asked = gate.authorise(question, plan, caller.origin.clone(), caller.session.clone());
        match (asked.await, clause) {
            (Ok(permit), None) => Ok(permit),
            (Ok(permit), Some(clause)) => {
                let receipt = gate.withhold(permit.ticket(), &clause.recorded()).await?;
                Err(ExchangeError::Clause { entry: receipt.entry, clause })
            }
            (Err(gate::GateError::Denied { entry, reason }), clause) => {
                Err(ExchangeError::Denied { entry, reason, clause })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Records something durably.
    pub(crate) async fn record(
        &self,
        caller: Option<&Caller>,
        why: &Why,
        event: Event,
    ) -> Result<ledger::Receipt, ExchangeError> {
        self.record_about(caller, why, event, Vec::new()).await
    }

    /// The same, about more than the event and its reason name.
    pub(crate) async fn record_about(
        &self,
        caller: Option<&Caller>,
        why: &Why,
        event: Event,
        more: Vec<Subject>,
    ) -> Result<ledger::Receipt, ExchangeError> {
        let case = why.case_number.iter().map(ToString::to_string);
        let case = case.map(|id| Subject { kind: "case".to_owned(), id });
        let subjects = case.chain(subjects(&event)).chain(more).collect();
        let record = Record {
            who: caller.map(who),
            origin: caller.map_or_else(Origin::default, |caller| caller.origin.clone()),
            why: Reason {
                purpose: why.purpose.as_ref().map(ToString::to_string),
                case_number: why.case_number.as_ref().map(ToString::to_string),
                reason: why.reason.clone(),
            },
            subjects,
            event,
        };
        self.0.setup.ledger.append(record).await.map_err(ExchangeError::Unrecorded)
    }

    /// Records what a partner's machine did or was refused, from where it called.
    pub(crate) async fn record_peer(
        &self,
        peer: Option<wire::PeerAddress>,
        event: Event,
    ) -> Result<ledger::Receipt, ExchangeError> {
        let subjects = subjects(&event);
        let mut record = Record { subjects, ..Record::platform(event) };
        record.origin.address = peer.map(|peer| peer.0.ip().to_string());
        self.0.setup.ledger.append(record).await.map_err(ExchangeError::Unrecorded)
    }

    /// Records that what was permitted is not carried out. The last entry is the one to quote.
    pub(crate) async fn withhold_each(
        &self,
        permits: Vec<Permit>,
        reason: &str,
    ) -> Result<EntryNumber, ExchangeError> {
        let mut entry = None;
        for permit in permits {
            entry = Some(self.0.setup.gate.withhold(permit.ticket(), reason).await?.entry);
        }
        entry.ok_or(ExchangeError::NoSuch { what: "item" })
    }

    /// Records that what was permitted was carried out.
    pub(crate) async fn close(&self, permits: Vec<Permit>) -> Result<(), ExchangeError> {
        for permit in permits {
            self.0.setup.gate.release(permit.hold(Done)).await?;
        }
        Ok(())
    }
}

/// The class of what is not marked otherwise: criminal justice information.
///
/// # Errors
/// None that is reached: the text is a class.
pub(crate) fn cji() -> Result<policy::RecordClass, ExchangeError> {
    let bad = |_| ExchangeError::Input { field: "record_class", expected: "a class" };
    "CJI".parse().map_err(bad)
}

/// What an event is about, so that all that happened to one parcel is found together.
fn subjects(event: &Event) -> Vec<Subject> {
    let facts = event.facts();
    let named = [("exchange", facts.exchange), ("export", facts.export)];
    let named = named.into_iter().filter_map(|(kind, id)| Some((kind, id?)));
    named.map(|(kind, id)| Subject { kind: kind.to_owned(), id: id.to_owned() }).collect()
}

fn who(caller: &Caller) -> Who {
    let actor = &caller.actor;
    Who {
        actor: actor.id.to_string(),
        name: actor.name.clone(),
        agency: actor.agency.to_string(),
        functions: actor.functions.iter().map(ToString::to_string).collect(),
        session: caller.session.clone(),
    }
}
