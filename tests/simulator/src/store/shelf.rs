//! Items in containers with the history that delta needs, for everything of a mailbox that is not
//! mail: events in calendars, contacts in their folders.
//!
//! The invariants of `Mailbox` hold here too: an item is in exactly one container; every change
//! raises `seq` and is in the log of the container concerned; a move changes the incarnation.

use super::changes::Fold;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Debug)]
pub struct Shelf<C, T> {
    pub guid: String,
    /// Raised to make every delta token handed out so far stale.
    pub epoch: u32,
    containers: BTreeMap<u32, Container<C, T>>,
    entries: BTreeMap<u64, Entry<T>>,
    next_container: u32,
    next_item: u64,
    seq: u64,
    container_log: Vec<ContainerChange>,
}

#[derive(Debug)]
pub struct Container<C, T> {
    pub id: u32,
    /// 0 at the top.
    pub parent: u32,
    pub change: u64,
    pub info: C,
    members: BTreeSet<u64>,
    log: Vec<Change<T>>,
}

#[derive(Debug)]
struct Change<T> {
    seq: u64,
    item: u64,
    incarnation: u32,
    /// What was here before; nothing if the item entered.
    before: Option<Arc<T>>,
}

#[derive(Clone, Copy, Debug)]
pub struct ContainerChange {
    pub seq: u64,
    pub container: u32,
}

#[derive(Debug)]
pub struct Entry<T> {
    pub item: u64,
    pub container: u32,
    pub incarnation: u32,
    pub change: u64,
    pub content: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { content: Arc::clone(&self.content), ..*self }
    }
}

/// What became of one item of a container over a stretch of its log.
#[derive(Debug)]
pub struct Step<T> {
    pub item: u64,
    pub incarnation: u32,
    /// Nothing if it was not in the container when the stretch began.
    pub before: Option<Arc<T>>,
    /// Nothing if it is not in the container any more.
    pub now: Option<Entry<T>>,
}

/// The changes of one id, seen as one.
struct Folded<T> {
    /// Of the last of them.
    seq: u64,
    incarnation: u32,
    /// What was there before the first.
    before: Option<Arc<T>>,
}

impl<C, T: Clone> Shelf<C, T> {
    pub fn new(guid: String) -> Self {
        Self {
            guid,
            epoch: 1,
            containers: BTreeMap::new(),
            entries: BTreeMap::new(),
            next_container: 1,
            next_item: 1,
            seq: 1,
            container_log: Vec::new(),
        }
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn container(&self, id: u32) -> Option<&Container<C, T>> {
        self.containers.get(&id)
    }

    pub fn containers(&self) -> impl Iterator<Item = &Container<C, T>> {
        self.containers.values()
    }

    pub fn add_container(&mut self, parent: u32, info: C) -> u32 {
        let id = self.next_container;
        self.next_container += 1;
        self.seq += 1;
        let change = self.seq;
        self.containers.insert(id, Container { id, parent, change, info, members: BTreeSet::new(), log: Vec::new() });
        self.container_log.push(ContainerChange { seq: change, container: id });
        id
    }

    pub fn change_container(&mut self, id: u32, edit: impl FnOnce(&mut C)) -> bool {
        let Some(container) = self.containers.get_mut(&id) else {
            return false;
        };
        self.seq += 1;
        container.change = self.seq;
        edit(&mut container.info);
        self.container_log.push(ContainerChange { seq: self.seq, container: id });
        true
    }

    /// Removes the container, those below it, and all items in them.
    pub fn remove_container(&mut self, id: u32) -> bool {
        let below: Vec<u32> = self.containers.values().filter(|c| c.parent == id).map(|c| c.id).collect();
        for child in below {
            self.remove_container(child);
        }
        let Some(container) = self.containers.remove(&id) else {
            return false;
        };
        for item in container.members {
            self.entries.remove(&item);
        }
        self.seq += 1;
        self.container_log.push(ContainerChange { seq: self.seq, container: id });
        true
    }

    pub fn entry(&self, item: u64) -> Option<&Entry<T>> {
        self.entries.get(&item)
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// Items of a container, in the order they were made.
    pub fn held_in(&self, container: u32) -> Vec<Entry<T>> {
        let members = self.containers.get(&container).map(|c| &c.members).into_iter().flatten();
        members.filter_map(|item| self.entries.get(item)).cloned().collect()
    }

    pub fn add(&mut self, container: u32, content: T) -> u64 {
        let item = self.next_item;
        self.next_item += 1;
        self.entries.insert(item, Entry { item, container, incarnation: 1, change: 0, content: Arc::new(content) });
        self.enter(item);
        item
    }

    /// Changes an item in place; the incarnation, and with it every id, stays.
    pub fn update(&mut self, item: u64, edit: impl FnOnce(&mut T)) -> bool {
        let Some(entry) = self.entries.get_mut(&item) else {
            return false;
        };
        self.seq += 1;
        let before = Arc::clone(&entry.content);
        edit(Arc::make_mut(&mut entry.content));
        entry.change = self.seq;
        let (container, incarnation) = (entry.container, entry.incarnation);
        self.note(container, item, incarnation, Some(before));
        true
    }

    pub fn move_item(&mut self, item: u64, to: u32) -> bool {
        if !self.containers.contains_key(&to) || !self.leave(item) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&item) {
            entry.incarnation += 1;
            entry.container = to;
        }
        self.enter(item);
        true
    }

    pub fn remove(&mut self, item: u64) -> bool {
        self.leave(item) && self.entries.remove(&item).is_some()
    }

    fn enter(&mut self, item: u64) {
        self.seq += 1;
        if let Some(entry) = self.entries.get_mut(&item) {
            entry.change = self.seq;
            let (container, incarnation) = (entry.container, entry.incarnation);
            if let Some(held) = self.containers.get_mut(&container) {
                held.members.insert(item);
            }
            self.note(container, item, incarnation, None);
        }
    }

    fn leave(&mut self, item: u64) -> bool {
        let Some(entry) = self.entries.get(&item) else {
            return false;
        };
        self.seq += 1;
        let (container, incarnation, before) = (entry.container, entry.incarnation, Arc::clone(&entry.content));
        if let Some(held) = self.containers.get_mut(&container) {
            held.members.remove(&item);
        }
        self.note(container, item, incarnation, Some(before));
        true
    }

    fn note(&mut self, container: u32, item: u64, incarnation: u32, before: Option<Arc<T>>) {
        let seq = self.seq;
        if let Some(held) = self.containers.get_mut(&container) {
            held.log.push(Change { seq, item, incarnation, before });
        }
    }

    /// What happened in the container after `from` up to and including `upto`, one step per id, in
    /// the order of the last change.
    pub fn changes(&self, container: u32, from: u64, upto: u64, fold: Fold) -> Vec<Step<T>> {
        let Some(held) = self.containers.get(&container) else {
            return Vec::new();
        };
        let start = held.log.partition_point(|change| change.seq <= from);
        let mut seen: HashMap<(u64, u32), Folded<T>> = HashMap::new();
        for change in held.log[start..].iter().take_while(|c| c.seq <= upto) {
            let lasting = match fold {
                Fold::ByItem => 0,
                Fold::ByIncarnation => change.incarnation,
            };
            let first = || Folded { seq: 0, incarnation: 0, before: change.before.clone() };
            let folded = seen.entry((change.item, lasting)).or_insert_with(first);
            (folded.seq, folded.incarnation) = (change.seq, change.incarnation);
        }
        let mut order: Vec<_> = seen.into_iter().collect();
        order.sort_unstable_by_key(|(_, folded)| folded.seq);
        order
            .into_iter()
            .map(|((item, _), Folded { incarnation, before, .. })| {
                let here = self.entries.get(&item).filter(|entry| {
                    entry.container == container && (fold == Fold::ByItem || entry.incarnation == incarnation)
                });
                Step { item, incarnation, before, now: here.cloned() }
            })
            .collect()
    }

    /// Containers changed after `from` up to `upto`, in the order of the last change of each.
    pub fn container_changes(&self, from: u64, upto: u64) -> Vec<ContainerChange> {
        let start = self.container_log.partition_point(|change| change.seq <= from);
        let mut last: HashMap<u32, ContainerChange> = HashMap::new();
        for change in self.container_log[start..].iter().take_while(|c| c.seq <= upto) {
            last.insert(change.container, *change);
        }
        let mut order: Vec<_> = last.into_values().collect();
        order.sort_unstable_by_key(|change| change.seq);
        order
    }

    /// Everything but these containers is gone, and they are empty.
    pub fn wipe(&mut self, kept: &[u32]) {
        let items: Vec<u64> = self.entries.keys().copied().collect();
        for item in items {
            self.remove(item);
        }
        let others: Vec<u32> = self.containers.keys().copied().filter(|id| !kept.contains(id)).collect();
        for id in others {
            self.remove_container(id);
        }
    }
}
