//! Targets for a fuzzer. Each takes any bytes and must return; what it gives is of no use to anything else.

use std::path::Path;

use crate::book;
use crate::protocol::{
    Answer, Fault, NoticeAnswer, Offer, Refusal, SignedText, numbers, read_repr_digest,
};

/// Any bytes as what a partner says, in a body or in a header.
pub fn message(data: &[u8]) {
    crate::joint::fuzz(data);
    drop((
        serde_json::from_slice::<Offer>(data),
        serde_json::from_slice::<Answer>(data),
        serde_json::from_slice::<SignedText>(data),
        serde_json::from_slice::<Refusal>(data),
        serde_json::from_slice::<Fault>(data),
        serde_json::from_slice::<NoticeAnswer>(data),
    ));
    if let Ok(ranges) = serde_json::from_slice::<Vec<[u64; 2]>>(data) {
        drop(numbers(&ranges, 1_000));
    }
    let text = String::from_utf8_lossy(data);
    std::hint::black_box(read_repr_digest(&text));
    // As an SFTP server lists its files.
    std::hint::black_box(text.lines().filter_map(crate::depots::listed).count());
}

/// Any bytes as what people write down: a partner file, an agreement file, the settings of a witness that
/// stands alone, the address of a witness.
pub fn book_file(data: &[u8]) {
    let (file, text) = (Path::new("fuzz.toml"), String::from_utf8_lossy(data));
    drop((book::partner(file, &text), book::agreement(file, &text)));
    drop(book::jurisdictions(file, &text));
    crate::witnessing::fuzz(data);
}
