//! Agreements in force: which version of each counts, and who has reviewed it.
//!
//! Invariants: nothing crosses under a text that nobody has reviewed: a changed file waits, and what was accepted
//! before it counts until then. Without its file an agreement is at its end, whoever accepted it. A version is in the
//! ledger before it is stored, and its review before that takes effect.

use jiff::{SignedDuration, Timestamp};
use ledger::{AgreementDue, AgreementProposed, AgreementReviewed, Event};
use policy::Why;
use serde::{Deserialize, Serialize};
use state::agreements::{self, Standing, Version};

use crate::book::{Agreement, Clause};
use crate::model::Voice;
use crate::reviewing::{Coming, Reading};
use crate::{Caller, CertificateUse, Exchange, ExchangeError};

/// How many days before its review or end an agreement is told of, once for each.
const DAYS_LEFT: [i64; 4] = [90, 30, 7, 0];

/// What the sealed column of a version holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub agreement: Agreement,
    /// The entry of its coming.
    pub entry: u64,
    /// Who accepted or refused it.
    pub review: Option<Voice>,
}

/// A version, for pages.
pub type AgreementVersion = Version<Text>;

/// An agreement, for pages: the version that counts, and all that there are, the newest first.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: String,
    pub in_force: Option<AgreementVersion>,
    pub versions: Vec<AgreementVersion>,
}

impl Held {
    /// The newest version, if it waits for its review.
    pub fn waiting(&self) -> Option<&AgreementVersion> {
        self.versions.first().filter(|newest| newest.standing == Standing::Waiting)
    }

    /// The version to show: what counts, or what there is.
    pub fn shown(&self) -> Option<&AgreementVersion> {
        self.in_force.as_ref().or(self.versions.first())
    }

    /// What is due within so many days: `review` or `end`, when, and how many whole days are left. The one that comes
    /// first.
    pub fn due(&self, now: Timestamp, days: i64) -> Option<(&'static str, Timestamp, i64)> {
        let facts = &self.in_force.as_ref()?.details.agreement.facts;
        let first =
            if facts.review <= facts.ends { ("review", facts.review) } else { ("end", facts.ends) };
        let left = first.1.duration_since(now);
        let near = left <= SignedDuration::from_hours(24 * days);
        near.then(|| (first.0, first.1, left.as_hours().div_euclid(24)))
    }
}

impl Exchange {
    /// Puts each agreement whose text is new before the reviewers. On record first.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::State`]; then what counted before counts.
    pub async fn take_in_agreements(&self) -> Result<(), ExchangeError> {
        let all: Vec<Agreement> = self.book().agreements().cloned().collect();
        for agreement in all {
            let id = agreement.facts.id.clone();
            let coming = Coming {
                id: &id,
                digest: digest(&agreement)?,
                event: |version, digest| {
                    let agreement = id.clone();
                    Event::AgreementProposed(AgreementProposed { agreement, version, digest })
                },
                details: |entry| Text { agreement, entry, review: None },
            };
            self.take_in_text(coming).await?;
        }
        Ok(())
    }

    /// Accepts or refuses the version that waits. `digest` is what the reviewer has read.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`]; [`ExchangeError::Changed`] where another text waits by now;
    /// [`ExchangeError::Unrecorded`], and then it waits as before.
    pub async fn review_agreement(
        &self,
        caller: &Caller,
        id: &str,
        digest: &str,
        accepts: bool,
        reason: &str,
    ) -> Result<(), ExchangeError> {
        let reading = Reading { what: "agreement", id, digest, accepts, reason };
        let event = |version: &AgreementVersion, reason: String| {
            Event::AgreementReviewed(AgreementReviewed {
                agreement: id.to_owned(),
                version: version.version,
                digest: version.digest.clone(),
                accepted: accepts,
                reason,
            })
        };
        let noted = |text: &mut Text, voice| text.review = Some(voice);
        self.review_text(caller, &format!("agreement {id}"), reading, (event, noted)).await
    }

    /// One agreement with its versions.
    ///
    /// # Errors
    /// [`ExchangeError::NoSuch`], [`ExchangeError::State`].
    pub async fn held_agreement(&self, id: &str) -> Result<Held, ExchangeError> {
        let versions = agreements::versions::<Text>(&self.0.setup.state, id).await?;
        if versions.is_empty() {
            return Err(ExchangeError::NoSuch { what: "agreement" });
        }
        let here = self.book().agreement(id).is_some();
        let mut accepted =
            versions.iter().filter(|version| here && version.standing == Standing::Accepted);
        let in_force = accepted.next().cloned();
        Ok(Held { id: id.to_owned(), in_force, versions })
    }

    /// The agreements that have a file, by their ids.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn held_agreements(&self) -> Result<Vec<Held>, ExchangeError> {
        let ids: Vec<String> = self.book().agreements().map(|one| one.facts.id.clone()).collect();
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            all.push(self.held_agreement(&id).await?);
        }
        Ok(all)
    }

    /// The accepted text of an agreement; none where nobody has accepted one.
    pub(crate) async fn accepted_text(&self, id: &str) -> Result<Option<Agreement>, ExchangeError> {
        let found = agreements::accepted::<Text>(&self.0.setup.state, id).await?;
        Ok(found.map(|version| version.details.agreement))
    }

    /// What an agreement said that has no file any more: as it was accepted, or as it lay before the reviewers.
    pub(crate) async fn text_of_gone(&self, id: &str) -> Result<Option<Agreement>, ExchangeError> {
        if self.book().agreement(id).is_some() {
            return Ok(None);
        }
        if let Some(accepted) = self.accepted_text(id).await? {
            return Ok(Some(accepted));
        }
        let versions = agreements::versions::<Text>(&self.0.setup.state, id).await?;
        Ok(versions.into_iter().next().map(|newest| newest.details.agreement))
    }

    /// The agreement under which something crosses: its accepted version, or its file where there is none, which
    /// [`Exchange::stands_against`] then refuses.
    pub(crate) async fn agreement(&self, id: &str) -> Result<Agreement, ExchangeError> {
        let file = self.book().agreement(id).ok_or(ExchangeError::NoSuch { what: "agreement" })?;
        Ok(self.accepted_text(id).await?.unwrap_or_else(|| file.clone()))
    }

    /// What stands against anything crossing under an agreement: no review of it, of its partner or of the rules, its dates, the
    /// partner's certificates.
    pub(crate) async fn stands_against(
        &self,
        agreement: &Agreement,
    ) -> Result<Option<Clause>, ExchangeError> {
        let id = &agreement.facts.id;
        if self.accepted_text(id).await?.is_none() {
            return Ok(Some(Clause::Unreviewed { agreement: id.clone() }));
        }
        if let Some(clause) = self.unread(agreement.facts.partner.as_str()).await? {
            return Ok(Some(clause));
        }
        let partner = self.book().partner(agreement.facts.partner.as_str());
        let known = partner.map_or(Ok(()), |partner| {
            partner
                .counts(&CertificateUse::ALL, self.now())
                .and_then(|()| agreement.knows(partner))
                .and_then(|()| agreement.seals(partner))
        });
        Ok(agreement.in_force(self.now()).and(known).err())
    }

    /// Records, for each agreement that is near its review or its end, that it is: once for each of 90, 30 and 7 days
    /// and when the day has come. `told` is what was told so far, by agreement.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::State`]; what was not told is told the next time.
    pub async fn tell_of_due_agreements(
        &self,
        told: &mut std::collections::BTreeMap<String, (Timestamp, i64)>,
    ) -> Result<(), ExchangeError> {
        let now = self.now();
        for held in self.held_agreements().await? {
            let Some((what, at, left)) = held.due(now, 90) else { continue };
            let step = DAYS_LEFT.into_iter().filter(|days| left <= *days).min();
            let Some(step) = step else { continue };
            if told.get(&held.id).is_some_and(|(end, least)| *end == at && *least <= step) {
                continue;
            }
            let event = Event::AgreementDue(AgreementDue {
                agreement: held.id.clone(),
                what: what.to_owned(),
                at,
                days_left: u64::try_from(left).unwrap_or_default(),
            });
            self.record(None, &Why::default(), event).await?;
            told.insert(held.id, (at, step));
        }
        Ok(())
    }
}

/// SHA-256 of what an agreement says, hex: comments and the order of keys in its file do not count.
fn digest(agreement: &Agreement) -> Result<String, ExchangeError> {
    let text = serde_json::to_vec(agreement);
    let text =
        text.map_err(|_| ExchangeError::Input { field: "agreement", expected: "plain data" })?;
    Ok(hex::encode(keys::digest::sha256(&text)))
}
