//! Where in an archive things go: containers by their names, and items in the folders among items that hold them.

use std::collections::HashMap;

use super::{ArchiveError, Part};
use crate::catalog::{Container, items};
use crate::db::Db;
use crate::files::names::{self, Siblings};
use crate::ids::{ContainerId, ItemKey};

/// Folders within folders; more are a circle.
const DEPTH_MAX: usize = 300;
/// Folders among items whose names are kept.
const KNOWN_MAX: usize = 20_000;
/// Where what lies in something unknown is put.
const UNKNOWN: &str = "(unknown folder)";

/// The paths of the containers of a chain.
pub(super) struct Folders {
    paths: HashMap<ContainerId, String>,
    top: String,
}

impl Folders {
    pub(super) fn of(containers: &[Container], top: &str) -> Self {
        let mut below: HashMap<Option<ContainerId>, Vec<&Container>> = HashMap::new();
        let known: HashMap<ContainerId, ()> = containers.iter().map(|one| (one.id, ())).collect();
        for container in containers {
            // What is below nothing that is known is at the top.
            let parent = container.parent.filter(|parent| known.contains_key(parent) && *parent != container.id);
            below.entry(parent).or_default().push(container);
        }
        let mut paths = HashMap::new();
        let mut waiting = vec![(None, top.to_owned(), 0)];
        while let Some((parent, path, depth)) = waiting.pop() {
            let mut siblings = Siblings::default();
            for container in below.remove(&parent).unwrap_or_default() {
                let own = format!("{path}/{}", siblings.name(&container.name));
                if depth < DEPTH_MAX {
                    waiting.push((Some(container.id), own.clone(), depth + 1));
                }
                paths.insert(container.id, own);
            }
        }
        Self { paths, top: top.to_owned() }
    }

    /// A container in a circle is found at the top.
    pub(super) fn path(&self, container: ContainerId) -> &str {
        self.paths.get(&container).map_or(&self.top, String::as_str)
    }
}

/// The folders among the items of a chain, as far as they were met.
#[derive(Default)]
pub(super) struct Parents {
    known: HashMap<ItemKey, Option<Folder>>,
    /// The path that was asked for last: items come folder by folder.
    last: Option<(Option<ItemKey>, String, String)>,
}

#[derive(Clone)]
struct Folder {
    /// `None`: it is the root, which stands for the drive and has no name of its own.
    parent: Option<ItemKey>,
    name: String,
}

impl Parents {
    /// The path of what `parent` holds, in a container that is at `top`.
    pub(super) async fn path(
        &mut self,
        db: &Db,
        part: &Part,
        parent: Option<ItemKey>,
        top: &str,
    ) -> Result<String, ArchiveError> {
        if let Some((known, at, path)) = &self.last
            && *known == parent
            && at == top
        {
            return Ok(path.clone());
        }
        let mut names = Vec::new();
        let mut next = parent;
        while let Some(key) = next.filter(|_| names.len() < DEPTH_MAX) {
            let Some(folder) = self.folder(db, part, key).await? else {
                names.push(UNKNOWN.to_owned());
                break;
            };
            if folder.parent.is_some() {
                names.push(folder.name.clone());
            }
            next = folder.parent;
        }
        names.push(top.to_owned());
        names.reverse();
        let path = names.join("/");
        self.last = Some((parent, top.to_owned(), path.clone()));
        Ok(path)
    }

    async fn folder(&mut self, db: &Db, part: &Part, key: ItemKey) -> Result<Option<Folder>, ArchiveError> {
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let (chain, point) = (part.chain.id, part.point);
        let found = db.run("find a folder", move |conn| items::at(conn, chain, point, &[key])).await?;
        let folder = found.into_iter().next().map(|row| Folder {
            parent: row.version.parent,
            name: names::file_name(&row.version.name, &key.to_string()),
        });
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, folder.clone());
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::containers::Cursors;

    fn container(id: u32, parent: Option<u32>, name: &str) -> Container {
        Container {
            id: ContainerId::new(id),
            from: crate::ids::PointNumber::new(1),
            graph_id: String::new(),
            well_known: None,
            parent: parent.map(ContainerId::new),
            name: name.to_owned(),
            hidden: false,
            cursors: Cursors::default(),
        }
    }

    #[test]
    fn containers_lie_in_one_another_and_those_of_one_name_beside_each_other() {
        let containers = [
            container(1, None, "Inbox"),
            container(2, Some(1), "a/b"),
            container(3, Some(1), "a_b"),
            container(4, Some(99), "Lost"),
            container(5, Some(6), "Ring"),
            container(6, Some(5), "Ring"),
        ];

        let folders = Folders::of(&containers, "ann/mailbox");

        let paths = [1, 2, 3, 4, 5].map(|id| folders.path(ContainerId::new(id)).to_owned());
        assert_eq!(
            paths,
            [
                "ann/mailbox/Inbox",
                "ann/mailbox/Inbox/a_b",
                "ann/mailbox/Inbox/a_b (2)",
                "ann/mailbox/Lost",
                "ann/mailbox",
            ]
        );
    }
}
