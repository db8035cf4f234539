//! Whether a certificate counts, and whose it is: each check has a reason code of its own.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use keys::cert::Certificate;
use keys::ocsp::{Question, Status, Unfit};
use wire::chain::{ChainFault, Demands};

use super::{CHAIN_MAX, NamedBy, Provider, Shown};
use crate::{Refusal, SessionLimits};

/// Longest name of a person, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// For how long a certificate that was found good is not looked at again, within a session.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(60);
/// Certificates that are remembered as good.
const GOOD_MAX: usize = 8_192;

/// A certificate that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The provider that vouches for it.
    pub provider: String,
    /// Whose it is.
    pub name: String,
    /// SHA-256 of it.
    pub thumbprint: [u8; 32],
    /// The policies that it states.
    pub policies: Vec<String>,
    /// Until when it is valid.
    pub until: Timestamp,
    /// When the handshake proved that its holder has the key.
    pub proved_at: Option<Timestamp>,
}

fn refuse<T>(code: &'static str, detail: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, detail))
}

impl Provider {
    /// Judges what was shown: path, policies, purposes, key, name, and whether it is revoked. Asks the responder, if
    /// there is one.
    ///
    /// # Errors
    /// A [`Refusal`] `cert.*` of the first check that fails.
    pub async fn judge(
        &self,
        shown: &Shown,
        random: &dyn keys::Random,
        now: Timestamp,
    ) -> Result<Held, Refusal> {
        let (own, above) = self.path(shown, now)?;
        let name = self.name_of(&own)?;
        if let Some(issuer) = above.first() {
            self.ask(&own, issuer, random, now).await?;
        }
        Ok(Held {
            provider: self.settings.id.clone(),
            name,
            thumbprint: own.fingerprint(),
            policies: own.policies(),
            until: own.not_after(),
            proved_at: shown.proved_at,
        })
    }

    /// Whether a certificate that was judged when its session began is still good: not expired, on no list.
    ///
    /// # Errors
    /// A [`Refusal`] `cert.expired` or `cert.revoked`. Lists that have run out end no session.
    pub fn recheck(&self, shown: &Shown, now: Timestamp) -> Result<(), Refusal> {
        let Some(thumbprint) = shown.thumbprint() else { return refuse("cert.missing", MISSING) };
        let lock = || self.good.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |at: Timestamp| at <= now && now.duration_since(at) < GOOD_FOR;
        if lock().get(&thumbprint).is_some_and(|at| fresh(*at)) {
            return Ok(());
        }
        if let Err(refusal) = self.path(shown, now)
            && ["cert.expired", "cert.revoked"].contains(&refusal.code)
        {
            return Err(refusal);
        }
        let mut good = lock();
        if good.len() >= GOOD_MAX {
            good.retain(|_, at| fresh(*at));
        }
        if good.len() < GOOD_MAX {
            good.insert(thumbprint, now);
        }
        Ok(())
    }

    /// The certificate and those above it, if it leads to an authority and may be used for this.
    fn path(
        &self,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<(Certificate, Vec<Certificate>), Refusal> {
        let malformed = || Refusal::new("cert.malformed", "what was shown is not a certificate");
        let Some((own, between)) = shown.certificates.split_first() else {
            return refuse("cert.missing", MISSING);
        };
        if shown.certificates.len() > CHAIN_MAX {
            return Err(malformed());
        }
        let own = Certificate::from_der(own).map_err(|_| malformed())?;
        let between: Result<Vec<_>, _> =
            between.iter().map(|one| Certificate::from_der(one)).collect();
        let between = between.map_err(|_| malformed())?;
        if !own.has_strong_key() {
            return refuse(
                "cert.key",
                "the key is neither RSA of 2048 bits or more nor P-256 nor P-384",
            );
        }
        let lists = self.lists();
        let demands = Demands {
            policies: &self.settings.policies,
            lists: self.settings.lists.then_some(&*lists),
            stale_max: self.settings.stale_max,
        };
        let above = self.authorities.follow(&own, &between, &demands, now);
        let above = above.map_err(|fault| Refusal::new(code(fault), fault.to_string()))?;
        let purposes = own.purposes();
        if !self.settings.purposes.iter().all(|one| purposes.contains(one)) || !own.allows_signing()
        {
            return refuse("cert.purpose", "the certificate does not state what it must be for");
        }
        Ok((own, above))
    }

    /// The one name that tells whose it is.
    fn name_of(&self, own: &Certificate) -> Result<String, Refusal> {
        let names = own.person_names();
        let found = match self.settings.named_by {
            NamedBy::Uuid => names.uuid,
            NamedBy::FascN => names.fasc_n,
            NamedBy::Upn => names.upn,
            NamedBy::Subject => vec![own.subject()],
        };
        let [name] = found.as_slice() else {
            return refuse(
                "cert.name",
                "the certificate does not name exactly one person in the way that is demanded",
            );
        };
        let spaces = self.settings.named_by == NamedBy::Subject;
        let sound = |c: char| !c.is_control() && (spaces || !c.is_whitespace());
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.chars().all(sound) {
            return refuse(
                "cert.name",
                "the name in the certificate is empty, too long, or not plain text",
            );
        }
        Ok(name.clone())
    }

    /// Asks the responder about the certificate, if there is one.
    async fn ask(
        &self,
        own: &Certificate,
        issuer: &Certificate,
        random: &dyn keys::Random,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (Some(rules), Some(responder)) = (&self.settings.responder, &self.responder) else {
            return Ok(());
        };
        let question = Question::new(own, issuer, rules.names, random);
        let question = question
            .or_else(|_| refuse("cert.ocsp.unreachable", "the question could not be made"))?;
        let answer = responder.ask(question.der().to_vec()).await.or_else(|error| {
            tracing::warn!(%error, provider = %self.settings.id, "an OCSP responder could not be asked");
            refuse("cert.ocsp.unreachable", "the responder could not be asked")
        })?;
        let status = question.read(&answer, issuer, rules.nonce_needed, now);
        match status.map_err(|unfit| Refusal::new(unfit_code(unfit), unfit.to_string()))? {
            Status::Good => Ok(()),
            Status::Revoked => {
                refuse("cert.revoked", "the responder says that the certificate is revoked")
            }
            Status::Unknown => {
                refuse("cert.ocsp.unknown", "the responder does not know the certificate")
            }
        }
    }
}

pub(super) const MISSING: &str = "no certificate was shown";

/// The oldest proof that a sign-in is built upon: a session would be over at once.
pub(super) fn is_old(proved_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(proved_at) >= SessionLimits::CJIS.absolute_max
}

fn code(fault: ChainFault) -> &'static str {
    match fault {
        ChainFault::Malformed => "cert.malformed",
        ChainFault::Expired => "cert.expired",
        ChainFault::NotYetValid => "cert.not_yet_valid",
        ChainFault::Issuer => "cert.issuer",
        ChainFault::Signature => "cert.signature",
        ChainFault::Purpose => "cert.purpose",
        ChainFault::NameConstraint => "cert.name_constraint",
        ChainFault::Policy => "cert.policy",
        ChainFault::Revoked => "cert.revoked",
        ChainFault::NoList => "cert.crl.missing",
        ChainFault::StaleList => "cert.crl.stale",
    }
}

fn unfit_code(unfit: Unfit) -> &'static str {
    match unfit {
        Unfit::Malformed => "cert.ocsp.malformed",
        Unfit::Unanswered => "cert.ocsp.unanswered",
        Unfit::OtherCertificate => "cert.ocsp.certificate",
        Unfit::Nonce => "cert.ocsp.nonce",
        Unfit::Signature => "cert.ocsp.signature",
        Unfit::Time => "cert.ocsp.time",
    }
}
