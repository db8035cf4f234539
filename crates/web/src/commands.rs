//! What the command line calls: serve, and the checks that need no server.

use std::path::{Path, PathBuf};

use identity::Refusal;
use identity::saml::file::{Question, verify_file};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keys::transport::TransportKey;
use keys::{Clock as _, SystemClock};
use policy::{Actor, Assurance, Policy};
use tools::plan::Context;

use crate::agency::{Outside, StartError};
use crate::config::Config;
use crate::problem::chain;
use crate::serve::Server;
use crate::witnesses;

/// The largest file that a check reads, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a check found: lines to print, and whether all was well.
pub struct Report {
    /// For people.
    pub lines: Vec<String>,
    /// Whether nothing was wrong.
    pub sound: bool,
}

impl Report {
    fn sound(line: String) -> Self {
        Self { lines: vec![line], sound: true }
    }

    fn wrong(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { lines: vec![chain(error)], sound: false }
    }
}

/// Runs an agency until the process is asked to end.
///
/// # Errors
/// [`StartError`] when it cannot be started.
pub fn serve(config: &Path) -> Result<(), StartError> {
    log_to_stderr();
    let config = Config::read(config)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|source| StartError::File { path: "the runtime".into(), source })?;
    runtime.block_on(async {
        let server = Server::start(config, Outside::system()).await?;
        tracing::info!(pages = %server.pages, "ready");
        asked_to_end().await;
        server.stop().await;
        Ok(())
    })
}

/// Logs to standard error, as JSON lines without CJI: `info` and above.
pub fn log_to_stderr() {
    log_to(std::io::stderr, "info");
}

/// Logs JSON lines to wherever `to` writes, from this level on.
pub fn log_to<W>(to: W, level: &str)
where
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = tracing_subscriber::EnvFilter::new(level);
    let log = tracing_subscriber::fmt().json().with_writer(to).with_env_filter(filter);
    if log.try_init().is_err() {
        tracing::debug!("logging was set up before");
    }
}

/// Waits for SIGINT or SIGTERM.
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => {
            if let Err(error) = interrupted {
                tracing::error!(%error, "cannot listen for SIGINT");
            }
        }
    }
}

/// Checks a configuration, its policies and its tools.
pub fn check(path: &Path) -> Report {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(error) => return Report::wrong(&error),
    };
    let mut report = check_policy(config.policy.folder.as_deref());
    let name = &config.agency.name;
    report.lines.insert(0, format!("{}: {name} ({})", path.display(), config.agency.ori));
    if let Err(error) = crate::sharing::check_names(&config) {
        report.sound = false;
        report.lines.push(crate::problem::chain(&error));
    }
    if let Some(folder) = &config.tools.folder {
        let (tools, problems) = tools::load_folder(folder, keys::digest::sha256);
        report.sound &= problems.is_empty();
        report.lines.extend(tools.iter().map(|tool| format!("tool {}: sound", tool.id)));
        report.lines.extend(problems.iter().map(ToString::to_string));
    }
    report
}

/// The public keys of an agency's ledger and of its witness, made now if there are none.
pub fn ledger_keys(path: &Path) -> Report {
    let keys = || -> Result<_, Box<dyn std::error::Error>> {
        let config = Config::read(path)?;
        let master = keys::keyring::read_master(&config.data.master_key)?;
        let ring = keys::keyring::Keyring::open(&config.data.folder.join("keys"), &master)?;
        Ok(witnesses::public_keys(&config.ledger.origin, &ring, &keys::SystemRandom)?)
    };
    match keys() {
        Ok(keys) => Report {
            lines: vec![format!("ledger   {}", keys.ledger), format!("witness  {}", keys.witness)],
            sound: true,
        },
        Err(error) => Report::wrong(&*error),
    }
}

/// Checks tool files and runs their `[[test]]` blocks.
pub fn check_tools(files: &[PathBuf]) -> Report {
    let mut report = Report { lines: Vec::new(), sound: true };
    for file in files {
        let name = file.display().to_string();
        let text = match read_text(file) {
            Ok(text) => text,
            Err(error) => {
                report.sound = false;
                report.lines.push(error.to_string());
                continue;
            }
        };
        match tools::Tool::parse(&name, &text, keys::digest::sha256) {
            Ok(tool) => test_tool(&name, &tool, &mut report),
            Err(problems) => {
                report.sound = false;
                report.lines.extend(problems.iter().map(ToString::to_string));
            }
        }
    }
    report
}

/// Runs a tool's `[[test]]` blocks as somebody who has each of its functions.
fn test_tool(name: &str, tool: &tools::Tool, report: &mut Report) {
    let now = SystemClock.now();
    let (Ok(id), Ok(agency)) = ("check|nobody".parse(), "XX0000000".parse()) else { return };
    let actor = Actor {
        id,
        name: "Nobody".to_owned(),
        agency,
        functions: tool.access.run.union(&tool.access.write).cloned().collect(),
        assurance: Assurance {
            mfa: true,
            context: "check".to_owned(),
            authenticated_at: now,
            stepped_up_at: Some(now),
        },
        lacking: Vec::new(),
    };
    let today = now.to_zoned(TimeZone::system()).date();
    let context = Context { agency: &actor.agency, actor: &actor, now, today };
    let checked = tools::check_tests(tool, &context);
    let failed = checked.iter().filter(|one| one.failure.is_some()).count();
    report.sound &= failed == 0;
    report.lines.push(format!("{name}: sound, {} tests, {failed} failed", checked.len()));
    for one in checked {
        if let Some(failure) = one.failure {
            report.lines.push(format!("{name}:{}: {}: {failure}", one.line, one.name));
        }
    }
}

/// Verifies a SAML response in a file as the sign-in does, without its memory of replays.
pub fn saml_verify(file: &SamlFile) -> Report {
    let decryption = match file.decrypt_key.as_deref().map(transport_key).transpose() {
        Ok(key) => key.into_iter().collect::<Vec<_>>(),
        Err(error) => return Report::wrong(&*error),
    };
    let (response, idp_metadata) = match (read_text(&file.response), read_text(&file.idp_metadata))
    {
        (Ok(response), Ok(metadata)) => (response, metadata),
        (Err(error), _) | (_, Err(error)) => return Report::wrong(&error),
    };
    let question = Question {
        response: response.as_bytes(),
        idp_metadata: idp_metadata.as_bytes(),
        entity_id: &file.entity_id,
        acs_url: &file.acs,
        at: file.at,
        request_id: file.request_id.as_deref(),
        decryption: &decryption,
    };
    let (value, sound) = match verify_file(&question) {
        Ok(accepted) => (serde_json::json!({ "accepted": accepted }), true),
        Err(Refusal { code, detail }) => {
            (serde_json::json!({ "refused": { "code": code, "detail": detail } }), false)
        }
    };
    Report { lines: vec![value.to_string()], sound }
}

/// A private key for encrypted assertions.
fn transport_key(file: &Path) -> Result<TransportKey, Box<dyn std::error::Error>> {
    Ok(TransportKey::read(&read_limited(file, |file| std::fs::read(file))?)?)
}

/// A small text file.
fn read_text(file: &Path) -> std::io::Result<String> {
    read_limited(file, |file| std::fs::read_to_string(file))
}

/// Reads a small file; the error names it.
fn read_limited<T>(
    file: &Path,
    read: impl FnOnce(&Path) -> std::io::Result<T>,
) -> std::io::Result<T> {
    let read = match std::fs::metadata(file) {
        Ok(found) if found.len() > FILE_BYTES_MAX => {
            Err(std::io::Error::other("it has more than 1 MiB"))
        }
        Ok(_) => read(file),
        Err(error) => Err(error),
    };
    let named =
        |error| std::io::Error::other(format!("could not read `{}`: {error}", file.display()));
    read.map_err(named)
}

/// Checks a folder of policies, or the built-in set.
pub fn check_policy(folder: Option<&Path>) -> Report {
    let digest = keys::digest::sha256;
    let (name, loaded) = match folder {
        Some(folder) => (folder.display().to_string(), Policy::load(folder, digest)),
        None => {
            let (schema, policies) = policy::defaults();
            ("built-in policies".to_owned(), Policy::from_text(&schema, &policies, digest))
        }
    };
    match loaded {
        Ok(policy) => {
            Report::sound(format!("{name}: sound, set {}", hex::encode(policy.version())))
        }
        Err(error) => Report::wrong(&error),
    }
}

/// A SAML response in a file, and what it must be for.
pub struct SamlFile {
    /// The response.
    pub response: PathBuf,
    /// The provider's metadata.
    pub idp_metadata: PathBuf,
    /// Our entity id.
    pub entity_id: String,
    /// Our assertion consumer address.
    pub acs: String,
    /// The time to verify at.
    pub at: Timestamp,
    /// The request that it answers.
    pub request_id: Option<String>,
    /// Our decryption key.
    pub decrypt_key: Option<PathBuf>,
}
