//! A root, an issuing authority under it, and people with cards.

use std::path::Path;
use std::sync::Arc;

use identity::Refusal;
use identity::certificates::{
    CLIENT_AUTH, CertificateSettings, Held, NamedBy, Provider, Responder, Shown,
};
use jiff::{SignedDuration, Timestamp};
use keys::SystemRandom;
use keys::cert::Certificate;
use keys::cert::crl;
use testkit::{AUTHORITY, Pki, Wanted};

pub(crate) const PIV: &str = "2.16.840.1.101.3.2.1.3.13";
pub(crate) const UUID: &str = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

/// What a card's certificate holds, without its names.
pub(crate) const CARD: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
     extendedKeyUsage=clientAuth,1.3.6.1.4.1.311.20.2.2\ncertificatePolicies=2.16.840.1.101.3.2.1.3.13\n";

/// What names the person.
pub(crate) fn names(upn: &str) -> String {
    let fasc_n = "d1".repeat(25);
    format!(
        "subjectAltName=@alt\n[alt]\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:{upn}\n\
         otherName.2=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:{fasc_n}\nURI.1=urn:uuid:{UUID}\nemail.1={upn}\n"
    )
}

pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) struct Stage {
    pub(crate) pki: Pki,
    pub(crate) now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// The root, the authority `ca`, and Elena Ruiz's card. Nothing, where there is no openssl.
    pub(crate) fn set(now: Timestamp) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (from, until) = (stamp(now - hours(24)), stamp(now + hours(24 * 30)));
        let pki = Pki::new(folder.path(), &from, &until).unwrap()?;
        pki.authority("root", None, &Wanted::new("/O=Riverton/CN=Root", AUTHORITY)).unwrap();
        let ca = format!("{AUTHORITY}certificatePolicies={PIV}\n");
        pki.authority("ca", Some("root"), &Wanted::new("/O=Riverton/CN=Card CA", &ca)).unwrap();
        let stage = Self { pki, now, _folder: folder };
        stage.card("ruiz", CARD);
        Some(stage)
    }

    /// A card of `ca` with these extensions and the usual names.
    pub(crate) fn card(&self, name: &str, extensions: &str) {
        self.wanted("ca", name, |wanted| {
            wanted.extensions = format!("{extensions}{}", names("ruiz@riverton.example"))
        });
    }

    pub(crate) fn wanted(&self, issuer: &str, name: &str, change: impl Fn(&mut Wanted)) {
        let all = format!("{CARD}{}", names("ruiz@riverton.example"));
        let mut wanted = Wanted::new("/O=Riverton/CN=Elena Ruiz", &all);
        change(&mut wanted);
        self.pki.issue(issuer, name, &wanted).unwrap();
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem(&read(&self.pki.certificate(name))).unwrap()
    }

    /// These, as a browser shows them.
    pub(crate) fn shown(&self, names: &[&str]) -> Shown {
        let certificates = names.iter().map(|name| self.certificate(name).der().to_vec()).collect();
        Shown { certificates, proved_at: Some(self.now) }
    }

    pub(crate) fn settings(&self) -> CertificateSettings {
        CertificateSettings {
            id: "piv".to_owned(),
            label: "Smart card".to_owned(),
            agency: "NB0010100".parse().unwrap(),
            authorities: vec![self.certificate("root")],
            named_by: NamedBy::Upn,
            policies: vec![PIV.to_owned()],
            purposes: vec![CLIENT_AUTH.to_owned()],
            multi_factor: true,
            lists: true,
            stale_max: SignedDuration::ZERO,
            responder: None,
            functions_allowed: None,
            guests: false,
        }
    }

    /// A provider that has a list of each of these authorities, from an hour ago and for a day.
    pub(crate) fn provider(&self, settings: CertificateSettings, lists: &[&str]) -> Provider {
        self.provider_with(settings, lists, None)
    }

    pub(crate) fn provider_with(
        &self,
        settings: CertificateSettings,
        lists: &[&str],
        responder: Option<Arc<dyn Responder>>,
    ) -> Provider {
        let provider = Provider::new(settings, responder).unwrap();
        let all = lists.iter().flat_map(|of| self.list(of, -1, 24));
        provider.take_lists(all.collect()).unwrap();
        provider
    }

    pub(crate) fn list(&self, of: &str, from: i64, until: i64) -> Vec<crl::Crl> {
        let (from, until) = (stamp(self.now + hours(from)), stamp(self.now + hours(until)));
        let path = self.pki.list(of, &from, &until).unwrap();
        crl::read(read(&path).as_bytes()).unwrap()
    }

    pub(crate) async fn judge(&self, provider: &Provider, shown: &[&str]) -> Result<Held, Refusal> {
        provider.judge(&self.shown(shown), &SystemRandom, self.now).await
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
