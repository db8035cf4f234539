//! OpenID Connect over HTTP, with a provider that others wrote: oidc-provider, with pushed requests, clients
//! that sign, and back-channel logout.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test that can not set its stage stops"
)]

mod back_channel;
mod sign_in;
mod signals;
mod stage;
