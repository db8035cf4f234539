//! One program for each target; which one, its name says.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = fuzz_targets::named(env!("CARGO_BIN_NAME"));
    (target.expect("every program is named after a target").run)(data);
});
