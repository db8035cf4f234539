//! OpenLDAP's server as Debian has it, over LDAPS alone, with the test's certificate and entries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Process, free_port, need};

const READY_WAIT_MAX: Duration = Duration::from_secs(60);

/// Where everything is; the entry itself is made with the server.
pub const LDAP_BASE: &str = "dc=riverton,dc=example";
/// Whom to sign in as, to change entries.
pub const LDAP_OWNER: &str = "cn=owner,dc=riverton,dc=example";

/// A directory. Ends, and takes its folder with it, when dropped.
pub struct Slapd {
    pub port: u16,
    password: String,
    server: Option<Process>,
    folder: TempDir,
}

impl Slapd {
    /// Starts a directory that shows `certificate` (PEM) and holds `entries` (LDIF). Whoever signs in with `password`
    /// as [`LDAP_OWNER`] may change them; nobody is let in without a password.
    ///
    /// # Errors
    /// As [`need`] when OpenLDAP is absent; otherwise when the server does not come up.
    pub async fn start(
        certificate: &str,
        key: &str,
        password: &str,
        entries: &str,
    ) -> anyhow::Result<Option<Self>> {
        let what = "a test with OpenLDAP";
        if need(what, &["/usr/sbin/slapd"])?.is_none() || need(what, &["ldapmodify"])?.is_none() {
            return Ok(None);
        }
        let folder = tempfile::tempdir().context("making a folder for OpenLDAP")?;
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("data"))?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            fs::write(at(name), text)?;
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o600))?;
        }
        fs::write(at("slapd.conf"), settings(folder.path(), password))?;
        let root = format!(
            "dn: {LDAP_BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Riverton\ndc: riverton\n\n"
        );
        fs::write(at("entries.ldif"), root + entries)?;
        let mut add = Command::new("/usr/sbin/slapadd");
        add.arg("-f").arg(at("slapd.conf")).arg("-l").arg(at("entries.ldif"));
        let added = add.output().await.context("running slapadd")?;
        anyhow::ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let mut slapd =
            Self { port: free_port()?, password: password.to_owned(), server: None, folder };
        slapd.go_on().await?;
        Ok(Some(slapd))
    }

    /// Starts it again on the same port, with what it holds.
    pub async fn go_on(&mut self) -> anyhow::Result<()> {
        let mut serve = Command::new("/usr/sbin/slapd");
        serve.arg("-f").arg(self.folder.path().join("slapd.conf"));
        serve.args(["-h", &format!("ldaps://localhost:{}/", self.port), "-d", "64"]);
        let server = Process::start(serve)?;
        server.line("slapd starting", READY_WAIT_MAX).await?;
        self.server = Some(server);
        Ok(())
    }

    /// Stops it, as a machine that is switched off.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(server) = self.server.take() {
            server.stop(READY_WAIT_MAX).await?;
        }
        Ok(())
    }

    /// Changes entries (LDIF), as the directory's owner.
    pub async fn change(&self, ldif: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join("change.ldif");
        fs::write(&file, ldif)?;
        let mut modify = Command::new("ldapmodify");
        modify.env("LDAPTLS_REQCERT", "never");
        modify.args(["-x", "-H", &format!("ldaps://localhost:{}/", self.port)]);
        modify.args(["-D", LDAP_OWNER, "-w", &self.password, "-f"]).arg(file);
        let done = modify.output().await.context("running ldapmodify")?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }
}

fn settings(folder: &Path, password: &str) -> String {
    let at = folder.display();
    // A stand-in for what only Active Directory has: the attribute that says that an account is disabled.
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' \
         EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )\n\
         objectclass ( 1.2.840.113556.1.5.9 NAME 'user' AUXILIARY MAY userAccountControl )\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         pidfile {at}/slapd.pid\n\
         argsfile {at}/slapd.args\n\
         TLSCertificateFile {at}/server.crt\n\
         TLSCertificateKeyFile {at}/server.key\n\
         require authc\n\
         disallow bind_anon\n\
         database mdb\n\
         suffix \"{LDAP_BASE}\"\n\
         rootdn \"{LDAP_OWNER}\"\n\
         rootpw {password}\n\
         directory {at}/data\n"
    )
}
