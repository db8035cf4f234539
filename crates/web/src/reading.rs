//! The road from a plan to released data, in one place: authorise, fetch, release.

use std::sync::Arc;

use exchange::Caller;
use gate::{Again, Document, Held, Outcome, Permit, Released, Rows, Stream};
use jiff::tz::TimeZone;
use policy::Actor;
use sources::{Fault, SourceError};
use tools::plan::{Context, Planned};

use crate::agency::Agency;
use crate::problem::{Problem, chain};

/// A film that is made of a document.
pub struct Film {
    /// The document's key in its store.
    pub key: String,
    /// The film's own name.
    pub name: String,
    /// Makes it.
    pub made: Again,
}

impl Agency {
    /// What plans are made for: this person, here, now.
    pub fn context<'a>(&'a self, actor: &'a Actor) -> Context<'a> {
        let now = self.now();
        Context { actor, agency: &self.ori, now, today: now.to_zoned(TimeZone::system()).date() }
    }

    /// A read of rows.
    ///
    /// # Errors
    /// The [`Problem`] to answer with; a source's failure is on record by then.
    pub async fn run_read(
        &self,
        caller: &Caller,
        planned: Planned,
    ) -> Result<Released<Rows>, Problem> {
        let permit = self.permit(caller, planned).await?;
        let held = self.kept(self.sources.fetch(permit).await).await?;
        Ok(self.gate.release(held).await?)
    }

    /// A write. What was begun is carried through and recorded, even if the person goes away meanwhile or
    /// their session ends.
    ///
    /// # Errors
    /// As [`Agency::run_read`]; one that says so when it is not known whether the write was done.
    pub async fn run_write(
        self: &Arc<Self>,
        caller: &Caller,
        planned: Planned,
    ) -> Result<Released<Outcome>, Problem> {
        let permit = self.permit(caller, planned).await?;
        let agency = Arc::clone(self);
        carry_through(async move {
            let held = agency.kept(agency.sources.execute(permit).await).await?;
            Ok(agency.gate.release(held).await?)
        })
        .await
    }

    /// A document, or a range of it.
    ///
    /// # Errors
    /// As [`Agency::run_read`].
    pub async fn run_document(
        &self,
        caller: &Caller,
        planned: Planned,
    ) -> Result<Released<Document>, Problem> {
        let permit = self.permit(caller, planned).await?;
        let held = self.kept(self.sources.document(permit).await).await?;
        Ok(self.gate.release(held).await?)
    }

    /// A whole document that does not stay in memory.
    ///
    /// # Errors
    /// As [`Agency::run_read`].
    pub async fn run_stream(
        &self,
        caller: &Caller,
        planned: Planned,
    ) -> Result<Released<Stream>, Problem> {
        let permit = self.permit(caller, planned.whole()).await?;
        let held = self.kept(self.sources.stream(permit).await).await?;
        Ok(self.gate.release(held).await?)
    }

    /// A film that was made of a whole document: a release of its own, with its own digest. It is made once for that, and
    /// again when it is read.
    ///
    /// # Errors
    /// As [`Agency::run_read`]; in words where no film can be made.
    pub async fn run_film(
        &self,
        caller: &Caller,
        planned: Planned,
        film: Film,
    ) -> Result<Released<Stream>, Problem> {
        let permit = self.permit(caller, planned.whole()).await?;
        let ticket = permit.ticket();
        let again = film.made.clone();
        let measured =
            gate::apart(move |waited_for| Stream::measure(&mut *again()?, &|_| waited_for()));
        let reason = match measured.await {
            Some(Ok(Some(print))) => {
                let Film { key, name, made } = film;
                let stream = Stream::new(&key, name, "video/mp4", print, made);
                return Ok(self.gate.release(permit.hold(stream)).await?);
            }
            Some(Err(error)) => chain(&error),
            Some(Ok(None)) | None => "making the film was broken off".to_owned(),
        };
        let receipt = self.gate.withhold(ticket, &reason).await?;
        let words = format!("No MP4 could be made of {}: {reason}", film.name);
        Err(Problem::bad_input(words).with_entry(receipt.entry))
    }

    async fn permit(&self, caller: &Caller, planned: Planned) -> Result<Permit, Problem> {
        let (question, plan) = planned.ask(&self.context(&caller.actor));
        let (origin, session) = (caller.origin.clone(), caller.session.clone());
        Ok(self.gate.authorise(question, plan, origin, session).await?)
    }

    /// What a source gave; its failure is recorded before it is told.
    async fn kept<T>(&self, fetched: Result<Held<T>, SourceError>) -> Result<Held<T>, Problem> {
        let SourceError { fault, ticket, source_id } = match fetched {
            Ok(held) => return Ok(held),
            Err(error) => error,
        };
        if let Fault::Uncertain { .. } = &fault {
            let reason = chain(&fault);
            tracing::error!(source = source_id, reason, "it is not known whether a write was done");
            let told = self.gate.unknown(ticket, &reason).await;
            let problem = Problem::maybe_done();
            return Err(match told {
                Ok(receipt) => problem.with_entry(receipt.entry),
                Err(_) => problem,
            });
        }
        let receipt = self.gate.withhold(ticket, &fault.to_string()).await?;
        tracing::warn!(source = source_id, %fault, entry = receipt.entry.0, "a source gave nothing");
        Err(Problem::source(&fault).with_entry(receipt.entry))
    }
}

/// Does what can't be taken back in a task of its own: a person who closes the page, or whose session ends,
/// drops the request, and must not cut the act off from its record.
///
/// # Errors
/// As `act`; [`Problem::maybe_done`] if it did not come to its end.
pub(crate) async fn carry_through<T: Send + 'static>(
    act: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(act).await.unwrap_or_else(|error| {
        tracing::error!(error = %chain(&error), "an act did not come to its end");
        Err(Problem::maybe_done())
    })
}

impl Problem {
    /// What a person is told of a source's failure.
    fn source(fault: &Fault) -> Self {
        use axum::http::StatusCode;
        let (status, title) = match fault {
            Fault::TooManyRows { .. } | Fault::TooManyBytes { .. } | Fault::BadRange { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "Too much was asked for")
            }
            Fault::UnexpectedRows { .. } => (StatusCode::CONFLICT, "Nothing was changed"),
            Fault::NoDocument => (StatusCode::NOT_FOUND, "The document is not there"),
            _ => (StatusCode::BAD_GATEWAY, "The agency system did not answer"),
        };
        Self::new(status, title, format!("Nothing was released: {fault}."))
    }
}
