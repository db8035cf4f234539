//! Connectors against the real thing: a SQLite file, a folder, a PostgreSQL server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;
mod evidence;
mod postgres;
mod sqlite;
