//! SAML over HTTP: the pages of an agency with the pretended answers of the verifier's own tests, and with
//! identity providers that others wrote.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "a test that can not set its stage stops")]

#[expect(dead_code, reason = "the verifier's tests use the rest")]
#[path = "../../../identity/tests/saml/common.rs"]
mod common;
mod keys;
mod providers;
mod stage;
