//! A catalog of many item versions, and questions to it. Nothing of it lies in a storage: only MariaDB is measured.

mod ask;
mod make;
mod write;

use std::time::Instant;

use anyhow::Context;
use kodo::catalog::ChainKey;
use kodo::config::Config;
use kodo::db::Db;
use kodo::ids::{ResourceId, StorageId};
use serde_json::{Value, json};

use make::{FEATURES, Language};

pub use ask::ask;
pub use write::How;

/// Users that are written at the same time, as a rebuild writes two chains.
const AT_ONCE: usize = 2;

/// Writes about so many versions.
pub async fn fill(config: &Config, db: &Db, seed: u64, versions: u32, how: How) -> anyhow::Result<Value> {
    let users = make::users(seed, versions);
    let from = Instant::now();
    let mut written = 0;
    for (at, together) in (1..).step_by(AT_ONCE).zip(users.chunks(AT_ONCE)) {
        let begun: Vec<_> =
            (at..).zip(together).map(|(n, size)| tokio::spawn(user(db.clone(), seed, n, *size, how))).collect();
        for user in begun {
            written += user.await.context("a user was not written")??;
        }
    }
    Ok(json!({
        "versions": written,
        "users": users.len(),
        "seconds": (from.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        "buffer_pool_mb": config.database.managed_buffer_pool_mb,
    }))
}

async fn user(db: Db, seed: u64, number: u32, versions: u32, how: How) -> anyhow::Result<u32> {
    let language = Language::new(seed);
    let mut written = 0;
    for (feature, share) in FEATURES {
        let items = make::items(&language, seed, (number, feature), versions * share / 100);
        let key = ChainKey {
            resource: ResourceId::new(number),
            feature: feature.parse().context("features have plain names")?,
            storage: StorageId::new(1),
        };
        written += write::chain(&db, key, items, how).await?;
    }
    Ok(written)
}
