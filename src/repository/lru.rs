//! A cache of bounded memory.

use std::collections::{HashMap, VecDeque};

/// A bounded cache that gives up what was used longest ago.
pub(super) struct Lru<K, V> {
    entries: HashMap<K, (V, usize)>,
    order: VecDeque<K>,
    bytes: usize,
    bytes_max: usize,
}

impl<K: Copy + Eq + std::hash::Hash, V: Clone> Lru<K, V> {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// For a cache that is still empty.
    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let (value, _) = self.entries.get(key)?;
        let value = value.clone();
        // Few hundred entries: a walk over their names is nothing beside the read that it saves.
        if let Some(at) = self.order.iter().position(|known| known == key) {
            self.order.remove(at);
            self.order.push_back(*key);
        }
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        self.entries.insert(key, (value, bytes));
        self.order.push_back(key);
        self.bytes += bytes;
        while self.bytes > self.bytes_max && self.order.len() > 1 {
            if let Some(oldest) = self.order.front().copied() {
                self.remove(&oldest);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((_, bytes)) = self.entries.remove(key) {
            self.bytes -= bytes;
            self.order.retain(|known| known != key);
        }
    }
}
