//! Rules of jurisdictions, held against one export: what they come to, and what a person has to settle.
//!
//! Invariant: nothing is sealed while two rules that can't both be kept are not settled, by name, on record.

use std::collections::{BTreeMap, BTreeSet};

use gate::Permit;
use ledger::{Event, JurisdictionSettled};
use policy::{Caveat, PurposeCode, RecordClass};
use serde::{Deserialize, Serialize};

use crate::book::{Agreement, Asked, Clause, Stricter};
use crate::model::{Export, ExportDetails, ExportRow, Item, Voice};
use crate::{Caller, Exchange, ExchangeError};

const DECISION_CHARS_MAX: usize = 1_000;

/// The classes of items, each with all its marks.
pub fn asked(items: &[Item]) -> Vec<Asked> {
    let mut classes: BTreeMap<RecordClass, BTreeSet<Caveat>> = BTreeMap::new();
    for item in items {
        for class in item.classes() {
            let marks = classes.entry(class.clone()).or_default();
            marks.extend(item.caveats.iter().cloned());
        }
    }
    classes.into_iter().collect()
}

/// A conflict of rules, in words, and the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    pub conflict: String,
    /// Who decided; the reason is the decision.
    pub voice: Voice,
}

impl Exchange {
    /// What the rules of our jurisdiction and the partner's come to.
    pub fn stricter(
        &self,
        agreement: &Agreement,
        asked: &[Asked],
        purpose: Option<&PurposeCode>,
    ) -> Stricter {
        let partner = self.book().partner(agreement.facts.partner.as_str());
        let theirs = partner.and_then(|partner| partner.jurisdiction.as_deref());
        self.book().jurisdictions().stricter(agreement, theirs, asked, purpose, self.now())
    }

    /// As [`Exchange::stricter`], for an export as it was asked for.
    pub fn stricter_for(&self, details: &ExportDetails, agreement: &Agreement) -> Stricter {
        self.stricter(agreement, &asked(&details.items), details.why.purpose.as_ref())
    }

    /// The conflicts of an export that nobody has settled, in words.
    pub fn unsettled(&self, details: &ExportDetails, agreement: &Agreement) -> Vec<String> {
        let all = self.stricter_for(details, agreement).conflicts;
        let all = all.iter().map(ToString::to_string);
        all.filter(|conflict| details.settled.iter().all(|one| one.conflict != *conflict)).collect()
    }

    /// As [`Exchange::unsettled`], under the agreement as it stands.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`], [`ExchangeError::State`].
    pub async fn open_conflicts(&self, export: &Export) -> Result<Vec<String>, ExchangeError> {
        let agreement = self.agreement(&export.agreement).await?;
        Ok(self.unsettled(&export.details, &agreement))
    }

    /// Records the decision on each conflict that nobody has settled.
    pub(crate) async fn settle_conflicts(
        &self,
        caller: &Caller,
        row: &mut ExportRow,
        agreement: &Agreement,
        decision: Option<&str>,
    ) -> Result<(), ExchangeError> {
        for conflict in self.unsettled(&row.details, agreement) {
            let decision = decision
                .map(str::trim)
                .filter(|words| !words.is_empty() && words.chars().count() <= DECISION_CHARS_MAX);
            let expected = "which of the rules is kept and why, in 1 to 1000 characters";
            let missing = ExchangeError::Input { field: "decision", expected };
            let decision = decision.ok_or(missing)?;
            let event = Event::JurisdictionSettled(JurisdictionSettled {
                export: row.id.to_string(),
                conflict: conflict.clone(),
                decision: decision.to_owned(),
            });
            let receipt = self.record(Some(caller), &row.details.why, event).await?;
            let voice = Voice {
                actor: caller.actor.clone(),
                at: receipt.at,
                entry: receipt.entry.0,
                reason: Some(decision.to_owned()),
            };
            row.details.settled.push(Settled { conflict, voice });
        }
        Ok(())
    }

    /// Gives the permits back where nothing is open; else withholds, on record.
    pub(crate) async fn refuse_unsettled(
        &self,
        row: &ExportRow,
        agreement: &Agreement,
        permits: Vec<Permit>,
    ) -> Result<Vec<Permit>, ExchangeError> {
        let open = self.unsettled(&row.details, agreement).into_iter().next();
        let Some(conflict) = open else { return Ok(permits) };
        let clause = Clause::Unsettled { conflict };
        let entry = self.withhold_each(permits, &clause.recorded()).await?;
        Err(ExchangeError::Clause { entry, clause })
    }

    /// What the receiver is told of retention: the agreement's words, the rules, and what was decided.
    pub(crate) fn retention(
        &self,
        details: &ExportDetails,
        agreement: &Agreement,
    ) -> Option<String> {
        let rules = self.stricter_for(details, agreement).retention();
        let decided = details.settled.iter().filter_map(|one| one.voice.reason.clone());
        let received = details.items.iter().filter_map(|item| item.received.as_ref());
        let until: BTreeSet<String> = received
            .filter_map(|from| {
                let sender = from.from.as_deref()?;
                Some(format!("what came from {sender} is destroyed by {}", from.destroy_by?))
            })
            .collect();
        let said = agreement.retention.iter().cloned().chain(rules).chain(until).chain(decided);
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}
