//! `bailiwick scim …`: the tokens of directories, at the command line of a machine whose server is stopped.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use web::scim::tokens::{Token, list_stopped, make_stopped, name, revoke_stopped};

use crate::progress::say;

#[derive(Subcommand)]
pub(crate) enum ScimCommand {
    /// Tokens that let a directory in.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a directory, and print it: it can't be shown again.
    #[command(
        after_help = "Example:\n  bailiwick scim token make entra --days 180 --config bailiwick.toml --by 'R. Stone'"
    )]
    Make {
        /// The id of a [[directory]] of the configuration.
        directory: String,
        /// For how many days it counts, 365 at most.
        #[arg(long, default_value_t = 180)]
        days: u16,
        /// Who orders it, for the record.
        #[arg(long)]
        by: String,
        /// The agency's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// List all tokens that were made, without themselves.
    #[command(after_help = "Example:\n  bailiwick scim token list --config bailiwick.toml --json")]
    List {
        /// The agency's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token by its name, as the list has it.
    #[command(
        after_help = "Example:\n  bailiwick scim token revoke 8f14e45fceea --config bailiwick.toml --by 'R. Stone'"
    )]
    Revoke {
        /// The token's name.
        name: String,
        /// Who orders it, for the record.
        #[arg(long)]
        by: String,
        /// The agency's configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

pub(crate) fn run(command: ScimCommand) -> anyhow::Result<ExitCode> {
    let ScimCommand::Token(command) = command;
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        TokenCommand::Make { directory, days, by, config } => {
            say(&runtime.block_on(make_stopped(&config, &directory, days, &by))?);
        }
        TokenCommand::List { config, json } => {
            let tokens = runtime.block_on(list_stopped(&config))?;
            match json {
                true => say(&json!(tokens.iter().map(shown).collect::<Vec<_>>()).to_string()),
                false => tokens.iter().for_each(|token| say(&line(token))),
            }
        }
        TokenCommand::Revoke { name, by, config } => {
            runtime.block_on(revoke_stopped(&config, &name, &by))?;
            say("revoked");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(token: &Token) -> serde_json::Value {
    json!({
        "name": name(token),
        "directory": token.client,
        "made_at": token.made_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    })
}

fn line(token: &Token) -> String {
    let revoked = token.revoked_at.map(|at| format!(", revoked {at}")).unwrap_or_default();
    let (name, directory) = (name(token), &token.client);
    format!("{name}  {directory}: made {}, until {}{revoked}", token.made_at, token.expires_at)
}
