//! Two agencies witness each other over mutual TLS; a witness that stands alone; silence, and what a
//! witness shows of a ledger that went back.

use std::path::{Path, PathBuf};

use keys::sign::Ed25519Key;
use ledger::note::{Checkpoint, VerifierKey};
use ledger::watched::{Asked, KnownWitness, StopKind, WitnessState, Witnessing};
use ledger::witness::{
    AddCheckpoint, Answer, Cosignature, REQUEST_BYTES_MAX, Witness, WitnessKey, Wrong,
};
use ledger::{LedgerKeys, Record};

use super::*;
use crate::witnessing::*;

/// An agency whose ledger is on a real disk, so that a story can copy it.
struct House {
    of: (&'static str, &'static str),
    seed: u8,
    clock: Arc<FixedClock>,
    home: TempDir,
}

impl House {
    fn new(of: (&'static str, &'static str), seed: u8, clock: &Arc<FixedClock>) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { of, seed, clock: Arc::clone(clock), home }
    }

    fn name(&self) -> String {
        self.of.1.split(' ').next().unwrap().to_lowercase()
    }

    fn origin(&self) -> String {
        format!("{}.example/ledger", self.name())
    }

    fn signer(&self) -> Ed25519Key {
        Ed25519Key::from_seed([self.seed; 32]).unwrap()
    }

    fn ledger_key(&self) -> VerifierKey {
        VerifierKey { name: self.origin(), public: self.signer().public() }
    }

    fn cosigning_key(&self) -> Ed25519Key {
        Ed25519Key::from_seed([self.seed + 100; 32]).unwrap()
    }

    /// As those whom it witnesses know it.
    fn witness(&self) -> KnownWitness {
        let (name, public) = (format!("{}/witness", self.origin()), self.cosigning_key().public());
        KnownWitness { name: self.name(), key: WitnessKey { name, public } }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("ledger")
    }

    fn open(&self, rules: Witnessing) -> Ledger {
        self.try_open(rules).unwrap()
    }

    fn try_open(&self, rules: Witnessing) -> Result<Ledger, ledger::OpenError> {
        let mut settings = ledger::testing::settings(&self.folder());
        (settings.origin, settings.witnessing) = (self.origin(), rules);
        let keys = LedgerKeys { signer: self.signer(), ..ledger::testing::keys() };
        let (clock, random) = (self.clock.clone(), Arc::new(SystemRandom));
        Ledger::open_or_create(settings, keys, clock, random)
    }

    fn cosigner(&self, ledger: &Ledger, known: Vec<VerifierKey>) -> Arc<Cosigner> {
        let disk: Arc<dyn ledger::Disk> = Arc::new(ledger::SystemDisk);
        let folder = self.home.path().join("witness");
        let name = self.witness().key.name;
        let clock = self.clock.clone();
        let signer = self.cosigning_key();
        let witness = Witness::open(&disk, &folder, &name, signer, known, clock.clone()).unwrap();
        Arc::new(Cosigner::new(witness, Some(ledger.clone()), clock))
    }

    /// This house asks another one.
    fn line_to(&self, other: &Self, port: u16) -> WitnessLine {
        let place = format!("https://127.0.0.1:{port}/witness").parse().unwrap();
        let trust = wire::tls::Trust::leaf(identity(other.of).tls.certificate.clone());
        line(&other.witness().name, place, &trust, Some(self.of), &self.clock)
    }
}

fn line(
    name: &str,
    place: WitnessPlace,
    trust: &wire::tls::Trust,
    own: Option<(&str, &str)>,
    clock: &Arc<FixedClock>,
) -> WitnessLine {
    let limits = Stage::usual(clock, Vec::new()).settings.client;
    let own = own.map(|of| identity(of).tls());
    let clock = clock.clone();
    let private = wire::Addresses::Private;
    WitnessLine::new(name, place, private, trust, own.as_ref(), limits, clock).unwrap()
}

/// Two houses that witness each other; Riverton's ledger is not opened yet.
struct Two {
    riverton: House,
    lakeside: House,
    agency: Agency,
    cosigner: Arc<Cosigner>,
    port: u16,
    stop: oneshot::Sender<()>,
}

async fn two() -> Two {
    let clock = Arc::new(FixedClock::new(now()));
    let (riverton, lakeside) = (House::new(RIVERTON, 11, &clock), House::new(LAKESIDE, 12, &clock));
    let ledger = lakeside.open(Witnessing::none());
    let cosigner = lakeside.cosigner(&ledger, vec![riverton.ledger_key()]);
    let mut guest = partner(RIVERTON, 1);
    guest.ledger_key = Some(riverton.ledger_key());
    let stage = Stage {
        ledger: Some(ledger),
        cosigner: Some(Arc::clone(&cosigner)),
        ..Stage::usual(&clock, vec![guest, partner(STRANGER, 1)])
    };
    let agency = stage.agency(LAKESIDE).await;
    let (port, stop) = agency.listen().await;
    Two { riverton, lakeside, agency, cosigner, port, stop }
}

impl Two {
    fn open_riverton(&self) -> Ledger {
        self.riverton.open(Witnessing::any_of(vec![self.lakeside.witness()]))
    }

    fn line(&self) -> WitnessLine {
        self.riverton.line_to(&self.lakeside, self.port)
    }

    async fn ask(&self, ledger: &Ledger) -> Asked {
        ask(ledger, &self.line()).await
    }
}

async fn grow(ledger: &Ledger, count: usize) {
    for _ in 0..count {
        ledger.append(Record::platform(Event::ServiceStopped)).await.unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, there) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &there);
        } else {
            std::fs::copy(path, there).unwrap();
        }
    }
}

fn last(ledger: &Ledger) -> Event {
    ledger.read(EntryNumber(ledger.size() - 1)).unwrap().record.event
}

#[tokio::test]
async fn two_agencies_witness_each_other_over_mutual_tls() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 7).await;
    let Asked::Confirmed(events) = two.ask(&ledger).await else { panic!() };
    assert!(
        matches!(&events[..], [Event::CheckpointCosigned { witness, size: 7 }] if witness == "lakeside")
    );
    grow(&ledger, 5).await;
    assert_eq!(two.ask(&ledger).await, Asked::Confirmed(Vec::new()));
    let note = ledger.cosigned().pop().unwrap();
    assert_eq!(Checkpoint::open(&note, &two.riverton.ledger_key()).unwrap().size, 12);
    Cosignature::on(&note, &two.lakeside.witness().key).unwrap();
    let standing = ledger.witnessed().witnesses.remove(0);
    assert_eq!((standing.size, standing.state), (Some(12), WitnessState::Fresh));
    // Of two cosignatures within the hour one is on record at the witness's.
    let told = |event: &&Event| matches!(event, Event::WitnessedCheckpoint { .. });
    assert_eq!(two.agency.events().iter().filter(told).count(), 1);

    // The other way round: Riverton's listener cosigns Lakeside's ledger.
    let cosigner = two.riverton.cosigner(&ledger, vec![two.lakeside.ledger_key()]);
    let mut guest = partner(LAKESIDE, 1);
    guest.ledger_key = Some(two.lakeside.ledger_key());
    let stage = Stage {
        ledger: Some(ledger.clone()),
        cosigner: Some(cosigner),
        ..Stage::usual(&two.riverton.clock, vec![guest])
    };
    let riverton = stage.agency(RIVERTON).await;
    let (port, _stop) = riverton.listen().await;
    let size = two.agency.ledger.size();
    drop(two.stop);
    let rules = Witnessing::any_of(vec![two.riverton.witness()]);
    drop((two.agency, two.cosigner));
    // Lakeside's listener may still hold its ledger for a moment.
    let theirs = loop {
        match two.lakeside.try_open(rules.clone()) {
            Ok(ledger) => break ledger,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let asked = ask(&theirs, &two.lakeside.line_to(&two.riverton, port)).await;
    assert!(matches!(asked, Asked::Confirmed(_)), "{asked:?}");
    let event = last(&ledger);
    let Event::WitnessedCheckpoint { origin, size: seen, checkpoint } = event else { panic!() };
    assert_eq!((origin, seen), ("lakeside.example/ledger".to_owned(), size));
    Cosignature::on(&checkpoint, &two.riverton.witness().key).unwrap();
}

#[tokio::test]
async fn a_ledger_that_was_wound_back_is_named_by_its_partner_and_stops() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 6).await;
    two.ask(&ledger).await;
    drop(ledger);
    let yesterday = two.riverton.home.path().join("yesterday");
    copy(&two.riverton.folder(), &yesterday);
    let ledger = two.open_riverton();
    grow(&ledger, 4).await;
    assert!(matches!(two.ask(&ledger).await, Asked::Confirmed(_)));
    drop(ledger);
    std::fs::remove_dir_all(two.riverton.folder()).unwrap();
    copy(&yesterday, &two.riverton.folder());
    let ledger = two.open_riverton();
    grow(&ledger, 1).await;
    let Asked::Stopped(stop) = two.ask(&ledger).await else { panic!() };
    assert_eq!((stop.kind, stop.seen, stop.size), (StopKind::Rollback, 10, 7));
    assert!(stop.words().starts_with(
        "the witness lakeside has seen 10 entries, this ledger has 7: a restored backup?"
    ));
    let shown = Checkpoint::open(&stop.theirs.unwrap(), &two.riverton.ledger_key()).unwrap();
    assert_eq!(shown.size, 10);
    assert!(matches!(last(&ledger), Event::RollbackDetected { size: 7, seen: 10, .. }));
    let refused = ledger.append(Record::platform(Event::ServiceStopped)).await.unwrap_err();
    assert!(matches!(refused, ledger::AppendError::Stopped { .. }), "{refused}");
    let Event::RollbackDetected { origin, reported_by, size: 7, seen: 10 } =
        last(&two.agency.ledger)
    else {
        panic!()
    };
    assert_eq!(origin, "riverton.example/ledger");
    assert_eq!(reported_by, "lakeside.example/ledger/witness");
}

#[tokio::test]
async fn two_histories_are_refused_and_both_signed_notes_are_kept() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 6).await;
    drop(ledger);
    let yesterday = two.riverton.home.path().join("yesterday");
    copy(&two.riverton.folder(), &yesterday);
    let ledger = two.open_riverton();
    grow(&ledger, 4).await;
    two.ask(&ledger).await;
    drop(ledger);
    std::fs::remove_dir_all(two.riverton.folder()).unwrap();
    copy(&yesterday, &two.riverton.folder());
    two.riverton.clock.advance(SignedDuration::from_secs(5));
    let ledger = two.open_riverton();
    grow(&ledger, 4).await;
    let Asked::Stopped(stop) = two.ask(&ledger).await else { panic!() };
    assert_eq!((stop.kind, stop.seen), (StopKind::Fork, 10));
    let evidence = two.cosigner.witness().evidence().unwrap().remove(0);
    assert_eq!(evidence.wrong, Wrong::TwoRoots);
    let key = two.riverton.ledger_key();
    let known = Checkpoint::open(&evidence.known, &key).unwrap();
    let (request, _) = AddCheckpoint::parse(evidence.refused.as_bytes()).unwrap();
    let refused = Checkpoint::open(&request.note, &key).unwrap();
    assert_eq!((known.size, refused.size), (10, 10));
    assert_ne!(known.root, refused.root);
    assert!(matches!(last(&two.agency.ledger), Event::EquivocationDetected { size: 10, .. }));
}

#[tokio::test]
async fn a_checkpoint_that_comes_with_a_delivery_is_held_against_the_cosigned_one() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 6).await;
    two.ask(&ledger).await;
    let before = two.agency.ledger.size();
    let riverton = two.agency.exchange.book().partner(RIVERTON.0).unwrap();
    let hear = |note: String| {
        let exchange = two.agency.exchange.clone();
        async move { exchange.hear(riverton, Some(&note)).await }
    };
    hear(ledger.checkpoint().unwrap()).await;
    assert_eq!(two.agency.ledger.size(), before, "the same one is nothing to tell");
    let (key, signer) = (two.riverton.ledger_key(), two.riverton.signer());
    let other = Checkpoint { origin: key.name.clone(), size: 6, root: [7; 32] };
    let note = other.note(&key, &signer.sign(other.text().as_bytes()));
    assert!(riverton.signed(5, &note) && !riverton.signed(6, &note), "it covers six entries");
    assert!(!riverton.signed(0, &other.note(&key, &[0; 64])));
    hear(note).await;
    assert!(matches!(last(&two.agency.ledger), Event::EquivocationDetected { size: 6, .. }));
    assert_eq!(two.cosigner.witness().evidence().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_a_request_of_the_caller_s_own_log_is_refused_by_its_status() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 3).await;
    let line = two.line();
    let submission = ledger.submission("lakeside", None).unwrap().unwrap();
    let body = submission.request.encode();
    let long = format!("{body}{}", "x".repeat(REQUEST_BYTES_MAX));
    let hashes = format!("old 2\n{}\n{}", "AAAA\n".repeat(64), submission.request.note);
    for (body, expected) in [
        (String::new(), Answer::Malformed),
        (long, Answer::Malformed),
        (hashes, Answer::Malformed),
        (body.replace("riverton.example", "stranger.example"), Answer::UnknownOrigin),
        (body.replacen("\n3\n", "\n4\n", 1), Answer::BadSignature),
        (body.replacen("old 0", "old 9", 1), Answer::Malformed),
        (body.replacen("old 0", "old 2", 1), Answer::Conflict(0)),
    ] {
        assert_eq!(line.submit(body).await.unwrap(), expected);
    }
    // A partner whose ledger key we don't have has no witness here.
    let place: WitnessPlace = format!("https://127.0.0.1:{}/witness", two.port).parse().unwrap();
    let trust = wire::tls::Trust::leaf(identity(LAKESIDE).tls.certificate.clone());
    let stranger =
        super::witnessed::line("lakeside", place, &trust, Some(STRANGER), &two.riverton.clock);
    assert_eq!(stranger.submit(body.clone()).await.unwrap(), Answer::UnknownOrigin);
    assert_eq!(stranger.newest(ledger.origin()).await, None);
    assert!(matches!(line.submit(body).await.unwrap(), Answer::Cosigned(_)));
    assert!(line.newest(ledger.origin()).await.is_some());
    assert_eq!(line.newest("nobody.example/ledger").await, None);
}

#[tokio::test]
async fn a_witness_that_falls_silent_is_told_of_once_stops_releases_and_is_told_of_when_back() {
    let two = two().await;
    let ledger = two.open_riverton();
    grow(&ledger, 2).await;
    let cut = line::Line::to(two.port).await;
    let way = two.riverton.line_to(&two.lakeside, cut.port);
    let moment = Duration::from_millis(1);
    let cadence = Cadence {
        look_every: moment,
        ask_every: moment,
        refresh_every: Duration::from_millis(20),
        retry_wait_first: moment,
        retry_wait_max: Duration::from_millis(20),
        stale_every: moment,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let keeping = tokio::spawn(keep_witnessed(ledger.clone(), vec![way], cadence, async {
        stopped.await.ok();
    }));
    let has = async |wanted: fn(&Event) -> bool| {
        let all = |ledger: &Ledger| {
            (0..ledger.size()).any(|n| wanted(&ledger.read(EntryNumber(n)).unwrap().record.event))
        };
        while !all(&ledger) {
            tokio::time::sleep(moment).await;
        }
    };
    has(|event| matches!(event, Event::CheckpointCosigned { .. })).await;
    cut.cut_after(0);
    let standing = || ledger.witnessed().witnesses.remove(0);
    while standing().last_error.is_none() {
        tokio::time::sleep(moment).await;
    }
    two.riverton.clock.advance(SignedDuration::from_mins(16));
    has(|event| matches!(event, Event::WitnessStale { minutes: 16, last: Some(_), .. })).await;
    assert!(ledger.releasable().is_ok(), "told of, and not yet refused");
    two.riverton.clock.advance(SignedDuration::from_mins(240));
    assert!(ledger.releasable().is_err());
    grow(&ledger, 1).await;
    cut.mend();
    has(|event| matches!(event, Event::WitnessRecovered { .. })).await;
    assert!(ledger.releasable().is_ok());
    stop.send(()).unwrap();
    keeping.await.unwrap();
}

#[tokio::test]
async fn what_is_sealed_does_not_leave_while_no_witness_has_confirmed_the_ledger() {
    let clock = Arc::new(FixedClock::new(now()));
    let (riverton, lakeside) = (House::new(RIVERTON, 11, &clock), House::new(LAKESIDE, 12, &clock));
    let mut rules = Witnessing::any_of(vec![lakeside.witness()]);
    (rules.warn_after, rules.refuse_after) = (Duration::from_secs(1), Duration::from_secs(60));
    let ledger = Some(riverton.open(rules));
    let stage = Stage { ledger, ..Stage::usual(&clock, vec![partner(LAKESIDE, 1)]) };
    let agency = stage.agency(RIVERTON).await;
    let export = agency.sealed().await.unwrap();
    clock.advance(SignedDuration::from_secs(61));
    let error = agency.exchange.deliver(export.id).await.unwrap_err();
    assert!(matches!(error, ExchangeError::NotReleasable(_)), "{error:?}");
    agency.exchange.work_once(None).await.unwrap();
    let export = agency.exchange.export(export.id).await.unwrap();
    assert_eq!(export.status, ExportStatus::Sealed);
    assert_eq!(export.details.delivery.failures, 0, "it is no failure of the partner's");
    assert_eq!(agency.count("parcel-sent"), 0);
}

/// The settings of a witness that stands alone, for these logs.
fn settings_of(home: &Path, logs: &[VerifierKey]) -> PathBuf {
    let mut text = r#"name = "w.example/witness"
listen = "127.0.0.1:0"
hosts = ["127.0.0.1"]
folder = "data"
master_key = "witness.key"
tls_certificate = "tls.pem"
tls_key = "tls.key"
"#
    .to_owned();
    for log in logs {
        text.push_str(&format!("\n[[log]]\nkey = \"{log}\"\n"));
    }
    let file = home.join("witness.toml");
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test]
async fn a_witness_that_stands_alone_makes_its_keys_and_remembers_across_restarts() {
    let clock = Arc::new(FixedClock::new(now()));
    let riverton = House::new(RIVERTON, 11, &clock);
    let home = tempfile::tempdir().unwrap();
    let file = settings_of(home.path(), &[riverton.ledger_key()]);
    let mut known: Option<String> = None;
    for round in 0..2_u64 {
        let witness = StandAlone::open(&file, clock.clone(), &SystemRandom).await.unwrap();
        let key = witness.key();
        assert_eq!(known.get_or_insert_with(|| key.clone()), &key, "its key stays");
        let seen = (round > 0).then_some(3);
        assert_eq!(witness.sizes(), [("riverton.example/ledger".to_owned(), seen)]);
        let place = format!("https://{}", witness.address().unwrap()).parse::<WitnessPlace>();
        let place = WitnessPlace { prefix: "/witness".to_owned(), ..place.unwrap() };
        let pem = std::fs::read_to_string(witness.certificate()).unwrap();
        let trust = wire::tls::Trust::leaf(Certificate::from_pem(&pem).unwrap());
        let way = line("apart", place, &trust, None, &clock);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(witness.serve(async {
            stopped.await.ok();
        }));
        let key = WitnessKey::parse(&key).unwrap();
        let rules = Witnessing::any_of(vec![KnownWitness { name: "apart".to_owned(), key }]);
        let ledger = riverton.open(rules);
        grow(&ledger, 3).await;
        assert!(matches!(ask(&ledger, &way).await, Asked::Confirmed(_)));
        assert_eq!(ledger.witnessed().witnesses[0].size, Some(3 + 3 * round));
        stop.send(()).unwrap();
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn settings_of_a_witness_that_make_no_sense_are_refused_with_their_line() {
    let home = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(now()));
    let file = settings_of(home.path(), &[]);
    let good = std::fs::read_to_string(&file).unwrap();
    for (change, expected) in [
        (good.replace("hosts", "host"), "line 3: unknown field `host`"),
        (good.replace(r#"["127.0.0.1"]"#, "[]"), "`hosts` needs 1 to 16 names"),
        (format!("{good}\n[[log]]\nkey = \"x+y+z\"\n"), "`x+y+z` is not a log's verifier key"),
    ] {
        std::fs::write(&file, change).unwrap();
        let error = StandAlone::open(&file, clock.clone(), &SystemRandom).await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!home.path().join("witness.key").exists(), "no key is made for wrong settings");
    }
}
