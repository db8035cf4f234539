//! Trainings, screenings and agreements, as the pages write them down: recorded, kept, and what runs is cut
//! where somebody loses what they had.
//!
//! Order that must hold: every record first, then the state, then the cut. If one record can't be made,
//! nothing is written down; the ledger may then say more than happened.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use identity::qualified::{Judged, today};
use ledger::{Event, Record};
use policy::Function;
use state::accounts::{Account, AccountId};
use state::qualifications::{self, Finding, Kind, Qualification, Withdrawn};

use crate::agency::Agency;
use crate::problem::Problem;

/// Records that wait for the ledger at a time.
const RECORDS_MAX: usize = 256;

/// The event of a qualification that is to be written down, or withdrawn.
fn event(account: &Account, one: &Qualification, withdrawn: Option<&str>) -> Event {
    let course = match (&one.version, one.finding) {
        (Some(version), _) => format!("{} (version {version})", one.course),
        (None, Some(finding)) => format!("{} ({})", one.course, finding.as_str()),
        (None, None) => one.course.clone(),
    };
    let what = one.kind.as_str();
    Event::QualificationRecorded {
        account: account.key(),
        what: match withdrawn {
            None => what.to_owned(),
            Some(_) => format!("the withdrawal of {what}"),
        },
        course,
        on: one.on.to_string(),
        until: one.until.map(|until| until.to_string()),
        evidence: withdrawn.unwrap_or(&one.evidence).to_owned(),
    }
}

/// The job functions of an account; what this program does not know is none.
pub(crate) fn functions(account: &Account) -> BTreeSet<Function> {
    account.profile.functions.iter().filter_map(|name| name.parse().ok()).collect()
}

/// What everybody has, by account.
pub(crate) struct Everybodys(BTreeMap<AccountId, Vec<Qualification>>);

impl Everybodys {
    /// What one account has.
    pub(crate) fn of(&self, account: AccountId) -> &[Qualification] {
        self.0.get(&account).map_or(&[], Vec::as_slice)
    }
}

impl Agency {
    /// What everybody has.
    ///
    /// # Errors
    /// A [`Problem`] when the state can't be read.
    pub(crate) async fn everybodys(&self) -> Result<Everybodys, Problem> {
        let found = qualifications::list(&self.state).await;
        found.map(Everybodys).map_err(|error| Problem::internal(&error))
    }

    /// How the person of an account stands, with what they have.
    pub(crate) fn judge(&self, account: &Account, held: &[Qualification]) -> Vec<Judged> {
        self.identity.requirements().judge(&functions(account), held, today(self.now()))
    }

    /// Writes down qualifications: all of them, or none. `record` says who does it.
    ///
    /// # Errors
    /// A [`Problem`] when one can't be recorded or kept; then none counts.
    pub(crate) async fn qualify(
        &self,
        record: &(dyn Fn(Event) -> Record + Send + Sync),
        new: &[(Account, Qualification)],
    ) -> Result<(), Problem> {
        let records: Vec<Record> =
            new.iter().map(|(account, one)| record(event(account, one, None))).collect();
        let appended = records.into_iter().map(|record| self.ledger.append(record));
        let appended = futures::stream::iter(appended).buffered(RECORDS_MAX);
        appended.try_for_each(|_| std::future::ready(Ok(()))).await?;
        let all: Vec<(AccountId, Qualification)> =
            new.iter().map(|(account, one)| (account.id, one.clone())).collect();
        qualifications::add(&self.state, &all).await.map_err(|error| unfit(&error))?;
        for (account, one) in new {
            if one.finding.is_some_and(|finding| finding != Finding::Cleared) {
                self.live.cut_account(account.id);
            }
        }
        Ok(())
    }

    /// Withdraws a qualification by its place in the account's list. `false`: it is not there any more.
    ///
    /// # Errors
    /// A [`Problem`] when it can't be recorded or kept; then it still counts.
    pub(crate) async fn withdraw_qualification(
        &self,
        record: &(dyn Fn(Event) -> Record + Send + Sync),
        (account, place): (&Account, usize),
        withdrawn: Withdrawn,
    ) -> Result<bool, Problem> {
        let held = qualifications::of(&self.state, account.id).await;
        let held = held.map_err(|error| Problem::internal(&error))?;
        let Some(one) = held.get(place).filter(|one| one.withdrawn.is_none()) else {
            return Ok(false);
        };
        self.ledger.append(record(event(account, one, Some(&withdrawn.reason)))).await?;
        let done = qualifications::withdraw(&self.state, account.id, place, withdrawn).await;
        let done = done.map_err(|error| unfit(&error))?;
        self.live.cut_account(account.id);
        Ok(done)
    }
}

/// What the state refuses is the person's to mend; everything else is ours.
fn unfit(error: &state::StateError) -> Problem {
    match error {
        state::StateError::Unfit { problem } => {
            Problem::bad_input(format!("Nothing was written down: {problem}."))
        }
        other => Problem::internal(other),
    }
}

/// The kind in a heading.
pub(crate) fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Training => "Training",
        Kind::Screening => "Screening",
        Kind::Agreement => "Agreement",
    }
}
