//! `bailiwick user …`: emergency accounts, at the command line of a machine whose server is stopped.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use web::emergency::keeping::{
    list_stopped, make_stopped, release_stopped, remove_stopped, write_half,
};

use crate::progress::say;

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// Local administrators for when no identity provider answers.
    #[command(subcommand)]
    Emergency(EmergencyCommand),
}

/// Which account, and which two people stand at the machine.
#[derive(Args)]
pub(crate) struct Account {
    /// The account's name: 1 to 40 of a-z, 0-9 and -.
    name: String,
    /// The first of two people, for the record.
    #[arg(long)]
    by: String,
    /// The second.
    #[arg(long)]
    and: String,
    /// The agency's configuration.
    #[arg(long)]
    config: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum EmergencyCommand {
    /// Make an account, or a new secret for one: two halves, for two sealed envelopes. They can't be shown again.
    #[command(
        after_help = "Example:\n  bailiwick user emergency make desk --by 'R. Stone' --and 'M. Lindqvist' \\\n      --config bailiwick.toml"
    )]
    Make {
        #[command(flatten)]
        account: Account,
        /// Forget the account's security key; the next use registers another.
        #[arg(long)]
        forget_keys: bool,
        /// Write the halves to NAME-1.txt and NAME-2.txt in this folder (mode 0600) instead of printing them.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// List the accounts and what state they are in.
    #[command(
        after_help = "Example:\n  bailiwick user emergency list --config bailiwick.toml --json"
    )]
    List {
        /// The agency's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Release an account that five failures locked.
    #[command(
        after_help = "Example:\n  bailiwick user emergency release desk --reason 'typing errors in a drill' \\\n      --by 'R. Stone' --and 'M. Lindqvist' --config bailiwick.toml"
    )]
    Release {
        #[command(flatten)]
        account: Account,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Remove an account. Its name is nobody's for a year.
    #[command(
        after_help = "Example:\n  bailiwick user emergency remove desk --reason 'the desk is closed' \\\n      --by 'R. Stone' --and 'M. Lindqvist' --config bailiwick.toml"
    )]
    Remove {
        #[command(flatten)]
        account: Account,
        /// Why, for the record.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) fn run(command: UserCommand) -> anyhow::Result<ExitCode> {
    let UserCommand::Emergency(command) = command;
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        EmergencyCommand::Make { account, forget_keys, out } => {
            let Account { name, by, and, config } = &account;
            let made = make_stopped(config, name, [by, and], forget_keys);
            let [first, second] = runtime.block_on(made)?;
            hand_out(name, [first.as_str(), second.as_str()], out.as_deref())?;
        }
        EmergencyCommand::List { config, json } => list(&runtime, &config, json)?,
        EmergencyCommand::Release { account, reason } => {
            let Account { name, by, and, config } = &account;
            runtime.block_on(release_stopped(config, name, [by, and], &reason))?;
            say("released");
        }
        EmergencyCommand::Remove { account, reason } => {
            let Account { name, by, and, config } = &account;
            runtime.block_on(remove_stopped(config, name, [by, and], &reason))?;
            say("removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn hand_out(name: &str, halves: [&str; 2], out: Option<&Path>) -> anyhow::Result<()> {
    for (number, half) in (1..).zip(halves) {
        let which = if number == 1 { "first" } else { "second" };
        let sheet = format!(
            "Emergency account {name}: the {which} of two halves.\n\n    {half}\n\n\
             Seal it alone, away from the other half. It opens the account once, with the other.\n"
        );
        match out {
            Some(folder) => {
                let path = folder.join(format!("{name}-{number}.txt"));
                write_half(&path, &sheet)?;
                say(&format!("wrote {}", path.display()));
            }
            None => say(&sheet),
        }
    }
    Ok(())
}

fn list(runtime: &tokio::runtime::Runtime, config: &Path, json: bool) -> anyhow::Result<()> {
    let all = runtime.block_on(list_stopped(config))?;
    if json {
        let all: Vec<serde_json::Value> = all
            .iter()
            .map(|one| {
                json!({
                    "name": one.name,
                    "made_at": one.made_at,
                    "made_by": one.made_by,
                    "security_keys": one.keys,
                    "locked_at": one.locked_at,
                    "spent_at": one.spent_at,
                    "uses_not_looked_into": one.uses.len(),
                })
            })
            .collect();
        say(&json!(all).to_string());
        return Ok(());
    }
    for one in &all {
        let state = match (one.locked_at, one.spent_at) {
            (Some(at), _) => format!("locked since {at}"),
            (None, Some(at)) => format!("used up at {at}"),
            (None, None) => "sealed".to_owned(),
        };
        let [first, second] = &one.made_by;
        say(&format!(
            "{}  {state}; made {} by {first} and {second}; security keys: {}",
            one.name, one.made_at, one.keys
        ));
    }
    Ok(())
}
