//! `bailiwick ledger …`: works on a copy of a ledger's folder, without secrets and without a server.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use ledger::VerifyOptions;

use crate::progress;

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Hold a ledger's folder against itself, against a size known from elsewhere, and against its
    /// key. Exit 1 names the file and entry that is wrong.
    Verify {
        /// The folder.
        folder: PathBuf,
        /// The number of entries that somebody outside has seen; a shorter log is refused.
        #[arg(long)]
        expect_size: Option<u64>,
        /// The log's public key (C2SP vkey), or a file that holds it.
        #[arg(long)]
        key: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(command: LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Verify { folder, expect_size, key, json } => {
            let key = key.map(key_text).transpose()?;
            let bar = progress::bar("entries");
            let mut tick = |done: u64, total: u64| {
                bar.set_length(total);
                bar.set_position(done);
            };
            let options = VerifyOptions { expect_size, key, progress: &mut tick };
            let result = ledger::verify(&folder, options);
            bar.finish_and_clear();
            Ok(match result {
                Ok(verified) => {
                    progress::say(&holds(&verified, json));
                    ExitCode::SUCCESS
                }
                Err(damage) => {
                    progress::say(&broken(&damage, json));
                    ExitCode::FAILURE
                }
            })
        }
    }
}

/// The key itself, or the first line of the file that is named.
fn key_text(given: String) -> anyhow::Result<String> {
    if given.contains('+') {
        return Ok(given);
    }
    Ok(progress::text_of(Path::new(&given))?.trim().to_owned())
}

fn holds(verified: &ledger::Verified, json: bool) -> String {
    let root = hex_text(&verified.root);
    if json {
        let value = serde_json::json!({
            "verified": true,
            "origin": verified.origin,
            "size": verified.size,
            "root": root,
            "checkpoint": verified.checkpoint,
        });
        return value.to_string();
    }
    format!("holds: {} has {} entries, root {root}", verified.origin, verified.size)
}

fn broken(damage: &ledger::Damage, json: bool) -> String {
    if json {
        let value = serde_json::json!({
            "verified": false,
            "file": damage.file,
            "offset": damage.offset,
            "entry": damage.entry,
            "what": damage.what,
        });
        return value.to_string();
    }
    format!("does not hold: {damage}")
}

fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
