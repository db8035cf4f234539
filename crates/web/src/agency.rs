//! One agency's Bailiwick: every room opened and joined, in the order in which they need one another.
//!
//! Invariant: nothing is served before the cryptographic module has said that it is in FIPS mode,
//! and before the ledger is open and has taken the record of this start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gate::{Gate, GateError, Permit, Plan};
use identity::Identity;
use jiff::Timestamp;
use keys::keyring::Keyring;
use keys::mac::MacKey;
use keys::seal::SealingKey;
use keys::{Clock, Random};
use ledger::{Event, IndexKeys, Ledger, LedgerKeys, Record, Settings};
use policy::{Action, Actor, Ori, Policy, Question, RecordClass, Resource, Why};
use sources::{SourceKind, SourceSpec, Sources};
use state::State;
use tools::Tool;
use wire::Egress;

use crate::config::{Config, ConfigError, SourceConfig};
use crate::emergency::EmergencyAccess;
use crate::flood::Floods;
use crate::front::Proxy;
use crate::live::Live;
use crate::providers::certificates::RevocationLists;
use crate::providers::open_identity;
use crate::providers::watch::Providers;
use crate::scim::Directories;
use crate::session::SignedIn;
use crate::shared_ledger;
use crate::sharing::Sharing;
use crate::witnesses;

/// Why an agency could not be started. The causes say what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The cryptographic module is not in FIPS mode, or a key is missing or wrong.
    #[error("could not {doing}")]
    Keys {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        #[source]
        source: keys::KeysError,
    },
    /// The ledger could not be opened, or did not take the record of this start.
    #[error("could not open the ledger in `{folder}`")]
    Ledger {
        /// Its folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The platform's state.
    #[error("could not open the platform's state in `{path}`")]
    State {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<state::StateError>,
    },
    /// The policies.
    #[error("the policies cannot be used")]
    Policy(#[from] policy::PolicyError),
    /// An agency system.
    #[error("source `{id}` cannot be used")]
    Source {
        /// Its id.
        id: String,
        /// Why not.
        #[source]
        source: Box<sources::Fault>,
    },
    /// Sign-in.
    #[error("sign-in cannot be set up")]
    Identity(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Sharing with partners.
    #[error("sharing cannot be set up")]
    Sharing(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The ledger's witnesses, or being one.
    #[error("witnessing cannot be set up")]
    Witness(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A file or folder.
    #[error("could not read or write `{path}`")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A listener.
    #[error("could not serve")]
    Serve(#[from] wire::WireError),
}

/// What an agency takes from outside, so that a test can own it.
#[derive(Clone)]
pub struct Outside {
    /// Where every room gets its time from.
    pub clock: Arc<dyn Clock>,
    /// The module's random generator.
    pub random: Arc<dyn Random>,
    /// Where the ledger is kept.
    pub ledger_disk: Arc<dyn ledger::Disk>,
}

impl Outside {
    /// The machine's own.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(keys::SystemClock),
            random: Arc::new(keys::SystemRandom),
            ledger_disk: Arc::new(ledger::SystemDisk),
        }
    }
}

/// The rooms of one agency, joined.
pub struct Agency {
    /// What was configured.
    pub config: Config,
    /// The agency's ORI.
    pub ori: Ori,
    /// The clock that every room gets its time from.
    pub clock: Arc<dyn Clock>,
    /// The module's random generator.
    pub random: Arc<dyn Random>,
    /// The audit log.
    pub ledger: Ledger,
    /// The only road out of a source.
    pub gate: Gate,
    /// The agency's systems.
    pub sources: Sources,
    /// The platform's own state, which the rooms share.
    pub state: State,
    /// Sign-in and sessions.
    pub identity: Identity,
    /// Where the identity providers' metadata comes from.
    pub providers: Providers,
    /// Where the lists of revoked certificates come from.
    pub revocation_lists: RevocationLists,
    /// The reverse proxy in front, if one is declared.
    pub proxy: Option<Proxy>,
    /// What comes too often.
    pub floods: Floods,
    /// For large files that are taken in.
    pub large: crate::upload::Places,
    /// Emergency accounts.
    pub emergency: EmergencyAccess,
    /// What runs for people, so that it can be cut.
    pub live: Arc<Live>,
    /// Who keeps people and groups current.
    pub directories: Directories,
    /// The tools, by id.
    pub tools: BTreeMap<String, Tool>,
    /// Seals row handles.
    pub handles: SealingKey,
    /// Sharing with partners, where it is configured.
    pub exchange: Option<Sharing>,
    /// The record class of the ledger itself.
    pub audit_class: RecordClass,
    /// This program and its cryptographic module, for the foot of the pages.
    pub version: String,
}

impl Agency {
    /// Opens every room. Blocking work (files, the ledger's recovery) is done in place: nothing is
    /// served yet.
    ///
    /// # Errors
    /// [`StartError`] says which room could not be opened, and its causes say why.
    pub async fn start(config: Config, outside: Outside) -> Result<Arc<Self>, StartError> {
        let module = keys::module::require_fips().map_err(|source| StartError::Keys {
            doing: "start the cryptographic module",
            source,
        })?;
        let folder = config.data.folder.clone();
        make_folder(&folder)?;
        let ring = open_keyring(&config, &folder)?;
        let ledger = open_ledger(&config, &ring, &outside)?;
        let Outside { clock, random, .. } = outside;
        let secret = |name| {
            ring.secret(name, &*random)
                .map_err(|source| StartError::Keys { doing: "read the agency's keys", source })
        };
        let ori = config.agency.ori.clone();
        let policy = Arc::new(load_policy(&config)?);
        let now = {
            let clock = clock.clone();
            move || clock.now()
        };
        let gate = Gate::new(policy.clone(), ledger.clone(), Arc::new(now));
        let state = open_state(&folder, SealingKey::from_bytes(secret("state")?)).await?;
        let sources = open_sources(&config, clock.clone())?;
        let (identity, providers, revocation_lists) =
            open_identity(&config, state.clone(), &ring, &clock, &random)?;
        let identity = identity.with_recorder(Self::recorder(&ledger));
        let identity = identity.with_ldap(crate::ldap::open(&config, &clock)?);
        let (tools, problems) = match &config.tools.folder {
            Some(folder) => tools::load_folder(folder, keys::digest::sha256),
            None => (Vec::new(), Vec::new()),
        };
        let exchange = match &config.exchange {
            Some(settings) => Some(
                Sharing::open(&config, settings, (&gate, &ledger, &state, &ring), &clock, &random)
                    .await?,
            ),
            None => None,
        };
        let directories = Directories::new(&config);
        let proxy = config.proxy.as_ref().map(Proxy::open).transpose()?;
        let limits = identity.settings().limits;
        let emergency = EmergencyAccess::open(&config, &state, limits, &random).await?;
        let agency = Self {
            audit_class: audit_class()?,
            version: format!("Bailiwick {} on {}", env!("CARGO_PKG_VERSION"), module.name),
            handles: SealingKey::from_bytes(secret("row-handles")?),
            tools: tools.into_iter().map(|tool| (tool.id.clone(), tool)).collect(),
            config,
            ori,
            clock,
            random,
            ledger,
            gate,
            sources,
            state,
            identity,
            providers,
            revocation_lists,
            proxy,
            floods: Floods::default(),
            large: crate::upload::Places::default(),
            emergency,
            live: Arc::default(),
            directories,
            exchange,
        };
        agency.record_start(&module.name, &policy, &problems).await?;
        // Before anybody is served: without its lists a card does not count.
        agency.refresh_revocation_lists().await;
        Ok(Arc::new(agency))
    }

    /// Puts on record what runs here: version, policies, tools taken and tools refused.
    async fn record_start(
        &self,
        module: &str,
        policy: &Policy,
        problems: &[tools::Problem],
    ) -> Result<(), StartError> {
        let program = env!("CARGO_PKG_VERSION");
        let version = format!("{program} on {module}");
        let address = self.config.listen.pages.to_string();
        let mut events = vec![
            Event::LedgerOpened { version: program.to_owned(), module: module.to_owned() },
            Event::ServiceStarted { version, address },
            Event::SettingsLoaded {
                what: "policies".into(),
                digest: hex::encode(policy.version()),
            },
        ];
        events.extend(self.tools.values().map(|tool| Event::ToolLoaded {
            tool: tool.id.clone(),
            version: hex::encode(tool.version).chars().take(12).collect(),
            digest: hex::encode(tool.version),
        }));
        let mut refused: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for problem in problems {
            tracing::warn!(%problem, "a tool file was refused");
            refused.entry(&problem.file).or_default().push(problem.to_string());
        }
        events.extend(
            refused
                .into_iter()
                .map(|(file, problems)| Event::ToolRefused { file: file.to_owned(), problems }),
        );
        let failed = |source: ledger::AppendError| StartError::Ledger {
            folder: self.config.data.folder.join("ledger"),
            source: source.into(),
        };
        for event in events {
            self.ledger.append(Record::platform(event)).await.map_err(failed)?;
        }
        let ledger = self.ledger.clone();
        let lifted = tokio::task::spawn_blocking(move || ledger.record_lifted_stop()).await;
        lifted.unwrap_or(Err(ledger::AppendError::Closed)).map_err(failed)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The tools that this person's functions may run.
    pub fn tools_for<'a>(&'a self, actor: &'a Actor) -> impl Iterator<Item = &'a Tool> {
        self.tools.values().filter(|tool| !tool.access.run.is_disjoint(&actor.functions))
    }

    /// A question by a signed-in person.
    pub fn question(
        &self,
        signed_in: &SignedIn,
        action: Action,
        resource: Resource,
        why: Why,
    ) -> Question {
        Question {
            actor: signed_in.actor.clone(),
            action,
            resource,
            why,
            allowed_functions: std::collections::BTreeSet::new(),
            now: self.now(),
        }
    }

    /// Puts a question to the gate, from where the person is.
    ///
    /// # Errors
    /// As [`Gate::authorise`].
    pub async fn authorise(
        &self,
        signed_in: &SignedIn,
        question: Question,
        plan: Plan,
    ) -> Result<Permit, GateError> {
        let session = Some(signed_in.session.prefix());
        self.gate.authorise(question, plan, signed_in.origin.clone(), session).await
    }
}

fn audit_class() -> Result<RecordClass, StartError> {
    "AUDIT".parse().map_err(|error: policy::Malformed| StartError::Identity(Box::new(error)))
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), StartError> {
    fs::create_dir_all(folder)
        .map_err(|source| StartError::File { path: folder.to_owned(), source })
}

pub(crate) fn open_keyring(config: &Config, folder: &Path) -> Result<Keyring, StartError> {
    let failed = |source| StartError::Keys { doing: "open the agency's keys", source };
    let master = keys::keyring::read_master(&config.data.master_key).map_err(failed)?;
    Keyring::open(&folder.join("keys"), &master).map_err(failed)
}

/// The keys of an agency's ledger.
pub(crate) fn ledger_keys(ring: &Keyring, random: &dyn Random) -> Result<LedgerKeys, StartError> {
    let failed = |source| StartError::Keys { doing: "read the ledger's keys", source };
    Ok(LedgerKeys {
        signer: ring.ed25519("ledger-signer", random).map_err(failed)?,
        body: SealingKey::from_bytes(ring.secret("ledger-body", random).map_err(failed)?),
        index: index_keys(ring, random).map_err(failed)?,
    })
}

/// How an agency's ledger is kept.
pub(crate) fn ledger_settings(config: &Config) -> Result<Settings, StartError> {
    let folder = config.data.folder.join("ledger");
    let mut settings = Settings::new(&folder, &config.ledger.origin, config.agency.ori.as_str());
    settings.segment_bytes = config.ledger.segment_bytes;
    let rules = witnesses::rules(&config.witnesses, &config.witnessing);
    settings.witnessing = rules.map_err(|(key, what)| {
        let path = config.data.folder.clone();
        StartError::Config(ConfigError::Value { path, key, what })
    })?;
    settings.standard_months = config.ledger.standard_months;
    settings.dissemination_months = config.ledger.dissemination_months;
    settings.capacity_warn_percent = config.ledger.capacity_warn_percent;
    settings.clock_wrong_until = config.ledger.clock_wrong_until;
    Ok(settings)
}

pub(crate) fn open_ledger(
    config: &Config,
    ring: &Keyring,
    outside: &Outside,
) -> Result<Ledger, StartError> {
    let Outside { clock, random, ledger_disk } = outside;
    let (keys, settings) = (ledger_keys(ring, &**random)?, ledger_settings(config)?);
    let folder = settings.folder.clone();
    let (clock, random) = (clock.clone(), random.clone());
    let opened = match &config.ledger.postgres {
        None => Ledger::open_on(ledger_disk.clone(), settings, keys, clock, random),
        Some(declared) => {
            let dialled: Arc<dyn keys::Clock> = clock.clone();
            let database = shared_ledger::database(declared, &dialled).map_err(|source| {
                StartError::Ledger { folder: folder.clone(), source: source.into() }
            })?;
            Ledger::open_shared(database, settings, keys, clock, random)
        }
    };
    opened.map_err(|source| StartError::Ledger { folder, source: source.into() })
}

/// The secret of the first epoch's index key; `ledger-index-N` is that of a later one.
const INDEX_SECRET: &str = "ledger-index";

/// The name of the secret of an epoch after the first.
pub(crate) fn index_secret(epoch: u32) -> String {
    format!("{INDEX_SECRET}-{epoch}")
}

/// The ledger's index keys. The first is made where there is none at all.
pub(crate) fn index_keys(
    ring: &Keyring,
    random: &dyn keys::Random,
) -> Result<IndexKeys, keys::KeysError> {
    let epoch = |name: &str| match name.strip_prefix(INDEX_SECRET)? {
        "" => Some(1),
        later => later.strip_prefix('-')?.parse::<u32>().ok().filter(|epoch| *epoch > 1),
    };
    let mut found = Vec::new();
    for name in ring.secrets()? {
        if let (Some(epoch), Some(key)) = (epoch(&name), ring.find_secret(&name)?) {
            found.push((epoch, MacKey::from_bytes(key)));
        }
    }
    match IndexKeys::new(found) {
        Some(keys) => Ok(keys),
        None => Ok(IndexKeys::one(MacKey::from_bytes(ring.secret(INDEX_SECRET, random)?))),
    }
}

fn load_policy(config: &Config) -> Result<Policy, policy::PolicyError> {
    match &config.policy.folder {
        Some(folder) => Policy::load(folder, keys::digest::sha256),
        None => {
            let (schema, policies) = policy::defaults();
            Policy::from_text(&schema, &policies, keys::digest::sha256)
        }
    }
}

pub(crate) async fn open_state(folder: &Path, sealing: SealingKey) -> Result<State, StartError> {
    let path = folder.join("state.db");
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let opened = State::open(&url, sealing).await;
    opened.map_err(|source| StartError::State { path, source: Box::new(source) })
}

fn open_sources(config: &Config, clock: Arc<dyn Clock>) -> Result<Sources, StartError> {
    let egress = Egress::new(config.sources.iter().filter_map(target).collect());
    let believe = move |file: &Path| {
        let text = fs::read_to_string(file)?;
        let authorities = keys::cert::Certificate::chain_from_pem(&text)?;
        let trust = wire::tls::Trust { authorities, leaves: Vec::new() };
        Ok(wire::tls::client_config_without_alpn(&trust, None, clock.clone())?)
    };
    let specs = config.sources.iter().map(source_spec).collect();
    Sources::open(specs, &egress, &believe)
        .map_err(|(id, source)| StartError::Source { id, source: Box::new(source) })
}

/// The one address that a networked source may be reached at.
fn target(source: &SourceConfig) -> Option<wire::Target> {
    match source {
        SourceConfig::Postgres { host, port, .. } => Some(wire::Target {
            host: host.clone(),
            port: *port,
            addresses: wire::Addresses::Private,
        }),
        SourceConfig::Sqlite { .. } | SourceConfig::Evidence { .. } => None,
    }
}

fn source_spec(source: &SourceConfig) -> SourceSpec {
    match source.clone() {
        SourceConfig::Sqlite { id, path, write } => {
            SourceSpec { id, writes: write, kind: SourceKind::Sqlite { path } }
        }
        SourceConfig::Postgres {
            id,
            host,
            port,
            database,
            user,
            password_file,
            ca_file,
            write,
        } => {
            let kind = SourceKind::Postgres { host, port, database, user, password_file, ca_file };
            SourceSpec { id, writes: write, kind }
        }
        SourceConfig::Evidence { id, folder } => {
            SourceSpec { id, writes: false, kind: SourceKind::Evidence { folder } }
        }
    }
}
