//! PNG (ISO 15948): whether its chunks are whole, and what its `caBX` chunk carries.

use std::io::{self, Read, Seek};

use super::{Bytes, Findings, Standing, read_at};

const CHUNKS_MAX: usize = 1_000_000;

/// Gives the JUMBF boxes of its Content Credentials, if there are any.
pub(super) fn walk(
    file: &mut (impl Read + Seek),
    length: u64,
    findings: &mut Findings,
) -> io::Result<Option<Vec<u8>>> {
    let (mut at, mut manifest) = (8, None);
    for _ in 0..CHUNKS_MAX {
        let head = read_at(file, at, 8)?;
        let mut bytes = Bytes(&head);
        let (Some(size), Some(kind)) = (bytes.u32(), bytes.array::<4>()) else { break };
        let end = at + 12 + u64::from(size);
        if end > length {
            break;
        }
        if &kind == b"caBX" && size as usize <= super::c2pa::STORE_BYTES_MAX {
            manifest = Some(read_at(file, at + 8, size as usize)?);
        }
        if &kind == b"IEND" {
            findings.add(Standing::Sound, "The picture has its end.");
            return Ok(manifest);
        }
        at = end;
    }
    findings.add(
        Standing::CutShort,
        format!("The picture is cut short: after {length} bytes its end is not there."),
    );
    Ok(manifest)
}
