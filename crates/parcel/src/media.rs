//! What a file is by its content, whatever its name says, and whether it can be used: in words for people.
//!
//! Invariants: a file is read and never changed; every length in it is held against how much there is; what is not
//! looked at is not called sound.

pub mod c2pa;
mod jpeg;
mod kind;
pub mod mp4;
pub(crate) mod pdf;
mod png;

use std::io::{self, Read, Seek, SeekFrom};

pub use self::kind::{Kind, of_media_type, of_name};
pub use self::pdf::PdfA;

/// Bytes that tell what a file is.
const HEAD_BYTES: usize = 8 << 10;

/// Said of programs.
const RUNS: &str = "It can run on a computer: do not open it to see what it is.";

/// What was found out about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    pub kind: Kind,
    pub standing: Standing,
    /// What stands out, a sentence each.
    pub words: Vec<String>,
    /// The level of PDF/A that it claims.
    pub pdf_a: Option<PdfA>,
    /// What it says of its making, where it does. Read, and not verified.
    pub c2pa: Option<c2pa::Store>,
    /// Pictures and sounds in it, where it is a video.
    pub tracks: Vec<mp4::Track>,
}

/// Whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Looked through, and nothing speaks against it.
    Sound,
    /// It is whole, and needs a particular program.
    Odd,
    /// It ends before its end.
    CutShort,
    /// It is not what it begins as.
    Broken,
    /// Its kind is known or not; it was not looked through.
    NotExamined,
}

impl Standing {
    /// As a word for tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Odd => "odd",
            Self::CutShort => "cut-short",
            Self::Broken => "broken",
            Self::NotExamined => "not-examined",
        }
    }
}

/// Something that was found out by one of the readers.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) words: Vec<String>,
    pub(crate) standing: Option<Standing>,
}

impl Findings {
    /// The worse of two standings stays.
    pub(crate) fn add(&mut self, standing: Standing, words: impl Into<String>) {
        let rank = |standing| match standing {
            Standing::NotExamined => 0,
            Standing::Sound => 1,
            Standing::Odd => 2,
            Standing::CutShort => 3,
            Standing::Broken => 4,
        };
        if self.standing.is_none_or(|known| rank(standing) > rank(known)) {
            self.standing = Some(standing);
        }
        if self.words.len() < WORDS_MAX {
            self.words.push(words.into());
        }
    }
}

/// Sentences about one file.
const WORDS_MAX: usize = 50;

/// Looks through a file. `name` is its path: where it promises something else than what is there, that is said.
///
/// # Errors
/// Only where the file can't be read; whatever is in it is an answer.
pub fn examine(file: &mut (impl Read + Seek), name: &str) -> io::Result<Examined> {
    let length = file.seek(SeekFrom::End(0))?;
    let head = read_at(file, 0, HEAD_BYTES)?;
    let kind = Kind::of(&head);
    let mut findings = Findings::default();
    let mut out = Examined {
        kind,
        standing: Standing::NotExamined,
        words: Vec::new(),
        pdf_a: None,
        c2pa: None,
        tracks: Vec::new(),
    };
    let mut manifest = None;
    match kind {
        Kind::Mp4 | Kind::QuickTime => {
            let video = mp4::walk(file, length, &mut findings)?;
            out.tracks = video.tracks;
            manifest = video.manifest;
        }
        Kind::Pdf => out.pdf_a = pdf::walk(file, length, &mut findings)?,
        Kind::Jpeg => manifest = jpeg::walk(file, length, &mut findings)?,
        Kind::Png => manifest = png::walk(file, length, &mut findings)?,
        _ => {}
    }
    if let Some(bytes) = manifest {
        match c2pa::Store::read(&bytes) {
            Some(store) => {
                let words = store.words();
                out.c2pa = Some(store);
                findings.words.extend(words);
            }
            None => findings
                .add(Standing::Sound, "Content Credentials (C2PA) are in it and can't be read."),
        }
    }
    if let Some(promised) = of_name(name).filter(|_| differs(name, kind)) {
        findings
            .words
            .insert(0, format!("Its name says {}, and it is {}.", promised.what(), kind.what()));
    }
    if kind.runs() {
        findings.words.push(RUNS.to_owned());
    }
    findings.words.truncate(WORDS_MAX);
    out.standing = findings.standing.unwrap_or(Standing::NotExamined);
    out.words = findings.words;
    Ok(out)
}

/// What can be said by a file's first bytes alone, where the rest was not looked at.
pub fn by_head(head: &[u8]) -> Examined {
    let kind = Kind::of(head);
    let mut words = vec!["It was not looked through: that would take too long here.".to_owned()];
    if kind.runs() {
        words.push(RUNS.to_owned());
    }
    let standing = Standing::NotExamined;
    Examined { kind, standing, words, pdf_a: None, c2pa: None, tracks: Vec::new() }
}

/// Whether a name promises another kind than what is there.
pub fn differs(name: &str, found: Kind) -> bool {
    of_name(name).is_some_and(|promised| promised.differs_from(found))
}

/// Up to `count` bytes from a place; fewer where the file ends.
pub(crate) fn read_at(file: &mut (impl Read + Seek), at: u64, count: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut out = Vec::new();
    file.take(count as u64).read_to_end(&mut out)?;
    Ok(out)
}

/// Big-endian numbers and pieces, one after another.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
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
}

/// Four characters as they can be shown.
pub(crate) fn shown(kind: [u8; 4]) -> String {
    kind.iter()
        .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests;
