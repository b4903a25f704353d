//! Writes a chain anew, in steps that can be repeated from the first one after any interruption.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::chains::{self, ChainKey};
use crate::catalog::containers::{self, Cursors};
use crate::catalog::issues;
use crate::catalog::items::{self, VersionRow};
use crate::catalog::points::{self, PointRow, PointState};
use crate::catalog::rebuild::RebuiltIssue;
use crate::catalog::rebuild::replay::ContainerVersion;
use crate::catalog::{BATCH_ROWS, fit, search, tallies};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, PointNumber, StorageId};

/// All of a chain but its item versions.
#[derive(Clone, Debug, Default)]
pub struct Finished {
    pub containers: Vec<FinishedContainer>,
    /// What each point changed about what a container holds.
    pub tallies: BTreeMap<PointNumber, BTreeMap<ContainerId, (i64, i64)>>,
    pub points: Vec<PointRow>,
    pub issues: Vec<RebuiltIssue>,
}

#[derive(Clone, Debug)]
pub struct FinishedContainer {
    pub id: ContainerId,
    pub well_known: Option<String>,
    pub cursors: Cursors,
    pub versions: Vec<(PointNumber, PointNumber, ContainerVersion)>,
}

/// Takes a chain out of use; makes it when there is none. What the database knows of sealed points is put aside, because
/// a point without news may be known to it alone.
pub fn begin(conn: &mut Conn, key: &ChainKey) -> QueryResult<ChainId> {
    let chain = chains::open(conn, key)?.id;
    chains::sql::set_rebuilding(conn, chain)?;
    points::sql::put_aside(conn, chain)?;
    Ok(chain)
}

/// The chains of a storage that a rebuild has begun and not finished.
pub fn unfinished(conn: &mut Conn, storage: StorageId) -> QueryResult<Vec<ChainKey>> {
    chains::sql::rebuilding(conn, storage)
}

/// The points that were put aside, in ascending order.
pub fn held_points(conn: &mut Conn, chain: ChainId) -> QueryResult<Vec<PointRow>> {
    points::sql::aside(conn, chain)
}

/// Deletes old versions of a chain and what was searched of them, some rows at a time; 0: none is left.
pub fn wipe(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<usize> {
    Ok(items::sql::delete_of(conn, chain, limit)? + search::wipe(conn, chain, limit)?)
}

/// The ids of a chain's containers, made where there are none. What was known of the containers is forgotten.
pub fn containers(conn: &mut Conn, chain: ChainId, graph_ids: &[String]) -> QueryResult<HashMap<String, ContainerId>> {
    for batch in graph_ids.chunks(BATCH_ROWS) {
        containers::sql::insert_all(conn, chain, batch)?;
    }
    let ids: HashMap<String, ContainerId> = containers::sql::ids_of(conn, chain)?.into_iter().collect();
    containers::sql::forget_chain(conn, chain)?;
    let all: Vec<ContainerId> = ids.values().copied().collect();
    for batch in all.chunks(BATCH_ROWS) {
        tallies::sql::delete_of(conn, batch)?;
    }
    Ok(ids)
}

/// Adds versions, in the order of their keys.
pub fn put_versions(conn: &mut Conn, chain: ChainId, versions: &[VersionRow]) -> QueryResult<()> {
    items::sql::insert_rows(conn, chain, versions)
}

/// Writes the rest and puts the chain into use again, in one transaction of the caller.
pub fn finish(conn: &mut Conn, chain: ChainId, finished: &Finished) -> QueryResult<()> {
    for container in &finished.containers {
        containers::sql::set_cursors(conn, container.id, container.well_known.as_deref(), &container.cursors)?;
    }
    let versions: Vec<_> = finished
        .containers
        .iter()
        .flat_map(|container| container.versions.iter().map(|(from, to, version)| (container.id, *from, *to, version)))
        .map(|(id, from, to, version)| (id, from, to, version.parent, fit(&version.name, 512), version.hidden))
        .collect();
    for batch in versions.chunks(BATCH_ROWS) {
        containers::sql::insert_versions(conn, chain, batch)?;
    }
    for (point, changed) in &finished.tallies {
        let changed: Vec<_> = changed.iter().map(|(container, change)| (*container, *change)).collect();
        for batch in changed.chunks(BATCH_ROWS) {
            tallies::sql::add(conn, *point, batch)?;
        }
    }
    issues::sql::delete_of(conn, chain)?;
    finished.issues.iter().try_for_each(|issue| issues::sql::insert_rebuilt(conn, chain, issue))?;
    points::sql::delete_points(conn, chain)?;
    for batch in finished.points.chunks(BATCH_ROWS) {
        points::sql::insert_points(conn, chain, batch)?;
    }
    let last = finished.points.iter().filter(|row| row.state == PointState::Sealed).max_by_key(|row| row.number);
    chains::sql::set_rebuilt(conn, chain, last.map(|row| (row.number, row.sealed_at)))
}
