//! One conversation with a directory: bind, then searches one after another, on a stream that is TLS already.
//!
//! Invariant: every answer has a time-out, a size and the number of what was asked; anything else ends the
//! conversation.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::LdapError;
use super::message::{self, Answer, Entry, Outcome, Search};

/// Entries of one page.
const PAGE: u32 = 500;
/// Answers to one question: those of a directory that pages, and of one that does not.
const ANSWERS_MAX: usize = 20_000;
/// What one read takes at most.
const READ_BYTES: usize = 16 * 1024;

/// A conversation.
pub(super) struct Talk<S> {
    stream: S,
    /// What was read and belongs to the next message.
    read: Vec<u8>,
    next: u32,
    wait_max: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Talk<S> {
    pub(super) fn new(stream: S, wait_max: Duration) -> Self {
        Self { stream, read: Vec::new(), next: 1, wait_max }
    }

    /// Proves who we are.
    pub(super) async fn bind(&mut self, dn: &str, password: &str) -> Result<(), LdapError> {
        let id = self.number();
        self.send(&message::bind(id, dn, password)).await?;
        match self.answer(id).await? {
            Answer::Bound(Outcome { code: 0 }) => Ok(()),
            Answer::Bound(Outcome { code }) => Err(LdapError::Code { doing: "bind", code }),
            _ => Err(LdapError::Unasked),
        }
    }

    /// All that a filter finds under `base`, page by page; more than `entries_max` is an error.
    pub(super) async fn search(
        &mut self,
        base: &str,
        filter: &[u8],
        attributes: &[&str],
        entries_max: usize,
    ) -> Result<Vec<Entry>, LdapError> {
        let mut found = Vec::new();
        let mut cookie = Vec::new();
        loop {
            let id = self.number();
            let search = Search {
                base,
                filter,
                attributes,
                entries_max: 0,
                seconds_max: u32::try_from(self.wait_max.as_secs()).unwrap_or(u32::MAX),
                page: PAGE,
                cookie: &cookie,
            };
            self.send(&message::search(id, &search)).await?;
            let (next, over) = self.page(id, &mut found, entries_max).await?;
            if over {
                return Err(LdapError::TooMany { max: entries_max });
            }
            if next.is_empty() {
                return Ok(found);
            }
            cookie = next;
        }
    }

    /// One page: the cookie of the next, and whether there was more than may be. What is over is read to the page's
    /// end, so that the next question gets its own answers.
    async fn page(
        &mut self,
        id: u32,
        found: &mut Vec<Entry>,
        entries_max: usize,
    ) -> Result<(Vec<u8>, bool), LdapError> {
        let mut over = false;
        for _ in 0..ANSWERS_MAX {
            match self.answer(id).await? {
                Answer::Entry(entry) if found.len() < entries_max => found.push(entry),
                Answer::Entry(_) => over = true,
                // Another directory may know more. It is not asked: what it knows is not known here.
                Answer::Elsewhere => {}
                Answer::Done { outcome: Outcome { code: 0 }, cookie } => return Ok((cookie, over)),
                Answer::Done { outcome: Outcome { code }, .. } => {
                    return Err(LdapError::Code { doing: "search", code });
                }
                Answer::Bound(_) => return Err(LdapError::Unasked),
            }
        }
        Err(LdapError::TooMany { max: entries_max })
    }

    /// Says goodbye. Nobody waits for an answer.
    pub(super) async fn unbind(mut self) {
        let id = self.number();
        if let Err(error) = self.send(&message::unbind(id)).await {
            tracing::debug!(%error, "a directory hung up first");
        }
    }

    fn number(&mut self) -> u32 {
        let id = self.next;
        self.next = self.next.saturating_add(1);
        id
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LdapError> {
        let sent = timeout(self.wait_max, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        sent.await.map_err(|_| LdapError::TimedOut)?.map_err(LdapError::Broken)
    }

    async fn answer(&mut self, id: u32) -> Result<Answer, LdapError> {
        let whole = timeout(self.wait_max, self.message()).await;
        let bytes = whole.map_err(|_| LdapError::TimedOut)??;
        let (of, answer) = message::read(&bytes)?;
        // A directory that ends the conversation by itself does so under number 0.
        if of != i64::from(id) {
            return Err(LdapError::Unasked);
        }
        Ok(answer)
    }

    async fn message(&mut self) -> Result<Vec<u8>, LdapError> {
        loop {
            let whole = message::whole(&self.read)?;
            if let Some(length) = whole.filter(|length| *length <= self.read.len()) {
                let rest = self.read.split_off(length);
                return Ok(std::mem::replace(&mut self.read, rest));
            }
            let mut piece = [0; READ_BYTES];
            let count = self.stream.read(&mut piece).await.map_err(LdapError::Broken)?;
            if count == 0 {
                return Err(LdapError::Broken(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.read.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }
}
