//! How far a verification came, so that an interrupted one goes on there.
//!
//! The log is read anew each time, for it is the smaller part and everything else is held against it. What is
//! kept is which body segments were read and held, and what was in them. A line that is not whole is of no
//! meaning. What was verified is not read again: a segment that is changed afterwards is not noticed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::bodies::BodiesSeen;
use crate::disk::{Disk, DiskFile, Mode, read_whole};
use crate::envelope::{Bucket, LedgerId};
use crate::error::Damage;
use crate::scan::Fault;

const RESUME_BYTES_MAX: u64 = 64 << 20;

/// What was verified before, and where more of it is kept.
#[derive(Default)]
pub(super) struct Resume {
    file: Option<(Arc<dyn DiskFile>, u64, String)>,
    done: BTreeMap<(Bucket, u32), BodiesSeen>,
}

fn first_line(ledger: &LedgerId) -> String {
    format!("bailiwick-ledger-resume 1 {}\n", hex::encode(ledger))
}

impl Resume {
    /// Goes on from a file, which is made if it isn't there. It must be of this ledger.
    pub(super) fn open(disk: &dyn Disk, path: &Path, ledger: &LedgerId) -> Result<Self, Damage> {
        let name = path.display().to_string();
        let failed = |error: std::io::Error| {
            Damage::new(&name, 0, None, &format!("the file could not be read or written: {error}"))
        };
        let file = disk.open(path, Mode::Create).map_err(failed)?;
        let bytes = read_whole(disk, path, RESUME_BYTES_MAX).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let first = first_line(ledger);
        if bytes.is_empty() {
            file.write_at(first.as_bytes(), 0).map_err(failed)?;
            let at = first.len() as u64;
            return Ok(Self { file: Some((file, at, name)), done: BTreeMap::new() });
        }
        let Some(rest) = text.strip_prefix(&first) else {
            let what = "this is not how far a verification of this ledger came";
            return Err(Damage::new(&name, 0, None, what));
        };
        let whole = rest.rfind('\n').map_or(0, |at| at + 1);
        let lines = rest.get(..whole).unwrap_or_default().lines();
        let (mut done, mut at) = (BTreeMap::new(), first.len() as u64);
        for line in lines {
            let Some((bucket, segment, seen)) = parse(line) else {
                return Err(Damage::new(&name, at, None, "the line is not as written"));
            };
            done.insert((bucket, segment), seen);
            at += line.len() as u64 + 1;
        }
        Ok(Self { file: Some((file, at, name)), done })
    }

    pub(super) fn find(&self, bucket: Bucket, segment: u32) -> Option<BodiesSeen> {
        self.done.get(&(bucket, segment)).copied()
    }

    /// Keeps that a segment holds.
    pub(super) fn keep(
        &mut self,
        bucket: Bucket,
        segment: u32,
        seen: BodiesSeen,
    ) -> Result<(), Fault> {
        let Some((file, at, name)) = &mut self.file else { return Ok(()) };
        let BodiesSeen { count, first, last } = seen;
        let line = format!("body {} {segment} {count} {first} {last}\n", bucket.name());
        let written = file.write_at(line.as_bytes(), *at);
        written.map_err(|source| Fault::Disk { path: name.clone().into(), source })?;
        *at += line.len() as u64;
        Ok(())
    }
}

fn parse(line: &str) -> Option<(Bucket, u32, BodiesSeen)> {
    let mut words = line.strip_prefix("body ")?.split(' ');
    let bucket = Bucket::parse(words.next()?)?;
    let segment = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let seen = BodiesSeen { count: number()?, first: number()?, last: number()? };
    words.next().is_none().then_some((bucket, segment, seen))
}
