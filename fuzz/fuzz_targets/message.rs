//! Fuzzes the MIME splitter, taking messages apart and putting them together.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kodo::repository::fuzzing::message(bytes));
