//! The index's file and its tables.
//!
//! This is the one place in the room that touches files without `Disk`: SQLite does, too. What
//! it holds can be lost at any time.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{IndexError, sql};

/// Pages of the writer's and the readers' cache, in KiB.
const CACHE_KIB: i64 = 24 << 10;
const BUSY_MS: i64 = 2_000;
/// Pages (of 4 KiB) in the write-ahead file before they are copied into the index.
const WAL_PAGES: i64 = 8_192;
/// Marks the file as an index of this layout: another number is built anew.
pub(super) const LAYOUT: i64 = 1;

/// Where an index is kept.
#[derive(Debug, Clone)]
pub(crate) enum IndexPlace {
    /// With a ledger on a disk in memory.
    Memory,
    /// In this file, in a folder of its own.
    File(PathBuf),
}

impl IndexPlace {
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::File(path) => Some(path),
        }
    }

    /// The writing connection, to a file that is there afterwards, for its owner alone.
    pub(super) fn open_writer(&self) -> Result<Connection, IndexError> {
        let connection = match self {
            Self::Memory => Connection::open_in_memory().map_err(sql("open"))?,
            Self::File(path) => {
                let failed =
                    |source| IndexError::File { doing: "make", path: path.clone(), source };
                if let Some(folder) = path.parent() {
                    let mut made = std::fs::DirBuilder::new();
                    made.recursive(true).mode(0o700).create(folder).map_err(failed)?;
                }
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create(true).truncate(false).mode(0o600);
                options.open(path).map_err(failed)?;
                Connection::open(path).map_err(sql("open"))?
            }
        };
        set(&connection, self)?;
        connection.execute_batch(TABLES).map_err(sql("make tables in"))?;
        Ok(connection)
    }

    /// Another connection to the file; `None` in memory.
    pub(super) fn open_reader(&self) -> Result<Option<Connection>, IndexError> {
        let Some(path) = self.path() else { return Ok(None) };
        let connection = Connection::open(path).map_err(sql("open"))?;
        set(&connection, self)?;
        connection.pragma_update(None, "query_only", true).map_err(sql("open"))?;
        Ok(Some(connection))
    }

    /// Which file it is: device and inode. `None` if it is gone, or in memory.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        let found = std::fs::metadata(self.path()?).ok()?;
        Some((found.dev(), found.ino()))
    }

    /// Removes the file and what SQLite keeps beside it. Nothing is set aside for later: rows
    /// that were forgotten must not live on in a copy.
    pub(super) fn remove(&self) -> Result<(), IndexError> {
        let Some(path) = self.path() else { return Ok(()) };
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            let path = PathBuf::from(name);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(IndexError::File { doing: "remove", path, source }),
            }
        }
        Ok(())
    }
}

fn set(connection: &Connection, place: &IndexPlace) -> Result<(), IndexError> {
    let failed = sql("open");
    let on = |name, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    on("busy_timeout", &BUSY_MS).map_err(&failed)?;
    if place.path().is_some() {
        let wal =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        wal.map_err(&failed)?;
        // A power cut may take the newest batches, never half of one: the log has them all.
        on("synchronous", &"NORMAL").map_err(&failed)?;
        // A page of a shard that is being filled changes with every batch. Few copies back mean that each is
        // copied once for many batches, and that the ledger's own syncs share the disk with fewer others.
        on("wal_autocheckpoint", &WAL_PAGES).map_err(&failed)?;
    }
    on("cache_size", &-CACHE_KIB).map_err(&failed)?;
    on("temp_store", &"MEMORY").map_err(&failed)?;
    on("secure_delete", &true).map_err(&failed)?;
    on("trusted_schema", &false).map_err(&failed)?;
    Ok(())
}

/// One `state`, and one `shard` a shard with the epochs under which its subjects were blinded.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  layout INTEGER NOT NULL, shard_bits INTEGER NOT NULL, ledger BLOB NOT NULL,
  size INTEGER NOT NULL, peaks BLOB NOT NULL,
  epoch INTEGER NOT NULL, key_check BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS shard (
  shard INTEGER PRIMARY KEY,
  size INTEGER NOT NULL, peaks BLOB NOT NULL,
  from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL,
  epochs BLOB NOT NULL, digest BLOB
) STRICT;
";

/// The tables of one shard. None has a rowid or a second index: then every key that a look-up
/// goes by is content, which the shard's digest covers.
pub(super) fn shard_tables(shard: u64) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS post_{shard} (
           term INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (term, entry)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS row_{shard} (
           entry INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind INTEGER NOT NULL,
           outcome INTEGER NOT NULL, bucket INTEGER NOT NULL, action INTEGER, tool INTEGER,
           source INTEGER, purpose INTEGER, functions INTEGER
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS name_{shard} (
           field INTEGER NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL,
           PRIMARY KEY (field, key)
         ) STRICT, WITHOUT ROWID;"
    )
}

/// Removes the tables of one shard.
pub(super) fn drop_tables(shard: u64) -> String {
    format!(
        "DROP TABLE IF EXISTS post_{shard};
         DROP TABLE IF EXISTS row_{shard};
         DROP TABLE IF EXISTS name_{shard};"
    )
}
