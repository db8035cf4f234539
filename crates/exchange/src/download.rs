//! Taking a sealed parcel away as one file: a tar, or a ZIP without compression.
//!
//! Invariant: the download is decided, recorded and released before its first byte; what is streamed is
//! ciphertext and its signed manifests, checked against the digest that was recorded at sealing.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Crc;
use gate::{Fingerprint, Plan, Print, Released};
use ledger::Event;
use parcel::{TAG_FILES, part_path};
use policy::{Action, ResourceKind};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::error::ExchangeError;
use crate::model::{ExportStatus, SealedFacts};
use crate::record::About;
use crate::{Caller, Exchange};

/// Bytes that are read and handed on at a time, and how many such pieces wait.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_AHEAD: usize = 4;

/// The form of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// POSIX tar.
    Tar,
    /// ZIP, stored, with ZIP64 where it is needed. Each file is read twice, for its checksum goes first.
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
        if row.status == ExportStatus::Rejected.as_str() {
            let (is, needs) = (row.status, "sealed");
            return Err(ExchangeError::WrongState { what: "export", is, needs });
        }
        let details = &row.details;
        let mut about = About {
            kind: ResourceKind::Parcel,
            id: parcel.to_string(),
            record_class: details
                .items
                .first()
                .map(|item| item.record_class.clone())
                .ok_or(ExchangeError::NoSuch { what: "item" })?,
            caveats: details.items.iter().flat_map(|item| item.caveats.clone()).collect(),
            requested_by: Some(details.requester.id.clone()),
            agreement: None,
        };
        about.agreement = Some(self.agreement(&row.agreement)?);
        let marks = about.caveats.iter().map(ToString::to_string).collect();
        let plan = Plan::Parcel(format!("download parcel {parcel}"));
        let action = Action::DownloadParcel;
        let permit = self.ask(caller, action, about, &details.why, plan).await?;
        let ticket = permit.ticket();
        let digest = match self.check_sealed(parcel, &sealed).await {
            Ok(digest) => digest,
            Err(error) => {
                self.0.setup.gate.withhold(ticket, &error.chain()).await?;
                return Err(error);
            }
        };
        let held = permit.hold(Sealed { digest, bytes: sealed.bytes, marks });
        let event = Event::ParcelDownloaded {
            export: export.to_string(),
            parcel: parcel.to_string(),
            digest: sealed.digest.clone(),
            bytes: sealed.bytes,
        };
        self.record(Some(caller), &details.why, event).await?;
        let released = self.0.setup.gate.release(held).await?;
        Ok(self.stream(parcel, &sealed, form, &released))
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
        form: Form,
        _released: &Released<Sealed>,
    ) -> Download {
        let (send, pieces) = mpsc::channel(PIECES_AHEAD);
        let folder = self.0.store.sent(parcel);
        let (parts, sealed_at) = (facts.parts, facts.at);
        let top = format!("PKG-{parcel}");
        let (name, media_type) = match form {
            Form::Tar => (format!("{top}.tar"), "application/x-tar"),
            Form::Zip => (format!("{top}.zip"), "application/zip"),
        };
        tokio::task::spawn_blocking(move || {
            let mut paths: Vec<String> = TAG_FILES.iter().map(|path| (*path).to_owned()).collect();
            paths.sort();
            paths.extend((0..parts).map(part_path));
            let seconds = u64::try_from(sealed_at.as_second()).unwrap_or(0);
            let mut out = Pieces { send, filling: Vec::with_capacity(PIECE_BYTES) };
            let done = match form {
                Form::Tar => write_tar(&folder, &top, &paths, seconds, &mut out),
                Form::Zip => write_zip(&folder, &top, &paths, &mut out),
            };
            match done.and_then(|()| out.flush()) {
                Ok(()) => {}
                // Nobody listens any more: the download was broken off there.
                Err(error) => drop(out.send.blocking_send(Err(error))),
            }
        });
        Download { name, media_type, pieces }
    }
}

/// A writer into the pieces of a download.
struct Pieces {
    send: mpsc::Sender<io::Result<Bytes>>,
    filling: Vec<u8>,
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

/// One file of a ZIP, as its central directory lists it.
struct Listed {
    name: String,
    crc: u32,
    size: u32,
    offset: u64,
}

/// PKWARE's APPNOTE 6.3.10: local headers (4.3.7), central directory (4.3.12), ZIP64 (4.3.14 to 4.5.3).
fn write_zip(folder: &Path, top: &str, paths: &[String], out: &mut impl Write) -> io::Result<()> {
    let mut listed = Vec::with_capacity(paths.len());
    let mut offset = 0_u64;
    for path in paths {
        let place = folder.join(path);
        let (crc, size) = checksum(&place)?;
        let file = Listed { name: format!("{top}/{path}"), crc, size, offset };
        let mut head = 0x0403_4b50_u32.to_le_bytes().to_vec();
        head.extend(20_u16.to_le_bytes());
        head.extend(facts(&file));
        head.extend(0_u16.to_le_bytes());
        head.extend(file.name.as_bytes());
        out.write_all(&head)?;
        let copied = io::copy(&mut File::open(place)?.take(size.into()), out)?;
        if copied != u64::from(size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += head.len() as u64 + copied;
        listed.push(file);
    }
    let start = offset;
    for file in &listed {
        let entry = central(file);
        out.write_all(&entry)?;
        offset += entry.len() as u64;
    }
    out.write_all(&end(listed.len() as u64, start, offset - start))
}

/// Flags, method, time, checksum, sizes, and the name's length: the same in both headers. The time is
/// ZIP's first day, for it has no zone.
fn facts(file: &Listed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    for word in [0_u16, 0, 0, 0x0021] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [file.crc, file.size, file.size] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(u16::try_from(file.name.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes
}

fn central(file: &Listed) -> Vec<u8> {
    let short = u32::try_from(file.offset).ok().filter(|offset| *offset < u32::MAX);
    let mut extra = Vec::new();
    if short.is_none() {
        extra.extend(1_u16.to_le_bytes());
        extra.extend(8_u16.to_le_bytes());
        extra.extend(file.offset.to_le_bytes());
    }
    let version = if short.is_some() { 20_u16 } else { 45 };
    let mut entry = 0x0201_4b50_u32.to_le_bytes().to_vec();
    entry.extend(version.to_le_bytes());
    entry.extend(version.to_le_bytes());
    entry.extend(facts(file));
    entry.extend(u16::try_from(extra.len()).unwrap_or(0).to_le_bytes());
    // No comment, first disk, no attributes.
    entry.extend([0; 10]);
    entry.extend(short.unwrap_or(u32::MAX).to_le_bytes());
    entry.extend(file.name.as_bytes());
    entry.extend(extra);
    entry
}

fn end(count: u64, start: u64, length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let large = count >= u64::from(u16::MAX)
        || start >= u64::from(u32::MAX)
        || length >= u64::from(u32::MAX);
    if large {
        bytes.extend(0x0606_4b50_u32.to_le_bytes());
        bytes.extend(44_u64.to_le_bytes());
        bytes.extend([45, 0, 45, 0]);
        bytes.extend([0; 8]);
        for word in [count, count, length, start] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0x0706_4b50_u32.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((start + length).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    bytes.extend(0x0605_4b50_u32.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    let count = if large { u16::MAX } else { u16::try_from(count).unwrap_or(u16::MAX) };
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for word in [length, start] {
        let word = if large { u32::MAX } else { u32::try_from(word).unwrap_or(u32::MAX) };
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u16.to_le_bytes());
    bytes
}

fn checksum(path: &PathBuf) -> io::Result<(u32, u32)> {
    let mut file = File::open(path)?;
    let mut crc = Crc::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut size = 0_u64;
    loop {
        let count = file.read(&mut piece)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { break };
        crc.update(read);
        size += count as u64;
    }
    let size = u32::try_from(size).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok((crc.sum(), size))
}
