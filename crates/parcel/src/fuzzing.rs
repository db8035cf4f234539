//! Targets for a fuzzer. Each takes any bytes and must return; what it gives is of no use to anything else.

use jiff::Timestamp;

use crate::notice::{self, SignedNotice};
use crate::receipt::{self, SignedReceipt};
use crate::{Trust, bag, bagit, cms, custody, intake, media, name, pax, scan, timestamp, zip};

/// Any bytes as a sealed part.
pub fn part(data: &[u8]) {
    if let Ok(part) = cms::envelope::Envelope::parse(data) {
        std::hint::black_box(part.content_length());
    }
}

/// Any bytes as a signature, over themselves.
pub fn signature(data: &[u8]) {
    let trust = Trust { senders: Vec::new(), now: Timestamp::UNIX_EPOCH };
    let signed = SignedReceipt { json: data.to_vec(), signature: data.to_vec() };
    let notice = SignedNotice { json: data.to_vec(), signature: data.to_vec() };
    timestamp::fuzz(data);
    notice::fuzz(data);
    drop(notice::verify(&notice, &trust));
    drop((receipt::verify(&signed, &trust), cms::signature::certificates(data)));
}

/// Any bytes as the text files of a bag.
pub fn bag_files(data: &[u8]) {
    drop((bag::read_manifest(data), bag::OuterInfo::read(data)));
    bagit::fuzz(data);
    custody::fuzz(data);
    let text = String::from_utf8_lossy(data);
    drop((name::objection(&text), name::collision_key(&text)));
}

/// Any bytes as a parcel of one file.
pub fn one_file(data: &[u8]) {
    zip::fuzz(data);
}

/// Any bytes as a header of the archive inside.
pub fn archive(data: &[u8]) {
    std::hint::black_box(pax::length_of(data));
}

/// Any bytes as a film, a picture, a document, and as what they say of their making; and as a scanner's answer.
pub fn media(data: &[u8]) {
    drop(media::examine(&mut std::io::Cursor::new(data), "a.mp4"));
    media::c2pa::fuzz(data);
    media::pdf::fuzz(data);
    scan::fuzz(data);
}

/// Any bytes as a ZIP file of others.
pub fn foreign_zip(data: &[u8]) {
    intake::fuzz(data);
}
