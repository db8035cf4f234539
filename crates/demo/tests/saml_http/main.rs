//! SAML over HTTP: the pages of an agency with the pretended answers of the verifier's own tests, and with
//! identity providers that others wrote.
#![cfg(test)]
#![expect(
    clippy::string_slice,
    clippy::type_complexity,
    reason = "a test that can not set its stage stops"
)]

mod administered;
mod cards;
mod certificates;
#[expect(dead_code, reason = "the verifier's tests use the rest")]
#[path = "../../../identity/tests/saml/common.rs"]
mod common;
mod devices;
#[path = "../it/download.rs"]
mod download;
#[path = "../../../identity/tests/saml/encrypted.rs"]
mod encrypted;
mod faults;
#[path = "../it/film.rs"]
mod film;
#[path = "../../../identity/tests/saml/forge.rs"]
mod forge;
#[path = "../../../identity/tests/saml/generated.rs"]
mod generated;
#[path = "../../../identity/tests/saml/generated_parts.rs"]
mod generated_parts;
#[path = "../../../identity/tests/saml/generated_profile.rs"]
mod generated_profile;
mod keys;
mod log_out;
mod peers;
mod providers;
mod proxied;
mod races;
mod refusals;
mod revoked;
mod scim;
mod scim_trainings;
mod stage;
mod tending;
mod wizard;
