//! The ways to partners as files declare them, and object storage over verified TLS: what is laid down is read back.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use exchange::{Book, Delivery, Load, LoadFile, Partner, Route, Way};
use keys::cert::{Certificate, Usage};
use keys::sign::P384Key;
use keys::{Clock, SystemClock, SystemRandom};
use testkit::S3;
use web::config::{ExchangeConfig, MediumConfig};
use web::depots;

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

const LAKESIDE: &str = "NB0020000";
const BUCKET: &str = "lakeside-drop";

/// Lakeside, with these ways to it.
fn book(base: &Path, blocks: &[String]) -> Book {
    let (certificate, _) = certify("lakeside", Usage::Signing, None);
    let deliveries = blocks.iter().map(|text| {
        let mut settings: toml::Table = toml::from_str(text).unwrap();
        let name = settings.remove("name").unwrap().as_str().unwrap().to_owned();
        Delivery { name, settings, base: base.to_owned(), pinned: Vec::new() }
    });
    let partner = Partner {
        ori: LAKESIDE.parse().unwrap(),
        name: "Lakeside County Sheriff".to_owned(),
        server: Some(exchange::Server {
            host: "lakeside.example".to_owned(),
            port: 8444,
            addresses: wire::Addresses::Public,
            tls: certificate.clone(),
        }),
        signing: Some(certificate.clone()),
        sealing: certificate,
        sealing_kem: None,
        revoked: Vec::new(),
        time_stamps: Vec::new(),
        quota_bytes: 1 << 20,
        ledger_key: None,
        jurisdiction: None,
        deliveries: deliveries.collect(),
    };
    Book::new(vec![partner], Vec::new())
}

fn open(base: &Path, blocks: &[String], media: &[&str]) -> Result<Vec<Route>, String> {
    let file = || PathBuf::from("x");
    let medium = |name: &&str| MediumConfig {
        name: (*name).to_owned(),
        folder: base.join("media"),
        zip: true,
        mounted: true,
    };
    let settings = ExchangeConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        tls_certificate: file(),
        tls_key: file(),
        signing_certificate: file(),
        signing_key: file(),
        recipient_certificate: file(),
        recipient_key: file(),
        recipient_certificate_kem: None,
        recipient_key_kem: None,
        folder: file(),
        bytes_per_second_max: None,
        medium: media.iter().map(medium).collect(),
        destroy_when_due: false,
        keep_sent_days: 90,
        time_stamps: None,
        time_stamp_authority: None,
        scanner: None,
        guests: None,
        films: None,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    depots::open(&settings, &book(base, blocks), &clock).map_err(|error| wire::causes(&error))
}

/// Something that is laid down like a parcel.
fn load(folder: &Path) -> Load {
    let file = |path: &str, bytes: Vec<u8>| {
        let place = folder.join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, &bytes).unwrap();
        let (length, sha256) = (bytes.len() as u64, keys::digest::sha256(&bytes));
        LoadFile { path: path.to_owned(), bytes: length, sha256 }
    };
    let part = |number: u8| vec![number; 300_000 + usize::from(number)];
    let mut files: Vec<_> = (0..5).map(|n| file(&parcel::part_path(n.into()), part(n))).collect();
    files.push(file("bagit.txt", b"BagIt-Version: 1.0\n".to_vec()));
    files.push(file("seal/tagmanifest-sha256.txt.p7s", b"signature".to_vec()));
    Load { parcel: uuid::Uuid::from_bytes([7; 16]), folder: folder.to_owned(), files, parts: 5 }
}

#[test]
fn what_is_wrong_with_a_way_is_said_with_its_partner_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let sftp = "name = \"sftp\"\nkind = \"sftp\"\nhost = \"sftp.example\"\nuser = \"riverton\"\n\
                folder = \"incoming\"\nkey_file = \"k\"\nknown_hosts_file = \"h\"\n";
    let drop = "name = \"drop\"\nkind = \"folder\"\nfolder = \"drop\"\n";
    let routes = open(folder.path(), &[sftp.to_owned(), drop.to_owned()], &["usb"]).unwrap();
    let words: Vec<String> = routes.iter().map(|route| route.depot.words()).collect();
    assert_eq!(words[0], "SFTP server sftp.example, port 22, as riverton, folder incoming");
    assert!(words[2].starts_with("a medium in ") && routes[2].partner.is_none(), "{words:?}");
    for (block, media, said) in [
        (sftp.replace("\"sftp.example\"", "\"-oProxyCommand=x\""), "usb", "`host`"),
        (sftp.replace("user = ", "person = "), "usb", "person"),
        (drop.replace("\"folder\"", "\"tape\""), "usb", "`kind`"),
        (drop.to_owned(), "drop", "`drop`"),
        (drop.to_owned(), "push", "`push`"),
    ] {
        let error = open(folder.path(), &[block], &[media]).map(|_| ()).unwrap_err();
        assert!(error.contains(said), "{said}: {error}");
        assert!(media != "usb" || error.contains(LAKESIDE), "{error}");
    }
}

#[tokio::test]
async fn a_folder_and_a_bucket_hold_what_was_sent_or_the_delivery_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, key) = certify("Test Authority", Usage::Ca, None);
    let (server, server_key) = certify("localhost", Usage::TlsServer, Some((&authority, &key)));
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    std::fs::write(file("server.pem"), server.pem()).unwrap();
    let secret = keys::cert::private_key_pem(&server_key.to_pkcs8());
    std::fs::write(file("server.key"), secret).unwrap();
    let (pem, key, ca) = (file("server.pem"), file("server.key"), file("ca.pem"));
    let started = S3::start(&pem, &key, &ca, BUCKET);
    let Some(s3) = started.await.unwrap() else { return };
    let create = |name: &str, text: &str| {
        keys::file::create(&keys::file::SystemDisk, &file(name), text.as_bytes(), 0o600).unwrap();
    };
    create("access.key", &s3.access_key);
    let (id, key) = s3.access_key.trim().split_once('\n').unwrap();
    create("wrong.key", &format!("{id}\n{}\n", "A".repeat(40)));
    let bucket = |name: &str, key: &str| {
        format!(
            "name = \"{name}\"\nkind = \"s3\"\nendpoint = \"https://localhost:{}\"\nregion = \"us-east-1\"\n\
             bucket = \"{BUCKET}\"\nprefix = \"from-riverton\"\naccess_key_file = \"{key}\"\n\
             ca_file = \"ca.pem\"\nprivate_addresses = true\n",
            s3.port
        )
    };
    let drop = "name = \"drop\"\nkind = \"folder\"\nfolder = \"drop\"\n".to_owned();
    let blocks = [drop, bucket("bucket", "access.key"), bucket("other", "wrong.key")];
    let routes = open(folder.path(), &blocks, &[]).unwrap();
    let load = load(&file("sealed"));
    for route in routes.iter().take(2) {
        route.depot.lay(&load, &Way::unwatched()).await.unwrap();
    }
    let laid = file("drop").join(load.top());
    for one in &load.files {
        let bytes = std::fs::read(laid.join(&one.path)).unwrap();
        assert_eq!(keys::digest::sha256(&bytes), one.sha256, "{}", one.path);
    }
    // Somebody altered one object and removed another: both are put again, and only they.
    let alter = "
import boto3, sys
endpoint, ca, bucket, id, secret = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, verify=ca, region_name='us-east-1',
                  aws_access_key_id=id, aws_secret_access_key=secret)
def objects():
    pages = s3.get_paginator('list_objects_v2').paginate(Bucket=bucket)
    return {it['Key']: (it['Size'], it['LastModified']) for page in pages for it in page.get('Contents', [])}
keys = sorted(objects())
assert len(keys) == 7 and all(key.startswith('from-riverton/parcel-07070707-') for key in keys), keys
part = next(key for key in keys if key.endswith('part-000001.p7m'))
s3.put_object(Bucket=bucket, Key=part, Body=bytes([9]) * 300001)
s3.delete_object(Bucket=bucket, Key=next(key for key in keys if key.endswith('bagit.txt')))
print('altered')
";
    let args = [BUCKET, id, key];
    assert!(s3.python(alter, &args).await.unwrap().contains("altered"));
    routes[1].depot.lay(&load, &Way::unwatched()).await.unwrap();
    let look = "
import boto3, sys
endpoint, ca, bucket, id, secret = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, verify=ca, region_name='us-east-1',
                  aws_access_key_id=id, aws_secret_access_key=secret)
keys = [it['Key'] for it in s3.list_objects_v2(Bucket=bucket)['Contents']]
part = next(key for key in keys if key.endswith('part-000001.p7m'))
body = s3.get_object(Bucket=bucket, Key=part)['Body'].read()
print(len(keys), body == bytes([1]) * 300001)
";
    assert_eq!(s3.python(look, &args).await.unwrap().trim(), "7 True");
    let error = routes[2].depot.lay(&load, &Way::unwatched()).await.unwrap_err();
    assert!(error.to_string().contains("could not"), "{error}");
}
