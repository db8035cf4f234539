//! How often somebody may ask: a bucket of requests that fills up again with time.
//!
//! What must stay true: whoever asks too often waits, and does not make others wait; the memory that this takes
//! is bounded whoever asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// Requests that may come at once.
pub(super) const BURST_MAX: u32 = 200;
/// Requests a second, in the long run. Entra ID asks for 25.
pub(super) const PER_SECOND_MAX: u32 = 50;
/// Askers that are told apart.
const ASKERS_MAX: usize = 1_024;

/// Who asked how often.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of requests that are left.
    left: i64,
    at: Timestamp,
}

const WHOLE: i64 = BURST_MAX as i64 * 1_000;

impl Rates {
    /// Whether `who` may ask now; that counts as asking.
    pub(super) fn allows(&self, who: &str, now: Timestamp) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if !buckets.contains_key(who) && buckets.len() >= ASKERS_MAX {
            buckets.retain(|_, bucket| bucket.filled(now) < WHOLE);
            if buckets.len() >= ASKERS_MAX {
                return false;
            }
        }
        let bucket = buckets.entry(who.to_owned()).or_insert(Bucket { left: WHOLE, at: now });
        bucket.left = bucket.filled(now);
        bucket.at = bucket.at.max(now);
        let allowed = bucket.left >= 1_000;
        if allowed {
            bucket.left -= 1_000;
        }
        allowed
    }
}

impl Bucket {
    fn filled(&self, now: Timestamp) -> i64 {
        let millis = now.as_millisecond().saturating_sub(self.at.as_millisecond()).max(0);
        self.left.saturating_add(millis.saturating_mul(PER_SECOND_MAX.into())).min(WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn whoever_asks_too_often_waits_and_others_do_not() {
        let (rates, start) = (Rates::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..BURST_MAX {
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
        let (rates, start) = (Rates::default(), Timestamp::UNIX_EPOCH);
        for stranger in 0..ASKERS_MAX * 2 {
            rates.allows(&stranger.to_string(), start);
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), ASKERS_MAX);
        assert!(rates.allows("late", start + SignedDuration::from_secs(60)));
    }
}
