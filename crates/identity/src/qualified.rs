//! Whether a person has the trainings, screenings and agreements that the agency demands of their functions.
//!
//! Invariants: of what was written down the newest counts, by the day on which it was done, so that a screening
//! that did not clear somebody is not outweighed by an older one that did; what can't be read qualifies
//! nobody; the days are those of this machine's time zone, as on the forms.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use policy::{Actor, Function, Lack};
use state::accounts::AccountId;
use state::qualifications::{self, Finding, Kind, Qualification};

use crate::{Identity, IdentityError};

pub mod csv;

/// Longest grace, in days.
pub const GRACE_DAYS_MAX: u32 = 90;

/// Something that the agency demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    pub kind: Kind,
    /// The agency's id for it, which qualifications name as their course.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// Of whom it is demanded. `None`: of everybody.
    pub functions: Option<BTreeSet<Function>>,
    /// The version of an agreement that must have been accepted.
    pub version: Option<String>,
    /// For how many days it counts at most, whatever a certificate says.
    pub valid_days: Option<u32>,
    /// For how many days after its end it still counts, with a warning.
    pub grace_days: u32,
    /// What a person does who has not got it, as a sentence; may be empty.
    pub advice: String,
}

/// All that the agency demands, and how early people are warned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    pub all: Vec<Requirement>,
    /// From so many days before an end on, people are warned.
    pub warn_days: u32,
}

/// How somebody stands towards a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In order, until the end of that day if it has one.
    Good {
        until: Option<Date>,
    },
    /// In order, and soon no more.
    Ending {
        until: Date,
    },
    /// Over, and still counted until the end of the day `last`.
    Grace {
        until: Date,
        last: Date,
    },
    Over {
        until: Date,
    },
    /// Nothing was written down.
    Missing,
    /// Another version of the agreement was accepted.
    OldVersion,
    /// The newest screening cleared nobody.
    NotCleared {
        finding: Finding,
    },
}

impl Standing {
    /// Whether it keeps the person from CJI.
    #[must_use]
    pub fn bars(self) -> bool {
        match self {
            Self::Good { .. } | Self::Ending { .. } | Self::Grace { .. } => false,
            Self::Over { .. } | Self::Missing | Self::OldVersion | Self::NotCleared { .. } => true,
        }
    }

    /// Whether there is something to do about it.
    #[must_use]
    pub fn needs_doing(self) -> bool {
        self.bars() || matches!(self, Self::Ending { .. } | Self::Grace { .. })
    }
}

/// A requirement, and how one person stands towards it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub requirement: Requirement,
    pub standing: Standing,
}

impl Judged {
    /// How the person stands, as the end of a sentence: "ended on 2026-11-01".
    #[must_use]
    pub fn state(&self) -> String {
        match self.standing {
            Standing::Good { until: None } => "is in order".to_owned(),
            Standing::Good { until: Some(until) } => format!("is in order until {until}"),
            Standing::Ending { until } => format!("ends on {until}"),
            Standing::Grace { until, last } => {
                format!("ended on {until}, and counts until {last} as a grace")
            }
            Standing::Over { until } => format!("ended on {until}"),
            Standing::Missing => "is missing".to_owned(),
            Standing::OldVersion => match &self.requirement.version {
                Some(version) => format!("is not accepted in version {version}"),
                None => "is not accepted".to_owned(),
            },
            Standing::NotCleared { finding: Finding::Pending } => "has no answer yet".to_owned(),
            Standing::NotCleared { .. } => "did not clear the person".to_owned(),
        }
    }

    /// What it is, how the person stands, and what to do.
    #[must_use]
    pub fn words(&self) -> String {
        let Requirement { kind, title, advice, .. } = &self.requirement;
        let said = format!("the {} “{title}” {}", kind.as_str(), self.state());
        if advice.is_empty() { said } else { format!("{said}. {advice}") }
    }

    /// The same as a sentence of its own, with what to do only where there is something to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Requirement { kind, title, advice, .. } = &self.requirement;
        let said = format!("The {} “{title}” {}.", kind.as_str(), self.state());
        let advised = self.standing.needs_doing() && !advice.is_empty();
        if advised { format!("{said} {advice}") } else { said }
    }
}

impl Requirements {
    /// How somebody with these functions and qualifications stands today.
    #[must_use]
    pub fn judge(
        &self,
        functions: &BTreeSet<Function>,
        held: &[Qualification],
        today: Date,
    ) -> Vec<Judged> {
        let all = self.all.iter();
        let theirs = all
            .filter(|one| one.functions.as_ref().is_none_or(|whose| !whose.is_disjoint(functions)));
        let judged = theirs.map(|one| Judged {
            requirement: one.clone(),
            standing: one.standing(held, today, self.warn_days),
        });
        judged.collect()
    }
}

impl Requirement {
    fn standing(&self, held: &[Qualification], today: Date, warn_days: u32) -> Standing {
        let about = |one: &&Qualification| {
            one.withdrawn.is_none()
                && one.kind == self.kind
                && one.course == self.id
                && one.on <= today
        };
        let mut found: Vec<&Qualification> = held.iter().filter(about).collect();
        if found.is_empty() {
            return Standing::Missing;
        }
        if let Some(version) = &self.version {
            found.retain(|one| one.version.as_ref() == Some(version));
        }
        // Of two on the same day, the one that was written down later.
        let Some(newest) = found.into_iter().max_by_key(|one| (one.on, one.written_at)) else {
            return Standing::OldVersion;
        };
        if let Some(finding) = newest.finding.filter(|finding| *finding != Finding::Cleared) {
            return Standing::NotCleared { finding };
        }
        let valid_until = self.valid_days.map(|days| after(newest.on, days));
        let Some(until) = newest.until.into_iter().chain(valid_until).min() else {
            return Standing::Good { until: None };
        };
        let last = after(until, self.grace_days);
        if today > last {
            Standing::Over { until }
        } else if today > until {
            Standing::Grace { until, last }
        } else if after(today, warn_days) >= until {
            Standing::Ending { until }
        } else {
            Standing::Good { until: Some(until) }
        }
    }
}

/// So many days later; the end of time if there is no such day.
fn after(day: Date, days: u32) -> Date {
    day.checked_add(Span::new().days(i64::from(days))).unwrap_or(Date::MAX)
}

/// The day that it is here.
#[must_use]
pub fn today(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::system()).date()
}

impl Identity {
    /// Tells the room what the agency demands of people before they get CJI. Without this it demands nothing.
    #[must_use]
    pub fn with_requirements(mut self, requirements: Requirements) -> Self {
        self.requirements = requirements.into();
        self
    }

    /// What the agency demands.
    #[must_use]
    pub fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    /// How a person stands towards everything that is demanded of their functions, now.
    ///
    /// # Errors
    /// [`IdentityError::State`]: the caller takes nobody to be qualified.
    pub async fn qualified(
        &self,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<Judged>, IdentityError> {
        if self.requirements.all.is_empty() {
            return Ok(Vec::new());
        }
        let held = qualifications::of(&self.state, AccountId::of(actor.id.as_str())).await?;
        Ok(self.requirements.judge(&actor.functions, &held, today(now)))
    }
}

/// What keeps a person from CJI, as the policy is told.
#[must_use]
pub fn lacking(judged: &[Judged]) -> Vec<Lack> {
    let barred = judged.iter().filter(|one| one.standing.bars());
    let lack = |one: &Judged| Lack {
        id: format!("{}/{}", one.requirement.kind.as_str(), one.requirement.id),
        words: one.words(),
    };
    barred.map(lack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn done(kind: Kind, on: &str, until: Option<&str>) -> Qualification {
        Qualification {
            kind,
            course: "it".to_owned(),
            on: day(on),
            until: until.map(day),
            finding: (kind == Kind::Screening).then_some(Finding::Cleared),
            version: None,
            evidence: String::new(),
            written_at: Timestamp::UNIX_EPOCH,
            written_by: "riverton|adm.voss".to_owned(),
            withdrawn: None,
        }
    }

    fn demanded(kind: Kind, valid_days: Option<u32>, grace_days: u32) -> Requirements {
        let requirement = Requirement {
            kind,
            id: "it".to_owned(),
            title: "It".to_owned(),
            functions: Some(BTreeSet::from(["detective".parse().unwrap()])),
            version: None,
            valid_days,
            grace_days,
            advice: "Take it".to_owned(),
        };
        Requirements { all: vec![requirement], warn_days: 30 }
    }

    #[track_caller]
    fn check(demanded: &Requirements, held: &[Qualification], expected: &str) {
        let functions = BTreeSet::from(["detective".parse().unwrap()]);
        let judged = demanded.judge(&functions, held, day("2026-11-30"));
        assert_eq!(judged.len(), 1);
        let bars = if judged[0].standing.bars() { "barred" } else { "may" };
        assert_eq!(format!("{bars}: {}", judged[0].state()), expected);
    }

    #[test]
    fn a_training_counts_until_its_last_day_and_through_its_grace_and_no_longer() {
        let training = |on, until| [done(Kind::Training, on, until)];
        let rule = demanded(Kind::Training, Some(365), 10);
        check(&rule, &[], "barred: is missing");
        check(&rule, &training("2026-11-29", None), "may: is in order until 2027-11-29");
        check(
            &rule,
            &training("2026-01-01", Some("2027-06-01")),
            "may: is in order until 2027-01-01",
        );
        check(&rule, &training("2025-12-30", None), "may: ends on 2026-12-30");
        check(&rule, &training("2026-01-01", Some("2026-11-30")), "may: ends on 2026-11-30");
        let grace = "may: ended on 2026-11-29, and counts until 2026-12-09 as a grace";
        check(&rule, &training("2026-01-01", Some("2026-11-29")), grace);
        let last = "may: ended on 2026-11-20, and counts until 2026-11-30 as a grace";
        check(&rule, &training("2026-01-01", Some("2026-11-20")), last);
        check(&rule, &training("2026-01-01", Some("2026-11-19")), "barred: ended on 2026-11-19");
        check(&rule, &training("2026-12-01", None), "barred: is missing");
        let endless = demanded(Kind::Training, None, 0);
        check(&endless, &training("1999-01-01", None), "may: is in order");
    }

    #[test]
    fn what_was_withdrawn_or_is_of_another_kind_or_course_counts_for_nothing() {
        let rule = demanded(Kind::Training, Some(365), 0);
        let mut withdrawn = done(Kind::Training, "2026-11-01", None);
        withdrawn.withdrawn = Some(qualifications::Withdrawn {
            at: Timestamp::UNIX_EPOCH,
            by: "riverton|adm.voss".to_owned(),
            reason: "another person's".to_owned(),
        });
        let mut other = done(Kind::Training, "2026-11-01", None);
        other.course = "other".to_owned();
        let signed = done(Kind::Agreement, "2026-11-01", None);
        check(&rule, &[withdrawn, other, signed], "barred: is missing");
    }

    #[test]
    fn the_newest_screening_counts_and_must_have_cleared_the_person() {
        let rule = demanded(Kind::Screening, None, 0);
        let with = |on: &str, finding| {
            let mut one = done(Kind::Screening, on, None);
            one.finding = Some(finding);
            one
        };
        let (good, bad) = (Finding::Cleared, Finding::NotCleared);
        let cleared = with("2020-01-01", good);
        check(&rule, std::slice::from_ref(&cleared), "may: is in order");
        let later = with("2026-01-01", bad);
        check(&rule, &[later, cleared.clone()], "barred: did not clear the person");
        let sent = with("2026-01-01", Finding::Pending);
        check(&rule, &[cleared.clone(), sent.clone()], "barred: has no answer yet");
        let mut answered = with("2026-01-01", good);
        answered.written_at = "2026-02-01T00:00:00Z".parse().unwrap();
        check(&rule, &[answered, sent, cleared], "may: is in order");
    }

    #[test]
    fn an_agreement_is_accepted_in_the_version_that_is_demanded() {
        let mut rule = demanded(Kind::Agreement, None, 0);
        rule.all[0].version = Some("2026".to_owned());
        let accepted = |on: &str, version: &str| {
            let mut one = done(Kind::Agreement, on, None);
            one.version = Some(version.to_owned());
            one
        };
        check(&rule, &[accepted("2025-01-01", "2025")], "barred: is not accepted in version 2026");
        let both = [accepted("2026-01-01", "2026"), accepted("2026-02-01", "2025")];
        check(&rule, &both, "may: is in order");
    }

    #[test]
    fn nothing_is_demanded_of_other_functions_and_the_words_say_what_to_do() {
        let rule = demanded(Kind::Training, None, 0);
        let clerk = BTreeSet::from(["records-clerk".parse().unwrap()]);
        assert_eq!(rule.judge(&clerk, &[], day("2026-11-30")), []);
        let detective = BTreeSet::from(["detective".parse().unwrap()]);
        let lacking = lacking(&rule.judge(&detective, &[], day("2026-11-30")));
        assert_eq!(lacking.len(), 1);
        assert_eq!(lacking[0].id, "training/it");
        assert_eq!(lacking[0].words, "the training “It” is missing. Take it");
    }
}
