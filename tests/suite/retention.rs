//! Retention against a real MariaDB: what is given up goes, and no point that stays becomes another, wherever the work
//! was stopped.

use std::collections::{BTreeMap, BTreeSet};

use kodo::catalog::expiry::{Pace, Step, Sweep};
use kodo::catalog::items::{Held, Within};
use kodo::catalog::points::GaveUp;
use kodo::catalog::{
    ChainKey, ContainerState, ContentRef, Holding, ItemIssue, NewVersion, PointState, chains, containers, issues,
    items, points, tallies,
};
use kodo::db::{Conn, Db, QueryResult};
use kodo::ids::{
    BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, ResourceId, StorageId, TaskId, VersionNumber,
    WalkNumber,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::mariadb::MariaDb;

const ITEMS: u32 = 40;
const FOLDERS: u32 = 6;
const HISTORIES: u32 = 8;
const ROUNDS: u32 = 3;
const SEED: u64 = 20_261_125;
/// So small that every page ends in the middle of something.
const PACE: Pace = Pace { gaps: 2, versions: 7, containers: 2 };

/// What is there at one time: folders by name, and items with their folder, length and change tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    folders: BTreeMap<u32, String>,
    items: BTreeMap<u32, (u32, u64, u64)>,
}

/// A chain, and what a plain model says of it.
struct History {
    chain: ChainId,
    dice: StdRng,
    now: Content,
    sealed: BTreeMap<PointNumber, Content>,
}

fn key(item: u32) -> ItemKey {
    ItemKey::of(&item.to_string())
}

fn version(item: u32, container: ContainerId, bytes: u64, change_tag: u64) -> NewVersion {
    NewVersion {
        key: key(item),
        container,
        full_walk: WalkNumber::FIRST,
        kind: 1,
        flags: 0,
        change_tag,
        name: item.to_string(),
        party: String::new(),
        parent: None,
        time: chrono::DateTime::from_timestamp(1_700_000_000 + i64::from(item / 5), 0).unwrap(),
        bytes,
        properties: ContentRef { pack: PackId::new(1), blob: BlobId::from_bytes([0; 16]) },
        content: None,
        refs: Vec::new(),
    }
}

fn folder_state(graph_id: &str, name: &str) -> ContainerState {
    ContainerState {
        graph_id: graph_id.to_owned(),
        parent: None,
        name: name.to_owned(),
        hidden: false,
        well_known: None,
        n_items: None,
    }
}

fn open_chain(conn: &mut Conn, resource: u32) -> QueryResult<ChainId> {
    let feature = "mailbox".parse().unwrap();
    let key = ChainKey { resource: ResourceId::new(resource), feature, storage: StorageId::new(1) };
    Ok(chains::open(conn, &key)?.id)
}

async fn database() -> (MariaDb, Db) {
    let server = MariaDb::start().await.unwrap();
    let db = server.connect().unwrap();
    (server, db)
}

impl History {
    fn begin(conn: &mut Conn, number: u32) -> QueryResult<Self> {
        let chain = open_chain(conn, number)?;
        let dice = StdRng::seed_from_u64(SEED + u64::from(number));
        Ok(Self { chain, dice, now: Content::default(), sealed: BTreeMap::new() })
    }

    fn folder(&self, conn: &mut Conn, folder: u32) -> QueryResult<ContainerId> {
        containers::identify(conn, self.chain, &format!("folder {folder}"))
    }

    /// One backup: folders come, change their names and go with what is in them; items come, change, move and go.
    fn back_up(&mut self, conn: &mut Conn) -> QueryResult<PointNumber> {
        let point = points::open_point(conn, self.chain, None, TaskId::new(1))?;
        for _ in 0..self.dice.random_range(0..4) {
            let folder = self.dice.random_range(0..FOLDERS);
            if self.now.folders.len() > 1 && self.dice.random_bool(0.3) {
                self.close_folder(conn, point, folder)?;
            } else {
                self.put_folder(conn, point, folder)?;
            }
            self.put_items(conn, point)?;
            let gone: Vec<u32> = (0..ITEMS).filter(|_| self.dice.random_bool(0.1)).collect();
            let keys: Vec<ItemKey> = gone.iter().copied().map(key).collect();
            items::remove(conn, self.chain, point, None, &keys)?;
            self.now.items.retain(|item, _| !gone.contains(item));
        }
        points::seal(conn, self.chain, point, 0)?;
        self.sealed.insert(point, self.now.clone());
        Ok(point)
    }

    fn put_folder(&mut self, conn: &mut Conn, point: PointNumber, folder: u32) -> QueryResult<()> {
        let name = format!("{folder} as of {}", self.dice.random_range(0..3));
        let id = self.folder(conn, folder)?;
        let state = folder_state(&format!("folder {folder}"), &name);
        containers::put(conn, self.chain, point, id, &state)?;
        self.now.folders.insert(folder, name);
        Ok(())
    }

    fn close_folder(&mut self, conn: &mut Conn, point: PointNumber, folder: u32) -> QueryResult<()> {
        let id = self.folder(conn, folder)?;
        let held = items::held(conn, self.chain, id, None, ITEMS)?;
        let keys: Vec<ItemKey> = held.into_iter().map(|Held { key, .. }| key).collect();
        items::remove(conn, self.chain, point, Some(id), &keys)?;
        containers::close(conn, point, id)?;
        self.now.folders.remove(&folder);
        self.now.items.retain(|_, (holder, _, _)| *holder != folder);
        Ok(())
    }

    fn put_items(&mut self, conn: &mut Conn, point: PointNumber) -> QueryResult<()> {
        let folders: Vec<u32> = self.now.folders.keys().copied().collect();
        let mut new = Vec::new();
        for item in (0..ITEMS).filter(|_| self.dice.random_bool(0.15)).collect::<Vec<_>>() {
            let folder = folders[self.dice.random_range(0..folders.len())];
            let (bytes, tag) = (self.dice.random_range(0..9_000), self.dice.random());
            new.push(version(item, self.folder(conn, folder)?, bytes, tag));
            self.now.items.insert(item, (folder, bytes, tag));
        }
        items::put(conn, self.chain, point, &new).map(drop)
    }

    /// Gives up some points, never the newest, and works on it until somebody pulls the plug; `true`: nobody did.
    fn give_up_some(&mut self, conn: &mut Conn, stopped_after: Option<u32>) -> QueryResult<bool> {
        let mut leaving: Vec<PointNumber> = self.sealed.keys().copied().collect();
        let newest = leaving.pop();
        leaving.retain(|_| self.dice.random_bool(0.6));
        let wished: Vec<PointNumber> = leaving.iter().copied().chain(newest).collect();
        let expired = points::expire(conn, self.chain, &wished)?;
        assert_eq!(expired, leaving.len() as u64, "the newest point never expires");
        self.sealed.retain(|point, _| !leaving.contains(point));
        self.sweep(conn, stopped_after)
    }

    fn sweep(&self, conn: &mut Conn, stopped_after: Option<u32>) -> QueryResult<bool> {
        let mut sweep = Sweep::of(self.chain, PACE);
        for taken in 0.. {
            if stopped_after == Some(taken) {
                return Ok(false);
            }
            match sweep.step(conn)? {
                Step::More(next) => sweep = next,
                Step::Done(_) => break,
            }
        }
        Ok(true)
    }

    /// What the catalog shows of a point, through every door that there is.
    fn shown(&self, conn: &mut Conn, point: PointNumber) -> QueryResult<Content> {
        let mut content = Content::default();
        let chain = self.chain;
        let present = containers::as_of(conn, chain, point)?;
        let ids: Vec<ContainerId> = present.iter().map(|container| container.id).collect();
        let held = tallies::as_of(conn, point, &ids)?;
        for container in present {
            let folder: u32 = container.graph_id.trim_start_matches("folder ").parse().unwrap();
            let rows = items::browse(conn, chain, point, (container.id, Within::Anywhere), None, ITEMS)?;
            let counted = Holding { items: rows.len() as u64, bytes: rows.iter().map(|row| row.version.bytes).sum() };
            assert_eq!(held.get(&container.id).copied().unwrap_or_default(), counted, "{container:?} at {point}");
            for row in rows {
                let item: u32 = row.version.name.parse().unwrap();
                assert_eq!(items::get(conn, chain, point, key(item))?.as_ref(), Some(&row));
                assert_eq!(items::at(conn, chain, point, &[key(item)])?, std::slice::from_ref(&row));
                content.items.insert(item, (folder, row.version.bytes, row.version.change_tag));
            }
            content.folders.insert(folder, container.name);
        }
        for item in (0..ITEMS).filter(|item| !content.items.contains_key(item)) {
            assert_eq!(items::get(conn, chain, point, key(item))?, None, "item {item} at {point}");
        }
        Ok(content)
    }

    fn assert_shown(&self, conn: &mut Conn) -> QueryResult<()> {
        for (point, content) in &self.sealed {
            assert_eq!(&self.shown(conn, *point)?, content, "point {point} of chain {}", self.chain);
        }
        Ok(())
    }

    /// Nothing is left that no retained point needs.
    fn assert_swept(&self, conn: &mut Conn) -> QueryResult<()> {
        let listed: BTreeSet<PointNumber> =
            points::list(conn, self.chain, PointNumber::OPEN, 1_000)?.into_iter().map(|row| row.number).collect();
        assert_eq!(listed, self.sealed.keys().copied().collect());
        for span in items::spans(conn, self.chain, VersionNumber::NONE, 100_000)? {
            let needed = self.sealed.keys().any(|point| span.from <= *point && *point < span.to);
            assert!(needed, "{span:?} is left, but only {listed:?} stay");
        }
        let folders: BTreeSet<u32> = self.sealed.values().flat_map(|content| content.folders.keys().copied()).collect();
        let left = containers::ids(conn, self.chain, ContainerId::new(0), 1_000)?;
        assert_eq!(left.len(), folders.len(), "folders that no retained point shows are forgotten");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_stay_show_the_same_and_nothing_else_is_left_wherever_a_prune_was_stopped() {
    let (_server, db) = database().await;

    let stopped = db.run("live through histories", |conn| {
        let mut n_stopped = 0;
        for number in 1..=HISTORIES {
            let mut history = History::begin(conn, number)?;
            for _ in 0..ROUNDS {
                for _ in 0..history.dice.random_range(2..7) {
                    history.back_up(conn)?;
                }
                let steps = history.dice.random_range(0..12);
                n_stopped += u32::from(!history.give_up_some(conn, Some(steps))?);
                history.assert_shown(conn)?;
            }
            // Also what the stopped ones had left.
            assert!(history.sweep(conn, None)?);
            history.assert_shown(conn)?;
            history.assert_swept(conn)?;
        }
        Ok(n_stopped)
    });

    assert!(stopped.await.unwrap() > HISTORIES, "the plug was hardly ever pulled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_point_keeps_what_it_closed_and_builds_on_nothing_older() {
    let (_server, db) = database().await;

    let (known, left) = db
        .run("close items", |conn| {
            let chain = open_chain(conn, 1)?;
            let folder = containers::identify(conn, chain, "folder")?;
            let [open, closed_now, closed_before] = [0, 1, 2];
            let first = points::open_point(conn, chain, None, TaskId::new(1))?;
            let all = [open, closed_now, closed_before].map(|item| version(item, folder, 1, 1));
            items::put(conn, chain, first, &all)?;
            points::seal(conn, chain, first, 0)?;
            let second = points::open_point(conn, chain, None, TaskId::new(2))?;
            items::remove(conn, chain, second, None, &[key(closed_before)])?;
            points::seal(conn, chain, second, 0)?;
            let third = points::open_point(conn, chain, None, TaskId::new(3))?;
            items::remove(conn, chain, third, None, &[key(closed_now)])?;
            let keys = [open, closed_now, closed_before].map(key);
            let known = items::newest(conn, chain, third, &keys)?;

            points::expire(conn, chain, &[first])?;
            let mut sweep = Sweep::of(chain, PACE);
            while let Step::More(next) = sweep.step(conn)? {
                sweep = next;
            }
            Ok((known, items::known(conn, chain, &keys)?))
        })
        .await
        .unwrap();

    let both: BTreeSet<ItemKey> = [key(0), key(1)].into();
    assert_eq!(
        known.into_keys().collect::<BTreeSet<_>>(),
        both,
        "what ended before the newest sealed point is unknown"
    );
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_versions_stays_while_an_issue_names_it() {
    let (_server, db) = database().await;

    let (before, after) = db
        .run("forget a folder", |conn| {
            let chain = open_chain(conn, 1)?;
            let container = containers::identify(conn, chain, "folder")?;
            let issue = ItemIssue {
                skipped: false,
                graph_id: "message".to_owned(),
                container,
                name: String::new(),
                reason: "unreadable".to_owned(),
                message: String::new(),
            };
            issues::put(conn, chain, PointNumber::new(1), &[issue])?;
            let left = |conn: &mut Conn| {
                let mut sweep = Sweep::of(chain, PACE);
                while let Step::More(next) = sweep.step(conn)? {
                    sweep = next;
                }
                containers::ids(conn, chain, ContainerId::new(0), 10)
            };
            let before = left(conn)?;
            issues::resolve(conn, chain, &[ItemKey::of("message")])?;
            Ok((before.len(), left(conn)?.len()))
        })
        .await
        .unwrap();

    assert_eq!((before, after), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_point_is_given_up_by_hand_but_never_the_newest() {
    let (_server, db) = database().await;

    let (gave_up, states) = db
        .run("give up points", |conn| {
            let chain = open_chain(conn, 1)?;
            for task in 1..=3 {
                let point = points::open_point(conn, chain, None, TaskId::new(task))?;
                if task < 3 {
                    points::seal(conn, chain, point, 0)?;
                }
            }
            let mut gave_up = Vec::new();
            for number in [1, 1, 2, 3, 4] {
                gave_up.push(points::give_up(conn, chain, PointNumber::new(number))?);
            }
            let rows = points::list(conn, chain, PointNumber::OPEN, 10)?;
            Ok((gave_up, rows.into_iter().map(|row| row.state).collect::<Vec<_>>()))
        })
        .await
        .unwrap();

    let not = GaveUp::NotSealed;
    assert_eq!(gave_up, [GaveUp::Yes, not, GaveUp::Newest, not, not]);
    assert_eq!(states, [PointState::Open, PointState::Sealed, PointState::GivenUp]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_reads_each_version_of_a_chain_about_once() {
    const MANY: u32 = 4_000;
    let (server, db) = database().await;
    let chain = db
        .run("fill a chain", |conn| {
            let chain = open_chain(conn, 1)?;
            let folder = containers::identify(conn, chain, "folder")?;
            for task in 1..=3 {
                let point = points::open_point(conn, chain, None, TaskId::new(task))?;
                containers::put(conn, chain, point, folder, &folder_state("folder", "Inbox"))?;
                let n_items = if task == 1 { MANY } else { ITEMS };
                let some: Vec<NewVersion> = (0..n_items).map(|item| version(item, folder, task, 1)).collect();
                items::put(conn, chain, point, &some)?;
                points::seal(conn, chain, point, 0)?;
            }
            points::expire(conn, chain, &[PointNumber::new(2)])?;
            Ok(chain)
        })
        .await
        .unwrap();
    let before = server.rows_read().unwrap();

    let sweep = move |conn: &mut Conn| {
        let mut sweep = Sweep::of(chain, Pace { versions: 100, ..PACE });
        loop {
            match sweep.step(conn)? {
                Step::More(next) => sweep = next,
                Step::Done(deleted) => return Ok(deleted),
            }
        }
    };
    let deleted = db.run("sweep", sweep).await.unwrap();

    assert_eq!((deleted.points, deleted.versions), (1, u64::from(ITEMS)));
    let n_read = server.rows_read().unwrap() - before;
    assert!(n_read < 2 * u64::from(MANY), "{n_read} rows were read to look at {MANY} versions");
}
