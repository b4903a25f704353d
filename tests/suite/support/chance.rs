//! Chance that can be repeated.

/// Where this run's chances come from: `KODO_TEST_SEED`, or the process; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = std::env::var("KODO_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    println!("KODO_TEST_SEED={seed}");
    seed
}

/// A small generator of our own: the sequence must be the same for a seed in every version of every library.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
