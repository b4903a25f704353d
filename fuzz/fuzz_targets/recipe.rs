//! Fuzzes the recipe decoder, and what it lets through put together.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kodo::repository::fuzzing::recipe(bytes));
