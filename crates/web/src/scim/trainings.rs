//! Trainings by a directory's word: written down and withdrawn as if by hand.
//!
//! Invariants: a directory withdraws nothing but what it wrote down itself; each step is in the ledger before it is
//! done. This comes after the account is what the directory says, and again with whatever it sends next, so that what
//! failed once is made good.

use identity::directory::{DirectoryError, Resource};
use identity::qualified::today;
use ledger::Record;
use state::qualifications::{self, Kind, Qualification, Withdrawn};

use super::Client;
use super::answers::Refused;
use crate::agency::Agency;

impl Client {
    /// Has a person's trainings be those that the directory tells of, beside what others wrote down.
    pub(super) async fn keep_trainings(
        &self,
        agency: &Agency,
        person: &Resource,
    ) -> Result<(), Refused> {
        let Some(account) = person.account().filter(|account| account.removed_at.is_none()) else {
            return Ok(());
        };
        let now = agency.now();
        let told = person.document.trainings(today(now));
        let by = format!("directory {}", self.0.id);
        let held = qualifications::of(&agency.state, account.id).await;
        let held = held.map_err(DirectoryError::from)?;
        let ours = |one: &Qualification| {
            one.written_by == by && one.kind == Kind::Training && one.withdrawn.is_none()
        };
        let wanted: Vec<Qualification> = told
            .into_iter()
            .map(|one| Qualification {
                kind: Kind::Training,
                course: one.course,
                on: one.on,
                until: one.until,
                finding: None,
                version: None,
                evidence: one.evidence,
                written_at: now,
                written_by: by.clone(),
                withdrawn: None,
            })
            .collect();
        let same = |a: &Qualification, b: &Qualification| {
            (&a.course, a.on, a.until, &a.evidence) == (&b.course, b.on, b.until, &b.evidence)
        };
        let gone = held.iter().enumerate().filter(|(_, one)| ours(one));
        let gone = gone.filter(|(_, one)| !wanted.iter().any(|other| same(one, other)));
        for (place, _) in gone {
            let reason = "the directory no longer tells of it".to_owned();
            let withdrawn = Withdrawn { at: now, by: by.clone(), reason };
            agency
                .withdraw_qualification(&Record::platform, (account, place), withdrawn)
                .await
                .map_err(Refused::Training)?;
        }
        let new =
            wanted.into_iter().filter(|one| !held.iter().any(|old| ours(old) && same(old, one)));
        let new: Vec<_> = new.map(|one| (account.clone(), one)).collect();
        if new.is_empty() {
            return Ok(());
        }
        agency.qualify(&Record::platform, &new).await.map_err(Refused::Training)
    }
}
