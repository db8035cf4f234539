//! The same parcel as one ZIP file.

use std::process::Command;

use parcel::{Entry, Fault, Parcel, SealError, Target, Watch, ZipFile};

use crate::support::{World, case, files, id, noise, now, run};

#[test]
fn one_file_verifies_opens_and_reads_in_pieces_like_a_folder() {
    let world = World::new();
    let zip = world.path("parcel.zip");
    let sealed = parcel::seal_file(world.order(case(), 4096), &zip).unwrap();
    let verified = parcel::verify(&zip, &world.trust(), Watch::none()).unwrap();
    assert_eq!((verified.digest, verified.parts), (sealed.digest, sealed.parts));
    assert_eq!(parcel::inspect(&zip).unwrap().digest, sealed.digest);
    let inside =
        parcel::verify_inside(&zip, &world.recipient, &world.trust(), Watch::none()).unwrap();
    assert_eq!(inside.files, sealed.files);
    let opened = world.path("opened");
    parcel::open(&zip, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let video = std::fs::read(opened.join("inner/data/videos/Door camera (2).mp4")).unwrap();
    assert_eq!(video, noise(30_000, 7));
    let piece = parcel::open_file(
        &zip,
        &world.second,
        &world.trust(),
        "videos/Door camera (2).mp4",
        Some((9_000, 13_000)),
    );
    assert_eq!(piece.unwrap(), &video[9_000..13_000]);
}

#[test]
fn any_desktop_unpacks_it_into_the_same_parcel() {
    let world = World::new();
    let zip = world.path("parcel.zip");
    let sealed = parcel::seal_file(world.order(case(), 4096), &zip).unwrap();
    let check = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                 assert all(i.compress_type == 0 for i in z.infolist()); z.extractall(sys.argv[2])";
    let out = world.path("unpacked");
    let done = run(Command::new("python3").args(["-c", check]).arg(&zip).arg(&out));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let folder = out.join(format!("parcel-{}", id()));
    let verified = parcel::verify(&folder, &world.trust(), Watch::none()).unwrap();
    assert_eq!(verified.digest, sealed.digest);
    match Command::new("unzip").arg("-tq").arg(&zip).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout)),
        Err(_) => eprintln!("skipped: no unzip here"),
    }
}

#[test]
fn flipped_bit_in_every_single_byte_of_the_file_is_refused() {
    let world = World::new();
    let zip = world.path("parcel.zip");
    let mut order = world.order(vec![Entry::from_bytes("a", "x/y", now(), vec![1])], 1 << 20);
    order.recipients.truncate(1);
    order.custody.clear();
    parcel::seal_file(order, &zip).unwrap();
    let original = std::fs::read(&zip).unwrap();
    let part = original.windows(16).position(|w| w == b"part-000000.p7m0").unwrap();
    for at in 0..original.len() {
        // Inside the one part, where only its hash looks, every 16th byte is enough.
        if at > part + 32 && at < part + 12_000 && !at.is_multiple_of(16) {
            continue;
        }
        let mut bytes = original.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&zip, &bytes).unwrap();
        let refused = parcel::verify(&zip, &world.trust(), Watch::none());
        assert!(refused.is_err(), "byte {at} of {}", original.len());
    }
}

#[test]
fn bytes_before_between_and_after_are_refused() {
    let world = World::new();
    let zip = world.path("parcel.zip");
    parcel::seal_file(world.order(case(), 4096), &zip).unwrap();
    let original = std::fs::read(&zip).unwrap();
    let check = |name: &str, bytes: &[u8]| {
        let path = world.path(name);
        std::fs::write(&path, bytes).unwrap();
        let refused = parcel::verify(&path, &world.trust(), Watch::none()).unwrap_err();
        assert!(matches!(*refused.fault, Fault::Malformed(_)), "{name}: {refused}");
        assert_eq!(refused.file, name);
    };
    check("before.zip", &[b"MZ", original.as_slice()].concat());
    check("after.zip", &[original.as_slice(), b"\0"].concat());
    check("cut.zip", &original[..original.len() - 1]);
    check("half.zip", &original[..original.len() / 2]);
    check("empty.zip", b"");
    // What another program packs, though it holds the same files.
    let folder = world.sealed("folder");
    let packed = world.path("packed.zip");
    let pack = "import shutil, sys; shutil.make_archive(sys.argv[1][:-4], 'zip', sys.argv[2])";
    assert!(
        run(Command::new("python3").args(["-c", pack]).arg(&packed).arg(folder)).status.success()
    );
    check("packed-too.zip", &std::fs::read(&packed).unwrap());
}

#[test]
fn altered_part_is_named_and_with_the_key_so_is_the_piece_of_the_file() {
    let world = World::new();
    let zip = world.path("parcel.zip");
    parcel::seal_file(world.order(case(), 4096), &zip).unwrap();
    let mut bytes = std::fs::read(&zip).unwrap();
    let name = b"data/000/part-000004.p7m";
    let local = bytes.windows(name.len()).position(|w| w == name).unwrap();
    bytes[local + name.len() + 2_000] ^= 4;
    std::fs::write(&zip, &bytes).unwrap();
    // The outside is checked when it is read; the ZIP's own checksum speaks first, of the same part.
    let refused = parcel::verify(&zip, &world.trust(), Watch::none()).unwrap_err();
    assert_eq!(refused.file, "data/000/part-000004.p7m", "{refused}");
    assert_eq!(refused.range, Some((16_384, 20_480)));
    let refused =
        parcel::verify_inside(&zip, &world.recipient, &world.trust(), Watch::none()).unwrap_err();
    let piece = &refused.inside[0];
    assert_eq!(piece.to_string(), "videos/Door camera (2).mp4 (bytes 8192 to 12288)");
}

/// A target that fails at its nth write.
struct Failing<'a> {
    inner: &'a ZipFile,
    left: std::sync::atomic::AtomicUsize,
}

impl Target for Failing<'_> {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> std::io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_err() {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull));
        }
        self.inner.create(path, pieces)
    }

    fn publish(&self) -> std::io::Result<()> {
        self.inner.publish()
    }

    fn discard(&self) {
        self.inner.discard();
    }
}

#[test]
fn write_that_fails_leaves_no_file_and_what_is_there_is_not_overwritten() {
    let world = World::new();
    let out = world.path("parcel.zip");
    for writes in [0, 1, 5, 15] {
        let inner = ZipFile::new(&out, id()).unwrap();
        let failing = Failing { inner: &inner, left: writes.into() };
        let failed = parcel::seal_into(world.order(case(), 4096), &failing).unwrap_err();
        assert!(matches!(failed, SealError::Write { .. }), "{failed}");
        assert_eq!(files(world.folder.path()), Vec::<String>::new());
    }
    parcel::seal_file(world.order(case(), 4096), &out).unwrap();
    let before = std::fs::read(&out).unwrap();
    let failed = parcel::seal_file(world.order(case(), 4096), &out).unwrap_err();
    assert!(matches!(failed, SealError::Write { .. }), "{failed}");
    assert_eq!(std::fs::read(&out).unwrap(), before);
    // Somebody else's file appears while we seal.
    let other = world.path("other.zip");
    let target = ZipFile::new(&other, id()).unwrap();
    std::fs::write(&other, b"theirs").unwrap();
    assert!(parcel::seal_into(world.order(case(), 4096), &target).is_err());
    assert_eq!(std::fs::read(&other).unwrap(), b"theirs");
    assert_eq!(files(world.folder.path()), ["other.zip", "parcel.zip"]);
    Parcel::enter(&out, &world.trust()).unwrap();
}

#[test]
fn sealed_folder_is_packed_into_the_same_file_and_a_broken_write_is_told() {
    let world = World::new();
    let folder = world.sealed("folder");
    let parts = parcel::inspect(&folder).unwrap().parts;
    let zip = world.path("packed.zip");
    let mut bytes = Vec::new();
    parcel::pack(&folder, id(), parts, &mut bytes).unwrap();
    std::fs::write(&zip, &bytes).unwrap();
    let verified = parcel::verify(&zip, &world.trust(), Watch::none()).unwrap();
    assert_eq!(verified.digest, parcel::inspect(&folder).unwrap().digest);
    for room in [0, 10, 5_000, bytes.len() - 1] {
        let mut short = vec![0; room];
        assert!(parcel::pack(&folder, id(), parts, &mut short.as_mut_slice()).is_err(), "{room}");
    }
    assert!(parcel::pack(&folder, id(), parts + 1, &mut std::io::sink()).is_err());
}
