//! What was killed goes on: the parts that were whole are kept, the rest is made, and the result is like any other.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use keys::cert::{self, Certificate};
use keys::sign::P384Key;
use parcel::{Entry, Folder, Opening, Seal, SealError, Signer, Target, Watch};

use crate::support::{World, case, files, id, noise, now, run};

const PART: u64 = 4096;
const LENGTH: usize = 100_000;

/// Bytes that stop coming at some place, for ever: only a kill ends who waits for them.
struct Stuck {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Stuck {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = (self.bytes.len() - self.at).min(out.len());
        if count == 0 {
            loop {
                std::thread::park();
            }
        }
        out[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn video(given: usize) -> Entry {
    let bytes = noise(LENGTH, 9)[..given].to_vec();
    let whole = given == LENGTH;
    Entry {
        path: "video.mp4".into(),
        media_type: "video/mp4".into(),
        modified: now(),
        length: LENGTH as u64,
        open: Box::new(move || {
            Ok(if whole {
                Box::new(io::Cursor::new(bytes))
            } else {
                Box::new(Stuck { bytes, at: 0 })
            })
        }),
    }
}

/// The child that is killed: seals into the folder that it is told, and gets stuck.
#[test]
#[ignore = "is run, and killed, by another test"]
#[expect(clippy::disallowed_methods, reason = "a child is told where")]
fn child() {
    let folder = PathBuf::from(std::env::var("PARCEL_CHILD").unwrap());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let key = cert::private_key_from_pem(&read("signer.key")).unwrap();
    let sender = Signer {
        chain: Certificate::chain_from_pem(&read("signer.pem")).unwrap(),
        key: P384Key::from_pkcs8(&key).unwrap(),
    };
    let recipients = Certificate::chain_from_pem(&read("recipients.pem")).unwrap();
    let world = World::new();
    let order = Seal { sender: &sender, recipients, ..world.order(vec![video(70_000)], PART) };
    drop(parcel::seal_resumable(order, &folder.join("parcel")));
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn seal_that_was_killed_goes_on_where_it_was() {
    let world = World::new();
    world.write_pem("signer.pem", &world.sender.chain[0].pem());
    world.write_pem("signer.key", &cert::private_key_pem(&world.sender.key.to_pkcs8()));
    let order = || world.order(vec![video(LENGTH)], PART);
    let recipients: String = order().recipients.iter().map(Certificate::pem).collect();
    world.write_pem("recipients.pem", &recipients);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::child", "--ignored"])
        .env("PARCEL_CHILD", world.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let draft = world.path(&format!(".parcel.{}.draft", id()));
    let journal = world.path(&format!(".parcel.{}.journal", id()));
    // 70,000 bytes are 17 whole parts.
    let noted = || std::fs::read_to_string(&journal).unwrap_or_default().lines().count();
    while noted() < 17 {
        assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let part = |folder: &Path, number: u64| folder.join(parcel::part_path(number));
    let before: Vec<_> = (0..17).map(|number| inode(&part(&draft, number))).collect();
    // Of these two, one was cut in the middle of a write and one touched by somebody.
    std::fs::write(part(&draft, 3), b"half").unwrap();
    let mut bytes = std::fs::read(part(&draft, 5)).unwrap();
    bytes[2_000] ^= 1;
    std::fs::write(part(&draft, 5), bytes).unwrap();

    let out = world.path("parcel");
    assert!(parcel::unfinished(&out).unwrap() == Some(id()));
    parcel::seal_resumable(order(), &out).unwrap();
    for (number, inode_before) in (0_u64..).zip(before) {
        let kept = inode(&part(&out, number)) == inode_before;
        assert_eq!(kept, number != 3 && number != 5, "part {number}");
    }
    let opened = world.path("opened");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    let video = std::fs::read(opened.join("inner/data/video.mp4")).unwrap();
    assert_eq!(video, noise(LENGTH, 9));
    let left: Vec<_> = files(world.folder.path());
    assert!(left.iter().all(|file| !file.starts_with('.')), "{left:?}");
}

#[test]
fn what_changed_since_is_sealed_anew() {
    let world = World::new();
    let out = world.path("parcel");
    let entry = |seed, cut| {
        let mut bytes = noise(40_000, seed);
        if cut {
            bytes.truncate(30_000);
        }
        let mut entry = Entry::from_bytes("a", "x/y", now(), bytes);
        entry.length = 40_000;
        entry
    };
    // The source ends too early: what was sealed stays for the next run.
    let failed = parcel::seal_resumable(world.order(vec![entry(1, true)], PART), &out).unwrap_err();
    assert!(matches!(failed, SealError::Length { .. }), "{failed}");
    assert!(!out.exists() && parcel::unfinished(&out).unwrap() == Some(id()));
    // What has become shorter has no part too many.
    let short = world.path("short");
    drop(parcel::seal_resumable(world.order(vec![entry(1, true)], PART), &short).unwrap_err());
    let small = Entry::from_bytes("a", "x/y", now(), noise(9_000, 1));
    let sealed = parcel::seal_resumable(world.order(vec![small], PART), &short).unwrap();
    assert_eq!(files(&short.join("data")).len() as u64, sealed.parts);
    parcel::verify(&short, &world.trust(), Watch::none()).unwrap();
    // Another content; another recipient: nothing may be taken over.
    let mut order = world.order(vec![entry(2, false)], PART);
    order.recipients.truncate(1);
    parcel::seal_resumable(order, &out).unwrap();
    let opened = world.path("opened");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    assert_eq!(std::fs::read(opened.join("inner/data/a")).unwrap(), noise(40_000, 2));
    let refused = parcel::open_file(&out, &world.second, &world.trust(), "a", None);
    assert!(refused.is_err(), "sealed to one recipient only");
}

#[test]
fn zip_that_was_interrupted_goes_on_and_has_no_gaps() {
    let world = World::new();
    let out = world.path("parcel.zip");
    let cut = |given: usize| {
        let mut entry = video(LENGTH);
        let bytes = noise(LENGTH, 9)[..given].to_vec();
        entry.open = Box::new(move || Ok(Box::new(io::Cursor::new(bytes))));
        entry
    };
    // The source ends too early: 17 whole parts are noted.
    let failed = parcel::seal_file_resumable(world.order(vec![cut(70_000)], PART), &out);
    assert!(matches!(failed, Err(SealError::Length { .. })));
    assert!(!out.exists() && parcel::unfinished(&out).unwrap() == Some(id()));
    let draft = world.path(&format!(".parcel.zip.{}.draft", id()));
    let before = std::fs::read(&draft).unwrap();
    // One part was touched by somebody, and the last write was cut.
    let mut left = before.clone();
    let third = before.windows(16).position(|name| name == b"part-000003.p7m\x30").unwrap();
    left[third + 2_000] ^= 1;
    left.truncate(before.len() - 5);
    std::fs::write(&draft, &left).unwrap();
    let sealed = parcel::seal_file_resumable(world.order(vec![video(LENGTH)], PART), &out).unwrap();
    let verified = parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
    assert_eq!(verified.digest, sealed.digest);
    let video = parcel::open_file(&out, &world.recipient, &world.trust(), "video.mp4", None);
    assert!(video.unwrap() == noise(LENGTH, 9));
    // The first part is the very one of the first run; the touched one is not.
    let after = std::fs::read(&out).unwrap();
    assert!(after[..4_000] == before[..4_000]);
    assert!(!after.windows(100).any(|piece| piece == &left[third + 1_950..third + 2_050]));
    assert_eq!(files(world.folder.path()), ["parcel.zip"]);

    // What has become shorter has no part too many.
    let out = world.path("short.zip");
    let failed = parcel::seal_file_resumable(world.order(vec![cut(70_000)], PART), &out);
    assert!(failed.is_err());
    let short = Entry::from_bytes("video.mp4", "video/mp4", now(), noise(9_000, 9));
    parcel::seal_file_resumable(world.order(vec![short], PART), &out).unwrap();
    parcel::verify(&out, &world.trust(), Watch::none()).unwrap();

    // A link is nobody's draft.
    let out = world.path("linked.zip");
    let draft = world.path(&format!(".linked.zip.{}.draft", id()));
    std::os::unix::fs::symlink(world.path("elsewhere"), draft).unwrap();
    assert!(parcel::seal_file_resumable(world.order(case(), PART), &out).is_err());
    assert!(!world.path("elsewhere").exists());
}

#[test]
fn opening_that_was_interrupted_goes_on_with_whole_files_only() {
    let world = World::new();
    let sealed = world.path("parcel");
    parcel::seal(world.order(case(), PART), &sealed).unwrap();
    let opened = world.path("opened");
    // What a kill leaves: one file whole, one cut, one that is not of this parcel.
    let draft = world.path(&format!(".opened.{}.draft", id()));
    let data = draft.join("inner/data");
    std::fs::create_dir_all(data.join("videos")).unwrap();
    std::fs::write(data.join("statement.pdf"), noise(5_000, 1)).unwrap();
    std::fs::write(data.join("videos/Door camera (2).mp4"), &noise(30_000, 7)[..9_000]).unwrap();
    std::fs::write(data.join("planted.exe"), b"x").unwrap();
    let kept = inode(&data.join("statement.pdf"));
    let refused =
        parcel::open(&sealed, &world.recipient, &world.trust(), &opened, None, Watch::none());
    assert!(matches!(*refused.unwrap_err().fault, parcel::Fault::Write(_)));
    let how = Opening { only: None, resume: true };
    parcel::open_with(&sealed, &world.recipient, &world.trust(), &opened, how, Watch::none())
        .unwrap();
    assert_eq!(inode(&opened.join("inner/data/statement.pdf")), kept);
    let video = std::fs::read(opened.join("inner/data/videos/Door camera (2).mp4")).unwrap();
    assert_eq!(video, noise(30_000, 7));
    assert_eq!(files(&opened).len(), 11);
    let again = run(Command::new("ls").arg("-A").arg(world.folder.path()));
    assert!(!String::from_utf8_lossy(&again.stdout).contains("draft"));
    // A link in the draft is never written through.
    let second = world.path("second");
    let draft = world.path(&format!(".second.{}.draft", id()));
    std::fs::create_dir_all(draft.join("inner")).unwrap();
    std::fs::create_dir(world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), draft.join("inner/data")).unwrap();
    parcel::open_with(&sealed, &world.recipient, &world.trust(), &second, how, Watch::none())
        .unwrap();
    assert_eq!(files(&world.path("elsewhere")), Vec::<String>::new());
    assert_eq!(files(&second).len(), 11);
}

#[test]
fn folder_that_can_go_on_is_told_from_one_that_can_not() {
    let world = World::new();
    let out = world.path("parcel");
    assert_eq!(parcel::unfinished(&out).unwrap(), None);
    let folder = Folder::resumable(&out, &id().to_string()).unwrap();
    assert_eq!(parcel::unfinished(&out).unwrap(), Some(id()));
    assert!(Folder::new(&out, &id().to_string()).is_err(), "a new seal does not mix with it");
    parcel::Target::discard(&folder);
    assert_eq!(parcel::unfinished(&out).unwrap(), None);
}

/// A folder whose notes can't be written, or can't be read.
struct NoNotes<'a> {
    folder: &'a Folder,
    readable: bool,
}

impl Target for NoNotes<'_> {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        self.folder.create(path, pieces)
    }

    fn publish(&self) -> io::Result<()> {
        self.folder.publish()
    }

    fn discard(&self) {
        self.folder.discard();
    }

    fn note(&self, _: &str) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn notes(&self) -> io::Result<String> {
        if self.readable { Ok(String::new()) } else { Err(io::Error::from(io::ErrorKind::Other)) }
    }
}

#[test]
fn notes_that_can_not_be_written_cost_only_the_going_on() {
    let world = World::new();
    let out = world.path("parcel");
    let folder = Folder::resumable(&out, &id().to_string()).unwrap();
    let target = NoNotes { folder: &folder, readable: false };
    let failed = parcel::seal_into(world.order(case(), PART), &target).unwrap_err();
    assert!(matches!(failed, SealError::Write { .. }), "{failed}");
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
    let folder = Folder::resumable(&out, &id().to_string()).unwrap();
    let target = NoNotes { folder: &folder, readable: true };
    parcel::seal_into(world.order(case(), PART), &target).unwrap();
    parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
}
