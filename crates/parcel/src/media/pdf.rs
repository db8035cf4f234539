//! PDF: whether it ends, whether it is encrypted, and the level of PDF/A that its metadata (XMP) claims.
//!
//! A claim is what the file says of itself. Whether it is true takes a validator.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use super::{Findings, Standing, read_at};

/// The namespace of the claim (ISO 19005).
const NAMESPACE: &str = "http://www.aiim.org/pdfa/ns/id/";
/// Bytes of one packet of metadata that are looked at.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// How many packets are looked at: an honest document has one for itself and one for each thing in it.
const PACKETS_MAX: u32 = 64;
/// How far from its name a value is looked for.
const VALUE_BYTES_MAX: usize = 64;
/// Bytes of a file in which packets are looked for.
const SEARCHED_BYTES_MAX: u64 = 1 << 30;
const PIECE_BYTES: usize = 1 << 20;
const BEGIN: &[u8] = b"<?xpacket begin";
const END: &[u8] = b"<?xpacket end";

/// A level of PDF/A, such as 3B.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PdfA {
    pub part: u8,
    /// `A`, `B`, `U`, `E`, `F`; PDF/A-4 has none.
    pub conformance: Option<char>,
}

impl fmt::Display for PdfA {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.conformance.map(|level| level.to_ascii_lowercase().to_string());
        write!(f, "PDF/A-{}{}", self.part, level.unwrap_or_default())
    }
}

pub(super) fn walk(
    file: &mut (impl Read + Seek),
    length: u64,
    findings: &mut Findings,
) -> io::Result<Option<PdfA>> {
    let tail = read_at(file, length.saturating_sub(2_048), 2_048)?;
    if !contains(&tail, b"%%EOF") {
        findings.add(Standing::CutShort, "The document is cut short: its end is not there.");
    } else if contains(&tail, b"/Encrypt") {
        findings.add(Standing::Odd, "It is encrypted: it needs a password or a key.");
    } else {
        findings
            .add(Standing::Sound, "The document has its end. Its inside was not looked through.");
    }
    let mut claim = None;
    for_each_packet(file, length, &mut |packet| {
        claim = claim_of(&String::from_utf8_lossy(packet)).or(claim.take())
    })?;
    if let Some(claim) = &claim {
        findings.words.push(format!(
            "It claims to be {claim}. That is its own word; no validator has looked at it."
        ));
    }
    Ok(claim)
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Packets of metadata that stand in the file as they are.
fn for_each_packet(
    file: &mut (impl Read + Seek),
    length: u64,
    found: &mut dyn FnMut(&[u8]),
) -> io::Result<()> {
    let (mut at, mut packets) = (0, 0);
    while at < length.min(SEARCHED_BYTES_MAX) && packets < PACKETS_MAX {
        let piece = read_at(file, at, PIECE_BYTES + BEGIN.len())?;
        let Some(inside) = piece.windows(BEGIN.len()).position(|window| window == BEGIN) else {
            at += PIECE_BYTES as u64;
            continue;
        };
        let start = at + inside as u64;
        let packet = read_at(file, start, PACKET_BYTES_MAX)?;
        let end =
            packet.windows(END.len()).position(|window| window == END).unwrap_or(packet.len());
        found(packet.get(..end).unwrap_or_default());
        packets += 1;
        at = start + end.max(BEGIN.len()) as u64;
    }
    file.seek(SeekFrom::Start(0)).map(drop)
}

/// The claim in one packet, as elements or as attributes, whatever the prefix.
fn claim_of(packet: &str) -> Option<PdfA> {
    let (before, _) = packet.split_once(NAMESPACE)?;
    let before = before.strip_suffix(['"', '\''])?.trim_end().strip_suffix('=')?.trim_end();
    let prefix =
        before.rsplit(|letter: char| letter.is_whitespace()).next()?.strip_prefix("xmlns:")?;
    let value = |name: &str| {
        let name = format!("{prefix}:{name}");
        packet.match_indices(&name).find_map(|(at, _)| {
            let rest = packet.get(at + name.len()..)?;
            let rest = rest.get(..rest.floor_char_boundary(VALUE_BYTES_MAX))?;
            let rest = match rest.strip_prefix('>') {
                Some(rest) => rest,
                None => {
                    rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix(['"', '\''])?
                }
            };
            let end = rest.find(['<', '"', '\''])?;
            rest.get(..end).map(str::trim)
        })
    };
    let part = value("part")?.parse().ok().filter(|part| (1..=9).contains(part))?;
    let level = value("conformance").and_then(|text| text.chars().next());
    Some(PdfA {
        part,
        conformance: level
            .filter(char::is_ascii_alphabetic)
            .map(|level| level.to_ascii_uppercase()),
    })
}

/// Any bytes as a packet of metadata.
pub(crate) fn fuzz(data: &[u8]) {
    std::hint::black_box(claim_of(&String::from_utf8_lossy(data)));
}
