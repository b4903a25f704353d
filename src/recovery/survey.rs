//! The first pass over a storage: which packs there are, and of which chains each speaks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use anyhow::Context;
use futures_util::StreamExt;

use super::{Hear, PACKS_AT_ONCE, Step, Unreadable, name_of};
use crate::ids::{PackUid, PointNumber};
use crate::repository::record::Entry;
use crate::repository::{ChainIdentity, PackContents, PackFile, Record, Store, StoreError};

/// Compactions that are followed from one pack to the next.
const MOVES_MAX: usize = 64;

/// What a storage holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// The packs that could be read.
    pub packs: Vec<SurveyedPack>,
    pub unreadable: Vec<Unreadable>,
    pub chains: BTreeMap<ChainName, SurveyedChain>,
    places: HashMap<PackUid, u32>,
    listed: HashSet<PackUid>,
    /// Where compaction moved what lived in a pack.
    moved: HashMap<PackUid, Vec<PackUid>>,
}

#[derive(Clone, Copy, Debug)]
pub struct SurveyedPack {
    pub uid: PackUid,
    pub bytes: u64,
    pub created_s: u32,
    pub n_blobs: u32,
    pub n_records: u32,
}

/// What tells a chain from others, whatever its user is called at the time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName {
    pub entra_tenant_id: String,
    pub resource_graph_id: String,
    pub feature: String,
}

#[derive(Debug)]
pub struct SurveyedChain {
    /// As it was called last.
    pub identity: Arc<ChainIdentity>,
    newest: (PointNumber, u64),
    /// Places in [`Survey::packs`], ascending: the packs that speak of it.
    pub packs: Vec<u32>,
    pub n_items: u64,
    /// Packs that its items name besides those that speak of them.
    pub named: HashSet<PackUid>,
}

impl ChainName {
    pub fn of(identity: &ChainIdentity) -> Self {
        Self {
            entra_tenant_id: identity.entra_tenant_id.clone(),
            resource_graph_id: identity.resource_graph_id.clone(),
            feature: identity.feature.clone(),
        }
    }
}

impl Survey {
    /// Reads the ends of all packs but those in `skip`. `see` is shown each pack that could be read, with its place.
    pub async fn of(
        store: &Store,
        skip: &HashSet<PackUid>,
        mut see: impl FnMut(u32, &PackContents),
        hear: Hear<'_>,
    ) -> anyhow::Result<Self> {
        let mut files: Vec<PackFile> = Vec::new();
        for folder in 0..=u8::MAX {
            let listed = store.list_packs(folder).await.context("cannot list the packs of the storage")?;
            files.extend(listed.into_iter().filter(|file| !skip.contains(&file.uid)));
        }
        let of = files.len() as u64;
        let mut survey = Self { listed: files.iter().map(|file| file.uid).collect(), ..Self::default() };
        let mut read = futures_util::stream::iter(files)
            .map(|file| async move { (file, store.read_pack(file.uid).await) })
            .buffered(PACKS_AT_ONCE);
        while let Some((file, contents)) = read.next().await {
            match contents {
                Ok(contents) => {
                    let place = survey.add(file, &contents);
                    see(place, &contents);
                }
                Err(err) => survey.unreadable.push(unreadable(store, file.uid, err).await?),
            }
            hear(Step::Surveyed { packs: (survey.packs.len() + survey.unreadable.len()) as u64, of });
        }
        drop(read);
        Ok(survey)
    }

    fn add(&mut self, file: PackFile, contents: &PackContents) -> u32 {
        let place = u32::try_from(self.packs.len()).expect("a storage holds far fewer packs than 2^32");
        let PackContents { created_s, n_blobs, n_records, .. } = *contents;
        self.packs.push(SurveyedPack { uid: file.uid, bytes: file.bytes, created_s, n_blobs, n_records });
        self.places.insert(file.uid, place);
        for entry in &contents.records.entries {
            if let Record::Compacted(compacted) = &entry.record {
                self.moved.entry(compacted.old).or_default().push(compacted.new);
            }
        }
        for (identity, entries) in by_chain(&contents.records.entries) {
            let newest = entries.iter().map(|entry| (entry.point, entry.seq)).max().unwrap_or((PointNumber::new(0), 0));
            let chain = self.chains.entry(ChainName::of(&identity)).or_insert_with(|| SurveyedChain {
                identity: Arc::clone(&identity),
                newest,
                packs: Vec::new(),
                n_items: 0,
                named: HashSet::new(),
            });
            if chain.newest < newest {
                (chain.newest, chain.identity) = (newest, identity);
            }
            if chain.packs.last() != Some(&place) {
                chain.packs.push(place);
            }
            for entry in entries {
                if let Record::Item(item) = &entry.record {
                    chain.n_items += 1;
                    let named = [Some(item.properties), item.content].into_iter().flatten();
                    chain.named.extend(named.map(|location| location.pack).filter(|pack| *pack != file.uid));
                }
            }
        }
        place
    }

    /// Whether there is a file of this name, readable or not.
    pub fn is_listed(&self, pack: PackUid) -> bool {
        self.listed.contains(&pack)
    }

    pub fn place(&self, pack: PackUid) -> Option<u32> {
        self.places.get(&pack).copied()
    }

    /// Where what lived in a pack can be read now: in itself, or where compaction moved it.
    pub fn resolve(&self, pack: PackUid) -> Option<u32> {
        let mut seen = HashSet::new();
        let mut open = vec![pack];
        while let Some(next) = open.pop() {
            if let Some(place) = self.place(next) {
                return Some(place);
            }
            if seen.len() < MOVES_MAX && seen.insert(next) {
                open.extend(self.moved.get(&next).into_iter().flatten());
            }
        }
        None
    }
}

/// The records of one pack, chain by chain. A pack spells each identity out once.
fn by_chain(entries: &[Entry]) -> Vec<(Arc<ChainIdentity>, Vec<&Entry>)> {
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut chains: Vec<(Arc<ChainIdentity>, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let Some(identity) = &entry.chain else { continue };
        let place = *places.entry(Arc::as_ptr(identity).addr()).or_insert_with(|| {
            chains.push((Arc::clone(identity), Vec::new()));
            chains.len() - 1
        });
        chains[place].1.push(entry);
    }
    chains
}

/// A pack that cannot be read on a place that otherwise works.
pub async fn unreadable(store: &Store, pack: PackUid, err: StoreError) -> anyhow::Result<Unreadable> {
    if !matches!(err, StoreError::Damaged(_)) {
        store.check_place().await.with_context(|| format!("cannot read pack {pack}: {err}"))?;
    }
    tracing::warn!(pack = %pack, error = %err, "a pack cannot be read");
    Ok(Unreadable { pack: name_of(pack), why: err.to_string() })
}
