//! In which folder an item stands, told by names.

use std::collections::HashMap;

use crate::catalog::items::VersionRow;
use crate::catalog::{Container, containers, items};
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber};

/// Folders within folders; more are a ring.
const DEPTH_MAX: usize = 400;

/// The name of an item that holds others, and what holds it.
type Holder = (String, Option<ItemKey>);

/// What was looked up for the answers to one question.
#[derive(Default)]
pub struct Places {
    containers: HashMap<(ChainId, PointNumber), HashMap<ContainerId, Container>>,
    /// Items that hold others; `None`: the point does not have it.
    holders: HashMap<(ChainId, PointNumber, ItemKey), Option<Holder>>,
}

impl Places {
    /// The names from the top to the item's folder, with slashes between. The root of a drive is not named.
    pub fn of(&mut self, conn: &mut Conn, chain: ChainId, point: PointNumber, row: &VersionRow) -> QueryResult<String> {
        let mut names = self.above(conn, chain, point, row.version.parent)?;
        let all = match self.containers.entry((chain, point)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                let all = containers::as_of(conn, chain, point)?;
                unknown.insert(all.into_iter().map(|one| (one.id, one)).collect())
            }
        };
        let mut next = Some(row.version.container);
        for _ in 0..DEPTH_MAX {
            let Some(container) = next.and_then(|id| all.get(&id)) else { break };
            names.push(container.name.clone());
            next = container.parent;
        }
        names.reverse();
        Ok(names.join("/"))
    }

    /// The names of the items that hold an item, from the nearest one up to the one below the root.
    fn above(
        &mut self,
        conn: &mut Conn,
        chain: ChainId,
        point: PointNumber,
        holder: Option<ItemKey>,
    ) -> QueryResult<Vec<String>> {
        let mut names = Vec::new();
        let mut next = holder;
        for _ in 0..DEPTH_MAX {
            let Some(key) = next else { break };
            let known = match self.holders.get(&(chain, point, key)) {
                Some(known) => known.clone(),
                None => {
                    let found = items::get(conn, chain, point, key)?;
                    let found = found.map(|row| (row.version.name, row.version.parent));
                    self.holders.insert((chain, point, key), found.clone());
                    found
                }
            };
            let Some((name, above)) = known else { break };
            // What nothing holds is the root.
            if above.is_some() {
                names.push(name);
            }
            next = above;
        }
        Ok(names)
    }
}
