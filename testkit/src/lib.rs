//! What tests need from outside the program under test: folders, programs and real peers.
//!
//! A missing program is a failure in CI (`CI=true`) and one plain line on a developer's machine, so
//! that no test is skipped unseen. Every process started here ends with the test that started it.

mod clamd;
mod ldap;
mod oidc;
mod pki;
mod postgres;
mod process;
mod s3;
mod saml;
mod sshd;
mod witness;
mod zipped;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

pub use clamd::Clamd;
pub use ldap::{LDAP_BASE, LDAP_OWNER, Slapd};
pub use oidc::OidcProvider;
pub use pki::{AUTHORITY, Pki, Wanted};
pub use postgres::Postgres;
pub use process::Process;
pub use s3::S3;
pub use saml::SamlIdp;
pub use sshd::Sshd;
pub use witness::TlogWitness;
pub use zipped::zip_of;

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The build folder that this program was built into, such as `target`.
pub fn target() -> anyhow::Result<PathBuf> {
    let profile = profile()?;
    Ok(profile.parent().context("a profile's folder lies in the build folder")?.to_path_buf())
}

/// `target/<profile>`: a test lies in its `deps`, other programs lie in it.
fn profile() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("finding this program itself")?;
    let mut folder = program.parent().context("a program lies in a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("`deps` lies in the profile's folder")?;
    }
    Ok(folder.to_path_buf())
}

/// The `bailiwick` program of the same build. `cargo test --workspace` builds it before any test runs;
/// for one crate alone run `cargo build -p bailiwick` first.
pub fn bailiwick() -> anyhow::Result<PathBuf> {
    let program = profile()?.join("bailiwick");
    anyhow::ensure!(
        program.is_file(),
        "no `{}`: run `cargo build -p bailiwick`",
        program.display()
    );
    Ok(program)
}

/// Whether this is the run that decides, in which nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// The first of `names` that is on the `PATH` or, if it starts with `/`, exists.
///
/// # Errors
/// In CI, when none is there. Elsewhere that prints a line saying what was skipped, and gives `None`.
pub fn need(what: &str, names: &[&str]) -> anyhow::Result<Option<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates =
        names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    if let Some(found) = candidates.into_iter().find(|program| program.is_file()) {
        return Ok(Some(found));
    }
    let wanted = names.join("` or `");
    anyhow::ensure!(!in_ci(), "{what} needs `{wanted}`, which `make setup` installs");
    let line = format!("skipped: {what} needs `{wanted}`, which `make setup` installs\n");
    std::io::stderr().write_all(line.as_bytes()).context("saying what was skipped")?;
    Ok(None)
}

/// A folder of test material that others made: below the folder that `BAILIWICK_CORPORA` names, or beside the checkout.
///
/// # Errors
/// Where that variable names a folder and it has none of this name. Without it that prints a line saying what was skipped, and gives
/// `None`.
pub fn corpus(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let named = std::env::var_os("BAILIWICK_CORPORA").map(PathBuf::from);
    let beside = || root().join("../shared/corpora");
    let folder = named.clone().unwrap_or_else(beside).join(name);
    if folder.is_dir() {
        return Ok(Some(folder));
    }
    anyhow::ensure!(named.is_none(), "BAILIWICK_CORPORA has no `{}`", folder.display());
    let line = format!("skipped: no test material of others at {}\n", folder.display());
    std::io::stderr().write_all(line.as_bytes()).context("saying what was skipped")?;
    Ok(None)
}

/// A port on loopback that was free a moment ago. It is below those that the system gives to connections that go out,
/// and is given once by this process, so that nobody takes it before it is used.
pub fn free_port() -> anyhow::Result<u16> {
    const FIRST: u16 = 10_000;
    const COUNT: u32 = 10_000;
    const TRIES: usize = 200;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(61);
    for _ in 0..TRIES {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST.saturating_add(u16::try_from(step)?);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("finding a free port")?;
    Ok(listener.local_addr().context("reading the port")?.port())
}
