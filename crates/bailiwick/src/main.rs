//! The command line: parses arguments and calls one function.
//!
//! Exit codes: 0 done, 1 refused or failed verification, 2 usage.

mod agreement_commands;
mod audit_commands;
mod keys_commands;
mod ledger_commands;
mod parcel_commands;
mod progress;
mod provider_commands;
mod retention_commands;
mod scim_commands;
mod user_commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Internal tools on criminal-justice information, with every read on record, and evidence in
/// sealed parcels.
#[derive(Parser)]
#[command(
    name = "bailiwick",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 refused or failed verification, 2 usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start two made-up agencies on this machine and print where to look.
    #[cfg(feature = "demo")]
    Demo {
        /// Play the whole story without a browser, print each step, and exit 0 only if all held.
        #[arg(long)]
        check: bool,
        /// Where to keep the demo's files; a fresh temporary folder with --check.
        #[arg(long, default_value = "demo-data")]
        folder: PathBuf,
        /// Listen on free ports instead of the usual ones, to run beside another demo.
        #[arg(long, hide = true)]
        any_ports: bool,
        /// Have both agencies ask this malware scanner, such as 127.0.0.1:3310, about all that arrives.
        #[arg(long)]
        scanner: Option<std::net::SocketAddr>,
    },
    /// Run an agency's Bailiwick until it is asked to stop (SIGTERM, Ctrl-C).
    #[command(after_help = "Example:\n  bailiwick serve --config bailiwick.toml")]
    Serve {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Check a configuration, its policies and its tools without starting anything.
    #[command(after_help = "Example:\n  bailiwick check --config bailiwick.toml")]
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Tool files: check them.
    #[command(subcommand)]
    Tool(ToolCommand),
    /// SAML: verify a response as the sign-in does.
    #[command(subcommand)]
    Saml(SamlCommand),
    /// Directories (SCIM): their tokens. On a stopped server's ledger and state.
    #[command(subcommand)]
    Scim(scim_commands::ScimCommand),
    /// Emergency accounts. On a stopped server's ledger and state.
    #[command(subcommand)]
    User(user_commands::UserCommand),
    /// Identity providers: put out whoever came through one, and hold it. On a stopped server's ledger and state.
    #[command(subcommand)]
    Provider(provider_commands::ProviderCommand),
    /// Policies: check them.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// The ledger: verify, prove.
    #[command(subcommand)]
    Ledger(ledger_commands::LedgerCommand),
    /// Agreements with partners: list, show, check their files.
    #[command(subcommand)]
    Agreement(agreement_commands::AgreementCommand),
    /// Retention: what is due, holds, disposal. On a stopped server's ledger.
    #[command(subcommand)]
    Retention(retention_commands::RetentionCommand),
    /// Joint audits: hold two agencies' extracts against each other, offline.
    #[command(subcommand)]
    Audit(audit_commands::AuditCommand),
    /// Parcels: seal, verify, open, inspect.
    #[command(subcommand)]
    Parcel(parcel_commands::ParcelCommand),
    /// Keys: make the master key file, and keys with certificates for sharing; show the cryptographic module.
    #[command(subcommand)]
    Keys(keys_commands::KeysCommand),
}

#[derive(Subcommand)]
enum ToolCommand {
    /// Check files and run their [[test]] blocks.
    #[command(after_help = "Example:\n  bailiwick tool check tools/*.toml")]
    Check {
        /// Tool files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Parse and validate a policy folder; without --folder, the built-in set.
    #[command(after_help = "Example:\n  bailiwick policy check --folder policies")]
    Check {
        /// A folder with schema.cedarschema and *.cedar.
        #[arg(long)]
        folder: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum SamlCommand {
    /// Verify a response file; prints JSON of what was accepted, or of the refusal (exit 1).
    #[command(
        after_help = "Example:\n  bailiwick saml verify response.xml --idp-metadata idp.xml \\\n      --entity-id https://bailiwick.example/saml/metadata \\\n      --acs https://bailiwick.example/saml/acs --at 2026-11-25T10:00:00Z"
    )]
    Verify {
        /// The response: XML, or base64 as it is posted.
        response: PathBuf,
        /// The identity provider's metadata.
        #[arg(long)]
        idp_metadata: PathBuf,
        /// Our entity id.
        #[arg(long)]
        entity_id: String,
        /// Our assertion consumer address.
        #[arg(long)]
        acs: String,
        /// The time to verify at, RFC 3339.
        #[arg(long)]
        at: jiff::Timestamp,
        /// The id of the request that it answers.
        #[arg(long)]
        request_id: Option<String>,
        /// Our decryption key (PKCS#8 DER), for encrypted assertions.
        #[arg(long)]
        decrypt_key: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            progress::say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo { check, folder, any_ports, scanner } => {
            Ok(passed(demo::run(check, &folder, any_ports, scanner)?))
        }
        Command::Serve { config } => {
            web::commands::serve(&config)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { config } => report(&web::commands::check(&config)),
        Command::Tool(ToolCommand::Check { files }) => report(&web::commands::check_tools(&files)),
        Command::Policy(PolicyCommand::Check { folder }) => {
            report(&web::commands::check_policy(folder.as_deref()))
        }
        Command::Saml(SamlCommand::Verify {
            response,
            idp_metadata,
            entity_id,
            acs,
            at,
            request_id,
            decrypt_key,
        }) => report(&web::commands::saml_verify(&web::commands::SamlFile {
            response,
            idp_metadata,
            entity_id,
            acs,
            at,
            request_id,
            decrypt_key,
        })),
        Command::Agreement(command) => agreement_commands::run(command),
        Command::Audit(command) => audit_commands::run(command),
        Command::Ledger(command) => ledger_commands::run(command),
        Command::Scim(command) => scim_commands::run(command),
        Command::User(command) => user_commands::run(command),
        Command::Provider(command) => provider_commands::run(command),
        Command::Retention(command) => retention_commands::run(command),
        Command::Parcel(command) => parcel_commands::run(command),
        Command::Keys(command) => keys_commands::run(command),
    }
}

/// Prints a report's lines; exit 1 when it found something wrong.
fn report(report: &web::commands::Report) -> anyhow::Result<ExitCode> {
    for line in &report.lines {
        progress::say(line);
    }
    Ok(passed(report.sound))
}

fn passed(sound: bool) -> ExitCode {
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
