//! Marks in bounded memory: what a scan found in use, of a range of keys that shrinks as it must.

/// A set of keys from `from` on. When it outgrows its bound it keeps the lower half and no longer takes the upper; a
/// later pass begins where this one ended.
#[derive(Debug)]
pub(super) struct Marks<K> {
    from: K,
    below: Option<K>,
    found: Vec<K>,
    n_max: usize,
    cut: fn(K) -> K,
}

impl<K: Ord + Copy> Marks<K> {
    /// Takes keys from `from` to `below` and remembers about `n_max` of them. Ranges end at what `cut` makes of a key,
    /// which is not above it.
    pub fn new(from: K, below: Option<K>, n_max: usize, cut: fn(K) -> K) -> Self {
        Self { from, below, found: Vec::new(), n_max: n_max.max(2), cut }
    }

    pub fn add(&mut self, key: K) {
        if key < self.from || self.below.is_some_and(|below| key >= below) {
            return;
        }
        self.found.push(key);
        if self.found.len() >= self.n_max {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.settle();
        if self.found.len() < self.n_max / 2 {
            return;
        }
        let middle = (self.cut)(self.found[self.found.len() / 2]);
        let last = self.found.last().map_or(middle, |last| (self.cut)(*last));
        match [middle, last].into_iter().find(|below| *below > self.found[0] && *below > self.from) {
            Some(below) => {
                self.below = Some(below);
                self.found.truncate(self.found.partition_point(|key| *key < below));
            }
            // All keys are of one pack, and a pack is bounded by the format.
            None => self.n_max *= 2,
        }
    }

    /// Puts the keys in order. Call it before asking.
    pub fn settle(&mut self) {
        self.found.sort_unstable();
        self.found.dedup();
    }

    /// Where the range ends; `None`: nowhere.
    pub fn below(&self) -> Option<K> {
        self.below
    }

    pub fn contains(&self, key: K) -> bool {
        self.found.binary_search(&key).is_ok()
    }

    /// The keys from `from` to below `below`.
    pub fn between(&self, from: K, below: K) -> &[K] {
        let start = self.found.partition_point(|key| *key < from);
        let end = self.found.partition_point(|key| *key < below);
        &self.found[start..end.max(start)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn passes_in_little_memory_see_what_one_in_plenty_sees(
            keys in proptest::collection::vec((0u32..40, 0u8..50), 0..600),
            n_max in 2usize..80,
        ) {
            let cut: fn((u32, u8)) -> (u32, u8) = |(pack, _)| (pack, 0);
            let mut seen = BTreeSet::new();
            let mut from = Some((0, 0));
            let mut n_passes = 0;
            while let Some(start) = from {
                let mut marks = Marks::new(start, None, n_max, cut);
                keys.iter().for_each(|key| marks.add(*key));
                marks.settle();
                let end = marks.below();
                for key in marks.between(start, end.unwrap_or((u32::MAX, 0))) {
                    prop_assert!(marks.contains(*key));
                    prop_assert!(seen.insert(*key), "{key:?} was seen twice");
                }
                prop_assert!(end.is_none_or(|end| end > start), "no headway");
                prop_assert!(marks.found.len() <= n_max.max(100));
                from = end;
                n_passes += 1;
                prop_assert!(n_passes <= 41);
            }
            prop_assert_eq!(seen, keys.into_iter().collect::<BTreeSet<_>>());
        }
    }
}
