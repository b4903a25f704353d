//! The store against a real MariaDB and real directories.

mod collection;
mod commits;
mod damage;
mod faults;
mod golden;
mod golden_kinds;
mod independent;
mod keys;
mod kill;
mod mutants;
mod places;
mod ranges;
pub mod server;
mod shared_readers;
mod storing;
mod verify;

use std::sync::Arc;

use bytes::Bytes;

use super::format::Layout;
use super::store::{Crypto, Store};
use super::{ChainIdentity, Ingest, IngestContent, Packer, Stored, writers};
use crate::backends::{Backend, Memory};
use crate::db::Db;
use crate::ids::{PackId, PointNumber, StorageId, WriterId};
use server::TestDb;

/// A store in memory with its rows in a database of its own.
struct Bench {
    store: Store,
    db: Db,
    writer: WriterId,
    server: TestDb,
}

impl Bench {
    async fn new() -> Self {
        Self::on(Arc::new(Memory::new()), Layout::Packed, Crypto::Aes256Gcm).await
    }

    async fn on(backend: Arc<dyn Backend>, layout: Layout, crypto: Crypto) -> Self {
        let server = TestDb::start();
        let db = server.db.clone();
        let created = Store::create(Arc::clone(&backend), layout, crypto).await.unwrap();
        let row = super::storages::sql::NewStorage {
            name: "test".into(),
            backend: "filesystem",
            settings: "{\"path\":\"/nowhere\"}".into(),
            store: created.store,
            layout: "packed",
            key_sealed: None,
        };
        let id = db.run("add", move |conn| super::storages::sql::insert(conn, &row)).await.unwrap();
        let store = Store::open(id, backend, created.secrets.map(|secrets| secrets.master)).await.unwrap();
        let writer = register(&db, id).await;
        Self { store, db, writer, server }
    }

    fn packer(&self) -> Packer {
        self.store.packer(self.db.clone(), self.writer)
    }

    /// Flushes and commits, and returns the rows of the packs.
    async fn commit(&self, packer: &mut Packer) -> super::PackIds {
        let flushed = packer.flush().await.unwrap();
        self.try_commit(&flushed).await.unwrap()
    }

    async fn try_commit(
        &self,
        flushed: &super::Flushed,
    ) -> Result<super::PackIds, crate::db::TxError<super::CommitRefused>> {
        let (storage, writer, flushed) = (self.store.storage(), self.writer, flushed.clone());
        self.db.transaction("commit", move |conn| super::commit(conn, storage, writer, &flushed)).await
    }

    async fn content_of(&self, stored: &Stored, ids: &super::PackIds) -> Bytes {
        let place = stored.content.as_ref().unwrap().location;
        let reader = self.store.reader(self.db.clone());
        reader.content(id(ids, place.pack), place.blob, u64::MAX).await.unwrap()
    }
}

fn id(ids: &super::PackIds, pack: crate::ids::PackUid) -> PackId {
    ids.get(pack).expect("the pack was committed")
}

async fn register(db: &Db, storage: StorageId) -> WriterId {
    db.run("register", move |conn| writers::register_writer(conn, storage, "agent")).await.unwrap()
}

fn chain() -> Arc<ChainIdentity> {
    Arc::new(ChainIdentity {
        entra_tenant_id: "contoso.example".into(),
        resource_graph_id: "1f".into(),
        resource_kind: "user".into(),
        resource_name: "Ada".into(),
        address: "ada@contoso.example".into(),
        feature: "mailbox".into(),
    })
}

const POINT: PointNumber = PointNumber::new(1);

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// A message with an attachment of these bytes.
fn mail(subject: &str, attachment: &[u8]) -> Bytes {
    use base64::Engine;
    let digits = base64::engine::general_purpose::STANDARD.encode(attachment);
    let lines: Vec<_> = digits.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let body = format!("Dear reader of {subject},\r\n{}", "all is well here. ".repeat(300));
    let text = format!(
        "Subject: {subject}\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain\
         \r\n\r\n{body}\r\n--=_b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
         --=_b--\r\n",
        lines.join("\r\n")
    );
    text.into()
}

fn item(subject: &str, content: Option<IngestContent>) -> Ingest {
    Ingest { properties: format!("{{\"subject\":\"{subject}\"}}").into(), content }
}
