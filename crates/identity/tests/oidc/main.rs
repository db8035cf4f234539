//! OpenID Connect sign-in against a pretended provider that signs what it is told to: every check is reached,
//! and refuses for its own reason. A real provider is met in `crates/demo/tests`.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "a test that can not set its stage stops"
)]

mod cases;
mod discovery;
mod jose;
mod logout;
mod provider;
mod sign_in;
mod ssf;
