//! The agencies' agreements with one another, and each one's file about the other, as
//! `exchange::Book` reads them.

use std::fs;
use std::path::Path;

use crate::seed::{Agency, SeedError};

/// Where the other agency listens, and the certificates (PEM) by which it is known.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub port: u16,
    pub tls: &'a str,
    pub signing: &'a str,
    pub sealing: &'a str,
}

impl Agency {
    /// Its Originating Agency Identifier.
    #[must_use]
    pub const fn ori(self) -> &'static str {
        match self {
            Self::Riverton => "NB0010100",
            Self::Lakeside => "NB0020000",
        }
    }

    /// Its name in full.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Riverton => "Riverton Police Department",
            Self::Lakeside => "Lakeside County Sheriff",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Riverton => Self::Lakeside,
            Self::Lakeside => Self::Riverton,
        }
    }

    /// The agreement under which the two exchange: its id at this agency.
    #[must_use]
    pub const fn agreement(self) -> &'static str {
        match self {
            Self::Riverton => "lakeside-2024",
            Self::Lakeside => "riverton-2024",
        }
    }

    const fn agreements(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Riverton => &[
                ("lakeside-2019.toml", include_str!("../../agreements/lakeside-2019.toml")),
                ("lakeside-2024.toml", include_str!("../../agreements/lakeside-2024.toml")),
            ],
            Self::Lakeside => {
                &[("riverton-2024.toml", include_str!("../../agreements/riverton-2024.toml"))]
            }
        }
    }
}

/// Writes `partners/` and `agreements/` of an agency below `folder`, in place of what is there:
/// the other agency's port and certificates may have changed since the last run.
pub fn write_book(folder: &Path, agency: Agency, peer: &Peer<'_>) -> Result<(), SeedError> {
    let other = agency.other();
    let (ori, name) = (other.ori(), other.title());
    let file = ori.to_ascii_lowercase();
    let partner = format!(
        "ori                 = \"{ori}\"\n\
         name                = \"{name}\"\n\
         host                = \"127.0.0.1\"\n\
         port                = {port}\n\
         private_addresses   = true\n\
         tls_certificate     = \"{file}-tls.pem\"\n\
         signing_certificate = \"{file}-signing.pem\"\n\
         sealing_certificate = \"{file}-sealing.pem\"\n\
         quota_bytes         = 4294967296\n",
        port = peer.port,
    );
    let partners = folder.join("partners");
    write(&partners, &format!("{file}.toml"), &partner)?;
    for (use_, pem) in [("tls", peer.tls), ("signing", peer.signing), ("sealing", peer.sealing)] {
        write(&partners, &format!("{file}-{use_}.pem"), pem)?;
    }
    let agreements = folder.join("agreements");
    agency.agreements().iter().try_for_each(|(name, text)| write(&agreements, name, text))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), SeedError> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|source| SeedError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use keys::SystemRandom;
    use keys::cert::{CertSpec, Usage, issue};
    use keys::sign::P384Key;

    use super::{Agency, Peer, write_book};

    fn certificate(name: &str, usage: Usage) -> String {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: "Demo".to_owned(),
            not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
            usage,
            dns: Vec::new(),
            ips: vec!["127.0.0.1".parse().unwrap()],
            uris: Vec::new(),
        };
        issue(&spec, &key, None, &SystemRandom).unwrap().pem()
    }

    #[test]
    fn both_agencies_know_one_another_and_one_agreement_is_in_force() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let pems = [Usage::TlsPeer, Usage::Signing, Usage::KeyAgreement]
            .map(|usage| certificate("demo", usage));
        let [tls, signing, sealing] = &pems;
        for agency in [Agency::Riverton, Agency::Lakeside] {
            let folder = tempfile::tempdir().unwrap();
            let peer = Peer { port: 8445, tls, signing, sealing };
            write_book(folder.path(), agency, &peer).unwrap();
            let (book, problems) = exchange::Book::load(folder.path());
            assert!(problems.is_empty(), "{problems:?}");
            assert_eq!(book.partner(agency.other().ori()).unwrap().name, agency.other().title());
            let ours = book.agreement(agency.agreement()).unwrap();
            assert_eq!(ours.in_force(now), Ok(()));
            assert_eq!(ours.facts.partner.as_str(), agency.other().ori());
            let in_force = book.agreements().filter(|one| one.in_force(now).is_ok()).count();
            assert_eq!(in_force, 1);
        }
    }
}
