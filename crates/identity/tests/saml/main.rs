//! Stories of SAML sign-in: what is accepted, what is refused and for which reason, and what a session
//! does afterwards. One binary, so that it is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::type_complexity,
    reason = "a test that can not set its stage stops"
)]
#![expect(clippy::print_stderr, reason = "tests beside others' programs say what they ran")]

mod attacks;
mod canonical;
mod common;
mod corpus;
mod encrypted;
mod forge;
mod functions;
mod generated;
mod generated_parts;
mod generated_profile;
mod judged;
mod profile;
mod second_judge;
mod service;
mod sign_in;
mod trust;
