//! Rounds of gateway and floor, at each number of connections.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::Arguments;
use crate::gateway::{Gateway, plates};
use crate::load::{self, Side};
use crate::report::Comparison;

const WARM_UP: Duration = Duration::from_millis(700);

/// Both sides look the same plates up in the same database.
pub(crate) async fn compare(
    arguments: &Arguments,
    gateway: &Gateway,
    records: &Path,
) -> anyhow::Result<Vec<Comparison>> {
    let keys = Arc::new(plates(records)?);
    let floor = Floor::start(records)?;
    let b = floor.side("floor", &keys)?;
    let a = gateway.side(keys).await?;
    let length = Duration::from_secs_f64(arguments.seconds);
    let mut comparisons = Vec::new();
    for &connections in &arguments.connections {
        for side in [&a, &b] {
            load::run(side, connections, WARM_UP).await.context("warming up")?;
        }
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            let first = load::run(&a, connections, length).await?;
            rounds.push((first, load::run(&b, connections, length).await?));
        }
        comparisons.push(Comparison::new(a.name.clone(), b.name.clone(), connections, rounds)?);
    }
    Ok(comparisons)
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
        crate::end(&mut self.child);
    }
}
