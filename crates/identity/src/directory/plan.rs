//! What a directory's change does to accounts: planned, for the ledger and the state.

use jiff::Timestamp;
use state::accounts::{Account, AccountKind, NewAccount};
use state::directory::Write;

use super::{DISABLED, DirectoryError};
use crate::admission::AccountNote;

/// What is to be done, and what is to be recorded before.
#[derive(Debug, Default)]
pub struct Plan {
    pub notes: Vec<AccountNote>,
    pub(super) write: Write,
}

impl Plan {
    pub(super) fn create(&mut self, new: NewAccount) {
        self.notes.push(AccountNote::Made(Box::new(new.clone())));
        self.write.create.push(new);
    }

    pub(super) fn edit(&mut self, before: Account, edited: Account) -> Result<(), DirectoryError> {
        if matches!(before.kind, AccountKind::Emergency | AccountKind::Service) {
            return Err(DirectoryError::AccountTaken);
        }
        if before != edited {
            self.write.update.push(edited.clone());
            let (before, after) = (Box::new(before), Box::new(edited));
            self.notes.push(AccountNote::Changed { before, after });
        }
        Ok(())
    }

    pub(super) fn remove(
        &mut self,
        account: Option<&Account>,
        now: Timestamp,
    ) -> Result<(), DirectoryError> {
        let Some(account) = account.filter(|account| account.removed_at.is_none()) else {
            return Ok(());
        };
        let mut edited = account.clone();
        edited.active = false;
        edited.removed_at = Some(now);
        edited.profile.disabled_because = Some(DISABLED.to_owned());
        self.edit(account.clone(), edited)
    }
}
