//! The items of these tests, in a table of their own: what the catalog is to the product.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Integer, Unsigned};

use crate::db::{Conn, QueryResult};
use crate::ids::{BlobId, PackId, StorageId};
use crate::repository::collect::{Page, Reference, References};

/// Few, so that a scan has many pages.
const PAGE_ROWS: u32 = 7;

/// A committed item.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: u32,
    /// What its content was made of.
    pub seed: u32,
    pub reference: Reference,
}

#[derive(QueryableByName)]
struct Record {
    #[diesel(sql_type = Unsigned<Integer>)]
    id: u32,
    #[diesel(sql_type = Unsigned<Integer>)]
    seed: u32,
    #[diesel(sql_type = Unsigned<Integer>)]
    properties_pack: u32,
    #[diesel(sql_type = Binary)]
    properties_blob: Vec<u8>,
    #[diesel(sql_type = Unsigned<Integer>)]
    content_pack: u32,
    #[diesel(sql_type = Binary)]
    content_blob: Vec<u8>,
    #[diesel(sql_type = Binary)]
    refs: Vec<u8>,
}

impl From<Record> for Row {
    fn from(record: Record) -> Self {
        let blob = |bytes: &[u8]| BlobId::from_slice(bytes).unwrap();
        Self {
            id: record.id,
            seed: record.seed,
            reference: Reference {
                properties: (PackId::new(record.properties_pack), blob(&record.properties_blob)),
                content: Some((PackId::new(record.content_pack), blob(&record.content_blob))),
                shared: record.refs.chunks(16).map(blob).collect(),
            },
        }
    }
}

pub fn create(conn: &mut Conn) -> QueryResult<()> {
    let text = "CREATE TABLE IF NOT EXISTS test_items (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, \
                seed INT UNSIGNED NOT NULL, properties_pack INT UNSIGNED NOT NULL, properties_blob BINARY(16) NOT NULL, \
                content_pack INT UNSIGNED NOT NULL, content_blob BINARY(16) NOT NULL, refs BLOB NOT NULL)";
    diesel::sql_query(text).execute(conn).map(drop)
}

/// Adds an item, in the transaction that commits its packs.
pub fn insert(conn: &mut Conn, seed: u32, reference: &Reference) -> QueryResult<()> {
    let (content_pack, content_blob) = reference.content.unwrap();
    let refs: Vec<u8> = reference.shared.iter().flat_map(|id| id.as_bytes().iter().copied()).collect();
    let text = "INSERT INTO test_items (seed, properties_pack, properties_blob, content_pack, content_blob, refs) \
                VALUES (?, ?, ?, ?, ?, ?)";
    diesel::sql_query(text)
        .bind::<Unsigned<Integer>, _>(seed)
        .bind::<Unsigned<Integer>, _>(reference.properties.0.get())
        .bind::<Binary, _>(reference.properties.1.as_bytes().to_vec())
        .bind::<Unsigned<Integer>, _>(content_pack.get())
        .bind::<Binary, _>(content_blob.as_bytes().to_vec())
        .bind::<Binary, _>(refs)
        .execute(conn)
        .map(drop)
}

/// Removes items, as retention does.
pub fn remove(conn: &mut Conn, ids: &[u32]) -> QueryResult<()> {
    ids.iter().try_for_each(|id| {
        let query = diesel::sql_query("DELETE FROM test_items WHERE id = ?").bind::<Unsigned<Integer>, _>(*id);
        query.execute(conn).map(drop)
    })
}

pub fn list(conn: &mut Conn, after: u32, limit: u32) -> QueryResult<Vec<Row>> {
    let text = format!("SELECT * FROM test_items WHERE id > ? ORDER BY id LIMIT {limit}");
    let rows: Vec<Record> = diesel::sql_query(text).bind::<Unsigned<Integer>, _>(after).load(conn)?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// The table as collection reads it.
pub struct TestItems;

impl References for TestItems {
    type Position = u32;

    fn page(&self, conn: &mut Conn, _storage: StorageId, from: Option<u32>) -> QueryResult<Page<u32>> {
        let rows = list(conn, from.unwrap_or(0), PAGE_ROWS)?;
        let next = rows.last().map(|row| row.id);
        Ok(Page { references: rows.into_iter().map(|row| row.reference).collect(), next })
    }
}
