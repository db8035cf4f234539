//! Trusted time (RFC 3161, 5816): an authority's word that a parcel's signature was there at a time.
//!
//! The token lies beside the signature that it is over, and is added after sealing: whoever has it can add it, and who takes
//! it away takes away no more than that word. The request goes to the authority by whatever way the agency has; nothing
//! here opens a connection.

pub mod authority;
mod query;
mod token;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keys::cert::Certificate;
use keys::digest::sha384;

use self::query::imprint;
pub use self::query::{Declined, NotAPolicy, PolicyId, Query};
use self::token::{Info, check};
use crate::error::At;
use crate::store::Store;
use crate::target::put_in_place;
use crate::{Fault, Parcel, Refused, SKEW_SECONDS_MAX, bag};

/// The longest request and answer.
pub const STAMP_BYTES_MAX: u64 = 64 << 10;

/// What an authority says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// At this time the parcel's signature was there.
    pub at: Timestamp,
    pub authority: Certificate,
    /// Of the authority's answer as it came, SHA-256.
    pub digest: [u8; 32],
    /// The policy that it is under: the content of an OBJECT IDENTIFIER, DER.
    pub policy: Vec<u8>,
}

/// A request for a token over a parcel's signature, under a policy if one is named, with a fresh random nonce: DER, to be
/// sent as `application/timestamp-query`.
pub fn request(
    parcel: &Path,
    policy: Option<&PolicyId>,
    nonce: [u8; 16],
) -> Result<Vec<u8>, Refused> {
    let signature = signature_of(&Store::enter(parcel)?)?;
    Ok(query::write(&sha384(&signature), policy, nonce))
}

/// Checks an authority's answer: that it answers `request`, is over this parcel's signature and of a time from `since`
/// on, by one of `authorities` (their certificates, or those of CAs that issue them). Adds nothing.
pub fn judge(
    parcel: &Path,
    request: &[u8],
    answer: &[u8],
    authorities: &[Certificate],
    (since, now): (Timestamp, Timestamp),
) -> Result<Stamp, Refused> {
    let signature = signature_of(&Store::enter(parcel)?)?;
    let form = || Fault::Malformed("a request for this parcel's signature");
    let asked = Query::read(request).map_err(|_| form()).at("the request")?;
    if asked.imprint != imprint(&sha384(&signature)) || asked.nonce.is_none() {
        return Err(Refused::new("the request", form()));
    }
    let checked = check(answer, &signature, Some(&asked), authorities, now);
    let (stamp, known) = checked.at(bag::STAMP_FILE)?;
    if !known {
        return Err(unknown(&stamp));
    }
    let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
    if stamp.at.saturating_add(skew).is_ok_and(|latest| latest < since) {
        let fault = Fault::Stamp("its time is before it was asked for");
        return Err(Refused::new(bag::STAMP_FILE, fault));
    }
    Ok(stamp)
}

/// Lays an answer that was judged into a sealed folder, in the place of one that may be there. It is whole on the disk
/// before it has its name.
pub fn keep(parcel: &Path, answer: &[u8]) -> Result<(), Refused> {
    if !matches!(Store::enter(parcel)?, Store::Folder(_)) {
        let fault = Fault::Malformed("a folder: a token can't be added to a ZIP file");
        return Err(Refused::new(bag::STAMP_FILE, fault));
    }
    put_in_place(parcel, bag::STAMP_FILE, answer).map_err(Fault::Write).at(bag::STAMP_FILE)
}

/// Adds an authority's answer to a sealed folder, once all about it was checked as in [`judge`].
pub fn add(
    parcel: &Path,
    request: &[u8],
    answer: &[u8],
    authorities: &[Certificate],
    now: Timestamp,
) -> Result<Stamp, Refused> {
    let any_time = (Timestamp::UNIX_EPOCH, now);
    let stamp = judge(parcel, request, answer, authorities, any_time)?;
    if Store::enter(parcel)?.has(bag::STAMP_FILE) {
        return Err(Refused::new(
            bag::STAMP_FILE,
            Fault::Write(std::io::ErrorKind::AlreadyExists.into()),
        ));
    }
    keep(parcel, answer)?;
    Ok(stamp)
}

impl Stamp {
    /// Whether it is under this policy; any will do where none is named.
    pub fn is_under(&self, policy: Option<&PolicyId>) -> bool {
        policy.is_none_or(|policy| policy.content() == self.policy)
    }
}

impl Parcel {
    /// The time that an authority gave the parcel; `None` if no token came along. One that does not hold, or is by nobody of
    /// `authorities`, is refused.
    pub fn stamp(&self, authorities: &[Certificate]) -> Result<Option<Stamp>, Refused> {
        match self.stamp_by(authorities)? {
            Some((stamp, false)) => Err(unknown(&stamp)),
            found => Ok(found.map(|(stamp, _)| stamp)),
        }
    }

    /// As [`Parcel::stamp`]; the token of an authority that is none of `authorities` is given too, with `false`: it
    /// proves what that authority is worth.
    pub fn stamp_by(&self, authorities: &[Certificate]) -> Result<Option<(Stamp, bool)>, Refused> {
        let store = self.store();
        if !store.has(bag::STAMP_FILE) {
            return Ok(None);
        }
        let answer = store.read(bag::STAMP_FILE, STAMP_BYTES_MAX)?;
        let signature = signature_of(store)?;
        let found = check(&answer, &signature, None, authorities, self.trust.now);
        let (stamp, known) = found.at(bag::STAMP_FILE)?;
        let skew = SignedDuration::from_secs(SKEW_SECONDS_MAX);
        if stamp.at.saturating_add(skew).is_ok_and(|latest| latest < self.verified().signed_at) {
            let fault = Fault::Stamp("its time is before the signature's own");
            return Err(Refused::new(bag::STAMP_FILE, fault));
        }
        Ok(Some((stamp, known)))
    }

    /// As [`Parcel::stamp`], and a missing token is refused too.
    pub fn required_stamp(&self, authorities: &[Certificate]) -> Result<Stamp, Refused> {
        self.stamp(authorities)?.ok_or(Fault::Missing).at(bag::STAMP_FILE)
    }
}

/// The time that a token beside a parcel names, of which nothing was verified.
pub fn unverified(parcel: &Path) -> Result<Option<Timestamp>, Refused> {
    let store = Store::enter(parcel)?;
    if !store.has(bag::STAMP_FILE) {
        return Ok(None);
    }
    let answer = store.read(bag::STAMP_FILE, STAMP_BYTES_MAX)?;
    token::time_of(&answer).at(bag::STAMP_FILE).map(Some)
}

fn unknown(stamp: &Stamp) -> Refused {
    let (subject, fingerprint) = (stamp.authority.subject(), stamp.authority.fingerprint_text());
    Refused::new(bag::STAMP_FILE, Fault::Sender { subject, fingerprint })
}

fn signature_of(store: &Store) -> Result<Vec<u8>, Refused> {
    store.read(bag::SIGNATURE_FILE, crate::cms::signature::SIGNATURE_BYTES_MAX)
}

/// Any bytes as an answer, and as a request.
pub(crate) fn fuzz(data: &[u8]) {
    drop(check(data, b"signature", None, &[], Timestamp::UNIX_EPOCH));
    // What lies behind the imprint, which no change by chance gets past.
    token::fuzz(data);
    if let Some(info) = Info::read(data) {
        std::hint::black_box(info.at);
    }
    match Query::read(data) {
        Ok(query) => drop(std::hint::black_box(query.hash.to_vec())),
        Err(why) => drop(authority::decline(why)),
    }
}
