//! What can go wrong with the database, in plain words.

use std::io;
use std::time::Duration;

/// Why the database did not do what the ledger asked of it. No text of it repeats a value.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("could not reach the database")]
    Dial(#[source] io::Error),
    #[error("the connection to the database failed when it was to {doing}")]
    Lost {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the database refused to {doing} ({code}): {message}")]
    Refused { doing: &'static str, code: String, message: String },
    #[error("the database did not {doing} within {} s", .after.as_secs_f32())]
    TimedOut { doing: &'static str, after: Duration },
    #[error(
        "the database runs with `{setting} = {value}`, which can lose what was confirmed; \
         it must be `{needed}`"
    )]
    Setting { setting: &'static str, value: String, needed: &'static str },
    #[error("the database is a standby, to which nothing can be written")]
    Standby,
    #[error("the database's tables are of version {found}; this program knows version {known}")]
    Version { found: i32, known: i32 },
    #[error(
        "the database's tables are of version {found}, and this user may not bring them up to \
         version {known}: start once as the tables' owner"
    )]
    Old {
        found: i32,
        known: i32,
        #[source]
        source: Box<Self>,
    },
    #[error("the database has another ledger already, or has gone on from this one")]
    OtherLedger,
    #[error("there is no ledger in the database")]
    NoLedger,
    #[error("the database's table `{table}` does not have its one row")]
    NoRow { table: &'static str },
    #[error(
        "the connection was lost while a batch was being committed; whether it is in the ledger \
         is known when the database answers again"
    )]
    Unknown(#[source] Box<Self>),
    #[error("could not start the thread that speaks with the database")]
    Thread(#[source] io::Error),
}

impl DatabaseError {
    /// Sorts an error of the library. The server's words are passed on where they are about
    /// names, rights, resources and connections; those about data may repeat a value.
    pub(super) fn of(doing: &'static str, error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            return Self::Lost { doing, source: Box::new(error) };
        };
        let code = database.code().code();
        let is_safe = ["08", "0A", "25", "28", "3D", "42", "53", "55", "57"];
        let message = match is_safe.iter().any(|class| code.starts_with(class)) {
            true => database.message(),
            false => "the server's log says more",
        };
        Self::Refused { doing, code: code.to_owned(), message: message.to_owned() }
    }
}
