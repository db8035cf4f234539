//! Client certificates, all made by openssl: which of them count, and for which reason the others do not.
#![cfg(test)]

mod judged;
mod ocsp;
mod stage;
