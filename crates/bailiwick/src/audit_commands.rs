//! `bailiwick audit …`: two agencies' extracts held against each other, offline: no server, no secret.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use exchange::joint::{EXTRACT_BYTES_MAX, Side};
use jiff::SignedDuration;
use keys::cert::Certificate;
use keys::{Clock as _, SystemClock};
use ledger::note::VerifierKey;
use parcel::Trust;

use crate::progress::{say, text_of};

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Hold two extracts against each other. Each was made and signed by its agency (page *Joint audit*).
    #[command(
        after_help = "Example:\n  bailiwick audit reconcile riverton.extract lakeside.extract \\\n      \
                            --our-signer riverton.pem --our-key riverton.vkey \\\n      \
                            --their-signer lakeside.pem --their-key lakeside.vkey --pdf report.pdf\n\n\
                            Exit codes: 0 the ledgers agree, 1 they do not, or an extract does not hold; 2 usage."
    )]
    Reconcile(Box<Reconcile>),
}

#[derive(Args)]
pub(crate) struct Reconcile {
    /// The first agency's extract.
    ours: PathBuf,
    /// The second agency's extract.
    theirs: PathBuf,
    /// The first agency's signing certificate, or its issuer's (PEM).
    #[arg(long)]
    our_signer: PathBuf,
    /// A file with the verifier key of the first agency's ledger.
    #[arg(long)]
    our_key: PathBuf,
    /// The second agency's signing certificate, or its issuer's (PEM).
    #[arg(long)]
    their_signer: PathBuf,
    /// A file with the verifier key of the second agency's ledger.
    #[arg(long)]
    their_key: PathBuf,
    /// How many seconds an effect may come before its cause by the two clocks.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    skew_seconds: u32,
    /// Write the report as JSON to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the report as a document (PDF/A-3b with the JSON inside) to this file.
    #[arg(long)]
    pdf: Option<PathBuf>,
    /// Write the report as one HTML page to this file.
    #[arg(long)]
    html: Option<PathBuf>,
}

pub(crate) fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    let AuditCommand::Reconcile(what) = command;
    let ours = side(&what.ours, &what.our_signer, &what.our_key)?;
    let theirs = side(&what.theirs, &what.their_signer, &what.their_key)?;
    let skew = SignedDuration::from_secs(i64::from(what.skew_seconds));
    let report = exchange::joint::reconcile(&ours, &theirs, skew);
    let json = exchange::joint::json(&report)?;
    if let Some(path) = &what.json {
        write(path, &json)?;
    }
    if let Some(path) = &what.pdf {
        let paper = exchange::joint::paper(&report, json);
        write(path, &paper.context("could not make the document")?)?;
    }
    if let Some(path) = &what.html {
        write(path, exchange::joint::page(&report).as_bytes())?;
    }
    for note in &report.notes {
        say(&format!("note: {note}"));
    }
    let counts = &report.counts;
    say(&format!(
        "{} matched, {} only ours, {} only theirs, {} with another digest, {} with time skew",
        counts.matched,
        counts.only_ours,
        counts.only_theirs,
        counts.digest_differs,
        counts.time_skew
    ));
    let odd = report.lines.iter().filter(|line| line.finding != exchange::joint::Finding::Matched);
    for line in odd {
        let entry = |fact: &Option<exchange::joint::Fact>| match fact {
            Some(fact) => format!("{} at entry {}", fact.kind, fact.entry),
            None => "nothing".to_owned(),
        };
        let note = line.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
        say(&format!(
            "{}: {} of exchange {}{note}: ours {}, theirs {}",
            line.finding.words(),
            line.what,
            line.exchange,
            entry(&line.ours),
            entry(&line.theirs)
        ));
    }
    Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads an extract and proves it.
fn side(file: &Path, signer: &Path, key: &Path) -> anyhow::Result<Side> {
    let senders = Certificate::chain_from_pem(&text_of(signer)?);
    let senders = senders.with_context(|| {
        format!("`{}` holds no certificates that can be used", signer.display())
    })?;
    let trust = Trust { senders, now: SystemClock.now() };
    let text = text_of(key)?;
    let key = VerifierKey::parse(text.trim());
    let key = key.with_context(|| format!("`{text}` is no verifier key of a ledger"))?;
    let bytes = keys::file::read(file, EXTRACT_BYTES_MAX);
    let bytes = bytes.with_context(|| format!("could not read `{}`", file.display()))?;
    exchange::joint::read(&bytes, &trust, &key)
        .with_context(|| format!("`{}` does not hold", file.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("could not write `{}`", path.display()))
}
