//! The made-up records of the demo's two agencies: a records database and an evidence store that
//! stand for the systems an agency already has.
//!
//! Invariant: the data is the same on every machine and in both kinds of database; a test holds
//! its SHA-256. Whatever changes it changes the digest, and with it the marker that lets a file
//! made earlier be used again.

mod dice;
mod evidence;
mod fixed;
mod names;
mod narrative;
mod phrases;
pub mod postgres;
mod sqlite;
mod tables;
mod world;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use tables::Table;

/// One of the demo's agencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agency {
    /// Riverton Police Department: 50,000 vehicles, 40,000 persons, 20,000 incidents.
    Riverton,
    /// Lakeside County Sheriff: less than a tenth of that.
    Lakeside,
}

/// The plate, case and people that the demo's story is about.
pub mod story {
    /// A gray hatchback, in no trouble yet.
    pub const PLATE: &str = "7KDR419";
    /// Its identifier.
    pub const VEHICLE: &str = "V-000113";
    /// The burglary at Brandt Hardware.
    pub const CASE: &str = "24-000113";
    /// Dana Marlow, the registered owner.
    pub const OWNER: &str = "P-000113";
    /// Toby Marlow, a juvenile.
    pub const JUVENILE: &str = "P-000114";
    /// The last name of both.
    pub const FAMILY: &str = "Marlow";
    /// The witness's statement, a PDF.
    pub const STATEMENT: &str = "E-000001";
    /// The door camera's recording, an MP4.
    pub const RECORDING: &str = "E-000002";
}

/// What is in the way of the made-up records.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("could not write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not fill the records database")]
    Database(#[from] rusqlite::Error),
}

/// What was put, or found, in an agency's folder of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// The SQLite file.
    pub records: PathBuf,
    /// The folder of evidence; a row's `store_key` is a file in it.
    pub evidence: PathBuf,
    /// Whether the records were made now; false when those of an earlier run were used.
    pub made: bool,
}

/// SHA-256 over the COPY text of all tables.
const RIVERTON_DIGEST: &str = "c247c0fd25d1028caf903822948d759ab451fe58964b8b342c1a1847894ec510";
const LAKESIDE_DIGEST: &str = "b1fe9c0fce9a930164cfbde70825ada87e064cdd9d8b13e4462732122fd01042";

impl Agency {
    /// The digest that its data must have, in hexadecimal.
    #[must_use]
    pub const fn digest(self) -> &'static str {
        match self {
            Self::Riverton => RIVERTON_DIGEST,
            Self::Lakeside => LAKESIDE_DIGEST,
        }
    }

    /// What its files are marked with: 28 bits of the digest.
    fn marker(self) -> i32 {
        self.digest().get(..7).and_then(|text| i32::from_str_radix(text, 16).ok()).unwrap_or(0)
    }

    /// Its name in records, its officers, and those who lead cases.
    const fn staff(self) -> (&'static str, &'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Riverton => ("Riverton Police", names::RIVERTON_OFFICERS, names::RIVERTON_LEADS),
            Self::Lakeside => ("Lakeside Sheriff", names::LAKESIDE_OFFICERS, names::LAKESIDE_LEADS),
        }
    }
}

/// Puts `records.db` and `evidence/` into `folder`, or leaves them as they are when an earlier run
/// made the same data there (flags that the story set are then still set).
pub fn prepare(folder: &Path, agency: Agency) -> Result<Seeded, SeedError> {
    let records = folder.join("records.db");
    let evidence = folder.join("evidence");
    fs::create_dir_all(&evidence)
        .map_err(|source| SeedError::Write { path: evidence.clone(), source })?;
    let world = world::World::of(agency);
    for item in evidence::items(&world) {
        let path = evidence.join(&item.file_name);
        if fs::metadata(&path).is_ok_and(|found| found.len() == item.content.len() as u64) {
            continue;
        }
        fs::write(&path, &item.content).map_err(|source| SeedError::Write { path, source })?;
    }
    let made = !sqlite::is_current(&records, agency.marker());
    if made {
        sqlite::make(&records, &world, agency.marker())?;
    }
    Ok(Seeded { records, evidence, made })
}

#[cfg(test)]
mod tests;
