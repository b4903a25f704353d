//! What goes into one commit, merged so that each item stands in it once.

use std::collections::HashMap;

use crate::catalog::{
    ContentRef, CursorUpdate, ItemIssue, NewVersion, PointCounts, VersionRow, begun, containers, issues, items, points,
    search,
};
use crate::db::{Conn, QueryResult};
use crate::features::Summary;
use crate::ids::{BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, WalkNumber};
use crate::repository::{Location, PackIds, StoredContent};

/// Where a blob is: in a pack of this commit, or where an earlier commit put it.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    New(Location),
    Known(ContentRef),
}

impl Place {
    fn resolve(self, packs: &PackIds) -> ContentRef {
        match self {
            Self::New(location) => ContentRef {
                pack: packs.get(location.pack).expect("a commit writes every pack that its rows name"),
                blob: location.blob,
            },
            Self::Known(content) => content,
        }
    }
}

/// A version whose packs have no row yet.
#[derive(Clone, Debug)]
pub struct Draft {
    pub key: ItemKey,
    pub container: ContainerId,
    pub full_walk: WalkNumber,
    pub summary: Summary,
    pub bytes: u64,
    pub properties: Place,
    pub content: Option<Place>,
    pub refs: Vec<BlobId>,
    /// What is searched; `None`: what the version before has still holds.
    pub text: Option<search::Text>,
}

impl Draft {
    /// What was just read; content that was not read again is the known version's.
    pub fn captured(
        key: ItemKey,
        (container, full_walk): (ContainerId, WalkNumber),
        summary: Summary,
        properties: Location,
        content: Option<StoredContent>,
        known: Option<&VersionRow>,
    ) -> Self {
        let shown = (summary.name.as_str(), summary.party.as_str(), summary.time);
        let text = search::Text::of(key, shown, &summary.words);
        let holds = known.is_some_and(|known| text.means(&known.version)) && summary.words.is_empty();
        let text = (!holds).then_some(text);
        let (content, refs, bytes) = match (content, known) {
            (Some(stored), _) => (Some(Place::New(stored.location)), stored.refs, stored.bytes),
            (None, Some(known)) => {
                let version = &known.version;
                (version.content.map(Place::Known), version.refs.clone(), version.bytes)
            }
            (None, None) => (None, Vec::new(), 0),
        };
        Self { key, container, full_walk, summary, bytes, properties: Place::New(properties), content, refs, text }
    }

    /// A known version, in another container.
    pub fn moved(known: &NewVersion, container: ContainerId, full_walk: WalkNumber) -> Self {
        Self {
            key: known.key,
            container,
            full_walk,
            summary: Summary {
                kind: known.kind,
                flags: known.flags,
                change_tag: known.change_tag,
                name: known.name.clone(),
                party: known.party.clone(),
                time: known.time,
                parent: known.parent,
                words: String::new(),
            },
            bytes: known.bytes,
            properties: Place::Known(known.properties),
            content: known.content.map(Place::Known),
            refs: known.refs.clone(),
            text: None,
        }
    }

    /// The packs of earlier commits that this version refers to.
    pub fn known_packs(&self) -> impl Iterator<Item = PackId> + '_ {
        [Some(self.properties), self.content].into_iter().flatten().filter_map(|place| match place {
            Place::New(_) => None,
            Place::Known(content) => Some(content.pack),
        })
    }

    fn resolve(&self, packs: &PackIds) -> NewVersion {
        NewVersion {
            key: self.key,
            container: self.container,
            parent: self.summary.parent,
            full_walk: self.full_walk,
            kind: self.summary.kind,
            flags: self.summary.flags,
            change_tag: self.summary.change_tag,
            name: self.summary.name.clone(),
            party: self.summary.party.clone(),
            time: self.summary.time,
            bytes: self.bytes,
            properties: self.properties.resolve(packs),
            content: self.content.map(|place| place.resolve(packs)),
            refs: self.refs.clone(),
        }
    }
}

#[derive(Debug)]
enum Op {
    Put(Box<Draft>),
    /// From each of these, wherever it lives by then: two folders may both have lost it to a third.
    RemoveFrom(Vec<ContainerId>),
    Remove,
}

/// Rows for one transaction. The last word on an item counts, as Graph's delta rules say.
#[derive(Debug, Default)]
pub struct Gathered {
    ops: HashMap<ItemKey, Op>,
    cursors: Vec<(ContainerId, CursorUpdate)>,
    /// Items that were met unchanged, by the full walk that met them.
    met: HashMap<WalkNumber, Vec<ItemKey>>,
    n_met: usize,
    texts: Vec<search::Text>,
    pub issues: Vec<ItemIssue>,
    /// Items of long content that is stored whole now.
    pub whole: Vec<ItemKey>,
    pub counts: PointCounts,
}

impl Gathered {
    pub fn put(&mut self, mut draft: Draft) {
        self.texts.extend(draft.text.take());
        self.ops.insert(draft.key, Op::Put(Box::new(draft)));
    }

    /// The item left this container. It may have arrived in another one before: then that stands.
    pub fn remove_from(&mut self, container: ContainerId, key: ItemKey) {
        match self.ops.get_mut(&key) {
            Some(Op::Put(draft)) if draft.container != container => {}
            Some(op @ (Op::Put(_) | Op::Remove)) => *op = Op::Remove,
            Some(Op::RemoveFrom(containers)) => containers.push(container),
            None => drop(self.ops.insert(key, Op::RemoveFrom(vec![container]))),
        }
    }

    /// The item is nowhere any more.
    pub fn remove(&mut self, key: ItemKey) {
        self.ops.insert(key, Op::Remove);
    }

    /// Items that wait here and lie in this container, below this parent.
    pub fn parts_of(&self, container: ContainerId, parent: ItemKey) -> Vec<ItemKey> {
        let is_part = |op: &Op| match op {
            Op::Put(draft) => draft.container == container && draft.summary.parent == Some(parent),
            Op::RemoveFrom(_) | Op::Remove => false,
        };
        self.ops.iter().filter(|(_, op)| is_part(op)).map(|(key, _)| *key).collect()
    }

    pub fn met(&mut self, walk: WalkNumber, key: ItemKey) {
        self.met.entry(walk).or_default().push(key);
        self.n_met += 1;
    }

    pub fn cursor(&mut self, container: ContainerId, update: CursorUpdate) {
        self.cursors.push((container, update));
    }

    pub fn len(&self) -> usize {
        self.ops.len() + self.n_met + self.issues.len()
    }

    /// Whether items were written or ended: an attempt that only repeats a walk does not count as progress.
    pub fn has_versions(&self) -> bool {
        !self.ops.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.cursors.is_empty()
    }

    /// Writes all of it. Called inside the committing transaction, possibly more than once.
    pub fn write(
        &self,
        conn: &mut Conn,
        chain: ChainId,
        point: PointNumber,
        packs: &PackIds,
        resolve_issues: bool,
    ) -> QueryResult<PointCounts> {
        if packs.committed_before {
            return Ok(PointCounts::default());
        }
        let mut versions = Vec::new();
        let mut leaving: HashMap<Option<ContainerId>, Vec<ItemKey>> = HashMap::new();
        for (key, op) in &self.ops {
            match op {
                Op::Put(draft) => versions.push(draft.resolve(packs)),
                Op::RemoveFrom(containers) => {
                    containers.iter().for_each(|container| leaving.entry(Some(*container)).or_default().push(*key));
                }
                Op::Remove => leaving.entry(None).or_default().push(*key),
            }
        }
        // In key order, so that neighbouring rows of the index are written together.
        versions.sort_unstable_by_key(|version| version.key);
        let mut counts = self.counts;
        let written = items::put(conn, chain, point, &versions)?;
        counts.added += written.added;
        counts.changed += written.changed;
        search::put(conn, chain, &self.texts)?;
        for (container, keys) in &leaving {
            counts.removed += items::remove(conn, chain, point, *container, keys)?;
        }
        for (walk, keys) in &self.met {
            items::met(conn, chain, *walk, keys)?;
        }
        if resolve_issues {
            let settled: Vec<ItemKey> = self.ops.keys().copied().collect();
            issues::resolve(conn, chain, &settled)?;
        }
        issues::put(conn, chain, point, &self.issues)?;
        begun::forget(conn, chain, &self.whole)?;
        points::add_counts(conn, chain, point, &counts)?;
        for (container, update) in &self.cursors {
            containers::move_cursor(conn, *container, update)?;
        }
        Ok(counts)
    }
}

impl PointCounts {
    /// Adds what another commit did.
    pub(super) fn add(&mut self, more: &Self) {
        self.added += more.added;
        self.changed += more.changed;
        self.removed += more.removed;
        self.bytes_read += more.bytes_read;
        self.bytes_stored += more.bytes_stored;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ContainerId = ContainerId::new(1);
    const B: ContainerId = ContainerId::new(2);

    fn draft(container: ContainerId) -> Draft {
        let blob = BlobId::from_bytes([0; 16]);
        let place = Place::Known(ContentRef { pack: PackId::new(1), blob });
        let summary = Summary {
            kind: 1,
            flags: 0,
            change_tag: 0,
            name: String::new(),
            party: String::new(),
            time: chrono::DateTime::UNIX_EPOCH,
            parent: None,
            words: String::new(),
        };
        let key = ItemKey::of("item");
        Draft {
            key,
            container,
            full_walk: WalkNumber::FIRST,
            summary,
            bytes: 0,
            properties: place,
            content: None,
            refs: Vec::new(),
            text: None,
        }
    }

    #[test]
    fn an_item_that_moved_survives_in_whatever_order_the_folders_report_it() {
        let key = ItemKey::of("item");
        let mut arrived_first = Gathered::default();
        arrived_first.put(draft(B));
        arrived_first.remove_from(A, key);
        let mut left_first = Gathered::default();
        left_first.remove_from(A, key);
        left_first.put(draft(B));

        for gathered in [arrived_first, left_first] {
            assert!(matches!(&gathered.ops[&key], Op::Put(draft) if draft.container == B));
        }
    }

    #[test]
    fn an_item_that_came_and_went_is_removed_wherever_it_was() {
        let key = ItemKey::of("item");
        let mut gathered = Gathered::default();
        gathered.remove_from(A, key);
        gathered.put(draft(B));
        gathered.remove_from(B, key);

        assert!(matches!(gathered.ops[&key], Op::Remove));
    }

    #[test]
    fn an_item_that_two_folders_lost_to_a_third_stays_there() {
        let key = ItemKey::of("item");
        let mut gathered = Gathered::default();
        gathered.remove_from(A, key);
        gathered.remove_from(B, key);

        assert!(matches!(&gathered.ops[&key], Op::RemoveFrom(left) if *left == [A, B]));
    }
}
