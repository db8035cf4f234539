//! The tables, the identity in them, and the one row that is the log's head.
//!
//! Invariant: the tables are made once, in one transaction that others wait for; what is there
//! already is never changed on the way. `docs/formats/ledger-postgres.md` describes them.

use tokio_postgres::Row;

use super::fault::DatabaseError;
use super::link::Link;
use super::objects::TABLES_OF_3;
use crate::identity::Identity;
use crate::merkle::{CompactRange, Hash};
use crate::store::Head;

/// The version of the tables.
pub(super) const VERSION: i32 = 3;
/// A tree of 64-bit size has no more perfect subtrees than this.
const PEAKS_MAX: usize = 64;

/// Any number that others do not lock by: "BWLEDGER".
const MAKING: i64 = 0x4257_4C45_4447_4552;

const EXISTS: &str = "select to_regclass('bailiwick_ledger.ledger') is not null";

const TABLES: &str = "
create table bailiwick_ledger.ledger (
    one boolean primary key default true check (one),
    version integer not null,
    identity text not null
);
create table bailiwick_ledger.head (
    one boolean primary key default true check (one),
    ledger bytea not null check (octet_length(ledger) = 16),
    size bigint not null check (size >= 0),
    peaks bytea not null,
    root bytea not null check (octet_length(root) = 32),
    digest bytea not null check (octet_length(digest) = 32),
    signature bytea check (octet_length(signature) = 64),
    latest_ms bigint,
    check ((size = 0) = (signature is null)),
    check ((size = 0) = (latest_ms is null))
);
create table bailiwick_ledger.frames (
    first bigint primary key check (first >= 0),
    count integer not null check (count > 0),
    bytes bytea not null
);
create table bailiwick_ledger.bodies (
    entry bigint primary key check (entry >= 0),
    bucket text not null,
    record bytea not null
);
create index bodies_of_bucket on bailiwick_ledger.bodies (bucket, entry);
create table bailiwick_ledger.bucket_keys (
    bucket text primary key,
    file bytea not null
);
create table bailiwick_ledger.checkpoints (
    size bigint primary key check (size > 0),
    note text not null
);
create table bailiwick_ledger.tiles (
    level integer not null,
    number bigint not null,
    hashes bytea not null check (octet_length(hashes) = 8192),
    primary key (level, number)
);
alter table bailiwick_ledger.frames alter column bytes set storage external;
alter table bailiwick_ledger.bodies alter column record set storage external;
alter table bailiwick_ledger.tiles alter column hashes set storage external;
";

/// What version 2 has beside version 1. Whoever appends may destroy only through the function, and by it
/// nothing but what a document says was disposed of, and copies for holds to which no document leads.
const TABLES_OF_2: &str = "
create table bailiwick_ledger.disposed (
    bucket text primary key,
    document text not null
);
create table bailiwick_ledger.held_bodies (
    bucket text not null,
    entry bigint not null check (entry >= 0),
    record bytea not null,
    primary key (bucket, entry)
);
alter table bailiwick_ledger.held_bodies alter column record set storage external;
create function bailiwick_ledger.destroy(gone text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    held integer := case when gone like 'held-%' then substring(gone from 6 for 4)::integer else 0 end;
    home text := case when held > 0 then substring(gone from 11) else gone end;
    before text := case when held > 1 then 'held-' || lpad((held - 1)::text, 4, '0') || '-' || home
                        else home end;
    bodies_gone bigint;
    copies_gone bigint;
begin
    if not exists (select from bailiwick_ledger.disposed where bucket = gone)
       and (held = 0 or exists (select from bailiwick_ledger.disposed
                                where bucket = before and document !~ E'\nkept \n'))
    then
        raise insufficient_privilege
            using message = 'nothing says that what lies in this bucket was disposed of';
    end if;
    delete from bailiwick_ledger.bucket_keys where bucket = gone;
    delete from bailiwick_ledger.held_bodies where bucket = gone and entry in
        (select entry from bailiwick_ledger.held_bodies where bucket = gone order by entry limit 10000);
    get diagnostics copies_gone = row_count;
    delete from bailiwick_ledger.bodies where entry in
        (select entry from bailiwick_ledger.bodies where bucket = gone order by entry limit 10000);
    get diagnostics bodies_gone = row_count;
    return bodies_gone + copies_gone > 0;
end $$;
revoke execute on function bailiwick_ledger.destroy(text) from public;
";

/// The identity of the ledger in the database. Without one, tables and this ledger are made.
pub(super) async fn identity(link: &Link, new: Option<&Identity>) -> Result<String, DatabaseError> {
    let of = |error| DatabaseError::of("make the ledger's tables", error);
    if !exists(link).await? {
        let new = new.ok_or(DatabaseError::NoLedger)?;
        let client = &link.client;
        client.batch_execute("begin").await.map_err(of)?;
        // Another process may be at it: it is waited for, and then there is nothing to do.
        client.execute("select pg_advisory_xact_lock($1)", &[&MAKING]).await.map_err(of)?;
        if !exists(link).await? {
            make(link, new).await?;
        }
        client.batch_execute("commit").await.map_err(of)?;
    }
    let of = |error| DatabaseError::of("tell which ledger it has", error);
    let sql = "select version, identity from bailiwick_ledger.ledger";
    let row = link.client.query_opt(sql, &[]).await.map_err(of)?;
    let row = row.ok_or(DatabaseError::NoRow { table: "ledger" })?;
    let found: i32 = row.try_get(0).map_err(of)?;
    match found {
        VERSION => {}
        1 | 2 => bring_up(link).await.map_err(|error| DatabaseError::Old {
            found,
            known: VERSION,
            source: Box::new(error),
        })?,
        _ => return Err(DatabaseError::Version { found, known: VERSION }),
    }
    row.try_get(1).map_err(of)
}

/// Brings older tables up to this version, in one transaction; what is in them stays as it is.
async fn bring_up(link: &Link) -> Result<(), DatabaseError> {
    let of = |error| DatabaseError::of("bring the ledger's tables up to this version", error);
    let client = &link.client;
    client.batch_execute("begin").await.map_err(of)?;
    client.execute("select pg_advisory_xact_lock($1)", &[&MAKING]).await.map_err(of)?;
    let sql = "select version from bailiwick_ledger.ledger";
    let found: i32 = client.query_one(sql, &[]).await.map_err(of)?.try_get(0).map_err(of)?;
    // Another process may have come first.
    if found < VERSION {
        if found == 1 {
            client.batch_execute(TABLES_OF_2).await.map_err(of)?;
        }
        client.batch_execute(TABLES_OF_3).await.map_err(of)?;
        let sql = "update bailiwick_ledger.ledger set version = $1";
        client.execute(sql, &[&VERSION]).await.map_err(of)?;
    }
    client.batch_execute("commit").await.map_err(of)
}

async fn exists(link: &Link) -> Result<bool, DatabaseError> {
    let of = |error| DatabaseError::of("tell its tables", error);
    let row = link.client.query_one(EXISTS, &[]).await.map_err(of)?;
    row.try_get(0).map_err(of)
}

async fn make(link: &Link, identity: &Identity) -> Result<(), DatabaseError> {
    let of = |error| DatabaseError::of("make the ledger's tables", error);
    let client = &link.client;
    // The schema may have been made by somebody with more rights.
    let sql = "select to_regnamespace('bailiwick_ledger') is not null";
    let there = client.query_one(sql, &[]).await.map_err(of)?;
    if !there.try_get::<_, bool>(0).map_err(of)? {
        client.batch_execute("create schema bailiwick_ledger").await.map_err(of)?;
    }
    client.batch_execute(TABLES).await.map_err(of)?;
    client.batch_execute(TABLES_OF_2).await.map_err(of)?;
    client.batch_execute(TABLES_OF_3).await.map_err(of)?;
    let sql = "insert into bailiwick_ledger.ledger (version, identity) values ($1, $2)";
    client.execute(sql, &[&VERSION, &identity.encode()]).await.map_err(of)?;
    let head = Head::default();
    let sql = "insert into bailiwick_ledger.head (ledger, size, peaks, root, digest) \
               values ($1, 0, '', $2, $3)";
    let (ledger, root, digest) = (&identity.id[..], &head.root[..], &head.digest[..]);
    client.execute(sql, &[&ledger, &root, &digest]).await.map_err(of)?;
    Ok(())
}

/// The head's columns, in the order in which [`head_of`] reads them.
pub(super) const HEAD: &str = "select ledger, size, peaks, root, digest, signature, latest_ms, current_setting('fsync') \
     from bailiwick_ledger.head";

/// The head as the database has it; it is believed only as far as frames and signature hold it.
pub(super) struct HeadRow {
    pub(super) ledger: Vec<u8>,
    pub(super) head: Head,
}

/// Reads a row of [`HEAD`]; `None` if it is none that was written.
pub(super) fn head_of(row: &Row) -> Result<Option<HeadRow>, DatabaseError> {
    let of = |error| DatabaseError::of("tell the log's head", error);
    let bytes = |at: usize| row.try_get::<_, Vec<u8>>(at).map_err(of);
    let ledger = bytes(0)?;
    let size: i64 = row.try_get(1).map_err(of)?;
    let (peaks, root, digest) = (bytes(2)?, bytes(3)?, bytes(4)?);
    let signature: Option<Vec<u8>> = row.try_get(5).map_err(of)?;
    let latest_ms: Option<i64> = row.try_get(6).map_err(of)?;
    let fsync: String = row.try_get(7).map_err(of)?;
    if fsync != "on" {
        return Err(DatabaseError::Setting { setting: "fsync", value: fsync, needed: "on" });
    }
    let parsed = || {
        let (peaks, rest) = peaks.as_chunks::<32>();
        if !rest.is_empty() || peaks.len() > PEAKS_MAX {
            return None;
        }
        let tree = CompactRange::of(u64::try_from(size).ok()?, peaks)?;
        let (root, digest): (Hash, Hash) = (root.try_into().ok()?, digest.try_into().ok()?);
        let signature = match signature {
            None => None,
            Some(signature) => Some(signature.try_into().ok()?),
        };
        let sound = tree.root() == root && signature.is_some() == (size > 0);
        sound.then_some(Head { tree, root, digest, signature, latest_ms })
    };
    Ok(parsed().map(|head| HeadRow { ledger, head }))
}

/// A number as the database has it. Sizes end where its signed numbers do.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
