//! Chance that can be repeated.

/// Where this run's chances come from: `KODO_TEST_SEED`, or the process; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("KODO_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    println!("KODO_TEST_SEED={seed}");
    seed
}
