//! The newest checkpoint that this machine has seen, in a file of its own: a database that was put
//! back from an older backup is told by it.

use std::io;

use super::Postgres;
use crate::disk::{read_whole, replace};
use crate::error::{Damage, OpenError};
use crate::identity::SMALL_FILE_BYTES_MAX;
use crate::note::Checkpoint;
use crate::store::root_is;

/// A checkpoint (C2SP note) in the folder of what is this machine's own.
pub(super) const SEEN: &str = "seen";

impl Postgres {
    /// Remembers a checkpoint.
    pub(super) fn see(&self, note: &str) -> io::Result<()> {
        replace(self.place.disk.as_ref(), &self.place.folder, SEEN, note.as_bytes())
    }

    /// Holds what was seen last against the log of `have` entries.
    pub(super) fn check_seen(&self, have: u64) -> Result<(), OpenError> {
        let path = self.place.path(SEEN);
        let note = match read_whole(self.place.disk.as_ref(), &path, SMALL_FILE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(|source| OpenError::Disk { doing: "read", path, source })?,
        };
        self.hold(SEEN, &String::from_utf8_lossy(&note), have)
    }

    /// Holds a signed checkpoint against the log of `have` entries.
    pub(super) fn hold(&self, file: &str, note: &str, have: u64) -> Result<(), OpenError> {
        let damage = |what: &str| OpenError::Damaged(Damage::new(file, 0, None, what));
        let checkpoint = Checkpoint::open(note, &self.identity.key);
        let checkpoint = checkpoint.map_err(|error| damage(&error.to_string()))?;
        let seen = checkpoint.size;
        if seen > have {
            return Err(OpenError::WoundBack { have, seen });
        }
        match root_is(self, seen, &checkpoint.root)? {
            true => Ok(()),
            false => Err(damage("its root is not that of the log's entries")),
        }
    }
}
