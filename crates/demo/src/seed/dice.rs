//! Numbers that look random and are the same on every machine, and moments built from them.
//!
//! Nothing here is secret: the made-up records must be equal everywhere, so neither the system's
//! random source nor its clock may be used. SplitMix64: Steele, Lea, Flood, OOPSLA 2014.

/// A stream of numbers that depends on its seed alone.
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream for row `index` of the stream `lane` in a world with this `salt`. Rows can so be
    /// made in any order and refer to each other without being kept.
    pub(crate) fn of(salt: u64, lane: u64, index: u32) -> Self {
        let seed = salt ^ lane.wrapping_mul(0xD134_2543_DE82_EF95);
        let mut dice = Self(seed ^ u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        dice.next();
        dice
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..limit`; 0 when the limit is 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        (((self.next() >> 32) * u64::from(limit)) >> 32) as u32
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in `per_mille` of 1,000 throws.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// A minute in one of `years` years from `first`.
    pub(crate) fn moment(&mut self, first: u32, years: u32) -> Moment {
        let year = first + self.below(years);
        Moment::of_year(year, self.below(MINUTES_OF_YEAR_MAX))
    }

    /// One of a list.
    pub(crate) fn pick<T: Copy + Default>(&mut self, list: &[T]) -> T {
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        at(list, self.below(length))
    }
}

/// The item at a place in a list, or the empty one behind its end.
pub(crate) fn at<T: Copy + Default>(list: &[T], index: u32) -> T {
    usize::try_from(index).ok().and_then(|index| list.get(index)).copied().unwrap_or_default()
}

/// A minute of local time, as a records clerk writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) year: u32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
}

/// Minutes in the shortest year, so that every minute below it exists in every year.
pub(crate) const MINUTES_OF_YEAR_MAX: u32 = 365 * 24 * 60;

impl Moment {
    /// A minute of a year counted from its first; the last one when it is over.
    pub(crate) fn of_year(year: u32, minute_of_year: u32) -> Self {
        let minute_of_year = minute_of_year.min(MINUTES_OF_YEAR_MAX - 1);
        let leap = u32::from(year.is_multiple_of(4));
        let mut day = minute_of_year / (24 * 60);
        let mut month = 0;
        for length in [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            if day < length {
                break;
            }
            day -= length;
            month += 1;
        }
        let (hour, minute) = (minute_of_year / 60 % 24, minute_of_year % 60);
        Self { year, month: month + 1, day: day + 1, hour, minute }
    }

    /// `2024-01-10 23:41`
    pub(crate) fn write(&self, out: &mut String) {
        self.write_date(out);
        out.push(' ');
        self.write_clock(out);
    }

    /// `2024-01-10`
    pub(crate) fn write_date(&self, out: &mut String) {
        digits(out, self.year, 4);
        out.push('-');
        digits(out, self.month, 2);
        out.push('-');
        digits(out, self.day, 2);
    }

    /// `23:41`
    pub(crate) fn write_clock(&self, out: &mut String) {
        digits(out, self.hour, 2);
        out.push(':');
        digits(out, self.minute, 2);
    }

    /// `January 10, 2024`
    pub(crate) fn write_words(&self, out: &mut String) {
        const MONTHS: [&str; 12] = [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ];
        out.push_str(at(&MONTHS, self.month.saturating_sub(1)));
        out.push(' ');
        digits(out, self.day, 1);
        out.push_str(", ");
        digits(out, self.year, 4);
    }
}

/// Writes a number with at least `width` digits. By hand, for `format!` is the slowest part of
/// writing 200,000 rows.
pub(crate) fn digits(out: &mut String, number: u32, width: u32) {
    let mut unit = 10_u32.pow(width.saturating_sub(1).min(9));
    while number / unit >= 10 {
        unit *= 10;
    }
    while unit > 0 {
        let digit = number / unit % 10;
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, MINUTES_OF_YEAR_MAX, Moment, digits};

    #[test]
    fn numbers_are_written_in_full_and_padded() {
        let written = |number, width| {
            let mut out = String::new();
            digits(&mut out, number, width);
            out
        };
        assert_eq!(written(0, 1), "0");
        assert_eq!(written(7, 3), "007");
        assert_eq!(written(1234, 2), "1234");
        assert_eq!(written(u32::MAX, 1), "4294967295");
    }

    #[test]
    fn minutes_of_a_year_are_calendar_moments_in_order() {
        let written = |year, minute| {
            let mut out = String::new();
            Moment::of_year(year, minute).write(&mut out);
            out
        };
        assert_eq!(written(2024, 0), "2024-01-01 00:00");
        assert_eq!(written(2024, 59 * 1440), "2024-02-29 00:00");
        assert_eq!(written(2025, 59 * 1440 + 61), "2025-03-01 01:01");
        assert_eq!(written(2025, u32::MAX), "2025-12-31 23:59");
        let mut before = Moment::of_year(2021, 0);
        for minute in (1..MINUTES_OF_YEAR_MAX).step_by(977) {
            let now = Moment::of_year(2021, minute);
            assert!(before < now, "{before:?} {now:?}");
            before = now;
        }
    }

    #[test]
    fn the_stream_is_fixed_and_stays_within_its_limits() {
        let mut dice = Dice::of(1, 2, 3);
        let first: Vec<u64> = (0..3).map(|_| dice.next()).collect();
        let mut again = Dice::of(1, 2, 3);
        assert_eq!(first, (0..3).map(|_| again.next()).collect::<Vec<_>>());
        assert_ne!(first[0], Dice::of(1, 2, 4).next());
        let mut seen = [false; 6];
        for _ in 0..1000 {
            let number = dice.between(5, 10);
            assert!((5..=10).contains(&number));
            seen[usize::try_from(number - 5).unwrap()] = true;
        }
        assert_eq!(seen, [true; 6]);
        assert_eq!(dice.below(0), 0);
    }
}
