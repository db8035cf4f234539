//! Keys and certificates of the agencies of the stories, made once.

use super::*;

/// A certificate and its key, made once for all stories.
pub(super) struct Held {
    pub(super) certificate: Certificate,
    pub(super) key: P384Key,
}

impl Held {
    pub(super) fn new(name: &str, usage: Usage) -> Self {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: name.to_owned(),
            organisation: name.to_owned(),
            not_before: now() - SignedDuration::from_hours(24),
            not_after: now() + SignedDuration::from_hours(24 * 365),
            usage,
            dns: Vec::new(),
            ips: vec!["127.0.0.1".parse().unwrap()],
            uris: Vec::new(),
        };
        Self { certificate: issue(&spec, &key, None, &SystemRandom).unwrap(), key }
    }

    pub(super) fn key(&self) -> P384Key {
        P384Key::from_pkcs8(&self.key.to_pkcs8()).unwrap()
    }
}

pub(super) struct Identity {
    pub(super) tls: Held,
    pub(super) signing: Held,
    pub(super) sealing: Held,
}

impl Identity {
    pub(super) fn signer(&self) -> Signer {
        Signer { chain: vec![self.signing.certificate.clone()], key: self.signing.key() }
    }

    pub(super) fn recipient(&self) -> Recipient {
        let certificate = self.sealing.certificate.clone();
        Recipient { certificate, key: self.sealing.key().into() }
    }

    pub(super) fn tls(&self) -> wire::tls::Own {
        let chain = vec![self.tls.certificate.clone()];
        wire::tls::Own { chain, pkcs8: self.tls.key.to_pkcs8() }
    }
}

pub(super) fn identity(of: (&str, &str)) -> &'static Identity {
    static ALL: OnceLock<[Identity; 3]> = OnceLock::new();
    let new = |name: &str| Identity {
        tls: Held::new(name, Usage::TlsPeer),
        signing: Held::new(name, Usage::Signing),
        sealing: Held::new(name, Usage::KeyAgreement),
    };
    let all = ALL.get_or_init(|| [new("riverton"), new("lakeside"), new("stranger")]);
    if of == RIVERTON {
        &all[0]
    } else if of == LAKESIDE {
        &all[1]
    } else {
        &all[2]
    }
}
