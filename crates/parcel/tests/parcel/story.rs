//! A parcel is sealed, verified, opened, read in pieces, and acknowledged; and refused, by name,
//! when anything about it is not what was sealed.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{World, case, copy_folder, files, id, noise, now, transfer};
use keys::SystemRandom;
use keys::cert::{self, Usage};
use keys::sign::P384Key;
use parcel::receipt::{self, Receipt};
use parcel::{Entry, Fault, Parcel, Party, SealError, Signer, Trust, Watch};

#[test]
fn sealed_parcel_verifies_opens_and_reads_in_pieces() {
    let world = World::new();
    let out = world.path("parcel");
    let sealed = parcel::seal(world.order(case(), 4096), &out).unwrap();
    let verified = parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
    assert_eq!((verified.id, verified.digest), (id(), sealed.digest));
    assert_eq!(verified.parts, sealed.parts);
    assert_eq!(verified.sender, world.sender.chain[0]);

    let opened = world.path("opened");
    let result =
        parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    assert_eq!(result.record.transfer, transfer());
    assert_eq!(
        files(&opened),
        [
            "inner/bag-info.txt",
            "inner/bagit.txt",
            "inner/data/Zeugen/Müller, Jörg.txt",
            "inner/data/statement.pdf",
            "inner/data/videos/Door camera (2).mp4",
            "inner/manifest-sha256.txt",
            "inner/metadata/custody.jsonld",
            "inner/metadata/index.json",
            "inner/metadata/transfer.json",
            "inner/seal/tagmanifest-sha256.txt.p7s",
            "inner/tagmanifest-sha256.txt",
        ]
    );
    let video = std::fs::read(opened.join("inner/data/videos/Door camera (2).mp4")).unwrap();
    assert_eq!(video, noise(30_000, 7));

    let name = "videos/Door camera (2).mp4";
    for (from, to) in [(0, 30_000), (0, 0), (29_999, 30_000), (4_000, 9_000), (12_288, 12_289)] {
        let piece =
            parcel::open_file(&out, &world.second, &world.trust(), name, Some((from, to))).unwrap();
        let expected = &video[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()];
        assert_eq!(piece, expected, "{from}..{to}");
    }
    let beyond = parcel::open_file(&out, &world.second, &world.trust(), name, Some((9, 30_001)));
    assert!(matches!(*beyond.unwrap_err().fault, Fault::Range { .. }));
}

#[test]
fn one_file_can_be_opened_alone() {
    let world = World::new();
    let out = world.sealed("parcel");
    let opened = world.path("opened");
    let only = Some("statement.pdf");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, only, Watch::none()).unwrap();
    assert_eq!(files(&opened.join("inner/data")), ["statement.pdf"]);
    let none = Some("no-such-file");
    let refused =
        parcel::open(&out, &world.recipient, &world.trust(), &opened, none, Watch::none());
    assert!(matches!(*refused.unwrap_err().fault, Fault::NoSuchFile));
}

#[test]
fn nothing_of_the_case_is_readable_outside() {
    let world = World::new();
    let out = world.sealed("parcel");
    let needles = ["24-000113", "statement.pdf", "Door camera", "Okafor", "JUVENILE", "EX-2026"];
    for file in files(&out) {
        let bytes = std::fs::read(out.join(&file)).unwrap();
        for needle in needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{needle} in {file}");
        }
    }
}

#[test]
fn any_flipped_bit_is_refused_and_the_file_is_named() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let copy = world.path("copy");
    copy_folder(&sealed, &copy);
    for file in files(&sealed) {
        let original = std::fs::read(sealed.join(&file)).unwrap();
        let step = (original.len() / 60).max(1);
        for at in (0..original.len()).step_by(step).chain([original.len() - 1]) {
            let mut bytes = original.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(copy.join(&file), &bytes).unwrap();
            let refused = parcel::verify(&copy, &world.trust(), Watch::none()).unwrap_err();
            assert_eq!(refused.file, file, "byte {at} of {file}: {refused}");
        }
        std::fs::write(copy.join(&file), &original).unwrap();
    }
    parcel::verify(&copy, &world.trust(), Watch::none()).unwrap();
}

#[test]
fn bad_part_is_named_with_its_place_and_with_the_key_the_files_in_it() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let part = sealed.join("data/000/part-000004.p7m");
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[2_000] ^= 4;
    std::fs::write(&part, &bytes).unwrap();
    let refused = parcel::verify(&sealed, &world.trust(), Watch::none()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "data/000/part-000004.p7m: altered: its hash is not the signed one; \
         it carries bytes 16384 to 20480 of the archive"
    );
    let out = world.path("opened");
    let refused =
        parcel::open(&sealed, &world.recipient, &world.trust(), &out, None, Watch::none());
    let refused = refused.unwrap_err();
    assert_eq!(refused.file, "data/000/part-000004.p7m");
    let said = refused.to_string();
    assert!(
        said.ends_with("sealed in it: videos/Door camera (2).mp4 (bytes 8192 to 12288)"),
        "{said}"
    );
    assert!(!out.exists(), "a refused parcel leaves nothing opened");
    // What lies in other parts can still be read.
    let statement =
        parcel::open_file(&sealed, &world.recipient, &world.trust(), "statement.pdf", None);
    assert_eq!(statement.unwrap(), noise(5_000, 1));
}

#[test]
fn truncated_swapped_missing_and_extra_parts_are_named() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let (two, three) = ("data/000/part-000002.p7m", "data/000/part-000003.p7m");
    let check = |name: &str, change: &dyn Fn(&Path), expected: &str| {
        let copy = world.path(name);
        copy_folder(&sealed, &copy);
        change(&copy);
        let refused = parcel::verify(&copy, &world.trust(), Watch::none()).unwrap_err();
        assert!(refused.to_string().starts_with(expected), "{name}: {refused}");
    };
    check(
        "truncated",
        &|copy| {
            let bytes = std::fs::read(copy.join(two)).unwrap();
            std::fs::write(copy.join(two), &bytes[..1_000]).unwrap();
        },
        "data/000/part-000002.p7m: cut short: 1000 bytes where its own header announces",
    );
    check(
        "swapped",
        &|copy| {
            std::fs::rename(copy.join(two), copy.join("x")).unwrap();
            std::fs::rename(copy.join(three), copy.join(two)).unwrap();
            std::fs::rename(copy.join("x"), copy.join(three)).unwrap();
        },
        "data/000/part-000002.p7m: altered: its hash is not the signed one; it carries bytes \
         8192 to 12288 of the archive; also data/000/part-000003.p7m",
    );
    check(
        "missing",
        &|copy| {
            std::fs::remove_file(copy.join(two)).unwrap();
            std::fs::remove_file(copy.join(three)).unwrap();
        },
        "data/000/part-000002.p7m: missing; also data/000/part-000003.p7m",
    );
    for (extra, name) in [("data/000/part-000999.p7m", "extra"), ("run-me.sh", "script")] {
        check(
            name,
            &|copy| std::fs::write(copy.join(extra), "x").unwrap(),
            &format!("{extra}: not listed in the signed manifest"),
        );
    }
    check(
        "linked",
        &|copy| {
            std::fs::rename(copy.join(two), copy.join("../elsewhere")).unwrap();
            std::os::unix::fs::symlink("../../../elsewhere", copy.join(two)).unwrap();
        },
        "data/000/part-000002.p7m: not listed in the signed manifest, or not a plain file",
    );
}

#[test]
fn parts_dropped_and_manifests_made_again_break_the_signature() {
    let world = World::new();
    let sealed = world.sealed("parcel");
    let other = world.path("other");
    // Another parcel of the same sender: each file is genuine, the mixture is not.
    parcel::seal(world.order(vec![case().remove(1)], 4096), &other).unwrap();
    for file in ["tagmanifest-sha256.txt", "manifest-sha256.txt", "bag-info.txt"] {
        std::fs::copy(other.join(file), sealed.join(file)).unwrap();
    }
    let refused = parcel::verify(&sealed, &world.trust(), Watch::none()).unwrap_err();
    assert_eq!(refused.file, "tagmanifest-sha256.txt");
    assert!(matches!(*refused.fault, Fault::Altered));
}

#[test]
fn wrong_recipient_is_refused() {
    let world = World::new();
    let out = world.sealed("parcel");
    let refused = parcel::open_file(&out, &world.stranger, &world.trust(), "statement.pdf", None);
    assert!(matches!(*refused.unwrap_err().fault, Fault::Recipient { .. }));
    // The right certificate with another key.
    let mixed = parcel::Recipient {
        certificate: world.recipient.certificate.clone(),
        key: P384Key::generate().unwrap().into(),
    };
    let refused = parcel::open_file(&out, &mixed, &world.trust(), "statement.pdf", None);
    assert!(matches!(*refused.unwrap_err().fault, Fault::Decrypt(_)));
}

#[test]
fn wrong_sender_is_refused_and_a_pinned_one_accepted() {
    let world = World::new();
    let out = world.sealed("parcel");
    let other = World::new();
    let refused = parcel::verify(&out, &other.trust(), Watch::none()).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Sender { .. }), "{refused}");
    let pinned = Trust { senders: vec![world.sender.chain[0].clone()], now: now() };
    parcel::verify(&out, &pinned, Watch::none()).unwrap();
    let nobody = Trust { senders: vec![], now: now() };
    assert!(parcel::verify(&out, &nobody, Watch::none()).is_err());
    let later = Trust { now: "2050-01-01T00:00:00Z".parse().unwrap(), ..pinned.clone() };
    let refused = parcel::verify(&out, &later, Watch::none()).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Certificate(_)), "{refused}");
    let earlier = Trust { now: "2026-11-22T21:00:00Z".parse().unwrap(), ..pinned };
    let refused = parcel::verify(&out, &earlier, Watch::none()).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Future { .. }), "{refused}");
}

#[test]
fn issuer_can_come_along_but_not_a_stray_certificate() {
    let mut world = World::new();
    world.sender.chain.push(world.ca.clone());
    let out = world.sealed("with-issuer");
    parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
    let stray = World::new().ca;
    world.sender.chain.push(stray);
    let out = world.sealed("with-stray");
    let refused = parcel::verify(&out, &world.trust(), Watch::none()).unwrap_err();
    assert_eq!(refused.file, "seal/tagmanifest-sha256.txt.p7s");
}

#[test]
fn resealing_by_another_signer_is_noticed_inside() {
    let world = World::new();
    let out = world.sealed("parcel");
    // A second signer of the same CA strips the outer signature and puts its own in place.
    let key = P384Key::generate().unwrap();
    let spec = crate::support::spec("Riverton other", Usage::Signing);
    let issuer = Some((&world.ca, &world.ca_key));
    let leaf = cert::issue(&spec, &key, issuer, &SystemRandom).unwrap();
    let tag_manifest = out.join("tagmanifest-sha256.txt");
    let leaf_path = world.write_pem("other.pem", &leaf.pem());
    let key_path = world.write_pem("other.key", &cert::private_key_pem(&key.to_pkcs8()));
    let signed = crate::support::run(
        std::process::Command::new("openssl")
            .args(["cms", "-sign", "-binary", "-outform", "DER", "-md", "sha384", "-cades"])
            .args(["-nosmimecap", "-in"])
            .arg(&tag_manifest)
            .arg("-signer")
            .arg(&leaf_path)
            .arg("-inkey")
            .arg(&key_path)
            .arg("-out")
            .arg(out.join("seal/tagmanifest-sha256.txt.p7s")),
    );
    assert!(signed.status.success());
    let trust = Trust { now: keys::Clock::now(&keys::SystemClock), ..world.trust() };
    let refused = parcel::open_file(&out, &world.recipient, &trust, "statement.pdf", None);
    let refused = refused.unwrap_err();
    assert!(refused.file.contains("transfer.json"), "{refused}");
}

#[test]
fn hostile_names_are_refused_before_anything_is_written() {
    let world = World::new();
    let out = world.path("parcel");
    for name in ["../up", "/etc/passwd", "a\\b", "a\nb", "50%", "", "x/../../y", "a\u{202e}gpj"] {
        let entry = Entry::from_bytes(name, "text/plain", now(), vec![1]);
        let refused = parcel::seal(world.order(vec![entry], 4096), &out).unwrap_err();
        assert!(matches!(refused, SealError::Path { .. }), "{name}: {refused}");
    }
    let entry = |name| Entry::from_bytes(name, "text/plain", now(), vec![1]);
    let twice = vec![entry("Photo.JPG"), entry("photo.jpg")];
    let refused = parcel::seal(world.order(twice, 4096), &out).unwrap_err();
    assert!(matches!(refused, SealError::Twice { .. }), "{refused}");
    let nested = vec![entry("a"), entry("a/b")];
    let refused = parcel::seal(world.order(nested, 4096), &out).unwrap_err();
    assert!(matches!(refused, SealError::Path { .. }), "{refused}");
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[test]
fn recipient_must_have_a_key_agreement_certificate() {
    let world = World::new();
    let mut order = world.order(case(), 4096);
    order.recipients.push(world.sender.chain[0].clone());
    let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
    assert!(refused.to_string().ends_with("key usage does not allow key agreement"), "{refused}");
    let mut order = world.order(case(), 4096);
    let other = Signer { chain: world.sender.chain.clone(), key: P384Key::generate().unwrap() };
    order.sender = &other;
    let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
    assert!(refused.to_string().ends_with("the key is not the certificate's"), "{refused}");
}

#[test]
fn file_of_another_length_than_announced_stops_the_seal() {
    let world = World::new();
    for (announced, given) in [(10, 9), (10, 11), (0, 1), (100_000, 99_999)] {
        let mut entry = Entry::from_bytes("a", "text/plain", now(), noise(given, 3));
        entry.length = announced;
        let out = world.path("parcel");
        let refused = parcel::seal(world.order(vec![entry], 4096), &out).unwrap_err();
        assert!(matches!(refused, SealError::Length { .. }), "{refused}");
        assert_eq!(files(world.folder.path()), Vec::<String>::new());
    }
}

#[test]
fn custody_about_files_that_are_not_here_stops_the_seal() {
    let world = World::new();
    let mut order = world.order(case(), 4096);
    order.custody[0].files = vec!["statement.pdf".into(), "elsewhere.pdf".into()];
    parcel::seal(order, &world.path("some are here")).unwrap();
    let mut order = world.order(case(), 4096);
    order.custody[0].files = vec!["elsewhere.pdf".into()];
    let refused = parcel::seal(order, &world.path("parcel")).unwrap_err();
    assert!(
        matches!(&refused, SealError::Path { path, .. } if path == "elsewhere.pdf"),
        "{refused}"
    );
    assert!(!world.path("parcel").exists());
}

#[test]
fn progress_is_told_and_cancelling_leaves_nothing() {
    let world = World::new();
    let seen = Mutex::new(Vec::new());
    let never = AtomicBool::new(false);
    let mut order = world.order(case(), 4096);
    let tell = |done, total| seen.lock().unwrap().push((done, total));
    order.watch = Watch { progress: &tell, cancel: &never };
    parcel::seal(order, &world.path("parcel")).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&(35_007, 35_007)), "{seen:?}");

    let cancel = AtomicBool::new(false);
    let stop = |_, _| cancel.store(true, Ordering::Relaxed);
    let mut order = world.order(case(), 4096);
    order.watch = Watch { progress: &stop, cancel: &cancel };
    let refused = parcel::seal(order, &world.path("cancelled")).unwrap_err();
    assert!(matches!(refused, SealError::Cancelled), "{refused}");
    assert!(files(world.folder.path()).iter().all(|file| file.starts_with("parcel/")));
    cancel.store(true, Ordering::Relaxed);
    let watch = Watch { progress: &|_, _| {}, cancel: &cancel };
    let refused = parcel::verify(&world.path("parcel"), &world.trust(), watch).unwrap_err();
    assert!(matches!(*refused.fault, Fault::Cancelled), "{refused}");
}

#[test]
fn receipt_is_signed_verified_and_refused_when_touched() {
    let world = World::new();
    let out = world.sealed("parcel");
    let verified = parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
    let receiver = Party { ori: "NB0020000".into(), name: "Lakeside County Sheriff".into() };
    let mut made = Receipt::accepted(&verified, "EX-2026-000041", receiver, now());
    made.ledger_entry = Some(17);
    made.ledger_checkpoint = Some("lakeside.example/ledger\n18\n".into());
    let signed = receipt::sign(&made, &world.sender).unwrap();
    let (read, by) = receipt::verify(&signed, &world.trust()).unwrap();
    assert_eq!((read, by), (made.clone(), world.sender.chain[0].clone()));
    for at in (0..signed.json.len()).step_by(7) {
        let mut touched = signed.clone();
        touched.json[at] ^= 1;
        let refused = receipt::verify(&touched, &world.trust()).unwrap_err();
        assert_eq!(refused.file, "receipt.json", "byte {at}");
    }
    for at in (0..signed.signature.len()).step_by(7) {
        let mut touched = signed.clone();
        touched.signature[at] ^= 1;
        let refused = receipt::verify(&touched, &world.trust()).unwrap_err();
        assert_eq!(refused.file, "receipt.json.p7s", "byte {at}");
    }
    made.checks[0].passed = false;
    assert!(receipt::sign(&made, &world.sender).is_err(), "accepted, with a failed check");
}

#[test]
fn inspection_tells_what_the_outside_says() {
    let world = World::new();
    let out = world.sealed("parcel");
    let told = parcel::inspect(&out).unwrap();
    assert_eq!(told.id, id());
    assert_eq!(told.sender, "Riverton Police Department (NB0010100)");
    assert_eq!(told.part_size, 4096);
    assert_eq!(told.parts, told.archive_size.div_ceil(4096));
    assert_eq!(told.certificates, world.sender.chain);
    let parcel = Parcel::enter(&out, &world.trust()).unwrap();
    assert_eq!((parcel.id(), parcel.digest()), (told.id, told.digest));
}
