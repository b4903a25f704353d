//! Rebuilds into a real MariaDB, from stores in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::identity;
use crate::backends::{Backend, Memory};
use crate::catalog::items::{VersionRow, Within};
use crate::catalog::{ChainKey, PointState, chains, containers, items, points, rebuild};
use crate::db::Db;
use crate::ids::{ChainId, ItemKey, PackUid, PointNumber, WriterId};
use crate::recovery::rebuild::{Report, run};
use crate::repository::record::{self, Record};
use crate::repository::storages::sql::{NewStorage, insert};
use crate::repository::tests::server::TestDb;
use crate::repository::{
    ChainIdentity, Ingest, IngestContent, Layout, Packer, Store, Stored, commit, register_writer, retire_writer,
};

const MANY: u64 = 1_000_000;

/// A store with the database that knows it, or one that does not know it yet.
pub(super) struct Site {
    pub backend: Arc<Memory>,
    server: TestDb,
    pub store: Store,
}

impl Site {
    pub async fn new() -> Self {
        let backend = Arc::new(Memory::new());
        let place: Arc<dyn Backend> = backend.clone();
        Store::create(place, Layout::Packed, crate::repository::Crypto::None).await.unwrap();
        Self::at(backend).await
    }

    /// The same place with an empty database.
    pub async fn at(backend: Arc<Memory>) -> Self {
        let server = TestDb::start();
        let place: Arc<dyn Backend> = backend.clone();
        let description = Store::describe(Arc::clone(&place)).await.unwrap();
        let row = NewStorage {
            name: "test".into(),
            backend: "filesystem",
            settings: "{\"path\":\"/nowhere\"}".into(),
            store: description.store,
            layout: "packed",
            key_sealed: None,
        };
        let id = server.db.run("add", move |conn| insert(conn, &row)).await.unwrap();
        let store = Store::open(id, place, None).await.unwrap();
        Self { backend, server, store }
    }

    pub fn db(&self) -> &Db {
        &self.server.db
    }

    async fn rebuild(&self) -> Report {
        self.rebuild_in_parts(MANY).await
    }

    async fn rebuild_in_parts(&self, items_at_once: u64) -> Report {
        run(self.db(), &self.store, items_at_once, &|_| ()).await.unwrap()
    }

    /// Writes a pack as a backup would; `uncommitted` ones are what a killed one leaves.
    pub async fn write(&self, fill: impl AsyncFnOnce(&mut Packer), committed: bool) {
        let storage = self.store.storage();
        let register = move |conn: &mut crate::db::Conn| register_writer(conn, storage, "agent");
        let writer: WriterId = self.db().run("register", register).await.unwrap();
        let mut packer = self.store.packer(self.db().clone(), writer);
        fill(&mut packer).await;
        let flushed = packer.flush().await.unwrap();
        if committed {
            let work = move |conn: &mut crate::db::Conn| commit(conn, storage, writer, &flushed);
            self.db().transaction("commit", work).await.unwrap();
        }
        self.db().run("retire", move |conn| retire_writer(conn, writer)).await.unwrap();
    }

    async fn chain(&self, user: &str) -> ChainId {
        let tenant = crate::tenants::list_tenants(self.db(), None).await.unwrap().remove(0).id;
        let resource = crate::tenants::find_resources(self.db(), tenant, &format!("{user}@contoso.example")).await;
        let key = ChainKey {
            resource: resource.unwrap().remove(0).id,
            feature: "mailbox".parse().unwrap(),
            storage: self.store.storage(),
        };
        self.db().run("find", move |conn| chains::find(conn, &key)).await.unwrap().unwrap().id
    }

    /// Names and contents of a user's items as of a point, and what the inbox says it holds.
    async fn seen(&self, user: &str, point: u32) -> (BTreeMap<String, Bytes>, u64) {
        let (chain, point) = (self.chain(user).await, PointNumber::new(point));
        let look = move |conn: &mut crate::db::Conn| {
            let folders = containers::as_of(conn, chain, point)?;
            let inbox = folders.iter().find(|folder| folder.graph_id == "inbox").unwrap().id;
            let held = crate::catalog::tallies::as_of(conn, point, &[inbox])?[&inbox].items;
            Ok((items::browse(conn, chain, point, (inbox, Within::Anywhere), None, 1000)?, held))
        };
        let (rows, held): (Vec<VersionRow>, u64) = self.db().run("look", look).await.unwrap();
        let reader = self.store.reader(self.db().clone());
        let mut seen = BTreeMap::new();
        for row in rows {
            let content = row.version.content.unwrap();
            seen.insert(row.version.name, reader.content(content.pack, content.blob, u64::MAX).await.unwrap());
        }
        (seen, held)
    }

    async fn list_token(&self, user: &str) -> Option<String> {
        let chain = self.chain(user).await;
        let read = move |conn: &mut crate::db::Conn| {
            let inbox = containers::identify(conn, chain, "inbox")?;
            containers::cursors(conn, inbox)
        };
        self.db().run("read", read).await.unwrap().since
    }

    /// The first pack that has a record of this chain and point.
    async fn pack_of(&self, user: &str, point: u32) -> String {
        for pack in self.packs() {
            let entries = self.store.read_pack(uid(&pack)).await.unwrap().records.entries;
            let mut chains = entries.iter().map(|entry| (entry.chain.as_deref(), entry.point));
            if chains.any(|told| told == (Some(identity(user).as_ref()), PointNumber::new(point))) {
                return pack;
            }
        }
        panic!("no pack tells of {user} in point {point}")
    }

    pub fn packs(&self) -> Vec<String> {
        let folders = (0..=255).map(|folder| format!("packs/{folder:02x}/"));
        folders.flat_map(|folder| self.backend.list(&folder).unwrap()).map(|entry| entry.key).collect()
    }
}

/// What a pack is called.
fn uid(pack: &str) -> PackUid {
    PackUid::from_hex(pack.rsplit('/').next().unwrap().trim_end_matches(".kpk")).unwrap()
}

/// Long enough to be shared, different for every name.
fn content(name: &str) -> Bytes {
    format!("{name} {}", name.repeat(2000)).into()
}

async fn store_items(packer: &mut Packer, names: &[String]) -> Vec<Stored> {
    let ingest = |name: &String| Ingest {
        properties: format!("{{\"subject\":\"{name}\"}}").into(),
        content: Some(IngestContent::Raw(content(name))),
    };
    packer.store(names.iter().map(ingest).collect()).await.unwrap()
}

fn tell_items(packer: &mut Packer, chain: &Arc<ChainIdentity>, point: u32, names: &[String], stored: &[Stored]) {
    for (name, stored) in names.iter().zip(stored) {
        let content = stored.content.as_ref().unwrap();
        let item = record::Item {
            parent: None,
            words: Some(">bo@contoso.example".to_owned()),
            container: "inbox".into(),
            graph_id: name.clone(),
            kind: 1,
            flags: 0,
            change_tag: u64::from(point),
            name: name.clone(),
            party: String::new(),
            time_s: 1_700_000_000,
            bytes: content.bytes,
            properties: stored.properties,
            content: Some(content.location),
            refs: content.refs.clone(),
        };
        packer.add_record(chain, PointNumber::new(point), Record::Item(item));
    }
}

/// One whole backup: new items, what else to tell, a cursor, and the seal with the number of items.
async fn back_up(site: &Site, user: &str, point: u32, names: &[String], more: Vec<Record>, n_items: u64) {
    let chain = identity(user);
    let fill = async |packer: &mut Packer| {
        let at = PointNumber::new(point);
        packer.add_record(&chain, at, Record::PointBegin(record::PointBegin { started_ms: i64::from(point) * 1000 }));
        let inbox = record::Container {
            graph_id: "inbox".into(),
            parent: None,
            name: "Inbox".into(),
            hidden: false,
            well_known: Some("inbox".into()),
        };
        packer.add_record(&chain, at, Record::Container(inbox));
        let stored = store_items(packer, names).await;
        tell_items(packer, &chain, point, names, &stored);
        more.into_iter().for_each(|record| packer.add_record(&chain, at, record));
        let state = record::CursorState::Since(format!("token {point}"));
        let cursor = record::Cursor { container: "inbox".into(), state, full_walk_point: None };
        packer.add_record(&chain, at, Record::Cursor(cursor));
        let seal = record::PointSeal { n_items, n_added: names.len() as u64, ..record::PointSeal::default() };
        packer.add_record(&chain, at, Record::PointSeal(seal));
    };
    site.write(fill, true).await;
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("mail {n}")).collect()
}

fn gone(name: &str) -> Record {
    Record::ItemGone(record::ItemGone { item: ItemKey::of(name), container: Some("inbox".into()) })
}

/// Two users; the first has two points: 20 items, then one less and five more.
pub(super) async fn company() -> Site {
    let site = Site::new().await;
    back_up(&site, "ada", 1, &names(0..20), Vec::new(), 20).await;
    back_up(&site, "bo", 1, &names(0..3), Vec::new(), 3).await;
    back_up(&site, "ada", 2, &names(20..25), vec![gone("mail 0")], 24).await;
    site
}

pub(super) async fn assert_whole(site: &Site) {
    for (user, point, expected) in [("ada", 1, names(0..20)), ("ada", 2, names(1..25)), ("bo", 1, names(0..3))] {
        let (seen, held) = site.seen(user, point).await;
        let expected: BTreeMap<String, Bytes> =
            expected.into_iter().map(|name| (name.clone(), content(&name))).collect();
        assert_eq!(held, expected.len() as u64);
        assert_eq!(seen, expected, "{user} as of point {point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_is_filled_from_the_storage_once() {
    let lost = company().await;
    let site = Site::at(lost.backend).await;

    let report = site.rebuild().await;

    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.packs_new, report.chains_rebuilt, report.points, report.versions), (3, 2, 3, 28));
    assert_eq!(report.tenants_added, ["contoso.example"]);
    assert_whole(&site).await;
    assert_eq!(site.list_token("ada").await.as_deref(), Some("token 2"));
    let again = site.rebuild().await;
    assert_eq!((again.packs_new, again.chains_rebuilt), (0, 0), "{again:?}");
    assert_whole(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_larger_than_memory_comes_in_parts() {
    let lost = company().await;
    let site = Site::at(lost.backend).await;

    let report = site.rebuild_in_parts(4).await;

    assert_eq!((report.chains_rebuilt, report.versions), (2, 28));
    assert!(report.is_complete(), "{report:?}");
    assert_whole(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_killed_half_way_is_finished_by_the_next_one() {
    let lost = company().await;
    let site = Site::at(lost.backend).await;
    site.rebuild().await;
    let (chain, storage) = (site.chain("ada").await, site.store.storage());
    let resource = site.db().run("find", move |conn| chains::get(conn, chain)).await.unwrap().unwrap().key.resource;
    let interrupt = move |conn: &mut crate::db::Conn| {
        let key = ChainKey { resource, feature: "mailbox".parse().unwrap(), storage };
        rebuild::begin(conn, &key)?;
        rebuild::wipe(conn, chain, 11)?;
        points::get(conn, chain, PointNumber::new(1))
    };
    let half = site.db().run("interrupt", interrupt).await.unwrap();
    assert!(half.unwrap().state != PointState::Sealed, "a point of a half-written chain can be restored");

    let report = site.rebuild().await;

    assert_eq!((report.packs_new, report.chains_rebuilt), (0, 1));
    assert_whole(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_newer_than_an_old_database_is_added_and_what_it_alone_knows_is_kept() {
    let site = Site::new().await;
    back_up(&site, "ada", 1, &names(0..20), Vec::new(), 20).await;
    back_up(&site, "bo", 1, &names(0..3), Vec::new(), 3).await;
    site.rebuild().await;
    let (chain, other) = (site.chain("ada").await, site.chain("bo").await);
    // A run without news leaves a point that no pack tells of.
    let unchanged = move |conn: &mut crate::db::Conn| {
        let point = points::open_point(conn, chain, None, crate::ids::TaskId::new(1))?;
        points::seal(conn, chain, point, 0)
    };
    site.db().run("seal", unchanged).await.unwrap();
    let fill = async |packer: &mut Packer| {
        let stored = store_items(packer, &names(20..25)).await;
        tell_items(packer, &identity("ada"), 3, &names(20..25), &stored);
        packer.add_record(&identity("ada"), PointNumber::new(3), gone("mail 0"));
        let seal = record::PointSeal { n_items: 24, ..record::PointSeal::default() };
        packer.add_record(&identity("ada"), PointNumber::new(3), Record::PointSeal(seal));
    };
    site.write(fill, false).await;

    let report = site.rebuild().await;

    assert_eq!((report.packs_new, report.chains_rebuilt, report.points), (1, 1, 3), "{report:?}");
    assert_eq!(site.chain("bo").await, other);
    for (point, n_items) in [(1, 20), (2, 20), (3, 24)] {
        assert_eq!(site.seen("ada", point).await.0.len(), n_items, "point {point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_compaction_removed_are_read_where_their_content_went() {
    let site = company().await;
    let old = site.packs();
    let fill = async |packer: &mut Packer| {
        let all = names(0..25);
        // Written again, because these blobs are to live in the new pack alone.
        let stored = store_items(packer, &all).await;
        let new = stored[0].properties.pack;
        for pack in &old {
            let moved = record::Compacted { old: uid(pack), new };
            packer.add_record(&identity("ada"), PointNumber::new(2), Record::Compacted(moved));
        }
    };
    let other = Site::at(Arc::clone(&site.backend)).await;
    other.write(fill, false).await;
    let mut records = Vec::new();
    for pack in &old {
        records.extend(site.store.read_pack(uid(pack)).await.unwrap().records.entries);
    }
    let carry = async |packer: &mut Packer| {
        for entry in &records {
            packer.add_record(entry.chain.as_ref().unwrap(), entry.point, entry.record.clone());
        }
    };
    other.write(carry, false).await;
    old.iter().for_each(|pack| other.backend.delete(pack).unwrap());

    let report = other.rebuild().await;

    assert!(report.is_complete(), "{report:?}");
    assert_whole(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_named_and_costs_only_what_was_in_it() {
    let lost = company().await;
    let newest = lost.pack_of("ada", 2).await;
    let short = lost.backend.get_range(&newest, 0, 500).unwrap();
    lost.backend.delete(&newest).unwrap();
    lost.backend.put(&newest, &[short]).unwrap();
    let site = Site::at(lost.backend).await;

    let report = site.rebuild().await;

    assert!(!report.is_complete());
    assert!(newest.contains(&report.unreadable[0].pack), "{report:?}");
    assert_eq!(site.seen("ada", 1).await.0.len(), 20);
    assert_eq!(site.seen("bo", 1).await.0.len(), 3);
    assert_eq!(site.list_token("ada").await, None, "what the damaged pack told would never be told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_named_and_gone_is_told_with_its_user() {
    let site = company().await;
    let first = site.pack_of("ada", 1).await;
    // A later record builds on what lies in the first pack.
    let entries = site.store.read_pack(uid(&first)).await.unwrap().records.entries;
    let item = entries.into_iter().find(|entry| matches!(entry.record, Record::Item(_))).unwrap();
    let again =
        async |packer: &mut Packer| packer.add_record(&identity("ada"), PointNumber::new(3), item.record.clone());
    site.write(again, false).await;
    let whole = site.backend.get_tail(&first, usize::MAX).unwrap().bytes;
    site.backend.delete(&first).unwrap();
    let site = Site::at(site.backend).await;

    let report = site.rebuild().await;

    assert!(report.lost.iter().eq([&uid(&first).to_string()]), "{report:?}");
    assert!(
        report.incomplete.iter().any(|one| one.user.starts_with("ada") && one.why.contains(&uid(&first).to_string()))
    );
    assert!(report.incomplete.iter().all(|one| one.user.starts_with("ada")), "{report:?}");
    assert_eq!(site.list_token("ada").await, None);
    assert!(site.list_token("bo").await.is_some());
    site.backend.put(&first, &[whole]).unwrap();
    let found = site.rebuild().await;
    assert!(found.is_complete() && found.chains_rebuilt == 1, "{found:?}");
    assert_whole(&site).await;
}
