//! SAML identity providers that others wrote: SimpleSAMLphp as Debian has it, and pysaml2's server.
//!
//! Each has one person, `det.ruiz`, a detective whose password is `password`, and states a second factor that
//! nobody asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::{Process, free_port, need, root, target};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Where Debian's package puts what the web server shows.
const PAGES: &str = "/usr/share/simplesamlphp/www";

/// A service that nobody has, until the real one's metadata is there.
const NOBODY: &str = "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
    entityID=\"urn:nobody\"><md:SPSSODescriptor \
    protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:AssertionConsumerService \
    Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" Location=\"http://127.0.0.1/\" index=\"0\"/>\
    </md:SPSSODescriptor></md:EntityDescriptor>";

/// An identity provider. Ends when dropped.
pub struct SamlIdp {
    /// Where its metadata is.
    pub metadata_url: String,
    /// Where SimpleSAMLphp reads a service's metadata, at each request.
    pub service_metadata: PathBuf,
    folder: PathBuf,
    _server: Process,
}

impl SamlIdp {
    /// SimpleSAMLphp on PHP's own server, in an empty folder.
    ///
    /// # Errors
    /// As [`need`] when a program is absent; otherwise when it does not come up.
    pub async fn simplesamlphp(folder: &Path) -> anyhow::Result<Option<Self>> {
        let what = "a test with SimpleSAMLphp";
        let index = format!("{PAGES}/index.php");
        let Some(php) = need(what, &["php"])? else { return Ok(None) };
        if need(what, &[&index])?.is_none() || need(what, &["openssl"])?.is_none() {
            return Ok(None);
        }
        let peers = root().join("testkit/peers/simplesamlphp");
        for inner in ["config", "metadata", "temporary", "www"] {
            std::fs::create_dir(folder.join(inner)).context("making the provider's folder")?;
        }
        for (file, to) in [
            ("config.php", "config"),
            ("authsources.php", "config"),
            ("saml20-idp-hosted.php", "metadata"),
        ] {
            std::fs::copy(peers.join(file), folder.join(to).join(file)).context("copying")?;
        }
        let www = folder.join("www");
        std::os::unix::fs::symlink(PAGES, www.join("simplesaml")).context("linking its pages")?;
        let service_metadata = folder.join("sp.xml");
        std::fs::write(&service_metadata, NOBODY).context("writing")?;
        std::fs::write(folder.join("options.json"), "{}").context("writing")?;
        keys(folder).await?;
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(php);
        command.current_dir(&www).env("SIMPLESAMLPHP_CONFIG_DIR", folder.join("config"));
        command.env("PEER_FOLDER", folder).env("PEER_URL", &url);
        command.args(["-d", "error_reporting=E_ALL & ~E_DEPRECATED", "-S"]);
        command.arg(format!("127.0.0.1:{port}"));
        let server = Process::start(command)?;
        server.line("started", READY_WAIT_MAX).await?;
        let metadata_url = format!("{url}/simplesaml/saml2/idp/metadata.php");
        let folder = folder.to_owned();
        Ok(Some(Self { metadata_url, service_metadata, folder, _server: server }))
    }

    /// Has it do otherwise from the next request on. For SimpleSAMLphp these are its options for this provider,
    /// as JSON; pysaml2's server encrypts with `{"encrypt": true}`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn set_options(&self, options: &str) -> anyhow::Result<()> {
        std::fs::write(self.folder.join("options.json"), options).context("writing the options")
    }

    /// pysaml2's server, which asks for the service's metadata itself.
    ///
    /// # Errors
    /// As [`SamlIdp::simplesamlphp`].
    pub async fn pysaml2(folder: &Path, service: &str) -> anyhow::Result<Option<Self>> {
        let what = "a test with pysaml2";
        let merge = target()?.join("python/bin/merge_metadata");
        let name = merge.to_str().context("a path in UTF-8")?;
        if need(what, &[name, "merge_metadata.py"])?.is_none()
            || need(what, &["xmlsec1"])?.is_none()
        {
            return Ok(None);
        }
        keys(folder).await?;
        let port = free_port()?;
        let mut command = Command::new(target()?.join("python/bin/python"));
        command.arg(root().join("testkit/peers/pysaml2_idp.py"));
        command.arg(port.to_string()).arg(folder).arg(service);
        let server = Process::start(command)?;
        server.line("ready", READY_WAIT_MAX).await?;
        Ok(Some(Self {
            metadata_url: format!("http://127.0.0.1:{port}/metadata"),
            service_metadata: folder.join("sp.xml"),
            folder: folder.to_owned(),
            _server: server,
        }))
    }
}

/// A signing key and its certificate.
async fn keys(folder: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes", "-days", "30"]);
    command.args(["-subj", "/CN=peer", "-keyout"]).arg(folder.join("idp.key"));
    command.arg("-out").arg(folder.join("idp.pem"));
    let done = command.output().await.context("running openssl")?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
