//! Checksums that other people's manifests hold, MD5 and SHA-1 among them: they show damage, never who made a file.
//!
//! Absent on purpose from every signature, seal and record of ours. MD5 is written out here (RFC 1321), for the module has
//! none and nothing secure may rest on it; the others are the module's.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA224, SHA256, SHA384, SHA512};

/// An algorithm by which a manifest lists files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// As in the names of manifests: `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// A checksum of bytes that come in pieces.
pub struct Checksum(Inner);

enum Inner {
    Md5(Box<Md5>),
    Module(Context),
}

impl Checksum {
    pub fn new(kind: Kind) -> Self {
        Self(match kind {
            Kind::Md5 => Inner::Md5(Box::default()),
            Kind::Sha1 => Inner::Module(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Kind::Sha224 => Inner::Module(Context::new(&SHA224)),
            Kind::Sha256 => Inner::Module(Context::new(&SHA256)),
            Kind::Sha384 => Inner::Module(Context::new(&SHA384)),
            Kind::Sha512 => Inner::Module(Context::new(&SHA512)),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Md5(md5) => md5.update(bytes),
            Inner::Module(context) => context.update(bytes),
        }
    }

    /// The checksum in lower-case hex.
    pub fn finish(self) -> String {
        match self.0 {
            Inner::Md5(md5) => hex::encode(md5.finish()),
            Inner::Module(context) => hex::encode(context.finish()),
        }
    }
}

/// SHA-1 of `bytes`, where a protocol names things by it (RFC 5019) and a signature says the rest.
pub(crate) fn sha1(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checksum")
    }
}

/// How far each step turns, four to a round.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

struct Md5 {
    state: [u32; 4],
    waiting: Vec<u8>,
    length: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        let state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
        Self { state, waiting: Vec::with_capacity(64), length: 0 }
    }
}

impl Md5 {
    fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let room = (64 - self.waiting.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == 64 {
                self.compress();
                self.waiting.clear();
            }
        }
    }

    fn compress(&mut self) {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0_u32, |sum, b| sum << 8 | u32::from(*b));
        let words: Vec<u32> = self.waiting.chunks_exact(4).map(word).collect();
        let [mut a, mut b, mut c, mut d] = self.state;
        for (round, turns) in TURNS.iter().enumerate() {
            for step in 0..16_usize {
                let (mixed, place) = match round {
                    0 => (b & c | !b & d, step),
                    1 => (d & b | !d & c, 5 * step + 1),
                    2 => (b ^ c ^ d, 3 * step + 5),
                    _ => (c ^ (b | !d), 7 * step),
                };
                let word = words.get(place % 16).copied().unwrap_or(0);
                let turn = turns.get(step % 4).copied().unwrap_or(0);
                let sum = a.wrapping_add(mixed).wrapping_add(sine(round * 16 + step));
                let turned = sum.wrapping_add(word).rotate_left(turn);
                (a, d, c, b) = (d, c, b, b.wrapping_add(turned));
            }
        }
        for (to, from) in self.state.iter_mut().zip([a, b, c, d]) {
            *to = to.wrapping_add(from);
        }
    }

    fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        let fill = if self.waiting.len() < 56 { 56 } else { 120 } - self.waiting.len();
        let mut tail = vec![0; fill];
        if let Some(first) = tail.first_mut() {
            *first = 0x80;
        }
        tail.extend_from_slice(&bits.to_le_bytes());
        self.update(&tail);
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().zip(self.state.iter().flat_map(|word| word.to_le_bytes()))
        {
            *to = from;
        }
        out
    }
}

/// RFC 1321's table: the whole part of 2^32 times the sine of one to sixty-four.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 2^32, and positive"
)]
#[expect(clippy::cast_precision_loss, reason = "at most 64")]
fn sine(step: usize) -> u32 {
    (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::{Checksum, Kind};

    fn of(kind: Kind, bytes: &[u8]) -> String {
        let mut checksum = Checksum::new(kind);
        bytes.chunks(7).for_each(|piece| checksum.update(piece));
        checksum.finish()
    }

    #[test]
    fn md5_gives_what_its_rfc_says() {
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
        ] {
            assert_eq!(of(Kind::Md5, text.as_bytes()), expected, "{text}");
        }
        // Around the ends of blocks, against another's.
        assert_eq!(of(Kind::Md5, &[b'x'; 55]), "04364420e25c512fd958a70738aa8f72");
        assert_eq!(of(Kind::Md5, &[b'x'; 64]), "c1bb4f81d892b2d57947682aeb252456");
    }

    #[test]
    fn the_others_are_the_modules() {
        assert_eq!(of(Kind::Sha1, b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            of(Kind::Sha224, b"abc"),
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"
        );
        for (kind, digits) in [(Kind::Sha256, 64), (Kind::Sha384, 96), (Kind::Sha512, 128)] {
            assert_eq!(of(kind, b"abc").len(), digits);
        }
        assert_eq!(Kind::ALL.map(Kind::name).join(" "), "md5 sha1 sha224 sha256 sha384 sha512");
    }
}
