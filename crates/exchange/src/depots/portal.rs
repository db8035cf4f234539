//! The portal as a place: the parcel stays in our own store, where guests of the partner fetch it.
//!
//! Invariant: it counts as laid down only after every file of it was read and was the one that was sealed.

use super::{Depot, DepotError, Laying, Left, Load, Way};

/// Nothing leaves with it: what does, leaves with a guest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portal;

impl Depot for Portal {
    fn words(&self) -> String {
        "kept here, for guests of the partner to fetch with a browser".to_owned()
    }

    fn lay<'a>(&'a self, load: &'a Load, way: &'a Way) -> Laying<'a> {
        Box::pin(async move {
            for file in &load.files {
                let (one, folder) = (file.clone(), load.folder.clone());
                let look = move || one.check(&folder);
                tokio::task::spawn_blocking(look).await.map_err(|_| DepotError::Stopped)??;
                way.there(file.bytes);
            }
            Ok(())
        })
    }

    /// Nothing of it lay elsewhere; no guest is let in to what was taken back.
    fn clear<'a>(&'a self, _: &'a Left) -> Laying<'a> {
        Box::pin(async { Ok(()) })
    }
}
