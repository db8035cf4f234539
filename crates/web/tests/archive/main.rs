//! A ledger's archive in object storage over verified TLS, with Object Lock, in one story because the
//! simulator takes seconds to start. Every request is signed, and the simulator holds the signature.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod objects;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keys::cert::{Certificate, Usage};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};
use ledger::archive::{
    Archive, ArchiveError, Archived, CheckArchive, Shelf, archive, verify_archive,
};
use ledger::{Event, Ledger, Record};
use testkit::S3;
use web::config::{LockMode, StorageConfig};
use web::storage;

fn certify(
    name: &str,
    usage: Usage,
    issuer: Option<(&Certificate, &P384Key)>,
) -> (Certificate, P384Key) {
    let now = SystemClock.now();
    let spec = keys::cert::CertSpec {
        subject_cn: name.to_owned(),
        organisation: "Bailiwick tests".to_owned(),
        not_before: now - jiff::SignedDuration::from_mins(5),
        not_after: now + jiff::SignedDuration::from_hours(1),
        usage,
        dns: if usage == Usage::TlsServer { vec![name.to_owned()] } else { Vec::new() },
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let key = P384Key::generate().unwrap();
    (keys::cert::issue(&spec, &key, issuer, &SystemRandom).unwrap(), key)
}

struct Case {
    s3: S3,
    folder: tempfile::TempDir,
}

const BUCKET: &str = "riverton-ledger";

impl Case {
    /// None where the simulator is not installed and that is no failure.
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (authority, key) = certify("Test Authority", Usage::Ca, None);
        let (server, server_key) = certify("localhost", Usage::TlsServer, Some((&authority, &key)));
        let (other, _) = certify("Another Authority", Usage::Ca, None);
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem());
        write("other-ca.pem", &other.pem());
        write("server.pem", &server.pem());
        write("server.key", &keys::cert::private_key_pem(&server_key.to_pkcs8()));
        let file = |name: &str| folder.path().join(name);
        let (certificate, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
        let s3 = S3::start(&certificate, &key, &ca, BUCKET).await.unwrap()?;
        let case = Self { s3, folder };
        case.secret("access.key", &case.s3.access_key);
        let (id, _) = case.s3.access_key.split_once('\n').unwrap();
        case.secret("wrong.key", &format!("{id}\n{}\n", "A".repeat(40)));
        Some(case)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.file(name);
        keys::file::create(&keys::file::SystemDisk, &path, text.as_bytes(), 0o600).unwrap();
    }

    fn shelf(&self, access_key: &str, ca: &str, private_addresses: bool) -> Box<dyn Shelf> {
        let config = StorageConfig::S3 {
            endpoint: format!("https://localhost:{}", self.s3.port),
            region: "us-east-1".to_owned(),
            bucket: BUCKET.to_owned(),
            prefix: "riverton/ledger".to_owned(),
            access_key_file: self.file(access_key),
            ca_file: Some(self.file(ca)),
            private_addresses,
            lock: LockMode::Compliance,
        };
        storage::open(&config, Arc::new(SystemClock)).unwrap()
    }

    async fn boto(&self, script: &str) -> String {
        let (id, secret) = self.s3.access_key.trim().split_once('\n').unwrap();
        let script = format!("{BOTO}{script}");
        self.s3.python(&script, &[BUCKET, id, secret]).await.unwrap()
    }
}

const BOTO: &str = "
import boto3, sys
from botocore.exceptions import ClientError
endpoint, ca, bucket, id, secret = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, verify=ca, region_name='us-east-1',
                  aws_access_key_id=id, aws_secret_access_key=secret)
def objects():
    pages = s3.get_paginator('list_objects_v2').paginate(Bucket=bucket)
    return [it['Key'] for page in pages for it in page.get('Contents', [])]
segment = 'riverton/ledger/log/00000000.seg'
";

fn ledger(folder: &Path) -> Ledger {
    let settings = ledger::Settings {
        segment_bytes: 64 << 10,
        journal_bytes: 64 << 10,
        ..ledger::testing::settings(folder)
    };
    let (keys, clock) = (ledger::testing::keys(), Arc::new(SystemClock));
    Ledger::open_or_create(settings, keys, clock, Arc::new(SystemRandom)).unwrap()
}

async fn put(folder: &Path, shelf: &dyn Shelf) -> Result<Archived, ArchiveError> {
    let keys = ledger::testing::keys();
    let (now, progress) = (SystemClock.now(), &mut |_, _| {});
    archive(folder, shelf, Archive { signer: &keys.signer, content: None, now, progress }).await
}

async fn held(shelf: &dyn Shelf) -> Result<u64, ArchiveError> {
    let with =
        CheckArchive { key: None, expect_size: None, checkpoint: None, progress: &mut |_, _| {} };
    Ok(verify_archive(&*shelf.open(), with).await?.size)
}

#[tokio::test]
async fn an_archive_in_s3_is_locked_and_holds_whatever_is_put_over_it() {
    let Some(case) = Case::start().await else { return };
    let folder = case.file("ledger");
    let ledger = ledger(&folder);
    for count in 0.. {
        // Two segments of the log are closed.
        if std::fs::read_dir(folder.join("log")).unwrap().count() > 2 {
            break;
        }
        let event = Event::AuditRead { what: "test".to_owned(), count };
        ledger.append(Record::platform(event)).await.unwrap();
    }

    // A wrong secret, an authority that did not issue the certificate, an address that was not declared:
    // nothing is put, and the secret is in no error.
    for (access_key, ca, private, expected) in [
        ("wrong.key", "ca.pem", true, "SignatureDoesNotMatch"),
        ("access.key", "other-ca.pem", true, "UnknownIssuer"),
        ("access.key", "ca.pem", false, "a private address"),
    ] {
        let shelf = case.shelf(access_key, ca, private);
        let error = put(&folder, &*shelf).await.unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(&"A".repeat(40)), "the secret is in an error");
    }
    assert_eq!(case.boto("print(len(objects()))").await.trim(), "0");

    let shelf = case.shelf("access.key", "ca.pem", true);
    let done = put(&folder, &*shelf).await.unwrap();
    assert!(done.segments >= 2, "{done:?}");
    assert_eq!(held(&*shelf).await.unwrap(), done.size);
    assert_eq!(put(&folder, &*shelf).await.unwrap().segments, 0);

    // Amazon's own client sees the lock, on everything but the public name of the ledger.
    // Until the month is over in which the youngest may go: from December that is in the year after.
    let now = SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC);
    let year = now.year() + 3 + i16::from(now.month() == 12);
    let locks = "
for key in objects():
    head = s3.head_object(Bucket=bucket, Key=key)
    until = head.get('ObjectLockRetainUntilDate')
    print(key.removeprefix('riverton/ledger/'), head.get('ObjectLockMode'), until and until.year)
";
    let locks = case.boto(locks).await;
    for line in locks.lines() {
        let expected = if line.starts_with("ledger ") {
            "ledger None None".to_owned()
        } else {
            format!("{} COMPLIANCE {year}", line.split(' ').next().unwrap())
        };
        assert_eq!(line, expected);
    }
    assert_eq!(locks.lines().count() as u64, done.objects + done.segments + 1);

    // What is locked can't be deleted. What is put over it, or marks it as deleted, hides nothing: the
    // manifest names the version.
    let refused = case.boto(
        "
version = s3.head_object(Bucket=bucket, Key=segment)['VersionId']
try:
    s3.delete_object(Bucket=bucket, Key=segment, VersionId=version)
except ClientError as error:
    print(error.response['Error']['Code'])
try:
    s3.put_object(Bucket=bucket, Key=segment, Body=b'forged', IfNoneMatch='*')
except ClientError as error:
    print(error.response['Error']['Code'])
s3.put_object(Bucket=bucket, Key=segment, Body=b'forged')
",
    );
    assert_eq!(refused.await, "AccessDenied\nPreconditionFailed\n");
    assert_eq!(held(&*shelf).await.unwrap(), done.size);
    case.boto("s3.delete_object(Bucket=bucket, Key=segment)").await;
    assert_eq!(held(&*shelf).await.unwrap(), done.size);

    // A manifest that was put over is named.
    let manifest =
        "s3.put_object(Bucket=bucket, Key=segment.replace('.seg', '.manifest'), Body=b'x')";
    case.boto(manifest).await;
    let error = held(&*shelf).await.unwrap_err().to_string();
    assert_eq!(error, "`log/00000000.manifest` does not hold: not a signed note");
    ledger.close().unwrap();
}
