//! The public vectors, judged by this reader and by the Python script beside them.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use keys::cert::{Certificate, private_key_from_pem};
use parcel::{Recipient, RecipientKey, Refused, Trust, Watch};
use serde_json::Value;

use crate::support::{copy_folder, python_tool, quick_folder, run};

fn vectors() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/vectors/parcel"))
}

fn text(name: &str) -> String {
    std::fs::read_to_string(vectors().join(name)).unwrap()
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn recipient(certificate: &str, key: &str) -> Recipient {
    let key = private_key_from_pem(&text(key)).unwrap();
    Recipient {
        certificate: Certificate::from_pem(&text(certificate)).unwrap(),
        key: RecipientKey::from_pkcs8(&key).unwrap(),
    }
}

fn trust(index: &Value, change: &Value) -> Trust {
    let of = |key| change.get(key).unwrap_or(&index[key]).as_str().unwrap();
    let now: Timestamp = of("at").parse().unwrap();
    Trust { senders: Certificate::chain_from_pem(&text(of("sender"))).unwrap(), now }
}

fn apply(copy: &Path, change: &Value) {
    let number = |key: &str| usize::try_from(change[key].as_u64().unwrap()).unwrap();
    let edit = |name: &str, how: &dyn Fn(&mut Vec<u8>)| {
        let path = copy.join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        how(&mut bytes);
        std::fs::write(path, bytes).unwrap();
    };
    let name = |key: &str| change.get(key).and_then(Value::as_str);
    if let Some(file) = name("flip") {
        edit(file, &|bytes| bytes[number("offset")] ^= u8::try_from(number("xor")).unwrap());
    } else if let Some(file) = name("cut") {
        edit(file, &|bytes| bytes.truncate(number("length")));
    } else if let Some(file) = name("put") {
        std::fs::write(copy.join(file), string(change, "text")).unwrap();
    } else if let Some(file) = name("remove") {
        std::fs::remove_file(copy.join(file)).unwrap();
    } else if let Some(file) = name("copy") {
        std::fs::copy(vectors().join(string(change, "from")), copy.join(file)).unwrap();
    } else {
        copy_folder(&vectors().join(string(change, "overlay")), copy);
    }
}

fn judge(parcel: &Path, trust: &Trust, us: Option<&Recipient>) -> Result<(), Refused> {
    match us {
        Some(us) => parcel::verify_inside(parcel, us, trust, Watch::none()).map(|_| ()),
        None => parcel::verify(parcel, trust, Watch::none()).map(|_| ()),
    }
}

#[test]
fn our_reader_judges_the_vectors_as_their_index_says() {
    let index: Value = serde_json::from_str(&text("index.json")).unwrap();
    let us = recipient(string(&index, "recipient"), string(&index, "key"));
    let good = vectors().join(string(&index, "parcel"));
    let whole = trust(&index, &Value::Null);
    let kem = recipient("recipient-ml-kem.pem", "recipient-ml-kem.key.pem");
    for us in [&us, &kem] {
        let opened = parcel::verify_inside(&good, us, &whole, Watch::none()).unwrap();
        assert_eq!(hex::encode(opened.verified.digest), string(&index, "digest"));
        let files: Vec<_> =
            opened.files.iter().map(|f| vec![f.path.clone(), f.sha256.clone()]).collect();
        assert_eq!(serde_json::to_value(files).unwrap(), index["files"]);
    }
    let changes = index["changes"].as_array().unwrap();
    assert!(changes.len() > 100, "{}", changes.len());
    for change in changes {
        let folder = quick_folder();
        let copy = folder.path().join("parcel");
        copy_folder(&good, &copy);
        change["do"].as_array().unwrap().iter().for_each(|one| apply(&copy, one));
        let trust = trust(&index, change);
        let with_key = change["key"].as_bool().unwrap();
        if with_key {
            judge(&copy, &trust, None).unwrap_or_else(|refused| panic!("{change}: {refused}"));
        }
        let refused = judge(&copy, &trust, with_key.then_some(&us)).expect_err(&change.to_string());
        assert_eq!(refused.file, string(change, "names"), "{change}: {refused}");
    }
    let zip = vectors().join(string(&index, "zip"));
    let opened = parcel::verify_inside(&zip, &us, &whole, Watch::none()).unwrap();
    assert_eq!(opened.files.len(), index["files"].as_array().unwrap().len());
    let original = std::fs::read(&zip).unwrap();
    let folder = quick_folder();
    let copy = folder.path().join("parcel.zip");
    for change in index["zip_changes"].as_array().unwrap() {
        let mut bytes = original.clone();
        if let Some(at) = change.get("flip").and_then(Value::as_u64) {
            bytes[usize::try_from(at).unwrap()] ^=
                u8::try_from(change["xor"].as_u64().unwrap()).unwrap();
        } else {
            bytes.truncate(usize::try_from(change["cut"].as_u64().unwrap()).unwrap());
        }
        std::fs::write(&copy, bytes).unwrap();
        assert!(judge(&copy, &whole, None).is_err(), "{change}");
    }
}

#[test]
fn python_judges_the_vectors_as_their_index_says() {
    let Some(python) = python_tool("the second reader of the vectors", "python") else { return };
    let script = vectors().join("../../verify_parcel.py");
    let said = run(Command::new(python).arg(script).arg("--vectors").arg(vectors()));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && text.contains("judged as the index says"), "{text}{errors}");
}
