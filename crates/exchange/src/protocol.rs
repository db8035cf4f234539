//! What two agencies say to each other while a parcel is delivered, in JSON. To the byte in
//! `docs/formats/delivery.md`. Both ends of the protocol use these types, and unknown fields are refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::gaps::CarriedNumber;

/// The version of the protocol.
pub(crate) const PROFILE: &str = "bailiwick-delivery/1.0";
pub(crate) const ROOT: &str = "/v1/parcels";
pub(crate) const NOTICES: &str = "/v1/notices";
pub(crate) const RECEIPTS: &str = "/v1/receipts";
/// The longest signed notice on its way.
pub(crate) const NOTICE_BODY_BYTES_MAX: usize = 256 << 10;
/// An offer's longest JSON: the manifest of a million parts in Base64 would be 120 MB, of 250,000 parts
/// (16 TB) 30 MB.
pub(crate) const OFFER_BYTES_MAX: usize = 32 << 20;
/// The longest answer.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 << 20;
pub(crate) const JSON: &str = "application/json";
pub(crate) const PART: &str = "application/pkcs7-mime";
/// RFC 9530.
pub(crate) const REPR_DIGEST: &str = "repr-digest";

/// `POST /v1/parcels`: announces a parcel with everything but its parts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Offer {
    pub(crate) profile: String,
    pub(crate) exchange: Uuid,
    /// The exchange's number in the sender's sequence for this partner, from 1.
    pub(crate) number: u64,
    pub(crate) parcel: Uuid,
    /// SHA-256 of the outer tag manifest, hex.
    pub(crate) digest: String,
    /// ORIs.
    pub(crate) sender: String,
    pub(crate) recipient: String,
    pub(crate) agreement: String,
    /// The sender's record of the sending.
    pub(crate) ledger: LedgerPlace,
    /// When the offer ends, if it does: what is not whole by then is dropped on both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    /// Numbers before this one that go another way than the push.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) carried: Vec<CarriedNumber>,
    /// The outer bag's files that are not parts, Base64 (RFC 4648).
    pub(crate) files: BTreeMap<String, String>,
}

/// An entry of a ledger, and a signed checkpoint that covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerPlace {
    pub(crate) entry: u64,
    /// Hex.
    pub(crate) leaf: String,
    /// A C2SP signed note.
    pub(crate) checkpoint: String,
}

/// Every answer but errors that come before there is an exchange.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) exchange: Uuid,
    pub(crate) state: AnswerState,
    /// Parts that are still to come, as closed ranges, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<[u64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<SignedText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AnswerState {
    Receiving,
    Verifying,
    Received,
    Refused,
    /// The sender took it back, or let its offer end.
    Recalled,
    Expired,
}

/// The answer to `POST /v1/notices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticeAnswer {
    pub(crate) number: u64,
    /// The record of the notice in the ledger of whoever was told.
    pub(crate) ledger: LedgerPlace,
    /// How far the parcel had come there, for a notice of the parcel's sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stood: Option<String>,
    /// The receipt, where there is one: the sender may not have it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<SignedText>,
}

/// A signed receipt, or a signed notice, on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignedText {
    /// `receipt.json` or `notice.json`, as it was signed.
    pub(crate) json: String,
    /// Its detached CMS signature, Base64 of DER.
    pub(crate) signature: String,
}

/// Where a parcel doesn't hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(crate) place: String,
    pub(crate) reason: String,
    /// The receiver's ledger entry.
    pub(crate) entry: u64,
}

/// An error, in the manner of RFC 9457.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// A word to go by: `not-a-partner`, `bad-offer`, `unknown-exchange`, `conflict`, `quota`, `disk`,
    /// `unrecorded`, `certificate-revoked`, `bad-part`, `unknown-path`, `expired`, `bad-notice`.
    pub(crate) code: String,
    pub(crate) detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<u64>,
}

/// Numbers as closed ranges; the numbers must ascend.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<[u64; 2]> {
    let mut ranges: Vec<[u64; 2]> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some([_, last]) if number == *last + 1 => *last = number,
            Some(_) | None => ranges.push([number, number]),
        }
    }
    ranges
}

/// The numbers below `limit` of closed ranges. `None`: the ranges make no sense.
pub(crate) fn numbers(ranges: &[[u64; 2]], limit: u64) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut least = 0;
    for [first, last] in ranges {
        if *first < least || first > last || *last >= limit {
            return None;
        }
        numbers.extend(*first..=*last);
        least = last + 1;
    }
    Some(numbers)
}

/// `sha-256=:…:` (RFC 9530, RFC 8941).
pub(crate) fn repr_digest(digest: &[u8; 32]) -> String {
    format!("sha-256=:{}:", BASE64.encode(digest))
}

/// The SHA-256 of a `Repr-Digest` field; other algorithms beside it are passed over.
pub(crate) fn read_repr_digest(field: &str) -> Option<[u8; 32]> {
    let of = |member: &str| {
        let text = member.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        BASE64.decode(text).ok()?.try_into().ok()
    };
    field.split(',').find_map(of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_being_written_as_ranges(set in prop::collection::btree_set(0_u64..500, 0..80)) {
            let given: Vec<u64> = set.into_iter().collect();
            prop_assert_eq!(numbers(&ranges(given.iter().copied()), 500), Some(given));
        }

        #[test]
        fn a_digest_survives_its_header(digest: [u8; 32]) {
            prop_assert_eq!(read_repr_digest(&repr_digest(&digest)), Some(digest));
        }

        #[test]
        fn any_header_is_read_or_refused(text in ".{0,80}") {
            let _ignored: Option<[u8; 32]> = read_repr_digest(&text);
        }
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for bad in [vec![[3, 2]], vec![[0, 5], [5, 6]], vec![[4, 5], [1, 2]], vec![[0, 10]]] {
            assert_eq!(numbers(&bad, 10), None, "{bad:?}");
        }
        assert_eq!(numbers(&[[0, u64::MAX]], 10), None);
    }

    #[test]
    fn the_header_of_the_rfc_is_understood_among_others() {
        let field = "sha-512=:AAAA:, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        assert_eq!(read_repr_digest(field), Some(keys::digest::sha256(b"")));
        assert_eq!(read_repr_digest("sha-256=47DEQpj8"), None);
        assert_eq!(read_repr_digest("sha-256=:AAAA:"), None);
    }
}
