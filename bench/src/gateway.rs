//! The gateway as a person meets it: `bailiwick demo` in a process of its own, a detective signed in, and
//! the vehicle look-up's form with the plate left open.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use demo::story::Seat;
use demo::story::client::Raw;
use rusqlite::{Connection, OpenFlags};

use crate::load::Side;

const RIVERTON: &str = "Riverton Police Department";
/// Stands for the plate while the form is filled in.
const HOLE: &str = "PLATE";
const CASE: &str = "24-000113";
const KEYS_MAX: u32 = 2000;

/// Ends when dropped.
pub(crate) struct Gateway {
    child: Child,
    base: String,
}

impl Gateway {
    /// Starts `program demo` with its files under `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["demo", "--any-ports", "--folder"]).arg(folder);
        let log = std::fs::File::create(folder.with_extension("log")).context("making a log")?;
        command.stdout(Stdio::piped()).stderr(log);
        let mut child =
            command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let output = child.stdout.take().context("the gateway's output")?;
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
        let address =
            lines.find_map(|line| Some(line.ok()?.strip_prefix(RIVERTON)?.trim().to_owned()));
        let base = address.context("the demo did not say where its pages are")?;
        Ok(Self { child, base })
    }

    /// A signed-in look-up of one of `keys`.
    pub(crate) async fn side(&self, keys: Arc<Vec<String>>) -> anyhow::Result<Side> {
        let mut seat = Seat::new("det.ruiz", &self.base);
        seat.sign_in().await.map_err(|failed| anyhow::anyhow!("{failed:?}"))?;
        let page = seat.open("/tools/vehicle-lookup").await;
        let page = page.map_err(|failed| anyhow::anyhow!("{failed:?}"))?;
        let form = page.form("/tools/vehicle-lookup/runs")?.set("plate", HOLE)?;
        let form = form.set("purpose", "C")?.set("case_number", CASE)?;
        let url = page.address.join(&form.action)?;
        let body = String::from_utf8(Raw::post(&url.to_string(), &form.fields())?.body)?;
        let context = demo::story::cookies::Context { cross_site: false, unsafe_method: true };
        Ok(Side {
            name: "gateway".to_owned(),
            cookie: seat.browser.jar.line(&url, context),
            url: url.to_string().parse().context("the gateway's address")?,
            body: body.replace(&format!("plate={HOLE}"), "plate={key}"),
            keys,
            expect: "<td".to_owned(),
            pid: Some(self.child.id()),
        })
    }

    /// Resident memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        resident_mib(self.child.id())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        crate::end(&mut self.child);
    }
}

/// Resident memory of a process, in MiB (`VmRSS` of proc(5)).
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    crate::cpu::size_mib(&pid.to_string(), "VmRSS").context("a process has a resident size")
}

/// Plates of the demo's records.
pub(crate) fn plates(database: &Path) -> anyhow::Result<Vec<String>> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut query = connection.prepare("select plate from vehicles order by id limit ?")?;
    let plates = query.query_map([KEYS_MAX], |row| row.get(0))?;
    plates.collect::<Result<_, _>>().context("reading plates")
}
