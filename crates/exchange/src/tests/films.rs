//! Films made by the real ffmpeg: whole, alike, and never shorter than their original.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gate::Again;

use crate::Films;

/// The system's ffmpeg; none where there is none, which CI does not let pass.
fn films() -> Option<Films> {
    let program = testkit::need("a test of films", &["/usr/bin/ffmpeg"]).unwrap()?;
    Some(Films::find(&program).unwrap())
}

/// A film of three seconds that no browser plays.
fn avi() -> Vec<u8> {
    let mut make = Command::new("/usr/bin/ffmpeg");
    make.args([
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=15:duration=3",
    ]);
    make.args(["-f", "lavfi", "-i", "sine=frequency=440:duration=3"]);
    make.args(["-c:v", "mpeg4", "-c:a", "libmp3lame", "-f", "avi", "pipe:1"]);
    let made = make.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

fn of(bytes: Vec<u8>) -> Again {
    let bytes = Arc::new(bytes);
    Arc::new(move || Ok(Box::new(Cursor::new(bytes.to_vec()))))
}

fn read(again: &Again) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    again()?.read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn a_film_is_made_the_same_each_time_and_plays() {
    let Some(films) = films() else { return };
    assert!(films.version().starts_with("ffmpeg version "), "{}", films.version());
    let made = films.mp4(of(avi()));
    let (first, second) = (read(&made).unwrap(), read(&made).unwrap());
    assert!(first == second && first.len() > 1_000);
    let examined = parcel::media::examine(&mut Cursor::new(&first), "film.mp4").unwrap();
    assert_eq!(examined.kind.media_type(), "video/mp4");
    assert_eq!(examined.standing, parcel::media::Standing::Sound, "{:?}", examined.words);
    assert_eq!(examined.tracks.len(), 2);
}

#[test]
fn what_is_no_film_or_not_all_of_one_is_an_error_and_no_shorter_film() {
    let Some(films) = films() else { return };
    let film = avi();
    for bad in [b"no film".to_vec(), Vec::new(), film[..200].to_vec()] {
        let error = read(&films.mp4(of(bad))).map(|made| made.len()).unwrap_err();
        assert!(error.to_string().contains("ffmpeg could not make a film of it"), "{error}");
    }
    // The original can't be read to its end, at a place where a film might end.
    struct Broken(Cursor<Vec<u8>>);
    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(std::io::Error::other("the document is not the one that was recorded")),
                count => Ok(count),
            }
        }
    }
    let broken: Again = Arc::new(move || Ok(Box::new(Broken(Cursor::new(film.clone())))));
    let error = read(&films.mp4(broken)).map(|made| made.len()).unwrap_err();
    assert!(error.to_string().contains("not the one that was recorded"), "{error}");
}

/// The processes that run this program, by their folders under `/proc`.
fn running(program: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let name = program.to_str().unwrap();
    let is = |folder: &PathBuf| {
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == name.as_bytes())
    };
    all.filter(is).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn a_film_that_nobody_reads_on_ends_its_program_and_it_had_limits() {
    let Some(found) = films() else { return };
    // Under a name that no other test's program has.
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("ffmpeg");
    std::os::unix::fs::symlink("/usr/bin/ffmpeg", &name).unwrap();
    let films = Films::find(&name).unwrap();
    assert_eq!(films.version(), found.version());
    // Its original has no end, so that it would never end by itself.
    struct Endless(Vec<u8>, usize);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = into.len().min(self.0.len() - self.1);
            if count == 0 {
                std::thread::sleep(std::time::Duration::from_millis(20));
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            into[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
            self.1 += count;
            Ok(count)
        }
    }
    let film = avi();
    let endless: Again = Arc::new(move || Ok(Box::new(Endless(film.clone(), 0))));
    let bytes = films.mp4(endless)().unwrap();
    let until = |wanted: &dyn Fn(&[PathBuf]) -> bool| {
        loop {
            let all = running(&name);
            if wanted(&all) {
                return all;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    // Before its own words are there it may be the program that sets its limits.
    let limits = |all: &[PathBuf]| {
        let text = all.first().and_then(|one| std::fs::read_to_string(one.join("limits")).ok());
        let text = text.unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("Max address space"));
        line.is_some_and(|line| line.contains("4294967296"))
    };
    let has_prlimit = Path::new("/usr/bin/prlimit").is_file();
    let all = until(&|all| all.len() == 1 && (!has_prlimit || limits(all)));
    assert_eq!(all.len(), 1);
    drop(bytes);
    until(&|all| all.is_empty());
    let other = Path::new("/usr/bin/true");
    assert!(Films::find(other).is_err(), "another program");
    assert!(Films::find(Path::new("/nowhere/ffmpeg")).is_err());
}

/// A small file, one picture of which would take hundreds of megabytes.
#[test]
fn a_film_of_huge_pictures_is_an_error() {
    let Some(films) = films() else { return };
    let mut make = Command::new("/usr/bin/ffmpeg");
    make.args([
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=size=8000x8000:rate=1:duration=1",
    ]);
    let made = make.args(["-c:v", "mjpeg", "-f", "avi", "pipe:1"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let error = read(&films.mp4(of(made.stdout))).map(|made| made.len()).unwrap_err();
    assert!(error.to_string().contains("ffmpeg could not make a film of it"), "{error}");
}
