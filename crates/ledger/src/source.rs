//! A ledger's folder as it is read: segments through a buffer, with the journal laid over them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Damage;
use crate::bytes::is_zero;
use crate::disk::{Disk, DiskFile, Mode};
use crate::envelope::Bucket;
use crate::identity::{BODY, LOG};
use crate::journal::{JournalFrame, Segment, body_folder, segment_number};
use crate::scan::Fault;

const WINDOW_BYTES: usize = 1 << 20;

/// A folder to read, with the journal's writes laid over it where they have not been redone.
pub(crate) struct Source<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    patches: BTreeMap<Segment, Vec<(u64, &'a [u8])>>,
    /// How far is read, of a ledger that is being written to.
    ends: Option<&'a Ends>,
    /// Asked before each piece is read: it may take its time, or refuse.
    pace: Option<&'a Pace<'a>>,
}

/// Rests, or says that reading is to end.
pub(crate) type Pace<'a> = dyn Fn() -> io::Result<()> + Sync + 'a;

/// Where the log and each bucket ended at some moment: segment and offset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Ends {
    pub(crate) log: (u32, u64),
    pub(crate) bodies: BTreeMap<Bucket, (u32, u64)>,
}

impl Ends {
    /// Goes on behind a write that ends at `offset`.
    pub(crate) fn advance(&mut self, segment: Segment, offset: u64) {
        match segment {
            Segment::Log(number) => self.log = (number, offset),
            Segment::Body(bucket, number) => drop(self.bodies.insert(bucket, (number, offset))),
        }
    }

    /// Where reading ends among segments like this one.
    fn of(&self, segment: Segment) -> Option<(u32, u64)> {
        match segment {
            Segment::Log(_) => Some(self.log),
            Segment::Body(bucket, _) => self.bodies.get(&bucket).copied(),
        }
    }
}

impl<'a> Source<'a> {
    /// As it was at some moment, read at some pace.
    pub(crate) fn upto(self, ends: &'a Ends, pace: &'a Pace<'a>) -> Self {
        Self { ends: Some(ends), pace: Some(pace), ..self }
    }

    pub(crate) fn new(disk: &'a dyn Disk, folder: &'a Path, over: &'a [JournalFrame]) -> Self {
        let mut patches: BTreeMap<Segment, Vec<(u64, &[u8])>> = BTreeMap::new();
        for write in over.iter().flat_map(|frame| &frame.writes) {
            patches.entry(write.segment).or_default().push((write.offset, &write.bytes));
        }
        Self { disk, folder, patches, ends: None, pace: None }
    }

    fn failed(&self, path: &str) -> impl Fn(io::Error) -> Fault {
        let path = self.folder.join(path);
        move |source| Fault::Disk { path: path.clone(), source }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Fault> {
        self.disk.list(&self.folder.join(path)).map_err(self.failed(path))
    }

    /// The numbers of the segments in a folder, which must be 0, 1, 2 and so on.
    pub(crate) fn segments(&self, path: &str) -> Result<u32, Fault> {
        let names = self.list(path)?;
        let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let gap = (0..).zip(&numbers).find(|(expected, number)| expected != *number);
        if let Some((expected, _)) = gap {
            let missing = format!("{path}/{}", crate::journal::segment_name(expected));
            return Err(Damage::new(&missing, 0, None, "the segment is missing").into());
        }
        Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
    }

    /// The number of log segments, of which there is always one.
    pub(crate) fn log_segments(&self) -> Result<u32, Fault> {
        let count = self.segments(LOG)?;
        match self.ends.map_or(count, |ends| count.min(ends.log.0 + 1)) {
            0 => Err(Damage::new("log/00000000.seg", 0, None, "the segment is missing").into()),
            count => Ok(count),
        }
    }

    /// The number of a bucket's body segments.
    pub(crate) fn body_segments(&self, bucket: Bucket) -> Result<u32, Fault> {
        let count = self.segments(&body_folder(bucket))?;
        // What a hold keeps was copied whole before anything named it.
        let end = self.ends.and_then(|ends| ends.bodies.get(&bucket));
        Ok(end.map_or(count, |end| count.min(end.0 + 1)))
    }

    /// The buckets that have bodies.
    pub(crate) fn buckets(&self) -> Result<Vec<Bucket>, Fault> {
        let there = |bucket: &Bucket| {
            bucket.held > 0 || self.ends.is_none_or(|ends| ends.bodies.contains_key(bucket))
        };
        Ok(self.list(BODY)?.iter().filter_map(|name| Bucket::parse(name)).filter(there).collect())
    }

    /// The whole of a segment.
    pub(crate) fn whole(&self, segment: Segment) -> Result<Vec<u8>, Fault> {
        let mut window = self.window(segment)?;
        let length = usize::try_from(window.length).unwrap_or(usize::MAX);
        Ok(window.at(0, length)?.to_vec())
    }

    /// Segments of a log or a bucket before the last that has anything: while somebody writes, these
    /// stay as they are.
    pub(crate) fn closed(&self, kind: impl Fn(u32) -> Segment, count: u32) -> Result<u32, Fault> {
        let mut last = count;
        while last > 0 && self.window(kind(last - 1))?.zeros_from(0)? {
            last -= 1;
        }
        Ok(last.saturating_sub(1))
    }

    pub(crate) fn window(&self, segment: Segment) -> Result<Window<'_>, Fault> {
        let path = segment.path();
        let full = self.folder.join(&path);
        let file = self.disk.open(&full, Mode::Read).map_err(self.failed(&path))?;
        let patches = self.patches.get(&segment).map(Vec::as_slice).unwrap_or_default();
        let length = file.length().map_err(self.failed(&path))?;
        let ends = patches.iter().map(|(offset, bytes)| offset + bytes.len() as u64);
        let mut length = ends.fold(length, u64::max);
        if let Some((number, offset)) = self.ends.and_then(|ends| ends.of(segment))
            && number == segment.number()
        {
            length = length.min(offset);
        }
        Ok(Window {
            pace: self.pace,
            file,
            path: full,
            length,
            patches,
            buffer: Vec::new(),
            start: 0,
        })
    }
}

/// A segment seen through a buffer.
pub(crate) struct Window<'a> {
    pace: Option<&'a Pace<'a>>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    patches: &'a [(u64, &'a [u8])],
    buffer: Vec<u8>,
    start: u64,
}

impl Window<'_> {
    /// `length` bytes from `offset`, fewer at the end of the segment.
    pub(crate) fn at(&mut self, offset: u64, length: usize) -> Result<&[u8], Fault> {
        let length = length.min(usize::try_from(self.length.saturating_sub(offset)).unwrap_or(0));
        let end = offset + length as u64;
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            self.fill(offset, length.max(WINDOW_BYTES))
                .map_err(|source| Fault::Disk { path: self.path.clone(), source })?;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(from..from.saturating_add(length)).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, length: usize) -> io::Result<()> {
        self.pace.map_or(Ok(()), |pace| pace())?;
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.buffer = vec![0; length.min(left)];
        self.start = offset;
        self.file.read_at(&mut self.buffer, offset)?;
        for (at, bytes) in self.patches {
            lay_over(&mut self.buffer, offset, *at, bytes);
        }
        Ok(())
    }

    /// Whether there are only zeros from `offset` on.
    pub(crate) fn zeros_from(&mut self, mut offset: u64) -> Result<bool, Fault> {
        while offset < self.length {
            let bytes = self.at(offset, WINDOW_BYTES)?;
            if !is_zero(bytes) {
                return Ok(false);
            }
            offset += bytes.len().max(1) as u64;
        }
        Ok(true)
    }
}

/// Puts the part of `bytes` (which begin at `at`) that falls into `buffer` (from `start`) there.
fn lay_over(buffer: &mut [u8], start: u64, at: u64, bytes: &[u8]) {
    let skip = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX);
    let into = usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
    let (Some(bytes), Some(buffer)) = (bytes.get(skip..), buffer.get_mut(into..)) else { return };
    let length = buffer.len().min(bytes.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..length), bytes.get(..length)) {
        to.copy_from_slice(from);
    }
}
