//! Ledgers for tests, on a disk in memory that fails, fills up and loses power when told to.

use std::path::Path;
use std::sync::Arc;

use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::sign::Ed25519Key;
use keys::{Clock, SystemRandom};

pub use crate::capacity::Space;
pub use crate::disk::{Disk, DiskFile, DiskLock, Mode};
pub use crate::index::Measured;
use crate::ledger::Ledger;
use crate::settings::{IndexKeys, LedgerKeys, Settings};
pub use crate::sim::{Fault, SimDisk};
pub use crate::verify::verify_on;

/// Made-up keys, always the same.
#[expect(clippy::expect_used, reason = "for tests; any 32 bytes are a seed")]
pub fn keys() -> LedgerKeys {
    LedgerKeys {
        signer: Ed25519Key::from_seed([1; 32]).expect("a seed"),
        body: SealingKey::from_bytes([2; 32]),
        index: IndexKeys::one(MacKey::from_bytes([3; 32])),
    }
}

/// Small files and no waiting.
pub fn settings(folder: &Path) -> Settings {
    Settings {
        segment_bytes: 1 << 20,
        journal_bytes: 256 << 10,
        reserve_bytes: 16 << 10,
        retry_wait: std::time::Duration::ZERO,
        // A test of something else is not to find an alarm on a full machine.
        capacity_warn_percent: 100,
        list_wait: std::time::Duration::ZERO,
        ..Settings::new(folder, "riverton.example/ledger", "NB0010100")
    }
}

/// A ledger on a disk in memory.
pub fn ledger(clock: Arc<dyn Clock>) -> Ledger {
    ledger_on(&Arc::new(SimDisk::new()), clock)
}

/// A ledger on this disk, in the folder `/ledger`.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn ledger_on(disk: &Arc<SimDisk>, clock: Arc<dyn Clock>) -> Ledger {
    let disk = Arc::clone(disk);
    let settings = settings(Path::new("/ledger"));
    Ledger::open_on(disk, settings, keys(), clock, Arc::new(SystemRandom)).expect("opens")
}

/// As [`ledger`], with these witnesses.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn witnessed(rules: crate::watched::Witnessing, clock: Arc<dyn Clock>) -> Ledger {
    let settings = Settings { witnessing: rules, ..settings(Path::new("/ledger")) };
    let (disk, random) = (Arc::new(SimDisk::new()), Arc::new(SystemRandom));
    Ledger::open_on(disk, settings, keys(), clock, random).expect("opens")
}

/// A witness called `lakeside`, and the answer that its key gives to a submission at this time.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn cosign(ledger: &Ledger, at: jiff::Timestamp) -> crate::watched::Asked {
    use crate::witness::{Answer, Cosignature};

    let submission = ledger.submission("lakeside", None).expect("reads").expect("a witness");
    let text = crate::witness::text_of(&submission.request.note).expect("a checkpoint");
    let signer = Ed25519Key::from_seed([9; 32]).expect("a seed");
    let line = Cosignature::sign(text, at, &signer).line(&lakeside().key);
    ledger.take_answer(&submission, &Answer::Cosigned(line), None)
}

/// The witness of [`cosign`].
#[expect(clippy::expect_used, reason = "for tests")]
pub fn lakeside() -> crate::watched::KnownWitness {
    let signer = Ed25519Key::from_seed([9; 32]).expect("a seed");
    let name = "lakeside.example/witness".to_owned();
    let key = crate::witness::WitnessKey { name, public: signer.public() };
    crate::watched::KnownWitness { name: "lakeside".to_owned(), key }
}

/// As [`ledger`], on a disk that fails after so many records; each is a batch of its own.
#[expect(clippy::expect_used, reason = "for tests")]
pub fn fails_after(appends_max: usize, clock: Arc<dyn Clock>) -> Ledger {
    let (disk, random) = (Arc::new(SimDisk::new()), Arc::new(SystemRandom));
    let settings = settings(Path::new("/ledger"));
    let on = Arc::clone(&disk);
    let ledger = Ledger::open_by(on, settings, keys(), clock, random, 1).expect("opens");
    disk.fail_writes_after("journal", appends_max);
    ledger
}
