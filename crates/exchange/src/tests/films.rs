//! Films made by the real ffmpeg: whole, alike, and never shorter than their original.

use std::io::{Cursor, Read};
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

#[test]
fn a_film_that_nobody_reads_on_ends_its_program() {
    let Some(films) = films() else { return };
    let made = films.mp4(of(avi()));
    let mut bytes = made().unwrap();
    let mut first = [0; 16];
    bytes.read_exact(&mut first).unwrap();
    drop(bytes);
    let other = std::path::Path::new("/usr/bin/true");
    assert!(Films::find(other).is_err(), "another program");
    assert!(Films::find(std::path::Path::new("/nowhere/ffmpeg")).is_err());
}
