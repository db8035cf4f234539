//! `bailiwick agreement …`: partners and agreements as they are written down, without a server. What was accepted
//! by a security officer is in the server's state, and on its pages: this says what the files say.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use exchange::{Agreement, Book, Problem};
use jiff::Timestamp;
use keys::{Clock as _, SystemClock};
use serde_json::{Value, json};
use web::config::Config;

use crate::progress::say;

#[derive(Subcommand)]
pub(crate) enum AgreementCommand {
    /// List the agreements, one a line: id, partner, dates, and how they stand.
    #[command(after_help = "Example:\n  bailiwick agreement list --config bailiwick.toml")]
    List {
        #[command(flatten)]
        place: Place,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what one agreement says, clause by clause.
    #[command(after_help = "Example:\n  bailiwick agreement show lakeside-2026 --folder sharing")]
    Show {
        /// The agreement's id.
        id: String,
        #[command(flatten)]
        place: Place,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what is wrong with the files of partners, agreements and rules; exit 1 if anything is. Given files, with
    /// these agreements alone.
    #[command(
        after_help = "Example:\n  bailiwick agreement check --config bailiwick.toml\n  bailiwick agreement check lakeside-2026.toml"
    )]
    Check {
        /// Files of agreements.
        #[arg(conflicts_with_all = ["config", "folder"])]
        files: Vec<PathBuf>,
        #[command(flatten)]
        place: OptionalPlace,
    },
}

/// Where the files are.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The agency's configuration, whose `[exchange] folder` has the files.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder itself.
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Args)]
#[group(multiple = false)]
pub(crate) struct OptionalPlace {
    /// The agency's configuration, whose `[exchange] folder` has the files.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The folder itself.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn folder_of(config: Option<PathBuf>, folder: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = match (config, folder) {
        (Some(config), _) => {
            let read = Config::read(&config)?;
            read.exchange.context("the configuration has no `[exchange]`")?.folder
        }
        (None, Some(folder)) => folder,
        (None, None) => anyhow::bail!("say where the files are: --config or --folder"),
    };
    // A missing folder is an empty one to the server; whoever asks for it has mistyped it.
    anyhow::ensure!(folder.is_dir(), "`{}` is not a folder", folder.display());
    Ok(folder)
}

pub(crate) fn run(command: AgreementCommand) -> anyhow::Result<ExitCode> {
    let now = SystemClock.now();
    match command {
        AgreementCommand::List { place, json } => {
            let (book, problems) = Book::load(&folder_of(place.config, place.folder)?);
            list(&book, now, json);
            Ok(told(&problems))
        }
        AgreementCommand::Show { id, place, json } => {
            let (book, _) = Book::load(&folder_of(place.config, place.folder)?);
            let agreement = book.agreement(&id);
            let agreement = agreement.with_context(|| format!("no sound agreement is `{id}`"))?;
            match json {
                true => say(&serde_json::to_string_pretty(agreement)?),
                false => show(agreement, now).iter().for_each(|line| say(line)),
            }
            Ok(ExitCode::SUCCESS)
        }
        AgreementCommand::Check { files, place } if files.is_empty() => {
            let (book, problems) = Book::load(&folder_of(place.config, place.folder)?);
            if problems.is_empty() {
                let (partners, agreements) = (book.partners().count(), book.agreements().count());
                say(&format!("{partners} partners, {agreements} agreements: all sound"));
            }
            Ok(told(&problems))
        }
        AgreementCommand::Check { files, .. } => {
            let problems: Vec<Problem> = files.iter().flat_map(|file| check(file)).collect();
            Ok(told(&problems))
        }
    }
}

fn check(file: &Path) -> Vec<Problem> {
    match exchange::check_agreement(file) {
        Ok(agreement) => {
            say(&format!("{}: `{}` is sound", file.display(), agreement.facts.id));
            Vec::new()
        }
        Err(problems) => problems,
    }
}

fn told(problems: &[Problem]) -> ExitCode {
    problems.iter().for_each(|problem| say(&problem.to_string()));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How it stands today, by its dates.
fn standing(agreement: &Agreement, now: Timestamp) -> String {
    match agreement.in_force(now) {
        Ok(()) => "in force by its dates".to_owned(),
        Err(clause) => clause.code().to_owned(),
    }
}

fn list(book: &Book, now: Timestamp, as_json: bool) {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if as_json {
        let all = book.agreements().map(|one| {
            json!({
                "id": one.facts.id, "title": one.title, "partner": one.facts.partner,
                "starts": one.facts.starts, "review": one.facts.review, "ends": one.facts.ends,
                "stands": standing(one, now),
            })
        });
        return say(&Value::Array(all.collect()).to_string());
    }
    for one in book.agreements() {
        let (facts, stands) = (&one.facts, standing(one, now));
        let (review, ends) = (day(facts.review), day(facts.ends));
        say(&format!("{}  {}  review {review}  ends {ends}  {stands}", facts.id, facts.partner));
    }
}

fn show(agreement: &Agreement, now: Timestamp) -> Vec<String> {
    let (facts, terms) = (&agreement.facts, &agreement.terms);
    let line = |name: &str, value: &dyn std::fmt::Display| format!("{name:<16}{value}");
    let join = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let texts = |all: &mut dyn Iterator<Item = String>| join(all.collect());
    let mut lines = vec![
        line("id", &facts.id),
        line("title", &agreement.title),
        line("kind", &terms.kind.words()),
        line("authority", &agreement.authority),
        line("partner", &facts.partner),
        line("stands", &standing(agreement, now)),
        line("starts", &facts.starts),
        line("review", &facts.review),
        line("ends", &facts.ends),
        line("record classes", &texts(&mut facts.record_classes.iter().map(ToString::to_string))),
        line("purposes", &texts(&mut facts.purposes.iter().map(ToString::to_string))),
        line("caveats barred", &texts(&mut facts.caveats_barred.iter().map(ToString::to_string))),
    ];
    if let Some(allowed) = &facts.caveats_allowed {
        lines.push(line("caveats allowed", &texts(&mut allowed.iter().map(ToString::to_string))));
    }
    lines.push(line("redistribution", &terms.redistribution.words()));
    lines.push(line("approvals", &facts.approvals));
    let ways = terms.deliveries.as_ref();
    let ways = ways.map(|ways| join(ways.iter().cloned().collect()));
    lines.push(line("deliveries", &ways.as_deref().unwrap_or("all that the partner has")));
    lines.push(line("audit", &terms.audit));
    for (name, text) in [
        ("retention", &agreement.retention),
        ("incidents", &terms.incidents),
        ("encryption", &terms.encryption),
    ] {
        lines.extend(text.as_ref().map(|text| line(name, text)));
    }
    lines.extend(terms.retention_days.map(|days| line("retention days", &days)));
    for party in &terms.parties {
        let signed =
            format!("{} ({}), {}, {}", party.name, party.ori, party.signed_by, party.signed_at);
        lines.push(line("party", &signed));
    }
    if let Some(document) = &terms.document {
        lines.push(line("document", &format!("{} SHA-256 {}", document.file, document.sha256)));
    }
    lines
}
