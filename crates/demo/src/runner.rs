//! Starts the made-up world: the pretend identity providers and two agencies, on loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::body::Body;
use keys::{Clock, Random};
use sources::SourceKind;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use web::agency::Outside;
use web::config::Config;
use web::serve::Server;
use wire::serve::PlainListener;

use crate::DemoError;
use crate::idp::{self, DemoIdp, DemoOnly, IdpKeys, Service};
use crate::world::{AgencySpec, Home, LAKESIDE, Ports, RIVERTON, SCIM, own_records};
use crate::{agreements, millbrook, personas, seed};

/// Where everything listens. Port 0 takes a free one.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// Riverton's pages and partner listener.
    pub riverton: Ports,
    /// Lakeside's.
    pub lakeside: Ports,
    /// The pretend identity provider.
    pub idp: SocketAddr,
    /// The one of the agency without Bailiwick.
    pub guests_idp: SocketAddr,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Lakeside has a loopback address of its own: browsers keep cookies by host, whatever the port,
/// and one agency's session would replace the other's.
fn other_loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port))
}

/// Listens on a port below those that systems give to connections that go out (Linux begins at 32768): from this moment to the use of it none of them takes it, nor another call in this process.
async fn hold(host: fn(u16) -> SocketAddr) -> Result<PlainListener, DemoError> {
    const FIRST: u16 = 20_000;
    const COUNT: u32 = 12_000;
    const TRIES: usize = 200;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Two processes begin in different places.
    let begin = std::process::id().wrapping_mul(61);
    for _ in 0..TRIES {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST.saturating_add(u16::try_from(step).unwrap_or_default());
        if let Ok(held) = PlainListener::bind(host(port)).await {
            return Ok(held);
        }
    }
    Ok(PlainListener::bind(host(0)).await?)
}

impl Places {
    /// The addresses that the README names.
    pub fn fixed() -> Self {
        Self {
            riverton: Ports { pages: loopback(8080), partners: loopback(8444) },
            lakeside: Ports { pages: other_loopback(8081), partners: other_loopback(8445) },
            idp: loopback(8082),
            guests_idp: loopback(8083),
        }
    }

    /// Free ports, for checks that run beside others.
    ///
    /// # Errors
    /// [`DemoError::Wire`] when no port can be had.
    pub async fn free() -> Result<Self, DemoError> {
        // All are held at once, so that no port is given twice.
        let mut held = Vec::new();
        let hosts = [loopback, loopback, other_loopback, other_loopback, loopback, loopback];
        for host in hosts {
            held.push(hold(host).await?);
        }
        let mut addresses = held.iter().filter_map(|listener| listener.address().ok());
        let mut next = || addresses.next().unwrap_or(loopback(0));
        Ok(Self {
            riverton: Ports { pages: next(), partners: next() },
            lakeside: Ports { pages: next(), partners: next() },
            idp: next(),
            guests_idp: next(),
        })
    }
}

/// What Riverton stands on, where a test has it otherwise.
pub struct Staging {
    /// Where its records are.
    pub records: SourceKind,
    /// Its clock, randomness and disk.
    pub outside: Outside,
    /// Whether a directory may keep its accounts current by SCIM.
    pub scim: bool,
    /// More of its configuration, as TOML.
    pub settings: String,
    /// The malware scanner that both agencies ask.
    pub scanner: Option<SocketAddr>,
}

impl Default for Staging {
    fn default() -> Self {
        let (records, outside) = (own_records(), Outside::system());
        Self { records, outside, scim: true, settings: String::new(), scanner: None }
    }
}

/// The world, running.
pub struct World {
    /// Riverton Police Department.
    pub riverton: Server,
    /// Lakeside County Sheriff.
    pub lakeside: Server,
    /// Where each agency's files are.
    pub homes: [Home; 2],
    /// The address of the pretend identity provider.
    pub idp: SocketAddr,
    /// Milliseconds from the call to the last listener.
    pub ready_ms: u128,
    stop: watch::Sender<bool>,
    idp_tasks: [JoinHandle<()>; 2],
}

impl World {
    /// Builds what is missing under `root` and starts everything.
    ///
    /// # Errors
    /// [`DemoError`] says what could not be made or started.
    pub async fn start(root: &Path, places: Places) -> Result<Self, DemoError> {
        Self::start_staged(root, places, Staging::default()).await
    }

    /// As [`World::start`], with Riverton on what is given.
    ///
    /// # Errors
    /// As [`World::start`].
    pub async fn start_staged(
        root: &Path,
        places: Places,
        staging: Staging,
    ) -> Result<Self, DemoError> {
        let begun = Instant::now();
        let outside = Outside::system();
        let Outside { clock, random, .. } = outside.clone();
        let homes = [
            Home::new(root, &RIVERTON, places.riverton)?,
            Home::new(root, &LAKESIDE, places.lakeside)?,
        ];
        seed_all(&homes).await?;
        for home in &homes {
            home.make_keys(clock.now(), &*random)?;
        }
        let provider = Arc::new(pretend_provider(&places, &clock, &random)?);
        let guests_provider = Arc::new(guests_provider(&places, &clock, &random)?);
        let [first, second] = &homes;
        let elsewhere = own_records();
        let guests = millbrook::settings(places.riverton);
        let scim = if staging.scim { SCIM } else { "" };
        let scanner = staging.scanner.map_or(String::new(), |address| {
            format!("\n[exchange.scanner]\naddress = \"{address}\"\n")
        });
        for (home, other, records, more) in [
            (first, second, &staging.records, [scim, &guests, &staging.settings, &scanner]),
            (second, first, &elsewhere, [SCIM, "", "", &scanner]),
        ] {
            let text = home.config_text(records) + &home.witness_text(other, &*random)?;
            home.write("bailiwick.toml", &(text + &more.concat()))?;
            home.write("idp-metadata.xml", &provider.metadata())?;
            home.write_tools()?;
            home.introduce(other, clock.now(), &*random)?;
        }
        millbrook::introduce(root, first, &guests_provider, clock.now(), &*random)?;
        let (stop, stopped) = watch::channel(false);
        let (idp, idp_task) = serve_provider(provider, places.idp, stopped.clone()).await?;
        let (_, theirs) = serve_provider(guests_provider, places.guests_idp, stopped).await?;
        let idp_tasks = [idp_task, theirs];
        let riverton = start_agency(first, staging.outside).await?;
        let lakeside = start_agency(second, outside).await?;
        for (server, home) in [(&riverton, first), (&lakeside, second)] {
            let Some(sharing) = &server.agency.exchange else { continue };
            let reviewed = agreements::review(&sharing.exchange, home.spec, clock.now()).await;
            if let Err(error) = reviewed {
                tracing::warn!(%error, "the agreements were not reviewed: nothing can be exported");
            }
        }
        let ready_ms = begun.elapsed().as_millis();
        Ok(Self { riverton, lakeside, homes, idp, ready_ms, stop, idp_tasks })
    }

    /// Stops Riverton and starts it again, as after a crash of its machine.
    ///
    /// # Errors
    /// [`DemoError::Start`].
    pub async fn restart_riverton(mut self, outside: Outside) -> Result<Self, DemoError> {
        self.riverton.stop().await;
        let [home, _] = &self.homes;
        self.riverton = start_agency(home, outside).await?;
        Ok(self)
    }

    /// Stops everything and waits for it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.riverton.stop().await;
        self.lakeside.stop().await;
        for task in self.idp_tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a pretend identity provider ended badly");
            }
        }
    }
}

/// The two databases, each on its own thread.
async fn seed_all(homes: &[Home; 2]) -> Result<(), DemoError> {
    let seeding = homes.each_ref().map(|home| {
        let (sources, spec): (_, &'static AgencySpec) = (home.folder.join("sources"), home.spec);
        tokio::task::spawn_blocking(move || seed::prepare(&sources, spec.data))
    });
    for task in seeding {
        task.await.map_err(|_| DemoError::Interrupted)??;
    }
    Ok(())
}

fn pretend_provider(
    places: &Places,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<DemoIdp, DemoError> {
    let only = DemoOnly::by_the_runner();
    let base = format!("http://{}", places.idp);
    let keys = IdpKeys::generate(clock.now(), &**random)?;
    let (clock, random) = (clock.clone(), random.clone());
    let mut provider = DemoIdp::new(only, &base, personas::all()?, keys, clock, random)?;
    for (spec, ports) in [(&RIVERTON, places.riverton), (&LAKESIDE, places.lakeside)] {
        let url = ports.public_url();
        provider = provider.with_service(Service {
            entity_id: format!("{url}/saml/metadata"),
            acs_url: format!("{url}/saml/acs"),
            agency: spec.ori.parse()?,
            label: spec.name.to_owned(),
        });
    }
    Ok(provider)
}

/// The provider of the agency without Bailiwick, whose people are guests at Riverton.
fn guests_provider(
    places: &Places,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<DemoIdp, DemoError> {
    let only = DemoOnly::by_the_runner();
    let base = format!("http://{}", places.guests_idp);
    let keys = IdpKeys::generate(clock.now(), &**random)?;
    let (clock, random) = (clock.clone(), random.clone());
    let provider = DemoIdp::new(only, &base, millbrook::people()?, keys, clock, random)?;
    let url = millbrook::guests_url(places.riverton);
    Ok(provider.with_service(Service {
        entity_id: format!("{url}/saml/metadata"),
        acs_url: format!("{url}/saml/acs"),
        agency: millbrook::ORI.parse()?,
        label: RIVERTON.name.to_owned(),
    }))
}

async fn serve_provider(
    provider: Arc<DemoIdp>,
    address: SocketAddr,
    mut stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), DemoError> {
    let listener = PlainListener::bind(address).await?;
    let bound = listener.address().unwrap_or(address);
    let router = idp::router(provider);
    let service = router
        .map_request(|request: axum::http::Request<wire::IngressBody>| request.map(Body::new));
    let task = tokio::spawn(async move {
        let ended = async move {
            if stopped.wait_for(|stop| *stop).await.is_err() {
                tracing::debug!("the world was dropped");
            }
        };
        wire::serve::serve_plain(listener, wire::serve::Limits::pages(), service, ended).await;
    });
    Ok((bound, task))
}

async fn start_agency(home: &Home, outside: Outside) -> Result<Server, DemoError> {
    let config = Config::read(&home.config()).map_err(web::agency::StartError::from)?;
    Ok(Server::start(config, outside).await?)
}
