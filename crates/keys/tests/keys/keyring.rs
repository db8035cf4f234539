//! The keyring: made once, kept sealed, and unharmed by a disk that fails.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keys::file::{Disk, SystemDisk};
use keys::keyring::{self, Keyring};
use keys::seal::SealingKey;
use keys::{KeysError, SystemRandom};

fn master() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

fn names(folder: &Path) -> Vec<String> {
    let list = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        list.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn secret_is_made_once_and_read_again_under_the_same_master_only() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    let first = ring.secret("session", &SystemRandom).unwrap();
    assert_ne!(first, ring.secret("other", &SystemRandom).unwrap());
    let again = Keyring::open(folder.path(), &master()).unwrap();
    assert_eq!(again.secret("session", &SystemRandom).unwrap(), first);
    let stranger = Keyring::open(folder.path(), &SealingKey::from_bytes([8; 32])).unwrap();
    let refused = stranger.secret("session", &SystemRandom).unwrap_err();
    assert!(matches!(refused, KeysError::Content { .. }), "{refused}");
    let bytes = std::fs::read(folder.path().join("session.secret")).unwrap();
    assert!(!bytes.windows(8).any(|window| first.starts_with(window)), "sealed on disk");
    let mode = std::fs::metadata(folder.path().join("session.secret")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_secret_is_looked_for_without_being_made_and_all_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    assert_eq!(ring.find_secret("index").unwrap(), None);
    assert_eq!(ring.secrets().unwrap(), Vec::<String>::new());
    let made = ring.secret("index", &SystemRandom).unwrap();
    ring.secret("body", &SystemRandom).unwrap();
    ring.ed25519("signer", &SystemRandom).unwrap();
    assert_eq!(ring.find_secret("index").unwrap(), Some(made));
    assert_eq!(ring.secrets().unwrap(), ["body", "index"]);
    std::fs::write(folder.path().join("index.secret"), b"short").unwrap();
    assert!(matches!(ring.find_secret("index"), Err(KeysError::Content { .. })));
}

#[test]
fn keys_of_every_kind_survive() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    let log = ring.ed25519("log", &SystemRandom).unwrap().public();
    assert_eq!(ring.ed25519("log", &SystemRandom).unwrap().public(), log);
    let signer = ring.p384("signer").unwrap().public_spki();
    assert_eq!(ring.p384("signer").unwrap().public_spki(), signer);
    assert!(ring.imported("partner").unwrap().is_none());
    ring.import("partner", b"pkcs8").unwrap();
    ring.import("partner", b"newer").unwrap();
    assert_eq!(ring.imported("partner").unwrap().unwrap().as_slice(), b"newer");
}

#[test]
fn looking_for_keys_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    assert!(matches!(Keyring::existing(&absent, &master()), Err(KeysError::File { .. })));
    assert!(!absent.exists());
    let ring = Keyring::existing(folder.path(), &master()).unwrap();
    assert!(ring.find_secret("body").unwrap().is_none());
    assert!(ring.find_ed25519("log").unwrap().is_none());
    assert_eq!(names(folder.path()), Vec::<String>::new());
    let made = ring.ed25519("log", &SystemRandom).unwrap().public();
    assert_eq!(ring.find_ed25519("log").unwrap().unwrap().public(), made);
    let other = Keyring::existing(folder.path(), &SealingKey::from_bytes([8; 32])).unwrap();
    assert!(matches!(other.find_ed25519("log"), Err(KeysError::Content { .. })));
}

#[test]
fn swapped_or_altered_files_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    ring.secret("one", &SystemRandom).unwrap();
    ring.secret("two", &SystemRandom).unwrap();
    let (one, two) = (folder.path().join("one.secret"), folder.path().join("two.secret"));
    let original = std::fs::read(&one).unwrap();
    std::fs::copy(&two, &one).unwrap();
    assert!(matches!(ring.secret("one", &SystemRandom), Err(KeysError::Content { .. })));
    for at in 0..original.len() {
        let mut bytes = original.clone();
        *bytes.get_mut(at).unwrap() ^= 1;
        std::fs::write(&one, bytes).unwrap();
        assert!(ring.secret("one", &SystemRandom).is_err(), "byte {at}");
    }
    std::fs::set_permissions(&two, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = ring.secret("two", &SystemRandom).unwrap_err();
    assert!(matches!(refused, KeysError::Mode { mode: 0o640, .. }), "{refused}");
}

#[test]
fn names_that_climb_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    for name in ["", "../x", "a/b", "A", ".hidden", "-x", "a.b", &"x".repeat(65)] {
        let refused = ring.secret(name, &SystemRandom).unwrap_err();
        assert!(matches!(refused, KeysError::Name { .. }), "{name}: {refused}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn master_key_file_must_be_private_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let made = keyring::create_master(&path, &SystemRandom).unwrap();
    assert_eq!(keyring::read_master(&path).unwrap().expose(), made.expose());
    assert!(keyring::create_master(&path, &SystemRandom).is_err(), "never overwritten");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
    let refused = keyring::read_master(&path).unwrap_err().to_string();
    assert!(refused.ends_with("must be readable by its owner only (mode 600), and is mode 604"));
    for length in [0, 31, 33] {
        let odd = folder.path().join(format!("odd-{length}"));
        std::fs::write(&odd, vec![1; length]).unwrap();
        std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(keyring::read_master(&odd).is_err(), "{length} bytes");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_key_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let made = std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status();
    assert!(made.unwrap().success());
    let refused = keyring::read_master(&path).unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(source, "it is not a regular file");
    let ring = Keyring::open(folder.path(), &master()).unwrap();
    std::fs::rename(&path, folder.path().join("one.secret")).unwrap();
    assert!(matches!(ring.secret("one", &SystemRandom), Err(KeysError::File { .. })));
}

/// A disk on which the `bad`th step fails; half a file may have been written.
struct Failing {
    bad: usize,
    steps: AtomicUsize,
}

impl Failing {
    fn step(&self) -> io::Result<()> {
        if self.steps.fetch_add(1, Ordering::SeqCst) == self.bad {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl Disk for Failing {
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        match self.step() {
            Ok(()) => SystemDisk.create(path, bytes, mode),
            Err(full) => {
                SystemDisk.create(path, bytes.get(..bytes.len() / 2).unwrap(), mode)?;
                Err(full)
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.link(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step().and_then(|()| SystemDisk.sync_folder(folder))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }
}

#[test]
fn failing_disk_leaves_the_old_key_or_the_whole_new_one() {
    for bad in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let good = Keyring::open(folder.path(), &master()).unwrap();
        good.import("peer", b"the old key").unwrap();
        let disk = Arc::new(Failing { bad, steps: AtomicUsize::new(0) });
        let ring = Keyring::open_on(folder.path(), &master(), disk).unwrap();
        let failed = ring.import("peer", b"the new key").unwrap_err();
        assert!(matches!(failed, KeysError::File { .. }), "step {bad}: {failed}");
        let found = good.imported("peer").unwrap().unwrap();
        // Step 2 is the folder's sync: the new key is there, but its durability is not confirmed.
        let expected: &[u8] = if bad == 2 { b"the new key" } else { b"the old key" };
        assert_eq!(found.as_slice(), expected, "step {bad}");
        assert_eq!(names(folder.path()), ["peer.pkcs8"], "step {bad}: no draft stays");
    }
}

#[test]
fn failing_disk_hands_out_no_new_secret() {
    for bad in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Failing { bad, steps: AtomicUsize::new(0) });
        let ring = Keyring::open_on(folder.path(), &master(), disk).unwrap();
        assert!(ring.secret("session", &SystemRandom).is_err(), "step {bad}");
        // The next try, with room, settles on one value.
        let value = ring.secret("session", &SystemRandom).unwrap();
        assert_eq!(ring.secret("session", &SystemRandom).unwrap(), value);
        assert_eq!(names(folder.path()), ["session.secret"]);
    }
}
