//! What an agency declares about a system of its own.

use std::path::{Path, PathBuf};

use wire::tls::ClientTls;

/// Makes the TLS configuration that believes the authorities in a PEM file, and no others. Given
/// by whoever wires the program, because this room knows neither certificates nor clocks.
pub type Believe<'a> =
    &'a dyn Fn(&Path) -> Result<ClientTls, Box<dyn std::error::Error + Send + Sync>>;

/// One declared source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The id by which tools and policies name it.
    pub id: String,
    /// Whether it may be written to. One that may not refuses writes before they are tried.
    pub writes: bool,
    /// What and where it is.
    pub kind: SourceKind,
}

/// What and where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A SQLite database file, which must exist.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A PostgreSQL database, over verified TLS only.
    Postgres {
        /// The name in its certificate.
        host: String,
        /// The port.
        port: u16,
        /// The database.
        database: String,
        /// A role that is no superuser.
        user: String,
        /// A file with the role's password on its first line.
        password_file: PathBuf,
        /// A PEM file with the authorities that may vouch for the server.
        ca_file: PathBuf,
    },
    /// A folder of documents.
    Evidence {
        /// The folder.
        folder: PathBuf,
    },
}
