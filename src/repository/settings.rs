//! How this agent writes into storages. No part of the format: agents of one storage may differ.

use anyhow::ensure;
use serde::Deserialize;

use super::format::ZSTD_LEVEL_DEFAULT;
use super::known::KnownBlobs;

const DEDUPE_INDEX_MB_MAX: usize = 1 << 20;

/// `[repository]`: how hard this agent compresses, and how much it remembers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepositoryConfig {
    /// What zstd is told, 1 to 19.
    pub zstd_level: i32,
    /// Memory for the blobs of one storage that are known to be stored, in MiB.
    pub dedupe_index_mb: usize,
}

impl Default for RepositoryConfig {
    fn default() -> Self {
        Self { zstd_level: ZSTD_LEVEL_DEFAULT, dedupe_index_mb: 64 }
    }
}

impl RepositoryConfig {
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!((1..=19).contains(&self.zstd_level), "repository.zstd_level must be 1 to 19");
        ensure!(
            (1..=DEDUPE_INDEX_MB_MAX).contains(&self.dedupe_index_mb),
            "repository.dedupe_index_mb must be 1 to {DEDUPE_INDEX_MB_MAX}"
        );
        Ok(())
    }

    /// What the packers of one storage in this agent are to share.
    pub fn packing(&self) -> Packing {
        Packing { zstd_level: self.zstd_level, known: KnownBlobs::new(self.dedupe_index_mb << 20) }
    }
}

/// What all packers of a storage in one agent share; clones share the index.
#[derive(Clone, Debug)]
pub struct Packing {
    pub(super) zstd_level: i32,
    pub(super) known: KnownBlobs,
}

impl Default for Packing {
    fn default() -> Self {
        RepositoryConfig::default().packing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_zstd_does_not_have_and_an_index_without_memory_are_refused_by_name() {
        RepositoryConfig::default().validate().unwrap();
        let of = |zstd_level, dedupe_index_mb| RepositoryConfig { zstd_level, dedupe_index_mb };
        for good in [of(1, 1), of(19, DEDUPE_INDEX_MB_MAX)] {
            good.validate().unwrap();
        }
        for (bad, key) in [
            (of(0, 64), "repository.zstd_level"),
            (of(20, 64), "repository.zstd_level"),
            (of(3, 0), "repository.dedupe_index_mb"),
            (of(3, DEDUPE_INDEX_MB_MAX + 1), "repository.dedupe_index_mb"),
        ] {
            assert!(bad.validate().unwrap_err().to_string().contains(key), "{bad:?}");
        }
    }
}
