//! What is written down of partners, and of the rules of jurisdictions: which text counts, and who has reviewed it.
//!
//! Invariants: nothing goes to a partner or comes from it while its file says something that nobody has accepted, and
//! nothing leaves under rules that nobody has; what waits for that is not given up. A certificate that is revoked, and
//! the room for a partner's parcels, are not part of the text: they count at once.

use ledger::{Event, TextProposed, TextReviewed};
use serde::{Deserialize, Serialize};
use state::agreements::{self, Standing, Version};

use crate::book::Clause;
use crate::model::Voice;
use crate::reviewing::{Coming, Reading};
use crate::{Caller, Exchange, ExchangeError};

/// What it is written about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The partner with this ORI: `partners/*.toml`.
    Partner(String),
    /// `jurisdictions.toml`.
    Rules,
}

impl Written {
    /// As entries call it.
    pub fn id(&self) -> String {
        match self {
            Self::Partner(ori) => format!("partner {ori}"),
            Self::Rules => "rules of jurisdictions".to_owned(),
        }
    }
}

/// What the sealed column of a version holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenText {
    /// What it says: names, and what is said under each.
    pub lines: Vec<(String, String)>,
    /// The entry of its coming.
    pub entry: u64,
    /// Who accepted or refused it.
    pub review: Option<Voice>,
}

/// A version, for pages.
pub type WrittenVersion = Version<WrittenText>;

/// All versions that there are, the newest first, and whether the newest counts.
#[derive(Debug, Clone)]
pub struct HeldText {
    pub about: Written,
    pub versions: Vec<WrittenVersion>,
}

impl HeldText {
    /// The newest version, if it waits for its review.
    pub fn waiting(&self) -> Option<&WrittenVersion> {
        self.versions.first().filter(|newest| newest.standing == Standing::Waiting)
    }

    /// The version that was accepted last.
    pub fn accepted(&self) -> Option<&WrittenVersion> {
        self.versions.iter().find(|version| version.standing == Standing::Accepted)
    }
}

impl Exchange {
    /// Puts what is new of partners and rules before the reviewers. On record first.
    ///
    /// # Errors
    /// [`ExchangeError::Unrecorded`], [`ExchangeError::State`].
    pub async fn take_in_written(&self) -> Result<(), ExchangeError> {
        for about in self.all_written().await? {
            let (id, lines) = (about.id(), self.lines(&about));
            let coming = Coming {
                id: &id,
                digest: digest(&lines)?,
                event: |version, digest| {
                    let subject = id.clone();
                    Event::TextProposed(TextProposed { subject, version, digest })
                },
                details: |entry| WrittenText { lines, entry, review: None },
            };
            self.take_in_text(coming).await?;
        }
        Ok(())
    }

    /// Accepts or refuses the version that waits. `digest` is what the reviewer has read.
    ///
    /// # Errors
    /// As [`Exchange::review_agreement`].
    pub async fn review_written(
        &self,
        caller: &Caller,
        about: &Written,
        digest: &str,
        accepts: bool,
        reason: &str,
    ) -> Result<(), ExchangeError> {
        let id = &about.id();
        let reading = Reading { what: "text", id, digest, accepts, reason };
        let event = |version: &WrittenVersion, reason: String| {
            Event::TextReviewed(TextReviewed {
                subject: id.clone(),
                version: version.version,
                digest: version.digest.clone(),
                accepted: accepts,
                reason,
            })
        };
        let noted = |text: &mut WrittenText, voice| text.review = Some(voice);
        self.review_text(caller, id, reading, (event, noted)).await?;
        // What waited for it may go now.
        self.0.bell.notify_one();
        Ok(())
    }

    /// What is written down of one, with its versions.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn held_text(&self, about: Written) -> Result<HeldText, ExchangeError> {
        let versions = agreements::versions(&self.0.setup.state, &about.id()).await?;
        Ok(HeldText { about, versions })
    }

    /// Of all partners that have a file, and of the rules.
    ///
    /// # Errors
    /// [`ExchangeError::State`].
    pub async fn held_texts(&self) -> Result<Vec<HeldText>, ExchangeError> {
        let mut all = Vec::new();
        for about in self.all_written().await? {
            all.push(self.held_text(about).await?);
        }
        Ok(all)
    }

    /// What stands against anything coming from a partner: what is written down of it that nobody has accepted.
    pub(crate) async fn unread_partner(
        &self,
        partner: &str,
    ) -> Result<Option<Clause>, ExchangeError> {
        let about = Written::Partner(partner.to_owned());
        let unread = self.book().partner(partner).is_some() && !self.is_accepted(&about).await?;
        Ok(unread.then(|| Clause::PartnerUnreviewed { partner: partner.to_owned() }))
    }

    /// What stands against anything going to a partner: that, and rules that nobody has accepted.
    pub(crate) async fn unread(&self, partner: &str) -> Result<Option<Clause>, ExchangeError> {
        if let Some(clause) = self.unread_partner(partner).await? {
            return Ok(Some(clause));
        }
        let rules = self.is_accepted(&Written::Rules).await?;
        Ok((!rules).then_some(Clause::RulesUnreviewed))
    }

    async fn is_accepted(&self, about: &Written) -> Result<bool, ExchangeError> {
        let lines = self.lines(about);
        let found = agreements::versions::<WrittenText>(&self.0.setup.state, &about.id()).await?;
        match found.first() {
            // Nobody ever wrote rules down.
            None => Ok(*about == Written::Rules && lines.is_empty()),
            Some(newest) => {
                Ok(newest.standing == Standing::Accepted && newest.digest == digest(&lines)?)
            }
        }
    }

    /// All that something is written down of. Rules that are gone are a text too, which says nothing.
    async fn all_written(&self) -> Result<Vec<Written>, ExchangeError> {
        let partners = self.book().partners();
        let mut all: Vec<Written> =
            partners.map(|partner| Written::Partner(partner.ori.to_string())).collect();
        let had = !self.held_text(Written::Rules).await?.versions.is_empty();
        if had || !self.lines(&Written::Rules).is_empty() {
            all.push(Written::Rules);
        }
        Ok(all)
    }

    /// What the files say now.
    fn lines(&self, about: &Written) -> Vec<(String, String)> {
        match about {
            Written::Partner(ori) => {
                self.book().partner(ori).map(crate::Partner::lines).unwrap_or_default()
            }
            Written::Rules => self.book().jurisdictions().lines(),
        }
    }
}

fn digest(lines: &[(String, String)]) -> Result<String, ExchangeError> {
    let text = serde_json::to_vec(lines);
    let text = text.map_err(|_| ExchangeError::Input { field: "text", expected: "plain data" })?;
    Ok(hex::encode(keys::digest::sha256(&text)))
}
