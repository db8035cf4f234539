//! How fast parcels leave: a token bucket that all deliveries of this process draw from.
//!
//! Invariant: over any stretch of time no more leaves than the rate times that stretch, and one second's worth
//! or one piece on top. Time is an argument: the bucket itself waits for nobody, it says for how long to wait.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Exchange;

/// The most that is taken out at once: whoever breaks off, as after a recall, has kept others from no more than that.
const STEP_BYTES: u64 = 256 * 1024;
/// Pieces that were paid for and wait for the line.
const PIECES_AHEAD: usize = 1;

/// Bytes that may leave, as they come in again.
#[derive(Debug)]
pub(crate) struct Bucket {
    bytes_per_second: u64,
    level: Mutex<Level>,
}

#[derive(Debug, Default)]
struct Level {
    /// Until when, in nanoseconds since the beginning, the line's time is spent.
    spent_to: u128,
}

impl Bucket {
    /// Full. A rate of 0 is taken for 1.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), level: Mutex::default() }
    }

    /// Takes so many bytes out, at a time since some beginning, and says how long to wait before they leave.
    pub(crate) fn take(&self, bytes: u64, now: Duration) -> Duration {
        let second = Duration::from_secs(1).as_nanos();
        let cost = u128::from(bytes) * second / u128::from(self.bytes_per_second);
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        // What was not used for longer than a second is lost.
        level.spent_to = level.spent_to.max(now.as_nanos()) + cost;
        let wait = level.spent_to.saturating_sub(now.as_nanos() + second);
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

impl Exchange {
    /// Waits until so many bytes may leave. At once where no limit is set.
    pub(crate) async fn pace(&self, bytes: u64) {
        let Some(bucket) = &self.0.bandwidth else { return };
        let mut left = bytes;
        while left > 0 {
            let step = left.min(STEP_BYTES);
            let wait = bucket.take(step, self.0.began.elapsed());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            left -= step;
        }
    }

    /// The same pieces, no faster than they may leave.
    pub(crate) fn paced(
        &self,
        mut pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> mpsc::Receiver<std::io::Result<Bytes>> {
        if self.0.bandwidth.is_none() {
            return pieces;
        }
        let (send, receive) = mpsc::channel(PIECES_AHEAD);
        let this = self.clone();
        tokio::spawn(async move {
            while let Some(piece) = pieces.recv().await {
                this.pace(piece.as_ref().map_or(0, |bytes| bytes.len() as u64)).await;
                if send.send(piece).await.is_err() {
                    return;
                }
            }
        });
        receive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_any_stretch_no_more_leaves_than_the_rate_and_one_second_on_top() {
        let bucket = Bucket::new(1_000);
        let mut now = Duration::ZERO;
        let mut left: Vec<(Duration, u64)> = Vec::new();
        // Pieces of odd sizes, with pauses, and one long one.
        for round in 0..400_u64 {
            let bytes = 1 + (round * 7_919) % 900;
            let wait = bucket.take(bytes, now);
            now += wait;
            left.push((now, bytes));
            if round == 200 {
                now += Duration::from_secs(3_600);
            } else if round % 13 == 0 {
                now += Duration::from_millis(300);
            }
        }
        for (first, &(from, _)) in left.iter().enumerate() {
            let mut sum = 0;
            for &(at, bytes) in &left[first..] {
                sum += bytes;
                let may = 1_000.0 * (at - from).as_secs_f64() + 1_000.0 + 900.0;
                assert!(sum as f64 <= may, "{sum} within {:?}", at - from);
            }
        }
        let (last, _) = left[left.len() - 1];
        let all: u64 = left.iter().map(|(_, bytes)| bytes).sum();
        let busy = last.as_secs_f64() - 3_600.0;
        assert!(all as f64 / busy > 900.0, "and the line is used: {all} in {busy} s");
    }

    #[test]
    fn the_first_second_s_worth_leaves_at_once_and_two_share_one_bucket() {
        let bucket = Bucket::new(100);
        assert_eq!(bucket.take(100, Duration::ZERO), Duration::ZERO);
        assert_eq!(bucket.take(50, Duration::ZERO), Duration::from_millis(500));
        assert_eq!(bucket.take(50, Duration::ZERO), Duration::from_secs(1));
        assert_eq!(bucket.take(50, Duration::from_secs(1)), Duration::from_millis(500));
        // A minute later the bucket holds one second's worth, not sixty.
        assert_eq!(bucket.take(100, Duration::from_secs(60)), Duration::ZERO);
        assert_eq!(bucket.take(100, Duration::from_secs(60)), Duration::from_secs(1));
    }
}
