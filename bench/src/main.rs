//! `bench`: what this machine can do, and what the controls cost, both in one run.
//!
//! Its part `ledger` stands in `durable/`. Of the gateway this is to be known:
//! two servers are loaded in turn, A, B, A, B …, so that a busy machine slows both and the ratio still
//! says something. The A side is the gateway: `bailiwick demo` from the same build, with a person signed
//! in. The B side is the endpoint without controls (`floor`) on the same records. Each is a process of
//! its own.

mod compare;
mod cpu;
mod decisions;
mod durable;
mod floor;
mod gateway;
mod identity;
mod index;
mod limits;
mod load;
mod parcel;
mod report;
mod start;
mod transfer;

use std::io::Write;
use std::path::PathBuf;
use std::process::Child;

use anyhow::Context;
use clap::{Parser, ValueEnum};

use report::Report;

/// Measures the limits of this machine, and what Bailiwick costs beside them.
#[derive(Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// What to measure; everything when nothing is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Where figures and scratch files go; must be on the disk that the ledger would use.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Rounds of A, B.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each side of a round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections to try.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    connections: Vec<usize>,
    /// The program to measure; the `bailiwick` beside this one when absent.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Writers that append to the ledger at once.
    #[arg(long, value_delimiter = ',', default_value = "1,64,1024")]
    writers: Vec<usize>,
    /// Seconds for each side of a round of the ledger's.
    #[arg(long, default_value_t = 1.0)]
    ledger_seconds: f64,
    /// Sizes of ledgers whose memory is measured. With 10000000 among them it takes minutes and 10 GB of disk.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000")]
    entries: Vec<u64>,
    /// Syncs of the raw disk between any two samples of the ledger's part.
    #[arg(long, hide = true, default_value_t = 200)]
    probe_syncs: u64,
    /// Fill one ledger in this folder up to the entries, print its figures, and end.
    #[arg(long, hide = true)]
    ledger_memory: Option<PathBuf>,
    /// Entries of the search index, on a log that is made up.
    #[arg(long, default_value_t = 100_000)]
    index_entries: u64,
    /// Entries of the real ledger beside it.
    #[arg(long, default_value_t = 20_000)]
    index_ledger: u64,
    /// MiB of the large file that is sealed.
    #[arg(long, default_value_t = 4096)]
    parcel_mib: u64,
    /// Small files that are sealed.
    #[arg(long, default_value_t = 100_000)]
    parcel_files: usize,
    /// MiB of the film that goes from one agency to the other.
    #[arg(long, default_value_t = 20_480)]
    transfer_mib: u64,
    /// Small files that go with it.
    #[arg(long, default_value_t = 99_999)]
    transfer_files: usize,
    /// MiB of a part of that parcel.
    #[arg(long, default_value_t = 64)]
    transfer_part_mib: u64,
    /// Be one of the two agencies, in the folder given by `--out`: `riverton` sends, `lakeside` receives.
    #[arg(long, hide = true)]
    transfer_side: Option<String>,
    /// Where the sender finds the receiver.
    #[arg(long, hide = true, default_value_t = 0)]
    transfer_port: u16,
    /// Serve the floor alone from this database, print the address, and stay.
    #[arg(long, hide = true)]
    serve_floor: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A signed-in look-up against the endpoint without controls.
    Gateway,
    /// Size, time to ready and memory of `bailiwick serve`.
    Start,
    /// Policy decisions, sliced and unsliced.
    Decisions,
    /// Durable appends, on disk and in PostgreSQL, against the disk, SQLite and PostgreSQL alone; verifying; memory.
    Ledger,
    /// The ledger's search index: building it, and searching by subject.
    Index,
    /// SAML answers verified a second, beside xmlsec1 and pysaml2; a session found by its cookie.
    Identity,
    /// Sealing, verifying and opening parcels, beside age, openssl, gpg, 7z, tar and bagit.py.
    Parcel,
    /// Parcels that cross from one agency to another over a line that is cut, beside sftp and cp. Twice the film's size of disk.
    Exchange,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    fn load(&self) -> transfer::Load {
        transfer::Load { mib: self.transfer_mib, files: self.transfer_files }
    }

    fn program(&self) -> anyhow::Result<PathBuf> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        let own = std::env::current_exe().context("finding this program")?;
        let beside = own.with_file_name("bailiwick");
        anyhow::ensure!(beside.is_file(), "no {}: build it first", beside.display());
        Ok(beside)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.ledger_memory {
        // Without a runtime, whose memory would count too.
        let entries = *arguments.entries.first().context("--entries is missing")?;
        return durable::memory::fill(folder, entries);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting a runtime")?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(database) = arguments.serve_floor {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("{}\n", listener.local_addr()?))?;
        return floor::serve(listener, database).await;
    }
    std::fs::create_dir_all(&arguments.out).context("making the folder for figures")?;
    if let Some(side) = &arguments.transfer_side {
        return one_side(&arguments, side).await;
    }
    let mut report = Report::new(limits::measure(&arguments.out)?);
    if arguments.wants(Part::Decisions) {
        report.decisions = decisions::measure()?;
    }
    if arguments.wants(Part::Index) {
        let (out, entries) = (arguments.out.clone(), arguments.index_entries);
        let real = arguments.index_ledger;
        let measured = tokio::task::spawn_blocking(move || index::measure(&out, entries, real));
        report.index = Some(measured.await??);
    }
    if arguments.wants(Part::Identity) {
        let (out, rounds, seconds) = (arguments.out.clone(), arguments.rounds, arguments.seconds);
        let measured =
            tokio::task::spawn_blocking(move || identity::measure(&out, rounds, seconds));
        report.identity = Some(measured.await??);
    }
    if arguments.wants(Part::Parcel) {
        let what = (arguments.parcel_mib, arguments.parcel_files, arguments.rounds);
        report.parcel =
            Some(parcel::measure(&arguments.out, &arguments.program()?, what, &report.limits)?);
    }
    if arguments.wants(Part::Exchange) {
        let part = arguments.transfer_part_mib;
        let figures = transfer::measure(&arguments.out, arguments.load(), part).await?;
        report.exchange = Some(figures);
    }
    if arguments.wants(Part::Gateway) || arguments.wants(Part::Start) {
        measure_servers(&arguments, &mut report).await?;
    }
    if arguments.wants(Part::Ledger) {
        report.ledger = Some(durable::measure(&arguments).await?);
    }
    report::keep(&report, &arguments.out, "bench")?;
    say(&report.markdown())
}

/// One of the two agencies between which a parcel crosses.
async fn one_side(arguments: &Arguments, side: &str) -> anyhow::Result<()> {
    let seat = transfer::Seat {
        folder: arguments.out.clone(),
        part_mib: arguments.transfer_part_mib,
        partner_port: arguments.transfer_port,
    };
    match side {
        "riverton" => transfer::send(&seat, arguments.load()).await,
        "lakeside" => transfer::receive(&seat).await,
        other => anyhow::bail!("`{other}` is neither riverton nor lakeside"),
    }
}

/// The gateway first: it makes the records that the other part copies.
async fn measure_servers(arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    let program = arguments.program()?;
    let folder = arguments.out.join("demo");
    {
        let gateway = gateway::Gateway::start(&program, &folder)?;
        if arguments.wants(Part::Gateway) {
            let records = folder.join("riverton/sources/records.db");
            report.comparisons = compare::compare(arguments, &gateway, &records).await?;
            report.loaded_mib = Some(gateway.resident_mib()?);
        }
    }
    if arguments.wants(Part::Start) {
        let (agency, fresh) = (folder.join("riverton"), arguments.out.join("serve"));
        report.start = Some(start::measure(&program, &agency, &fresh, arguments.rounds).await?);
    }
    Ok(())
}

/// Ends a process that this one started. It may have ended by itself; then there is nothing to end.
fn end(child: &mut Child) {
    if child.kill().is_ok() {
        child.wait().map(drop).unwrap_or_default();
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("printing")
}
