//! Sealing leaves nothing to chance but keys, nonces and signatures: two seals of the same files are otherwise the same, to the byte.

use std::path::Path;

use parcel::{Seal, Watch};

use crate::support::{World, case, files};

/// The files whose bytes differ between two folders that have the same files.
fn differing(one: &Path, other: &Path) -> Vec<String> {
    assert_eq!(files(one), files(other));
    let read = |folder: &Path, file: &String| std::fs::read(folder.join(file)).unwrap();
    files(one).into_iter().filter(|file| read(one, file) != read(other, file)).collect()
}

#[test]
fn two_seals_of_one_folder_differ_in_keys_nonces_and_signatures_only() {
    let world = World::new();
    let seal = |name: &str, workers: usize, reversed: bool| {
        let mut entries = case();
        if reversed {
            entries.reverse();
        }
        let order = world.order(entries, 4096);
        let order = Seal { workers, custody_document: true, ..order };
        let (out, opened) = (world.path(name), world.path(&format!("{name}, opened")));
        parcel::seal(order, &out).unwrap();
        parcel::open(&out, &world.recipient, &world.trust(), &opened, None, Watch::none()).unwrap();
        (out, opened.join("inner"))
    };
    // Whatever the number of workers, and the order in which the files are named.
    let (one, inside) = seal("one", 1, false);
    let (other, other_inside) = seal("other", 3, true);
    let signature = "seal/tagmanifest-sha256.txt.p7s".to_owned();
    assert_eq!(differing(&inside, &other_inside).as_slice(), std::slice::from_ref(&signature));
    let parts = || files(&one).into_iter().filter(|file| file.starts_with("data/"));
    // The lists say what the parts' hashes are, and the signature is over them.
    let lists = ["manifest-sha256.txt", "tagmanifest-sha256.txt"].map(str::to_owned);
    let mut expected: Vec<String> = parts().chain(lists).chain([signature]).collect();
    expected.sort();
    // An ECDSA signature is some bytes longer or shorter, and the last part with it: then the outside's sizes say so.
    let mut found = differing(&one, &other);
    found.retain(|file| file != "bag-info.txt" && file != "seal/receipt-template.json");
    assert_eq!(found, expected);
    // The same bytes go into each part but the last ones, and no two parts are alike.
    let size = |folder: &Path, file: &str| std::fs::metadata(folder.join(file)).unwrap().len();
    let last = parts().count() - 1;
    for (number, part) in parts().enumerate().filter(|(number, _)| *number < last) {
        assert_eq!(size(&one, &part), size(&other, &part), "part {number}");
    }
}
