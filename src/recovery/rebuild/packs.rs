//! Rows for packs and blobs, as they lie on the storage.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use crate::db::{Conn, Db, QueryResult, TxError};
use crate::ids::{PackId, PackUid, StorageId};
use crate::recovery::story::PackNumbers;
use crate::recovery::survey::{Survey, SurveyedPack};
use crate::recovery::{Hear, Step};
use crate::repository::Store;
use crate::repository::adopt::{FoundPack, KnownPack, PAGE_ROWS, adopt_packs, known_packs, note_gone};

/// Packs whose blobs are written in one transaction, and transactions at once.
const PACKS_TOGETHER: usize = 16;
const CONNECTIONS: usize = 2;
/// Packs that are gone, in one transaction.
const NOTED_TOGETHER: usize = 200;

/// The rows of packs, by what they are called on disk.
#[derive(Debug, Default)]
pub struct Numbers {
    rows: HashMap<PackUid, PackId>,
    /// Named, and nowhere.
    pub lost: BTreeSet<PackUid>,
    pub lost_rows: HashMap<PackId, PackUid>,
}

impl PackNumbers for Numbers {
    fn number(&self, pack: PackUid) -> PackId {
        *self.rows.get(&pack).expect("every pack that an item names was given a row")
    }
}

/// All packs that have a row.
pub async fn known(db: &Db, storage: StorageId) -> anyhow::Result<HashMap<PackUid, KnownPack>> {
    let mut known = HashMap::new();
    let mut after = PackId::new(0);
    loop {
        let page = db.run("list packs", move |conn| known_packs(conn, storage, after)).await?;
        let n_rows = page.len();
        if let Some(last) = page.last() {
            after = last.id;
        }
        known.extend(page.into_iter().map(|pack| (pack.uid, pack)));
        if n_rows < PAGE_ROWS as usize {
            return Ok(known);
        }
    }
}

/// Gives new packs their rows and blobs, and says of packs that are gone where their content went.
pub async fn bring_in_line(
    db: &Db,
    store: &Store,
    survey: &Arc<Survey>,
    known: &HashMap<PackUid, KnownPack>,
    new: &HashSet<u32>,
    hear: Hear<'_>,
) -> anyhow::Result<Numbers> {
    let storage = store.storage();
    // One that is there and cannot be read is for a verification to judge.
    let absent = |pack: &&KnownPack| !pack.discarded && !survey.is_listed(pack.uid);
    let gone: Vec<KnownPack> = known.values().filter(absent).copied().collect();
    let unexplained = gone.iter().filter(|pack| pack.moved_to.is_none()).map(|pack| (pack.uid, None)).collect();
    // First of all: a blob that was looked for in one of them is then taken from wherever else it lies.
    let n_unexplained = note(db, storage, unexplained).await?.len();
    let wanted = (0u32..).zip(&survey.packs).filter(|(place, _)| n_unexplained > 0 || new.contains(place));
    let wanted = wanted.map(|(_, pack)| *pack).collect();
    adopt(db, store, wanted, hear).await?;
    let mut numbers = Numbers::default();
    let rows = self::known(db, storage).await?;
    numbers.rows.extend(rows.values().map(|pack| (pack.uid, pack.id)));
    let named = survey.chains.values().flat_map(|chain| &chain.named).copied();
    let absent_names = named.filter(|pack| survey.place(*pack).is_none() && !rows.contains_key(pack));
    let missing: BTreeSet<PackUid> = gone.iter().map(|pack| pack.uid).chain(absent_names).collect();
    let mut noted = Vec::with_capacity(missing.len());
    for pack in missing {
        let target = survey.resolve(pack).and_then(|place| survey.packs.get(place as usize));
        let target = target.and_then(|target| numbers.rows.get(&target.uid)).copied();
        // A move that no record tells of is known to the database alone.
        if target.is_some() || rows.get(&pack).is_none_or(|row| row.moved_to.is_none()) {
            noted.push((pack, target));
        }
        if target.is_none() && rows.get(&pack).is_none_or(|row| row.moved_to.is_none()) {
            numbers.lost.insert(pack);
        }
    }
    for (pack, target, id) in note(db, storage, noted).await? {
        numbers.rows.insert(pack, target.unwrap_or(id));
    }
    numbers.lost_rows = numbers.lost.iter().filter_map(|pack| Some((*numbers.rows.get(pack)?, *pack))).collect();
    Ok(numbers)
}

/// Notes of packs that are gone where their content went. Returns them with their rows.
async fn note(
    db: &Db,
    storage: StorageId,
    gone: Vec<(PackUid, Option<PackId>)>,
) -> anyhow::Result<Vec<(PackUid, Option<PackId>, PackId)>> {
    let mut noted = Vec::with_capacity(gone.len());
    for batch in gone.chunks(NOTED_TOGETHER) {
        let batch = batch.to_vec();
        let work = move |conn: &mut Conn| {
            let note = |(pack, target): &(PackUid, Option<PackId>)| {
                Ok((*pack, *target, note_gone(conn, storage, *pack, *target)?))
            };
            only_db(batch.iter().map(note).collect::<QueryResult<Vec<_>>>())
        };
        noted.extend(db.transaction("note packs that are gone", work).await?);
    }
    Ok(noted)
}

async fn adopt(db: &Db, store: &Store, wanted: Vec<SurveyedPack>, hear: Hear<'_>) -> anyhow::Result<()> {
    let (storage, of) = (store.storage(), wanted.len() as u64);
    let batches: Vec<Vec<SurveyedPack>> = wanted.chunks(PACKS_TOGETHER).map(<[SurveyedPack]>::to_vec).collect();
    let mut adopting = futures_util::stream::iter(batches)
        .map(|batch| async move {
            let n_packs = batch.len() as u64;
            let mut found = Vec::with_capacity(batch.len());
            for pack in batch {
                let SurveyedPack { uid, bytes, created_s, n_blobs, n_records } = pack;
                let shared = store.read_shared(uid).await?;
                found.push(FoundPack { uid, bytes, created_s, n_blobs, n_records, shared });
            }
            let work = move |conn: &mut Conn| only_db(adopt_packs(conn, storage, &found));
            db.transaction("add packs that were found", work).await?;
            anyhow::Ok(n_packs)
        })
        .buffer_unordered(CONNECTIONS);
    let mut packs = 0;
    while let Some(n_packs) = adopting.try_next().await? {
        packs += n_packs;
        hear(Step::Adopted { packs, of });
    }
    Ok(())
}

/// The error of a transaction whose work cannot refuse.
pub fn only_db<T>(result: QueryResult<T>) -> Result<T, TxError<std::convert::Infallible>> {
    Ok(result?)
}
