//! Fingerprints as words that two people read to one another over the telephone.
//!
//! The first 120 bits, five at a time: each is a letter or digit of Base32 (RFC 4648), and each letter is said as
//! in the spelling alphabet of ICAO (annex 10) and ITU. Twenty-four words in groups of four; finding another
//! certificate with the same ones takes 2^120 attempts.

/// Base32's letters and digits, in its order.
const WORDS: [&str; 32] = [
    "Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India", "Juliett",
    "Kilo", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango",
    "Uniform", "Victor", "Whiskey", "X-ray", "Yankee", "Zulu", "Two", "Three", "Four", "Five",
    "Six", "Seven",
];

/// Words of one fingerprint, and of one group.
const WORDS_SAID: usize = 24;
const GROUP: usize = 4;

/// A hash's words, in groups.
pub fn aloud(hash: &[u8; 32]) -> Vec<String> {
    let bits = hash.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let bits: Vec<u8> = bits.take(5 * WORDS_SAID).collect();
    let five = |five: &[u8]| five.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
    let words: Vec<&str> =
        bits.chunks(5).filter_map(|bits| WORDS.get(five(bits)).copied()).collect();
    words.chunks(GROUP).map(|group| group.join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_base32_in_its_order() {
        // RFC 4648: BASE32("foobar") = MZXW6YTBOI.
        let mut hash = [0; 32];
        hash[..6].copy_from_slice(b"foobar");
        let said = aloud(&hash);
        assert_eq!(said.len(), 6);
        assert_eq!(said[0], "Mike Zulu X-ray Whiskey");
        assert_eq!(said[1], "Six Yankee Tango Bravo");
        assert_eq!(said[2], "Oscar India Alfa Alfa");
        assert_eq!(aloud(&[0xff; 32])[5], "Seven Seven Seven Seven");
    }

    #[test]
    fn one_bit_among_the_first_hundred_and_twenty_changes_a_word() {
        let hash = [0x5a; 32];
        for bit in 0..120 {
            let mut other = hash;
            other[bit / 8] ^= 0x80 >> (bit % 8);
            assert_ne!(aloud(&hash), aloud(&other), "bit {bit}");
        }
    }
}
