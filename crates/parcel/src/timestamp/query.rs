//! A request for a token (RFC 3161 TimeStampReq): written by who asks, read by who answers.

use std::fmt;
use std::str::FromStr;

use crate::asn1::{BOOLEAN, CONTEXT_0, Der, INTEGER, OCTET_STRING, OID, SEQUENCE, element};
use crate::cms::{algorithm, oid, small_integer};

pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
pub(super) const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
/// NULL, as an algorithm's parameters.
const NULL: &[u8] = &[5, 0];
/// The longest nonce, and the longest name of a policy, in bytes.
const NONCE_BYTES_MAX: usize = 64;
const POLICY_BYTES_MAX: usize = 64;

/// The name of a time-stamp policy: an object identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyId {
    text: String,
    content: Vec<u8>,
}

/// Why a text is not the name of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an object identifier such as `1.3.6.1.4.1.99999.1`")]
pub struct NotAPolicy;

impl PolicyId {
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PolicyId {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        let number = |arc: &str| {
            let plain = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
            let shortest = arc == "0" || !arc.starts_with('0');
            arc.parse::<u32>().ok().filter(|_| plain && shortest)
        };
        let arcs: Option<Vec<u32>> = text.split('.').map(number).collect();
        let arcs = arcs.ok_or(NotAPolicy)?;
        let [first, second, rest @ ..] = arcs.as_slice() else { return Err(NotAPolicy) };
        if *first > 2 || (*first < 2 && *second > 39) || rest.is_empty() {
            return Err(NotAPolicy);
        }
        let start = u64::from(*first) * 40 + u64::from(*second);
        let mut content = Vec::new();
        for arc in std::iter::once(start).chain(rest.iter().map(|arc| u64::from(*arc))) {
            content.extend(base_128(arc));
        }
        if content.len() > POLICY_BYTES_MAX {
            return Err(NotAPolicy);
        }
        Ok(Self { text: text.to_owned(), content })
    }
}

/// Seven bits a byte, all but the last marked.
fn base_128(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        bytes.push(if bytes.is_empty() { low } else { low | 0x80 });
        number >>= 7;
        if number == 0 {
            break;
        }
    }
    bytes.reverse();
    bytes
}

/// Why a request is not answered with a token: the bit of PKIFailureInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    #[error("it is no time-stamp request that can be read")]
    Form = 5,
    #[error("its hash is by an algorithm that is not taken; SHA-256, SHA-384 and SHA-512 are")]
    Algorithm = 0,
    #[error("it asks for another policy")]
    Policy = 15,
    #[error("it has an extension, and none is known")]
    Extension = 16,
    #[error("no token can be given now")]
    Failure = 25,
}

/// A request, as far as it is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// MessageImprint, whole: it goes into the token as it is.
    pub(super) imprint: &'a [u8],
    pub(super) algorithm: &'a [u8],
    /// The hash that is to be stamped.
    pub hash: &'a [u8],
    pub(super) policy: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) wants_certificate: bool,
}

impl<'a> Query<'a> {
    /// Reads a request, DER, with nothing after it.
    ///
    /// # Errors
    /// Why it can't be answered.
    pub fn read(request: &'a [u8]) -> Result<Self, Declined> {
        let (query, extended) = Self::parse(request).ok_or(Declined::Form)?;
        let length = match query.algorithm {
            SHA256 => 32,
            oid::SHA384 => 48,
            SHA512 => 64,
            _ => return Err(Declined::Algorithm),
        };
        match (query.hash.len() == length, extended) {
            (false, _) => Err(Declined::Form),
            (true, true) => Err(Declined::Extension),
            (true, false) => Ok(query),
        }
    }

    /// The same, whatever policy it asks for. For tests of those who must notice.
    #[doc(hidden)]
    #[must_use]
    pub fn under_any_policy(self) -> Self {
        Self { policy: None, ..self }
    }

    /// The request, and whether it has extensions.
    fn parse(request: &'a [u8]) -> Option<(Self, bool)> {
        let mut whole = Der(request);
        let mut asked = whole.enter(SEQUENCE)?;
        whole.end()?;
        asked.take(INTEGER).filter(|version| *version == [1])?;
        let imprint = asked.take_whole(SEQUENCE)?;
        let mut parts = Der(imprint).enter(SEQUENCE)?;
        let mut method = parts.enter(SEQUENCE)?;
        let algorithm = method.take(OID)?;
        if !(method.is_empty() || method.0 == NULL) {
            return None;
        }
        let hash = parts.take(OCTET_STRING)?;
        parts.end()?;
        let policy = asked.take(OID);
        let nonce = asked.take(INTEGER);
        let fits =
            |bytes: Option<&[u8]>, most| bytes.is_none_or(|it| (1..=most).contains(&it.len()));
        // It is given back as it came, in what has to be DER.
        let is_shortest =
            |nonce: &[u8]| !matches!(nonce, [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..]);
        if !fits(policy, POLICY_BYTES_MAX)
            || !fits(nonce, NONCE_BYTES_MAX)
            || !nonce.is_none_or(is_shortest)
        {
            return None;
        }
        let wants_certificate = match asked.take(BOOLEAN) {
            None => false,
            Some([0xff]) => true,
            // FALSE is the default, which DER leaves out; openssl does too.
            Some(_) => return None,
        };
        let extended = asked.take(CONTEXT_0).is_some();
        asked.end()?;
        Some((Self { imprint, algorithm, hash, policy, nonce, wants_certificate }, extended))
    }
}

/// MessageImprint of this SHA-384.
pub(super) fn imprint(hash: &[u8; 48]) -> Vec<u8> {
    element(SEQUENCE, &[&algorithm(oid::SHA384, &[]), &element(OCTET_STRING, &[hash])])
}

/// A request for a token over this SHA-384, with the authority's certificate in it.
pub(super) fn write(hash: &[u8; 48], policy: Option<&PolicyId>, mut nonce: [u8; 16]) -> Vec<u8> {
    // A positive number of 16 bytes.
    if let Some(first) = nonce.first_mut() {
        *first = *first & 0x3f | 0x40;
    }
    let policy = policy.map(|policy| element(OID, &[policy.content()])).unwrap_or_default();
    element(
        SEQUENCE,
        &[
            &small_integer(1),
            &imprint(hash),
            &policy,
            &element(INTEGER, &[&nonce]),
            &element(BOOLEAN, &[&[0xff]]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_policy_is_an_object_identifier() {
        let known: PolicyId = "1.2.840.113549.1.9.16.1.4".parse().unwrap();
        assert_eq!(known.content(), super::super::token::TST_INFO);
        for bad in ["", "1.2", "1", "3.1.1", "1.40.1", "1.2.03", "1.2.", "a.b.c", "1.2.99999999999"]
        {
            assert_eq!(bad.parse::<PolicyId>(), Err(NotAPolicy), "{bad}");
        }
    }

    #[test]
    fn a_request_survives_being_written() {
        let policy: PolicyId = "2.5.29.32.0".parse().unwrap();
        let written = write(&[7; 48], Some(&policy), [0xff; 16]);
        let read = Query::read(&written).unwrap();
        assert_eq!((read.hash, read.policy), (&[7; 48][..], Some(policy.content())));
        assert_eq!(read.nonce.unwrap().len(), 16);
        assert!(read.wants_certificate);
        for end in 0..written.len() {
            assert_eq!(Query::read(&written[..end]), Err(Declined::Form), "cut at {end}");
        }
    }
}
