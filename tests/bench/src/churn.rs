//! Backs up, gives up and frees space at once, over and over until it is killed; and proves afterwards that all is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use kodo::catalog::expiry::{Pace, Step, Sweep};
use kodo::catalog::{self, Chain, VersionRow};
use kodo::db::{Conn, TxError};
use kodo::ids::{ChainId, PointNumber, StorageId, VersionNumber, WriterId};
use kodo::repository::collect::{Assert, Limits};
use kodo::repository::{self, ChainIdentity, CommitRefused, Record, record};
use kodo::workers::CatalogItems;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::ground::Ground;
use crate::ingest::{back_up, identity_of};
use crate::share::{Share, shares};

/// Nothing waits before it is deleted, which is the hardest that collection can be on what is written meanwhile.
const AT_ONCE: Limits = Limits {
    grace: Duration::ZERO,
    file_delay: Duration::ZERO,
    silence: Duration::from_secs(3600),
    memory_bytes: 1 << 20,
    rewrite_bytes: 1 << 40,
};
/// Backups that run beside a collection.
const AT_A_TIME: usize = 3;
const CHAINS_MAX: u32 = 100_000;
const PAGE_ROWS: u32 = 1000;

/// Goes on until it is killed, and sees to what the one before it left, as an agent does.
pub async fn run(ground: Ground, dir: &Path, seed: u64) -> anyhow::Result<Value> {
    let storage = ground.storage();
    let mark = move |conn: &mut Conn| repository::mark_dead_writers(conn, storage, Duration::ZERO);
    ground.db.run("end the writer before", mark).await?;
    let writer = ground.register().await?;
    let shares = shares(dir)?;
    let mut dice = StdRng::seed_from_u64(seed);
    loop {
        let mut backups = JoinSet::new();
        for (number, share) in shares.choose_multiple(&mut dice, AT_A_TIME) {
            let (ground, number, share) = (ground.clone(), *number, share.clone());
            let salt: u64 = dice.random();
            backups.spawn(async move { back_up(&ground, writer, number, share, |path| is_gone(path, salt)).await });
        }
        give_up(&ground, writer, &shares).await?;
        collect(&ground, writer).await?;
        while let Some(ended) = backups.join_next().await {
            match ended? {
                Err(err) if !was_collected(&err) => return Err(err),
                // The next backup of the share goes on with the point.
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Whether a backup built on content that was collected meanwhile.
fn was_collected(err: &anyhow::Error) -> bool {
    matches!(err.downcast_ref(), Some(TxError::Refused(CommitRefused::ReusedBlobGone(_))))
}

/// Every other file, and others each time.
fn is_gone(path: &Path, salt: u64) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    let mixed = name.iter().fold(salt, |mixed, byte| (mixed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    mixed >> 63 == 1
}

/// Gives up all points but the newest of each chain, and deletes what only they needed.
async fn give_up(ground: &Ground, writer: WriterId, shares: &[(u32, Share)]) -> anyhow::Result<()> {
    let mut packer = ground.store.packer(ground.db.clone(), writer);
    let mut leaving = Vec::new();
    for chain in chains(ground).await? {
        let (id, newest) = (chain.id, PointNumber::new(chain.last_point));
        let older = move |conn: &mut Conn| catalog::points::sealed(conn, id, newest, PAGE_ROWS);
        let points: Vec<PointNumber> =
            ground.db.run("list older points", older).await?.into_iter().map(|(point, _)| point).collect();
        if points.is_empty() {
            continue;
        }
        let number = chain.key.resource.get();
        let share = shares.iter().find(|(of, _)| *of == number).context("every chain is of a share")?;
        let identity: Arc<ChainIdentity> = Arc::new(identity_of(&share.1));
        let expire = record::Expire { points: points.iter().map(|point| point.get()).collect() };
        packer.add_record(&identity, newest, Record::Expire(expire));
        leaving.push((id, points));
    }
    let flushed = packer.flush().await?;
    let storage = ground.storage();
    let told = leaving.clone();
    let telling = ground.db.transaction::<_, CommitRefused, _>("give up restore points", move |conn| {
        repository::commit(conn, storage, writer, &flushed)?;
        for (chain, points) in &told {
            catalog::points::expire(conn, *chain, points)?;
        }
        Ok(())
    });
    telling.await?;
    for chain in chains(ground).await? {
        let mut sweep = Sweep::of(chain.id, Pace::default());
        loop {
            let step =
                ground.db.transaction::<_, std::convert::Infallible, _>("delete what was given up", move |conn| {
                    Ok(sweep.step(conn)?)
                });
            match step.await? {
                Step::More(next) => sweep = next,
                Step::Done(_) => break,
            }
        }
    }
    Ok(())
}

/// All steps of a collection, in the order of its task.
async fn collect(ground: &Ground, writer: WriterId) -> anyhow::Result<()> {
    let held: Assert = Arc::new(|_: &mut Conn| Ok(()));
    let mut collection = ground.store.collection(ground.db.clone(), writer, CatalogItems, held, AT_ONCE);
    collection.discard_orphans().await?;
    collection.delete_files().await?;
    while let Some(marked) = collection.scan().await? {
        collection.settle(&marked).await?;
        collection.compact(&marked).await?;
    }
    Ok(collection.delete_files().await?)
}

/// Reads every version that the catalog knows, whichever point it belongs to.
pub async fn prove(ground: &Ground) -> anyhow::Result<Value> {
    let reader = ground.store.reader(ground.db.clone());
    let (mut n_versions, mut bytes) = (0u64, 0u64);
    for chain in chains(ground).await? {
        let mut after = VersionNumber::NONE;
        loop {
            let (id, behind) = (chain.id, after);
            let scan = move |conn: &mut Conn| catalog::items::scan(conn, id, behind, PAGE_ROWS);
            let rows: Vec<VersionRow> = ground.db.run("read versions", scan).await?;
            let Some(last) = rows.last() else { break };
            after = last.number;
            for VersionRow { version, .. } in &rows {
                reader.read(version.properties.pack, version.properties.blob).await?;
                let content = version.content.context("a stored file has content")?;
                let read = reader.content(content.pack, content.blob, u64::MAX).await?;
                ensure!(read.len() as u64 == version.bytes, "{} has another length", version.name);
                n_versions += 1;
                bytes += version.bytes;
            }
        }
    }
    Ok(json!({ "versions": n_versions, "bytes": bytes }))
}

async fn chains(ground: &Ground) -> anyhow::Result<Vec<Chain>> {
    let storage: StorageId = ground.storage();
    let list = move |conn: &mut Conn| catalog::chains::of_storage(conn, storage, ChainId::new(0), CHAINS_MAX);
    Ok(ground.db.run("list chains", list).await?)
}
