//! `bailiwick parcel receive`: hands a parcel that came on a medium, by SFTP or from a bucket to the server that runs beside.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use exchange::{Arrived, answer_for, arrivals};
use keys::SystemRandom;

use crate::progress;

/// How often the answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Folders within folders that a parcel has.
const DEPTH_MAX: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Receive {
    /// The parcel's folder or file.
    parcel: PathBuf,
    /// The agency's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Seconds to wait for the server's answer.
    #[arg(long, default_value_t = 600)]
    wait: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Copies a parcel into the folder for what arrives, and waits for what the server says of it. Exit 1: it was refused.
pub(super) fn receive(what: &Receive) -> anyhow::Result<ExitCode> {
    let Receive { parcel, config, json, .. } = what;
    let wait = Duration::from_secs(what.wait);
    let config = web::config::Config::read(config)?;
    anyhow::ensure!(config.exchange.is_some(), "the configuration has no [exchange]");
    // What it says of itself, so that a wrong path is told at once.
    parcel::inspect(parcel)
        .map_err(|refused| anyhow::anyhow!("`{}` is no parcel: {refused}", parcel.display()))?;
    let folder = arrivals(&config.data.folder.join("parcels"));
    anyhow::ensure!(
        folder.is_dir(),
        "`{}` is not there: the server makes it when it starts with [exchange]",
        folder.display()
    );
    let name = uuid::Builder::from_random_bytes(keys::random_bytes(&SystemRandom)?).into_uuid();
    let ending = if parcel.is_file() { ".zip" } else { "" };
    let place = folder.join(format!("{name}{ending}"));
    lay(parcel, &folder.join(format!(".{name}{ending}")), &place)
        .with_context(|| format!("could not copy `{}`", parcel.display()))?;
    progress::note("handed over; waiting for the server");
    let Some(arrived) = answered(&place, wait)? else {
        anyhow::bail!(
            "no answer within {} s: the parcel lies in `{}` until the server takes it",
            wait.as_secs(),
            place.display()
        );
    };
    if *json {
        progress::say(&serde_json::to_string(&arrived)?);
    } else {
        let exchange = arrived.exchange.map(|it| format!(", exchange {it}")).unwrap_or_default();
        let entry = arrived.entry.map(|it| format!(", ledger entry {it}")).unwrap_or_default();
        let (said, words) = (if arrived.taken { "taken in" } else { "refused" }, arrived.words);
        progress::say(&format!("{said}: {words}{exchange}{entry}"));
    }
    Ok(if arrived.taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gives it its whole name once all of it is there.
fn lay(from: &Path, unfinished: &Path, place: &Path) -> io::Result<()> {
    let copied = copy(from, unfinished, 0).and_then(|()| fs::rename(unfinished, place));
    if copied.is_err() {
        let gone = if unfinished.is_dir() {
            fs::remove_dir_all(unfinished)
        } else {
            fs::remove_file(unfinished)
        };
        // The first error is the one to tell; what is left has a name that the server passes over.
        return copied.map_err(|error| match gone {
            Ok(()) => error,
            Err(left) if left.kind() == io::ErrorKind::NotFound => error,
            Err(left) => io::Error::other(format!("{error}; what was copied is left: {left}")),
        });
    }
    copied
}

/// Plain files and folders, nothing else: a medium was in other hands.
fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_file() {
        let mut source = File::open(from)?;
        let mut file = File::create_new(to)?;
        io::copy(&mut source, &mut file)?;
        return file.sync_all();
    }
    if !kind.is_dir() || depth >= DEPTH_MAX {
        let what = format!("`{}` is neither a file nor a folder of a parcel", from.display());
        return Err(io::Error::other(what));
    }
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()), depth + 1)?;
    }
    Ok(())
}

fn answered(place: &Path, wait: Duration) -> anyhow::Result<Option<Arrived>> {
    let answer = answer_for(place);
    let there = async {
        while !answer.is_file() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let runtime = tokio::runtime::Runtime::new()?;
    match runtime.block_on(async { tokio::time::timeout(wait, there).await }) {
        Ok(()) => read(&answer).map(Some),
        Err(_) => Ok(None),
    }
}

fn read(answer: &Path) -> anyhow::Result<Arrived> {
    let arrived = serde_json::from_slice(&keys::file::read(answer, ANSWER_BYTES_MAX)?)?;
    fs::remove_file(answer).with_context(|| format!("could not remove `{}`", answer.display()))?;
    Ok(arrived)
}
