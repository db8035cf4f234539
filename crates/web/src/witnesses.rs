//! Who confirms this agency's ledger, as `bailiwick.toml` says it: `[[witness]]` and `[witnessing]`.
//!
//! Invariant: where a witness is configured, there is a time after which its silence stops releases;
//! "never" can't be written down.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange::witnessing::{Cosigner, WitnessLine, WitnessPlace};
use keys::cert::Certificate;
use keys::keyring::Keyring;
use keys::{Clock, Random};
use ledger::Ledger;
use ledger::note::VerifierKey;
use ledger::watched::{KnownWitness, WITNESSES_MAX, Witnessing};
use ledger::witness::{Quorum, Witness, WitnessKey};
use serde::Deserialize;

use crate::agency::StartError;
use crate::config::Config;
use crate::serve::read_own;

/// The longest silence that may be allowed: a week.
const REFUSE_MINUTES_MAX: u32 = 7 * 24 * 60;

/// Somebody outside who cosigns our checkpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// What people call it: no spaces, no plus signs.
    pub name: String,
    /// Where it answers, for example `https://lakeside.example:8444/witness`.
    pub url: String,
    /// The key under which it cosigns (C2SP vkey), as its keeper gave it.
    pub key: String,
    /// Its own TLS certificate (PEM): just this one is believed.
    pub certificate: Option<PathBuf>,
    /// Or the CA (PEM) that its certificate must come from.
    pub authority: Option<PathBuf>,
    /// Whether it may be at a private or loopback address.
    #[serde(default)]
    pub private_addresses: bool,
}

/// What the witnesses' silence means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessingConfig {
    /// How many witnesses must have confirmed the ledger lately.
    #[serde(default = "needed_default")]
    pub needed: usize,
    /// Minutes of a witness's silence after which it is told of.
    #[serde(default = "warn_default")]
    pub warn_minutes: u32,
    /// Minutes without the witnesses needed after which nothing is released; a week at most.
    #[serde(default = "refuse_default")]
    pub refuse_minutes: u32,
    /// Whether nothing is released after a start until a witness has confirmed the ledger.
    #[serde(default)]
    pub confirm_at_start: bool,
}

impl Default for WitnessingConfig {
    fn default() -> Self {
        Self {
            needed: needed_default(),
            warn_minutes: warn_default(),
            refuse_minutes: refuse_default(),
            confirm_at_start: false,
        }
    }
}

const fn needed_default() -> usize {
    1
}

const fn warn_default() -> u32 {
    15
}

const fn refuse_default() -> u32 {
    240
}

/// The rules of the ledger, or the key that is wrong and what is wrong with it.
pub(crate) fn rules(
    witnesses: &[WitnessConfig],
    witnessing: &WitnessingConfig,
) -> Result<Witnessing, (&'static str, String)> {
    let wrong = |key, what: &str| Err((key, what.to_owned()));
    if witnesses.is_empty() {
        return Ok(Witnessing::none());
    }
    if witnesses.len() > WITNESSES_MAX {
        return wrong("witness", "is there more than 15 times");
    }
    let mut known: Vec<KnownWitness> = Vec::with_capacity(witnesses.len());
    for one in witnesses {
        let Ok(key) = WitnessKey::parse(&one.key) else {
            return wrong("witness.key", "is not the verifier key of a witness: name+hash+key");
        };
        if one.name.is_empty() || one.name.contains(|c: char| c.is_whitespace() || c == '+') {
            return wrong("witness.name", "needs letters, and neither spaces nor plus signs");
        }
        let twice = |other: &KnownWitness| other.name == one.name || other.key == key;
        if known.iter().any(twice) {
            return wrong("witness.name", "or its key is there twice");
        }
        if one.url.parse::<WitnessPlace>().is_err() {
            return wrong("witness.url", "is an address such as `https://host:8444/witness`");
        }
        if one.certificate.is_some() == one.authority.is_some() {
            return wrong("witness.certificate", "or `witness.authority` is needed, and not both");
        }
        known.push(KnownWitness { name: one.name.clone(), key });
    }
    if !(1..=known.len()).contains(&witnessing.needed) {
        return wrong("witnessing.needed", "is from 1 to the number of witnesses");
    }
    let WitnessingConfig { warn_minutes, refuse_minutes, .. } = *witnessing;
    if warn_minutes == 0 || refuse_minutes < warn_minutes || refuse_minutes > REFUSE_MINUTES_MAX {
        return wrong(
            "witnessing.refuse_minutes",
            "is at least `warn_minutes` and at most 10080, a week",
        );
    }
    let minutes = |minutes: u32| Duration::from_secs(u64::from(minutes) * 60);
    let all = (0..known.len()).map(Quorum::Witness).collect();
    Ok(Witnessing {
        quorum: Quorum::Group(witnessing.needed, all),
        witnesses: known,
        warn_after: minutes(warn_minutes),
        refuse_after: minutes(refuse_minutes),
        confirm_at_start: witnessing.confirm_at_start,
    })
}

/// A way to each witness.
pub(crate) fn lines(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<WitnessLine>, StartError> {
    let own = match &config.exchange {
        Some(exchange) => Some(read_own(&exchange.tls_certificate, &exchange.tls_key)?),
        None => None,
    };
    let limits = exchange::Settings::usual().client;
    let line = |one: &WitnessConfig| {
        let place: WitnessPlace =
            one.url.parse().map_err(|error| StartError::Witness(Box::new(error)))?;
        let believed = |path: &Option<PathBuf>| match path {
            Some(path) => certificates(path),
            None => Ok(Vec::new()),
        };
        let (leaves, authorities) = (believed(&one.certificate)?, believed(&one.authority)?);
        let trust = wire::tls::Trust { authorities, leaves };
        let addresses = match one.private_addresses {
            true => wire::Addresses::Private,
            false => wire::Addresses::Public,
        };
        let clock = clock.clone();
        WitnessLine::new(&one.name, place, addresses, &trust, own.as_ref(), limits, clock)
            .map_err(|error| StartError::Witness(Box::new(error)))
    };
    config.witnesses.iter().map(line).collect()
}

fn certificates(path: &PathBuf) -> Result<Vec<Certificate>, StartError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StartError::File { path: path.clone(), source })?;
    Certificate::chain_from_pem(&text)
        .map_err(|source| StartError::Keys { doing: "read a witness's certificate", source })
}

/// What others are to know of an agency's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    /// Its checkpoints are signed by this (C2SP vkey): a partner's `ledger_key`.
    pub ledger: String,
    /// Others' are cosigned by this: the `key` of a `[[witness]]`.
    pub witness: String,
}

/// The public keys of the ledger `origin` whose agency keeps its keys in this ring; they are made now if
/// there are none.
///
/// # Errors
/// [`keys::KeysError`].
pub fn public_keys(
    origin: &str,
    ring: &Keyring,
    random: &dyn Random,
) -> Result<PublicKeys, keys::KeysError> {
    let public = ring.ed25519("ledger-signer", random)?.public();
    let ledger = VerifierKey { name: origin.to_owned(), public }.to_string();
    let (witness, _) = own_key(origin, ring, random)?;
    Ok(PublicKeys { ledger, witness: witness.to_string() })
}

/// The key under which this agency cosigns others' ledgers, and under which name.
fn own_key(
    origin: &str,
    ring: &Keyring,
    random: &dyn Random,
) -> Result<(WitnessKey, keys::sign::Ed25519Key), keys::KeysError> {
    let signer = ring.ed25519("witness-signer", random)?;
    Ok((WitnessKey { name: format!("{origin}/witness"), public: signer.public() }, signer))
}

/// The side that cosigns the ledgers of partners; none where no partner has a `ledger_key`.
pub(crate) fn cosigner(
    config: &Config,
    logs: Vec<VerifierKey>,
    ledger: &Ledger,
    ring: &Keyring,
    outside: (&Arc<dyn Clock>, &dyn Random),
) -> Result<Option<Arc<Cosigner>>, StartError> {
    if logs.is_empty() {
        return Ok(None);
    }
    let (clock, random) = outside;
    let (key, signer) = own_key(&config.ledger.origin, ring, random)
        .map_err(|source| StartError::Keys { doing: "read the agency's keys", source })?;
    let disk: Arc<dyn ledger::Disk> = Arc::new(ledger::SystemDisk);
    let folder = config.data.folder.join("witness");
    let witness = Witness::open(&disk, &folder, &key.name, signer, logs, clock.clone())
        .map_err(|error| StartError::Witness(Box::new(error)))?;
    Ok(Some(Arc::new(Cosigner::new(witness, Some(ledger.clone()), clock.clone()))))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SMALL: &str = include_str!("../../../bailiwick.example.toml");
    const WITNESS: &str = "\n[[witness]]\nname = \"lakeside\"\n\
         url = \"https://lakeside.example:8444/witness\"\n\
         key = \"w31+afc0b790+BEMEa/5AkrPpSZTq2hXcwg2Kqge2WP05VOuODvuL3KXe\"\n\
         certificate = \"lakeside.pem\"\n";

    #[test]
    fn a_witness_has_a_key_a_certificate_and_limits_that_end() {
        let parse = |text: &str| Config::parse(text, Path::new("agency/bailiwick.toml"));
        let config = parse(&format!("{SMALL}{WITNESS}")).unwrap();
        let certificate = config.witnesses[0].certificate.as_deref();
        assert_eq!(certificate, Some(Path::new("agency/lakeside.pem")));
        for (from, to, expected) in [
            ("afc0b790", "afc0b791", "`witness.key` is not the verifier key of a witness"),
            ("https", "http", "`witness.url` is an address such as"),
            ("certificate = ", "#", "`witness.certificate` or `witness.authority` is needed"),
            ("name = \"lakeside", "name = \"lake side", "`witness.name` needs letters"),
        ] {
            let error = parse(&format!("{SMALL}{}", WITNESS.replace(from, to))).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        for (line, expected) in [
            ("needed = 2", "`witnessing.needed` is from 1 to the number of witnesses"),
            ("refuse_minutes = 0", "`witnessing.refuse_minutes` is at least `warn_minutes`"),
            ("refuse_minutes = 10081", "`witnessing.refuse_minutes` is at least `warn_minutes`"),
        ] {
            let error = parse(&format!("{SMALL}{WITNESS}[witnessing]\n{line}\n")).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
