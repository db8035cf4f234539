//! The Merkle leaf's content: 104 bytes that carry neither CJI nor a person.
//!
//! Invariant: the layout is deterministic, and what it commits to can be disposed of without
//! changing a byte here. `docs/formats/ledger.md` has the layout.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use keys::mac::MacKey;
use serde::{Deserialize, Serialize};

use crate::bytes::Reader;
use crate::event::Retention;
use crate::merkle::{Hash, leaf_hash};

/// Bytes of an envelope of version 1.
pub const ENVELOPE_BYTES: usize = 104;

const VERSION: u8 = 1;
/// The month of expiry of what never expires.
const PERMANENT_MONTH: u32 = 999_912;
/// How often a bucket's held bodies are moved on, at most.
pub(crate) const HELD_MAX: u16 = 9999;
const LABEL: &[u8] = b"bailiwick/ledger/body/1";

/// Random identity of one ledger, made when it is created.
pub type LedgerId = [u8; 16];

/// One entry as the tree knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub ledger: LedgerId,
    pub entry: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// The clock stood earlier than at an entry before.
    pub stepped_back: bool,
    /// Code of the event's kind.
    pub kind: u8,
    /// Its `held` is 0, wherever the body lies by now.
    pub bucket: Bucket,
    /// Commitment to the part that a partner may be shown.
    pub shared: Hash,
    /// Commitment to the rest.
    pub private: Hash,
}

impl Envelope {
    pub fn encode(&self) -> [u8; ENVELOPE_BYTES] {
        let mut out = Vec::with_capacity(ENVELOPE_BYTES);
        out.push(VERSION);
        out.extend_from_slice(&self.ledger);
        out.extend_from_slice(&self.entry.to_be_bytes());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.push(u8::from(self.stepped_back));
        out.push(self.kind);
        out.push(self.bucket.class.code());
        out.extend_from_slice(&self.bucket.month.to_be_bytes());
        out.extend_from_slice(&self.shared);
        out.extend_from_slice(&self.private);
        let mut fixed = [0; ENVELOPE_BYTES];
        fixed.copy_from_slice(&out);
        fixed
    }

    /// Parses what [`Self::encode`] wrote; anything else, trailing bytes included, is `None`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let (ledger, entry, at_ms) = (reader.array()?, reader.u64()?, reader.i64()?);
        let stepped_back = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let kind = reader.u8()?;
        let class = Retention::from_code(reader.u8()?)?;
        let bucket = Bucket::new(class, reader.u32()?)?;
        let (shared, private) = (reader.array()?, reader.array()?);
        reader.is_done().then_some(Self {
            ledger,
            entry,
            at_ms,
            stepped_back,
            kind,
            bucket,
            shared,
            private,
        })
    }

    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.encode())
    }

    pub(crate) fn at(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.at_ms).ok()
    }
}

/// What is disposed of together: one schedule's records that expire in one month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bucket {
    pub class: Retention,
    /// Year × 100 + month of expiry: 202911.
    pub month: u32,
    /// 0 as an envelope names it. From 1 on: where the bodies went, and again went, that a hold
    /// kept when the rest of the bucket was disposed of.
    pub held: u16,
}

impl From<Bucket> for String {
    fn from(bucket: Bucket) -> Self {
        bucket.name()
    }
}

impl TryFrom<String> for Bucket {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name).ok_or("not the name of a bucket")
    }
}

impl Bucket {
    fn new(class: Retention, month: u32) -> Option<Self> {
        let fits = (1970..=9999).contains(&(month / 100)) && (1..=12).contains(&(month % 100));
        let fits = fits && (class == Retention::Permanent) == (month == PERMANENT_MONTH);
        fits.then_some(Self { class, month, held: 0 })
    }

    /// The bucket of what is never disposed of.
    pub const PERMANENT: Self =
        Self { class: Retention::Permanent, month: PERMANENT_MONTH, held: 0 };

    /// The bucket of a record of `at` that is kept for `months`; what is kept for ever has one.
    pub(crate) fn of(class: Retention, at: Timestamp, months: u32) -> Option<Self> {
        if class == Retention::Permanent {
            return Some(Self::PERMANENT);
        }
        let date = at.to_zoned(TimeZone::UTC).date();
        let year = u32::try_from(date.year()).ok()?;
        let month = year * 12 + u32::try_from(date.month()).ok()? - 1 + months;
        Self::new(class, month / 12 * 100 + month % 12 + 1)
    }

    /// `standard-2029-11`; `held-0001-standard-2029-11`.
    pub fn name(self) -> String {
        let (class, year, month) = (self.class.as_str(), self.month / 100, self.month % 100);
        match self.held {
            0 => format!("{class}-{year:04}-{month:02}"),
            held => format!("held-{held:04}-{class}-{year:04}-{month:02}"),
        }
    }

    /// The first moment at which all of its records are as old as their schedule asks: the end of
    /// its month, in UTC. `None` for what is never disposed of.
    pub fn due(self) -> Option<Timestamp> {
        if self.class == Retention::Permanent {
            return None;
        }
        let (year, month) = (self.month / 100, self.month % 100);
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()?;
        date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    }

    /// The bucket as its entries' envelopes name it.
    #[must_use]
    pub fn home(self) -> Self {
        Self { held: 0, ..self }
    }

    /// Where the bodies go that a hold keeps when this bucket is disposed of. `None` after
    /// [`HELD_MAX`] times.
    pub fn next_held(self) -> Option<Self> {
        (self.held < HELD_MAX).then_some(Self { held: self.held + 1, ..self })
    }

    /// The bucket that [`Self::name`] named.
    pub fn parse(name: &str) -> Option<Self> {
        let (held, home) = match name.strip_prefix("held-") {
            None => (0, name),
            Some(rest) => rest.split_once('-').and_then(|(held, home)| {
                let held = u16::try_from(digits(held, 4)?).ok()?;
                (held > 0).then_some((held, home))
            })?,
        };
        Retention::ALL.into_iter().find_map(|class| {
            let rest = home.strip_prefix(class.as_str())?.strip_prefix('-')?;
            let (year, month) = rest.split_once('-')?;
            let bucket = Self::new(class, digits(year, 4)? * 100 + digits(month, 2)?)?;
            let bucket = Self { held, ..bucket };
            (bucket.name() == name).then_some(bucket)
        })
    }
}

fn digits(text: &str, width: usize) -> Option<u32> {
    let sound = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| text.parse().ok()).flatten()
}

/// Which half of a body a commitment is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    Shared,
    Private,
}

/// The salted commitment: `HMAC-SHA-256(salt, label ‖ half ‖ kind ‖ length ‖ bytes)`. Binds the
/// plaintext, which AES-GCM alone does not, and tells nothing once the salt is gone.
pub fn commit(salt: &[u8; 32], half: Half, kind: u8, bytes: &[u8]) -> Hash {
    let half = match half {
        Half::Shared => b's',
        Half::Private => b'p',
    };
    let length = (bytes.len() as u64).to_be_bytes();
    MacKey::from_bytes(*salt).tag(&[LABEL, &[half, kind], &length, bytes])
}
