//! What an agency's server costs before anybody has asked it anything: the size of the program, the time
//! until it answers, and its memory, on the example configuration.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use crate::gateway::resident_mib;
use crate::report::Spread;

const EXAMPLE: &str = include_str!("../../bailiwick.example.toml");
const READY_WAIT_MAX: Duration = Duration::from_secs(30);
/// Long enough for what a start leaves to be done behind it.
const SETTLED: Duration = Duration::from_secs(2);

/// Times in milliseconds, memory and size in MiB.
#[derive(Debug, Serialize)]
pub(crate) struct Start {
    pub(crate) program_mib: f64,
    /// The very first start, which makes the keys and the ledger.
    pub(crate) first_ready_ms: f64,
    pub(crate) ready_ms: Spread,
    pub(crate) resident_mib: Spread,
}

/// Starts `program serve` on the example configuration `rounds` times, with what the demo made in
/// `agency` as its records, tools and identity provider.
pub(crate) async fn measure(
    program: &Path,
    agency: &Path,
    folder: &Path,
    rounds: usize,
) -> anyhow::Result<Start> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = prepare(program, agency, folder, port)?;
    let first = once(program, &config, port).await?;
    let mut later = Vec::new();
    for _ in 0..rounds {
        later.push(once(program, &config, port).await?);
    }
    let spread = |pick: fn(&(f64, f64)) -> f64| {
        Spread::of(later.iter().map(pick)).context("no rounds of starts")
    };
    let bytes = std::fs::metadata(program)?.len();
    Ok(Start {
        program_mib: u32::try_from(bytes >> 10).map(f64::from)? / 1024.0,
        first_ready_ms: first.0,
        ready_ms: spread(|once| once.0)?,
        resident_mib: spread(|once| once.1)?,
    })
}

/// The example as it stands, but for the port, with the files that it names beside it.
fn prepare(program: &Path, agency: &Path, folder: &Path, port: u16) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    for part in ["tools", "sources"] {
        std::fs::create_dir_all(folder.join(part))?;
        for entry in std::fs::read_dir(agency.join(part))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), folder.join(part).join(entry.file_name()))?;
            }
        }
    }
    std::fs::copy(agency.join("idp-metadata.xml"), folder.join("idp-metadata.xml"))?;
    let config = folder.join("bailiwick.toml");
    std::fs::write(&config, EXAMPLE.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")))?;
    let key = folder.join("master.key");
    let made = Command::new(program).args(["keys", "master", "--out"]).arg(key).output()?;
    anyhow::ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(config)
}

/// Milliseconds from the start of the process to its first `200` on `/ready`, and its memory a moment later.
async fn once(program: &Path, config: &Path, port: u16) -> anyhow::Result<(f64, f64)> {
    let log = std::fs::File::create(config.with_extension("log"))?;
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(config).stdout(Stdio::null()).stderr(log);
    let mut child = Serving(command.spawn().context("starting the server")?);
    while !is_ready(port) {
        anyhow::ensure!(
            begun.elapsed() < READY_WAIT_MAX && child.0.try_wait()?.is_none(),
            "the server did not become ready; see {}",
            config.with_extension("log").display()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ready = begun.elapsed().as_secs_f64() * 1e3;
    tokio::time::sleep(SETTLED).await;
    Ok((ready, resident_mib(child.0.id())?))
}

fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        let request = "GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        crate::end(&mut self.0);
    }
}

impl Start {
    pub(crate) fn write(&self, out: &mut String) -> std::fmt::Result {
        let Self { program_mib, first_ready_ms, ready_ms, resident_mib } = self;
        writeln!(out, "\n## `bailiwick serve` on the example configuration\n")?;
        writeln!(out, "| | figure | aim |\n|---|---|---|")?;
        writeln!(out, "| program, stripped | {program_mib:.1} MiB | 30 MB |")?;
        writeln!(
            out,
            "| ready, median of starts | {:.0} ms ({:.0} to {:.0}) | 100 ms |",
            ready_ms.median, ready_ms.min, ready_ms.max
        )?;
        writeln!(out, "| ready, very first start | {first_ready_ms:.0} ms | – |")?;
        writeln!(
            out,
            "| resident after start | {:.1} MiB ({:.1} to {:.1}) | 64 MiB |",
            resident_mib.median, resident_mib.min, resident_mib.max
        )
    }
}
