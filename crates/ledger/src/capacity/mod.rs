//! How full the ledger's volume and its database are, how fast they fill, and when somebody must know
//! (AU-4, AU-5).
//!
//! What stays true: at the set percentage, and while records are refused, an alarm is raised at
//! once and again every hour; a ledger that nobody writes to is tried every hour, so that a
//! failure is known within one. The alarm is an event, a line in the error log and what
//! [`Capacity`] and [`crate::Health`] say to the pages. Nothing is sent anywhere from here.

mod growth;
mod room;
mod watch;

use jiff::Timestamp;

pub(crate) use growth::Growth;
#[cfg(test)]
pub(crate) use watch::Looks;
pub(crate) use watch::Watch;

/// Room on a volume, as a program without privileges may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    pub free_bytes: u64,
    /// Inodes, and how many of them are free; `None` where the file system has no such limit.
    pub files: Option<(u64, u64)>,
}

/// What fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The volume of the ledger's folder. What else lies on it counts too; a quota does not show.
    Volume,
    /// The database that has it, against the size that the agency gave it: its disk can't be seen.
    Database,
}

impl Room {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Database => "database",
        }
    }
}

/// The room for the ledger at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub of: Room,
    pub at: Timestamp,
    pub bytes: u64,
    pub free_bytes: u64,
    /// Of the bytes, or of the inodes where more of those are used; rounded down.
    pub used_percent: u8,
    /// From this percentage on it is [low](Self::is_low).
    pub warn_percent: u8,
    /// By how much the volume filled, a day, over the last week or since the ledger was opened.
    /// `None` in the first hour, and where it does not fill.
    pub bytes_per_day: Option<u64>,
    /// Whole days until it is full, if that goes on.
    pub full_in_days: Option<u64>,
}

impl Capacity {
    pub(crate) fn new(
        of: Room,
        at: Timestamp,
        space: &Space,
        warn_percent: u8,
        growth: &Growth,
    ) -> Self {
        let bytes_per_day = growth.bytes_per_day();
        let full_in_days = bytes_per_day.and_then(|per_day| space.free_bytes.checked_div(per_day));
        Self {
            of,
            at,
            bytes: space.bytes,
            free_bytes: space.free_bytes,
            used_percent: space.used_percent(),
            warn_percent,
            bytes_per_day,
            full_in_days,
        }
    }

    /// Whether it is time to make room.
    pub fn is_low(&self) -> bool {
        self.used_percent >= self.warn_percent
    }

    /// The state in plain words: `the ledger's volume is 93 % full and has room for 12 days`.
    pub fn words(&self) -> String {
        let used = format!("the ledger's {} is {} % full", self.of.words(), self.used_percent);
        match self.full_in_days {
            None => used,
            Some(0) => format!("{used} and has no room for another day"),
            Some(1) => format!("{used} and has room for 1 day"),
            Some(days) => format!("{used} and has room for {days} days"),
        }
    }
}

impl Space {
    pub(crate) fn used_percent(&self) -> u8 {
        let percent = |all: u64, free: u64| {
            let used = all.saturating_sub(free);
            u128::from(used) * 100 / u128::from(all.max(1))
        };
        let bytes = percent(self.bytes, self.free_bytes);
        let files = self.files.map_or(0, |(all, free)| percent(all, free));
        u8::try_from(bytes.max(files)).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests;
