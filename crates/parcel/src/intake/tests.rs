//! ZIP files and folders of others: what is taken, and what is refused by name.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::Found;
use super::foreign::ForeignZip;
use crate::media::Kind;
use crate::{Fault, Refused, Watch};

/// One file of a ZIP that is being made, with what may be wrong about it.
struct Made {
    name: &'static str,
    bytes: Vec<u8>,
    deflate: bool,
    /// Another name in its local header.
    local: Option<&'static str>,
    /// What the directory announces as its length.
    announced: Option<u32>,
    attributes: u32,
    flags: u16,
    crc: u32,
}

fn made(name: &'static str, bytes: &[u8]) -> Made {
    let (bytes, crc) = (bytes.to_vec(), crc32fast::hash(bytes));
    Made {
        name,
        bytes,
        deflate: true,
        local: None,
        announced: None,
        attributes: 0o100_644 << 16,
        flags: 0x800,
        crc,
    }
}

fn zip(files: &[Made]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for file in files {
        let packed = if file.deflate {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&file.bytes).unwrap();
            encoder.finish().unwrap()
        } else {
            file.bytes.clone()
        };
        let offset = u32::try_from(out.len()).unwrap();
        let length = file.announced.unwrap_or(u32::try_from(file.bytes.len()).unwrap());
        let common = |name: &str| {
            let method: u16 = if file.deflate { 8 } else { 0 };
            // 22 November 2026, 21:30:04.
            let (time, date): (u16, u16) = ((21 << 11) | (30 << 5) | 2, (46 << 9) | (11 << 5) | 22);
            let mut head = Vec::new();
            for field in [20, file.flags, method, time, date] {
                head.extend_from_slice(&field.to_le_bytes());
            }
            for field in [file.crc, u32::try_from(packed.len()).unwrap(), length] {
                head.extend_from_slice(&field.to_le_bytes());
            }
            head.extend_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
            head
        };
        let local = file.local.unwrap_or(file.name);
        out.extend_from_slice(
            &[b"PK\x03\x04".as_slice(), &common(local), &[0, 0], local.as_bytes(), &packed]
                .concat(),
        );
        let rest =
            [&[0; 2][..], &[0; 2], &[0; 2], &file.attributes.to_le_bytes(), &offset.to_le_bytes()]
                .concat();
        let made_by = [20, 3];
        directory.extend_from_slice(
            &[
                b"PK\x01\x02".as_slice(),
                &made_by,
                &common(file.name),
                &[0, 0],
                &rest,
                file.name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let size = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let place = u32::try_from(out.len()).unwrap().to_le_bytes();
    out.extend_from_slice(&directory);
    out.extend_from_slice(
        &[b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &size, &place, &[0, 0]].concat(),
    );
    out
}

fn enter(bytes: Vec<u8>) -> Result<Found, Refused> {
    Found::of(Arc::new(ForeignZip::read(Box::new(bytes))?), None)
}

#[test]
fn zip_of_others_is_read_and_each_file_is_told() {
    let files = [
        made("folder/", b""),
        made("folder/statement.txt", &b"saw it\n".repeat(1_000)),
        Made { deflate: false, ..made("run.mp4", b"\x7fELF program") },
        made("Zeugen/M\u{fc}ller.txt", b"x"),
    ];
    let found = enter(zip(&files)).unwrap();
    let taken = found.read(Watch::none()).unwrap();
    let paths: Vec<_> = taken.files.iter().map(|file| (file.path.as_str(), file.length)).collect();
    assert_eq!(
        paths,
        [("Zeugen/M\u{fc}ller.txt", 1), ("folder/statement.txt", 7_000), ("run.mp4", 12)]
    );
    assert_eq!(taken.files[2].examined.kind, Kind::Elf);
    assert_eq!(taken.remarks().count(), 2, "{:?}", taken.remarks().collect::<Vec<_>>());
    assert!(taken.bag.is_none());
    let entries = found.entries(&taken);
    assert_eq!(entries[1].media_type, "text/plain");
    assert_eq!(entries[1].modified.to_string(), "2026-11-22T21:30:04Z");
}

#[test]
fn hostile_zips_are_refused_by_name() {
    let link = Made { attributes: 0o120_777 << 16, ..made("link", b"/etc/passwd") };
    let zeros = vec![0; 1 << 20];
    let cases: [(&str, Vec<Made>); 14] = [
        ("../up: a name that is not taken", vec![made("../up", b"x")]),
        ("/etc/passwd: a name that is not taken: it is absolute", vec![made("/etc/passwd", b"x")]),
        ("a\\b: a name", vec![made("a\\b", b"x")]),
        ("nul.txt: a name", vec![made("nul.txt", b"x")]),
        ("a\u{202e}gpj: a name", vec![made("a\u{202e}gpj", b"x")]),
        (
            "photo.jpg: a name that is not taken: it is there twice",
            vec![made("Photo.JPG", b"x"), made("photo.jpg", b"y")],
        ),
        ("a: a name that is not taken: it is there twice", vec![made("a", b"x"), made("a", b"y")]),
        (
            "a: a name that is not taken: it is a file and a folder",
            vec![made("a", b"x"), made("a/b", b"y")],
        ),
        ("the ZIP file: not listed", vec![link]),
        (
            "a: not in the form of this profile: a file whose two headers agree",
            vec![Made { local: Some("b"), ..made("a", b"x") }],
        ),
        (
            "the ZIP file: not in the form of this profile: a ZIP file that is not encrypted",
            vec![Made { flags: 0x801, ..made("a", b"x") }],
        ),
        (
            "the ZIP file: not in the form of this profile: names in UTF-8",
            vec![Made { flags: 0, ..made("\u{fc}", b"x") }],
        ),
        (
            "the ZIP file: larger than allowed",
            vec![Made { announced: Some(4_000_000_000), ..made("bomb", &zeros) }],
        ),
        (".: not in the form of this profile: at least one file", vec![made("folder/", b"")]),
    ];
    for (expected, files) in cases {
        let refused = enter(zip(&files)).err().unwrap_or_else(|| panic!("{expected}: was taken"));
        assert!(refused.to_string().starts_with(expected), "{refused} is not {expected}");
    }
}

#[test]
fn bytes_that_are_not_what_was_announced_are_found_when_they_are_read() {
    let text = b"text ".repeat(500);
    for file in [
        Made { crc: 7, ..made("a", &text) },
        Made { announced: Some(2_499), ..made("a", &text) },
        Made { announced: Some(2_501), ..made("a", &text) },
    ] {
        let found = enter(zip(&[made("0", b"x"), file])).unwrap();
        let refused = found.read(Watch::none()).unwrap_err();
        assert_eq!(refused.file, "a");
        assert!(matches!(*refused.fault, Fault::Damaged), "{refused}");
    }
}

#[test]
fn files_that_share_bytes_are_refused() {
    let mut bytes = zip(&[made("a", b"first"), made("b", b"other")]);
    // The second entry of the directory is led to the first one's place, and named like it there.
    let place = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    bytes[place + 42..place + 46].copy_from_slice(&0_u32.to_le_bytes());
    bytes[place + 46] = b'a';
    let refused = enter(bytes).err().unwrap();
    assert!(
        refused.to_string().contains("there twice") || refused.to_string().contains("its own"),
        "{refused}"
    );
}

#[test]
fn any_flipped_or_cut_byte_gets_an_answer() {
    let whole =
        zip(&[made("a", &b"text ".repeat(20)), Made { deflate: false, ..made("b", b"stored") }]);
    for at in 0..whole.len() {
        super::fuzz(&whole[..at]);
        for xor in [1, 0x80, 0xff] {
            let mut odd = whole.clone();
            odd[at] ^= xor;
            super::fuzz(&odd);
        }
    }
}

#[test]
fn bag_in_a_zip_is_held_to_its_own_manifest() {
    let digest = |bytes: &[u8]| hex::encode(keys::digest::sha256(bytes));
    let bag = |content: &'static [u8]| {
        let manifest = format!("{}  data/a.txt\n", digest(b"saw it\n"));
        zip(&[
            made("case/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
            made("case/manifest-sha256.txt", manifest.as_bytes()),
            made("case/data/a.txt", content),
        ])
    };
    let taken = enter(bag(b"saw it\n")).unwrap().read(Watch::none()).unwrap();
    assert_eq!(taken.bag.unwrap().files.len(), 1);
    let refused = enter(bag(b"saw him\n")).unwrap().read(Watch::none()).unwrap_err();
    assert_eq!(
        (refused.file.as_str(), matches!(*refused.fault, Fault::Damaged)),
        ("data/a.txt", true)
    );
}

#[test]
fn zip_by_python_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let make = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n\
                z.writestr('a/b.txt', 'saw it' * 1000)\nz.writestr('c.bin', bytes(range(256)))\nz.close()";
    let path = folder.path().join("a.zip");
    let done = std::process::Command::new("python3").args(["-c", make]).arg(&path).status();
    if !done.is_ok_and(|status| status.success()) {
        return;
    }
    let found = Found::enter(&path).unwrap();
    assert_eq!(found.tree.files().len(), 2);
    assert_eq!(found.read(Watch::none()).unwrap().files[0].length, 6_000);
}
