//! The ledger's stories, in one program.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::too_many_lines,
    reason = "helpers of tests, which are for failing"
)]

mod archive;
mod background;
mod both;
mod both_disposal;
mod common;
mod conformance;
mod damage;
mod database;
mod disposal;
mod disposed;
mod events;
mod evidence;
mod faults;
mod formats;
mod indexed;
mod interleaved;
mod oracle;
mod python;
mod shared;
mod shared_capacity;
mod shared_disposal;
mod shared_failover;
mod shared_faults;
mod shared_import;
mod shared_objects;
mod shared_verify;
mod shared_witness;
mod stopped;
mod stories;
mod trees;
mod vectors;
mod verifying;
mod watched;
mod weights;
mod witness;
mod witness_foreign;
mod witness_policy;
mod witness_python;
mod wound_back;
