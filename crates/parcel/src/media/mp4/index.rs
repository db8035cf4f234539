//! The index of a film (`moov`): its tracks, and whether every piece that they point to lies in the file.

use super::super::{Bytes, Findings, Standing, shown};
use super::Track;

/// Boxes within boxes.
const DEPTH_MAX: usize = 12;
/// Boxes of one index.
const BOXES_MAX: usize = 100_000;
/// Tracks of one film.
const TRACKS_MAX: usize = 256;

/// Tracks, as the index has them. What they point to must lie below `length`, unless the film is in fragments.
pub(super) fn read(
    index: &[u8],
    length: u64,
    fragments: bool,
    findings: &mut Findings,
) -> Vec<Track> {
    let mut budget = BOXES_MAX;
    let mut tracks = Vec::new();
    let inside = children(index, &mut budget, findings);
    if !inside.iter().any(|(kind, _)| kind == b"mvhd") {
        findings
            .add(Standing::Broken, "Its index does not say how fast it runs (`mvhd` is missing).");
    }
    for (kind, content) in inside {
        if &kind == b"trak" {
            if tracks.len() >= TRACKS_MAX {
                findings.add(Standing::Odd, format!("It has more than {TRACKS_MAX} tracks."));
                break;
            }
            let number = tracks.len() + 1;
            tracks.push(track(content, number, (length, fragments), &mut budget, findings));
        }
    }
    tracks
}

/// The boxes in a box. What does not fit is said, and ends it.
fn children<'a>(
    content: &'a [u8],
    budget: &mut usize,
    findings: &mut Findings,
) -> Vec<([u8; 4], &'a [u8])> {
    let (mut rest, mut out) = (Bytes(content), Vec::new());
    // Some writers end a list of boxes with four zeros.
    while rest.0.len() >= 8 {
        let size = rest.u32().unwrap_or(0);
        let kind = rest.array::<4>().unwrap_or_default();
        let inside = match size {
            0 => Some(rest.0.len()),
            1 => rest.u64().and_then(|size| usize::try_from(size.checked_sub(16)?).ok()),
            small => usize::try_from(small).ok().and_then(|size| size.checked_sub(8)),
        };
        let Some(taken) = inside.and_then(|inside| rest.take(inside)) else {
            findings.add(
                Standing::Broken,
                format!("In its index, box `{}` is longer than what it lies in.", shown(kind)),
            );
            return out;
        };
        *budget = budget.saturating_sub(1);
        if *budget == 0 {
            findings.add(Standing::Odd, format!("Its index has more than {BOXES_MAX} boxes, and was not looked through to its end."));
            return out;
        }
        out.push((kind, taken));
    }
    out
}

/// The first box below, by the names on the way.
fn find<'a>(
    content: &'a [u8],
    path: &[&[u8; 4]],
    budget: &mut usize,
    findings: &mut Findings,
) -> Option<&'a [u8]> {
    let mut here = content;
    for name in path.iter().take(DEPTH_MAX) {
        let inside = children(here, budget, findings);
        here = inside.into_iter().find(|(kind, _)| kind == *name)?.1;
    }
    Some(here)
}

fn track(
    content: &[u8],
    number: usize,
    (length, fragments): (u64, bool),
    budget: &mut usize,
    findings: &mut Findings,
) -> Track {
    let mut at = |path: &[&[u8; 4]]| find(content, path, budget, findings);
    let header = at(&[b"tkhd"]).and_then(dimensions);
    let media = at(&[b"mdia", b"mdhd"]).and_then(duration);
    let handler: Option<[u8; 4]> =
        at(&[b"mdia", b"hdlr"]).and_then(|bytes| bytes.get(8..12)?.try_into().ok());
    let table = at(&[b"mdia", b"minf", b"stbl"]);
    let coding = at(&[b"mdia", b"minf", b"stbl", b"stsd"]).and_then(coding);
    let kind = match handler.as_ref() {
        Some(b"vide") => "video".to_owned(),
        Some(b"soun") => "audio".to_owned(),
        Some(other) => shown(*other),
        None => "unknown".to_owned(),
    };
    let codec = coding.map_or_else(|| "none".to_owned(), shown);
    match media {
        None | Some((0, _)) => {
            findings.add(
                Standing::Broken,
                format!("Track {number} ({kind}) does not say how fast it runs."),
            );
        }
        Some(_) => {}
    }
    match table {
        Some(table) => samples(table, number, (length, fragments), budget, findings),
        None => findings
            .add(Standing::Broken, format!("Track {number} ({kind}) has no list of its pieces.")),
    }
    let duration_ms =
        media.and_then(|(scale, units)| units.checked_mul(1_000)?.checked_div(u64::from(scale)));
    Track { size: header.filter(|_| kind == "video"), kind, codec, duration_ms }
}

/// Width and height, which end the track's header, in 16.16.
fn dimensions(header: &[u8]) -> Option<(u32, u32)> {
    let mut last = Bytes(header.get(header.len().checked_sub(8)?..)?);
    Some((last.u32()? >> 16, last.u32()? >> 16))
}

/// Units a second, and how many.
fn duration(header: &[u8]) -> Option<(u32, u64)> {
    let mut bytes = Bytes(header);
    if bytes.u32()? >> 24 == 1 {
        bytes.take(16)?;
        Some((bytes.u32()?, bytes.u64()?))
    } else {
        bytes.take(8)?;
        Some((bytes.u32()?, u64::from(bytes.u32()?)))
    }
}

/// The four characters of the first description.
fn coding(descriptions: &[u8]) -> Option<[u8; 4]> {
    let mut bytes = Bytes(descriptions);
    bytes.take(4)?;
    if bytes.u32()? == 0 {
        return None;
    }
    bytes.take(4)?;
    bytes.array()
}

/// Holds every chunk that the table points to against the length of the file.
fn samples(
    table: &[u8],
    number: usize,
    (length, fragments): (u64, bool),
    budget: &mut usize,
    findings: &mut Findings,
) {
    let mut at = |name: &[u8; 4]| find(table, &[name], budget, findings).map(Bytes);
    let (near, far) = (at(b"stco"), at(b"co64"));
    let (sizes, runs) = (at(b"stsz").and_then(Sizes::read), at(b"stsc").and_then(Runs::read));
    let wide = far.is_some();
    let Some((count, offsets)) = far.or(near).and_then(|mut bytes| {
        bytes.u32()?;
        Some((bytes.u32()?, bytes))
    }) else {
        findings
            .add(Standing::Broken, format!("Track {number} does not say where its pieces lie."));
        return;
    };
    if count == 0 {
        if !fragments {
            findings.add(Standing::Odd, format!("Track {number} is empty."));
        }
        return;
    }
    let (Some(mut sizes), Some(mut runs)) = (sizes, runs) else {
        findings
            .add(Standing::Broken, format!("Track {number} does not say how long its pieces are."));
        return;
    };
    if runs.next.is_none_or(|(first, _)| first != 1) {
        findings.add(
            Standing::Broken,
            format!("The pieces of track {number} and their lengths do not agree."),
        );
        return;
    }
    let mut offsets = offsets;
    let (mut beyond, mut known) = (0_u32, 0_u32);
    for chunk in 1..=count {
        let offset = if wide { offsets.u64() } else { offsets.u32().map(u64::from) };
        let Some(offset) = offset else { break };
        known += 1;
        let bytes = sizes.next(runs.of(chunk));
        if bytes.and_then(|bytes| offset.checked_add(bytes)).is_none_or(|end| end > length) {
            beyond += 1;
        }
    }
    if beyond == 0 && sizes.left > 0 {
        findings.add(
            Standing::Odd,
            format!("Track {number} lists {} lengths more than it has pieces.", sizes.left),
        );
    }
    if known < count {
        findings.add(
            Standing::Broken,
            format!("Track {number} announces {count} pieces and lists {known}."),
        );
    }
    if beyond > 0 {
        let words = format!(
            "Of the {count} pieces of track {number}, {beyond} lie beyond the end of the file: that much of the recording is missing."
        );
        findings.add(Standing::CutShort, words);
    }
}

/// Bytes of each sample, one after another (`stsz`).
struct Sizes<'a> {
    same: u32,
    left: u32,
    each: Bytes<'a>,
}

impl<'a> Sizes<'a> {
    fn read(mut bytes: Bytes<'a>) -> Option<Self> {
        bytes.u32()?;
        Some(Self { same: bytes.u32()?, left: bytes.u32()?, each: bytes })
    }

    /// Bytes of the next `count` samples; `None` where there are not so many.
    fn next(&mut self, count: u32) -> Option<u64> {
        self.left = self.left.checked_sub(count)?;
        if self.same != 0 {
            return Some(u64::from(self.same) * u64::from(count));
        }
        let each = self.each.take(usize::try_from(count).ok()?.checked_mul(4)?)?;
        let mut each = Bytes(each);
        let mut sum = 0;
        while let Some(size) = each.u32() {
            sum += u64::from(size);
        }
        Some(sum)
    }
}

/// How many samples a chunk has (`stsc`): from a chunk on, so many.
struct Runs<'a> {
    rest: Bytes<'a>,
    here: u32,
    next: Option<(u32, u32)>,
}

impl<'a> Runs<'a> {
    fn read(mut bytes: Bytes<'a>) -> Option<Self> {
        bytes.u32()?;
        bytes.u32()?;
        let mut runs = Self { rest: bytes, here: 0, next: None };
        runs.next = runs.entry();
        Some(runs)
    }

    fn entry(&mut self) -> Option<(u32, u32)> {
        let entry = (self.rest.u32()?, self.rest.u32()?);
        self.rest.u32()?;
        Some(entry)
    }

    /// Of chunks in ascending order.
    fn of(&mut self, chunk: u32) -> u32 {
        while let Some((_, samples)) = self.next.filter(|(first, _)| *first <= chunk) {
            self.here = samples;
            self.next = self.entry();
        }
        self.here
    }
}
