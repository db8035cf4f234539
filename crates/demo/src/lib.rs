//! The demo: two made-up agencies on loopback, their records, pretended identity providers, a third agency whose
//! people are guests, and a story that is played through the same pages that people use.
//!
//! Nothing of this crate serves a real agency.

pub mod agreements;
pub mod idp;
mod log;
pub mod millbrook;
mod papers;
pub mod personas;
pub mod runner;
pub mod seed;
pub mod story;
pub mod world;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::runner::{Places, Staging, World};
use crate::world::{LAKESIDE, RIVERTON};

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("could not write `{path}`")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("a key or certificate could not be made or read")]
    Keys(#[from] keys::KeysError),
    #[error("the made-up records could not be made")]
    Seed(#[from] seed::SeedError),
    #[error("the pretend identity provider could not be made")]
    Idp(#[from] idp::IdpError),
    #[error("a persona is not well formed")]
    Persona(#[from] policy::Malformed),
    #[error("an address could not be listened on; is the demo running already?")]
    Wire(#[from] wire::WireError),
    #[error("an agency could not be started")]
    Start(#[from] web::agency::StartError),
    #[error("the agreements could not be reviewed")]
    Agreements(#[from] exchange::ExchangeError),
    #[error("the work was interrupted")]
    Interrupted,
    #[error("could not start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// Runs the demo until it is interrupted, or plays the story and tells whether all of it held.
///
/// # Errors
/// [`DemoError`] when the world cannot be built or started.
pub fn run(
    check: bool,
    folder: &Path,
    any_ports: bool,
    scanner: Option<SocketAddr>,
) -> Result<bool, DemoError> {
    let runtime = tokio::runtime::Runtime::new().map_err(DemoError::Runtime)?;
    runtime.block_on(async {
        if check { play().await } else { show(folder, any_ports, scanner).await }
    })
}

async fn show(
    folder: &Path,
    any_ports: bool,
    scanner: Option<SocketAddr>,
) -> Result<bool, DemoError> {
    web::commands::log_to_stderr();
    let places = if any_ports { Places::free().await? } else { Places::fixed() };
    let staging = Staging { scanner, ..Staging::default() };
    let world = World::start_staged(folder, places, staging).await?;
    let text = format!(
        "\nBailiwick demo: two made-up agencies, ready after {} ms. Everything is in `{}`.\n\n\
         Riverton Police Department   http://{}\n{}\n\n\
         Lakeside County Sheriff      http://{}\n{}\n\n\
         {}  {}\n\
         \x20 Linh Tran       partner guest     fetches parcels that name her at Riverton  (ofc.tran)\n\
         \x20 Her agency has no Bailiwick; what she fetches is opened with the key in `{}`.\n\
         \x20 Her browser does not know the authority of that page's certificate, `{}`, and warns.\n\n\
         Choose a person on the sign-in page; the second factor is pretended. Stop with Ctrl-C.\n",
        world.ready_ms,
        folder.display(),
        world.riverton.pages,
        personas::lines(&RIVERTON).join("\n"),
        world.lakeside.pages,
        personas::lines(&LAKESIDE).join("\n"),
        millbrook::NAME,
        millbrook::guests_url(places.riverton),
        folder.join("millbrook/keys").display(),
        folder.join("riverton/keys/ca.pem").display(),
    );
    say(&text);
    web::commands::asked_to_end().await;
    world.stop().await;
    Ok(true)
}

async fn play() -> Result<bool, DemoError> {
    let log = log::Log::taken();
    let root = std::env::temp_dir().join(format!("bailiwick-check-{}", std::process::id()));
    // A folder that was there would not be fresh, and may be somebody else's.
    let made = std::fs::create_dir(&root);
    made.map_err(|source| DemoError::Write { path: root.clone(), source })?;
    let played = match Places::free().await {
        Ok(places) => match World::start(&root, places).await {
            Ok(world) => Ok(story::play(world, &root, &log, say).await),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let removed = std::fs::remove_dir_all(&root);
    removed.map_err(|source| DemoError::Write { path: root.clone(), source })?;
    played
}

/// Prints; a closed pipe is not an error of ours.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        // Nobody reads us any more.
    }
}
