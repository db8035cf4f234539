//! The road from a plan to released data, in one place: authorise, fetch, release.

use exchange::Caller;
use gate::{Document, Held, Outcome, Permit, Released, Rows};
use jiff::tz::TimeZone;
use policy::Actor;
use sources::{Fault, SourceError};
use tools::plan::{Context, Planned};

use crate::agency::Agency;
use crate::problem::Problem;

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

    /// A write.
    ///
    /// # Errors
    /// As [`Agency::run_read`].
    pub async fn run_write(
        &self,
        caller: &Caller,
        planned: Planned,
    ) -> Result<Released<Outcome>, Problem> {
        let permit = self.permit(caller, planned).await?;
        let held = self.kept(self.sources.execute(permit).await).await?;
        Ok(self.gate.release(held).await?)
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
        let receipt = self.gate.withhold(ticket, &fault.to_string()).await?;
        tracing::warn!(source = source_id, %fault, entry = receipt.entry.0, "a source gave nothing");
        Err(Problem::source(&fault).with_entry(receipt.entry))
    }
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
