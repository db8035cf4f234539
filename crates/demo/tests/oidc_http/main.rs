//! OpenID Connect over HTTP, with a provider that others wrote: oidc-provider, with pushed requests, clients
//! that sign, and back-channel logout.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that can not set its stage stops"
)]

mod back_channel;
#[path = "../../../identity/tests/oidc/cases.rs"]
mod cases;
#[expect(dead_code, reason = "sessions whose time is over are told of elsewhere")]
#[path = "../it/download.rs"]
mod download;
#[path = "../it/film.rs"]
mod film;
mod forged;
mod negative;
mod polled;
mod revoked;
mod sign_in;
mod signals;
mod stage;
mod trial;
