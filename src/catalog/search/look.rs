//! From words to the texts that hold them all, the newest ones first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use serde::{Deserialize, Serialize};

use super::words::{Field, Word, asked};
use super::{KEY_BYTES, Page, TEXT_BYTES, postings, sql};
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Rows of a shelf that are looked at together.
const ROWS_AT_ONCE: u32 = 1000;

/// Where a text stands in the order of answers, which is from the greatest to the least: by day, newest first, then by
/// chain and by when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    day: u16,
    chain: ChainId,
    page: u32,
    place: u16,
}

impl Position {
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    fn page(&self) -> Page {
        Page { chain: self.chain, number: self.page }
    }
}

/// A text that holds what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub at: Position,
    /// How the key of its item begins.
    pub key: [u8; KEY_BYTES],
    pub check: u16,
}

/// A text by its page and its place there, with its day.
type Dated = ((Page, u16), u16);

/// One word of a question: it may stand in any of these fields.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    shelf: u8,
    words: Vec<Word>,
}

/// The words of a question that may stand in these fields.
pub(super) fn questions(text: &str, fields: &[Field]) -> impl Iterator<Item = Asked> {
    asked(text).into_iter().map(|word| {
        let words: Vec<Word> = fields.iter().map(|field| Word::of(*field, &word)).collect();
        Asked { shelf: words.first().map(|word| word.shelf).unwrap_or_default(), words }
    })
}

/// Which texts are wanted.
pub(super) struct Look<'a> {
    /// In ascending order.
    pub chains: &'a [ChainId],
    pub words: &'a [Asked],
    /// The first and the last day.
    pub days: (u16, u16),
    pub behind: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

impl Look<'_> {
    /// The newest texts that hold all words. Every page of the chains is looked at, some at a time.
    pub(super) fn newest(&self, conn: &mut Conn) -> QueryResult<Vec<Position>> {
        let wanted: HashSet<ChainId> = self.chains.iter().copied().collect();
        let mut newest: BinaryHeap<Reverse<Position>> = BinaryHeap::with_capacity(self.limit + 1);
        let mut after = None;
        loop {
            let (pages, last) = self.some(conn, &wanted, after)?;
            for (position, day) in pages {
                self.take(&mut newest, position, day);
            }
            match last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        let mut found: Vec<Position> = newest.into_iter().map(|Reverse(position)| position).collect();
        found.sort_unstable_by_key(|position| Reverse(*position));
        Ok(found)
    }

    fn take(&self, newest: &mut BinaryHeap<Reverse<Position>>, (page, place): (Page, u16), day: u16) {
        let position = Position { day, chain: page.chain, page: page.number, place };
        let in_time = (self.days.0..=self.days.1).contains(&day);
        if !in_time || self.behind.is_some_and(|behind| position >= behind) {
            return;
        }
        newest.push(Reverse(position));
        if newest.len() > self.limit {
            newest.pop();
        }
    }

    /// The texts in some of the pages behind `after`, with their days, and the last page that was looked at; `None`: none
    /// is left.
    fn some(
        &self,
        conn: &mut Conn,
        wanted: &HashSet<ChainId>,
        after: Option<Page>,
    ) -> QueryResult<(Vec<Dated>, Option<Page>)> {
        let Some((first, others)) = self.words.split_first() else {
            let rows = sql::days(conn, self.chains, after, ROWS_AT_ONCE)?;
            let last = last_of(&rows);
            let pages = rows.into_iter().filter(|(page, _)| wanted.contains(&page.chain));
            let all = |(page, days): (Page, Vec<u8>)| {
                let each = days.chunks_exact(2).map(|day| u16::from_le_bytes([day[0], day[1]])).collect::<Vec<_>>();
                (0u16..).zip(each).map(move |(place, day)| ((page, place), day))
            };
            return Ok((pages.flat_map(all).collect(), last));
        };
        let rows = sql::postings(conn, first.shelf, self.chains, after, ROWS_AT_ONCE)?;
        let last = last_of(&rows);
        let mut held = BTreeMap::new();
        for (page, bytes) in rows.into_iter().filter(|(page, _)| wanted.contains(&page.chain)) {
            let places = standing(&bytes, first)?;
            if !places.is_empty() {
                held.insert(page, places);
            }
        }
        for word in others {
            if held.is_empty() {
                return Ok((Vec::new(), last));
            }
            held = both(conn, held, word)?;
        }
        let pages: Vec<Page> = held.keys().copied().collect();
        let mut found = Vec::new();
        for (page, days) in sql::parts_of(conn, sql::Part::Days, &pages)? {
            for place in held.remove(&page).unwrap_or_default() {
                let at = usize::from(place) * 2;
                if let Some(day) = days.get(at..at + 2) {
                    found.push(((page, place), u16::from_le_bytes([day[0], day[1]])));
                }
            }
        }
        Ok((found, last))
    }
}

/// The places among `held` where this word stands too.
fn both(conn: &mut Conn, mut held: BTreeMap<Page, Vec<u16>>, word: &Asked) -> QueryResult<BTreeMap<Page, Vec<u16>>> {
    let pages: Vec<Page> = held.keys().copied().collect();
    let mut left = BTreeMap::new();
    for (page, bytes) in sql::postings_of(conn, word.shelf, &pages)? {
        let Some(mut places) = held.remove(&page) else { continue };
        let others = standing(&bytes, word)?;
        places.retain(|place| others.binary_search(place).is_ok());
        if !places.is_empty() {
            left.insert(page, places);
        }
    }
    Ok(left)
}

fn standing(bytes: &[u8], asked: &Asked) -> QueryResult<Vec<u16>> {
    let malformed = || sql::malformed("postings of a search page cannot be read: rebuild the catalog");
    postings::standing(bytes, &asked.words).ok_or_else(malformed)
}

fn last_of(rows: &[sql::Row]) -> Option<Page> {
    rows.last().filter(|_| rows.len() == ROWS_AT_ONCE as usize).map(|(page, _)| *page)
}

/// The texts at these positions, in their order.
pub(super) fn texts(conn: &mut Conn, positions: &[Position]) -> QueryResult<Vec<Candidate>> {
    let mut pages: Vec<Page> = positions.iter().map(Position::page).collect();
    pages.sort_unstable();
    pages.dedup();
    let read: BTreeMap<Page, Vec<u8>> = sql::parts_of(conn, sql::Part::Texts, &pages)?.into_iter().collect();
    let text = |at: &Position| {
        let from = usize::from(at.place) * TEXT_BYTES;
        let bytes: [u8; TEXT_BYTES] = read.get(&at.page())?.get(from..from + TEXT_BYTES)?.try_into().ok()?;
        let [a, b, c, d, e, low, high] = bytes;
        Some(Candidate { at: *at, key: [a, b, c, d, e], check: u16::from_le_bytes([low, high]) })
    };
    Ok(positions.iter().filter_map(text).collect())
}
