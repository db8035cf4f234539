//! Memory stays flat whatever the size. Alone in its process, because it measures the process.
#![expect(clippy::unwrap_used, reason = "test helpers stop at the first surprise")]

use std::io::{self, Read as _};

use jiff::Timestamp;
use keys::SystemRandom;
use keys::cert::{self, CertSpec, Certificate, Usage};
use keys::sign::P384Key;
use parcel::{Entry, Party, Recipient, Seal, Signer, Transfer, Trust, Watch};

const PART: u64 = 8 << 20;
const WORKERS: usize = 2;
const LENGTH: u64 = 160 << 20;

/// The most that this process ever held in memory, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

fn issue(usage: Usage, key: &P384Key) -> Certificate {
    let spec = CertSpec {
        subject_cn: "someone".into(),
        organisation: "Riverton Police Department".into(),
        not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        usage,
        dns: vec![],
        ips: vec![],
        uris: vec![],
    };
    cert::issue(&spec, key, None, &SystemRandom).unwrap()
}

#[test]
fn three_parts_a_thread_are_enough_to_seal_verify_and_open() {
    let now: Timestamp = "2026-11-22T21:30:05Z".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (key, ours) = (P384Key::generate().unwrap(), P384Key::generate().unwrap());
    let sender = Signer { chain: vec![issue(Usage::Signing, &key)], key };
    let recipient = Recipient { certificate: issue(Usage::KeyAgreement, &ours), key: ours.into() };
    let party = |ori: &str| Party { ori: ori.into(), name: "Riverton Police".into() };
    let entry = Entry {
        path: "video.mp4".into(),
        media_type: "video/mp4".into(),
        modified: now,
        length: LENGTH,
        open: Box::new(|| Ok(Box::new(io::repeat(7).take(LENGTH)))),
    };
    let seal = Seal {
        id: "0b8c6d2e-93f5-4b57-8f3a-5d1f6b1c2a77".parse().unwrap(),
        sender: &sender,
        recipients: vec![recipient.certificate.clone()],
        allow_rsa_oaep: false,
        part_size: PART,
        workers: WORKERS,
        entries: vec![entry],
        transfer: Transfer {
            exchange_id: "EX-1".into(),
            exchange_number: None,
            purpose: "C".into(),
            authority: "MOU".into(),
            case_number: None,
            handling: vec![],
            record_classes: Vec::new(),
            retention: None,
            sender: party("NB0010100"),
            recipient: party("NB0020000"),
        },
        custody: vec![],
        custody_document: true,
        now,
        random: &SystemRandom,
        watch: Watch::none(),
    };
    let trust = Trust { senders: sender.chain.clone(), now };
    let (out, opened) = (folder.path().join("parcel"), folder.path().join("opened"));
    let most = 3 * PART * WORKERS as u64 + (32 << 20);
    let check = |what: &str| assert!(peak() <= most, "{what}: {} of {most} bytes", peak());
    parcel::seal(seal, &out).unwrap();
    check("sealing");
    parcel::verify(&out, &trust, Watch::none()).unwrap();
    check("verifying");
    parcel::open(&out, &recipient, &trust, &opened, None, Watch::none()).unwrap();
    check("opening");
    let length = std::fs::metadata(opened.join("inner/data/video.mp4")).unwrap().len();
    assert_eq!(length, LENGTH);
}
