//! The certificates of a made-up agency, with their keys: an authority of its own, and four that it issues.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keys::Random;
use keys::cert::{CertSpec, Certificate, Usage, issue};
use keys::sign::P384Key;

use crate::DemoError;

/// How long they are good for.
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// The name under which guests come in. Names below `localhost` mean this machine to every browser (RFC 6761).
pub(crate) const GUESTS_NAME: &str = "guests.localhost";
/// They are made anew when less than this is left.
const LEFT_LEAST: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Whose they are, and the folder with their `keys/`.
pub(crate) struct Papers<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) ori: &'a str,
    /// Where the agency's servers listen.
    pub(crate) address: IpAddr,
}

impl Papers<'_> {
    /// Makes all of them, unless there are good ones already.
    pub(crate) fn make(&self, now: Timestamp, random: &dyn Random) -> Result<(), DemoError> {
        if self.good(now) {
            return Ok(());
        }
        let authority_key = P384Key::generate()?;
        let spec = self.spec("certificate authority", Usage::Ca, now);
        let authority = issue(&spec, &authority_key, None, random)?;
        self.write("ca", &authority)?;
        for (file, title, usage) in [
            ("tls", "exchange", Usage::TlsPeer),
            ("signing", "parcel signer", Usage::Signing),
            ("recipient", "parcel recipient", Usage::KeyAgreement),
            ("guests", "guests' page", Usage::TlsPeer),
        ] {
            let key = P384Key::generate()?;
            let issuer = Some((&authority, &authority_key));
            let mut spec = self.spec(title, usage, now);
            if file == "guests" {
                (spec.dns, spec.ips) = (vec![GUESTS_NAME.to_owned()], Vec::new());
            }
            let certificate = issue(&spec, &key, issuer, random)?;
            let pem = keys::cert::private_key_pem(&key.to_pkcs8());
            let path = self.folder.join(format!("keys/{file}.key"));
            keys::file::replace(&keys::file::SystemDisk, &path, pem.as_bytes(), 0o600)?;
            self.write(file, &certificate)?;
        }
        Ok(())
    }

    fn good(&self, now: Timestamp) -> bool {
        // The one that is made last.
        let text = fs::read_to_string(self.folder.join("keys/guests.pem")).unwrap_or_default();
        let made = Certificate::from_pem(&text);
        made.is_ok_and(|made| made.check_validity(now + LEFT_LEAST).is_ok())
    }

    fn write(&self, file: &str, certificate: &Certificate) -> Result<(), DemoError> {
        let path = self.folder.join(format!("keys/{file}.pem"));
        fs::write(&path, certificate.pem()).map_err(|source| DemoError::Write { path, source })
    }

    fn spec(&self, title: &str, usage: Usage, now: Timestamp) -> CertSpec {
        CertSpec {
            subject_cn: format!("{} {title}", self.name),
            organisation: format!("{} ({}, made up)", self.name, self.ori),
            not_before: now - SignedDuration::from_hours(1),
            not_after: now + LIFE,
            usage,
            dns: vec!["localhost".to_owned()],
            ips: vec![self.address],
            uris: Vec::new(),
        }
    }
}
