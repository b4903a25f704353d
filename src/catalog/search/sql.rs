//! Tables `search_pages` and `search_words`.

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, SmallInt, Unsigned};

use super::look::Aged;
use super::words::SHELVES;
use super::{Page, TEXT_BYTES, TEXTS_PER_VOLUME, Volume};
use crate::db::schema::{search_pages, search_words};
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Up to so many chains are asked for one by one; more as a range.
const CHAINS_NAMED: usize = 50;
/// So many pages or volumes are asked for one by one in a statement.
const NAMED: usize = 64;
/// Rows of a statement.
const ROWS: usize = 64;
/// One of so many is dense enough to read them all: to name a page costs the server more than to pass over one.
const DENSE: usize = 4;

/// What a row of words takes besides its postings: its key and what the server adds.
const ROW_BYTES: u64 = 27;
/// Who wants to change a table waits for those who use it, and all others wait behind: no longer than this.
const WAIT_S: u32 = 1;

/// A chain and the number of a page or a volume.
type At = (ChainId, u32);
/// Such a place and what stands there.
type Record = (u32, u32, Vec<u8>);
type AgedSql = (Unsigned<Integer>, Unsigned<Integer>, Unsigned<SmallInt>, Unsigned<SmallInt>);

/// The last page of a chain and how many texts it has.
pub(super) fn last_page(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<(u32, usize)>> {
    let length = sql::<Unsigned<Integer>>("CAST(LENGTH(days) AS UNSIGNED)");
    let last: Option<(u32, u32)> = search_pages::table
        .filter(search_pages::chain_id.eq(chain.get()))
        .order(search_pages::page.desc())
        .select((search_pages::page, length))
        .first(conn)
        .optional()?;
    Ok(last.map(|(page, bytes)| (page, bytes as usize / 2)))
}

/// Adds texts to a page, behind those that it has.
pub(super) fn append_texts(
    conn: &mut Conn,
    Aged { page, oldest, newest }: Aged,
    days: &[u8],
    texts: &[u8],
) -> QueryResult<()> {
    let appended = |column: &str| sql::<Binary>(&format!("CONCAT({column}, VALUES({column}))"));
    diesel::insert_into(search_pages::table)
        .values((
            search_pages::chain_id.eq(page.chain.get()),
            search_pages::page.eq(page.number),
            search_pages::oldest.eq(oldest),
            search_pages::newest.eq(newest),
            search_pages::days.eq(days),
            search_pages::texts.eq(texts),
        ))
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set((
            search_pages::oldest.eq(sql::<Unsigned<SmallInt>>("LEAST(oldest, VALUES(oldest))")),
            search_pages::newest.eq(sql::<Unsigned<SmallInt>>("GREATEST(newest, VALUES(newest))")),
            search_pages::days.eq(appended("days")),
            search_pages::texts.eq(appended("texts")),
        ))
        .execute(conn)
        .map(drop)
}

/// The days and the texts of each page of a volume, in order.
pub(super) fn pages_of_volume(conn: &mut Conn, volume: Volume) -> QueryResult<Vec<(Vec<u8>, Vec<u8>)>> {
    let numbers: Vec<u32> = volume.pages().map(|page| page.number).collect();
    search_pages::table
        .filter(search_pages::chain_id.eq(volume.chain.get()).and(search_pages::page.eq_any(numbers)))
        .order(search_pages::page)
        .select((search_pages::days, search_pages::texts))
        .load(conn)
}

/// Puts texts in the place of those that a page has.
pub(super) fn replace_texts(
    conn: &mut Conn,
    Aged { page, oldest, newest }: Aged,
    days: &[u8],
    texts: &[u8],
) -> QueryResult<()> {
    diesel::update(search_pages::table.find((page.chain.get(), page.number)))
        .set((
            search_pages::oldest.eq(oldest),
            search_pages::newest.eq(newest),
            search_pages::days.eq(days),
            search_pages::texts.eq(texts),
        ))
        .execute(conn)
        .map(drop)
}

/// Adds postings to those that the shelves have of a volume.
pub(super) fn append_postings(conn: &mut Conn, volume: Volume, blocks: &[(u8, Vec<u8>)]) -> QueryResult<()> {
    put_postings(conn, volume, blocks, "CONCAT(postings, VALUES(postings))")
}

/// Puts postings in the place of those that the shelves have of a volume.
pub(super) fn replace_postings(conn: &mut Conn, volume: Volume, blocks: &[(u8, Vec<u8>)]) -> QueryResult<()> {
    put_postings(conn, volume, blocks, "VALUES(postings)")
}

fn put_postings(conn: &mut Conn, volume: Volume, blocks: &[(u8, Vec<u8>)], when_there: &str) -> QueryResult<()> {
    for blocks in blocks.chunks(ROWS) {
        let rows: Vec<_> = blocks
            .iter()
            .map(|(shelf, block)| {
                (
                    search_words::shelf.eq(*shelf),
                    search_words::chain_id.eq(volume.chain.get()),
                    search_words::volume.eq(volume.number),
                    search_words::postings.eq(block.as_slice()),
                )
            })
            .collect();
        diesel::insert_into(search_words::table)
            .values(rows)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set(search_words::postings.eq(sql::<Binary>(when_there)))
            .execute(conn)?;
    }
    Ok(())
}

/// What all shelves have of a volume. They are named, because the key begins with them.
pub(super) fn shelves_of(conn: &mut Conn, volume: Volume) -> QueryResult<Vec<(u8, Vec<u8>)>> {
    search_words::table
        .filter(search_words::shelf.eq_any(0..SHELVES))
        .filter(search_words::chain_id.eq(volume.chain.get()).and(search_words::volume.eq(volume.number)))
        .select((search_words::shelf, search_words::postings))
        .load(conn)
}

/// Forgets the texts of a chain, at most `limit` rows; 0: none is left.
pub(super) fn delete_of(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<usize> {
    // diesel knows no DELETE with a LIMIT. All shelves are named, because the key begins with them.
    let shelves: Vec<String> = (0..SHELVES).map(|shelf| shelf.to_string()).collect();
    let (shelves, chain) = (shelves.join(","), chain.get());
    let words = format!("DELETE FROM search_words WHERE shelf IN ({shelves}) AND chain_id = {chain} LIMIT {limit}");
    let pages = format!("DELETE FROM search_pages WHERE chain_id = {chain} LIMIT {limit}");
    Ok(diesel::sql_query(words).execute(conn)? + diesel::sql_query(pages).execute(conn)?)
}

/// The postings of a shelf for the volumes of these chains, which are in ascending order, behind `after`.
pub(super) fn postings(
    conn: &mut Conn,
    shelf: u8,
    chains: &[ChainId],
    after: Option<Volume>,
    limit: u32,
) -> QueryResult<Vec<(Volume, Vec<u8>)>> {
    let mut query = search_words::table
        .filter(search_words::shelf.eq(shelf))
        .order((search_words::shelf, search_words::chain_id, search_words::volume))
        .limit(limit.into())
        .select((search_words::chain_id, search_words::volume, search_words::postings))
        .into_boxed();
    match chains {
        [] => return Ok(Vec::new()),
        few if few.len() <= CHAINS_NAMED => {
            query = query.filter(search_words::chain_id.eq_any(few.iter().map(|id| id.get())));
        }
        [first, .., last] => {
            query = query.filter(search_words::chain_id.between(first.get(), last.get()));
        }
        [..] => {}
    }
    if let Some(Volume { chain, number }) = after {
        let later = search_words::chain_id.eq(chain.get()).and(search_words::volume.gt(number));
        query = query
            .filter(search_words::chain_id.ge(chain.get()))
            .filter(search_words::chain_id.gt(chain.get()).or(later));
    }
    Ok(query.load(conn)?.into_iter().map(volume).collect())
}

/// The postings of a shelf for these volumes, which are in ascending order and were found among `n_among` that follow
/// each other in the chains that were asked for. Others may come with them.
pub(super) fn postings_of(
    conn: &mut Conn,
    shelf: u8,
    volumes: &[Volume],
    n_among: usize,
) -> QueryResult<Vec<(Volume, Vec<u8>)>> {
    let at: Vec<At> = volumes.iter().map(|volume| (volume.chain, volume.number)).collect();
    let from = format!("postings FROM search_words FORCE INDEX (PRIMARY) WHERE shelf={shelf} AND");
    Ok(rows_of(conn, ("volume", &from), &ways("volume", &at, n_among))?.into_iter().map(volume).collect())
}

/// The pages of these chains, behind `after`, from the index alone.
pub(super) fn pages(conn: &mut Conn, chains: &[ChainId], after: Option<Page>, limit: u32) -> QueryResult<Vec<Aged>> {
    let mut query = search_pages::table
        .order((search_pages::chain_id, search_pages::page))
        .limit(limit.into())
        .select((search_pages::chain_id, search_pages::page, search_pages::oldest, search_pages::newest))
        .into_boxed();
    match chains {
        [] => return Ok(Vec::new()),
        few if few.len() <= CHAINS_NAMED => {
            query = query.filter(search_pages::chain_id.eq_any(few.iter().map(|id| id.get())));
        }
        [first, .., last] => {
            query = query.filter(search_pages::chain_id.between(first.get(), last.get()));
        }
        [..] => {}
    }
    if let Some(Page { chain, number }) = after {
        let later = search_pages::chain_id.eq(chain.get()).and(search_pages::page.gt(number));
        query = query
            .filter(search_pages::chain_id.ge(chain.get()))
            .filter(search_pages::chain_id.gt(chain.get()).or(later));
    }
    Ok(query.load(conn)?.into_iter().map(aged).collect())
}

/// These pages, as [`postings_of`], from the index alone.
pub(super) fn pages_of(conn: &mut Conn, pages: &[Page], n_among: usize) -> QueryResult<Vec<Aged>> {
    let mut found = Vec::with_capacity(pages.len());
    for these in ways("page", &at(pages), n_among) {
        let text = format!(
            "SELECT chain_id, page, oldest, newest FROM search_pages FORCE INDEX (search_pages_days) WHERE {these} \
             ORDER BY chain_id, page"
        );
        let rows: Vec<(u32, u32, u16, u16)> = sql::<AgedSql>(&text).load(conn)?;
        found.extend(rows.into_iter().map(aged));
    }
    Ok(found)
}

fn aged((chain, number, oldest, newest): (u32, u32, u16, u16)) -> Aged {
    Aged { page: Page { chain: ChainId::new(chain), number }, oldest, newest }
}

/// The days of the texts of these pages, which are in ascending order.
pub(super) fn days_of(conn: &mut Conn, pages: &[Page]) -> QueryResult<Vec<(Page, Vec<u8>)>> {
    let days = ("page", "days FROM search_pages FORCE INDEX (PRIMARY) WHERE");
    let page = |(chain, number, bytes): Record| (Page { chain: ChainId::new(chain), number }, bytes);
    Ok(rows_of(conn, days, &named("page", &at(pages)))?.into_iter().map(page).collect())
}

fn at(pages: &[Page]) -> Vec<At> {
    pages.iter().map(|page| (page.chain, page.number)).collect()
}

/// The texts at some places of pages, in any order, each with the number of its place among those asked for. The server
/// cuts them out of their pages: to hand over whole ones took longer than to find them.
pub(super) fn texts_at(conn: &mut Conn, places: &[(Page, u16)]) -> QueryResult<Vec<(usize, Vec<u8>)>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let at = |(number, (Page { chain, number: page }, place)): (usize, &(Page, u16))| {
        format!("({number},{chain},{page},{})", usize::from(*place) * TEXT_BYTES + 1)
    };
    let asked = places.iter().enumerate().map(at).collect::<Vec<_>>().join(",");
    let text = format!(
        "WITH asked (number, chain_id, page, place) AS (VALUES {asked}) \
         SELECT CAST(asked.number AS UNSIGNED), SUBSTR(texts, asked.place, {TEXT_BYTES}) FROM asked \
         STRAIGHT_JOIN search_pages FORCE INDEX (PRIMARY) USING (chain_id, page)"
    );
    let found: Vec<(u64, Vec<u8>)> = sql::<(Unsigned<BigInt>, Binary)>(&text).load(conn)?;
    Ok(found.into_iter().map(|(number, bytes)| (number as usize, bytes)).collect())
}

/// Rows of a table, a statement for each condition. The index is named: left to itself the server weighs every index for
/// each of the pages, which takes it longer than to read them.
fn rows_of(conn: &mut Conn, (column, from): (&str, &str), conditions: &[String]) -> QueryResult<Vec<Record>> {
    let mut rows = Vec::new();
    for these in conditions {
        let text = format!("SELECT chain_id, {column}, {from} {these} ORDER BY chain_id, {column}");
        rows.extend(sql::<(Unsigned<Integer>, Unsigned<Integer>, Binary)>(&text).load::<Record>(conn)?);
    }
    Ok(rows)
}

/// Conditions that name each one.
fn named(column: &str, at: &[At]) -> Vec<String> {
    at.chunks(NAMED).map(|some| each(column, some)).collect()
}

/// How pages or volumes are asked for, a condition for each statement: one by one, or, where they lie close together, with
/// all that lie between them.
fn ways(column: &str, at: &[At], n_among: usize) -> Vec<String> {
    let ([(from, first), .., (to, last)], true) = (at, at.len() > NAMED && at.len() * DENSE >= n_among) else {
        return named(column, at);
    };
    let runs: Vec<&[At]> = at.chunk_by(|a, b| a.0 == b.0).collect();
    if runs.len() > CHAINS_NAMED {
        return vec![format!(
            "(chain_id BETWEEN {from} AND {to} AND (chain_id>{from} OR {column}>={first}) \
             AND (chain_id<{to} OR {column}<={last}))"
        )];
    }
    let run = |run: &&[At]| match run {
        [(chain, first), .., (_, last)] => format!("chain_id={chain} AND {column} BETWEEN {first} AND {last}"),
        few => each(column, few),
    };
    vec![format!("({})", runs.iter().map(run).collect::<Vec<_>>().join(" OR "))]
}

fn each(column: &str, at: &[At]) -> String {
    let one = |(chain, number): &At| format!("chain_id={chain} AND {column}={number}");
    format!("({})", at.iter().map(one).collect::<Vec<_>>().join(" OR "))
}

/// How many bytes the table of words takes.
pub(super) fn bytes_of_words(conn: &mut Conn) -> QueryResult<u64> {
    // What the server remembers may be as old as a tenth of the rows.
    conn.batch_execute("ANALYZE LOCAL TABLE search_words")?;
    let length = "(SELECT CAST(data_length AS UNSIGNED) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = 'search_words')";
    diesel::select(sql::<Unsigned<BigInt>>(length)).get_result(conn)
}

/// How many bytes its rows take.
pub(super) fn bytes_of_rows(conn: &mut Conn) -> QueryResult<u64> {
    let length = format!("CAST(COALESCE(SUM(LENGTH(postings) + {ROW_BYTES}), 0) AS UNSIGNED)");
    search_words::table.select(sql::<Unsigned<BigInt>>(&length)).get_result(conn)
}

/// Writes both tables anew, one behind the other, while others read and write them.
pub(super) fn write_anew(conn: &mut Conn) -> QueryResult<()> {
    for table in ["search_words", "search_pages"] {
        conn.batch_execute(&format!("ALTER TABLE {table} WAIT {WAIT_S} FORCE, ALGORITHM=INPLACE, LOCK=NONE"))?;
    }
    Ok(())
}

/// Postings are not what `postings` writes.
pub(super) fn malformed() -> diesel::result::Error {
    let what = "postings of a search page cannot be read: rebuild the catalog";
    diesel::result::Error::DeserializationError(what.into())
}

fn volume((chain, number, bytes): Record) -> (Volume, Vec<u8>) {
    (Volume { chain: ChainId::new(chain), number }, bytes)
}

const _: () = assert!(TEXTS_PER_VOLUME <= u16::MAX as usize);
