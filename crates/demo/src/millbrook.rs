//! Millbrook, a made-up agency without Bailiwick: its own provider vouches for its people, who come to Riverton as
//! guests, and its own key opens what they fetch.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keys::Random;

use crate::idp::{DemoIdp, Persona};
use crate::papers::{GUESTS_NAME, Papers};
use crate::world::{Home, Ports};
use crate::{DemoError, agreements};

/// Its name.
pub const NAME: &str = "Millbrook Police Department";
/// Its made-up ORI.
pub const ORI: &str = "NB0030000";

/// Where guests of Riverton come in: at its partner listener, under a name of their own.
#[must_use]
pub fn guests_url(riverton: Ports) -> String {
    format!("https://{GUESTS_NAME}:{}", riverton.partners.port())
}

/// The part of Riverton's configuration by which its people are guests.
#[must_use]
pub fn settings(riverton: Ports) -> String {
    let url = guests_url(riverton);
    format!(
        r#"{PROVIDER_SETTINGS}
[exchange.guests]
public_url = "{url}"
certificate = "keys/guests.pem"
key = "keys/guests.key"
"#
    )
}

const PROVIDER_SETTINGS: &str = r#"
[[identity_provider]]
id = "millbrook"
label = "Millbrook Police Department (guests)"
metadata = "millbrook-metadata.xml"
agency = "NB0030000"
functions = ["partner-guest"]
mfa_contexts = ["https://refeds.org/profile/mfa"]
create_accounts = true
functions_attribute = "functions"
name_attribute = "displayName"
agency_attribute = "agency"
"#;

/// Its people, as its provider knows them.
///
/// # Errors
/// Never in practice: the names are well formed, which a test holds.
pub fn people() -> Result<Vec<Persona>, policy::Malformed> {
    Ok(vec![Persona {
        id: "ofc.tran".to_owned(),
        name: "Linh Tran".to_owned(),
        agency: ORI.parse()?,
        functions: vec!["partner-guest".parse()?],
    }])
}

/// Makes its keys, and writes down what Riverton knows of it: certificates, how parcels get to it, the agreement,
/// and whom its provider's answers are believed from.
///
/// # Errors
/// [`DemoError`] names the file.
pub fn introduce(
    root: &Path,
    riverton: &Home,
    provider: &DemoIdp,
    now: Timestamp,
    random: &dyn Random,
) -> Result<(), DemoError> {
    let folder: PathBuf = root.join("millbrook");
    let path = folder.join("keys");
    fs::create_dir_all(&path).map_err(|source| DemoError::Write { path, source })?;
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Papers { folder: &folder, name: NAME, ori: ORI, address }.make(now, random)?;
    let path = folder.join("keys/recipient.pem");
    let pem = fs::read_to_string(&path).map_err(|source| DemoError::Read { path, source })?;
    riverton.write("sharing/partners/millbrook-recipient.pem", &pem)?;
    riverton.write("sharing/partners/millbrook.toml", PARTNER)?;
    riverton.write("millbrook-metadata.xml", &provider.metadata())?;
    agreements::write_for_guests(riverton, now)
}

/// It has no server of ours, and sends nothing: it needs the one certificate that parcels are sealed to.
const PARTNER: &str = r#"ori = "NB0030000"
name = "Millbrook Police Department"
sealing_certificate = "millbrook-recipient.pem"

[[delivery]]
name = "portal"
kind = "portal"
"#;

#[cfg(test)]
mod tests {
    #[test]
    fn everybody_is_well_formed() {
        assert_eq!(super::people().unwrap().len(), 1);
    }
}
