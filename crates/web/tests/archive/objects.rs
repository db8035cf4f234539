//! Closed ranges of a ledger in PostgreSQL, in S3 with Object Lock: what is put over one, or hides it, does
//! not reach the version that the database names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keys::{Clock, FixedClock, SystemRandom};
use ledger::retention::Order;
use ledger::{
    Database, Dial, Dialling, EntryNumber, Event, Ledger, Login, ObjectStorage, ReadError, Record,
    Stream,
};
use testkit::Postgres;

use super::Case;

const PASSWORD: &str = "open-sesame";
const ENTRIES: u64 = 6;

struct Socket(PathBuf);

impl Dial for Socket {
    fn dial(&self) -> Dialling<'_> {
        Box::pin(async move {
            let stream = tokio::net::UnixStream::connect(&self.0).await?;
            let stream: Box<dyn Stream> = Box::new(stream);
            let (user, database) = ("postgres".to_owned(), "postgres".to_owned());
            Ok((stream, Login { user, password: PASSWORD.to_owned(), database }))
        })
    }
}

fn open(case: &Case, socket: PathBuf, clock: &Arc<FixedClock>) -> Ledger {
    let shelf = case.shelf("access.key", "ca.pem", true);
    let objects = ObjectStorage {
        after: Duration::ZERO,
        keep_entries: 1,
        range_bytes: 1,
        wait: Duration::from_secs(3600),
        ..ObjectStorage::new(shelf.into())
    };
    let database = Database { objects: Some(objects), ..Database::new(Arc::new(Socket(socket))) };
    let (settings, keys) =
        (ledger::testing::settings(&case.file("shared")), ledger::testing::keys());
    Ledger::open_shared(database, settings, keys, clock.clone(), Arc::new(SystemRandom)).unwrap()
}

fn read_all(ledger: &Ledger) {
    for entry in 0..ENTRIES {
        ledger.read(EntryNumber(entry)).unwrap();
    }
    assert_eq!(ledger.verify().unwrap().result, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_of_a_shared_ledger_in_s3_are_locked_and_read_by_their_version() {
    let Some(case) = Case::start().await else { return };
    let started = Postgres::start_durable(&std::env::temp_dir(), PASSWORD).await.unwrap();
    let Some(server) = started else { return };
    let clock = Arc::new(FixedClock::new(keys::SystemClock.now()));
    let ledger = tokio::task::block_in_place(|| open(&case, server.socket(), &clock));
    for count in 0..ENTRIES {
        let event = Event::AuditRead { what: "test".to_owned(), count };
        ledger.append(Record::platform(event)).await.unwrap();
    }
    let moved = tokio::task::block_in_place(|| ledger.shelve()).unwrap();
    assert_eq!((moved.logs, moved.bodies), (ENTRIES - 1, ENTRIES - 1));
    tokio::task::block_in_place(|| read_all(&ledger));
    ledger.close().unwrap();

    let until = clock.now().to_zoned(jiff::tz::TimeZone::UTC).year() + 3;
    let said = case
        .boto(
            "
for key in objects():
    head = s3.head_object(Bucket=bucket, Key=key)
    print(head['ObjectLockMode'], head['ObjectLockRetainUntilDate'].year)
key = [it for it in objects() if '/log/0000000000000002-' in it][0]
s3.put_object(Bucket=bucket, Key=key, Body=b'another')
s3.delete_object(Bucket=bucket, Key=[it for it in objects() if '/body/' in it][0])
",
        )
        .await;
    let locks: Vec<&str> = said.lines().collect();
    assert_eq!(locks.len() as u64, 2 * (ENTRIES - 1));
    let year = |it: i16| format!("COMPLIANCE {it}");
    assert!(locks.iter().all(|it| *it == year(until) || *it == year(until + 1)), "{said}");
    let ledger = tokio::task::block_in_place(|| open(&case, server.socket(), &clock));
    tokio::task::block_in_place(|| read_all(&ledger));

    // Disposal: none is listed any more, and what the lock keeps can't be read by anybody.
    let bucket = ledger.retention().unwrap().buckets.first().unwrap().bucket;
    clock.set(bucket.due().unwrap());
    let order = Order { authority: "schedule 1".to_owned(), ..Order::default() };
    tokio::task::block_in_place(|| ledger.dispose(bucket, order)).unwrap();
    let gone = tokio::task::block_in_place(|| ledger.read(EntryNumber(1))).unwrap_err();
    assert!(matches!(gone, ReadError::Disposed { .. }), "{gone}");
    let said = case
        .boto(
            "
print(len([it for it in objects() if '/body/' in it]))
versions = s3.list_object_versions(Bucket=bucket)['Versions']
print(len([it for it in versions if '/body/' in it['Key']]))
",
        )
        .await;
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", &(ENTRIES - 1).to_string()]);
    tokio::task::block_in_place(|| ledger.close()).unwrap();
}
