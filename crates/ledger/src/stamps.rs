//! Events about time stamps (RFC 3161): of parcels, and those that we give as an authority.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A token over a parcel's signature: one that we asked for, or one that came with a partner's parcel. `token` is the
/// SHA-256 of the authority's answer; `known` says whether the authority is one that we were told to believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelStamped {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub at: Timestamp,
    pub authority: String,
    pub fingerprint: String,
    pub token: String,
    pub known: bool,
}

/// A parcel that goes without a time stamp, as the configuration lets it, for none could be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelUnstamped {
    pub exchange: String,
    pub parcel: String,
    pub partner: String,
    pub reason: String,
}

/// A token that we give: recorded before it leaves. `hash` is what was stamped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampIssued {
    pub partner: String,
    pub serial: String,
    pub at: Timestamp,
    pub hash: String,
    pub token: String,
}
