//! The parcel's stories, with stock tools as the second implementation.
#![expect(clippy::unwrap_used, reason = "test helpers stop at the first surprise")]
#![expect(clippy::print_stderr, reason = "a skipped check says so")]
#![expect(clippy::indexing_slicing, reason = "tests know their lengths")]

mod bouncycastle;
mod faults;
mod looking;
mod odd;
mod one_file;
mod papers;
mod plain_bags;
mod resume;
mod roundtrip;
mod rsa;
mod same;
mod scanned;
mod stock_tools;
mod story;
mod strictness;
mod support;
mod trusted_time;
mod vectors;
