//! Many files: little is held for each of them. (`make bench PARTS=parcel` does it with a hundred thousand.) Alone in its process, because it measures the process.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test helpers stop at the first surprise; figures are printed"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use keys::SystemRandom;
use keys::cert::{self, CertSpec, Certificate, Usage};
use keys::sign::P384Key;
use parcel::{
    CustodyEvent, Entry, Parcel, Party, Person, Recipient, Seal, SealError, Signer, Transfer,
    Trust, Watch,
};

const PART: u64 = 8 << 20;
const WORKERS: usize = 2;
const FILES: usize = 10_000;

/// The most that this process held in memory since it was last asked, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
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

fn now() -> Timestamp {
    "2026-11-22T21:30:05Z".parse().unwrap()
}

fn order<'a>(sender: &'a Signer, to: &Certificate, entries: Vec<Entry>) -> Seal<'a> {
    let party = |ori: &str| Party { ori: ori.into(), name: "Riverton Police".into() };
    Seal {
        id: "0b8c6d2e-93f5-4b57-8f3a-5d1f6b1c2a77".parse().unwrap(),
        sender,
        recipients: vec![to.clone()],
        allow_rsa_oaep: false,
        part_size: PART,
        workers: WORKERS,
        entries,
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
        now: now(),
        random: &SystemRandom,
        watch: Watch::none(),
    }
}

fn name(number: usize) -> String {
    format!("{:03}/statement of witness {number:06}.txt", number / 1_000)
}

/// They are empty, so that all of the work is about their names.
fn empty() -> Vec<Entry> {
    let entry = |number| Entry::from_bytes(&name(number), "text/plain", now(), Vec::new());
    (0..FILES).map(entry).collect()
}

#[test]
fn many_files_are_sealed_verified_and_opened_in_three_parts_a_thread() {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (key, ours) = (P384Key::generate().unwrap(), P384Key::generate().unwrap());
    let sender = Signer { chain: vec![issue(Usage::Signing, &key)], key };
    let recipient = Recipient { certificate: issue(Usage::KeyAgreement, &ours), key: ours.into() };
    let trust = Trust { senders: sender.chain.clone(), now: now() };
    let (out, opened) = (folder.path().join("parcel"), folder.path().join("opened"));
    // Beside the parts, as much as one large file takes, and for each file a little.
    let most = 3 * PART * WORKERS as u64 + (32 << 20);
    let check = |what: &str| {
        let peak = peak();
        println!("{what} {FILES} files: {} MiB", peak >> 20);
        assert!(peak <= most, "{what}: {peak} of {most} bytes");
    };
    peak();
    let sealed = parcel::seal(order(&sender, &recipient.certificate, empty()), &out).unwrap();
    check("sealing");
    assert_eq!(sealed.files.len(), FILES);
    drop(sealed);
    parcel::verify(&out, &trust, Watch::none()).unwrap();
    check("verifying");
    let done = parcel::open(&out, &recipient, &trust, &opened, None, Watch::none()).unwrap();
    check("opening");
    assert_eq!(done.files.len(), FILES);
    drop(done);
    // What was given back counts no more.
    peak();
    let read = Parcel::enter(&out, &trust).unwrap();
    let unlocked = read.unlock(&recipient).unwrap();
    let last = unlocked.file(&name(FILES - 1)).unwrap();
    assert!(opened.join("inner/data").join(&last.path).is_file());
    // Nobody did anything to them that was told.
    assert_eq!(unlocked.custody_events().unwrap(), Some(vec![]));
    check("reading the custody record of");
    too_much_to_tell(&sender, &recipient, &folder.path().join("too much"));
}

/// Of how many words an event of too many words is, and how many of them are too many.
const WORDS: usize = 200_000;
const EVENTS: usize = 300;

/// Lists that would be too long are found out before the first part is sealed.
fn too_much_to_tell(sender: &Signer, recipient: &Recipient, out: &Path) {
    let event = |_| CustodyEvent {
        kind: "scanned".into(),
        description: "word ".repeat(WORDS),
        started: now(),
        ended: None,
        person: Person {
            name: "Ruiz".into(),
            account: "riverton|ruiz".into(),
            agency: "NB0010100".into(),
            role: "detective".into(),
        },
        tool: "Bailiwick".into(),
        purpose: None,
        authority: None,
        files: vec![],
        originals: vec![],
        ledger: None,
        around: parcel::Circumstances::default(),
    };
    let mut entry = Entry::from_bytes("a.txt", "text/plain", now(), Vec::new());
    let seen = Arc::new(AtomicBool::new(false));
    let told = seen.clone();
    entry.open = Box::new(move || {
        told.store(true, Ordering::SeqCst);
        Ok(Box::new(std::io::empty()))
    });
    let custody = (0..EVENTS).map(event).collect();
    let seal = Seal { custody, ..order(sender, &recipient.certificate, vec![entry]) };
    let refused = parcel::seal(seal, out).unwrap_err();
    assert!(matches!(refused, SealError::Metadata { files: 1, events: EVENTS, .. }), "{refused}");
    assert!(refused.to_string().contains("seal fewer files at a time"), "{refused}");
    assert!(!seen.load(Ordering::SeqCst) && !out.exists(), "found out beforehand");
}
