//! Sets of entry numbers, written as ranges: `12-14,99`.
//!
//! Invariant: ranges are in order and neither overlap nor touch, so that a set has one text.

use std::fmt;

/// A set of entry numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds an entry that is greater than all before; one that is not is left out, and told.
    pub fn push(&mut self, entry: u64) -> bool {
        match self.0.last_mut() {
            Some((_, last)) if *last >= entry => return false,
            Some((_, last)) if *last + 1 == entry => *last = entry,
            Some(_) | None => self.0.push((entry, entry)),
        }
        true
    }

    pub fn contains(&self, entry: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= entry);
        let range = after.checked_sub(1).and_then(|at| self.0.get(at));
        range.is_some_and(|(_, last)| entry <= *last)
    }

    /// The first and the last entry of each range, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// How many entries the set has.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add(last - first + 1))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses what [`fmt::Display`] wrote. No other text of the same set is taken.
    pub fn parse(text: &str) -> Option<Self> {
        let mut ranges = Vec::new();
        if text.is_empty() {
            return Some(Self(ranges));
        }
        let mut least = Some(0);
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            let written = part.contains('-') == (first < last);
            if !written || first > last || first < least? {
                return None;
            }
            least = last.checked_add(2);
            ranges.push((first, last));
        }
        Some(Self(ranges))
    }
}

impl FromIterator<u64> for Ranges {
    /// Of entries in any order.
    fn from_iter<I: IntoIterator<Item = u64>>(entries: I) -> Self {
        let sorted: std::collections::BTreeSet<u64> = entries.into_iter().collect();
        let mut ranges = Self::default();
        for entry in sorted {
            ranges.push(entry);
        }
        ranges
    }
}

fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (first, last)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, proptest};

    use super::Ranges;

    #[test]
    fn other_texts_are_refused() {
        for wrong in [
            ",",
            "1,",
            "1,1",
            "2,1",
            "1-1",
            "2-1",
            "1,2",
            "1-3,3",
            "1-3,4",
            "01",
            "+1",
            " 1",
            "1-",
            "-1",
            "1-2-3",
            "x",
            "18446744073709551616",
        ] {
            assert_eq!(Ranges::parse(wrong), None, "{wrong}");
        }
        let most = format!("0-1,{}", u64::MAX);
        assert_eq!(Ranges::parse(&most).unwrap().to_string(), most);
    }

    proptest! {
        #[test]
        fn a_set_is_written_and_read_back(
            entries in proptest::collection::btree_set(0_u64..60, 0..40), probe in any::<u64>(),
        ) {
            let set: Ranges = entries.iter().copied().collect();
            assert_eq!(Ranges::parse(&set.to_string()), Some(set.clone()));
            assert_eq!(set.count(), entries.len() as u64);
            let inside: BTreeSet<u64> = (0..60).filter(|entry| set.contains(*entry)).collect();
            assert_eq!(inside, entries);
            assert_eq!(set.contains(probe), entries.contains(&probe));
        }
    }
}
