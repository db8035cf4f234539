//! `bailiwick ledger witness`, `checkpoint` and `resume`: a witness as a process of its own, killed and started
//! again, and what an operator reads and does.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use exchange::witnessing::{WitnessLine, WitnessPlace, ask};
use keys::cert::Certificate;
use keys::{FixedClock, SystemClock, SystemRandom};
use ledger::note::Checkpoint;
use ledger::testing::{cosign, keys, lakeside, settings};
use ledger::watched::{Asked, KnownWitness, Witnessing};
use ledger::witness::{Answer, Cosignature, WitnessKey};
use ledger::{Event, Ledger, Record, Settings};

const START: &str = "2026-11-22T14:03:21Z";

fn open(folder: &Path, rules: Witnessing, clock: Arc<dyn keys::Clock>) -> Ledger {
    let settings = Settings { witnessing: rules, ..settings(folder) };
    Ledger::open_or_create(settings, keys(), clock, Arc::new(SystemRandom)).unwrap()
}

fn fixed() -> Arc<dyn keys::Clock> {
    Arc::new(FixedClock::new(START.parse().unwrap()))
}

async fn grow(ledger: &Ledger) {
    for _ in 0..3 {
        ledger.append(Record::platform(Event::ServiceStopped)).await.unwrap();
    }
}

/// The exit code and what was printed.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    let output = command.arg("ledger").args(arguments).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn the_newest_confirmed_checkpoint_is_printed_to_be_kept_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(&home.path().join("ledger"), Witnessing::any_of(vec![lakeside()]), fixed());
    grow(&ledger).await;
    let (code, told) = run(home.path(), &["checkpoint", "ledger"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("no witness has confirmed this ledger yet"), "{told}");
    assert!(matches!(cosign(&ledger, START.parse().unwrap()), Asked::Confirmed(_)));
    let key = ledger::note::VerifierKey::parse(&ledger.verifier_key()).unwrap();
    // The folder is read while the ledger is open.
    let (code, note) = run(home.path(), &["checkpoint", "ledger"]);
    assert_eq!(code, 0, "{note}");
    assert_eq!(Checkpoint::open(&note, &key).unwrap().size, 3);
    Cosignature::on(&note, &lakeside().key).unwrap();
    grow(&ledger).await;
    ledger.close().unwrap();
    let (code, note) = run(home.path(), &["checkpoint", "ledger", "--newest"]);
    assert_eq!((code, Checkpoint::open(&note, &key).unwrap().size), (0, 6));
    let (code, told) = run(home.path(), &["checkpoint", "elsewhere"]);
    assert_eq!(code, 1);
    assert!(told.contains("could not read the checkpoints in `elsewhere`"), "{told}");
}

#[tokio::test]
async fn a_stop_is_explained_and_lifted_with_a_reason() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ledger");
    let ledger = open(&folder, Witnessing::any_of(vec![lakeside()]), fixed());
    grow(&ledger).await;
    let (code, told) = run(home.path(), &["resume", "ledger"]);
    assert_eq!((code, told.as_str()), (0, "this ledger is not stopped\n"));
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    let judging = ledger.clone();
    let judge = move || judging.take_answer(&submission, &Answer::Conflict(90), None);
    let asked = tokio::task::spawn_blocking(judge).await.unwrap();
    assert!(matches!(asked, Asked::Stopped(_)));
    let (code, told) = run(home.path(), &["resume", "ledger", "--reason", "not yet"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("is open in a process: stop that first"), "{told}");
    ledger.close().unwrap();
    drop(ledger);
    let (code, told) = run(home.path(), &["resume", "ledger"]);
    assert_eq!(code, 1);
    assert!(
        told.starts_with("the witness lakeside has seen 90 entries, this ledger has 3"),
        "{told}"
    );
    let (code, told) =
        run(home.path(), &["resume", "ledger", "--reason", "the witness was broken"]);
    assert_eq!(code, 0, "{told}");
    let (code, _) = run(home.path(), &["resume", "ledger"]);
    assert_eq!(code, 0);
}

/// A witness's process, and what it printed at its start.
struct Process {
    child: Child,
    lines: Vec<String>,
}

impl Process {
    fn start(home: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let command = command.args(["ledger", "witness", "--config", "witness.toml"]);
        let command = command.current_dir(home).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        // Key, address, certificate and one log: then it serves.
        let lines = out.lines().take(4).map(Result::unwrap).collect();
        Self { child, lines }
    }

    fn told(&self, what: &str) -> &str {
        let found = self.lines.iter().find_map(|line| line.strip_prefix(what));
        found.unwrap_or_else(|| unreachable!("{:?}", self.lines)).trim()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // As a power cut would end it.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_witness_in_a_process_of_its_own_remembers_when_it_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ledger");
    let clock: Arc<dyn keys::Clock> = Arc::new(SystemClock);
    let key = open(&folder, Witnessing::none(), Arc::clone(&clock)).verifier_key();
    let text = format!(
        "name = \"w.example/witness\"\nlisten = \"127.0.0.1:0\"\nhosts = [\"127.0.0.1\"]\nfolder = \"data\"\n\
         master_key = \"witness.key\"\ntls_certificate = \"tls.pem\"\ntls_key = \"tls.key\"\n\n\
         [[log]]\nkey = \"{key}\"\n"
    );
    std::fs::write(home.path().join("witness.toml"), text).unwrap();
    let mut known = None;
    for round in 0..2_u64 {
        let process = Process::start(home.path());
        let key = process.told("key").to_owned();
        assert_eq!(known.get_or_insert_with(|| key.clone()), &key, "its key stays");
        let seen = ["riverton.example/ledger, not seen yet", "riverton.example/ledger, 3 entries"];
        assert_eq!(Some(&process.told("log")), seen.get(usize::from(round > 0)));
        let place: WitnessPlace = process.told("address").parse().unwrap();
        let pem = std::fs::read_to_string(home.path().join(process.told("certificate"))).unwrap();
        let trust = wire::tls::Trust::leaf(Certificate::from_pem(&pem).unwrap());
        let limits = wire::ClientLimits {
            connect_wait_max: Duration::from_secs(10),
            idle_wait_max: Duration::from_secs(10),
            head_bytes_max: 8192,
            headers_max: 32,
        };
        let (private, clock) = (wire::Addresses::Private, Arc::clone(&clock));
        let asking = Arc::clone(&clock);
        let line = WitnessLine::new("apart", place, private, &trust, None, limits, asking);
        let key = WitnessKey::parse(&key).unwrap();
        let rules = Witnessing::any_of(vec![KnownWitness { name: "apart".to_owned(), key }]);
        let ledger = open(&folder, rules, clock);
        grow(&ledger).await;
        let asked = ask(&ledger, &line.unwrap()).await;
        assert!(matches!(asked, Asked::Confirmed(_)), "{asked:?}");
        assert_eq!(ledger.witnessed().witnesses[0].size, Some(3 + 3 * round));
    }
}
