//! A real ClamAV says of files, sealed ones too, that they are clean, infected, or not fully looked at.

use std::io::Read;
use std::net::TcpStream;

use parcel::scan::{self, Outcome, ScanError};
use parcel::{Entry, Parcel};
use testkit::Clamd;

use crate::support::{World, noise, now};

const STREAM_BYTES_MAX: u64 = 1 << 20;

/// The scanner runs as long as the runtime does.
fn clamd() -> Option<(tokio::runtime::Runtime, Clamd)> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clamd = runtime.block_on(Clamd::start(STREAM_BYTES_MAX)).unwrap()?;
    Some((runtime, clamd))
}

fn ask(port: u16, file: &mut dyn Read, length: u64, bytes_max: u64) -> Result<Outcome, ScanError> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    scan::scan(&mut stream, file, length, bytes_max)
}

#[test]
fn clamav_finds_clean_infected_and_not_fully_scanned() {
    let Some((_runtime, clamd)) = clamd() else { return };
    let say = |bytes: &[u8], most| ask(clamd.port, &mut &*bytes, bytes.len() as u64, most).unwrap();
    let engine = scan::engine(&mut TcpStream::connect(("127.0.0.1", clamd.port)).unwrap()).unwrap();
    assert!(engine.starts_with("ClamAV "), "{engine}");
    assert_eq!(say(b"saw it\n", STREAM_BYTES_MAX), Outcome::Clean);
    assert_eq!(say(b"", STREAM_BYTES_MAX), Outcome::Clean);
    let Outcome::Infected(name) = say(&Clamd::eicar(), STREAM_BYTES_MAX) else {
        panic!("it was not found")
    };
    assert!(name.contains("EICAR"), "{name}");
    // We send no more than we were told to; of a scanner that takes less than that, its own word counts.
    let large = noise(3 << 20, 5);
    let Outcome::NotFully { scanned, .. } = say(&large, 500_000) else {
        panic!("not all of it was sent")
    };
    assert_eq!(scanned, 500_000);
    let limit = ask(clamd.port, &mut &*large, large.len() as u64, 2 << 20);
    let said = matches!(&limit, Ok(Outcome::NotFully { scanned: 0, .. }));
    assert!(said || matches!(&limit, Err(ScanError::HungUp { .. })), "{limit:?}");
    // Infected where it could be seen is infected, however long the file is.
    let mut long = Clamd::eicar();
    long.extend_from_slice(&large);
    assert!(matches!(say(&long, 500_000), Outcome::Infected(_) | Outcome::NotFully { .. }));
}

#[test]
fn sealed_file_is_scanned_from_its_parts() {
    let Some((_runtime, clamd)) = clamd() else { return };
    let world = World::new();
    let out = world.path("parcel");
    let entries = vec![
        Entry::from_bytes("a.bin", "x/y", now(), noise(20_000, 3)),
        Entry::from_bytes("invoice.txt", "text/plain", now(), Clamd::eicar()),
    ];
    parcel::seal(world.order(entries, 4096), &out).unwrap();
    let parcel = Parcel::enter(&out, &world.trust()).unwrap();
    let unlocked = parcel.unlock(&world.recipient).unwrap();
    let outcomes: Vec<_> = unlocked
        .files()
        .iter()
        .map(|file| {
            let mut bytes = unlocked.stream(&file.path).unwrap();
            ask(clamd.port, &mut bytes, file.length, STREAM_BYTES_MAX).unwrap().as_str()
        })
        .collect();
    assert_eq!(outcomes, ["clean", "infected"]);
}

#[test]
fn scanner_that_is_gone_or_says_nonsense_gives_no_outcome() {
    let gone = testkit::free_port().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", gone)).is_err());
    for answer in ["", "hello\0", "stream: OK or so\0"] {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 10 + 4 + 3 + 4];
            stream.read_exact(&mut asked).unwrap();
            std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
        });
        assert!(ask(port, &mut &b"abc"[..], 3, 10).is_err(), "{answer:?}");
        server.join().unwrap();
    }
}
