//! How often somebody may ask: a bucket of requests that fills up again with time.
//!
//! What must stay true: whoever asks too often waits, and does not make others wait; the memory that this takes
//! is bounded whoever asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Askers that are told apart.
const ASKERS_MAX: usize = 1_024;

/// How often one asker may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests that may come at once.
    pub(crate) burst_max: u32,
    /// Requests a second, in the long run.
    pub(crate) per_second_max: u32,
}

/// Who asked how often.
#[derive(Debug)]
pub(crate) struct Rates {
    rate: Rate,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of requests that are left.
    left: i64,
    at: Timestamp,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Whether `who` may ask now; that counts as asking.
    pub(crate) fn allows(&self, who: &str, now: Timestamp) -> bool {
        let whole = self.rate.whole();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(who) && buckets.len() >= ASKERS_MAX {
            buckets.retain(|_, bucket| bucket.filled(self.rate, now) < whole);
            if buckets.len() >= ASKERS_MAX {
                return false;
            }
        }
        let bucket = buckets.entry(who.to_owned()).or_insert(Bucket { left: whole, at: now });
        bucket.left = bucket.filled(self.rate, now);
        bucket.at = bucket.at.max(now);
        let allowed = bucket.left >= 1_000;
        if allowed {
            bucket.left -= 1_000;
        }
        allowed
    }
}

impl Rate {
    fn whole(self) -> i64 {
        i64::from(self.burst_max) * 1_000
    }
}

impl Bucket {
    fn filled(&self, rate: Rate, now: Timestamp) -> i64 {
        let millis = now.as_millisecond().saturating_sub(self.at.as_millisecond()).max(0);
        let more = millis.saturating_mul(rate.per_second_max.into());
        self.left.saturating_add(more).min(rate.whole())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const RATE: Rate = Rate { burst_max: 200, per_second_max: 50 };

    #[test]
    fn whoever_asks_too_often_waits_and_others_do_not() {
        let (rates, start) = (Rates::new(RATE), Timestamp::UNIX_EPOCH);
        for _ in 0..RATE.burst_max {
            assert!(rates.allows("a", start));
        }
        assert!(!rates.allows("a", start));
        assert!(rates.allows("b", start));
        let later = start + SignedDuration::from_millis(20);
        assert!(rates.allows("a", later));
        assert!(!rates.allows("a", later));
        assert!(!rates.allows("a", start), "a clock that steps back gives nothing");
    }

    #[test]
    fn strangers_take_no_more_than_so_much_memory() {
        let (rates, start) = (Rates::new(RATE), Timestamp::UNIX_EPOCH);
        for stranger in 0..ASKERS_MAX * 2 {
            rates.allows(&stranger.to_string(), start);
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), ASKERS_MAX);
        assert!(rates.allows("late", start + SignedDuration::from_secs(60)));
    }
}
