//! Forgetting: when a bucket is disposed of, its rows go from the index, and from its file.

use rusqlite::{Connection, params};

use super::fill::{bucket_code, signed, unsigned};
use super::{Index, IndexError, check, held, sql};
use crate::envelope::Bucket;
use crate::retention::Ranges;

impl Index {
    /// Forgets the entries of a bucket, but for those in `keep`, which a hold keeps. Tells how
    /// many went. Deleted rows are overwritten (`secure_delete`) and the write-ahead file is
    /// emptied. An index that is not open, or is damaged, is thrown away as a whole: it is built
    /// from what the log still has.
    pub(crate) fn forget(&self, bucket: Bucket, keep: &Ranges) -> Result<u64, IndexError> {
        self.forget_all(&[(bucket, keep)])
    }

    /// As [`Self::forget`], of several buckets at once.
    pub(crate) fn forget_all(&self, all: &[(Bucket, &Ranges)]) -> Result<u64, IndexError> {
        let forgotten = self.forget_rows(all);
        match forgotten {
            Ok(Some(count)) => Ok(count),
            Ok(None) => self.discard("entries were disposed of").map(|()| 0),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the search index can't forget and is built anew");
                self.discard("entries were disposed of").map(|()| 0)
            }
        }
    }

    fn forget_rows(&self, all: &[(Bucket, &Ranges)]) -> Result<Option<u64>, IndexError> {
        let mut slot = held(&self.writer);
        let Some(writer) = slot.as_mut() else { return Ok(None) };
        writer.clear();
        let key = self.keys.newest().1;
        let connection = std::sync::Arc::clone(&writer.connection);
        let connection = held(&connection);
        let mut count = 0;
        for (shard, has_digest) in check::shards(&connection)? {
            let unchecked = writer.unchecked.contains(&shard);
            if unchecked {
                // A digest that is made now must not cover up what it would have shown.
                check::check(&connection, shard, key)?;
                writer.unchecked.retain(|it| *it != shard);
            }
            let transaction = connection.unchecked_transaction().map_err(sql("write to"))?;
            let mut gone = 0;
            for (bucket, keep) in all {
                gone += forget_in(&transaction, shard, *bucket, keep)?;
            }
            if gone > 0 && has_digest {
                check::seal(&transaction, shard, key)?;
            }
            transaction.commit().map_err(sql("write to"))?;
            count += gone;
        }
        if self.place.path().is_some() {
            let emptied = connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            if emptied.map_err(sql("empty the write-ahead file of"))? != 0 {
                return Err(IndexError::Damaged("its write-ahead file is in use"));
            }
        }
        Ok(Some(count))
    }
}

fn forget_in(
    connection: &Connection,
    shard: u64,
    bucket: Bucket,
    keep: &Ranges,
) -> Result<u64, IndexError> {
    let failed = sql("forget in");
    connection
        .execute_batch(
            "CREATE TEMP TABLE IF NOT EXISTS gone (entry INTEGER PRIMARY KEY) STRICT;
             DELETE FROM gone;",
        )
        .map_err(&failed)?;
    let text = format!("INSERT INTO gone SELECT entry FROM row_{shard} WHERE bucket = ?1");
    connection.execute(&text, params![bucket_code(bucket)]).map_err(&failed)?;
    let text = "DELETE FROM gone WHERE entry BETWEEN ?1 AND ?2";
    let mut kept = connection.prepare(text).map_err(&failed)?;
    for (first, last) in keep.ranges() {
        kept.execute([signed(first), signed(last)]).map_err(&failed)?;
    }
    let gone: i64 =
        connection.query_row("SELECT count(*) FROM gone", [], |row| row.get(0)).map_err(&failed)?;
    if gone > 0 {
        let used = ["action", "tool", "source", "purpose", "functions"]
            .map(|it| format!("SELECT {it} FROM row_{shard} WHERE {it} IS NOT NULL"))
            .join(" UNION ");
        let text = format!(
            "DELETE FROM post_{shard} WHERE entry IN (SELECT entry FROM gone);
             DELETE FROM row_{shard} WHERE entry IN (SELECT entry FROM gone);
             DELETE FROM name_{shard} WHERE number NOT IN ({used});
             DELETE FROM gone;"
        );
        connection.execute_batch(&text).map_err(&failed)?;
    }
    Ok(unsigned(gone))
}
