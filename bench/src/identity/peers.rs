//! xmlsec1 and pysaml2 on the same messages; each is asked in the way that others ask it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Side;
use super::messages::{ACS, IDP, Messages, REQUEST, SP, STOCK};

const RESPONSE: &str = "urn:oasis:names:tc:SAML:2.0:protocol:Response";

/// Verifications of one xmlsec1 that repeats.
const REPEATED: u32 = 400;

/// The sides that can run here.
pub(super) fn sides<'a>(
    folder: &'a Path,
    messages: &'a Messages,
    at_once: usize,
) -> anyhow::Result<Vec<Side<'a>>> {
    let mut sides: Vec<Side<'a>> = Vec::new();
    let Some(program) = testkit::need("a comparison", &["xmlsec1"])? else { return Ok(sides) };
    let one = program.clone();
    sides.push((
        "xmlsec1 --verify, a process for each message: the signature alone",
        Box::new(move |length| {
            processes(at_once, length, &|number| {
                let mut command = verifying(&one, folder);
                command.arg(folder.join(format!("response-{}.xml", number % STOCK)));
                command
            })
        }),
    ));
    let starting = program.clone();
    sides.push((
        "xmlsec1 --version: a process that starts and ends",
        Box::new(move |length| {
            processes(at_once, length, &|_| {
                let mut command = Command::new(&starting);
                command.arg("--version");
                command
            })
        }),
    ));
    sides.push((
        "xmlsec1 --verify --repeat: the signature alone, without starts",
        Box::new(move |length| repeated(&program, folder, at_once, length)),
    ));
    let python = testkit::target()?.join("python/bin/python");
    let name = python.to_str().context("a path in UTF-8")?.to_owned();
    if testkit::need("a comparison", &[&name])?.is_some() {
        let pysaml2 = Pysaml2::start(&python, folder, messages, at_once)?;
        let name = "pysaml2, whole check: starts xmlsec1 for the signature";
        sides.push((name, Box::new(move |length| pysaml2.rate(length))));
    }
    Ok(sides)
}

fn verifying(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--verify", "--enabled-reference-uris", "same-doc", "--id-attr:ID", RESPONSE]);
    command.arg("--pubkey-cert-pem").arg(folder.join("idp.pem"));
    command
}

/// Processes a second, so many at once. One that fails ends the run.
fn processes(
    at_once: usize,
    length: Duration,
    command: &(dyn Fn(usize) -> Command + Sync),
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let one_thread = |first: usize| {
        let mut done = 0_u32;
        let mut number = first;
        while started.elapsed() < length {
            let output = command(number).output().context("starting a process")?;
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            done += 1;
            number += at_once;
        }
        Ok(done)
    };
    Ok(f64::from(in_threads(at_once, &one_thread)?) / started.elapsed().as_secs_f64())
}

fn in_threads(
    at_once: usize,
    run: &(dyn Fn(usize) -> anyhow::Result<u32> + Sync),
) -> anyhow::Result<u32> {
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..at_once).map(|first| scope.spawn(move || run(first))).collect();
        let each = running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread ended"))?);
        each.sum()
    })
}

/// One process that verifies the same file many times, less one that verifies it once.
fn repeated(
    program: &Path,
    folder: &Path,
    at_once: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let file = folder.join("response-0.xml");
    let time = |times: u32| {
        let started = Instant::now();
        let run = |_: usize| {
            let mut command = verifying(program, folder);
            command.arg("--repeat").arg(times.to_string()).arg(&file);
            let output = command.output().context("starting a process")?;
            anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(times)
        };
        let done = in_threads(at_once, &run)?;
        anyhow::Ok((f64::from(done), started.elapsed().as_secs_f64()))
    };
    let started = Instant::now();
    let (mut done, mut seconds) = (0.0, 0.0);
    while started.elapsed() < length {
        let (many, long) = time(REPEATED)?;
        let (few, short) = time(1)?;
        done += many - few;
        seconds += long - short;
    }
    Ok(done / seconds)
}

/// Programs that verify for as long as they are told.
struct Pysaml2(Vec<Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>>);

impl Pysaml2 {
    fn start(
        python: &Path,
        folder: &Path,
        messages: &Messages,
        at_once: usize,
    ) -> anyhow::Result<Self> {
        let script: PathBuf = testkit::root().join("testkit/peers/pysaml2_verify.py");
        let stock = messages.response.join("\n");
        std::fs::write(folder.join("posted.txt"), stock).context("writing the messages")?;
        let start = || {
            let mut command = Command::new(python);
            command.arg(&script).arg(folder).args([SP, ACS, IDP, REQUEST]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let to = child.stdin.take().context("its input")?;
            let mut from = BufReader::new(child.stdout.take().context("its output")?);
            let mut line = String::new();
            from.read_line(&mut line)?;
            anyhow::ensure!(line.trim() == "ready", "pysaml2 says: {line}");
            Ok(Mutex::new((child, to, from)))
        };
        Ok(Self((0..at_once).map(|_| start()).collect::<anyhow::Result<_>>()?))
    }

    fn rate(&self, length: Duration) -> anyhow::Result<f64> {
        let started = Instant::now();
        let run = |at: usize| {
            let held = self.0.get(at).context("a process")?;
            let mut held = held.lock().map_err(|_| anyhow::anyhow!("a thread ended"))?;
            let (_, to, from) = &mut *held;
            writeln!(to, "{}", length.as_secs_f64())?;
            to.flush()?;
            let mut line = String::new();
            from.read_line(&mut line)?;
            line.trim().parse().with_context(|| format!("pysaml2 says: {line}"))
        };
        let done = in_threads(self.0.len(), &run)?;
        Ok(f64::from(done) / started.elapsed().as_secs_f64())
    }
}

impl Drop for Pysaml2 {
    fn drop(&mut self) {
        for held in &mut self.0 {
            if let Ok((child, ..)) = held.get_mut() {
                crate::end(child);
            }
        }
    }
}
