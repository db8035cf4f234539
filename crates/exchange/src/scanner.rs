//! Asking the agency's malware scanner (ClamAV) about every file of a sealed parcel.
//!
//! Invariants: a file is decrypted in memory and goes to the scanner alone, over this machine's loopback; a
//! scanner that is away gives no outcome, and a file that it could not take to its end is never called clean.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parcel::scan::{self, Outcome, ScanError};
use parcel::{IndexedFile, Parcel, Recipient, Trust, Unlocked};
use tokio::runtime::Handle;
use wire::{Addresses, Egress, Target};

/// How long the scanner may say nothing: it reads a file to its end before it answers.
const SILENCE_MAX: Duration = Duration::from_secs(300);
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The agency's scanner: `clamd` at a TCP address of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Scanner {
    pub address: SocketAddr,
    /// Bytes of one file that it takes (its StreamMaxLength).
    pub stream_bytes_max: u64,
    /// Whether files that it did not look at to their end are held as infected ones are.
    pub hold_not_fully: bool,
}

/// Why a scan did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Halt {
    #[error("the malware scanner does not answer")]
    Away(#[source] ScanError),
    #[error("the malware scanner can't be reached")]
    Unreached(#[from] wire::WireError),
    #[error("the parcel could not be read")]
    Parcel(#[source] parcel::Refused),
    #[error("a file of the parcel could not be read")]
    File(#[source] io::Error),
    #[error("the scan was stopped")]
    Stopped,
}

/// What the scanner said of all files.
pub(crate) struct Said {
    /// Engine and signatures.
    pub(crate) engine: String,
    pub(crate) files: Vec<(IndexedFile, Outcome)>,
}

/// One scan of a parcel, for a thread that may wait.
pub(crate) struct Asking {
    pub(crate) scanner: Scanner,
    pub(crate) runtime: Handle,
    /// Set when nobody waits for the outcome any more.
    pub(crate) stopped: Arc<AtomicBool>,
}

impl Asking {
    /// Asks about every file.
    pub(crate) fn all<'a>(
        &self,
        folder: &Path,
        trust: &Trust,
        opener: impl FnOnce(&Parcel) -> &'a Recipient,
    ) -> Result<Said, Halt> {
        let parcel = Parcel::enter(folder, trust).map_err(Halt::Parcel)?;
        let unlocked = parcel.unlock(opener(&parcel)).map_err(Halt::Parcel)?;
        let engine = self.engine()?;
        // Files lie in the parts in the order of their paths: each part is decrypted once.
        let mut files = Vec::with_capacity(unlocked.files().len());
        for file in unlocked.files() {
            files.push((file.clone(), self.one(&unlocked, file)?));
        }
        Ok(Said { engine, files })
    }

    fn engine(&self) -> Result<String, Halt> {
        scan::engine(&mut self.connect()?).map_err(Halt::Away)
    }

    /// One file. Where the scanner hung up or answered with an error of its own and is still there, it is asked
    /// once more: then the file is one that it can't take.
    fn one(&self, unlocked: &Unlocked<'_>, file: &IndexedFile) -> Result<Outcome, Halt> {
        let first = match self.ask(unlocked, file) {
            Err(Halt::Away(ScanError::HungUp { .. } | ScanError::Answer(_))) => {
                self.engine()?;
                self.ask(unlocked, file)
            }
            other => other,
        };
        let why = match first {
            Err(Halt::Away(ScanError::HungUp { sent })) => {
                format!("the scanner hung up after {sent} bytes, twice, as it does at its limit")
            }
            Err(Halt::Away(ScanError::Answer(answer))) => {
                format!("the scanner answered, twice: {answer}")
            }
            other => return other,
        };
        // A scanner that went away in between says nothing about the file.
        self.engine()?;
        Ok(Outcome::NotFully { scanned: 0, why })
    }

    fn ask(&self, unlocked: &Unlocked<'_>, file: &IndexedFile) -> Result<Outcome, Halt> {
        let bytes = unlocked.stream(&file.path).map_err(Halt::Parcel)?;
        let mut bytes = Leashed { bytes, stopped: &self.stopped };
        let most = self.scanner.stream_bytes_max;
        let outcome = scan::scan(&mut self.connect()?, &mut bytes, file.length, most);
        outcome.map_err(|error| match error {
            ScanError::File(_) if self.stopped.load(Ordering::Relaxed) => Halt::Stopped,
            ScanError::File(source) => Halt::File(source),
            other => Halt::Away(other),
        })
    }

    /// A connection of its own for each question, as `clamd` wants it.
    fn connect(&self) -> Result<TcpStream, Halt> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        let (host, port) = (self.scanner.address.ip().to_string(), self.scanner.address.port());
        let target = Target { host: host.clone(), port, addresses: Addresses::Private };
        let egress = Egress::new(vec![target]);
        let stream = self.runtime.block_on(egress.connect(&host, port, CONNECT_WAIT_MAX))?;
        let plain = stream.into_std().and_then(|stream| {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(SILENCE_MAX))?;
            stream.set_write_timeout(Some(SILENCE_MAX))?;
            Ok(stream)
        });
        plain.map_err(|source| Halt::Away(ScanError::Scanner(source)))
    }
}

/// A file's bytes, as long as somebody waits for the outcome.
struct Leashed<'a, R> {
    bytes: R,
    stopped: &'a AtomicBool,
}

impl<R: Read> Read for Leashed<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the scan was stopped"));
        }
        self.bytes.read(into)
    }
}
