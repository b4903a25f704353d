//! The folders among the items of a drive, by their keys.

use std::collections::{HashMap, HashSet};

use super::DEPTH_MAX;
use crate::catalog::NewVersion;
use crate::ids::{ContainerId, ItemKey};

/// The feature whose items lie in one another.
pub const FEATURE: &str = "onedrive";
/// Where what lies in something unknown is put.
pub const UNKNOWN: &str = "(unknown folder)";

#[derive(Debug, Default)]
pub struct Tree {
    folders: HashMap<ItemKey, Folder>,
    /// What others than folders lie in: folders, and files that have older versions.
    awaited: HashSet<ItemKey>,
    /// The files among them.
    files: HashMap<ItemKey, Folder>,
    containers: HashMap<ContainerId, Vec<String>>,
}

#[derive(Debug)]
struct Folder {
    container: ContainerId,
    /// `None`: it is the root, which stands for the drive and has no name of its own.
    parent: Option<ItemKey>,
    name: String,
}

impl Tree {
    /// Learns where containers are.
    pub fn paths_of(&mut self, containers: &HashMap<ContainerId, Vec<String>>) {
        self.containers.extend(containers.iter().map(|(id, path)| (*id, path.clone())));
    }

    pub fn add(&mut self, folder: &NewVersion) {
        let known = Folder { container: folder.container, parent: folder.parent, name: folder.name.clone() };
        self.folders.insert(folder.key, known);
    }

    /// Learns that something lies in this.
    pub fn await_holder(&mut self, holder: Option<ItemKey>) {
        self.awaited.extend(holder);
    }

    /// Whether something lies in what is no folder.
    pub fn awaits_files(&self) -> bool {
        self.awaited.iter().any(|key| !self.folders.contains_key(key))
    }

    /// Learns a file if something lies in it.
    pub fn add_file(&mut self, file: &NewVersion) {
        if self.awaited.contains(&file.key) && !self.is_folder(file.key) {
            let known = Folder { container: file.container, parent: file.parent, name: file.name.clone() };
            self.files.insert(file.key, known);
        }
    }

    pub fn is_folder(&self, key: ItemKey) -> bool {
        self.folders.contains_key(&key)
    }

    /// The names of the folders that hold an item, from the top down to the one it is in.
    pub fn names_above(&self, item: &NewVersion) -> Vec<String> {
        self.names_from(item.parent)
    }

    /// The path of every folder.
    pub fn paths(&self) -> impl Iterator<Item = Vec<String>> + '_ {
        self.folders.iter().map(|(key, folder)| {
            let mut path = self.containers.get(&folder.container).cloned().unwrap_or_default();
            path.extend(self.names_from(Some(*key)));
            path
        })
    }

    fn names_from(&self, parent: Option<ItemKey>) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = parent;
        while let Some(key) = next.filter(|_| names.len() < DEPTH_MAX) {
            let Some(folder) = self.folders.get(&key).or_else(|| self.files.get(&key)) else {
                names.push(UNKNOWN.to_owned());
                break;
            };
            if folder.parent.is_some() {
                names.push(folder.name.clone());
            }
            next = folder.parent;
        }
        names.reverse();
        names
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::catalog::ContentRef;
    use crate::ids::{BlobId, PackId, WalkNumber};

    fn item(id: &str, parent: Option<&str>, name: &str) -> NewVersion {
        NewVersion {
            key: ItemKey::of(id),
            container: ContainerId::new(1),
            parent: parent.map(ItemKey::of),
            full_walk: WalkNumber::FIRST,
            kind: 1,
            flags: 0,
            change_tag: 0,
            name: name.to_owned(),
            party: String::new(),
            time: DateTime::UNIX_EPOCH,
            bytes: 0,
            properties: ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([0; 16]) },
            content: None,
            refs: Vec::new(),
        }
    }

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.paths_of(&HashMap::from([(ContainerId::new(1), vec!["OneDrive".to_owned()])]));
        for folder in [item("r", None, "root"), item("a", Some("r"), "A"), item("b", Some("a"), "B")] {
            tree.add(&folder);
        }
        tree
    }

    #[test]
    fn an_item_is_below_its_folders_and_the_root_has_no_name() {
        assert_eq!(tree().names_above(&item("f", Some("b"), "f.txt")), ["A", "B"]);
        assert!(tree().names_above(&item("f", Some("r"), "f.txt")).is_empty());
        let mut paths: Vec<String> = tree().paths().map(|path| path.join("/")).collect();
        paths.sort();
        assert_eq!(paths, ["OneDrive", "OneDrive/A", "OneDrive/A/B"]);
    }

    #[test]
    fn an_older_version_is_below_its_file() {
        let (mut tree, file) = (tree(), item("f", Some("b"), "f.txt"));
        let version = item("f:versions:1.0", Some("f"), "f (version 1.0).txt");
        tree.await_holder(file.parent);
        assert!(!tree.awaits_files());
        tree.await_holder(version.parent);
        assert!(tree.awaits_files());
        for item in [&file, &version] {
            tree.add_file(item);
        }

        assert_eq!(tree.names_above(&version), ["A", "B", "f.txt"]);
        assert!(!tree.is_folder(file.key));
    }

    #[test]
    fn what_lies_in_something_unknown_or_in_a_ring_has_a_path_all_the_same() {
        let mut ring = tree();
        ring.add(&item("a", Some("b"), "A"));

        assert_eq!(tree().names_above(&item("f", Some("nowhere"), "f.txt")), [UNKNOWN]);
        assert_eq!(ring.names_above(&item("f", Some("b"), "f.txt")).len(), DEPTH_MAX);
    }
}
