//! Where a word stands: the index by which items of all chains are found.
//!
//! Owns: what of an item is searched, how words become rows, and the search itself. Does not own: whose chains a caller
//! may look into.
//!
//! A text is what was to be searched of one item at one time. It stands for every version of the item that shows the same
//! name, party and time, so that a message that was only read or moved adds nothing. Texts are numbered in pages of
//! their chain, and some pages are a volume; all are written by the holder of the chain's task alone, in the transaction that writes the versions.
//!
//! Invariants: a version is found by each word of its text; a text whose versions are gone finds nothing (its bytes go
//! with the next rebuild of the catalog). The index can be made anew from records: it holds nothing of its own.

mod find;
mod look;
mod place;
mod postings;
mod sql;
mod standing;
mod words;

use chrono::{DateTime, Utc};

use super::fit;
use super::items::NewVersion;
use crate::db::{Conn, QueryResult};
use crate::ids::{ChainId, ItemKey};

pub use find::{Filter, Found, Hit, Moment, find};
use look::Aged;
pub use look::Position;
pub use place::Places;
pub use words::{ASKED_MAX, asked};

/// Texts of a page. With seven bytes each they fill one page of the database's.
const TEXTS_PER_PAGE: usize = 2300;
/// Pages whose words stand in one volume: a search reads a row for each volume, and most of what it costs is rows.
const PAGES_PER_VOLUME: u32 = 7;
/// Texts of a volume.
pub const TEXTS_PER_VOLUME: usize = TEXTS_PER_PAGE * PAGES_PER_VOLUME as usize;
/// Bytes of an item's key that a text keeps, and those of its check behind them.
const KEY_BYTES: usize = 5;
const TEXT_BYTES: usize = KEY_BYTES + 2;
const SECONDS_A_DAY: i64 = 24 * 3600;
/// Words that take more than so many fifths of what their rows do are written anew; then it is 1.3 to 1.5 times as much.
const COMPACT_ABOVE_FIFTHS: u64 = 8;

/// A page of the texts of a chain. They are numbered from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Page {
    chain: ChainId,
    number: u32,
}

impl Page {
    fn volume(self) -> Volume {
        Volume { chain: self.chain, number: self.number.saturating_sub(1) / PAGES_PER_VOLUME + 1 }
    }

    /// How many pages of its volume come before it.
    fn in_volume(self) -> usize {
        (self.number.saturating_sub(1) % PAGES_PER_VOLUME) as usize
    }
}

/// What stands in some pages of a chain that follow each other. They are numbered from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Volume {
    chain: ChainId,
    number: u32,
}

impl Volume {
    fn pages(self) -> impl Iterator<Item = Page> {
        let first = self.number.saturating_sub(1) * PAGES_PER_VOLUME + 1;
        (first..first + PAGES_PER_VOLUME).map(move |number| Page { chain: self.chain, number })
    }
}

/// What is searched of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    key: ItemKey,
    check: u16,
    day: u16,
    words: Vec<words::Word>,
}

impl Text {
    /// `gathered` is what the item's feature adds to what is shown, see [`words::of_item`].
    pub fn of(key: ItemKey, (name, party, time): (&str, &str, DateTime<Utc>), gathered: &str) -> Self {
        let (name, party) = (fit(name, 255), fit(party, 190));
        let words = words::of_item([&name, &party], gathered);
        Self { key, check: check(&name, &party, time), day: day(time), words }
    }

    pub fn key(&self) -> ItemKey {
        self.key
    }

    /// Whether it stands for this version.
    pub fn means(&self, version: &NewVersion) -> bool {
        self.key == version.key && self.check == check_of(version)
    }

    /// Whether it stands for the same versions.
    pub fn is_like(&self, other: &Self) -> bool {
        self.key == other.key && self.check == other.check
    }

    /// Adds what another text of the same versions says.
    pub fn join(&mut self, other: Self) {
        for word in other.words {
            if !self.words.contains(&word) && self.words.len() < words::WORDS_MAX {
                self.words.push(word);
            }
        }
    }
}

fn check_of(version: &NewVersion) -> u16 {
    check(&fit(&version.name, 255), &fit(&version.party, 190), version.time)
}

/// Tells what shows the same from what does not.
fn check(name: &str, party: &str, time: DateTime<Utc>) -> u16 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes()).update(&[0]).update(party.as_bytes()).update(&time.timestamp().to_le_bytes());
    let [low, high, ..] = *hasher.finalize().as_bytes();
    u16::from_le_bytes([low, high])
}

/// Days since 1970; what lies before counts as the first, what lies beyond as the last.
fn day(time: DateTime<Utc>) -> u16 {
    let days = time.timestamp().div_euclid(SECONDS_A_DAY).max(0);
    u16::try_from(days).unwrap_or(u16::MAX)
}

/// Adds texts to those of a chain.
pub fn put(conn: &mut Conn, chain: ChainId, texts: &[Text]) -> QueryResult<()> {
    if texts.is_empty() {
        return Ok(());
    }
    let (number, held) = sql::last_page(conn, chain)?.unwrap_or((1, 0));
    put_at(conn, Page { chain, number }, held, texts)
}

/// Adds texts to a chain in pages of their own, which begin with this number. Whoever writes a chain anew gives out the
/// numbers: [`n_pages`].
pub fn put_pages(conn: &mut Conn, chain: ChainId, number: u32, texts: &[Text]) -> QueryResult<()> {
    put_at(conn, Page { chain, number }, 0, texts)
}

/// How many pages so many texts take.
pub fn n_pages(n_texts: usize) -> u32 {
    n_texts.div_ceil(TEXTS_PER_PAGE) as u32
}

/// Adds texts to a page that holds some, and to those behind it, volume by volume.
fn put_at(conn: &mut Conn, mut page: Page, mut held: usize, texts: &[Text]) -> QueryResult<()> {
    let mut rest = texts;
    while !rest.is_empty() {
        let (volume, place) = (page.volume(), page.in_volume() * TEXTS_PER_PAGE + held);
        let room = TEXTS_PER_VOLUME.saturating_sub(place);
        let (these, others) = rest.split_at(room.min(rest.len()));
        let mut oldest_first: Vec<&Text> = these.iter().collect();
        oldest_first.sort_by_key(|text| text.day);
        append_texts(conn, page, held, &oldest_first)?;
        append_words(conn, volume, place, &oldest_first)?;
        if place > 0 && these.len() == room {
            merge(conn, volume)?;
        }
        rest = others;
        (page, held) = (Page { chain: page.chain, number: volume.number * PAGES_PER_VOLUME + 1 }, 0);
    }
    Ok(())
}

/// Adds texts to a page that holds some, and to those behind it.
fn append_texts(conn: &mut Conn, mut page: Page, mut held: usize, texts: &[&Text]) -> QueryResult<()> {
    let mut rest = texts;
    while !rest.is_empty() {
        let room = TEXTS_PER_PAGE.saturating_sub(held);
        let (these, others) = rest.split_at(room.min(rest.len()));
        let mut days = Vec::with_capacity(these.len() * 2);
        let mut keys = Vec::with_capacity(these.len() * TEXT_BYTES);
        for text in these {
            days.extend(text.day.to_le_bytes());
            keys.extend(&text.key.as_bytes()[..KEY_BYTES]);
            keys.extend(text.check.to_le_bytes());
        }
        let all = || these.iter().map(|text| text.day);
        if let (Some(oldest), Some(newest)) = (all().min(), all().max()) {
            sql::append_texts(conn, Aged { page, oldest, newest }, &days, &keys)?;
        }
        rest = others;
        (page.number, held) = (page.number + 1, 0);
    }
    Ok(())
}

/// Adds the words of texts to a volume, which stand there one behind the other, the first one at this place.
fn append_words(conn: &mut Conn, volume: Volume, place: usize, texts: &[&Text]) -> QueryResult<()> {
    let mut shelves: Vec<Vec<(u32, u16)>> = vec![Vec::new(); usize::from(words::SHELVES)];
    for (place, text) in (place..).zip(texts) {
        for word in &text.words {
            shelves[usize::from(word.shelf)].push((word.tag, place as u16));
        }
    }
    let shelves = (0..).zip(shelves).filter(|(_, standing)| !standing.is_empty());
    let blocks: Vec<(u8, Vec<u8>)> = shelves.map(|(shelf, standing)| (shelf, postings::block(standing))).collect();
    sql::append_postings(conn, volume, &blocks)
}

/// Writes a volume that became full bit by bit as if all had come at once, the oldest days first: then a page holds few of
/// them, and a question for some days passes over most pages.
fn merge(conn: &mut Conn, volume: Volume) -> QueryResult<()> {
    let pages = sql::pages_of_volume(conn, volume)?;
    let mut texts: Vec<(u16, u16, &[u8])> = Vec::with_capacity(TEXTS_PER_VOLUME);
    for (place, (day, text)) in pages.iter().flat_map(|(days, texts)| texts_of(days, texts)).enumerate() {
        texts.push((day, place as u16, text));
    }
    // A chain that was written anew in parts has pages that are not full: there each text keeps its place.
    let mut moved: Vec<u16> = (0..TEXTS_PER_VOLUME as u16).collect();
    if texts.len() == TEXTS_PER_VOLUME {
        texts.sort_unstable();
        (0..).zip(&texts).for_each(|(place, (_, before, _))| moved[usize::from(*before)] = place);
        for (page, texts) in volume.pages().zip(texts.chunks(TEXTS_PER_PAGE)) {
            let days: Vec<u8> = texts.iter().flat_map(|(day, ..)| day.to_le_bytes()).collect();
            let keys: Vec<u8> = texts.iter().flat_map(|(.., text)| text.iter().copied()).collect();
            if let [(oldest, ..), .., (newest, ..)] = texts {
                sql::replace_texts(conn, Aged { page, oldest: *oldest, newest: *newest }, &days, &keys)?;
            }
        }
    }
    let moved = |place: u16| moved.get(usize::from(place)).copied();
    let merged =
        |(shelf, bytes): (u8, Vec<u8>)| Ok((shelf, postings::merged(&bytes, moved).ok_or_else(sql::malformed)?));
    let blocks = sql::shelves_of(conn, volume)?.into_iter().map(merged).collect::<QueryResult<Vec<_>>>()?;
    sql::replace_postings(conn, volume, &blocks)
}

/// The day of each text of a page, and its bytes.
fn texts_of<'a>(days: &'a [u8], texts: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> {
    let days = days.as_chunks().0.iter().map(|day| u16::from_le_bytes(*day));
    days.zip(texts.chunks_exact(TEXT_BYTES))
}

/// What became of an index that may have room to spare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compaction {
    NotNeeded,
    /// The bytes that the words took before.
    Done {
        bytes_before: u64,
    },
    /// Another time: the index is as it was.
    PutOff {
        why: String,
    },
}

/// Writes the index anew when rows that grew bit by bit have left much of its pages empty, and only if it takes more than
/// so many bytes. Others go on with it meanwhile.
pub fn compact(conn: &mut Conn, above_bytes: u64) -> QueryResult<Compaction> {
    let bytes_before = sql::bytes_of_words(conn)?;
    if bytes_before <= above_bytes || bytes_before <= sql::bytes_of_rows(conn)? / 5 * COMPACT_ABOVE_FIFTHS {
        return Ok(Compaction::NotNeeded);
    }
    Ok(match sql::write_anew(conn) {
        Ok(()) => Compaction::Done { bytes_before },
        // Nothing needs it: whatever is in the way now may be gone tomorrow.
        Err(err) => Compaction::PutOff { why: err.to_string() },
    })
}

/// Forgets the texts of a chain, some rows at a time; 0: none is left.
pub fn wipe(conn: &mut Conn, chain: ChainId, limit: u32) -> QueryResult<usize> {
    sql::delete_of(conn, chain, limit)
}
