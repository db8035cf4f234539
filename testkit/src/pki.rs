//! Authorities, certificates, lists of revoked ones and OCSP responders, all made by `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::{Process, free_port, need};

/// How long a responder takes to start.
const READY_WAIT_MAX: Duration = Duration::from_secs(20);

/// A folder of authorities.
pub struct Pki {
    openssl: PathBuf,
    folder: PathBuf,
    /// From when and until when what is made is valid, as `openssl ca` wants it: `20261122080000Z`.
    pub from: String,
    pub until: String,
}

/// A certificate to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `/O=Riverton/CN=Elena Ruiz`
    pub subject: String,
    /// As `openssl genpkey` takes it: `EC:P-256`, `RSA:1024`.
    pub key: &'static str,
    pub digest: &'static str,
    /// Lines of an extension section; `[alt]` may follow.
    pub extensions: String,
    pub from: Option<String>,
    pub until: Option<String>,
}

impl Wanted {
    /// A P-256 key signed over SHA-256 with these extensions.
    #[must_use]
    pub fn new(subject: &str, extensions: &str) -> Self {
        let (subject, extensions) = (subject.to_owned(), extensions.to_owned());
        Self { subject, key: "EC:P-256", digest: "sha256", extensions, from: None, until: None }
    }
}

/// Extensions of an authority that may issue anything.
pub const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
                             subjectKeyIdentifier=hash\n";

impl Pki {
    /// An empty folder of authorities. `None`: there is no `openssl`, which in CI is a failure.
    ///
    /// # Errors
    /// As [`need`].
    pub fn new(folder: &Path, from: &str, until: &str) -> anyhow::Result<Option<Self>> {
        let Some(openssl) = need("certificates of others", &["openssl"])? else { return Ok(None) };
        let (folder, from, until) = (folder.to_owned(), from.to_owned(), until.to_owned());
        Ok(Some(Self { openssl, folder, from, until }))
    }

    fn path(&self, name: &str, file: &str) -> PathBuf {
        self.folder.join(name).join(file)
    }

    /// The certificate of that name, PEM.
    #[must_use]
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.path(name, "cert.pem")
    }

    /// Its private key, PKCS#8 PEM.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.path(name, "key.pem")
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let done =
            Command::new(&self.openssl).args(arguments).output().context("running openssl")?;
        let said = String::from_utf8_lossy(&done.stderr);
        anyhow::ensure!(done.status.success(), "openssl {}: {said}", arguments.join(" "));
        Ok(())
    }

    /// Makes an authority of that name: its own root, or under another.
    ///
    /// # Errors
    /// What openssl says.
    pub fn authority(
        &self,
        name: &str,
        issuer: Option<&str>,
        wanted: &Wanted,
    ) -> anyhow::Result<()> {
        let folder = self.folder.join(name);
        fs::create_dir_all(folder.join("new")).context("making an authority's folder")?;
        for (file, text) in [("index.txt", ""), ("serial", "1001\n"), ("crlnumber", "01\n")] {
            fs::write(folder.join(file), text).context("writing an authority's files")?;
        }
        let fields = [
            "countryName",
            "organizationName",
            "organizationalUnitName",
            "commonName",
            "serialNumber",
        ];
        let fields: String = fields.iter().map(|field| format!("{field} = optional\n")).collect();
        let config = format!(
            "[ca]\ndefault_ca = it\n[it]\ndir = {0}\ndatabase = $dir/index.txt\nserial = $dir/serial\n\
             crlnumber = $dir/crlnumber\nnew_certs_dir = $dir/new\ncertificate = $dir/cert.pem\n\
             private_key = $dir/key.pem\ndefault_md = sha256\npolicy = anything\nunique_subject = no\n\
             preserve = yes\n[anything]\n{fields}[req]\ndistinguished_name = nothing\n[nothing]\n",
            folder.display()
        );
        fs::write(folder.join("openssl.cnf"), config).context("writing an authority's settings")?;
        self.make(issuer.unwrap_or(name), name, wanted, issuer.is_none())
    }

    /// Has an authority issue a certificate.
    ///
    /// # Errors
    /// What openssl says.
    pub fn issue(&self, issuer: &str, name: &str, wanted: &Wanted) -> anyhow::Result<()> {
        fs::create_dir_all(self.folder.join(name)).context("making a certificate's folder")?;
        self.make(issuer, name, wanted, false)
    }

    fn make(
        &self,
        issuer: &str,
        name: &str,
        wanted: &Wanted,
        of_itself: bool,
    ) -> anyhow::Result<()> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let (key, certificate) = (text(self.key(name)), text(self.certificate(name)));
        let (request, extensions) =
            (text(self.path(name, "req.pem")), text(self.path(name, "ext.cnf")));
        let settings = text(self.path(issuer, "openssl.cnf"));
        let (kind, size) = wanted.key.split_once(':').context("a key has a kind and a size")?;
        let size = match kind {
            "EC" => format!("ec_paramgen_curve:{size}"),
            _ => format!("rsa_keygen_bits:{size}"),
        };
        self.run(&["genpkey", "-algorithm", kind, "-pkeyopt", &size, "-out", &key])?;
        self.run(&[
            "req",
            "-new",
            "-config",
            &settings,
            "-key",
            &key,
            "-subj",
            &wanted.subject,
            "-out",
            &request,
        ])?;
        fs::write(&extensions, format!("[it]\n{}", wanted.extensions))
            .context("writing extensions")?;
        let from = wanted.from.as_deref().unwrap_or(&self.from);
        let until = wanted.until.as_deref().unwrap_or(&self.until);
        let mut arguments = vec![
            "ca",
            "-config",
            &settings,
            "-batch",
            "-notext",
            "-in",
            &request,
            "-out",
            &certificate,
            "-md",
            wanted.digest,
            "-startdate",
            from,
            "-enddate",
            until,
            "-extfile",
            &extensions,
            "-extensions",
            "it",
        ];
        if of_itself {
            arguments.extend(["-selfsign", "-keyfile", &key]);
        }
        self.run(&arguments)
    }

    /// Has the issuer revoke a certificate.
    ///
    /// # Errors
    /// What openssl says.
    pub fn revoke(&self, issuer: &str, name: &str) -> anyhow::Result<()> {
        let (settings, of) = (self.path(issuer, "openssl.cnf"), self.certificate(name));
        self.run(&["ca", "-config", &settings.to_string_lossy(), "-revoke", &of.to_string_lossy()])
    }

    /// Writes the issuer's list of revoked certificates (PEM) and gives its path.
    ///
    /// # Errors
    /// What openssl says.
    pub fn list(&self, issuer: &str, from: &str, until: &str) -> anyhow::Result<PathBuf> {
        let (settings, list) = (self.path(issuer, "openssl.cnf"), self.path(issuer, "list.pem"));
        self.run(&[
            "ca",
            "-config",
            &settings.to_string_lossy(),
            "-gencrl",
            "-crl_lastupdate",
            from,
            "-crl_nextupdate",
            until,
            "-out",
            &list.to_string_lossy(),
        ])?;
        Ok(list)
    }

    /// Starts `openssl ocsp` for an authority, which answers with the certificate of that name. Gives its address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn responder(
        &self,
        issuer: &str,
        signer: &str,
        more: &[&str],
    ) -> anyhow::Result<(Process, String)> {
        let port = free_port()?;
        let mut command = tokio::process::Command::new(&self.openssl);
        command.arg("ocsp").arg("-port").arg(port.to_string());
        command
            .arg("-index")
            .arg(self.path(issuer, "index.txt"))
            .arg("-CA")
            .arg(self.certificate(issuer));
        command
            .arg("-rsigner")
            .arg(self.certificate(signer))
            .arg("-rkey")
            .arg(self.key(signer))
            .args(more);
        let process = Process::start(command)?;
        process.line("waiting for OCSP client connections", READY_WAIT_MAX).await?;
        Ok((process, format!("http://127.0.0.1:{port}/")))
    }
}
