//! Sharing, wired: the exchange with this agency's keys, its partners and the ways to them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use exchange::witnessing::Cosigner;
use exchange::{Book, Caller, Content, Exchange, Films, Setup};
use gate::{Gate, Value};
use keys::cert::Certificate;
use keys::keyring::Keyring;
use keys::sign::P384Key;
use keys::{Clock, Random};
use ledger::Ledger;
use parcel::{Party, Recipient, RecipientKey, Signer};
use serde::{Deserialize, Serialize};
use state::State;

use crate::agency::{Agency, StartError};
use crate::config::{Config, ExchangeConfig, ScannerConfig};
use crate::refetch::Refetch;
use crate::serve::read_own;
use crate::session::SignedIn;
use crate::{depots, stamps, witnesses};

/// The exchange of one agency, and where partners call.
pub struct Sharing {
    /// Agreements, exports, deliveries, receipts.
    pub exchange: Exchange,
    /// The partner listener's address.
    pub listen: SocketAddr,
    /// Its TLS configuration: only partners' certificates are let in.
    pub tls: wire::tls::ServerTls,
    /// What cosigns partners' ledgers; none where we have the key of none.
    pub cosigner: Option<Arc<Cosigner>>,
    /// Makes films that any desk plays; none where no ffmpeg is configured.
    pub films: Option<Films>,
    content: Arc<Refetch>,
}

/// What the platform needs to fetch one item of an export again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The tool.
    pub tool: String,
    /// Its export action.
    pub action: String,
    /// What was typed, by input.
    pub typed: BTreeMap<String, String>,
    /// What of it.
    pub what: Piece,
    /// Columns that stay here.
    #[serde(default)]
    pub without: Vec<String>,
}

/// One item of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Piece {
    /// A query's rows as CSV.
    Csv(String),
    /// A query's rows as JSON.
    Json(String),
    /// A query's rows as a document for people, PDF/A-3b.
    Pdf(String),
    /// A document of an evidence part, by its row.
    Document {
        /// The part.
        part: String,
        /// The row's columns.
        values: BTreeMap<String, Value>,
        /// Whether it is not the document itself but an MP4 made of it.
        #[serde(default)]
        mp4: bool,
    },
}

impl Recipe {
    /// The part whose document it is.
    pub(crate) fn part(&self) -> Option<&String> {
        match &self.what {
            Piece::Document { part, .. } => Some(part),
            Piece::Csv(_) | Piece::Json(_) | Piece::Pdf(_) => None,
        }
    }

    /// The columns of the row that it is a document of, as far as they are kept.
    pub(crate) fn columns(&self) -> Vec<String> {
        match &self.what {
            Piece::Document { values, .. } => values.keys().cloned().collect(),
            Piece::Csv(_) | Piece::Json(_) | Piece::Pdf(_) => Vec::new(),
        }
    }

    /// A value of the row that it is a document of.
    pub(crate) fn value(&self, column: &str) -> Option<&Value> {
        match &self.what {
            Piece::Document { values, .. } => values.get(column),
            Piece::Csv(_) | Piece::Json(_) | Piece::Pdf(_) => None,
        }
    }
}

impl Piece {
    /// The query whose rows it is.
    pub(crate) fn query(&self) -> Option<&str> {
        match self {
            Self::Csv(query) | Self::Json(query) | Self::Pdf(query) => Some(query),
            Self::Document { .. } => None,
        }
    }
}

impl Sharing {
    /// Opens the exchange with the agency's certificates and its partners.
    ///
    /// # Errors
    /// [`StartError`] names the file.
    pub async fn open(
        config: &Config,
        settings: &ExchangeConfig,
        rooms: (&Gate, &Ledger, &State, &Keyring),
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let failed = |error: exchange::ExchangeError| StartError::Sharing(Box::new(error));
        let (book, problems) = Book::load(&settings.folder);
        if let Some(problem) = problems.first() {
            return Err(StartError::Sharing(problem.to_string().into()));
        }
        let (gate, ledger, state, ring) = rooms;
        let logs = book.partners().filter_map(|partner| partner.ledger_key.clone()).collect();
        let routes = depots::open(settings, &book, clock)?;
        let own = read_own(&settings.tls_certificate, &settings.tls_key)?;
        apart(config.guests().map(|guests| guests.name()), &own)?;
        let stamps = settings.time_stamps.as_ref();
        let time_stamps = stamps.map(|made| stamps::open(made, &own, clock)).transpose()?;
        let ours = settings.time_stamp_authority.as_ref();
        let time_stamp_authority = ours.map(|made| stamps::authority(made, clock)).transpose()?;
        let cosigner = witnesses::cosigner(config, logs, ledger, ring, (clock, &**random))?;
        let exchange = Exchange::open(Setup {
            agency: Party { ori: config.agency.ori.to_string(), name: config.agency.name.clone() },
            gate: gate.clone(),
            ledger: ledger.clone(),
            ledger_origin: config.ledger.origin.clone(),
            state: state.clone(),
            clock: clock.clone(),
            random: random.clone(),
            store: config.data.folder.join("parcels"),
            disk: Arc::new(exchange::SystemDisk),
            signer: signer(settings)?,
            recipient: recipient(&settings.recipient_certificate, &settings.recipient_key)?,
            recipient_kem: recipient_kem(settings)?,
            tls: own,
            book,
            routes,
            cosigner: cosigner.clone(),
            time_stamps,
            time_stamp_authority,
            settings: exchange::Settings {
                bytes_per_second_max: settings.bytes_per_second_max,
                scanner: settings.scanner.as_ref().map(ScannerConfig::scanner),
                destroy_when_due: settings.destroy_when_due,
                keep_sent: std::time::Duration::from_secs(
                    24 * 3600 * u64::from(settings.keep_sent_days),
                ),
                ..exchange::Settings::usual()
            },
        })
        .map_err(failed)?;
        exchange.record_book().await.map_err(failed)?;
        exchange.take_in_written().await.map_err(failed)?;
        exchange.take_in_agreements().await.map_err(failed)?;
        let tls = exchange.listener_tls().map_err(failed)?;
        let content = Arc::new(Refetch::default());
        let films = settings.films.as_ref().map(|made| films(&made.ffmpeg)).transpose()?;
        Ok(Self { exchange, listen: settings.listen, tls, cosigner, films, content })
    }

    /// What seals approved exports, once the agency stands.
    pub fn content(&self, agency: &Arc<Agency>) -> Arc<dyn Content> {
        self.content.stands(agency);
        self.content.clone()
    }
}

/// Refuses a guests' name under which partners call, too: they would come to the guests' pages and be turned away.
fn apart(guests: Option<&str>, tls: &wire::tls::Own) -> Result<(), StartError> {
    let names = tls.chain.first().map(Certificate::alternative_names).unwrap_or_default();
    let Some(guests) = guests else { return Ok(()) };
    match names.iter().any(|name| name.eq_ignore_ascii_case(guests)) {
        true => Err(StartError::Sharing(
            format!(
                "`exchange.guests.public_url`: `{guests}` is a name of `exchange.tls_certificate` as well, by which partners \
                 call; guests need one of their own"
            )
            .into(),
        )),
        false => Ok(()),
    }
}

/// What can be said of `[exchange]` before a server starts.
///
/// # Errors
/// As [`Sharing::open`], of the names and the certificate of the partner listener.
pub(crate) fn check_names(config: &Config) -> Result<(), StartError> {
    let (Some(settings), Some(guests)) = (&config.exchange, config.guests()) else { return Ok(()) };
    apart(Some(guests.name()), &read_own(&settings.tls_certificate, &settings.tls_key)?)
}

fn signer(settings: &ExchangeConfig) -> Result<Signer, StartError> {
    let own = read_own(&settings.signing_certificate, &settings.signing_key)?;
    Ok(Signer { chain: own.chain, key: p384(&own.pkcs8)? })
}

fn films(program: &Path) -> Result<Films, StartError> {
    Films::find(program).map_err(|error| {
        let words =
            format!("`exchange.films.ffmpeg`: {} can't be used: {error}", program.display());
        StartError::Sharing(words.into())
    })
}

fn recipient(certificate: &Path, key: &Path) -> Result<Recipient, StartError> {
    let own = read_own(certificate, key)?;
    let missing = || StartError::Sharing("the recipient certificate file is empty".into());
    let certificate: Certificate = own.chain.into_iter().next().ok_or_else(missing)?;
    let key = RecipientKey::from_pkcs8(&own.pkcs8)
        .map_err(|error| StartError::Sharing(Box::new(error)))?;
    Ok(Recipient { certificate, key })
}

/// The second key that parcels are sealed to: ML-KEM.
fn recipient_kem(settings: &ExchangeConfig) -> Result<Option<Recipient>, StartError> {
    let files = (&settings.recipient_certificate_kem, &settings.recipient_key_kem);
    let (Some(certificate), Some(key)) = files else { return Ok(None) };
    let read = recipient(certificate, key)?;
    if matches!(read.key, RecipientKey::MlKem(_)) {
        return Ok(Some(read));
    }
    Err(StartError::Sharing("`exchange.recipient_key_kem` is no ML-KEM key".into()))
}

pub(crate) fn p384(pkcs8: &[u8]) -> Result<P384Key, StartError> {
    P384Key::from_pkcs8(pkcs8)
        .map_err(|source| StartError::Keys { doing: "read an exchange key", source })
}

impl SignedIn {
    /// The person, as the exchange takes them.
    pub fn caller(&self) -> Caller {
        Caller {
            actor: self.actor.clone(),
            origin: self.origin.clone(),
            session: Some(self.session.prefix()),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use keys::SystemRandom;
    use keys::cert::{CertSpec, Usage, issue};

    use super::*;

    #[test]
    fn a_name_by_which_partners_call_is_none_for_guests() {
        let key = P384Key::generate().unwrap();
        let spec = CertSpec {
            subject_cn: "Riverton".to_owned(),
            organisation: "Riverton Police Department".to_owned(),
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
            usage: Usage::TlsPeer,
            dns: vec!["exchange.riverton.example".to_owned()],
            ips: Vec::new(),
            uris: Vec::new(),
        };
        let chain = vec![issue(&spec, &key, None, &SystemRandom).unwrap()];
        let own = wire::tls::Own { chain, pkcs8: key.to_pkcs8() };
        apart(None, &own).unwrap();
        apart(Some("guests.riverton.example"), &own).unwrap();
        let refused = apart(Some("Exchange.Riverton.example"), &own).unwrap_err();
        let words = crate::problem::chain(&refused);
        assert!(words.contains("guests need one of their own"), "{words}");
    }
}
