//! How fast a volume fills: one figure an hour, for a week. It is forgotten with the process.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

const SAMPLE_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// A week of hours.
const SAMPLES_MAX: usize = 168;
const DAY_SECONDS: u128 = 86_400;

/// Used bytes, the oldest first, and the newest figure whenever it was taken.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    samples: VecDeque<(Timestamp, u64)>,
    newest: Option<(Timestamp, u64)>,
}

impl Growth {
    pub(crate) fn note(&mut self, at: Timestamp, used: u64) {
        // After the clock went back, what it said before is of no use.
        self.samples.retain(|(before, _)| *before <= at);
        let is_due = |(last, _): &(Timestamp, u64)| at.duration_since(*last) >= SAMPLE_WAIT;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((at, used));
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.newest = Some((at, used));
    }

    /// `None` before there is an hour to tell from, and where the volume does not fill.
    pub(crate) fn bytes_per_day(&self) -> Option<u64> {
        let ((begun, before), (at, now)) = (*self.samples.front()?, self.newest?);
        let time = at.duration_since(begun);
        if time < SAMPLE_WAIT {
            return None;
        }
        let seconds = u128::try_from(time.as_secs()).ok()?;
        let grown = u128::from(now.checked_sub(before)?);
        u64::try_from(grown * DAY_SECONDS / seconds).ok().filter(|per_day| *per_day > 0)
    }
}
