//! Witnesses at the command line: the newest checkpoint, the keys to give to others, a stop and its end, and a
//! Bailiwick that is a witness and nothing else.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use exchange::witnessing::StandAlone;
use keys::{SystemClock, SystemRandom};

use crate::progress;

/// Prints the newest cosigned checkpoint, or the newest of all.
pub(crate) fn checkpoint(folder: &Path, newest: bool) -> anyhow::Result<ExitCode> {
    let found = ledger::watched::newest_checkpoints(folder)
        .with_context(|| format!("could not read the checkpoints in `{}`", folder.display()))?;
    let note = if newest { Some(found.published) } else { found.cosigned };
    // Not where a note is printed: it would end up in the file that the note is kept in.
    let none = "no witness has confirmed this ledger yet; --newest shows what it signed alone";
    let note = note.context(none)?;
    progress::say(note.trim_end_matches('\n'));
    Ok(ExitCode::SUCCESS)
}

/// Tells why a ledger is stopped, and with a reason lets it go on.
pub(crate) fn resume(folder: &Path, reason: Option<&str>) -> anyhow::Result<ExitCode> {
    let Some(reason) = reason else {
        let stop = ledger::watched::stop_of(folder)?;
        let stopped = stop.is_some();
        let words = stop.map_or("this ledger is not stopped".to_owned(), |stop| stop.words());
        progress::say(&words);
        return Ok(if stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    };
    let stop = ledger::watched::lift_stop(folder, reason)?;
    progress::say(&format!(
        "lifted: {}\nThe reason goes on record when the ledger is opened next. A witness that still holds what this \
         ledger does not have stops it again.",
        stop.words()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Runs a witness until it is asked to end.
pub(crate) fn run(config: &Path) -> anyhow::Result<ExitCode> {
    web::commands::log_to_stderr();
    let runtime = tokio::runtime::Runtime::new().context("could not start the runtime")?;
    runtime.block_on(async {
        keys::module::require_fips()?;
        let witness = StandAlone::open(config, Arc::new(SystemClock), &SystemRandom).await?;
        let address = witness.address().context("could not tell the listener's address")?;
        progress::say(&format!("key          {}", witness.key()));
        progress::say(&format!("address      https://{address}/witness"));
        progress::say(&format!("certificate  {}", witness.certificate().display()));
        for (origin, size) in witness.sizes() {
            let size = size.map_or("not seen yet".to_owned(), |size| format!("{size} entries"));
            progress::say(&format!("log          {origin}, {size}"));
        }
        witness.serve(web::commands::asked_to_end()).await;
        Ok(ExitCode::SUCCESS)
    })
}
