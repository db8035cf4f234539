//! Whatever goes in comes out, at every part size, whole and in pieces.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parcel::{Entry, Parcel, Watch};
use proptest::prelude::*;

use crate::support::{World, files, noise, now, quick_folder};

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

/// Component names that the format allows.
fn component() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        proptest::char::range('a', 'z'),
        proptest::char::range('0', '9'),
        Just('_'),
        Just('-'),
        Just('é'),
        Just('漢'),
        Just(' '),
        Just('\''),
    ];
    proptest::collection::vec(letters, 1..60)
        .prop_map(|letters| format!("f{}x", letters.into_iter().collect::<String>()))
}

fn entries() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let path = proptest::collection::vec(component(), 1..4).prop_map(|parts| parts.join("/"));
    let length = prop_oneof![Just(0), Just(511), Just(512), Just(513), 0..6_000_usize];
    let content = (length, any::<u64>()).prop_map(|(length, seed)| noise(length, seed));
    proptest::collection::btree_map(path, content, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_goes_in_comes_out(
        given in entries(),
        part_size in prop_oneof![Just(1024_u64), Just(1536), 1024..9000_u64],
        cuts in (any::<u16>(), any::<u16>()),
    ) {
        let world = world();
        let folder = quick_folder();
        let (out, opened) = (folder.path().join("p"), folder.path().join("o"));
        let list = given.iter().map(|(path, bytes)| {
            Entry::from_bytes(path, "application/octet-stream", now(), bytes.clone())
        });
        let sealed = match parcel::seal(world.order(list.collect(), part_size), &out) {
            Ok(sealed) => sealed,
            // A path that is also another's folder.
            Err(parcel::SealError::Path { .. }) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let verified = parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
        prop_assert_eq!(verified.digest, sealed.digest);
        parcel::open(&out, &world.second, &world.trust(), &opened, None, Watch::none()).unwrap();
        let data = opened.join("inner/data");
        prop_assert_eq!(files(&data).len(), given.len());
        let parcel = Parcel::enter(&out, &world.trust()).unwrap();
        let unlocked = parcel.unlock(&world.recipient).unwrap();
        for (path, bytes) in &given {
            prop_assert_eq!(&std::fs::read(data.join(path)).unwrap(), bytes);
            let pick = |cut: u16| usize::from(cut) % (bytes.len() + 1);
            let (from, to) = (pick(cuts.0).min(pick(cuts.1)), pick(cuts.0).max(pick(cuts.1)));
            let piece = unlocked.read(path, from as u64, to as u64).unwrap();
            prop_assert_eq!(&piece, &bytes[from..to]);
        }
    }
}
