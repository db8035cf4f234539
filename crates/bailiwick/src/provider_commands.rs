//! `bailiwick provider …`: an identity provider that can't be trusted any more, at the command line of a machine
//! whose server is stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use web::providers::holds::{Order, end_stopped, list_stopped, release_stopped};

use crate::progress::say;

#[derive(Subcommand)]
pub(crate) enum ProviderCommand {
    /// End every session that came through a provider; with --hold, nobody signs in through it any more.
    #[command(
        after_help = "Example:\n  bailiwick provider end riverton --hold --by 'R. Stone' --reason 'its key was stolen' --config bailiwick.toml"
    )]
    End {
        #[command(flatten)]
        ordered: Ordered,
        /// Let nobody in through it until it is released.
        #[arg(long)]
        hold: bool,
    },
    /// Let people sign in through a provider again.
    #[command(
        after_help = "Example:\n  bailiwick provider release riverton --by 'R. Stone' --reason 'new keys' --config bailiwick.toml"
    )]
    Release {
        #[command(flatten)]
        ordered: Ordered,
    },
    /// List the providers that are held.
    #[command(after_help = "Example:\n  bailiwick provider list --config bailiwick.toml --json")]
    List {
        /// The agency's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct Ordered {
    /// The id of an identity provider of the configuration.
    provider: String,
    /// Who orders it, for the record.
    #[arg(long)]
    by: String,
    /// Why, for the record.
    #[arg(long)]
    reason: String,
    /// The agency's configuration.
    #[arg(long)]
    config: PathBuf,
}

impl Ordered {
    fn order(&self) -> Order<'_> {
        Order { idp: &self.provider, by: &self.by, reason: &self.reason }
    }
}

pub(crate) fn run(command: ProviderCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        ProviderCommand::End { ordered, hold } => {
            let ended = runtime.block_on(end_stopped(&ordered.config, ordered.order(), hold))?;
            say(&format!("{ended} sessions ended{}", if hold { "; it is held" } else { "" }));
        }
        ProviderCommand::Release { ordered } => {
            let released = runtime.block_on(release_stopped(&ordered.config, ordered.order()))?;
            say(if released { "released" } else { "it was not held" });
            if !released {
                return Ok(ExitCode::FAILURE);
            }
        }
        ProviderCommand::List { config, json } => {
            let held = runtime.block_on(list_stopped(&config))?;
            match json {
                true => {
                    let all = held.iter().map(|one| json!({"id": one.idp, "since": one.since}));
                    say(&json!(all.collect::<Vec<_>>()).to_string());
                }
                false => {
                    held.iter().for_each(|one| say(&format!("{} since {}", one.idp, one.since)))
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
