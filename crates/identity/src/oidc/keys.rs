//! Somebody's published keys: at hand, or fetched if that may be done now.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::jose::Jws;
use super::jwks::{JWKS_BYTES_MAX, Jwks, Kept};
use super::{Call, Fetch};
use crate::Refusal;

/// The keys at one address, which its owner may change.
pub(crate) struct KeySource {
    fetch: Arc<dyn Fetch>,
    kept: Mutex<Kept>,
}

impl KeySource {
    pub(crate) fn new(fetch: Arc<dyn Fetch>) -> Self {
        Self { fetch, kept: Mutex::default() }
    }

    /// The keys with which this message may be signed: those at hand if one of them fits, else those that are
    /// published now, if they may be asked for. The codes are for keys that can't be had, and for what is no
    /// set of keys.
    pub(crate) async fn keys(
        &self,
        url: String,
        message: &Jws,
        [unreachable, unfit]: [&'static str; 2],
        now: Timestamp,
    ) -> Result<Arc<Jwks>, Refusal> {
        let mut kept = self.kept.lock().await;
        let fresh = kept.fresh(now);
        if let Some(keys) = &fresh
            && (keys.fits(message) || !kept.may_ask(now))
        {
            return Ok(Arc::clone(keys));
        }
        if !kept.may_ask(now) {
            return Err(Refusal::new(unreachable, "the keys could not be had a minute ago"));
        }
        kept.asking(now);
        let bytes_max = JWKS_BYTES_MAX;
        let call = Call { url, form: None, json: None, bearer: None, bytes_max };
        let answered = match self.fetch.fetch(call).await {
            Ok(reply) if reply.status == 200 => Jwks::parse(&reply.body).map_err(|what| {
                Refusal::new(unfit, format!("the set of keys is not taken: {what}"))
            }),
            Ok(reply) => {
                let detail = format!("the answer is {} where the keys are", reply.status);
                Err(Refusal::new(unreachable, detail))
            }
            Err(error) => {
                tracing::warn!(error = %wire::causes(&error), "published keys can't be asked for");
                Err(Refusal::new(unreachable, "the server of the keys could not be asked"))
            }
        };
        match (answered, fresh) {
            (Ok(keys), _) => Ok(kept.answered(keys, now)),
            (Err(refusal), Some(before)) => {
                tracing::warn!(%refusal, "published keys stay as they were");
                Ok(before)
            }
            (Err(refusal), None) => Err(refusal),
        }
    }
}
