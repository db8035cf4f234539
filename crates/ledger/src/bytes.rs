//! Reading fixed binary layouts without indexing. All integers are big-endian.

/// What is left to read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A length of 32 bits that fits this machine.
    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compared in pieces with a piece of zeros: segments hold megabytes of them.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| ZEROS.get(..piece.len()) == Some(piece))
}

/// What is said of a file or a part of it whose format has a number that there is not.
pub(crate) const OTHER_FORMAT: &str = "this is of a format that this version does not know";

/// Whether `bytes` begin like `magic`, but for the digit at its end: the same thing in another format.
pub(crate) fn is_other_format(bytes: &[u8], magic: &[u8]) -> bool {
    let Some((digit, name)) = magic.split_last() else { return false };
    let found = bytes.strip_prefix(name).and_then(<[u8]>::first);
    found.is_some_and(|found| found != digit && found.is_ascii_alphanumeric())
}

/// `length` rounded up to a multiple of `unit`.
pub(crate) fn padded(length: usize, unit: usize) -> usize {
    length.div_ceil(unit) * unit
}
