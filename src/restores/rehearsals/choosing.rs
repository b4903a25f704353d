//! What is rehearsed: of every feature some chains, and of these some items, as chance has it. The same seed draws the same
//! sample, as long as nothing newer is backed up.

use std::collections::{BTreeMap, HashSet};

use super::NewRehearsal;
use crate::catalog::items::Drawing;
use crate::catalog::{self, Chain};
use crate::db::{Conn, Db, QueryResult};
use crate::features::{self, OWN_CONTAINER};
use crate::ids::{ChainId, ContainerId, FeatureName, ItemKey, PointNumber, ResourceId};
use crate::restores::{StartError, request};
use crate::tenants;

/// Chains of a feature that one rehearsal draws from.
const CHAINS_PER_FEATURE: usize = 8;
/// Larger items are not drawn: they would be read into memory, and a rehearsal is not to fill a sandbox.
const ITEM_BYTES_MAX: u64 = 32 << 20;
/// Resources whose chains are looked at together.
const RESOURCES_AT_ONCE: usize = 500;

/// What was drawn of one chain.
pub(super) struct Sample {
    pub chain: Chain,
    pub point: PointNumber,
    pub items: Vec<ItemKey>,
}

/// In the order of features.
pub(super) async fn choose(db: &Db, new: &NewRehearsal, seed: u64) -> Result<Vec<Sample>, StartError> {
    let mut samples = Vec::new();
    for (_, chains) in chains(db, new, seed).await? {
        let mut left = new.per_feature;
        let n_chains = chains.len();
        for (at, chain) in chains.into_iter().enumerate() {
            let share = left.div_ceil(u32::try_from(n_chains - at).unwrap_or(1));
            let sample = db.run("draw a sample", move |conn| draw(conn, &chain, seed, share)).await?;
            left = left.saturating_sub(u32::try_from(sample.items.len()).unwrap_or(left));
            if !sample.items.is_empty() {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

/// Of each feature the chains that come first when all are put in an order of chance.
async fn chains(db: &Db, new: &NewRehearsal, seed: u64) -> Result<BTreeMap<FeatureName, Vec<Chain>>, StartError> {
    let mut ranked: BTreeMap<FeatureName, Vec<([u8; 16], Chain)>> = BTreeMap::new();
    for resources in resources(db, new).await?.chunks(RESOURCES_AT_ONCE) {
        let resources = resources.to_vec();
        let found = db.run("list chains", move |conn| catalog::chains::of_resources(conn, &resources)).await?;
        for chain in found.into_iter().filter(|chain| is_eligible(chain, new)) {
            let all = ranked.entry(chain.key.feature.clone()).or_default();
            all.push((lot(seed, chain.id, 0), chain));
            if all.len() >= 2 * CHAINS_PER_FEATURE {
                keep_first(all);
            }
        }
    }
    let first = |(feature, mut all): (FeatureName, Vec<([u8; 16], Chain)>)| {
        keep_first(&mut all);
        (feature, all.into_iter().map(|(_, chain)| chain).collect())
    };
    Ok(ranked.into_iter().map(first).collect())
}

fn keep_first(all: &mut Vec<([u8; 16], Chain)>) {
    all.sort_by_key(|(lot, _)| *lot);
    all.truncate(CHAINS_PER_FEATURE);
}

async fn resources(db: &Db, new: &NewRehearsal) -> Result<Vec<ResourceId>, StartError> {
    let mut all = tenants::resources_of_organization(db, new.organization).await?;
    if let Some(named) = &new.resources {
        let own: HashSet<ResourceId> = all.into_iter().collect();
        if let Some(stranger) = named.iter().find(|id| !own.contains(id)) {
            return Err(request::refused(format!("resource {stranger} belongs to another organization: leave it out")));
        }
        all = named.clone();
        all.sort_unstable();
        all.dedup();
    }
    // Its own data come from there.
    all.retain(|id| *id != new.sandbox);
    Ok(all)
}

fn is_eligible(chain: &Chain, new: &NewRehearsal) -> bool {
    let feature = &chain.key.feature;
    chain.last_point > 0
        && chain.state != catalog::rebuild::REBUILDING
        && new.features.as_ref().is_none_or(|wanted| wanted.contains(feature))
        && features::find(feature.as_str()).is_some_and(|feature| feature.rehearsing().is_some())
}

/// Items of the newest point: no folders, whose items bring them along, and nothing that comes back in place only.
fn draw(conn: &mut Conn, chain: &Chain, seed: u64, limit: u32) -> QueryResult<Sample> {
    let (point, feature) = (PointNumber::new(chain.last_point), chain.key.feature.as_str());
    let containers = catalog::containers::as_of(conn, chain.id, point)?;
    let is_passed_by = |graph_id: &str| graph_id.starts_with(OWN_CONTAINER) || features::holds_parts(feature, graph_id);
    let passed_by: Vec<ContainerId> =
        containers.iter().filter(|one| is_passed_by(&one.graph_id)).map(|one| one.id).collect();
    let folders: Vec<u8> = (0..=u8::MAX).filter(|kind| features::is_folder(feature, *kind)).collect();
    let drawing = Drawing {
        from: ItemKey::from_bytes(lot(seed, chain.id, point.get())),
        bytes_max: ITEM_BYTES_MAX,
        not_kinds: &folders,
        passed_by: &passed_by,
    };
    let items = match limit {
        0 => Vec::new(),
        limit => catalog::items::draw(conn, chain.id, point, &drawing, limit)?,
    };
    Ok(Sample { chain: chain.clone(), point, items })
}

/// What chance says about a chain, or a point of it.
fn lot(seed: u64, chain: ChainId, point: u32) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes()).update(&chain.get().to_le_bytes()).update(&point.to_le_bytes());
    let mut lot = [0; 16];
    lot.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    lot
}
