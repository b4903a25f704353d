//! The second pass: the records of a few chains at a time, read together from the packs that speak of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;

use super::story::{KeyRange, PackNumbers, Story};
use super::survey::{ChainName, Survey, unreadable};
use super::{PACKS_AT_ONCE, Unreadable};
use crate::repository::record::Entry;
use crate::repository::{ChainIdentity, Store};

/// What is read and written together.
#[derive(Clone, Debug)]
pub struct Unit {
    pub chains: Vec<ChainName>,
    pub keys: KeyRange,
    /// The first and the last part of these chains.
    pub first: bool,
    pub last: bool,
    /// Item records, about.
    pub n_items: u64,
}

impl Unit {
    /// Whether it tells all of its chains.
    pub fn is_whole(&self) -> bool {
        self.first && self.last
    }
}

/// Chains are read together up to one of so many parts of what a unit may have: while some are written, others are read.
const TOGETHER: u64 = 8;

/// Cuts the work into units of at most `items_max` item records: small chains together, a large one in parts.
pub fn units(survey: &Survey, chains: &[ChainName], items_max: u64) -> Vec<Unit> {
    // Neighbours in the packs are neighbours in the work, so that a pack is read for few units.
    let mut ordered: Vec<(&ChainName, u64)> =
        chains.iter().map(|name| (name, survey.chains.get(name).map_or(0, |chain| chain.n_items))).collect();
    ordered.sort_by_key(|(name, _)| survey.chains.get(*name).and_then(|chain| chain.packs.first().copied()));
    let mut units: Vec<Unit> = Vec::new();
    let (mut together, mut n_together): (Vec<ChainName>, u64) = (Vec::new(), 0);
    let whole =
        |chains: Vec<ChainName>, n_items| Unit { chains, keys: KeyRange::ALL, first: true, last: true, n_items };
    for (name, n_items) in ordered {
        if n_together + n_items > items_max / TOGETHER && !together.is_empty() {
            units.push(whole(std::mem::take(&mut together), n_together));
            n_together = 0;
        }
        if n_items <= items_max {
            together.push(name.clone());
            n_together += n_items;
            continue;
        }
        let n_parts = u32::try_from(n_items.div_ceil(items_max)).unwrap_or(u32::MAX);
        for keys in KeyRange::parts(n_parts) {
            let (first, last) = (keys.from == 0, keys.to == u32::MAX);
            units.push(Unit { chains: vec![name.clone()], keys, first, last, n_items: items_max });
        }
    }
    if !together.is_empty() {
        units.push(whole(together, n_together));
    }
    units
}

/// The stories of a unit's chains.
pub struct Stories {
    pub unit: Unit,
    pub stories: BTreeMap<ChainName, Story>,
    /// Packs that could be read before and cannot now.
    pub unreadable: Vec<Unreadable>,
}

/// Reads a unit.
pub async fn read(
    store: &Store,
    survey: &Arc<Survey>,
    unit: Unit,
    packs: &impl PackNumbers,
) -> anyhow::Result<Stories> {
    let mut stories: BTreeMap<ChainName, Story> =
        unit.chains.iter().map(|name| (name.clone(), Story::default())).collect();
    let chains = unit.chains.iter().filter_map(|name| survey.chains.get(name));
    let places: BTreeSet<u32> = chains.flat_map(|chain| chain.packs.iter().copied()).collect();
    let surveyed: Vec<_> = places.iter().filter_map(|place| survey.packs.get(*place as usize).copied()).collect();
    let mut lost = Vec::new();
    let mut reading = futures_util::stream::iter(surveyed)
        .map(|pack| async move { (pack, store.read_pack(pack.uid).await) })
        .buffered(PACKS_AT_ONCE);
    while let Some((pack, contents)) = reading.next().await {
        let contents = match contents {
            Ok(contents) => contents,
            Err(err) => {
                lost.push(unreadable(store, pack.uid, err).await?);
                continue;
            }
        };
        // A pack spells each identity out once, so its address tells a chain as well as its name does.
        let mut by_chain: HashMap<usize, (Arc<ChainIdentity>, Vec<Entry>)> = HashMap::new();
        for entry in contents.records.entries {
            let Some(identity) = entry.chain.clone() else { continue };
            by_chain.entry(Arc::as_ptr(&identity).addr()).or_insert_with(|| (identity, Vec::new())).1.push(entry);
        }
        // In one order in every pass, because a story numbers containers as it meets them.
        let mut by_chain: Vec<_> = by_chain.into_values().collect();
        by_chain.sort_by_key(|(_, entries)| entries.first().map(|entry| (entry.point, entry.seq)));
        for (identity, entries) in by_chain {
            if let Some(story) = stories.get_mut(&ChainName::of(&identity)) {
                story.hear_pack(pack.bytes, entries.into_iter(), unit.keys, packs);
            }
        }
    }
    drop(reading);
    Ok(Stories { unit, stories, unreadable: lost })
}
