//! Taking a sealed parcel away as one file: a tar, or a ZIP without compression.
//!
//! Invariant: the download is decided, recorded and released before its first byte; what is streamed is
//! ciphertext and its signed manifests, checked against the digest that was recorded at sealing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use gate::{Fingerprint, Permit, Print, Released};
use ledger::Event;
use parcel::{part_path, tag_files};
use policy::Action;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use uuid::Uuid;

use crate::error::ExchangeError;
use crate::model::{ExportRow, ExportStatus, SealedFacts};
use crate::{Caller, Exchange};

/// Bytes that are read and handed on at a time, and how many such pieces wait.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_AHEAD: usize = 4;

/// The form of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// POSIX tar.
    Tar,
    /// The one form of ZIP that `parcel` reads; any desktop unpacks it.
    Zip,
}

/// A parcel on its way to a file.
#[derive(Debug)]
pub struct Download {
    /// A file name to offer.
    pub name: String,
    pub media_type: &'static str,
    /// The bytes. An `Err` breaks it off, so that nobody takes it for whole.
    pub pieces: mpsc::Receiver<io::Result<Bytes>>,
}

/// The sealed parcel, as what leaves.
struct Sealed {
    digest: [u8; 32],
    bytes: u64,
    marks: BTreeSet<String>,
}

impl Fingerprint for Sealed {
    fn fingerprint(&self) -> Print {
        Print {
            what: "parcel",
            count: 1,
            bytes: self.bytes,
            digest: self.digest,
            subjects: Vec::new(),
            caveats: self.marks.clone(),
        }
    }
}

impl Exchange {
    /// Streams one of our own sealed parcels.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`], [`ExchangeError::Clause`], [`ExchangeError::Unrecorded`];
    /// [`ExchangeError::WrongState`] before it was sealed.
    pub async fn download(
        &self,
        caller: &Caller,
        export: Uuid,
        form: Form,
    ) -> Result<Download, ExchangeError> {
        let row = self.export_row(export).await?;
        let (Some(parcel), Some(sealed)) = (row.parcel, row.details.sealed.clone()) else {
            let (is, needs) = (row.status, "sealed");
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        };
        let gone = [ExportStatus::Rejected, ExportStatus::Recalled, ExportStatus::Expired];
        if gone.iter().any(|status| status.as_str() == row.status) {
            let (is, needs) = (row.status, "sealed");
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        }
        if sealed.gone.is_some() {
            let (is, needs) = ("removed here some time after it arrived".to_owned(), "here");
            return Err(ExchangeError::WrongState { what: "sealed copy", is, needs });
        }
        let details = &row.details;
        let agreement = self.agreement(&row.agreement).await?;
        let (items, action) = ((export, details.items.as_slice()), Action::DownloadParcel);
        let requester = Some(details.requester.id.clone());
        // One for each record class in it: all must be open to whoever takes it away.
        let permits =
            self.ask_each(caller, action, items, &agreement, requester, &details.why).await?;
        self.hand_out(caller, &row, (parcel, &sealed), permits, (form, None)).await
    }

    /// Records, releases and streams what somebody may take away.
    pub(crate) async fn hand_out(
        &self,
        caller: &Caller,
        row: &ExportRow,
        (parcel, sealed): (Uuid, &SealedFacts),
        permits: Vec<Permit>,
        (form, room): (Form, Option<OwnedSemaphorePermit>),
    ) -> Result<Download, ExchangeError> {
        let unread = self.unread(&row.partner).await?;
        if let Some(clause) = unread.or_else(|| self.still_opens(row).err()) {
            let entry = self.withhold_each(permits, &clause.recorded()).await?;
            return Err(ExchangeError::Clause { entry, clause });
        }
        let checked = match self.stamp_before_leaving(&mut row.clone()).await {
            Ok(()) => self.check_sealed(parcel, sealed).await,
            Err(error) => Err(error),
        };
        let digest = match checked {
            Ok(digest) => digest,
            Err(error) => {
                self.withhold_each(permits, &error.chain()).await?;
                return Err(error);
            }
        };
        let event = Event::ParcelDownloaded {
            export: row.id.to_string(),
            parcel: parcel.to_string(),
            digest: sealed.digest.clone(),
            bytes: sealed.bytes,
        };
        self.record(Some(caller), &row.details.why, event).await?;
        let mut released = None;
        for permit in permits {
            let caveats = &permit.question().resource.caveats;
            let marks = caveats.iter().map(ToString::to_string).collect();
            let held = permit.hold(Sealed { digest, bytes: sealed.bytes, marks });
            released = Some(self.0.setup.gate.release(held).await?);
        }
        let released = released.ok_or(ExchangeError::NoSuch { what: "item" })?;
        Ok(self.stream(parcel, sealed, (form, room), &released))
    }

    async fn check_sealed(
        &self,
        parcel: Uuid,
        sealed: &SealedFacts,
    ) -> Result<[u8; 32], ExchangeError> {
        let (folder, trust) = (self.0.store.sent(parcel), self.own_trust());
        let work = move || parcel::Parcel::enter(&folder, &trust).map(|parcel| parcel.digest());
        let digest = tokio::task::spawn_blocking(work).await.map_err(|_| ExchangeError::Stopped)?;
        let digest = digest.map_err(ExchangeError::Refused)?;
        if hex::encode(digest) == sealed.digest {
            return Ok(digest);
        }
        Err(ExchangeError::Protocol { what: "a parcel in the store that is another" })
    }

    /// Only with what the gate released.
    fn stream(
        &self,
        parcel: Uuid,
        facts: &SealedFacts,
        (form, room): (Form, Option<OwnedSemaphorePermit>),
        _released: &Released<Sealed>,
    ) -> Download {
        let (mut out, pieces) = Pieces::new();
        let folder = self.0.store.sent(parcel);
        let (parts, sealed_at) = (facts.parts, facts.at);
        let top = format!("parcel-{parcel}");
        let (name, media_type) = match form {
            Form::Tar => (format!("{top}.tar"), "application/x-tar"),
            Form::Zip => (format!("{top}.zip"), "application/zip"),
        };
        tokio::task::spawn_blocking(move || {
            // Given back when the last piece was taken, or nobody takes any more.
            let _room = room;
            let tags = tag_files(&folder).into_iter();
            let mut paths: Vec<String> = tags.map(ToOwned::to_owned).collect();
            paths.sort();
            paths.extend((0..parts).map(part_path));
            let seconds = u64::try_from(sealed_at.as_second()).unwrap_or(0);
            let done = match form {
                Form::Tar => write_tar(&folder, &top, &paths, seconds, &mut out),
                Form::Zip => parcel::pack(&folder, parcel, parts, &mut out),
            };
            out.end(done);
        });
        Download { name, media_type, pieces }
    }
}

/// A writer into the pieces of a download.
pub(crate) struct Pieces {
    send: mpsc::Sender<io::Result<Bytes>>,
    filling: Vec<u8>,
}

impl Pieces {
    pub(crate) fn new() -> (Self, mpsc::Receiver<io::Result<Bytes>>) {
        let (send, pieces) = mpsc::channel(PIECES_AHEAD);
        (Self { send, filling: Vec::with_capacity(PIECE_BYTES) }, pieces)
    }

    /// Ends it: whole, or broken off, so that nobody takes it for whole.
    pub(crate) fn end(mut self, written: io::Result<()>) {
        match written.and_then(|()| self.flush()) {
            Ok(()) => {}
            // Nobody listens any more: the download was broken off there.
            Err(error) => drop(self.send.blocking_send(Err(error))),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.filling.extend_from_slice(bytes);
        if self.filling.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.filling, Vec::with_capacity(PIECE_BYTES));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.send.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

fn write_tar(
    folder: &Path,
    top: &str,
    paths: &[String],
    seconds: u64,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for path in paths {
        let file = File::open(folder.join(path))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_mtime(seconds);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, format!("{top}/{path}"), file)?;
    }
    tar.finish()
}
