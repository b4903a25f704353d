//! The catalog from the storage: after the database was lost, or after an old dump of it was restored.
//!
//! In this order, each step safe to repeat: read what the packs say (`survey`), make tenants and users that are missing
//! and take the chains that are not whole out of use, give packs and blobs their rows (`packs`), write those chains anew
//! (`chains`). A chain is not whole when it has no row, when a pack without a row speaks of it, when an earlier rebuild
//! began it, or when an upgrade left its words out of the index. Killed in between, the next rebuild finds by the same
//! signs what is left to do: no pack gets a row before every chain that it speaks of is out of use.

mod chains;
mod packs;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use self::chains::{Chain, Loader};
use self::packs::Numbers;
use super::reading::{self, Stories, Unit, units};
use super::survey::{ChainName, Survey, SurveyedChain};
use super::{Hear, Step, Unreadable, name_of};
use crate::catalog::{self, ChainKey, rebuild};
use crate::db::{Conn, Db, TxError};
use crate::ids::{ChainId, FeatureName, PackUid};
use crate::repository::adopt::KnownPack;
use crate::repository::{Store, mark_dead_writers};
use crate::tenants::{self, FoundResource};

/// Chains that one transaction takes out of use.
const CHAINS_TOGETHER: usize = 200;
/// Chains that are written at once.
const CHAINS_AT_ONCE: usize = 2;
/// The largest units that are in memory at once: one is read while another is written.
const UNITS_AT_ONCE: usize = 2;

/// What a rebuild did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Packs on the storage that could be read, and those of them that the database did not know.
    pub packs: u64,
    pub packs_new: u64,
    /// Chains that the packs speak of, and those of them that were written anew; the others were whole.
    pub chains: u64,
    pub chains_rebuilt: u64,
    pub tenants_added: Vec<String>,
    pub points: u64,
    pub versions: u64,
    pub issues: u64,
    /// Records of items that were gone through, and how long all of it took.
    pub item_records: u64,
    pub seconds: f64,
    pub unreadable: Vec<Unreadable>,
    /// Packs that are named and are not on the storage.
    pub lost: BTreeSet<String>,
    /// What is missing, user by user.
    pub incomplete: Vec<Incomplete>,
}

/// A chain of which something is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    pub user: String,
    pub feature: String,
    pub why: String,
}

impl Report {
    /// Adds what was done for one chain.
    fn add(&mut self, done: Self) {
        self.chains_rebuilt += done.chains_rebuilt;
        self.points += done.points;
        self.versions += done.versions;
        self.issues += done.issues;
        self.item_records += done.item_records;
        self.lost.extend(done.lost);
        self.incomplete.extend(done.incomplete);
    }

    /// Notes that items of a user lie in packs that are nowhere.
    fn miss(&mut self, user: &str, feature: &str, packs: &BTreeSet<PackUid>) {
        if packs.is_empty() {
            return;
        }
        let names: Vec<String> = packs.iter().copied().map(name_of).collect();
        let why = format!("items lie in packs that are gone or cannot be read: {}", names.join(", "));
        self.lost.extend(names);
        self.incomplete.push(Incomplete { user: user.to_owned(), feature: feature.to_owned(), why });
    }

    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && self.lost.is_empty() && self.incomplete.is_empty()
    }
}

/// Brings the catalog in line with a storage. Nothing else may work on the storage meanwhile: the caller sees to that.
pub async fn run(db: &Db, store: &Store, items_at_once: u64, hear: Hear<'_>) -> anyhow::Result<Report> {
    let (storage, began) = (store.storage(), tokio::time::Instant::now());
    // None of them lives, and what a sleeping one has under way must not come in between.
    db.run("end writers", move |conn| mark_dead_writers(conn, storage, Duration::ZERO)).await?;
    let known = packs::known(db, storage).await?;
    let discarded: HashSet<PackUid> = known.values().filter(|pack| pack.discarded).map(|pack| pack.uid).collect();
    let survey = Survey::of(store, &discarded, |_, _| (), hear).await?;
    tracing::info!(n_packs = survey.packs.len(), n_unreadable = survey.unreadable.len(), "the packs were read");
    let new: HashSet<u32> = (0u32..)
        .zip(&survey.packs)
        .filter(|(_, pack)| known.get(&pack.uid).is_none_or(|row| row.bad))
        .map(|(place, _)| place)
        .collect();
    let mut report = Report {
        packs: survey.packs.len() as u64,
        packs_new: new.len() as u64,
        chains: survey.chains.len() as u64,
        unreadable: survey.unreadable.clone(),
        ..Report::default()
    };
    let chains = begin(db, store, &survey, &new, &mut report).await?;
    tracing::info!(n_new = new.len(), n_chains = chains.len(), "chains are written anew");
    let survey = Arc::new(survey);
    let numbers = packs::bring_in_line(db, store, &survey, &known, &new, hear).await?;
    note_losses(&survey, &known, &chains, &numbers, &mut report);
    let ground = Ground { db, store, survey, numbers: Arc::new(numbers) };
    ground.load(&chains, items_at_once, &mut report, hear).await?;
    report.seconds = began.elapsed().as_secs_f64();
    tracing::info!(n_chains = report.chains_rebuilt, n_versions = report.versions, "the catalog is whole again");
    Ok(report)
}

/// Makes what is missing of tenants and users, and takes out of use every chain that is not whole.
async fn begin(
    db: &Db,
    store: &Store,
    survey: &Survey,
    new: &HashSet<u32>,
    report: &mut Report,
) -> anyhow::Result<HashMap<ChainName, ChainId>> {
    let storage = store.storage();
    let mut begun = HashMap::new();
    let all: Vec<(&ChainName, &SurveyedChain)> = survey.chains.iter().collect();
    for batch in all.chunks(CHAINS_TOGETHER) {
        let mut wanted = Vec::with_capacity(batch.len());
        for (name, chain) in batch {
            let identity = &chain.identity;
            let feature: FeatureName = identity
                .feature
                .parse()
                .with_context(|| format!("the storage speaks of {} in a way that is not known", identity.address))?;
            let resource = FoundResource {
                entra_tenant_id: identity.entra_tenant_id.clone(),
                graph_id: identity.resource_graph_id.clone(),
                kind: identity.resource_kind.clone(),
                name: identity.resource_name.clone(),
                address: identity.address.clone(),
            };
            let news = chain.packs.iter().any(|place| new.contains(place));
            wanted.push(((*name).clone(), resource, feature, news));
        }
        let work = move |conn: &mut Conn| {
            let mut out = (Vec::new(), BTreeSet::new());
            for (name, resource, feature, news) in &wanted {
                let (resource, tenant_added) = tenants::ensure_found(conn, resource)?;
                out.1.extend(tenant_added);
                let key = ChainKey { resource, feature: feature.clone(), storage };
                let known = catalog::chains::find(conn, &key)?;
                let whole = known.is_some_and(|chain| chain.state != rebuild::REBUILDING && !chain.unsearched);
                if *news || !whole {
                    out.0.push((name.clone(), rebuild::begin(conn, &key)?));
                }
            }
            Ok::<_, TxError<std::convert::Infallible>>(out)
        };
        let (chains, added) = db.transaction("take chains out of use", work).await?;
        begun.extend(chains);
        report.tenants_added.extend(added);
    }
    Ok(begun)
}

/// Which packs were lost since the database last knew them, and who of those that are not rebuilt now is affected.
fn note_losses(
    survey: &Survey,
    known: &HashMap<PackUid, KnownPack>,
    rebuilt: &HashMap<ChainName, ChainId>,
    numbers: &Numbers,
    report: &mut Report,
) {
    let was_there = |pack: &&PackUid| known.get(*pack).is_some_and(|row| row.live);
    let lost: BTreeSet<PackUid> = numbers.lost.iter().filter(was_there).copied().collect();
    for (_, chain) in survey.chains.iter().filter(|(name, _)| !rebuilt.contains_key(*name)) {
        let named: BTreeSet<PackUid> = chain.named.iter().filter(|pack| lost.contains(*pack)).copied().collect();
        report.miss(&chain.identity.address, &chain.identity.feature, &named);
    }
    report.lost.extend(lost.into_iter().map(name_of));
}

/// What the chains are written from.
struct Ground<'a> {
    db: &'a Db,
    store: &'a Store,
    survey: Arc<Survey>,
    numbers: Arc<Numbers>,
}

/// A unit that was read, and the room in memory that it takes.
struct Read {
    stories: Stories,
    room: OwnedSemaphorePermit,
}

impl Ground<'_> {
    /// Reads units one after the other, as far as there is room for what they hold. Units that do not come any more were
    /// all only if the reader ended well.
    fn read(&self, units: Vec<Unit>, items_at_once: u64) -> (JoinHandle<()>, mpsc::Receiver<anyhow::Result<Read>>) {
        let room_max = u32::try_from(items_at_once).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(UNITS_AT_ONCE * room_max as usize));
        let (store, survey, numbers) = (self.store.clone(), Arc::clone(&self.survey), Arc::clone(&self.numbers));
        let (sender, read) = mpsc::channel(1);
        let reader = tokio::spawn(async move {
            for unit in units {
                let wanted = u32::try_from(unit.n_items).unwrap_or(u32::MAX).min(room_max);
                let room = Arc::clone(&room).acquire_many_owned(wanted).await.expect("it is never closed");
                let stories = reading::read(&store, &survey, unit, numbers.as_ref()).await;
                // Nobody goes on after an error.
                if sender.send(stories.map(|stories| Read { stories, room })).await.is_err() {
                    return;
                }
            }
        });
        (reader, read)
    }

    /// Writes the chains anew; the next units are read while some are written.
    async fn load(
        &self,
        chains: &HashMap<ChainName, ChainId>,
        items_at_once: u64,
        report: &mut Report,
        hear: Hear<'_>,
    ) -> anyhow::Result<()> {
        let names: Vec<ChainName> = chains.keys().cloned().collect();
        let (db, survey, numbers) = (self.db.clone(), Arc::clone(&self.survey), Arc::clone(&self.numbers));
        let of_items = names.iter().filter_map(|name| survey.chains.get(name)).map(|chain| chain.n_items).sum();
        let (reader, mut read) = self.read(units(&survey, &names, items_at_once), items_at_once);
        let mut loader = Loader { db, distrust: !survey.unreadable.is_empty(), survey, numbers };
        let mut loading = JoinSet::new();
        let mut ended = |loaded: Result<anyhow::Result<(Option<Chain>, Report)>, JoinError>| {
            let (chain, done) = loaded.context("a writer of chains failed")??;
            report.add(done);
            let (chains, items) = (report.chains_rebuilt, report.item_records);
            hear(Step::Loaded { chains, of: names.len() as u64, items, of_items });
            anyhow::Ok(chain)
        };
        let mut unreadable = Vec::new();
        while let Some(read) = read.recv().await {
            let Read { stories: Stories { unit, stories, unreadable: lost }, room } = read?;
            loader.distrust |= !lost.is_empty();
            unreadable.extend(lost);
            let (unit, room) = (Arc::new(unit), Arc::new(room));
            for (name, story) in stories {
                let id = *chains.get(&name).context("a unit holds chains that were begun")?;
                // A part goes on from what the one before it came to.
                let others_max = if unit.is_whole() { CHAINS_AT_ONCE - 1 } else { 0 };
                let mut before = None;
                while loading.len() > others_max {
                    before = loading.join_next().await.map(&mut ended).transpose()?.flatten();
                }
                let (loader, unit, room) = (loader.clone(), Arc::clone(&unit), Arc::clone(&room));
                loading.spawn(async move {
                    let _room = room;
                    loader.load(before, id, &name, story, &unit).await
                });
            }
        }
        while let Some(loaded) = loading.join_next().await {
            ended(loaded)?;
        }
        reader.await.context("a reader of packs failed")?;
        report.unreadable.extend(unreadable);
        Ok(())
    }
}
