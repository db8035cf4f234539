//! The parsers: what was written is read back, anything else is refused, nothing panics.

use ledger::Retention;
use ledger::format::{
    Body, BodyRecord, Bucket, ENVELOPE_BYTES, Envelope, Frame, FrameHead, Identity, JournalFrame,
    JournalScan, Segment, SegmentHead, wrapped_key,
};
use ledger::note::{Checkpoint, VerifierKey};
use proptest::prelude::any;
use proptest::proptest;

fn envelope() -> Envelope {
    Envelope {
        ledger: [0xab; 16],
        entry: 0x0102_0304_0506_0708,
        at_ms: 1_795_356_201_417,
        stepped_back: true,
        kind: 16,
        bucket: Bucket { class: Retention::Standard, month: 202_911, held: 0 },
        shared: [0x11; 32],
        private: [0x22; 32],
    }
}

#[test]
fn an_envelope_is_these_bytes() {
    let expected = format!("01{}0102030405060708000001a2039191c9011001", "ab".repeat(16));
    let bytes = envelope().encode();
    let text = hex::encode(bytes);
    assert_eq!(text.len(), 2 * ENVELOPE_BYTES);
    assert_eq!(text[..72], expected);
    assert_eq!(&text[72..80], &format!("{:08x}", 202_911));
    assert_eq!(&text[80..], format!("{}{}", "11".repeat(32), "22".repeat(32)));
    assert_eq!(Envelope::parse(&bytes), Some(envelope()));
    assert_eq!(Envelope::parse(&bytes[..103]), None);
    assert_eq!(Envelope::parse(&[bytes.as_slice(), &[0]].concat()), None);
}

#[test]
fn names_of_segments_and_buckets_are_read_back_and_no_others() {
    let bucket = Bucket::parse("dissemination-2036-02").unwrap();
    assert_eq!((bucket.class, bucket.month), (Retention::Dissemination, 203_602));
    for segment in [Segment::Log(0), Segment::Log(123_456_789), Segment::Body(bucket, 7)] {
        assert_eq!(Segment::parse(&segment.path()), Some(segment));
    }
    for wrong in [
        "",
        "log",
        "log/0.seg",
        "log/00000000.seg/",
        "log/../00000000.seg",
        "/log/00000000.seg",
        "log/000000001.seg",
        "body/00000000.seg",
        "body/standard-2029-13/00000000.seg",
        "body/standard-2029-11/../00000000.seg",
        "keys/00000000.seg",
        "log/00000000.seg/x",
        "body/standard-29-11/00000000.seg",
        "log/+0000000.seg",
    ] {
        assert_eq!(Segment::parse(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_parser_panics_and_none_accepts_noise(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        assert_eq!(Envelope::parse(&bytes), None);
        assert_eq!(Frame::parse(&bytes), None);
        assert_eq!(JournalFrame::parse(&bytes, &[0; 16]), None);
        assert!(JournalScan::read(&bytes, &[0; 16]).frames.is_empty());
        assert_eq!(BodyRecord::parse(&bytes), None);
        assert_eq!(wrapped_key(&bytes, &[0; 16]), None);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(Identity::parse(&text), None);
        assert!(Checkpoint::parse(&text).is_err());
        assert!(VerifierKey::parse(&text).is_err());
        assert_eq!(Segment::parse(&text), None);
        if let Some(body) = Body::parse(&bytes) {
            assert_eq!(body.encode(), Some(bytes));
        }
    }

    #[test]
    fn no_parser_panics_behind_a_right_magic(
        magic in proptest::sample::select(vec!["BWLOGFR1", "BWJRNFR1", "BWKEY001", "BWB1"]),
        bytes in proptest::collection::vec(proptest::sample::select(vec![0_u8, 1, 4, 0x7f, 0xff]), 0..300),
    ) {
        let bytes = [magic.as_bytes(), &bytes].concat();
        assert_eq!(Frame::parse(&bytes), None);
        assert_eq!(JournalFrame::parse(&bytes, &[0; 16]), None);
        assert_eq!(BodyRecord::parse(&bytes), None);
        assert_eq!(wrapped_key(&bytes, &[0; 16]), None);
    }

    #[test]
    fn an_envelope_with_any_byte_changed_is_another_or_none(at in 0_usize..ENVELOPE_BYTES, to in any::<u8>()) {
        let mut bytes = envelope().encode();
        let same = bytes[at] == to;
        bytes[at] = to;
        match Envelope::parse(&bytes) {
            None => assert!(!same),
            Some(other) => {
                assert_eq!(other == envelope(), same);
                assert_eq!(other.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_body_is_bound_to_both_halves_their_salts_and_its_kind(
        shared in proptest::collection::vec(any::<u8>(), 0..50),
        private in proptest::collection::vec(any::<u8>(), 1..50),
    ) {
        let body = Body { shared_salt: [1; 32], private_salt: [2; 32], shared, private };
        assert_eq!(Body::parse(&body.encode().unwrap()), Some(body.clone()));
        let (shared, private) = body.commitments(16);
        let envelope = Envelope { shared, private, ..envelope() };
        assert!(body.matches(&envelope));
        assert!(!body.matches(&Envelope { kind: 17, ..envelope.clone() }));
        let other = Body { private_salt: [3; 32], ..body.clone() };
        assert!(!other.matches(&envelope));
        let mut other = body.clone();
        let moved = other.private.remove(0);
        other.shared.push(moved);
        assert!(!other.matches(&envelope));
    }
}

#[test]
fn the_frame_head_is_public_for_readers_of_segments() {
    let head: Option<FrameHead> = Frame::parse(&[0; 4096]).map(|frame| frame.head);
    assert_eq!(head, None);
}

#[test]
fn a_segments_header_is_read_whole_or_not_at_all() {
    let seed = include_bytes!("../../../../fuzz/seeds/ledger-frames/segment.bin");
    let head = SegmentHead::parse(seed).unwrap();
    assert_eq!((head.number, head.tree.size(), head.tree.peaks().len()), (1, 3, 2));
    assert_eq!(head.latest_ms, Some(1_795_356_201_417));
    for at in 0..seed.len() {
        let mut bent = seed.to_vec();
        bent[at] ^= 1;
        assert_eq!(SegmentHead::parse(&bent), None, "byte {at}");
        assert_eq!(SegmentHead::parse(&seed[..at]), None, "cut at {at}");
    }
}
