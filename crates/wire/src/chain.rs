//! Whether a person's or a machine's certificate leads to an authority (RFC 5280, 6), by the validation that
//! TLS uses, asked for more than TLS asks: under which policy, issued by whom, on whose list of revoked ones.
//!
//! What the library does: signatures (SHA-2, RSA of 2048 bits or more, P-256 to P-521), dates, basic constraints, path length, name
//! constraints, extendedKeyUsage where it is there, critical extensions, lists with their scopes and signatures. What it
//! does not, and is done here: the dates of the authority itself, policies along the path, and when a list is in
//! force. What nobody does: policy mappings and constraints (critical ones are refused), delta and indirect lists.

use std::cell::Cell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keys::cert::Certificate;
use keys::cert::crl::Crl;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
    anchor_from_trusted_cert,
};

use crate::error::WireError;

/// Most certificates between a leaf and its authority that are looked at.
pub const INTERMEDIATES_MAX: usize = 8;
/// How far ahead of ours an issuer's clock may be.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// anyPolicy (RFC 5280, 4.2.1.4): an authority's word that it may issue under all.
const ANY_POLICY: &str = "2.5.29.32.0";

/// Why a certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    #[error("the certificate, or one above it, can't be read or holds what is not understood")]
    Malformed,
    #[error("the certificate, or one above it, has expired")]
    Expired,
    #[error("the certificate, or one above it, is not valid yet")]
    NotYetValid,
    #[error("no trusted authority issued the certificate")]
    Issuer,
    #[error("a signature on the path is wrong or uses an algorithm that is not accepted")]
    Signature,
    #[error("the certificate is not for this purpose")]
    Purpose,
    #[error("a name is outside of what an authority may issue")]
    NameConstraint,
    #[error("no policy that is accepted holds along the path")]
    Policy,
    #[error("the certificate, or one above it, is revoked")]
    Revoked,
    #[error("no list of revoked certificates covers the path")]
    NoList,
    #[error("the list of revoked certificates is out of date")]
    StaleList,
}

/// The authorities that are trusted.
pub struct Authorities {
    all: Vec<(Certificate, TrustAnchor<'static>)>,
}

/// Lists of revoked certificates, of the authorities and those under them.
#[derive(Default)]
pub struct Lists {
    all: Vec<List>,
}

struct List {
    from: Timestamp,
    until: Timestamp,
    list: CertRevocationList<'static>,
}

/// What is asked of a path beyond being one.
#[derive(Debug, Clone, Copy)]
pub struct Demands<'a> {
    /// Policies any of which must hold for the leaf and all above it, in dotted numbers; none: not asked for.
    pub policies: &'a [String],
    /// The lists to look in; none: not looked at.
    pub lists: Option<&'a Lists>,
    /// For how long after its end a list still counts.
    pub stale_max: SignedDuration,
}

impl std::fmt::Debug for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lists({})", self.all.len())
    }
}

impl Authorities {
    /// # Errors
    /// [`WireError::NoTrust`] for none, [`WireError::Authority`] for one that can't be an authority.
    pub fn new(authorities: &[Certificate]) -> Result<Self, WireError> {
        if authorities.is_empty() {
            return Err(WireError::NoTrust { of: "people" });
        }
        let anchor = |one: &Certificate| {
            let der = CertificateDer::from(one.der().to_vec());
            let anchor = anchor_from_trusted_cert(&der).ok().filter(|_| one.is_ca());
            let anchor = anchor.ok_or_else(|| WireError::Authority { subject: one.subject() })?;
            Ok((one.clone(), anchor.to_owned()))
        };
        Ok(Self { all: authorities.iter().map(anchor).collect::<Result<_, WireError>>()? })
    }

    /// Follows the path from `leaf`, with what its holder showed, to an authority. Gives those above it, the
    /// issuer first and the authority last.
    ///
    /// # Errors
    /// The [`ChainFault`] of the most promising path.
    pub fn follow(
        &self,
        leaf: &Certificate,
        shown: &[Certificate],
        demands: &Demands<'_>,
        at: Timestamp,
    ) -> Result<Vec<Certificate>, ChainFault> {
        if shown.len() > INTERMEDIATES_MAX {
            return Err(ChainFault::Malformed);
        }
        let now = u64::try_from(at.as_second()).map_err(|_| ChainFault::NotYetValid)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        // The library takes an authority's word for ever; its certificate says until when.
        let valid = self.all.iter().filter(|(one, _)| one.check_validity(at).is_ok());
        let anchors: Vec<TrustAnchor<'_>> = valid.map(|(_, anchor)| anchor.clone()).collect();
        if anchors.is_empty() {
            return Err(ChainFault::Expired);
        }
        let leaf_der = CertificateDer::from(leaf.der());
        let parsed = EndEntityCert::try_from(&leaf_der).map_err(|error| fault(&error))?;
        let between: Vec<CertificateDer<'_>> =
            shown.iter().map(|one| CertificateDer::from(one.der())).collect();
        let in_force = demands.lists.map(|lists| lists.in_force(demands.stale_max, at));
        let revocation = match &in_force {
            Some((lists, _)) => match RevocationOptionsBuilder::new(lists) {
                Ok(builder) => Some(
                    builder
                        .with_depth(RevocationCheckDepth::Chain)
                        .with_status_policy(UnknownStatusPolicy::Deny)
                        // Judged above, where a list may be allowed to count for longer.
                        .with_expiration_policy(ExpirationPolicy::Ignore)
                        .build(),
                ),
                Err(_) => {
                    return Err(without_lists(in_force.as_ref().is_some_and(|(_, stale)| *stale)));
                }
            },
            None => None,
        };
        let against_policy = Cell::new(false);
        let by_policy = |path: &VerifiedPath<'_>| {
            let holds = policy_holds(leaf, path, demands.policies);
            if !holds {
                against_policy.set(true);
            }
            if holds { Ok(()) } else { Err(Error::UnknownIssuer) }
        };
        let algorithms = rustls::crypto::default_fips_provider().signature_verification_algorithms;
        let usage = KeyUsage::client_auth();
        let found = parsed.verify_for_usage(
            algorithms.all,
            &anchors,
            &between,
            now,
            usage,
            revocation,
            Some(&by_policy),
        );
        match found {
            Ok(path) => self.above(&path).ok_or(ChainFault::Malformed),
            Err(_) if against_policy.get() => Err(ChainFault::Policy),
            Err(Error::UnknownRevocationStatus) => {
                Err(without_lists(in_force.is_some_and(|(_, stale)| stale)))
            }
            Err(error) => Err(fault(&error)),
        }
    }

    fn above(&self, path: &VerifiedPath<'_>) -> Option<Vec<Certificate>> {
        let between = path.intermediate_certificates().map(|one| Certificate::from_der(&one.der()));
        let mut above: Vec<Certificate> = between.collect::<Result<_, _>>().ok()?;
        let anchor = self.all.iter().find(|(_, anchor)| anchor == path.anchor())?;
        above.push(anchor.0.clone());
        Some(above)
    }
}

impl Lists {
    /// # Errors
    /// [`WireError::List`] for one that can't be used: a delta or an indirect list, or one with unknown critical extensions.
    pub fn new(lists: Vec<Crl>) -> Result<Self, WireError> {
        let taken = |one: Crl| {
            let list = OwnedCertRevocationList::from_der(&one.der).map_err(|source| {
                WireError::List { issuer: one.issuer, source: Box::new(source) }
            })?;
            Ok(List { from: one.this_update, until: one.next_update, list: list.into() })
        };
        Ok(Self { all: lists.into_iter().map(taken).collect::<Result<_, WireError>>()? })
    }

    /// When the first of them runs out; none if there is no list.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.all.iter().map(|one| one.until).min()
    }

    /// The lists that count at a time, and whether there are others.
    fn in_force(
        &self,
        stale_max: SignedDuration,
        at: Timestamp,
    ) -> (Vec<&CertRevocationList<'static>>, bool) {
        let counts = |one: &&List| {
            let until = one.until.saturating_add(stale_max).unwrap_or(one.until);
            one.from <= at.saturating_add(SKEW).unwrap_or(at) && at <= until
        };
        let lists: Vec<_> = self.all.iter().filter(counts).map(|one| &one.list).collect();
        let others = lists.len() < self.all.len();
        (lists, others)
    }
}

/// Whether one of the policies holds from the authority down: each certificate on the path is under it, those above
/// the leaf under any.
fn policy_holds(leaf: &Certificate, path: &VerifiedPath<'_>, accepted: &[String]) -> bool {
    if accepted.is_empty() {
        return true;
    }
    let above: Option<Vec<Vec<String>>> = path
        .intermediate_certificates()
        .map(|one| Certificate::from_der(&one.der()).ok().map(|one| one.policies()))
        .collect();
    let Some(above) = above else { return false };
    let leaf = leaf.policies();
    accepted.iter().filter(|policy| leaf.contains(policy)).any(|policy| {
        above.iter().all(|one| one.iter().any(|held| held == policy || held == ANY_POLICY))
    })
}

fn without_lists(stale: bool) -> ChainFault {
    if stale { ChainFault::StaleList } else { ChainFault::NoList }
}

fn fault(error: &Error) -> ChainFault {
    match error {
        Error::CertExpired { .. } => ChainFault::Expired,
        Error::CertNotValidYet { .. } => ChainFault::NotYetValid,
        Error::CertRevoked => ChainFault::Revoked,
        Error::UnknownIssuer | Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => {
            ChainFault::Issuer
        }
        Error::CaUsedAsEndEntity
        | Error::RequiredEkuNotFoundContext(_)
        | Error::EmptyEkuExtension => ChainFault::Purpose,
        Error::NameConstraintViolation | Error::MaximumNameConstraintComparisonsExceeded => {
            ChainFault::NameConstraint
        }
        Error::InvalidSignatureForPublicKey
        | Error::SignatureAlgorithmMismatch
        | Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => ChainFault::Signature,
        Error::InvalidCrlSignatureForPublicKey
        | Error::IssuerNotCrlSigner
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => ChainFault::NoList,
        _ => ChainFault::Malformed,
    }
}
