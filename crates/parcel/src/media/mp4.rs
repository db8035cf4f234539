//! MP4 and QuickTime (ISO 14496-12), box by box: whether all that it announces is there, and who can play it.
//!
//! Boxes are walked on disk and only the index (`moov`) is read into memory, so that a film of many gigabytes costs no more than a short one.

mod index;

use std::io::{self, Read, Seek};

use super::{Bytes, Findings, Standing, read_at, shown};

/// Boxes at the top: a fragmented film has two for each second.
const TOP_BOXES_MAX: usize = 1_000_000;
/// Bytes of the index.
const INDEX_BYTES_MAX: u64 = 128 << 20;
/// Content Credentials stand in a `uuid` box with this name (C2PA 2.1, 11.3).
const C2PA: [u8; 16] = *b"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81";

/// One picture or sound in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// `video`, `audio`, or the four characters of another.
    pub kind: String,
    /// The four characters of its coding, such as `avc1`.
    pub codec: String,
    /// Milliseconds; none where the index does not tell.
    pub duration_ms: Option<u64>,
    /// Width and height of pictures.
    pub size: Option<(u32, u32)>,
}

pub(super) struct Video {
    pub(super) tracks: Vec<Track>,
    /// JUMBF boxes of its Content Credentials.
    pub(super) manifest: Option<Vec<u8>>,
}

/// A box at the top: what it is, where its content begins, where it says that it ends.
#[derive(Debug, Clone, Copy)]
struct Top {
    kind: [u8; 4],
    content: u64,
    end: u64,
}

/// Looks through a film.
pub(super) fn walk(
    file: &mut (impl Read + Seek),
    length: u64,
    findings: &mut Findings,
) -> io::Result<Video> {
    let mut video = Video { tracks: Vec::new(), manifest: None };
    let Some(boxes) = top(file, length, findings)? else { return Ok(video) };
    let all = |kind: &[u8; 4]| {
        boxes.iter().filter(|found| &found.kind == kind).copied().collect::<Vec<_>>()
    };
    let (index, data, fragments) = (all(b"moov"), all(b"mdat"), all(b"moof"));
    if !boxes.iter().any(|found| &found.kind == b"ftyp" || &found.kind == b"styp") {
        findings.add(Standing::Odd, "It does not say which kind of MP4 it is (`ftyp` is missing), as old QuickTime files do not.");
    }
    for credentials in all(b"uuid") {
        if video.manifest.is_none() {
            video.manifest = manifest(file, credentials, length)?;
        }
    }
    let Some(found) = index.first().copied() else {
        let words = "Its index (`moov`) is missing: it was cut short, or the camera stopped before it wrote it. Nothing plays it as it is.";
        findings.add(Standing::CutShort, words);
        return Ok(video);
    };
    if index.len() > 1 {
        findings.add(Standing::Odd, "It has more than one index (`moov`); players take the first.");
    }
    if data.is_empty() {
        findings
            .add(Standing::Broken, "It has an index and no pictures or sound (`mdat` is missing).");
    }
    if found.end > length {
        // `top` has said that it is cut short.
        return Ok(video);
    }
    if found.end - found.content > INDEX_BYTES_MAX {
        let words = format!(
            "Its index has {} bytes; more than {INDEX_BYTES_MAX} are not looked through.",
            found.end - found.content
        );
        findings.add(Standing::Odd, words);
        return Ok(video);
    }
    // Below the limit above.
    let size = usize::try_from(found.end - found.content).unwrap_or(0);
    let bytes = read_at(file, found.content, size)?;
    video.tracks = index::read(&bytes, length, !fragments.is_empty(), findings);
    judge(&video.tracks, findings);
    Ok(video)
}

/// The boxes at the top; `None` where they make no sense.
fn top(
    file: &mut (impl Read + Seek),
    length: u64,
    findings: &mut Findings,
) -> io::Result<Option<Vec<Top>>> {
    let (mut at, mut out) = (0, Vec::new());
    while at < length {
        let head = read_at(file, at, 16)?;
        let mut bytes = Bytes(&head);
        let (Some(size), Some(kind)) = (bytes.u32(), bytes.array::<4>()) else {
            findings.add(
                Standing::CutShort,
                format!("Its last {} bytes are not a whole box.", length - at),
            );
            break;
        };
        let (content, size) = match size {
            0 => (at + 8, Some(length - at)),
            1 => (at + 16, bytes.u64().filter(|size| *size >= 16)),
            small => (at + 8, Some(u64::from(small)).filter(|size| *size >= 8)),
        };
        let plain = kind.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == 0xa9);
        let end = size.and_then(|size| at.checked_add(size));
        let Some(end) = end.filter(|_| plain) else {
            let words =
                format!("At byte {at} there should be a box of MP4, and there is something else.");
            findings.add(if out.is_empty() { Standing::Broken } else { Standing::CutShort }, words);
            break;
        };
        out.push(Top { kind, content, end });
        if end > length {
            let (name, is, should) = (shown(kind), length - at, end - at);
            findings.add(Standing::CutShort, format!("It is cut short: its box `{name}` announces {should} bytes, and {is} are there."));
            break;
        }
        if out.len() > TOP_BOXES_MAX {
            findings.add(
                Standing::Odd,
                format!(
                    "It has more than {TOP_BOXES_MAX} boxes, and was not looked through to its end."
                ),
            );
            return Ok(None);
        }
        at = end;
    }
    Ok((!out.is_empty()).then_some(out))
}

/// The JUMBF boxes of a `uuid` box, if it is that of Content Credentials.
fn manifest(file: &mut (impl Read + Seek), found: Top, length: u64) -> io::Result<Option<Vec<u8>>> {
    let size = found.end.min(length).saturating_sub(found.content);
    let Ok(size) = usize::try_from(size) else { return Ok(None) };
    if size > super::c2pa::STORE_BYTES_MAX {
        return Ok(None);
    }
    let content = read_at(file, found.content, size)?;
    let mut bytes = Bytes(&content);
    // Name, version and flags, what for, and the place of a further box.
    if bytes.array() != Some(C2PA) || bytes.u32().is_none() {
        return Ok(None);
    }
    let Some(end) = bytes.0.iter().position(|byte| *byte == 0) else { return Ok(None) };
    let purpose = bytes.take(end);
    let manifest = purpose == Some(b"manifest") && bytes.take(9).is_some();
    Ok(manifest.then(|| bytes.0.to_vec()))
}

/// Codings that any player knows, and those that recent ones know.
const USUAL: [&str; 8] = ["avc1", "avc3", "mp4a", "mp4v", "tx3g", ".mp3", "ac-3", "tmcd"];
const RECENT: [&str; 9] = ["hvc1", "hev1", "av01", "vp09", "Opus", "fLaC", "ec-3", "alac", "vp08"];

/// Who can play it.
fn judge(tracks: &[Track], findings: &mut Findings) {
    let media = || tracks.iter().filter(|track| track.kind == "video" || track.kind == "audio");
    if media().count() == 0 {
        findings.add(Standing::Odd, "It has neither pictures nor sound.");
        return;
    }
    let known = |list: &[&str], track: &Track| list.contains(&track.codec.as_str());
    for track in media().filter(|track| !known(&USUAL, track)) {
        let (kind, codec) = (&track.kind, &track.codec);
        if codec == "encv" || codec == "enca" {
            findings.add(Standing::Odd, format!("Its {kind} is encrypted: it needs a key."));
        } else if known(&RECENT, track) {
            findings.add(Standing::Sound, format!("Its {kind} is coded as `{codec}`, which recent players know and old ones do not."));
        } else {
            findings.add(Standing::Odd, format!("Its {kind} is coded as `{codec}`, which needs its maker's player: a copy as MP4 should go along."));
        }
    }
    if findings.standing.is_none_or(|standing| standing == Standing::Sound) {
        findings.add(Standing::Sound, "All that its index points to is there: it plays.");
    }
}
