//! The pages, one module a subject. Each handler asks the gate before it shows anything.

pub mod audit;
pub mod certificates;
pub mod documents;
pub mod emergency;
pub mod exports;
pub mod guest;
pub mod guests;
pub mod home;
pub mod incoming;
pub mod joint;
pub mod ledger;
pub mod log_out;
mod looking;
pub mod mine;
mod notices;
pub mod oidc;
pub mod partners;
pub(crate) mod parts;
pub mod people;
pub mod providers;
pub mod redacting;
pub mod refusals;
pub mod retention;
mod seen;
pub mod sign_in;
pub mod ssf;
pub mod tools;
