//! The catalog from the storage: after the database was lost, or after an old dump of it was restored.
//!
//! In this order, each step safe to repeat: read what the packs say (`survey`), make tenants and users that are missing
//! and take the chains that are not whole out of use, give packs and blobs their rows (`packs`), write those chains anew
//! (`chains`). A chain is not whole when it has no row, when a pack without a row speaks of it, or when an earlier rebuild
//! began it. Killed in between, the next rebuild finds by the same three signs what is left to do: no pack gets a row
//! before every chain that it speaks of is out of use.

mod chains;
mod packs;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::task::JoinHandle;

use self::chains::Loader;
use self::packs::Numbers;
use super::reading::{self, Stories, Unit, units};
use super::survey::{ChainName, Survey};
use super::{Hear, Step, Unreadable, name_of};
use crate::catalog::{ChainKey, points, rebuild};
use crate::db::{Conn, Db, TxError};
use crate::ids::{ChainId, FeatureName, PackUid};
use crate::repository::{Store, mark_dead_writers};
use crate::tenants::{self, FoundResource};

/// Chains that one transaction takes out of use.
const CHAINS_TOGETHER: usize = 200;

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
    pub unreadable: Vec<Unreadable>,
    /// Packs that are named and are not on the storage.
    pub lost: Vec<String>,
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
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && self.lost.is_empty() && self.incomplete.is_empty()
    }
}

/// Brings the catalog in line with a storage. Nothing else may work on the storage meanwhile: the caller sees to that.
pub async fn run(db: &Db, store: &Store, items_at_once: u64, hear: Hear<'_>) -> anyhow::Result<Report> {
    let storage = store.storage();
    // None of them lives, and what a sleeping one has under way must not come in between.
    db.run("end writers", move |conn| mark_dead_writers(conn, storage, Duration::ZERO)).await?;
    let known = packs::known(db, storage).await?;
    let discarded: HashSet<PackUid> = known.values().filter(|pack| pack.discarded).map(|pack| pack.uid).collect();
    let survey = Survey::of(store, &discarded, |_, _| (), hear).await?;
    tracing::info!(n_packs = survey.packs.len(), n_unreadable = survey.unreadable.len(), "the packs were read");
    let new: HashSet<u32> = (0u32..)
        .zip(&survey.packs)
        .filter(|(_, pack)| !known.contains_key(&pack.uid))
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
    note_losses(&survey, &numbers, &mut report);
    let ground = Ground { db, store, survey, numbers: Arc::new(numbers) };
    ground.load(&chains, items_at_once, &mut report, hear).await?;
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
    let all: Vec<(&ChainName, &super::survey::SurveyedChain)> = survey.chains.iter().collect();
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
                let whole = points::find_chain(conn, &key)?.is_some_and(|chain| chain.state != rebuild::REBUILDING);
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

/// Which packs are lost, and who is affected, whether rebuilt now or not.
fn note_losses(survey: &Survey, numbers: &Numbers, report: &mut Report) {
    report.lost = numbers.lost.iter().map(|pack| name_of(*pack)).collect();
    for chain in survey.chains.values() {
        let lost: Vec<String> =
            chain.named.iter().filter(|pack| numbers.lost.contains(pack)).map(|p| name_of(*p)).collect();
        if !lost.is_empty() {
            report.incomplete.push(Incomplete {
                user: chain.identity.address.clone(),
                feature: chain.identity.feature.clone(),
                why: format!("items lie in packs that are gone or cannot be read: {}", lost.join(", ")),
            });
        }
    }
}

/// What the chains are written from.
struct Ground<'a> {
    db: &'a Db,
    store: &'a Store,
    survey: Arc<Survey>,
    numbers: Arc<Numbers>,
}

impl Ground<'_> {
    /// Reads beside what is being written.
    fn read(&self, unit: Option<Unit>) -> Option<JoinHandle<anyhow::Result<Stories>>> {
        let (store, survey, numbers) = (self.store.clone(), Arc::clone(&self.survey), Arc::clone(&self.numbers));
        let reading = |unit| async move { reading::read(&store, &survey, unit, numbers.as_ref()).await };
        unit.map(|unit| tokio::spawn(reading(unit)))
    }

    /// Writes the chains anew, unit by unit; the next unit is read while one is written.
    async fn load(
        &self,
        chains: &HashMap<ChainName, ChainId>,
        items_at_once: u64,
        report: &mut Report,
        hear: Hear<'_>,
    ) -> anyhow::Result<()> {
        let names: Vec<ChainName> = chains.keys().cloned().collect();
        let of_items = names.iter().filter_map(|name| self.survey.chains.get(name)).map(|chain| chain.n_items).sum();
        let distrust = !self.survey.unreadable.is_empty();
        let mut loader = Loader::new(self.db, &self.survey, &self.numbers.lost, distrust);
        let mut units = units(&self.survey, &names, items_at_once).into_iter();
        let mut reading = self.read(units.next());
        while let Some(now) = reading {
            let Stories { unit, stories, unreadable } = now.await.context("a reader of packs failed")??;
            reading = self.read(units.next());
            loader.distrust |= !unreadable.is_empty();
            report.unreadable.extend(unreadable);
            for (name, story) in stories {
                let id = *chains.get(&name).context("a unit holds chains that were begun")?;
                loader.load(id, &name, story, &unit, report).await?;
                let (chains, items) = (report.chains_rebuilt, loader.n_items);
                hear(Step::Loaded { chains, of: names.len() as u64, items, of_items });
            }
        }
        Ok(())
    }
}
