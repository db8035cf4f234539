//! What a document of a store is by its content, before anybody asks to send it.
//!
//! Invariants: it is read through the gate in the name of whoever looks, each range on record; no more of it is read or
//! held than it takes to know what it is.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use exchange::{Caller, Seen};
use tokio::runtime::Handle;
use tools::plan::Planned;

use crate::agency::Agency;

/// Bytes that are read at a time, and how often of one document. A film's index may be some megabytes.
const RANGE_BYTES: u64 = 1 << 20;
const RANGES_MAX: usize = 16;
/// The first bytes, which tell its kind where no more is looked at.
const HEAD_BYTES: usize = 8 << 10;

/// Looks at a document; none where it can't be read. `name` is its path, `stated` the media type that its row says.
pub(crate) async fn recognise(
    agency: &Arc<Agency>,
    caller: &Caller,
    planned: Planned,
    (name, stated): (&str, &str),
) -> Option<Seen> {
    let mut document = Ranges {
        agency: Arc::clone(agency),
        caller: caller.clone(),
        planned,
        runtime: Handle::current(),
        length: None,
        at: 0,
        kept: (0, Vec::new()),
        head: Vec::new(),
        left: RANGES_MAX,
    };
    let (name, stated) = (name.to_owned(), stated.to_owned());
    let looked = tokio::task::spawn_blocking(move || {
        let found = match parcel::media::examine(&mut document, &name) {
            Ok(found) => found,
            Err(_) if document.left == 0 => parcel::media::by_head(&document.head),
            Err(_) => return None,
        };
        Some(Seen::of(&found, &name, &stated))
    });
    looked.await.ok().flatten()
}

/// A document that is read where it is looked at.
struct Ranges {
    agency: Arc<Agency>,
    caller: Caller,
    planned: Planned,
    runtime: Handle,
    /// Known after the first range.
    length: Option<u64>,
    at: u64,
    /// The last range, and where it begins.
    kept: (u64, Vec<u8>),
    /// The first bytes.
    head: Vec<u8>,
    /// Ranges that may still be read.
    left: usize,
}

impl Ranges {
    fn fetch(&mut self, from: u64) -> io::Result<()> {
        let refused = |_| io::Error::other("the document was not given");
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("too many pieces"))?;
        let mut planned = self.planned.clone();
        if let gate::Plan::Evidence(plan) = &mut planned.plan {
            let most = plan.limits.bytes_max.min(RANGE_BYTES);
            plan.range = Some((from, from.saturating_add(most)));
        }
        let released = self.agency.run_document(&self.caller, planned);
        let released = self.runtime.block_on(released).map_err(refused)?;
        let (document, _) = released.into_parts();
        if self.length.is_none() {
            self.head = document.bytes.iter().take(HEAD_BYTES).copied().collect();
        }
        self.length = Some(document.length);
        self.kept = (document.range.0, document.bytes);
        Ok(())
    }

    fn length(&mut self) -> io::Result<u64> {
        if self.length.is_none() {
            // The begin, wherever it is asked first.
            self.fetch(0)?;
        }
        Ok(self.length.unwrap_or_default())
    }
}

impl Read for Ranges {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.at >= self.length()? {
            return Ok(0);
        }
        let held = |(from, bytes): &(u64, Vec<u8>), at: u64| {
            at >= *from && at < from.saturating_add(bytes.len() as u64)
        };
        if !held(&self.kept, self.at) {
            self.fetch(self.at)?;
        }
        let skip = self.at.checked_sub(self.kept.0).and_then(|skip| usize::try_from(skip).ok());
        let mut rest = skip.and_then(|skip| self.kept.1.get(skip..)).unwrap_or_default();
        let count = rest.read(into)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

impl Seek for Ranges {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let before = || io::Error::other("a place before the begin");
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(before)?,
            SeekFrom::End(by) => self.length()?.checked_add_signed(by).ok_or_else(before)?,
        };
        Ok(self.at)
    }
}
