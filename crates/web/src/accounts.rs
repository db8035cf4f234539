//! Accounts and the end of sessions, as every part of this room does them: recorded, done, and cut off.
//!
//! Order that must hold: the record first, then the state, then whatever still runs for the person is cut. If
//! the record can't be made, nothing is changed, but what runs is cut all the same: a ledger that refuses
//! records lets nothing else out either.

use std::sync::Arc;

use identity::{AccountNote, Recorder, Recording};
use ledger::{Event, FieldChange, Ledger, Record};
use state::accounts::{self, Account, AccountId, Created, Ended, NewAccount, Of, Updated};

use crate::agency::Agency;
use crate::problem::Problem;

/// Records what a sign-in does to accounts.
pub(crate) struct LedgerRecorder(pub(crate) Ledger);

impl Recorder for LedgerRecorder {
    fn record(&self, note: AccountNote) -> Recording<'_> {
        let event = match note {
            AccountNote::Made(new) => created(&new, "by signing in"),
            AccountNote::Changed { before, after } => {
                changed(&before, &after, "what the identity provider says")
            }
        };
        Box::pin(async move {
            self.0.append(Record::platform(event)).await?;
            Ok(())
        })
    }
}

/// The event of an account that is to be made. `by` says what makes it: "by signing in", "scim".
#[must_use]
pub fn created(new: &NewAccount, by: &str) -> Event {
    Event::AccountCreated {
        account: format!("{}|{}", new.profile.idp, new.profile.name_id),
        kind: new.kind.as_str().to_owned(),
        by: by.to_owned(),
        functions: new.profile.functions.clone(),
    }
}

/// The event of an account that is to be changed from `before` to `after`.
#[must_use]
pub fn changed(before: &Account, after: &Account, reason: &str) -> Event {
    let what = match (before.active, after.active) {
        _ if after.removed_at.is_some() => "removed",
        (true, false) => "disabled",
        (false, true) => "enabled",
        (true, true) | (false, false) => "changed",
    };
    let changes = accounts::changes(before, after).into_iter().map(|one| FieldChange {
        field: one.field.to_owned(),
        before: one.before,
        after: one.after,
    });
    Event::AccountChanged {
        account: before.key(),
        version: before.version.saturating_add(1).unsigned_abs(),
        what: what.to_owned(),
        changes: changes.collect(),
        reason: reason.to_owned(),
    }
}

/// Who does it, as the record says: a signed-in person's [`crate::session::SignedIn::record`], or
/// [`Record::platform`] for a directory, a provider or upkeep.
pub type Recorded<'a> = &'a (dyn Fn(Event) -> Record + Send + Sync);

impl Agency {
    /// Makes an account. `by` says what makes it.
    ///
    /// # Errors
    /// A [`Problem`] when it can't be recorded or made; then there is none.
    pub async fn create_account(
        &self,
        record: Recorded<'_>,
        new: &NewAccount,
        by: &str,
    ) -> Result<Created, Problem> {
        let key = AccountId::of(&format!("{}|{}", new.profile.idp, new.profile.name_id));
        if let Some(present) = self.account(key).await?
            && present.removed_at.is_none()
        {
            return Ok(Created::Exists(present));
        }
        self.ledger.append(record(created(new, by))).await?;
        let made = accounts::create(&self.state, new, self.now()).await;
        made.map_err(|error| Problem::internal(&error))
    }

    /// An account, removed or not.
    ///
    /// # Errors
    /// A [`Problem`] when the state can't be read.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Problem> {
        let found = accounts::find(&self.state, id).await;
        found.map_err(|error| Problem::internal(&error))
    }

    /// Makes an account what `edited` says, upon the version that it was read at: recorded, changed, and
    /// everything cut that must end with it. `before` is the account as it was read.
    ///
    /// # Errors
    /// A [`Problem`] when it can't be recorded or changed; then nothing was.
    pub async fn change_account(
        &self,
        record: Recorded<'_>,
        (before, edited): (&Account, &Account),
        reason: &str,
    ) -> Result<Updated, Problem> {
        let appended = self.ledger.append(record(changed(before, edited, reason))).await;
        if appended.is_err() && (!edited.active || edited.removed_at.is_some()) {
            self.live.cut_account(before.id);
        }
        appended?;
        let updated = accounts::update(&self.state, edited, reason, self.now()).await;
        let updated = updated.map_err(|error| Problem::internal(&error))?;
        if let Updated::Done { before, after, .. } = &updated
            && before.epoch != after.epoch
        {
            self.live.cut_account(after.id);
        }
        Ok(updated)
    }

    /// Ends sessions, and cuts off what runs in them. `named` says whose in the record.
    ///
    /// # Errors
    /// A [`Problem`] when it can't be recorded or done; then no session was ended, though what ran is cut.
    pub async fn end_sessions(
        &self,
        record: Recorded<'_>,
        of: Of<'_>,
        named: &str,
        reason: &str,
    ) -> Result<Ended, Problem> {
        match of {
            Of::Account(id) => self.live.cut_account(id),
            Of::Session(id) => self.live.cut_session(&id),
            Of::Provider { .. } | Of::Everybody { .. } => {}
        }
        let event = Event::SessionsEnded { of: named.to_owned(), reason: reason.to_owned() };
        self.ledger.append(record(event)).await?;
        let ended = accounts::end_sessions(&self.state, of, reason, self.now()).await;
        let ended = ended.map_err(|error| Problem::internal(&error))?;
        self.live.cut(&ended);
        Ok(ended)
    }

    /// Records sign-ins' changes of accounts in this ledger.
    pub(crate) fn recorder(ledger: &Ledger) -> Arc<dyn Recorder> {
        Arc::new(LedgerRecorder(ledger.clone()))
    }
}
