//! The one place that turns what went wrong into a status code and plain words.
//!
//! Two voices: the person gets words and an entry number, the log gets the whole chain. Neither
//! carries CJI, a secret, or the text of a query.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use gate::GateError;
use ledger::EntryNumber;
use maud::{Markup, html};
pub use wire::causes as chain;

/// What a person is told when something was not done.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The heading.
    pub title: &'static str,
    /// What happened and what to do, in plain words.
    pub words: String,
    /// The ledger entry to quote, when there is one.
    pub entry: Option<EntryNumber>,
    /// Where to go next: a path and its label.
    pub next: Option<(String, &'static str)>,
}

impl Problem {
    /// A refusal with an entry to quote.
    pub fn refused(words: impl Into<String>, entry: EntryNumber) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Not permitted", words).with_entry(entry)
    }

    /// Something was asked that this server does not have, or that this person may not know of.
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Page not found",
            "There is no such page, or it is not open to you.",
        )
    }

    /// The input was wrong; `words` name the field.
    pub fn bad_input(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "The request could not be read", words)
    }

    /// The ledger did not confirm a record, so nothing was done or shown.
    pub fn unrecorded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Recording is unavailable",
            "The audit ledger could not record this, so nothing was released and nothing was changed. \
             Try again in a minute; if it stays, tell your system administrator.",
        )
    }

    /// The ledger did not say whether it has the record, so nothing was shown.
    fn maybe_recorded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Recording is unavailable",
            "The audit ledger did not answer in time, so nothing was released. It may have recorded this all \
             the same: before you repeat something that changes records, look whether it was done.",
        )
    }

    /// Nobody saw the end of an act.
    pub fn maybe_done() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "It is not known whether this was done",
            "It was begun, and broke off before anything said whether the change was made. Look whether it was \
             made before you do it again, and tell your system administrator.",
        )
    }

    /// It was done, and that it was is not confirmed.
    fn unconfirmed() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "It was done, and recording is unavailable",
            "The change was made. The audit ledger has the permission for it, and did not confirm the record \
             that it was made. Do not do it again; tell your system administrator.",
        )
    }

    /// The ledger's witnesses let nothing out, for this reason.
    fn unwitnessed(reason: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The audit ledger is not confirmed",
            format!("Nothing was released: {reason}. Tell your system administrator."),
        )
    }

    /// Something of ours failed; the log has the chain.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something failed",
            "The request could not be completed. Nothing was released. Tell your system administrator.",
        )
    }

    /// A problem with these parts.
    pub fn new(status: StatusCode, title: &'static str, words: impl Into<String>) -> Self {
        Self { status, title, words: words.into(), entry: None, next: None }
    }

    /// Adds the entry to quote.
    #[must_use]
    pub fn with_entry(mut self, entry: EntryNumber) -> Self {
        self.entry = Some(entry);
        self
    }

    /// Adds a link that leads on.
    #[must_use]
    pub fn with_next(mut self, href: impl Into<String>, label: &'static str) -> Self {
        self.next = Some((href.into(), label));
        self
    }

    /// The content of its page.
    pub fn content(&self) -> Markup {
        html! {
            div class="usa-alert usa-alert--error" role="alert" {
                div class="usa-alert__body" {
                    p class="usa-alert__text" { (self.words) }
                    @if let Some(entry) = self.entry {
                        p class="usa-alert__text" {
                            "Quote ledger entry " strong data-entry=(entry) { (entry) }
                            " when you ask about this."
                        }
                    }
                }
            }
            @if let Some((href, label)) = &self.next {
                p { a class="usa-button" href=(href) { (label) } }
            }
        }
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Denied { entry, reason } => Self::refused(reason, entry),
            GateError::Withheld { entry, reason } => Self::refused(reason, entry),
            GateError::Unrecorded(source) => source.into(),
            GateError::Unconfirmed { decided, ref source } => {
                tracing::error!(error = %chain(source), "a write was done and is not confirmed");
                Self::unconfirmed().with_entry(decided)
            }
            GateError::Unwitnessed { entry, reason } => {
                Self::unwitnessed(&reason).with_entry(entry)
            }
            GateError::Expired { entry } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "That took too long",
                "The permission for this request ran out before it was used. Nothing was released. Try again.",
            )
            .with_entry(entry),
        }
    }
}

impl From<ledger::AppendError> for Problem {
    fn from(error: ledger::AppendError) -> Self {
        tracing::error!(error = %chain(&error), "the ledger did not confirm a record");
        match error {
            ledger::AppendError::Stopped { why } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The audit ledger is stopped",
                format!("Nothing was released and nothing was changed: {why}."),
            ),
            unknown if unknown.is_unknown() => Self::maybe_recorded(),
            _other => Self::unrecorded(),
        }
    }
}

impl From<ledger::ReadError> for Problem {
    fn from(error: ledger::ReadError) -> Self {
        match error {
            ledger::ReadError::NoEntry { .. } => Self::not_found(),
            ledger::ReadError::Disposed { started, .. } => {
                Self::new(StatusCode::GONE, "Disposed of", sentence(&error))
                    .with_next(format!("/audit/entries/{started}"), "The entry that announced it")
            }
            ledger::ReadError::NoSize { .. }
            | ledger::ReadError::Disk { .. }
            | ledger::ReadError::Database(_)
            | ledger::ReadError::Object(_)
            | ledger::ReadError::Damaged(_) => Self::internal(&error),
        }
    }
}

impl From<ledger::retention::DisposeError> for Problem {
    fn from(error: ledger::retention::DisposeError) -> Self {
        use ledger::retention::DisposeError as E;
        match error {
            E::Append(source) => source.into(),
            E::HoldName | E::Authority | E::Until => Self::bad_input(sentence(&error)),
            E::NotDue { .. }
            | E::Permanent
            | E::NoBucket { .. }
            | E::Already { .. }
            | E::HeldTooOften { .. }
            | E::HeldTooMany { .. }
            | E::HoldExists { .. }
            | E::NoHold { .. } => {
                Self::new(StatusCode::CONFLICT, "That is not possible now", sentence(&error))
            }
            E::Destroy(_) | E::Unconcluded(_) => {
                tracing::error!(error = %chain(&error), "a disposal is not finished");
                let title = "Announced, and not finished";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, title, sentence(&error))
            }
            E::Read(_) | E::Index(_) => Self::internal(&error),
        }
    }
}

impl From<exchange::ExchangeError> for Problem {
    fn from(error: exchange::ExchangeError) -> Self {
        use exchange::ExchangeError as E;
        let of = |clause: &exchange::Clause| format!("The clause: {clause} ({}).", clause.code());
        match error {
            E::Denied { entry, ref reason, ref clause } => {
                let clause =
                    clause.as_ref().map_or(String::new(), |clause| format!(". {}", of(clause)));
                Self::refused(format!("{reason}{clause}"), entry)
            }
            E::Clause { entry, clause } => Self::refused(of(&clause), entry),
            E::SamePerson { entry } => Self::refused(
                "An export is approved by somebody other than the person who asked for it.",
                entry,
            ),
            E::Gate(source) => source.into(),
            E::Unrecorded(source) => source.into(),
            E::NotReleasable(why) => Self::unwitnessed(&why.to_string()),
            E::NoSuch { .. } => Self::not_found(),
            E::NotTaken { entry, why } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The parcel is not taken in",
                format!("{why}. Nothing of it was kept."),
            )
            .with_entry(entry),
            E::ApprovedBefore
            | E::WrongState { .. }
            | E::Changed { .. }
            | E::Revoked { .. }
            | E::Unread(_) => {
                Self::new(StatusCode::CONFLICT, "That is not possible now", sentence(&error))
            }
            E::Input { .. } | E::Items { .. } => Self::bad_input(sentence(&error)),
            E::Extract(_) => Self::bad_input(format!("{}.", chain(&error))),
            E::Refused(_)
            | E::Depot(_)
            | E::Stamp(_)
            | E::NoServer
            | E::Wire(_)
            | E::Partner { .. }
            | E::Protocol { .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "The parcel could not be used", chain(&error))
            }
            E::LedgerRead(_)
            | E::State(_)
            | E::Unfetched { .. }
            | E::Seal(_)
            | E::Store { .. }
            | E::Keys(_)
            | E::Stopped => Self::internal(&error),
        }
    }
}

/// An error's own words as a sentence.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

impl IntoResponse for Problem {
    /// The bare form; [`crate::app`] puts the frame of the page around it.
    fn into_response(self) -> Response {
        let mut response = (self.status, self.content()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledger::{AppendError, DatabaseError};

    use super::*;

    #[test]
    fn a_record_that_may_be_there_is_not_said_to_be_absent() {
        let database = || Arc::new(DatabaseError::NoLedger);
        for unknown in [AppendError::Unknown(database()), AppendError::NoAnswer { seconds: 30 }] {
            let problem = Problem::from(GateError::Unrecorded(unknown));
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            let words = &problem.words;
            assert!(words.contains("It may have recorded this all the same"), "{words}");
            assert!(!words.contains("nothing was changed"), "{words}");
        }
        let plain = Problem::from(AppendError::Database(database()));
        assert!(plain.words.contains("could not record this"), "{}", plain.words);
    }
}
