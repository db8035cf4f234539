//! `bailiwick ledger …`: works on a ledger's folder or a copy of it, without a server. No secret is needed,
//! save to disclose what entries say.

mod archive;
mod disclose;
mod evidence;
mod upkeep;
mod witness;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use ledger::VerifyOptions;

use crate::progress;

#[derive(Subcommand)]
pub(crate) enum LedgerCommand {
    /// Hold a ledger's folder against itself, against a size known from elsewhere, and against its
    /// key. Exit 1 names the file and entry that is wrong.
    #[command(
        after_help = "Example:\n  bailiwick ledger verify ledger --expect-checkpoint kept.note --key riverton.vkey"
    )]
    Verify {
        /// The folder.
        folder: PathBuf,
        /// The number of entries that somebody outside has seen; a shorter log is refused.
        #[arg(long)]
        expect_size: Option<u64>,
        /// The log's public key (C2SP vkey), or a file that holds it.
        #[arg(long)]
        key: Option<String>,
        /// A checkpoint of this log (C2SP note) that somebody outside has kept; a log that does not go on from
        /// it is refused.
        #[arg(long)]
        expect_checkpoint: Option<PathBuf>,
        /// A file that keeps how far this comes, so that an interrupted verification goes on there. It is
        /// made if it isn't there, and removed when all of the ledger holds.
        #[arg(long)]
        resume: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prove one entry to somebody who does not have the ledger (C2SP tlog-proof).
    #[command(
        after_help = "Examples:\n  bailiwick ledger prove ledger 1203 --out entry-1203.tlog-proof\n  \
                      bailiwick ledger prove data/ledger 1203 --out entry-1203.tlog-proof \\\n      \
                      --disclose all --config bailiwick.toml --by 'R. Stone' --reason 'subpoena 24-7'"
    )]
    Prove {
        /// The folder.
        folder: PathBuf,
        /// The number of the entry.
        entry: u64,
        #[command(flatten)]
        out: evidence::Out,
    },
    /// Prove a range of entries, none missing and none added, to somebody who does not have the ledger.
    #[command(
        after_help = "Example:\n  bailiwick ledger export ledger --from 1000 --to 1204 --out november.evidence"
    )]
    Export {
        /// The folder.
        folder: PathBuf,
        /// The first entry.
        #[arg(long)]
        from: u64,
        /// The entry after the last; at most 100,000 further.
        #[arg(long)]
        to: u64,
        #[command(flatten)]
        out: evidence::Out,
    },
    /// Write the ledger that a configuration has in PostgreSQL into a folder, for `ledger verify` and whatever
    /// else reads folders. The server may run.
    #[command(
        after_help = "Example:\n  bailiwick ledger export-folder --config bailiwick.toml exported && bailiwick ledger verify exported"
    )]
    ExportFolder {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// The folder; empty, or not there yet.
        out: PathBuf,
    },
    /// Take a ledger from a folder into the database that a configuration declares, where it goes on. The server
    /// must be stopped. An import that was cut short is gone on with by running it again.
    #[command(
        after_help = "Example:\n  bailiwick ledger import-folder --config bailiwick.toml data/ledger && mv data/ledger data/ledger-before"
    )]
    ImportFolder {
        /// The configuration file, with its `[ledger.postgres]`.
        #[arg(long)]
        config: PathBuf,
        /// The ledger's folder. It is not changed, and must not be used as a ledger any more.
        folder: PathBuf,
    },
    /// Check what prove or export wrote; the ledger is not needed. Exit 1 names the line or entry that is
    /// wrong.
    #[command(
        after_help = "Example:\n  bailiwick ledger check entry-1203.tlog-proof --key riverton.vkey"
    )]
    Check {
        /// The evidence.
        evidence: PathBuf,
        /// The log's public key (C2SP vkey), or a file that holds it. It comes from elsewhere, never with
        /// the evidence.
        #[arg(long)]
        key: String,
        /// Print each entry, and what is disclosed of it.
        #[arg(long)]
        show: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Copy closed segments to the archive that the configuration declares, or verify what is there.
    /// What was archived before is left alone. Exit 1 names the object that is wrong.
    #[command(
        after_help = "Examples:\n  bailiwick ledger archive --config bailiwick.toml\n  bailiwick ledger archive --config bailiwick.toml --verify --key LOG.vkey\n  bailiwick ledger archive --folder /mnt/archive/ledger --verify --expect-size 120000"
    )]
    Archive(archive::ArchiveArguments),
    /// Print the newest checkpoint that a witness has confirmed, to keep elsewhere. Exit 1 if there is none.
    #[command(after_help = "Example:\n  bailiwick ledger checkpoint data/ledger")]
    Checkpoint {
        /// The folder, in use or a copy.
        folder: PathBuf,
        /// The newest that the ledger signed, confirmed or not.
        #[arg(long)]
        newest: bool,
    },
    /// Print the public keys of an agency's ledger and of its witness, to give to partners.
    #[command(after_help = "Example:\n  bailiwick ledger keys --config bailiwick.toml")]
    Keys {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Tell why a witness has stopped a ledger (exit 1), or let it go on for a reason that goes on record.
    #[command(
        after_help = "Examples:\n  bailiwick ledger resume data/ledger\n  bailiwick ledger resume data/ledger \\\n      \
                      --reason 'the newest copy is lost with its disk; see incident 24-12'"
    )]
    Resume {
        /// The folder; its server is stopped.
        folder: PathBuf,
        /// Why it goes on all the same.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Be a witness for others' ledgers and nothing else, until asked to stop. Keys are made at the first
    /// start; the key to give to others is printed.
    #[command(after_help = "Example:\n  bailiwick ledger witness --config witness.toml")]
    Witness {
        /// The settings file; docs/witness.md shows one.
        #[arg(long)]
        config: PathBuf,
    },
    /// Wait until the search index covers the whole ledger, and tell. The server must be stopped: one that
    /// runs keeps its index up by itself, and says on the audit page how far it is.
    #[command(
        after_help = "Example:\n  bailiwick ledger index --config bailiwick.toml --rebuild\n\nExit codes: 0 it covers everything, 1 it could not be built, 2 usage."
    )]
    Index {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Throw the index away first, and build it anew from the log.
        #[arg(long)]
        rebuild: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a new key for blinding whom and what entries are about. It is used from the next start on;
    /// earlier keys stay and find what they blinded. The server must be stopped.
    #[command(
        after_help = "Example:\n  bailiwick ledger rotate-index-key --config bailiwick.toml\n\nThe search index is built anew with the next start, in the background, or at once by `ledger index`.\n\nExit codes: 0 rotated, 1 not rotated, 2 usage."
    )]
    RotateIndexKey {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Shows how many of how many entries are done.
fn counted<T>(work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let bar = progress::bar("entries");
    let done = work(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done
}

pub(crate) fn run(command: LedgerCommand) -> anyhow::Result<ExitCode> {
    match command {
        LedgerCommand::Checkpoint { folder, newest } => witness::checkpoint(&folder, newest),
        LedgerCommand::Keys { config } => crate::report(&web::commands::ledger_keys(&config)),
        LedgerCommand::Resume { folder, reason } => witness::resume(&folder, reason.as_deref()),
        LedgerCommand::Witness { config } => witness::run(&config),
        LedgerCommand::Verify { folder, expect_size, key, expect_checkpoint, resume, json } => {
            let key = key.map(words::key_text).transpose()?;
            let note = expect_checkpoint.as_deref().map(progress::text_of).transpose()?;
            let bar = progress::bar("entries and bodies");
            let mut tick = |done: u64, total: u64| {
                bar.set_length(total);
                bar.set_position(done);
            };
            let options = VerifyOptions {
                expect_size,
                key,
                expect_checkpoint: note,
                resume: resume.clone(),
                progress: Some(&mut tick),
            };
            let result = ledger::verify(&folder, options);
            bar.finish_and_clear();
            if let (Ok(_), Some(path)) = (&result, resume) {
                let removed = std::fs::remove_file(&path);
                removed.with_context(|| format!("could not remove `{}`", path.display()))?;
            }
            Ok(match result {
                Ok(verified) => {
                    progress::say(&words::holds(&verified, json));
                    ExitCode::SUCCESS
                }
                Err(damage) => {
                    progress::say(&words::broken(&damage, json));
                    ExitCode::FAILURE
                }
            })
        }
        LedgerCommand::Prove { folder, entry, out } => {
            evidence::take(&folder, &evidence::Asked::Entry(entry), &out)
        }
        LedgerCommand::Export { folder, from, to, out } => {
            evidence::take(&folder, &evidence::Asked::Range(from..to), &out)
        }
        LedgerCommand::ExportFolder { config, out } => {
            let size = counted(|tick| web::shared_ledger::export(&config, &out, tick));
            let size = size.with_context(|| format!("`{}` is not whole", out.display()))?;
            progress::say(&format!("{size} entries were written to `{}`", out.display()));
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::ImportFolder { config, folder } => {
            let size = counted(|tick| web::shared_ledger::import(&config, &folder, tick))?;
            progress::say(&format!(
                "{size} entries are in the database, and the log goes on there. Move `{}` away before a server \
                 starts, and keep it as it is.",
                folder.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::Check { evidence, key, show, json } => {
            evidence::check(&evidence, key, show, json)
        }
        LedgerCommand::Archive(arguments) => archive::run(arguments),
        LedgerCommand::Index { config, rebuild, json } => upkeep::index(&config, rebuild, json),
        LedgerCommand::RotateIndexKey { config, json } => upkeep::rotate(&config, json),
    }
}
