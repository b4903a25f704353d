//! Histories become rows: at once, as a rebuild loads a chain, or point by point, as backups commit.

use std::collections::BTreeMap;
use std::convert::Infallible;

use clap::ValueEnum;
use kodo::catalog::containers::Cursors;
use kodo::catalog::rebuild::{self, ContainerVersion, Finished, FinishedContainer};
use kodo::catalog::search::{self, Text};
use kodo::catalog::{self, ChainKey, ContainerState, NewVersion, PointCounts, PointRow, PointState, VersionRow, items};
use kodo::db::{Conn, Db, QueryResult};
use kodo::ids::{ChainId, ContainerId, ItemKey, PointNumber, TaskId, VersionNumber};

use super::make::{CONTAINERS, Item, POINTS, sealed_at};

/// How the catalog came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// In bulk, in the order in which commits would have written
    Loaded,
    /// In commits of a thousand items, point by point
    Committed,
}

/// Rows of one transaction that loads.
const TOGETHER: usize = search::TEXTS_PER_VOLUME;
/// Items of one commit.
const COMMIT: usize = 1000;

pub async fn chain(db: &Db, key: ChainKey, items: Vec<Item>, how: How) -> anyhow::Result<u32> {
    let written = items.iter().map(|item| item.spans.len() as u32).sum();
    match how {
        How::Loaded => load(db, key, items).await?,
        How::Committed => commit(db, key, items).await?,
    }
    Ok(written)
}

fn graph_id(number: u32) -> String {
    format!("folder {number:05}")
}

async fn load(db: &Db, key: ChainKey, items: Vec<Item>) -> anyhow::Result<()> {
    let begin = move |conn: &mut Conn| {
        let chain = rebuild::begin(conn, &key)?;
        let names: Vec<String> = (1..=CONTAINERS).map(graph_id).collect();
        Ok((chain, rebuild::containers(conn, chain, &names)?))
    };
    let (chain, ids) = db.run("begin a chain", begin).await?;
    let ids: Vec<ContainerId> = (1..=CONTAINERS).filter_map(|number| ids.get(&graph_id(number)).copied()).collect();
    let (mut rows, mut texts) = (Vec::new(), Vec::with_capacity(items.len()));
    for item in items {
        texts.push(item.text);
        for (from, to, mut version) in item.spans {
            version.container = ids[version.container.get() as usize - 1];
            let number = VersionNumber::NONE;
            rows.push(VersionRow { number, from: PointNumber::new(from), to: PointNumber::new(to), version });
        }
    }
    // The order of texts, which is that of first versions, is kept within a point.
    rows.sort_by_key(|row| row.from);
    (1..).zip(&mut rows).for_each(|(number, row)| row.number = VersionNumber::new(number));
    let finished = finished(chain, &ids, &rows);
    for batch in rows.chunks(TOGETHER) {
        let batch = batch.to_vec();
        db.transaction::<_, Infallible, _>("write versions", move |conn| {
            Ok(rebuild::put_versions(conn, chain, &batch)?)
        })
        .await?;
    }
    let mut page = 1;
    for batch in texts.chunks(TOGETHER) {
        let (batch, number) = (batch.to_vec(), page);
        page += search::n_pages(batch.len());
        let put = move |conn: &mut Conn| Ok(search::put_pages(conn, chain, number, &batch)?);
        db.transaction::<_, Infallible, _>("write texts", put).await?;
    }
    db.transaction::<_, Infallible, _>("finish a chain", move |conn| Ok(rebuild::finish(conn, chain, &finished)?))
        .await?;
    Ok(())
}

/// What a chain has besides versions: folders that never changed, and points with what each changed in them.
fn finished(chain: ChainId, ids: &[ContainerId], rows: &[VersionRow]) -> Finished {
    let mut tallies: BTreeMap<PointNumber, BTreeMap<ContainerId, (i64, i64)>> = BTreeMap::new();
    for row in rows {
        let bytes = row.version.bytes.cast_signed();
        let mut count = |point, by: i64| {
            let held = tallies.entry(point).or_default().entry(row.version.container).or_default();
            *held = (held.0 + by, held.1 + by * bytes);
        };
        count(row.from, 1);
        if row.to != PointNumber::OPEN {
            count(row.to, -1);
        }
    }
    let container = |(number, id): (u32, &ContainerId)| {
        let version = ContainerVersion { parent: None, name: name(number), hidden: false };
        let versions = vec![(PointNumber::new(1), PointNumber::OPEN, version)];
        FinishedContainer { id: *id, well_known: None, cursors: Cursors::default(), versions }
    };
    let point = |number: u32| {
        let at = sealed_at(number);
        PointRow {
            chain,
            number: PointNumber::new(number),
            state: PointState::Sealed,
            run: None,
            started_at: at,
            sealed_at: Some(at),
            n_items: 0,
            n_issues: 0,
            counts: PointCounts::default(),
        }
    };
    Finished {
        containers: (1..).zip(ids).map(container).collect(),
        tallies,
        points: (1..=POINTS).map(point).collect(),
        issues: Vec::new(),
    }
}

fn name(number: u32) -> String {
    format!("Folder {number}")
}

/// What happens in one point.
#[derive(Default)]
struct Day {
    puts: Vec<(NewVersion, Option<Text>)>,
    gone: Vec<ItemKey>,
}

async fn commit(db: &Db, key: ChainKey, items: Vec<Item>) -> anyhow::Result<()> {
    let mut days: BTreeMap<u32, Day> = BTreeMap::new();
    for item in items {
        let mut text = Some(item.text);
        let last = item.spans.last().map(|(_, to, version)| (*to, version.key));
        for (from, _, version) in item.spans {
            days.entry(from).or_default().puts.push((version, text.take()));
        }
        if let Some((to, key)) = last.filter(|(to, _)| *to <= POINTS) {
            days.entry(to).or_default().gone.push(key);
        }
    }
    let (chain, ids) = db.run("begin a chain", move |conn| begin(conn, &key)).await?;
    for number in 1..=POINTS {
        let Day { mut puts, gone } = days.remove(&number).unwrap_or_default();
        puts.iter_mut().for_each(|(version, _)| {
            version.container = ids[version.container.get() as usize - 1];
        });
        let point =
            db.run("open a point", move |conn| catalog::points::open_point(conn, chain, None, TaskId::new(1))).await?;
        for batch in puts.chunks(COMMIT) {
            let versions: Vec<NewVersion> = batch.iter().map(|(version, _)| version.clone()).collect();
            let texts: Vec<Text> = batch.iter().filter_map(|(_, text)| text.clone()).collect();
            let put = move |conn: &mut Conn| {
                items::put(conn, chain, point, &versions)?;
                Ok(search::put(conn, chain, &texts)?)
            };
            db.transaction::<_, Infallible, _>("commit items", put).await?;
        }
        for batch in gone.chunks(COMMIT) {
            let keys = batch.to_vec();
            let end = move |conn: &mut Conn| Ok(items::remove(conn, chain, point, None, &keys)?);
            db.transaction::<_, Infallible, _>("end items", end).await?;
        }
        db.run("seal a point", move |conn| catalog::points::seal(conn, chain, point, 0)).await?;
    }
    Ok(())
}

fn begin(conn: &mut Conn, key: &ChainKey) -> QueryResult<(ChainId, Vec<ContainerId>)> {
    let chain = catalog::chains::open(conn, key)?.id;
    let mut ids = Vec::new();
    for number in 1..=CONTAINERS {
        let id = catalog::containers::identify(conn, chain, &graph_id(number))?;
        let state = ContainerState {
            graph_id: graph_id(number),
            parent: None,
            name: name(number),
            hidden: false,
            well_known: None,
            n_items: None,
        };
        catalog::containers::put(conn, chain, PointNumber::new(1), id, &state)?;
        ids.push(id);
    }
    Ok((chain, ids))
}
