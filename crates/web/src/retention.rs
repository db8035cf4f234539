//! Retention outside of the pages: the daily run of a server, and the stopped ledger of a
//! configuration for the command line.
//!
//! Invariants: the daily run disposes by itself only where the configuration says so and no clock
//! may have jumped, and is then on record as the platform; it always finishes what was cut short and sees to what came back. At
//! the command line nobody is signed in: the name that is given goes on record as such.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::KeysError;
use ledger::format::Bucket;
use ledger::retention::{Disposal, DisposeError, Order};
use ledger::{AppendError, Event, Ledger, Record};
use tokio::sync::watch;

use crate::agency::{Outside, StartError};
use crate::app::Shared;
use crate::config::{Config, ConfigError};
use crate::problem::chain;
use crate::stopped::{self, ORDER_BYTES_MAX, StoppedError, ordered};

/// How often the run comes round.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a ledger's retention could not be worked on.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The configured folder holds no ledger.
    #[error("there is no ledger in `{folder}`")]
    NoLedger {
        /// The folder.
        folder: PathBuf,
    },
    /// The ledger's keys are not there, or not under this master key.
    #[error("the ledger's keys cannot be had")]
    Keys(#[from] KeysError),
    /// A key of the ledger is not in the agency's keys.
    #[error("`{name}` is not among the agency's keys")]
    NoKey {
        /// The key's name.
        name: &'static str,
    },
    /// The name is empty or too long.
    #[error("give the name of who orders it, in 1 to {ORDER_BYTES_MAX} bytes")]
    Name,
    /// The ledger could not be opened, most often because its server runs.
    #[error("the ledger can't be opened. Stop its server, or use its page on retention")]
    Open(#[source] Box<StartError>),
    /// It was refused, or failed.
    #[error("it was not done")]
    Dispose(#[from] DisposeError),
    /// That somebody looked could not be recorded.
    #[error("the ledger did not record this, so nothing is shown")]
    Append(#[from] AppendError),
    /// The ledger could not be read.
    #[error("the ledger could not be read")]
    Read(#[from] ledger::ReadError),
}

impl From<StoppedError> for RetentionError {
    fn from(error: StoppedError) -> Self {
        match error {
            StoppedError::NoLedger { folder } => Self::NoLedger { folder },
            StoppedError::Keys(error) => Self::Keys(error),
            StoppedError::NoKey { name } => Self::NoKey { name },
            StoppedError::Open(error) => Self::Open(error),
        }
    }
}

/// Opens the ledger of a configuration, which must be there, while its server is stopped.
///
/// # Errors
/// [`RetentionError`]: nothing was changed.
pub fn open_stopped(config: &Path, outside: &Outside) -> Result<Ledger, RetentionError> {
    keys::module::require_fips()?;
    let (ledger, _) = stopped::open(&Config::read(config)?, outside)?;
    Ok(ledger)
}

/// An order from the command line.
///
/// # Errors
/// [`RetentionError::Name`].
pub fn ordered_by(by: &str, authority: &str) -> Result<Order, RetentionError> {
    let by = ordered(by).ok_or(RetentionError::Name)?;
    let authority = format!(
        "{authority}; ordered at the command line by {by} (as they say; nobody was signed in)"
    );
    Ok(Order { authority, ..Order::default() })
}

/// Records that retention was looked at, at the command line.
///
/// # Errors
/// [`RetentionError::Append`].
pub fn record_look(ledger: &Ledger) -> Result<(), RetentionError> {
    let what = "retention, at the command line (nobody was signed in)".to_owned();
    ledger.enqueue(Record::platform(Event::AuditRead { what, count: 0 }))?.wait()?;
    Ok(())
}

/// Disposes of everything that is due, bucket by bucket; tells each. Goes on past a bucket that
/// could not be.
///
/// # Errors
/// [`ledger::ReadError`] when what is due can't be found out.
pub fn dispose_due(
    ledger: &Ledger,
    now: jiff::Timestamp,
    order: &Order,
    told: &mut dyn FnMut(Bucket, Result<Disposal, DisposeError>),
) -> Result<(), ledger::ReadError> {
    let due: Vec<Bucket> = ledger.retention()?.due(now).map(|it| it.bucket).collect();
    for bucket in due {
        told(bucket, ledger.dispose(bucket, order.clone()));
    }
    Ok(())
}

/// Works on retention once a day, and once at the start, until the server stops.
pub(crate) async fn daily(agency: Shared, mut stopped: watch::Receiver<bool>) {
    loop {
        let at_work = agency.clone();
        let run = tokio::task::spawn_blocking(move || once(&at_work));
        if let Err(error) = run.await {
            tracing::error!(%error, "the daily run on retention ended badly");
        }
        let stop = stopped.wait_for(|stop| *stop);
        if tokio::time::timeout(EVERY, stop).await.is_ok() {
            return;
        }
    }
}

fn once(agency: &Shared) {
    let failed = |error: &(dyn std::error::Error + 'static), what: &str| {
        tracing::error!(error = %chain(error), "{what}");
    };
    if let Err(error) = agency.ledger.finish_disposals() {
        return failed(&error, "a disposal could not be finished");
    }
    let settings = &agency.config.ledger;
    if !settings.dispose_daily {
        return;
    }
    match agency.ledger.has_recorded_lately(agency.now()) {
        Ok(true) => {}
        Ok(false) => {
            tracing::error!(
                "nothing is disposed of today: the ledger has no entry of the weeks before the last \
                 one, so the clock may be wrong. If it is right, dispose by hand, or wait a week"
            );
            return;
        }
        Err(error) => {
            return failed(&error, "whether the clock can be trusted could not be found out");
        }
    }
    let order = Order { authority: settings.retention_authority.clone(), ..Order::default() };
    let mut told = |bucket: Bucket, done: Result<Disposal, DisposeError>| match done {
        Ok(Disposal::Done { started, .. }) => {
            tracing::info!(bucket = bucket.name(), entry = started.0, "disposed of a bucket");
        }
        // Another process that shares the ledger may have come first.
        Ok(Disposal::Nothing) | Err(DisposeError::Already { .. }) => {}
        Err(error) => failed(&error, "a bucket that is due could not be disposed of"),
    };
    if let Err(error) = dispose_due(&agency.ledger, agency.now(), &order, &mut told) {
        failed(&error, "what is due could not be found out");
    }
}
