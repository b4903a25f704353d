//! Random histories: what the catalog would hold of them is what their records give back, in whatever packs they lie.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::identity;
use crate::catalog::PointState;
use crate::catalog::rebuild::{ItemTold, Points, needed};
use crate::ids::{BlobId, ChainId, ItemKey, PackId, PackUid, PointNumber};
use crate::recovery::story::{KeyRange, PackNumbers, Story};
use crate::repository::record::{self, Entry};
use crate::repository::{Location, Record};

const ITEMS: u8 = 6;
const CONTAINERS: u8 = 3;

#[derive(Clone, Debug)]
enum Did {
    Put {
        item: u8,
        container: u8,
        tag: u64,
    },
    Left {
        item: u8,
        container: u8,
    },
    Gone {
        item: u8,
    },
    ContainerGone {
        container: u8,
    },
    Sealed,
    /// Gives up one of the older points.
    Expired(prop::sample::Index),
}

fn did() -> impl Strategy<Value = Did> {
    let (item, container) = (0..ITEMS, 0..CONTAINERS);
    prop_oneof![
        8 => (item.clone(), container.clone(), any::<u64>())
            .prop_map(|(item, container, tag)| Did::Put { item, container, tag }),
        3 => (item.clone(), container.clone()).prop_map(|(item, container)| Did::Left { item, container }),
        2 => item.prop_map(|item| Did::Gone { item }),
        1 => container.prop_map(|container| Did::ContainerGone { container }),
        3 => Just(Did::Sealed),
        1 => any::<prop::sample::Index>().prop_map(Did::Expired),
    ]
}

/// A row as the catalog writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    item: u8,
    from: u32,
    to: u32,
    container: u8,
    tag: u64,
}

/// The tables, changed as `catalog::items` and `catalog::points` change them.
struct Model {
    rows: Vec<Row>,
    point: u32,
    sealed: BTreeMap<u32, u64>,
    /// Something was told in the open point.
    begun: bool,
}

const OPEN: u32 = PointNumber::OPEN.get();

impl Model {
    fn end(&mut self, is_meant: impl Fn(&Row) -> bool) {
        let point = self.point;
        self.rows.retain(|row| !(row.from == point && row.to == OPEN && is_meant(row)));
        let open = self.rows.iter_mut().filter(|row| row.to == OPEN && is_meant(row));
        open.for_each(|row| row.to = point);
    }

    fn present(&self) -> u64 {
        self.rows.iter().filter(|row| row.to == OPEN).count() as u64
    }

    /// What retention leaves of the rows.
    fn kept(&self) -> BTreeSet<Row> {
        let mut retained: BTreeSet<u32> = self.sealed.keys().copied().collect();
        retained.extend(self.begun.then_some(self.point));
        let needed = |row: &&Row| row.to == OPEN || retained.range(row.from..row.to).next().is_some();
        self.rows.iter().filter(needed).copied().collect()
    }
}

fn item_id(item: u8) -> String {
    format!("item {item}")
}

fn container_id(container: u8) -> String {
    format!("container {container}")
}

fn item_record(item: u8, container: u8, tag: u64) -> Record {
    let place = Location { pack: PackUid::from_bytes([1; 16]), blob: BlobId::from_bytes([item; 16]) };
    Record::Item(record::Item {
        parent: None,
        words: None,
        container: container_id(container),
        graph_id: item_id(item),
        kind: 1,
        flags: 0,
        change_tag: tag,
        name: String::new(),
        party: String::new(),
        time_s: 0,
        bytes: 10,
        properties: place,
        content: None,
        refs: Vec::new(),
    })
}

/// Plays a history on the model and writes down its records.
fn play(history: &[Did]) -> (Model, Vec<Entry>) {
    let mut model = Model { rows: Vec::new(), point: 1, sealed: BTreeMap::new(), begun: false };
    let mut entries = Vec::new();
    for (seq, did) in (1u64..).zip(history) {
        let mut tell = |point: u32, record| {
            let point = PointNumber::new(point);
            entries.push(Entry { chain: Some(identity("ada")), point, seq, record });
        };
        match did.clone() {
            Did::Put { item, container, tag } => {
                model.end(|row| row.item == item);
                model.rows.push(Row { item, from: model.point, to: OPEN, container, tag });
                tell(model.point, item_record(item, container, tag));
            }
            Did::Left { item, container } => {
                model.end(|row| row.item == item && row.container == container);
                let gone =
                    record::ItemGone { item: ItemKey::of(&item_id(item)), container: Some(container_id(container)) };
                tell(model.point, Record::ItemGone(gone));
            }
            Did::Gone { item } => {
                model.end(|row| row.item == item);
                let gone = record::ItemGone { item: ItemKey::of(&item_id(item)), container: None };
                tell(model.point, Record::ItemGone(gone));
            }
            Did::ContainerGone { container } => {
                model.end(|row| row.container == container);
                let gone = record::ContainerGone { graph_id: container_id(container) };
                tell(model.point, Record::ContainerGone(gone));
            }
            Did::Sealed => {
                let n_items = model.present();
                model.sealed.insert(model.point, n_items);
                tell(model.point, Record::PointSeal(record::PointSeal { n_items, ..record::PointSeal::default() }));
                (model.point, model.begun) = (model.point + 1, false);
                continue;
            }
            Did::Expired(which) => {
                let older: Vec<u32> = model.sealed.keys().rev().skip(1).copied().collect();
                let Some(point) = (!older.is_empty()).then(|| older[which.index(older.len())]) else { continue };
                model.sealed.remove(&point);
                tell(point, Record::Expire(record::Expire { points: vec![point] }));
                continue;
            }
        }
        model.begun = true;
    }
    (model, entries)
}

struct OnePack;

impl PackNumbers for OnePack {
    fn number(&self, _: PackUid) -> PackId {
        PackId::new(7)
    }
}

fn told(packs: &[Vec<Entry>], keys: KeyRange) -> Story {
    let mut story = Story::default();
    packs.iter().for_each(|pack| story.hear_pack(1, pack.iter().cloned(), keys, &OnePack));
    story
}

proptest! {
    #[test]
    fn a_history_comes_back_from_its_records_however_they_are_scattered_and_repeated(
        history in proptest::collection::vec(did(), 1..80),
        pack_of in proptest::collection::vec(0usize..7, 80),
        again_in in proptest::collection::vec(0usize..20, 80),
        n_parts in 1u32..4,
    ) {
        let (model, entries) = play(&history);
        let mut packs = vec![Vec::new(); 7];
        for (at, entry) in entries.iter().enumerate() {
            packs[pack_of[at]].push(entry.clone());
            // As compaction leaves it, or a pack that was never committed.
            if let Some(pack) = packs.get_mut(again_in[at]) {
                pack.push(entry.clone());
            }
        }

        let points = Points::replay(ChainId::new(1), told(&packs, KeyRange::NONE).take_points());
        let retained = points.sealed.iter().chain(&points.open).map(|row| row.number).collect();
        let mut rows = BTreeSet::new();
        for keys in KeyRange::parts(n_parts) {
            let mut story = told(&packs, keys);
            for (key, told) in story.take_items() {
                let item = (0..ITEMS).find(|item| ItemKey::of(&item_id(*item)) == key).unwrap();
                for (from, to, version) in needed(ItemTold::replay(told, &story.ends), &retained) {
                    let name = &story.graph_ids[version.container.get() as usize];
                    let container = (0..CONTAINERS).find(|at| container_id(*at) == *name).unwrap();
                    let row = Row { item, from: from.get(), to: to.get(), container, tag: version.change_tag };
                    prop_assert!(rows.insert(row), "told twice: {row:?}");
                }
            }
        }

        let sealed: BTreeMap<u32, u64> = points.sealed.iter().map(|row| (row.number.get(), row.n_items)).collect();
        prop_assert_eq!(sealed, model.sealed.clone());
        prop_assert_eq!(points.open.map(|row| row.number.get()), model.begun.then_some(model.point));
        prop_assert!(points.stand_in.is_none());
        prop_assert_eq!(rows, model.kept());
    }
}

#[test]
fn parts_of_the_keys_are_all_keys_and_each_once() {
    for n in [1, 2, 3, 7, 1000] {
        let parts: Vec<KeyRange> = KeyRange::parts(n).collect();
        assert_eq!((parts[0].from, parts[parts.len() - 1].to, parts.len()), (0, u32::MAX, n as usize));
        assert!(parts.windows(2).all(|pair| pair[0].to.checked_add(1) == Some(pair[1].from)));
    }
}

#[test]
fn a_point_stands_in_for_the_last_one_that_was_never_recorded() {
    let mut story = Story::default();
    let seal = |point, seq| Entry {
        chain: Some(identity("ada")),
        point: PointNumber::new(point),
        seq,
        record: Record::PointSeal(record::PointSeal { n_items: 4, ..record::PointSeal::default() }),
    };
    let expire = Entry { record: Record::Expire(record::Expire { points: vec![1, 2, 5] }), ..seal(1, 9) };
    story.hear_pack(1, [seal(1, 1), seal(2, 2), expire].into_iter(), KeyRange::ALL, &OnePack);

    let points = Points::replay(ChainId::new(1), story.take_points());

    let stand_in = points.stand_in.expect("the last point is never given up");
    assert_eq!((stand_in.number, stand_in.n_items, stand_in.state), (PointNumber::new(6), 4, PointState::Sealed));
    assert!(points.sealed.is_empty() && points.open.is_none());
}
