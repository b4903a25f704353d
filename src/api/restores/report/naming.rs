//! What the items of a report are called, and where they were: the catalog knows as long as the restore point is kept.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::catalog::{self, Container, OutcomeRow, Part, VersionRow};
use crate::db::{Conn, Db, DbError, QueryResult};
use crate::ids::{ChainId, ContainerId, FeatureName, ItemKey, PointNumber, ResourceId};

/// A way up that is longer is a ring.
const DEPTH_MAX: usize = 400;
/// Folders among items that are remembered.
const FOLDERS_MAX: usize = 20_000;

/// The names of one chain as of a point.
pub(super) struct Names {
    chain: ChainId,
    point: PointNumber,
    source: Option<(ResourceId, FeatureName)>,
    containers: HashMap<ContainerId, Container>,
    folders: HashMap<ItemKey, (String, Option<ItemKey>)>,
}

/// An item as people know it.
#[derive(Default)]
pub(super) struct Named {
    pub resource: Option<ResourceId>,
    pub feature: Option<FeatureName>,
    /// Names from the top, with slashes between.
    pub folder: String,
    pub name: String,
    pub time: Option<DateTime<Utc>>,
}

impl Names {
    pub async fn of(db: &Db, part: &Part) -> Result<Self, DbError> {
        let (chain, point) = (part.chain, part.point);
        let read = move |conn: &mut Conn| {
            let source = catalog::chains::get(conn, chain)?.map(|chain| (chain.key.resource, chain.key.feature));
            Ok((source, catalog::containers::as_of(conn, chain, point)?))
        };
        let (source, containers) = db.run("read the folders of a report", read).await?;
        let containers = containers.into_iter().map(|container| (container.id, container)).collect();
        Ok(Self { chain, point, source, containers, folders: HashMap::new() })
    }

    pub async fn tell(&mut self, db: &Db, rows: Vec<OutcomeRow>) -> Result<Vec<(OutcomeRow, Named)>, DbError> {
        if self.folders.len() > FOLDERS_MAX {
            self.folders.clear();
        }
        let keys: Vec<ItemKey> = rows.iter().map(|row| row.key).collect();
        let (chain, point, mut folders) = (self.chain, self.point, std::mem::take(&mut self.folders));
        let read = move |conn: &mut Conn| {
            let found = catalog::items::at(conn, chain, point, &keys)?;
            look_up(conn, (chain, point), &found, &mut folders)?;
            Ok((found, std::mem::take(&mut folders)))
        };
        let (found, folders) = db.run("read the names of a report", read).await?;
        self.folders = folders;
        let found: HashMap<ItemKey, VersionRow> = found.into_iter().map(|row| (row.version.key, row)).collect();
        let named = |row: OutcomeRow| {
            let named = self.named(found.get(&row.key));
            (row, named)
        };
        Ok(rows.into_iter().map(named).collect())
    }

    fn named(&self, row: Option<&VersionRow>) -> Named {
        let (resource, feature) = match &self.source {
            Some((resource, feature)) => (Some(*resource), Some(feature.clone())),
            None => (None, None),
        };
        let Some(version) = row.map(|row| &row.version) else {
            return Named { resource, feature, ..Named::default() };
        };
        let mut path: Vec<&str> = Vec::new();
        let mut folder = version.parent;
        while let Some((name, parent)) =
            folder.and_then(|key| self.folders.get(&key)).filter(|_| path.len() < DEPTH_MAX)
        {
            // The root of a drive has no name to go by.
            path.extend(parent.is_some().then_some(name.as_str()));
            folder = *parent;
        }
        let mut container = self.containers.get(&version.container);
        while let Some(here) = container.filter(|_| path.len() < DEPTH_MAX) {
            path.push(&here.name);
            container = here.parent.and_then(|parent| self.containers.get(&parent));
        }
        path.reverse();
        let (name, time) = (version.name.clone(), Some(version.time));
        Named { resource, feature, folder: path.join("/"), name, time }
    }
}

/// Reads the folders above these items that are not known yet, level by level.
fn look_up(
    conn: &mut Conn,
    (chain, point): (ChainId, PointNumber),
    found: &[VersionRow],
    folders: &mut HashMap<ItemKey, (String, Option<ItemKey>)>,
) -> QueryResult<()> {
    let mut next: Vec<ItemKey> = found.iter().filter_map(|row| row.version.parent).collect();
    for _ in 0..DEPTH_MAX {
        next.retain(|key| !folders.contains_key(key));
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            break;
        }
        let above = catalog::items::at(conn, chain, point, &next)?;
        next = above.iter().filter_map(|row| row.version.parent).collect();
        folders.extend(above.into_iter().map(|row| (row.version.key, (row.version.name, row.version.parent))));
    }
    Ok(())
}
