//! Fuzzes header, trailer, index, frames and records of a pack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kodo::repository::fuzzing::pack(bytes));
