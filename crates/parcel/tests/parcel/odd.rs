//! Odd input that must be carried as it is, or refused by name: names with every byte, and a film of more than 4 GiB.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use parcel::{Entry, Folder, Parcel, SealError, Target, Watch};

use crate::support::{World, files, now, run};

/// What Windows, `sha256sum` or BagIt read otherwise, and what can't be seen.
const REFUSED: &str = "\\%:\"<>|?*";

#[test]
fn every_byte_in_a_name_is_carried_by_every_tool_or_refused() {
    let world = World::new();
    let seal = |names: &[String], out: &Path| {
        let entry = |name: &String| Entry::from_bytes(name, "x/y", now(), name.clone().into());
        parcel::seal(world.order(names.iter().map(entry).collect(), 4096), out)
    };
    let mut carried = Vec::new();
    // Bytes from 128 on are half a letter: alone they are in no name that is text. Here they are within their letters.
    for letter in (1..=255).map(char::from).filter(|letter| *letter != '/') {
        // A number keeps `a` and `A` apart, which are one name to some systems.
        let name = format!("{}-{letter}.txt", u32::from(letter));
        let out = world.path(&format!("parcel {}", u32::from(letter)));
        match seal(std::slice::from_ref(&name), &out) {
            Ok(_) => carried.push(name),
            Err(SealError::Path { path, why }) => {
                assert!(path == name && !out.exists(), "{name:?}: {why}");
                let known = REFUSED.contains(letter) || letter.is_control() || letter == '\u{ad}';
                assert!(known, "{name:?}: {why}");
            }
            Err(other) => panic!("{name:?}: {other}"),
        }
    }
    // 254 letters, but for 64 controls, nine of other meaning and one without ink.
    assert_eq!(carried.len(), 254 - 64 - 9 - 1);
    let all: String = (1..=255).map(char::from).filter(|letter| *letter != '/').collect();
    let refused = seal(&[all], &world.path("all in one")).unwrap_err();
    assert!(matches!(refused, SealError::Path { .. }), "{refused}");

    let out = world.path("parcel");
    seal(&carried, &out).unwrap();
    let opened = world.path("opened");
    parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
    carried.sort();
    assert_eq!(files(&opened.join("inner/data")), carried);
    let check = ["--check", "--strict", "--quiet", "manifest-sha256.txt"];
    let checked = run(Command::new("sha256sum").args(check).current_dir(opened.join("inner")));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Keeps text files and a few parts, and counts the rest.
struct Sieve<'a> {
    folder: &'a Folder,
    kept: Vec<String>,
    bytes: AtomicU64,
}

impl Target for Sieve<'_> {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        if !path.starts_with("data/") || self.kept.iter().any(|kept| kept == path) {
            self.folder.create(path, pieces)?;
        }
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        self.folder.publish()
    }

    fn discard(&self) {
        self.folder.discard();
    }
}

#[test]
fn a_sparse_file_of_more_than_four_gibibytes_is_sealed_and_read_on_both_sides_of_the_border() {
    const BORDER: u64 = 4 << 30;
    const LENGTH: u64 = BORDER + (1 << 20) + 7;
    let world = World::new();
    let film = world.path("film.mp4");
    let file = File::create(&film).unwrap();
    file.set_len(LENGTH).unwrap();
    file.write_all_at(b"border", BORDER - 3).unwrap();
    file.write_all_at(b"end", LENGTH - 3).unwrap();
    let (out, part) = (world.path("parcel"), parcel::PART_BYTES_DEFAULT);
    let folder = Folder::new(&out, "0").unwrap();
    let (first, last) = (BORDER / part - 1, LENGTH / part);
    let kept = (first..=last).map(parcel::part_path).collect();
    let sieve = Sieve { folder: &folder, kept, bytes: AtomicU64::new(0) };
    let entry = Entry::from_file("film.mp4", "video/mp4", &film).unwrap();
    let sealed = parcel::seal_into(world.order(vec![entry], part), &sieve).unwrap();
    assert_eq!((sealed.parts, sealed.files[0].length), (last + 1, LENGTH));
    assert!(sieve.bytes.into_inner() > LENGTH);
    // What was not kept need not be there to read what was.
    let announced = Parcel::announced(&out, &world.trust()).unwrap();
    let unlocked = announced.unlock(&world.recipient).unwrap();
    let read = |from, to| unlocked.read("film.mp4", from, to).unwrap();
    assert_eq!(read(BORDER - 4, BORDER + 4), b"\0border\0");
    assert_eq!(read(LENGTH - 4, LENGTH), b"\0end");
}
