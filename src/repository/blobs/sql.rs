//! The table `blobs`: what every commit and every reading asks of it.

mod collecting;
mod verifying;

use diesel::dsl::{DuplicatedKeys, sql};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Binary, Integer, TinyInt, Unsigned};

use crate::db::schema::blobs;
use crate::db::{Conn, Kept, among, form};
use crate::ids::{BlobId, PackId, StorageId};

pub use collecting::{
    JudgedBlob, blobs_between, condemn_blobs, count_held, drop_given_up, give_up_blobs, held_in, move_blobs,
};
pub use verifying::{delete_in_pack, drop_blobs_of, repoint_blobs};

/// Ids in one `IN (…)`.
pub const PAGE_ROWS: usize = 500;
/// Rows in one INSERT.
const INSERT_ROWS: usize = 1000;

const LIVE: u8 = 0;
const CONDEMNED: u8 = 1;
const DELETING: u8 = 2;

/// Whether a blob can be shared by new items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobState {
    Live,
    /// No item needed it when collection looked; a commit may still save it.
    Condemned,
    /// It is being removed and cannot be saved.
    Deleting,
}

impl BlobState {
    fn of(value: u8) -> QueryResult<Self> {
        match value {
            LIVE => Ok(Self::Live),
            CONDEMNED => Ok(Self::Condemned),
            DELETING => Ok(Self::Deleting),
            other => Err(unreadable(format!("blob state {other}"))),
        }
    }
}

fn unreadable(what: String) -> DieselError {
    DieselError::DeserializationError(format!("{what} is not known to this version of kodo").into())
}

fn raw(ids: &[BlobId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

fn blob_id(bytes: &[u8]) -> QueryResult<BlobId> {
    BlobId::from_slice(bytes).ok_or_else(|| unreadable("a blob id of another length than 16".to_owned()))
}

/// Which of at most [`PAGE_ROWS`] blobs are stored and not on their way out.
pub fn find_live_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<BlobId>> {
    let found: Vec<Vec<u8>> = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(among(blobs::id, raw(ids))).and(blobs::state.eq(LIVE)))
        .select(blobs::id)
        .load(conn)?;
    found.iter().map(|id| blob_id(id)).collect()
}

/// Where at most [`PAGE_ROWS`] blobs lie, whatever their state.
pub fn find_blob_packs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<(BlobId, PackId)>> {
    let which = blobs::table.filter(blobs::storage_id.eq(storage.get())).select((blobs::id, blobs::pack_id));
    let found: Vec<(Vec<u8>, u32)> = which.filter(among(blobs::id, raw(ids))).load(conn)?;
    found.iter().map(|(id, pack)| Ok((blob_id(id)?, PackId::new(*pack)))).collect()
}

/// Locks at most [`PAGE_ROWS`] blobs against collection until the transaction ends, in ascending order.
///
/// A shared lock is enough: commits that share a blob need not wait for each other, and collection needs the row for
/// itself. diesel writes `FOR SHARE` here, which MariaDB does not know, hence SQL by hand.
pub fn lock_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<Vec<(BlobId, BlobState)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
        #[diesel(sql_type = Unsigned<TinyInt>)]
        state: u8,
    }
    let Some(last) = ids.last() else { return Ok(Vec::new()) };
    let n_form = form(ids.len());
    let marks = vec!["?"; n_form].join(",");
    let text =
        format!("SELECT id, state FROM blobs WHERE storage_id = ? AND id IN ({marks}) ORDER BY id LOCK IN SHARE MODE");
    let mut query = diesel::sql_query(text).into_boxed().bind::<Unsigned<Integer>, _>(storage.get());
    for id in ids.iter().chain(std::iter::repeat(last)).take(n_form) {
        query = query.bind::<Binary, _>(id.as_bytes().to_vec());
    }
    let rows: Vec<Row> = Kept(query).load(conn)?;
    rows.iter().map(|row| Ok((blob_id(&row.id)?, BlobState::of(row.state)?))).collect()
}

/// Takes condemned blobs back.
pub fn resurrect_blobs(conn: &mut Conn, storage: StorageId, ids: &[BlobId]) -> QueryResult<usize> {
    let condemned = blobs::table
        .filter(blobs::storage_id.eq(storage.get()).and(among(blobs::id, raw(ids))).and(blobs::state.eq(CONDEMNED)));
    diesel::update(condemned).set(blobs::state.eq(LIVE)).execute(conn)
}

/// Adds blobs, which are in ascending order. A live row stays as it is (our copy becomes dead weight); any other is
/// pointed at our copy and lives again. MariaDB assigns from left to right, so `state` must come last.
pub fn put_blobs(conn: &mut Conn, storage: StorageId, new: &[(BlobId, PackId, u32)]) -> QueryResult<()> {
    for page in new.chunks(INSERT_ROWS) {
        let rows: Vec<_> = page
            .iter()
            .map(|(id, pack, bytes)| {
                (
                    blobs::storage_id.eq(storage.get()),
                    blobs::id.eq(id.as_bytes().as_slice()),
                    blobs::pack_id.eq(pack.get()),
                    blobs::bytes.eq(*bytes),
                    blobs::state.eq(LIVE),
                )
            })
            .collect();
        diesel::insert_into(blobs::table)
            .values(rows)
            .on_conflict(DuplicatedKeys)
            .do_update()
            .set((
                blobs::pack_id.eq(sql::<Unsigned<Integer>>("IF(state = 0, pack_id, VALUES(pack_id))")),
                blobs::state.eq(LIVE),
            ))
            .execute(conn)?;
    }
    Ok(())
}

/// Steps of collection, as a test needs them one at a time.
#[cfg(test)]
pub mod steps {
    use super::*;

    pub fn set_blob_state(conn: &mut Conn, storage: StorageId, id: BlobId, state: BlobState) -> QueryResult<usize> {
        let value = match state {
            BlobState::Live => LIVE,
            BlobState::Condemned => CONDEMNED,
            BlobState::Deleting => DELETING,
        };
        let row = blobs::table.filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())));
        diesel::update(row).set(blobs::state.eq(value)).execute(conn)
    }

    pub fn drop_blob(conn: &mut Conn, storage: StorageId, id: BlobId) -> QueryResult<usize> {
        let row = blobs::table.filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())));
        diesel::delete(row).execute(conn)
    }

    pub fn read_blob_state(conn: &mut Conn, storage: StorageId, id: BlobId) -> QueryResult<(PackId, BlobState)> {
        let (pack, state): (u32, u8) = blobs::table
            .filter(blobs::storage_id.eq(storage.get()).and(blobs::id.eq(id.as_bytes().as_slice())))
            .select((blobs::pack_id, blobs::state))
            .first(conn)?;
        Ok((PackId::new(pack), BlobState::of(state)?))
    }
}
