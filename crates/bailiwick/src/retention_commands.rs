//! `bailiwick retention …`: holds and disposal at the command line, on the ledger of a configuration
//! whose server is stopped. A running server has the ledger to itself, and its own page for this.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;
use ledger::format::Bucket;
use ledger::retention::{BucketState, Disposal, DisposeError, Disposition, Hold, HoldScope};
use ledger::{Ledger, Subject};
use serde_json::{Value, json};
use web::agency::Outside;
use web::problem::chain;
use web::retention::{dispose_due, open_stopped, ordered_by, record_look};

use crate::progress::say;

#[derive(Subcommand)]
pub(crate) enum RetentionCommand {
    /// List buckets with when they are due, holds, and what was disposed of.
    #[command(after_help = "Example:\n  bailiwick retention list --config bailiwick.toml")]
    List {
        #[command(flatten)]
        on: On,
    },
    /// List what may be disposed of now.
    #[command(after_help = "Example:\n  bailiwick retention due --config bailiwick.toml --json")]
    Due {
        #[command(flatten)]
        on: On,
    },
    /// Dispose of a bucket that is due, or of all: keys and bodies are destroyed for ever. What a hold
    /// covers is kept. Exit 1 when something was not done.
    #[command(
        group = ArgGroup::new("which").required(true),
        after_help = "Example:\n  bailiwick retention dispose standard-2029-11 --config bailiwick.toml \\\n      --by 'R. Stone' --authority 'Records schedule 12-3'"
    )]
    Dispose {
        /// The bucket's name.
        #[arg(group = "which")]
        bucket: Option<String>,
        /// Everything that is due.
        #[arg(long, group = "which")]
        all_due: bool,
        #[command(flatten)]
        order: OrderArguments,
        #[command(flatten)]
        on: On,
    },
    /// Place a hold: what it covers is kept until it is released, whatever its schedule.
    #[command(
        after_help = "Example:\n  bailiwick retention hold lit-2026-4 --case 24-000113 --config bailiwick.toml \\\n      --by 'R. Stone' --authority 'General Counsel, 2026-11-25'"
    )]
    Hold {
        /// The hold's name: lower-case letters, digits, dashes; used once.
        name: String,
        #[command(flatten)]
        what: What,
        /// When it ends by itself, RFC 3339.
        #[arg(long)]
        until: Option<Timestamp>,
        #[command(flatten)]
        order: OrderArguments,
        #[command(flatten)]
        on: On,
    },
    /// Release a hold; --authority is the reason.
    #[command(
        after_help = "Example:\n  bailiwick retention release lit-2026-4 --config bailiwick.toml \\\n      --by 'R. Stone' --authority 'settled'"
    )]
    Release {
        /// The hold's name.
        name: String,
        #[command(flatten)]
        order: OrderArguments,
        #[command(flatten)]
        on: On,
    },
}

#[derive(Args)]
pub(crate) struct On {
    /// The agency's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct OrderArguments {
    /// Who orders it, for the record.
    #[arg(long)]
    by: String,
    /// By what authority, for the record.
    #[arg(long)]
    authority: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct What {
    /// Records with this case number.
    #[arg(long)]
    case: Option<String>,
    /// Records about this person, vehicle, case or document: `person:P-1`.
    #[arg(long)]
    subject: Option<String>,
    /// What this account did.
    #[arg(long)]
    actor: Option<String>,
    /// What went to or came from this partner (ORI).
    #[arg(long)]
    partner: Option<String>,
    /// Entries: `1200-1204`.
    #[arg(long)]
    entries: Option<String>,
    /// A whole bucket.
    #[arg(long)]
    bucket: Option<String>,
}

impl What {
    fn scope(self, ledger: &Ledger) -> anyhow::Result<HoldScope> {
        if let Some(number) = self.case {
            return Ok(HoldScope::Case { number });
        }
        if let Some(subject) = self.subject {
            let (kind, id) = subject.split_once(':').context("write --subject as KIND:ID")?;
            let known = ["person", "vehicle", "case", "document"].contains(&kind);
            anyhow::ensure!(known && !id.is_empty(), "KIND is person, vehicle, case or document");
            return Ok(ledger.hold_on(&Subject { kind: kind.to_owned(), id: id.to_owned() }));
        }
        if let Some(actor) = self.actor {
            return Ok(HoldScope::Actor { actor });
        }
        if let Some(partner) = self.partner {
            return Ok(HoldScope::Partner { partner });
        }
        if let Some(entries) = self.entries {
            let (first, last) = entries.split_once('-').unwrap_or((&entries, &entries));
            let (first, last) = (first.parse()?, last.parse()?);
            anyhow::ensure!(first <= last, "--entries begins with the smaller number");
            return Ok(HoldScope::Entries { first, last });
        }
        Ok(HoldScope::Bucket { bucket: bucket(&self.bucket.unwrap_or_default())? })
    }
}

fn bucket(name: &str) -> anyhow::Result<Bucket> {
    Bucket::parse(name).with_context(|| format!("`{name}` is no bucket's name"))
}

pub(crate) fn run(command: RetentionCommand) -> anyhow::Result<ExitCode> {
    let outside = Outside::system();
    let (RetentionCommand::List { on }
    | RetentionCommand::Due { on }
    | RetentionCommand::Dispose { on, .. }
    | RetentionCommand::Hold { on, .. }
    | RetentionCommand::Release { on, .. }) = &command;
    let json = on.json;
    let ledger = open_stopped(&on.config, &outside)?;
    let done = act(command, &ledger, outside.clock.now(), json);
    ledger.close()?;
    Ok(if done? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Does it, and prints what came of it; whether all of it was done.
fn act(
    command: RetentionCommand,
    ledger: &Ledger,
    now: Timestamp,
    json: bool,
) -> anyhow::Result<bool> {
    match command {
        RetentionCommand::List { .. } => {
            record_look(ledger)?;
            list(ledger, now, json).map(|()| true)
        }
        RetentionCommand::Due { .. } => {
            record_look(ledger)?;
            let overview = ledger.retention()?;
            let due: Vec<&BucketState> = overview.due(now).collect();
            print(json, || json!({ "due": states(&due) }), || lines(&due));
            Ok(true)
        }
        RetentionCommand::Dispose { bucket: name, order, .. } => {
            let order = ordered_by(&order.by, &order.authority)?;
            let (mut all, mut results) = (true, Vec::new());
            let mut tell = |of: Bucket, done: Result<Disposal, DisposeError>| {
                all &= done.is_ok();
                results.push((of, done));
            };
            match name {
                Some(name) => {
                    let of = bucket(&name)?;
                    tell(of, ledger.dispose(of, order));
                }
                None => dispose_due(ledger, now, &order, &mut tell)?,
            }
            let value = || json!({ "disposed": results.iter().map(disposal).collect::<Vec<_>>() });
            print(json, value, || results.iter().map(disposal_words).collect());
            Ok(all)
        }
        RetentionCommand::Hold { name, what, until, order, .. } => {
            let order = ordered_by(&order.by, &order.authority)?;
            let receipt = ledger.place_hold(&name, what.scope(ledger)?, until, order)?;
            let words = || vec![format!("hold {name} is in force, entry {}", receipt.entry)];
            print(json, || json!({ "hold": name, "entry": receipt.entry.0 }), words);
            Ok(true)
        }
        RetentionCommand::Release { name, order, .. } => {
            let order = ordered_by(&order.by, &order.authority)?;
            let receipt = ledger.release_hold(&name, order)?;
            let words = || vec![format!("hold {name} is released, entry {}", receipt.entry)];
            print(json, || json!({ "released": name, "entry": receipt.entry.0 }), words);
            Ok(true)
        }
    }
}

fn print(json: bool, value: impl FnOnce() -> Value, words: impl FnOnce() -> Vec<String>) {
    if json {
        say(&value().to_string());
    } else {
        words().iter().for_each(|line| say(line));
    }
}

fn list(ledger: &Ledger, now: Timestamp, json: bool) -> anyhow::Result<()> {
    let overview = ledger.retention()?;
    let buckets: Vec<&BucketState> = overview.buckets.iter().collect();
    let told = &overview.told;
    let value = || {
        json!({
            "buckets": states(&buckets),
            "holds": told.holds.iter().map(|hold| hold_json(hold, now)).collect::<Vec<_>>(),
            "dispositions": told.dispositions.iter().map(disposition_json).collect::<Vec<_>>(),
        })
    };
    let words = || {
        let mut all = lines(&buckets);
        all.extend(told.holds.iter().map(|hold| {
            let state = if hold.is_active(now) { "in force" } else { "ended" };
            format!("hold {} on {}: {state}, entry {}", hold.name, hold.what, hold.placed)
        }));
        all.extend(told.dispositions.iter().map(|it| {
            let (of, count) = (it.statement.bucket.name(), it.statement.count);
            let state = if it.finished.is_some() { "disposed of" } else { "not finished" };
            format!("{of}: {count} entries {state}, entry {}", it.started)
        }));
        all
    };
    print(json, value, words);
    Ok(())
}

fn states(buckets: &[&BucketState]) -> Vec<Value> {
    let state = |it: &&BucketState| {
        let due = it.due.map(|due| due.to_string());
        json!({ "bucket": it.bucket.name(), "entries": it.entries, "due": due })
    };
    buckets.iter().map(state).collect()
}

fn lines(buckets: &[&BucketState]) -> Vec<String> {
    let line = |it: &&BucketState| {
        let due = it.due.map_or("never".to_owned(), |due| due.strftime("%Y-%m-%d").to_string());
        format!("{}: {} entries, due {due}", it.bucket.name(), it.entries)
    };
    buckets.iter().map(line).collect()
}

fn hold_json(hold: &Hold, now: Timestamp) -> Value {
    json!({
        "hold": hold.name,
        "what": hold.what.to_string(),
        "authority": hold.authority,
        "until": hold.until.map(|until| until.to_string()),
        "placed": hold.placed.0,
        "released": hold.released.map(|entry| entry.0),
        "active": hold.is_active(now),
    })
}

fn disposition_json(it: &Disposition) -> Value {
    json!({
        "bucket": it.statement.bucket.name(),
        "started": it.started.0,
        "finished": it.finished.map(|entry| entry.0),
        "count": it.statement.count,
        "kept": it.statement.kept,
        "authority": it.authority,
        "returned": it.returned.iter().map(|entry| entry.0).collect::<Vec<_>>(),
    })
}

fn disposal((of, done): &(Bucket, Result<Disposal, DisposeError>)) -> Value {
    let bucket = of.name();
    match done {
        Ok(Disposal::Done { started, finished, statement }) => json!({
            "bucket": bucket, "started": started.0, "finished": finished.0,
            "count": statement.count, "kept": statement.kept,
        }),
        Ok(Disposal::Nothing) => json!({ "bucket": bucket, "count": 0 }),
        Err(error) => json!({ "bucket": bucket, "error": chain(error) }),
    }
}

fn disposal_words((of, done): &(Bucket, Result<Disposal, DisposeError>)) -> String {
    let bucket = of.name();
    match done {
        Ok(Disposal::Done { finished, statement, .. }) => format!(
            "{bucket}: {} entries disposed of, {} kept by holds, entry {finished}",
            statement.count, statement.kept
        ),
        Ok(Disposal::Nothing) => format!("{bucket}: holds keep all that is left"),
        Err(error) => format!("{bucket}: not disposed of: {}", chain(error)),
    }
}
