//! Films in a form that any desk plays: MP4 with H.264 and AAC, made by the system's ffmpeg.
//!
//! Invariants: the original is never altered, and goes along; ffmpeg gets bytes through a pipe and gives bytes through
//! a pipe, so nothing lies on a disk in the clear; what a hostile film makes it take of memory, threads and time has an
//! end; a film that could not be made to its end is an error and no shorter film. The same film gives the same bytes, for it is made twice: once for its record, and again when it is sealed.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gate::Again;

use crate::program::{self, Waiter};

/// Seconds of a processor's time that one film may take.
const CPU_SECONDS_MAX: &str = "86400";
/// How long one film may take: the permit for its release lives longer.
const WALL_MAX: Duration = Duration::from_secs(3 * 3600);
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes of memory that the program may address, and of one block in it: a picture of 8K takes some fifty million.
const MEMORY_BYTES_MAX: &str = "--as=4294967296";
const BLOCK_BYTES_MAX: &str = "536870912";
/// Pixels of one picture: 8K, and a little beyond.
const PIXELS_MAX: &str = "36000000";
/// Threads that decode, and that encode.
const THREADS_MAX: &str = "2";
/// What holds a program to limits of the system (util-linux).
const PRLIMIT: &str = "/usr/bin/prlimit";

/// From any film to one that browsers play, in fragments, so that it can be given through a pipe; nothing in it tells of
/// the hour or the machine that made it.
const MAKE: &[&str] = &[
    "-hide_banner",
    "-nostdin",
    "-loglevel",
    "error",
    "-xerror",
    "-timelimit",
    CPU_SECONDS_MAX,
    "-protocol_whitelist",
    "pipe",
    "-max_alloc",
    BLOCK_BYTES_MAX,
    "-max_pixels",
    PIXELS_MAX,
    "-threads",
    THREADS_MAX,
    "-i",
    "pipe:0",
    "-map",
    "0:v:0",
    "-map",
    "0:a?",
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "18",
    "-pix_fmt",
    "yuv420p",
    "-threads",
    THREADS_MAX,
    "-c:a",
    "aac",
    "-map_metadata",
    "-1",
    "-fflags",
    "+bitexact",
    "-flags:v",
    "+bitexact",
    "-flags:a",
    "+bitexact",
    "-movflags",
    "+frag_keyframe+empty_moov+default_base_moof",
    "-f",
    "mp4",
    "pipe:1",
];

/// The system's ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Films {
    program: PathBuf,
    /// Its first line about itself, such as `ffmpeg version 5.1.7-0+deb12u1`.
    version: String,
}

impl Films {
    /// Asks the program what it is.
    ///
    /// # Errors
    /// Where it can't be started, or is no ffmpeg.
    pub fn find(program: &Path) -> io::Result<Self> {
        let mut ask = bare(program);
        ask.arg("-version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = ask.spawn()?;
        let said = child.stdout.take().map(program::said).transpose()?;
        finish(&mut child)?;
        let said = said.unwrap_or_default();
        let version = said.lines().next().unwrap_or_default();
        let version = version.split(" Copyright").next().unwrap_or_default().trim();
        if !version.starts_with("ffmpeg version ") {
            return Err(io::Error::other("it does not say that it is ffmpeg"));
        }
        Ok(Self { program: program.to_owned(), version: version.to_owned() })
    }

    /// Which ffmpeg it is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The film as MP4, made anew each time that it is opened.
    pub fn mp4(&self, original: Again) -> Again {
        let program = self.program.clone();
        Arc::new(move || {
            let mut make = held(&program);
            make.args(MAKE);
            let (program, waiter, (mut input, output, errors)) = program::start(make)?;
            let mut bytes = original()?;
            let fed = std::thread::spawn(move || {
                let mut piece = vec![0; PIECE_BYTES];
                loop {
                    let count = bytes.read(&mut piece)?;
                    let Some(read @ [_, ..]) = piece.get(..count) else { return Ok(()) };
                    if input.write_all(read).is_err() {
                        // It wants no more; why, it says itself.
                        return Ok(());
                    }
                }
            });
            let ended = std::thread::spawn(move || end(waiter, errors));
            // It is ended when nobody reads any more, and when it takes too long: one that stands still would keep all
            // else waiting.
            let (read, unread) = sync_channel::<()>(0);
            std::thread::spawn(move || {
                if unread.recv_timeout(WALL_MAX) == Err(RecvTimeoutError::Timeout) {
                    tracing::warn!("making a film took too long");
                }
                drop(program);
            });
            let made = Made { output, threads: Some((fed, ended)), _read: read };
            Ok(Box::new(made) as Box<dyn Read + Send>)
        })
    }
}

/// The program with nothing of our surroundings.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").current_dir("/");
    command
}

/// The same, held to limits of the system where the machine has the means.
fn held(program: &Path) -> Command {
    let limiter = Path::new(PRLIMIT);
    if !limiter.is_file() {
        return bare(program);
    }
    let mut command = bare(limiter);
    command.args([MEMORY_BYTES_MAX, "--core=0", "--"]).arg(program);
    command
}

fn finish(child: &mut Child) -> io::Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

/// How the program came to its end.
fn end(waiter: Waiter, errors: ChildStderr) -> io::Result<()> {
    let words = program::said(errors)?;
    let status = waiter.wait()?;
    if status.success() {
        return Ok(());
    }
    let words = program::last_words(&words);
    Err(io::Error::other(format!("ffmpeg could not make a film of it: {words}")))
}

type Ended = JoinHandle<io::Result<()>>;

/// A film on its way out of the program.
struct Made {
    output: ChildStdout,
    /// What feeds it, and what waits for its end; taken when the end has come.
    threads: Option<(Ended, Ended)>,
    /// Dropped, the program is ended.
    _read: SyncSender<()>,
}

impl Read for Made {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.output.read(into)?;
        if count == 0
            && !into.is_empty()
            && let Some((fed, ended)) = self.threads.take()
        {
            let gone = |_| io::Error::other("what watches ffmpeg ended badly");
            ended.join().map_err(gone)??;
            // An original that could not be read to its end makes no shorter film.
            fed.join().map_err(gone)??;
        }
        Ok(count)
    }
}
