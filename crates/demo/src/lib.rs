//! The demo: two made-up agencies on loopback, their records, a pretended identity provider, and a
//! story that is played through the same pages that people use.
//!
//! Nothing of this crate serves a real agency.

pub mod idp;
pub mod seed;
pub mod story;
