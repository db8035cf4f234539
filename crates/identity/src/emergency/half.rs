//! The two halves of an emergency account's secret, as they are written on paper and typed.
//!
//! A half is 160 random bits and a checksum of 20 bits, in Crockford's base32: no letter can be taken for a
//! digit, and a slip of the finger is told from a wrong secret, so that it does not count as a try. The checksum
//! covers which half it is; the secret needs one of each.

use keys::digest::sha256_parts;
use keys::{KeysError, Random, random_bytes};
use zeroize::Zeroizing;

/// Random bytes of one half.
const HALF_BYTES: usize = 20;

/// Characters of a half, of which the last four are its checksum.
const CHARACTERS: usize = 36;
const GROUP: usize = 4;

/// Longest text that is looked at: the characters with a space round each.
const TEXT_BYTES_MAX: usize = 256;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Which half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Second,
}

/// One half. Wiped when dropped, and printed as nothing.
pub struct Half {
    which: Which,
    bytes: Zeroizing<[u8; HALF_BYTES]>,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Half(..)")
    }
}

/// Both halves.
#[derive(Debug)]
pub struct Halves([Half; 2]);

impl Halves {
    /// Two new halves.
    ///
    /// # Errors
    /// [`KeysError::Random`].
    pub fn new(random: &dyn Random) -> Result<Self, KeysError> {
        let half = |which| {
            let bytes = Zeroizing::new(random_bytes(random)?);
            Ok(Half { which, bytes })
        };
        Ok(Self([half(Which::First)?, half(Which::Second)?]))
    }

    /// From what two people typed, in either order. `None`: it is twice the same half.
    #[must_use]
    pub fn join(one: Half, other: Half) -> Option<Self> {
        match (one.which, other.which) {
            (Which::First, Which::Second) => Some(Self([one, other])),
            (Which::Second, Which::First) => Some(Self([other, one])),
            (Which::First, Which::First) | (Which::Second, Which::Second) => None,
        }
    }

    /// The first and the second, as they are written down.
    #[must_use]
    pub fn texts(&self) -> [Zeroizing<String>; 2] {
        let Self([first, second]) = self;
        [first.text(), second.text()]
    }

    /// The secret that they make together.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<Vec<u8>> {
        let Self([first, second]) = self;
        Zeroizing::new([first.bytes.as_slice(), second.bytes.as_slice()].concat())
    }
}

impl Half {
    /// Reads what a person typed: in any case, with spaces and dashes anywhere, `O` for `0`, `I` and `L` for
    /// `1`. `None`: it is no half, which a slip of the finger makes likely.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let mut values = Zeroizing::new(Vec::with_capacity(CHARACTERS));
        for letter in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'-') {
            let letter = match letter.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let value = ALPHABET.iter().position(|known| *known == letter)?;
            values.push(u8::try_from(value).ok()?);
        }
        if values.len() != CHARACTERS {
            return None;
        }
        let (body, sum) = values.split_at(CHARACTERS - GROUP);
        let mut bytes = Zeroizing::new([0; HALF_BYTES]);
        // Eight values of five bits are five bytes.
        for (eight, five) in body.chunks(8).zip(bytes.chunks_mut(5)) {
            let bits = eight.iter().fold(0_u64, |bits, value| bits << 5 | u64::from(*value));
            for (to, from) in five.iter_mut().zip(bits.to_be_bytes().into_iter().skip(3)) {
                *to = from;
            }
        }
        let which = [Which::First, Which::Second];
        let which = which.into_iter().find(|which| checksum(*which, &bytes) == sum)?;
        Some(Self { which, bytes })
    }

    /// In nine groups of four.
    fn text(&self) -> Zeroizing<String> {
        let mut values = Zeroizing::new(Vec::with_capacity(CHARACTERS));
        for five in self.bytes.chunks(5) {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            values.extend((0..8).rev().map(|at| low_five(bits >> (5 * at))));
        }
        values.extend(checksum(self.which, &self.bytes));
        let mut text = Zeroizing::new(String::with_capacity(CHARACTERS + CHARACTERS / GROUP));
        for (at, value) in values.iter().enumerate() {
            if at > 0 && at % GROUP == 0 {
                text.push('-');
            }
            let letter = ALPHABET.get(usize::from(*value)).copied().unwrap_or(b'0');
            text.push(char::from(letter));
        }
        text
    }
}

/// Four values of five bits: the beginning of a digest.
fn checksum(which: Which, bytes: &[u8; HALF_BYTES]) -> [u8; GROUP] {
    let label: &[u8] = match which {
        Which::First => b"bailiwick emergency half 1|",
        Which::Second => b"bailiwick emergency half 2|",
    };
    let digest = sha256_parts(&[label, bytes]);
    let bits = digest.iter().take(3).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    [19, 14, 9, 4].map(|at| low_five(bits >> at))
}

fn low_five(bits: u64) -> u8 {
    bits.to_be_bytes().last().copied().unwrap_or_default() & 31
}

#[cfg(test)]
mod tests {
    use keys::SystemRandom;

    use super::*;

    #[test]
    fn halves_are_read_as_people_type_them_and_in_either_order() {
        let halves = Halves::new(&SystemRandom).unwrap();
        let [first, second] = halves.texts();
        assert_eq!(first.len(), 44);
        assert!(first.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte)), "{}", *first);
        let typed = first.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        let read = |text: &str| Half::read(text).unwrap();
        let joined = Halves::join(read(&second), read(&typed)).unwrap();
        assert_eq!(joined.secret(), halves.secret());
        assert_eq!(halves.secret().len(), 40);
        assert!(Halves::join(read(&first), read(&typed)).is_none(), "twice the same half");
    }

    #[test]
    fn a_half_is_written_as_it_was_computed_elsewhere() {
        // By Python's hashlib, of the bytes 0 to 19.
        let text = "000G-40R4-0M30-E209-185G-R38E-1W81-24GK-KH63";
        let half = Half::read(text).unwrap();
        assert_eq!(half.bytes.to_vec(), (0..20).collect::<Vec<u8>>());
        assert_eq!((half.which, half.text().as_str()), (Which::First, text));
    }

    #[test]
    fn a_slip_of_the_finger_is_told_from_a_half() {
        let [text, _] = Halves::new(&SystemRandom).unwrap().texts();
        assert!(Half::read(&text).is_some());
        let letters: Vec<char> = text.chars().collect();
        let mut taken = 0;
        for at in (0..letters.len()).filter(|at| letters[*at] != '-') {
            let mut wrong = letters.clone();
            wrong[at] = if wrong[at] == 'Z' { 'Y' } else { 'Z' };
            taken += usize::from(Half::read(&wrong.iter().collect::<String>()).is_some());
            let mut fewer = letters.clone();
            fewer.remove(at);
            assert!(Half::read(&fewer.iter().collect::<String>()).is_none());
        }
        // One in half a million slips goes unnoticed.
        assert_eq!(taken, 0);
        for text in ["", "-", "U", "é", &"A".repeat(36), &"A".repeat(4_000)] {
            assert!(Half::read(text).is_none(), "{text}");
        }
    }
}
