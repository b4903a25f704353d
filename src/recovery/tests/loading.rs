//! Versions that a rebuild writes, against a real MariaDB.

use chrono::{DateTime, Utc};

use crate::catalog::items::{self, VersionRow};
use crate::catalog::rebuild::put_versions;
use crate::catalog::{ContentRef, NewVersion};
use crate::db::{Conn, DbError};
use crate::ids::{BlobId, ChainId, ContainerId, ItemKey, PackId, PointNumber, VersionNumber, WalkNumber};
use crate::repository::tests::server::TestDb;

const CHAIN: ChainId = ChainId::new(7);

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn place(byte: u8) -> ContentRef {
    ContentRef { pack: PackId::new(u32::from(byte) + 1), blob: BlobId::from_bytes([byte; 16]) }
}

fn row(name: &str) -> VersionRow {
    let version = NewVersion {
        key: ItemKey::of(name),
        container: ContainerId::new(3),
        parent: None,
        full_walk: WalkNumber::new(2),
        kind: 4,
        flags: 5,
        change_tag: 6,
        name: name.to_owned(),
        party: "somebody".to_owned(),
        time: time("2024-02-29T23:59:58Z"),
        bytes: 7,
        properties: place(8),
        content: Some(place(9)),
        refs: vec![BlobId::from_bytes([10; 16]), BlobId::from_bytes([11; 16])],
    };
    VersionRow { number: VersionNumber::NONE, from: PointNumber::new(1), to: PointNumber::new(2), version }
}

/// Rows with everything that a value could be taken for something else in.
fn awkward() -> Vec<VersionRow> {
    let mut rows =
        vec![row("plain"), row("it's \\ \"quoted\" `here`; -- ? ?, /* and %s\n"), row("Grüße 日本 👋🏽"), row("")];
    let mut least = row("nothing but what must be");
    least.version.party = String::new();
    (least.version.content, least.version.refs) = (None, Vec::new());
    (least.version.kind, least.version.flags, least.version.change_tag, least.version.bytes) = (0, 0, 0, 0);
    least.version.time = time("1970-01-01T00:00:00Z");
    rows.push(least);
    let mut together = row("content beside its properties");
    together.version.content = Some(ContentRef { pack: together.version.properties.pack, ..place(12) });
    rows.push(together);
    let mut most = row("as much as fits");
    (most.from, most.to) = (PointNumber::new(PointNumber::OPEN.get() - 1), PointNumber::OPEN);
    (most.version.kind, most.version.flags) = (u8::MAX, u16::MAX);
    (most.version.change_tag, most.version.bytes) = (u64::MAX, u64::MAX);
    most.version.container = ContainerId::new(u32::MAX);
    most.version.time = time("9999-12-31T23:59:59Z");
    (most.version.name, most.version.party) = ("👋".repeat(255), "é".repeat(190));
    most.version.properties = ContentRef { pack: PackId::new(u32::MAX), blob: BlobId::from_bytes([0xff; 16]) };
    most.version.content = Some(ContentRef { pack: PackId::new(u32::MAX), blob: BlobId::from_bytes([0; 16]) });
    most.version.refs = (0..=255).map(|byte| BlobId::from_bytes([byte; 16])).collect();
    rows.push(most);
    rows
}

fn numbered(mut rows: Vec<VersionRow>) -> Vec<VersionRow> {
    (1..).zip(&mut rows).for_each(|(number, row)| row.number = VersionNumber::new(number));
    rows
}

async fn written(server: &TestDb, rows: Vec<VersionRow>) -> Result<Vec<VersionRow>, DbError> {
    let write = move |conn: &mut Conn| {
        put_versions(conn, CHAIN, &rows)?;
        items::scan(conn, CHAIN, VersionNumber::NONE, u32::MAX)
    };
    server.db.run("write", write).await
}

#[tokio::test]
async fn versions_are_read_back_as_they_were_written_whatever_is_in_them() {
    let server = TestDb::start();
    let rows = numbered(awkward());

    let found = written(&server, rows.clone()).await.unwrap();

    assert_eq!(found, rows);
}

#[tokio::test]
async fn more_versions_than_one_statement_takes_are_all_written() {
    let server = TestDb::start();
    let rows = numbered((0..10_000).map(|n| row(&format!("item {n}"))).collect());

    let found = written(&server, rows.clone()).await.unwrap();

    assert!(found == rows, "{} of {} rows are as they were", found.len(), rows.len());
}

#[tokio::test]
async fn a_number_is_not_given_twice_and_a_time_beyond_all_calendars_is_refused() {
    let server = TestDb::start();
    let mut late = row("late");
    late.version.time = DateTime::from_timestamp(300_000_000_000, 0).unwrap();
    let twice = ["one", "another"].map(|name| VersionRow { number: VersionNumber::new(1), ..row(name) });

    let twice = written(&server, twice.to_vec()).await.unwrap_err();
    let late = written(&server, vec![late]).await.unwrap_err();

    assert!(format!("{twice:?}").contains("Duplicate entry"), "{twice:?}");
    assert!(format!("{late:?}").contains("is a time that no column can hold"), "{late:?}");
    assert_eq!(written(&server, Vec::new()).await.unwrap(), []);
}
