//! The clauses of an agreement that an export is held to, each with a code that tests and searches go by.
//!
//! Invariant: [`Agreement::covers`] and [`Agreement::judge`] go through the same list, in the same order.

use jiff::{SignedDuration, Timestamp};
use policy::{Caveat, PurposeCode, RecordClass};

use super::{Agreement, Partner};

/// A date that is so near is shown as near.
pub const NEAR_DAYS: i64 = 30;

/// The clause of an agreement that stands against an export. Its text names file, key and value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clause {
    #[error("agreement `{agreement}` has no version that was reviewed")]
    Unreviewed { agreement: String },
    #[error("agreement `{agreement}` starts on {starts}")]
    Starts { agreement: String, starts: Timestamp },
    #[error("agreement `{agreement}` ended on {ends}")]
    Ends { agreement: String, ends: Timestamp },
    #[error("agreement `{agreement}` had to be reviewed by {review}")]
    Review { agreement: String, review: Timestamp },
    #[error("agreement `{agreement}` does not have {class} among its record_classes")]
    RecordClasses { agreement: String, class: RecordClass },
    #[error("agreement `{agreement}` has {caveat} among its caveats_barred")]
    CaveatsBarred { agreement: String, caveat: Caveat },
    #[error("agreement `{agreement}` does not have {caveat} among its caveats_allowed")]
    CaveatsAllowed { agreement: String, caveat: Caveat },
    #[error("agreement `{agreement}` does not have purpose {purpose} among its purposes")]
    Purposes { agreement: String, purpose: String },
    #[error("agreement `{agreement}` does not name the partner's {usage} certificate")]
    Certificates { agreement: String, usage: &'static str },
    #[error(
        "agreement `{agreement}` does not have rsa_oaep = true, and the partner's sealing certificate is RSA"
    )]
    RsaOaep { agreement: String },
    #[error("the partner's certificate that {usage} is revoked since {since}: {reason}")]
    Revoked { usage: &'static str, since: Timestamp, reason: String },
    #[error("what is written down of partner {partner} waits for a security officer's review")]
    PartnerUnreviewed { partner: String },
    #[error("the rules of jurisdictions wait for a security officer's review")]
    RulesUnreviewed,
    #[error("agreement `{agreement}` does not have {route} among its deliveries")]
    Delivery { agreement: String, route: String },
    #[error("rule {rule} bars {records} ({citation})")]
    Barred { rule: String, citation: String, records: String },
    #[error("rule {rule} does not let such records cross for purpose {purpose} ({citation})")]
    RulePurpose { rule: String, citation: String, purpose: String },
    #[error("it came under terms that let nobody hand it on: {says}")]
    NotPassedOn { says: String },
    #[error(
        "it came under terms that ask for its sender's written consent before it is handed on: {says}"
    )]
    NoConsent { says: String },
    #[error(
        "there is no agreement with {partner}, from whom it came, that says how it is handed on"
    )]
    NoOrigin { partner: String },
    #[error(
        "agreement `{agreement}`, under which it came, has no file any more: nothing of it is handed on"
    )]
    OriginEnded { agreement: String },
    #[error("it was sent for purpose {purpose}, and for no other")]
    SentFor { purpose: PurposeCode },
    #[error(
        "there is no agreement with {partner} any more, and the parcel does not say for which purpose it was sent: write the agreement down again"
    )]
    NoPurpose { partner: String },
    #[error("nobody has settled which rule is kept: {conflict}")]
    Unsettled { conflict: String },
}

impl Clause {
    /// As records tell of it: its code, then its words.
    pub(crate) fn recorded(&self) -> String {
        format!("{}: {self}", self.code())
    }

    /// Whether it is over as soon as a reviewer has accepted what is written down.
    pub fn waits_for_review(&self) -> bool {
        matches!(self, Self::PartnerUnreviewed { .. } | Self::RulesUnreviewed)
    }

    /// A word for it that does not change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreviewed { .. } => "agreement.unreviewed",
            Self::Starts { .. } => "agreement.not-started",
            Self::Ends { .. } => "agreement.ended",
            Self::Review { .. } => "agreement.review-overdue",
            Self::RecordClasses { .. } => "agreement.record-class",
            Self::CaveatsBarred { .. } => "agreement.caveat-barred",
            Self::CaveatsAllowed { .. } => "agreement.caveat-not-allowed",
            Self::Purposes { .. } => "agreement.purpose",
            Self::Certificates { .. } => "agreement.certificate",
            Self::RsaOaep { .. } => "agreement.rsa-oaep",
            Self::Revoked { .. } => "partner.revoked",
            Self::PartnerUnreviewed { .. } => "partner.unreviewed",
            Self::RulesUnreviewed => "jurisdiction.unreviewed",
            Self::Delivery { .. } => "agreement.delivery",
            Self::Barred { .. } => "jurisdiction.barred",
            Self::RulePurpose { .. } => "jurisdiction.purpose",
            Self::NotPassedOn { .. } => "origin.redistribution",
            Self::NoConsent { .. } => "origin.consent",
            Self::NoOrigin { .. } | Self::OriginEnded { .. } => "origin.agreement",
            Self::SentFor { .. } => "origin.purpose",
            Self::NoPurpose { .. } => "origin.no-purpose",
            Self::Unsettled { .. } => "jurisdiction.conflict",
        }
    }
}

/// How one clause stands to something that would cross.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The key in the agreement's file.
    pub key: &'static str,
    /// What the clause says, in words.
    pub says: String,
    /// What stands against it, if it does.
    pub against: Option<Clause>,
    /// It holds, and not for much longer.
    pub near: bool,
}

impl Agreement {
    /// Whether the agreement is in force.
    ///
    /// # Errors
    /// The clause that says otherwise.
    pub fn in_force(&self, now: Timestamp) -> Result<(), Clause> {
        let agreement = || self.facts.id.clone();
        if now < self.facts.starts {
            return Err(Clause::Starts { agreement: agreement(), starts: self.facts.starts });
        }
        if now >= self.facts.ends {
            return Err(Clause::Ends { agreement: agreement(), ends: self.facts.ends });
        }
        if now >= self.facts.review {
            return Err(Clause::Review { agreement: agreement(), review: self.facts.review });
        }
        Ok(())
    }

    /// Whether records of a class with these marks may cross for a purpose.
    ///
    /// # Errors
    /// The first clause that stands against it.
    pub fn covers<'a>(
        &self,
        class: &RecordClass,
        caveats: impl IntoIterator<Item = &'a Caveat>,
        purpose: Option<&PurposeCode>,
        now: Timestamp,
    ) -> Result<(), Clause> {
        self.in_force(now)?;
        self.class(class)?;
        caveats.into_iter().try_for_each(|caveat| self.caveat(caveat))?;
        self.is_for(purpose)
    }

    fn class(&self, class: &RecordClass) -> Result<(), Clause> {
        let (agreement, class) = (self.facts.id.clone(), class.clone());
        match self.facts.record_classes.contains(&class) {
            true => Ok(()),
            false => Err(Clause::RecordClasses { agreement, class }),
        }
    }

    fn caveat(&self, caveat: &Caveat) -> Result<(), Clause> {
        let (agreement, caveat) = (self.facts.id.clone(), caveat.clone());
        if self.facts.caveats_barred.contains(&caveat) {
            return Err(Clause::CaveatsBarred { agreement, caveat });
        }
        match &self.facts.caveats_allowed {
            Some(allowed) if !allowed.contains(&caveat) => {
                Err(Clause::CaveatsAllowed { agreement, caveat })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it is for this purpose.
    pub(crate) fn is_for(&self, purpose: Option<&PurposeCode>) -> Result<(), Clause> {
        if purpose.is_some_and(|purpose| self.facts.purposes.contains(purpose)) {
            return Ok(());
        }
        let purpose = purpose.map_or_else(|| "(none)".to_owned(), ToString::to_string);
        Err(Clause::Purposes { agreement: self.facts.id.clone(), purpose })
    }

    /// Whether parcels may go this way; none is the push.
    ///
    /// # Errors
    /// [`Clause::Delivery`].
    pub fn goes(&self, route: Option<&str>) -> Result<(), Clause> {
        let route = route.unwrap_or(crate::depots::PUSH);
        match &self.terms.deliveries {
            Some(open) if !open.contains(route) => {
                Err(Clause::Delivery { agreement: self.facts.id.clone(), route: route.to_owned() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the partner's certificates are those that the agreement names, where it names any.
    ///
    /// # Errors
    /// [`Clause::Certificates`].
    pub fn knows(&self, partner: &Partner) -> Result<(), Clause> {
        let Some(named) = &self.terms.certificates else { return Ok(()) };
        for (usage, certificate) in partner.certificates() {
            if !named.contains(&certificate.fingerprint_text()) {
                let usage = usage.word();
                return Err(Clause::Certificates { agreement: self.facts.id.clone(), usage });
            }
        }
        Ok(())
    }

    /// Whether parcels may be sealed to the partner's key: an RSA key only where the agreement says so.
    ///
    /// # Errors
    /// [`Clause::RsaOaep`].
    pub fn seals(&self, partner: &Partner) -> Result<(), Clause> {
        match partner.by_rsa() && !self.terms.rsa_oaep {
            true => Err(Clause::RsaOaep { agreement: self.facts.id.clone() }),
            false => Ok(()),
        }
    }

    /// Every clause, and how it stands to records of a class with these marks that would cross for a purpose.
    pub fn judge(
        &self,
        class: &RecordClass,
        caveats: &std::collections::BTreeSet<Caveat>,
        purpose: Option<&PurposeCode>,
        partner: Option<&Partner>,
        now: Timestamp,
    ) -> Vec<Judged> {
        let facts = &self.facts;
        let near = |end: Timestamp| {
            let left = end.duration_since(now);
            !left.is_negative() && left <= SignedDuration::from_hours(24 * NEAR_DAYS)
        };
        let judged = |key, says, against: Result<(), Clause>, near| {
            let against = against.err();
            Judged { key, says, near: near && against.is_none(), against }
        };
        let marks = caveats.iter().try_for_each(|caveat| self.caveat(caveat));
        let in_force = self.in_force(now);
        let only = |wanted: fn(&Clause) -> bool| match &in_force {
            Err(clause) if wanted(clause) => Err(clause.clone()),
            Err(_) | Ok(()) => Ok(()),
        };
        let dates = only(|clause| matches!(clause, Clause::Starts { .. } | Clause::Ends { .. }));
        let review = only(|clause| matches!(clause, Clause::Review { .. }));
        let mut all = vec![
            judged(
                "ends",
                format!("holds from {} until {}", day(facts.starts), day(facts.ends)),
                dates,
                near(facts.ends),
            ),
            judged(
                "review",
                format!("is reviewed by {}", day(facts.review)),
                review,
                near(facts.review),
            ),
            judged(
                "record_classes",
                format!("covers {}", listed(&facts.record_classes)),
                self.class(class),
                false,
            ),
            judged("caveats_barred", self.marks(), marks, false),
            judged(
                "purposes",
                format!("covers purposes {}", listed(&facts.purposes)),
                self.is_for(purpose),
                false,
            ),
        ];
        if let (Some(partner), Some(_)) = (partner, &self.terms.certificates) {
            let says = "names the partner's certificates".to_owned();
            all.push(judged("certificates", says, self.knows(partner), false));
        }
        if let Some(partner) = partner.filter(|partner| partner.by_rsa()) {
            let says = "lets parcels be sealed to an RSA key, which is no approved service; they are marked";
            all.push(judged("rsa_oaep", says.to_owned(), self.seals(partner), false));
        }
        all
    }

    /// What it says about marks, in words.
    pub fn marks(&self) -> String {
        let barred = match self.facts.caveats_barred.is_empty() {
            true => "bars no marks".to_owned(),
            false => format!("bars records marked {}", listed(&self.facts.caveats_barred)),
        };
        match &self.facts.caveats_allowed {
            Some(allowed) if allowed.is_empty() => format!("{barred}; no marked record may cross"),
            Some(allowed) => format!("{barred}; of marked records only {}", listed(allowed)),
            None => barred,
        }
    }
}

fn listed<T: ToString>(all: &std::collections::BTreeSet<T>) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
