//! What the records of one chain tell, gathered pack by pack.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::discriminant;

use chrono::{DateTime, Utc};

use crate::catalog::rebuild::{
    ContainerTold, ContainerVersion, CursorTold, Ends, IssueTold, ItemTold, Moment, PointTold,
};
use crate::catalog::{ContentRef, ItemIssue, NewVersion, PointCounts, search};
use crate::ids::{ContainerId, ItemKey, PackId, PackUid, PointNumber, WalkNumber};
use crate::repository::record::{Cursor, CursorState, Entry, Item, PointSeal};
use crate::repository::{Location, Record};

/// Items whose keys begin with these numbers, the last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub from: u32,
    pub to: u32,
}

impl KeyRange {
    pub const ALL: Self = Self { from: 0, to: u32::MAX };
    pub const NONE: Self = Self { from: 1, to: 0 };

    /// The parts of all keys, in order.
    pub fn parts(n: u32) -> impl Iterator<Item = Self> {
        let n = u64::from(n.max(1));
        let start = move |part: u64| (part << 32) / n;
        (0..n).map(move |part| Self { from: start(part) as u32, to: (start(part + 1) - 1) as u32 })
    }

    fn holds(self, key: ItemKey) -> bool {
        let [a, b, c, d, ..] = *key.as_bytes();
        (self.from..=self.to).contains(&u32::from_be_bytes([a, b, c, d]))
    }
}

/// The packs as the versions to be made name them.
pub trait PackNumbers: Sync {
    fn number(&self, pack: PackUid) -> PackId;
}

/// Everything told of a chain, but only the items of some keys. Containers have numbers of the story's own: places in
/// `graph_ids`, the same in every pass over the same packs.
#[derive(Debug, Default)]
pub struct Story {
    numbers: HashMap<String, ContainerId>,
    pub graph_ids: Vec<String>,
    pub containers: BTreeMap<ContainerId, Vec<(Moment, ContainerTold)>>,
    /// The newest word on each.
    pub well_known: HashMap<ContainerId, (Moment, Option<String>)>,
    pub cursors: HashMap<ContainerId, Vec<(Moment, CursorTold)>>,
    pub points: Vec<(Moment, PointTold)>,
    pub issues: HashMap<ItemKey, Vec<(Moment, IssueTold)>>,
    pub items: Vec<(ItemKey, Moment, ItemTold)>,
    /// What is searched of the items.
    texts: Vec<search::Text>,
    pub ends: Ends,
    /// The newest record of each point.
    mentioned: BTreeMap<PointNumber, u64>,
    /// Stored bytes of the packs that speak of each point.
    pub bytes_of: BTreeMap<PointNumber, u64>,
}

impl Story {
    /// Takes what one pack says of the chain.
    pub fn hear_pack(
        &mut self,
        pack_bytes: u64,
        entries: impl Iterator<Item = Entry>,
        keys: KeyRange,
        packs: &impl PackNumbers,
    ) {
        let mut points = BTreeSet::new();
        for entry in entries {
            if points.insert(entry.point) {
                *self.bytes_of.entry(entry.point).or_default() += pack_bytes;
            }
            self.hear(entry, keys, packs);
        }
    }

    fn hear(&mut self, entry: Entry, keys: KeyRange, packs: &impl PackNumbers) {
        let Entry { point, seq, record, .. } = entry;
        let moment = Moment { point, seq };
        match record {
            Record::Expire(expire) => {
                let given_up = |point: u32| (Moment { point: PointNumber::new(point), seq }, PointTold::Expired);
                self.points.extend(expire.points.into_iter().map(given_up));
                return;
            }
            Record::Compacted(_) => return,
            Record::PointBegin(begin) => self.points.push((moment, PointTold::Begun(at_ms(begin.started_ms)))),
            Record::PointSeal(seal) => self.points.push((moment, sealed(&seal))),
            Record::Container(told) => {
                let id = self.number(&told.graph_id);
                let parent = told.parent.map(|parent| self.number(&parent));
                let newest = self.well_known.entry(id).or_insert((moment, None));
                if newest.0 <= moment {
                    *newest = (moment, told.well_known.or(newest.1.take()));
                }
                let version = ContainerVersion { parent, name: told.name, hidden: told.hidden };
                self.containers.entry(id).or_default().push((moment, ContainerTold::Is(version)));
            }
            Record::ContainerGone(gone) => {
                let id = self.number(&gone.graph_id);
                self.containers.entry(id).or_default().push((moment, ContainerTold::Gone));
                self.ends.entry(id).or_default().push(moment);
                self.walked(id, moment, CursorTold::Forget);
            }
            Record::Cursor(Cursor { container, state, .. }) => {
                let id = self.number(&container);
                let told = match state {
                    CursorState::None => CursorTold::Start,
                    CursorState::Resume(page) => CursorTold::Resume(page),
                    CursorState::Since(token) => CursorTold::Done(token),
                };
                self.walked(id, moment, told);
            }
            Record::Item(item) => self.item(moment, item, keys, packs),
            Record::ItemGone(gone) => {
                let left = gone.container.map(|container| self.number(&container));
                if keys.holds(gone.item) {
                    self.items.push((gone.item, moment, left.map_or(ItemTold::Gone, ItemTold::Left)));
                }
            }
            Record::Issue(told) => {
                let key = ItemKey::of(&told.graph_id);
                let issue = ItemIssue {
                    container: self.number(&told.container),
                    graph_id: told.graph_id,
                    name: told.name,
                    reason: told.reason,
                    skipped: told.skipped.unwrap_or_default(),
                    message: told.message,
                };
                if keys.holds(key) {
                    let failed = IssueTold::Failed { issue, at: at_ms(told.at_ms) };
                    self.issues.entry(key).or_default().push((moment, failed));
                }
            }
            Record::IssueResolved(resolved) if keys.holds(resolved.item) => {
                self.issues.entry(resolved.item).or_default().push((moment, IssueTold::Settled));
            }
            Record::IssueResolved(_) => {}
        }
        let newest = self.mentioned.entry(point).or_default();
        *newest = seq.max(*newest);
    }

    fn item(&mut self, moment: Moment, item: Item, keys: KeyRange, packs: &impl PackNumbers) {
        let container = self.number(&item.container);
        let key = ItemKey::of(&item.graph_id);
        if !keys.holds(key) {
            return;
        }
        let time = DateTime::from_timestamp(item.time_s, 0).unwrap_or(DateTime::UNIX_EPOCH);
        let shown = (item.name.as_str(), item.party.as_str(), time);
        self.texts.push(search::Text::of(key, shown, item.words.as_deref().unwrap_or_default()));
        let place = |location: Location| ContentRef { pack: packs.number(location.pack), blob: location.blob };
        let version = NewVersion {
            key,
            container,
            parent: item.parent.map(|parent| parent.0),
            full_walk: WalkNumber::FIRST,
            kind: item.kind,
            flags: item.flags,
            change_tag: item.change_tag,
            name: item.name,
            party: item.party,
            time,
            bytes: item.bytes,
            properties: place(item.properties),
            content: item.content.map(place),
            refs: item.refs,
        };
        self.items.push((key, moment, ItemTold::Is(Box::new(version))));
    }

    /// Only the newest of each kind of word decides where a walk stands.
    fn walked(&mut self, container: ContainerId, moment: Moment, told: CursorTold) {
        let known = self.cursors.entry(container).or_default();
        match known.iter_mut().find(|(_, before)| discriminant(before) == discriminant(&told)) {
            Some(before) if before.0 < moment => *before = (moment, told),
            Some(_) => {}
            None => known.push((moment, told)),
        }
    }

    fn number(&mut self, graph_id: &str) -> ContainerId {
        if let Some(id) = self.numbers.get(graph_id) {
            return *id;
        }
        let id = ContainerId::new(u32::try_from(self.graph_ids.len()).unwrap_or(u32::MAX));
        self.graph_ids.push(graph_id.to_owned());
        self.numbers.insert(graph_id.to_owned(), id);
        id
    }

    /// All that was told of points.
    pub fn take_points(&mut self) -> Vec<(Moment, PointTold)> {
        let mut points = std::mem::take(&mut self.points);
        points.extend(
            self.mentioned.iter().map(|(point, seq)| (Moment { point: *point, seq: *seq }, PointTold::Mentioned)),
        );
        points
    }

    /// What is searched of the items, in the order of their keys.
    pub fn take_texts(&mut self) -> Vec<search::Text> {
        let mut texts = std::mem::take(&mut self.texts);
        texts.sort_by_key(search::Text::key);
        texts
    }

    /// What was told of each item, in the order of their keys.
    pub fn take_items(&mut self) -> Vec<(ItemKey, Vec<(Moment, ItemTold)>)> {
        let mut items = std::mem::take(&mut self.items);
        items.sort_unstable_by_key(|(key, moment, _)| (*key, *moment));
        let mut by_key: Vec<(ItemKey, Vec<(Moment, ItemTold)>)> = Vec::new();
        for (key, moment, told) in items {
            match by_key.last_mut() {
                Some((last, all)) if *last == key => all.push((moment, told)),
                _ => by_key.push((key, vec![(moment, told)])),
            }
        }
        by_key
    }
}

fn sealed(seal: &PointSeal) -> PointTold {
    PointTold::Sealed {
        at: at_ms(seal.sealed_ms),
        n_items: seal.n_items,
        n_issues: seal.n_issues,
        counts: PointCounts {
            added: seal.n_added,
            changed: seal.n_changed,
            removed: seal.n_removed,
            bytes_read: seal.bytes_read,
            bytes_stored: seal.bytes_stored,
        },
    }
}

fn at_ms(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH)
}
