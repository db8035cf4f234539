//! `bench`: what this machine can do, and what the controls cost, both in one run.
//!
//! Two servers are loaded in turn, A, B, A, B …, so that a busy machine slows both and the ratio still
//! says something. The B side is always the endpoint without controls (`floor`), started as a process of
//! its own. The A side is a running gateway, given by URL, cookie and form; without one, A is a second
//! floor, whose ratio to the first shows how far a ratio of 1 strays on this machine.

mod cpu;
mod floor;
mod limits;
mod load;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use http::Uri;

use load::Side;
use report::{Comparison, Report};

/// Measures the limits of this machine, then side A against the endpoint without controls.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
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
    /// A running gateway's form, such as http://127.0.0.1:8080/tools/vehicle-lookup/runs
    #[arg(long)]
    url: Option<Uri>,
    /// The session cookie that goes with it, as `name=value`
    #[arg(long, requires = "url")]
    cookie: Option<String>,
    /// Its form body; `{key}` becomes a plate, in turn.
    #[arg(long, default_value = "plate={key}")]
    body: String,
    /// A file of plates, one a line, that both sides know; made-up ones otherwise.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// The database that the floor reads, such as the demo's records.db; made up otherwise.
    #[arg(long)]
    database: Option<PathBuf>,
    /// What every answer of the gateway must contain.
    #[arg(long, default_value = "<td")]
    expect: String,
    /// The gateway's process, for its CPU time.
    #[arg(long)]
    pid: Option<u32>,
    /// Serve the floor alone from this database, print the address, and stay.
    #[arg(long, hide = true)]
    serve_floor: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(database) = arguments.serve_floor {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        say(&format!("{}\n", listener.local_addr()?))?;
        return floor::serve(listener, database).await;
    }
    std::fs::create_dir_all(&arguments.out).context("making the folder for figures")?;
    let made_up = arguments.out.join("floor.db");
    let database = match &arguments.database {
        Some(database) => database.clone(),
        None => {
            floor::database(&made_up)?;
            made_up
        }
    };
    let limits = limits::measure(&arguments.out)?;
    let report = compare(&arguments, &database, limits).await?;
    report::keep(&report, &arguments.out, "gateway")?;
    say(&report.markdown())
}

async fn compare(
    arguments: &Arguments,
    database: &Path,
    limits: limits::Limits,
) -> anyhow::Result<Report> {
    let keys = match &arguments.keys {
        Some(path) => std::fs::read_to_string(path)?.lines().map(str::to_owned).collect(),
        None => (0..2000).map(floor::plate).collect::<Vec<String>>(),
    };
    let keys = Arc::new(keys);
    let floor = Floor::start(database)?;
    let second;
    let a = match &arguments.url {
        Some(url) => Side {
            name: "gateway".to_owned(),
            url: url.clone(),
            cookie: arguments.cookie.clone(),
            body: arguments.body.clone(),
            keys: Arc::clone(&keys),
            expect: arguments.expect.clone(),
            pid: arguments.pid,
        },
        None => {
            second = Floor::start(database)?;
            second.side("a second floor", &keys)?
        }
    };
    let b = floor.side("floor", &keys)?;
    let length = Duration::from_secs_f64(arguments.seconds);
    let mut comparisons = Vec::new();
    for &connections in &arguments.connections {
        for side in [&a, &b] {
            load::run(side, connections, Duration::from_millis(700)).await.context("warming up")?;
        }
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            let first = load::run(&a, connections, length).await?;
            rounds.push((first, load::run(&b, connections, length).await?));
        }
        comparisons.push(Comparison::new(a.name.clone(), b.name.clone(), connections, rounds)?);
    }
    Ok(Report { machine: report::machine(), limits, comparisons })
}

/// The endpoint without controls, in a process of its own; ends when dropped.
struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    fn start(database: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.arg("--serve-floor").arg(database).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the floor")?;
        let output = child.stdout.take().context("the floor's output")?;
        let mut address = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    fn side(&self, name: &str, keys: &Arc<Vec<String>>) -> anyhow::Result<Side> {
        Ok(Side {
            name: name.to_owned(),
            url: format!("http://{}/floor", self.address).parse().context("the floor's address")?,
            cookie: None,
            body: "plate={key}".to_owned(),
            keys: Arc::clone(keys),
            expect: "<td>V-".to_owned(),
            pid: Some(self.child.id()),
        })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        if self.child.kill().is_ok() {
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("printing")
}
