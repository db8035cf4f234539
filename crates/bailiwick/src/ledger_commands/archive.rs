//! `bailiwick ledger archive`: copies the closed part of a ledger to its archive, or verifies what is there.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use ledger::Reason;
use web::archiving::{Against, ArchivingError, Content};

use super::words;
use crate::progress;

#[derive(clap::Args)]
pub(crate) struct ArchiveArguments {
    /// The configuration file.
    #[arg(long, required_unless_present = "folder", conflicts_with = "folder")]
    config: Option<PathBuf>,
    /// Verify an archive in this folder, whatever is configured.
    #[arg(long, requires = "verify")]
    folder: Option<PathBuf>,
    /// Verify the archive instead of adding to it.
    #[arg(long)]
    verify: bool,
    /// Also write what the records say, in the clear, as Parquet. The server must be stopped, for it
    /// goes on record first. Whoever may read these files may read the ledger.
    #[arg(long, conflicts_with = "verify", requires_all = ["by", "reason"])]
    with_content: bool,
    /// Who takes the content, for the record.
    #[arg(long, requires = "with_content")]
    by: Option<String>,
    /// Why, for the record.
    #[arg(long, requires = "with_content")]
    reason: Option<String>,
    /// The log's public key (C2SP vkey), or a file that holds it.
    #[arg(long, requires = "verify")]
    key: Option<String>,
    /// The number of entries that must be archived at least.
    #[arg(long, requires = "verify")]
    expect_size: Option<u64>,
    /// A file with a checkpoint (signed note) from elsewhere.
    #[arg(long, requires = "verify")]
    checkpoint: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: ArchiveArguments) -> anyhow::Result<ExitCode> {
    if arguments.verify { verify(arguments) } else { put(&arguments) }
}

fn put(arguments: &ArchiveArguments) -> anyhow::Result<ExitCode> {
    let config = arguments.config.as_deref().context("--config is missing")?;
    let bar = progress::bar("segments");
    let mut tick = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let why = Reason { purpose: None, case_number: None, reason: arguments.reason.clone() };
    let content = arguments.by.as_deref().filter(|_| arguments.with_content);
    let content = content.map(|by| Content { by, why });
    let done = web::archiving::run(config, content.as_ref(), &mut tick);
    bar.finish_and_clear();
    let done = done?;
    if arguments.json {
        let value = serde_json::json!({
            "segments": done.segments,
            "before": done.before,
            "size": done.size,
            "objects": done.objects,
            "bytes": done.bytes,
        });
        progress::say(&value.to_string());
    } else {
        progress::say(&format!(
            "archived {} segments in {} objects, {} bytes; {} were archived before; {} entries are archived in all",
            done.segments, done.objects, done.bytes, done.before, done.size
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(arguments: ArchiveArguments) -> anyhow::Result<ExitCode> {
    let key = arguments.key.map(words::key_text).transpose()?;
    let checkpoint = arguments.checkpoint.as_deref().map(progress::text_of).transpose()?;
    let (key, checkpoint) = (key.as_deref(), checkpoint.as_deref());
    let against = Against { key, expect_size: arguments.expect_size, checkpoint };
    let bar = progress::bar("segments");
    let mut tick = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let checked = match (&arguments.folder, &arguments.config) {
        (Some(folder), _) => web::archiving::verify_folder(folder, against, &mut tick),
        (None, Some(config)) => web::archiving::verify(config, against, &mut tick),
        (None, None) => anyhow::bail!("--config is missing"),
    };
    bar.finish_and_clear();
    let checked = match checked {
        Ok(checked) => checked,
        // The archive was read and is wrong; all else could not be tried.
        Err(ArchivingError::Archive(error)) if arguments.json => {
            let what = format!("{:#}", anyhow::Error::from(error));
            progress::say(&serde_json::json!({ "verified": false, "what": what }).to_string());
            return Ok(ExitCode::FAILURE);
        }
        Err(ArchivingError::Archive(error)) => {
            progress::say(&format!("does not hold: {:#}", anyhow::Error::from(error)));
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    let (origin, size, root) = (&checked.origin, checked.size, hex::encode(checked.root));
    if arguments.json {
        let value = serde_json::json!({
            "verified": true,
            "origin": origin,
            "size": size,
            "root": root,
            "bodies": checked.bodies,
            "objects": checked.objects,
            "checkpoint_held": checked.checkpoint_held,
        });
        progress::say(&value.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let (bodies, objects) = (checked.bodies, checked.objects);
    progress::say(&format!(
        "holds: {origin} has {size} entries and {bodies} bodies archived in {objects} objects, root {root}"
    ));
    if checkpoint.is_some() && !checked.checkpoint_held {
        progress::say("the checkpoint is of more entries than are archived: it was not compared");
    }
    Ok(ExitCode::SUCCESS)
}
