//! A request's body on its way in: never more than was allowed, never slower than was allowed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::error::WireError;

/// The body that handlers get. It ends in [`WireError::TooLarge`] or [`WireError::TimedOut`] where
/// the sender goes beyond the listener's limits.
pub struct IngressBody {
    inner: Incoming,
    bytes_max: u64,
    received: u64,
    started: Instant,
    idle_wait_max: Duration,
    rate_min: u32,
    /// When the sender is too late. Moves with what has been received.
    too_late: Option<Pin<Box<Sleep>>>,
}

impl IngressBody {
    pub(crate) fn new(
        inner: Incoming,
        bytes_max: u64,
        idle_wait_max: Duration,
        rate_min: u32,
    ) -> Self {
        let started = Instant::now();
        Self { inner, bytes_max, received: 0, started, idle_wait_max, rate_min, too_late: None }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] and [`WireError::TimedOut`] beyond the listener's limits,
    /// [`WireError::Http`] where the connection broke.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, WireError>> {
        loop {
            match self.frame().await? {
                Err(error) => return Some(Err(error)),
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
            }
        }
    }

    /// A sender may pause for the idle time, and over the whole body must keep the lowest rate.
    fn deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.received / u64::from(self.rate_min.max(1)));
        let by_rate = self.started + self.idle_wait_max + earned;
        by_rate.min(Instant::now() + self.idle_wait_max)
    }
}

impl Body for IngressBody {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.too_late = None;
            let Some(frame) = frame else { return Poll::Ready(None) };
            let frame = match frame {
                Ok(frame) => frame,
                Err(source) => {
                    let error = WireError::Http { doing: "read the request's body", source };
                    return Poll::Ready(Some(Err(error)));
                }
            };
            if let Some(data) = frame.data_ref() {
                self.received = self.received.saturating_add(data.len() as u64);
            }
            if self.received > self.bytes_max {
                let max = self.bytes_max;
                return Poll::Ready(Some(Err(WireError::TooLarge { what: "the body", max })));
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        let deadline = self.deadline();
        let too_late =
            self.too_late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(too_late.as_mut().poll(cx));
        let after = self.idle_wait_max;
        Poll::Ready(Some(Err(WireError::TimedOut { doing: "the request's body", after })))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
