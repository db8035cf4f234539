//! A witness that others wrote, in another language, from the specifications alone (aics-witness): it cosigns
//! this ledger, and names it when it was wound back or has two histories.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use keys::{SystemClock, SystemRandom};
use ledger::testing::{SimDisk, keys, settings};
use ledger::watched::{Asked, KnownWitness, WitnessState, Witnessing};
use ledger::witness::{Answer, WitnessKey, origin_id};
use ledger::{Health, Ledger, Settings};
use testkit::TlogWitness;
use tokio::runtime::Runtime;

use crate::common::{FOLDER, append, numbered};
use crate::watched::grow;

const NAME: &str = "state.example/w1";

/// Status, content type and body of what the witness answers.
fn http(port: u16, head: &str, body: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let request = format!(
        "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let name = "content-type: ";
    let of_type = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
    (
        status,
        of_type.map_or(String::new(), |it| it[name.len()..].to_owned()),
        answer[at + 4..].to_vec(),
    )
}

fn open(disk: &Arc<SimDisk>, witness: &TlogWitness) -> Ledger {
    let key = WitnessKey::parse(&witness.key).unwrap();
    let known = KnownWitness { name: "state".to_owned(), key };
    let witnessing = Witnessing::any_of(vec![known]);
    let settings = Settings { witnessing, ..settings(Path::new(FOLDER)) };
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Ledger::open_on(Arc::clone(disk) as _, settings, keys(), clock, random).unwrap()
}

/// Asks as a follower does: again where the witness says from where, and with its own note in hand.
fn ask(ledger: &Ledger, witness: &TlogWitness) -> (Vec<u16>, Asked) {
    let (mut old, mut statuses) = (None, Vec::new());
    loop {
        let submission = ledger.submission("state", old).unwrap().unwrap();
        let body = submission.request.encode();
        let (status, of_type, body) = http(witness.port, "POST /add-checkpoint", &body);
        statuses.push(status);
        let answer = Answer::read(status, &of_type, &body);
        let path = format!("GET /{}/checkpoint", hex::encode(origin_id(ledger.origin())));
        let (status, _, theirs) = http(witness.port, &path, "");
        let theirs = (status == 200).then(|| String::from_utf8(theirs).unwrap());
        match ledger.take_answer(&submission, &answer, theirs.as_deref()) {
            Asked::Again(size) if statuses.len() < 3 => old = Some(size),
            asked => return (statuses, asked),
        }
    }
}

#[test]
fn a_witness_that_others_wrote_cosigns_this_ledger_and_names_it_when_it_was_wound_back() {
    let run = Runtime::new().unwrap();
    let (origin, key) = {
        let ledger = ledger::testing::ledger(Arc::new(SystemClock));
        (ledger.origin().to_owned(), ledger.verifier_key())
    };
    let started = run.block_on(TlogWitness::start(NAME, &origin, &key)).unwrap();
    let Some(witness) = started else { return };
    let disk = Arc::new(SimDisk::new());
    let ledger = open(&disk, &witness);
    grow(&ledger, 3);
    let (statuses, asked) = ask(&ledger, &witness);
    assert!(matches!(asked, Asked::Confirmed(_)), "{statuses:?} {asked:?} {}", witness.output());
    assert_eq!(statuses, [200]);
    // The proofs of a tree that grows over many sizes.
    for more in [1, 4, 250, 7] {
        grow(&ledger, more);
        let (statuses, asked) = ask(&ledger, &witness);
        assert_eq!((statuses, asked), (vec![200], Asked::Confirmed(Vec::new())), "{more} more");
    }
    let standing = ledger.witnessed();
    assert_eq!(standing.witnesses[0].size, Some(265));
    assert_eq!(standing.witnesses[0].state, WitnessState::Fresh);
    ledger.close().unwrap();
    drop(ledger);
    let backup = Arc::new(disk.copy());

    let ledger = open(&disk, &witness);
    grow(&ledger, 5);
    assert!(matches!(ask(&ledger, &witness).1, Asked::Confirmed(_)));
    drop(ledger);

    // Yesterday's copy is put back: the witness holds more than the ledger has.
    let ledger = open(&backup, &witness);
    let (statuses, asked) = ask(&ledger, &witness);
    assert_eq!(statuses.last(), Some(&409));
    assert!(matches!(asked, Asked::Stopped(_)), "{asked:?}");
    let Health::Stalled { why, .. } = ledger.health() else { panic!("it goes on") };
    assert!(why.contains("the witness state has seen 270 entries"), "{why}");
    assert!(append(&ledger, numbered(0)).is_err());
    drop(ledger);

    // Another copy went on by itself, further than the witness has seen: a second history.
    let fork = Arc::new(disk.copy());
    let both = [(&disk, 8), (&fork, 9)];
    let [first, second] = both.map(|(disk, more)| {
        let ledger = open(disk, &witness);
        for number in 0..more {
            append(&ledger, numbered(1000 * more + number)).unwrap();
        }
        ledger
    });
    assert!(matches!(ask(&first, &witness).1, Asked::Confirmed(_)));
    let (statuses, asked) = ask(&second, &witness);
    assert!(statuses.contains(&422), "{statuses:?}");
    assert!(matches!(asked, Asked::Stopped(_)), "{asked:?}");
    let kept = run.block_on(witness.evidence()).unwrap();
    assert!(kept.contains(&origin), "the witness keeps what proves it: {kept}");
}
