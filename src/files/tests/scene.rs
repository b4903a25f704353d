//! A storage with one restore point, and archives of it.

use std::path::PathBuf;
use std::process::Command;

use bytes::Bytes;
use chrono::DateTime;

use crate::catalog::{self, Chain, ChainKey, ContentRef, NewVersion, containers};
use crate::db::Conn;
use crate::files::{Archive, ArchiveError, Chosen, Layout, Part, Plan, Properties, Sink, SinkError, Written};
use crate::ids::{ChainId, ContainerId, ItemKey, PointNumber, ResourceId, StorageId, TaskId, WalkNumber};
use crate::repository::tests::server::TestDb;
use crate::repository::{self, BackendKind, Ingest, IngestContent, StorageConfig, StorageSettings, Store};
use crate::secret::{Sealer, Secret, random_key};

pub(super) const POINT: PointNumber = PointNumber::new(1);

/// An item to be stored.
pub(super) struct Thing {
    pub id: &'static str,
    pub parent: Option<&'static str>,
    pub kind: u8,
    pub name: &'static str,
    pub properties: String,
    pub content: Option<IngestContent>,
}

impl Thing {
    pub(super) fn mail(id: &'static str, text: &[u8]) -> Self {
        let content = Some(IngestContent::Mime(Bytes::copy_from_slice(text)));
        Self { id, parent: None, kind: 1, name: id, properties: format!("{{\"id\":\"{id}\"}}"), content }
    }

    pub(super) fn folder(id: &'static str, parent: Option<&'static str>, name: &'static str) -> Self {
        Self { id, parent, kind: 1, name, properties: "{\"folder\":{}}".into(), content: None }
    }

    pub(super) fn file(id: &'static str, parent: &'static str, name: &'static str, content: &[u8]) -> Self {
        let content = Some(IngestContent::Raw(Bytes::copy_from_slice(content)));
        Self { id, parent: Some(parent), kind: 2, name, properties: "{\"file\":{}}".into(), content }
    }
}

pub(super) struct Scene {
    pub db: TestDb,
    pub place: tempfile::TempDir,
    pub chain: Chain,
    store: Store,
}

/// An archive that was taken apart again.
pub(super) struct Unpacked {
    pub dir: tempfile::TempDir,
    pub written: Written,
}

impl Unpacked {
    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(path)).unwrap_or_else(|err| panic!("{path}: {err}"))
    }

    /// The only file below a folder whose name has this in it.
    pub(super) fn named(&self, folder: &str, part: &str) -> PathBuf {
        let inside = std::fs::read_dir(self.dir.path().join(folder)).unwrap();
        let mut found = inside.map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().contains(part));
        found.next().unwrap_or_else(|| panic!("nothing in {folder} is called {part}"))
    }

    pub(super) fn report(&self) -> serde_json::Value {
        serde_json::from_slice(&self.read("kodo-export.json")).unwrap()
    }
}

struct Memory(Vec<u8>);

impl Sink for Memory {
    async fn put(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }

    async fn hear(&mut self, _: Written) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Scene {
    pub(super) async fn of(feature: &str, container: &str, things: Vec<Thing>) -> Self {
        let (db, place) = (TestDb::start(), tempfile::tempdir().unwrap());
        let sealer = Sealer::new(random_key().unwrap());
        let config = StorageConfig {
            name: "disk".into(),
            backend: BackendKind::Filesystem,
            settings: StorageSettings { path: place.path().to_owned() },
            layout: None,
            encrypted: None,
        };
        let storage = repository::add_storage(&db.db, &sealer, "test", config).await.unwrap().id;
        let store = repository::open_storage(&db.db, &sealer, storage, "test").await.unwrap();
        let chain = fill(&db, &store, storage, feature, container, things).await;
        let chain = db.db.run("read", move |conn| catalog::chains::get(conn, chain)).await.unwrap().unwrap();
        Self { db, place, chain, store }
    }

    fn plan(&self, layout: Layout, chosen: Option<Chosen>, passphrase: Option<&str>) -> Plan {
        let reader = self.store.reader(self.db.db.clone());
        let part = Part { chain: self.chain.clone(), point: POINT, top: "ann@contoso.example".into(), reader, chosen };
        Plan {
            parts: vec![part],
            layout,
            properties: Properties::LeftOut,
            passphrase: passphrase.map(|text| Secret::new(text.to_owned())),
            about: serde_json::json!({}),
            at: DateTime::UNIX_EPOCH,
        }
    }

    pub(super) async fn archive(
        &self,
        layout: Layout,
        chosen: Option<Chosen>,
        passphrase: Option<&str>,
    ) -> Result<(Vec<u8>, Written), ArchiveError> {
        let plan = self.plan(layout, chosen, passphrase);
        let mut sink = Memory(Vec::new());
        let written = Archive::write(&self.db.db, &plan, &mut sink).await?;
        assert_eq!(written.bytes, sink.0.len() as u64);
        Ok((sink.0, written))
    }

    /// `None`, with a word of it, where no program can take archives apart.
    pub(super) async fn unpacked(&self, layout: Layout, chosen: Option<Chosen>) -> Option<Unpacked> {
        let (bytes, written) = self.archive(layout, chosen, None).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("archive.zip");
        std::fs::write(&archive, bytes).unwrap();
        let Ok(ran) = Command::new("unzip").arg("-q").arg(&archive).arg("-d").arg(dir.path()).output() else {
            println!("skipped: there is no unzip here (script/setup installs it)");
            return None;
        };
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(Unpacked { dir, written })
    }
}

async fn fill(
    db: &TestDb,
    store: &Store,
    storage: StorageId,
    feature: &str,
    container: &str,
    things: Vec<Thing>,
) -> ChainId {
    let register = move |conn: &mut Conn| repository::register_writer(conn, storage, "test");
    let writer = db.db.run("register", register).await.unwrap();
    let mut packer = store.packer(db.db.clone(), writer);
    let (mut heads, mut batch) = (Vec::new(), Vec::new());
    for thing in things {
        heads.push((thing.id, thing.parent, thing.kind, thing.name));
        batch.push(Ingest { properties: thing.properties.into(), content: thing.content });
    }
    let stored = packer.store(batch).await.unwrap();
    let flushed = packer.flush().await.unwrap();
    let commit = move |conn: &mut Conn| repository::commit(conn, storage, writer, &flushed);
    let packs = db.db.transaction("commit", commit).await.unwrap();
    let place =
        |location: repository::Location| ContentRef { pack: packs.get(location.pack).unwrap(), blob: location.blob };
    let key = ChainKey { resource: ResourceId::new(1), feature: feature.parse().unwrap(), storage };
    let name = container.to_owned();
    let versions = heads.into_iter().zip(&stored).map(|((id, parent, kind, name), stored)| NewVersion {
        key: ItemKey::of(id),
        // Known when the container is.
        container: ContainerId::new(0),
        parent: parent.map(ItemKey::of),
        full_walk: WalkNumber::FIRST,
        kind,
        flags: 0,
        change_tag: 0,
        name: name.to_owned(),
        party: String::new(),
        time: "2026-11-25T12:34:56Z".parse().unwrap(),
        bytes: stored.content.as_ref().map_or(0, |content| content.bytes),
        properties: place(stored.properties),
        content: stored.content.as_ref().map(|content| place(content.location)),
        refs: Vec::new(),
    });
    let versions: Vec<NewVersion> = versions.collect();
    let write = move |conn: &mut Conn| {
        let chain = catalog::chains::open(conn, &key)?.id;
        let point = catalog::points::open_point(conn, chain, None, TaskId::new(1))?;
        let container = containers::identify(conn, chain, "c")?;
        let state = containers::ContainerState {
            graph_id: "c".into(),
            parent: None,
            name: name.clone(),
            hidden: false,
            well_known: None,
            n_items: None,
        };
        containers::put(conn, chain, point, container, &state)?;
        let versions: Vec<NewVersion> =
            versions.iter().map(|version| NewVersion { container, ..version.clone() }).collect();
        catalog::items::put(conn, chain, point, &versions)?;
        catalog::points::seal(conn, chain, point, 0)?;
        Ok(chain)
    };
    db.db.run("write a point", write).await.unwrap()
}
