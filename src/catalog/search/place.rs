//! In which folder an item stands, told by names.

use std::collections::{BTreeSet, HashMap};

use crate::catalog::containers::{self, ContainerSpan};
use crate::catalog::items::{self, VersionRow};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber};

/// Folders within folders; more are a ring.
const DEPTH_MAX: usize = 400;

/// An item that holds others, as of a point.
type Holder = (ChainId, PointNumber, ItemKey);

/// What was looked up for the answers to one question.
#[derive(Default)]
pub struct Places {
    containers: HashMap<ContainerId, Vec<ContainerSpan>>,
    /// The name of an item that holds others, and what holds it; `None`: the point does not have it.
    holders: HashMap<Holder, Option<(String, Option<ItemKey>)>>,
}

impl Places {
    /// The names from the top to the item's folder, with slashes between. The root of a drive is not named.
    pub fn of(&mut self, conn: &mut Conn, chain: ChainId, point: PointNumber, row: &VersionRow) -> QueryResult<String> {
        Ok(self.of_all(conn, &[(chain, point, row)])?.pop().unwrap_or_default())
    }

    /// The same for many versions as of points, in their order: what holds them is read level by level, for all together.
    pub fn of_all(
        &mut self,
        conn: &mut Conn,
        rows: &[(ChainId, PointNumber, &VersionRow)],
    ) -> QueryResult<Vec<String>> {
        self.look_up_holders(conn, rows)?;
        self.look_up_containers(conn, rows)?;
        Ok(rows.iter().map(|(chain, point, row)| self.path(*chain, *point, row)).collect())
    }

    fn path(&self, chain: ChainId, point: PointNumber, row: &VersionRow) -> String {
        let mut names = Vec::new();
        let mut next = row.version.parent;
        while let Some(Some((name, above))) = next.and_then(|key| self.holders.get(&(chain, point, key))) {
            // What nothing holds is the root.
            if above.is_some() {
                names.push(name.as_str());
            }
            next = above.filter(|_| names.len() < DEPTH_MAX);
        }
        let mut next = Some(row.version.container);
        for _ in 0..DEPTH_MAX {
            let Some(container) = next.and_then(|id| self.container(id, point)) else { break };
            names.push(&container.name);
            next = container.parent;
        }
        names.reverse();
        names.join("/")
    }

    fn container(&self, id: ContainerId, point: PointNumber) -> Option<&ContainerSpan> {
        self.containers.get(&id)?.iter().find(|span| (span.from..span.to).contains(&point))
    }

    fn look_up_holders(&mut self, conn: &mut Conn, rows: &[(ChainId, PointNumber, &VersionRow)]) -> QueryResult<()> {
        let above = |(chain, point, row): &(ChainId, PointNumber, &VersionRow)| {
            row.version.parent.map(|key| (*chain, *point, key))
        };
        let mut level: BTreeSet<Holder> = rows.iter().filter_map(above).collect();
        for _ in 0..DEPTH_MAX {
            let unknown: Vec<Holder> = level.iter().filter(|one| !self.holders.contains_key(one)).copied().collect();
            if !unknown.is_empty() {
                self.read_holders(conn, &unknown)?;
            }
            let next = |(chain, point, key): &Holder| {
                let (_, above) = self.holders.get(&(*chain, *point, *key))?.as_ref()?;
                above.map(|key| (*chain, *point, key))
            };
            level = level.iter().filter_map(next).collect();
            if level.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn read_holders(&mut self, conn: &mut Conn, unknown: &[Holder]) -> QueryResult<()> {
        let keys: BTreeSet<(ChainId, ItemKey)> = unknown.iter().map(|(chain, _, key)| (*chain, *key)).collect();
        let keys: Vec<(ChainId, &[u8])> = keys.iter().map(|(chain, key)| (*chain, key.as_bytes().as_slice())).collect();
        let mut versions: HashMap<(ChainId, ItemKey), Vec<VersionRow>> = HashMap::new();
        for (chain, row) in items::beginning_with(conn, &keys)? {
            versions.entry((chain, row.version.key)).or_default().push(row);
        }
        for (chain, point, key) in unknown {
            let mut all = versions.get(&(*chain, *key)).into_iter().flatten();
            let found = all.find(|row| (row.from..row.to).contains(point));
            let holder = found.map(|row| (row.version.name.clone(), row.version.parent));
            self.holders.insert((*chain, *point, *key), holder);
        }
        Ok(())
    }

    fn look_up_containers(&mut self, conn: &mut Conn, rows: &[(ChainId, PointNumber, &VersionRow)]) -> QueryResult<()> {
        let mut level: BTreeSet<ContainerId> = rows.iter().map(|(_, _, row)| row.version.container).collect();
        for _ in 0..DEPTH_MAX {
            let unknown: Vec<ContainerId> =
                level.iter().filter(|id| !self.containers.contains_key(id)).copied().collect();
            if unknown.is_empty() {
                break;
            }
            let mut read: HashMap<ContainerId, Vec<ContainerSpan>> =
                unknown.iter().map(|id| (*id, Vec::new())).collect();
            for (id, span) in containers::spans(conn, &unknown)? {
                read.entry(id).or_default().push(span);
            }
            level = read.values().flatten().filter_map(|span| span.parent).collect();
            self.containers.extend(read);
        }
        Ok(())
    }
}
