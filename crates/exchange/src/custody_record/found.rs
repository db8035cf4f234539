//! What our ledger has about one export or one received parcel.
//!
//! Invariant: entries are found by what they are about, and those that the row names are there in any case; while the
//! search index is behind, nothing is told rather than a part.

use std::collections::BTreeMap;

use ledger::{Entry, EntryNumber, Search, Subject};

use crate::{Exchange, ExchangeError};

/// Entries that one record tells of.
const ENTRIES_MAX: usize = 20_000;

impl Exchange {
    /// The entries about these subjects, and those of these numbers, oldest first.
    pub(super) async fn entries_about(
        &self,
        subjects: Vec<Subject>,
        named: Vec<u64>,
    ) -> Result<Vec<Entry>, ExchangeError> {
        let mut found = BTreeMap::new();
        for subject in subjects {
            let mut search =
                Search { subject: Some(subject), ..Search::newest(ledger::PAGE_ENTRIES_MAX) };
            loop {
                let page = self.page(search.clone()).await?;
                search.before = page.entries.last().map(|entry| entry.number);
                let more = page.more && search.before.is_some();
                found.extend(page.entries.into_iter().map(|entry| (entry.number.0, entry)));
                if found.len() > ENTRIES_MAX {
                    let (what, is) =
                        ("custody record", format!("of more than {ENTRIES_MAX} entries"));
                    return Err(ExchangeError::WrongState { what, is, needs: "shorter" });
                }
                if !more {
                    break;
                }
            }
        }
        let missing: Vec<u64> =
            named.into_iter().filter(|number| !found.contains_key(number)).collect();
        let ledger = self.0.setup.ledger.clone();
        let read = move || {
            let read = |number| ledger.read(EntryNumber(number)).map_err(ExchangeError::LedgerRead);
            missing.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        };
        let read =
            tokio::task::spawn_blocking(read).await.map_err(|_| ExchangeError::Stopped)??;
        found.extend(read.into_iter().map(|entry| (entry.number.0, entry)));
        Ok(found.into_values().collect())
    }
}
