//! The way to a ledger in PostgreSQL: TCP to the declared address, TLS to the declared name, and then the stream
//! is the ledger's. Also its export into a folder, and its import from one.
//!
//! Invariant: a server that does not speak TLS, or shows another certificate, is not spoken to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keys::{Clock, Random};
use ledger::{Dial, Dialling, Login, ObjectStorage, Stream, Waits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wire::tls::{ClientTls, Trust, client_config_without_alpn};
use wire::{Addresses, Egress, Target};

use crate::agency::{Outside, StartError, ledger_keys, ledger_settings, open_keyring};
use crate::config::{Config, ConfigError, SharedLedgerConfig};
use crate::storage;

/// For name and connection, and again for TLS.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest password file, in bytes.
const PASSWORD_BYTES_MAX: usize = 4096;
const DAY_SECONDS: u64 = 24 * 3600;
/// PostgreSQL's request for TLS (`SSLRequest`): its length, and the number that asks for it.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why a declared database can't be gone to, or its ledger was not exported.
#[derive(Debug, thiserror::Error)]
pub enum SharedLedgerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It declares no database.
    #[error("the configuration has no `[ledger.postgres]`: its ledger is a folder")]
    NotShared,
    /// Keys.
    #[error(transparent)]
    Agency(#[from] StartError),
    /// A file that it names could not be read.
    #[error("could not read `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The CA is not one.
    #[error("`{path}` has no certificates")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: keys::KeysError,
    },
    /// TLS can't be set up.
    #[error("could not set up TLS to the ledger's database")]
    Tls(#[source] wire::WireError),
    /// The password file.
    #[error("could not read the ledger's database password")]
    Password(#[source] keys::KeysError),
    /// The object store that belongs to it.
    #[error("the ledger's object store can't be used")]
    Storage(#[source] storage::StorageError),
    /// The export.
    #[error("the ledger was not exported")]
    Export(#[source] ledger::OpenError),
    /// The import.
    #[error("the ledger was not taken into the database")]
    Import(#[source] ledger::OpenError),
}

/// The declared database, and the object store that belongs to it. Nothing is connected yet.
///
/// # Errors
/// [`SharedLedgerError`], which names the file.
pub fn database(
    declared: &SharedLedgerConfig,
    clock: &Arc<dyn Clock>,
) -> Result<ledger::Database, SharedLedgerError> {
    let storage = declared.objects.as_ref().map(|objects| {
        let shelf = storage::open(objects, Arc::clone(clock))?;
        let after = Duration::from_secs(u64::from(declared.objects_after_days) * DAY_SECONDS);
        Ok(ObjectStorage { after, ..ObjectStorage::new(shelf.into()) })
    });
    let objects = storage.transpose().map_err(SharedLedgerError::Storage)?;
    let dial = dial(declared, Arc::clone(clock))?;
    let bytes_max = declared.size_max_gib.map(|gib| u64::from(gib.get()) << 30);
    Ok(ledger::Database { dial, waits: Waits::default(), bytes_max, objects })
}

struct Database {
    declared: SharedLedgerConfig,
    egress: Egress,
    tls: ClientTls,
}

/// The way to the declared database. Nothing is connected yet.
///
/// # Errors
/// [`SharedLedgerError`], which names the file.
pub fn dial(
    declared: &SharedLedgerConfig,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Dial>, SharedLedgerError> {
    let path = &declared.ca_file;
    let failed = |source| SharedLedgerError::File { path: path.clone(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let authorities = keys::cert::Certificate::chain_from_pem(&text)
        .map_err(|source| SharedLedgerError::Authority { path: path.clone(), source })?;
    let trust = Trust { authorities, leaves: Vec::new() };
    let tls = client_config_without_alpn(&trust, None, clock).map_err(SharedLedgerError::Tls)?;
    // Read again at each connection, so that it can be changed; looked at now, so that a wrong path
    // is known at the start.
    password(&declared.password_file).map_err(SharedLedgerError::Password)?;
    let (host, port) = (declared.host.clone(), declared.port);
    let egress = Egress::new(vec![Target { host, port, addresses: Addresses::Private }]);
    Ok(Arc::new(Database { declared: declared.clone(), egress, tls }))
}

fn password(path: &Path) -> Result<String, keys::KeysError> {
    let bytes = keys::file::read_secret(path, PASSWORD_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl Dial for Database {
    fn dial(&self) -> Dialling<'_> {
        Box::pin(async move {
            let SharedLedgerConfig { host, port, user, database, password_file, .. } =
                &self.declared;
            let password = password(password_file).map_err(io::Error::other)?;
            let stream = self.egress.connect(host, *port, CONNECT_WAIT_MAX).await;
            let mut stream = stream.map_err(io::Error::other)?;
            stream.write_all(&TLS_REQUEST).await?;
            // One byte and no more: what follows it belongs to TLS.
            if stream.read_u8().await? != b'S' {
                return Err(io::Error::other("the database does not speak TLS"));
            }
            let secure = wire::handshake(host, stream, &self.tls, CONNECT_WAIT_MAX).await;
            let stream: Box<dyn Stream> = Box::new(secure.map_err(io::Error::other)?);
            let (user, database) = (user.clone(), database.clone());
            Ok((stream, Login { user, password, database }))
        })
    }
}

/// What an export or an import needs of a configuration; `folder` is the one on disk.
struct Asked {
    database: ledger::Database,
    settings: ledger::Settings,
    keys: ledger::LedgerKeys,
    outside: Outside,
}

impl Asked {
    fn new(config: &Path, folder: &Path) -> Result<Self, SharedLedgerError> {
        let (config, outside) = (Config::read(config)?, Outside::system());
        let declared = config.ledger.postgres.as_ref().ok_or(SharedLedgerError::NotShared)?;
        let ring = open_keyring(&config, &config.data.folder)?;
        let keys = ledger_keys(&ring, &*outside.random)?;
        let mut settings = ledger_settings(&config)?;
        folder.clone_into(&mut settings.folder);
        let clock: Arc<dyn Clock> = outside.clock.clone();
        let database = database(declared, &clock)?;
        Ok(Self { database, settings, keys, outside })
    }
}

/// Writes the ledger that a configuration has in PostgreSQL into a folder, as it is now, and gives the
/// number of its entries. The server may run.
///
/// # Errors
/// [`SharedLedgerError`]; the folder is not to be used then.
pub fn export(
    config: &Path,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, SharedLedgerError> {
    let Asked { database, settings, keys, outside } = Asked::new(config, out)?;
    let random: Arc<dyn Random> = outside.random.clone();
    let with: (&dyn Clock, _) = (&*outside.clock, &random);
    ledger::export_folder(database, &settings, &keys, with, progress)
        .map_err(SharedLedgerError::Export)
}

/// Takes a ledger from a folder, whose server is stopped, into the database that a configuration
/// declares, and gives the number of its entries. The log goes on there; the folder is to be put away.
///
/// # Errors
/// [`SharedLedgerError`]; it may be tried again, and goes on where it was.
pub fn import(
    config: &Path,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, SharedLedgerError> {
    let Asked { database, settings, keys, outside } = Asked::new(config, folder)?;
    let random: Arc<dyn Random> = outside.random.clone();
    let with: (&dyn Clock, _) = (&*outside.clock, &random);
    ledger::import_folder(database, &settings, &keys, with, progress)
        .map_err(SharedLedgerError::Import)
}
