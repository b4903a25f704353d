//! Tables `search_pages` and `search_words`.

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Integer, Unsigned};

use super::words::SHELVES;
use super::{Page, TEXTS_PER_PAGE};
use crate::db::schema::{search_pages, search_words};
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Up to so many chains are asked for one by one; more as a range.
const CHAINS_NAMED: usize = 50;
/// Up to so many pages are asked for one by one; more as a range.
const PAGES_NAMED: usize = 64;
/// Rows of a statement.
const ROWS: usize = 64;

pub(super) type Row = (Page, Vec<u8>);

/// The last page of a chain and how many texts it has.
pub(super) fn last_page(conn: &mut Conn, chain: ChainId) -> QueryResult<Option<(u32, usize)>> {
    let length = diesel::dsl::sql::<Unsigned<Integer>>("CAST(LENGTH(days) AS UNSIGNED)");
    let last: Option<(u32, u32)> = search_pages::table
        .filter(search_pages::chain_id.eq(chain.get()))
        .order(search_pages::page.desc())
        .select((search_pages::page, length))
        .first(conn)
        .optional()?;
    Ok(last.map(|(page, bytes)| (page, bytes as usize / 2)))
}

/// Adds texts to a page, behind those that it has.
pub(super) fn append_texts(conn: &mut Conn, page: Page, days: &[u8], texts: &[u8]) -> QueryResult<()> {
    let appended = |column: &str| diesel::dsl::sql::<Binary>(&format!("CONCAT({column}, VALUES({column}))"));
    diesel::insert_into(search_pages::table)
        .values((
            search_pages::chain_id.eq(page.chain.get()),
            search_pages::page.eq(page.number),
            search_pages::days.eq(days),
            search_pages::texts.eq(texts),
        ))
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set((search_pages::days.eq(appended("days")), search_pages::texts.eq(appended("texts"))))
        .execute(conn)
        .map(drop)
}

/// Adds postings to those that the shelves have of a page.
pub(super) fn append_postings(conn: &mut Conn, page: Page, blocks: &[(u8, Vec<u8>)]) -> QueryResult<()> {
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
        let appended = diesel::dsl::sql::<Binary>("CONCAT(postings, VALUES(postings))");
        diesel::insert_into(search_words::table)
            .values(rows)
            .on_conflict(diesel::dsl::DuplicatedKeys)
            .do_update()
            .set(search_words::postings.eq(appended))
            .execute(conn)?;
    }
    Ok(())
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

/// The postings of a shelf for these pages, which are in ascending order.
pub(super) fn postings_of(conn: &mut Conn, shelf: u8, pages: &[Page]) -> QueryResult<Vec<Row>> {
    let mut query = search_words::table
        .filter(search_words::shelf.eq(shelf))
        .order((search_words::shelf, search_words::chain_id, search_words::page))
        .select((search_words::chain_id, search_words::page, search_words::postings))
        .into_boxed();
    if pages.len() <= PAGES_NAMED {
        let mut any: Box<dyn BoxableExpression<search_words::table, Mysql, SqlType = Bool>> =
            // No chain has the id 0: the beginning of a row of alternatives.
            Box::new(search_words::chain_id.eq(0).and(search_words::page.eq(0)));
        for page in pages {
            let this = search_words::chain_id.eq(page.chain.get()).and(search_words::page.eq(page.number));
            any = Box::new(any.or(this));
        }
        query = query.filter(any);
    } else if let [first, .., last] = pages {
        query = query.filter(search_words::chain_id.between(first.chain.get(), last.chain.get()));
        query = query.filter(search_words::chain_id.gt(first.chain.get()).or(search_words::page.ge(first.number)));
        query = query.filter(search_words::chain_id.lt(last.chain.get()).or(search_words::page.le(last.number)));
    }
    Ok(query.load(conn)?.into_iter().map(row).collect())
}

/// The days of the texts of the pages of these chains, behind `after`, for a question without words.
pub(super) fn days(conn: &mut Conn, chains: &[ChainId], after: Option<Page>, limit: u32) -> QueryResult<Vec<Row>> {
    let mut query = search_pages::table
        .order((search_pages::chain_id, search_pages::page))
        .limit(limit.into())
        .select((search_pages::chain_id, search_pages::page, search_pages::days))
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
    Ok(query.load(conn)?.into_iter().map(row).collect())
}

/// What of a page is read.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Days,
    Texts,
}

/// One part of each of these pages, which are in ascending order.
pub(super) fn parts_of(conn: &mut Conn, part: Part, pages: &[Page]) -> QueryResult<Vec<Row>> {
    let mut rows = Vec::with_capacity(pages.len());
    for pages in pages.chunks(ROWS) {
        let mut any: Box<dyn BoxableExpression<search_pages::table, Mysql, SqlType = Bool>> =
            Box::new(search_pages::chain_id.eq(0).and(search_pages::page.eq(0)));
        for page in pages {
            any = Box::new(any.or(search_pages::chain_id.eq(page.chain.get()).and(search_pages::page.eq(page.number))));
        }
        let query = search_pages::table.filter(any).order((search_pages::chain_id, search_pages::page));
        let found: Vec<(u32, u32, Vec<u8>)> = match part {
            Part::Days => query.select((search_pages::chain_id, search_pages::page, search_pages::days)).load(conn)?,
            Part::Texts => {
                query.select((search_pages::chain_id, search_pages::page, search_pages::texts)).load(conn)?
            }
        };
        rows.extend(found.into_iter().map(row));
    }
    Ok(rows)
}

pub(super) fn malformed(what: &'static str) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(what.into())
}

fn row((chain, number, bytes): (u32, u32, Vec<u8>)) -> Row {
    (Page { chain: ChainId::new(chain), number }, bytes)
}

const _: () = assert!(TEXTS_PER_PAGE <= u16::MAX as usize);
