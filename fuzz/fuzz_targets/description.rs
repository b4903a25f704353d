//! Fuzzes STORE.json, key files and recovery keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kodo::repository::fuzzing::description(bytes));
