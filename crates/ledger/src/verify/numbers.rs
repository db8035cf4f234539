//! A set of entry numbers, a bit each: whole ledgers are verified with it.

use std::collections::BTreeMap;

const WORDS: usize = 16;
const CHUNK: u64 = WORDS as u64 * 64;

/// Entry numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    chunks: BTreeMap<u64, [u64; WORDS]>,
    count: u64,
}

fn place(number: u64) -> (u64, usize, u64) {
    let within = number % CHUNK;
    (number / CHUNK, usize::try_from(within / 64).unwrap_or(0), 1 << (within % 64))
}

impl Numbers {
    pub(crate) fn insert(&mut self, number: u64) {
        let (chunk, word, bit) = place(number);
        if let Some(word) = self.chunks.entry(chunk).or_default().get_mut(word) {
            self.count += u64::from(*word & bit == 0);
            *word |= bit;
        }
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let (chunk, word, bit) = place(number);
        self.chunks.get(&chunk).and_then(|words| words.get(word)).is_some_and(|it| it & bit != 0)
    }

    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Takes in all of another set.
    pub(crate) fn merge(&mut self, other: Self) {
        for (chunk, words) in other.chunks {
            let ours = self.chunks.entry(chunk).or_default();
            for (ours, theirs) in ours.iter_mut().zip(words) {
                self.count += u64::from((theirs & !*ours).count_ones());
                *ours |= theirs;
            }
        }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.in_chunks(0, u64::MAX)
    }

    /// Those from `first` on and before `end`, in order.
    pub(crate) fn between(&self, first: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        let last = (end.max(1) - 1).max(first);
        let all = self.in_chunks(first / CHUNK, last / CHUNK);
        all.filter(move |number| (first..end).contains(number))
    }

    fn in_chunks(&self, first: u64, last: u64) -> impl Iterator<Item = u64> + '_ {
        self.chunks.range(first..=last).flat_map(|(chunk, words)| {
            (0_u64..).zip(words).flat_map(move |(at, word)| {
                let first = chunk * CHUNK + at * 64;
                (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::proptest;

    use super::Numbers;

    proptest! {
        #[test]
        fn it_is_the_set_that_it_stands_for(
            some: BTreeSet<u16>, more: BTreeSet<u16>, asked: u16, far: u64,
        ) {
            let set = |numbers: &BTreeSet<u16>| {
                let mut set = Numbers::default();
                numbers.iter().for_each(|number| set.insert(u64::from(*number)));
                set
            };
            let (mut merged, all) = (set(&some), &some | &more);
            merged.merge(set(&more));
            let expected: Vec<u64> = all.iter().map(|number| u64::from(*number)).collect();
            assert_eq!(merged.iter().collect::<Vec<_>>(), expected);
            assert_eq!(merged.len(), expected.len() as u64);
            assert_eq!(merged.contains(u64::from(asked)), all.contains(&asked));
            assert_eq!(merged, set(&all));
            let (one, other) = (u64::from(asked), far % 70_000);
            let (first, end) = (one.min(other), one.max(other));
            let between: Vec<u64> = merged.between(first, end).collect();
            let expected = expected.iter().copied().filter(|it| (first..end).contains(it));
            assert_eq!(between, expected.collect::<Vec<_>>());
            merged.insert(far);
            assert!(merged.contains(far));
            assert!(merged.between(far, far).next().is_none());
        }
    }
}
