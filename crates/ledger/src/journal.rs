//! The journal: a small file, written with zeros in advance, through which every batch goes
//! first. One write and one `fdatasync` there make a batch durable, however many files its parts
//! belong to; those are synced when the journal comes round.
//!
//! A journal frame holds the bytes that the batch puts into other files, and where. Recovery does
//! those writes again, so a torn or lost write elsewhere heals. Only the journal can have a torn
//! tail. Frames of one generation follow each other from offset 0; a new generation begins at 0
//! again, and only after everything of the one before was synced to its place.

use keys::digest::sha256;

use crate::Damage;
use crate::bytes::{OTHER_FORMAT, Reader, is_other_format, is_zero, padded};
use crate::envelope::{Bucket, LedgerId};
use crate::identity::JOURNAL;

pub(crate) const UNIT: usize = 4096;
const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"BWJRNFR1";
const WRITES_MAX: u32 = 64;

/// A file that the journal writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    Log(u32),
    Body(Bucket, u32),
}

impl Segment {
    /// Path inside the ledger's folder.
    pub fn path(self) -> String {
        match self {
            Self::Log(number) => format!("log/{}", segment_name(number)),
            Self::Body(bucket, number) => {
                format!("{}/{}", body_folder(bucket), segment_name(number))
            }
        }
    }

    /// Its number among those of its kind, from 0.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Log(number) | Self::Body(_, number) => number,
        }
    }

    /// The segment that [`Self::path`] named; no other path is one.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/');
        let segment = match (parts.next()?, parts.next()?, parts.next()) {
            ("log", file, None) => Self::Log(segment_number(file)?),
            ("body", bucket, Some(file)) => {
                Self::Body(Bucket::parse(bucket)?, segment_number(file)?)
            }
            _ => return None,
        };
        (segment.path() == path).then_some(segment)
    }
}

pub(crate) fn body_folder(bucket: Bucket) -> String {
    format!("body/{}", bucket.name())
}

pub(crate) fn segment_name(number: u32) -> String {
    format!("{number:08}.seg")
}

pub(crate) fn segment_number(file: &str) -> Option<u32> {
    let digits = file.strip_suffix(".seg")?;
    let sound = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = sound.then(|| digits.parse().ok()).flatten()?;
    (segment_name(number) == file).then_some(number)
}

/// Bytes for a place in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub segment: Segment,
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// One batch in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFrame {
    pub generation: u64,
    /// Place among the frames of its generation, from 0.
    pub ordinal: u32,
    pub first: u64,
    pub count: u32,
    pub writes: Vec<Write>,
}

impl JournalFrame {
    /// The number of entries with this batch.
    pub fn size(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count))
    }

    /// The frame at the beginning of `bytes` and the bytes that it takes up; `None` if there is
    /// no whole frame of this ledger.
    pub fn parse(bytes: &[u8], ledger: &LedgerId) -> Option<(Self, usize)> {
        let mut reader = Reader::new(bytes);
        if &reader.array::<8>()? != MAGIC || &reader.array::<16>()? != ledger {
            return None;
        }
        let (generation, first) = (reader.u64()?, reader.u64()?);
        let (count, ordinal) = (reader.u32()?, reader.u32()?);
        let (payload, writes) = (reader.length()?, reader.u32()?);
        if !is_zero(&reader.array::<8>()?) || writes > WRITES_MAX {
            return None;
        }
        let length = HEADER_BYTES.checked_add(payload)?;
        let digest = bytes.get(length..length.checked_add(32)?)?;
        let taken = padded(length + 32, UNIT);
        let pad = bytes.get(length + 32..taken)?;
        if sha256(bytes.get(..length)?) != digest || !is_zero(pad) {
            return None;
        }
        let mut payload = Reader::new(bytes.get(HEADER_BYTES..length)?);
        let writes: Option<Vec<Write>> = (0..writes).map(|_| parse_write(&mut payload)).collect();
        let frame = Self { generation, ordinal, first, count, writes: writes? };
        payload.is_done().then_some((frame, taken))
    }
}

fn parse_write(reader: &mut Reader<'_>) -> Option<Write> {
    let length = usize::from(reader.u16()?);
    let path = std::str::from_utf8(reader.slice(length)?).ok()?;
    let segment = Segment::parse(path)?;
    let offset = reader.u64()?;
    let length = reader.length()?;
    let bytes = reader.slice(length)?.to_vec();
    Some(Write { segment, offset, bytes })
}

/// What goes into a new frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewJournalFrame<'a> {
    pub(crate) generation: u64,
    pub(crate) ordinal: u32,
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) writes: &'a [Write],
}

impl NewJournalFrame<'_> {
    /// The bytes with their padding.
    pub(crate) fn encode(&self, ledger: &LedgerId) -> Option<Vec<u8>> {
        let paths: Vec<String> = self.writes.iter().map(|write| write.segment.path()).collect();
        let each = self.writes.iter().zip(&paths);
        let payload: usize = each.clone().map(|(it, path)| 14 + path.len() + it.bytes.len()).sum();
        let mut out = Vec::with_capacity(padded(HEADER_BYTES + payload + 32, UNIT));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(ledger);
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.ordinal.to_be_bytes());
        out.extend_from_slice(&u32::try_from(payload).ok()?.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.writes.len()).ok()?.to_be_bytes());
        out.resize(HEADER_BYTES, 0);
        for (write, path) in each {
            out.extend_from_slice(&u16::try_from(path.len()).ok()?.to_be_bytes());
            out.extend_from_slice(path.as_bytes());
            out.extend_from_slice(&write.offset.to_be_bytes());
            out.extend_from_slice(&u32::try_from(write.bytes.len()).ok()?.to_be_bytes());
            out.extend_from_slice(&write.bytes);
        }
        let digest = sha256(&out);
        out.extend_from_slice(&digest);
        out.resize(padded(out.len(), UNIT), 0);
        Some(out)
    }
}

/// The journal as found: the frames that count, and what lies behind them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalScan {
    /// Frames of the present generation, in order from offset 0.
    pub frames: Vec<JournalFrame>,
    /// Where they end.
    pub end: usize,
    /// Whole frames behind a gap: offset, entries they reach to. Harmless if the log has them.
    pub stray: Vec<(usize, u64)>,
    /// Where the first batch of another format begins. It may have been confirmed, so it is no torn tail.
    pub other: Option<usize>,
    /// Highest generation seen.
    pub generation: u64,
}

impl JournalScan {
    /// Reads a journal. A tail that is no whole frame is left out: it was never confirmed.
    pub fn read(bytes: &[u8], ledger: &LedgerId) -> Self {
        let mut scan = Self::default();
        let mut rest = bytes;
        while let Some((frame, taken)) = JournalFrame::parse(rest, ledger) {
            let follows = scan.frames.last().map_or(frame.ordinal == 0, |last| {
                frame.generation == last.generation
                    && frame.ordinal.checked_sub(1) == Some(last.ordinal)
                    && frame.first == last.size()
            });
            if !follows {
                break;
            }
            scan.generation = frame.generation;
            scan.end += taken;
            scan.frames.push(frame);
            rest = rest.get(taken..).unwrap_or_default();
        }
        let mut offset = scan.end;
        while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let step = match JournalFrame::parse(rest, ledger) {
                Some((frame, taken)) => {
                    scan.generation = scan.generation.max(frame.generation);
                    scan.stray.push((offset, frame.size()));
                    taken
                }
                None => {
                    let other = is_other_format(rest, MAGIC) && rest.get(8..24) == Some(ledger);
                    scan.other = scan.other.or(other.then_some(offset));
                    UNIT
                }
            };
            offset += step;
        }
        scan
    }

    /// Refuses a journal that has a batch of another format.
    pub(crate) fn check_format(&self) -> Result<(), Damage> {
        self.other.map_or(Ok(()), |at| Err(Damage::new(JOURNAL, at as u64, None, OTHER_FORMAT)))
    }
}
