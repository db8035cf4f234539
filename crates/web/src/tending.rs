//! Accounts that end without anybody's doing: temporary ones when their time is over, and those that nobody
//! uses.
//!
//! Invariants: each is disabled as by an administrator's hand: recorded, changed, sessions ended, and what runs
//! is cut. Nobody is disabled for not having been here while the clock may have jumped.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ledger::Record;
use state::accounts::{self, Account};
use tokio::sync::watch;

use crate::agency::Agency;
use crate::app::Shared;
use crate::problem::chain;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(60);

/// An account that nobody used for so many days is disabled (AC-2(3)).
pub const UNUSED_DAYS_MAX: i64 = 90;

/// Administrators are told so many days before.
pub const NOTICE_DAYS: i64 = 14;

/// Tends to the accounts until the server stops, and tells of agreements that are near their review or end.
pub(crate) async fn tend(agency: Shared, mut stopped: watch::Receiver<bool>) {
    let mut told = BTreeMap::new();
    loop {
        agency.tend_accounts().await;
        if let Some(sharing) = &agency.exchange
            && let Err(error) = sharing.exchange.tell_of_due_agreements(&mut told).await
        {
            tracing::error!(error = %chain(&error), "agreements that are due could not be told of");
        }
        let stop = stopped.wait_for(|stop| *stop);
        if tokio::time::timeout(EVERY, stop).await.is_ok() {
            return;
        }
    }
}

/// So many days before.
pub(crate) fn days_before(now: Timestamp, days: i64) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN)
}

/// When an account is disabled if nobody uses it.
pub(crate) fn lapses_at(account: &Account) -> Timestamp {
    let days = SignedDuration::from_hours(24 * UNUSED_DAYS_MAX);
    account.last_used_at().checked_add(days).unwrap_or(Timestamp::MAX)
}

impl Agency {
    /// Disables the accounts whose time is over or that nobody uses, and forgets sessions of days ago. What
    /// fails is tried again.
    pub async fn tend_accounts(&self) {
        let now = self.now();
        self.forget_old_sessions(now).await;
        match accounts::over(&self.state, now).await {
            Ok(over) => self.disable_each(&over, "its time is over").await,
            Err(error) => {
                tracing::error!(error = %chain(&error), "accounts that are over could not be looked for");
            }
        }
        let unused = accounts::unused_since(&self.state, days_before(now, UNUSED_DAYS_MAX)).await;
        match unused {
            Ok(unused) if unused.is_empty() => {}
            Ok(unused) => {
                if self.clock_is_trusted(now).await {
                    let reason = format!("nobody used it for {UNUSED_DAYS_MAX} days");
                    self.disable_each(&unused, &reason).await;
                }
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "unused accounts could not be looked for");
            }
        }
    }

    /// Sessions that ended long ago are only rows. What they did is in the ledger.
    async fn forget_old_sessions(&self, now: Timestamp) {
        if let Err(error) = self.identity.forget_old(now).await {
            tracing::error!(error = %chain(&error), "old sessions could not be forgotten");
        }
    }

    /// How many accounts are disabled within [`NOTICE_DAYS`] if nobody uses them.
    pub(crate) async fn lapsing(&self) -> Result<usize, state::StateError> {
        let since = days_before(self.now(), UNUSED_DAYS_MAX - NOTICE_DAYS);
        Ok(accounts::unused_since(&self.state, since).await?.len())
    }

    async fn disable_each(&self, all: &[Account], reason: &str) {
        for account in all {
            let mut edited = account.clone();
            edited.active = false;
            edited.profile.disabled_because = Some(reason.to_owned());
            // Somebody who changed it in the meantime, or a record that is refused: the next round looks anew.
            if let Err(problem) =
                self.change_account(&Record::platform, (account, &edited), reason).await
            {
                tracing::error!(words = %problem.words, "an account could not be disabled");
            }
        }
    }

    /// A clock that jumped ahead would make everybody look unused.
    async fn clock_is_trusted(&self, now: Timestamp) -> bool {
        let ledger = self.ledger.clone();
        let looked = tokio::task::spawn_blocking(move || ledger.has_recorded_lately(now)).await;
        match looked {
            Ok(Ok(true)) => true,
            Ok(Ok(false)) => {
                tracing::error!(
                    "no account is disabled for not being used: the ledger has no entry of the weeks before \
                     the last one, so the clock may be wrong"
                );
                false
            }
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), "whether the clock can be trusted could not be found out");
                false
            }
            Err(error) => {
                tracing::error!(%error, "whether the clock can be trusted could not be found out");
                false
            }
        }
    }
}
