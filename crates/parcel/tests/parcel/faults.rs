//! At every write, that write fails; and what is left must not look like a parcel.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use keys::{KeysError, Random};
use parcel::{Entry, Folder, SealError, Target, Watch};

use crate::support::{World, case, files, now};

/// A disk that is full from the `room`th write on; a write that fails may have left half a file.
struct Full<'a> {
    folder: &'a Folder,
    room: usize,
    writes: AtomicUsize,
    publish_fails: bool,
    /// Leave the wreck for the test to look at.
    discard: bool,
}

impl Target for Full<'_> {
    fn create(&self, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
        if self.writes.fetch_add(1, Ordering::SeqCst) >= self.room {
            let whole = pieces.concat();
            self.folder.create(path, &[&whole[..whole.len() / 2]])?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.folder.create(path, pieces)
    }

    fn publish(&self) -> io::Result<()> {
        if self.publish_fails {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.folder.publish()
    }

    fn discard(&self) {
        if self.discard {
            self.folder.discard();
        }
    }
}

#[test]
fn disk_full_at_any_write_leaves_no_parcel() {
    let world = World::new();
    let total = {
        let folder = Folder::new(&world.path("whole"), "0").unwrap();
        let roomy = Full {
            folder: &folder,
            room: usize::MAX,
            writes: AtomicUsize::new(0),
            publish_fails: false,
            discard: true,
        };
        parcel::seal_into(world.order(case(), 4096), &roomy).unwrap();
        roomy.writes.load(Ordering::SeqCst)
    };
    assert!(total > 15, "{total} writes");
    for room in 0..total {
        for discard in [true, false] {
            let name = format!("full-{room}-{discard}");
            let out = world.path(&name);
            let folder = Folder::new(&out, "0").unwrap();
            let writes = AtomicUsize::new(0);
            let full = Full { folder: &folder, room, writes, publish_fails: false, discard };
            let failed = parcel::seal_into(world.order(case(), 4096), &full).unwrap_err();
            assert!(matches!(failed, SealError::Write { .. }), "{room}: {failed}");
            assert!(!out.exists());
            let draft = world.path(&format!(".{name}.0.draft"));
            assert_eq!(draft.exists(), !discard);
            if draft.exists() {
                // Even a wreck that nobody cleared away is refused.
                parcel::verify(&draft, &world.trust(), Watch::none()).unwrap_err();
            }
        }
    }
}

#[test]
fn failing_to_publish_leaves_no_parcel() {
    let world = World::new();
    let out = world.path("parcel");
    let folder = Folder::new(&out, "0").unwrap();
    let target = Full {
        folder: &folder,
        room: usize::MAX,
        writes: AtomicUsize::new(0),
        publish_fails: true,
        discard: true,
    };
    let failed = parcel::seal_into(world.order(case(), 4096), &target).unwrap_err();
    assert!(matches!(failed, SealError::Write { .. }), "{failed}");
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[test]
fn what_is_there_is_not_overwritten() {
    let world = World::new();
    let out = world.sealed("parcel");
    let before = files(&out);
    let failed = parcel::seal(world.order(case(), 4096), &out).unwrap_err();
    assert!(matches!(failed, SealError::Write { .. }), "{failed}");
    assert_eq!(files(&out), before);
    let nowhere = world.path("no/such/folder");
    assert!(parcel::seal(world.order(case(), 4096), &nowhere).is_err());
    let refused = parcel::open(&out, &world.recipient, &world.trust(), &out, None, Watch::none());
    assert!(matches!(*refused.unwrap_err().fault, parcel::Fault::Write(_)));
    parcel::verify(&out, &world.trust(), Watch::none()).unwrap();
}

#[test]
fn source_that_fails_halfway_leaves_no_parcel() {
    struct Broken(usize);
    impl io::Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            self.0 -= 1;
            out.fill(7);
            Ok(out.len())
        }
    }
    let world = World::new();
    let entry = Entry {
        path: "video.mp4".into(),
        media_type: "video/mp4".into(),
        modified: now(),
        length: 10_000_000,
        open: Box::new(|| Ok(Box::new(Broken(5)))),
    };
    let failed = parcel::seal(world.order(vec![entry], 4096), &world.path("parcel")).unwrap_err();
    assert!(matches!(&failed, SealError::Read { path, .. } if path == "video.mp4"), "{failed}");
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

#[test]
fn random_source_that_fails_leaves_no_parcel() {
    struct Dry;
    impl Random for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), KeysError> {
            Err(KeysError::Random)
        }
    }
    let world = World::new();
    let mut order = world.order(case(), 4096);
    order.random = &Dry;
    let failed = parcel::seal(order, &world.path("parcel")).unwrap_err();
    assert!(matches!(failed, SealError::Keys { .. }), "{failed}");
    assert_eq!(files(world.folder.path()), Vec::<String>::new());
}

/// Endless bytes that count themselves, and the furthest they got ahead of what was written.
struct Counted {
    given: Arc<AtomicU64>,
    written: Arc<AtomicU64>,
    lead: Arc<AtomicU64>,
    left: u64,
}

impl io::Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).unwrap().min(out.len());
        self.left -= count as u64;
        let given = self.given.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
        let lead = given.saturating_sub(self.written.load(Ordering::SeqCst));
        self.lead.fetch_max(lead, Ordering::SeqCst);
        Ok(count)
    }
}

/// Takes everything and keeps nothing.
struct Counting(Arc<AtomicU64>);

impl Target for Counting {
    fn create(&self, _: &str, pieces: &[&[u8]]) -> io::Result<()> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.0.fetch_add(bytes as u64, Ordering::SeqCst);
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self) {}
}

#[test]
fn sealing_holds_a_few_parts_in_memory_whatever_the_size() {
    const LENGTH: u64 = 96 << 20;
    const PART: u64 = 1 << 20;
    let world = World::new();
    let (given, written, lead) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let reader = Counted { given, written: written.clone(), lead: lead.clone(), left: LENGTH };
    let entry = Entry {
        path: "video.mp4".into(),
        media_type: "video/mp4".into(),
        modified: now(),
        length: LENGTH,
        open: Box::new(|| Ok(Box::new(reader))),
    };
    let order = world.order(vec![entry], PART);
    let workers = order.workers as u64;
    let sealed = parcel::seal_into(order, &Counting(written)).unwrap();
    assert_eq!(sealed.parts, 97);
    // One part being filled, one with each worker, and the reader's own piece.
    let most = (workers + 1) * PART + (256 << 10);
    let lead = lead.load(Ordering::SeqCst);
    assert!(lead <= most, "{lead} bytes read ahead of what was written; {most} allowed");
}
