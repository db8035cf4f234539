//! Files of every kind, good and broken, and what is said of them.

use std::io::Cursor;

use keys::SystemRandom;
use keys::cert::{self, CertSpec, Usage};
use keys::sign::P384Key;

use super::{Examined, Kind, PdfA, Standing, examine};

fn look(bytes: &[u8], name: &str) -> Examined {
    examine(&mut Cursor::new(bytes.to_vec()), name).unwrap()
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let size = u32::try_from(content.len() + 8).unwrap();
    [size.to_be_bytes().as_slice(), kind, &content].concat()
}

fn full(kind: &[u8; 4], numbers: &[u32]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
    boxed(kind, &[&[0; 4], &numbers])
}

/// A film with one track of two chunks of three samples, 100 bytes each. `data` comes first, as cameras write it.
fn film(codec: &[u8; 4], handler: &[u8; 4], credentials: &[u8]) -> Vec<u8> {
    let start = boxed(b"ftyp", &[b"isom\0\0\x02\0isomavc1"]);
    let data = boxed(b"mdat", &[&[7; 600]]);
    let first = u32::try_from(start.len() + 8).unwrap();
    let description = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &boxed(codec, &[&[0; 16]])]);
    let table = boxed(
        b"stbl",
        &[
            &description,
            &full(b"stsc", &[1, 1, 3, 1]),
            &full(b"stsz", &[100, 6]),
            &full(b"stco", &[2, first, first + 300]),
        ],
    );
    let header = full(b"mdhd", &[0, 0, 1_000, 4_500, 0]);
    let kind = boxed(b"hdlr", &[&[0; 8], handler, &[0; 12]]);
    let media = boxed(b"mdia", &[&header, &kind, &boxed(b"minf", &[&table])]);
    let size =
        boxed(b"tkhd", &[&[0; 76], &(640_u32 << 16).to_be_bytes(), &(360_u32 << 16).to_be_bytes()]);
    let index = boxed(b"moov", &[&full(b"mvhd", &[0; 24]), &boxed(b"trak", &[&size, &media])]);
    [start, credentials.to_vec(), data, index].concat()
}

#[test]
fn good_film_plays() {
    let found = look(&film(b"avc1", b"vide", &[]), "Door camera.mp4");
    assert_eq!((found.kind, found.standing), (Kind::Mp4, Standing::Sound), "{:?}", found.words);
    assert_eq!(found.words, ["All that its index points to is there: it plays."]);
    let track = &found.tracks[0];
    assert_eq!((track.kind.as_str(), track.codec.as_str()), ("video", "avc1"));
    assert_eq!((track.duration_ms, track.size), (Some(4_500), Some((640, 360))));
}

#[test]
fn film_cut_anywhere_is_never_called_sound() {
    let whole = film(b"avc1", b"vide", &[]);
    for length in 0..whole.len() {
        let found = look(&whole[..length], "a.mp4");
        assert_ne!(found.standing, Standing::Sound, "cut to {length}: {:?}", found.words);
        assert!(length < 12 || found.standing != Standing::NotExamined, "cut to {length}");
    }
    // Cut where only the tail of a film is missing whose index comes first: its boxes are whole, the pieces are not there.
    let mut moved = whole.clone();
    let at = moved.windows(4).position(|four| four == b"stco").unwrap() + 12;
    moved[at..at + 4].copy_from_slice(&100_000_u32.to_be_bytes());
    let found = look(&moved, "a.mp4");
    assert_eq!(found.standing, Standing::CutShort);
    assert!(
        found.words[0].contains("Of the 2 pieces of track 1, 1 lie beyond the end"),
        "{:?}",
        found.words
    );
}

#[test]
fn any_flipped_byte_of_a_film_gets_an_answer() {
    let whole = film(b"avc1", b"vide", &[]);
    for at in 0..whole.len() {
        for xor in [0xff, 1, 0x80] {
            let mut odd = whole.clone();
            odd[at] ^= xor;
            look(&odd, "a.mp4");
        }
    }
}

#[test]
fn odd_codings_are_named() {
    for (codec, handler, standing, words) in [
        (b"hvc1", b"vide", Standing::Sound, "recent players know"),
        (b"dav1", b"vide", Standing::Odd, "coded as `dav1`, which needs its maker's player"),
        (b"encv", b"vide", Standing::Odd, "is encrypted"),
        (b"mett", b"meta", Standing::Odd, "neither pictures nor sound"),
    ] {
        let found = look(&film(codec, handler, &[]), "a.mp4");
        assert_eq!(found.standing, standing, "{:?}", found.words);
        assert!(found.words[0].contains(words), "{:?}", found.words);
    }
}

#[test]
fn kinds_are_told_by_content_and_names_that_say_otherwise_are_noted() {
    let cases: [(&[u8], &str, Kind); 12] = [
        (b"\x7fELF\x02\x01", "video.mp4", Kind::Elf),
        (b"MZ\x90\0", "invoice.pdf", Kind::Pe),
        (b"#!/bin/sh\n", "notes.txt", Kind::Script),
        (b"PK\x03\x04", "a.docx", Kind::Zip),
        (b"saw it\n", "a.txt", Kind::Text),
        ("Grüße".as_bytes(), "a.txt", Kind::Text),
        (b"<!DOCTYPE html><p>", "a.html", Kind::Html),
        (b"\0\x01\x02\x03", "a.bin", Kind::Unknown),
        (b"", "a.txt", Kind::Empty),
        (b"RIFF\0\0\0\0WAVEfmt ", "a.wav", Kind::Wav),
        (b"XXXX\0\0\0\0WAVEfmt ", "a.bin", Kind::Unknown),
        (b"II*\0", "a.tif", Kind::Tiff),
    ];
    for (bytes, name, kind) in cases {
        assert_eq!(look(bytes, name).kind, kind, "{name}");
    }
    let program = look(b"\x7fELF\x02\x01", "video.mp4");
    assert_eq!(
        program.words,
        [
            "Its name says an MP4 file, and it is a program for Linux (ELF).",
            "It can run on a computer: do not open it to see what it is."
        ]
    );
    let mut stream = vec![0; 600];
    for at in [0, 188, 376, 564] {
        stream[at] = 0x47;
    }
    assert_eq!(look(&stream, "a.ts").kind, Kind::MpegTs);
}

#[test]
fn claim_of_pdf_a_is_read_in_both_spellings() {
    let pdf = |metadata: &str| {
        format!(
            "%PDF-1.7\n<?xpacket begin='' id='x'?>{metadata}<?xpacket end='r'?>\ntrailer\n%%EOF\n"
        )
        .into_bytes()
    };
    let ns = "http://www.aiim.org/pdfa/ns/id/";
    let cases = [
        (
            format!(
                "<d xmlns:pdfaid=\"{ns}\"><pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance></d>"
            ),
            Some((3, Some('B'))),
        ),
        (
            format!("<d xmlns:pdfaid='{ns}' pdfaid:part='2' pdfaid:conformance='u'/>"),
            Some((2, Some('U'))),
        ),
        (format!("<d xmlns:x = \"{ns}\" x:part=\"4\"/>"), Some((4, None))),
        (format!("<d xmlns:x=\"{ns}\" x:part=\"many\"/>"), None),
        ("<d pdfaid:part='2'/>".to_owned(), None),
    ];
    for (metadata, expected) in cases {
        let found = look(&pdf(&metadata), "a.pdf");
        let expected = expected.map(|(part, conformance)| PdfA { part, conformance });
        assert_eq!(found.pdf_a, expected, "{metadata}");
        assert_eq!(found.standing, Standing::Sound);
    }
    let ours = crate::document::Document {
        title: "A".to_owned(),
        author: "B".to_owned(),
        program: "C".to_owned(),
        created: jiff::Timestamp::UNIX_EPOCH,
        marks: vec![],
        reference: String::new(),
        blocks: vec![],
        attached: vec![],
    };
    let ours = ours.write().unwrap();
    assert_eq!(look(&ours, "a.pdf").pdf_a.unwrap().to_string(), "PDF/A-3b");
    assert_eq!(look(&ours[..ours.len() - 10], "a.pdf").standing, Standing::CutShort);
}

/// JUMBF: a superbox with a label.
fn superbox(label: &str, inside: &[&[u8]]) -> Vec<u8> {
    let description = boxed(b"jumd", &[&[9; 16], &[3], label.as_bytes(), &[0]]);
    boxed(b"jumb", &[&[description.as_slice()], inside].concat())
}

fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0x78, length], text.as_bytes()].concat()
}

fn store() -> Vec<u8> {
    let key = P384Key::generate().unwrap();
    let spec = CertSpec {
        subject_cn: "Camera 12".into(),
        organisation: "Riverton Police Department".into(),
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2049-01-01T00:00:00Z".parse().unwrap(),
        usage: Usage::Signing,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    };
    let certificate = cert::issue(&spec, &key, None, &SystemRandom).unwrap();
    let der = certificate.der();
    let length = u16::try_from(der.len()).unwrap().to_be_bytes();
    // {33: der}, as the protected header of a COSE_Sign1.
    let header = [&[0xa1, 0x18, 33, 0x59], length.as_slice(), der].concat();
    let length = u16::try_from(header.len()).unwrap().to_be_bytes();
    let cose = [&[0xd2, 0x84, 0x59], length.as_slice(), &header, &[0xa0, 0xf6, 0x41, 0]].concat();
    let info =
        [vec![0xa2], text("name"), text("Body camera"), text("version"), text("4.1")].concat();
    let claim = [
        vec![0xbf],
        text("dc:title"),
        text("Door"),
        text("claim_generator_info"),
        info,
        vec![0xff],
    ]
    .concat();
    let assertions = [superbox("c2pa.actions", &[]), superbox("c2pa.hash.bmff.v2", &[])];
    superbox(
        "c2pa",
        &[&superbox(
            "urn:c2pa:1",
            &[
                &superbox("c2pa.assertions", &[&assertions[0], &assertions[1]]),
                &superbox("c2pa.claim.v2", &[&boxed(b"cbor", &[&claim])]),
                &superbox("c2pa.signature", &[&boxed(b"cbor", &[&cose])]),
            ],
        )],
    )
}

fn expected(found: &Examined) {
    let manifest = &found.c2pa.as_ref().expect("content credentials").manifests[0];
    assert_eq!(manifest.generator.as_deref(), Some("Body camera 4.1"));
    assert_eq!(manifest.title.as_deref(), Some("Door"));
    assert_eq!(manifest.assertions, ["c2pa.actions", "c2pa.hash.bmff.v2"]);
    let (subject, _) = manifest.signer.as_ref().unwrap();
    assert!(subject.contains("Camera 12"), "{subject}");
    assert!(found.words.iter().any(|words| words.contains("not verified")));
}

#[test]
fn content_credentials_are_found_in_film_and_pictures() {
    let store = store();
    let name = b"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81";
    let credentials = boxed(b"uuid", &[name, &[0; 4], b"manifest\0", &[0; 8], &store]);
    // The box before the pictures moves them: their places are no longer what the index says, but the film is read.
    expected(&look(&film(b"avc1", b"vide", &credentials), "a.mp4"));

    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length, kind.as_slice(), content, &[0; 4]].concat()
    };
    let png = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"caBX", &store), chunk(b"IEND", &[])].concat();
    let found = look(&png, "a.png");
    expected(&found);
    assert_eq!(found.standing, Standing::Sound);

    // In JPEG the box comes in pieces; each after the first repeats its head.
    let segment = |order: u32, content: &[u8]| {
        let head = if order > 1 { &store[..8] } else { &[] };
        let body = [b"JP\0\x01".as_slice(), &order.to_be_bytes(), head, content].concat();
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xff, 0xeb], length.as_slice(), &body].concat()
    };
    let (one, two) = store.split_at(100);
    let picture = [0xff, 0xda, 0, 2, 1, 2, 3, 0xff, 0xd9];
    let jpeg = [&[0xff, 0xd8][..], &segment(1, one), &segment(2, two), &picture].concat();
    let found = look(&jpeg, "a.jpg");
    expected(&found);
    assert_eq!(found.standing, Standing::Sound);
    assert_eq!(look(&jpeg[..jpeg.len() - 1], "a.jpg").standing, Standing::CutShort);
}

#[test]
fn any_store_that_was_cut_or_flipped_gets_an_answer() {
    let store = store();
    for at in 0..store.len() {
        super::c2pa::fuzz(&store[..at]);
        let mut odd = store.clone();
        odd[at] ^= 0xff;
        super::c2pa::fuzz(&odd);
    }
}

#[test]
fn films_of_others_are_judged() {
    let Some(folder) = testkit::corpus("mp4").unwrap() else { return };
    for (name, standing, words) in [
        ("white.mp4", Standing::Sound, "it plays"),
        ("h264_white_frame_sar_16_9.mp4", Standing::Sound, "it plays"),
        ("afconvert-aac-0.5s.mp4", Standing::Sound, "it plays"),
        ("hevc_white_frame.mp4", Standing::Sound, "recent players"),
        ("tiny_av1.mp4", Standing::Sound, "recent players"),
        ("no_timescale.mp4", Standing::Broken, "how fast it runs"),
        ("chunk_out_of_range.mp4", Standing::Broken, "do not agree"),
        ("zero_empty_stsc.mp4", Standing::Broken, "no pictures or sound"),
        ("minimal.mp4", Standing::Sound, "it plays"),
        ("metadata.mp4", Standing::Sound, "it plays"),
    ] {
        let mut file = std::fs::File::open(folder.join(name)).unwrap();
        let found = examine(&mut file, name).unwrap();
        assert_eq!(found.standing, standing, "{name}: {:?}", found.words);
        assert!(found.words.iter().any(|found| found.contains(words)), "{name}: {:?}", found.words);
    }
}
