//! One mailbox: folders, items, and for every folder the log of what changed. Owns the truth and
//! its history; knows nothing of HTTP, of JSON, or of which id kind a request wants.
//!
//! Invariants: an item is in exactly one folder; every change of an item raises `seq` and is in
//! the log of the folder concerned; a move changes the incarnation, on which mutable ids depend.

pub mod calendar;
pub mod changes;
pub mod contact;
pub mod event;
pub mod folder;
pub mod ids;
pub mod lazy;
pub mod message;
pub mod recurrence;
pub mod settings;
pub mod shelf;
mod tree;
pub mod zone;

use folder::{Change, ChangeKind, Changed, Folder, FolderChange, TOP, standard_folders};
use lazy::LazyBase;
use message::Message;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

#[derive(Debug)]
pub struct Mailbox {
    pub guid: String,
    /// Raised to make every delta token handed out so far stale.
    pub epoch: u32,
    folders: BTreeMap<u32, Folder>,
    next_folder: u32,
    entries: HashMap<u64, Entry>,
    gone: HashSet<u64>,
    lazy: Option<Arc<LazyBase>>,
    by_internet_id: HashMap<String, Vec<u64>>,
    next_item: u64,
    seq: u64,
    folder_log: Vec<FolderChange>,
}

#[derive(Clone, Debug)]
struct Entry {
    message: Arc<Message>,
    folder: u32,
    incarnation: u32,
    change: u64,
}

/// An item as it was at one moment; its message can be made after the lock is released.
#[derive(Clone, Debug)]
pub struct Found {
    pub item: u64,
    pub folder: u32,
    pub incarnation: u32,
    pub change: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Held(Arc<Message>),
    Lazy(Arc<LazyBase>),
}

impl Found {
    pub fn message(&self) -> Arc<Message> {
        match &self.content {
            Content::Held(message) => Arc::clone(message),
            Content::Lazy(base) => Arc::new(base.message(self.item)),
        }
    }

    /// The Message-ID without making the whole message.
    pub fn internet_id(&self) -> String {
        match &self.content {
            Content::Held(message) => message.internet_message_id.clone(),
            Content::Lazy(base) => base.internet_id(self.item),
        }
    }

    pub fn received(&self) -> i64 {
        match &self.content {
            Content::Held(message) => message.received,
            Content::Lazy(base) => base.received(self.item),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderRefusal {
    NameTaken,
    NotFound,
    /// Well-known folders can be neither renamed, moved nor deleted.
    Protected,
}

impl Mailbox {
    pub fn new(guid: String) -> Self {
        let folders: BTreeMap<u32, Folder> = standard_folders().into_iter().map(|f| (f.id, f)).collect();
        Self {
            guid,
            epoch: 1,
            next_folder: folders.len() as u32 + 1,
            folders,
            entries: HashMap::new(),
            gone: HashSet::new(),
            lazy: None,
            by_internet_id: HashMap::new(),
            next_item: 1,
            seq: 1,
            folder_log: Vec::new(),
        }
    }

    /// Puts a computed mailbox underneath; only before anything else is stored.
    pub fn set_lazy(&mut self, base: LazyBase) {
        let mut from = 1;
        for (known, name, share) in lazy::LAYOUT {
            let until = from + base.count * share / 100;
            let until = if name == lazy::LAYOUT[lazy::LAYOUT.len() - 1].1 { base.count + 1 } else { until };
            let id = match self.well_known(known) {
                Some(id) => id,
                None => self.insert_folder(TOP, name, false),
            };
            if let Some(folder) = self.folders.get_mut(&id) {
                folder.base = from..until;
                folder.total = (until - from) as i64;
                folder.unread = lazy::unread_in(from..until);
            }
            from = until;
        }
        self.next_item = base.count + 1;
        self.lazy = Some(Arc::new(base));
    }

    pub fn is_lazy(&self) -> bool {
        self.lazy.is_some()
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn item(&self, item: u64) -> Option<Found> {
        if let Some(entry) = self.entries.get(&item) {
            return Some(Found {
                item,
                folder: entry.folder,
                incarnation: entry.incarnation,
                change: entry.change,
                content: Content::Held(Arc::clone(&entry.message)),
            });
        }
        let base = self.lazy.as_ref()?;
        if self.gone.contains(&item) {
            return None;
        }
        let folder = self.folders.values().find(|f| f.base.contains(&item))?;
        Some(Found { item, folder: folder.id, incarnation: 1, change: item, content: Content::Lazy(Arc::clone(base)) })
    }

    pub fn by_internet_id(&self, internet_id: &str) -> Vec<u64> {
        let mut found = self.by_internet_id.get(internet_id).cloned().unwrap_or_default();
        if let Some(item) = self.lazy.as_ref().and_then(|base| base.item_of(internet_id))
            && !found.contains(&item)
            && self.item(item).is_some_and(|f| f.internet_id() == internet_id)
        {
            found.push(item);
        }
        found
    }

    pub fn add(&mut self, folder: u32, message: Message) -> u64 {
        let item = self.next_item;
        self.next_item += 1;
        self.by_internet_id.entry(message.internet_message_id.clone()).or_default().push(item);
        let entry = Entry { message: Arc::new(message), folder, incarnation: 1, change: 0 };
        self.entries.insert(item, entry);
        self.enter(item, folder);
        item
    }

    /// Changes a message in place; the incarnation, and with it every id, stays.
    pub fn update(&mut self, item: u64, changed: Changed, edit: impl FnOnce(&mut Message)) -> bool {
        if !self.materialise(item) {
            return false;
        }
        self.seq += 1;
        let seq = self.seq;
        let Some(entry) = self.entries.get_mut(&item) else {
            return false;
        };
        let was_read = entry.message.is_read;
        let before = entry.message.internet_message_id.clone();
        edit(Arc::make_mut(&mut entry.message));
        entry.change = seq;
        let (now_read, after) = (entry.message.is_read, entry.message.internet_message_id.clone());
        let (folder, incarnation) = (entry.folder, entry.incarnation);
        if before != after {
            self.unindex(&before, item);
            self.by_internet_id.entry(after).or_default().push(item);
        }
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.unread += i64::from(!now_read) - i64::from(!was_read);
            folder.log.push(Change { seq, item, incarnation, kind: ChangeKind::Updated(changed) });
        }
        true
    }

    pub fn move_item(&mut self, item: u64, to: u32) -> bool {
        if !self.folders.contains_key(&to) || !self.materialise(item) {
            return false;
        }
        self.leave(item);
        if let Some(entry) = self.entries.get_mut(&item) {
            entry.incarnation += 1;
            entry.folder = to;
        }
        self.enter(item, to);
        true
    }

    /// Removes an item for good.
    pub fn remove(&mut self, item: u64) -> bool {
        if !self.materialise(item) {
            return false;
        }
        self.leave(item);
        self.forget_entry(item);
        true
    }

    fn enter(&mut self, item: u64, folder: u32) {
        self.seq += 1;
        let seq = self.seq;
        let Some(entry) = self.entries.get_mut(&item) else {
            return;
        };
        entry.change = seq;
        let (incarnation, unread) = (entry.incarnation, !entry.message.is_read);
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.members.insert(item);
            folder.total += 1;
            folder.unread += i64::from(unread);
            folder.log.push(Change { seq, item, incarnation, kind: ChangeKind::Created });
        }
    }

    fn leave(&mut self, item: u64) {
        self.seq += 1;
        let seq = self.seq;
        let Some(entry) = self.entries.get(&item) else {
            return;
        };
        let (incarnation, unread) = (entry.incarnation, !entry.message.is_read);
        if let Some(folder) = self.folders.get_mut(&entry.folder) {
            folder.members.remove(&item);
            folder.total -= 1;
            folder.unread -= i64::from(unread);
            folder.log.push(Change { seq, item, incarnation, kind: ChangeKind::Removed });
        }
    }

    fn forget_entry(&mut self, item: u64) {
        if let Some(entry) = self.entries.remove(&item) {
            self.unindex(&entry.message.internet_message_id, item);
        }
        if self.lazy.as_ref().is_some_and(|base| item <= base.count) {
            self.gone.insert(item);
        }
    }

    fn unindex(&mut self, internet_id: &str, item: u64) {
        if let Some(items) = self.by_internet_id.get_mut(internet_id) {
            items.retain(|have| *have != item);
            if items.is_empty() {
                self.by_internet_id.remove(internet_id);
            }
        }
    }

    /// Turns a computed item into a held one, so that it can be changed. True if it exists.
    fn materialise(&mut self, item: u64) -> bool {
        if self.entries.contains_key(&item) {
            return true;
        }
        let Some(found) = self.item(item) else {
            return false;
        };
        let message = found.message();
        self.by_internet_id.entry(message.internet_message_id.clone()).or_default().push(item);
        self.entries.insert(
            item,
            Entry { message, folder: found.folder, incarnation: found.incarnation, change: found.change },
        );
        if let Some(folder) = self.folders.get_mut(&found.folder) {
            folder.members.insert(item);
        }
        true
    }
}
