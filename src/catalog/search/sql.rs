//! Tables `search_pages` and `search_words`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, SmallInt, Unsigned};

use super::look::Aged;
use super::words::SHELVES;
use super::{Page, TEXT_BYTES, TEXTS_PER_PAGE};
use crate::db::schema::{search_pages, search_words};
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Up to so many chains are asked for one by one; more as a range.
const CHAINS_NAMED: usize = 50;
/// So many pages are asked for one by one in a statement.
const PAGES_NAMED: usize = 64;
/// Rows of a statement.
const ROWS: usize = 64;
/// One of so many is dense enough to read them all: to name a page costs the server more than to pass over one.
const DENSE: usize = 4;

pub(super) type Row = (Page, Vec<u8>);
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

/// Adds postings to those that the shelves have of a page.
pub(super) fn append_postings(conn: &mut Conn, page: Page, blocks: &[(u8, Vec<u8>)]) -> QueryResult<()> {
    put_postings(conn, page, blocks, "CONCAT(postings, VALUES(postings))")
}

/// Puts postings in the place of those that the shelves have of a page.
pub(super) fn replace_postings(conn: &mut Conn, page: Page, blocks: &[(u8, Vec<u8>)]) -> QueryResult<()> {
    put_postings(conn, page, blocks, "VALUES(postings)")
}

fn put_postings(conn: &mut Conn, page: Page, blocks: &[(u8, Vec<u8>)], when_there: &str) -> QueryResult<()> {
    for blocks in blocks.chunks(ROWS) {
        let rows: Vec<_> = blocks
            .iter()
            .map(|(shelf, block)| {
                (
                    search_words::shelf.eq(*shelf),
                    search_words::chain_id.eq(page.chain.get()),
                    search_words::page.eq(page.number),
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

/// What all shelves have of a page. They are named, because the key begins with them.
pub(super) fn shelves_of(conn: &mut Conn, page: Page) -> QueryResult<Vec<(u8, Vec<u8>)>> {
    search_words::table
        .filter(search_words::shelf.eq_any(0..SHELVES))
        .filter(search_words::chain_id.eq(page.chain.get()).and(search_words::page.eq(page.number)))
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

/// The postings of a shelf for the pages of these chains, which are in ascending order, behind `after`.
pub(super) fn postings(
    conn: &mut Conn,
    shelf: u8,
    chains: &[ChainId],
    after: Option<Page>,
    limit: u32,
) -> QueryResult<Vec<Row>> {
    let mut query = search_words::table
        .filter(search_words::shelf.eq(shelf))
        .order((search_words::shelf, search_words::chain_id, search_words::page))
        .limit(limit.into())
        .select((search_words::chain_id, search_words::page, search_words::postings))
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
    if let Some(Page { chain, number }) = after {
        let later = search_words::chain_id.eq(chain.get()).and(search_words::page.gt(number));
        query = query
            .filter(search_words::chain_id.ge(chain.get()))
            .filter(search_words::chain_id.gt(chain.get()).or(later));
    }
    Ok(query.load(conn)?.into_iter().map(row).collect())
}

/// The postings of a shelf for these pages, which are in ascending order and were found among `n_among` that follow each
/// other in the chains that were asked for. Others may come with them.
pub(super) fn postings_of(conn: &mut Conn, shelf: u8, pages: &[Page], n_among: usize) -> QueryResult<Vec<Row>> {
    let from = format!("postings FROM search_words FORCE INDEX (PRIMARY) WHERE shelf={shelf} AND");
    rows_of(conn, &from, &ways(pages, n_among))
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
    for these in ways(pages, n_among) {
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
pub(super) fn days_of(conn: &mut Conn, pages: &[Page]) -> QueryResult<Vec<Row>> {
    rows_of(conn, "days FROM search_pages FORCE INDEX (PRIMARY) WHERE", &named(pages))
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

/// Rows of pages, a statement for each condition. The index is named: left to itself the server weighs every index for
/// each of the pages, which takes it longer than to read them.
fn rows_of(conn: &mut Conn, from: &str, conditions: &[String]) -> QueryResult<Vec<Row>> {
    let mut rows = Vec::new();
    for these in conditions {
        let text = format!("SELECT chain_id, page, {from} {these} ORDER BY chain_id, page");
        let found: Vec<(u32, u32, Vec<u8>)> =
            sql::<(Unsigned<Integer>, Unsigned<Integer>, Binary)>(&text).load(conn)?;
        rows.extend(found.into_iter().map(row));
    }
    Ok(rows)
}

/// Conditions that name each page.
fn named(pages: &[Page]) -> Vec<String> {
    pages.chunks(PAGES_NAMED).map(each).collect()
}

/// How pages are asked for, a condition for each statement: page by page, or, where they lie close together, with all that
/// lie between them.
fn ways(pages: &[Page], n_among: usize) -> Vec<String> {
    let ([first, .., last], true) = (pages, pages.len() > PAGES_NAMED && pages.len() * DENSE >= n_among) else {
        return named(pages);
    };
    let runs: Vec<&[Page]> = pages.chunk_by(|a, b| a.chain == b.chain).collect();
    if runs.len() > CHAINS_NAMED {
        let ((from, from_page), (to, to_page)) = ((first.chain, first.number), (last.chain, last.number));
        return vec![format!(
            "(chain_id BETWEEN {from} AND {to} AND (chain_id>{from} OR page>={from_page}) \
             AND (chain_id<{to} OR page<={to_page}))"
        )];
    }
    let run = |run: &&[Page]| match run {
        [first, .., last] => format!("chain_id={} AND page BETWEEN {} AND {}", first.chain, first.number, last.number),
        few => each(few),
    };
    vec![format!("({})", runs.iter().map(run).collect::<Vec<_>>().join(" OR "))]
}

fn each(pages: &[Page]) -> String {
    let page = |page: &Page| format!("chain_id={} AND page={}", page.chain, page.number);
    format!("({})", pages.iter().map(page).collect::<Vec<_>>().join(" OR "))
}

/// Postings are not what `postings` writes.
pub(super) fn malformed() -> diesel::result::Error {
    let what = "postings of a search page cannot be read: rebuild the catalog";
    diesel::result::Error::DeserializationError(what.into())
}

fn row((chain, number, bytes): (u32, u32, Vec<u8>)) -> Row {
    (Page { chain: ChainId::new(chain), number }, bytes)
}

const _: () = assert!(TEXTS_PER_PAGE <= u16::MAX as usize);
