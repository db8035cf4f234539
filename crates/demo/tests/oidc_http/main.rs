//! OpenID Connect over HTTP, with a provider that others wrote: oidc-provider, with pushed requests, clients
//! that sign, and back-channel logout.
#![expect(clippy::unwrap_used, reason = "a test that can not set its stage stops")]

mod back_channel;
mod sign_in;
mod stage;
