//! Every byte counts, and every name: nothing can be touched, added, linked or renamed unnoticed.

use std::os::unix::fs::symlink;
use std::path::Path;

use keys::SystemRandom;
use keys::cert::{self, Usage};
use keys::sign::P384Key;
use parcel::{Entry, Fault, Parcel, SealError, Signer, Watch};

use crate::support::{World, case, copy_folder, files, now, run, spec};

/// A parcel as small as they come: one file of one byte, one recipient, one part.
fn smallest(world: &World) -> std::path::PathBuf {
    let out = world.path("parcel");
    let entry = Entry::from_bytes("a", "x/y", now(), vec![1]);
    let mut order = world.order(vec![entry], 1 << 20);
    order.recipients.truncate(1);
    order.custody.clear();
    parcel::seal(order, &out).unwrap();
    out
}

#[test]
fn flipped_bit_in_every_single_byte_is_refused_and_located() {
    let world = World::new();
    let folder = smallest(&world);
    let trust = world.trust();
    let part = "data/000/part-000000.p7m";
    let entered = Parcel::enter(&folder, &trust).unwrap();
    let mut bytes_seen = 0;
    for file in files(&folder) {
        let original = std::fs::read(folder.join(&file)).unwrap();
        for at in 0..original.len() {
            let mut bytes = original.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(folder.join(&file), &bytes).unwrap();
            // All else was checked once, and is not touched while parts are.
            let found = if file == part {
                entered.check_parts(1, Watch::none())
            } else {
                parcel::verify(&folder, &trust, Watch::none()).map(|_| ())
            };
            let refused = found.expect_err(&format!("byte {at} of {file}"));
            assert_eq!(refused.file, file, "byte {at} of {file}: {refused}");
            assert_eq!(refused.range.is_some(), file == part, "byte {at} of {file}");
        }
        bytes_seen += original.len();
        std::fs::write(folder.join(&file), &original).unwrap();
    }
    assert!(bytes_seen > 15_000, "{bytes_seen} bytes");
    parcel::verify(&folder, &trust, Watch::none()).unwrap();
}

#[test]
fn each_byte_cut_from_a_text_file_is_refused() {
    let world = World::new();
    let folder = smallest(&world);
    for file in files(&folder) {
        let original = std::fs::read(folder.join(&file)).unwrap();
        for keep in [0, 1, original.len() / 2, original.len() - 1] {
            std::fs::write(folder.join(&file), &original[..keep]).unwrap();
            let refused = parcel::verify(&folder, &world.trust(), Watch::none()).unwrap_err();
            assert_eq!(refused.file, file, "{keep} bytes of {file}: {refused}");
        }
        let longer = [original.as_slice(), b"\n"].concat();
        std::fs::write(folder.join(&file), longer).unwrap();
        let refused = parcel::verify(&folder, &world.trust(), Watch::none()).unwrap_err();
        assert_eq!(refused.file, file, "longer {file}: {refused}");
        std::fs::write(folder.join(&file), &original).unwrap();
    }
}

#[test]
fn links_and_other_things_in_place_of_files_are_refused() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let check = |name: &str, file: &str, change: &dyn Fn(&Path)| {
        let copy = world.path(name);
        copy_folder(&sealed, &copy);
        change(&copy);
        let refused = parcel::verify(&copy, &world.trust(), Watch::none()).unwrap_err();
        assert_eq!(refused.file, file, "{name}: {refused}");
        assert!(matches!(*refused.fault, Fault::Unexpected), "{name}: {refused}");
    };
    let link = |file: &'static str| {
        let sealed = sealed.clone();
        move |copy: &Path| {
            std::fs::remove_file(copy.join(file)).unwrap();
            symlink(sealed.join(file), copy.join(file)).unwrap();
        }
    };
    for file in ["bag-info.txt", "manifest-sha256.txt", "seal/tagmanifest-sha256.txt.p7s"] {
        check(&format!("link {}", file.replace('/', " ")), file, &link(file));
    }
    check("folder link", "data", &|copy| {
        std::fs::remove_dir_all(copy.join("data")).unwrap();
        symlink(sealed.join("data"), copy.join("data")).unwrap();
    });
    check("empty folder", "data/001", &|copy| std::fs::create_dir(copy.join("data/001")).unwrap());
    check("hidden file", ".hidden", &|copy| std::fs::write(copy.join(".hidden"), "").unwrap());
    check("pipe", "data/000/part-000001.p7m", &|copy| {
        let part = copy.join("data/000/part-000001.p7m");
        std::fs::remove_file(&part).unwrap();
        assert!(run(std::process::Command::new("mkfifo").arg(&part)).status.success());
    });
}

#[test]
fn twins_are_refused_before_anything_is_written() {
    let world = World::new();
    let entry = |name: &str| Entry::from_bytes(name, "text/plain", now(), vec![1]);
    for (a, b) in [("A/x", "a/X"), ("caf\u{e9}", "cafe\u{301}"), ("Stra\u{df}e", "STRASSE")] {
        let order = world.order(vec![entry(a), entry(b)], 4096);
        let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
        assert!(matches!(refused, SealError::Twice { .. }), "{a} {b}: {refused}");
    }
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[test]
fn every_odd_letter_that_is_allowed_comes_back_and_the_others_are_refused() {
    let world = World::new();
    let (mut allowed, mut refused) = (Vec::new(), Vec::new());
    let odd = (1..0x180).chain(0x2000..0x2070).chain([0x301, 0x3042, 0xfeff, 0x1f600, 0x10_ffff]);
    for (n, letter) in odd.filter_map(char::from_u32).enumerate() {
        let name = format!("f{n}-x{letter}y");
        let entry = Entry::from_bytes(&name, "text/plain", now(), name.clone().into_bytes());
        match parcel::seal(world.order(vec![entry], 4096), &world.path("parcel")) {
            Ok(_) => allowed.push(name),
            Err(SealError::Path { .. }) => refused.push(letter),
            Err(other) => panic!("{name}: {other}"),
        }
        if world.path("parcel").exists() {
            std::fs::remove_dir_all(world.path("parcel")).unwrap();
        }
    }
    for letter in
        ['\n', '\r', '\t', '\u{7f}', '\u{85}', '\\', '%', ':', '?', '\u{200b}', '\u{202e}']
    {
        assert!(refused.contains(&letter), "{letter:?} is allowed");
    }
    assert!(allowed.len() > 350, "{}", allowed.len());
    let entries = allowed.iter();
    let entries =
        entries.map(|n| Entry::from_bytes(n, "text/plain", now(), n.clone().into_bytes()));
    let out = world.path("all");
    parcel::seal(world.order(entries.collect(), 4096), &out).unwrap();
    let opened = world.path("opened");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    allowed.sort();
    assert_eq!(files(&opened.join("inner/data")), allowed);
    for name in allowed {
        let bytes = std::fs::read(opened.join("inner/data").join(&name)).unwrap();
        assert_eq!(bytes, name.as_bytes());
    }
}

#[test]
fn many_empty_files_come_back_and_one_too_many_is_refused() {
    let world = World::new();
    let entry = |n: usize| Entry::from_bytes(&format!("{n}"), "x/y", now(), vec![]);
    let too_many = (0..=parcel::ENTRIES_MAX).map(entry).collect();
    let refused = parcel::seal(world.order(too_many, 1 << 20), &world.path("parcel")).unwrap_err();
    assert!(matches!(refused, SealError::Limit { what: "files", .. }), "{refused}");
    let out = world.path("parcel");
    let sealed = parcel::seal(world.order((0..3_000).map(entry).collect(), 1 << 20), &out).unwrap();
    assert_eq!(sealed.files.len(), 3_000);
    let opened = world.path("opened");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    assert_eq!(files(&opened.join("inner/data")).len(), 3_000);
}

#[test]
fn certificates_out_of_time_neither_sign_nor_receive() {
    let world = World::new();
    let key = P384Key::generate().unwrap();
    let dated = |from: &str, until: &str, usage| {
        let mut spec = spec("dated", usage);
        spec.not_before = from.parse().unwrap();
        spec.not_after = until.parse().unwrap();
        cert::issue(&spec, &key, Some((&world.ca, &world.ca_key)), &SystemRandom).unwrap()
    };
    let past = ("2020-01-01T00:00:00Z", "2026-11-22T21:30:04Z");
    let future = ("2026-11-22T21:30:06Z", "2030-01-01T00:00:00Z");
    for (from, until) in [past, future] {
        let mut order = world.order(case(), 4096);
        order.recipients.push(dated(from, until, Usage::KeyAgreement));
        let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
        assert!(matches!(refused, SealError::Recipient { .. }), "{refused}");
        let key = P384Key::from_pkcs8(&key.to_pkcs8()).unwrap();
        let sender = Signer { chain: vec![dated(from, until, Usage::Signing)], key };
        let mut order = world.order(case(), 4096);
        order.sender = &sender;
        let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
        assert!(matches!(refused, SealError::Signer { .. }), "{refused}");
    }
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[test]
fn certificate_for_another_use_does_not_sign() {
    let world = World::new();
    let out = world.sealed("parcel");
    // Of the trusted CA, but for key agreement: openssl signs with it all the same.
    let leaf = world.write_pem("leaf.pem", &world.recipient.certificate.pem());
    let key = cert::private_key_pem(&world.recipient.key.to_pkcs8().unwrap());
    let key = world.write_pem("leaf.key", &key);
    let signed = run(std::process::Command::new("openssl")
        .args(["cms", "-sign", "-binary", "-outform", "DER", "-md", "sha384", "-cades"])
        .args(["-nosmimecap", "-in"])
        .arg(out.join("tagmanifest-sha256.txt"))
        .arg("-signer")
        .arg(leaf)
        .arg("-inkey")
        .arg(key)
        .arg("-out")
        .arg(out.join("seal/tagmanifest-sha256.txt.p7s")));
    if !signed.status.success() {
        eprintln!("skipped: this openssl does not sign with a key-agreement certificate");
        return;
    }
    let refused = parcel::verify(&out, &world.trust(), Watch::none()).unwrap_err();
    assert_eq!(refused.file, "seal/tagmanifest-sha256.txt.p7s", "{refused}");
    assert!(refused.to_string().contains("may not sign"), "{refused}");
}
