//! Holding the index against itself: every shard has a keyed digest of all its rows, made when it
//! is full or when the index is closed. A shard without one was being filled when the program
//! ended, and is filled again.
//!
//! SQLite would notice a page that makes no sense, not a row that was changed or taken away.

use keys::digest::Sha256;
use keys::mac::MacKey;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::fill::{signed, take_out, tree_of, unsigned};
use super::{Index, IndexDoing, IndexError, held, sql};
use crate::envelope::LedgerId;
use crate::merkle::CompactRange;

const LABEL: &[u8] = b"\x02bailiwick/ledger/index/1";

/// What tells one key from another, without telling the key.
pub(super) fn key_check(key: &MacKey, ledger: &LedgerId) -> Vec<u8> {
    key.tag(&[LABEL, b"key", ledger]).to_vec()
}

/// The index's own account of itself.
pub(crate) struct State {
    pub(super) layout: i64,
    pub(super) shard_bits: i64,
    pub(super) ledger: Vec<u8>,
    pub(crate) size: u64,
    pub(super) peaks: Vec<u8>,
    pub(super) epoch: i64,
    pub(super) key_check: Vec<u8>,
}

impl State {
    pub(super) fn read(connection: &Connection) -> Result<Option<Self>, IndexError> {
        let text = "SELECT layout, shard_bits, ledger, size, peaks, epoch, key_check FROM state";
        let row = connection.query_row(text, [], |row| {
            Ok(Self {
                layout: row.get(0)?,
                shard_bits: row.get(1)?,
                ledger: row.get(2)?,
                size: unsigned(row.get(3)?),
                peaks: row.get(4)?,
                epoch: row.get(5)?,
                key_check: row.get(6)?,
            })
        });
        row.optional().map_err(sql("read"))
    }
}

/// The digest of a shard: SHA-256 over its tables in the order of their keys, tagged.
fn digest(connection: &Connection, shard: u64, key: &MacKey) -> Result<[u8; 32], IndexError> {
    let failed = sql("read");
    let mut hash = Sha256::new();
    for text in [
        format!("SELECT term, entry FROM post_{shard} ORDER BY term, entry"),
        format!(
            "SELECT entry, at_ms, kind, outcome, bucket, action, tool, source, purpose, functions
             FROM row_{shard} ORDER BY entry"
        ),
        format!("SELECT field, key, number FROM name_{shard} ORDER BY field, key"),
        format!("SELECT size, peaks, from_ms, to_ms, epochs FROM shard WHERE shard = {shard}"),
    ] {
        let mut select = connection.prepare(&text).map_err(&failed)?;
        let columns = select.column_count();
        let mut rows = select.query([]).map_err(&failed)?;
        let mut bytes = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            bytes.clear();
            for at in 0..columns {
                match row.get_ref(at).map_err(&failed)? {
                    ValueRef::Null => bytes.push(0),
                    ValueRef::Integer(number) => {
                        bytes.push(1);
                        bytes.extend_from_slice(&number.to_be_bytes());
                    }
                    ValueRef::Blob(blob) => {
                        bytes.push(2);
                        bytes.extend_from_slice(&(blob.len() as u64).to_be_bytes());
                        bytes.extend_from_slice(blob);
                    }
                    ValueRef::Real(_) | ValueRef::Text(_) => {
                        return Err(IndexError::Damaged("a value has another type"));
                    }
                }
            }
            hash.update(&bytes);
        }
        hash.update(&[3]);
    }
    Ok(key.tag(&[LABEL, b"shard", &shard.to_be_bytes(), &hash.finish()]))
}

/// Gives a shard its digest.
pub(super) fn seal(connection: &Connection, shard: u64, key: &MacKey) -> Result<(), IndexError> {
    let digest = digest(connection, shard, key)?;
    let text = "UPDATE shard SET digest = ?2 WHERE shard = ?1";
    let sealed = connection.execute(text, params![signed(shard), digest]);
    sealed.map(drop).map_err(sql("write to"))
}

/// Holds a shard against its digest.
pub(super) fn check(connection: &Connection, shard: u64, key: &MacKey) -> Result<(), IndexError> {
    let text = "SELECT digest FROM shard WHERE shard = ?1";
    let kept: Option<Vec<u8>> =
        connection.query_row(text, [signed(shard)], |row| row.get(0)).map_err(sql("read"))?;
    if kept.is_none_or(|kept| kept != digest_of(connection, shard, key)) {
        return Err(IndexError::Damaged("a part does not have its digest"));
    }
    Ok(())
}

/// The digest, or nothing that any digest is equal to.
fn digest_of(connection: &Connection, shard: u64, key: &MacKey) -> Vec<u8> {
    digest(connection, shard, key).map(|digest| digest.to_vec()).unwrap_or_default()
}

/// Takes out what has no digest; checks the last shard, which will be filled further. Gives the
/// tree that is covered then, and the shards that are still to be checked.
pub(super) fn sealed(
    connection: &Connection,
    bits: u32,
    tree: CompactRange,
    key: &MacKey,
) -> Result<(CompactRange, Vec<u64>), IndexError> {
    let shards = shards(connection)?;
    let count = shards.len() as u64;
    if !shards.iter().map(|(shard, _)| *shard).eq(0..count)
        || tree.size().div_ceil(1 << bits) != count
    {
        return Err(IndexError::Damaged("a part is missing"));
    }
    let mut unchecked: Vec<u64> = (0..count).collect();
    match shards.last() {
        None => Ok((tree, unchecked)),
        Some((last, true)) => {
            check(connection, *last, key)?;
            unchecked.pop();
            Ok((tree, unchecked))
        }
        Some((last, false)) => {
            let text = "SELECT peaks FROM shard WHERE shard = ?1";
            let peaks: Vec<u8> = connection
                .query_row(text, [signed(*last)], |row| row.get(0))
                .map_err(sql("read"))?;
            let before = tree_of(*last << bits, &peaks);
            let before = before.ok_or(IndexError::Damaged("a part's beginning is damaged"))?;
            let transaction = connection.unchecked_transaction().map_err(sql("write to"))?;
            take_out(&transaction, *last, &before)?;
            transaction.commit().map_err(sql("write to"))?;
            unchecked.pop();
            Ok((before, unchecked))
        }
    }
}

/// The shards, in order, and whether each has its digest.
pub(super) fn shards(connection: &Connection) -> Result<Vec<(u64, bool)>, IndexError> {
    let failed = sql("read");
    let text = "SELECT shard, digest IS NOT NULL FROM shard ORDER BY shard";
    let mut select = connection.prepare(text).map_err(&failed)?;
    let rows = select.query_map([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)));
    rows.map_err(&failed)?.map(|row| row.map_err(&failed)).collect()
}

impl Index {
    /// Checks one shard that was not checked since the opening; `false` when none is left.
    pub(crate) fn check_next(&self) -> Result<bool, IndexError> {
        let mut slot = held(&self.writer);
        let Some(writer) = slot.as_mut() else { return Ok(false) };
        let Some(shard) = writer.unchecked.last().copied() else {
            self.set_doing(IndexDoing::Following);
            return Ok(false);
        };
        check(&held(&writer.connection), shard, self.keys.newest().1)?;
        writer.unchecked.pop();
        Ok(true)
    }

    /// Gives the last shard its digest and lets go of the file.
    pub(crate) fn close(&self) -> Result<(), IndexError> {
        let sealed = {
            let slot = held(&self.writer);
            let Some(writer) = slot.as_ref() else { return Ok(()) };
            let connection = held(&writer.connection);
            let open: Option<i64> = connection
                .query_row("SELECT shard FROM shard WHERE digest IS NULL", [], |row| row.get(0))
                .optional()
                .map_err(sql("read"))?;
            open.map_or(Ok(()), |shard| seal(&connection, unsigned(shard), self.keys.newest().1))
        };
        self.let_go();
        sealed
    }
}
