//! One room that fills, from one look to the next.

use jiff::Timestamp;

use super::watch::Alarm;
use super::{Capacity, Growth, Room, Space};

/// What is remembered of it.
#[derive(Debug)]
pub(super) struct Filling {
    of: Room,
    growth: Growth,
    pub(super) low: Alarm,
    unreadable: Alarm,
}

impl Filling {
    pub(super) fn new(of: Room) -> Self {
        Self { of, growth: Growth::default(), low: Alarm::default(), unreadable: Alarm::default() }
    }

    /// Takes in what was seen; `None` where there is nothing to see.
    pub(super) fn note(
        &mut self,
        seen: Result<Option<Space>, &(dyn std::error::Error + 'static)>,
        (now, warn_percent): (Timestamp, u8),
    ) -> Option<Capacity> {
        let space = match seen {
            Ok(space) => space?,
            Err(error) => {
                if self.unreadable.rings(true, now) {
                    let what = self.of.words();
                    tracing::error!(error, "the ledger's {what} does not say how full it is");
                }
                return None;
            }
        };
        self.unreadable.rings(false, now);
        self.growth.note(now, space.bytes.saturating_sub(space.free_bytes));
        Some(Capacity::new(self.of, now, &space, warn_percent, &self.growth))
    }
}
