//! What runs for people at this moment, so that it can be cut: queries, streams, downloads, exports.
//!
//! Invariants: every request of a session holds a [`Leash`] from the moment that its session is known until
//! its last byte has been taken; when the session or its account is cut, or the session's time is over, the
//! request ends within [`LOOK_EVERY`], even if another process ended it; nothing of it is sent after that.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use hyper::body::{Frame, SizeHint};
use jiff::Timestamp;
use state::accounts::{AccountId, Ended, ended_among};
use tokio::sync::watch;

use crate::agency::Agency;

/// How often is looked whether another process ended a session for which something runs here, or whether its
/// time is over.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The most that is handed on at once, so that a cut takes effect in the middle of a large answer.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// What runs, by request.
#[derive(Default)]
pub struct Live {
    running: Mutex<HashMap<u64, Running>>,
    next: AtomicU64,
}

struct Running {
    /// The people for whom it runs; as a rule one.
    accounts: Vec<AccountId>,
    /// Absent where it runs in nobody's session, but in somebody's name.
    session: Option<[u8; 32]>,
    /// When the session was last known to end if the person does nothing more.
    deadline: Timestamp,
    cut: watch::Sender<bool>,
}

impl Live {
    /// Cuts what runs for an account.
    pub fn cut_account(&self, account: AccountId) {
        self.cut_where(|running| running.accounts.contains(&account));
    }

    /// Cuts what runs in a session.
    pub fn cut_session(&self, session: &[u8; 32]) {
        self.cut_where(|running| running.session.as_ref() == Some(session));
    }

    /// Cuts what runs for all that ended.
    pub fn cut(&self, ended: &Ended) {
        let accounts: HashSet<AccountId> = ended.accounts.iter().copied().collect();
        let sessions: HashSet<[u8; 32]> = ended.sessions.iter().copied().collect();
        self.cut_where(|running| {
            running.accounts.iter().any(|account| accounts.contains(account))
                || running.session.is_some_and(|session| sessions.contains(&session))
        });
    }

    fn cut_where(&self, which: impl Fn(&Running) -> bool) {
        for running in self.lock().values().filter(|running| which(running)) {
            running.cut.send_replace(true);
        }
    }

    /// The sessions for which something runs, each once.
    fn sessions(&self) -> Vec<[u8; 32]> {
        let mut sessions: Vec<[u8; 32]> =
            self.lock().values().filter_map(|one| one.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// Those of them whose time may be over.
    fn due(&self, now: Timestamp) -> Vec<[u8; 32]> {
        let running = self.lock();
        let due = running.values().filter(|one| one.deadline <= now).filter_map(|one| one.session);
        let mut sessions: Vec<[u8; 32]> = due.collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
    }

    /// The person did something elsewhere: the session goes on until then.
    fn prolong(&self, session: &[u8; 32], deadline: Timestamp) {
        for running in self.lock().values_mut().filter(|one| one.session.as_ref() == Some(session))
        {
            running.deadline = deadline;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what runs in sessions that another process ended or whose time is over, until `stopped`.
pub(crate) async fn watch_for_ends(agency: Arc<Agency>, mut stopped: watch::Receiver<bool>) {
    loop {
        let stop = tokio::time::timeout(LOOK_EVERY, stopped.wait_for(|stop| *stop)).await.is_ok();
        if stop {
            return;
        }
        let sessions = agency.live.sessions();
        if sessions.is_empty() {
            continue;
        }
        match ended_among(&agency.state, &sessions, agency.now()).await {
            Ok(ended) => agency.live.cut(&Ended { accounts: Vec::new(), sessions: ended }),
            // Who can't be shown to be in is out.
            Err(error) => {
                tracing::error!(error = %crate::problem::chain(&error), "sessions could not be looked at");
                agency.live.cut(&Ended { accounts: Vec::new(), sessions });
            }
        }
        for session in agency.live.due(agency.now()) {
            match agency.lives_until(&session).await {
                Ok(Some(deadline)) => agency.live.prolong(&session, deadline),
                Ok(None) => agency.live.cut_session(&session),
                Err(problem) => {
                    tracing::error!(title = problem.title, "the end of a session is not on record");
                    agency.live.cut_session(&session);
                }
            }
        }
    }
}

type Cut = Shared<BoxFuture<'static, ()>>;

/// What ties one request to its session. It is there before the session is known, and holds nothing then.
#[derive(Clone)]
pub struct Leash(Arc<Hold>);

struct Hold {
    live: Arc<Live>,
    number: u64,
    tied: OnceLock<()>,
    loose: AtomicBool,
    cut: watch::Sender<bool>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.live.lock().remove(&self.number);
    }
}

impl Leash {
    /// For one request.
    #[must_use]
    pub fn new(live: &Arc<Live>) -> Self {
        let number = live.next.fetch_add(1, Ordering::Relaxed);
        let (cut, _) = watch::channel(false);
        let (tied, loose) = (OnceLock::new(), AtomicBool::new(false));
        Self(Arc::new(Hold { live: live.clone(), number, tied, loose, cut }))
    }

    /// Ties the request to a session of an account; the first counts.
    /// `deadline` is when the session ends if the person does nothing more.
    pub fn tie(&self, account: AccountId, session: [u8; 32], deadline: Timestamp) {
        self.tie_to(vec![account], Some(session), deadline);
    }

    /// Ties what runs in nobody's session to those in whose name it runs.
    pub fn tie_in_the_name_of(&self, accounts: Vec<AccountId>) {
        self.tie_to(accounts, None, Timestamp::MAX);
    }

    fn tie_to(&self, accounts: Vec<AccountId>, session: Option<[u8; 32]>, deadline: Timestamp) {
        self.0.tied.get_or_init(|| {
            let cut = self.0.cut.clone();
            let running = Running { accounts, session, deadline, cut };
            self.0.live.lock().insert(self.0.number, running);
        });
    }

    /// Whether it was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        *self.0.cut.borrow()
    }

    /// The request ends its own session, and is to give its answer all the same.
    pub fn let_go(&self) {
        self.0.loose.store(true, Ordering::SeqCst);
        self.0.live.lock().remove(&self.0.number);
    }

    /// Comes back when the request is cut, and never if it is not.
    fn cut(&self) -> Cut {
        let mut seen = self.0.cut.subscribe();
        let hold = Arc::downgrade(&self.0);
        async move {
            // The sender lives in the leash: an error means that the request is over.
            let was_cut = seen.wait_for(|cut| *cut).await.is_ok();
            let loose = hold.upgrade().is_none_or(|hold| hold.loose.load(Ordering::SeqCst));
            if !was_cut || loose {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
        .shared()
    }

    /// Gives what `work` gives, or nothing when the request is cut first; `work` is dropped then.
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.cut() => None,
            done = work => Some(done),
        }
    }

    /// The body, which breaks off when the request is cut.
    pub fn body(self, body: Body) -> Body {
        if self.0.tied.get().is_none() || self.0.loose.load(Ordering::SeqCst) {
            return body;
        }
        let cut = self.cut();
        Body::new(Tethered { body, rest: Bytes::new(), cut, _leash: self })
    }
}

/// The session ended while an answer was on its way.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the session ended")]
struct SessionOver;

/// A body that breaks off, in pieces.
struct Tethered {
    body: Body,
    /// What has been taken from the body and not been handed on.
    rest: Bytes,
    cut: Cut,
    /// The request runs for as long as its body is taken.
    _leash: Leash,
}

impl HttpBody for Tethered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.cut.poll_unpin(context).is_ready() {
            self.rest = Bytes::new();
            self.body = Body::empty();
            return Poll::Ready(Some(Err(axum::Error::new(SessionOver))));
        }
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let size = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(size);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let (lower, upper) = (hint.lower().saturating_add(rest), hint.upper());
        if let Some(upper) = upper {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(lower);
        hint
    }
}
