//! From words to the texts that hold them all, the newest ones first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};

use serde::{Deserialize, Serialize};

use super::standing::Standing;
use super::words::{self, Field, Word};
use super::{KEY_BYTES, PAGES_PER_VOLUME, Page, TEXT_BYTES, TEXTS_PER_PAGE, Volume, postings, sql};
use crate::db::{Conn, QueryResult};
use crate::ids::ChainId;

/// Rows of a shelf that are looked at together.
const ROWS_AT_ONCE: u32 = 2000;
/// Rows of a shelf in which the words of a question are counted, to begin with the rarest.
const ROWS_COUNTED: u32 = 32;
/// Pages whose days are read together.
const PAGES_AT_ONCE: usize = 64;

/// Where a text stands in the order of answers, which is from the greatest to the least: by day, newest first, then by
/// chain and by its place there. When a volume becomes full its texts change places: whoever asks for the next page of an
/// answer at that moment may meet one of the same day and chain twice, or not.
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

/// One word of a question: it may stand in any of some fields.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    shelf: u8,
    words: Vec<Word>,
    /// What is looked for instead of an address that nobody has.
    parts: Vec<Asked>,
}

impl Asked {
    fn of(word: &str, fields: &[Field], parts: Vec<Asked>) -> Self {
        let words: Vec<Word> = fields.iter().map(|field| Word::of(*field, word)).collect();
        Self { shelf: words.first().map(|word| word.shelf).unwrap_or_default(), words, parts }
    }
}

/// The words of a question that may stand in these fields.
pub(super) fn questions(text: &str, fields: &[Field]) -> Vec<Asked> {
    words::asked(text).iter().map(|word| Asked::of(word, fields, Vec::new())).collect()
}

/// The same of a question for people: an address is one word. Where people are told, an address stands by itself; in
/// other texts it may be a part of something, such as the name of a file, and is found by its parts.
pub(super) fn people(text: &str, fields: &[Field]) -> Vec<Asked> {
    let addresses: BTreeSet<String> = words::addresses(text).collect();
    let mut asked = questions(&words::without_addresses(text), fields);
    asked.extend(addresses.iter().map(|address| Asked::of(address, fields, questions(address, fields))));
    asked
}

/// The same words, with the parts of each address that stands in no text of these chains; `None`: there is none such.
pub(super) fn by_parts(conn: &mut Conn, chains: &[ChainId], words: &[Asked]) -> QueryResult<Option<Vec<Asked>>> {
    let mut known = Vec::with_capacity(words.len());
    for word in words {
        let words = std::slice::from_ref(word);
        let anywhere = Look { chains, words, days: (0, u16::MAX), behind: None, limit: 1 };
        known.push(word.parts.is_empty() || !anywhere.newest(conn)?.is_empty());
    }
    let with_parts = |(word, known): (&Asked, &bool)| match known {
        true => vec![word.clone()],
        false => word.parts.clone(),
    };
    Ok(known.contains(&false).then(|| words.iter().zip(&known).flat_map(with_parts).collect()))
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
        let mut newest = Newest { look: self, met: BinaryHeap::with_capacity(self.limit + 1) };
        let wanted: HashSet<ChainId> = self.chains.iter().copied().collect();
        match self.rarest_first(conn)?.split_first() {
            Some((first, others)) => self.hold(conn, &wanted, (first, others), &mut newest)?,
            None => self.date(conn, &wanted, &mut newest)?,
        }
        let mut found: Vec<Position> = newest.met.into_iter().map(|Reverse(position)| position).collect();
        found.sort_unstable_by_key(|position| Reverse(*position));
        Ok(found)
    }

    /// The words in the order in which they are looked for: where the first ones do not stand, the others are not read.
    fn rarest_first(&self, conn: &mut Conn) -> QueryResult<Vec<&Asked>> {
        let mut counted = Vec::with_capacity(self.words.len());
        for word in self.words {
            let mut n_places = 0;
            if self.words.len() > 1 {
                for (_, bytes) in sql::postings(conn, word.shelf, self.chains, None, ROWS_COUNTED)? {
                    n_places += standing(&bytes, word)?.n_places();
                }
            }
            counted.push((n_places, word));
        }
        counted.sort_by_key(|(n_places, _)| *n_places);
        Ok(counted.into_iter().map(|(_, word)| word).collect())
    }

    /// Meets all texts of the chains.
    fn date(&self, conn: &mut Conn, wanted: &HashSet<ChainId>, newest: &mut Newest<'_>) -> QueryResult<()> {
        let mut after = None;
        loop {
            let mut pages = sql::pages(conn, self.chains, after, ROWS_AT_ONCE)?;
            after = pages.last().filter(|_| pages.len() == ROWS_AT_ONCE as usize).map(|aged| aged.page);
            pages.retain(|aged| wanted.contains(&aged.page.chain));
            newest.meet_all(conn, pages, |_| None::<std::iter::Empty<u16>>)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Meets the texts that hold all words.
    fn hold(
        &self,
        conn: &mut Conn,
        wanted: &HashSet<ChainId>,
        (first, others): (&Asked, &[&Asked]),
        newest: &mut Newest<'_>,
    ) -> QueryResult<()> {
        let mut after = None;
        loop {
            let rows = sql::postings(conn, first.shelf, self.chains, after, ROWS_AT_ONCE)?;
            after = rows.last().filter(|_| rows.len() == ROWS_AT_ONCE as usize).map(|(volume, _)| *volume);
            let mut held = BTreeMap::new();
            for (volume, bytes) in rows.iter().filter(|(volume, _)| wanted.contains(&volume.chain)) {
                let places = standing(bytes, first)?;
                if !places.is_nowhere() {
                    held.insert(*volume, places);
                }
            }
            for word in others {
                held = both(conn, held, word, rows.len())?;
            }
            let of_page = |page: Page| {
                let first = page.in_volume() * TEXTS_PER_PAGE;
                let standing = held.get(&page.volume())?;
                Some(standing.places_of(first, first + TEXTS_PER_PAGE).map(move |place| place - first as u16))
            };
            let all = held.keys().flat_map(|volume| volume.pages());
            let pages: Vec<Page> =
                all.filter(|page| of_page(*page).is_some_and(|mut places| places.next().is_some())).collect();
            let mut pages = sql::pages_of(conn, &pages, rows.len() * PAGES_PER_VOLUME as usize)?;
            pages.retain(|aged| held.contains_key(&aged.page.volume()));
            newest.meet_all(conn, pages, of_page)?;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

/// A page, and between which days its texts lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aged {
    pub page: Page,
    pub oldest: u16,
    pub newest: u16,
}

/// The newest of the texts that were met.
struct Newest<'a> {
    look: &'a Look<'a>,
    met: BinaryHeap<Reverse<Position>>,
}

impl Newest<'_> {
    /// Meets texts of these pages, at the given places or all. Pages come in the order of the first text that they may
    /// have: once enough is kept, those that have none before the last one kept are not read.
    fn meet_all<Places: Iterator<Item = u16>>(
        &mut self,
        conn: &mut Conn,
        mut pages: Vec<Aged>,
        places: impl Fn(Page) -> Option<Places>,
    ) -> QueryResult<()> {
        let (first, last) = self.look.days;
        let last = self.look.behind.map_or(last, |behind| last.min(behind.day));
        pages.retain(|aged| aged.newest >= first && aged.oldest <= last);
        let first_of = |aged: &Aged| {
            let Page { chain, number } = aged.page;
            Position { day: aged.newest.min(last), chain, page: number, place: u16::MAX }
        };
        pages.sort_unstable_by_key(|aged| Reverse(first_of(aged)));
        for some in pages.chunks(PAGES_AT_ONCE) {
            let mut some: Vec<Page> =
                some.iter().filter(|aged| self.wants(first_of(aged))).map(|aged| aged.page).collect();
            if some.is_empty() {
                break;
            }
            some.sort_unstable();
            for (page, days) in sql::days_of(conn, &some)? {
                let day = |place: u16| {
                    let at = usize::from(place) * 2;
                    days.get(at..at + 2).map(|day| u16::from_le_bytes([day[0], day[1]]))
                };
                match places(page) {
                    Some(places) => places.for_each(|place| self.meet(page, place, day(place))),
                    None => (0..(days.len() / 2) as u16).for_each(|place| self.meet(page, place, day(place))),
                }
            }
        }
        Ok(())
    }

    /// Whether a text at this position would be kept.
    fn wants(&self, position: Position) -> bool {
        self.met.len() < self.look.limit || self.met.peek().is_some_and(|Reverse(oldest)| position > *oldest)
    }

    fn meet(&mut self, page: Page, place: u16, day: Option<u16>) {
        let Look { days, behind, limit, .. } = self.look;
        let Some(day) = day else { return };
        let position = Position { day, chain: page.chain, page: page.number, place };
        if !(days.0..=days.1).contains(&day) || behind.is_some_and(|behind| position >= behind) {
            return;
        }
        // Most texts of a frequent word are older than all that are kept.
        if !self.wants(position) {
            return;
        }
        if self.met.len() >= *limit {
            self.met.pop();
        }
        self.met.push(Reverse(position));
    }
}

/// The places among `held` where this word stands too.
fn both(
    conn: &mut Conn,
    mut held: BTreeMap<Volume, Standing>,
    word: &Asked,
    n_among: usize,
) -> QueryResult<BTreeMap<Volume, Standing>> {
    let volumes: Vec<Volume> = held.keys().copied().collect();
    let mut left = BTreeMap::new();
    for (volume, bytes) in sql::postings_of(conn, word.shelf, &volumes, n_among)? {
        let Some(mut places) = held.remove(&volume) else { continue };
        places.keep(&standing(&bytes, word)?);
        if !places.is_nowhere() {
            left.insert(volume, places);
        }
    }
    Ok(left)
}

fn standing(bytes: &[u8], asked: &Asked) -> QueryResult<Standing> {
    postings::standing(bytes, &asked.words).ok_or_else(sql::malformed)
}

/// The texts at these positions, in the order of answers.
pub(super) fn texts(conn: &mut Conn, positions: &[Position]) -> QueryResult<Vec<Candidate>> {
    let places: Vec<(Page, u16)> = positions.iter().map(|at| (at.page(), at.place)).collect();
    let mut found = Vec::with_capacity(positions.len());
    for (number, bytes) in sql::texts_at(conn, &places)? {
        let text = positions.get(number).copied().zip(<[u8; TEXT_BYTES]>::try_from(bytes).ok());
        if let Some((at, [a, b, c, d, e, low, high])) = text {
            found.push(Candidate { at, key: [a, b, c, d, e], check: u16::from_le_bytes([low, high]) });
        }
    }
    found.sort_unstable_by_key(|text| Reverse(text.at));
    Ok(found)
}
