//! ZIP files as a test wants them, the impossible ones too: no library writes a name that climbs out.
#![expect(clippy::cast_possible_truncation, reason = "the ZIP files of tests are small")]

/// A ZIP file of files that are stored as they are, under exactly these names.
pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        // Version 2.0, names in UTF-8, stored, 1 January 2024.
        let mut facts = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0x58];
        facts.extend(crc(bytes).to_le_bytes());
        facts.extend([(bytes.len() as u32).to_le_bytes(); 2].concat());
        facts.extend((name.len() as u16).to_le_bytes());
        facts.extend([0, 0]);
        let at = out.len() as u32;
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&facts);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&facts);
        out.extend(name.as_bytes());
        out.extend(*bytes);
    }
    let (at, count) = (out.len() as u32, files.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count.to_le_bytes(); 2].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A CRC-32 as ZIP files have it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
