//! A file of a received parcel, all of it and however large.
//!
//! Invariants: the record has the hash that the sender signed before one byte is read; what is given after that comes out
//! at that hash, or breaks off before its end. Only a few pieces of it are in memory.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use gate::{Again, Released, Stream};
use parcel::{Parcel, Trust};
use policy::Why;
use uuid::Uuid;

use crate::model::{IncomingRow, ReceivedFile};
use crate::{Caller, Exchange, ExchangeError};

/// Bytes that it is read by, and pieces that wait to be taken.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_AHEAD: usize = 4;

impl Exchange {
    /// A whole file of a received parcel, to be read after its release.
    ///
    /// # Errors
    /// As [`Exchange::document`].
    pub async fn whole(
        &self,
        caller: &Caller,
        exchange: Uuid,
        path: &str,
        why: &Why,
    ) -> Result<Released<Stream>, ExchangeError> {
        let (mut row, inside) = self.accepted(exchange).await?;
        let file = inside.files.iter().find(|file| file.path == path).cloned();
        let file = file.ok_or(ExchangeError::NoSuch { what: "file in the parcel" })?;
        let plan = format!("open {path} of exchange {exchange}, all {} bytes", file.length);
        let leave = self.leave_to_open(caller, (&row, &inside), Some(path), why, &plan).await?;
        let stream = match self.stream_of(&row, &file) {
            Ok(stream) => stream,
            Err(error) => {
                self.keep_closed(leave, &error.chain()).await?;
                return Err(error);
            }
        };
        self.note_opening(caller, &mut row, why, (path, file.length)).await?;
        self.give(leave, stream).await
    }

    /// A received file, of which the sender's hash is all that is known before it is read.
    pub(crate) fn stream_of(
        &self,
        row: &IncomingRow,
        file: &ReceivedFile,
    ) -> Result<Stream, ExchangeError> {
        let trust = self.trust_in(row)?;
        let folder = self.0.store.incoming(row.exchange);
        let bad = |_| ExchangeError::Protocol { what: "a file's hash that is none" };
        let mut digest = [0; 32];
        hex::decode_to_slice(&file.sha256, &mut digest).map_err(bad)?;
        let (this, path) = (self.clone(), file.path.clone());
        let again: Again = std::sync::Arc::new(move || {
            let (send, pieces) = sync_channel(PIECES_AHEAD);
            let (this, folder, trust, path) =
                (this.clone(), folder.clone(), trust.clone(), path.clone());
            std::thread::spawn(move || {
                let give = |piece: Vec<u8>| send.send(Ok(piece)).is_ok();
                if let Err(error) = this.give_pieces(&folder, &trust, &path, &give) {
                    // Whoever is gone does not hear why.
                    drop(send.send(Err(error)));
                }
            });
            let pieces = Pieces { pieces, piece: Vec::new(), at: 0 };
            Ok(Box::new(pieces) as Box<dyn Read + Send>)
        });
        let name = file.path.rsplit('/').next().unwrap_or("document").to_owned();
        let key = format!("{}/{}", row.exchange, file.path);
        Ok(Stream::new(&key, name, &file.media_type, (file.length, digest), again))
    }

    /// Decrypts a file and gives it piece by piece, as long as it is taken.
    fn give_pieces(
        &self,
        folder: &std::path::Path,
        trust: &Trust,
        path: &str,
        give: &dyn Fn(Vec<u8>) -> bool,
    ) -> io::Result<()> {
        let parcel = Parcel::enter(folder, trust).map_err(io::Error::other)?;
        let unlocked = parcel.unlock(self.opener(&parcel)).map_err(io::Error::other)?;
        let mut file = unlocked.stream(path).map_err(io::Error::other)?;
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            if count == 0 || !give(piece) {
                return Ok(());
            }
        }
    }
}

/// What a thread gives, as bytes to read.
struct Pieces {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece?, 0),
                // It has come to its end.
                Err(_) => return Ok(0),
            }
        }
        let left = self.piece.get(self.at..).unwrap_or_default();
        let count = left.len().min(into.len());
        if let (Some(into), Some(left)) = (into.get_mut(..count), left.get(..count)) {
            into.copy_from_slice(left);
        }
        self.at += count;
        Ok(count)
    }
}
