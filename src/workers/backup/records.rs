//! What a backup writes into its packs about itself, so that the catalog can be rebuilt from them.
//!
//! Records wait here until a commit has news: a run that found nothing new writes no pack. Its point is told of with the
//! next one that has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::ledger::{Draft, Place};
use crate::catalog::{Container, CursorUpdate, ItemIssue, PointCounts, PointRow};
use crate::clock;
use crate::ids::{ContainerId, ItemKey, PackId, PackUid, PointNumber};
use crate::repository::{ChainIdentity, Location, Packer, Record, record};

pub struct Recorder {
    chain: Arc<ChainIdentity>,
    point: PointNumber,
    waiting: Vec<Record>,
    /// Points before this one that found nothing new and so were not recorded; in ascending order.
    untold: Vec<PointRow>,
    graph_ids: HashMap<ContainerId, String>,
    pack_uids: HashMap<PackId, PackUid>,
    /// Something waits that is worth a pack; cursors alone are not.
    news: bool,
    wrote_something: bool,
}

impl Recorder {
    pub fn new(chain: ChainIdentity, point: PointNumber, untold: Vec<PointRow>) -> Self {
        Self {
            chain: Arc::new(chain),
            point,
            waiting: Vec::new(),
            untold,
            graph_ids: HashMap::new(),
            pack_uids: HashMap::new(),
            news: false,
            wrote_something: false,
        }
    }

    /// Learns a container's Graph id.
    pub fn know(&mut self, container: &Container) {
        self.graph_ids.insert(container.id, container.graph_id.clone());
    }

    /// Records a container as it is from this point on.
    pub fn container(&mut self, container: &Container) {
        self.know(container);
        let parent = container.parent.and_then(|parent| self.graph_ids.get(&parent).cloned());
        self.tell(Record::Container(record::Container {
            graph_id: container.graph_id.clone(),
            parent,
            name: container.name.clone(),
            hidden: container.hidden,
            well_known: container.well_known.clone(),
        }));
    }

    pub fn container_gone(&mut self, container: &Container) {
        self.know(container);
        self.tell(Record::ContainerGone(record::ContainerGone { graph_id: container.graph_id.clone() }));
    }

    /// Packs of earlier commits that versions to be recorded refer to and whose names are not known yet.
    pub fn unknown_packs(&self, packs: impl Iterator<Item = PackId>) -> HashSet<PackId> {
        packs.filter(|pack| !self.pack_uids.contains_key(pack)).collect()
    }

    pub fn learn_pack(&mut self, pack: PackId, uid: PackUid) {
        self.pack_uids.insert(pack, uid);
    }

    pub fn item(&mut self, graph_id: &str, draft: &Draft) {
        let item = record::Item {
            container: self.graph_id(draft.container),
            graph_id: graph_id.to_owned(),
            kind: draft.summary.kind,
            flags: draft.summary.flags,
            change_tag: draft.summary.change_tag,
            name: draft.summary.name.clone(),
            party: draft.summary.party.clone(),
            time_s: draft.summary.time.timestamp(),
            bytes: draft.bytes,
            properties: self.location(draft.properties),
            content: draft.content.map(|place| self.location(place)),
            refs: draft.refs.clone(),
            parent: draft.summary.parent.map(record::Parent),
            words: (!draft.summary.words.is_empty()).then(|| draft.summary.words.clone()),
        };
        self.tell(Record::Item(item));
    }

    /// An item left a container, and may live in another meanwhile.
    pub fn item_left(&mut self, container: ContainerId, key: ItemKey) {
        let container = Some(self.graph_id(container));
        self.tell(Record::ItemGone(record::ItemGone { item: key, container }));
    }

    /// An item is nowhere any more.
    pub fn item_gone(&mut self, key: ItemKey) {
        self.tell(Record::ItemGone(record::ItemGone { item: key, container: None }));
    }

    pub fn issue(&mut self, issue: &ItemIssue) {
        self.tell(Record::Issue(record::Issue {
            container: self.graph_id(issue.container),
            graph_id: issue.graph_id.clone(),
            name: issue.name.clone(),
            reason: issue.reason.clone(),
            message: issue.message.clone(),
            attempts: 1,
            at_ms: clock::now().timestamp_millis(),
            skipped: issue.skipped.then_some(true),
        }));
    }

    pub fn cursor(&mut self, container: ContainerId, update: &CursorUpdate) {
        let (state, full_walk_point) = match update {
            CursorUpdate::FullWalk(_) => (record::CursorState::None, Some(self.point.get())),
            CursorUpdate::Resume(token) => (record::CursorState::Resume(token.clone()), None),
            CursorUpdate::Done(token) => (record::CursorState::Since(token.clone()), None),
        };
        let container = self.graph_id(container);
        self.waiting.push(Record::Cursor(record::Cursor { container, state, full_walk_point }));
    }

    /// Records the cursor of the list of containers.
    pub fn list_cursor(&mut self, token: &str) {
        let state = record::CursorState::Since(token.to_owned());
        self.waiting.push(Record::Cursor(record::Cursor { container: String::new(), state, full_walk_point: None }));
    }

    pub fn point_seal(&mut self, counts: &PointCounts, n_items: u64, n_issues: u64) {
        self.waiting.push(seal(clock::now(), counts, n_items, n_issues));
    }

    /// Whether what waits is worth a pack.
    pub fn has_news(&self) -> bool {
        self.news
    }

    fn tell(&mut self, news: Record) {
        self.news = true;
        self.waiting.push(news);
    }

    /// Hands everything that waits to the packer.
    pub fn write_to(&mut self, packer: &mut Packer) {
        self.news = false;
        if !self.wrote_something {
            self.wrote_something = true;
            for row in std::mem::take(&mut self.untold) {
                let begin = record::PointBegin { started_ms: row.started_at.timestamp_millis() };
                packer.add_record(&self.chain, row.number, Record::PointBegin(begin));
                let sealed_at = row.sealed_at.unwrap_or(row.started_at);
                packer.add_record(&self.chain, row.number, seal(sealed_at, &row.counts, row.n_items, row.n_issues));
            }
            let started_ms = clock::now().timestamp_millis();
            self.waiting.insert(0, Record::PointBegin(record::PointBegin { started_ms }));
        }
        for record in std::mem::take(&mut self.waiting) {
            packer.add_record(&self.chain, self.point, record);
        }
    }

    /// Whether this attempt wrote records: an unchanged mailbox writes none, not even that it was looked at.
    pub fn wrote_something(&self) -> bool {
        self.wrote_something
    }

    fn graph_id(&self, container: ContainerId) -> String {
        self.graph_ids.get(&container).cloned().unwrap_or_default()
    }

    fn location(&self, place: Place) -> Location {
        match place {
            Place::New(location) => location,
            Place::Known(content) => Location {
                pack: *self.pack_uids.get(&content.pack).expect("the ledger looks up every pack it refers to"),
                blob: content.blob,
            },
        }
    }
}

fn seal(at: DateTime<Utc>, counts: &PointCounts, n_items: u64, n_issues: u64) -> Record {
    Record::PointSeal(record::PointSeal {
        sealed_ms: at.timestamp_millis(),
        n_items,
        n_added: counts.added,
        n_changed: counts.changed,
        n_removed: counts.removed,
        n_issues,
        bytes_read: counts.bytes_read,
        bytes_stored: counts.bytes_stored,
    })
}
