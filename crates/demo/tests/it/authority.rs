//! What a server of the agency's own shows: a certificate for `localhost`, and the authority that issued it.

use jiff::SignedDuration;
use keys::cert::{CertSpec, Certificate, Usage, issue, private_key_pem};
use keys::sign::P384Key;
use keys::{Clock as _, SystemClock, SystemRandom};

/// All of it as PEM.
pub(crate) struct Issued {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) fn localhost() -> Issued {
    let (authority, authority_key) = certificate("Test Authority", Usage::Ca, None);
    let issuer = Some((&authority, &authority_key));
    let (own, key) = certificate("localhost", Usage::TlsServer, issuer);
    let key = private_key_pem(&key.to_pkcs8()).to_string();
    Issued { authority: authority.pem(), certificate: own.pem(), key }
}

fn certificate(
    name: &str,
    usage: Usage,
    issuer: Option<(&Certificate, &P384Key)>,
) -> (Certificate, P384Key) {
    let now = SystemClock.now();
    let spec = CertSpec {
        subject_cn: name.to_owned(),
        organisation: "Riverton (made up)".to_owned(),
        not_before: now - SignedDuration::from_hours(1),
        not_after: now + SignedDuration::from_hours(24),
        usage,
        dns: vec![name.to_owned()],
        ips: Vec::new(),
        uris: Vec::new(),
    };
    let key = P384Key::generate().unwrap();
    (issue(&spec, &key, issuer, &SystemRandom).unwrap(), key)
}
