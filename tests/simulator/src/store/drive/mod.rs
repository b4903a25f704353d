//! One drive: a tree of items and the log of what changed in it. Owns the truth and its history;
//! knows nothing of HTTP or JSON.
//!
//! Invariants: every item but the root is in exactly one container; names in a container differ in
//! more than their case; every change of an item raises `seq` and is in the log; the size of a
//! folder is the sum of what is below.

pub mod changes;
pub mod content;
pub mod ids;
pub mod item;
pub mod quickxor;

use crate::store::message::Person;
use changes::{Change, ChangeKind};
use content::Content;
use item::{File, Item, Kind, Permission, Version};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub const ROOT: u64 = 1;
pub const NOTE_MIME: &str = "application/msonenote";

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriveState {
    Ready,
    /// Licensed, but never opened: the personal site does not exist.
    Unprovisioned,
    Unlicensed,
    /// The site is blocked by an administrator or a lapsed subscription.
    Locked,
}

#[derive(Debug)]
pub struct Drive {
    pub id: String,
    pub state: DriveState,
    /// Raised to make every delta token handed out so far stale.
    pub epoch: u32,
    salt: u64,
    items: BTreeMap<u64, Item>,
    children: HashMap<u64, BTreeMap<String, u64>>,
    by_id: HashMap<String, u64>,
    /// Where an item was when it was deleted.
    gone: HashMap<u64, u64>,
    log: Vec<Change>,
    seq: u64,
    next: u64,
}

/// Who did it, and when.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub at: i64,
    pub by: Person,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriveRefusal {
    NameTaken,
    NotFound,
    /// The root can be neither renamed, moved nor deleted, nor a folder moved into itself.
    Protected,
}

impl Drive {
    pub fn new(salt: u64, state: DriveState, stamp: &Stamp) -> Self {
        let mut drive = Self {
            id: ids::drive_id(salt),
            state,
            epoch: 1,
            salt,
            items: BTreeMap::new(),
            children: HashMap::new(),
            by_id: HashMap::new(),
            gone: HashMap::new(),
            log: Vec::new(),
            seq: 0,
            next: ROOT,
        };
        drive.insert(0, "root", Kind::Folder { special: None }, stamp);
        drive
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What ids of this drive are made from.
    pub fn salt(&self) -> u64 {
        self.salt
    }

    /// How many items there are below the root.
    pub fn count(&self) -> usize {
        self.items.len() - 1
    }

    pub fn item(&self, number: u64) -> Option<&Item> {
        self.items.get(&number)
    }

    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    pub fn by_id(&self, id: &str) -> Option<&Item> {
        self.item(*self.by_id.get(id)?)
    }

    pub fn id_of(&self, number: u64) -> String {
        ids::item_id(self.salt, number)
    }

    pub fn guid_of(&self, number: u64) -> String {
        ids::item_guid(self.salt, number)
    }

    /// Where a deleted item was.
    pub fn last_parent(&self, number: u64) -> Option<u64> {
        self.gone.get(&number).copied()
    }

    /// In the order of their names.
    pub fn children(&self, parent: u64) -> impl Iterator<Item = &Item> {
        self.children.get(&parent).into_iter().flat_map(BTreeMap::values).filter_map(|number| self.item(*number))
    }

    pub fn child_count(&self, parent: u64) -> usize {
        self.children.get(&parent).map_or(0, BTreeMap::len)
    }

    /// From the container of an item up to the root.
    pub fn ancestors(&self, number: u64) -> Vec<u64> {
        let parent = |number: u64| self.item(number).map(|item| item.parent).filter(|parent| *parent != 0);
        std::iter::successors(parent(number), |number| parent(*number)).collect()
    }

    /// `Documents/Plan.docx`; empty for the root.
    pub fn path(&self, number: u64) -> String {
        let mut names: Vec<&str> = std::iter::once(number)
            .chain(self.ancestors(number))
            .filter(|number| *number != ROOT)
            .filter_map(|number| self.item(number).map(|item| item.name.as_str()))
            .collect();
        names.reverse();
        names.join("/")
    }

    pub fn by_path(&self, path: &str) -> Option<&Item> {
        self.below(ROOT, path)
    }

    pub fn below(&self, folder: u64, path: &str) -> Option<&Item> {
        let mut at = folder;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = *self.children.get(&at)?.get(&name.to_lowercase())?;
        }
        self.item(at)
    }

    pub fn add(&mut self, parent: u64, name: &str, kind: Kind, stamp: &Stamp) -> Result<u64, DriveRefusal> {
        if !self.item(parent).is_some_and(Item::is_container) {
            return Err(DriveRefusal::NotFound);
        }
        self.check_free(parent, name)?;
        Ok(self.insert(parent, name, kind, stamp))
    }

    fn insert(&mut self, parent: u64, name: &str, kind: Kind, stamp: &Stamp) -> u64 {
        let number = self.next;
        self.next += 1;
        let size = match &kind {
            Kind::File(file) => file.content.len(),
            Kind::Folder { .. } | Kind::Notebook | Kind::Shortcut(_) => 0,
        };
        let item = Item {
            number,
            parent,
            name: name.to_owned(),
            kind,
            created: stamp.at,
            modified: stamp.at,
            touched: stamp.at,
            author: stamp.by.clone(),
            editor: stamp.by.clone(),
            description: None,
            permissions: Vec::new(),
            revision: 1,
            size,
            locked: false,
        };
        self.items.insert(number, item);
        self.by_id.insert(self.id_of(number), number);
        self.children.entry(parent).or_default().insert(name.to_lowercase(), number);
        self.resize(parent, 0, size);
        self.note(number, ChangeKind::Touched, stamp.at);
        number
    }

    /// Changes an item in place; its container, its name and its content stay.
    pub fn update(&mut self, number: u64, stamp: &Stamp, edit: impl FnOnce(&mut Item)) -> bool {
        self.change(number, ChangeKind::Touched, stamp, edit)
    }

    /// Grants. Who has that role already keeps it, and nothing changes; who has another one has both.
    pub fn share(&mut self, number: u64, permission: Permission, stamp: &Stamp) -> bool {
        if self.item(number).is_some_and(|item| item.permissions.contains(&permission)) {
            return true;
        }
        self.change(number, ChangeKind::Shared, stamp, |item| item.permissions.push(permission))
    }

    /// New content for a file; what it had becomes a version.
    pub fn overwrite(&mut self, number: u64, content: Arc<Content>, stamp: &Stamp) -> bool {
        let Some(Item { kind: Kind::File(_), parent, size: before, .. }) = self.item(number) else {
            return false;
        };
        let (parent, before, after) = (*parent, *before, content.len());
        self.resize(parent, before, after);
        self.update(number, stamp, |item| {
            let (at, by) = (item.modified, std::mem::replace(&mut item.editor, stamp.by.clone()));
            item.modified = stamp.at;
            item.size = after;
            if let Kind::File(File { content: current, version, older, .. }) = &mut item.kind {
                let content = std::mem::replace(current, content);
                older.push(Version { number: *version, at, by, content });
                *version += 1;
            }
        })
    }

    /// What SharePoint makes of content after it has arrived: no version, and nobody's doing.
    pub fn rewrite(&mut self, number: u64, content: Arc<Content>) {
        let Some(Item { kind: Kind::File(_), parent, size: before, touched, editor, .. }) = self.item(number) else {
            return;
        };
        let (parent, before, after) = (*parent, *before, content.len());
        let stamp = Stamp { at: *touched, by: editor.clone() };
        self.resize(parent, before, after);
        self.update(number, &stamp, |item| {
            item.size = after;
            if let Kind::File(file) = &mut item.kind {
                file.content = content;
            }
        });
    }

    /// Deletes all that is below the root.
    pub fn wipe(&mut self, at: i64) {
        let top: Vec<u64> = self.children(ROOT).map(|item| item.number).collect();
        for number in top {
            // The root alone is protected.
            self.remove(number, at).expect("what is below the root can be deleted");
        }
    }

    pub fn rename(&mut self, number: u64, name: &str, stamp: &Stamp) -> Result<(), DriveRefusal> {
        let parent = self.movable(number)?.parent;
        self.place(number, parent, name, stamp)
    }

    pub fn relocate(&mut self, number: u64, parent: u64, stamp: &Stamp) -> Result<(), DriveRefusal> {
        let name = self.movable(number)?.name.clone();
        self.settle(number, parent, &name, stamp)
    }

    /// Into a container, under a name, or neither.
    pub fn settle(&mut self, number: u64, parent: u64, name: &str, stamp: &Stamp) -> Result<(), DriveRefusal> {
        self.movable(number)?;
        if !self.item(parent).is_some_and(Item::is_container) {
            return Err(DriveRefusal::NotFound);
        }
        if parent == number || self.ancestors(parent).contains(&number) {
            return Err(DriveRefusal::Protected);
        }
        self.place(number, parent, name, stamp)
    }

    fn place(&mut self, number: u64, to: u64, name: &str, stamp: &Stamp) -> Result<(), DriveRefusal> {
        let (from, old, size) = {
            let item = self.movable(number)?;
            (item.parent, item.name.to_lowercase(), item.size)
        };
        if from != to || old != name.to_lowercase() {
            self.check_free(to, name)?;
        }
        self.children.entry(from).or_default().remove(&old);
        self.children.entry(to).or_default().insert(name.to_lowercase(), number);
        self.resize(from, size, 0);
        self.resize(to, 0, size);
        self.update(number, stamp, |item| {
            item.parent = to;
            name.clone_into(&mut item.name);
        });
        Ok(())
    }

    /// Deletes an item and everything below it, the innermost first.
    pub fn remove(&mut self, number: u64, at: i64) -> Result<(), DriveRefusal> {
        self.movable(number)?;
        let below: Vec<u64> = self.children(number).map(|item| item.number).collect();
        for child in below {
            self.remove(child, at)?;
        }
        if let Some(item) = self.items.remove(&number) {
            self.children.entry(item.parent).or_default().remove(&item.name.to_lowercase());
            self.children.remove(&number);
            self.by_id.remove(&self.id_of(number));
            self.gone.insert(number, item.parent);
            self.resize(item.parent, item.size, 0);
            self.note(number, ChangeKind::Removed, at);
        }
        Ok(())
    }

    fn change(&mut self, number: u64, kind: ChangeKind, stamp: &Stamp, edit: impl FnOnce(&mut Item)) -> bool {
        let Some(item) = self.items.get_mut(&number) else {
            return false;
        };
        edit(item);
        item.revision += 1;
        item.touched = stamp.at;
        self.note(number, kind, stamp.at);
        true
    }

    fn movable(&self, number: u64) -> Result<&Item, DriveRefusal> {
        if number == ROOT {
            return Err(DriveRefusal::Protected);
        }
        self.item(number).ok_or(DriveRefusal::NotFound)
    }

    fn check_free(&self, parent: u64, name: &str) -> Result<(), DriveRefusal> {
        let taken = self.children.get(&parent).is_some_and(|names| names.contains_key(&name.to_lowercase()));
        if taken { Err(DriveRefusal::NameTaken) } else { Ok(()) }
    }

    fn resize(&mut self, container: u64, before: u64, after: u64) {
        let mut at = container;
        while let Some(item) = self.items.get_mut(&at) {
            item.size = item.size + after - before;
            at = item.parent;
        }
    }

    fn note(&mut self, item: u64, kind: ChangeKind, at: i64) {
        self.seq += 1;
        // Files bring dates of their own; the log goes forward only.
        let at = self.log.last().map_or(at, |last| last.at.max(at));
        self.log.push(Change { seq: self.seq, at, item, kind });
    }
}
