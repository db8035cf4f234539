//! What a sealed file is by its content is what it is in the clear, and no more is decrypted for that than is looked at.

use std::io::Cursor;

use parcel::media::{self, Kind, Standing};
use parcel::{Entry, Parcel};

use crate::support::{World, noise, now};

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [size.to_be_bytes().as_slice(), kind, content].concat()
}

#[test]
fn a_sealed_file_is_what_it_is_in_the_clear() {
    let world = World::new();
    let film = [boxed(b"ftyp", b"isom\0\0\x02\0isom"), boxed(b"mdat", &noise(200_000, 3))].concat();
    let cut = film[..150_000].to_vec();
    let document =
        [b"%PDF-1.7\n".as_slice(), &noise(90_000, 5), b"\nstartxref\n9\n%%EOF\n"].concat();
    let files: [(&str, Vec<u8>); 6] = [
        ("a/cut.mp4", cut),
        ("a/film.mp4", film),
        ("b/paper.pdf", document),
        ("c/program.pdf", b"MZ and so on".to_vec()),
        ("d/empty.txt", Vec::new()),
        ("e/noise.bin", noise(70_000, 9)),
    ];
    let entries = files.iter().map(|(path, bytes)| {
        Entry::from_bytes(path, "application/octet-stream", now(), bytes.clone())
    });
    let parcel = world.path("parcel");
    parcel::seal(world.order(entries.collect(), 4096), &parcel).unwrap();
    let trust = world.trust();
    let parcel = Parcel::enter(&parcel, &trust).unwrap();
    let unlocked = parcel.unlock(&world.recipient).unwrap();
    for (path, bytes) in &files {
        let clear = media::examine(&mut Cursor::new(bytes), path).unwrap();
        assert_eq!(unlocked.examine(path).unwrap(), clear, "{path}");
    }
    assert_eq!(unlocked.examine("a/cut.mp4").unwrap().standing, Standing::CutShort);
    assert_eq!(unlocked.examine("c/program.pdf").unwrap().kind, Kind::Pe);
    assert!(unlocked.examine("nothing").is_err());
}

#[test]
fn a_film_in_very_many_pieces_is_known_by_its_head() {
    let world = World::new();
    let mut film = boxed(b"ftyp", b"isom\0\0\x02\0isom");
    for _ in 0..1_100 {
        film.extend(boxed(b"mdat", &vec![7; 66_000]));
    }
    let entries = vec![Entry::from_bytes("film.mp4", "video/mp4", now(), film)];
    let parcel = world.path("parcel");
    parcel::seal(world.order(entries, 1 << 20), &parcel).unwrap();
    let trust = world.trust();
    let parcel = Parcel::enter(&parcel, &trust).unwrap();
    let found = parcel.unlock(&world.recipient).unwrap().examine("film.mp4").unwrap();
    assert_eq!((found.kind, found.standing), (Kind::Mp4, Standing::NotExamined));
}
