//! The made-up world on disk: two agencies, each with its own keys, certificates, configuration,
//! tools and systems, and what each knows of the other.
//!
//! Everything is written once and used again at the next start; the agencies' certificates are
//! made new when they are about to run out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keys::Random;
use keys::keyring::Keyring;
use sources::SourceKind;
use web::witnesses::PublicKeys;

use crate::papers::Papers;
use crate::{DemoError, agreements, seed};

/// One of the two agencies.
pub struct AgencySpec {
    /// Its folder's name.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its made-up ORI.
    pub ori: &'static str,
    /// Its made-up records.
    pub data: seed::Agency,
    /// Whose rules it is under.
    pub jurisdiction: &'static str,
    /// Who reviews its agreements: sign-in name and name.
    pub reviewer: (&'static str, &'static str),
}

/// Who asks and sends.
pub static RIVERTON: AgencySpec = AgencySpec {
    id: "riverton",
    name: "Riverton Police Department",
    ori: "NB0010100",
    data: seed::Agency::Riverton,
    jurisdiction: "City of Riverton",
    reviewer: ("so.lindqvist", "Maja Lindqvist"),
};
/// Who receives.
pub static LAKESIDE: AgencySpec = AgencySpec {
    id: "lakeside",
    name: "Lakeside County Sheriff",
    ori: "NB0020000",
    data: seed::Agency::Lakeside,
    jurisdiction: "Lakeside County",
    reviewer: ("so.grant", "Ruth Grant"),
};

/// Where an agency listens.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The pages.
    pub pages: SocketAddr,
    /// The partner listener.
    pub partners: SocketAddr,
}

impl Ports {
    /// The origin that browsers see.
    pub fn public_url(&self) -> String {
        format!("http://{}", self.pages)
    }
}

/// The records that are made with a home, as its configuration names them.
pub fn own_records() -> SourceKind {
    SourceKind::Sqlite { path: "sources/records.db".into() }
}

/// The declaration of source `id` in the configuration.
fn source(id: &str, write: bool, kind: &SourceKind) -> String {
    let place = match kind {
        SourceKind::Sqlite { path } => {
            format!("kind = \"sqlite\"\npath = \"{}\"\n", path.display())
        }
        SourceKind::Postgres { host, port, database, user, password_file, ca_file } => format!(
            "kind = \"postgres\"\nhost = \"{host}\"\nport = {port}\ndatabase = \"{database}\"\n\
             user = \"{user}\"\npassword_file = \"{}\"\nca_file = \"{}\"\n",
            password_file.display(),
            ca_file.display()
        ),
        SourceKind::Evidence { folder } => {
            format!("kind = \"evidence\"\nfolder = \"{}\"\n", folder.display())
        }
    };
    let write = if write { "write = true\n" } else { "" };
    format!("[[source]]\nid = \"{id}\"\n{place}{write}")
}

/// The part of the configuration by which a directory may keep accounts current by SCIM.
pub const SCIM: &str = r#"
[[directory]]
id = "people"
identity_provider = "demo"
"#;

/// An agency's folder.
pub struct Home {
    /// Whose.
    pub spec: &'static AgencySpec,
    /// The folder.
    pub folder: PathBuf,
    /// Where it listens.
    pub ports: Ports,
}

impl Home {
    /// The home of `spec` under `root`; its folder is made if need be.
    ///
    /// # Errors
    /// [`DemoError::Write`] names the folder.
    pub fn new(root: &Path, spec: &'static AgencySpec, ports: Ports) -> Result<Self, DemoError> {
        let folder = root.join(spec.id);
        for part in ["keys", "sharing/partners", "sharing/agreements", "tools", "sources", "medium"]
        {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(|source| DemoError::Write { path, source })?;
        }
        Ok(Self { spec, folder, ports })
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("bailiwick.toml")
    }

    /// Writes a file of this home.
    ///
    /// # Errors
    /// [`DemoError::Write`] names the file.
    pub fn write(&self, name: &str, text: &str) -> Result<(), DemoError> {
        self.write_bytes(name, text.as_bytes())
    }

    /// As [`Home::write`].
    ///
    /// # Errors
    /// [`DemoError::Write`] names the file.
    pub fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), DemoError> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(|source| DemoError::Write { path, source })
    }

    /// Reads a file of this home.
    ///
    /// # Errors
    /// [`DemoError::Read`] names the file.
    pub fn read(&self, name: &str) -> Result<String, DemoError> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(|source| DemoError::Read { path, source })
    }

    /// Makes the master key, and the certificates that are missing or about to run out.
    ///
    /// # Errors
    /// [`DemoError`] when a file cannot be written or the module refuses.
    pub fn make_keys(&self, now: Timestamp, random: &dyn Random) -> Result<(), DemoError> {
        let master = self.folder.join("keys/master.key");
        if !master.exists() {
            keys::keyring::create_master(&master, random)?;
        }
        let AgencySpec { name, ori, .. } = self.spec;
        Papers { folder: &self.folder, name, ori, address: self.ports.partners.ip() }
            .make(now, random)
    }

    /// What the other agency is to know of this one's ledger.
    fn public_keys(&self, random: &dyn Random) -> Result<PublicKeys, DemoError> {
        let master = keys::keyring::read_master(&self.folder.join("keys/master.key"))?;
        let ring = Keyring::open(&self.folder.join("data/keys"), &master)?;
        Ok(web::witnesses::public_keys(&self.origin(), &ring, random)?)
    }

    fn origin(&self) -> String {
        format!("{}.example/ledger", self.spec.id)
    }

    /// The part of the configuration by which the other agency witnesses this one's ledger.
    ///
    /// # Errors
    /// [`DemoError::Keys`].
    pub fn witness_text(&self, other: &Self, random: &dyn Random) -> Result<String, DemoError> {
        let (id, partners) = (other.spec.id, other.ports.partners);
        let key = other.public_keys(random)?.witness;
        Ok(format!(
            r#"
[[witness]]
name = "{id}"
url = "https://{partners}/witness"
key = "{key}"
certificate = "sharing/partners/{id}-tls.pem"
private_addresses = true
"#
        ))
    }

    /// The configuration, as an agency would write it.
    pub fn config_text(&self, records: &SourceKind) -> String {
        let Self { spec, ports, .. } = self;
        let evidence = SourceKind::Evidence { folder: "sources/evidence".into() };
        format!(
            r#"# {name}: one of the two made-up agencies of `bailiwick demo`.

[agency]
name = "{name}"
ori = "{ori}"
demonstration = "Demonstration: all people and records are made up."

[listen]
pages = "{pages}"
public_url = "{public_url}"

[data]
folder = "data"
master_key = "keys/master.key"

[ledger]
origin = "{origin}"
segment_bytes = 4194304

[tools]
folder = "tools"

{read}
{write}
{evidence}
[[identity_provider]]
id = "demo"
label = "Demo sign-in"
metadata = "idp-metadata.xml"
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
functions_attribute = "functions"
name_attribute = "displayName"
agency_attribute = "agency"

# Somebody has to write it down for the security officers: it is on their start page until then.
[qualifications]
grace_days = 3

[[qualifications.required]]
id = "security-roles"
kind = "training"
title = "Training for security responsibilities"
functions = ["security-officer"]
valid_days = 365
advice = "Take the course, and have an administrator write it down under Training and screening."

[exchange]
listen = "{partners}"
tls_certificate = "keys/tls.pem"
tls_key = "keys/tls.key"
signing_certificate = "keys/signing.pem"
signing_key = "keys/signing.key"
recipient_certificate = "keys/recipient.pem"
recipient_key = "keys/recipient.key"
folder = "sharing"

[[exchange.medium]]
name = "usb"
folder = "medium"
mounted = false
"#,
            name = spec.name,
            ori = spec.ori,
            read = source("rms", false, records),
            evidence = source("evidence", false, &evidence),
            write = source("rms-write", true, records),
            origin = self.origin(),
            pages = ports.pages,
            public_url = ports.public_url(),
            partners = ports.partners,
        )
    }
}

/// The tool files that come with the demo.
const TOOLS: [(&str, &str); 4] = [
    ("vehicle-lookup.toml", include_str!("../tools/vehicle-lookup.toml")),
    ("person-search.toml", include_str!("../tools/person-search.toml")),
    ("case-file.toml", include_str!("../tools/case-file.toml")),
    ("criminal-history.toml", include_str!("../tools/criminal-history.toml")),
];

impl Home {
    /// Writes the tool files, as an agency's own authors would.
    ///
    /// # Errors
    /// [`DemoError::Write`] names the file.
    pub fn write_tools(&self) -> Result<(), DemoError> {
        TOOLS.iter().try_for_each(|(name, text)| self.write(&format!("tools/{name}"), text))
    }

    /// Writes down what this agency knows of the other: certificates that were exchanged out of
    /// band, an address, and the agreement between them.
    ///
    /// # Errors
    /// [`DemoError`] names the file.
    pub fn introduce(
        &self,
        other: &Self,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(), DemoError> {
        let id = other.spec.id;
        for kind in ["tls", "signing", "recipient"] {
            let pem = other.read(&format!("keys/{kind}.pem"))?;
            self.write(&format!("sharing/partners/{id}-{kind}.pem"), &pem)?;
        }
        let AgencySpec { name, ori, jurisdiction, .. } = other.spec;
        let ledger_key = other.public_keys(random)?.ledger;
        let (host, port) = (other.ports.partners.ip(), other.ports.partners.port());
        let partner = format!(
            r#"ori = "{ori}"
name = "{name}"
host = "{host}"
port = {port}
private_addresses = true
tls_certificate = "{id}-tls.pem"
signing_certificate = "{id}-signing.pem"
sealing_certificate = "{id}-recipient.pem"
ledger_key = "{ledger_key}"
jurisdiction = "{jurisdiction}"
"#
        );
        self.write(&format!("sharing/partners/{id}.toml"), &partner)?;
        agreements::write(self, other.spec, now)
    }
}
